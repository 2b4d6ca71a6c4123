//! Panics: how they are told, and how far they reach.
//!
//! What is told of a panic is its place, and nothing else: its own words may quote whatever was being worked on, a
//! person's address say, and must not get into a log. A panic reaches no further than the sync, the source or the
//! statement in which it happened: there it is caught and becomes a failure with exit code 70, and the others go on.

use std::any::Any;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::future::Future;
use std::io::Write;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, set_hook};

use futures_util::FutureExt;
use tokio::task::JoinError;

use crate::domain::error::{Failure, Result};

/// Has every panic of the process told by its place alone, on standard error.
pub fn tell_by_place() {
    set_hook(Box::new(|info| {
        let thread = std::thread::current();
        // Frames are names and lines of code: they show no value. Captured only where RUST_BACKTRACE asks for it.
        let frames = Backtrace::capture();
        let mut stderr = std::io::stderr().lock();
        let _ = writeln!(stderr, "{}", words(info.location(), thread.name()));
        if frames.status() == BacktraceStatus::Captured {
            let _ = write!(stderr, "{frames}");
        }
    }));
}

fn words(place: Option<&Location<'_>>, thread: Option<&str>) -> String {
    let place = place.map_or_else(|| "an unknown place".to_string(), ToString::to_string);
    let thread = thread.unwrap_or("without a name");
    format!("internal error: rosterd broke off at {place} (thread {thread}); what it was about is not shown")
}

/// Does it, and makes of a panic a failure (70). The hook has told the place.
///
/// # Errors
/// What the work returns, or that it panicked.
pub fn caught<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_: Box<dyn Any + Send>| Err(broke_off()))
}

/// [`caught`] for a future: what it had begun and not ended is dropped.
///
/// # Errors
/// As [`caught`].
pub async fn caught_in<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    AssertUnwindSafe(work).catch_unwind().await.unwrap_or_else(|_: Box<dyn Any + Send>| Err(broke_off()))
}

/// Does blocking work on a thread that is there for it. `broke_off` says what ended where it panics.
///
/// # Errors
/// The work panicked (70), or the process is ending.
pub async fn off_thread<T: Send + 'static>(
    broke_off: &'static str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|error| joined(broke_off, error))
}

/// The failure that a task came to which did not end by itself. The words of a panic may quote a value: they are kept
/// back.
pub fn joined(broke_off: &str, error: JoinError) -> Failure {
    match error.is_panic() {
        true => Failure::defect(broke_off),
        false => Failure::internal(broke_off).because(error),
    }
}

fn broke_off() -> Failure {
    Failure::defect("rosterd broke off")
        .help("report the place that the log names; what was sent and not confirmed is looked up by the next run")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::exit::Exit;

    #[tokio::test]
    async fn a_panic_ends_the_work_in_which_it_happened_and_no_other() {
        let broken = caught_in(async { panic!("ann@acme.example") });
        let (broken, whole): (Result<()>, Result<u8>) = tokio::join!(broken, caught_in(async { Ok(7) }));
        assert_eq!(broken.expect_err("a failure").exit(), Exit::Internal);
        assert_eq!(whole.expect("the other one"), 7);
    }

    #[test]
    fn a_defect_becomes_exit_70_and_its_words_are_kept_back() {
        let failure = caught::<()>(|| panic!("ann@acme.example")).expect_err("a failure");
        assert_eq!(failure.exit(), Exit::Internal);
        assert!(!failure.chain().contains("acme"));
        let told = words(Some(Location::caller()), Some("state"));
        assert!(told.contains("panics.rs") && told.contains("state"), "{told}");
    }
}

//! What the program says of a defect of its own: the place, and nothing else. The words of a panic may quote whatever
//! was being worked on, a person's address say, and must not get into a log.

use std::any::Any;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::Write;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, set_hook};

use crate::exit::{Exit, Failure, Result};

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

/// Does it, and makes of a panic a failure (70). Its hook has told the place.
pub fn caught(work: impl FnOnce() -> Result<Exit>) -> Result<Exit> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_: Box<dyn Any + Send>| {
        Err(Failure::internal("rosterd broke off on a defect of its own").help(
            "report the place that was named above; what was sent and not confirmed is looked up by the next run",
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_defect_becomes_exit_70_and_its_words_are_kept_back() {
        let failure = caught(|| panic!("ann@acme.example")).expect_err("a failure");
        assert_eq!(failure.exit, Exit::Internal);
        assert!(!failure.chain().contains("acme"));
        let told = words(Some(Location::caller()), Some("state"));
        assert!(told.contains("broken.rs") && told.contains("state"), "{told}");
    }
}

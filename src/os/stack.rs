//! Room for recursion over what an operator wrote: a stack of its own, larger than a worker's 2 MB.
//!
//! The library that parses and evaluates expressions recurses once for each level of an expression. How many levels
//! there may be is bounded before, so this room is always enough; a worker's stack would not be.

use std::io;
use std::panic::resume_unwind;
use std::thread::{Builder, scope};

/// The most that is reserved. Only what is touched becomes memory, but where address space is limited (`ulimit -v`)
/// what is reserved counts.
const ROOM: usize = 256 * 1024 * 1024;

/// What is reserved in any case.
const LEAST: usize = 8 * 1024 * 1024;

/// What a level may take: what parsing one takes in an unoptimised build, several times over.
const LEVEL: usize = 64 * 1024;

/// Runs this on a stack with room for so many levels.
///
/// # Errors
/// The system gives no thread.
pub fn roomy<T: Send>(levels: usize, work: impl FnOnce() -> T + Send) -> io::Result<T> {
    let room = levels.saturating_mul(LEVEL).saturating_add(LEAST).min(ROOM);
    scope(|scope| {
        let worker = Builder::new().name("deep".into()).stack_size(room).spawn_scoped(scope, work)?;
        Ok(worker.join().unwrap_or_else(|panic| resume_unwind(panic)))
    })
}

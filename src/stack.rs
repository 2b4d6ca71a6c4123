//! Room for recursion over what an operator wrote: a stack of its own, larger than a worker's 2 MB.
//!
//! The library that parses and evaluates expressions recurses once for each level of an expression. How many levels
//! there may be is bounded before, so this room is always enough; a worker's stack would not be.

use std::io;
use std::panic::resume_unwind;
use std::thread::{Builder, scope};

/// What is reserved. Only what is touched becomes memory.
const ROOM: usize = 256 * 1024 * 1024;

/// Runs this on a stack with room.
///
/// # Errors
/// The system gives no thread.
pub fn roomy<T: Send>(work: impl FnOnce() -> T + Send) -> io::Result<T> {
    scope(|scope| {
        let worker = Builder::new().name("deep".into()).stack_size(ROOM).spawn_scoped(scope, work)?;
        Ok(worker.join().unwrap_or_else(|panic| resume_unwind(panic)))
    })
}

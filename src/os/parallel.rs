//! Work that is spread over the processors for a moment: a page of things, each of which is worked on alone.

use std::num::NonZero;
use std::panic::resume_unwind;
use std::thread::{available_parallelism, scope};

/// How many things a thread is begun for at least: to begin one takes as long as some microseconds of work.
const LEAST: usize = 64;

/// `work` done with each, in their order. A panic goes on in the caller.
pub fn map<T: Sync, R: Send>(things: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let threads = available_parallelism().map_or(1, NonZero::get).min(things.len() / LEAST);
    if threads < 2 {
        return things.iter().map(work).collect();
    }
    let (own, others) = things.split_at(things.len() / threads);
    let part = others.len().div_ceil(threads - 1);
    scope(|scope| {
        let work = &work;
        let begun: Vec<_> =
            others.chunks(part).map(|part| scope.spawn(move || part.iter().map(work).collect::<Vec<_>>())).collect();
        let mut done: Vec<R> = own.iter().map(work).collect();
        for thread in begun {
            done.extend(thread.join().unwrap_or_else(|panic| resume_unwind(panic)));
        }
        done
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn everything_is_done_once_and_in_order() {
        for many in [0, 1, 63, 64, 127, 128, 129, 1000] {
            let things: Vec<usize> = (0..many).collect();
            assert_eq!(super::map(&things, |n| n * 2), things.iter().map(|n| n * 2).collect::<Vec<_>>(), "{many}");
        }
    }
}

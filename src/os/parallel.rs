//! Work that is spread over the processors for a moment: a page of things, each of which is worked on alone.

use std::num::NonZero;
use std::panic::resume_unwind;
use std::thread::{available_parallelism, scope};

/// How many things a thread is begun for at least: to begin one takes as long as some microseconds of work.
const LEAST: usize = 64;

/// `work` done with each, in their order. A panic goes on in the caller.
pub fn map<T: Sync, R: Send>(things: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    map_with(&mut Vec::new(), || (), things, |(), thing| work(thing))
}

/// [`map`], where each thread has something of its own to work with: those of before, or new ones.
pub fn map_with<O: Send, T: Sync, R: Send>(
    own: &mut Vec<O>,
    new: impl Fn() -> O,
    things: &[T],
    work: impl Fn(&mut O, &T) -> R + Sync,
) -> Vec<R> {
    let threads = available_parallelism().map_or(1, NonZero::get).min(things.len() / LEAST).max(1);
    while own.len() < threads {
        own.push(new());
    }
    let (first, others) = own.split_at_mut(1);
    let (here, elsewhere) = things.split_at(things.len() / threads);
    let part = elsewhere.len().div_ceil((threads - 1).max(1)).max(1);
    scope(|scope| {
        let work = &work;
        let parts = others.iter_mut().zip(elsewhere.chunks(part));
        let begun: Vec<_> = parts.map(|(own, part)| scope.spawn(move || all(own, part, work))).collect();
        let mut done = all(&mut first[0], here, work);
        for thread in begun {
            done.extend(thread.join().unwrap_or_else(|panic| resume_unwind(panic)));
        }
        done
    })
}

fn all<O, T, R>(own: &mut O, things: &[T], work: &impl Fn(&mut O, &T) -> R) -> Vec<R> {
    things.iter().map(|thing| work(own, thing)).collect()
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

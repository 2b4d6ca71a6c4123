//! Walking through a long list page by page, each page beginning after the last entry of the one before (keyset
//! pagination). Where the list is, is the reader's affair: a file of a run, or the state.

use crate::domain::record::Key;

/// The pages of a list, none of them empty. `read` gives the entries that follow a place, or the first ones; `place`
/// tells where an entry stands.
pub fn pages<P, T, E>(
    mut read: impl FnMut(Option<&P>) -> Result<Vec<T>, E>,
    place: impl Fn(&T) -> P,
) -> impl Iterator<Item = Result<Vec<T>, E>> {
    let mut after = None;
    let mut ended = false;
    std::iter::from_fn(move || {
        if ended {
            return None;
        }
        let page = read(after.as_ref());
        after = page.as_ref().ok().and_then(|page| page.last()).map(&place);
        ended = after.is_none();
        match page {
            Ok(page) if page.is_empty() => None,
            page => Some(page),
        }
    })
}

/// The text of a key after which to go on. No key is empty, so the empty text stands before all of them.
pub fn text_of(after: Option<&Key>) -> &str {
    after.map_or("", Key::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_comes_once_and_nothing_is_read_after_the_end_or_an_error() {
        let mut asked = Vec::new();
        let read = |after: Option<&u32>| {
            asked.push(after.copied());
            let from = after.map_or(0, |n| n + 1);
            Ok::<_, ()>((from..7).take(3).collect::<Vec<u32>>())
        };
        let mut walk = pages(read, |n| *n);
        let all: Vec<Vec<u32>> = walk.by_ref().collect::<Result<_, _>>().expect("pages");
        assert_eq!(all, [vec![0, 1, 2], vec![3, 4, 5], vec![6]]);
        assert_eq!(walk.next(), None);
        drop(walk);
        assert_eq!(asked, [None, Some(2), Some(5), Some(6)]);
        let mut broken = pages(|_: Option<&u32>| Err::<Vec<u32>, _>("broken"), |n| *n);
        assert_eq!((broken.next(), broken.next()), (Some(Err("broken")), None));
    }
}

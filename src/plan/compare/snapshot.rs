//! What the syncs on a source know, side by side in the order of keys.

use crate::domain::error::Result;
use crate::domain::operation::Fingerprint;
use crate::domain::record::Key;
use crate::plan::compare::ComparedSync;
use crate::state::fingerprints::{Begin, Fingerprints, FingerprintsOf, FingerprintsPage};
use crate::state::settled::Settled;
use crate::state::{Pending, State};

/// How many people are read at once: enough that a page costs little beside its people, few enough to stay in the caches;
/// fewer in tests, where there are few people.
const PAGE: usize = if cfg!(test) { 7 } else { 4096 };

/// What all syncs know of one person.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    /// By sync, the fingerprint that it remembers; zeros where it remembers none.
    pub prints: Vec<Fingerprint>,
    /// By sync, how the person's matter is settled with it.
    pub settled: Vec<Option<Settled>>,
}

impl Known {
    /// Whether a row with these fingerprints settles the matter in every sync.
    pub fn is_settled(&self) -> bool {
        self.settled.iter().all(Option::is_some)
    }
}

/// All fingerprints of one person as one number.
#[inline]
pub(super) fn combined(prints: impl IntoIterator<Item = Fingerprint>) -> u128 {
    prints.into_iter().fold(0, |all, print| all.rotate_left(41) ^ u128::from_le_bytes(print))
}

/// One sync's people.
struct Cursor {
    page: Fingerprints,
    at: usize,
    next: Option<Pending<Fingerprints>>,
}

/// Everybody whom some sync knows, in the order of keys.
pub(super) struct Joined {
    state: State,
    syncs: std::sync::Arc<[ComparedSync]>,
    cursors: Vec<Cursor>,
    /// The cursor whose key is the least, and those that have that key; nothing at the end.
    least: usize,
    here: u64,
}

impl Joined {
    /// From this key on.
    pub fn at(state: &State, syncs: &std::sync::Arc<[ComparedSync]>, key: &[u8]) -> Result<Joined> {
        let begin = |sync: &ComparedSync| {
            let next = page(state, sync, Begin::At(key.to_vec()))?;
            Ok(Cursor { page: Fingerprints::default(), at: 0, next: Some(next) })
        };
        let cursors = syncs.iter().map(begin).collect::<Result<_>>()?;
        let mut joined =
            Joined { state: state.clone(), syncs: std::sync::Arc::clone(syncs), cursors, least: 0, here: 0 };
        for at in 0..joined.cursors.len() {
            joined.load(at)?;
        }
        joined.find();
        Ok(joined)
    }

    /// Whether there is somebody.
    #[inline]
    pub fn is_live(&self) -> bool {
        self.here != 0
    }

    /// Their key.
    #[inline]
    pub fn key(&self) -> &[u8] {
        let cursor = &self.cursors[self.least];
        cursor.page.key(cursor.at)
    }

    #[inline]
    fn of_sync(&self, sync: usize) -> Option<(Fingerprint, Option<Settled>)> {
        let cursor = &self.cursors[sync];
        (self.here >> sync & 1 == 1).then(|| cursor.page.person(cursor.at))
    }

    /// By sync, how their matter is settled.
    #[inline]
    pub fn settled(&self) -> impl Iterator<Item = Option<Settled>> {
        (0..self.cursors.len()).map(|sync| self.of_sync(sync)?.1)
    }

    /// Whether the right row settles their matter in every sync.
    #[inline]
    pub fn is_settled(&self) -> bool {
        self.settled().all(|settled| settled.is_some())
    }

    /// Whether every sync remembers these fingerprints.
    #[inline]
    pub fn remembers(&self, prints: &[Fingerprint]) -> bool {
        prints.iter().enumerate().all(|(sync, print)| self.of_sync(sync).is_some_and(|(known, _)| known == *print))
    }

    /// Everything that is known of them.
    pub fn known(&self) -> Known {
        let of_sync = |sync| self.of_sync(sync).unwrap_or_default();
        let (prints, settled) = (0..self.cursors.len()).map(of_sync).unzip();
        Known { prints, settled }
    }

    /// All their fingerprints as one number.
    pub fn combined(&self) -> u128 {
        combined((0..self.cursors.len()).map(|sync| self.of_sync(sync).unwrap_or_default().0))
    }

    /// Goes on to the next person.
    #[inline]
    pub fn next(&mut self) -> Result<()> {
        for at in 0..self.cursors.len() {
            if self.here >> at & 1 == 1 {
                self.cursors[at].at += 1;
                if self.cursors[at].at >= self.cursors[at].page.len() {
                    self.load(at)?;
                }
            }
        }
        self.find();
        Ok(())
    }

    #[inline]
    fn find(&mut self) {
        self.here = 0;
        for (at, cursor) in self.cursors.iter().enumerate() {
            if cursor.at >= cursor.page.len() {
                continue;
            }
            let least = &self.cursors[self.least];
            let order = match self.here {
                0 => std::cmp::Ordering::Less,
                _ => cursor.page.key(cursor.at).cmp(least.page.key(least.at)),
            };
            match order {
                std::cmp::Ordering::Less => (self.least, self.here) = (at, 1 << at),
                std::cmp::Ordering::Equal => self.here |= 1 << at,
                std::cmp::Ordering::Greater => {}
            }
        }
    }

    /// Takes the next page, and asks for the one after it.
    fn load(&mut self, at: usize) -> Result<()> {
        let (cursor, sync) = (&mut self.cursors[at], &self.syncs[at]);
        let Some(pending) = cursor.next.take() else { return Ok(()) };
        let mut loaded = pending.wait()?;
        if loaded.len() == PAGE {
            let last = loaded.key(PAGE - 1).to_vec();
            cursor.next = Some(page(&self.state, sync, Begin::After(last))?);
        }
        leave_open(&mut loaded, sync);
        (cursor.page, cursor.at) = (loaded, 0);
        Ok(())
    }
}

fn page(state: &State, sync: &ComparedSync, begin: Begin) -> Result<Pending<Fingerprints>> {
    Ok(state.begin(FingerprintsPage { sync: sync.id, begin, limit: PAGE })?)
}

/// Whoever has to be looked at is not settled, whatever is remembered.
fn leave_open(page: &mut Fingerprints, sync: &ComparedSync) {
    if !sync.invited_is_settled {
        for at in 0..page.len() {
            if page.person(at).1 == Some(Settled::Invited) {
                page.unsettle(at);
            }
        }
    }
    for key in &sync.looked_at {
        if let Some(at) = page.find(key.as_str().as_bytes()) {
            page.unsettle(at);
        }
    }
}

/// What is known of these people, who are in the order of keys; nothing of whom no sync knows.
pub(super) fn lookup(state: &State, syncs: &[ComparedSync], keys: &[Key]) -> Result<Vec<Option<Known>>> {
    let mut found: Vec<Option<Known>> = vec![None; keys.len()];
    for (number, sync) in syncs.iter().enumerate() {
        let mut page = state.ask_blocking(FingerprintsOf { sync: sync.id, keys: keys.to_vec() })?;
        leave_open(&mut page, sync);
        let mut at = 0;
        for (key, found) in keys.iter().zip(&mut found) {
            if at < page.len() && page.key(at) == key.as_str().as_bytes() {
                let nothing =
                    || Known { prints: vec![Fingerprint::default(); syncs.len()], settled: vec![None; syncs.len()] };
                let known = found.get_or_insert_with(nothing);
                (known.prints[number], known.settled[number]) = page.person(at);
                at += 1;
            }
        }
    }
    Ok(found)
}

//! Fingerprints of rows: by them a change is noticed without evaluating anything.
//!
//! A row's fingerprint is a keyed hash (BLAKE3, 16 bytes of it) of the person's key and of the cells that the mapping
//! refers to; the hash's own key is made of the mapping, and of what its expressions ask of the time of the run. So another mapping, or
//! another form of fingerprints, makes every stored one differ, and every record is looked at once. Pure.

use super::Bound;
use crate::domain::local_time::LocalTime;
use crate::domain::operation::Fingerprint;
use crate::domain::record::cells::{put_text, put_value, split_first};
use crate::domain::record::{Key, Record, Row};
use serde_json::Value;

/// What the snapshot tells of a row whose cells were not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownRow {
    /// Its fingerprint.
    pub fingerprint: Fingerprint,
    /// Whether it was in scope.
    pub in_scope: bool,
}

/// Computes fingerprints for one mapping at one time. Equal fingerprints: [`Bound::decide`] gives the same.
#[derive(Clone)]
pub struct Fingerprinter {
    hash_key: [u8; 32],
    /// Where the mapping's columns stand, in the order of their names.
    places: Vec<usize>,
    /// Those are all columns of a row, as they stand.
    whole: bool,
}

impl Fingerprinter {
    pub(super) fn new(version: &[u8; 32], time: &str, places: Vec<usize>, columns: usize) -> Fingerprinter {
        let mut hasher = blake3::Hasher::new();
        hasher.update(version);
        hasher.update(time.as_bytes());
        let whole = places.iter().copied().eq(0..columns);
        Fingerprinter { hash_key: hasher.finalize().into(), places, whole }
    }

    /// The fingerprint of a row in its encoded form (`domain::record::cells`): a cell for the person's key, then one for each column
    /// of the source. `room` is a buffer to work in.
    #[inline]
    pub fn of_encoded(&self, row: &[u8], room: &mut Room) -> Fingerprint {
        if self.whole {
            return self.hashed(row);
        }
        room.ends.clear();
        let mut rest = row;
        while let Some((cell, after)) = split_first(rest) {
            room.ends.push(row.len() - after.len());
            debug_assert!(!cell.is_empty());
            rest = after;
        }
        let cell = |at: usize| {
            let start = if at == 0 { 0 } else { room.ends.get(at - 1).copied()? };
            row.get(start..room.ends.get(at).copied()?)
        };
        room.bytes.clear();
        room.bytes.extend_from_slice(cell(0).unwrap_or_default());
        for place in &self.places {
            // A column that is not there has no value.
            match cell(place + 1) {
                Some(cell) => room.bytes.extend_from_slice(cell),
                None => put_value(&mut room.bytes, &Value::Null),
            }
        }
        self.hashed(&room.bytes)
    }

    fn of_row(&self, key: &Key, cells: &[Value]) -> Fingerprint {
        let mut bytes = Vec::with_capacity(256);
        put_text(&mut bytes, key.as_str().as_bytes());
        self.places.iter().for_each(|place| put_value(&mut bytes, cells.get(*place).unwrap_or(&Value::Null)));
        self.hashed(&bytes)
    }

    /// The fingerprint of a person. Of several rows it does not matter in which order they are, nor whether two are alike
    /// in what the mapping refers to. A row whose cells were not kept is as the snapshot tells; nothing, where it tells
    /// nothing.
    pub fn of(&self, record: &Record, known: Option<KnownRow>) -> Option<Fingerprint> {
        let Some(several) = &record.several else { return Some(self.of_row(&record.key, &record.cells)) };
        let of_row = |row: &Row| match row.is_known {
            true => known.map(|known| known.fingerprint),
            false => Some(self.of_row(&record.key, &row.cells)),
        };
        let mut rows: Vec<Fingerprint> = several.rows.iter().map(of_row).collect::<Option<_>>()?;
        rows.sort_unstable();
        rows.dedup();
        match rows.as_slice() {
            [one] => Some(*one),
            several => Some(self.hashed(several.as_flattened())),
        }
    }

    /// The fingerprint of one of a person's rows.
    pub(super) fn of_one(&self, key: &Key, row: &Row, known: Option<KnownRow>) -> Option<Fingerprint> {
        match row.is_known {
            true => known.map(|known| known.fingerprint),
            false => Some(self.of_row(key, &row.cells)),
        }
    }

    fn hashed(&self, bytes: &[u8]) -> Fingerprint {
        let hash = blake3::keyed_hash(&self.hash_key, bytes);
        let mut fingerprint = Fingerprint::default();
        fingerprint.copy_from_slice(&hash.as_bytes()[..size_of::<Fingerprint>()]);
        fingerprint
    }
}

/// Buffers that are used again from row to row.
#[derive(Default)]
pub struct Room {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Bound {
    /// Computes fingerprints of rows that have the columns to which the mapping is bound.
    pub fn fingerprints(&self, time: LocalTime) -> Fingerprinter {
        let places = self.cells.iter().map(|(_, at)| *at).collect();
        let time = self.mapping.uses.spelled(time);
        Fingerprinter::new(&self.mapping.version, &time, places, self.columns)
    }
}

//! Rows on their way from whoever reads them to whoever compares and keeps them: many at once, in buffers that are used
//! again.

use crate::domain::record::cells::put_text;
use crate::domain::record::{Key, Position};

/// How many bytes of cells make a batch that is handed on.
const BYTES: usize = 256 * 1024;

/// How many rows make one; few in tests, where there are few rows.
const ROWS: usize = if cfg!(test) { 5 } else { 4096 };

/// A row that can be used, by its place in the buffer.
#[derive(Clone, Copy)]
struct Good {
    start: u32,
    /// Where the key's text begins and ends.
    key: (u32, u32),
    /// Where the key's cell ends and the others begin.
    cells: u32,
    end: u32,
    position: Position,
}

/// A row that can't be used.
pub(super) struct Bad {
    /// The person, as far as one can tell.
    pub key: Option<Key>,
    /// Where it stands.
    pub position: Position,
    /// Why.
    pub reason: String,
}

/// Rows in the source's order.
#[derive(Default)]
pub struct RowBatch {
    bytes: Vec<u8>,
    good: Vec<Good>,
    /// The rows among them that can't be used.
    pub(super) bad: Vec<Bad>,
    descents: usize,
}

impl RowBatch {
    /// Adds a row that can be used; `put` appends its cells in their encoded form.
    #[inline]
    pub(super) fn push(&mut self, key: &str, position: Position, put: impl FnOnce(&mut Vec<u8>)) {
        let start = self.bytes.len();
        put_text(&mut self.bytes, key.as_bytes());
        let cells = self.bytes.len();
        put(&mut self.bytes);
        // A batch is far smaller than four gigabytes: a row has 16 MB at most.
        let at = |place: usize| place as u32;
        let key = (at(cells - key.len()), at(cells));
        if let Some(last) = self.good.last() {
            self.descents += usize::from(self.text(key) < self.text(last.key));
        }
        self.good.push(Good { start: at(start), key, cells: at(cells), end: at(self.bytes.len()), position });
    }

    /// Whether it holds enough to be handed on.
    pub(super) fn is_full(&self) -> bool {
        self.bytes.len() >= BYTES || self.good.len() + self.bad.len() >= ROWS
    }

    pub(super) fn holds_nothing(&self) -> bool {
        self.good.is_empty() && self.bad.is_empty()
    }

    /// Empties it, for other rows.
    pub(super) fn clear(&mut self) {
        // One huge row must not stay in memory for the rest of the read.
        if self.bytes.capacity() > 4 * BYTES {
            self.bytes = Vec::new();
        }
        self.bytes.clear();
        self.good.clear();
        self.bad.clear();
        self.descents = 0;
    }

    #[inline]
    fn text(&self, (from, to): (u32, u32)) -> &[u8] {
        &self.bytes[from as usize..to as usize]
    }

    /// How many rows can be used.
    pub fn len(&self) -> usize {
        self.good.len()
    }

    /// Whether none can.
    pub fn is_empty(&self) -> bool {
        self.good.is_empty()
    }

    /// How many of these have a key below that of the one before.
    pub fn descents(&self) -> usize {
        self.descents
    }

    /// The key of a row, UTF-8 in its normal form: in the order of bytes, as the state has them too.
    #[inline]
    pub fn key(&self, row: usize) -> &[u8] {
        self.text(self.good[row].key)
    }

    /// Where a row stands.
    #[inline]
    pub fn position(&self, row: usize) -> Position {
        self.good[row].position
    }

    /// A row in its encoded form: a cell for the key, then those of the source's columns.
    #[inline]
    pub fn row(&self, row: usize) -> &[u8] {
        let good = &self.good[row];
        &self.bytes[good.start as usize..good.end as usize]
    }

    /// The cells of the source's columns.
    pub fn cells(&self, row: usize) -> &[u8] {
        let good = &self.good[row];
        &self.bytes[good.cells as usize..good.end as usize]
    }
}

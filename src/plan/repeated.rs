//! People of whom several rows say the same to a sync: worth a warning where one row a person is expected.

use crate::config::settings::{RowsPerPerson, SyncSettings};
use crate::domain::local_time::LocalTime;
use crate::domain::record::Record;
use crate::mapping::{Bound, KnownRow};

/// How many are named one by one.
const NAMED: u64 = 20;

/// How many there were so far.
#[derive(Default)]
pub(super) struct Repeated(u64);

impl Repeated {
    /// Looks at somebody with several rows.
    pub fn see(
        &mut self,
        sync: &SyncSettings,
        bound: &Bound,
        record: &Record,
        time: LocalTime,
        known: Option<KnownRow>,
    ) {
        if sync.source.rows == RowsPerPerson::Many {
            return;
        }
        let repeated = match bound.decide_knowing(record, time, known) {
            Ok(decided) => decided.repeated,
            Err(as_before) => as_before.repeated,
        };
        let Some(repeated) = repeated else { return };
        self.0 += 1;
        if self.0 <= NAMED {
            tracing::warn!(sync = %sync.name, source = %sync.source.name, "key {}: {repeated}", record.key);
        }
    }

    /// Says how many more there were.
    pub fn end(&self, sync: &SyncSettings) {
        if self.0 > NAMED {
            let more = self.0 - NAMED;
            tracing::warn!(sync = %sync.name, "{more} more keys have rows that are the same in what is mapped");
        }
    }
}

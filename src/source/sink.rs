//! Where every reader's rows go: batches, handed to a thread that compares them with what is known and keeps what has to
//! be kept, while the next ones are being read.

use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::JoinHandle;

use super::batch::{Bad, RowBatch};
use super::compare::{Comparer, Comparison, Marks, Verdict};
use super::parsed::Parsed;
use super::spool::Spool;
use crate::config::settings::RowsPerPerson;
use crate::domain::error::{Error, Failure, LocalReason, Result};
use crate::domain::record::Position;
use crate::os::panics;
use crate::source::trust::Completeness;

/// How many batches wait for the thread at most.
const WAITING: usize = 4;

/// Takes rows in.
pub(super) struct Sink {
    batch: RowBatch,
    keeper: Option<Keeper>,
    /// Rows whose key can't be read or relied upon.
    pub keyless: u64,
    /// Rows without any content.
    pub blank: u64,
    /// Where the first of them stands.
    first_blank: Option<Position>,
}

/// What the thread kept.
pub(super) struct KeptRows {
    /// The rows, joined.
    pub spool: Spool,
    /// What it knew of the others; none where every row was kept.
    pub comparer: Option<Box<dyn Comparer>>,
}

/// The thread.
struct Keeper {
    batches: SyncSender<Work>,
    used: Receiver<RowBatch>,
    thread: JoinHandle<Result<KeptRows>>,
}

/// What the thread is given.
enum Work {
    Rows(RowBatch),
    /// What follows is of this member of a union, after so many rows.
    Member(u64, String),
}

impl Sink {
    /// A sink with an empty spool in this directory.
    ///
    /// # Errors
    /// 74 when the directory can't be written.
    pub fn create(directory: &Path, expected: RowsPerPerson, comparison: Option<&dyn Comparison>) -> Result<Sink> {
        let spool = Spool::create(directory, expected)?;
        let comparer = comparison.map(Comparison::begin).transpose()?;
        let (batches, work) = sync_channel(WAITING);
        let (give_back, used) = channel();
        let keep = move || panics::caught(move || keep(spool, comparer, &work, &give_back));
        let thread = std::thread::Builder::new().name("compare".into()).spawn(keep).map_err(|error| {
            Failure::new(Error::Local(LocalReason::Io), "the system gives no thread to compare rows on").because(error)
        })?;
        let keeper = Some(Keeper { batches, used, thread });
        Ok(Sink { batch: RowBatch::default(), keeper, keyless: 0, blank: 0, first_blank: None })
    }

    /// The rows that follow are those of this member of a union, and come after `before` others.
    ///
    /// # Errors
    /// As [`Sink::take`].
    pub fn begin_member(&mut self, before: u64, name: &str) -> Result<()> {
        self.hand_on()?;
        self.give(Work::Member(before, name.to_owned()))
    }

    /// Takes a row; gives back how far the source was read when it is the end.
    ///
    /// # Errors
    /// 74 when the spool can't be written.
    #[inline]
    pub fn take(&mut self, parsed: Parsed<'_>) -> Result<Option<Completeness>> {
        match parsed {
            Parsed::Good { key, position, cells } => {
                self.batch.push(&key, position, |out| cells.put_into(out, &key));
            }
            Parsed::Bad { key, certain, position, reason } => {
                self.keyless += u64::from(!certain);
                self.batch.bad.push(Bad { key, position, reason });
            }
            Parsed::Blank(position) => {
                self.blank += 1;
                self.first_blank.get_or_insert(position);
            }
            Parsed::End(completeness) => return Ok(Some(completeness)),
        }
        if self.batch.is_full() {
            self.hand_on()?;
        }
        Ok(None)
    }

    fn hand_on(&mut self) -> Result<()> {
        if self.batch.holds_nothing() {
            return Ok(());
        }
        let next = self.keeper.as_ref().and_then(|keeper| keeper.used.try_recv().ok()).unwrap_or_default();
        let full = std::mem::replace(&mut self.batch, next);
        self.give(Work::Rows(full))
    }

    fn give(&mut self, work: Work) -> Result<()> {
        let Some(keeper) = &self.keeper else { return Err(broke_off()) };
        match keeper.batches.send(work) {
            Ok(()) => Ok(()),
            // It has ended before its time, and says why.
            Err(_) => self.join().and_then(|_| Err(broke_off())),
        }
    }

    fn join(&mut self) -> Result<KeptRows> {
        let Keeper { batches, thread, .. } = self.keeper.take().ok_or_else(broke_off)?;
        drop(batches);
        thread.join().unwrap_or_else(|_| Err(broke_off()))
    }

    /// The end: waits until everything is kept, and joined.
    ///
    /// # Errors
    /// As [`Sink::take`].
    pub fn end(&mut self) -> Result<KeptRows> {
        self.hand_on()?;
        self.join()
    }

    /// What is to be said of rows without any content, if there were some.
    pub fn told_blank(&self) -> Option<String> {
        let first = self.first_blank?;
        Some(match self.blank {
            1 => format!("{first} has no content: it is nobody's, and ignored"),
            n => format!("{n} rows have no content: they are nobody's, and ignored; the first is {first}"),
        })
    }
}

impl Drop for Sink {
    /// A read that is given up leaves no thread behind.
    fn drop(&mut self) {
        if let Some(Keeper { batches, thread, .. }) = self.keeper.take() {
            drop(batches);
            let _ = thread.join();
        }
    }
}

fn broke_off() -> Failure {
    Failure::internal("keeping what was read broke off")
}

/// The thread's work: batch by batch, each with the next one at hand.
fn keep(
    mut spool: Spool,
    mut comparer: Option<Box<dyn Comparer>>,
    work: &Receiver<Work>,
    used: &Sender<RowBatch>,
) -> Result<KeptRows> {
    let mut verdicts = Vec::new();
    let mut waiting: Option<RowBatch> = None;
    loop {
        let next = work.recv().ok();
        if let Some(mut batch) = waiting.take() {
            let after = match &next {
                Some(Work::Rows(rows)) if !rows.is_empty() => Some(rows.key(0)),
                _ => None,
            };
            verdicts.clear();
            match &mut comparer {
                Some(comparer) => comparer.judge(&batch, after, &mut verdicts, &Marks(&spool))?,
                None => verdicts.resize(batch.len(), Verdict::Kept { checked: true }),
            }
            spool.take(&batch, &verdicts)?;
            for Bad { key, position, reason } in batch.bad.drain(..) {
                spool.bad(key.as_ref(), position, &reason)?;
            }
            batch.clear();
            // Nobody waits for it when the read has ended.
            let _ = used.send(batch);
        }
        match next {
            Some(Work::Rows(batch)) => waiting = Some(batch),
            Some(Work::Member(before, name)) => spool.begin_member(before, &name),
            None => break,
        }
    }
    spool.join_rows(comparer.as_deref_mut())?;
    Ok(KeptRows { spool, comparer })
}

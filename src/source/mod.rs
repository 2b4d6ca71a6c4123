//! Sources: where records come from, read completely into a temporary spool before anything is concluded from them.
//!
//! A [`Connector`] reads one kind of source: a transport brings bytes, a format turns them into rows, good and rejected, with
//! their positions, and both say whether that was the end. The [`Intake`] keeps what it gave on disk, in the order of keys, so that memory is bounded whatever the source's size.
//! Whether the read may be believed is judged elsewhere, by [`crate::source::trust`].

pub mod beginning;
pub mod trust;

mod batch;
mod compare;
mod connector;
mod format;
mod intake;
mod page_log;
mod parsed;
mod preview;
mod sink;
mod spool;
mod stream;
mod transport;
mod union;

pub use batch::RowBatch;
pub use compare::{Comparer, Comparison, Marks, Reviewed, SettledPeople, SettledRow, Verdict};
pub use connector::{Asking, Connector, ReadRequest, Since, connect};
pub use format::csv::printable;
pub use intake::{Intake, Member};
pub use preview::Preview;

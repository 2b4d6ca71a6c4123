//! Sources: where records come from, read completely into a temporary spool before anything is concluded from them.
//!
//! A reader turns bytes into rows, good and rejected, with their positions, and says whether it reached the end. The
//! [`Intake`] keeps what it gave on disk, in the order of keys, so that memory is bounded whatever the source's size.
//! Whether the read may be believed is judged elsewhere, by [`crate::trust`].

mod csv;
mod decode;
mod intake;
mod rows;
mod spool;

pub use intake::Intake;

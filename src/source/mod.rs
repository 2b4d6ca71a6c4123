//! Sources: where records come from, read completely into a temporary spool before anything is concluded from them.
//!
//! A reader turns bytes into rows, good and rejected, with their positions, and says whether it reached the end. The
//! [`Intake`] keeps what it gave on disk, in the order of keys, so that memory is bounded whatever the source's size.
//! Whether the read may be believed is judged elsewhere, by [`crate::source::trust`].

pub mod trust;

mod csv;
mod decode;
mod document;
mod file;
mod hints;
mod http;
mod intake;
mod json;
mod judge;
mod lines;
mod parsed;
mod preview;
mod rows;
mod spool;
mod trailer;
mod union;

use std::sync::Arc;

use chrono::{DateTime, Utc};

pub use csv::printable;
pub use http::FirstPage;
pub use intake::{Intake, Member};
pub use preview::{Preview, preview};

use crate::config::settings::{SourceKind, SourceSettings};
use crate::domain::change_token::ChangeToken;
use crate::domain::error::Result;

/// What an export says when it is asked whether it has changed.
#[derive(Debug)]
pub enum Since {
    /// It has not; when it was last changed, if it says so.
    Unchanged(Option<DateTime<Utc>>),
    /// It has, and this is how it begins: what was fetched is not fetched again.
    Changed(Box<FirstPage>),
    /// It can't be asked.
    Unknown,
}

/// Asks an export whether it is as it was when it gave this token: one request.
///
/// # Errors
/// It can't be reached (69), or refuses us (77).
pub async fn since(source: &Arc<SourceSettings>, token: &ChangeToken) -> Result<Since> {
    match &source.kind {
        SourceKind::Http(settings) => http::since(source, settings, token).await,
        SourceKind::Csv(_) | SourceKind::Union(_) => Ok(Since::Unknown),
    }
}

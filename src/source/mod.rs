//! Sources: where records come from, read completely into a temporary spool before anything is concluded from them.
//!
//! A reader turns bytes into rows, good and rejected, with their positions, and says whether it reached the end. The
//! [`Intake`] keeps what it gave on disk, in the order of keys, so that memory is bounded whatever the source's size.
//! Whether the read may be believed is judged elsewhere, by [`crate::trust`].

mod csv;
mod decode;
mod file;
mod http;
mod intake;
mod json;
mod judge;
mod lines;
mod parsed;
mod preview;
mod rows;
mod spool;
mod union;

use std::sync::Arc;

use chrono::{DateTime, Utc};

pub use intake::{Intake, Member};
pub use preview::{Preview, preview};

use crate::config::settings::{SourceKind, SourceSettings};
use crate::exit::Result;

/// With what an export can be asked whether it has changed (RFC 9110, section 8.8).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Validators {
    /// `ETag`, as it came.
    pub etag: Option<String>,
    /// `Last-Modified`, as it came.
    pub last_modified: Option<String>,
}

/// Asks an export whether it is as it was when it gave these validators: one request. `None` when it has changed, or
/// can't be asked; else when it says that it was last changed, if it says so.
///
/// # Errors
/// It can't be reached (69), or refuses us (77).
pub async fn unchanged(source: &Arc<SourceSettings>, known: &Validators) -> Result<Option<Option<DateTime<Utc>>>> {
    match &source.kind {
        SourceKind::Http(settings) => http::unchanged(source, settings, known).await,
        SourceKind::Csv(_) | SourceKind::Union(_) => Ok(None),
    }
}

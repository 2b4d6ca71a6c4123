//! The seam between sources and runs: what every kind of source can do, and the list of the kinds that are there.
//!
//! Whoever adds a kind writes its settings ([`crate::config::settings::SourceKind`]) and a connector, and enters both in their
//! lists; nobody else asks which kind a source is. What gives bytes is a [`super::transport::Transport`], and
//! [`super::stream`] makes a connector of it and any format.

use std::collections::BTreeSet;
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::compare::Comparison;
use super::intake::Intake;
use super::preview::Preview;
use super::stream::Stream;
use super::transport::http::HttpConnector;
use super::union::UnionConnector;
use crate::config::settings::{SourceKind, SourceSettings};
use crate::domain::change_token::ChangeToken;
use crate::domain::error::Result;

/// What a source says when it is asked whether it has changed.
#[derive(Debug, PartialEq, Eq)]
pub enum Since {
    /// It has not; when it was last changed, if it says so.
    Unchanged(Option<DateTime<Utc>>),
    /// It has. What was fetched to learn that is not fetched again by [`Connector::open`].
    Changed,
    /// It can't be asked.
    Unknown,
}

/// What is asked of a read.
#[derive(Clone, Copy)]
pub struct ReadRequest<'a> {
    /// The columns that anybody uses.
    pub wanted: &'a BTreeSet<String>,
    /// Where the spool is made.
    pub directory: &'a Path,
    /// Who knows what was settled before; none: every row is kept.
    pub comparison: Option<&'a dyn Comparison>,
}

impl<'a> ReadRequest<'a> {
    /// Keeps everything of these columns, in this directory.
    pub fn everything(wanted: &'a BTreeSet<String>, directory: &'a Path) -> ReadRequest<'a> {
        ReadRequest { wanted, directory, comparison: None }
    }
}

/// The answer of [`Connector::changed_since`], when it comes.
pub type Asking<'a> = Pin<Box<dyn Future<Output = Result<Since>> + Send + 'a>>;

/// One source, to be read once.
pub trait Connector: Send {
    /// Looks at the beginning of the source, or of each source that it is made of; nothing is concluded from it.
    ///
    /// Blocks; to be called where blocking is allowed, within the runtime that fetches.
    ///
    /// # Errors
    /// As [`Connector::open`]; 65 also when the very beginning is broken.
    fn check(&mut self, wanted: &BTreeSet<String>) -> Result<Vec<Preview>>;

    /// Asks whether the source is as it was when it gave this token: one request.
    ///
    /// # Errors
    /// It can't be reached (69), or refuses us (77).
    fn changed_since<'a>(&'a mut self, _token: &'a ChangeToken) -> Asking<'a> {
        Box::pin(async { Ok(Since::Unknown) })
    }

    /// Reads the source into a spool, keeping the wanted columns: its records and rejects, and whether that was all. Rows
    /// that the request's comparison finds settled are counted alone. What breaks off in the middle is no error: it is in [`super::trust::ReadStats::completeness`], to be judged.
    ///
    /// Blocks, as [`Connector::check`] does.
    ///
    /// # Errors
    /// 69 when the source can't be reached, 77 when it refuses us, 65 when it is not as configured (no header, columns
    /// missing), 74 when the spool can't be written.
    fn open(&mut self, request: &ReadRequest<'_>) -> Result<Intake>;
}

/// The connector of a source.
pub fn connect(source: &Arc<SourceSettings>) -> Box<dyn Connector> {
    match &source.kind {
        SourceKind::File(file) => Box::new(Stream::new(source, file.clone(), file.format.clone())),
        SourceKind::Http(http) => Box::new(HttpConnector::new(source, http)),
        SourceKind::Union(_) => Box::new(UnionConnector::new(source)),
    }
}

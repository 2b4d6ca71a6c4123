//! Where bytes come from. A transport opens one stream of bytes, with what proves their end; it knows nothing of what is
//! written in them. Whatever gives its records by pages ([`http`]) or by rows is a [`super::Connector`] of its own.

pub(super) mod file;
pub(super) mod http;

use self::file::Input;
use crate::config::settings::SourceSettings;
use crate::domain::error::Result;

/// Gives the bytes of a source.
pub(super) trait Transport: Send {
    /// Opens the stream.
    ///
    /// # Errors
    /// There is nothing to open, or it may not be opened (69); it can't be what is configured (65).
    fn open(&self, source: &SourceSettings) -> Result<Input>;
}

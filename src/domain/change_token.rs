//! What a source gives so that it can be asked later whether it has changed: kept as it is, read by nobody but the kind
//! of source that made it.

use std::fmt;

/// One opaque text. Two reads with equal tokens are of the same content.
#[derive(Clone, PartialEq, Eq)]
pub struct ChangeToken(pub String);

impl fmt::Debug for ChangeToken {
    /// What a server makes of its tokens is its own affair: not shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChangeToken")
    }
}

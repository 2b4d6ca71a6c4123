//! Sources: what all have in common, and what each kind has of its own.
//!
//! A kind is one struct that says of itself, through [`Kind`], what others have to know. [`SourceKind`] lists the kinds, and
//! [`FormatSettings`] what files and answers can be written in; besides these lists and the reader of the kind, nobody asks
//! which kind a source is.

use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use regex::Regex;

use super::HttpSettings;
use crate::domain::address::scrubbed;
use crate::domain::limits::Limit;
use crate::http::secret::Secret;

/// `[sources.NAME]`.
#[derive(Clone, Debug)]
pub struct SourceSettings {
    /// Its name.
    pub name: String,
    /// The column that is the key.
    pub key: String,
    /// What the other members of a union call theirs: where there is no column of that name, the key stands for it.
    pub also_key: Vec<String>,
    /// Columns that must be there besides those that mappings name.
    pub required: Vec<String>,
    /// How many rows of one person are expected.
    pub rows: RowsPerPerson,
    /// When a read is trusted.
    pub gate: TrustSettings,
    /// What it is.
    pub kind: SourceKind,
}

impl SourceSettings {
    /// Whether this column is the key: of a union, that of any member.
    pub fn is_key(&self, column: &str) -> bool {
        match self.kind.members() {
            [] => self.key == column,
            members => members.iter().any(|member| member.is_key(column)),
        }
    }
}

/// How many rows of one person are expected in a source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RowsPerPerson {
    /// One: who has several is warned of.
    #[default]
    One,
    /// Several, e.g. one for each post that somebody holds.
    Many,
}

/// When a read of a source is trusted.
#[derive(Clone, Debug)]
pub struct TrustSettings {
    /// Fewer records than this: not trusted.
    pub min_records: u64,
    /// Fewer than the largest trusted read of seven days by more than this: not trusted.
    pub max_shrink: Limit,
    /// More rejected rows than this: not trusted.
    pub max_rejected: Limit,
    /// Older than this: not trusted.
    pub max_age: Option<Duration>,
    /// What an incomplete read may still do.
    pub on_incomplete: OnIncomplete,
}

/// What an incomplete read may still do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnIncomplete {
    /// Nothing.
    Stop,
    /// Creates and updates of what did arrive.
    NoBans,
}

/// What a kind of source says of itself to those who don't know it.
pub trait Kind {
    /// Whether every cell that it has is a text, as in delimited files.
    fn is_all_text(&self) -> bool;

    /// What it is, in a few words for people; no secret.
    fn shown(&self) -> String;

    /// The file that it is, where it is one.
    fn file(&self) -> Option<&Path> {
        None
    }

    /// Whether it can be read only once, as standard input.
    fn is_read_once(&self) -> bool {
        false
    }

    /// The secret by which we are let in, where there is one.
    fn secret(&self) -> Option<&Secret> {
        None
    }

    /// The sources of which it is made.
    fn members(&self) -> &[Arc<SourceSettings>] {
        &[]
    }
}

/// The kinds of source.
#[derive(Clone, Debug)]
pub enum SourceKind {
    /// A file.
    File(FileSettings),
    /// An export behind an address.
    Http(Arc<HttpSettings>),
    /// Several sources as one.
    Union(UnionSettings),
}

impl Deref for SourceKind {
    type Target = dyn Kind;

    fn deref(&self) -> &Self::Target {
        match self {
            SourceKind::File(file) => file,
            SourceKind::Http(http) => &**http,
            SourceKind::Union(union) => union,
        }
    }
}

/// A file.
#[derive(Clone, Debug)]
pub struct FileSettings {
    /// The file; `-` is standard input.
    pub path: PathBuf,
    /// What it is written in.
    pub format: FormatSettings,
}

impl Kind for FileSettings {
    fn is_all_text(&self) -> bool {
        self.format.is_all_text()
    }

    fn shown(&self) -> String {
        scrubbed(&self.path.display().to_string())
    }

    fn file(&self) -> Option<&Path> {
        (!self.is_read_once()).then_some(&self.path)
    }

    fn is_read_once(&self) -> bool {
        self.path == Path::new("-")
    }
}

/// Several sources as one.
#[derive(Clone, Debug)]
pub struct UnionSettings {
    /// They; none is a union itself.
    pub members: Vec<Arc<SourceSettings>>,
}

impl Kind for UnionSettings {
    fn is_all_text(&self) -> bool {
        self.members.iter().all(|member| member.kind.is_all_text())
    }

    fn shown(&self) -> String {
        let names: Vec<&str> = self.members.iter().map(|member| member.name.as_str()).collect();
        format!("union of {}", names.join(", "))
    }

    fn is_read_once(&self) -> bool {
        self.members.iter().any(|member| member.kind.is_read_once())
    }

    fn members(&self) -> &[Arc<SourceSettings>] {
        &self.members
    }
}

/// What a file or an answer is written in.
#[derive(Clone, Debug)]
pub enum FormatSettings {
    /// Delimited text with a header.
    Csv(TextSettings),
    /// One JSON document with a list of records.
    Json(JsonSettings),
    /// A JSON record a line.
    Ndjson,
}

impl FormatSettings {
    /// Whether every cell is a text.
    pub fn is_all_text(&self) -> bool {
        matches!(self, FormatSettings::Csv(_))
    }

    /// Where to find what in a document; none where it isn't one.
    pub fn json(&self) -> Option<&JsonSettings> {
        if let FormatSettings::Json(json) = self { Some(json) } else { None }
    }

    /// Whether a part of it can't look like the whole: a document is closed, and a trailer counts.
    pub fn shows_its_own_end(&self) -> bool {
        match self {
            FormatSettings::Csv(text) => text.trailer.is_some(),
            FormatSettings::Json(_) => true,
            FormatSettings::Ndjson => false,
        }
    }
}

/// Where to find what in a JSON document, by JSON pointer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JsonSettings {
    /// The list of records; empty: the document itself.
    pub records: String,
    /// The number of all records.
    pub total: Option<String>,
    /// What must be true.
    pub success: Option<String>,
}

/// How delimited text is read.
#[derive(Clone, Debug)]
pub struct TextSettings {
    /// The byte between fields.
    pub delimiter: u8,
    /// The byte around fields that contain the delimiter.
    pub quote: u8,
    /// The encoding's label, as in the WHATWG Encoding Standard, unless a byte-order mark says otherwise.
    pub encoding: String,
    /// What the last line is, where it is no row: its only group is the number of rows before it.
    pub trailer: Option<Regex>,
}

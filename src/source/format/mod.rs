//! What bytes are written in: each format turns a stream of bytes into rows, good and rejected, whatever transport brings
//! them. One stream may hold everybody, or one page of several.

pub(super) mod csv;
pub(super) mod decode;
pub(super) mod document;
pub(super) mod hints;
pub(super) mod json;
pub(super) mod judge;
pub(super) mod lines;
mod plain;
pub(super) mod rows;
pub(super) mod trailer;
#[cfg(test)]
mod trickle;
mod watcher;

mod read;

use std::io::{self, BufReader};
use std::ops::ControlFlow;

use self::decode::{Utf8Reader, no_encoding};
use self::json::{Places, Pointer, Skimmed};
use self::lines::Lines;
pub(super) use self::read::Decoder;
use super::parsed::Parsed;
use super::transport::file::Input;
use crate::config::settings::FormatSettings;
use crate::domain::error::Result;

/// What a read gives, piece by piece.
pub(super) enum Piece<'a> {
    /// A row, judged.
    Row(Parsed<'a>),
    /// The columns of a JSON record, where they are listed.
    Seen(&'a [String]),
    /// The columns of a delimited text.
    Header(&'a [String]),
}

/// Where it goes; a break ends the read before its end.
pub(super) type Take<'t> = dyn FnMut(Piece<'_>) -> Result<ControlFlow<()>> + 't;

/// Looks through one page without keeping anything, and says what it holds. Records of formats that lead nowhere are
/// counted only where that is asked, and such a page may lack its list: [`Skimmed::no_list`]. `next` is where a document
/// says how to go on.
///
/// # Errors
/// It is not as configured: a sentence.
pub(super) fn look_through(
    input: io::Result<Input>,
    format: &FormatSettings,
    next: Option<&str>,
    counted: bool,
) -> Result<Skimmed, String> {
    let broken = |error: io::Error| format!("reading a page stopped before its end: {error}");
    let count = |count| Skimmed { count, ..Skimmed::default() };
    match format {
        FormatSettings::Json(settings) => {
            let next = next.map(Pointer::parse);
            let places = Places { next, may_lack_records: counted, ..Places::of(settings) };
            json::skim(text(input.map_err(broken)?).map_err(broken)?, &places)
        }
        _ if !counted => Ok(count(0)),
        FormatSettings::Ndjson => Lines::new(text(input.map_err(broken)?).map_err(broken)?).count().map(count),
        FormatSettings::Csv(settings) => input.and_then(|input| csv::count(input, settings)).map(count).map_err(broken),
    }
}

/// The text of a stream, without a mark.
type Text = BufReader<Utf8Reader<Input>>;

/// What is UTF-8 by its nature.
fn text(input: Input) -> io::Result<Text> {
    Utf8Reader::new(input, "utf-8").ok_or_else(no_encoding).map(BufReader::new)
}

//! From bytes to columns: which encoding, which delimiter, where the header is. Of text that is not as `sync` would read it,
//! it is said what is wrong.

use encoding_rs::{Encoding, MACINTOSH, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};

use super::json;
use super::table::{Column, Form, Table, mark_unusable};
use super::vocabulary::meaning;
use crate::domain::error::{Error, Failure, Result, SourceReason};
use crate::domain::html::begins_like_html;

/// The most rows that are looked at.
const ROWS: usize = 50_000;

/// The most columns that are looked at.
const COLUMNS: usize = 2_000;

/// How many rows decide which delimiter it is.
const DECISIVE: usize = 100;

/// How much text decides which delimiter it is, in bytes.
const DECISIVE_TEXT: usize = 200_000;

/// The delimiters that are in use.
const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];

/// How zip files begin (APPNOTE 4.3.7): workbooks of today's spreadsheets are zip files.
const ZIP: &[u8] = b"PK\x03\x04";

/// How compound files begin ([MS-CFB] 2.2): workbooks of older spreadsheets.
const COMPOUND: &[u8] = &[0xD0, 0xCF, 0x11, 0xE0];

/// What was said about the form beforehand.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// `csv`, `json` or `ndjson`.
    pub format: Option<String>,
    /// The delimiter.
    pub delimiter: Option<u8>,
    /// The encoding.
    pub encoding: Option<String>,
}

/// The columns and rows that begin with these bytes; `whole`: they are all that there is.
///
/// # Errors
/// 65 with the reason: empty, a workbook, HTML, no header, no rows; 64 where what was told is impossible.
pub fn table(bytes: &[u8], whole: bool, told: &Told) -> Result<Table> {
    if bytes.starts_with(ZIP) || bytes.starts_with(COMPOUND) {
        return Err(no_use("it is a spreadsheet's own file, which this version does not read")
            .help("save it as CSV in the spreadsheet (\"CSV UTF-8\"), and name that file"));
    }
    if bytes.starts_with(b"%PDF-") {
        return Err(no_use("it is a PDF").help("have the export made as CSV or JSON"));
    }
    if begins_like_html(bytes) {
        return Err(no_use("it is HTML, not an export")
            .help("whatever fetches it was probably shown a log-in page or an error"));
    }
    if bytes.starts_with(&[0xFF, 0xFE, 0, 0]) || bytes.starts_with(&[0, 0, 0xFE, 0xFF]) {
        return Err(no_use("it is UTF-32, which can't be read").help("save it as UTF-8"));
    }
    let (encoding, is_a_guess) = match &told.encoding {
        Some(label) => (
            Encoding::for_label_no_replacement(label.as_bytes()).ok_or_else(|| {
                Failure::new(Error::Usage, format!("{label:?} is not an encoding"))
                    .help("e.g. utf-8, utf-16le, windows-1252, iso-8859-15")
            })?,
            false,
        ),
        None => encoding_of(bytes, whole),
    };
    // A byte-order mark wins over everything, as it does when the source is read.
    let (text, encoding, _) = encoding.decode(bytes);
    if text.trim().is_empty() {
        return Err(no_use("it is empty").help("see whether the export ran to its end"));
    }
    let is_json = match told.format.as_deref() {
        Some("csv") => false,
        Some(_) => true,
        None => text.trim_start().starts_with(['{', '[']),
    };
    if is_json {
        if encoding != UTF_8 {
            return Err(no_use("it is JSON, and not in UTF-8").help("JSON is UTF-8 (RFC 8259): have it made so"));
        }
        return json::table(text.trim_start_matches('\u{feff}'), whole, told.format.as_deref());
    }
    delimited(&text, whole, told.delimiter, encoding, is_a_guess)
}

/// The failure of an export of which no use can be made.
pub(super) fn no_use(why: &str) -> Failure {
    Failure::new(Error::Source(SourceReason::Untrusted), format!("no configuration can be made of this export: {why}"))
}

/// The encoding of these bytes, and whether that is a guess.
fn encoding_of(bytes: &[u8], whole: bool) -> (&'static Encoding, bool) {
    if let Some((encoding, _)) = Encoding::for_bom(bytes) {
        return (encoding, false);
    }
    let beginning = &bytes[..bytes.len().min(4_096)];
    let zeros = |parity: usize| beginning.iter().skip(parity).step_by(2).filter(|byte| **byte == 0).count();
    // Letters of Latin scripts have a zero byte each in UTF-16, and text has none otherwise.
    let (even, odd) = (zeros(0), zeros(1));
    if (even + odd) * 4 > beginning.len() {
        return (if odd > even { UTF_16LE } else { UTF_16BE }, false);
    }
    match std::str::from_utf8(bytes) {
        Ok(_) => return (UTF_8, false),
        // The last letter may be cut off.
        Err(error) if !whole && error.error_len().is_none() => return (UTF_8, false),
        Err(_) => {}
    }
    if mostly_utf8(bytes) {
        return (UTF_8, true);
    }
    (one_byte_encoding(bytes), true)
}

/// Whether nearly all that is not ASCII is UTF-8: a few bytes of it are damaged.
fn mostly_utf8(bytes: &[u8]) -> bool {
    let (mut good, mut bad) = (0_usize, 0_usize);
    for chunk in bytes.utf8_chunks() {
        good += chunk.valid().chars().filter(|letter| !letter.is_ascii()).count();
        bad += usize::from(!chunk.invalid().is_empty());
    }
    good > 4 * bad
}

/// Which of the encodings with one byte a letter: that in which more of what is not ASCII is a letter of Western Europe.
fn one_byte_encoding(bytes: &[u8]) -> &'static Encoding {
    let high: Vec<u8> = bytes.iter().copied().filter(|byte| *byte >= 0x80).take(100_000).collect();
    let letters = |encoding: &'static Encoding| {
        let (text, _, _) = encoding.decode(&high);
        text.chars().filter(|letter| "äöüßÄÖÜàâçéèêëîïôùûœÀÂÇÉÈÊáíóúñÁÍÓÚÑåøæÅØÆõã".contains(*letter)).count()
    };
    if letters(MACINTOSH) > letters(WINDOWS_1252) { MACINTOSH } else { WINDOWS_1252 }
}

/// The first line `sep=;`, which some programs obey, and what follows it.
fn announced(text: &str) -> (Option<u8>, &str) {
    let Some(rest) = text.strip_prefix("sep=") else { return (None, text) };
    let mut letters = rest.chars();
    match (letters.next(), letters.next()) {
        (Some(delimiter), Some('\r' | '\n')) if delimiter.is_ascii() => {
            (Some(delimiter as u8), letters.as_str().trim_start_matches('\n'))
        }
        _ => (None, text),
    }
}

fn delimited(
    text: &str,
    whole: bool,
    told: Option<u8>,
    encoding: &'static Encoding,
    encoding_is_a_guess: bool,
) -> Result<Table> {
    let (announced, text) = announced(text);
    let delimiter = announced.or(told).unwrap_or_else(|| delimiter_of(text));
    let mut rows = rows(text, delimiter, ROWS + 2);
    if !whole && rows.len() > 1 && rows.len() < ROWS + 2 {
        rows.pop(); // it may be cut off
    }
    let all = whole && rows.len() < ROWS + 2;
    let mut rows = rows.into_iter().filter(|row| row.iter().any(|cell| !cell.trim().is_empty()));
    let header = rows.next().ok_or_else(|| no_use("it is empty").help("see whether the export ran to its end"))?;
    let header: Vec<String> = header.iter().map(|name| name.trim().to_string()).collect();
    judge_header(&header)?;
    let rows: Vec<Vec<String>> = rows.collect();
    if rows.is_empty() {
        return Err(no_use("there is no row below the first line")
            .help("an export of people is needed to see what its columns hold; the first line must name them"));
    }
    let fitting: Vec<&Vec<String>> = rows.iter().filter(|row| row.len() == header.len()).collect();
    if fitting.len() * 2 < rows.len() {
        return Err(no_use(&format!(
            "the first line has {} columns, and {} of {} rows have another number",
            header.len(),
            rows.len() - fitting.len(),
            rows.len()
        ))
        .help(
            "the first line must name the columns: take out titles above it; or name the delimiter: --delimiter ';'",
        ));
    }
    let cells = |at: usize| fitting.iter().map(|row| row[at].trim().to_string()).collect();
    let column = |(at, name): (usize, &String)| Column {
        name: name.clone(),
        cells: cells(at),
        is_text: true,
        is_truth: false,
        unusable: None,
    };
    let mut columns: Vec<Column> = header.iter().enumerate().take(COLUMNS).map(column).collect();
    mark_unusable(&mut columns);
    let encoding = encoding.name().to_ascii_lowercase();
    let form = Form::Text { delimiter, encoding, encoding_is_a_guess };
    Ok(Table { form, columns, rows: rows.len(), whole: all })
}

/// The rows of a text, at most so many.
fn rows(text: &str, delimiter: u8, most: usize) -> Vec<Vec<String>> {
    let mut builder = csv::ReaderBuilder::new();
    let mut reader = builder.has_headers(false).flexible(true).delimiter(delimiter).from_reader(text.as_bytes());
    let mut found = Vec::new();
    for record in reader.records().take(most) {
        // The text is UTF-8 and rows may be of any length, so there is nothing that could be wrong with one.
        let Ok(record) = record else { break };
        found.push(record.iter().map(str::to_owned).collect());
    }
    found
}

/// The delimiter that splits most of the rows into as many columns as the first one; a comma where none does.
fn delimiter_of(text: &str) -> u8 {
    let mut end = text.len().min(DECISIVE_TEXT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let fit = |delimiter: u8| {
        let rows = rows(&text[..end], delimiter, DECISIVE);
        let wide = rows.first().map_or(0, Vec::len);
        let alike = rows.iter().filter(|row| row.len() == wide).count();
        if wide < 2 { 0 } else { alike * 1_000 / rows.len() * wide.min(10) }
    };
    let fits = DELIMITERS.map(|delimiter| (fit(delimiter), delimiter));
    // Of equals the first: the more usual one.
    let best = fits.iter().map(|(fit, _)| *fit).max().unwrap_or_default();
    fits.iter().find(|(fit, _)| *fit == best && best > 0).map_or(b',', |(_, delimiter)| *delimiter)
}

/// Refuses a first line that is no header: it looks like a person.
fn judge_header(header: &[String]) -> Result<()> {
    let is_date = |name: &str| super::notation::could_be_date(name);
    let personal = header.iter().any(|name| is_address(name) || is_date(name));
    let figures = header.iter().any(|name| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit()));
    let known = header.iter().any(|name| meaning(name).is_some());
    if personal || (figures && !known) {
        return Err(no_use("its first line looks like a person, not like the names of columns")
            .help("have the export made with a header, or write the names above the first line"));
    }
    Ok(())
}

/// Whether a value looks like an e-mail address.
pub fn is_address(text: &str) -> bool {
    let plain = |letter: char| !letter.is_whitespace() && !"<>,;:@".contains(letter);
    text.split_once('@').is_some_and(|(name, host)| {
        !name.is_empty() && name.chars().all(plain) && host.chars().all(plain) && host.trim_matches('.').contains('.')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Table {
        table(bytes, true, &Told::default()).expect("a table")
    }

    fn text_form(table: &Table) -> (u8, &str, bool) {
        match &table.form {
            Form::Text { delimiter, encoding, encoding_is_a_guess } => (*delimiter, encoding, *encoding_is_a_guess),
            other => panic!("{other:?}"),
        }
    }

    fn utf16(text: &str, big: bool, mark: bool) -> Vec<u8> {
        let units = mark.then_some(0xFEFF).into_iter().chain(text.encode_utf16());
        units.flat_map(|unit| if big { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect()
    }

    #[test]
    fn encodings_are_told_from_bytes() {
        let text = "Matricule;Prénom\nE1;Zoë\n";
        let (western, _, _) = WINDOWS_1252.encode(text);
        let (mac, _, _) = (MACINTOSH.name(), (), ());
        let mac_bytes = b"Matricule;Pr\x8Enom\nE1;Zo\x91\n".to_vec();
        for (bytes, encoding, is_a_guess) in [
            (text.as_bytes().to_vec(), "utf-8", false),
            ([b"\xEF\xBB\xBF".as_slice(), text.as_bytes()].concat(), "utf-8", false),
            (western.to_vec(), "windows-1252", true),
            (mac_bytes, &mac.to_ascii_lowercase(), true),
            (utf16(text, false, true), "utf-16le", false),
            (utf16(text, true, true), "utf-16be", false),
            (utf16(text, false, false), "utf-16le", false),
            (utf16(text, true, false), "utf-16be", false),
        ] {
            let table = read(&bytes);
            assert_eq!(text_form(&table), (b';', encoding, is_a_guess));
            assert_eq!(table.names(), ["Matricule", "Prénom"]);
            assert_eq!(table.columns[1].cells, ["Zoë"]);
        }
        let damaged = [text.repeat(5).as_bytes(), b"E9;Zo\xEB\n"].concat();
        assert_eq!(text_form(&read(&damaged)).1, "utf-8", "one damaged byte among many good ones");
    }

    #[test]
    fn delimiters_are_those_that_fit_the_rows() {
        for (text, delimiter, columns) in [
            ("id,mail\n1,a\n", b',', 2),
            ("id;name;mail\n1;Ash, Ann;a\n2;Bo, Ben;b\n", b';', 3),
            ("id\tname\tmail\n1\tAsh, Ann\ta\n", b'\t', 3),
            ("id|mail\n1|a;b;c\n", b'|', 2),
            ("\"Last, First\";\"E;mail\"\n\"A, B\";c\n", b';', 2),
            ("sep=|\nid|mail;x\n1|a\n", b'|', 2),
            ("sep=;\r\nid;mail\r\n1;a\r\n", b';', 2),
            ("mail\na\n", b',', 1),
        ] {
            let table = read(text.as_bytes());
            assert_eq!((text_form(&table).0, table.columns.len()), (delimiter, columns), "{text}");
        }
    }

    #[test]
    fn what_is_no_export_is_refused_with_the_reason() {
        for (bytes, part) in [
            (b"".as_slice(), "it is empty"),
            (b" \r\n\r\n", "it is empty"),
            (b"\xEF\xBB\xBF", "it is empty"),
            (b"id,mail\n", "no row below"),
            (b"PK\x03\x04xxxx", "spreadsheet"),
            (&[0xD0, 0xCF, 0x11, 0xE0, 0xA1], "spreadsheet"),
            (b"%PDF-1.7", "PDF"),
            (b"<!DOCTYPE html><p>log in", "HTML"),
            (&[0xFF, 0xFE, 0, 0, b'a', 0, 0, 0], "UTF-32"),
            (b"E1,Ann,ann@acme.example\nE2,Bo,bo@acme.example\n", "looks like a person"),
            (b"17,Ann\n18,Bo\n", "looks like a person"),
            (b"E1;2026-01-31\nE2;2026-01-31\n", "looks like a person"),
            (b"Report of today\nid,mail\n1,a\n2,b\n", "another number"),
        ] {
            let failure = table(bytes, true, &Told::default()).expect_err(part);
            assert!(failure.message.contains(part) && failure.help.is_some(), "{failure:?}");
            assert_eq!(failure.error, Error::Source(SourceReason::Untrusted));
        }
    }

    #[test]
    fn columns_without_a_name_or_with_a_shared_one_can_not_be_used() {
        let table = read(b" id , mail,mail,,a\"b\\c\n1,a,b,c,d\n");
        assert_eq!(table.names(), ["id", "a\"b\\c"]);
        assert_eq!(table.columns.len(), 5);
        assert_eq!(table.place("mail"), None);
    }

    #[test]
    fn what_is_told_wins() {
        let told = Told { delimiter: Some(b'|'), encoding: Some("windows-1252".into()), format: Some("csv".into()) };
        let table = table(b"[id|mail\n1|Zo\xEB\n", true, &told).expect("a table");
        assert_eq!((table.names(), text_form(&table)), (vec!["[id", "mail"], (b'|', "windows-1252", false)));
        let told = Told { encoding: Some("utf-9".into()), ..Told::default() };
        assert_eq!(super::table(b"a\n1\n", true, &told).expect_err("no encoding").error, Error::Usage);
    }

    #[test]
    fn a_beginning_ends_with_its_last_whole_row() {
        let table = table(b"id,mail\n1,a\n2,b\xC3", false, &Told::default()).expect("a table");
        assert_eq!((table.rows, table.whole), (1, false));
    }
}

//! What a file is like as a whole: its end, its header, its encoding, and what happens to it meanwhile.

use super::*;

#[test]
fn what_is_cut_off_is_incomplete() {
    for (text, records, why) in [
        ("id,mail,name\nE1,a,x\nE2,b", 1, "inside the row on line 3"),
        ("id,mail,name\nE1,a,x\nE2,\"b\n", 1, "inside a quoted field of the row on line 3"),
        ("id,mail,name\nE1,a,x\nE", 1, "inside the row on line 3"),
    ] {
        let intake = read(text);
        assert!(incomplete(&intake).contains(why), "{text:?}");
        assert_eq!(intake.stats().records, records);
    }
    for whole in ["id,mail,name\nE1,a,x", "id,mail,name\r\nE1,a,x\r\n", "id,mail,name\nE1,a,\"x\""] {
        assert!(read(whole).is_complete(), "{whole:?}");
    }
    let long = format!("id,mail,name\nE1,a,x\nE2,b,{}\nE3,c,z\n", "y".repeat(1_000_001));
    assert!(incomplete(&read(&long)).contains("longer than 1 MB"));
}

#[test]
fn a_file_without_rows_is_complete_and_has_none() {
    for text in ["id,mail,name\n", "id,mail,name", "\u{feff}id,mail,name\n\n\n"] {
        let intake = read(text);
        assert!(intake.is_complete());
        assert_eq!(counts(&intake), (0, 0, 0, 0));
    }
}

#[test]
fn a_header_that_is_not_as_configured_is_refused_with_everything_that_is_wrong() {
    let rows: [(&[u8], &[&str]); 7] = [
        (b"", &["the file is empty"]),
        (
            b"id,emial,city\n1,a,b\n",
            &["no columns \"email\" (did you mean “emial”?), \"status\"; it has id, emial, city"],
        ),
        (b"id,email,,status,email\n", &["there are two columns \"email\""]),
        (b"id,id,email,status\n", &["there are two columns \"id\""]),
        (b"id;email;status\n1;a;b\n", &["no columns", "right delimiter"]),
        (b"<!DOCTYPE html>\n<html>\n", &["HTML"]),
        (b"id,email,st\xFCtus\n", &["header can't be decoded", "windows-1252"]),
    ];
    for (bytes, parts) in rows {
        let failure = failure(bytes, &["email", "status"]);
        assert_eq!(failure.exit(), Exit::Untrusted);
        let text = format!("{} {}", failure.message, failure.help.as_deref().unwrap_or_default());
        for part in parts {
            assert!(text.contains(part), "{text}");
        }
    }
}

#[test]
fn a_missing_file_is_unreachable_and_a_directory_is_no_table() {
    let directory = tempfile::tempdir().expect("a directory");
    let wanted = names(&["mail"]);
    let missing = source(directory.path().join("none.csv"), b',', "utf-8");
    let failure = connect(&missing).open(&everything(&wanted, directory.path())).expect_err("it isn't there");
    assert_eq!(failure.exit(), Exit::Unavailable);
    assert!(failure.message.contains("none.csv does not exist"));
    let table = source(directory.path().into(), b',', "utf-8");
    assert_eq!(
        connect(&table).open(&everything(&wanted, directory.path())).expect_err("a directory").exit(),
        Exit::Untrusted
    );
    let nowhere = source(directory.path().join("none.csv"), b',', "utf-9");
    std::fs::write(directory.path().join("none.csv"), "id\n").expect("a file");
    assert_eq!(connect(&nowhere).open(&everything(&wanted, directory.path())).expect_err("utf-9").exit(), Exit::Config);
}

/// A file to which something happens between opening and reading.
struct Meanwhile<F>(FileSettings, F);

impl<F: Fn() + Send> Transport for Meanwhile<F> {
    fn open(&self, source: &SourceSettings) -> Result<Input> {
        let input = self.0.open(source)?;
        self.1();
        Ok(input)
    }
}

#[test]
fn a_file_that_changes_while_it_is_read_is_unusable() {
    let json = |n: u8| format!("{{\"id\":\"E{n}\",\"mail\":\"a\",\"name\":\"x\"}}\n");
    for (format, text, more) in [
        (csv(), "id,mail,name\nE1,a,x\n".to_string(), "E2,b,y\n".to_string()),
        (FormatSettings::Ndjson, json(1), json(2)),
        (FormatSettings::Json(JsonSettings::default()), format!("[{}]", json(1)), " ".into()),
    ] {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("hr");
        std::fs::write(&path, text).expect("a file");
        let file = FileSettings { path: path.clone(), format: format.clone() };
        let settings = source(path.clone(), b',', "utf-8");
        let read = |meanwhile: &(dyn Fn() + Sync)| {
            let mut stream = Stream::new(&settings, Meanwhile(file.clone(), meanwhile), format.clone());
            stream.open(&everything(&names(&["mail", "name"]), directory.path())).expect("it is read")
        };
        let intake = read(&|| {
            let mut file = std::fs::OpenOptions::new().append(true).open(&path).expect("it opens again");
            file.write_all(more.as_bytes()).expect("it grows");
        });
        let completeness = &intake.stats().completeness;
        assert!(matches!(completeness, Completeness::Unusable(why) if why.contains("try again")), "{completeness:?}");
        let records = intake.stats().records;
        let intake = read(&|| {
            std::fs::write(directory.path().join("new"), "id,mail,name\n").expect("a file");
            std::fs::rename(directory.path().join("new"), &path).expect("it takes its place");
        });
        assert!(intake.is_complete(), "what was opened is whole, whatever its name is given to");
        assert_eq!((intake.stats().records, records > 0), (records, true));
    }
}

#[test]
fn a_json_file_that_unpacks_without_end_is_unusable() {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    packer.write_all(b"[{\"id\":\"").expect("into memory");
    (0..40).for_each(|_| packer.write_all(&[b'0'; 1_000_000]).expect("into memory"));
    let bomb = packer.finish().expect("into memory");
    for format in [FormatSettings::Ndjson, FormatSettings::Json(JsonSettings::default())] {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("hr.gz");
        std::fs::write(&path, &bomb).expect("a file");
        let settings = SourceSettings {
            kind: SourceKind::File(FileSettings { path, format: format.clone() }),
            ..SourceSettings::clone(&source("x".into(), b',', "utf-8"))
        };
        let intake =
            connect(&Arc::new(settings)).open(&everything(&names(&["mail"]), directory.path())).expect("it is read");
        let completeness = &intake.stats().completeness;
        assert!(matches!(completeness, Completeness::Unusable(_)), "{format:?}: {completeness:?}");
    }
}

#[test]
fn other_delimiters_encodings_and_marks() {
    let utf16: Vec<u8> = "\u{feff}id;mail\nZü;a\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let rows: [(&[u8], u8, &str); 3] = [
        (&utf16, b';', "utf-8"),
        (b"\xEF\xBB\xBFid\tmail\nZ\xC3\xBC\ta\n", b'\t', "utf-8"),
        (b"id|mail\nZ\xFC|a\n", b'|', "latin1"),
    ];
    for (bytes, delimiter, encoding) in rows {
        let intake = read_as(bytes, &["mail"], delimiter, encoding).expect("it is read");
        assert_eq!(keys(&intake), ["Zü"]);
    }
}

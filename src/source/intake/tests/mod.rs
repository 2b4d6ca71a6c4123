//! Tests of reading whole files: what is kept, what is rejected, what is said about completeness.

mod files;

use std::io::Write;
use std::path::PathBuf;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::config::settings::{
    FileSettings, FormatSettings, JsonSettings, OnIncomplete, RowsPerPerson, SourceKind, TextSettings, TrustSettings,
};
use crate::domain::error::Failure;
use crate::domain::exit::Exit;
use crate::domain::limits::Limit;
use crate::source::stream::Stream;
use crate::source::transport::Transport;
use crate::source::transport::file::Input;
use crate::source::{Connector, ReadRequest, connect};

#[test]
fn a_read_is_shared_by_those_who_plan_side_by_side() {
    fn shared<T: Send + Sync>(of: T) -> T {
        of
    }
    let intake = shared(Arc::new(read("id,mail,name\n1,a@x,A\n2,b@x,B\n3,c@x,C\n")));
    // Somebody is in the middle of it while somebody else reads it from end to end.
    let first = intake.rows(None, 1).expect("a page");
    let other = Arc::clone(&intake);
    let all = std::thread::spawn(move || keys(&other)).join().expect("it waits for nobody");
    assert_eq!(all, ["1", "2", "3"]);
    let rest = intake.rows(first.last().map(|record| &record.key), 10).expect("the rest");
    assert_eq!(rest.len(), 2);
}

fn csv() -> FormatSettings {
    FormatSettings::Csv(TextSettings { delimiter: b',', quote: b'"', encoding: "utf-8".into(), trailer: None })
}

fn source(path: PathBuf, delimiter: u8, encoding: &str) -> Arc<SourceSettings> {
    let text = TextSettings { delimiter, quote: b'"', encoding: encoding.into(), trailer: None };
    let file = FileSettings { path, format: FormatSettings::Csv(text) };
    Arc::new(SourceSettings {
        name: "hr".into(),
        key: "id".into(),
        also_key: Vec::new(),
        required: Vec::new(),
        rows: RowsPerPerson::One,
        gate: TrustSettings {
            min_records: 1,
            max_shrink: Limit::Unlimited,
            max_rejected: Limit::Unlimited,
            max_age: None,
            on_incomplete: OnIncomplete::Stop,
        },
        kind: SourceKind::File(file),
    })
}

fn everything<'a>(wanted: &'a BTreeSet<String>, directory: &'a std::path::Path) -> ReadRequest<'a> {
    ReadRequest::everything(wanted, directory)
}

fn names(wanted: &[&str]) -> BTreeSet<String> {
    wanted.iter().map(ToString::to_string).collect()
}

fn read_as(bytes: &[u8], wanted: &[&str], delimiter: u8, encoding: &str) -> Result<Intake> {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("hr.csv");
    std::fs::write(&path, bytes).expect("a file");
    connect(&source(path, delimiter, encoding)).open(&everything(&names(wanted), directory.path()))
}

fn read(text: &str) -> Intake {
    read_as(text.as_bytes(), &["mail", "name"], b',', "utf-8").expect("the header is right")
}

fn failure(bytes: &[u8], wanted: &[&str]) -> Failure {
    read_as(bytes, wanted, b',', "utf-8").expect_err("it can't be read")
}

fn key(text: &str) -> Key {
    Key::parse(text).expect("a key")
}

fn keys(intake: &Intake) -> Vec<String> {
    intake.rows(None, 1_000).expect("rows").iter().map(|r| r.key.to_string()).collect()
}

/// Each reject as `key@record: reason`.
fn rejects(intake: &Intake) -> Vec<String> {
    let all = intake.rejects(0, 1_000).expect("rejects");
    all.iter()
        .map(|r| format!("{}@{}: {}", r.key.as_ref().map_or("-", Key::as_str), r.position.record, r.reason))
        .collect()
}

fn counts(intake: &Intake) -> (u64, u64, u64, u64) {
    let s = intake.stats();
    (s.records, s.rejected_rows, s.keyless_rejects, s.duplicate_equal)
}

fn incomplete(intake: &Intake) -> String {
    match &intake.stats().completeness {
        Completeness::Incomplete(why) => why.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn good_rows_come_in_the_order_of_keys_with_the_wanted_cells() {
    let intake = read("name,id,extra,mail\nBen,E2,x,b@b\n\"Ann,\nB\",00123,x,\nCy, E1 ,x,c@c\n");
    assert_eq!(intake.columns().names(), ["mail", "name"]);
    let rows = intake.rows(None, 10).expect("rows");
    let found: Vec<_> = rows.iter().map(|r| (r.key.as_str(), r.position.line, r.position.record, &r.cells)).collect();
    assert_eq!(
        found,
        [
            ("00123", 3, 2, &vec![json!(""), json!("Ann,\nB")]),
            ("E1", 5, 3, &vec![json!("c@c"), json!("Cy")]),
            ("E2", 2, 1, &vec![json!("b@b"), json!("Ben")]),
        ]
    );
    assert!(intake.is_complete());
    assert_eq!(counts(&intake), (3, 0, 0, 0));
    let second = intake.rows(Some(&key("00123")), 1).expect("rows");
    assert_eq!(second[0].key, key("E1"), "pages go on after a key");
    assert!(intake.contains(&key("E2")).expect("found") && !intake.contains(&key("E9")).expect("found"));
    assert!(intake.stats().modified_at.is_some());
}

#[test]
fn the_key_as_a_column_is_in_its_normal_form() {
    let text = "id,mail\n\" Zu\u{308} \",a\nZ\u{fc},a\n";
    let intake = read_as(text.as_bytes(), &["id", "mail"], b',', "utf-8").expect("the header is right");
    let rows = intake.rows(None, 10).expect("rows");
    assert_eq!(rows.iter().map(|r| r.cells.clone()).collect::<Vec<_>>(), [[json!("Z\u{fc}"), json!("a")]]);
    assert_eq!(counts(&intake), (1, 0, 0, 1));
}

#[test]
fn a_bad_row_is_rejected_alone_and_named() {
    let rows = [
        ("7\n", "7@1: it has 1 field, and the header has 3", 0),
        ("7,a,b,c\n", "7@1: it has 4 fields, and the header has 3", 0),
        (" ,a,b\n", "-@1: the key, column id, is empty", 1),
        ("\"7\n8\",a,b\n", "-@1: the key, column id, contains a control character", 1),
        ("7,\"a\"b,c\n", "7@1: text follows a closing quote", 1),
        ("7,\"a\nb\"\n", "7@1: it has 2 fields, and the header has 3", 1),
        ("7,a\0b,c\n", "7@1: column mail contains a NUL byte", 0),
    ];
    for (row, expected, keyless) in rows {
        let intake = read(&format!("id,mail,name\n{row}E1,c@c,Cy\n"));
        assert_eq!(rejects(&intake), [expected], "{row:?}");
        assert_eq!(keys(&intake), ["E1"], "{row:?}");
        assert_eq!(counts(&intake), (1, 1, keyless, 0), "{row:?}");
        assert!(intake.is_complete());
    }
}

#[test]
fn an_undecodable_byte_rejects_its_record_and_names_the_column() {
    let rows: [(&[u8], &str, &[&str]); 4] = [
        (b"id,mail,name\n7,a@b,Z\xFCrich\n8,a,b\n", "utf-8", &["7@1: column name can't be decoded as UTF-8"]),
        (b"id,mail,name\n\xFC7,a,b\n8,a,b\n", "utf-8", &["-@1: the key, column id, can't be decoded as UTF-8"]),
        (b"id,mail,name\n7,\xC3,\xBC\n8,a,b\n", "utf-8", &["7@1: column mail can't be decoded as UTF-8"]),
        (b"id,mail,name\n8,a,Z\xFCrich\n", "windows-1252", &[]),
    ];
    for (bytes, encoding, expected) in rows {
        let intake = read_as(bytes, &["mail", "name"], b',', encoding).expect("it is read");
        assert_eq!(rejects(&intake), expected);
        assert_eq!(keys(&intake), ["8"]);
    }
}

#[test]
fn a_ragged_row_tells_its_key_for_certain_only_from_the_first_column() {
    let intake = read("mail,id,name\nSmith, John,7,x\na@b,E1,y\n");
    assert_eq!(rejects(&intake), ["John@1: it has 4 fields, and the header has 3"]);
    assert_eq!(counts(&intake), (1, 1, 1, 0), "whose row it is can't be known");
}

#[test]
fn equal_rows_count_once_and_different_ones_are_all_kept() {
    let intake = read("id,mail,name\nE1,a,x\nE2,b,y\n E1 ,a,x\nE2,b,z\nE3,c,c\nE2,b,y\n");
    assert_eq!(keys(&intake), ["E1", "E2", "E3"]);
    assert_eq!(rejects(&intake), Vec::<String>::new());
    assert_eq!(counts(&intake), (3, 0, 0, 2));
    assert_eq!((intake.stats().further_rows, intake.stats().rows()), (1, 6));
    assert_eq!(intake.warnings(), ["key E1: rows 1 and 3 are the same and count once"]);
    let record = intake.record(&key("E2")).expect("found").expect("good");
    let several = record.several.as_ref().expect("two that differ");
    let found: Vec<_> = several.rows.iter().map(|row| (row.places.listed(&several.members), &row.cells)).collect();
    let rows = [vec![json!("b"), json!("y")], vec![json!("b"), json!("z")]];
    assert_eq!(found, [("rows 2 and 6".to_string(), &rows[0]), ("rows 4".to_string(), &rows[1])]);
    assert_eq!((record.row_count(), record.position.record), (3, 2));
    assert_eq!(intake.rows(None, 9).expect("rows")[1], record, "the same in a page");
    assert!(intake.record(&key("E1")).expect("found").is_some_and(|one| one.several.is_none()));
    let different_elsewhere = read("id,mail,name,other\nE1,a,x,1\nE1,a,x,2\n");
    assert_eq!(counts(&different_elsewhere), (1, 0, 0, 1), "columns that nobody wants don't count");
    let forms = read("id,mail,name\nZu\u{308}rich,a,x\nZ\u{fc}rich,a,x\n");
    assert_eq!(counts(&forms), (1, 0, 0, 1), "two spellings of one key");
}

#[test]
fn a_bad_row_rejects_the_good_row_of_its_key_too() {
    for text in ["id,mail,name\nE1,a,x\nE1,a\nE2,b,y\n", "id,mail,name\nE1,a\nE1,a,x\nE2,b,y\n"] {
        let intake = read(text);
        assert_eq!(keys(&intake), ["E2"]);
        let rejects = rejects(&intake);
        assert_eq!(rejects.len(), 1, "one outcome for one key");
        assert!(rejects[0].starts_with("E1@1: it has 2 fields, and the header has 3; rows 1 and 2"), "{rejects:?}");
        assert_eq!(counts(&intake), (1, 2, 0, 0));
    }
}

#[test]
fn many_rows_of_a_key_are_listed_up_to_a_point_and_kept_up_to_another() {
    let rows = |n: usize| (0..n).map(|n| format!("E1,{n},x\n")).collect::<String>();
    let told = rejects(&read(&format!("id,mail,name\n{}E1,x\n", rows(39))));
    assert!(told[0].contains("rows 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 30 more"), "{told:?}");
    let most = read(&format!("id,mail,name\n{}E1,7,x\n", rows(1_000)));
    assert_eq!(counts(&most), (1, 0, 0, 1));
    assert_eq!(most.stats().rows(), 1_001);
    let beyond = read(&format!("id,mail,name\n{}", rows(1_001)));
    assert!(rejects(&beyond)[0].contains("more than 1000 rows of this person that differ"), "{:?}", rejects(&beyond));
    assert_eq!(counts(&beyond), (0, 1_001, 0, 0));
}

#[test]
fn where_several_rows_are_expected_nothing_is_said_of_them() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("hr.csv");
    std::fs::write(&path, "id,mail\nE1,a\nE1,a\n").expect("a file");
    for (rows, warnings) in [(RowsPerPerson::One, 1), (RowsPerPerson::Many, 0)] {
        let settings = SourceSettings { rows, ..SourceSettings::clone(&source(path.clone(), b',', "utf-8")) };
        let intake =
            connect(&Arc::new(settings)).open(&everything(&names(&["mail"]), directory.path())).expect("it is read");
        assert_eq!(intake.warnings().len(), warnings);
        assert_eq!(counts(&intake), (1, 0, 0, 1));
    }
}

#[test]
fn what_nobody_uses_may_be_nameless_doubled_or_huge() {
    let photo = "x".repeat(2_000_000);
    let text = format!("id,mail,photo,,name,,x,x\nE1,a,{photo},1,n,2,3,4\nE2,b,,,m,,,\n");
    let intake = read(&text);
    assert!(intake.is_complete());
    assert_eq!((keys(&intake), counts(&intake)), (vec!["E1".to_string(), "E2".into()], (2, 0, 0, 0)));
    let used = read(&text.replace("photo", "y").replace(",mail,", ",z,").replace(",y,", ",mail,"));
    assert!(incomplete(&used).contains("longer than 1 MB"), "what is used may not");
    let ragged = read("id,mail,name,,\nE1,a,x\nE2,b,y,,\n");
    assert_eq!(rejects(&ragged), ["E1@1: it has 3 fields, and the header has 5"]);
}

#[test]
fn a_first_line_that_sets_the_delimiter_is_obeyed() {
    for text in ["sep=;\nid;mail\nE1;a\n", "\u{feff}sep=;\r\nid;mail\r\nE1;a\r\n", "\"sep=;\"\nid;mail\nE1;a\n"] {
        let intake = read_as(text.as_bytes(), &["mail"], b',', "utf-8").expect("it is read");
        let found: Vec<_> = intake.rows(None, 9).expect("rows").iter().map(|r| r.position).collect();
        assert_eq!(found, [Position { line: 3, record: 1 }], "{text:?}");
    }
}

#[test]
fn a_broken_quote_that_swallows_rows_makes_them_nobodys() {
    let swallowing = [
        "E5,\"Evi,Clerk\nE6,Finn,Clerk\nE7,Max\",Clerk\n",
        "E5,\"Evi,Clerk\r\nE6,Finn\",Clerk\r\n",
        "E5,\"Evi,Clerk\rE6,Finn\",Clerk\n",
        "E5,Evi,\"Clerk\nE6,Finn,Clerk\nE7,Max,Clerk\"\n",
        "E5,Evi,\"Clerk\nE6,Finn,Clerk\"",
        "\"E5,Evi,Clerk\nE6\",Finn,Clerk\n",
        "E5,\"Evi\nE6,Finn,Clerk\nE7\",Max,Clerk\n",
    ];
    for row in swallowing {
        for (delimiter, wanted) in [(b',', &["mail", "name"][..]), (b';', &["name"][..]), (b',', &[][..])] {
            let text = format!("id,mail,name\nE1,a,x\n{row}").replace(',', &char::from(delimiter).to_string());
            let intake = read_as(text.as_bytes(), wanted, delimiter, "utf-8").expect("it is read");
            assert_eq!((keys(&intake), counts(&intake)), (vec!["E1".to_string()], (1, 1, 1, 0)), "{text:?}");
        }
    }
    let told = rejects(&read(&format!("id,mail,name\n{}", swallowing[0])));
    assert!(told[0].starts_with("E5@1: column mail has a line break and as many delimiters as a row: "), "{told:?}");
    for whole in [
        "E5,\"1, Main Street\n8000 Zürich\",Clerk\n",
        "E5,\"Main Street 1,,,,,,\",Clerk\n",
        "E5,\"a\nb\",\"c,d,e,f\"\n",
    ] {
        let intake = read(&format!("id,mail,name\n{whole}"));
        assert_eq!((keys(&intake), counts(&intake)), (vec!["E5".to_string()], (1, 0, 0, 0)), "{whole:?}");
    }
}

#[test]
fn a_row_without_content_is_nobody() {
    let intake = read("id,mail,name\nE1,a,x\n,,\n\" \",\"\",\t\n,\u{a0},\n,\nE2,b,y\n");
    assert_eq!(keys(&intake), ["E1", "E2"]);
    assert_eq!(rejects(&intake), Vec::<String>::new());
    assert_eq!((counts(&intake), intake.stats().blank_rows), ((2, 0, 0, 0), 4));
    assert_eq!(intake.record(&key("E2")).expect("found").map(|r| r.position.record), Some(6), "it has its number");
    let told = "4 rows have no content: they are nobody's, and ignored; the first is line 3 (record 2)";
    assert_eq!(intake.warnings(), [told]);
    for somebody in [",a,\n", ",\0,\n", "\"\"x,,\n"] {
        let intake = read(&format!("id,mail,name\nE1,a,x\n{somebody}"));
        assert_eq!(counts(&intake), (1, 1, 1, 0), "{somebody:?}");
    }
}

#[test]
fn the_spool_leaves_no_file_behind_and_may_go_to_another_thread() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("hr.csv");
    std::fs::write(&path, "id,mail\nE1,a\n").expect("a file");
    let intake = connect(&source(path, b',', "utf-8"))
        .open(&everything(&names(&["mail"]), directory.path()))
        .expect("it is read");
    assert_eq!(std::fs::read_dir(directory.path()).expect("listed").count(), 1, "unlinked while it is used");
    let found = std::thread::spawn(move || keys(&intake)).join().expect("the thread ends");
    assert_eq!(found, ["E1"]);
}

fn written(table: &[Vec<String>]) -> Vec<u8> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(["id", "mail", "name"]).expect("into memory");
    for row in table {
        writer.write_record(row).expect("into memory");
    }
    writer.into_inner().expect("flushed")
}

/// Every row is a record, a reject or a repetition, and every key with a row is known.
fn adds_up(intake: &Intake, rows: u64) {
    let stats = intake.stats();
    assert_eq!(stats.rows(), rows, "{stats:?}");
    assert_eq!(keys(intake).len() as u64, stats.records);
    for key in intake.rejected_keys(None, 1_000).expect("keys") {
        assert!(!keys(intake).contains(&key.to_string()), "rejected and good at once");
    }
}

proptest! {
    #![proptest_config(crate::domain::properties::cases(64))]

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let text = [b"id,mail,name\n".as_slice(), &bytes].concat();
        if let Ok(intake) = read_as(&text, &["mail"], b',', "utf-8") {
            adds_up(&intake, intake.stats().rows());
        }
        let _ = read_as(&bytes, &["mail"], b',', "utf-16");
    }

    #[test]
    fn a_well_formed_table_comes_back_exactly(
        table in proptest::collection::btree_map("[A-Z][0-9]{1,4}", ("[a-z,\" ü]{0,9}", "[a-z;'\r\n]{0,9}"), 0..40),
    ) {
        let rows: Vec<Vec<String>> = table.iter().rev().map(|(k, (m, n))| vec![k.clone(), m.clone(), n.clone()]).collect();
        let intake = read_as(&written(&rows), &["mail", "name"], b',', "utf-8").expect("it is read");
        prop_assert!(intake.is_complete());
        prop_assert_eq!(counts(&intake), (table.len() as u64, 0, 0, 0));
        let mut found = Vec::new();
        let mut after = None;
        loop {
            let page = intake.rows(after.as_ref(), 7).expect("rows");
            let Some(last) = page.last() else { break };
            after = Some(last.key.clone());
            found.extend(page.into_iter().map(|r| (r.key.to_string(), r.cells)));
        }
        let expected: Vec<_> = table.iter().map(|(k, (m, n))| (k.clone(), vec![json!(m), json!(n)])).collect();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn rejects_records_and_repetitions_are_all_rows(
        table in proptest::collection::vec(("[AB]?[ 12]", "[xy]", 1usize..5), 1..30),
    ) {
        let rows: Vec<String> = table.iter().map(|(k, v, n)| [k.as_str(), v, v, v][..*n].join(",") + "\n").collect();
        let rows: Vec<String> = rows.into_iter().filter(|row| row != "\n").collect();
        let text = format!("id,mail,name\n{}", rows.concat());
        let intake = read_as(text.as_bytes(), &["mail"], b',', "utf-8").expect("it is read");
        adds_up(&intake, rows.len() as u64 - intake.stats().blank_rows);
    }
}

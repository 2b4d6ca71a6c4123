//! What is found in JSON pages, and what of them is refused.

use super::*;
use proptest::prelude::*;
use serde_json::json;

fn skimmed(text: &str, records: &str) -> Result<Skimmed, String> {
    let pointer = Pointer::parse;
    let (total, next) = (Some(pointer("/meta/total")), Some(pointer("/meta/next")));
    skim(text.as_bytes(), &Places { records: pointer(records), total, next, ..Places::default() })
}

fn at(records: &str) -> Places {
    Places { records: Pointer::parse(records), ..Places::default() }
}

/// The places of the marks, those that say by true or false whether there is more, and what went wrong.
fn hinted(text: &str, records: &str) -> (Vec<String>, Option<String>, bool, Vec<String>) {
    let hints = skim(text.as_bytes(), &at(records)).expect("a page").hints;
    (hints.marks.into_iter().map(|mark| mark.place).collect(), hints.more, hints.no_more, hints.wrong)
}

#[test]
fn what_a_page_says_about_itself_is_found_and_what_its_records_say_is_not() {
    for (text, records, place) in [
        (r#"{"data":[],"next":"/p2"}"#, "/data", "/next"),
        (r#"{"value":[],"@odata.nextLink":"https://h/p"}"#, "/value", "/@odata.nextLink"),
        (r#"{"d":{"results":[],"__next":"https://h/p"}}"#, "/d/results", "/d/__next"),
        (r#"{"data":[],"paging":{"next":{"after":"x","link":"https://h"}}}"#, "/data", "/paging/next/after"),
        (r#"{"data":[],"_links":{"next":{"href":"/p2"}}}"#, "/data", "/_links/next/href"),
        (
            r#"{"link":[{"relation":"self","url":"/"},{"relation":"next","url":"/2"}],"entry":[]}"#,
            "/entry",
            "/link/url",
        ),
        (r#"{"meta":{"pagination":{"links":{"next":"/p"}}},"data":[]}"#, "/data", "/meta/pagination/links/next"),
        (r#"{"members":[],"response_metadata":{"next_cursor":"x"}}"#, "/members", "/response_metadata/next_cursor"),
        (r#"{"result":{"items":[],"nextPageToken":"x"}}"#, "/result/items", "/result/nextPageToken"),
        (r#"{"data":[],"next_page":2}"#, "/data", "/next_page"),
    ] {
        assert_eq!(hinted(text, records).0, [place], "{text}");
    }
    let (marks, more, no_more, wrong) = hinted(
        r#"{"has_more":false,"cursor":"z","data":[{"next":"/x","errors":["x"]}],"errors":[{}],"ok":false}"#,
        "/data",
    );
    assert_eq!((marks, more, no_more, wrong), (vec!["/cursor".into()], None, true, vec!["errors".into(), "ok".into()]));
    for quiet in [
        r#"[{"next":"/x","errors":["e"],"success":false}]"#,
        r#"{"next":null,"links":{"next":null},"errors":[],"success":true,"error":null}"#,
        r#"{"next":{},"links":[],"errors":{},"ok":true,"error":""}"#,
        r#"{"next":"","links":[{"rel":"prev","href":"/p"}],"errors":null,"error":false}"#,
        r#"{"next":false,"page":{"number":1},"other":{"next":"/p"},"error":0,"success":null}"#,
    ] {
        let text = if quiet.starts_with('[') { quiet.into() } else { quiet.replacen('{', r#"{"data":[],"#, 1) };
        let records = if quiet.starts_with('[') { "" } else { "/data" };
        assert_eq!(hinted(&text, records), (vec![], None, false, vec![]), "{text}");
    }
}

#[test]
fn a_list_that_may_be_missing_is_missing_and_nothing_else() {
    let look = |text: &str, records: &str| {
        skim(text.as_bytes(), &Places { may_lack_records: true, ..at(records) }).map(|page| page.no_list.is_some())
    };
    for (text, records, is_missing) in [
        (r#"{"totalResults":3,"itemsPerPage":0}"#, "/Resources", Ok(true)),
        (r#"{"totalResults":3,"Resources":null}"#, "/Resources", Ok(true)),
        (r#"{"totalResults":3,"Resources":[]}"#, "/Resources", Ok(false)),
        (r#"{"d":{"count":3}}"#, "/d/results", Ok(true)),
        ("{}", "/d/results", Ok(true)),
        (r#"{"Resources":{"id":1}}"#, "/Resources", Err(())),
        (r#"{"Resources":"none"}"#, "/Resources", Err(())),
        (r#"{"Resources":0}"#, "/Resources", Err(())),
        ("{}", "", Err(())),
        (r#"{"totalResults":3"#, "/Resources", Err(())),
    ] {
        assert_eq!(look(text, records).map_err(drop), is_missing, "{text}");
        assert_eq!(skim(text.as_bytes(), &at(records)).is_ok(), is_missing == Ok(false), "{text}");
    }
}

fn wants() -> Wants {
    Wants::new("a", &["b", "c", "d"].map(String::from))
}

fn all(text: &str, at: &str) -> Result<Vec<Value>, String> {
    let mut found = Vec::new();
    records(text.as_bytes(), &Pointer::parse(at), &wants(), &mut |document| {
        found.push(document.value);
        true
    })?;
    Ok(found)
}

#[test]
fn records_total_and_next_are_found_in_any_order() {
    for text in [
        r#"{"data":[{"a":1},2,"x"],"meta":{"total":3,"next":"/p2"}}"#,
        r#"{"meta":{"next":"/p2","other":{"total":9},"total":3},"more":[1],"data":[{"a":1},2,"x"]}"#,
    ] {
        let (total, next) = (Some(json!(3)), Some(json!("/p2")));
        let expected = Skimmed { count: 3, total, next, ..Skimmed::default() };
        assert_eq!(skimmed(text, "/data"), Ok(expected), "{text}");
        assert_eq!(all(text, "/data"), Ok(vec![json!({"a": 1}), json!(null), json!(null)]));
    }
    assert_eq!(skimmed("[1,2]", ""), Ok(Skimmed { count: 2, ..Skimmed::default() }));
    assert_eq!(skimmed(r#"{"a/b":{"~":[1]}}"#, "/a~1b/~0").map(|s| s.count), Ok(1));
    let odd = skimmed(r#"{"data":[],"meta":{"total":[],"next":{}}}"#, "/data").expect("whole");
    assert_eq!((odd.total, odd.next), (Some(json!([])), Some(json!({}))), "there, and no scalar");
}

#[test]
fn what_is_no_page_is_said_without_its_values() {
    for (text, why) in [
        (r#"{"data":[{"a":"hunter2"#, "it is cut off in the middle of its JSON"),
        (r#"{"data":[1,2"#, "it is cut off in the middle of its JSON"),
        ("", "it is cut off in the middle of its JSON"),
        ("hunter2", "it is not JSON (line 1, column 1)"),
        (r#"{"data":[1]} hunter2"#, "it is not JSON (line 1, column 14)"),
        (r#"{"error":"hunter2"}"#, "there is no list of records at \"/data\"; the document has error"),
        (r#"{"data":{"x":1}}"#, "there is no list of records at \"/data\"; the document has data"),
        ("[1]", "there is no list of records at \"/data\""),
        (r#"{"data":[1],"data":[]}"#, "\"/data\" is there more than once"),
    ] {
        assert_eq!(skimmed(text, "/data"), Err(why.to_string()), "{text}");
    }
    let deep = "[".repeat(100_000);
    assert!(skimmed(&deep, "").is_err());
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(all(&deep, ""), Ok(vec![json!(null)]), "a record that is none, and whatever follows it");
    let long = format!("{{\"data\":[],\"meta\":{{\"next\":\"{}\"}}}}", "x".repeat(LONGEST_TEXT + 1));
    assert_eq!(skimmed(&long, "/data"), Err("the text at \"/meta/next\" is longer than 64 kB".into()));
    let named = format!("{{\"{}\":1}}", "x".repeat(1_000_000));
    assert!(skimmed(&named, "/data").expect_err("no list").len() < 400);
}

#[test]
fn nested_fields_are_columns_by_dotted_path() {
    let record = json!({"id": 7, "name": {"first": "A", "x.y": {"z": 1}}, "a.b": 2, "list": [1], "none": {}});
    let Value::Object(record) = record else { panic!("an object") };
    for (name, value) in [("id", json!(7)), ("name.first", json!("A")), ("name.x.y.z", json!(1)), ("a.b", json!(2))] {
        assert_eq!(column(&record, name), Some(&value), "{name}");
    }
    assert_eq!(column(&record, "name.last"), None);
    assert_eq!(column(&record, "id.x"), None);
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[a-z\"\\\\ü]{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 5, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            proptest::collection::btree_map("[a-d]", inner, 0..4).prop_map(|m| m.into_iter().collect()),
        ]
    })
}

/// Hands out a few bytes at a time.
struct Trickle<'a>(&'a [u8], usize);

impl Read for Trickle<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let n = self.0.len().min(buffer.len()).min(self.1);
        buffer[..n].copy_from_slice(&self.0[..n]);
        self.0 = &self.0[n..];
        Ok(n)
    }
}

/// Goes through a page; where so many bytes are read at once, records are parsed in sight if they can.
fn walk(page: &[u8], in_sight: Option<usize>, mut walk: Walk<'_>) -> Result<(), String> {
    match in_sight {
        Some(step) => walk.go(Trickle(page, step)),
        None => walk.follow(page, &RefCell::new(Window::new(&mut std::io::empty()))),
    }
}

proptest! {
    #![proptest_config(crate::domain::properties::cases(256))]

    #[test]
    fn records_come_back_as_they_are(list in proptest::collection::vec(any_json(), 0..12), other in any_json()) {
        let page = json!({"other": other, "data": list, "meta": {"total": list.len()}}).to_string();
        let only_objects = |value: &Value| if value.is_object() { value.clone() } else { Value::Null };
        prop_assert_eq!(all(&page, "/data"), Ok(list.iter().map(only_objects).collect::<Vec<_>>()));
        let skim = skimmed(&page, "/data").expect("a page");
        prop_assert_eq!((skim.count, skim.total), (list.len() as u64, Some(json!(list.len()))));
    }

    #[test]
    fn a_page_that_is_cut_anywhere_is_no_page(list in proptest::collection::vec(any_json(), 1..6), cut in any::<proptest::sample::Index>()) {
        let page = json!({"data": list}).to_string();
        let cut = cut.index(page.len());
        prop_assert!(skim(&page.as_bytes()[..cut], &at("/data")).is_err());
    }

    #[test]
    fn a_page_is_the_same_whether_its_records_are_in_sight_or_not(
        list in proptest::collection::vec(any_json(), 0..6),
        spaces in "[ \\n]{0,3}",
        change in proptest::option::of((any::<proptest::sample::Index>(), any::<u8>())),
        cut in proptest::option::of(any::<proptest::sample::Index>()),
        step in prop_oneof![1usize..40, Just(100_000)],
    ) {
        let list: Vec<String> = list.iter().map(|value| value.to_string().replace(',', &format!(",{spaces}"))).collect();
        let mut page = format!("{{\"a\":{{}},{spaces}\"data\":[{spaces}{}]{spaces},\"z\":1}}", list.join(&format!("{spaces},"))).into_bytes();
        if let Some((at, byte)) = change {
            let at = at.index(page.len());
            page[at] = byte;
        }
        page.truncate(cut.map_or(page.len(), |cut| cut.index(page.len())));
        let (pointer, wants) = (Pointer::parse("/data"), wants());
        let read = |in_sight| {
            let mut found = Vec::new();
            let mut each = |document| {
                found.push(document);
                true
            };
            let end = walk(&page, in_sight, Walk::new(&pointer, Each::Read(&wants, &mut each)));
            (found, end)
        };
        prop_assert_eq!(read(Some(step)), read(None));
        let count = |in_sight| walk(&page, in_sight, Walk::new(&pointer, Each::Counted(0)));
        prop_assert_eq!(count(Some(step)), count(None));
    }

    #[test]
    fn any_bytes_end(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = skim(bytes.as_slice(), &at("/a"));
        let _ = records(bytes.as_slice(), &Pointer::parse(""), &wants(), &mut |_| true);
    }
}

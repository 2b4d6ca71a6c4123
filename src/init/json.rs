//! From a JSON document, or a JSON record a line, to columns: where the records are, and which fields they have. Fields of
//! objects within a record are columns by dotted path, as when the source is read.

use serde_json::{Map, Value};

use super::detect::no_use;
use super::table::{Column, Form, Table, mark_unusable};
use crate::domain::error::Result;

/// The most records that are looked at.
const RECORDS: usize = 20_000;

/// The most columns that are looked at.
const COLUMNS: usize = 2_000;

/// How deep the records may be in the document.
const DEPTH: usize = 4;

/// How deep a field may be in a record.
const NESTED: usize = 6;

/// The columns of this text; `whole`: it is all that there is. `told`: `json` or `ndjson`.
///
/// # Errors
/// 65 with the reason: no JSON, no list of records in it, no record.
pub fn table(text: &str, whole: bool, told: Option<&str>) -> Result<Table> {
    let lines = || {
        let mut lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        if !whole {
            lines.pop(); // it may be cut off
        }
        let records = lines.into_iter().take(RECORDS).map(serde_json::from_str);
        records.collect::<Result<Vec<Map<String, Value>>, _>>().ok().filter(|records| !records.is_empty())
    };
    let document = || serde_json::from_str::<Value>(text);
    match told {
        Some("ndjson") => of_lines(lines().ok_or_else(|| no_json("a line of it is no JSON object"))?, whole),
        Some(_) => of_document(&document().map_err(|_| no_json("it is no JSON document"))?, whole),
        None => match (document(), lines()) {
            (Ok(document), _) if places(&document).is_some() => of_document(&document, whole),
            // One record alone on its line is a document, too.
            (_, Some(records)) => of_lines(records, whole),
            (Ok(document), None) => of_document(&document, whole),
            (Err(_), None) => Err(no_json(if whole { "it is no JSON" } else { "it is larger than what is looked at" })),
        },
    }
}

fn no_json(why: &str) -> crate::domain::error::Failure {
    no_use(why).help("see whether the export ran to its end; is it text with columns: --source-format csv")
}

fn of_lines(records: Vec<Map<String, Value>>, whole: bool) -> Result<Table> {
    Ok(columns(Form::Ndjson, records.iter(), whole))
}

fn of_document(document: &Value, whole: bool) -> Result<Table> {
    let Some((records, list)) = places(document) else {
        return Err(no_use("there is no list of records in the document")
            .help("a record is an object, {\"id\": 1, …}, and the list is not empty"));
    };
    Ok(columns(Form::Json { records }, list.iter().filter_map(Value::as_object).take(RECORDS), whole))
}

/// The largest list of objects in the document, and the pointer to it.
fn places(document: &Value) -> Option<(String, &Vec<Value>)> {
    let mut found = Vec::new();
    collect(document, String::new(), 0, &mut found);
    // Of equals the first.
    found.into_iter().reduce(|best, next| if next.1.len() > best.1.len() { next } else { best })
}

fn collect<'v>(value: &'v Value, pointer: String, depth: usize, found: &mut Vec<(String, &'v Vec<Value>)>) {
    match value {
        Value::Array(list) if list.iter().filter(|item| item.is_object()).count() * 2 > list.len() => {
            found.push((pointer, list));
        }
        Value::Object(members) if depth < DEPTH => {
            for (name, member) in members {
                let segment = name.replace('~', "~0").replace('/', "~1");
                collect(member, format!("{pointer}/{segment}"), depth + 1, found);
            }
        }
        _ => {}
    }
}

/// What holds the address of the next page, in an answer or in what it keeps about the page.
const NEXT: [&str; 9] = [
    "next",
    "nextLink",
    "@odata.nextLink",
    "next_url",
    "nextUrl",
    "next_page_url",
    "nextPageUrl",
    "__next",
    "next_link",
];

/// What answers keep about the page.
const ABOUT: [&str; 7] = ["links", "_links", "paging", "pagination", "meta", "d", "page"];

/// JSON pointer to the address of the next page, where the document has one.
pub fn next_page(bytes: &[u8]) -> Option<String> {
    fn address(value: &Value, pointer: String) -> Option<String> {
        match value {
            Value::String(text) if text.contains("://") || text.starts_with('/') => Some(pointer),
            Value::Object(link) => address(link.get("href")?, format!("{pointer}/href")),
            _ => None,
        }
    }
    fn within(value: &Value, pointer: &str, depth: usize) -> Option<String> {
        let members = value.as_object()?;
        let here = NEXT.iter().find_map(|name| address(members.get(*name)?, format!("{pointer}/{name}")));
        let below = || {
            ABOUT
                .iter()
                .filter(|_| depth < 2)
                .find_map(|name| within(members.get(*name)?, &format!("{pointer}/{name}"), depth + 1))
        };
        here.or_else(below)
    }
    within(&serde_json::from_slice(bytes).ok()?, "", 0)
}

/// A value by its column.
struct Cell {
    text: String,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Nothing,
    Text,
    Truth,
    Number,
    List,
    /// An object, whose fields are columns of their own.
    Object,
}

fn flatten(record: &Map<String, Value>, before: &str, depth: usize, cells: &mut Vec<(String, Cell)>) {
    for (name, value) in record {
        let path = if before.is_empty() { name.clone() } else { format!("{before}.{name}") };
        let (text, kind) = match value {
            Value::Object(inner) if depth < NESTED => {
                flatten(inner, &path, depth + 1, cells);
                (String::new(), Kind::Object)
            }
            Value::Null => (String::new(), Kind::Nothing),
            Value::String(text) => (text.trim().to_string(), Kind::Text),
            Value::Bool(truth) => (truth.to_string(), Kind::Truth),
            Value::Number(number) => (number.to_string(), Kind::Number),
            Value::Array(_) | Value::Object(_) => (String::new(), Kind::List),
        };
        cells.push((path, Cell { text, kind }));
    }
}

fn columns<'r>(form: Form, records: impl Iterator<Item = &'r Map<String, Value>>, whole: bool) -> Table {
    let mut columns: Vec<(Column, Vec<Kind>)> = Vec::new();
    let mut places = std::collections::HashMap::new();
    let mut rows = 0;
    for record in records {
        let mut cells = Vec::new();
        flatten(record, "", 0, &mut cells);
        for (name, cell) in cells {
            let place = *places.entry(name.clone()).or_insert(columns.len());
            if place == columns.len() {
                if place == COLUMNS {
                    places.remove(&name);
                    continue;
                }
                let column = Column { name, cells: Vec::new(), is_text: false, is_truth: false, unusable: None };
                columns.push((column, Vec::new()));
            }
            let (column, kinds) = &mut columns[place];
            column.cells.resize(rows, String::new());
            column.cells.push(cell.text);
            kinds.push(cell.kind);
        }
        rows += 1;
    }
    // An object is no column, and null instead of one is nothing.
    let is_column = |kinds: &[Kind]| {
        !kinds.contains(&Kind::Object) || kinds.iter().any(|kind| !matches!(kind, Kind::Object | Kind::Nothing))
    };
    let mut columns: Vec<Column> = columns
        .into_iter()
        .filter(|(_, kinds)| is_column(kinds))
        .map(|(mut column, kinds)| {
            column.cells.resize(rows, String::new());
            let filled = || kinds.iter().filter(|kind| **kind != Kind::Nothing);
            // A record may lack it, which is an empty text; null is none.
            column.is_text = kinds.iter().all(|kind| *kind == Kind::Text);
            column.is_truth = filled().count() > 0 && filled().all(|kind| *kind == Kind::Truth);
            column.unusable = match kinds {
                _ if kinds.contains(&Kind::List) => Some("it holds lists"),
                _ if kinds.contains(&Kind::Object) => Some("it holds objects"),
                _ => None,
            };
            column
        })
        .collect();
    // A path that is trimmed is another one.
    for column in columns.iter_mut().filter(|column| column.name.trim() != column.name) {
        column.unusable = Some("there is white space around its name");
    }
    mark_unusable(&mut columns);
    Table { form, columns, rows, whole }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Table {
        table(text, true, None).expect("a table")
    }

    #[test]
    fn records_are_found_where_they_are() {
        for (text, pointer) in [
            (r#"[{"id":1}]"#, ""),
            (r#"{"data":[{"id":1}],"links":[]}"#, "/data"),
            (r#"{"meta":{"tags":[{"a":1}]},"d":{"re/sults":[{"id":1},{"id":2}]}}"#, "/d/re~1sults"),
        ] {
            assert_eq!(read(text).form, Form::Json { records: pointer.into() }, "{text}");
        }
        for text in ["{\"id\":1}\n{\"id\":2}\n", "{\"id\":1,\"name\":\"a\"}"] {
            assert_eq!(read(text).form, Form::Ndjson, "{text}");
        }
    }

    #[test]
    fn fields_of_objects_are_columns_by_dotted_path() {
        let table = read(r#"[{"id":1,"name":{"first":" Ann "},"on":true,"x":null},{"id":2,"tags":["a"],"on":false}]"#);
        assert_eq!(table.names(), ["id", "name.first", "on", "x"]);
        let by = |name: &str| &table.columns[table.place(name).expect(name)];
        assert_eq!(by("name.first").cells, ["Ann", ""]);
        assert!(by("name.first").is_text && !by("id").is_text && by("on").is_truth && !by("x").is_truth);
        assert_eq!((by("id").cells.as_slice(), table.rows), (["1".to_string(), "2".into()].as_slice(), 2));
    }

    #[test]
    fn an_object_that_is_null_in_a_row_is_no_column() {
        let ann = r#"{"id":1,"name":{"first":"Ann"},"team":{"id":1}}"#;
        for text in [
            format!(r#"[{ann},{{"id":2,"name":null,"team":{{}}}}]"#),
            format!(r#"[{{"id":2,"name":null,"team":{{}}}},{ann}]"#),
        ] {
            let table = read(&text);
            let mut names: Vec<&str> = table.columns.iter().map(|column| column.name.as_str()).collect();
            names.sort_unstable();
            assert_eq!(names, ["id", "name.first", "team.id"], "{text}");
        }
        // What is now an object and now a text can't be read by one name.
        let table = read(&format!(r#"[{ann},{{"id":2,"name":"Bo"}}]"#));
        assert_eq!(table.names(), ["id", "name.first", "team.id"]);
        let name = table.columns.iter().find(|column| column.name == "name").expect("a column");
        assert_eq!(name.unusable, Some("it holds objects"));
        assert_eq!(read(r#"[{"id":1,"name":null},{"id":2,"name":"Bo"}]"#).names(), ["id", "name"]);
    }

    #[test]
    fn what_holds_no_records_is_refused() {
        for text in ["[]", "{}", "[1,2]", "{\"data\":[]}", "[{\"id\":1}", "{nonsense"] {
            let refused = table(text, true, None).map(|table| table.rows);
            assert!(refused.is_err() || refused.as_ref().is_ok_and(|rows| *rows == 1), "{text}: {refused:?}");
        }
        assert!(table("[]", true, None).is_err() && table("{nonsense", true, None).is_err());
    }
}

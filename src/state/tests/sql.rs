//! The SQL of the commands, as text: what it must not say.

use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;

/// The text of a module of commands, without its tests.
fn commands() -> Vec<(String, String)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/state");
    let files = fs::read_dir(directory).expect("the folder").map(|entry| entry.expect("an entry").path());
    let modules = files.filter(|path| path.extension().is_some_and(|kind| kind == "rs"));
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).expect("a module");
        let program = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default().to_owned();
        (path.file_name().expect("a name").to_string_lossy().into_owned(), program)
    };
    let modules: Vec<_> = modules.map(read).collect();
    assert!(modules.iter().any(|(_, program)| program.contains("INSERT INTO person")), "they are found");
    modules
}

/// The texts that write to `person` past the writer. Of an item that goes over several tables, `person` among them, each
/// text with a name to be filled in counts.
fn past_the_writer(program: &str) -> Vec<String> {
    let write =
        Regex::new(r#"(INTO|UPDATE( OR [A-Z]+)?|DELETE FROM) +(person\b|(\\")?\{[a-z]+\})"#).expect("an expression");
    let writer =
        Regex::new(r"(people|PeopleWriter::of\([^()]*\))\.(execute|prepare)\((&format!\()?$").expect("another");
    let mut found = Vec::new();
    for item in program.split("\n}\n") {
        let of_people = item.contains("\"person\"") || item.contains("By::Number");
        for text in write.find_iter(item).filter(|text| of_people || text.as_str().ends_with("person")) {
            let before = item[..text.start()].rsplit_once('"').map_or("", |(before, _)| before);
            let call: String = before.split_whitespace().collect();
            if !writer.is_match(&call) {
                found.push(text.as_str().to_owned());
            }
        }
    }
    found
}

#[test]
fn every_text_that_changes_people_is_carried_out_by_their_writer() {
    for (file, program) in commands() {
        assert_eq!(past_the_writer(&program), Vec::<String>::new(), "{file}");
    }
    let missed = |program: &str| past_the_writer(program).len();
    assert_eq!(missed(r#"db.execute("UPDATE person SET state = 1", args![])"#), 1);
    assert_eq!(missed(r#"db.prepare("INSERT INTO person VALUES (1)")?; people.execute("UPDATE journal", args![])"#), 1);
    assert_eq!(missed(r#"for sql in ["DELETE FROM person WHERE sync = ?1"] { people.execute(sql, args![])?; }"#), 1);
    assert_eq!(missed(r#"for t in ["body", "person"] { db.execute(&format!("DELETE FROM {t}"), args![])?; }"#), 1);
    assert_eq!(missed(r#"people.execute("UPDATE person SET state = 1", args![])"#), 0);
}

/// What only SQLite understands: another database carries the same texts out.
fn of_sqlite_alone(program: &str) -> Vec<String> {
    let words = [
        r"\b(INSERT|UPDATE) OR [A-Z]+",
        r"\bREPLACE INTO\b",
        r"\b(instr|ifnull|iif|group_concat|typeof|printf|strftime|julianday|unixepoch|last_insert_rowid)\(",
        r"\bjson_[a-z]+\(",
        r"\bsqlite_[a-z]+",
        r"(?i)\bpragma",
        r"\b(GLOB|rowid|ROWID|INDEXED BY|AUTOINCREMENT)\b",
        // Of several values; of all rows it is everybody's.
        r"(^|[^.:])\b(min|max)\([^()]*(\([^()]*\)[^()]*)?,",
        // A sign before a column, so that no index is used for it.
        r"[ (,=<>]\+[a-z]+\.",
        r"CROSS JOIN[^;]*\bON\b",
    ];
    let words = Regex::new(&words.join("|")).expect("an expression");
    let said = program.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    words.find_iter(&said).map(|word| word.as_str().to_owned()).collect()
}

#[test]
fn the_commands_say_what_every_database_understands() {
    for (file, program) in commands() {
        assert_eq!(of_sqlite_alone(&program), Vec::<String>::new(), "{file}");
    }
    for sql in [
        "INSERT OR REPLACE INTO announced (sync) VALUES (?1)",
        "UPDATE OR IGNORE body SET sync = ?2",
        "REPLACE INTO announced (sync) VALUES (?1)",
        "SELECT ifnull(a, b), iif(a, b, c) FROM t",
        "SELECT id FROM outcome WHERE instr(reason, ?1) > 0",
        "UPDATE plan SET partial = min(partial, ?6)",
        "UPDATE person SET absent_since = min(coalesce(absent_since, ?3), ?3)",
        "SELECT json_extract(operation, '$.key') FROM journal",
        "SELECT name FROM sqlite_schema",
        "SELECT name FROM pragma_table_info('run')",
        "SELECT id FROM outcome b WHERE +b.ts < ?2",
        "SELECT 1 FROM person a CROSS JOIN person b ON a.key = b.key",
    ] {
        assert!(!of_sqlite_alone(sql).is_empty(), "{sql}");
    }
    assert!(of_sqlite_alone("SELECT max(at), coalesce(min(at), ?1) FROM run").is_empty());
}

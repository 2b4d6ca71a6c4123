//! What the tests of sources share: people, configurations, and the check that nothing was done.

use serde_json::{Value, json};

use super::export::{Asked, Reply};
use crate::support::{Home, Ran, Sim};

pub const HEADER: &str = "employee_id,first_name,last_name,email,phone,title,city,status\n";

/// A row of the file.
pub fn row(n: usize) -> String {
    format!("E{n:03},First{n},Last{n},p{n}@acme.com,+41 44 {n:03},Nurse,Bern,active\n")
}

/// The rows of these people.
pub fn rows(numbers: impl IntoIterator<Item = usize>) -> String {
    numbers.into_iter().map(row).collect()
}

/// A file of these people.
pub fn file(numbers: impl IntoIterator<Item = usize>) -> String {
    format!("{HEADER}{}", rows(numbers))
}

/// The same person as a JSON record.
pub fn person(n: usize) -> Value {
    json!({
        "employee_id": format!("E{n:03}"), "first_name": format!("First{n}"), "last_name": format!("Last{n}"),
        "email": format!("p{n}@acme.com"), "phone": format!("+41 44 {n:03}"), "title": "Nurse", "city": "Bern",
        "status": "active",
    })
}

/// These people as JSON records.
pub fn people(numbers: impl IntoIterator<Item = usize>) -> Vec<Value> {
    numbers.into_iter().map(person).collect()
}

/// A home whose source is an address, with these further lines for it.
pub fn over_http(sim: &Sim, url: &str, lines: &str) -> Home {
    let home = Home::juno(&sim.juno());
    set_source(&home, &http_source(url, lines));
    home
}

/// The section of a source behind an address.
pub fn http_source(url: &str, lines: &str) -> String {
    format!(
        "[sources.hr]\nkind = \"http\"\nurl = \"{url}\"\nkey = \"employee_id\"\nrequired = [\"email\", \"status\"]\n\
         timeout = \"1s\"\nretry = {{ attempts = 2, base = \"5ms\", max = \"20ms\" }}\n{lines}\n"
    )
}

/// Replaces the source of the configuration.
pub fn set_source(home: &Home, section: &str) {
    let text = std::fs::read_to_string(home.config()).expect("a configuration");
    let from = text.find("[sources.hr]").expect("a source");
    let to = text.find("[targets.juno]").expect("a target");
    home.write("config/rosterd.toml", &format!("{}{section}\n{}", &text[..from], &text[to..]));
}

/// Writes the source's file.
pub fn put(home: &Home, name: &str, bytes: impl AsRef<[u8]>) {
    std::fs::write(home.path().join("config").join(name), bytes).expect("a file");
}

/// Everything that `v_users` holds, as text.
pub fn users(home: &Home) -> String {
    let path = home.path().join("state/rosterd.db");
    let db = rusqlite::Connection::open_with_flags(path, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY).expect("a state");
    let mut query = db.prepare("SELECT * FROM v_users ORDER BY sync, key").expect("the view");
    let columns = query.column_count();
    let rows = query
        .query_map([], |row| {
            let cells: Result<Vec<String>, _> =
                (0..columns).map(|i| row.get_ref(i).map(|cell| format!("{cell:?}"))).collect();
            cells.map(|cells| cells.join("|"))
        })
        .expect("rows");
    rows.map(|row| row.expect("a row")).collect::<Vec<_>>().join("\n")
}

/// Runs `sync` and asserts that the source was refused: the code, a part of what is said (message or help), no request
/// to the target, nothing changed in the state.
#[track_caller]
pub fn refused(home: &Home, sim: &Sim, name: &str, env: &[(&str, &str)], code: i32, part: &str) {
    let (before, mark) = (users(home), sim.mark());
    let ran = run(home, &["sync"], env);
    let answer = ran.json();
    let run = &answer["runs"][0];
    let said = format!("{} {}", run["error"]["message"], run["error"]["help"]);
    let told = || format!("{name}: exit {}, {said}\n{}", ran.code, ran.stderr);
    // As an operator would read it: shown with --nocapture.
    eprintln!("{}\n", told());
    assert_eq!(ran.code, code, "{}", told());
    assert_eq!(run["error"]["code"], code, "{}", told());
    assert!(said.contains(part), "{} lacks {part:?}", told());
    assert_eq!(run["status"], if code == 65 { "untrusted" } else { "failed" }, "{}", told());
    assert!(sim.since(mark).is_empty(), "{name}: the target was asked: {:?}", sim.since(mark));
    assert_eq!(users(home), before, "{name}: the snapshot changed");
    assert!(!said.contains("@acme.com"), "{}", told());
}

/// Runs the binary with further environment and JSON output.
pub fn run(home: &Home, args: &[&str], env: &[(&str, &str)]) -> Ran {
    let mut command = home.command(&[args, &["--format", "json"]].concat());
    command.envs(env.iter().copied());
    let output = command.output().expect("the binary runs");
    Ran {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Answers with pages of a JSON list, `size` a page, the next by a link.
pub fn linked(list: Vec<Value>, size: usize) -> impl Fn(&Asked) -> Reply + Send + Sync {
    move |asked| {
        let page: usize = asked.param("page").and_then(|p| p.parse().ok()).unwrap_or(0);
        let records: Vec<&Value> = list.iter().skip(page * size).take(size).collect();
        let reply = Reply::json(&json!({ "data": records, "meta": { "total": list.len() } }));
        match (page + 1) * size < list.len() {
            true => reply.with("link", &format!("<{}?page={}>; rel=\"next\"", asked.path(), page + 1)),
            false => reply,
        }
    }
}

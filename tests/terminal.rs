//! What somebody at a terminal sees: lines that are broken between words, times of their zone, and logs that read like the
//! rest. `script` gives the program a terminal.

use std::process::Stdio;

use serde_json::json;

use crate::answers::{row, synced};
use crate::support::{Home, Ran, Sim, skipped};

/// Whether `script` (util-linux) is there.
pub fn there_are_terminals() -> bool {
    let found = std::process::Command::new("script").arg("--version").stdout(Stdio::null()).status().is_ok();
    if !found {
        skipped("script (util-linux) is not there: what a terminal shows");
    }
    found
}

/// A command on a terminal of so many columns: what appears there.
pub fn on_a_terminal(home: &Home, columns: usize, args: &[&str]) -> String {
    let inner = home.command(args);
    let quoted = |text: &std::ffi::OsStr| format!("'{}'", text.to_string_lossy().replace('\'', r"'\''"));
    let words: Vec<String> = std::iter::once(inner.get_program()).chain(inner.get_args()).map(quoted).collect();
    let line = format!("stty cols {columns} rows 50; {}", words.join(" "));
    let mut script = std::process::Command::new("script");
    script.args(["-qec", &line, "/dev/null"]).current_dir(home.path());
    for (name, value) in inner.get_envs() {
        match value {
            Some(value) => script.env(name, value),
            None => script.env_remove(name),
        };
    }
    let ran = Ran::of(&script.stdin(Stdio::null()).output().expect("script runs"));
    ran.stdout.replace('\r', "")
}

/// Asserts that the same words appear as on a pipe, none of them broken and no line wider than it must be.
#[track_caller]
fn is_broken_between_words(home: &Home, columns: usize, args: &[&str]) {
    let (piped, shown) = (home.run(args).stdout, on_a_terminal(home, columns, args));
    let words = |text: &str| text.split_whitespace().map(str::to_string).collect::<Vec<_>>();
    assert_eq!(words(&shown), words(&piped), "{args:?} at {columns}:\n{shown}");
    for line in shown.lines() {
        let is_one_word = line.split_whitespace().count() == 1;
        assert!(line.chars().count() <= columns || is_one_word, "{args:?} at {columns}: {line:?}\n{shown}");
    }
    assert!(shown.lines().count() > piped.lines().count(), "{args:?} at {columns}: nothing was too wide:\n{shown}");
}

#[test]
fn no_word_is_broken_on_a_narrow_terminal() {
    if !there_are_terminals() {
        return;
    }
    let long = "E".repeat(100);
    let sim = Sim::start();
    let home = synced(&sim, &["E1", "E2", "E3"]);
    home.configure("[syncs.staff.limits]\nban = 1");
    home.people(&[row(&long, "Nurse"), row("E3", "Nurse")]);
    home.run(&["sync"]).exits(3);
    let plan = home.run_json(&["plans"]).exits(0).json()["plans"][0]["id"].as_str().expect("a plan").to_string();
    let reason = "they left together, as the head of the ward has said in a letter that is kept in the archive";
    home.people(&[row("E3", "Nurse"), row(&long, "Nurse")]);
    home.run(&["approve", &plan, "--reason", reason]).exits(0);
    for columns in [80, 60, 40] {
        for args in [&["runs"][..], &["outcomes"], &["why", "staff", "E1"], &["why", "staff", &long]] {
            is_broken_between_words(&home, columns, args);
        }
    }
    home.people(&[
        row("E3", "Nurse"),
        row(&long, "A title that is so long that it does not fit into the line of a plan"),
    ]);
    is_broken_between_words(&home, 40, &["plan"]);
    // It tells an age, which differs from one moment to the next.
    let shown = on_a_terminal(&home, 40, &["status"]);
    assert!(shown.lines().all(|line| line.chars().count() <= 40), "{shown}");
    let wrong = home.run(&["why", "staff", "nobody"]).exits(64);
    let shown = on_a_terminal(&home, 60, &["why", "staff", "nobody"]);
    let words = |text: &str| text.split_whitespace().map(str::to_string).collect::<Vec<_>>();
    assert!(words(&shown).ends_with(&words(&wrong.stderr)), "{shown}");
    assert!(shown.lines().all(|line| line.chars().count() <= 60), "{shown}");
    // What programs read is one line on a terminal, too.
    let shown = on_a_terminal(&home, 60, &["status", "--format", "json"]);
    assert_eq!(shown.trim_end().lines().count(), 1, "{shown}");
}

#[test]
fn a_screen_has_the_newest_and_says_that_there_are_older_ones() {
    if !there_are_terminals() {
        return;
    }
    let sim = Sim::start();
    let home = Home::juno(&sim.juno());
    home.people(&(0..120).map(|n| row(&format!("E{n}"), "Nurse")).collect::<Vec<_>>());
    for _ in 0..22 {
        home.run(&["sync"]).exits(0);
    }
    let shown = on_a_terminal(&home, 200, &["runs"]);
    assert_eq!(shown.matches("staff: ok").count(), 20, "{shown}");
    assert!(shown.contains("older ones: rosterd runs --limit 200"), "{shown}");
    let shown = on_a_terminal(&home, 200, &["outcomes"]);
    assert_eq!(shown.matches("  staff  ok  ").count(), 100, "{shown}");
    assert!(shown.contains("There are older ones"), "{shown}");
    let shown = on_a_terminal(&home, 200, &["outcomes", "--limit", "110"]);
    assert!(shown.matches("  staff  ok  ").count() == 110 && !shown.contains("older"), "{shown}");
    let piped = home.run(&["outcomes"]).exits(0).stdout;
    assert_eq!(piped.lines().count(), 120, "whoever counts them counts all");
    assert_eq!(home.run(&["runs"]).exits(0).stdout.matches("staff: ok").count(), 22);
}

#[test]
fn people_read_their_own_time_and_programs_read_utc() {
    let sim = Sim::start();
    let home = synced(&sim, &["E1"]);
    let ran = |zone: &str, args: &[&str]| {
        Ran::of(&home.command(args).env("TZ", zone).output().expect("the binary runs")).exits(0).stdout
    };
    // A run of the summer and one of the winter.
    let sql = "UPDATE run SET started_at = '2026-07-01T22:34:00.123Z', finished_at = '2026-07-01T22:35:00.000Z';
               UPDATE outcome SET ts = '2026-11-22T03:34:00.999Z';
               UPDATE body SET confirmed_at = '2026-11-22T03:34:00.999Z'";
    let db = rusqlite::Connection::open(home.database()).expect("the state database");
    db.execute_batch(sql).expect("other times");
    for (zone, summer, winter) in [
        ("Europe/Zurich", "2026-07-02 00:34:00 CEST", "2026-11-22 04:34:00 CET"),
        ("UTC", "2026-07-01 22:34:00 UTC", "2026-11-22 03:34:00 UTC"),
        ("America/New_York", "2026-07-01 18:34:00 EDT", "2026-11-21 22:34:00 EST"),
        ("America/Sao_Paulo", "2026-07-01 19:34:00 -03:00", "2026-11-22 00:34:00 -03:00"),
        ("Mars/Olympus", "2026-07-01 22:34:00 UTC", "2026-11-22 03:34:00 UTC"),
        ("XYZ-3", "2026-07-02 01:34:00 +03:00", "2026-11-22 06:34:00 +03:00"),
    ] {
        for (args, time) in
            [(&["runs"][..], summer), (&["status"], summer), (&["outcomes"], winter), (&["why", "staff", "E1"], winter)]
        {
            let text = ran(zone, args);
            assert!(
                text.contains(time) && !text.contains(".123Z") && !text.contains(".999Z"),
                "{zone} {args:?}: {text}"
            );
        }
        for args in [&["runs", "--format", "json"][..], &["status", "--format", "json"]] {
            assert!(ran(zone, args).contains("\"2026-07-01T22:34:00.123Z\""), "{zone} {args:?}");
        }
        for args in [&["outcomes", "--format", "json"][..], &["outcomes", "--format", "csv"]] {
            assert!(ran(zone, args).contains("2026-11-22T03:34:00.999Z"), "{zone} {args:?}");
        }
    }
    // A date that is typed is one of the zone: in Zurich the second of July has begun.
    let since = |zone: &str| ran(zone, &["runs", "--since", "2026-07-02"]).contains("staff: ok");
    assert_eq!((since("Europe/Zurich"), since("UTC")), (true, false));
}

/// A run that leaves somebody, with standard output and standard error in one pipe or each in its own.
fn partial(together: bool, args: &[&str]) -> Ran {
    let sim = Sim::start();
    let home = Home::juno(&sim.juno());
    home.people(&[row("E1", "Nurse")]);
    sim.script(json!({"method": "POST", "key": "E1", "do": "status:422"}));
    let mut command = home.command(args);
    if !together {
        return Ran::of(&command.output().expect("the binary runs"));
    }
    let (mut reader, writer) = std::io::pipe().expect("a pipe");
    let mut child = command.stdout(writer.try_clone().expect("its end")).stderr(writer).spawn().expect("it starts");
    drop(command);
    let mut stdout = String::new();
    std::io::Read::read_to_string(&mut reader, &mut stdout).expect("text");
    Ran { code: child.wait().expect("its end").code().unwrap_or(-1), stdout, stderr: String::new() }
}

#[test]
fn a_log_beside_a_result_that_is_text_is_text_and_does_not_say_it_again() {
    let mailed = partial(true, &["sync"]).exits(75).stdout;
    assert!(mailed.contains("staff: partial") && !mailed.contains('{'), "{mailed}");
    assert_eq!(mailed.matches("HTTP 422").count(), 1, "told once: {mailed}");
    // Of a log that goes elsewhere, everything is in it.
    let apart = partial(false, &["sync"]).exits(75);
    assert!(apart.stderr.contains("WARN run finished") && !apart.stderr.contains("{\""), "{}", apart.stderr);
    assert!(apart.stderr.contains("UTC  WARN outcome"), "{}", apart.stderr);
    let is_json = |text: &str| text.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok());
    for args in [&["sync", "--format", "json"][..], &["sync", "--log-format", "json"]] {
        let ran = partial(false, args).exits(75);
        assert!(!ran.stderr.is_empty() && is_json(&ran.stderr), "{args:?}: {}", ran.stderr);
    }
    let asked = partial(true, &["sync", "--log-format", "json"]).exits(75).stdout;
    assert!(asked.lines().any(|line| line.starts_with("{\"") && is_json(line)), "{asked}");
}

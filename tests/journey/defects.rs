//! A defect of the program's own reaches no further than the sync or the source in which it shows.

use std::process::Command;

use crate::support::{Home, Ran, Sim, people, skipped};

/// Two sources of their own, and a sync of each.
fn two(sim: &Sim) -> Home {
    let home = Home::juno(&sim.juno());
    home.roster(&people(11, 13));
    std::fs::rename(home.path().join("config/hr.csv"), home.path().join("config/other.csv")).expect("a roster");
    home.roster(&people(1, 3));
    let text = std::fs::read_to_string(home.config()).expect("a configuration");
    let section = |from: &str, to: &str| {
        let start = text.find(from).expect("a section");
        let end = text[start..].find(to).map_or(text.len(), |end| start + end);
        text[start..end].to_string()
    };
    let source =
        section("[sources.hr]", "[targets").replace("sources.hr", "sources.other").replace("hr.csv", "other.csv");
    let sync = section("[syncs.staff]", "\u{0}").replace("syncs.staff", "syncs.guests").replace("\"hr\"", "\"other\"");
    home.write("config/rosterd.toml", &format!("{text}\n{source}\n{sync}"));
    home
}

fn broken(home: &Home, at: &str, arguments: &[&str]) -> Ran {
    let mut command: Command = home.command(arguments);
    Ran::of(&command.env("ROSTERD_TEST_PANIC", at).output().expect("it starts"))
}

#[test]
fn a_panic_in_one_sync_is_that_sync_s_70_and_the_others_go_on() {
    for at in ["sync:guests", "source:other"] {
        let sim = Sim::start();
        let home = two(&sim);
        let plan = broken(&home, at, &["plan", "--format", "json"]).exits(70);
        let plan = plan.json()["syncs"].as_array().expect("syncs").clone();
        let of = |name: &str| plan.iter().find(|sync| sync["sync"] == name).expect("it is planned").clone();
        assert_eq!(of("guests")["error"]["code"], 70, "{at}");
        assert_eq!(of("staff")["counts"]["create"], 3, "{at}");

        let ran = broken(&home, at, &["sync", "--format", "json"]).exits(70);
        assert!(!ran.stdout.contains("acme") && !ran.stderr.contains("ann@acme"), "{}", ran.stderr);
        let runs = ran.json()["runs"].as_array().expect("runs").clone();
        let of = |name: &str| runs.iter().find(|run| run["sync"] == name).expect("it ran").clone();
        assert_eq!(
            (of("guests")["status"].as_str(), of("guests")["error"]["code"].as_u64()),
            (Some("failed"), Some(70))
        );
        assert_eq!(
            (of("staff")["status"].as_str(), of("staff")["counts"]["create"]["ok"].as_u64()),
            (Some("ok"), Some(3))
        );

        let reconciled = broken(&home, at, &["reconcile", "--format", "json"]).exits(70).json();
        assert_eq!(reconciled["syncs"].as_array().map(Vec::len), Some(2), "{reconciled}");
        let check = broken(&home, at, &["check", "--connect"]);
        assert_eq!(check.code == 70, at.starts_with("source"), "{}", check.stderr);
        home.run_json(&["sync"]).exits(0);
        assert_eq!(sim.users().len(), 6, "nothing is lost");
    }
}

/// A program of its own, which sets the clock for another.
const FAKETIME: &str = "faketime";

#[test]
fn a_clock_before_1970_or_far_ahead_breaks_no_command() {
    if Command::new(FAKETIME).arg("--version").output().is_err() {
        return skipped("a clock that is far off; faketime sets it");
    }
    for when in ["1965-03-01 12:00:00", "2400-01-01 00:00:00"] {
        let sim = Sim::start();
        let home = Home::juno(&sim.juno());
        home.roster(&people(1, 2));
        for arguments in [
            &["check"][..],
            &["plan"],
            &["sync"],
            &["status"],
            &["outcomes"],
            &["why", "staff", "E0001"],
            &["reconcile"],
        ] {
            let options = [when];
            let ran = Ran::of(&home.command_under(FAKETIME, &options, arguments).output().expect("faketime is there"));
            assert_eq!(ran.code, 0, "{when} {arguments:?}: {}{}", ran.stdout, ran.stderr);
        }
        assert_eq!(sim.users().len(), 2, "{when}");
    }
}

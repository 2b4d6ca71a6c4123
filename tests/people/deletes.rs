//! Leavers whose accounts are removed (`on_leave = "delete"`), on the targets that can: counted and held like bans,
//! done once, and never taken back.

use rosterd::sandbox::Op;
use serde_json::{Value, json};

use super::{DAY, held, later, outcomes, replace, row, rows, run_of};
use crate::support::{Home, Sim};

/// A target that can delete: its name in the sandbox, its settings, and the mapping.
struct Kind {
    name: &'static str,
    settings: &'static str,
    map: &'static str,
    matched: &'static str,
    key: &'static str,
}

const KINDS: [Kind; 2] = [
    Kind {
        name: "scim",
        settings: "kind = \"scim\"\nbase_url = \"{url}/scim/v2\"\nauth = { kind = \"bearer\", token = { file = \"secret\" } }",
        map: "externalId = \"employee_id\"\nuserName = \"email\"\n\"name.familyName\" = \"last_name\"\ntitle = \"title\"",
        matched: "userName",
        key: "externalId",
    },
    Kind {
        name: "longjump",
        settings: "kind = \"longjump\"\nbase_url = \"{url}/longjump\"\n\
                   auth = { kind = \"session\", username = \"admin\", password = { file = \"secret\" } }\n\
                   options = { team_id = 1, access_profile_id = 3 }",
        map: "employee_number = \"employee_id\"\nusername = \"email\"\nemail = \"email\"\nfirst_name = \"first_name\"\n\
              last_name = \"last_name\"\ntitle = \"title\"",
        matched: "username",
        key: "employee_number",
    },
];

impl Kind {
    /// Twelve people there, with these settings and limits.
    fn staffed(&self, settings: &str, limits: &str) -> (Sim, Home) {
        let (sim, home) = (Sim::start(), Home::empty());
        let target = self.settings.replace("{url}", &sim.url());
        home.write(
            "config/rosterd.toml",
            &format!(
                "[state]\npath = \"../state/rosterd.db\"\n\n\
                 [sources.hr]\nkind = \"csv\"\npath = \"hr.csv\"\nkey = \"employee_id\"\nmax_shrink = \"unlimited\"\n\n\
                 [targets.there]\n{target}\nrate = \"1000/s\"\nburst = 100\nretry = {{ attempts = 3, base = \"10ms\" }}\n\n\
                 [syncs.staff]\nsource = \"hr\"\ntarget = \"there\"\ninclude = 'status == \"active\"'\n\
                 match = [\"{}\"]\non_leave = \"delete\"\n{settings}\n[syncs.staff.limits]\n{limits}\n\
                 [syncs.staff.map]\n{}\n",
                self.matched, self.map
            ),
        );
        home.secret("config/secret", "sandbox\n");
        home.people(&rows(1..=12));
        home.run(&["sync"]).exits(0);
        (sim, home)
    }

    fn there(&self, sim: &Sim) -> Vec<String> {
        let key = |user: &Value| user[self.key].as_str().unwrap_or_default().to_string();
        let mut keys: Vec<String> = sim.users_of(self.name).iter().map(key).collect();
        keys.sort();
        keys
    }
}

fn without(n: usize) -> Vec<String> {
    rows(n + 1..=12)
}

#[test]
fn who_left_is_removed_once_and_comes_back_as_somebody_new() {
    for kind in KINDS {
        let (sim, home) = kind.staffed("", "");
        let mark = sim.mark();
        home.people(&without(2));
        let run = run_of(&home.run_json(&["sync"]).exits(0));
        assert_eq!(run["counts"]["delete"]["ok"], 2, "{}: {run:#}", kind.name);
        assert_eq!(sim.committed_since(mark, Op::Delete), 2);
        assert_eq!(kind.there(&sim), (3..=12).map(|n| format!("E{n:04}")).collect::<Vec<_>>());
        let rows_of = home.query("SELECT state, remote_id FROM v_users WHERE key = 'E0001'");
        assert_eq!(rows_of, [[json!("deleted"), Value::Null]]);
        let counts = home.query("SELECT deleted, banned FROM v_runs ORDER BY started_at DESC LIMIT 1");
        assert_eq!(counts, [[json!(2), json!(0)]]);

        let mark = sim.mark();
        let again = run_of(&home.run_json(&["sync"]).exits(0));
        assert_eq!((&again["planned"], sim.writes_since(mark)), (&json!({}), vec![]));
        let undone = home.run_json(&["undo", run["run"].as_str().expect("an id")]);
        assert!(undone.stdout.contains("can't be undone") || undone.stderr.contains("can't be undone"), "{undone:?}");
        assert!(sim.writes_since(mark).is_empty());

        home.people(&without(1));
        assert_eq!(run_of(&home.run_json(&["sync"]).exits(0))["counts"]["create"]["ok"], 1);
        // Removed behind our back: that is what was wanted.
        sim.script(json!({"method": "DELETE", "nth": 1, "do": "commit-then-close"}));
        home.people(&without(2));
        let run = run_of(&home.run_json(&["sync"]).exits(0));
        assert_eq!(run["counts"]["delete"]["ok"], 1, "{run:#}");
        let outcome = outcomes(&home, &["--run", run["run"].as_str().expect("an id")]).pop().expect("an outcome");
        assert_eq!((&outcome["reason"], &outcome["attempts"]), (&json!("already gone"), &json!(2)), "{outcome}");
    }
}

#[test]
fn deletes_draw_on_the_limits_of_bans() {
    for kind in KINDS {
        for (count, code) in [(2, 0), (3, 0), (4, 3)] {
            let (sim, home) = kind.staffed("", "ban = 3");
            home.people(&without(count));
            let mark = sim.mark();
            home.run(&["plan"]).exits(code);
            if code == 0 {
                home.run(&["sync"]).exits(0);
                assert_eq!(sim.committed_since(mark, Op::Delete), count);
                continue;
            }
            let plan = held(&home, &["sync"], "ban", 4, 3);
            assert!(sim.writes_since(mark).is_empty());
            let shown = home.run_json(&["plans", "show", &plan]).exits(0).json();
            assert_eq!(shown["counts"], json!({"delete": 4}));
            home.run(&["approve", &plan]).exits(0);
            assert_eq!(sim.committed_since(mark, Op::Delete), 4);
            home.run(&["approve", &plan]).exits(3);
        }
    }
}

#[test]
fn deletes_of_a_day_add_up_and_never_take_everybody() {
    for kind in KINDS {
        let (sim, home) = kind.staffed("", "ban = \"unlimited\"\nban_per_day = 4");
        home.people(&without(2));
        home.run(&["sync"]).exits(0);
        home.people(&without(5));
        let mark = sim.mark();
        held(&home, &["sync"], "ban_per_day", 5, 4);
        assert!(sim.writes_since(mark).is_empty());
        home.people(&without(4));
        home.run(&["sync"]).exits(0);
        replace(&home, "ban_per_day = 4", "ban_per_day = \"unlimited\"");
        home.people(&[row(20).replace(",active", ",left")]);
        held(&home, &["sync"], "ban_all", 8, 7);
        home.people(&rows([12]));
        home.run(&["sync"]).exits(0);
        assert_eq!(kind.there(&sim), ["E0012"]);
    }
}

#[test]
fn whoever_may_not_be_banned_is_not_deleted_either() {
    for kind in KINDS {
        let (sim, home) = kind.staffed("protect = [\"E0001\"]\nleave_grace = \"1d\"", "");
        let mark = sim.mark();
        // A bad row of one's own, a row that could be anybody's, protection, grace.
        home.people(&[vec!["E0002,Ann".into(), row(90).replacen("E0090", "", 1)], rows(4..=12)].concat());
        let run = run_of(&later(&home, 0, &["sync", "--format", "json"]).exits(75));
        let told = |run: &Value| -> Vec<(Value, Value)> {
            let all = outcomes(&home, &["--run", run["run"].as_str().expect("an id"), "--status", "skipped"]);
            all.into_iter().map(|o| (o["key"].clone(), o["reason"].clone())).collect()
        };
        assert_eq!(told(&run), [(json!("E0001"), json!("protected")), (json!("E0003"), json!("keyless row"))]);
        home.people(&rows(4..=12));
        let run = run_of(&later(&home, 60, &["sync", "--format", "json"]).exits(0));
        let grace = ["E0002", "E0003"].map(|key| (json!(key), json!("grace")));
        assert_eq!(told(&run), [vec![(json!("E0001"), json!("protected"))], grace.to_vec()].concat());
        assert!(sim.writes_since(mark).is_empty());
        let run = run_of(&later(&home, DAY + 120, &["sync", "--format", "json"]).exits(0));
        assert_eq!(run["counts"], json!({"delete": {"ok": 2, "failed": 0, "unknown": 0, "held": 0, "skipped": 0}}));
        assert_eq!(kind.there(&sim).len(), 10);
    }
}

#[test]
fn who_was_banned_already_stays_banned() {
    for kind in KINDS {
        let (sim, home) = kind.staffed("", "");
        replace(&home, "on_leave = \"delete\"", "on_leave = \"ban\"");
        home.people(&without(1));
        assert_eq!(run_of(&home.run_json(&["sync"]).exits(0))["counts"]["ban"]["ok"], 1);
        replace(&home, "on_leave = \"ban\"", "on_leave = \"delete\"");
        let mark = sim.mark();
        assert_eq!(run_of(&home.run_json(&["sync"]).exits(0))["planned"], json!({}));
        assert!(sim.since(mark).iter().all(|r| !r.write || r.path.ends_with("/login") || r.path.ends_with("/logout")));
        assert_eq!(kind.there(&sim).len(), 12);
    }
}

/// A field that a ban can't free must not say that its value is handed on: nothing would be freed, and whoever comes
/// back under a new key would be banned.
#[test]
fn check_refuses_to_release_by_a_ban_what_a_ban_can_not_free() {
    for kind in KINDS {
        for field in [kind.matched, kind.key] {
            let (sim, home) = kind.staffed(&format!("release_on_ban = [\"{field}\"]"), "");
            home.run(&["check"]).exits(0);
            replace(&home, "on_leave = \"delete\"", "on_leave = \"ban\"");
            let ran = home.run_json(&["check"]).exits(78).json();
            let error = &ran["errors"][0];
            let text = |name: &str| error[name].as_str().unwrap_or_default().to_string();
            assert_eq!(error["key"], "syncs.staff.release_on_ban.0", "{ran:#}");
            assert!(error["line"].is_u64() && text("message").contains(field), "{ran:#}");
            assert!(text("help").contains("take") && text("help").contains("on_leave = \"delete\""), "{ran:#}");
            // Nobody is banned by a run either.
            home.people(&[without(1), vec![super::with(90, "p1@acme.example", "Nurse")]].concat());
            let mark = sim.mark();
            home.run(&["sync"]).exits(78);
            assert!(sim.since(mark).is_empty());
            // Without it the two may be one person, as ever.
            replace(&home, &format!("release_on_ban = [\"{field}\"]"), "");
            home.run(&["check"]).exits(0);
            let run = run_of(&home.run_json(&["sync"]).exits(75));
            assert_eq!(run["counts"]["ban"], json!(null), "{run:#}");
        }
    }
}

#[test]
fn what_a_removed_account_had_is_free_for_a_newcomer_of_the_same_run_where_that_was_said() {
    for kind in KINDS {
        for bans_first in [true, false] {
            let settings = format!("release_on_ban = [\"{}\"]\nbans_first = {bans_first}", kind.matched);
            let (sim, home) = kind.staffed(&settings, "");
            let mark = sim.mark();
            home.people(&[without(1), vec![super::with(90, "p1@acme.example", "Nurse")]].concat());
            let run = run_of(&home.run_json(&["sync"]).exits(0));
            assert_eq!(
                (&run["counts"]["delete"]["ok"], &run["counts"]["create"]["ok"]),
                (&json!(1), &json!(1)),
                "{run:#}"
            );
            super::no_conflict_since(&sim, mark);
            assert!(kind.there(&sim).contains(&"E0090".to_string()));
        }
        // Where it was not said, they may be one person.
        let (sim, home) = kind.staffed("", "");
        let mark = sim.mark();
        home.people(&[without(1), vec![super::with(90, "p1@acme.example", "Nurse")]].concat());
        let run = run_of(&home.run_json(&["sync"]).exits(75));
        let left = outcomes(&home, &["--run", run["run"].as_str().expect("an id"), "--key", "E0001"]);
        assert_eq!(left[0]["reason"], "rekey_suspected", "{left:?}");
        assert_eq!((sim.committed_since(mark, Op::Delete), sim.committed_since(mark, Op::Create)), (0, 0));
    }
}

/// HR may go on listing a leaver, and change them: without an account they are nobody that a newcomer could be.
#[test]
fn whose_account_was_removed_before_is_no_suspect_though_their_record_changes() {
    let left = |title: &str| super::with(1, "p1@acme.example", title).replace(",active", ",left");
    let others = |first: Vec<String>| [first, without(1)].concat();
    for kind in KINDS {
        let (sim, home) = kind.staffed("", "");
        home.people(&others(vec![left("Nurse")]));
        home.run(&["sync"]).exits(0);
        let mark = sim.mark();
        home.people(&others(vec![left("Retired"), super::with(90, "p1@acme.example", "Nurse")]));
        let run = run_of(&home.run_json(&["sync"]).exits(0));
        assert_eq!(run["counts"]["create"]["ok"], 1, "{run:#}");
        super::no_conflict_since(&sim, mark);
        assert!(kind.there(&sim).contains(&"E0090".to_string()));
    }
}

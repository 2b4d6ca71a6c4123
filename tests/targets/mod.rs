//! Each target through the real binary: the same story of people who come, move, lose a value, leave, return and are
//! renamed, then what is particular to each.

mod catalogues;
mod club;
mod foreign;
mod juicebox;
mod juno;
mod lies;
mod listings;
mod longjump;
mod network;
mod rest;
mod scim;
mod sessions;

use std::fs;

use rosterd::sandbox::Op;
use serde_json::Value;

use crate::support::{Home, Sim};

/// How the story is told to one target, and read there.
pub struct PersonReport {
    /// The name in the sandbox.
    pub target: &'static str,
    /// `[targets.there]`, with `{url}` for the sandbox.
    pub settings: &'static str,
    /// The lines of `[syncs.staff.map]`.
    pub map: &'static str,
    /// Names as the target has them: key, e-mail, first name, city, title. JSON pointers.
    pub key: &'static str,
    pub email: &'static str,
    pub first_name: &'static str,
    pub city: &'static str,
    pub title: &'static str,
    /// Whether an account can be used.
    pub is_active: fn(&Value) -> bool,
    /// Accounts that are there before, for the adoption: `{key}` and `{email}` are put in.
    pub seed: &'static str,
}

/// A sandbox and a home that is configured for one target.
pub struct Bench {
    pub sim: Sim,
    pub home: Home,
    pub story: PersonReport,
}

const HEADER: &str = "employee_id,first_name,last_name,email,title,city,status\n";

impl Bench {
    pub fn new(story: PersonReport) -> Bench {
        let (sim, home) = (Sim::start(), Home::empty());
        let settings = story.settings.replace("{url}", &sim.url());
        home.write(
            "config/rosterd.toml",
            &format!(
                "[state]\npath = \"../state/rosterd.db\"\n\n\
                 [sources.hr]\nkind = \"csv\"\npath = \"hr.csv\"\nkey = \"employee_id\"\nrequired = [\"status\"]\n\
                 max_shrink = \"unlimited\"\n\n\
                 [targets.there]\n{settings}\nrate = \"1000/s\"\nburst = 100\ntimeout = \"3s\"\nsettle = \"0s\"\n\
                 retry = {{ attempts = 3, base = \"10ms\", max = \"1s\" }}\n\n\
                 [syncs.staff]\nsource = \"hr\"\ntarget = \"there\"\ninclude = 'status == \"active\"'\n\
                 match = [\"{}\"]\n[syncs.staff.limits]\nban = \"unlimited\"\nban_per_day = \"unlimited\"\n\
                 clear = \"unlimited\"\n[syncs.staff.map]\n{}\n",
                story.email_field(),
                story.map
            ),
        );
        home.secret("config/secret", "sandbox\n");
        Bench { sim, home, story }
    }

    /// Writes the source and runs `sync`, which must end with this code.
    #[track_caller]
    pub fn sync(&self, rows: &[&str], code: i32) -> Value {
        self.home.write("config/hr.csv", &format!("{HEADER}{}\n", rows.join("\n")));
        self.home.run_json(&["sync"]).exits(code).json()
    }

    /// The account of this key or address; panics when there are several.
    #[track_caller]
    pub fn account(&self, key: &str) -> Option<Value> {
        let mut found = self.sim.users_of(self.story.target);
        let at = |user: &Value, pointer| user.pointer(pointer).and_then(Value::as_str).map(str::to_string);
        found.retain(|u| {
            at(u, self.story.key).as_deref() == Some(key) || at(u, self.story.email).as_deref() == Some(key)
        });
        assert!(found.len() <= 1, "{} accounts of {key}", found.len());
        found.pop()
    }

    /// A value of an account; empty text when it has none.
    #[track_caller]
    pub fn value(&self, key: &str, pointer: &str) -> String {
        let account = self.account(key).unwrap_or_else(|| panic!("no account of {key}"));
        account.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_string()
    }

    #[track_caller]
    pub fn is_active(&self, key: &str) -> bool {
        (self.story.is_active)(&self.account(key).unwrap_or_else(|| panic!("no account of {key}")))
    }

    /// `on_leave = "delete"`: who leaves is removed for good, and comes back as somebody new.
    pub fn leavers_are_deleted(&self) {
        let config = fs::read_to_string(self.home.config()).expect("the configuration");
        let config = config.replace("target = \"there\"", "target = \"there\"\non_leave = \"delete\"");
        fs::write(self.home.config(), config).expect("written");
        self.sync(&[ANN, BOB], 0);
        let mark = self.sim.mark();
        let ran = self.sync(&[ANN], 0);
        assert_eq!(ran["runs"][0]["counts"]["delete"]["ok"], 1, "{ran}");
        assert_eq!(self.sim.committed_since(mark, Op::Delete), 1);
        assert_eq!(self.sim.users_of(self.story.target).len(), 1);
        let mark = self.sim.mark();
        self.sync(&[ANN], 0);
        assert_eq!(self.sim.writes_since(mark), []);
        let ran = self.sync(&[ANN, BOB], 0);
        assert_eq!(ran["runs"][0]["counts"]["create"]["ok"], 1, "{ran}");
        assert_eq!(self.sim.users_of(self.story.target).len(), 2);
    }

    /// Forgets everything that was acknowledged.
    pub fn lose_state(&self) {
        fs::remove_dir_all(self.home.path().join("state")).expect("the state");
    }
}

impl PersonReport {
    /// The field by which accounts are matched, as mappings call it: the first line of the map.
    fn email_field(&self) -> String {
        self.map.split('=').next().unwrap_or_default().trim().trim_matches('"').to_string()
    }
}

/// The people at the start: what an HR system holds, and what makes encoders stumble.
const ANN: &str = "E1,李,Müller 🎉,ann@acme.example,\"<&>\"\"'\",Zürich,active";
const BOB: &str = "E2,Bob,=1+1,bob@acme.example,CEO,Köln,active";

/// Comes, moves, loses a value, leaves, returns, is renamed.
pub fn whole_story(bench: &Bench) {
    let story = &bench.story;
    let ran = bench.sync(&[ANN, BOB], 0);
    assert_eq!(ran["runs"][0]["counts"]["create"]["ok"], 2, "{ran}");
    assert_eq!(bench.value("E1", story.first_name), "李");
    assert_eq!(bench.value("E1", story.city), "Zürich");
    assert_eq!(bench.value("E1", story.title), "<&>\"'");
    let everything = bench.account("E1").expect("Ann").to_string();
    assert!(everything.contains("Müller 🎉"), "{everything}");
    assert!(bench.account("E2").expect("Bob").to_string().contains("=1+1"));

    let unchanged = |rows: &[&str]| {
        let mark = bench.sim.mark();
        bench.sync(rows, 0);
        assert_eq!(bench.sim.writes_since(mark), [], "an unchanged rerun writes nothing");
    };
    unchanged(&[ANN, BOB]);

    let mark = bench.sim.mark();
    let moved = "E2,Bob,=1+1,bob@acme.example,CEO,Genève,active";
    bench.sync(&[ANN, moved], 0);
    assert_eq!(bench.value("E2", story.city), "Genève");
    assert_eq!(bench.value("E2", story.title), "CEO", "what did not change is as it was");
    assert_eq!(bench.sim.committed_since(mark, Op::Update), 1);
    unchanged(&[ANN, moved]);

    let cleared = "E2,Bob,=1+1,bob@acme.example,,Genève,active";
    bench.sync(&[ANN, cleared], 0);
    assert_eq!(bench.value("E2", story.title), "");
    unchanged(&[ANN, cleared]);

    bench.sync(&[ANN], 0);
    assert!(!bench.is_active("E2") && bench.is_active("E1"));
    unchanged(&[ANN]);

    let mark = bench.sim.mark();
    let back = "E2,Bob,=1+1,bob@acme.example,CTO,Genève,active";
    bench.sync(&[ANN, back], 0);
    assert!(bench.is_active("E2"));
    assert_eq!(bench.value("E2", story.title), "CTO");
    assert_eq!(bench.sim.committed_since(mark, Op::Create), 0, "a rehire has the account that they had");
    assert_eq!(bench.sim.committed_since(mark, Op::Reinstate), 1);

    let mark = bench.sim.mark();
    let renamed = "E2,Robert,=1+1,robert@acme.example,CTO,Genève,active";
    bench.sync(&[ANN, renamed], 0);
    assert_eq!(bench.value("robert@acme.example", story.first_name), "Robert");
    assert!(bench.account("bob@acme.example").is_none());
    assert_eq!(bench.sim.committed_since(mark, Op::Create), 0);
    unchanged(&[ANN, renamed]);
    // What follows a rename is addressed rightly.
    bench.sync(&[ANN, "E2,Robert,=1+1,robert@acme.example,CFO,Genève,active"], 0);
    assert_eq!(bench.value("robert@acme.example", story.title), "CFO");
}

/// Accounts that are there already are adopted; so are all of them when the state is lost.
pub fn adoption_and_lost_state(bench: &Bench) {
    let story = &bench.story;
    let seed = story.seed.replace("{key}", "").replace("{email}", "Bob@Acme.example");
    bench.sim.seed_in(story.target, serde_json::from_str(&seed).expect("accounts"));
    let mark = bench.sim.mark();
    let ran = bench.sync(&[ANN, BOB], 0);
    assert_eq!(ran["runs"][0]["counts"]["adopt"]["ok"], 1, "{ran}");
    assert_eq!(bench.sim.committed_since(mark, Op::Create), 1);
    assert_eq!(bench.value("E2", story.city), "Köln");
    bench.lose_state();
    let mark = bench.sim.mark();
    let ran = bench.sync(&[ANN, BOB], 0);
    assert_eq!(ran["runs"][0]["counts"]["adopt"]["ok"], 2, "{ran}");
    assert_eq!(bench.sim.writes_since(mark), [], "everybody is as they should be");
}

/// Somebody else writes to the target: another rosterd, with a state of its own.
fn elsewhere(bench: &Bench, does: impl FnOnce(&Bench)) {
    let config = fs::read_to_string(bench.home.config()).expect("the configuration");
    fs::write(bench.home.config(), config.replace("rosterd.db", "elsewhere.db")).expect("written");
    does(bench);
    fs::write(bench.home.config(), config).expect("written");
}

/// Every kind of difference between source, snapshot and target is told apart, and put right on request.
pub fn reconciling(bench: &Bench) {
    let person =
        |key: &str, title: &str| format!("{key},Ann,Lee,{}@acme.example,{title},Bern,active", key.to_lowercase());
    let (ann, bob, cat, dan, eve) =
        (person("E1", "CEO"), person("E2", "CEO"), person("E3", "CEO"), person("E4", "CEO"), person("E5", "CEO"));
    bench.sync(&[&ann, &bob, &cat], 0);
    bench.sync(&[&ann, &bob], 0);
    elsewhere(bench, |bench| {
        let (moved, stranger) = (person("E1", "Queen"), person("X9", "Spy"));
        bench.sync(&[&moved, &bob, &cat, &dan, &stranger], 0);
        bench.sync(&[&moved, &cat, &dan, &stranger], 0);
    });
    bench.home.write("config/hr.csv", &format!("{HEADER}{ann}\n{bob}\n{dan}\n{eve}\n"));

    let mark = bench.sim.mark();
    let report = bench.home.run_json(&["reconcile", "--detailed-exitcode"]).exits(2).json();
    let found = &report["syncs"][0];
    let keys = |list: &str| -> Vec<&str> {
        found[list].as_array().expect(list).iter().filter_map(|one| one["key"].as_str()).collect()
    };
    assert_eq!(keys("missing"), ["E5"], "{report}");
    assert_eq!(keys("drifted"), ["E1"], "{report}");
    assert_eq!(keys("banned_there"), ["E2"], "{report}");
    assert_eq!(keys("active_there"), ["E3"], "{report}");
    assert_eq!(keys("adoptable"), ["E4"], "{report}");
    assert_eq!(found["orphaned"].as_array().map(Vec::len), Some(1), "{report}");
    assert_eq!((&found["target_users"], &found["in_step"]), (&Value::from(5), &Value::from(0)), "{report}");
    let drift = found["drifted"][0]["fields"].as_object().expect("fields");
    for (field, values) in drift {
        assert_eq!((&values["expected"], &values["actual"]), (&"CEO".into(), &"Queen".into()), "{field}");
    }
    assert!(!drift.is_empty());
    assert_eq!(bench.sim.writes_since(mark), [], "a report writes nothing");

    let repaired = bench.home.run_json(&["reconcile", "--adopt", "--repair"]).exits(0).json();
    let counts = repaired["syncs"][0]["run"]["counts"].as_object().expect("counts").clone();
    let done: Vec<(&str, Option<u64>)> = counts.iter().map(|(op, n)| (op.as_str(), n["ok"].as_u64())).collect();
    let one = Some(1);
    assert_eq!(
        done,
        [("adopt", one), ("ban", one), ("create", one), ("reinstate", one), ("update", one)],
        "{repaired}"
    );
    assert_eq!(bench.value("E1", bench.story.title), "CEO");
    assert!(bench.is_active("E2") && !bench.is_active("E3") && bench.is_active("E5"));
    assert_eq!(bench.value("X9", bench.story.title), "Spy", "an orphan is never touched");
    assert!(bench.is_active("X9"));

    let mark = bench.sim.mark();
    let after = bench.home.run_json(&["reconcile"]).exits(0).json();
    let found = &after["syncs"][0];
    for list in ["missing", "drifted", "banned_there", "active_there", "adoptable"] {
        assert_eq!(found[list], serde_json::json!([]), "{list}: {after}");
    }
    assert_eq!((&found["in_step"], found["orphaned"].as_array().map(Vec::len)), (&Value::from(5), Some(1)), "{after}");
    bench.home.run(&["sync"]).exits(0);
    assert_eq!(bench.sim.writes_since(mark), [], "what was repaired is in step");
}

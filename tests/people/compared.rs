//! Comparing while reading plans what reading everything plans: for any sequence of exports, in whatever order and
//! however spoilt, the plan that is made of the rows that differ is the plan that is made of all rows.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

use rosterd::account::Clients;
use rosterd::account::budget::Budget;
use rosterd::config::settings::SyncSettings;
use rosterd::delivery::RunObserver;
use rosterd::domain::outcome::Outcome;
use rosterd::domain::record::Key;
use rosterd::os::clock::Clock;
use rosterd::plan::Plan;
use rosterd::run::{Announcements, Purpose, Reading, Runner, binding, make_plan, read_sources_quietly};
use rosterd::state::people::FindSync;
use rosterd::state::{Access, State};
use tokio_util::sync::CancellationToken;

use crate::support::{Home, Sim};

struct Nobody;

impl RunObserver for Nobody {
    fn begin(&self, _: &str, _: u64) {}
    fn outcome(&self, _: &Outcome) {}
}

/// Chance that is the same each time.
struct Chance(u64);

impl Chance {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % n
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}

/// The next export: who is there, what has changed of them, in which order, and how it is spoilt.
fn export(chance: &mut Chance) -> Vec<String> {
    let mut rows = Vec::new();
    for n in 0..40 {
        if chance.one_in(9) {
            continue;
        }
        let row = |chance: &mut Chance| {
            let title = ["Nurse", "Nurse", "Nurse", "Nurse", "Nurse", "Clerk"][chance.below(6)];
            let status = if chance.one_in(10) { "left" } else { "active" };
            let phone = if chance.one_in(12) { 7 } else { n };
            let key = if chance.one_in(15) { format!(" E{n:04} ") } else { format!("E{n:04}") };
            format!("{key},Ann,Miller{n},p{n}@acme.example,555-{phone},{title},Bern,{status}")
        };
        let first = row(chance);
        if chance.one_in(8) {
            rows.push((n, if chance.one_in(2) { first.clone() } else { row(chance) }));
        }
        rows.push((
            n,
            match chance.below(60) {
                0 => first + ",more",
                1 => first.replacen("Ann", "A\u{0}nn", 1),
                2 => format!(",Ann,Nobody{n},n{n}@acme.example,,Nurse,Bern,active"),
                3 => first.replacen("p", "no address ", 1),
                _ => first,
            },
        ));
    }
    match chance.below(4) {
        0 => rows.reverse(),
        1 => (1..rows.len()).rev().for_each(|at| rows.swap(at, chance.below(at + 1))),
        2 => {
            let (from, to) = (chance.below(rows.len()), chance.below(rows.len()));
            let moved = rows.remove(from);
            rows.insert(to.min(rows.len()), moved);
        }
        _ => {}
    }
    rows.into_iter().map(|(_, row)| row).collect()
}

/// Everything that a plan says.
fn told(plan: &Plan) -> String {
    let mut out = format!(
        "{} {:?} records {} excluded {} unchanged {} rejected {} of rows {} of {} skipped {} unresolved {:?} {:?} {:?}\n",
        plan.id,
        plan.counts,
        plan.source_records,
        plan.excluded,
        plan.unchanged,
        plan.rejected,
        plan.rejected_rows,
        plan.rows,
        plan.skipped,
        plan.unresolved,
        plan.shared,
        plan.reformatted,
    );
    for page in plan.pages() {
        for operation in page.expect("a page") {
            writeln!(out, "{}", serde_json::to_string(&operation).expect("JSON")).expect("written");
        }
    }
    plan.skip_pages().for_each(|page| writeln!(out, "{:?}", page.expect("a page")).expect("written"));
    plan.reject_pages().for_each(|page| writeln!(out, "{:?}", page.expect("a page")).expect("written"));
    out
}

fn runner(config: &Path, database: &Path) -> Runner {
    let state = rosterd::state::open(database, Access::Read).expect("the state").state;
    let settings = rosterd::config::load(&[config.to_path_buf()], []).expect("a right configuration").settings;
    let counted = State::in_memory().expect("a state");
    let clients = Clients::new(counted, Clock::system(), Budget::to_look(&state).expect("a budget"));
    Runner {
        settings: Arc::new(settings),
        clients: Arc::new(clients),
        state,
        clock: Clock::system(),
        stop: CancellationToken::new(),
        observer: Arc::new(Nobody),
        resident: false,
        announcements: Announcements::default(),
    }
}

/// The source as it is.
async fn read(runner: &Runner, purpose: Purpose<'_>) -> Vec<Reading> {
    let syncs: Vec<Arc<SyncSettings>> = runner.settings.syncs.values().cloned().collect();
    let readings = read_sources_quietly(&runner.settings, &syncs, &runner.state, &runner.clock, purpose).await;
    readings.expect("the state")
}

/// What is planned of what was read, by sync.
async fn planned(runner: &Runner, only: &BTreeSet<Key>, readings: Vec<Reading>) -> Vec<String> {
    let mut plans = Vec::new();
    for (read, syncs) in readings {
        let read = match read {
            Ok(read) => read,
            Err(failure) => {
                plans.push(failure.to_string());
                continue;
            }
        };
        for sync in syncs {
            let known = runner.state.ask(FindSync(binding(&sync))).await.expect("the state");
            let client = runner.clients.of(&sync.target).expect("a client");
            plans.push(match make_plan(runner, &sync, &client, &read, known, only).await {
                Ok(plan) => told(&plan),
                Err(failure) => failure.to_string(),
            });
        }
    }
    plans
}

#[test]
fn what_is_planned_from_the_rows_that_differ_is_what_is_planned_from_all() {
    let tokio = tokio::runtime::Runtime::new().expect("a runtime");
    for seed in 1..=4 {
        let mut chance = Chance(seed * 7919);
        let sim = Sim::start();
        let home = Home::juno(&sim.juno());
        let base = std::fs::read_to_string(home.config()).expect("a configuration");
        for round in 0..6 {
            home.people(&export(&mut chance));
            // Another mapping of the same meaning, or of another, now and then.
            configure(&home, &base, &second_sync(&sim, chance.below(4), chance.below(4)));
            if round > 0 {
                let only: BTreeSet<Key> = match chance.below(3) {
                    0 => (0..4).filter_map(|_| Key::parse(&format!("E{:04}", chance.below(45)))).collect(),
                    _ => BTreeSet::new(),
                };
                let runner = runner(&home.config(), &home.database());
                let plan = |readings| tokio.block_on(planned(&runner, &only, readings));
                let differing = Purpose::Plan { only: &only, if_changed: false, on: None };
                let all = || tokio.block_on(read(&runner, Purpose::Everything));
                let some = || tokio.block_on(read(&runner, differing));
                assert_eq!(plan(some()), plan(all()), "seed {seed}, round {round}");
                // Somebody else's run comes between reading and planning.
                let (all, some) = (all(), some());
                home.run(&["sync"]);
                assert_eq!(plan(some), plan(all), "seed {seed}, round {round}, planned late");
            }
            home.run(&["sync"]);
        }
    }
}

/// Another sync on the source, of another platform, with another mapping and other people in scope. Of the ways in which both
/// are written the first three mean the same.
fn second_sync(sim: &Sim, name: usize, include: usize) -> String {
    let name =
        ["last_name.upperAscii()", "last_name.upperAscii() + ''", "('' + last_name).upperAscii()", "last_name"][name];
    let nurses = ["title == \"Nurse\"", "!(title != \"Nurse\")", "\"Nurse\" == title", "title != \"\""][include];
    format!(
        "[targets.scim]\nkind = \"scim\"\nbase_url = \"{}/scim/v2\"\nauth = {{ kind = \"bearer\", token = {{ file = \"juno.token\" }} }}\n\
         rate = \"10000/s\"\n[syncs.second]\nsource = \"hr\"\ntarget = \"scim\"\ninclude = '{nurses}'\n\
         limits = {{ ban = \"unlimited\", ban_per_day = \"unlimited\" }}\n[syncs.second.map]\nuserName = \"email\"\n\
         externalId = \"employee_id\"\n\"name.familyName\" = {{ cel = \"{name}\" }}\n\
         [syncs.staff.limits]\nban = \"unlimited\"\nban_per_day = \"unlimited\"\n",
        sim.url()
    )
}

fn configure(home: &Home, base: &str, more: &str) {
    std::fs::write(home.config(), format!("{base}\n{more}\n")).expect("the configuration");
}

/// By key, the fingerprint that the second sync remembers.
fn fingerprints(home: &Home) -> BTreeMap<String, Vec<u8>> {
    let db = rusqlite::Connection::open(home.database()).expect("the database");
    let mut query = db
        .prepare("SELECT key, fingerprint FROM person JOIN sync ON sync.id = person.sync WHERE name = 'second'")
        .expect("a query");
    let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).expect("rows");
    rows.map(|row| row.expect("a row")).collect()
}

#[test]
fn another_mapping_of_the_same_meaning_writes_to_nobody_and_is_evaluated_once() {
    let sim = Sim::start();
    let home = Home::juno(&sim.juno());
    let base = std::fs::read_to_string(home.config()).expect("a configuration");
    configure(&home, &base, &second_sync(&sim, 0, 0));
    let row = |n: usize, name: &str, title: &str| {
        format!("E{n:04},Ann,{name}{n},p{n}@acme.example,555-{n},{title},Bern,active")
    };
    let title = |n: usize| if n.is_multiple_of(5) { "Clerk" } else { "Nurse" };
    let mut rows: Vec<String> = (0..60).map(|n| row(n, "Miller", title(n))).collect();
    for order in ["by key", "backwards"] {
        home.people(&rows);
        home.run(&["sync"]);
        let before = fingerprints(&home);
        configure(&home, &base, &second_sync(&sim, 1, 1));
        // One of them has changed as well.
        let changed = rows.iter_mut().find(|row| row.starts_with("E0031")).expect("somebody");
        *changed = row(31, if order == "by key" { "Weaver" } else { "Baker" }, "Nurse");
        home.people(&rows);
        let mark = sim.mark();
        home.run(&["sync"]);
        let written: Vec<Box<str>> = sim.writes_since(mark).into_iter().map(|request| request.path).collect();
        assert_eq!(written.len(), 2, "{order}: on each platform the one who has changed: {written:?}");
        let after = fingerprints(&home);
        assert!(before.iter().all(|(key, print)| after.get(key).is_some_and(|new| new != print)), "{order}");
        home.run(&["sync"]);
        assert_eq!(fingerprints(&home), after, "{order}");
        configure(&home, &base, &second_sync(&sim, 0, 0));
        rows.reverse();
    }
}

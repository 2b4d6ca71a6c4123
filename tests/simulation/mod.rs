//! The simulation: production's sources, planner, limits, delivery and state on a simulated clock, against a scripted
//! target that lies, a source whose roster moves while it is read, and a disk that fills up, with processes that
//! are killed at any step. Only clock, the target's socket and file faults are not real.
//!
//! Everything is drawn from a seed. A failing seed is printed, and `SEED=n cargo test --test all simulation` plays it
//! again exactly. `SEEDS=n` says how many are tried; `.ci/simulation` tries five thousand. `LIES=late,pages` plays with
//! these lies alone, `ENOUGH=n` goes on until so many seeds have failed.

mod checks;
mod network;
mod process;
mod roster;
mod source;
mod target;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rosterd::config::Settings;
use rosterd::config::settings::{
    FileSettings, FormatSettings, OnIncomplete, SourceKind, SourceSettings, SyncSettings, TargetSettings, TextSettings,
};
use rosterd::domain::exit::Exit;
use rosterd::domain::limits::Limit;
use rosterd::domain::outcome::Outcome;
use rosterd::domain::units::Rate;
use rosterd::run::RunSummary;

use self::network::Conditions;
use self::process::{Ended, Machine, RunSetup};
use self::roster::Roster;
use self::source::SourceServer;
use self::target::SimulatedTarget;

/// How many seeds are tried unless `SEEDS` says otherwise: what a debug build plays in a minute or so.
const SEEDS: u64 = 100;

/// Retries that every run has for free, as the delivery module promises.
const FREE_RETRIES: u64 = 20;

/// What a worker needs for all of its seeds.
struct Stage {
    dir: tempfile::TempDir,
    base: Settings,
    source: SourceServer,
}

impl Stage {
    fn set() -> Stage {
        let dir = tempfile::tempdir().expect("a directory");
        let config = dir.path().join("rosterd.toml");
        std::fs::write(&config, roster::CONFIGURATION).expect("written");
        std::fs::write(dir.path().join("hr.csv"), roster::HEADER).expect("written");
        let base = rosterd::config::load(&[config], []).expect("a right configuration").settings;
        Stage { dir, base, source: SourceServer::open() }
    }

    fn file(&self) -> std::path::PathBuf {
        self.dir.path().join("hr.csv")
    }

    /// The roster's file.
    fn csv(&self) -> SourceKind {
        let text = TextSettings { delimiter: b',', quote: b'"', encoding: "utf-8".into(), trailer: None };
        SourceKind::File(FileSettings { path: self.file(), format: FormatSettings::Csv(text) })
    }

    /// The same roster by pages.
    fn pages(&self) -> SourceKind {
        let mut kind = self.base.sources["office"].kind.clone();
        if let SourceKind::Http(http) = &mut kind {
            let http = Arc::make_mut(http);
            let mut url = http.url.whole();
            url.set_port(Some(self.source.address.port())).expect("it has a port");
            http.url = url.into();
        }
        kind
    }
}

/// The settings of one seed.
fn settings(stage: &Stage, chance: &mut StdRng) -> Settings {
    let base = &stage.base;
    let mut settings = base.clone();
    let target = &base.targets["juno"];
    let rate = [5, 20, 100, 1000][chance.random_range(0..4)];
    let target = Arc::new(TargetSettings {
        rate: Rate { count: rate, per: Duration::from_secs(1) },
        burst: [1, 2, 10][chance.random_range(0..3)],
        concurrency: chance.random_range(1..9),
        ..TargetSettings::clone(target)
    });
    let kind = if chance.random_bool(0.25) { stage.pages() } else { stage.csv() };
    let mut hr = SourceSettings { kind, ..SourceSettings::clone(&base.sources["hr"]) };
    if chance.random_bool(0.5) {
        hr.gate.on_incomplete = OnIncomplete::NoBans;
    }
    let hr = Arc::new(hr);
    let mut sync = SyncSettings {
        source: Arc::clone(&hr),
        target: Arc::clone(&target),
        ..SyncSettings::clone(&base.syncs["staff"])
    };
    sync.bans_first = chance.random_bool(0.7);
    if chance.random_bool(0.3) {
        sync.limits.failures = Limit::AtMost { count: Some(chance.random_range(0..5)), percent: None };
    }
    settings.targets.insert("juno".into(), target);
    settings.sources.insert("hr".into(), hr);
    settings.syncs.insert("staff".into(), Arc::new(sync));
    settings
}

/// Plays one seed; what it found broken, and the hash of its story.
fn play(stage: &Stage, seed: u64) -> (Vec<String>, String) {
    let mut chance = StdRng::seed_from_u64(seed);
    let settings = settings(stage, &mut chance);
    let mut world = SimulatedTarget::new(seed ^ 0x5eed, chance.random_bool(0.7));
    world.aloud = asked("SEED").is_some();
    stage.source.begin(seed ^ 0xface);
    let machine = Machine {
        settings: Arc::new(settings),
        database: Arc::new(Mutex::new(rosterd::state::in_memory().expect("a database"))),
        world: Arc::new(Mutex::new(world)),
        now: Arc::new(AtomicU64::new(0)),
        seed,
    };
    let mut play = SeedRun { machine, stage, roster: Roster::first(&mut chance), chance, broken: Vec::new() };
    play.roster.seed_world(&mut play.machine.world.lock().expect("sound"), &mut play.chance);
    for day in 0..1 + u32::from(play.chance.random_bool(0.6)) {
        if day > 0 {
            play.roster.change(&mut play.chance);
        }
        play.publish();
        for _ in 0..play.chance.random_range(1..3) {
            play.stormy_life();
        }
        play.calm_down();
        play.judge();
        if !play.broken.is_empty() {
            break;
        }
    }
    if play.broken.is_empty() && play.chance.random_bool(0.1) && network::told("reused") {
        play.an_id_is_given_to_somebody_else();
    }
    let mut world = play.machine.world.lock().expect("sound");
    play.broken.append(&mut world.broken);
    let story = world.story.finalize().to_hex().to_string();
    drop(world);
    (play.broken, story)
}

/// One seed under way.
struct SeedRun<'a> {
    machine: Machine,
    stage: &'a Stage,
    roster: Roster,
    chance: StdRng,
    broken: Vec<String>,
}

impl SeedRun<'_> {
    /// The roster as it is now, for all to know.
    fn publish(&mut self) {
        std::fs::write(self.stage.file(), self.roster.csv()).expect("written");
        self.stage.source.export().set(self.roster.export());
        self.world().employed = self.roster.employed();
    }

    fn world(&self) -> MutexGuard<'_, SimulatedTarget> {
        self.machine.world.lock().expect("sound")
    }

    /// A life in which anything may happen.
    fn stormy_life(&mut self) {
        let conditions = match self.chance.random_range(0..10) {
            0 => Conditions::WritesRefused,
            1 => Conditions::Down,
            2 => Conditions::Working,
            _ => Conditions::Faulty(self.chance.random_range(1..50)),
        };
        self.world().conditions = conditions;
        self.stage.source.export().restless = 50;
        let mut arranged = RunSetup::default();
        match self.chance.random_range(0..10) {
            0..5 => arranged.killed_at = Some(self.chance.random_range(1..100)),
            5 => {
                let from = self.chance.random_range(1..100);
                arranged.full = Some((from, from + self.chance.random_range(1..60)));
            }
            6 => arranged.pages_left = Some(self.chance.random_range(0..6)),
            7 => arranged.stopped_after = Some(self.chance.random_range(0..3000)),
            _ => {}
        }
        arranged.repairs = self.chance.random_bool(0.15);
        self.life(arranged);
    }

    fn life(&mut self, arranged: RunSetup) -> Option<Vec<RunSummary>> {
        let runs_before = self.runs();
        let conditions = self.world().conditions;
        let (ended, told) = self.machine.live(arranged);
        if asked("SEED").is_some() {
            eprintln!("{conditions:?} {arranged:?}\n  {ended:?}\n  {told:?}");
        }
        self.judge_budget(conditions);
        let new: Vec<String> = self.runs().into_iter().filter(|run| !runs_before.contains(run)).collect();
        let written = std::mem::take(&mut self.world().seen.written);
        let summaries = match ended {
            Ended::Killed => None,
            Ended::Refused(failure) => {
                self.expect(Exit::from(failure.error) == Exit::Io, || format!("a run was refused: {failure}"));
                None
            }
            Ended::Endless => {
                self.broken.push("a run did not come to an end".into());
                None
            }
            Ended::Finished(summaries) => {
                self.judge_sums(&summaries, &told);
                Some(summaries)
            }
        };
        // The next life begins at once or a while later, and has to account for what this one has written.
        let pause = self.chance.random_range(0..8_000);
        self.machine.wait(pause);
        if let Some(run) = new.first() {
            self.pending_outcomes(run, written);
        } else {
            self.expect(written.is_empty(), || "something was sent outside a run".into());
        }
        summaries
    }

    /// Whoever was written to has an outcome in that run, at the latest after the next start.
    fn pending_outcomes(&mut self, run: &str, written: std::collections::BTreeSet<String>) {
        self.roster.owed.push((run.to_string(), written));
    }

    fn expect(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.broken.push(what());
        }
    }

    fn runs(&self) -> Vec<String> {
        let db = self.machine.database.lock().expect("sound");
        let mut statement = db.prepare("SELECT id FROM run").expect("SQL");
        statement.query_map([], |row| row.get(0)).expect("readable").map(|id| id.expect("text")).collect()
    }

    /// In a storm, retries cost no more than a fifth of the operations and the floor.
    fn judge_budget(&mut self, conditions: Conditions) {
        let writes = self.world().seen.writes.clone();
        let (requests, operations) = (writes.values().sum::<u64>(), writes.len() as u64);
        if conditions == Conditions::WritesRefused {
            let most = operations + operations / 5 + FREE_RETRIES;
            self.expect(requests <= most, || format!("{requests} requests for {operations} operations in a storm"));
        }
    }

    /// Everything planned has one outcome, and what was told is what was counted.
    fn judge_sums(&mut self, summaries: &[RunSummary], told: &[Outcome]) {
        for run in summaries {
            let failed_below = run.error.as_ref().is_some_and(|e| matches!(e.code, Exit::Io | Exit::Internal));
            let planned: u64 = run.planned.values().sum();
            let counted: u64 = run.counts.values().map(|c| c.ok + c.failed + c.unknown + c.held + c.skipped).sum();
            let of_run = told.iter().filter(|o| o.run == run.run && o.op.is_some()).count() as u64;
            let sent = run.error.as_ref().is_none_or(|e| e.code == Exit::Partial && counted > 0);
            if sent && !failed_below {
                self.expect(planned == counted, || {
                    format!("{planned} planned, {counted} counted: {:?} {:?}", run.planned, run.counts)
                });
                self.expect(of_run >= counted, || format!("{of_run} told, {counted} counted"));
            }
        }
    }

    /// Everything works from here, and runs follow until nothing is left over. Every now and then one more has to find nothing
    /// to do, and a second repair too: the first may have had something to set right that only a look at everybody shows.
    fn calm_down(&mut self) {
        self.machine.wait(60_000); // whatever was under way has arrived
        self.world().conditions = Conditions::Working;
        self.stage.source.export().restless = 0;
        let rested = (0..3).any(|_| good(&self.life(RunSetup::default()).unwrap_or_default()));
        self.expect(rested, || "three calm runs did not come to rest".into());
        if self.chance.random_bool(0.2) {
            self.finds_nothing_to_do("an unchanged rerun", RunSetup::default());
        }
        if self.chance.random_bool(0.15) {
            let repair = RunSetup { repairs: true, ..RunSetup::default() };
            let repaired = self.life(repair).is_some_and(|runs| good(&runs));
            self.expect(repaired, || "a calm repair did not come to its end".into());
            self.finds_nothing_to_do("a second repair", repair);
        }
    }

    fn finds_nothing_to_do(&mut self, what: &str, arranged: RunSetup) {
        let runs = self.life(arranged).unwrap_or_default();
        let idle = good(&runs) && runs.iter().all(|run| run.planned.is_empty());
        let writes = self.world().seen.writes.len();
        let told = |run: &RunSummary| format!("{:?} {:?} {:?}", run.planned, run.counts, run.exit);
        let told: Vec<String> = runs.iter().map(told).collect();
        self.expect(idle && writes == 0, || format!("{what} found something to do: {}", told.join("; ")));
    }

    /// An account is removed behind our back, and its id given to the head of the company. Whatever happens to the person
    /// who had it, the head keeps their access, and nothing is confirmed of the person by an answer about the head.
    fn an_id_is_given_to_somebody_else(&mut self) {
        let Some((key, leaves)) = self.roster.something_happens_to_one(&mut self.chance) else { return };
        let named = self.chance.random_bool(0.5);
        let Some(id) = self.world().give_away(&key, named) else { return };
        self.publish();
        let before = self.runs();
        for repairs in [false, self.chance.random_bool(0.5)] {
            self.life(RunSetup { repairs, ..RunSetup::default() });
        }
        let after: Vec<String> = self.runs().into_iter().filter(|run| !before.contains(run)).collect();
        let banned = self.world().account(&id).and_then(|head| head.get("banned").cloned());
        self.expect(banned == Some(false.into()), || "the head of the company was banned by an old id".into());
        if named && !leaves {
            let confirmed = roster::confirmed(&self.machine.database.lock().expect("sound"), &key, &id, &after);
            self.expect(!confirmed, || format!("{key} was confirmed by an answer about the head of the company"));
        }
    }

    fn judge(&mut self) {
        let found = {
            let world = self.machine.world.lock().expect("sound");
            let db = self.machine.database.lock().expect("sound");
            let mut found = self.roster.judge(&world);
            found.extend(roster::judge_snapshot(&world, &db));
            found.extend(roster::judge_ledger(&db, &self.roster.owed));
            found.extend(judge_rate(&world.arrivals, &self.machine.settings.targets["juno"]));
            found
        };
        self.broken.extend(found);
    }
}

fn good(runs: &[RunSummary]) -> bool {
    !runs.is_empty() && runs.iter().all(|run| run.exit == Exit::Ok)
}

/// No window of a second, nor of any other length, holds more than the rate allows.
fn judge_rate(arrivals: &[u64], target: &TargetSettings) -> Vec<String> {
    let most = (target.rate.count + target.burst) as usize;
    let fullest = (0..arrivals.len())
        .map(|i| arrivals[i..].iter().take_while(|at| **at - arrivals[i] <= 999).count())
        .max()
        .unwrap_or(0);
    (fullest > most).then(|| format!("{fullest} requests in a second, {most} allowed")).into_iter().collect()
}

/// Plays these seeds on as many threads as the machine has; what was broken, by seed.
fn play_all(seeds: std::ops::Range<u64>, prepare: impl Fn() + Sync, enough: usize) -> BTreeMap<u64, Vec<String>> {
    let next = AtomicU64::new(seeds.start);
    let broken = Mutex::new(BTreeMap::new());
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                prepare();
                let stage = Stage::set();
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end || broken.lock().expect("sound").len() >= enough {
                        return;
                    }
                    let played = catch_unwind(AssertUnwindSafe(|| play(&stage, seed).0));
                    let found = played.unwrap_or_else(|_| vec!["it panicked".into()]);
                    if !found.is_empty() {
                        broken.lock().expect("sound").insert(seed, found);
                    }
                }
            });
        }
    });
    broken.into_inner().expect("sound")
}

fn asked(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

#[test]
fn whatever_happens_everybody_ends_up_right_once() {
    let seeds = match asked("SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..asked("SEEDS").unwrap_or(SEEDS),
    };
    let broken = play_all(seeds, || {}, asked("ENOUGH").unwrap_or(3) as usize);
    for (seed, found) in &broken {
        eprintln!("SEED={seed}:\n  {}", found.join("\n  "));
    }
    assert!(
        broken.is_empty(),
        "play it again: SEED={} cargo test --test all simulation",
        broken.keys().next().unwrap_or(&0)
    );
}

#[test]
fn a_seed_plays_the_same_twice() {
    let stage = Stage::set();
    for seed in 0..20 {
        assert_eq!(play(&stage, seed), play(&stage, seed), "seed {seed}");
    }
}

#[cfg(any(debug_assertions, feature = "failpoints"))]
mod with_failpoints {
    use super::*;
    use rosterd::failpoints::{Failpoint, choose};

    /// A broken promise must be noticed within this many seeds.
    const WITHIN: u64 = 1_000;

    /// It is noticed, and the seed that noticed it plays again exactly.
    fn is_noticed(failpoint: Failpoint) {
        let broken = play_all(0..WITHIN, || choose(Some(failpoint)), 1);
        let (seed, found) = broken.first_key_value().expect("nobody noticed");
        eprintln!("{failpoint:?} was noticed at seed {seed}: {} and {} more", found[0], found.len() - 1);
        choose(Some(failpoint));
        let stage = Stage::set();
        let (first, second) = (play(&stage, *seed), play(&stage, *seed));
        choose(None);
        assert_eq!((first.0.len(), first.1), (second.0.len(), second.1), "seed {seed} plays differently again");
        assert_eq!(second.0.len(), found.len(), "seed {seed} plays differently again");
    }

    #[test]
    fn intents_after_the_fact_are_noticed() {
        is_noticed(Failpoint::IntentAfterSend);
    }

    #[test]
    fn a_snapshot_ahead_of_its_answer_is_noticed() {
        is_noticed(Failpoint::SnapshotBeforeAnswer);
    }

    #[test]
    fn a_lost_budget_is_noticed() {
        is_noticed(Failpoint::LostBudget);
    }

    #[test]
    fn answers_about_others_that_are_believed_are_noticed() {
        is_noticed(Failpoint::BelieveAnyAnswer);
    }

    #[test]
    fn creates_that_are_sent_again_too_early_are_noticed() {
        is_noticed(Failpoint::CreateAgainAtOnce);
    }

    #[test]
    fn a_404_for_the_living_that_is_believed_is_noticed() {
        is_noticed(Failpoint::Believe404);
    }

    #[test]
    fn listings_that_repeat_and_are_believed_are_noticed() {
        is_noticed(Failpoint::BelieveRepeatingListings);
    }

    #[test]
    fn sources_that_move_and_are_believed_are_noticed() {
        is_noticed(Failpoint::BelieveMovingSources);
    }

    #[test]
    fn repairs_that_never_end_are_noticed() {
        is_noticed(Failpoint::ForgetKept);
    }
}

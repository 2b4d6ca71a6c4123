use super::*;

fn settings(syncs: &str) -> Settings {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("r.toml");
    let head = "[state]\npath = \"s.db\"\n[sources.hr]\nkind = \"csv\"\npath = \"hr.csv\"\nkey = \"id\"\n\
                [targets.juno]\nkind = \"juno\"\nbase_url = \"https://a.example/api\"\n\
                auth = { kind = \"bearer\", token = { env = \"T\" } }\nrate = \"1/s\"\n";
    let map = "source = \"hr\"\ntarget = \"juno\"\nmap = { client_id = \"id\", email = \"email\" }\n";
    let mut text = String::from(head);
    for sync in syncs.split(';').map(str::trim).filter(|s| !s.is_empty()) {
        let (name, lines) = sync.split_once(':').expect("name: lines");
        text.push_str(&format!("[syncs.{name}]\n{map}{}\n", lines.replace('|', "\n")));
    }
    std::fs::write(&file, text).expect("written");
    crate::config::load(&[file], []).expect("valid").settings
}

fn at(text: &str) -> DateTime<Utc> {
    format!("2026-11-22T{text}Z").parse().expect("an instant")
}

fn scheduler(syncs: &str, now: &str) -> Scheduler {
    let mut scheduler = Scheduler::new(&settings(syncs), 7);
    scheduler.begin(at(now), &BTreeMap::new());
    scheduler
}

fn names(turns: &[Turn]) -> Vec<(&str, TurnKind)> {
    turns.iter().map(|t| (t.sync.as_str(), t.kind)).collect()
}

const QUARTERLY: &str = "staff: schedule = \"0 */15 * * * *\"";

#[test]
fn each_is_due_at_its_times() {
    let mut scheduler =
        scheduler("staff: schedule = \"0 */15 * * * *\"; late: schedule = \"0 30 * * * *\"", "03:01:00");
    assert_eq!(scheduler.idle(at("03:01:00")), Duration::from_secs(14 * 60));
    assert!(scheduler.turns(at("03:14:59")).is_empty());
    assert_eq!(names(&scheduler.turns(at("03:15:00"))), [("staff", TurnKind::OnTime)]);
    assert!(scheduler.turns(at("03:15:01")).is_empty(), "once");
    assert_eq!(names(&scheduler.turns(at("03:30:02"))), [("late", TurnKind::OnTime), ("staff", TurnKind::OnTime)]);
}

#[test]
fn times_missed_in_sleep_are_made_up_for_once_or_left_out() {
    for (catch_up, kind) in [(true, TurnKind::MadeUp), (false, TurnKind::LeftOut)] {
        let mut scheduler = scheduler(&format!("{QUARTERLY}|catch_up = {catch_up}"), "03:01:00");
        assert_eq!(names(&scheduler.turns(at("09:07:00"))), [("staff", kind)], "one turn for six hours");
        assert!(scheduler.turns(at("09:07:30")).is_empty());
        assert_eq!(names(&scheduler.turns(at("09:15:00"))), [("staff", TurnKind::OnTime)]);
    }
}

#[test]
fn times_missed_while_nobody_ran_are_made_up_for_once_at_the_start() {
    let begun = |text: &str| BTreeMap::from([("staff".to_string(), at(text))]);
    for (catch_up, last, due_at_once) in
        [(true, "01:00:01", true), (true, "03:00:01", false), (false, "01:00:01", false)]
    {
        let mut scheduler = Scheduler::new(&settings(&format!("{QUARTERLY}|catch_up = {catch_up}")), 7);
        scheduler.begin(at("03:01:00"), &begun(last));
        assert_eq!(scheduler.turns(at("03:01:00")).len(), usize::from(due_at_once), "catch_up {catch_up}, last {last}");
        assert!(scheduler.turns(at("03:02:00")).is_empty(), "once");
    }
    assert!(scheduler(QUARTERLY, "03:01:00").turns(at("03:01:00")).is_empty(), "what never ran has missed nothing");
}

#[test]
fn a_reconcile_has_a_schedule_of_its_own_and_is_not_made_up_for_at_the_start() {
    let line = "staff: schedule = \"0 */15 * * * *\"|reconcile_schedule = \"0 0 * * * *\"";
    let mut scheduler = Scheduler::new(&settings(line), 7);
    scheduler.begin(at("03:59:00"), &BTreeMap::from([("staff".to_string(), at("03:45:01"))]));
    assert!(scheduler.turns(at("03:59:30")).is_empty());
    let works: Vec<_> = scheduler.turns(at("04:00:00")).iter().map(|turn| turn.work).collect();
    assert_eq!(works, [Work::Sync, Work::Reconcile]);
    assert_eq!(scheduler.next_runs()["staff"], at("04:15:00"));
}

#[test]
fn a_clock_put_back_silences_nobody() {
    let mut scheduler = scheduler(QUARTERLY, "09:01:00");
    assert!(scheduler.turns(at("03:01:00")).is_empty());
    assert_eq!(names(&scheduler.turns(at("03:15:00"))), [("staff", TurnKind::OnTime)]);
}

#[test]
fn jitter_puts_off_within_bounds_and_alike_for_one_source() {
    let two = "a: schedule = \"0 */15 * * * *\"|jitter = \"5m\"; b: schedule = \"0 */15 * * * *\"|jitter = \"5m\"";
    let mut scheduler = scheduler(two, "03:01:00");
    let mut delays = std::collections::BTreeSet::new();
    let mut now = at("03:01:00");
    for _ in 0..20 {
        let next = scheduler.next_runs();
        assert_eq!(next["a"], next["b"], "they read their source once");
        now = next["a"];
        let turns = scheduler.turns(now);
        assert_eq!(turns.len(), 2);
        let delay = now - turns[0].due;
        assert!(delay >= TimeDelta::zero() && delay <= TimeDelta::minutes(5), "{delay}");
        assert_eq!(turns[0].kind, TurnKind::OnTime);
        delays.insert(delay);
    }
    assert!(delays.len() > 15, "it is not the same every time: {delays:?}");
    assert!(now > at("07:30:00"), "and no time is left out");
}

#[test]
fn another_configuration_keeps_what_did_not_change() {
    let mut scheduler =
        scheduler("a: schedule = \"0 0 * * * *\"|jitter = \"30m\"; b: schedule = \"0 0 * * * *\"", "03:01:00");
    let before = scheduler.next_runs();
    let other = settings(
        "a: schedule = \"0 0 * * * *\"|jitter = \"30m\"; b: schedule = \"0 20 * * * *\"; c: schedule = \"0 0 5 * * *\"",
    );
    scheduler.adopt(&other, at("03:10:00"));
    let after = scheduler.next_runs();
    assert_eq!(after["a"], before["a"]);
    assert_eq!((after["b"], after["c"]), (at("03:20:00"), at("05:00:00")));
    scheduler.adopt(&settings(""), at("03:11:00"));
    assert_eq!(scheduler.idle(at("03:11:00")), Duration::MAX);
}

#[test]
fn a_day_of_fifty_syncs_is_run_to_the_last_one() {
    let lines: String = (0..50).map(|n| format!("s{n}: schedule = \"{} */{} * * * *\";", n % 60, 1 + n % 10)).collect();
    let mut scheduler = scheduler(&lines, "00:00:00");
    let mut runs = 0;
    let mut now = at("00:00:00");
    while now < at("23:59:59") {
        now += TimeDelta::from_std(scheduler.idle(now)).expect("soon");
        runs += scheduler.turns(now).len();
    }
    // Minute steps of 1 to 10 that don't divide the hour begin anew with it.
    let an_hour: usize = (1..=10).map(|step| 60usize.div_ceil(step)).sum::<usize>() * 5;
    assert!((an_hour * 24 - 60..=an_hour * 24).contains(&runs), "{runs} of {}", an_hour * 24);
}

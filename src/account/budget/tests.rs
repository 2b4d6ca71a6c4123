//! What processes that share a budget keep together, and what is in its file.

use std::time::Duration;

use tokio::time::Instant;

use super::*;
use crate::http::rate::{Turn, nanos};

const SECOND: Duration = Duration::from_secs(1);
const ONE_PER_SECOND: Rate = Rate { count: 1, per: SECOND };

type TargetGate = RateGate<TargetBucket>;

fn place() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("a directory");
    let database = dir.path().join("s.db");
    (dir, database)
}

/// The gate of another process.
fn gate(database: &Path, target: &str, rate: Rate) -> TargetGate {
    Budget::beside(database).expect("a budget").gate(&TargetIdentity::parse(target), rate, 1)
}

/// How long the next request has to wait.
fn wait(gate: &TargetGate) -> Duration {
    match gate.take(now()).expect("kept") {
        Turn::Now => Duration::ZERO,
        Turn::Wait(time) => time,
        Turn::Busy => panic!("nobody else is here"),
    }
}

#[test]
fn processes_share_one_schedule_a_target_and_a_new_one_begins_empty() {
    let (_dir, database) = place();
    let (one, other) =
        (gate(&database, "https://a", ONE_PER_SECOND), gate(&database, "https://A:443/", ONE_PER_SECOND));
    assert!(wait(&one) > Duration::from_millis(900), "it begins empty");
    assert!(wait(&other) > Duration::from_millis(900));
    let quick = Rate { count: 1_000_000_000, per: SECOND };
    let elsewhere = gate(&database, "https://b", quick);
    assert!(wait(&elsewhere) < Duration::from_millis(1), "another target has its own");
    one.pause(60 * SECOND);
    assert!(wait(&other) > Duration::from_secs(59));
    other.pause(SECOND);
    assert!(wait(&one) > Duration::from_secs(59), "a shorter pause takes nothing from a longer one");
}

#[test]
fn what_is_torn_or_of_another_boot_or_removed_begins_empty() {
    let (_dir, database) = place();
    let file = side_file(&database, ".rate");
    let asked_to_pause = gate(&database, "https://a", ONE_PER_SECOND);
    asked_to_pause.pause(600 * SECOND);
    let one = gate(&database, "https://a", ONE_PER_SECOND);
    assert!(wait(&one) > Duration::from_secs(599));
    let whole = fs::read(&file).expect("there");
    for torn in [vec![], b"x".to_vec(), whole[..40].to_vec(), {
        let mut other = whole.clone();
        other[40] ^= 1;
        other
    }] {
        fs::write(&file, &torn).expect("written");
        let told = wait(&one);
        assert!(told > Duration::from_millis(900) && told <= SECOND, "{told:?}");
    }
    // Of another boot: by its name, and by a time that has not come yet.
    let target = <[u8; 16]>::try_from(&whole[..16]).expect("16 bytes");
    let known = Record::from_bytes(&whole, &target).expect("whole");
    let named = Record { boot: known.boot ^ 2, ..known };
    let later = Record { boot: 0, written_at: known.written_at + nanos(3600 * SECOND), ..known };
    for (strange, differs) in [(named, known.boot != 0), (later, true)] {
        fs::write(&file, strange.to_bytes(&target)).expect("written");
        assert_eq!(wait(&one) <= SECOND, differs);
    }
    fs::write(&file, &whole).expect("written");
    assert!(wait(&one) > SECOND, "as it was");
    fs::remove_file(&file).expect("removed");
    assert!(matches!(one.take(now()).expect("kept"), Turn::Busy), "it opens another");
    assert!(wait(&one) <= SECOND);
    assert!(file.exists());
}

#[test]
fn of_too_many_targets_the_one_that_rested_longest_is_forgotten() {
    let (_dir, database) = place();
    let budget = Budget::beside(&database).expect("a budget");
    for n in 0..MOST_TARGETS + 10 {
        let target = TargetIdentity::parse(&format!("https://{n}.example"));
        assert!(wait(&budget.gate(&target, ONE_PER_SECOND, 1)) > Duration::ZERO);
    }
    let length = fs::metadata(side_file(&database, ".rate")).expect("there").len();
    assert!(length <= (MOST_TARGETS + 8) * RECORD as u64, "{length}");
}

fn gates<const N: usize>(per_second: u32, burst: u32) -> [Arc<TargetGate>; N] {
    let budget = Budget::of_this_process();
    let target = TargetIdentity::parse("https://acme.example.com");
    let rate = Rate { count: per_second, per: SECOND };
    [(); N].map(|()| Arc::new(budget.gate(&target, rate, burst)))
}

/// Drives each gate with so many greedy tasks; the moments of admission by gate.
async fn drive(gates: &[Arc<TargetGate>], tasks: usize, span: Duration) -> Vec<Vec<Duration>> {
    let start = Instant::now();
    let workers: Vec<Vec<_>> = gates
        .iter()
        .map(|gate| {
            let worker = |_| {
                let gate = Arc::clone(gate);
                tokio::spawn(async move {
                    let mut seen = Vec::new();
                    loop {
                        gate.acquire().await.expect("kept");
                        match start.elapsed() {
                            at if at <= span => seen.push(at),
                            _ => return seen,
                        }
                    }
                })
            };
            (0..tasks).map(worker).collect()
        })
        .collect();
    let mut all = Vec::new();
    for workers in workers {
        let mut of_gate = Vec::new();
        for worker in workers {
            of_gate.extend(worker.await.expect("no panic"));
        }
        of_gate.sort_unstable();
        all.push(of_gate);
    }
    all
}

fn fullest_second(moments: &[Duration]) -> usize {
    let within = |i: usize| moments[i..].iter().take_while(|m| **m - moments[i] <= SECOND).count();
    (0..moments.len()).map(within).max().unwrap_or(0)
}

#[tokio::test(start_paused = true)]
async fn several_processes_keep_one_rate_and_each_has_its_part() {
    for (rate, burst) in [(5, 1), (10, 5), (100, 1), (100, 10), (1000, 1), (1000, 100)] {
        let gates: [_; 4] = gates(rate, burst);
        let seen = drive(&gates, 3, 20 * SECOND).await;
        let mut all: Vec<Duration> = seen.iter().flatten().copied().collect();
        all.sort_unstable();
        let fullest = fullest_second(&all);
        assert!(fullest <= (rate + burst) as usize, "{fullest} in a second at {rate}/s and {burst}");
        assert!(all.len() as f64 >= f64::from(rate) * 20.0 * 0.98 - 2.0, "{} at {rate}/s", all.len());
        let fair = all.len() / 4;
        for part in &seen {
            assert!(part.len() > fair / 3, "{} of {} at {rate}/s and {burst}", part.len(), all.len());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn alone_a_process_has_the_whole_rate_and_its_first_request_waits_one_interval() {
    for (rate, burst) in [(5, 1), (100, 10), (1000, 1), (5000, 500)] {
        let [gate] = gates(rate, burst);
        let seen = drive(&[gate], 8, 20 * SECOND).await.remove(0);
        assert!(seen.len() as f64 >= f64::from(rate) * 20.0 * 0.99 - 1.0, "{} at {rate}/s", seen.len());
        let interval = SECOND / rate;
        assert!(seen[0] <= interval + Duration::from_millis(2), "{:?} at {rate}/s", seen[0]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_one_is_asked_for_is_everybody_s() {
    let [one, other] = gates(100, 1);
    one.acquire().await.expect("kept");
    other.acquire().await.expect("kept");
    let start = Instant::now();
    one.pause(30 * SECOND);
    other.acquire().await.expect("kept");
    assert!(start.elapsed() >= 30 * SECOND, "{:?}", start.elapsed());
    one.pause(Duration::from_millis(1));
    other.acquire().await.expect("kept");
    assert!(start.elapsed() < 31 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn who_stops_waiting_takes_nothing() {
    let [one, other] = gates(1, 1);
    for _ in 0..5 {
        // Neither waits to the end: no turn comes so soon.
        let patience = Duration::from_millis(100);
        assert!(tokio::time::timeout(patience, one.acquire()).await.is_err());
        assert!(tokio::time::timeout(patience, other.acquire()).await.is_err());
    }
    let start = Instant::now();
    one.acquire().await.expect("kept");
    assert!(start.elapsed() <= SECOND, "{:?}", start.elapsed());
}

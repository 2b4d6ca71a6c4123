//! systemd is told of the daemon's state, and its watchdog is fed only while the scheduler turns and the state's thread
//! answers.
//!
//! Where nobody listens (`NOTIFY_SOCKET` is not set) all of this does nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::state::State;
use crate::state::history::Ping;

/// How often the watchdog is fed within its limit: systemd asks for at least twice, and once may come late.
const FEEDS: u32 = 3;

/// The last sign of life of the scheduler.
#[derive(Clone, Debug)]
pub struct Heartbeat {
    born: Instant,
    beat: Arc<AtomicU64>,
}

impl Default for Heartbeat {
    fn default() -> Self {
        Heartbeat { born: Instant::now(), beat: Arc::new(AtomicU64::new(0)) }
    }
}

impl Heartbeat {
    /// The scheduler is alive.
    pub fn beat(&self) {
        let millis = u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.beat.store(millis, Ordering::Relaxed);
    }

    /// How long ago it was last alive.
    pub fn since(&self) -> Duration {
        self.born.elapsed().saturating_sub(Duration::from_millis(self.beat.load(Ordering::Relaxed)))
    }
}

/// Whether scheduler and state have given a sign of life within `limit`.
pub async fn alive(heartbeat: &Heartbeat, state: &State, limit: Duration) -> bool {
    let answered = tokio::time::timeout(limit, state.ask(Ping)).await;
    // An answer that says "failed" comes from a thread that lives: a full disk is no reason to be restarted.
    answered.is_ok() && heartbeat.since() <= limit
}

/// Feeds the watchdog, if there is one, until `stop`.
pub async fn feed(heartbeat: Heartbeat, state: State, stop: CancellationToken) {
    let Some(limit) = sd_notify::watchdog_enabled() else { return };
    let pause = limit / FEEDS;
    loop {
        if alive(&heartbeat, &state, pause).await {
            tell(&[NotifyState::Watchdog]);
        } else {
            let (scheduler_ms, limit_ms) = (heartbeat.since().as_millis() as u64, limit.as_millis() as u64);
            tracing::error!(scheduler_ms, limit_ms, "scheduler or state give no sign of life: the watchdog is not fed");
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stop.cancelled() => return,
        }
    }
}

/// The daemon works.
pub fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// What it does, in a line that `systemctl status` shows.
pub fn status(status: &str) {
    tell(&[NotifyState::Status(status)]);
}

/// The configuration is being loaded anew.
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(_) => tell(&[NotifyState::Reloading]),
    }
}

/// It is about to end.
pub fn stopping(status: &str) {
    tell(&[NotifyState::Stopping, NotifyState::Status(status)]);
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "systemd could not be told");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::state::{Access, Command, Db, StateError};

    /// Occupies the state's thread from the first of these on until the second speaks.
    struct Stuck(mpsc::Sender<()>, mpsc::Receiver<()>);

    impl Command for Stuck {
        type Reply = ();

        fn run(&self, _: &Db<'_>) -> Result<(), StateError> {
            let _ = self.0.send(());
            let _ = self.1.recv();
            Ok(())
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn it_lives_only_while_the_scheduler_turns_and_the_state_answers() {
        let dir = tempfile::tempdir().expect("a directory");
        let state = crate::state::open(&dir.path().join("s.db"), Access::Write).expect("a state").state;
        let (heartbeat, long, short) = (Heartbeat::default(), Duration::from_secs(60), Duration::from_millis(50));
        heartbeat.beat();
        assert!(alive(&heartbeat, &state, long).await);

        while heartbeat.since() <= short {
            tokio::time::sleep(short).await;
        }
        assert!(!alive(&heartbeat, &state, short).await, "the scheduler stands still");

        let ((begins, begun), (let_go, held)) = (mpsc::channel(), mpsc::channel());
        let stuck = state.clone();
        let occupied = tokio::spawn(async move { stuck.ask(Stuck(begins, held)).await });
        tokio::task::block_in_place(|| begun.recv()).expect("it is stuck");
        heartbeat.beat();
        assert!(!alive(&heartbeat, &state, short).await, "the state's thread is stuck");
        let_go.send(()).expect("it still waits");
        occupied.await.expect("no panic").expect("over");
        heartbeat.beat();
        assert!(alive(&heartbeat, &state, long).await, "both are back");
    }
}

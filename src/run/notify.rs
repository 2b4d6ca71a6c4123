//! Telling people, once a change: a sync is held, fails, doesn't trust its source any more, or is well again.
//!
//! What is told names syncs, limits and reasons, never a value of a person. What could not be delivered is not
//! remembered as told, so that the next run tells it, if it is still so.

use crate::os::panics::off_thread;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use secrecy::ExposeSecret;
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::config::settings::NotifySettings;
use crate::domain::address::scrubbed;
use crate::domain::error::{Error, Failure, LocalReason, Result};
use crate::domain::ids::{PlanId, RunId};
use crate::domain::outcome::{ErrorKind, RunStatus};
use crate::domain::retry::Backoff;
use crate::domain::time;
use crate::http::client::{self, Client};
use crate::http::error::SendError;
use crate::http::secret::Secret;
use crate::http::settings::NetworkSettings;
use crate::run::RunSummary;

/// How often a message is tried: with the pauses between, each twice as long as the one before, somebody who restarts the
/// receiver has four seconds.
const TRIES: Backoff = Backoff { attempts: 4, base: Duration::from_millis(500), max: WHOLE };

/// How long a receiver may take. A command's end waits for it, so it is short.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long all tries may take together.
const WHOLE: Duration = Duration::from_secs(15);

/// How often it is looked whether the program has ended.
const LOOK: Duration = Duration::from_millis(20);

/// What a program is given of our environment.
const INHERITED: [&str; 2] = ["PATH", "LANG"];

/// The state of a sync as people are told of it.
pub const WELL: &str = "ok";

/// What is sent: a JSON object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Message {
    /// `held`, `failed`, `untrusted` or `recovered`.
    pub event: &'static str,
    /// The sync.
    pub sync: String,
    /// The run in which it came about.
    pub run: RunId,
    /// When.
    #[serde(with = "time::written")]
    pub at: DateTime<Utc>,
    /// What was announced before.
    pub was: String,
    /// The held plan.
    pub plan: Option<PlanId>,
    /// Why.
    pub reason: Option<String>,
    /// What to do about it.
    pub help: Option<String>,
}

/// The state that a run left its sync in, where that is worth a word. What a partial run left over has outcomes of its
/// own and shows in the metrics; the sync itself works.
pub fn state_of(summary: &RunSummary) -> Option<&'static str> {
    match summary.status {
        RunStatus::Ok | RunStatus::Partial => Some(WELL),
        RunStatus::Paused => None,
        RunStatus::Held | RunStatus::Failed | RunStatus::Untrusted => Some(summary.status.name()),
    }
}

/// The message that is due, if the state has changed.
pub fn message(summary: &RunSummary, was: Option<String>, at: DateTime<Utc>) -> Option<Message> {
    let state = state_of(summary)?;
    let was = was.unwrap_or_else(|| WELL.into());
    if state == was {
        return None;
    }
    Some(Message {
        event: if state == WELL { "recovered" } else { state },
        sync: summary.sync.clone(),
        run: summary.run.clone(),
        at,
        was,
        plan: summary.plan.clone(),
        reason: summary.error.as_ref().map(|e| e.message.clone()).or_else(|| summary.left_over()),
        help: summary.error.as_ref().and_then(|e| e.help.clone()),
    })
}

/// Delivers a message, trying again for a while: for [`WHOLE`] at most, so that one hanging try is the last.
///
/// # Errors
/// Why the last try failed.
pub async fn deliver(settings: &NotifySettings, message: &Message, stop: &CancellationToken) -> Result<()> {
    let began = Instant::now();
    for attempt in 1.. {
        let patience = PATIENCE.min(WHOLE.saturating_sub(began.elapsed()));
        let tried = match settings {
            NotifySettings::Webhook { url } => post(url, message, patience).await,
            NotifySettings::Command(command) => run(command.clone(), message, patience).await,
        };
        let in_time = |pause: &Duration| !stop.is_cancelled() && began.elapsed() + *pause + PATIENCE / 2 <= WHOLE;
        match (tried, TRIES.again(attempt, 1.0, None).filter(in_time)) {
            (Ok(()), _) => return Ok(()),
            (Err(failure), None) => return Err(failure),
            (Err(_), Some(pause)) => tokio::time::sleep(pause).await,
        }
    }
    Ok(())
}

fn undelivered(why: impl Into<String>) -> Failure {
    Failure::new(Error::Local(LocalReason::Unavailable), why)
}

async fn post(url: &Secret, message: &Message, patience: Duration) -> Result<()> {
    let owner = "the webhook";
    let broken = |error: SendError| {
        let what = if error.kind == ErrorKind::Protocol { "answers, and not as it should" } else { "can't be reached" };
        undelivered(format!("{owner} {what}: {}", error.message))
    };
    // The address is a secret: it often holds the receiver's key.
    let url = Url::parse(url.read()?.expose_secret());
    let url = url.map_err(|_| undelivered(format!("{owner} can't be reached: its address is none")))?;
    let client = Client::new(owner, client::builder(owner, &NetworkSettings::default(), patience)?, patience)?;
    let body = serde_json::to_vec(message).map_err(|e| Failure::internal("a message can't be spelled").because(e))?;
    let request = client.post(url).header("content-type", "application/json").body(body);
    let answer = client.begin(request, &client.patience()).await.map_err(broken)?;
    match answer.status() {
        status if status.is_success() => Ok(()),
        status => Err(undelivered(format!("the webhook answered HTTP {}", status.as_u16()))),
    }
}

async fn run(command: Vec<String>, message: &Message, patience: Duration) -> Result<()> {
    let input = serde_json::to_vec(message).map_err(|e| Failure::internal("a message can't be spelled").because(e))?;
    off_thread("running the notifier broke off", move || run_blocking(&command, &input, patience)).await?
}

/// Runs the program in a process group of its own, with nothing of our environment but `PATH` and `LANG`: tokens are
/// often there. When the program ends, or its time is up, everything in its group ends.
fn run_blocking(command: &[String], input: &[u8], patience: Duration) -> Result<()> {
    let Some((program, arguments)) = command.split_first() else { return Ok(()) };
    // Nothing of its arguments is told, nor of an address that stands where the program should.
    let shown = scrubbed(program);
    let failed = |what: &str, e: std::io::Error| undelivered(format!("the program {shown:?} {what}")).because(e);
    let kept = INHERITED.iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
    let mut child = Command::new(program)
        .args(arguments)
        .env_clear()
        .envs(kept)
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        // Nor are our logs filled by it: its exit code is what is told.
        .stderr(Stdio::null())
        .spawn()
        .map_err(|e| failed("can't be started", e))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that does not read its input makes nobody wait: the thread ends with the pipe. Whether the program
        // needed the message is for its exit code to say.
        let (input, writer) = (input.to_vec(), std::thread::Builder::new().name("notify".into()));
        let started = writer.spawn(move || stdin.write_all(&input));
        started.map_err(|e| failed("can't be given the message", e))?;
    }
    let ended = ended_within(&child, patience);
    // Before it is waited for: until then its number is not given to anybody else.
    let status = end_group(&child).and_then(|()| child.wait()).map_err(|e| failed("can't be ended", e))?;
    match ended.map_err(|e| failed("can't be waited for", e))? {
        false => Err(undelivered(format!("the program {shown:?} did not end within {} s", patience.as_secs()))),
        true if status.success() => Ok(()),
        true => Err(undelivered(format!("the program {shown:?} ended with {status}"))),
    }
}

/// Waits for the program's end, and says whether it came in time.
fn ended_within(child: &Child, patience: Duration) -> std::io::Result<bool> {
    let began = Instant::now();
    let ended = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    while began.elapsed() < patience {
        if waitid(WaitId::Pid(Pid::from_child(child)), ended)?.is_some() {
            return Ok(true);
        }
        std::thread::sleep(LOOK);
    }
    Ok(false)
}

/// Ends what is left of the program's group, itself included.
fn end_group(child: &Child) -> std::io::Result<()> {
    match kill_process_group(Pid::from_child(child), Signal::KILL) {
        // Nobody is left in it.
        Err(Errno::SRCH) => Ok(()),
        killed => Ok(killed?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::instant;

    fn summary(status: &str) -> RunSummary {
        let mut summary = RunSummary::new("01J".into(), "staff".into());
        summary.status = RunStatus::parse(status).expect("a status");
        summary
    }

    #[test]
    fn a_message_is_due_once_a_change() {
        for (was, now, event) in [
            (None, "ok", None),
            (None, "partial", None),
            (None, "held", Some("held")),
            (Some("held"), "held", None),
            (Some("held"), "paused", None),
            (Some("held"), "failed", Some("failed")),
            (Some("failed"), "untrusted", Some("untrusted")),
            (Some("untrusted"), "partial", Some("recovered")),
            (Some("untrusted"), "ok", Some("recovered")),
            (Some("ok"), "ok", None),
        ] {
            let due = message(&summary(now), was.map(Into::into), instant("2026-11-22T00:00:00.000Z"));
            assert_eq!(due.map(|m| m.event), event, "{was:?} → {now}");
        }
    }

    #[test]
    fn a_program_gets_the_message_and_its_failure_is_told() {
        let sh =
            |script: &str| run_blocking(&["sh".into(), "-c".into(), script.into()], b"{\"event\":\"held\"}", PATIENCE);
        assert!(sh("grep -q held").is_ok());
        let failure = sh("exit 3").expect_err("it fails");
        assert!(failure.message.contains("exit status: 3"), "{failure}");
        assert!(failure.message.contains("\"sh\""), "{failure}");
        assert!(run_blocking(&["/nowhere/at/all".into()], b"", PATIENCE).is_err());
    }

    /// Whether a process is there and not only waiting to be buried.
    fn lives(pid: &str) -> bool {
        let status = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
        status.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with(['Z', 'X']))
    }

    /// Runs a script that writes the number of a child that it leaves behind, and says whether that child lives on.
    fn survivor(script: &str, patience: Duration) -> (Result<()>, bool) {
        let dir = tempfile::tempdir().expect("a directory");
        let pid = dir.path().join("pid");
        let command = ["sh".into(), "-c".into(), script.into(), "sh".into(), pid.display().to_string()];
        // More than a pipe holds, and nobody reads it.
        let result = run_blocking(&command, &vec![b'x'; 1 << 20], patience);
        let pid = std::fs::read_to_string(pid).expect("it began");
        // Whom a signal ends is gone soon, not at once: it is judged by whether it goes at all.
        let gone = (0..500).any(|_| {
            let gone = !lives(&pid);
            if !gone {
                std::thread::sleep(LOOK);
            }
            gone
        });
        (result, !gone)
    }

    #[test]
    fn a_program_that_does_not_end_is_ended_with_all_that_it_began() {
        let (result, lives) = survivor("sleep 600 & echo $! > \"$1\"; sleep 600", Duration::from_secs(1));
        assert!(result.expect_err("too slow").message.contains("did not end within 1 s"));
        assert!(!lives, "what it began is ended");
        let (result, lives) = survivor("sleep 600 & echo $! > \"$1\"", PATIENCE);
        assert!(result.is_ok() && !lives, "what it leaves behind is ended with it: {result:?}");
    }

    #[test]
    fn a_program_learns_nothing_of_our_environment_but_where_programs_are_and_the_language() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("env");
        let script = "env > \"$1\"";
        let command = ["sh".into(), "-c".into(), script.into(), "sh".into(), file.display().to_string()];
        run_blocking(&command, b"", PATIENCE).expect("it works");
        let environment = std::fs::read_to_string(file).expect("written");
        let names: Vec<&str> = environment.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
        // Those that the shell sets itself.
        let strange: Vec<&&str> =
            names.iter().filter(|name| !matches!(**name, "PATH" | "LANG" | "PWD" | "SHLVL" | "_" | "OLDPWD")).collect();
        assert!(strange.is_empty() && names.contains(&"PATH"), "{names:?}");
    }
}

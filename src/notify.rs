//! Telling people, once a change: a sync is held, fails, doesn't trust its source any more, or is well again.
//!
//! What is told names syncs, limits and reasons, never a value of a person. What could not be delivered is not
//! remembered as told, so that the next run tells it, if it is still so.

use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use secrecy::ExposeSecret;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::config::secret::Secret;
use crate::config::settings::NotifySettings;
use crate::exit::{Exit, Failure, Result};
use crate::run::RunSummary;

/// How often a message is tried: with the pauses between, somebody who restarts the receiver has four seconds.
const ATTEMPTS: u32 = 4;

/// The first pause; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// How long a receiver may take. A run's end waits for it, so it is short.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often it is looked whether the program has ended.
const LOOK: Duration = Duration::from_millis(20);

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
    pub run: String,
    /// When, RFC 3339.
    pub at: String,
    /// What was announced before.
    pub was: String,
    /// The held plan.
    pub plan: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// What to do about it.
    pub help: Option<String>,
}

/// The state that a run left its sync in, where that is worth a word. What a run left over has outcomes of its own.
pub fn state_of(summary: &RunSummary) -> Option<&'static str> {
    match summary.status {
        "ok" | "partial" => Some(WELL),
        "paused" => None,
        other => Some(other),
    }
}

/// The message that is due, if the state has changed.
pub fn message(summary: &RunSummary, was: Option<String>, at: String) -> Option<Message> {
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
        reason: summary.error.as_ref().map(|e| e.message.clone()),
        help: summary.error.as_ref().and_then(|e| e.help.clone()),
    })
}

/// Delivers a message, trying again for a while.
///
/// # Errors
/// Why the last try failed.
pub async fn deliver(settings: &NotifySettings, message: &Message, stop: &CancellationToken) -> Result<()> {
    let mut pause = FIRST_PAUSE;
    for attempt in 1.. {
        let tried = match settings {
            NotifySettings::Webhook { url } => post(url, message).await,
            NotifySettings::Command(command) => run(command.clone(), message).await,
        };
        match tried {
            Ok(()) => return Ok(()),
            Err(failure) if attempt == ATTEMPTS || stop.is_cancelled() => return Err(failure),
            Err(_) => tokio::time::sleep(pause).await,
        }
        pause *= 2;
    }
    Ok(())
}

fn undelivered(why: impl Into<String>) -> Failure {
    Failure::new(Exit::Unavailable, why)
}

async fn post(url: &Secret, message: &Message) -> Result<()> {
    let url = url.read()?;
    let client = reqwest::Client::builder()
        .user_agent(concat!("rosterd/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .no_proxy()
        .timeout(PATIENCE)
        .build()
        .map_err(|e| undelivered("no HTTP client can be made").because(e.without_url()))?;
    let body = serde_json::to_vec(message).map_err(|e| Failure::internal("a message can't be spelled").because(e))?;
    let request = client.post(url.expose_secret()).header("content-type", "application/json").body(body);
    // The address is a secret: it often holds the receiver's key.
    let answer =
        request.send().await.map_err(|e| undelivered("the webhook can't be reached").because(e.without_url()))?;
    match answer.status() {
        status if status.is_success() => Ok(()),
        status => Err(undelivered(format!("the webhook answered HTTP {}", status.as_u16()))),
    }
}

async fn run(command: Vec<String>, message: &Message) -> Result<()> {
    let input = serde_json::to_vec(message).map_err(|e| Failure::internal("a message can't be spelled").because(e))?;
    tokio::task::spawn_blocking(move || run_blocking(&command, &input))
        .await
        .map_err(|e| Failure::internal("running the notifier broke off").because(e))?
}

fn run_blocking(command: &[String], input: &[u8]) -> Result<()> {
    let Some((program, arguments)) = command.split_first() else { return Ok(()) };
    let failed = |what: &str, e: std::io::Error| undelivered(format!("the program {program:?} {what}")).because(e);
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .map_err(|e| failed("can't be started", e))?;
    if let Some(mut stdin) = child.stdin.take() {
        // One that doesn't read, and ends, closes the pipe: its exit code tells. A message is smaller than a pipe.
        let _ = stdin.write_all(input);
    }
    match ended(&mut child).map_err(|e| failed("can't be waited for", e))? {
        None => Err(undelivered(format!("the program {program:?} did not end within {} s", PATIENCE.as_secs()))),
        Some(status) if status.success() => Ok(()),
        Some(status) => Err(undelivered(format!("the program {program:?} ended with {status}"))),
    }
}

/// Waits for the program's end; kills it when that takes too long.
fn ended(child: &mut Child) -> std::io::Result<Option<std::process::ExitStatus>> {
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        std::thread::sleep(LOOK);
    }
    child.kill()?;
    child.wait()?;
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(status: &'static str) -> RunSummary {
        let mut summary = RunSummary::new("01J".into(), "staff".into());
        summary.status = status;
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
            (Some("ok"), "ok", None),
        ] {
            let due = message(&summary(now), was.map(Into::into), "2026-11-22T00:00:00.000Z".into());
            assert_eq!(due.map(|m| m.event), event, "{was:?} → {now}");
        }
    }

    #[test]
    fn a_program_gets_the_message_and_its_failure_is_told() {
        let sh = |script: &str| run_blocking(&["sh".into(), "-c".into(), script.into()], b"{\"event\":\"held\"}");
        assert!(sh("grep -q held").is_ok());
        let failure = sh("exit 3").expect_err("it fails");
        assert!(failure.message.contains("exit status: 3"), "{failure}");
        assert!(run_blocking(&["/nowhere/at/all".into()], b"").is_err());
    }
}

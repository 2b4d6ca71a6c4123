//! One operation from its intent to its end: sent, judged, repeated where that is safe, looked up where it isn't.
//!
//! The rule behind every branch: a request that may have been carried out is never repeated unless repeating changes
//! nothing. Updates and bans may be repeated; a create is not sent again by the run that sent it, but looked up at its end
//! ([`super::doubts`]). What is found where an account was lost, and whose it is, is in [`super::whereabouts`]; how an
//! operation ends, in [`super::ending`].

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::ending::Finished;
use crate::account::client::{Client, Unanswered};
use crate::account::lookup::Found;
use crate::account::prepare::{PrepareError, Seen};
use crate::account::seek::find_again;
use crate::api::{ApiResponse, Call, Current, Verdict};
use crate::config::settings::SyncSettings;
use crate::domain::account::{Account, Echo, Kept};
use crate::domain::error::{Error, Failure, LocalReason};
use crate::domain::ids::{EntryId, RunId, SyncId};
use crate::domain::local_time::LocalTime;
use crate::domain::operation::{OpKind, Operation};
use crate::domain::outcome::{ErrorKind, OpError, Outcome};
use crate::domain::planned::Planned;
use crate::domain::remote_id::RemoteId;
use crate::domain::rules::SkipReason;
use crate::http::error::SendError;
use crate::plan::adoption::adopt;
use crate::state::State;
use crate::state::journal::CountFrom;

/// So long a create may leave after its intent without anybody writing that down: at ordinary rates intents are no further
/// ahead.
const SOON: Duration = Duration::from_secs(1);

/// What carrying out needs.
pub struct Attempt<'a> {
    /// The target.
    pub client: &'a Client,
    /// The state, to see who owns an account.
    pub state: &'a State,
    /// The sync.
    pub sync: &'a SyncSettings,
    /// Its number.
    pub id: SyncId,
    /// Whether an account is read after it was written, where the answer does not show it: so that a repair learns what
    /// the target keeps of its own.
    pub learns: bool,
    /// The run, and the operation's entry in its journal: together the same for every try, and for no other operation.
    pub entry: (&'a RunId, EntryId),
    /// When that entry was made.
    pub intended: tokio::time::Instant,
    /// Asks to take up nothing new.
    pub stop: &'a CancellationToken,
    /// Asks to wait for no answer any more.
    pub abandon: &'a CancellationToken,
}

/// One operation under way.
pub(super) struct Work<'a> {
    pub at: &'a Attempt<'a>,
    pub operation: Arc<Planned>,
    pub planned: OpKind,
    pub began: tokio::time::Instant,
    /// As of when the journal says that it has left.
    pub left: tokio::time::Instant,
    pub attempts: u32,
    /// A try may have been carried out, whatever became of later ones.
    pub maybe_done: bool,
    pub http_status: Option<u16>,
    /// What was not found when it was written has been followed up once.
    pub followed_up: bool,
    /// It is there all the same when it is read.
    pub is_there: bool,
    /// The account has been found to be theirs, where that has to be known first.
    pub proven: bool,
    /// The account as it was read for that.
    pub read: Option<Current>,
    /// Access has been given or taken by a request of its own; the fields follow.
    pub stepped: bool,
    /// The target misses what we know of the account: it is read before it is written.
    pub read_first: bool,
}

/// What to do after a try.
pub(super) enum Step {
    End(Box<Finished>),
    /// Again after a pause.
    Again(OpError),
    /// Again at once, as changed.
    Onward,
}

impl Attempt<'_> {
    /// Carries an operation out. Its intent is in the journal already.
    pub async fn carry_out(&self, operation: Arc<Planned>) -> Finished {
        let work = self.work(operation);
        if self.stop.is_cancelled() {
            return work.skipped(SkipReason::Stopped);
        }
        if let Some(conflict) = work.operation.conflict() {
            return work.failed(conflict.clone());
        }
        if !work.operation.needs_request() {
            return work.done(None, None);
        }
        self.client.begin();
        work.run().await
    }

    /// Looks a create up that brought no usable answer, at the end of its run; `told`: what is told of it unless it is
    /// found. Where `ask` is not set nobody is asked any more. Tells, too, whether nothing could be learnt.
    pub async fn look_again(&self, operation: Arc<Planned>, told: &Outcome, ask: bool) -> (Finished, bool) {
        let mut work = self.work(operation);
        let earlier = Duration::from_millis(told.duration_ms);
        work.began = work.began.checked_sub(earlier).unwrap_or(work.began);
        (work.attempts, work.http_status, work.maybe_done) = (told.attempts, told.http_status, true);
        let error = || told.error.clone().unwrap_or_else(|| OpError::new(ErrorKind::Timeout, "no usable answer came"));
        if !ask {
            return (work.unknown(error(), None), true);
        }
        match work.look_up().await {
            Ok(Found::Account(account)) => match work.adopt(*account) {
                Step::End(finished) => (*finished, false),
                Step::Again(_) | Step::Onward => (work.run().await, false),
            },
            // What stands in the way now says nothing of the one that was sent.
            Ok(Found::Nobody | Found::Conflict(_)) => (work.unknown(error(), None), false),
            Err(failure) => (work.unknown(error(), Some(failure)), true),
        }
    }

    fn work(&self, operation: Arc<Planned>) -> Work<'_> {
        Work {
            at: self,
            planned: operation.kind,
            operation,
            began: tokio::time::Instant::now(),
            left: self.intended,
            attempts: 0,
            maybe_done: false,
            http_status: None,
            followed_up: false,
            is_there: false,
            proven: false,
            read: None,
            stepped: false,
            read_first: false,
        }
    }
}

impl Work<'_> {
    async fn run(mut self) -> Finished {
        loop {
            let step = self.attempt().await;
            match step {
                Step::End(finished) => return *finished,
                Step::Onward => {}
                Step::Again(error) => {
                    if let Some(finished) = self.pause_or_end(error).await {
                        return finished;
                    }
                }
            }
        }
    }

    /// What is to be sent now: the operation, or the part of it that has a request of its own.
    fn sending(&self) -> Arc<Planned> {
        if self.stepped {
            let rest = Operation { kind: OpKind::Update, reactivates: false, ..Operation::clone(&self.operation) };
            return Arc::new(rest.into());
        }
        let first = self.at.client.engine().first_step(&self.operation);
        first.map_or_else(|| Arc::clone(&self.operation), |first| Arc::new(first.into()))
    }

    /// One request and what its answer means.
    async fn attempt(&mut self) -> Step {
        if let Some(step) = self.prove().await {
            return step;
        }
        let sending = self.sending();
        let mut request = match self.at.client.encode(&sending, self.read.take(), self.read_first).await {
            Ok(request) => request,
            Err(PrepareError::Invalid(error)) => return Step::End(Box::new(self.failed(error))),
            Err(PrepareError::Gone) => return self.not_found(true).await,
            Err(PrepareError::Another) => {
                let what = "asked for the account, the target showed another one; nothing was sent";
                return Step::End(Box::new(self.unknown(OpError::new(ErrorKind::Protocol, what), None)));
            }
            Err(PrepareError::Failed(failure)) => return Step::End(Box::new(self.unreadable(failure))),
        };
        request.headers.extend(self.idempotency());
        let admitted = tokio::select! {
            biased;
            () = self.at.stop.cancelled() => return Step::End(Box::new(self.not_begun(SkipReason::Stopped))),
            admitted = self.at.client.admit() => admitted,
        };
        if let Err(why) = admitted {
            return Step::End(Box::new(self.not_admitted(why)));
        }
        if let Err(failure) = self.leaves().await {
            return Step::End(Box::new(self.not_admitted(Unanswered::State(failure))));
        }
        self.attempts += 1;
        let sent = tokio::select! {
            biased;
            sent = self.at.client.carry(&request) => sent,
            () = self.at.abandon.cancelled() => return Step::End(Box::new(self.abandoned())),
        };
        match sent {
            Ok(answer) => self.judged(&sending, request.call, answer).await,
            Err(error) => self.broken(error).await,
        }
    }

    /// Keeps when a create leaves, where that is long after it was intended: a pause that the target asked for, a low rate,
    /// another try. Should the process die now, the time that the target has to finish it counts from here.
    async fn leaves(&mut self) -> Result<(), Failure> {
        if self.operation.kind != OpKind::Create || self.left.elapsed() < SOON {
            return Ok(());
        }
        self.left = tokio::time::Instant::now();
        let (_, entry) = self.at.entry;
        Ok(self.at.state.ask(CountFrom { entry, at: self.at.client.clock().stamp() }).await?)
    }

    /// The header that tells a target that this is the same request as before, where its definition asks for one.
    fn idempotency(&self) -> Option<(String, String)> {
        let name = self.at.client.engine().idempotency_header()?;
        let (run, entry) = self.at.entry;
        // What became another kind of request on the way must not pass for the first.
        let kind = if self.stepped {
            "-fields".into()
        } else if self.operation.kind == self.planned {
            String::new()
        } else {
            format!("-{}", self.operation.kind)
        };
        Some((name.to_string(), format!("{run}-{entry}{kind}")))
    }

    /// Nothing was sent in this try.
    fn not_admitted(&self, why: Unanswered) -> Finished {
        match why {
            Unanswered::Quota => Finished { used_up: true, ..self.not_begun(SkipReason::Quota) },
            Unanswered::State(failure) => {
                Finished { state_failed: Some(failure), ..self.not_begun(SkipReason::Stopped) }
            }
            Unanswered::Broken(error) => self.given_up(error.into(), false),
        }
    }

    /// No further try: unknown if an earlier one may have been carried out, else as if it had never begun.
    pub(super) fn not_begun(&self, reason: SkipReason) -> Finished {
        if self.maybe_done {
            let error =
                OpError::new(ErrorKind::Timeout, "an earlier try brought no usable answer, and no other was made");
            return self.unknown(error, None);
        }
        self.skipped(reason)
    }

    /// The process has to end before the answer came.
    fn abandoned(&self) -> Finished {
        self.unknown(OpError::new(ErrorKind::Timeout, "stopped before an answer came"), None)
    }

    /// No answer came.
    async fn broken(&mut self, error: SendError) -> Step {
        self.http_status = None;
        if error.kind == ErrorKind::Auth {
            return Step::End(Box::new(self.denied(error.into())));
        }
        match error.maybe_sent {
            true => self.unclear(error.into()),
            false => Step::Again(error.into()),
        }
    }

    async fn judged(&mut self, sent: &Operation, call: Call, answer: ApiResponse) -> Step {
        let (engine, status) = (self.at.client.engine(), answer.status);
        self.http_status = Some(status);
        let verdict = engine.judge(sent, call, &answer, self.at.client.clock().now());
        let misses = matches!(verdict, Verdict::Refused(_)) && engine.misses_element(sent, call, &answer);
        // What follows may take a while, and a large answer is in the way of others.
        drop(answer);
        match verdict {
            Verdict::Done { .. } if !self.stepped && sent.fields.len() < self.operation.fields.len() => {
                self.stepped = true;
                Step::Onward
            }
            Verdict::Done { remote_id, state, echo } => {
                match self.owned_elsewhere(remote_id.as_ref()).await {
                    Ok(None) => {}
                    Ok(Some(conflict)) => return Step::End(Box::new(self.failed(conflict))),
                    Err(failure) => {
                        let error = OpError::new(ErrorKind::Invalid, "the state can't tell whose the account is");
                        return Step::End(Box::new(self.unknown(error, Some(failure))));
                    }
                }
                let follow_up = self.follow_up(remote_id.as_ref()).await;
                let kept = self.kept(sent, remote_id.as_ref(), echo).await;
                Step::End(Box::new(Finished { reason: follow_up, kept, ..self.done(remote_id, state) }))
            }
            Verdict::Refused(_) if !self.read_first && misses => {
                self.read_first = true;
                Step::Onward
            }
            Verdict::Refused(error) => Step::End(Box::new(self.failed(error))),
            Verdict::Denied(error) => Step::End(Box::new(self.denied(error))),
            Verdict::LogInAgain => self.log_in_again(status),
            Verdict::SlowDown { retry_after, error } => {
                self.at.client.pause(retry_after);
                Step::Again(error)
            }
            Verdict::Unclear(error) => self.unclear(error),
            Verdict::Duplicate { error, fields } if self.operation.kind == OpKind::Create => {
                self.taken(error, &fields).await
            }
            Verdict::Duplicate { error, fields } => Step::End(Box::new(self.failed(self.hidden(error, &fields)))),
            Verdict::NotFound => self.not_found(false).await,
        }
    }

    /// The session is new by now, or the key is a fixed one: trying again is pointless.
    fn log_in_again(&self, status: u16) -> Step {
        let error = OpError::new(ErrorKind::Auth, format!("HTTP {status}: the credentials were refused"));
        Step::End(Box::new(self.denied(error)))
    }

    /// What some APIs want to be asked after a create; says so when it fails, since the account is there all the same.
    async fn follow_up(&self, remote_id: Option<&RemoteId>) -> Option<String> {
        let engine = self.at.client.engine();
        let created = remote_id.filter(|_| self.operation.kind == OpKind::Create);
        let failed = match engine.follow_up(created?)? {
            Err(error) => error.message,
            Ok(request) => match self.at.client.send(&request).await {
                Ok(answer) => engine.complaint_of(&answer)?.message,
                Err(Unanswered::Quota) => "the day's requests are used up".into(),
                Err(Unanswered::State(failure)) => failure.message,
                Err(Unanswered::Broken(error)) => error.message,
            },
        };
        Some(format!("created; the reset of the password failed: {failed}"))
    }

    /// What the target shows against what was written. A repair reads the account where the answer does not show all of it.
    async fn kept(&self, sent: &Operation, remote_id: Option<&RemoteId>, echo: Option<Echo>) -> Kept {
        if self.operation.is_step() || sent.fields.is_empty() {
            return Kept::new();
        }
        let shown = match &echo {
            Some(echo) if !echo.partial || !self.at.learns => None,
            None if !self.at.learns => None,
            _ => self.read_back(remote_id).await,
        };
        match (shown, echo) {
            (Some(account), _) => self.at.client.engine().echo_of(sent, &account).kept,
            (None, echo) => echo.unwrap_or_default().kept,
        }
    }

    /// The account as it is after it was written; nothing where that can't be known at the price of one request.
    async fn read_back(&self, remote_id: Option<&RemoteId>) -> Option<Box<Account>> {
        let id = remote_id.or(self.operation.remote_id.as_ref())?;
        self.at.client.engine().get(id)?;
        match self.at.client.seek(id).await {
            Ok(Seen::Account(account)) => Some(account),
            Ok(Seen::Nobody | Seen::Another) => None,
            Err(failure) => {
                tracing::debug!(key = %self.operation.key, error = %failure, "not read back after it was written");
                None
            }
        }
    }

    /// It may have been carried out. A create is looked up at the end of the run; everything else may be repeated.
    fn unclear(&mut self, error: OpError) -> Step {
        self.maybe_done = true;
        match self.operation.kind {
            OpKind::Create => Step::End(Box::new(self.doubtful(error))),
            _ => Step::Again(error),
        }
    }

    /// Somebody has this address, or this key, already: perhaps it is this very person.
    async fn taken(&mut self, error: OpError, fields: &[String]) -> Step {
        match self.look_up().await {
            Ok(Found::Account(account)) => self.adopt(*account),
            Ok(Found::Conflict(conflict)) => Step::End(Box::new(self.failed(conflict))),
            Ok(Found::Nobody) => Step::End(Box::new(self.failed(self.hidden(error, fields)))),
            Err(failure) => Step::End(Box::new(self.unknown(error, Some(failure)))),
        }
    }

    /// A value is taken, by an account that we are not shown: what it says, and who can see to it. `fields` are those that
    /// the target complains of; where it names none, any that no two accounts may share.
    fn hidden(&self, error: OpError, fields: &[String]) -> OpError {
        let catalogue = self.at.client.engine().catalogue();
        let unique = |name: &&String| catalogue.field(name).is_some_and(|field| field.unique);
        let sent: Vec<&String> = self.operation.fields.keys().collect();
        let named: Vec<&str> = match fields.is_empty() {
            false => fields.iter().map(String::as_str).collect(),
            true => sent.iter().copied().filter(unique).map(String::as_str).collect(),
        };
        let what = if named.is_empty() { "what it sends".to_string() } else { named.join(" or ") };
        let target = self.at.client.target();
        let message = match self.operation.kind {
            OpKind::Create => format!(
                "{}: {what} is taken, and nobody is found by it: a hidden or deleted account probably holds it; have the \
                 administrator of {target} restore or purge that account, and run again",
                error.message
            ),
            _ => format!(
                "{}: {what} is taken by another account, perhaps a hidden or deleted one; the administrator of {target} can \
                 tell whose it is",
                error.message
            ),
        };
        OpError { message, ..error }
    }

    pub(super) fn adopt(&mut self, account: Account) -> Step {
        self.stepped = false;
        let time = LocalTime::new(self.at.client.clock().now(), self.at.sync.timezone);
        self.operation = Arc::new(adopt(Operation::clone(&self.operation), account, self.at.sync, time, false).into());
        match self.operation.needs_request() {
            true => Step::Onward,
            false => Step::End(Box::new(self.done(None, None))),
        }
    }

    pub(super) async fn look_up(&self) -> Result<Found, Failure> {
        tokio::select! {
            biased;
            found = find_again(self.at.client, self.at.state, self.at.sync, &self.operation) => found,
            () = self.at.abandon.cancelled() => Err(Failure::new(Error::Local(LocalReason::Stopped), "stopped before a look-up was answered")),
        }
    }

    /// Waits for the next try, or ends when there is to be none.
    async fn pause_or_end(&mut self, error: OpError) -> Option<Finished> {
        let stopped = self.at.stop.is_cancelled();
        let pause = if stopped { None } else { self.at.client.again(self.attempts) };
        let Some(pause) = pause else { return Some(self.given_up(error, stopped)) };
        tokio::select! {
            biased;
            () = tokio::time::sleep(pause) => None,
            () = self.at.stop.cancelled() => Some(self.given_up(error, true)),
        }
    }

    fn given_up(&self, error: OpError, stopped: bool) -> Finished {
        match (self.maybe_done, stopped) {
            (true, _) => self.unknown(error, None),
            (false, true) => self.skipped(SkipReason::Stopped),
            (false, false) => self.failed(error),
        }
    }
}

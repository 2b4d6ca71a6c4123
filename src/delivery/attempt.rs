//! One operation from its intent to its end: sent, judged, repeated where that is safe, looked up where it isn't.
//!
//! The rule behind every branch: a request that may have been carried out is never repeated unless repeating changes
//! nothing. Updates and bans may be repeated; a create is looked up first.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::client::{Client, Unanswered, Unready};
use super::transport::SendError;
use crate::config::settings::SyncSettings;
use crate::exit::{Exit, Failure};
use crate::mapping::Mapping;
use crate::outcome::{ErrorKind, OpError, Status};
use crate::plan::{Change, OpKind, Operation};
use crate::planner::newcomers::{Found, adopt, again, look_up};
use crate::rules::{PersonState, SkipReason};
use crate::state::State;
use crate::state::journal::{Effect, EntryId};
use crate::state::undo::Undoable;
use crate::target::{AccountState, Answer, Verdict};
use crate::value::is_empty;

/// How an operation ended.
#[derive(Debug)]
pub struct Finished {
    /// The operation as it was carried out: a create may have become an adoption.
    pub operation: Arc<Operation>,
    /// Its status.
    pub status: Status,
    /// What it means for the person.
    pub effect: Effect,
    /// Requests made to carry it out, look-ups not counted.
    pub attempts: u32,
    /// The last answer's status.
    pub http_status: Option<u16>,
    /// Why skipped, or what is worth knowing.
    pub reason: Option<String>,
    /// Why failed.
    pub error: Option<OpError>,
    /// From begin to end.
    pub took: Duration,
    /// Nothing more must be sent to this target.
    pub denied: bool,
    /// Nothing more may be sent to this target today.
    pub used_up: bool,
    /// The state failed on the way.
    pub state_failed: Option<Failure>,
}

impl Finished {
    /// What it replaced on the target, to be kept for an undo; nothing where the target did not acknowledge it.
    pub fn replaced(&self) -> Option<Undoable> {
        let remote_id = match &self.effect {
            Effect::Confirmed { remote_id, .. } => Some(remote_id.clone()),
            _ => self.operation.remote_id.clone(),
        };
        (self.status == Status::Ok && !self.operation.step).then(|| Undoable::of(&self.operation, remote_id))
    }
}

/// What carrying out needs.
pub struct Attempt<'a> {
    /// The target.
    pub client: &'a Client,
    /// The state, to see who owns an account.
    pub state: &'a State,
    /// The sync.
    pub sync: &'a SyncSettings,
    /// The run, and the operation's entry in its journal: together the same for every try, and for no other operation.
    pub entry: (&'a str, EntryId),
    /// Asks to take up nothing new.
    pub stop: &'a CancellationToken,
    /// Asks to wait for no answer any more.
    pub abandon: &'a CancellationToken,
}

/// One operation under way.
struct Work<'a> {
    at: &'a Attempt<'a>,
    operation: Arc<Operation>,
    planned: OpKind,
    began: tokio::time::Instant,
    attempts: u32,
    /// A try may have been carried out, whatever became of later ones.
    maybe_done: bool,
    http_status: Option<u16>,
    /// A 404 on an update has been followed up once.
    relinked: bool,
    /// Access has been given or taken by a request of its own; the fields follow.
    stepped: bool,
}

/// What to do after a try.
enum Step {
    End(Box<Finished>),
    /// Again after a pause.
    Again(OpError),
    /// Again at once, as changed.
    Onward,
}

impl Attempt<'_> {
    /// Carries an operation out. Its intent is in the journal already.
    pub async fn carry_out(&self, operation: Arc<Operation>) -> Finished {
        let began = tokio::time::Instant::now();
        let work = Work {
            at: self,
            planned: operation.kind,
            operation,
            began,
            attempts: 0,
            maybe_done: false,
            http_status: None,
            relinked: false,
            stepped: false,
        };
        if self.stop.is_cancelled() {
            return work.skipped(SkipReason::Stopped);
        }
        if let Some(conflict) = work.operation.conflict.clone() {
            return work.failed(conflict);
        }
        if !work.operation.needs_request() {
            return work.done(None, None);
        }
        self.client.begin();
        work.run().await
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
    fn sending(&self) -> Arc<Operation> {
        if self.stepped {
            let rest = Operation { kind: OpKind::Update, reactivates: false, ..Operation::clone(&self.operation) };
            return Arc::new(rest);
        }
        let first = self.at.client.engine().first_step(&self.operation);
        first.map_or_else(|| Arc::clone(&self.operation), Arc::new)
    }

    /// One request and what its answer means.
    async fn attempt(&mut self) -> Step {
        let sending = self.sending();
        let mut wire = match self.at.client.encode(&sending).await {
            Ok(wire) => wire,
            Err(Unready::Invalid(error)) => return Step::End(Box::new(self.failed(error))),
            Err(Unready::Gone) => return self.not_found().await,
            Err(Unready::Failed(failure)) => return Step::End(Box::new(self.unreadable(failure))),
        };
        wire.headers.extend(self.idempotency());
        let admitted = tokio::select! {
            biased;
            () = self.at.stop.cancelled() => return Step::End(Box::new(self.not_begun(SkipReason::Stopped))),
            admitted = self.at.client.admit() => admitted,
        };
        if let Err(why) = admitted {
            return Step::End(Box::new(self.not_admitted(why)));
        }
        self.attempts += 1;
        let sent = tokio::select! {
            biased;
            sent = self.at.client.carry(&wire) => sent,
            () = self.at.abandon.cancelled() => return Step::End(Box::new(self.abandoned())),
        };
        match sent {
            Ok(answer) => self.judged(&sending, &answer).await,
            Err(error) => self.broken(error).await,
        }
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
    fn not_begun(&self, reason: SkipReason) -> Finished {
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
            true => self.unclear(error.into()).await,
            false => Step::Again(error.into()),
        }
    }

    async fn judged(&mut self, sent: &Operation, answer: &Answer) -> Step {
        self.http_status = Some(answer.status);
        let verdict = self.at.client.engine().judge(sent, answer, self.at.client.clock().now());
        match verdict {
            Verdict::Done { .. } if !self.stepped && sent.fields.len() < self.operation.fields.len() => {
                self.stepped = true;
                Step::Onward
            }
            Verdict::Done { remote_id, state } => {
                let follow_up = self.follow_up(remote_id.as_deref()).await;
                Step::End(Box::new(Finished { reason: follow_up, ..self.done(remote_id, state) }))
            }
            Verdict::Refused(error) => Step::End(Box::new(self.failed(error))),
            Verdict::Denied(error) => Step::End(Box::new(self.denied(error))),
            Verdict::LogInAgain => self.log_in_again(answer.status),
            Verdict::SlowDown { retry_after, error } => {
                self.at.client.pause(retry_after);
                Step::Again(error)
            }
            Verdict::Unclear(error) => self.unclear(error).await,
            Verdict::Duplicate { error, .. } if self.operation.kind == OpKind::Create => self.taken(error).await,
            Verdict::Duplicate { error, .. } => Step::End(Box::new(self.failed(error))),
            Verdict::NotFound => self.not_found().await,
        }
    }

    /// The session is new by now, or the key is a fixed one: trying again is pointless.
    fn log_in_again(&self, status: u16) -> Step {
        let error = OpError::new(ErrorKind::Auth, format!("HTTP {status}: the credentials were refused"));
        Step::End(Box::new(self.denied(error)))
    }

    /// What some APIs want to be asked after a create; says so when it fails, since the account is there all the same.
    async fn follow_up(&self, remote_id: Option<&str>) -> Option<String> {
        let engine = self.at.client.engine();
        let created = remote_id.filter(|_| self.operation.kind == OpKind::Create);
        let failed = match engine.follow_up(created?)? {
            Err(error) => error.message,
            Ok(wire) => match self.at.client.send(&wire).await {
                Ok(answer) => engine.complaint_of(&answer)?.message,
                Err(Unanswered::Quota) => "the day's requests are used up".into(),
                Err(Unanswered::State(failure)) => failure.message,
                Err(Unanswered::Broken(error)) => error.message,
            },
        };
        Some(format!("created; the reset of the password failed: {failed}"))
    }

    /// It may have been carried out. A create is looked up; everything else may be repeated.
    async fn unclear(&mut self, error: OpError) -> Step {
        self.maybe_done = true;
        if self.operation.kind != OpKind::Create {
            return Step::Again(error);
        }
        // A moment for a server that is still busy with it.
        self.at.client.back_off(1).await;
        match self.look_up().await {
            Ok(Found::Account(account)) => self.adopt(*account),
            Ok(Found::Conflict(conflict)) => Step::End(Box::new(self.failed(conflict))),
            // An invitation that is still under way would be a second mail: the next run looks again.
            Ok(Found::Nobody) if self.at.client.engine().invites() => Step::End(Box::new(self.unknown(error, None))),
            // Certainly not there now: it may be sent again, and should the first one still be under way, the target
            // answers that the address is taken, which leads to a look-up as well.
            Ok(Found::Nobody) => Step::Again(error),
            Err(failure) => Step::End(Box::new(self.unknown(error, Some(failure)))),
        }
    }

    /// Somebody has this address, or this key, already: perhaps it is this very person.
    async fn taken(&mut self, error: OpError) -> Step {
        match self.look_up().await {
            Ok(Found::Account(account)) => self.adopt(*account),
            Ok(Found::Conflict(conflict)) => Step::End(Box::new(self.failed(conflict))),
            Ok(Found::Nobody) => Step::End(Box::new(self.failed(error))),
            Err(failure) => Step::End(Box::new(self.unknown(error, Some(failure)))),
        }
    }

    fn adopt(&mut self, account: crate::target::Account) -> Step {
        self.stepped = false;
        let today = self.at.client.clock().now().with_timezone(&self.at.sync.timezone).date_naive();
        self.operation = Arc::new(adopt(Operation::clone(&self.operation), account, self.at.sync, today, false));
        match self.operation.needs_request() {
            true => Step::Onward,
            false => Step::End(Box::new(self.done(None, None))),
        }
    }

    /// There is no such account. Good when it was to go; otherwise it is looked up, and made anew when it is gone.
    async fn not_found(&mut self) -> Step {
        let error = OpError::new(ErrorKind::Refused, "HTTP 404: there is no such account");
        match self.operation.kind {
            OpKind::Ban | OpKind::Delete => Step::End(Box::new(self.already_gone())),
            OpKind::Create | OpKind::Unlink => Step::End(Box::new(self.failed(error))),
            OpKind::Update | OpKind::Reinstate | OpKind::Adopt if self.relinked => {
                Step::End(Box::new(self.failed(error)))
            }
            OpKind::Update | OpKind::Reinstate | OpKind::Adopt => {
                self.relinked = true;
                self.stepped = false;
                self.operation = Arc::new(as_create(&self.operation, &self.at.sync.mapping));
                match self.look_up().await {
                    Ok(Found::Account(account)) => self.adopt(*account),
                    Ok(Found::Nobody) => Step::Onward,
                    Ok(Found::Conflict(conflict)) => Step::End(Box::new(self.failed(conflict))),
                    Err(failure) => Step::End(Box::new(self.failed_after(error, failure))),
                }
            }
        }
    }

    async fn look_up(&self) -> Result<Found, Failure> {
        let catalogue = self.at.client.engine().catalogue();
        let newcomer = again(&self.operation, &self.at.sync.match_fields, catalogue);
        tokio::select! {
            biased;
            found = look_up(self.at.client, self.at.state, self.at.sync, &newcomer) => found,
            () = self.at.abandon.cancelled() => Err(Failure::new(Exit::Partial, "stopped before a look-up was answered")),
        }
    }

    /// Waits for the next try, or ends when there is to be none.
    async fn pause_or_end(&mut self, error: OpError) -> Option<Finished> {
        let stopped = self.at.stop.is_cancelled();
        if stopped || !self.at.client.may_retry(self.attempts) {
            return Some(self.given_up(error, stopped));
        }
        tokio::select! {
            biased;
            () = self.at.client.back_off(self.attempts) => None,
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

    fn finished(&self, status: Status, effect: Effect) -> Finished {
        Finished {
            operation: Arc::clone(&self.operation),
            status,
            effect,
            attempts: self.attempts,
            http_status: self.http_status,
            reason: None,
            error: None,
            took: self.began.elapsed(),
            denied: false,
            used_up: false,
            state_failed: None,
        }
    }

    /// The target acknowledged it, or there was nothing to send.
    fn done(&self, remote_id: Option<String>, state: Option<AccountState>) -> Finished {
        let operation = &self.operation;
        let effect = match operation.kind {
            OpKind::Delete => Effect::Gone,
            OpKind::Unlink => Effect::Unlinked,
            OpKind::Create | OpKind::Update | OpKind::Ban | OpKind::Reinstate | OpKind::Adopt => {
                let Some(remote_id) = remote_id.or_else(|| operation.remote_id.clone()) else {
                    let error = OpError::new(ErrorKind::Protocol, "the target told no id of the new account");
                    return self.unknown(error, None);
                };
                Effect::Confirmed {
                    state: confirmed_state(operation, state),
                    remote_id,
                    attributes: self.at.client.engine().acknowledged(operation),
                    fingerprint: operation.fingerprint,
                }
            }
        };
        self.finished(Status::Ok, effect)
    }

    fn already_gone(&self) -> Finished {
        Finished { reason: Some("already gone".into()), ..self.finished(Status::Ok, Effect::Gone) }
    }

    fn failed(&self, error: OpError) -> Finished {
        Finished { error: Some(error), ..self.finished(Status::Failed, Effect::None) }
    }

    fn denied(&self, error: OpError) -> Finished {
        Finished { denied: true, ..self.failed(error) }
    }

    fn skipped(&self, reason: SkipReason) -> Finished {
        Finished { reason: Some(reason.name().into()), ..self.finished(Status::Skipped, Effect::None) }
    }

    /// What had to be read before it could be sent can't be.
    fn unreadable(&self, failure: Failure) -> Finished {
        let kind = if failure.exit == Exit::Denied { ErrorKind::Auth } else { ErrorKind::Network };
        let error = OpError::new(kind, failure.message.clone());
        Finished { denied: kind == ErrorKind::Auth, ..self.failed_after(error, failure) }
    }

    /// What comes of a failure whose look-up failed too, where nothing can have been done.
    fn failed_after(&self, error: OpError, failure: Failure) -> Finished {
        Finished { state_failed: state_failure(failure), ..self.failed(error) }
    }

    /// May have been done, and can't be found out now.
    fn unknown(&self, error: OpError, failure: Option<Failure>) -> Finished {
        Finished {
            error: Some(error),
            state_failed: failure.and_then(state_failure),
            ..self.finished(Status::Unknown, Effect::Unknown)
        }
    }
}

/// A failure of ours is worth stopping for; one of the target is in the outcome already.
fn state_failure(failure: Failure) -> Option<Failure> {
    matches!(failure.exit, Exit::Io | Exit::Internal | Exit::Config).then_some(failure)
}

fn confirmed_state(operation: &Operation, answered: Option<AccountState>) -> PersonState {
    let found = if operation.reactivates { None } else { operation.found };
    match (operation.kind, answered.or(found)) {
        (OpKind::Ban, _) | (_, Some(AccountState::Banned)) => PersonState::Banned,
        (_, Some(AccountState::Invited)) => PersonState::Invited,
        _ => PersonState::Active,
    }
}

/// The create that would make the account which an operation expected to be there: of what is known of it, the fields
/// that are mapped.
fn as_create(operation: &Operation, mapping: &Mapping) -> Operation {
    let mapped = |field: &str| mapping.rules().iter().any(|rule| rule.field == field);
    let mut create = Operation::new(OpKind::Create, operation.key.clone(), None);
    for (field, value) in operation.after().iter().filter(|(field, _)| mapped(field)) {
        if is_empty(value) {
            create.blank.insert(field.clone());
        } else {
            create.fields.insert(field.clone(), Change { old: serde_json::Value::Null, new: value.clone() });
        }
    }
    create.create_only = operation.create_only.clone();
    create.fingerprint = operation.fingerprint;
    create.wave = operation.wave;
    create
}

//! One target's client: every request to it, of whichever sync and purpose, goes through here, under one
//! rate, one pause, one retry budget, one quota.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use rand::{Rng, SeedableRng, rngs::SmallRng};
use tokio::time::Instant;

use super::budget::{Budget, TargetBucket};
use super::login::Login;
use super::paging::ListingCheck;
use super::quota::Quota;
use super::refusal::{Refusal, SESSION_OVER};
use super::transport::Transport;
use crate::api::{ApiRequest, ApiResponse, Engine, Verdict};
use crate::config::settings::TargetSettings;
use crate::domain::account::Account;
use crate::domain::error::{Error, Failure, Result, TargetReason};
use crate::domain::outcome::{ErrorKind, OpError};
use crate::domain::retry::{self, Backoff};
use crate::domain::value::folded;
use crate::failpoints;
use crate::failpoints::Failpoint;
use crate::http;
use crate::http::error::SendError;
use crate::http::rate::{GateCounters, RateGate};
use crate::http::settings::AuthSettings;
use crate::os::clock::Clock;
use crate::state::State;
use crate::telemetry::metrics;

/// What carries a request to the target and its answer back. A socket, or a script in a simulation.
pub trait Carrier: Send + Sync {
    /// Sends one request and waits for the complete answer.
    fn send<'a>(&'a self, request: &'a ApiRequest) -> BoxFuture<'a, Result<ApiResponse, SendError>>;

    /// Asks the token endpoint for an access token.
    fn ask_for_token(&self) -> BoxFuture<'_, Result<ApiResponse, SendError>>;
}

impl Carrier for Transport {
    fn send<'a>(&'a self, request: &'a ApiRequest) -> BoxFuture<'a, Result<ApiResponse, SendError>> {
        Box::pin(Transport::send(self, request))
    }

    fn ask_for_token(&self) -> BoxFuture<'_, Result<ApiResponse, SendError>> {
        Box::pin(Transport::ask_for_token(self))
    }
}

/// Retries may cost a fifth more requests than there are operations: a target in trouble is not helped by a storm.
const BUDGET_PER_OPERATION: i64 = 2;
/// What one retry takes from the budget, in the same tenths.
const BUDGET_PER_RETRY: i64 = 10;
/// And this many retries a run are free, so that a small run has any at all. It is also the most that is saved up:
/// a long good time earns no storm.
const BUDGET_FLOOR: i64 = 20 * BUDGET_PER_RETRY;

/// What all syncs on one target share for as long as the process lives.
pub struct TargetBudget {
    gate: RateGate<TargetBucket>,
    retries: AtomicI64,
    quota: Option<Quota>,
    limits: (crate::domain::units::Rate, u32, Option<u64>),
}

impl TargetBudget {
    /// The budget of a target, whose daily quota is counted in `state`, and whose rate is kept with everybody's in `budget`.
    pub fn new(settings: &TargetSettings, state: &State, clock: &Clock, budget: &Budget) -> TargetBudget {
        let quota = |daily| Quota::new(&settings.identity(), &settings.name, daily, state.clone(), clock.clone());
        TargetBudget {
            gate: budget.gate(&settings.identity(), settings.rate, settings.burst),
            retries: AtomicI64::new(BUDGET_FLOOR),
            quota: settings.daily_quota.map(quota),
            limits: (settings.rate, settings.burst, settings.daily_quota),
        }
    }

    /// Whether it keeps the limits of these settings.
    pub fn fits(&self, settings: &TargetSettings) -> bool {
        self.limits == (settings.rate, settings.burst, settings.daily_quota)
    }

    /// What it allows.
    pub fn rate(&self) -> crate::domain::units::Rate {
        self.limits.0
    }

    /// What its gate has seen.
    pub fn counters(&self) -> GateCounters {
        self.gate.counters()
    }

    /// A run begins: it has the floor of the retry budget.
    pub fn refill(&self) {
        self.retries.store(BUDGET_FLOOR, Ordering::Relaxed);
    }
}

/// Why a request brought no answer.
#[derive(Debug)]
pub enum Unanswered {
    /// The day's requests are used up; nothing was sent.
    Quota,
    /// The state can't count it; nothing was sent.
    State(Failure),
    /// The connection, or the time, gave out.
    Broken(SendError),
}

/// A target's client.
pub struct Client {
    settings: Arc<TargetSettings>,
    carrier: Box<dyn Carrier>,
    login: Option<Login>,
    /// Whether the API takes whole accounts only, once that has been asked.
    pub(crate) replaces: tokio::sync::OnceCell<bool>,
    budget: Arc<TargetBudget>,
    backoff: Backoff,
    clock: Clock,
    chance: Mutex<SmallRng>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Client({})", self.settings.name)
    }
}

impl Client {
    /// A client over this carrier, within this budget. `seed` feeds the jitter of retries. See [`super::Clients`], which
    /// makes one a target.
    pub fn new(
        settings: Arc<TargetSettings>,
        carrier: Box<dyn Carrier>,
        budget: Arc<TargetBudget>,
        clock: Clock,
        seed: u64,
    ) -> Client {
        Client {
            backoff: Backoff { attempts: settings.retry.attempts, base: settings.retry.base, max: settings.retry.max },
            budget,
            carrier,
            login: None,
            replaces: tokio::sync::OnceCell::new(),
            clock,
            chance: Mutex::new(SmallRng::seed_from_u64(seed)),
            settings,
        }
    }

    /// The client with a log-in of its own, for a target that wants one.
    pub(crate) fn with_login(self, login: Option<Login>) -> Client {
        Client { login, ..self }
    }

    /// What it shares with all others on the target.
    pub fn budget(&self) -> &Arc<TargetBudget> {
        &self.budget
    }

    /// The target's name.
    pub fn target(&self) -> &str {
        &self.settings.name
    }

    /// The target's settings.
    pub fn settings(&self) -> &TargetSettings {
        &self.settings
    }

    /// The target's definition.
    pub fn engine(&self) -> &Engine {
        &self.settings.engine
    }

    /// The clock that answers are judged by.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// How often a request is tried.
    pub fn attempts(&self) -> u32 {
        self.backoff.attempts
    }

    /// Waits until one request may go, and counts it. Who stops waiting takes nothing.
    ///
    /// # Errors
    /// The day's requests are used up, or can't be counted.
    pub async fn admit(&self) -> Result<(), Unanswered> {
        self.budget.gate.acquire().await.map_err(|error| Unanswered::State(error.into()))?;
        match &self.budget.quota {
            None => Ok(()),
            Some(quota) => match quota.take().await {
                Ok(true) => Ok(()),
                Ok(false) => Err(Unanswered::Quota),
                Err(error) => Err(Unanswered::State(error.into())),
            },
        }
    }

    /// Sends one request that was admitted, logged in where the target wants that; no retry, but for the one that
    /// follows the end of a session.
    pub async fn carry(&self, request: &ApiRequest) -> Result<ApiResponse, SendError> {
        match &self.login {
            Some(login) => login.carry(self, request).await,
            None => self.carry_as_is(request).await,
        }
    }

    /// Sends one request that was admitted, as it is.
    pub(crate) async fn carry_as_is(&self, request: &ApiRequest) -> Result<ApiResponse, SendError> {
        let asked = Instant::now();
        let answer = self.carrier.send(request).await;
        metrics::request(&self.settings.name, answer.as_ref().map(|a| a.status).map_err(|e| e.kind), asked.elapsed());
        answer
    }

    /// Asks for a token; admitted before.
    pub(crate) async fn ask_for_token(&self) -> Result<ApiResponse, SendError> {
        self.carrier.ask_for_token().await
    }

    /// Sends one request when its turn has come; no retry.
    pub async fn send(&self, request: &ApiRequest) -> Result<ApiResponse, Unanswered> {
        self.admit().await?;
        self.carry(request).await.map_err(Unanswered::Broken)
    }

    /// Whether requests were refused because the day's are used up.
    pub fn quota_is_used_up(&self) -> bool {
        self.budget.quota.as_ref().is_some_and(Quota::is_used_up)
    }

    /// The end of a run: a session ends, and requests that were counted in advance and not sent are given back.
    pub async fn rest(&self) {
        if let Some(login) = &self.login {
            login.log_out(self).await;
        }
        if let Some(quota) = &self.budget.quota
            && let Err(error) = quota.give_back().await
        {
            tracing::warn!(target_name = %self.settings.name, %error, "some requests of today's quota are lost");
        }
    }

    /// Leaves the whole target alone for as long as it asked, capped by `retry.max`.
    pub fn pause(&self, wanted: Option<Duration>) {
        if let Some(wanted) = wanted {
            self.budget.gate.pause(wanted.min(self.backoff.max));
        }
    }

    /// How long an answer asks to be left alone. A date without the target's own clock is measured by ours.
    pub(crate) fn asked_pause(&self, answer: &ApiResponse) -> Option<Duration> {
        retry::asked_pause(answer.header("retry-after"), answer.header("date"), Some(self.clock.now()))
    }

    /// Feeds the retry budget: one operation, or one look-up, begins.
    pub fn begin(&self) {
        let fed = |budget: i64| Some((budget + BUDGET_PER_OPERATION).min(BUDGET_FLOOR));
        let _ = self.budget.retries.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fed);
    }

    /// The verdict after so many tries, the last of which failed in a way that may pass: after which pause to try again;
    /// nothing where attempts or budget are used up.
    pub fn again(&self, tries: u32) -> Option<Duration> {
        if !self.backoff.allows_another(tries) {
            return None;
        }
        if !failpoints::is(Failpoint::LostBudget) {
            let rest = |budget: i64| (budget >= BUDGET_PER_RETRY).then_some(budget - BUDGET_PER_RETRY);
            self.budget.retries.fetch_update(Ordering::Relaxed, Ordering::Relaxed, rest).ok()?;
            metrics::retry(&self.settings.name);
        }
        let chance = self.chance.lock().unwrap_or_else(std::sync::PoisonError::into_inner).random::<f64>();
        self.backoff.again(tries, chance, None)
    }

    /// The accounts whose field, or key, holds this value, letter case set aside: all of them, or more than enough to show
    /// that there are several. Where the target can't be asked for them, its listing is gone through.
    ///
    /// # Errors
    /// As [`Client::page`].
    pub async fn find(&self, field: &str, value: &str) -> Result<Vec<Account>> {
        let wanted = folded(&value.into());
        let fits = |account: &Account| {
            let recognised = || wanted.as_ref().is_some_and(|wanted| account.is_recognised(field, wanted));
            account.key.as_deref() == Some(value) || recognised()
        };
        match self.engine().find(field, value) {
            Some(first) => self.gathered(first, ListingCheck::of_search, fits).await,
            None if wanted.is_some() && self.engine().can_list() => self.listed(fits).await,
            None => Ok(Vec::new()),
        }
    }

    /// A request that changes nothing, and may therefore be repeated.
    pub(crate) async fn read<T>(
        &self,
        request: &ApiRequest,
        understand: impl Fn(&ApiResponse) -> Result<T, Verdict>,
    ) -> Result<T> {
        self.begin();
        let mut tries = 0;
        loop {
            tries += 1;
            let answered = self.send(request).await;
            let status = answered.as_ref().ok().map(|answer| answer.status);
            let trouble = match answered {
                Err(Unanswered::Quota) => return Err(self.used_up()),
                Err(Unanswered::State(failure)) => return Err(failure),
                Err(Unanswered::Broken(error)) if error.kind == ErrorKind::Auth => {
                    return Err(self.denied(&error.message));
                }
                Err(Unanswered::Broken(error)) => OpError::from(error),
                Ok(answer) => match understand(&answer) {
                    Ok(value) => return Ok(value),
                    Err(Verdict::SlowDown { retry_after: asked, error }) => {
                        self.pause(asked.or_else(|| self.asked_pause(&answer)));
                        error
                    }
                    Err(Verdict::Unclear(error)) => error,
                    Err(verdict) => return Err(self.no_use(&verdict, answer.status)),
                },
            };
            let Some(pause) = self.again(tries) else {
                return Err(match trouble.kind {
                    ErrorKind::Refused => self.never_in_session(trouble),
                    _ => self.unusable(&trouble, status),
                });
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// The day's requests are used up.
    pub fn used_up(&self) -> Failure {
        let (name, daily) = (&self.settings.name, self.budget.quota.as_ref().map_or(0, Quota::daily));
        Failure::new(
            Error::Target(TargetReason::QuotaUsedUp),
            format!("the {daily} requests a day of target {name} are used up"),
        )
        .help(format!("the next run after midnight UTC goes on; or raise targets.{name}.daily_quota"))
    }

    /// A read that met nothing but ended sessions, while the credentials are right.
    fn never_in_session(&self, error: OpError) -> Failure {
        let name = &self.settings.name;
        Failure::new(
            Error::Target(TargetReason::Unreachable),
            format!("target {name} ended every session under a request: {}", error.message),
        )
        .help("see how long its sessions last; nothing is lost, and the next run goes on")
        .because(Refusal { error, status: SESSION_OVER })
    }

    /// The target gives no usable answer, however often it is asked; with the HTTP status, where it gave that. Whether
    /// it can't be reached, is in trouble, or is not what the configuration takes it for is told apart.
    pub fn unusable(&self, trouble: &OpError, status: Option<u16>) -> Failure {
        let (name, why) = (&self.settings.name, &trouble.message);
        let nothing_lost = "nothing is lost: what was not confirmed is looked up and sent in the next run";
        let (message, help) = match (trouble.kind, status) {
            (_, Some(500..)) => (format!("target {name} is in trouble: {why}"), nothing_lost.to_string()),
            (ErrorKind::RateLimited, _) => (
                format!("target {name} asks to slow down, however long it is waited: {why}"),
                format!("{nothing_lost}; lower targets.{name}.rate"),
            ),
            (ErrorKind::Protocol, _) => (
                format!("target {name} answers, and not as it should: {why}"),
                format!("check {}: http or https, host, port and path; then kind and proxy", self.addresses()),
            ),
            _ => {
                let connecting = http::error::connecting(&self.settings.base_url, why);
                let help = connecting.map(|help| format!("{help}; the address is {}", self.addresses()));
                (format!("target {name} can't be reached: {why}"), help.unwrap_or_else(|| nothing_lost.to_string()))
            }
        };
        Failure::new(Error::Target(TargetReason::Unreachable), message).help(help)
    }

    /// Where this target's addresses stand, and the first of them.
    fn addresses(&self) -> String {
        let (name, address) = (&self.settings.name, &self.settings.base_url);
        let tokens = match &self.settings.auth {
            AuthSettings::OAuth2 { token_url, .. } => format!(", and targets.{name}.auth.token_url, {token_url}"),
            _ => String::new(),
        };
        format!("targets.{name}.base_url, {address}{tokens}")
    }

    /// What a read's refusal means for the run.
    fn no_use(&self, verdict: &Verdict, status: u16) -> Failure {
        let name = &self.settings.name;
        match verdict {
            Verdict::LogInAgain => self.denied(&format!("HTTP {status}")),
            Verdict::Denied(error) => self.denied(&error.message),
            Verdict::NotFound => Failure::new(
                Error::Target(TargetReason::Unreachable),
                format!("target {name} does not know the address under which users are looked up (HTTP {status})"),
            )
            .help(format!("check targets.{name}.base_url")),
            Verdict::Refused(error) | Verdict::Duplicate { error, .. } => Failure::new(
                Error::Target(TargetReason::Unreachable),
                format!("target {name} refused a look-up: {}", error.message),
            )
            .help(format!("check targets.{name}: its kind, base_url and options"))
            .because(Refusal { error: error.clone(), status }),
            Verdict::Done { .. } | Verdict::SlowDown { .. } | Verdict::Unclear(_) => {
                Failure::internal(format!("a look-up on target {name} was misjudged"))
            }
        }
    }

    /// The refusal of our credentials.
    pub fn denied(&self, why: &str) -> Failure {
        let name = &self.settings.name;
        Failure::new(Error::Target(TargetReason::Denied), format!("target {name} refused the credentials: {why}"))
            .help(format!("check targets.{name}.auth: the key may have expired or lack a permission"))
    }
}

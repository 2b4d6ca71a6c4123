//! The way to the simulated target and back: what becomes of each request is drawn from the seed. Some are lost, some come
//! late or twice, and some answers are lies.

use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use rand::Rng;
use rosterd::account::client::Carrier;
use rosterd::api::{ApiRequest, ApiResponse};
use rosterd::domain::outcome::ErrorKind;
use rosterd::http::error::SendError;
use serde_json::{Value, json};

use super::checks::Database;
use super::process::RunFaults;
use super::target::{SimulatedTarget, answer, id_in, is_listing};

/// How long a create may still take effect after it has left: what the target is configured to need. Nothing that the
/// simulation draws comes later, since against that nobody could do anything.
pub const SETTLE: u64 = 6_000;

/// How long after its intent a create may leave without anybody writing that down: from the intent on the program counts.
pub const LAG: u64 = 1_000;

/// How network and target are for a stretch of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conditions {
    /// Everything works.
    Working,
    /// So many requests of a hundred meet a fault.
    Faulty(u32),
    /// Every write is told that the service is unavailable.
    WritesRefused,
    /// No connection comes about.
    Down,
}

/// What becomes of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestFault {
    None,
    /// Answered, and nothing done.
    Status(u16),
    /// No connection: certainly not sent.
    NoConnection,
    /// Lost on the way there.
    LostBefore,
    /// Done, and the answer lost.
    LostAfter,
    /// Done, and answered 500 all the same.
    DoneAnd500,
    /// Done, and the answer is cut off.
    Garbage,
    /// Done only after the caller has given up.
    TooLate,
    /// Delivered twice by something in between.
    Twice,
    /// Done, and answered with what belongs to another request or another account.
    Another,
    /// Answered that the time is up, and done some time later.
    Late,
    /// Answered 404, although the account is there; and nothing done.
    Missing,
    /// The same, and so is whatever else asks for this account, for a while.
    MissingForAWhile,
    /// A page of the listing that is not what it should be.
    Page(PageLie),
}

/// How a page of a listing lies. Each repeats what another page holds: an account that is left out without a trace
/// could be noticed by nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageLie {
    /// It begins one account too early, and so does whatever follows: somebody came in front.
    Shifted,
    /// It begins one account too early, and the next goes on where it would have: one is left out.
    Overlapping,
    /// It is the first page again.
    First,
    /// One of its accounts takes the place of another.
    Doubled,
}

/// A request that has left and is to be carried out at a time, whatever becomes of who sent it.
pub struct RequestInFlight {
    pub request: ApiRequest,
    pub again: bool,
    pub lie: Option<PageLie>,
}

/// What can become of any request in the wind.
const ANY: [RequestFault; 10] = [
    RequestFault::Status(429),
    RequestFault::Status(500),
    RequestFault::Status(503),
    RequestFault::NoConnection,
    RequestFault::LostBefore,
    RequestFault::LostAfter,
    RequestFault::DoneAnd500,
    RequestFault::Garbage,
    RequestFault::TooLate,
    RequestFault::Twice,
];

/// Whether lies of this kind are told. `LIES=late,pages` leaves out all others: another, late, missing, pages, kept, moving,
/// reused.
pub fn told(kind: &str) -> bool {
    static CHOSEN: LazyLock<Option<String>> = LazyLock::new(|| std::env::var("LIES").ok());
    CHOSEN.as_ref().is_none_or(|chosen| chosen.split(',').any(|one| one == kind))
}

/// The lies that a request can meet besides, by kind.
fn lies(request: &ApiRequest) -> impl Iterator<Item = RequestFault> {
    const CREATE: &[(&str, RequestFault)] = &[
        ("another", RequestFault::Another),
        ("another", RequestFault::Another),
        ("late", RequestFault::Late),
        ("late", RequestFault::Late),
    ];
    const BY_ID: &[(&str, RequestFault)] = &[
        ("another", RequestFault::Another),
        ("another", RequestFault::Another),
        ("missing", RequestFault::Missing),
        ("missing", RequestFault::MissingForAWhile),
    ];
    const PAGES: &[(&str, RequestFault)] = &[
        ("pages", RequestFault::Page(PageLie::Shifted)),
        ("pages", RequestFault::Page(PageLie::Overlapping)),
        ("pages", RequestFault::Page(PageLie::Overlapping)),
        ("pages", RequestFault::Page(PageLie::First)),
        ("pages", RequestFault::Page(PageLie::First)),
        ("pages", RequestFault::Page(PageLie::Doubled)),
        ("pages", RequestFault::Page(PageLie::Doubled)),
    ];
    let lies = match request.method.as_str() {
        "POST" => CREATE,
        _ if id_in(&request.path).is_some() => BY_ID,
        _ if is_listing(request) => PAGES,
        _ => &[],
    };
    lies.iter().filter(|(kind, _)| told(kind)).map(|(_, lie)| *lie)
}

impl SimulatedTarget {
    /// A request leaves. Returns its number, when it is carried out, when its answer is there, and what it meets.
    fn depart(
        &mut self,
        request: &ApiRequest,
        now: u64,
        database: &Database,
        timeout: u64,
    ) -> (u64, u64, u64, RequestFault) {
        self.advance(now);
        self.sent += 1;
        let number = self.sent;
        let fault = self.fault(request);
        let told = format!("{now} {} {} {fault:?}\n", request.method, request.path);
        self.story.update(told.as_bytes());
        if self.aloud {
            eprint!("    {told}");
        }
        if fault == RequestFault::NoConnection {
            return (number, now, now + self.chance.random_range(0..20), fault);
        }
        self.arrivals.push(now);
        self.note(request, number, fault, database);
        let there = now + self.chance.random_range(0..40);
        let done = match fault {
            RequestFault::TooLate => now + timeout + self.chance.random_range(1..SETTLE - LAG - timeout),
            RequestFault::Late => now + self.chance.random_range(100..SETTLE - LAG),
            _ => there,
        };
        let back = match fault {
            RequestFault::TooLate => now + timeout,
            // Half of what is lost is noticed at once, half when the time is up.
            RequestFault::LostBefore | RequestFault::LostAfter if self.chance.random_bool(0.5) => now + timeout,
            RequestFault::Late => there + self.chance.random_range(0..40),
            _ => done + self.chance.random_range(0..40),
        };
        let arrives = match fault {
            RequestFault::Status(_) | RequestFault::LostBefore | RequestFault::Missing => false,
            RequestFault::MissingForAWhile => {
                self.hide(request, now);
                false
            }
            _ => true,
        };
        if arrives {
            let lie = if let RequestFault::Page(lie) = fault { Some(lie) } else { None };
            let again = fault == RequestFault::Twice;
            self.travelling.insert((done, number), RequestInFlight { request: request.clone(), again, lie });
        }
        (number, done, back, fault)
    }

    fn hide(&mut self, request: &ApiRequest, now: u64) {
        let until = now + self.chance.random_range(100..8_000);
        if let Some(id) = id_in(&request.path).and_then(|id| id.parse().ok()) {
            self.hidden.insert(id, until);
        }
    }

    fn fault(&mut self, request: &ApiRequest) -> RequestFault {
        let write = request.method != "GET";
        match self.conditions {
            Conditions::Working => RequestFault::None,
            Conditions::Down => RequestFault::NoConnection,
            Conditions::WritesRefused if write => RequestFault::Status(503),
            Conditions::WritesRefused => RequestFault::None,
            Conditions::Faulty(percent) if self.chance.random_range(0..100) < percent => {
                let all: Vec<RequestFault> = ANY.into_iter().chain(lies(request)).collect();
                match all[self.chance.random_range(0..all.len())] {
                    // An update that comes after a later one undoes it, and nothing but a reconcile finds out.
                    RequestFault::TooLate if request.method == "PUT" => RequestFault::LostAfter,
                    // Two accounts that something in between has made of one create are nobody's fault.
                    RequestFault::Twice if request.method == "POST" && !self.strict => RequestFault::LostAfter,
                    fault => fault,
                }
            }
            Conditions::Faulty(_) => RequestFault::None,
        }
    }

    /// What the caller hears in the end.
    fn received(&mut self, number: u64, fault: RequestFault) -> Result<ApiResponse, SendError> {
        let about = self.under_way.remove(&number);
        let lost = |kind, maybe_sent| Err(SendError { kind, maybe_sent, message: "simulated".into() });
        match fault {
            RequestFault::NoConnection => lost(ErrorKind::Network, false),
            RequestFault::LostBefore | RequestFault::LostAfter => lost(ErrorKind::Network, true),
            RequestFault::TooLate => lost(ErrorKind::Timeout, true),
            RequestFault::Status(status) => {
                let mut refusal = answer(status, &json!({"error": {"code": "fault"}}));
                if status == 429 && self.chance.random_bool(0.7) {
                    refusal.headers.push(("retry-after".into(), self.chance.random_range(0..4).to_string()));
                }
                Ok(refusal)
            }
            RequestFault::Missing | RequestFault::MissingForAWhile => {
                Ok(answer(404, &json!({"error": {"code": "not_found"}})))
            }
            RequestFault::DoneAnd500 => Ok(answer(500, &json!({"error": {"code": "fault"}}))),
            RequestFault::Late => Ok(answer(504, &json!({"error": {"code": "timeout"}}))),
            RequestFault::Garbage => {
                let mut cut = self.answers.remove(&number).expect("it was carried out");
                cut.body.truncate(cut.body.len() / 2);
                Ok(cut)
            }
            RequestFault::Another => {
                let own = self.answers.remove(&number).expect("it was carried out");
                Ok(self.mistaken(own, about.map(|about| about.key)))
            }
            RequestFault::None | RequestFault::Twice | RequestFault::Page(_) => {
                Ok(self.answers.remove(&number).expect("it was carried out"))
            }
        }
    }

    /// In the place of this answer, that of another create under way, which gets this one; else an account that is
    /// somebody else's, if there is one. Who is told nothing of an account is told the truth.
    fn mistaken(&mut self, own: ApiResponse, key: Option<String>) -> ApiResponse {
        let own_id = account_in(&own).and_then(|account| account.get("id").cloned());
        let Some(own_id) = own_id else { return own };
        let crossed = self.under_way.iter().find(|(number, about)| {
            let theirs = self.answers.get(number).and_then(account_in);
            about.creates && Some(&about.key) != key.as_ref() && theirs.is_some()
        });
        if let Some((number, about)) = crossed.map(|(number, about)| (*number, about.clone())) {
            self.doubt(about.key, about.left_at);
            return self.answers.insert(number, own).expect("it was found there");
        }
        let others = self.accounts.values().filter(|account| {
            account.get("id") != Some(&own_id) && account.get("client_id").is_some_and(Value::is_string)
        });
        let others: Vec<Value> = others.cloned().map(Value::Object).collect();
        match others.len() {
            0 => own,
            count => answer(own.status, &others[self.chance.random_range(0..count)]),
        }
    }
}

/// The account that an answer shows, where it is a success.
fn account_in(answer: &ApiResponse) -> Option<serde_json::Map<String, Value>> {
    serde_json::from_slice(&answer.body).ok().filter(|_| answer.status < 300)
}

/// The network between one process and the world.
pub struct Network {
    pub world: Arc<Mutex<SimulatedTarget>>,
    pub database: Database,
    pub faults: Arc<RunFaults>,
    pub timeout: Duration,
}

impl Carrier for Network {
    fn ask_for_token(&self) -> BoxFuture<'_, Result<ApiResponse, SendError>> {
        Box::pin(async { unreachable!("the simulated target wants no token") })
    }

    fn send<'a>(&'a self, request: &'a ApiRequest) -> BoxFuture<'a, Result<ApiResponse, SendError>> {
        Box::pin(async move {
            self.faults.step().await;
            let timeout = self.timeout.as_millis() as u64;
            let now = self.faults.now();
            let (number, done, back, fault) =
                self.world.lock().expect("sound").depart(request, now, &self.database, timeout);
            self.faults.step().await;
            if !matches!(fault, RequestFault::TooLate | RequestFault::Late) {
                self.faults.sleep_until(done).await;
                self.world.lock().expect("sound").advance(done);
                self.faults.step().await;
            }
            self.faults.sleep_until(back).await;
            self.faults.step().await;
            self.world.lock().expect("sound").received(number, fault)
        })
    }
}

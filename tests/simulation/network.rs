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

use super::process::Fate;
use super::witness::Database;
use super::world::{World, answer, id_in, is_listing};

/// How long a create may still take effect after it has left: what the target is configured to need. Nothing that the
/// simulation draws comes later, since against that nobody could do anything.
pub const SETTLE: u64 = 6_000;

/// How long after its intent a create may leave without anybody writing that down: from the intent on the program counts.
pub const LAG: u64 = 1_000;

/// How a stretch of time is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weather {
    /// Everything works.
    Calm,
    /// So many requests of a hundred meet a mishap.
    Windy(u32),
    /// Every write is told that the service is unavailable.
    Storm,
    /// No connection comes about.
    Down,
}

/// What becomes of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mishap {
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
pub struct Travelling {
    pub wire: ApiRequest,
    pub again: bool,
    pub lie: Option<PageLie>,
}

/// What can become of any request in the wind.
const ANY: [Mishap; 10] = [
    Mishap::Status(429),
    Mishap::Status(500),
    Mishap::Status(503),
    Mishap::NoConnection,
    Mishap::LostBefore,
    Mishap::LostAfter,
    Mishap::DoneAnd500,
    Mishap::Garbage,
    Mishap::TooLate,
    Mishap::Twice,
];

/// Whether lies of this kind are told. `LIES=late,pages` leaves out all others: another, late, missing, pages, kept, moving,
/// reused.
pub fn told(kind: &str) -> bool {
    static CHOSEN: LazyLock<Option<String>> = LazyLock::new(|| std::env::var("LIES").ok());
    CHOSEN.as_ref().is_none_or(|chosen| chosen.split(',').any(|one| one == kind))
}

/// The lies that a request can meet besides, by kind.
fn lies(wire: &ApiRequest) -> impl Iterator<Item = Mishap> {
    const CREATE: &[(&str, Mishap)] =
        &[("another", Mishap::Another), ("another", Mishap::Another), ("late", Mishap::Late), ("late", Mishap::Late)];
    const BY_ID: &[(&str, Mishap)] = &[
        ("another", Mishap::Another),
        ("another", Mishap::Another),
        ("missing", Mishap::Missing),
        ("missing", Mishap::MissingForAWhile),
    ];
    const PAGES: &[(&str, Mishap)] = &[
        ("pages", Mishap::Page(PageLie::Shifted)),
        ("pages", Mishap::Page(PageLie::Overlapping)),
        ("pages", Mishap::Page(PageLie::Overlapping)),
        ("pages", Mishap::Page(PageLie::First)),
        ("pages", Mishap::Page(PageLie::First)),
        ("pages", Mishap::Page(PageLie::Doubled)),
        ("pages", Mishap::Page(PageLie::Doubled)),
    ];
    let lies = match wire.method.as_str() {
        "POST" => CREATE,
        _ if id_in(&wire.path).is_some() => BY_ID,
        _ if is_listing(wire) => PAGES,
        _ => &[],
    };
    lies.iter().filter(|(kind, _)| told(kind)).map(|(_, lie)| *lie)
}

impl World {
    /// A request leaves. Returns its number, when it is carried out, when its answer is there, and what it meets.
    fn depart(&mut self, wire: &ApiRequest, now: u64, database: &Database, timeout: u64) -> (u64, u64, u64, Mishap) {
        self.advance(now);
        self.sent += 1;
        let number = self.sent;
        let mishap = self.mishap(wire);
        let told = format!("{now} {} {} {mishap:?}\n", wire.method, wire.path);
        self.story.update(told.as_bytes());
        if self.aloud {
            eprint!("    {told}");
        }
        if mishap == Mishap::NoConnection {
            return (number, now, now + self.chance.random_range(0..20), mishap);
        }
        self.arrivals.push(now);
        self.note(wire, number, mishap, database);
        let there = now + self.chance.random_range(0..40);
        let done = match mishap {
            Mishap::TooLate => now + timeout + self.chance.random_range(1..SETTLE - LAG - timeout),
            Mishap::Late => now + self.chance.random_range(100..SETTLE - LAG),
            _ => there,
        };
        let back = match mishap {
            Mishap::TooLate => now + timeout,
            // Half of what is lost is noticed at once, half when the time is up.
            Mishap::LostBefore | Mishap::LostAfter if self.chance.random_bool(0.5) => now + timeout,
            Mishap::Late => there + self.chance.random_range(0..40),
            _ => done + self.chance.random_range(0..40),
        };
        let arrives = match mishap {
            Mishap::Status(_) | Mishap::LostBefore | Mishap::Missing => false,
            Mishap::MissingForAWhile => {
                self.hide(wire, now);
                false
            }
            _ => true,
        };
        if arrives {
            let lie = if let Mishap::Page(lie) = mishap { Some(lie) } else { None };
            let again = mishap == Mishap::Twice;
            self.travelling.insert((done, number), Travelling { wire: wire.clone(), again, lie });
        }
        (number, done, back, mishap)
    }

    fn hide(&mut self, wire: &ApiRequest, now: u64) {
        let until = now + self.chance.random_range(100..8_000);
        if let Some(id) = id_in(&wire.path).and_then(|id| id.parse().ok()) {
            self.hidden.insert(id, until);
        }
    }

    fn mishap(&mut self, wire: &ApiRequest) -> Mishap {
        let write = wire.method != "GET";
        match self.weather {
            Weather::Calm => Mishap::None,
            Weather::Down => Mishap::NoConnection,
            Weather::Storm if write => Mishap::Status(503),
            Weather::Storm => Mishap::None,
            Weather::Windy(percent) if self.chance.random_range(0..100) < percent => {
                let all: Vec<Mishap> = ANY.into_iter().chain(lies(wire)).collect();
                match all[self.chance.random_range(0..all.len())] {
                    // An update that comes after a later one undoes it, and nothing but a reconcile finds out.
                    Mishap::TooLate if wire.method == "PUT" => Mishap::LostAfter,
                    // Two accounts that something in between has made of one create are nobody's fault.
                    Mishap::Twice if wire.method == "POST" && !self.strict => Mishap::LostAfter,
                    mishap => mishap,
                }
            }
            Weather::Windy(_) => Mishap::None,
        }
    }

    /// What the caller hears in the end.
    fn received(&mut self, number: u64, mishap: Mishap) -> Result<ApiResponse, SendError> {
        let about = self.under_way.remove(&number);
        let lost = |kind, maybe_sent| Err(SendError { kind, maybe_sent, message: "simulated".into() });
        match mishap {
            Mishap::NoConnection => lost(ErrorKind::Network, false),
            Mishap::LostBefore | Mishap::LostAfter => lost(ErrorKind::Network, true),
            Mishap::TooLate => lost(ErrorKind::Timeout, true),
            Mishap::Status(status) => {
                let mut refusal = answer(status, &json!({"error": {"code": "mishap"}}));
                if status == 429 && self.chance.random_bool(0.7) {
                    refusal.headers.push(("retry-after".into(), self.chance.random_range(0..4).to_string()));
                }
                Ok(refusal)
            }
            Mishap::Missing | Mishap::MissingForAWhile => Ok(answer(404, &json!({"error": {"code": "not_found"}}))),
            Mishap::DoneAnd500 => Ok(answer(500, &json!({"error": {"code": "mishap"}}))),
            Mishap::Late => Ok(answer(504, &json!({"error": {"code": "timeout"}}))),
            Mishap::Garbage => {
                let mut cut = self.answers.remove(&number).expect("it was carried out");
                cut.body.truncate(cut.body.len() / 2);
                Ok(cut)
            }
            Mishap::Another => {
                let own = self.answers.remove(&number).expect("it was carried out");
                Ok(self.mistaken(own, about.map(|about| about.key)))
            }
            Mishap::None | Mishap::Twice | Mishap::Page(_) => {
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
    pub world: Arc<Mutex<World>>,
    pub database: Database,
    pub fate: Arc<Fate>,
    pub timeout: Duration,
}

impl Carrier for Network {
    fn ask_for_token(&self) -> BoxFuture<'_, Result<ApiResponse, SendError>> {
        Box::pin(async { unreachable!("the simulated target wants no token") })
    }

    fn send<'a>(&'a self, wire: &'a ApiRequest) -> BoxFuture<'a, Result<ApiResponse, SendError>> {
        Box::pin(async move {
            self.fate.step().await;
            let timeout = self.timeout.as_millis() as u64;
            let now = self.fate.now();
            let (number, done, back, mishap) =
                self.world.lock().expect("sound").depart(wire, now, &self.database, timeout);
            self.fate.step().await;
            if !matches!(mishap, Mishap::TooLate | Mishap::Late) {
                self.fate.sleep_until(done).await;
                self.world.lock().expect("sound").advance(done);
                self.fate.step().await;
            }
            self.fate.sleep_until(back).await;
            self.fate.step().await;
            self.world.lock().expect("sound").received(number, mishap)
        })
    }
}

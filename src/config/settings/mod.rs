//! The configuration as the rest of the program uses it: parsed into types, defaults filled in, paths absolute,
//! references between sections checked. Made only by [`super::resolve`].

mod http;
mod source;

use crate::http::settings::{AuthSettings, NetworkSettings};
use crate::mapping::testing::TestSettings;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::domain::address::Address;
use crate::domain::label::LabelFields;
use chrono_tz::Tz;

pub use self::http::{HttpSettings, PageSize, Pagination, Total};
pub use self::source::{
    FileSettings, FormatSettings, JsonSettings, Kind, OnIncomplete, RowsPerPerson, SourceKind, SourceSettings,
    TextSettings, TrustSettings, UnionSettings,
};
use crate::api::Engine;
pub use crate::domain::limits::Limits as LimitSettings;
use crate::domain::schedule::Schedule;
use crate::domain::target_identity::TargetIdentity;
use crate::domain::units::Rate;
use crate::http::secret::Secret;
use crate::mapping::Mapping;
use crate::mapping::protect::Protection;

/// Everything that one configuration says.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where what was confirmed is kept.
    pub state: StateSettings,
    /// The daemon's HTTP endpoints, if wanted.
    pub server: Option<ServerSettings>,
    /// Where changes of state are announced, if anywhere.
    pub notify: Option<NotifySettings>,
    /// Sources by name.
    pub sources: BTreeMap<String, Arc<SourceSettings>>,
    /// Targets by name.
    pub targets: BTreeMap<String, Arc<TargetSettings>>,
    /// Syncs by name.
    pub syncs: BTreeMap<String, Arc<SyncSettings>>,
}

/// `[state]`.
#[derive(Clone, Debug)]
pub struct StateSettings {
    /// The database file.
    pub path: PathBuf,
    /// How long outcomes are kept.
    pub keep_outcomes: Duration,
}

/// `[server]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerSettings {
    /// Address and port.
    pub listen: std::net::SocketAddr,
    /// Whether the pages may show values of people.
    pub show_values: bool,
    /// Names under which it may be asked, besides loopback ones and the address it listens on.
    pub hosts: Vec<String>,
    /// How many connections it has at most.
    pub max_connections: u32,
}

/// `[notify]`.
#[derive(Clone, Debug)]
pub enum NotifySettings {
    /// POST JSON to this address.
    Webhook {
        /// The address; it may carry a secret, so it is one.
        url: Secret,
    },
    /// Run this program with JSON on its standard input.
    Command(Vec<String>),
}

/// `[targets.NAME]`.
#[derive(Clone, Debug)]
pub struct TargetSettings {
    /// Its name.
    pub name: String,
    /// The kind, e.g. `juno`.
    pub kind: String,
    /// Where its API is; never ends in a slash.
    pub base_url: Address,
    /// How we authenticate.
    pub auth: AuthSettings,
    /// Ceiling on all requests.
    pub rate: Rate,
    /// How many requests may go at once after a pause; at least 1.
    pub burst: u32,
    /// Requests per UTC day, over restarts.
    pub daily_quota: Option<u64>,
    /// Requests in flight at once; at least 1.
    pub concurrency: usize,
    /// Of one whole call.
    pub timeout: Duration,
    /// What is done after a failure that may pass.
    pub retry: RetrySettings,
    /// How long a create without a usable answer may still take effect there: it is not sent again before.
    pub settle: Duration,
    /// How its connections are made.
    pub network: NetworkSettings,
    /// The kind's definition with this target's options applied: what turns operations into requests.
    pub engine: Arc<Engine>,
}

impl TargetSettings {
    /// What it is, whatever it is called here.
    pub fn identity(&self) -> TargetIdentity {
        TargetIdentity::of(&self.base_url, self.engine.path_options())
    }
}

/// `retry = { attempts, base, max }`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetrySettings {
    /// How often an operation is tried, the first time included; at least 1.
    pub attempts: u32,
    /// The first pause.
    pub base: Duration,
    /// The longest pause, and the cap on `Retry-After`.
    pub max: Duration,
}

/// `[syncs.NAME]`.
#[derive(Clone, Debug)]
pub struct SyncSettings {
    /// Its name.
    pub name: String,
    /// Its source.
    pub source: Arc<SourceSettings>,
    /// Its target.
    pub target: Arc<TargetSettings>,
    /// When it runs in the daemon.
    pub schedule: Option<Schedule>,
    /// The zone of `schedule`, and of `today` and `now` in expressions.
    pub timezone: Tz,
    /// The compiled mapping, `include` within it.
    pub mapping: Arc<Mapping>,
    /// Target fields by which an existing account is recognised.
    pub match_fields: Vec<String>,
    /// The target fields by which people are named.
    pub label: LabelFields,
    /// What happens to leavers.
    pub on_leave: OnLeave,
    /// How long a leaver is left alone.
    pub leave_grace: Duration,
    /// Unique fields that a banned account gives up.
    pub release_on_ban: Vec<String>,
    /// Who is never touched: keys, `match` values, or a CEL expression over target fields.
    pub protect: Arc<Protection>,
    /// Bans before everything else.
    pub bans_first: bool,
    /// How often a person may go and come back within `flap_window`.
    pub max_flaps: u32,
    /// See `max_flaps`.
    pub flap_window: Duration,
    /// How much one run may change.
    pub limits: LimitSettings,
    /// What only the daemon goes by.
    pub daemon: DaemonSettings,
    /// The other syncs on the same platform, whatever their targets are called: none of them may own an account that
    /// this one does.
    pub rivals: BTreeSet<String>,
    /// The mapping tests.
    pub tests: Vec<TestSettings>,
    /// A hash of what was typed for it, its target and the sources: see `typed`.
    pub typed: [u8; 32],
}

impl SyncSettings {
    /// Every sync that writes to this one's platform, itself included.
    pub fn writers(&self) -> BTreeSet<String> {
        self.rivals.iter().chain([&self.name]).cloned().collect()
    }
}

/// What only the daemon goes by, besides `schedule`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DaemonSettings {
    /// Whether a run that was missed while the daemon was down is made up for at its start.
    pub catch_up: bool,
    /// The most by which a run is put off at random, so that many daemons don't knock at once.
    pub jitter: Duration,
    /// When it reconciles, as a `schedule`.
    pub reconcile_schedule: Option<Schedule>,
    /// Whether a scheduled reconcile repairs what it finds.
    pub reconcile_repair: bool,
}

impl Default for DaemonSettings {
    fn default() -> Self {
        DaemonSettings { catch_up: true, jitter: Duration::ZERO, reconcile_schedule: None, reconcile_repair: false }
    }
}

/// What happens to a leaver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnLeave {
    /// The account is deactivated.
    Ban,
    /// The account is removed.
    Delete,
    /// Nothing.
    Ignore,
}

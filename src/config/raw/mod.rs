//! The configuration as it is typed: every key that may stand in a file, with the type of its value, and nothing more.
//! All keys are optional here; what must be there and what goes together is judged in [`super::resolve`].
//!
//! The JSON Schema ([`super::schema`]) is made from these types: what stands above a key is what an editor shows for it,
//! so it is written for people who configure, not for those who program.

mod forms;
mod source;

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

pub use self::forms::{OneOrMany, RawEmpty, RawRule, RawSecret, RawTotal, RawWhen};
pub use self::source::{
    RawCsvFile, RawDelimited, RawDocument, RawFile, RawFormat, RawHttp, RawKind, RawOnIncomplete, RawRows, RawSource,
    RawTrust, RawUnion, fields,
};
use super::schema::{auth_kinds, pagination_kinds, target_kinds};
use crate::domain::schedule_field;
use crate::domain::units::{Rate, Span, TypedLimit};

/// The configuration of rosterd: where people come from, where they go, and how.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "rosterd", extend("required" = ["state"]))]
pub struct Raw {
    /// Where rosterd keeps what the targets acknowledged.
    pub state: Option<RawState>,
    /// The daemon's HTTP endpoints: health, metrics, a page for people. Without it there are none.
    pub server: Option<RawServer>,
    /// Who is told when a sync is held, fails, no longer trusts its source, or recovers; once per change.
    pub notify: Option<RawNotify>,
    /// Where people come from, by name.
    #[serde(default)]
    #[schemars(extend("propertyNames" = {"pattern": "^[a-z][a-z0-9_-]*$"}))]
    pub sources: BTreeMap<String, RawSource>,
    /// The platforms whose users are written, by name.
    #[serde(default)]
    #[schemars(extend("propertyNames" = {"pattern": "^[a-z][a-z0-9_-]*$"}))]
    pub targets: BTreeMap<String, RawTarget>,
    /// One source, one target, a mapping, limits, a schedule; by name.
    #[serde(default)]
    #[schemars(extend("propertyNames" = {"pattern": "^[a-z][a-z0-9_-]*$"}))]
    pub syncs: BTreeMap<String, RawSync>,
}

/// The state database.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("required" = ["path"]))]
pub struct RawState {
    /// The database file, relative to this file. Its directory is made with mode 0700, its files with 0600.
    #[schemars(length(min = 1))]
    pub path: Option<PathBuf>,
    /// How long outcomes are kept.
    #[schemars(extend("default" = "180d"))]
    pub keep_outcomes: Option<Span>,
}

/// The daemon's HTTP endpoints.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("required" = ["listen"]))]
pub struct RawServer {
    /// Address and port, e.g. "127.0.0.1:9464".
    #[schemars(regex(pattern = r"^([0-9.]+|\[.*\]):[0-9]+$"))]
    pub listen: Option<String>,
    /// Whether the page may show values of people; keys and field names are shown in any case.
    #[schemars(extend("default" = false))]
    pub show_values: Option<bool>,
    /// Names under which it may be asked, besides loopback ones and the address it listens on, e.g.
    /// "rosterd.example.com". A request for another name is refused.
    pub hosts: Option<Vec<String>>,
    /// How many connections it has at most; when one more comes, the one that has been idle longest is closed.
    #[schemars(extend("default" = 64), range(min = 1, max = 10_000))]
    pub max_connections: Option<u32>,
}

/// Where changes of state are announced: exactly one of `webhook` and `command`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("oneOf" = [{"required": ["webhook"]}, {"required": ["command"]}]))]
pub struct RawNotify {
    /// POST the announcement there, as JSON.
    pub webhook: Option<RawWebhook>,
    /// Run this program with these arguments; the announcement is its standard input, as JSON.
    #[schemars(length(min = 1))]
    pub command: Option<Vec<String>>,
}

/// An address to which announcements are posted.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("required" = ["url"]))]
pub struct RawWebhook {
    /// The address. As some carry a token, it may be typed as any secret.
    pub url: Option<RawSecret>,
}

/// How an answer in pages goes on.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("required" = ["kind"]), transform = super::schema::by_kind_of_pagination)]
pub struct RawPagination {
    /// link: the Link header (RFC 8288); header: another header; next: the address in the body; cursor: a cursor in
    /// the body; page, offset: by counting; none: one answer holds all.
    #[schemars(extend("enum" = pagination_kinds()))]
    pub kind: Option<String>,
    /// Of kind header: its name.
    pub name: Option<String>,
    /// Of kinds next and cursor: JSON pointer to the next address, or to the cursor.
    #[schemars(regex(pattern = r"^(/.*)?$"))]
    pub pointer: Option<String>,
    /// The query parameter that asks for the next page.
    pub param: Option<String>,
    /// Of kinds page and offset: the number of the first page (1 unless told) or of the first record (0 unless told).
    pub start: Option<u64>,
    /// The query parameter that says how many records a page holds; goes with `size`.
    pub size_param: Option<String>,
    /// How many records a page is to hold; goes with `size_param`.
    #[schemars(range(min = 1))]
    pub size: Option<u64>,
}

/// How to log in.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("required" = ["kind"]), transform = super::schema::by_kind_of_auth)]
pub struct RawAuth {
    /// bearer, token: "Authorization: Bearer …" or "Token …"; header: a header of one's own; basic: user and password;
    /// session: log in once, with user and password; oauth2: client credentials; none.
    #[schemars(extend("enum" = auth_kinds()))]
    pub kind: Option<String>,
    /// Of kinds bearer and token.
    pub token: Option<RawSecret>,
    /// Of kind header: its name.
    #[schemars(length(min = 1))]
    pub name: Option<String>,
    /// Of kind header: its value.
    pub value: Option<RawSecret>,
    /// Of kinds basic and session.
    #[schemars(length(min = 1))]
    pub username: Option<String>,
    /// Of kinds basic and session.
    pub password: Option<RawSecret>,
    /// Of kind oauth2: where tokens are issued.
    #[schemars(regex(pattern = super::schema::ADDRESS))]
    pub token_url: Option<String>,
    /// Of kind oauth2.
    #[schemars(length(min = 1))]
    pub client_id: Option<String>,
    /// Of kind oauth2.
    pub client_secret: Option<RawSecret>,
    /// Of kind oauth2: what the token is asked for, if the issuer wants to know.
    pub scope: Option<String>,
}

/// How often and how patiently a call is repeated: after 429, 503, connections that break, and where it is safe.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawRetry {
    /// Tries in all, the first one included.
    #[schemars(range(min = 1), extend("default" = 5))]
    pub attempts: Option<u32>,
    /// The longest first pause; pauses grow from there, with full jitter.
    #[schemars(extend("default" = "500ms"))]
    pub base: Option<Span>,
    /// The longest pause; caps Retry-After too.
    #[schemars(extend("default" = "60s"))]
    pub max: Option<Span>,
}

/// A target: a platform whose user API we write to.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("required" = ["kind", "base_url", "auth"]), transform = super::schema::by_kind_of_target)]
pub struct RawTarget {
    /// Which API it has; rest: the one that `definition` describes.
    #[schemars(extend("enum" = target_kinds()))]
    pub kind: Option<String>,
    /// Of kind rest: the file that describes the API; `rosterd targets show juno` prints one to copy.
    pub definition: Option<PathBuf>,
    /// Where the API is. http:// with credentials is for this machine alone.
    #[schemars(regex(pattern = super::schema::ADDRESS))]
    pub base_url: Option<String>,
    /// How to log in.
    pub auth: Option<RawAuth>,
    /// A ceiling on all requests to the target, log-ins, look-ups and retries included.
    #[schemars(extend("default" = "10/s"))]
    pub rate: Option<Rate>,
    /// Requests that may go at once after a pause; a tenth of a second's worth unless said, at least 1.
    #[schemars(range(min = 1))]
    pub burst: Option<u32>,
    /// Requests per UTC day, over restarts; what is left over is skipped until the next run. No quota unless said.
    #[schemars(range(min = 1))]
    pub daily_quota: Option<u64>,
    /// Requests in flight.
    #[schemars(range(min = 1), extend("default" = 8))]
    pub concurrency: Option<usize>,
    /// Of one whole call.
    #[schemars(extend("default" = "30s"))]
    pub timeout: Option<Span>,
    /// How often and how patiently a call is repeated.
    pub retry: Option<RawRetry>,
    /// How long a create without a usable answer may still take effect there: it is not sent again before.
    #[schemars(extend("default" = "60s"))]
    pub settle: Option<Span>,
    /// What the kind itself takes.
    #[schemars(with = "Option<BTreeMap<String, Value>>", extend("default" = {}))]
    pub options: Option<toml::Table>,
    /// A PEM file with certificates to trust besides the system's.
    pub ca_file: Option<PathBuf>,
    /// A PEM file with the certificate and key that we show.
    pub client_cert: Option<PathBuf>,
    /// A proxy for every request, e.g. "http://proxy.example.com:3128".
    #[schemars(regex(pattern = super::schema::ADDRESS))]
    pub proxy: Option<String>,
}

/// A sync: one source, one target, a mapping, limits, a schedule.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("required" = ["source", "target", "map"]))]
pub struct RawSync {
    /// The name of a source.
    pub source: Option<String>,
    /// The name of a target.
    pub target: Option<String>,
    /// When the daemon runs it: cron with seconds first ("0 */15 * * * *"), or five fields; weekdays 0 and 7 are Sunday.
    #[schemars(regex(pattern = schedule_field::pattern()))]
    pub schedule: Option<String>,
    /// The zone of the schedules, and of `today` and `now` in expressions, e.g. "Europe/Zurich".
    #[schemars(extend("default" = "UTC", "enum" = super::schema::time_zones()))]
    pub timezone: Option<String>,
    /// Whether a run that was missed is made up, once.
    #[schemars(extend("default" = true))]
    pub catch_up: Option<bool>,
    /// The longest delay by chance of a scheduled run.
    #[schemars(extend("default" = "0s"))]
    pub jitter: Option<Span>,
    /// When the daemon compares source, snapshot and target: cron, as `schedule`.
    #[schemars(regex(pattern = schedule_field::pattern()))]
    pub reconcile_schedule: Option<String>,
    /// Whether a scheduled reconcile also repairs, under the same limits; it only reports otherwise.
    #[schemars(extend("default" = false))]
    pub reconcile_repair: Option<bool>,
    /// CEL over the columns, e.g. 'status == "active"'; `today` and `now` are those of `timezone`. Everybody unless said; who is
    /// left out counts as having left.
    pub include: Option<String>,
    /// Target fields by which an existing account is recognised, case-folded; ["email"] unless said, where it is
    /// mapped. An empty list leaves the target's key field alone.
    #[serde(rename = "match")]
    pub match_fields: Option<Vec<String>>,
    /// Target fields by which plans and answers name people; those of the target's definition unless said.
    pub label: Option<Vec<String>>,
    /// What becomes of leavers.
    #[schemars(extend("default" = "ban"))]
    pub on_leave: Option<RawOnLeave>,
    /// How long a leaver is left in peace, from the first trusted read without them.
    #[schemars(extend("default" = "0s"))]
    pub leave_grace: Option<Span>,
    /// Unique fields that a banned account gives up, so that a newcomer can have them.
    #[schemars(extend("default" = []))]
    pub release_on_ban: Option<Vec<String>>,
    /// Who is never updated, banned, deleted or reinstated: keys, values of `match` fields, or CEL over target fields.
    #[schemars(extend("default" = []))]
    pub protect: Option<OneOrMany>,
    /// Whether bans are sent before anything else.
    #[schemars(extend("default" = true))]
    pub bans_first: Option<bool>,
    /// Who is reinstated more often than this within `flap_window` is held.
    #[schemars(extend("default" = 3))]
    pub max_flaps: Option<u32>,
    /// The time in which `max_flaps` counts.
    #[schemars(extend("default" = "30d"))]
    pub flap_window: Option<Span>,
    /// Field of the target = where its value comes from. Dotted paths and SCIM paths are quoted.
    #[serde(default)]
    #[schemars(transform = super::schema::not_empty)]
    pub map: BTreeMap<String, RawRule>,
    /// How much may change in one run; more is held until somebody approves it.
    pub limits: Option<RawLimits>,
    /// Examples of what the mapping does, run by `rosterd test`.
    #[serde(default)]
    pub tests: Vec<RawTest>,
}

/// What becomes of leavers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RawOnLeave {
    /// The account stays, deactivated.
    Ban,
    /// The account is removed, where the target can.
    Delete,
    /// Nothing.
    Ignore,
}

/// How much may change in one run. Percentages are of the sync's active and invited users at the start.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawLimits {
    /// Accounts made.
    #[schemars(extend("default" = "unlimited"))]
    pub create: Option<TypedLimit>,
    /// Accounts changed.
    #[schemars(extend("default" = "unlimited"))]
    pub update: Option<TypedLimit>,
    /// Updates that empty a field, for each field.
    #[schemars(extend("default" = {"count": 10, "percent": 5}))]
    pub clear: Option<TypedLimit>,
    /// Bans and deletes; of three or more users never all.
    #[schemars(extend("default" = {"count": 10, "percent": 5}))]
    pub ban: Option<TypedLimit>,
    /// Bans and deletes in any 24 hours, over all runs.
    #[schemars(extend("default" = {"count": 30, "percent": 10}))]
    pub ban_per_day: Option<TypedLimit>,
    /// Banned accounts opened again.
    #[schemars(extend("default" = "unlimited"))]
    pub reinstate: Option<TypedLimit>,
    /// Existing accounts linked.
    #[schemars(extend("default" = "unlimited"))]
    pub adopt: Option<TypedLimit>,
    /// Of the plan's operations: when more have failed, sending stops.
    #[schemars(extend("default" = {"count": 20, "percent": 10}))]
    pub failures: Option<TypedLimit>,
    /// What is held back when a limit is exceeded.
    #[schemars(extend("default" = "plan"))]
    pub hold: Option<RawHold>,
}

/// What is held back when a limit is exceeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RawHold {
    /// The whole plan.
    Plan,
    /// Bans and deletes alone, where they alone are too many; everything else is sent.
    Bans,
}

/// An example of what the mapping does: a record, and exactly one of `expect`, `excluded` and `rejected`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("required" = ["name"],
    "oneOf" = [{"required": ["expect"]}, {"required": ["excluded"]}, {"required": ["rejected"]}]))]
pub struct RawTest {
    /// What it shows.
    pub name: Option<String>,
    /// The record, by column; columns that are absent are empty.
    #[serde(default)]
    pub record: BTreeMap<String, Value>,
    /// What fields of the target come out.
    pub expect: Option<BTreeMap<String, Value>>,
    /// The record is out of scope.
    #[schemars(extend("const" = true))]
    pub excluded: Option<bool>,
    /// The record is rejected, for a reason that contains this.
    pub rejected: Option<String>,
}

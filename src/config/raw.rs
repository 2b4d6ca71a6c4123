//! The configuration as it is typed: every key that may stand in a file, with the type of its value, and nothing more.
//! All keys are optional here; what must be there and what goes together is judged in [`super::resolve`].

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use secrecy::SecretString;
use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde_json::Value;

use super::units::{Rate, Size, Span, TypedLimit};

/// A whole configuration.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Raw {
    pub state: Option<RawState>,
    pub server: Option<RawServer>,
    pub notify: Option<RawNotify>,
    #[serde(default)]
    pub sources: BTreeMap<String, RawSource>,
    #[serde(default)]
    pub targets: BTreeMap<String, RawTarget>,
    #[serde(default)]
    pub syncs: BTreeMap<String, RawSync>,
}

/// `[state]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawState {
    pub path: Option<PathBuf>,
    pub keep_outcomes: Option<Span>,
}

/// `[server]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawServer {
    pub listen: Option<String>,
    pub show_values: Option<bool>,
}

/// `[notify]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawNotify {
    pub webhook: Option<RawWebhook>,
    pub command: Option<Vec<String>>,
}

/// `webhook = { url = … }`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawWebhook {
    pub url: Option<RawSecret>,
}

/// `[sources.NAME]`, the keys of every kind.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawSource {
    pub kind: Option<String>,
    pub key: Option<String>,
    pub required: Option<Vec<String>>,
    pub min_records: Option<u64>,
    pub max_shrink: Option<TypedLimit>,
    pub max_rejected: Option<TypedLimit>,
    pub max_age: Option<Span>,
    pub on_incomplete: Option<RawOnIncomplete>,
    // csv, and http with format = "csv"
    pub path: Option<PathBuf>,
    pub delimiter: Option<String>,
    pub quote: Option<String>,
    pub encoding: Option<String>,
    // http
    pub url: Option<String>,
    pub format: Option<RawFormat>,
    pub records: Option<String>,
    pub auth: Option<RawAuth>,
    pub pagination: Option<RawPagination>,
    pub total: Option<String>,
    pub max_page: Option<Size>,
    pub rate: Option<Rate>,
    pub timeout: Option<Span>,
    pub retry: Option<RawRetry>,
    pub ca_file: Option<PathBuf>,
    pub client_cert: Option<PathBuf>,
    pub proxy: Option<String>,
    // union
    pub members: Option<Vec<String>>,
}

/// `on_incomplete`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RawOnIncomplete {
    Stop,
    NoBans,
}

/// `format` of an HTTP source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RawFormat {
    Json,
    Ndjson,
    Csv,
}

/// `pagination`, the keys of every kind.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawPagination {
    pub kind: Option<String>,
    pub name: Option<String>,
    pub pointer: Option<String>,
    pub param: Option<String>,
    pub start: Option<u64>,
    pub size_param: Option<String>,
    pub size: Option<u64>,
}

/// `auth`, the keys of every kind.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawAuth {
    pub kind: Option<String>,
    pub token: Option<RawSecret>,
    pub name: Option<String>,
    pub value: Option<RawSecret>,
    pub username: Option<String>,
    pub password: Option<RawSecret>,
    pub token_url: Option<String>,
    pub client_id: Option<String>,
    pub client_secret: Option<RawSecret>,
    pub scope: Option<String>,
}

/// `retry`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawRetry {
    pub attempts: Option<u32>,
    pub base: Option<Span>,
    pub max: Option<Span>,
}

/// `[targets.NAME]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawTarget {
    pub kind: Option<String>,
    pub definition: Option<PathBuf>,
    pub base_url: Option<String>,
    pub auth: Option<RawAuth>,
    pub rate: Option<Rate>,
    pub burst: Option<u32>,
    pub daily_quota: Option<u64>,
    pub concurrency: Option<usize>,
    pub timeout: Option<Span>,
    pub retry: Option<RawRetry>,
    pub options: Option<toml::Table>,
    pub ca_file: Option<PathBuf>,
    pub client_cert: Option<PathBuf>,
    pub proxy: Option<String>,
}

/// `[syncs.NAME]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawSync {
    pub source: Option<String>,
    pub target: Option<String>,
    pub schedule: Option<String>,
    pub timezone: Option<String>,
    pub catch_up: Option<bool>,
    pub jitter: Option<Span>,
    pub reconcile_schedule: Option<String>,
    pub reconcile_repair: Option<bool>,
    pub include: Option<String>,
    #[serde(rename = "match")]
    pub match_fields: Option<Vec<String>>,
    pub on_leave: Option<RawOnLeave>,
    pub leave_grace: Option<Span>,
    pub release_on_ban: Option<Vec<String>>,
    pub protect: Option<OneOrMany>,
    pub bans_first: Option<bool>,
    pub max_flaps: Option<u32>,
    pub flap_window: Option<Span>,
    #[serde(default)]
    pub map: BTreeMap<String, RawRule>,
    pub limits: Option<RawLimits>,
    #[serde(default)]
    pub tests: Vec<RawTest>,
}

/// `on_leave`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RawOnLeave {
    Ban,
    Delete,
    Ignore,
}

/// `[syncs.NAME.limits]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawLimits {
    pub create: Option<TypedLimit>,
    pub update: Option<TypedLimit>,
    pub clear: Option<TypedLimit>,
    pub ban: Option<TypedLimit>,
    pub ban_per_day: Option<TypedLimit>,
    pub reinstate: Option<TypedLimit>,
    pub adopt: Option<TypedLimit>,
    pub failures: Option<TypedLimit>,
}

/// `[[syncs.NAME.tests]]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawTest {
    pub name: Option<String>,
    #[serde(default)]
    pub record: BTreeMap<String, Value>,
    pub expect: Option<BTreeMap<String, Value>>,
    pub excluded: Option<bool>,
    pub rejected: Option<String>,
}

/// A text, or a list of texts.
#[derive(Debug)]
pub struct OneOrMany(pub Vec<String>);

impl<'de> Deserialize<'de> for OneOrMany {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Texts;
        impl<'de> Visitor<'de> for Texts {
            type Value = OneOrMany;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a list of texts")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<OneOrMany, E> {
                Ok(OneOrMany(vec![text.to_owned()]))
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, seq: A) -> Result<OneOrMany, A::Error> {
                Vec::deserialize(de::value::SeqAccessDeserializer::new(seq)).map(OneOrMany)
            }
        }
        deserializer.deserialize_any(Texts)
    }
}

/// A secret as typed: literal text, or a table that says where it is. `Debug` shows no text.
#[derive(Debug)]
pub enum RawSecret {
    /// Text in the file.
    Literal(SecretString),
    /// `{ env }`, `{ file }` or `{ credential }`.
    Table(SecretTable),
}

/// The table form of a secret.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretTable {
    pub env: Option<String>,
    pub file: Option<PathBuf>,
    pub credential: Option<String>,
}

impl<'de> Deserialize<'de> for RawSecret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct SecretVisitor;
        impl<'de> Visitor<'de> for SecretVisitor {
            type Value = RawSecret;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a secret: { env }, { file }, { credential } or text")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<RawSecret, E> {
                Ok(RawSecret::Literal(SecretString::from(text.to_owned())))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RawSecret, A::Error> {
                SecretTable::deserialize(de::value::MapAccessDeserializer::new(map)).map(RawSecret::Table)
            }
        }
        deserializer.deserialize_any(SecretVisitor)
    }
}

/// The right-hand side of a mapping: a column, or a table.
#[derive(Debug)]
pub struct RawRule(pub RuleTable);

/// The table form of a mapping rule.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleTable {
    pub column: Option<String>,
    pub cel: Option<String>,
    pub value: Option<Value>,
    pub when: Option<RawWhen>,
    pub empty: Option<RawEmpty>,
}

/// `when`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RawWhen {
    Always,
    Create,
}

/// `empty`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RawEmpty {
    Clear,
    Omit,
}

impl<'de> Deserialize<'de> for RawRule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct RuleVisitor;
        impl<'de> Visitor<'de> for RuleVisitor {
            type Value = RawRule;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a column, or { column }, { cel } or { value }")
            }

            fn visit_str<E: de::Error>(self, column: &str) -> Result<RawRule, E> {
                Ok(RawRule(RuleTable { column: Some(column.to_owned()), ..RuleTable::default() }))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RawRule, A::Error> {
                RuleTable::deserialize(de::value::MapAccessDeserializer::new(map)).map(RawRule)
            }
        }
        deserializer.deserialize_any(RuleVisitor)
    }
}

//! The definition of a user API, as a company writes it in TOML: what each key means, and its shape when read.
//!
//! [`super::load`] reads the text and reports mistakes, [`super::compile`] checks the parts against each other and
//! makes an [`super::Engine`]. Unknown keys are errors. What each key means is told key by key in
//! `src/manual/definitions.md`, for people who write definitions; a test keeps that page and these types together.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::domain::units::Span;
use crate::domain::value::FieldType;

/// What JSON pointers look like that definitions use (RFC 6901): no part is without a name.
const POINTER: &str = "^(/[^/]+)*$";

/// The only format there is so far.
pub(super) const FORMAT: u32 = 1;

/// `[auth]`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AuthDef {
    pub kinds: Vec<String>,
}

/// `[options.NAME]`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct OptionDef {
    #[serde(rename = "type")]
    pub kind: OptionType,
    #[schemars(with = "Option<Value>")]
    pub default: Option<toml::Value>,
    #[serde(default)]
    #[schemars(with = "Vec<Value>")]
    pub allowed: Vec<toml::Value>,
    pub range: Option<(i64, i64)>,
    #[serde(default)]
    pub optional: bool,
    pub help: Option<String>,
}

/// The type of an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum OptionType {
    Text,
    Integer,
    Boolean,
}

/// `[resources.users.account]`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AccountDef {
    #[schemars(extend("pattern" = POINTER))]
    pub id: String,
    #[serde(default)]
    pub id_is_address: bool,
    #[serde(default = "whole_document")]
    pub at: Vec<String>,
    pub key_field: Option<String>,
    pub id_field: Option<String>,
    #[serde(default)]
    pub label: Vec<String>,
    #[serde(default)]
    pub open: bool,
    #[serde(default)]
    pub paths: PathStyle,
}

/// How the name of a field says where it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum PathStyle {
    /// Members separated by dots.
    #[default]
    Dotted,
    /// An attribute path as RFC 7644 writes it.
    Scim,
}

/// `[session]`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SessionDef {
    pub login: LoginDef,
    pub cookie: Option<String>,
    pub header: Option<String>,
    pub logout: Option<PlainDef>,
    pub lasts: Option<Span>,
}

/// `login = { … }`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LoginDef {
    pub method: String,
    pub path: String,
    pub username: String,
    pub password: String,
    pub id: String,
}

/// A request without more to it.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PlainDef {
    pub method: String,
    pub path: String,
}

/// `[discovery]`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DiscoveryDef {
    pub path: String,
    pub patch: String,
}

/// `{ option, is }`: holds when the option has this value.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct OptionIs {
    pub option: String,
    #[schemars(with = "Value")]
    pub is: toml::Value,
}

/// `[resources.users.state]`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct StateDef {
    pub field: String,
    #[schemars(with = "Value")]
    pub active: toml::Value,
    #[schemars(with = "Value")]
    pub banned: toml::Value,
    #[serde(default)]
    pub unstated: Unstated,
}

/// What a missing state field means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Unstated {
    #[default]
    Active,
    Banned,
}

/// `[request]`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RequestDef {
    #[serde(default)]
    pub format: Format,
    pub content_type: Option<String>,
    pub accept: Option<String>,
    #[serde(default)]
    #[schemars(extend("pattern" = POINTER))]
    pub envelope: String,
    pub idempotency_header: Option<String>,
}

/// What bodies are written in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Format {
    #[default]
    Json,
    Xml,
}

impl Format {
    /// Its media type, where the definition names no other.
    pub fn media_type(self) -> &'static str {
        match self {
            Format::Json => "application/json",
            Format::Xml => "application/xml",
        }
    }
}

/// `[resources.users.operations.NAME]`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct OperationDef {
    pub only_if: Option<OptionIs>,
    pub method: String,
    pub path: String,
    pub body: Option<BodyStyle>,
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, Value>")]
    pub constants: BTreeMap<String, toml::Value>,
    #[serde(default)]
    pub writes: BTreeMap<String, String>,
    #[serde(default)]
    pub answer: AnswerStyle,
    pub id_at: Option<String>,
    #[serde(default)]
    pub query: BTreeMap<String, String>,
    #[serde(default)]
    pub fields: Vec<String>,
    #[serde(default)]
    pub names: BTreeMap<String, String>,
    #[serde(default)]
    pub escape: Escape,
    pub records: Option<Vec<String>>,
    pub paging: Option<PagingDef>,
}

/// What a request's body holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum BodyStyle {
    /// Every field that we know of.
    Full,
    /// Only the fields that change.
    Changes,
    /// The account as it is there now, with what changes.
    Merged,
    /// A PatchOp (RFC 7644) of what changes.
    ScimPatch,
    /// There is none.
    None,
}

/// What the body of a success shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum AnswerStyle {
    /// The account as it is now. An empty body is accepted too, except after a create.
    #[default]
    Account,
    /// The account's id alone.
    Id,
    /// Nothing that we need.
    Any,
}

/// What makes a value safe between quotes in a query.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Escape {
    #[default]
    None,
    /// `'` as `''`.
    Doubled,
    /// As in a JSON string.
    Json,
}

/// `paging = { … }`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PagingDef {
    pub style: PagingStyle,
    pub param: Option<String>,
    #[serde(default)]
    pub start: u64,
    pub size_param: Option<String>,
    pub size: Option<u32>,
    pub size_option: Option<String>,
    pub header: Option<String>,
    pub pointer: Option<String>,
    pub total: Option<String>,
}

/// How a listing goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum PagingStyle {
    /// The parameter counts pages.
    Page,
    /// The parameter counts accounts.
    Offset,
    /// A header of the API's own links to the next page.
    Header,
    /// The header `Link` does (RFC 8288).
    Link,
    /// The body does.
    Next,
    /// The body tells the value that the parameter has on the next page.
    Cursor,
    /// One answer holds all.
    None,
}

/// `[success]`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SuccessDef {
    #[serde(default)]
    pub body: Vec<BodyRule>,
}

/// A condition on a value in the body.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct BodyRule {
    pub pointer: String,
    #[schemars(with = "Vec<Value>")]
    pub is: Vec<toml::Value>,
}

/// `[errors]`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ErrorsDef {
    #[serde(default)]
    pub code: Vec<String>,
    #[serde(default)]
    pub fields: Vec<String>,
}

/// `[[failures]]`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FailureDef {
    #[serde(default)]
    pub status: Vec<u16>,
    pub pointer: Option<String>,
    #[serde(default)]
    #[schemars(with = "Vec<Value>")]
    pub is: Vec<toml::Value>,
    #[serde(default)]
    pub code: Vec<String>,
    #[serde(default)]
    pub names: Vec<String>,
    pub means: Meaning,
}

/// What a failure means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Meaning {
    Duplicate,
    NotFound,
    LogInAgain,
    SlowDown,
    Denied,
    Refused,
    Unclear,
}

/// `[[resources.users.proofs]]`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ProofDef {
    pub path: String,
    pub proves: String,
    pub field: Option<String>,
    pub id: Option<String>,
    pub records: Option<Vec<String>>,
}

/// `[resources.users.fields.NAME]`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FieldDef {
    #[serde(rename = "type")]
    pub kind: FieldType,
    #[schemars(extend("pattern" = POINTER))]
    pub at: Option<String>,
    pub read_only: Option<String>,
    #[serde(default)]
    pub required: bool,
    #[serde(default)]
    pub unique: bool,
    #[serde(default)]
    #[schemars(with = "Vec<Value>")]
    pub allowed: Vec<toml::Value>,
    pub range: Option<(i64, i64)>,
    pub same_as: Option<String>,
    #[serde(default = "yes")]
    pub clearable: bool,
    /// What takes the place of a unique value that is given up.
    #[serde(default)]
    pub park: Option<String>,
    pub entry_id: Option<String>,
    pub write: Option<SetStyle>,
    #[serde(default)]
    pub whole: bool,
    pub option: Option<String>,
    pub throwaway: Option<OptionIs>,
}

/// How a set whose entries arrive as objects is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum SetStyle {
    /// `[{id: …}, …]`.
    Objects,
    /// `[…, …]`.
    Values,
}

/// `[resources.users.lists.NAME]`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ListDef {
    pub id: String,
    pub value: String,
    #[serde(default)]
    pub id_type: IdType,
}

/// The JSON type in which an id is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum IdType {
    #[default]
    Text,
    Integer,
}

fn whole_document() -> Vec<String> {
    vec![String::new()]
}

fn yes() -> bool {
    true
}

#[cfg(test)]
mod tests;

//! The definition of a user API, as a company writes it in TOML: what each key means, and its shape when read.
//!
//! [`super::load`] reads the text and reports mistakes, [`super::compile`] checks the parts against each other and
//! makes an [`super::Engine`]. Unknown keys are errors. A *pointer* is a JSON pointer (RFC 6901): `""` is the whole
//! document, `"/user/id"` a member of a member.
//!
//! ```text
//! format = 1                 the version of this format
//! kind = "juno"              the name under which targets ask for it
//! title = "JUNO"             the name in messages
//!
//! [auth]                     kinds = which of bearer, token, header, basic, session, oauth2, none the API takes
//! [options.NAME]             what `options` of a target may set: type (text, integer, boolean), default, allowed,
//!                            range, help. `{options.NAME}` puts it into paths and queries
//! [account]                  id = pointer to the id within an account; id_is_address: the id is an e-mail address and
//!                            is hidden in logs; at = pointers, the first that fits: where an answer about one account
//!                            holds it; key_field = the field that carries the source's key; open: fields beyond this
//!                            catalogue exist
//! [state]                    field = what says whether an account is usable; active, banned = its two values as sent
//!                            (compared after conversion to the field's type, so that "False" is false); unstated =
//!                            "active" or "banned": what it means when the field is missing
//! [request]                  content_type, accept; envelope = pointer under which the body is put;
//!                            idempotency_header = the header in which writes carry a key that is the same for every
//!                            try of one operation
//! [operations.NAME]          NAME: create, update, ban, reinstate, delete, get, find, list. What is missing can't be
//!                            done; ban and reinstate fall back on update with the state field added
//!     method, path           `{id}` in the path is the account's id, percent-encoded
//!     body                   "full" (every field we know), "changes" (only what changes) or "none"
//!     answer                 (create, update, ban, reinstate) "account" (a success shows the account; default) or "any"
//!     query                  query parameters by name; in find, `{field}` and `{value}` stand for what is sought
//!     fields                 (find) the fields by which accounts can be sought
//!     records                (find, list) pointers, the first that leads to an array of accounts
//!     paging                 (find, list) { style = "page" | "offset" | "none", param, start, size_param, size,
//!                            size_option }: `start` is the first page's number or the first offset. A page shorter
//!                            than asked is the last. size_option names an option that overrides size
//! [success]                  what a success is beyond HTTP 2xx: body = [{ pointer, is = [values] }], all of them
//! [errors]                   code = pointers to the vendor's code; fields = pointers under which the names of fields
//!                            that it complains of are sought: member names, texts, and words within texts
//! [[failures]]               what an answer means, the first that fits: status = [numbers], pointer with is = [values],
//!                            code = [codes], names = [fields]: all that are given must fit;
//!                            means = "duplicate" | "not-found" | "log-in-again" | "slow-down" | "denied" | "refused" |
//!                            "unclear". Without a fit: 401 log in again, 404 not found, 409 duplicate, 429 and 503
//!                            slow down, other 5xx unclear, everything else refused
//! [fields.NAME]              the catalogue. `"dimensions.*"` stands for any last segment
//!     type                   text, integer, number, boolean, date, date-time, list, set, object
//!     at                     pointer within the account; default: the name with dots as slashes
//!     read_only              why it can't be written; its presence makes it so
//!     required, unique       on create; among all accounts
//!     allowed, range         the only values; [least, most]
//!     same_as                another field that is the same thing underneath: a mapping of both is a mistake
//!     clearable              may it be emptied (default true)
//!     park                   what holds the place of a unique value that is given up, `{id}` being the remote id:
//!                            used when two people exchange theirs, and by `release_on_ban` where it can't be emptied
//!     entry_id               (set) the field arrives as objects, and the set is of this member of theirs
//!     write                  (set with entry_id) "objects" ([{id: …}], default) or "values" (the bare ids)
//! [lists.NAME]               a list of objects whose entries are fields of their own, `NAME.ID`: id and value name the
//!                            members; id_type = "integer" or "text". Entries are sent as those that changed
//! ```

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::value::FieldType;

/// The only format there is so far.
pub(super) const FORMAT: u32 = 1;

/// `[auth]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AuthDef {
    pub kinds: Vec<String>,
}

/// `[options.NAME]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OptionDef {
    #[serde(rename = "type")]
    pub kind: OptionType,
    pub default: Option<toml::Value>,
    #[serde(default)]
    pub allowed: Vec<toml::Value>,
    pub range: Option<(i64, i64)>,
    pub help: Option<String>,
}

/// The type of an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum OptionType {
    Text,
    Integer,
    Boolean,
}

/// `[account]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AccountDef {
    pub id: String,
    #[serde(default)]
    pub id_is_address: bool,
    #[serde(default = "whole_document")]
    pub at: Vec<String>,
    pub key_field: Option<String>,
    #[serde(default)]
    pub open: bool,
}

/// `[state]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StateDef {
    pub field: String,
    pub active: toml::Value,
    pub banned: toml::Value,
    #[serde(default)]
    pub unstated: Unstated,
}

/// What a missing state field means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Unstated {
    #[default]
    Active,
    Banned,
}

/// `[request]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RequestDef {
    #[serde(default = "json")]
    pub content_type: String,
    #[serde(default = "json")]
    pub accept: String,
    #[serde(default)]
    pub envelope: String,
    pub idempotency_header: Option<String>,
}

impl Default for RequestDef {
    fn default() -> Self {
        RequestDef { content_type: json(), accept: json(), envelope: String::new(), idempotency_header: None }
    }
}

/// `[operations.NAME]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OperationDef {
    pub method: String,
    pub path: String,
    pub body: Option<BodyStyle>,
    #[serde(default)]
    pub answer: AnswerStyle,
    #[serde(default)]
    pub query: BTreeMap<String, String>,
    #[serde(default)]
    pub fields: Vec<String>,
    pub records: Option<Vec<String>>,
    pub paging: Option<PagingDef>,
}

/// What a request's body holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum BodyStyle {
    /// Every field that we know of.
    Full,
    /// Only the fields that change.
    Changes,
    /// There is none.
    None,
}

/// What the body of a success shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum AnswerStyle {
    /// The account as it is now. An empty body is accepted too, except after a create.
    #[default]
    Account,
    /// Nothing that we need.
    Any,
}

/// `paging = { … }`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PagingDef {
    pub style: PagingStyle,
    pub param: Option<String>,
    #[serde(default)]
    pub start: u64,
    pub size_param: Option<String>,
    pub size: Option<u32>,
    pub size_option: Option<String>,
}

/// How a listing goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum PagingStyle {
    /// The parameter counts pages.
    Page,
    /// The parameter counts accounts.
    Offset,
    /// One answer holds all.
    None,
}

/// `[success]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SuccessDef {
    #[serde(default)]
    pub body: Vec<BodyRule>,
}

/// A condition on a value in the body.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BodyRule {
    pub pointer: String,
    pub is: Vec<toml::Value>,
}

/// `[errors]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ErrorsDef {
    #[serde(default)]
    pub code: Vec<String>,
    #[serde(default)]
    pub fields: Vec<String>,
}

/// `[[failures]]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FailureDef {
    #[serde(default)]
    pub status: Vec<u16>,
    pub pointer: Option<String>,
    #[serde(default)]
    pub is: Vec<toml::Value>,
    #[serde(default)]
    pub code: Vec<String>,
    #[serde(default)]
    pub names: Vec<String>,
    pub means: Meaning,
}

/// What a failure means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
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

/// `[fields.NAME]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FieldDef {
    #[serde(rename = "type")]
    pub kind: FieldType,
    pub at: Option<String>,
    pub read_only: Option<String>,
    #[serde(default)]
    pub required: bool,
    #[serde(default)]
    pub unique: bool,
    #[serde(default)]
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
}

/// How a set whose entries arrive as objects is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum SetStyle {
    /// `[{id: …}, …]`.
    Objects,
    /// `[…, …]`.
    Values,
}

/// `[lists.NAME]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListDef {
    pub id: String,
    pub value: String,
    #[serde(default)]
    pub id_type: IdType,
}

/// The JSON type in which an id is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum IdType {
    #[default]
    Text,
    Integer,
}

fn whole_document() -> Vec<String> {
    vec![String::new()]
}

fn json() -> String {
    "application/json".into()
}

fn yes() -> bool {
    true
}

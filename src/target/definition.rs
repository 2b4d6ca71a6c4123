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
//! [session]                  how auth of kind session works: login = { method, path, username, password, id }, the
//!                            last three being pointers: where the two go in the body, and where the answer holds the
//!                            session's id; cookie = the name of the cookie, or header = of the header, that carries it
//!                            from then on; logout = { method, path }, asked for at the end of a run
//! [options.NAME]             what `options` of a target may set: type (text, integer, boolean), default, optional (it
//!                            may be left out although it has no default), allowed, range, help. `{options.NAME}` puts
//!                            it into paths, queries and constants
//! [account]                  id = pointer to the id within an account; id_is_address: the id is an e-mail address, that
//!                            of key `id_field`, and is hidden in logs; at = pointers, the first that fits: where an
//!                            answer about one account holds it; key_field = the field that carries the source's key;
//!                            open: fields beyond this catalogue exist; paths = "dotted" (default) or "scim": how the
//!                            names of fields say where they are, unless they have `at`
//! [state]                    field = what says whether an account is usable; active, banned = its two values as sent
//!                            (compared after conversion to the field's type, so that "False" is false); unstated =
//!                            "active" or "banned": what it means when the field is missing
//! [request]                  format = "json" (default) or "xml"; content_type, accept; envelope = pointer under which
//!                            the body is put; idempotency_header = the header in which writes carry a key that is the
//!                            same for every try of one operation
//! [operations.NAME]          NAME: create, invite, update, replace, ban, reinstate, delete, reset, get, find, list,
//!                            invited. What is missing can't be done; ban and reinstate fall back on update with the
//!                            state field added. invite stands for create where accounts come about by invitation, and
//!                            invited lists those that are pending; replace stands for update where [discovery] says so;
//!                            reset is asked for after a create
//!     only_if                { option, is }: the operation is there when the option has this value
//!     method, path           `{id}` in the path is the account's id, percent-encoded
//!     body                   "full" (every field we know), "changes" (only what changes), "merged" (the account as it
//!                            is there now, read first, with what changes), "scim-patch" (a PatchOp of what changes) or
//!                            "none"
//!     constants              { POINTER = value }: what else the body holds
//!     writes                 (invite) { FIELD = pointer }: the only fields that it takes, and where; the others wait
//!                            until the invitation is accepted. (invited) where an invitation shows them
//!     answer                 (create, invite, update, ban, reinstate) "account" (a success shows the account; default),
//!                            "id" (it tells the id, under the pointer `id_at`) or "any"
//!     query                  query parameters by name; in find, `{field}` and `{value}` stand for what is sought
//!     fields                 (find) the fields by which accounts can be sought
//!     names                  (find) { FIELD = what `{field}` is for it }, where that isn't its name
//!     escape                 (find) "none" (default), "doubled" (' as '') or "json" (\ before " and \): what makes a
//!                            value safe between the quotes that the query puts around it
//!     records                (find, list, invited) pointers, the first that leads to an array of accounts
//!     paging                 (find, list, invited) { style = "page" | "offset" | "header" | "none", param, start,
//!                            size_param, size, size_option, header, total }: `start` is the first page's number or the
//!                            first offset. `total` is a pointer to the number of all accounts; without it, a page
//!                            shorter than asked is the last. `header` names a header with a link to the next page, of
//!                            which the query counts; `None` or nothing is the end. size_option names an option that
//!                            overrides size
//! [discovery]                path = what tells of the API's own abilities, patch = pointer to whether it can PATCH
//! [success]                  what a success is beyond HTTP 2xx: body = [{ pointer, is = [values] }], all of them
//! [errors]                   code = pointers to the vendor's code; fields = pointers under which the names of fields
//!                            that it complains of are sought: member names, texts, and words within texts
//! [[failures]]               what an answer means, the first that fits: status = [numbers], pointer with is = [values],
//!                            code = [codes], names = [fields]: all that are given must fit;
//!                            means = "duplicate" | "not-found" | "log-in-again" | "slow-down" | "denied" | "refused" |
//!                            "unclear". Without a fit: 401 log in again, 404 not found, 409 duplicate, 429 and 503
//!                            slow down, other 5xx unclear, everything else refused
//! [[proofs]]                 what `check --connect` asks beside a page of the listing, each by a GET that must succeed
//!     path, proves           the path, and what is there when it does: "client {options.client}"
//!     field, id, records     each mapped value of this field must be one of those that are shown: `id` is the pointer to
//!                            it within an entry, `records` as in list; proves is then what a value is
//! [fields.NAME]              the catalogue. `"dimensions.*"` stands for any last segment
//!     type                   text, integer, number, boolean, date, date-time, list, set, object
//!     at                     pointer within the account; default: as `paths` says
//!     read_only              why it can't be written; its presence makes it so
//!     required, unique       on create; among all accounts
//!     allowed, range         the only values; [least, most]
//!     same_as                another field that is the same thing underneath: a mapping of both is a mistake
//!     clearable              may it be emptied (default true)
//!     park                   what holds the place of a unique value that is given up, `{id}` being the remote id:
//!                            used when two people exchange theirs, and by `release_on_ban` where it can't be emptied
//!     entry_id               (set) the field arrives as objects, and the set is of this member of theirs
//!     write                  (set with entry_id) "objects" ([{id: …}], default) or "values" (the bare ids)
//!     whole                  (NAME.*) the object is sent whole: what was acknowledged, with what changes
//!     option                 an option whose value a new account gets where the mapping gives none; a required field
//!                            for which it is set needs no mapping
//!     throwaway              (text, read-only) a new account gets a secret that nobody knows; throwaway = { option, is }
//! [lists.NAME]               a list of objects whose entries are fields of their own, `NAME.ID`: id and value name the
//!                            members; id_type = "integer" or "text". Entries are sent as those that changed
//! ```

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::value::FieldType;

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

/// `[account]`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AccountDef {
    pub id: String,
    #[serde(default)]
    pub id_is_address: bool,
    #[serde(default = "whole_document")]
    pub at: Vec<String>,
    pub key_field: Option<String>,
    pub id_field: Option<String>,
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

/// `[state]`.
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

/// `[operations.NAME]`.
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
    /// A header links to the next page.
    Header,
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

/// `[[proofs]]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProofDef {
    pub path: String,
    pub proves: String,
    pub field: Option<String>,
    pub id: Option<String>,
    pub records: Option<Vec<String>>,
}

/// `[fields.NAME]`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
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

/// `[lists.NAME]`.
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

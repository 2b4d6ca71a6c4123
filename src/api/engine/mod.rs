//! The engine: a definition with one target's options applied.
//!
//! It knows no vendor. The requests that it makes are in [`super::encode`], what an answer means in [`super::judge`],
//! how values are read in [`super::read`], sessions in [`super::session`].

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::Value;

use super::call::Call;
use super::definition::{
    AnswerStyle, BodyStyle, DiscoveryDef, ErrorsDef, Escape, IdType, ListDef, Meaning, PagingStyle, PathStyle,
    RequestDef, SessionDef, SetStyle,
};
use super::load::{DefinitionError, nearest};
use super::proof::Proof;
use super::scim::{Names, ScimPath};
use super::template::Template;
use crate::domain::account::AccountState;
use crate::domain::catalogue::Catalogue;
use crate::domain::operation::{OpKind, Operation};
use crate::domain::remote_id::{LoggableId, RemoteId};
use crate::domain::resource::Resource;

/// The definitions that are built in: kind and text.
const BUILTIN: [(&str, &str); 4] = [
    ("juno", include_str!("../builtin/juno.toml")),
    ("juicebox", include_str!("../builtin/juicebox.toml")),
    ("longjump", include_str!("../builtin/longjump.toml")),
    ("scim", include_str!("../builtin/scim.toml")),
];
const BUILTIN_KINDS: [&str; BUILTIN.len()] = [BUILTIN[0].0, BUILTIN[1].0, BUILTIN[2].0, BUILTIN[3].0];

/// A definition with one target's options applied: what turns operations into requests and answers into verdicts.
#[derive(Clone, Debug)]
pub struct Engine {
    pub(super) kind: String,
    pub(super) title: String,
    pub(super) auth_kinds: Vec<String>,
    pub(super) catalogue: Catalogue,
    pub(super) shapes: BTreeMap<String, FieldShape>,
    pub(super) lists: BTreeMap<String, ListDef>,
    pub(super) id_at: String,
    pub(super) id_is_address: bool,
    pub(super) account_at: Vec<String>,
    pub(super) paths: PathStyle,
    pub(super) session: Option<SessionDef>,
    pub(super) discovery: Option<DiscoveryDef>,
    pub(super) state: StateRule,
    pub(super) request: RequestDef,
    pub(super) calls: BTreeMap<Call, CallSpec>,
    pub(super) success: Vec<BodyCondition>,
    pub(super) errors: ErrorsDef,
    pub(super) failures: Vec<FailureRule>,
    pub(super) proofs: Vec<Proof>,
    /// The names in its answers, where their letter case does not count.
    pub(super) names: Option<Names>,
    /// The options that stand in the paths of requests.
    pub(super) path_options: BTreeMap<String, String>,
    /// The outermost members by which answers to operations are judged, beside what an operation writes; nothing where all
    /// of an answer has to be read.
    pub(super) judged_by: Option<Vec<String>>,
}

/// What a target of a kind may say.
#[derive(Clone, Debug)]
pub struct Takes {
    /// The kinds of authentication that the API takes.
    pub auth_kinds: Vec<String>,
    /// The JSON Schema of `options`.
    pub options: Value,
    /// The fields of its accounts; `None` where they have fields that the definition does not list.
    pub fields: Option<KindFields>,
}

/// The fields of a kind's accounts, as far as their names tell.
#[derive(Clone, Debug)]
pub struct KindFields {
    /// Names, and whether they can be mapped; a name that ends in `.*` stands for any last segment.
    pub fields: Vec<(String, bool)>,
    /// Those of the latter whose last segment is a whole number.
    pub numbered: Vec<String>,
    /// Names are attribute paths of SCIM, of which extensions may have others.
    pub is_scim: bool,
}

/// How a field stands on the wire, where that is not its name.
#[derive(Clone, Debug, Default)]
pub(super) struct FieldShape {
    pub at: Option<String>,
    /// The member of arriving objects whose values make the set, and how the set is sent.
    pub entry: Option<(String, SetStyle)>,
    /// The object is sent whole.
    pub whole: bool,
    /// What a new account gets where the mapping says nothing.
    pub given: Option<Value>,
    /// A new account gets a secret that nobody knows.
    pub throwaway: bool,
}

/// Where a field is within an account.
pub(super) enum FieldPath<'a> {
    /// In the member of its name.
    Member(&'a str),
    /// Under a JSON pointer.
    Pointer(Cow<'a, str>),
    /// At an attribute path of SCIM.
    Scim(ScimPath),
}

/// How access is expressed.
#[derive(Clone, Debug)]
pub(super) struct StateRule {
    pub field: String,
    pub active: Value,
    pub banned: Value,
    pub unstated: AccountState,
}

/// How a call is made, as the definition describes it.
#[derive(Clone, Debug)]
pub(super) struct CallSpec {
    pub name: Call,
    pub method: String,
    pub path: Template,
    pub body: BodyStyle,
    pub constants: Vec<(String, Value)>,
    pub writes: BTreeMap<String, String>,
    pub answer: AnswerStyle,
    pub id_at: Option<String>,
    pub query: Vec<(Template, Template)>,
    pub fields: Vec<String>,
    pub names: BTreeMap<String, String>,
    pub escape: Escape,
    pub records: Vec<String>,
    pub paging: Option<Paging>,
}

/// How a listing goes on.
#[derive(Clone, Debug)]
pub(super) struct Paging {
    pub style: PagingStyle,
    pub param: String,
    pub start: u64,
    pub size_param: Option<String>,
    pub size: u32,
    pub header: Option<String>,
    pub pointer: Option<String>,
    pub total: Option<String>,
}

/// A value in the body that must be one of these.
#[derive(Clone, Debug)]
pub(super) struct BodyCondition {
    pub pointer: String,
    pub is: Vec<Value>,
}

/// `[[failures]]`.
#[derive(Clone, Debug)]
pub(super) struct FailureRule {
    pub status: Vec<u16>,
    pub body: Option<BodyCondition>,
    pub code: Vec<String>,
    pub names: Vec<String>,
    pub means: Meaning,
}

impl Engine {
    /// The built-in definition of this kind, with a target's `options`.
    ///
    /// # Errors
    /// The kind is unknown, or options are (keys `kind` and `options.NAME`).
    pub fn builtin(kind: &str, options: &toml::Table) -> Result<Engine, Vec<DefinitionError>> {
        match Engine::builtin_text(kind) {
            Some(text) => super::compile::compile(text, options).map(|mut engine| {
                engine.catalogue.listed_by = Some(format!("rosterd targets show {kind}"));
                engine
            }),
            None => Err(vec![DefinitionError {
                key: "kind".into(),
                line: None,
                message: format!("unknown kind {kind:?}"),
                help: nearest(kind, BUILTIN_KINDS.into_iter().chain(["rest"])),
            }]),
        }
    }

    /// The definition in `text`, with a target's `options`. `file_name` is for messages alone: nothing is read.
    ///
    /// # Errors
    /// Every mistake in the definition, in the order of its lines, then those in the options.
    pub fn from_definition(file_name: &str, text: &str, options: &toml::Table) -> Result<Engine, Vec<DefinitionError>> {
        super::compile::compile(text, options).map_err(|mut errors| {
            for error in errors.iter_mut().filter(|error| error.key.is_empty()) {
                error.message = format!("{file_name}: {}", error.message);
            }
            errors
        })
    }

    /// The kinds that are built in.
    pub fn builtin_kinds() -> &'static [&'static str] {
        &BUILTIN_KINDS
    }

    /// The text of a built-in definition, to copy.
    pub fn builtin_text(kind: &str) -> Option<&'static str> {
        BUILTIN.iter().find(|(name, _)| *name == kind).map(|(_, text)| *text)
    }

    /// What a target of a built-in kind may say: its kinds of authentication, and its options.
    pub fn builtin_takes(kind: &str) -> Option<Takes> {
        let (parts, _) = super::load::load(Engine::builtin_text(kind)?).ok()?;
        let is_scim = parts.account.paths == PathStyle::Scim;
        let is_closed = is_scim || !parts.account.open;
        let fields = parts.fields.iter().map(|(name, def)| (name.clone(), def.read_only.is_none())).collect();
        let is_numbered = |list: &ListDef| list.id_type == IdType::Integer;
        let numbered = parts.lists.iter().filter(|(_, list)| is_numbered(list)).map(|(name, _)| name.clone()).collect();
        let fields = is_closed.then_some(KindFields { fields, numbered, is_scim });
        Some(Takes { auth_kinds: parts.auth.kinds, options: super::options::schema(&parts.options), fields })
    }

    /// The name under which targets ask for it.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// What of the platform it keeps in step.
    pub fn resource(&self) -> Resource {
        Resource::Users
    }

    /// The kinds of authentication that the API takes.
    pub fn auth_kinds(&self) -> &[String] {
        &self.auth_kinds
    }

    /// The fields of its accounts.
    pub fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    /// Whether an account's id is an e-mail address, which logs must not show.
    pub fn id_is_address(&self) -> bool {
        self.id_is_address
    }

    /// The remote id as logs and outcomes may show it: a short hash where the id is itself an address.
    pub fn loggable_id(&self, remote_id: &RemoteId) -> LoggableId {
        remote_id.loggable(self.id_is_address)
    }

    /// The header that carries the same key in every try of one operation, where the API knows one.
    pub fn idempotency_header(&self) -> Option<&str> {
        self.request.idempotency_header.as_deref()
    }

    /// How many accounts a page of the listing holds; `u32::MAX` when one answer holds all.
    pub fn page_size(&self) -> u32 {
        let paging = self.calls.get(&Call::List).and_then(|call| call.paging.as_ref());
        paging.map_or(u32::MAX, |paging| paging.size)
    }

    /// The options that stand in the paths of requests, as they are set: accounts below other paths are others.
    pub fn path_options(&self) -> &BTreeMap<String, String> {
        &self.path_options
    }

    /// The target's name in messages.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// Whether all accounts can be listed.
    pub fn can_list(&self) -> bool {
        self.calls.contains_key(&Call::List)
    }

    /// Whether new accounts come about by invitation, and may be pending for a while.
    pub fn invites(&self) -> bool {
        self.calls.contains_key(&Call::Invite)
    }

    /// Whether the listing tells who was invited and has not come yet.
    pub fn lists_invited(&self) -> bool {
        self.can_list() && self.calls.contains_key(&Call::Invited)
    }

    /// Whether accounts can be removed for good.
    pub fn can_delete(&self) -> bool {
        self.calls.contains_key(&Call::Delete)
    }

    /// The fields by which accounts can be sought.
    pub fn find_fields(&self) -> &[String] {
        self.calls.get(&Call::Find).map_or(&[], |call| &call.fields)
    }

    /// Where a field is within an account.
    pub(super) fn field_path<'a>(&'a self, name: &'a str) -> FieldPath<'a> {
        if let Some(at) = self.shapes.get(name).and_then(|shape| shape.at.as_deref()) {
            return FieldPath::Pointer(at.into());
        }
        if self.paths == PathStyle::Scim
            && let Ok(path) = ScimPath::parse(name)
        {
            return FieldPath::Scim(path);
        }
        match name.bytes().any(|byte| matches!(byte, b'.' | b'~' | b'/')) {
            true => FieldPath::Pointer(self.pointer(name)),
            false => FieldPath::Member(name),
        }
    }

    /// The pointer of a field within an account.
    pub(super) fn pointer(&self, name: &str) -> Cow<'_, str> {
        if let Some(at) = self.shapes.get(name).and_then(|shape| shape.at.as_deref()) {
            return at.into();
        }
        let mut pointer = String::with_capacity(name.len() + 1);
        pointer.push('/');
        for letter in name.chars() {
            match letter {
                '.' => pointer.push('/'),
                '~' => pointer.push_str("~0"),
                '/' => pointer.push_str("~1"),
                other => pointer.push(other),
            }
        }
        pointer.into()
    }

    /// The member whose values make this set, where it arrives as objects.
    pub(super) fn entry_id(&self, name: &str) -> Option<&str> {
        self.shapes.get(name)?.entry.as_ref().map(|(member, _)| member.as_str())
    }
}

/// The access that an operation asks for.
pub(super) fn asked_state(operation: &Operation) -> Option<AccountState> {
    match operation.kind {
        OpKind::Ban => Some(AccountState::Banned),
        OpKind::Create | OpKind::Reinstate => Some(AccountState::Active),
        OpKind::Adopt if operation.reactivates => Some(AccountState::Active),
        OpKind::Adopt | OpKind::Update | OpKind::Delete | OpKind::Unlink => None,
    }
}

#[cfg(test)]
mod tests;

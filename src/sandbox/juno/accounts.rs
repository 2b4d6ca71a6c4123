//! JUNO's accounts, with the indexes that keep a hundred thousand of them quick, and the two uniqueness rules.

use std::collections::{BTreeMap, HashMap};

use chrono::NaiveDateTime;
use serde_json::{Map, Value, json};

use super::fields::{Changes, FIELDS, Kind, dimension_name};

/// What the page shows for somebody who never logged in.
const NEVER: &str = "1900-01-01T00:00:00";

/// The first id that is given out: not 1, so that an id and a position are never mistaken for each other.
const FIRST_ID: u64 = 1001;

/// How `banned` is spelled in an answer; the page shows several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spelling {
    /// A JSON boolean.
    Boolean,
    /// Text: "true" or "false" for even ids, "True" or "False" for odd ones.
    Text,
}

/// One account.
#[derive(Clone, Debug)]
pub(super) struct Account {
    pub(super) id: u64,
    pub(super) banned: bool,
    values: BTreeMap<&'static str, Value>,
    dimensions: BTreeMap<u64, String>,
    tags: Vec<String>,
    created: NaiveDateTime,
    updated: NaiveDateTime,
}

impl Account {
    /// A text field; empty when it isn't set.
    pub(super) fn text(&self, field: &str) -> &str {
        self.values.get(field).and_then(Value::as_str).unwrap_or_default()
    }

    /// The whole payload, in the page's order of fields, empty fields as null.
    pub(super) fn payload(&self, spelling: Spelling) -> Value {
        let mut payload = Map::new();
        for (name, kind) in FIELDS {
            let value = match kind {
                Kind::Dimension(id) => self.dimensions.get(id).map_or(Value::Null, |v| json!(v)),
                Kind::Flag => self.spelled(spelling),
                Kind::Tags => self.tags.iter().map(|id| tag(id)).collect(),
                Kind::Dimensions => self.dimensions.iter().map(|(id, value)| dimension(*id, value)).collect(),
                Kind::ReadOnly => self.own(name),
                Kind::Text | Kind::Integer | Kind::Level => self.values.get(name).cloned().unwrap_or_default(),
            };
            payload.insert((*name).to_string(), value);
        }
        Value::Object(payload)
    }

    fn spelled(&self, spelling: Spelling) -> Value {
        match (spelling, self.id.is_multiple_of(2), self.banned) {
            (Spelling::Boolean, _, banned) => json!(banned),
            (Spelling::Text, true, banned) => json!(banned.to_string()),
            (Spelling::Text, false, true) => json!("True"),
            (Spelling::Text, false, false) => json!("False"),
        }
    }

    /// The fields that JUNO sets itself.
    fn own(&self, name: &str) -> Value {
        let shown = |time: NaiveDateTime| json!(time.format("%Y-%m-%dT%H:%M:%S").to_string());
        match name {
            "id" => json!(self.id),
            "date_created" => shown(self.created),
            "date_updated" => shown(self.updated),
            _ => json!(NEVER),
        }
    }

    fn apply(&mut self, changes: Changes, now: NaiveDateTime) {
        let Changes { values, dimensions, tags, banned } = changes;
        for (field, value) in values {
            match value {
                Some(value) => self.values.insert(field, value),
                None => self.values.remove(field),
            };
        }
        for (id, value) in dimensions {
            match value {
                Some(value) => self.dimensions.insert(id, value),
                None => self.dimensions.remove(&id),
            };
        }
        self.tags = tags.unwrap_or(std::mem::take(&mut self.tags));
        self.banned = banned.unwrap_or(self.banned);
        self.updated = now;
    }
}

fn tag(id: &str) -> Value {
    json!({"id": id, "name": format!("Tag {id}"), "type": "2", "type_name": "Access Level", "score": "0"})
}

fn dimension(id: u64, value: &str) -> Value {
    json!({"id": id, "name": dimension_name(id), "value": value})
}

/// A value that another account has already.
#[derive(Debug, PartialEq)]
pub(super) struct Taken {
    /// `email` or `client_id`.
    pub(super) field: &'static str,
    /// The account that has it.
    pub(super) by: u64,
}

/// All accounts. They are never removed one by one, so an id is a position.
#[derive(Default)]
pub(super) struct Accounts {
    base: u64,
    list: Vec<Account>,
    by_email: HashMap<String, u64>,
    by_client_id: HashMap<String, u64>,
}

impl Accounts {
    /// No accounts yet.
    pub(super) fn new() -> Self {
        Accounts { base: FIRST_ID, ..Accounts::default() }
    }

    /// Every account, in the order of ids.
    pub(super) fn all(&self) -> &[Account] {
        &self.list
    }

    /// The account of this id.
    pub(super) fn get(&self, id: u64) -> Option<&Account> {
        self.list.get(self.position(id)?)
    }

    /// The account with this address, whatever its letter case.
    pub(super) fn by_email(&self, email: &str) -> Option<&Account> {
        self.by_email.get(&folded(email)).and_then(|id| self.get(*id))
    }

    /// The account with exactly this client id.
    pub(super) fn by_client_id(&self, client_id: &str) -> Option<&Account> {
        self.by_client_id.get(client_id).and_then(|id| self.get(*id))
    }

    /// Makes an account. JUNO gives it the level of a limited user unless the changes say otherwise.
    pub(super) fn create(&mut self, changes: Changes, now: NaiveDateTime) -> Result<&Account, Taken> {
        self.free(&changes, None)?;
        let id = self.base + self.list.len() as u64;
        let values = BTreeMap::from([("account_level", json!(0)), ("points", json!(0))]);
        let dimensions = BTreeMap::new();
        let mut account =
            Account { id, banned: false, values, dimensions, tags: Vec::new(), created: now, updated: now };
        account.apply(changes, now);
        self.index(&account);
        self.list.push(account);
        Ok(self.list.last().expect("just pushed"))
    }

    /// Changes an account that exists.
    pub(super) fn update(&mut self, id: u64, changes: Changes, now: NaiveDateTime) -> Result<Option<&Account>, Taken> {
        let Some(position) = self.position(id).filter(|p| *p < self.list.len()) else { return Ok(None) };
        self.free(&changes, Some(id))?;
        let mut account = self.list[position].clone();
        self.by_email.remove(&folded(account.text("email")));
        self.by_client_id.remove(account.text("client_id"));
        account.apply(changes, now);
        self.index(&account);
        self.list[position] = account;
        Ok(self.list.get(position))
    }

    /// Removes every account; ids go on from where they were.
    pub(super) fn clear(&mut self) {
        let base = self.base + self.list.len() as u64;
        *self = Accounts { base, ..Accounts::default() };
    }

    fn position(&self, id: u64) -> Option<usize> {
        usize::try_from(id.checked_sub(self.base)?).ok()
    }

    /// Whether the unique values that the changes set are free, or the account's own.
    fn free(&self, changes: &Changes, own: Option<u64>) -> Result<(), Taken> {
        let holder = |account: Option<&Account>| account.map(|a| a.id).filter(|id| Some(*id) != own);
        if let Some(by) = changes.text("email").and_then(|email| holder(self.by_email(email))) {
            return Err(Taken { field: "email", by });
        }
        match changes.text("client_id").and_then(|client_id| holder(self.by_client_id(client_id))) {
            Some(by) => Err(Taken { field: "client_id", by }),
            None => Ok(()),
        }
    }

    fn index(&mut self, account: &Account) {
        let (email, client_id) = (account.text("email"), account.text("client_id"));
        if !email.is_empty() {
            self.by_email.insert(folded(email), account.id);
        }
        if !client_id.is_empty() {
            self.by_client_id.insert(client_id.to_string(), account.id);
        }
    }
}

fn folded(email: &str) -> String {
    email.trim().to_lowercase()
}

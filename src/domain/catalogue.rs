//! What fields a target's accounts have: the catalogue against which `check` judges a mapping, and by whose types
//! values are converted.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::nearest::nearest;
use super::scim_path;
use super::value::FieldType;

use crate::domain::remote_id::RemoteId;

/// One field of a target's accounts.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// Its type.
    pub kind: FieldType,
    /// Whether it can be written; if not, why not.
    pub writable: Result<(), String>,
    /// A create without it is refused.
    pub required: bool,
    /// No two accounts may have the same.
    pub unique: bool,
    /// The only values it admits; empty: any.
    pub allowed: Vec<Value>,
    /// Bounds of a number, inclusive.
    pub range: Option<(i64, i64)>,
    /// Another name of the same thing on the target: mapping both is a mistake.
    pub same_as: Option<String>,
    /// The target's option that gives it to every new account, where it isn't mapped.
    pub option: Option<String>,
    /// Whether the target lets it be emptied.
    pub clearable: bool,
    /// It is a member of an object that is sent whole.
    pub whole: bool,
    /// What takes the place of a unique value that is given up, where it can't be emptied; `{id}` is the remote id.
    pub park: Option<String>,
}

/// All fields of a target's accounts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Catalogue {
    /// Fields by name; a name that ends in `.*` stands for any last segment (`dimensions.*`).
    pub fields: BTreeMap<String, Field>,
    /// The field that carries the source's key, if the target has one.
    pub key_field: Option<String>,
    /// The field that is the account's id at the same time, where ids are addresses.
    pub id_field: Option<String>,
    /// The fields by which people are named, as far as they are mapped.
    pub label: Vec<String>,
    /// Whether fields beyond the catalogue exist (custom fields): a warning then, not an error.
    pub open: bool,
    /// Lists whose entries are fields by id, where the ids are whole numbers.
    pub numbered: BTreeSet<String>,
    /// The command that lists the fields, where the definition is built in.
    pub listed_by: Option<String>,
    /// Names of fields are attribute paths of SCIM, by which one can tell custom fields from mistakes.
    pub scim: bool,
}

impl Catalogue {
    /// The fields by which an existing account is recognised: those that the operator chose, and always the one that
    /// is the account's id.
    pub fn recognised_by(&self, chosen: &[String]) -> Vec<String> {
        let own = self.id_field.iter().filter(|field| !chosen.contains(field));
        chosen.iter().chain(own).cloned().collect()
    }

    /// The field of this name, a pattern's where the name matches one.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.get(name).or_else(|| {
            let (head, tail) = name.split_once('.')?;
            let is_id = !self.numbered.contains(head) || tail.parse::<i64>().is_ok();
            if tail.is_empty() || !is_id { None } else { self.fields.get(&format!("{head}.*")) }
        })
    }

    /// Whether an account can give up its value of this field: by emptying it, or by the definition's placeholder. A
    /// field that isn't listed can be emptied, as far as anybody knows.
    pub fn can_release(&self, name: &str) -> bool {
        self.is_clearable(name) || self.field(name).is_some_and(|field| field.park.is_some())
    }

    /// What a unique field of this account is set to when its value is given up: nothing where it may be empty, else
    /// the definition's placeholder. `None` where neither is possible: see [`Catalogue::can_release`].
    pub fn released(&self, name: &str, remote_id: &RemoteId) -> Option<Value> {
        if self.is_clearable(name) { Some(Value::Null) } else { self.parked(name, remote_id) }
    }

    /// Whether the target lets a field be emptied.
    fn is_clearable(&self, name: &str) -> bool {
        self.field(name).map_or_else(|| self.admits(name), |field| field.clearable)
    }

    /// What holds the place of this field's value for a moment, while two people exchange theirs.
    pub fn parked(&self, name: &str, remote_id: &RemoteId) -> Option<Value> {
        let template = self.field(name)?.park.as_ref()?;
        Some(Value::String(template.replace("{id}", remote_id.as_str())))
    }

    /// Whether accounts may have a field of this name: one of these, or a custom one.
    pub fn admits(&self, name: &str) -> bool {
        self.field(name).is_some()
            || (self.open && self.why_not(name).is_none() && (!self.scim || scim_path::may_be_custom(name)))
    }

    /// Why no field that isn't listed can have this name, and what to do, where the name itself tells.
    pub fn why_not(&self, name: &str) -> Option<(String, Option<String>)> {
        if self.field(name).is_some() {
            return None;
        }
        if self.scim {
            let wrong = scim_path::ScimPath::parse(name).err()?;
            return Some((format!("{name} is no attribute path: {}", wrong.message), wrong.help));
        }
        let (head, tail) = name.split_once('.')?;
        if self.numbered.contains(head) {
            let help = format!("write `{head}.` and the number, as in `{head}.101`");
            return Some((
                format!("the entries of {head} are known by whole numbers, and {tail:?} is none"),
                Some(help),
            ));
        }
        if let Some(whole) = self.fields.get(head).filter(|field| field.kind != FieldType::Object) {
            return Some((
                format!("{head} is {}, which has no parts", whole.kind.name()),
                Some(format!("map `{head}`")),
            ));
        }
        let before_last = tail.rsplit_once('.').map_or("", |(before, _)| before);
        let index = before_last.split('.').any(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()));
        index.then(|| {
            let help = "a list is mapped whole, or its entries by id where the definition has [lists]".to_string();
            (format!("{name} leads into a list by position, which can't be written"), Some(help))
        })
    }

    /// What to do about a name that no field has: the nearest one, or how the names are found out.
    pub fn hint(&self, name: &str) -> String {
        let names = || self.fields.keys().map(String::as_str).filter(|name| !name.ends_with(".*"));
        if let Some(near) = nearest(name, names()) {
            return format!("did you mean `{near}`?");
        }
        match self.listed_by.as_deref() {
            Some(command) => format!("its fields are listed by: {command}"),
            None => format!("its fields are {}", names().collect::<Vec<_>>().join(", ")),
        }
    }

    /// The type by which a field's values are compared; text where nothing is known.
    pub fn kind(&self, name: &str) -> FieldType {
        self.field(name).map_or(FieldType::Text, |f| f.kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_value_is_given_up_where_it_can_be_emptied_or_parked_and_else_not() {
        let field = |clearable: bool, park: Option<&str>| Field {
            kind: FieldType::Text,
            writable: Ok(()),
            required: false,
            unique: true,
            allowed: Vec::new(),
            range: None,
            same_as: None,
            option: None,
            clearable,
            whole: false,
            park: park.map(Into::into),
        };
        let park = Some("{id}@parked.invalid");
        let fields = [("phone", field(true, None)), ("email", field(false, park)), ("name", field(false, None))];
        let fields = fields.map(|(name, field)| (name.to_string(), field)).into();
        let closed = Catalogue { fields, ..Catalogue::default() };
        let open = Catalogue { open: true, ..closed.clone() };
        for (catalogue, name, released) in [
            (&closed, "phone", Some(json!(null))),
            (&closed, "email", Some(json!("7@parked.invalid"))),
            (&closed, "name", None),
            (&open, "name", None),
            (&closed, "badge", None),
            (&open, "badge", Some(json!(null))),
        ] {
            assert_eq!(catalogue.released(name, &"7".into()), released, "{name}");
            assert_eq!(catalogue.can_release(name), released.is_some(), "{name}");
        }
    }
}

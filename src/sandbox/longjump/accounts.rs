//! LongJump's user records: which fields there are, what each admits, and the records themselves.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Value, json};

use super::xml::escaped;

/// What a field admits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Any text.
    Text,
    /// A whole number.
    Integer,
    /// 1, 0, TRUE or FALSE.
    Boolean,
    /// A record of another kind: shown with the name of that as an attribute.
    Lookup(&'static str),
    /// An instruction or a secret: taken and not kept.
    Told,
    /// LongJump's own.
    ReadOnly,
}

/// The fields of the page's table.
const FIELDS: &[(&str, Kind)] = &[
    ("first_name", Kind::Text),
    ("last_name", Kind::Text),
    ("company", Kind::Text),
    ("title", Kind::Text),
    ("time_zone", Kind::Integer),
    ("date_format", Kind::Text),
    ("reports_to", Kind::Lookup("user")),
    ("employee_number", Kind::Text),
    ("language", Kind::Text),
    ("email", Kind::Text),
    ("username", Kind::Text),
    ("site_name", Kind::Text),
    ("password", Kind::Told),
    ("custom_security_question", Kind::Told),
    ("security_answer", Kind::Told),
    ("active", Kind::Boolean),
    ("single_sign_on", Kind::Boolean),
    ("user_id_type", Kind::Integer),
    ("enable_mobile", Kind::Boolean),
    ("team_id", Kind::Lookup("team")),
    ("accessProfileId", Kind::Lookup("accessProfile")),
    ("phone", Kind::Text),
    ("mobile", Kind::Text),
    ("fax", Kind::Text),
    ("street", Kind::Text),
    ("city", Kind::Text),
    ("state", Kind::Text),
    ("zip", Kind::Text),
    ("country", Kind::Text),
    ("notify_info", Kind::Told),
    ("base_currency", Kind::Text),
    ("force_password_change_on_login", Kind::Boolean),
    ("force_security_question_change_on_login", Kind::Boolean),
    ("alias", Kind::Text),
    ("description", Kind::Text),
    ("photo_id", Kind::Text),
    ("thumbnail_photo_id", Kind::Text),
    ("status", Kind::Text),
    ("emailNotificationOptions.userWallPost", Kind::Boolean),
    ("emailNotificationOptions.like", Kind::Boolean),
    ("id", Kind::ReadOnly),
    ("sso_type", Kind::ReadOnly),
    ("federation_id", Kind::ReadOnly),
    ("last_login", Kind::ReadOnly),
    ("date_last_password_change", Kind::ReadOnly),
    ("customer_language", Kind::ReadOnly),
    ("full_name", Kind::ReadOnly),
    ("date_created", Kind::ReadOnly),
    ("created_id", Kind::ReadOnly),
    ("date_modified", Kind::ReadOnly),
    ("modified_id", Kind::ReadOnly),
    ("community_user_id", Kind::ReadOnly),
    ("auto_generated_community_user_record", Kind::ReadOnly),
    ("user_type", Kind::ReadOnly),
    ("date_status_updated", Kind::ReadOnly),
    ("tenant_id", Kind::ReadOnly),
    ("tenant_user_id", Kind::ReadOnly),
    ("customerId", Kind::ReadOnly),
    ("flag_logged_in", Kind::ReadOnly),
];

/// How the names of an administrator's own fields begin here.
const CUSTOM: &str = "custom_field_";

/// Fields that no record may be without.
const NEVER_EMPTY: [&str; 2] = ["username", "email"];

/// Fields that only an add requires.
const ON_ADD: [&str; 2] = ["team_id", "accessProfileId"];

fn kind(name: &str) -> Option<Kind> {
    let custom = name.starts_with(CUSTOM).then_some(Kind::Text);
    FIELDS.iter().find(|(field, _)| *field == name).map(|(_, kind)| *kind).or(custom)
}

/// A record.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub id: String,
    pub active: bool,
    /// Mails that were sent because of it.
    pub mails: u32,
    values: BTreeMap<String, String>,
}

impl Record {
    pub fn value(&self, field: &str) -> &str {
        self.values.get(field).map_or("", String::as_str)
    }

    /// Its elements. Booleans are spelled now one way, now the other, as the page shows; what is empty is left out.
    pub fn elements(&self) -> String {
        let mut text = format!("<id>{}</id>", self.id);
        text.push_str(&format!("<active>{}</active>", u8::from(self.active)));
        let name = format!("{} {}", self.value("first_name"), self.value("last_name"));
        text.push_str(&format!("<full_name>{}</full_name><object_id>USER</object_id>", escaped(name.trim())));
        let mut notifications = String::new();
        for (field, value) in &self.values {
            let value = escaped(value);
            match (kind(field), field.strip_prefix("emailNotificationOptions.")) {
                (_, Some(inner)) => notifications.push_str(&format!("<{inner}>{value}</{inner}>")),
                (Some(Kind::Lookup(what)), _) => text.push_str(&format!(
                    "<{field} type=\"\" uri=\"https://sandbox/networking/rest/{what}/{value}\" \
                     displayValue=\"The {what} &lt;{value}&gt;\">{value}</{field}>"
                )),
                _ => text.push_str(&format!("<{field}>{value}</{field}>")),
            }
        }
        if !notifications.is_empty() {
            text.push_str(&format!("<emailNotificationOptions>{notifications}</emailNotificationOptions>"));
        }
        text
    }

    /// Everything, for whoever looks behind the scenes.
    pub fn json(&self) -> Value {
        let mut all: Map<String, Value> = self.values.iter().map(|(k, v)| (k.clone(), json!(v))).collect();
        all.insert("id".into(), json!(self.id));
        all.insert("active".into(), json!(self.active));
        all.insert("mails".into(), json!(self.mails));
        Value::Object(all)
    }
}

/// A refusal: LongJump's code and its description.
pub(super) type Refusal = (i32, String);

/// All records, in the order in which they were made, with the indexes that keep a hundred thousand of them quick.
#[derive(Default)]
pub(super) struct Records {
    last: u64,
    list: BTreeMap<u64, Record>,
    by_id: HashMap<String, u64>,
    by_value: HashMap<(&'static str, String), u64>,
}

/// Fields of which no two records have the same value, whatever its letter case.
const UNIQUE: [&str; 2] = ["username", "employee_number"];

impl Records {
    pub fn all(&self) -> impl Iterator<Item = &Record> {
        self.list.values()
    }

    pub fn get(&self, id: &str) -> Option<&Record> {
        self.list.get(self.by_id.get(id)?)
    }

    /// The record that has this value in a unique field.
    pub fn having(&self, field: &str, value: &str) -> Option<&Record> {
        let field = UNIQUE.into_iter().find(|unique| *unique == field)?;
        self.list.get(self.by_value.get(&(field, value.to_lowercase()))?)
    }

    /// Adds a record.
    pub fn add(&mut self, fields: &BTreeMap<String, String>) -> Result<&Record, Refusal> {
        for field in NEVER_EMPTY.iter().chain(&ON_ADD) {
            if fields.get(*field).is_none_or(|value| value.trim().is_empty()) {
                return Err((-700, format!("{field} is required")));
            }
        }
        judge(fields)?;
        self.free(fields, None)?;
        self.last += 1;
        let number = self.last;
        let mut record = Record {
            id: format!("{:08x}{:08x}", 0x1601_6a88 + number, number * 7919 % 0xffff_ffff),
            active: true,
            mails: 0,
            values: BTreeMap::new(),
        };
        // It is 1 unless 0 is sent; and without a password, a temporary one is mailed.
        record.mails += u32::from(fields.get("notify_info").is_none_or(|told| truth(told) == Some(true)));
        record.mails += u32::from(fields.get("password").is_none_or(String::is_empty));
        apply(&mut record, fields);
        self.by_id.insert(record.id.clone(), number);
        self.index(number, &record);
        Ok(self.list.entry(number).or_insert(record))
    }

    /// Updates a record: what is left out stays, what is empty is erased.
    pub fn update(&mut self, id: &str, fields: &BTreeMap<String, String>) -> Result<(), Refusal> {
        let number = *self.by_id.get(id).ok_or_else(no_record)?;
        if let Some(field) = NEVER_EMPTY.iter().find(|f| fields.get(**f).is_some_and(|value| value.trim().is_empty())) {
            return Err((-700, format!("{field} is required")));
        }
        judge(fields)?;
        self.free(fields, Some(number))?;
        let Some(mut record) = self.list.remove(&number) else { return Err(no_record()) };
        self.forget(&record);
        apply(&mut record, fields);
        self.index(number, &record);
        self.list.insert(number, record);
        Ok(())
    }

    pub fn delete(&mut self, id: &str) -> Result<(), Refusal> {
        let number = self.by_id.remove(id).ok_or_else(no_record)?;
        if let Some(record) = self.list.remove(&number) {
            self.forget(&record);
        }
        Ok(())
    }

    /// Sends a mail about a record.
    pub fn mail(&mut self, id: &str) -> Result<(), Refusal> {
        let record = self.by_id.get(id).and_then(|number| self.list.get_mut(number)).ok_or_else(no_record)?;
        record.mails += 1;
        Ok(())
    }

    pub fn clear(&mut self) {
        *self = Records { last: self.last, ..Records::default() };
    }

    fn free(&self, fields: &BTreeMap<String, String>, own: Option<u64>) -> Result<(), Refusal> {
        for field in UNIQUE {
            let Some(wanted) = fields.get(field).map(|v| v.to_lowercase()).filter(|v| !v.is_empty()) else { continue };
            if self.by_value.get(&(field, wanted.clone())).is_some_and(|other| Some(*other) != own) {
                return Err((-684, format!("A user with the {field} {wanted} already exists")));
            }
        }
        Ok(())
    }

    fn index(&mut self, number: u64, record: &Record) {
        for field in UNIQUE.into_iter().filter(|field| !record.value(field).is_empty()) {
            self.by_value.insert((field, record.value(field).to_lowercase()), number);
        }
    }

    fn forget(&mut self, record: &Record) {
        for field in UNIQUE {
            self.by_value.remove(&(field, record.value(field).to_lowercase()));
        }
    }
}

fn no_record() -> Refusal {
    (-200, "Record not found".into())
}

fn judge(fields: &BTreeMap<String, String>) -> Result<(), Refusal> {
    for (field, value) in fields {
        let right = match kind(field) {
            None => return Err((-704, format!("Unknown field {field}"))),
            Some(Kind::ReadOnly) => return Err((-705, format!("{field} is read only"))),
            Some(Kind::Integer) => value.is_empty() || value.parse::<i64>().is_ok(),
            Some(Kind::Boolean) => value.is_empty() || truth(value).is_some(),
            Some(Kind::Told) => field != "notify_info" || truth(value).is_some(),
            Some(Kind::Text | Kind::Lookup(_)) => true,
        };
        if !right {
            return Err((-706, format!("Wrong value {value} for {field}")));
        }
    }
    Ok(())
}

fn apply(record: &mut Record, fields: &BTreeMap<String, String>) {
    for (field, value) in fields {
        match kind(field) {
            Some(Kind::Told) => {}
            Some(Kind::Boolean) if field == "active" => record.active = truth(value).unwrap_or(record.active),
            _ if value.is_empty() => {
                record.values.remove(field);
            }
            _ => {
                record.values.insert(field.clone(), value.clone());
            }
        }
    }
}

fn truth(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "true" => Some(true),
        "0" | "false" => Some(false),
        _ => None,
    }
}

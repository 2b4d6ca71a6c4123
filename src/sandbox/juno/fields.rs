//! JUNO's user payload: which fields there are, what each admits, and how a body is judged against that.
//!
//! The list is that of the vendor's page ("User payload details"), the dimension ids included. Where the page is
//! silent the sandbox is strict, so that a wrong body is seen here rather than on somebody's platform.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// What a field admits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Text, or null.
    Text,
    /// Text kept as the dimension of this number, or null.
    Dimension(u64),
    /// A whole number, or null.
    Integer,
    /// 0 or 99.
    Level,
    /// A boolean, or the text of one.
    Flag,
    /// A list of tag ids.
    Tags,
    /// A list of `{id, value}`.
    Dimensions,
    /// JUNO's own.
    ReadOnly,
}

/// Every field of the payload, in the page's order.
pub(super) const FIELDS: &[(&str, Kind)] = &[
    ("id", Kind::ReadOnly),
    ("first_name", Kind::Text),
    ("last_name", Kind::Text),
    ("designation", Kind::Dimension(12)),
    ("title", Kind::Dimension(18)),
    ("job_type", Kind::Dimension(11)),
    ("company", Kind::Text),
    ("email", Kind::Text),
    ("phone", Kind::Dimension(5)),
    ("address", Kind::Dimension(10)),
    ("city", Kind::Dimension(13)),
    ("state_province", Kind::Dimension(14)),
    ("postal_code", Kind::Dimension(15)),
    ("country", Kind::Dimension(16)),
    ("timezone", Kind::Integer),
    ("avatar", Kind::Text),
    ("points", Kind::Integer),
    ("account_level", Kind::Level),
    ("client_guid", Kind::Text),
    ("client_id", Kind::Text),
    ("banned", Kind::Flag),
    ("instagram", Kind::Dimension(1)),
    ("facebook", Kind::Dimension(2)),
    ("twitter", Kind::Dimension(3)),
    ("linkedin", Kind::Dimension(8)),
    ("username", Kind::Text),
    ("website", Kind::Dimension(4)),
    ("date_created", Kind::ReadOnly),
    ("date_last_login", Kind::ReadOnly),
    ("date_updated", Kind::ReadOnly),
    ("tags", Kind::Tags),
    ("dimensions", Kind::Dimensions),
];

/// The name under which a dimension is listed.
pub(super) fn dimension_name(id: u64) -> String {
    FIELDS
        .iter()
        .find(|(_, kind)| *kind == Kind::Dimension(id))
        .map_or_else(|| format!("Dimension {id}"), |(name, _)| (*name).to_string())
}

/// What a body asks to be changed. `None` inside empties.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Changes {
    /// Fields that are kept as they are.
    pub(super) values: Vec<(&'static str, Option<Value>)>,
    /// Dimensions by id, plain fields that are dimensions underneath included.
    pub(super) dimensions: Vec<(u64, Option<String>)>,
    /// The whole list of tags.
    pub(super) tags: Option<Vec<String>>,
    /// Banned or not.
    pub(super) banned: Option<bool>,
}

impl Changes {
    /// The text that a field is set to: `None` when the body doesn't name it, `Some("")` when it is emptied.
    pub(super) fn text(&self, field: &str) -> Option<&str> {
        let (_, value) = self.values.iter().find(|(name, _)| *name == field)?;
        Some(value.as_ref().and_then(Value::as_str).unwrap_or_default())
    }
}

/// A body that is refused: which fields are wrong, and why.
#[derive(Debug, PartialEq)]
pub(super) struct Refusal {
    /// The fields, in the body's order.
    pub(super) fields: Vec<String>,
    /// One sentence per field.
    pub(super) message: String,
}

/// Judges a body against the payload. Every fault is named, not only the first.
pub(super) fn judge(body: &Map<String, Value>) -> Result<Changes, Refusal> {
    let mut changes = Changes::default();
    let mut wrong: Vec<(String, String)> = Vec::new();
    for (name, value) in body {
        let known = FIELDS.iter().find(|(field, _)| field == name);
        let verdict = match known {
            Some((field, kind)) => take(&mut changes, field, *kind, value),
            None => Err("is not a field of a user".to_string()),
        };
        if let Err(why) = verdict {
            wrong.push((name.clone(), why));
        }
    }
    let mut seen = BTreeSet::new();
    if !changes.dimensions.iter().all(|(id, _)| seen.insert(*id)) {
        wrong.push(("dimensions".into(), "sets one dimension twice, by number or by its plain field".into()));
    }
    if wrong.is_empty() {
        return Ok(changes);
    }
    let message = wrong.iter().map(|(name, why)| format!("{name} {why}")).collect::<Vec<_>>().join("; ");
    Err(Refusal { fields: wrong.into_iter().map(|(name, _)| name).collect(), message })
}

/// Takes one field of a body into the changes.
fn take(changes: &mut Changes, field: &'static str, kind: Kind, value: &Value) -> Result<(), String> {
    match (kind, value) {
        (Kind::ReadOnly, _) => return Err("is read-only".into()),
        (Kind::Text | Kind::Integer, Value::Null) => changes.values.push((field, None)),
        (Kind::Text, Value::String(_)) => changes.values.push((field, Some(value.clone()))),
        (Kind::Text, _) => return Err("must be text".into()),
        (Kind::Dimension(id), Value::Null) => changes.dimensions.push((id, None)),
        (Kind::Dimension(id), Value::String(text)) => changes.dimensions.push((id, Some(text.clone()))),
        (Kind::Dimension(_), _) => return Err("must be text".into()),
        (Kind::Integer, Value::Number(n)) if n.is_i64() => changes.values.push((field, Some(value.clone()))),
        (Kind::Integer, _) => return Err("must be a whole number".into()),
        (Kind::Level, Value::Number(n)) if matches!(n.as_i64(), Some(0 | 99)) => {
            changes.values.push((field, Some(value.clone())));
        }
        (Kind::Level, _) => return Err("must be 0 or 99".into()),
        (Kind::Flag, _) => changes.banned = Some(flag(value).ok_or("must be true or false")?),
        (Kind::Tags, _) => changes.tags = Some(tags(value)?),
        (Kind::Dimensions, _) => changes.dimensions.extend(dimensions(value)?),
    }
    Ok(())
}

/// A boolean, or its text in any letter case: the page shows both.
fn flag(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(flag) => Some(*flag),
        Value::String(text) if text.eq_ignore_ascii_case("true") => Some(true),
        Value::String(text) if text.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

/// A list of tags: ids as numbers or text, or objects with an `id`. Doubles count once; null is the empty list.
fn tags(value: &Value) -> Result<Vec<String>, String> {
    let items = match value {
        Value::Null => return Ok(Vec::new()),
        Value::Array(items) => items,
        _ => return Err("must be a list of tag ids".into()),
    };
    let mut ids = Vec::new();
    for item in items {
        let id = match item.get("id").unwrap_or(item) {
            Value::Number(n) if n.is_u64() => n.to_string(),
            Value::String(text) if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) => text.clone(),
            _ => return Err("must be a list of tag ids, which are whole numbers".into()),
        };
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    Ok(ids)
}

/// A list of `{id, value}`; a value of null empties that dimension.
fn dimensions(value: &Value) -> Result<Vec<(u64, Option<String>)>, String> {
    const SHAPE: &str = "must be a list of {id: whole number, value: text or null}";
    let items = value.as_array().ok_or(SHAPE)?;
    items
        .iter()
        .map(|item| {
            let item = item.as_object().filter(|o| o.len() == 2).ok_or(SHAPE)?;
            let id = item.get("id").and_then(Value::as_u64).filter(|id| *id > 0).ok_or(SHAPE)?;
            match item.get("value") {
                Some(Value::Null) => Ok((id, None)),
                Some(Value::String(text)) => Ok((id, Some(text.clone()))),
                _ => Err(SHAPE.to_string()),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn judged(body: Value) -> Result<Changes, Refusal> {
        judge(body.as_object().expect("an object"))
    }

    #[test]
    fn each_type_is_checked() {
        let wrong = [
            json!({"first_name": 1}),
            json!({"title": true}),
            json!({"timezone": "3600"}),
            json!({"timezone": 1.5}),
            json!({"points": "1"}),
            json!({"account_level": 1}),
            json!({"account_level": null}),
            json!({"account_level": "0"}),
            json!({"banned": "yes"}),
            json!({"banned": null}),
            json!({"tags": "1"}),
            json!({"tags": ["x"]}),
            json!({"dimensions": {"101": "x"}}),
            json!({"dimensions": [{"id": "101", "value": "x"}]}),
            json!({"dimensions": [{"id": 101, "value": 5}]}),
            json!({"dimensions": [{"id": 101, "value": "x", "name": "y"}]}),
            json!({"id": 5}),
            json!({"date_created": "2026-01-01T00:00:00"}),
            json!({"ce_status": "Open"}),
        ];
        for body in wrong {
            let field = body.as_object().and_then(|o| o.keys().next().cloned()).expect("one field");
            let refusal = judged(body.clone()).expect_err(&body.to_string());
            assert_eq!(refusal.fields, [field], "{body}");
        }
    }

    #[test]
    fn all_wrong_fields_are_named_at_once() {
        let refusal = judged(json!({"points": "1", "shoe_size": 44, "city": "Zürich"})).expect_err("two are wrong");
        assert_eq!(refusal.fields, ["points", "shoe_size"]);
    }

    #[test]
    fn a_plain_field_is_its_dimension_and_both_at_once_are_refused() {
        let changes = judged(json!({"phone": "1", "dimensions": [{"id": 101, "value": null}]})).expect("right");
        assert_eq!(changes.dimensions, [(101, None), (5, Some("1".into()))]);
        assert!(judged(json!({"phone": "1", "dimensions": [{"id": 5, "value": "2"}]})).is_err());
    }

    #[test]
    fn what_the_page_shows_is_admitted() {
        let changes =
            judged(json!({"banned": "False", "timezone": -25200, "account_level": 99, "tags": [{"id": "1"}, 2, 1]}));
        let changes = changes.expect("right");
        assert_eq!(changes.banned, Some(false));
        assert_eq!(changes.tags, Some(vec!["1".into(), "2".into()]));
    }
}

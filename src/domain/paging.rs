//! What an answer tells of its next page, as sources and targets tell it alike.
//!
//! What is made of it differs: a source's next page is an address, a target's is a path and a query below its base.

use std::borrow::Cow;

use serde_json::Value;

/// What stands where the next page should; nothing where that says that there is none.
pub fn told(pointed: Option<&Value>) -> Option<&Value> {
    let none = |told: &&Value| {
        matches!(told, Value::Null | Value::Bool(false)) || told.as_str().is_some_and(|t| t.trim().is_empty())
    };
    pointed.filter(|told| !none(told))
}

/// A cursor as a parameter's value; nothing where it is neither text nor a number.
pub fn cursor(told: &Value) -> Option<Cow<'_, str>> {
    match told {
        Value::String(cursor) => Some(Cow::Borrowed(cursor)),
        Value::Number(cursor) => Some(Cow::Owned(cursor.to_string())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn nothing_is_told_from_a_mark() {
        for nothing in [json!(null), json!(false), json!(""), json!(" ")] {
            assert_eq!(told(Some(&nothing)), None, "{nothing}");
        }
        for (mark, value) in
            [(json!("a b"), Some("a b")), (json!(0), Some("0")), (json!(true), None), (json!([1]), None)]
        {
            let told = told(Some(&mark)).expect("something");
            assert_eq!(cursor(told).as_deref(), value, "{mark}");
        }
        assert_eq!(told(None), None);
    }
}

//! A target's accounts as a CSV to begin from: one column a field, the key first.

use serde_json::Value;

use crate::domain::account::{Account, AccountState};
use crate::domain::catalogue::Catalogue;

/// The column that says what an account's access is.
pub const ACCESS: &str = "account_status";

/// The columns: the key's field, the other fields that can be written, and what access is.
pub fn columns(catalogue: &Catalogue) -> Vec<String> {
    let first = catalogue.key_field.iter().chain(catalogue.id_field.iter());
    let mut columns: Vec<String> = first.cloned().collect();
    let others = catalogue.fields.iter().filter(|(name, field)| field.writable.is_ok() && !name.contains('*'));
    for (name, _) in others {
        if !columns.contains(name) {
            columns.push(name.clone());
        }
    }
    columns.push(ACCESS.into());
    columns
}

/// The cells of an account, in the order of the columns.
///
/// Values are written as the target has them, also those that begin with `=`, `+`, `-` or `@`: the file is made to be read
/// by a program, and a telephone number with an apostrophe before it would be another number. Where it is opened in a
/// spreadsheet, it is to be imported as text, which the command says.
pub fn cells(account: &Account, columns: &[String]) -> Vec<String> {
    let cell = |column: &String| match column.as_str() {
        ACCESS => state(account.state).to_string(),
        field => account.attributes.get(field).map(text).unwrap_or_default(),
    };
    columns.iter().map(cell).collect()
}

/// How many of these cells a spreadsheet might take for formulas.
pub fn formulas(cells: &[String]) -> usize {
    cells.iter().filter(|cell| cell.starts_with(['=', '+', '-', '@', '\t', '\r'])).count()
}

fn state(state: AccountState) -> &'static str {
    match state {
        AccountState::Active => "active",
        AccountState::Banned => "banned",
        AccountState::Invited => "invited",
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::Engine;

    #[test]
    fn the_key_comes_first_and_values_are_as_they_are() {
        let engine = Engine::builtin("juno", &toml::Table::new()).expect("a definition");
        let columns = columns(engine.catalogue());
        assert_eq!(columns[0], "client_id");
        assert!(columns.contains(&"email".to_string()) && !columns.contains(&"id".to_string()));
        let account = Account {
            remote_id: "1".into(),
            key: Some("E1".into()),
            state: AccountState::Banned,
            attributes: [
                ("client_id", json!("E1")),
                ("phone", json!("+41 44")),
                ("points", json!(3)),
                ("title", json!(null)),
            ]
            .into_iter()
            .map(|(name, value)| (name.to_string(), value))
            .collect(),
        };
        let cells = cells(&account, &columns);
        let by = |name: &str| &cells[columns.iter().position(|column| column == name).expect(name)];
        assert_eq!((by("client_id").as_str(), by("phone").as_str(), by("points").as_str()), ("E1", "+41 44", "3"));
        assert_eq!((by("title").as_str(), by(ACCESS).as_str(), formulas(&cells)), ("", "banned", 1));
    }
}

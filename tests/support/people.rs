//! Invented people, as rows of the source and as the accounts that should come of them.

use serde_json::{Value, json};

/// One row of the source file.
#[derive(Clone, Debug)]
pub struct Person {
    pub id: String,
    pub first: String,
    pub last: String,
    pub email: String,
    pub phone: String,
    pub title: String,
    pub city: String,
    pub status: String,
}

impl Person {
    /// The nth invented person: active, with every column filled.
    pub fn new(n: usize) -> Person {
        Person {
            id: format!("E{n:04}"),
            first: format!("Ann{n}"),
            last: "Ash".into(),
            email: format!("p{n}@acme.example"),
            phone: format!("555-{n:04}"),
            title: "Clerk".into(),
            city: "Zürich".into(),
            status: "active".into(),
        }
    }

    /// The row, without a line end.
    pub fn row(&self) -> String {
        [&self.id, &self.first, &self.last, &self.email, &self.phone, &self.title, &self.city, &self.status]
            .map(String::as_str)
            .join(",")
    }

    /// The row's account, as far as the mapping of [`super::Home::juno`] goes, and whether it is banned.
    pub fn account(&self) -> Value {
        let text = |value: &str| if value.is_empty() { Value::Null } else { json!(value) };
        json!({
            "client_id": self.id, "email": self.email, "first_name": text(&self.first), "last_name": text(&self.last),
            "phone": text(&self.phone), "title": text(&self.title), "city": text(&self.city),
            "banned": self.status != "active",
        })
    }
}

/// The people from `first` to `last`.
pub fn people(first: usize, last: usize) -> Vec<Person> {
    (first..=last).map(Person::new).collect()
}

/// An account reduced to what [`Person::account`] speaks of.
pub fn reduced(account: &Value) -> Value {
    let empty_is_null = |value: &Value| if value == "" { Value::Null } else { value.clone() };
    let fields = ["client_id", "email", "first_name", "last_name", "phone", "title", "city", "banned"];
    fields.into_iter().map(|f| (f.to_string(), empty_is_null(&account[f]))).collect::<serde_json::Map<_, _>>().into()
}

/// Accounts reduced, in the order of keys and addresses: two of one person stay two.
pub fn sorted(accounts: impl IntoIterator<Item = Value>) -> Vec<Value> {
    let mut accounts: Vec<Value> = accounts.into_iter().collect();
    accounts.sort_by_key(|a| (a["client_id"].to_string(), a["email"].to_string()));
    accounts
}

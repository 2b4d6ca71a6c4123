//! Answers about what is so and what was done, and putting it right: reconcile, why, runs, outcomes, undo, forget,
//! notifications.

mod accounts;
mod comparing;
pub mod explaining;
mod forgetting;
mod history;
mod standing;
mod telling;
mod undoing;

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::{Home, Sim};

/// A source row of an active person.
pub fn row(key: &str, title: &str) -> String {
    format!("{key},Ann,Lee,{}@acme.com,555-{key},{title},Bern,active", key.to_lowercase())
}

/// The account that the ordinary mapping makes of [`row`].
pub fn account(key: &str, title: &str) -> Value {
    json!({
        "client_id": key, "first_name": "Ann", "last_name": "Lee", "email": format!("{}@acme.com", key.to_lowercase()),
        "phone": format!("555-{key}"), "title": title, "city": "Bern", "account_level": 0,
    })
}

/// Somebody at JUNO changes an account by hand.
pub fn by_hand(sim: &Sim, key: &str, change: Value) {
    let id = sim.user(key).unwrap_or_else(|| panic!("no account of {key}"))["id"].clone();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let _ = rustls::crypto::ring::default_provider().install_default();
    let status = runtime.block_on(async {
        let request = reqwest::Client::new().put(format!("{}/users/{id}", sim.juno())).bearer_auth("sandbox");
        let request = request.header("content-type", "application/json").body(change.to_string());
        request.send().await.expect("an answer").status()
    });
    assert_eq!(status, 200, "{change}");
}

/// The values of one member over the elements of an array.
pub fn each<'v>(array: &'v Value, member: &str) -> BTreeSet<&'v str> {
    array.as_array().expect("an array").iter().map(|e| e[member].as_str().expect("text")).collect()
}

/// A home with these active people, all of them synced.
pub fn synced(sim: &Sim, keys: &[&str]) -> Home {
    let home = Home::juno(&sim.juno());
    let rows: Vec<String> = keys.iter().map(|key| row(key, "Nurse")).collect();
    home.people(&rows);
    home.run(&["sync"]).exits(0);
    home
}

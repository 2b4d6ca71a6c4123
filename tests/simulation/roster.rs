//! The people of the simulation: the company's roster, how it changes over night, and what must be true of everybody
//! once everything works.

use std::collections::{BTreeMap, BTreeSet};

use rand::Rng;
use rand::rngs::StdRng;
use rusqlite::Connection;
use serde_json::{Value, json};

use super::target::SimulatedTarget;

/// The key of the head of the company, who is in no roster.
pub const HEAD: &str = "HEAD";

pub const HEADER: &str = "employee_id,first_name,title,email,phone,status\n";

pub const CONFIGURATION: &str = r#"
[state]
path = "rosterd.db"

[sources.hr]
kind = "csv"
path = "hr.csv"
key = "employee_id"
max_shrink = "unlimited"

[sources.office]
kind = "http"
url = "http://127.0.0.1:1/people"
format = "json"
records = "/people"
total = "/total"
key = "employee_id"
pagination = { kind = "offset", param = "offset", size_param = "limit", size = 3 }
rate = "1000/s"
retry = { attempts = 1 }
max_shrink = "unlimited"

[targets.juno]
kind = "juno"
base_url = "http://127.0.0.1:1"
auth = { kind = "bearer", token = { env = "PATH" } }
timeout = "2s"
settle = "6s"
retry = { attempts = 4, base = "200ms", max = "5s" }
options = { page_size = 5 }

[syncs.staff]
source = "hr"
target = "juno"
include = 'status == "active"'
match = ["email"]
max_flaps = 1000
release_on_ban = ["email"]     # who leaves in the middle of an exchange must not keep the other's address

[syncs.staff.map]
client_id = "employee_id"
email = "email"
first_name = "first_name"
title = "title"
phone = "phone"

[syncs.staff.limits]
clear = "unlimited"
ban = "unlimited"
ban_per_day = "unlimited"
failures = "unlimited"
"#;

/// One row of the roster.
#[derive(Clone, Debug, PartialEq)]
struct Person {
    name: String,
    title: String,
    email: String,
    phone: String,
    active: bool,
}

/// The company.
pub struct Roster {
    people: BTreeMap<String, Person>,
    hired: u32,
    /// Accounts that are nobody's business, as they were.
    strangers: Vec<(u64, Value)>,
    /// Runs, and who was written to in each: all of them have an outcome in the end.
    pub owed: Vec<(String, BTreeSet<String>)>,
}

impl Roster {
    /// The first day.
    pub fn first(chance: &mut StdRng) -> Roster {
        let mut roster = Roster { people: BTreeMap::new(), hired: 0, strangers: Vec::new(), owed: Vec::new() };
        // Small mostly: what goes wrong goes wrong with few. A storm needs some to be one.
        let size = if chance.random_bool(0.92) { 3..9 } else { 12..30 };
        for _ in 0..chance.random_range(size) {
            roster.hire(chance);
        }
        roster
    }

    fn hire(&mut self, chance: &mut StdRng) {
        self.hired += 1;
        let n = self.hired;
        let phone = if chance.random_bool(0.5) { format!("+41 44 {n:03}") } else { String::new() };
        let person = Person {
            name: format!("Name {n}"),
            title: "Clerk".into(),
            email: format!("p{n}@acme.example"),
            phone,
            active: true,
        };
        self.people.insert(format!("E{n:03}"), person);
    }

    /// Some people have accounts already, made by hand; so have some strangers.
    pub fn seed_world(&mut self, world: &mut SimulatedTarget, chance: &mut StdRng) {
        // Where there are many, finding each matters.
        let share = if chance.random_bool(0.2) { 0.6 } else { 0.1 };
        for person in self.people.values() {
            if chance.random_bool(share) {
                world.seed_account(
                    json!({"email": person.email, "first_name": "by hand", "banned": chance.random_bool(0.3)}),
                );
            }
        }
        for n in 0..chance.random_range(0..4) {
            let account = json!({"email": format!("s{n}@elsewhere.example"), "title": "stranger", "banned": false});
            let id = world.seed_account(account.clone());
            self.strangers.push((id, account));
        }
    }

    /// Over night people change, leave, come, come back and exchange addresses.
    pub fn change(&mut self, chance: &mut StdRng) {
        let keys: Vec<String> = self.people.keys().cloned().collect();
        for key in &keys[1..] {
            match chance.random_range(0..12) {
                0 => self.people.get_mut(key).expect("there").title = format!("Chief {}", chance.random_range(0..9)),
                1 => self.people.get_mut(key).expect("there").phone.clear(),
                2 => self.people.get_mut(key).expect("there").active = false,
                3 => {
                    self.people.remove(key);
                }
                4 => {
                    let new = format!("new-{key}@acme.example").to_lowercase();
                    self.people.get_mut(key).expect("there").email = new;
                }
                5 => self.exchange(key, chance),
                _ => {}
            }
        }
        for _ in 0..chance.random_range(0..4) {
            self.hire(chance);
        }
    }

    /// One of those who work here leaves, or gets a title: who, and whether they leave.
    pub fn something_happens_to_one(&mut self, chance: &mut StdRng) -> Option<(String, bool)> {
        let active: Vec<String> = self.employed().into_iter().collect();
        let key = active.get(chance.random_range(0..active.len().max(1)))?.clone();
        let leaves = chance.random_bool(0.5);
        let person = self.people.get_mut(&key)?;
        match leaves {
            true => person.active = false,
            false => person.title = "Promoted".into(),
        }
        Some((key, leaves))
    }

    fn exchange(&mut self, key: &str, chance: &mut StdRng) {
        let others: Vec<String> = self.people.keys().filter(|k| *k != key).cloned().collect();
        let other = &others[chance.random_range(0..others.len())];
        if !self.people[other].active || !self.people[key].active {
            return;
        }
        let (own, theirs) = (self.people[key].email.clone(), self.people[other].email.clone());
        self.people.get_mut(key).expect("there").email = theirs;
        self.people.get_mut(other).expect("there").email = own;
    }

    /// The export.
    pub fn csv(&self) -> String {
        let mut text = HEADER.to_string();
        for (key, p) in &self.people {
            let status = if p.active { "active" } else { "gone" };
            text.push_str(&format!("{key},{},{},{},{},{status}\n", p.name, p.title, p.email, p.phone));
        }
        text
    }

    /// The same as the office gives it out.
    pub fn export(&self) -> Vec<Value> {
        let status = |p: &Person| if p.active { "active" } else { "gone" };
        let paper = |(key, p): (&String, &Person)| {
            json!({"employee_id": key, "first_name": p.name, "title": p.title, "email": p.email, "phone": p.phone,
                   "status": status(p)})
        };
        self.people.iter().map(paper).collect()
    }

    /// The keys of those who are to have access.
    pub fn employed(&self) -> BTreeSet<String> {
        self.people.iter().filter(|(_, p)| p.active).map(|(key, _)| key.clone()).collect()
    }

    /// What is not as it should be on the target.
    pub fn judge(&self, world: &SimulatedTarget) -> Vec<String> {
        let mut broken = Vec::new();
        for (id, account) in &self.strangers {
            let now = world.account(&id.to_string());
            let same = |field: &str| now.and_then(|n| n.get(field)) == account.get(field);
            if !["email", "title", "banned"].into_iter().all(same) {
                broken.push(format!("the stranger {id} was touched"));
            }
        }
        let mut by_key: BTreeMap<String, Vec<&serde_json::Map<String, Value>>> = BTreeMap::new();
        let mut emails = BTreeSet::new();
        for account in world.accounts() {
            if let Some(key) = account.get("client_id").and_then(Value::as_str) {
                by_key.entry(key.into()).or_default().push(account);
            }
            let email = account.get("email").and_then(Value::as_str).unwrap_or_default().to_lowercase();
            if !emails.insert(email) {
                broken.push(format!("two accounts share an address, one of them is {:?}", account.get("client_id")));
            }
        }
        for (key, accounts) in &by_key {
            if accounts.len() > 1 {
                broken.push(format!("{} accounts of {key}", accounts.len()));
            }
            let wanted = self.people.get(key).filter(|p| p.active);
            let banned = accounts[0].get("banned") == Some(&Value::Bool(true));
            match wanted {
                None if !banned => broken.push(format!("{key} has left and is not banned")),
                Some(_) if banned => broken.push(format!("{key} is banned")),
                Some(person) => broken.extend(person.differences(key, accounts[0], world)),
                None => {}
            }
        }
        for (key, _) in self.people.iter().filter(|(_, p)| p.active) {
            if !by_key.contains_key(key) {
                broken.push(format!("{key} has no account"));
            }
        }
        broken
    }
}

impl Person {
    /// What differs, once the target has spelt it its own way.
    fn differences(&self, key: &str, account: &serde_json::Map<String, Value>, world: &SimulatedTarget) -> Vec<String> {
        let text = |field: &str| account.get(field).and_then(Value::as_str).unwrap_or_default().to_string();
        [("first_name", &self.name), ("title", &self.title), ("email", &self.email), ("phone", &self.phone)]
            .into_iter()
            .filter(|(field, wanted)| text(field) != world.spelt(key, field, wanted))
            .map(|(field, wanted)| format!("{field} of {key} is {:?}, not {wanted:?}", text(field)))
            .collect()
    }
}

/// The snapshot is what the target holds, or what the target holds was made of: nobody else writes to these accounts.
pub fn judge_snapshot(world: &SimulatedTarget, db: &Connection) -> Vec<String> {
    let mut statement = db.prepare("SELECT key, remote_id, state, attributes FROM v_users").expect("SQL");
    let rows = statement
        .query_map([], |row| {
            Ok((
                row.get::<_, String>(0)?,
                row.get::<_, Option<String>>(1)?,
                row.get::<_, String>(2)?,
                row.get::<_, String>(3)?,
            ))
        })
        .expect("readable");
    let mut broken = Vec::new();
    for row in rows {
        let (key, id, state, attributes) = row.expect("four columns");
        let Some(id) = id else { continue };
        let Some(account) = world.account(&id) else {
            broken.push(format!("{key} is known as {id}, which is not there"));
            continue;
        };
        let banned = account.get("banned") == Some(&Value::Bool(true));
        if account.get("client_id").and_then(Value::as_str) != Some(key.as_str()) {
            broken.push(format!("{key} is known as {id}, which is somebody else's"));
            continue;
        }
        if (state == "banned") != banned {
            broken.push(format!("{key} is known as {state}, and that is not so"));
        }
        let attributes: BTreeMap<String, Value> = serde_json::from_str(&attributes).expect("an object");
        for field in ["client_id", "email", "first_name", "title", "phone"] {
            let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_string();
            let (known, there) = (text(attributes.get(field)), text(account.get(field)));
            if known != there && world.spelt(&key, field, &known) != there {
                broken.push(format!("{field} of {key} is known as another than it is"));
            }
        }
    }
    let open: i64 = db.query_row("SELECT count(*) FROM journal", [], |row| row.get(0)).expect("counted");
    if open > 0 {
        broken.push(format!("{open} entries are left in the journal"));
    }
    broken
}

/// One outcome a person and run, and one for everybody who was written to.
pub fn judge_ledger(db: &Connection, owed: &[(String, BTreeSet<String>)]) -> Vec<String> {
    let mut statement =
        db.prepare("SELECT run, key, count(*) FROM outcome WHERE key IS NOT NULL GROUP BY run, key").expect("SQL");
    let rows = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get(2)?)));
    let mut broken = Vec::new();
    let mut told: BTreeSet<(String, String)> = BTreeSet::new();
    for row in rows.expect("readable") {
        let (run, key, count): (String, String, i64) = row.expect("three columns");
        if count > 1 {
            broken.push(format!("{count} outcomes of {key} in run {run}"));
        }
        told.insert((run, key));
    }
    for (run, keys) in owed {
        let silent = keys.iter().filter(|key| !told.contains(&(run.clone(), (*key).clone())));
        broken.extend(silent.map(|key| format!("{key} was written to in run {run}, and has no outcome there")));
    }
    broken
}

/// Whether one of these runs says that something was done for a person at this account.
pub fn confirmed(db: &Connection, key: &str, id: &str, runs: &[String]) -> bool {
    let sql = "SELECT 1 FROM outcome WHERE run = ?1 AND key = ?2 AND remote_id = ?3 AND status = 'ok'";
    let mut statement = db.prepare(sql).expect("SQL");
    runs.iter().any(|run| statement.exists([run, key, id]).expect("readable"))
}

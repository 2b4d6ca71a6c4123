//! What is known of one person, as facts, and the plain sentences that tell them.
//!
//! Pure. The sentences are for whoever asks "why does Ann have no account?", so they name what is in the source, what
//! the mapping makes of it, what the target is known to hold, what the next run would do, and why.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use crate::domain::exit::Exit;
use crate::domain::ids::PlanId;
use crate::domain::label::Label;
use crate::domain::limits::LimitName;
use crate::domain::operation::{Change, OpKind, shown};
use crate::domain::record::{Key, Position};
use crate::domain::remote_id::RemoteId;
use crate::domain::rules::PersonState;
use crate::domain::time::rfc3339;
use crate::domain::value::Attributes;
use crate::mapping::{FieldRule, Mapping, OnEmpty, ValueFrom, When};
use crate::os::zone;
use crate::report::told::ToldOutcome;

/// Everything about one person.
#[derive(Clone, Debug)]
pub struct PersonReport {
    /// The sync.
    pub sync: String,
    /// Its source.
    pub source: String,
    /// Its target.
    pub target: String,
    /// The person.
    pub key: Key,
    /// What they are called.
    pub label: Option<Label>,
    /// What the source has of them.
    pub in_source: InSource,
    /// What the target should hold, field by field, and how that came about.
    pub mapped: Vec<Field>,
    /// What is known of their account.
    pub state: PersonState,
    /// Its id on the target.
    pub remote_id: Option<RemoteId>,
    /// What the target acknowledged.
    pub snapshot: Option<Attributes>,
    /// When.
    pub confirmed_at: Option<DateTime<Utc>>,
    /// When a trusted read was first without them.
    pub absent_since: Option<DateTime<Utc>>,
    /// They are on the sync's `protect` list.
    pub protected: bool,
    /// The sync is paused.
    pub paused: bool,
    /// What the next run would do.
    pub next: Next,
    /// Plans that wait for approval and would do something to them.
    pub held: Vec<HeldFor>,
    /// The keys that they had before, each with the time until which they had it.
    pub former_keys: Vec<(String, DateTime<Utc>)>,
    /// What became of them lately, newest first.
    pub outcomes: Vec<ToldOutcome>,
}

/// What the source has of somebody.
#[derive(Clone, Debug, PartialEq)]
pub enum InSource {
    /// It could not be read, or is not trusted: with this exit code a run would end, for this reason.
    Unreadable(Exit, String),
    /// Nothing.
    Absent,
    /// A row, or several, that can't be used.
    Rejected(Position, String),
    /// A record that is out of scope, by these parts of `include`.
    Excluded(Position, Vec<String>),
    /// A record that is in scope.
    InScope(Position, Option<String>),
}

/// One mapped field.
#[derive(Clone, Debug)]
pub struct Field {
    /// The target field.
    pub field: String,
    /// The value; none when the field is left alone.
    pub value: Option<Value>,
    /// How it came about.
    pub how: String,
}

/// What the next run would do.
#[derive(Clone, Debug, Default)]
pub struct Next {
    /// The operation, if any.
    pub op: Option<OpKind>,
    /// Why, or why none; [`AT`] stands in it for `at`.
    pub reason: String,
    /// The time that the reason tells.
    pub at: Option<DateTime<Utc>>,
    /// It is due, and can't be done: the reason says what is in the way.
    pub in_the_way: bool,
    /// What an earlier run sent has no answer: they are looked up before anything else.
    pub looks_up: bool,
    /// The fields that it would write.
    pub fields: BTreeMap<String, Change>,
}

/// What stands for a time in a [`Next::reason`] that tells one.
pub const AT: &str = "{at}";

impl Next {
    /// The reason with its time written so.
    fn told(&self, written: fn(DateTime<Utc>) -> String) -> String {
        match self.at {
            Some(at) => self.reason.replace(AT, &written(at)),
            None => self.reason.clone(),
        }
    }
}

/// A plan that waits.
#[derive(Clone, Debug)]
pub struct HeldFor {
    /// Its id.
    pub plan: PlanId,
    /// What it would do to them.
    pub op: OpKind,
    /// The limit that holds it.
    pub limit: LimitName,
    /// How many there are, and how many are allowed.
    pub count: (u64, u64),
}

/// The fields of a mapping with their values for one record, and how each came about.
pub fn fields(mapping: &Mapping, value_of: impl Fn(&str) -> Option<Value>) -> Vec<Field> {
    let field = |rule: &FieldRule| {
        let value = value_of(&rule.field);
        let mut how = match &rule.from {
            ValueFrom::Column(name) => format!("column {name}"),
            ValueFrom::Cel(text) => format!("expression {text}"),
            ValueFrom::Value(_) => "a constant".to_string(),
        };
        if rule.when == When::Create {
            how.push_str(", given to a new account only");
        }
        if value.is_none() && rule.empty == OnEmpty::Omit {
            how.push_str(", which is empty, and empty = \"omit\" leaves the field alone");
        }
        Field { field: rule.field.clone(), value, how }
    };
    mapping.rules().iter().map(field).collect()
}

impl PersonReport {
    /// The story as the contract's JSON.
    pub fn to_json(&self) -> Value {
        let mapped: Map<String, Value> =
            self.mapped.iter().filter_map(|f| Some((f.field.clone(), f.value.clone()?))).collect();
        let from: Map<String, Value> = self.mapped.iter().map(|f| (f.field.clone(), json!(f.how))).collect();
        // Of a source that could not be read nobody knows.
        let in_source = match self.in_source {
            InSource::Unreadable(..) => None,
            _ => Some(self.in_source != InSource::Absent),
        };
        let mut story = json!({
            "sync": self.sync,
            "key": self.key,
            "in_source": in_source,
            "excluded": matches!(self.in_source, InSource::Excluded(..)),
            "mapped": if self.mapped.is_empty() { Value::Null } else { Value::Object(mapped) },
            "state": if self.state == PersonState::None { Value::Null } else { json!(self.state.name()) },
            "remote_id": self.remote_id,
            "label": self.label, "snapshot": self.snapshot,
            "next": { "op": self.next.op, "reason": self.next.told(rfc3339) },
            "outcomes": self.outcomes,
        });
        if let InSource::Unreadable(code, message) = &self.in_source {
            story["source_error"] = json!({ "code": code, "message": message });
        }
        if !from.is_empty() {
            story["from"] = Value::Object(from);
        }
        if !self.held.is_empty() {
            story["held"] = self.held.iter().map(|h| json!({ "plan": h.plan, "op": h.op, "limit": h.limit })).collect();
        }
        story
    }

    /// The story in sentences, a paragraph a subject.
    pub fn sentences(&self) -> Vec<Vec<String>> {
        let mut told = vec![self.of_source(), self.of_account(), self.of_next(), self.of_outcomes()];
        if !self.mapped.is_empty() {
            told.insert(1, self.of_fields());
        }
        told.retain(|paragraph| !paragraph.is_empty());
        told
    }

    fn of_source(&self) -> Vec<String> {
        let source = &self.source;
        let key = match &self.label {
            Some(label) => format!("{} ({label})", self.key),
            None => self.key.to_string(),
        };
        match &self.in_source {
            InSource::Unreadable(_, why) => vec![
                format!("What {source} says of {key} can't be told: {why}."),
                "What follows is what the state knows.".into(),
            ],
            InSource::Absent => {
                let mut told = vec![format!("{key} is not in {source}, which was read to its end.")];
                if let Some(since) = &self.absent_since {
                    told.push(format!("The first trusted read without them was at {}.", zone::told(*since)));
                }
                told
            }
            InSource::Rejected(position, reason) => vec![
                format!("{key} is in {source}, {position}, and what stands there can't be used: {reason}."),
                "Nothing is done to somebody whose record is rejected.".into(),
            ],
            InSource::Excluded(position, parts) => {
                let mut told = vec![format!("{key} is in {source}, {position}, and out of scope.")];
                match parts.as_slice() {
                    [] => told.push("include says no.".into()),
                    parts => told.extend(parts.iter().map(|part| format!("This part of include is not true: {part}."))),
                }
                told
            }
            InSource::InScope(position, None) => {
                vec![format!("{key} is in {source}, {position}; there is no include, so everybody is in scope.")]
            }
            InSource::InScope(position, Some(include)) => {
                vec![format!("{key} is in {source}, {position}, and in scope: {include}")]
            }
        }
    }

    fn of_fields(&self) -> Vec<String> {
        let wide = self.mapped.iter().map(|f| f.field.chars().count()).max().unwrap_or(0);
        let mut told = vec![match self.in_source {
            InSource::Excluded(..) => format!("Were they in scope, they would have on {}:", self.target),
            _ => format!("On {} they should have:", self.target),
        }];
        told.extend(self.mapped.iter().map(|field| {
            let value = field.value.as_ref().map_or("(left alone)".to_string(), shown);
            format!("  {:<wide$}  {value}  ← {}", field.field, field.how)
        }));
        told
    }

    fn of_account(&self) -> Vec<String> {
        let target = &self.target;
        let id = self.remote_id.as_ref().map_or("?", RemoteId::as_str);
        let mut told = vec![match self.state {
            PersonState::None => format!("No account of theirs on {target} is known."),
            PersonState::Active => format!("Their account on {target} is {id}, and active."),
            PersonState::Banned => format!("Their account on {target} is {id}, and banned."),
            // Something is planned for somebody invited only when they are found among the accounts.
            PersonState::Invited if self.next.op.is_some() => {
                format!("They were invited to {target}, and have accepted since.")
            }
            PersonState::Invited => format!("They were invited to {target} and have not accepted yet."),
            PersonState::Deleted => format!("Their account on {target} was removed."),
            PersonState::Left => {
                format!("They left; their account {id} on {target} is left alone, because on_leave = \"ignore\".")
            }
        }];
        if let (Some(at), true) = (&self.confirmed_at, self.state != PersonState::None) {
            told.push(format!("{target} last acknowledged something of them at {}.", zone::told(*at)));
        }
        for (key, until) in &self.former_keys {
            told.push(format!("They had the key {key} until {}.", zone::told(*until)));
        }
        if self.protected {
            told.push("They are protected: never updated, banned, deleted or reinstated.".into());
        }
        told
    }

    fn of_next(&self) -> Vec<String> {
        let what = match self.next.op {
            None => "does nothing",
            Some(OpKind::Create) => "creates an account",
            Some(OpKind::Update) => "updates their account",
            Some(OpKind::Ban) => "bans them",
            Some(OpKind::Reinstate) => "reinstates them",
            Some(OpKind::Adopt) => "links the account that is there",
            Some(OpKind::Delete) => "removes their account",
            Some(OpKind::Unlink) => "unlinks their account",
        };
        let why = self.next.told(zone::told);
        let mut told = vec![match self.next.in_the_way {
            _ if self.next.looks_up => format!("The next run looks them up on {} first: {why}.", self.target),
            false => format!("The next run {what}: {why}."),
            true => format!("The next run {what}, were it possible: {why}."),
        }];
        if self.next.op != Some(OpKind::Create) {
            let changes = self.next.fields.iter();
            told.extend(changes.map(|(f, c)| format!("  {f}: {} → {}", shown(&c.old), shown(&c.new))));
        }
        if self.paused {
            told.push(format!("But {0} is paused: nothing is done before rosterd resume {0}.", self.sync));
        }
        for held in &self.held {
            told.push(format!(
                "Plan {} waits for approval, and with it a {} of theirs: limit {}, {} planned, {} allowed.",
                held.plan, held.op, held.limit, held.count.0, held.count.1
            ));
        }
        told
    }

    fn of_outcomes(&self) -> Vec<String> {
        if self.outcomes.is_empty() {
            return vec!["The ledger has nothing about them.".into()];
        }
        let mut told = vec!["What became of them lately, newest first:".to_string()];
        told.extend(self.outcomes.iter().map(|told| told.line(&self.key)));
        told
    }
}

//! The mapping as a model: which column goes into which field of the target, by what accounts are recognised, who is
//! included, and two mapping tests. The text of it is [`super::write`]'s.

use std::collections::{BTreeMap, BTreeSet};

use super::guess::{KeyBy, Roles};
use super::include::{Include, propose as who};
use super::samples::{self, Cell};
use super::table::Table;
use super::vocabulary::{Meaning, normal};
use super::words::exact;
use crate::domain::catalogue::Catalogue;
use crate::domain::value::FieldType;

/// What was told beforehand, or answered.
#[derive(Clone, Debug, Default)]
pub struct Choices {
    /// Field of the target, and the column for it; none: the field stays unmapped.
    pub map: Vec<(String, Option<usize>)>,
    /// The expression for `include`.
    pub include: Option<String>,
    /// The values of the status of people who work here.
    pub active: Option<Vec<String>>,
}

/// Where a field's value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A column as it is.
    Column(usize),
    /// An address: trimmed, in small letters.
    Address(usize),
    /// A column, trimmed.
    Trimmed(usize),
    /// What stands before the comma of `Example, Ann`.
    BeforeComma(usize),
    /// What stands behind it.
    BehindComma(usize),
}

impl Origin {
    /// The column.
    pub fn column(self) -> usize {
        match self {
            Origin::Column(at)
            | Origin::Address(at)
            | Origin::Trimmed(at)
            | Origin::BeforeComma(at)
            | Origin::BehindComma(at) => at,
        }
    }
}

/// One line of the mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The target's field.
    pub field: String,
    /// What its value comes from.
    pub from: Origin,
    /// What the field is about.
    pub meaning: Option<Meaning>,
}

/// A mapping test.
#[derive(Clone, Debug, PartialEq)]
pub struct Test {
    /// What it shows.
    pub name: &'static str,
    /// The record, by column.
    pub record: Vec<(usize, Cell)>,
    /// What must come of it.
    pub expect: Expect,
}

/// What must come of a test's record.
#[derive(Clone, Debug, PartialEq)]
pub enum Expect {
    /// These values of fields.
    Fields(Vec<(String, String)>),
    /// It is out of scope.
    Excluded,
    /// It is rejected, with this in the reason.
    Rejected(&'static str),
}

/// A mapping, proposed.
#[derive(Clone, Debug)]
pub struct Proposal {
    /// The key's column, and why it is that.
    pub key: (usize, KeyBy),
    /// The mapping.
    pub rules: Vec<Rule>,
    /// The fields by which accounts are recognised.
    pub recognised_by: Vec<String>,
    /// The fields by which people are named; none where the target has none for names.
    pub label: Vec<String>,
    /// The target's fields for names, where no column goes into any of them: accounts are made without.
    pub nameless: Vec<String>,
    /// Who is included.
    pub include: Include,
    /// The columns that nothing uses.
    pub unused: Vec<usize>,
    /// The tests.
    pub tests: Vec<Test>,
}

/// What a proposal lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lack {
    /// No column is known to be the key.
    Key,
    /// The target creates no account without these fields, and no column is known for them.
    Fields(Vec<String>),
}

/// What columns are about that are mapped without being asked for. What people hardly want on a platform is left out: where
/// they live, whom they report to.
const MAPPED: [Meaning; 17] = [
    Meaning::Email,
    Meaning::FirstName,
    Meaning::MiddleName,
    Meaning::LastName,
    Meaning::FullName,
    Meaning::Username,
    Meaning::Title,
    Meaning::Department,
    Meaning::Division,
    Meaning::CostCenter,
    Meaning::Company,
    Meaning::EmploymentType,
    Meaning::Phone,
    Meaning::Mobile,
    Meaning::Fax,
    Meaning::City,
    Meaning::Country,
];

/// Fields that are paths with a filter, of which a part alone would tell too little (RFC 7643, section 4.1.2).
const PATHS: [(&str, Meaning); 6] = [
    ("emails[type eq \"work\"].value", Meaning::Email),
    ("phoneNumbers[type eq \"work\"].value", Meaning::Phone),
    ("phoneNumbers[type eq \"mobile\"].value", Meaning::Mobile),
    ("phoneNumbers[type eq \"fax\"].value", Meaning::Fax),
    ("addresses[type eq \"work\"].locality", Meaning::City),
    ("addresses[type eq \"work\"].country", Meaning::Country),
];

/// What a field of a target is about, and the place of its name among those with that meaning: the first is the best.
fn field_meaning(field: &str) -> Option<(Meaning, usize)> {
    if let Some((_, meaning)) = PATHS.iter().find(|(path, _)| *path == field) {
        return Some((*meaning, 0));
    }
    if field.contains(['[', '*']) {
        return None;
    }
    // urn:…:User:department
    let name = normal(field.rsplit(':').next().unwrap_or(field));
    exact(&name)
}

/// Whether this field can be given any text.
fn takes_text(catalogue: &Catalogue, field: &str) -> bool {
    let known = catalogue.fields.get(field);
    known.is_some_and(|field| field.kind == FieldType::Text && field.writable.is_ok() && field.allowed.is_empty())
}

/// The best field for each meaning.
fn fields_by_meaning(catalogue: &Catalogue) -> BTreeMap<Meaning, String> {
    let mut best: BTreeMap<Meaning, (usize, &String)> = BTreeMap::new();
    for field in catalogue.fields.keys().filter(|field| takes_text(catalogue, field)) {
        let Some((meaning, place)) = field_meaning(field) else { continue };
        let better = best.get(&meaning).is_none_or(|(known, _)| place < *known);
        if better && catalogue.key_field.as_ref() != Some(field) {
            best.insert(meaning, (place, field));
        }
    }
    best.into_iter().map(|(meaning, (_, field))| (meaning, field.clone())).collect()
}

/// Proposes a mapping.
///
/// # Errors
/// What it lacks.
pub fn propose(table: &Table, roles: &Roles, catalogue: &Catalogue, choices: &Choices) -> Result<Proposal, Lack> {
    let key = roles.key.ok_or(Lack::Key)?;
    let by_meaning = fields_by_meaning(catalogue);
    let mut rules = Rules { table, roles, catalogue, choices, rules: Vec::new() };
    rules.add_key(key.0);
    for meaning in MAPPED {
        if let Some(field) = by_meaning.get(&meaning) {
            rules.add_known(field, meaning);
        }
    }
    rules.add_chosen();
    let rules = rules.rules;
    let lacking = lacking(catalogue, &rules);
    if !lacking.is_empty() {
        return Err(Lack::Fields(lacking));
    }
    let include = match &choices.include {
        Some(cel) => Include { cel: Some(cel.clone()), ..Include::default() },
        None => who(table, roles, choices.active.as_deref()),
    };
    let recognised_by = recognised_by(catalogue, &rules);
    let label = label(&rules, &by_meaning);
    let nameless = if label.is_empty() { nameless(&by_meaning, choices) } else { Vec::new() };
    let tests = samples::tests(key.0, &rules, catalogue, &include);
    let used: BTreeSet<usize> = rules
        .iter()
        .map(|rule| rule.from.column())
        .chain(include.inside.iter().map(|(at, _)| *at))
        .chain([key.0])
        .collect();
    let unused = (0..table.columns.len()).filter(|at| !used.contains(at)).collect();
    Ok(Proposal { key, rules, recognised_by, label, nameless, include, unused, tests })
}

/// The fields without which no account is made, and which nothing maps.
fn lacking(catalogue: &Catalogue, rules: &[Rule]) -> Vec<String> {
    let needed = catalogue
        .fields
        .iter()
        .filter(|(name, field)| field.required && field.writable.is_ok() && !name.ends_with(".*"));
    let is_mapped = |name: &String| rules.iter().any(|rule| rule.field == *name);
    needed.map(|(name, _)| name.clone()).filter(|name| !is_mapped(name)).collect()
}

/// Whether names stand there as `Example, Ann`.
fn family_first(table: &Table, at: usize) -> bool {
    let column = &table.columns[at];
    column.is_text && column.share(|name| name.split(',').filter(|part| !part.trim().is_empty()).count() == 2) > 0.95
}

/// Whether there is a column of whole names that can't be taken apart for certain.
pub fn whole_names(table: &Table, roles: &Roles, proposal: &Proposal) -> Option<usize> {
    let is_used = |at: &usize| proposal.rules.iter().any(|rule| rule.from.column() == *at);
    roles.get(Meaning::FullName).filter(|at| !is_used(at) && table.columns[*at].filled_count() > 0)
}

/// The rules so far.
struct Rules<'a> {
    table: &'a Table,
    roles: &'a Roles,
    catalogue: &'a Catalogue,
    choices: &'a Choices,
    rules: Vec<Rule>,
}

impl Rules<'_> {
    /// The key goes where the target keeps it.
    fn add_key(&mut self, key: usize) {
        let catalogue = self.catalogue;
        let employee_number = catalogue.fields.keys().find(|field| field.ends_with(":employeeNumber"));
        for field in catalogue.key_field.iter().chain(employee_number) {
            self.add(field, Meaning::Key, Origin::Column(key));
        }
    }

    /// The column with this meaning goes into the field with it.
    fn add_known(&mut self, field: &str, meaning: Meaning) {
        let is_required = self.catalogue.fields.get(field).is_some_and(|field| field.required);
        let from = match (self.roles.get(meaning), meaning) {
            (Some(at), Meaning::Email) => Some(self.address(at)),
            (Some(at), Meaning::Username) => Some(self.trimmed(at)),
            (Some(at), _) => Some(Origin::Column(at)),
            // Where a user name has to be, the address is what people know.
            (None, Meaning::Username) if is_required => self.roles.get(Meaning::Email).map(|at| self.address(at)),
            (None, Meaning::FirstName | Meaning::LastName) => {
                let whole = self.roles.get(Meaning::FullName).filter(|at| family_first(self.table, *at));
                whole.map(|at| match meaning {
                    Meaning::LastName => Origin::BeforeComma(at),
                    _ => Origin::BehindComma(at),
                })
            }
            (None, _) => None,
        };
        if let Some(from) = from {
            self.add(field, meaning, from);
        }
    }

    /// Only of a text can anything be asked.
    fn address(&self, at: usize) -> Origin {
        if self.table.columns[at].is_text { Origin::Address(at) } else { Origin::Column(at) }
    }

    fn trimmed(&self, at: usize) -> Origin {
        if self.table.columns[at].is_text { Origin::Trimmed(at) } else { Origin::Column(at) }
    }

    /// Adds a rule, unless something else was chosen for its field or stands for the same thing on the target.
    fn add(&mut self, field: &str, meaning: Meaning, from: Origin) {
        let same = |a: &str, b: &str| self.catalogue.field(a).and_then(|f| f.same_as.as_deref()) == Some(b);
        let is_chosen =
            self.choices.map.iter().any(|(chosen, _)| chosen == field || same(chosen, field) || same(field, chosen));
        if !is_chosen && !self.rules.iter().any(|rule| rule.field == field) {
            self.rules.push(Rule { field: field.into(), from, meaning: Some(meaning) });
        }
    }

    fn add_chosen(&mut self) {
        for (field, column) in &self.choices.map {
            let Some(at) = *column else { continue };
            let meaning = field_meaning(field).map(|(meaning, _)| meaning);
            let is_text = takes_text(self.catalogue, field);
            let from = match meaning {
                Some(Meaning::Email) if is_text => self.address(at),
                Some(Meaning::Username) if is_text => self.trimmed(at),
                _ => Origin::Column(at),
            };
            self.rules.retain(|rule| rule.field != *field);
            self.rules.push(Rule { field: field.clone(), from, meaning });
        }
    }
}

/// The mapped fields of which no two accounts have the same value, but for the key.
fn recognised_by(catalogue: &Catalogue, rules: &[Rule]) -> Vec<String> {
    let is_unique = |rule: &&Rule| catalogue.field(&rule.field).is_some_and(|field| field.unique);
    let is_key = |rule: &&Rule| catalogue.key_field.as_ref() == Some(&rule.field);
    let unique: Vec<String> =
        rules.iter().filter(|rule| is_unique(rule) && !is_key(rule)).map(|rule| rule.field.clone()).collect();
    if !unique.is_empty() {
        return unique;
    }
    rules.iter().filter(|rule| rule.meaning == Some(Meaning::Email)).map(|rule| rule.field.clone()).take(1).collect()
}

fn label(rules: &[Rule], by_meaning: &BTreeMap<Meaning, String>) -> Vec<String> {
    let mapped = |meaning: Meaning| {
        by_meaning.get(&meaning).filter(|field| rules.iter().any(|rule| rule.field == **field)).cloned()
    };
    let parts: Vec<String> = [Meaning::FirstName, Meaning::LastName].into_iter().filter_map(mapped).collect();
    if parts.is_empty() { mapped(Meaning::FullName).into_iter().collect() } else { parts }
}

/// The fields for names, but for those of which it was said that they stay unmapped.
fn nameless(by_meaning: &BTreeMap<Meaning, String>, choices: &Choices) -> Vec<String> {
    let fields = |meanings: &[Meaning]| {
        let known = meanings.iter().filter_map(|meaning| by_meaning.get(meaning));
        let is_wanted = |field: &&String| !choices.map.iter().any(|(chosen, _)| chosen == *field);
        known.filter(is_wanted).cloned().collect::<Vec<_>>()
    };
    let parts = fields(&[Meaning::FirstName, Meaning::LastName]);
    if parts.is_empty() { fields(&[Meaning::FullName]) } else { parts }
}

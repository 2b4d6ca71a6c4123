//! The operations of a definition become calls: their paths, queries and bodies judged, options put in.

use std::collections::BTreeMap;

use super::json;
use crate::api::call::Call;
use crate::api::definition::{AnswerStyle, BodyStyle, Escape, OperationDef, PagingDef, PagingStyle};
use crate::api::engine::{CallSpec, Paging};
use crate::api::load::{Mistakes, Parts, nearest};
use crate::api::template::{Template, encoded};
use crate::domain::catalogue::Catalogue;

pub(in crate::api) const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];
/// Their names.
pub(in crate::api) const OPERATIONS: [&str; Call::OPERATIONS.len()] = {
    let mut names = [""; Call::OPERATIONS.len()];
    let mut n = 0;
    while n < names.len() {
        names[n] = Call::OPERATIONS[n].name();
        n += 1;
    }
    names
};
/// Those that send fields.
const SENDS: [Call; 6] = [Call::Create, Call::Invite, Call::Update, Call::Replace, Call::Ban, Call::Reinstate];
/// Those without which nothing can be kept in step; others may stand for some of them.
const NEEDED: [(&str, &[&str]); 3] = [("create", &["invite"]), ("update", &[]), ("get", &["list"])];

/// Makes the calls of a definition, by the names of operations.
pub(super) fn compile(
    parts: &Parts,
    options: &BTreeMap<String, String>,
    catalogue: &Catalogue,
    mistakes: &mut Mistakes,
) -> BTreeMap<Call, CallSpec> {
    for name in parts.operations.keys().filter(|name| !OPERATIONS.contains(&name.as_str())) {
        mistakes.at(&["operations", name], "unknown operation", nearest(name, OPERATIONS.into_iter()));
    }
    let there = |name: &&str| {
        parts.operations.contains_key(*name) || parts.broken_operations.iter().any(|broken| broken == name)
    };
    for (name, others) in NEEDED {
        if !std::iter::once(&name).chain(others).any(there) {
            mistakes.at(&["operations", name], "is missing", None);
        }
    }
    if !there(&"find") && !there(&"list") {
        let help = "without one of them, accounts that exist can't be recognised".to_string();
        mistakes.at(&["operations"], "neither find nor list is there", Some(help));
    }
    let mut calls = BTreeMap::new();
    for name in Call::OPERATIONS {
        let Some(def) = parts.operations.get(name.name()) else { continue };
        let mut maker = CallMaker { name, def, options, mistakes: &mut *mistakes };
        maker.check();
        if name == Call::Find && (def.fields.is_empty() || catalogue.fields.is_empty()) {
            maker.wrong("fields", "must name the fields by which accounts can be sought");
        }
        if let Some(call) = maker.call() {
            calls.insert(name, call);
        }
    }
    calls
}

/// Makes one call of its definition.
struct CallMaker<'a, 't> {
    name: Call,
    def: &'a OperationDef,
    options: &'a BTreeMap<String, String>,
    mistakes: &'a mut Mistakes<'t>,
}

impl CallMaker<'_, '_> {
    fn wrong(&mut self, key: &str, message: impl Into<String>) {
        self.mistakes.at(&["operations", self.name.name(), key], message, None);
    }

    fn check(&mut self) {
        if !METHODS.contains(&self.def.method.as_str()) {
            self.wrong("method", format!("{:?} is none of {}", self.def.method, METHODS.join(", ")));
        }
        let path = &self.def.path;
        if !path.starts_with('/') || path.contains(['#', '?']) || path.split('/').any(|s| s == "." || s == "..") {
            self.wrong("path", "must begin with / and have neither query, fragment, . nor .. segments");
        }
        if !self.name.is_search() && (self.def.records.is_some() || self.def.paging.is_some()) {
            self.wrong("records", "records and paging belong to find and list");
        }
        if self.name != Call::Find && !self.def.fields.is_empty() {
            self.wrong("fields", "belongs to find");
        }
        if !SENDS.contains(&self.name) && self.def.body.is_some_and(|body| body != BodyStyle::None) {
            self.wrong("body", format!("only {} have one", SENDS.map(Call::name).join(", ")));
        }
        if !matches!(self.name, Call::Invite | Call::Invited) && !self.def.writes.is_empty() {
            self.wrong("writes", "belongs to invite and invited");
        }
        if (self.def.answer == AnswerStyle::Id) != self.def.id_at.is_some() {
            self.wrong("id_at", "answer = \"id\" and id_at belong together");
        }
        if self.name == Call::Find && !self.def.query.values().any(|value| value.contains("{value}")) {
            self.wrong("query", "must say where {value}, what is sought, goes");
        }
        if self.name != Call::Find && (!self.def.names.is_empty() || self.def.escape != Escape::None) {
            self.wrong(if self.def.names.is_empty() { "escape" } else { "names" }, "belongs to find");
        }
    }

    fn call(&mut self) -> Option<CallSpec> {
        let by_id = self.name.is_by_id();
        let escaped = self.options.iter().map(|(name, value)| (name.clone(), encoded(value))).collect();
        let path = self.template("path", &self.def.path, &escaped, if by_id { &["id"] } else { &[] })?;
        if by_id && !path.places().any(|place| place == "id") {
            self.wrong("path", "must say where {id}, the account's id, goes");
        }
        let places: &[&str] = if self.name == Call::Find { &["field", "value"] } else { &[] };
        let mut query = Vec::new();
        for (name, value) in &self.def.query {
            let name = self.template("query", name, self.options, places)?;
            query.push((name, self.template("query", value, self.options, places)?));
        }
        let body = self.def.body.unwrap_or(match self.name {
            Call::Create | Call::Invite => BodyStyle::Full,
            Call::Replace => BodyStyle::Merged,
            Call::Update | Call::Ban | Call::Reinstate => BodyStyle::Changes,
            _ => BodyStyle::None,
        });
        let paging = match &self.def.paging {
            Some(def) => Some(self.paging(def)?),
            None => None,
        };
        Some(CallSpec {
            name: self.name,
            method: self.def.method.clone(),
            path,
            body,
            constants: self.def.constants.iter().map(|(pointer, value)| (pointer.clone(), json(value))).collect(),
            writes: self.def.writes.clone(),
            answer: self.def.answer,
            id_at: self.def.id_at.clone(),
            query,
            fields: self.def.fields.clone(),
            names: self.def.names.clone(),
            escape: self.def.escape,
            records: self.def.records.clone().unwrap_or_else(|| vec![String::new()]),
            paging,
        })
    }

    /// A template with the options put in, and no placeholder but these.
    fn template(
        &mut self,
        key: &str,
        text: &str,
        options: &BTreeMap<String, String>,
        places: &[&str],
    ) -> Option<Template> {
        let mut template = match Template::parse(text) {
            Ok(template) => template,
            Err(message) => {
                self.wrong(key, message);
                return None;
            }
        };
        template.fill_in("options.", options);
        let unknown: Vec<String> =
            template.places().filter(|place| !places.contains(place)).map(str::to_string).collect();
        for place in &unknown {
            self.wrong(key, format!("nothing is known to put for {{{place}}}"));
        }
        unknown.is_empty().then_some(template)
    }

    fn paging(&mut self, def: &PagingDef) -> Option<Paging> {
        let option = def.size_option.as_ref().map(|name| self.options.get(name).and_then(|size| size.parse().ok()));
        if option == Some(None) {
            self.wrong("paging", "size_option must name an option that is a whole number");
            return None;
        }
        let size = option.flatten().or(def.size);
        let style = def.style;
        let belongs = [
            ("header", def.header.is_some(), style == PagingStyle::Header, "header"),
            (
                "pointer",
                def.pointer.is_some(),
                matches!(style, PagingStyle::Next | PagingStyle::Cursor),
                "next or cursor",
            ),
        ];
        for (key, given, wanted, styles) in belongs {
            if given != wanted {
                self.wrong("paging", format!("{key} and the style {styles} belong together"));
                return None;
            }
        }
        let counts = matches!(style, PagingStyle::Page | PagingStyle::Offset);
        if def.param.as_ref().is_none_or(String::is_empty) && (counts || style == PagingStyle::Cursor) {
            self.wrong("paging", "this style needs param, the query parameter that it sets");
            return None;
        }
        if size == Some(0) || (size.is_none() && (counts || def.size_param.is_some())) {
            self.wrong("paging", "needs size, of at least 1: how many accounts are on a page");
            return None;
        }
        // How much a page holds may be the target's affair; what is known of it counts for what a listing costs.
        let untold = if style == PagingStyle::None { u32::MAX } else { UNTOLD_PAGE };
        Some(Paging {
            style,
            param: def.param.clone().unwrap_or_default(),
            start: def.start,
            size_param: def.size_param.clone(),
            size: size.unwrap_or(untold),
            header: def.header.as_ref().map(|name| name.to_ascii_lowercase()),
            pointer: def.pointer.clone(),
            total: def.total.clone(),
        })
    }
}

/// What a page is taken to hold where the API doesn't say: a common default.
const UNTOLD_PAGE: u32 = 100;

//! Judging a mapping against what the target's fields admit, before any record is read.
//!
//! Every finding at once. What certainly can't work is an error; what may is a warning.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::coerce::Admits;
use super::expression::Expression;
use super::infer::ValueKind;
use super::match_values;
use super::{FieldRule, Finding, FindingAt, MappingSpec, OnEmpty, Rule, Severity, Source, ValueFrom};
use crate::domain::catalogue::{Catalogue, Field};
use crate::domain::nearest::nearest;

/// What was found so far.
#[derive(Default)]
pub(super) struct Checked {
    pub found: Vec<Finding>,
    /// Every column of the source is a text.
    pub all_text: bool,
}

impl Checked {
    fn error(&mut self, field: &str, message: impl Into<String>, help: Option<String>) {
        self.found(Severity::Error, FindingAt::Field(field.into()), message.into(), help);
    }

    fn warning(&mut self, field: &str, message: impl Into<String>, help: Option<String>) {
        self.found(Severity::Warning, FindingAt::Field(field.into()), message.into(), help);
    }

    fn found(&mut self, severity: Severity, place: FindingAt, message: String, help: Option<String>) {
        self.found.push(Finding { severity, place, message, help });
    }

    /// How many errors there are so far.
    pub fn errors(&self) -> usize {
        self.found.iter().filter(|finding| finding.severity == Severity::Error).count()
    }

    /// Compiles an expression; what is wrong with it becomes errors of this place.
    pub fn expression(&mut self, place: FindingAt, text: &str) -> Option<Expression> {
        match Expression::over(text, self.all_text) {
            Ok(expression) => Some(expression),
            Err(problems) => {
                for problem in problems {
                    self.found(Severity::Error, place.clone(), problem.message, problem.help);
                }
                None
            }
        }
    }
}

impl Checked {
    /// Compiles `include`, which says whether somebody belongs there, and nothing else.
    pub fn include(&mut self, text: &str) -> Option<Expression> {
        let include = self.expression(FindingAt::Include, text)?;
        if matches!(include.gives(), ValueKind::Truth | ValueKind::Unknown) {
            return Some(include);
        }
        let gives = include.gives().named();
        let message = format!("include says who belongs there: true or false is needed, and this gives {gives}");
        let help = match text.trim() {
            column if include.columns() == [column] => {
                format!("compare the column with a value: include = '{column} == \"active\"'")
            }
            _ => "write a comparison: include = 'status == \"active\"'".into(),
        };
        self.found(Severity::Error, FindingAt::Include, message, Some(help));
        None
    }
}

/// Compiles one rule; none when it has errors. `identifies`: accounts are recognised by its field.
pub(super) fn rule(rule: &FieldRule, catalogue: &Catalogue, identifies: bool, checked: &mut Checked) -> Option<Rule> {
    let known = catalogue.field(&rule.field);
    let before = checked.errors();
    match known {
        None => unknown_field(&rule.field, catalogue, checked),
        Some(Field { writable: Err(why), .. }) => {
            checked.error(&rule.field, format!("it can't be mapped: {why}"), Some(instead(&rule.field, catalogue)));
        }
        Some(_) => {}
    }
    if catalogue.scim && is_id_of_manager(&rule.field) && gives_address(&rule.from) {
        let message = "this is the id that the manager's account has on the target, and an address is mapped to it";
        let help =
            "map a column that holds that id, or leave the field out: rosterd does not look managers up by address";
        checked.warning(&rule.field, message, Some(help.into()));
    }
    let admits = Admits::of(known);
    let from = match &rule.from {
        ValueFrom::Column(name) if name.trim().is_empty() => {
            checked.error(&rule.field, "the name of the column is empty", None);
            return None;
        }
        ValueFrom::Column(name) => Source::Column(name.clone()),
        ValueFrom::Cel(text) => Source::Cel(checked.expression(FindingAt::Field(rule.field.clone()), text)?),
        ValueFrom::Value(value) => Source::Constant(constant(rule, value, &admits, known, checked)),
    };
    if let (true, Source::Constant(value)) = (identifies, &from)
        && let Err(fault) = match_values::judge(value)
    {
        checked.error(&rule.field, format!("the constant {value} {}", fault.must()), None);
    }
    if checked.errors() > before {
        return None;
    }
    let required = known.is_some_and(|field| field.required);
    Some(Rule { field: rule.field.clone(), from, admits, required, identifies, when: rule.when, empty: rule.empty })
}

/// Whether a SCIM path is the reference to a manager's account (RFC 7643, section 4.3).
fn is_id_of_manager(path: &str) -> bool {
    path.rsplit(':').next().is_some_and(|attribute| attribute.eq_ignore_ascii_case("manager.value"))
}

/// Whether what is mapped is called an address, or is one.
fn gives_address(from: &ValueFrom) -> bool {
    let is_called = |text: &str| text.to_lowercase().contains("mail");
    match from {
        ValueFrom::Column(name) => is_called(name) || name.contains('@'),
        ValueFrom::Cel(text) => is_called(text) || text.contains('@'),
        ValueFrom::Value(value) => value.as_str().is_some_and(|text| text.contains('@')),
    }
}

fn constant(rule: &FieldRule, value: &Value, admits: &Admits, known: Option<&Field>, checked: &mut Checked) -> Value {
    match admits.coerce(value.clone()) {
        Ok(Value::Null) if known.is_some_and(|field| field.required) => {
            checked.error(&rule.field, "the target requires this field, and the constant is empty", None);
            Value::Null
        }
        Ok(Value::Null) if rule.empty == OnEmpty::Omit => {
            let help = Some("remove the rule, or let it clear the field".into());
            checked.warning(&rule.field, "an empty constant with empty = \"omit\" does nothing", help);
            Value::Null
        }
        Ok(value) => value,
        Err(message) => {
            let help = value.as_str().map(|column| format!("a column is written {} = {column:?}", rule.field));
            checked.error(&rule.field, format!("the constant {value} {message}"), help);
            Value::Null
        }
    }
}

/// What to do about a rule for a field that can't be written.
fn instead(field: &str, catalogue: &Catalogue) -> String {
    let is_id = ["id", "uid", "guid"].iter().any(|name| field.to_lowercase().ends_with(name));
    match catalogue.key_field.as_deref().filter(|key| is_id && *key != field && catalogue.admits(key)) {
        Some(key) => format!("take the rule for `{field}` out; the key of a person goes into `{key}`"),
        None => format!("take the rule for `{field}` out"),
    }
}

fn unknown_field(field: &str, catalogue: &Catalogue, checked: &mut Checked) {
    let names = catalogue.fields.keys().map(String::as_str).filter(|name| !name.ends_with(".*"));
    let help = nearest(field, names).map(|near| format!("did you mean `{near}`?"));
    let message = format!("the target has no field {field}");
    if catalogue.admits(field) {
        let message = format!("{message} in its definition; it is sent as a custom field");
        checked.warning(field, message, help);
    } else if let Some((why, remedy)) = catalogue.why_not(field) {
        checked.error(field, why, remedy.or(help));
    } else {
        checked.error(field, message, Some(catalogue.hint(field)));
    }
}

/// What only shows when the rules are seen together.
pub(super) fn together(spec: &MappingSpec, catalogue: &Catalogue, checked: &mut Checked) {
    let (mut seen, mut spoken_for) = (BTreeSet::new(), BTreeMap::new());
    for rule in &spec.fields {
        let name = rule.field.as_str();
        if !seen.insert(name) {
            checked.error(&rule.field, format!("{} is mapped twice", rule.field), Some("keep one of the rules".into()));
        }
        let same = catalogue.field(name).and_then(|field| field.same_as.as_deref()).filter(|same| *same != name);
        if let Some(other) = spoken_for.get(name).copied().or(same.filter(|same| seen.contains(same))) {
            let message = format!("{other} and {name} are the same thing on the target");
            checked.error(&rule.field, message, Some("map one of the two".into()));
        }
        if let Some(same) = same {
            spoken_for.entry(same).or_insert(name);
        }
    }
    for (name, field) in &catalogue.fields {
        let mapped = |rule: &FieldRule| rule.field == *name || one_thing(catalogue, &rule.field, name);
        let needed = field.required && field.writable.is_ok() && !name.ends_with(".*");
        if needed && !spec.fields.iter().any(mapped) {
            let rule = format!("add a rule for {name}; with when = \"create\" it is given to new accounts only");
            let help = match &field.option {
                Some(option) => {
                    format!("write options = {{ {option} = … }} for the target, for all new accounts; or {rule}")
                }
                None => rule,
            };
            checked.error(
                name,
                format!("the target creates no account without {name}, and nothing maps it"),
                Some(help),
            );
        }
    }
}

/// Whether two different names stand for one thing.
fn one_thing(catalogue: &Catalogue, a: &str, b: &str) -> bool {
    let names = |x: &str, y: &str| catalogue.field(x).and_then(|f| f.same_as.as_deref()) == Some(y);
    a != b && (names(a, b) || names(b, a))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{catalogue, cel, column, value};
    use super::super::{Mapping, When};
    use super::*;
    use serde_json::json;

    fn findings(fields: Vec<FieldRule>, include: Option<&str>) -> Vec<Finding> {
        let spec = MappingSpec { fields, include: include.map(Into::into), ..MappingSpec::default() };
        Mapping::compile(&spec, &catalogue()).err().unwrap_or_default()
    }

    #[test]
    fn each_mistake_is_found_at_its_field() {
        let email = || column("email", "mail");
        let rows = [
            (vec![email(), column("tittle", "t")], "tittle", "no field tittle", Some("title")),
            (vec![email(), column("id", "t")], "id", "can't be mapped: the target assigns it", Some("take the rule")),
            (vec![email(), column("xyz", "t")], "xyz", "no field xyz", Some("its fields are client_id")),
            (vec![email(), value("level", json!("abc"))], "level", "must be a whole number", Some("column")),
            (vec![email(), value("level", json!(7))], "level", "must be one of 0, 1", None),
            (vec![email(), value("share", json!(101))], "share", "must be between 0 and 100", None),
            (vec![email(), value("title", json!({"a": 1}))], "title", "must be text", None),
            (
                vec![email(), column("phone", "p"), column("mobile", "m")],
                "mobile",
                "same thing",
                Some("one of the two"),
            ),
            (vec![email(), email()], "email", "mapped twice", Some("keep one")),
            (vec![column("title", "t")], "email", "nothing maps it", Some("create")),
            (vec![email(), cel("title", "job.upper()")], "title", "no function upper()", Some("upperAscii")),
            (vec![value("email", json!(""))], "email", "the constant is empty", None),
            (vec![email(), column("title", " ")], "title", "column is empty", None),
        ];
        for (fields, place, message, help) in rows {
            let found = findings(fields, None);
            assert_eq!(found.len(), 1, "{message}: {found:?}");
            assert_eq!(found[0].place, FindingAt::Field(place.into()));
            assert!(found[0].message.contains(message), "{found:?}");
            if let Some(help) = help {
                assert!(found[0].help.as_deref().unwrap_or_default().contains(help), "{found:?}");
            }
        }
    }

    #[test]
    fn what_an_option_gives_is_asked_for_by_its_name() {
        let mut catalogue = catalogue();
        let field = catalogue.fields.get("email").expect("a field").clone();
        catalogue.fields.insert("team_id".into(), Field { option: Some("team".into()), ..field });
        let spec = MappingSpec { fields: vec![column("email", "mail")], ..MappingSpec::default() };
        let found = Mapping::compile(&spec, &catalogue).err().unwrap_or_default();
        assert_eq!(found.len(), 1, "{found:?}");
        let help = found[0].help.as_deref().unwrap_or_default();
        assert!(
            help.starts_with("write options = { team = … } for the target") && help.contains("a rule for team_id"),
            "{help}"
        );
    }

    #[test]
    fn all_mistakes_are_found_at_once_include_too() {
        let found = findings(vec![column("tittle", "t"), value("level", json!(9)), cel("phone", "(")], Some("a = 1"));
        let places: Vec<&FindingAt> = found.iter().map(|f| &f.place).collect();
        let field = |name: &str| FindingAt::Field(name.into());
        assert_eq!(places, [&field("tittle"), &field("level"), &field("phone"), &field("email"), &FindingAt::Include]);
    }

    #[test]
    fn a_rule_for_new_accounts_alone_satisfies_a_required_field() {
        let mut rule = column("email", "mail");
        rule.when = When::Create;
        assert_eq!(findings(vec![rule], None), []);
    }

    #[test]
    fn custom_fields_of_an_open_catalogue_are_a_warning() {
        let mut open = catalogue();
        open.open = true;
        let spec =
            MappingSpec { fields: vec![column("email", "m"), column("shoe_size", "s")], ..MappingSpec::default() };
        let (_, warnings) = Mapping::compile(&spec, &open).expect("it compiles");
        assert_eq!(warnings.len(), 1);
        assert_eq!(warnings[0].place, FindingAt::Field("shoe_size".into()));
        // Beside an error it stays what it is.
        let spec = MappingSpec {
            fields: vec![column("email", "m"), column("shoe_size", "s"), column("id", "i")],
            ..MappingSpec::default()
        };
        let found = Mapping::compile(&spec, &open).expect_err("id can't be written");
        let told: Vec<(Severity, &FindingAt)> = found.iter().map(|f| (f.severity, &f.place)).collect();
        let field = |name: &str| FindingAt::Field(name.into());
        assert_eq!(told, [(Severity::Warning, &field("shoe_size")), (Severity::Error, &field("id"))]);
    }

    #[test]
    fn a_manager_given_by_address_is_told_of() {
        let manager = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.value";
        let mut scim = Catalogue { scim: true, open: true, ..catalogue() };
        let text = scim.fields["title"].clone();
        scim.fields.insert(manager.into(), text);
        let told = |rule: FieldRule| {
            let spec = MappingSpec { fields: vec![column("email", "mail"), rule], ..MappingSpec::default() };
            let (_, warnings) = Mapping::compile(&spec, &scim).expect("it compiles");
            warnings.iter().filter(|w| w.help.as_deref().unwrap_or_default().contains("holds that id")).count()
        };
        assert_eq!(told(column(manager, "Manager Email")), 1);
        assert_eq!(told(cel(manager, "boss.trim() + '@acme.com'")), 1);
        assert_eq!(told(column(manager, "manager_scim_id")), 0);
        assert_eq!(told(column("urn:x:y:manager_email.text", "Manager Email")), 0);
    }

    #[test]
    fn patterns_of_the_catalogue_admit_any_last_segment() {
        assert_eq!(findings(vec![column("email", "m"), column("dimensions.101", "d")], None), []);
    }
}

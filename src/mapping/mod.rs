//! From a source record to what the target should hold.
//!
//! A mapping is compiled once, against the target's catalogue, so that what can be wrong is said before any record
//! is read. It is then bound to a source's columns and applied to each record that changed: that a record did not
//! change is told by its fingerprint alone, without evaluating anything. Pure: the time is an argument.

pub mod protect;

mod bound;
mod check;
mod coerce;
mod comparator;
mod dates;
mod expression;
mod fingerprint;
mod guard;
mod infer;
mod input_bounds;
mod match_values;
mod meter;
mod remedy;
mod scan;
pub mod testing;
mod walk;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use serde_json::{Value, json};

pub use bound::{AsBefore, Bound, Decided, Desired, DesiredField, Mapped};
pub use comparator::{Comes, Comparator};
pub use expression::{Expression, Problem, Scope, TimeUse};
pub use fingerprint::{Fingerprinter, KnownRow, Room};
pub use infer::ValueKind;
pub use remedy::remedy;

use crate::domain::catalogue::Catalogue;
use crate::domain::record::Columns;
use crate::domain::value::FieldType;
use coerce::Admits;

/// Raised whenever the same mapping and record give another result, so that stored fingerprints are no longer
/// believed and every record is looked at once.
const FORMAT: u32 = 3;

/// A mapping as configured.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MappingSpec {
    /// One rule a target field.
    pub fields: Vec<FieldRule>,
    /// CEL that says whether a record is in scope; none: every record is.
    pub include: Option<String>,
    /// The target fields by which existing accounts are recognised (`match`).
    pub recognised_by: Vec<String>,
    /// Every column of the source is a text.
    pub all_text: bool,
}

/// Where one target field's value comes from.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldRule {
    /// The target field, dotted.
    pub field: String,
    /// The value.
    pub from: ValueFrom,
    /// Whether it is written to accounts that exist.
    pub when: When,
    /// What an empty value does.
    pub empty: OnEmpty,
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum ValueFrom {
    /// A source column, as it is.
    Column(String),
    /// A CEL expression over the columns.
    Cel(String),
    /// A constant.
    Value(Value),
}

/// Whether a field is written to accounts that exist.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum When {
    /// Kept as the source says.
    #[default]
    Always,
    /// Given to a new account, then left to the target.
    Create,
}

/// What an empty value does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnEmpty {
    /// The field is emptied on the target.
    #[default]
    Clear,
    /// The field is left alone.
    Omit,
}

/// Something to say about a mapping: an error, or a warning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// Where.
    pub place: FindingAt,
    /// What.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The mapping can't be used.
    Error,
    /// It can, and may not do what was meant.
    Warning,
}

/// Where in a mapping.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FindingAt {
    /// The `include` expression.
    Include,
    /// The rule of this field; for a required field that nothing maps, the rule that is missing.
    Field(String),
}

/// A compiled mapping. Cheap to clone.
#[derive(Clone)]
pub struct Mapping {
    inner: Arc<Compiled>,
}

struct Compiled {
    spec: MappingSpec,
    rules: Vec<Rule>,
    include: Option<Expression>,
    columns: Vec<String>,
    uses: TimeUse,
    version: [u8; 32],
}

/// One rule, ready to be applied.
struct Rule {
    field: String,
    from: Source,
    admits: Admits,
    /// The target refuses an account without it.
    required: bool,
    /// Accounts are recognised by it, so it must be a value that tells people apart.
    identifies: bool,
    when: When,
    empty: OnEmpty,
}

enum Source {
    Column(String),
    Cel(Expression),
    /// Converted when the mapping was compiled.
    Constant(Value),
}

impl Mapping {
    /// Compiles a mapping against the target's catalogue; with it, what is worth a warning.
    ///
    /// # Errors
    /// Every finding, of which one is an error at least.
    pub fn compile(spec: &MappingSpec, catalogue: &Catalogue) -> Result<(Mapping, Vec<Finding>), Vec<Finding>> {
        let mut checked = check::Checked::default();
        let match_fields = catalogue.recognised_by(&spec.recognised_by);
        checked.all_text = spec.all_text;
        let compiled =
            |rule: &FieldRule| check::rule(rule, catalogue, match_fields.contains(&rule.field), &mut checked);
        let rules: Vec<Rule> = spec.fields.iter().filter_map(compiled).collect();
        check::together(spec, catalogue, &mut checked);
        let include = spec.include.as_deref().and_then(|text| checked.include(text));
        if checked.errors() > 0 {
            return Err(checked.found);
        }
        let mapping = Mapping { inner: Arc::new(Compiled::new(spec.clone(), rules, include)) };
        Ok((mapping, checked.found))
    }

    /// The source columns that rules and `include` refer to, sorted.
    pub fn columns(&self) -> &[String] {
        &self.inner.columns
    }

    /// Hash of everything that decides what becomes of a record: rules, `include`, the types of the target's fields.
    pub fn version(&self) -> [u8; 32] {
        self.inner.version
    }

    /// The rules as configured.
    pub fn rules(&self) -> &[FieldRule] {
        &self.inner.spec.fields
    }

    /// The constant texts of rules and `include` that are names of columns, in the judgement of `is_column`, each with
    /// its place: what was meant may be the column.
    pub fn columns_in_quotes(&self, is_column: impl Fn(&str) -> bool) -> Vec<Finding> {
        let constant = |rule: &Rule| match &rule.from {
            Source::Cel(expression) => expression.texts().to_vec(),
            Source::Constant(Value::String(text)) => vec![text.clone()],
            Source::Constant(_) | Source::Column(_) => Vec::new(),
        };
        let of_rules = self.inner.rules.iter().map(|rule| (FindingAt::Field(rule.field.clone()), constant(rule)));
        let of_include = self.inner.include.iter().map(|include| (FindingAt::Include, include.texts().to_vec()));
        let of_place = |(place, texts): (FindingAt, Vec<String>)| {
            let named = texts.into_iter().filter(|text| is_column(text)).collect::<Vec<_>>();
            named.into_iter().map(move |text| Finding {
                severity: Severity::Warning,
                place: place.clone(),
                message: format!("{text:?} in quotes is a text, and a column has that name too"),
                help: Some(match &place {
                    FindingAt::Field(field) if !field.contains(['.', '"', '[']) => format!(
                        "if the column is meant, write {} in an expression, or {field} = {text:?} without more",
                        dates::spelled(&text)
                    ),
                    _ => format!("if the column is meant, write {}", dates::spelled(&text)),
                }),
            })
        };
        of_rules.chain(of_include).flat_map(of_place).collect()
    }

    /// The `include` expression as configured.
    pub fn include(&self) -> Option<&str> {
        self.inner.spec.include.as_deref()
    }

    /// The compiled `include` expression.
    pub fn scope(&self) -> Option<&Expression> {
        self.inner.include.as_ref()
    }

    /// What results depend on besides the record.
    pub fn uses(&self) -> TimeUse {
        self.inner.uses
    }

    /// The type of a mapped field; text where the catalogue knows nothing.
    pub fn kind(&self, field: &str) -> FieldType {
        self.inner.rules.iter().find(|rule| rule.field == field).map_or(FieldType::Text, |rule| rule.admits.kind())
    }

    /// Fixes where in a row the columns stand.
    ///
    /// # Errors
    /// The names of the columns that the source doesn't have.
    pub fn bind(&self, columns: &Columns) -> Result<Bound, Vec<String>> {
        Bound::new(Arc::clone(&self.inner), columns)
    }
}

impl fmt::Debug for Mapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields: Vec<&str> = self.inner.rules.iter().map(|rule| rule.field.as_str()).collect();
        write!(f, "Mapping({} from {})", fields.join(", "), self.inner.columns.join(", "))
    }
}

impl Compiled {
    fn new(spec: MappingSpec, rules: Vec<Rule>, include: Option<Expression>) -> Compiled {
        let expressions = || {
            let of_rules = rules.iter().filter_map(|rule| match &rule.from {
                Source::Cel(expression) => Some(expression),
                Source::Column(_) | Source::Constant(_) => None,
            });
            of_rules.chain(&include)
        };
        let mut columns: BTreeSet<String> = expressions().flat_map(|e| e.columns().iter().cloned()).collect();
        columns.extend(rules.iter().filter_map(|rule| match &rule.from {
            Source::Column(name) => Some(name.clone()),
            Source::Cel(_) | Source::Constant(_) => None,
        }));
        let uses = expressions().map(Expression::uses).fold(TimeUse::default(), TimeUse::and);
        let version = version(&spec, &rules);
        Compiled { columns: columns.into_iter().collect(), uses, version, spec, rules, include }
    }
}

/// Rules in the order of fields, so that their order in the file is no difference.
fn version(spec: &MappingSpec, rules: &[Rule]) -> [u8; 32] {
    let mut described: Vec<Value> = spec
        .fields
        .iter()
        .zip(rules)
        .map(|(rule, compiled)| {
            let from = match &rule.from {
                ValueFrom::Column(name) => json!(["column", name]),
                ValueFrom::Cel(text) => json!(["cel", text]),
                ValueFrom::Value(value) => json!(["value", value]),
            };
            let (when, empty) = (rule.when == When::Always, rule.empty == OnEmpty::Clear);
            json!([rule.field, from, when, empty, compiled.admits.describe(), compiled.required, compiled.identifies])
        })
        .collect();
    described.sort_by_key(ToString::to_string);
    blake3::hash(json!([FORMAT, described, spec.include]).to_string().as_bytes()).into()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::domain::catalogue::Field;

    /// A field that can be written and asks nothing.
    pub(crate) fn plain(kind: FieldType) -> Field {
        Field {
            kind,
            writable: Ok(()),
            required: false,
            unique: false,
            allowed: Vec::new(),
            range: None,
            same_as: None,
            option: None,
            clearable: true,
            whole: false,
            park: None,
        }
    }

    /// A catalogue with something of everything.
    pub(crate) fn catalogue() -> Catalogue {
        let mut fields = std::collections::BTreeMap::new();
        let mut add = |name: &str, field: Field| fields.insert(name.to_string(), field);
        add("email", Field { required: true, unique: true, clearable: false, ..plain(FieldType::Text) });
        add("client_id", plain(FieldType::Text));
        add("title", plain(FieldType::Text));
        add("phone", plain(FieldType::Text));
        add("mobile", Field { same_as: Some("phone".into()), ..plain(FieldType::Text) });
        add("level", Field { allowed: vec![json!(0), json!(1)], ..plain(FieldType::Integer) });
        add("share", Field { range: Some((0, 100)), ..plain(FieldType::Number) });
        add("starts", plain(FieldType::Date));
        add("tags", plain(FieldType::Set));
        add("id", Field { writable: Err("the target assigns it".into()), ..plain(FieldType::Integer) });
        add("dimensions.*", plain(FieldType::Text));
        Catalogue { fields, key_field: Some("client_id".into()), ..Catalogue::default() }
    }

    pub(crate) fn column(field: &str, name: &str) -> FieldRule {
        rule(field, ValueFrom::Column(name.into()))
    }

    pub(crate) fn cel(field: &str, text: &str) -> FieldRule {
        rule(field, ValueFrom::Cel(text.into()))
    }

    pub(crate) fn value(field: &str, value: Value) -> FieldRule {
        rule(field, ValueFrom::Value(value))
    }

    fn rule(field: &str, from: ValueFrom) -> FieldRule {
        FieldRule { field: field.into(), from, when: When::Always, empty: OnEmpty::Clear }
    }

    pub(crate) fn compile(fields: Vec<FieldRule>, include: Option<&str>) -> Mapping {
        let recognised_by = vec!["email".into()];
        let spec = MappingSpec { fields, include: include.map(Into::into), recognised_by, ..MappingSpec::default() };
        Mapping::compile(&spec, &catalogue()).expect("it compiles").0
    }

    #[test]
    fn columns_are_those_of_rules_and_include_once_each() {
        let mapping = compile(
            vec![
                column("email", "mail"),
                cel("title", "row['Job Title'] + team"),
                cel("starts", "start > today ? start : ''"),
                cel("dimensions.7", "name.first"),
            ],
            Some("status == 'active' && mail != ''"),
        );
        assert_eq!(mapping.columns(), ["Job Title", "mail", "name.first", "start", "status", "team"]);
        assert!(mapping.uses().today && !mapping.uses().now);
        assert_eq!(compile(vec![column("email", "mail")], None).uses(), TimeUse::default());
        assert_eq!(mapping.kind("starts"), FieldType::Date);
    }

    #[test]
    fn the_version_is_that_of_meaning_not_of_order() {
        let a = compile(vec![column("email", "mail"), column("title", "job")], None);
        let b = compile(vec![column("title", "job"), column("email", "mail")], None);
        assert_eq!(a.version(), b.version());
        let mut when = vec![column("email", "mail"), column("title", "job")];
        when[1].when = When::Create;
        let mut empty = vec![column("email", "mail"), column("title", "job")];
        empty[1].empty = OnEmpty::Omit;
        for other in [
            compile(when, None),
            compile(empty, None),
            compile(vec![column("email", "mail"), column("title", "role")], None),
            compile(vec![column("email", "mail"), cel("title", "job")], None),
            compile(vec![column("email", "mail"), column("title", "job")], Some("true")),
        ] {
            assert_ne!(a.version(), other.version());
        }
        let fields = vec![column("email", "mail"), column("title", "job")];
        let spec = MappingSpec { fields, ..MappingSpec::default() };
        let mut retyped = catalogue();
        retyped.fields.insert("title".into(), plain(FieldType::Integer));
        let other = Mapping::compile(&spec, &retyped).expect("it compiles").0;
        assert_ne!(a.version(), other.version(), "the type of a field counts");
    }

    #[test]
    fn debug_names_fields_and_columns_only() {
        let mapping = compile(vec![column("email", "mail"), value("title", json!("Dr Ann"))], None);
        assert_eq!(format!("{mapping:?}"), "Mapping(email, title from mail)");
    }
}

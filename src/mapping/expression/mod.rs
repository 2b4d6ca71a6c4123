//! CEL expressions over a record: compiled once, evaluated for each record that changed.
//!
//! What the `cel` crate leaves to its users is done here: errors are put into our words (its own contain values),
//! functions that don't exist are found when the expression is compiled, and `row["First Name"]` reaches columns
//! whose names CEL can't spell. The crate bounds neither depth nor work: [`super::scan`] does before it parses, and
//! [`super::meter`] while it evaluates.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, LazyLock};

use cel::common::types::{CelBool, CelDouble, CelInt, CelString, CelTimestamp, CelUInt};
use cel::common::value::{CowVal, Val};
use cel::context::VariableResolver;
use cel::{Context, Env, ExecutionError, ParseErrors, extensions};
use regex::Regex;
use serde_json::{Number, Value};

use super::infer::{self, ValueKind};
use super::meter::{self, LARGEST, METER};
use super::scan::{self, LEVELS};
use super::walk::{self, CONDITION, ROW_PREFIX};
use super::{dates, guard, input_bounds};
use crate::domain::local_time::LocalTime;
use crate::os::stack::roomy;

/// The functions of CEL's standard library and of its strings, math and lists extensions.
static ENVIRONMENT: LazyLock<Arc<Env>> = LazyLock::new(|| {
    let mut env = Env::stdlib();
    for extension in [extensions::strings, extensions::math, extensions::lists, dates::extension, meter::extension] {
        env.add_extension(extension).expect("the crate's own extensions don't contradict each other");
    }
    Arc::new(env)
});

/// A context with every function and no variable.
pub(super) fn bare_context<'v>() -> Context<'static, 'v> {
    Context::with_env(Arc::clone(&ENVIRONMENT))
}

/// What is wrong with an expression, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What is wrong, with the column where that is known.
    pub message: String,
    /// What to write instead, where there is an answer.
    pub help: Option<String>,
}

impl Problem {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Problem { message: message.into(), help: None }
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// One compiled CEL expression.
pub struct Expression {
    plain: Tree,
    guarded: Tree,
    /// The size of its inputs up to which the plain tree can't exceed the budget.
    harmless_up_to: Option<u64>,
    columns: Vec<String>,
    texts: Vec<String>,
    gives: ValueKind,
    uses: TimeUse,
}

/// What an expression asks of the time of the run: what its result depends on besides the record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimeUse {
    /// The date.
    pub today: bool,
    /// Date and time.
    pub now: bool,
    /// The time zone, for times that name none.
    pub zone: bool,
}

impl TimeUse {
    /// What two expressions ask together.
    pub fn and(self, other: TimeUse) -> TimeUse {
        TimeUse { today: self.today || other.today, now: self.now || other.now, zone: self.zone || other.zone }
    }

    /// All that is asked, spelled out: where it is the same, results are; nothing where nothing is asked.
    pub fn spelled(self, time: LocalTime) -> String {
        let today = if self.today { time.today().to_string() } else { String::new() };
        let now = if self.now { time.now().to_rfc3339() } else { String::new() };
        let zone = if self.zone || self.now { time.zone().name() } else { "" };
        [&*today, &*now, zone].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
    }
}

/// A tree, and whether it has more levels than a worker's stack surely holds.
struct Tree {
    root: cel::IdedExpr,
    deep: bool,
}

/// Levels of a tree up to which it is evaluated where its caller runs.
const SHALLOW: usize = 64;

impl Tree {
    fn new(root: cel::IdedExpr) -> Tree {
        let deep = walk::levels(&root) > SHALLOW;
        Tree { root, deep }
    }

    fn evaluate(&self, scope: &Scope<'_>) -> Result<Value, String> {
        let run = || {
            let mut context = bare_context();
            context.set_variable_resolver(scope);
            let value = meter::metered(|| cel::Value::resolve(&self.root, &context))?;
            to_json(value.map_err(|error| describe(&error))?)
        };
        if self.deep {
            roomy(usize::MAX, run).map_err(|_| "the system gives no thread to evaluate it on")?
        } else {
            run()
        }
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        if self.deep {
            let root = std::mem::take(&mut self.root);
            // Without a thread it is dropped here, which takes much less of the stack than evaluating it does.
            drop(roomy(usize::MAX, move || drop(root)));
        }
    }
}

impl Expression {
    /// Compiles an expression over columns of which nothing is known.
    ///
    /// # Errors
    /// As [`Expression::over`].
    pub fn compile(text: &str) -> Result<Expression, Vec<Problem>> {
        Expression::over(text, false)
    }

    /// Compiles the expression. `all_text`: every column of the source is a text.
    ///
    /// # Errors
    /// Everything that is wrong with it: what is too long or too deep, syntax with its position, functions that don't
    /// exist, wrong uses of `row`, patterns that are no regular expressions.
    pub fn over(text: &str, all_text: bool) -> Result<Expression, Vec<Problem>> {
        if text.trim().is_empty() {
            let help = "write an expression, such as status == \"active\", or take the line out";
            return Err(vec![Problem::new("the expression is empty").help(help)]);
        }
        scan::bounded(text).map_err(|problem| vec![problem])?;
        roomy(text.len(), || Expression::parse(text, all_text)).unwrap_or_else(|error| {
            Err(vec![Problem::new(format!("the system gives no thread to read it on: {error}"))])
        })
    }

    fn parse(text: &str, all_text: bool) -> Result<Expression, Vec<Problem>> {
        let parser = ENVIRONMENT.parser().max_recursion_depth(PARSED);
        let mut tree = parser.parse(text).map_err(|errors| vec![syntax_problem(text, &errors)])?;
        let levels = walk::levels(&tree);
        if levels > LEVELS {
            let message =
                format!("the expression is a chain of {levels} operators or calls, and {LEVELS} are admitted");
            return Err(vec![Problem::new(message).help(scan::SHORTER)]);
        }
        let facts = walk::inspect(&mut tree);
        if !facts.problems.is_empty() {
            return Err(facts.problems);
        }
        let (gives, problems) = infer::infer(&tree, all_text);
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Expression {
            gives,
            texts: facts.texts.into_iter().collect(),
            harmless_up_to: input_bounds::harmless_up_to(&tree),
            guarded: Tree::new(guard::guarded(&tree)),
            plain: Tree::new(tree),
            columns: facts.columns.into_iter().collect(),
            uses: facts.uses,
        })
    }

    /// The columns it refers to, sorted.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// The constant texts in it, sorted.
    pub fn texts(&self) -> &[String] {
        &self.texts
    }

    /// What kind of value it gives.
    pub fn gives(&self) -> ValueKind {
        self.gives
    }

    /// What it asks of the time of the run.
    pub fn uses(&self) -> TimeUse {
        self.uses
    }

    /// Its value for the record of this scope, as JSON.
    ///
    /// # Errors
    /// What kind of thing went wrong and in which function, without any value.
    pub fn evaluate(&self, scope: &Scope<'_>) -> Result<Value, String> {
        let harmless = self.harmless_up_to.is_some_and(|size| self.inputs(scope) <= size);
        if harmless {
            return self.plain.evaluate(scope);
        }
        let value = self.guarded.evaluate(scope)?;
        if size_of(&value) as f64 > LARGEST { Err(meter::too_large()) } else { Ok(value) }
    }

    /// The size of the cells that it refers to.
    fn inputs(&self, scope: &Scope<'_>) -> u64 {
        let size = |column: &String| {
            let root = || column.split_once('.').and_then(|(root, _)| (scope.cell)(root));
            (scope.cell)(column).or_else(root).map_or(0, size_of)
        };
        self.columns.iter().map(size).sum()
    }
}

/// What a cell takes, as [`meter::weight`] counts it.
fn size_of(cell: &Value) -> u64 {
    const ITEM: u64 = meter::ITEM as u64;
    match cell {
        Value::Null | Value::Bool(_) | Value::Number(_) => ITEM,
        Value::String(text) => text.len() as u64,
        Value::Array(items) => items.iter().map(|item| ITEM + size_of(item)).sum(),
        Value::Object(members) => members.iter().map(|(name, value)| ITEM + name.len() as u64 + size_of(value)).sum(),
    }
}

/// How deep the library's parser may recurse: it does for each `? :` of a chain, which is no nesting.
const PARSED: u16 = 2_000;

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Expression(over {:?})", self.columns)
    }
}

/// The variables of one record: its cells by column, and the time of the run.
pub struct Scope<'r> {
    cell: &'r (dyn Fn(&str) -> Option<&'r Value> + Send + Sync),
    time: LocalTime,
}

impl<'r> Scope<'r> {
    /// A scope whose columns are answered by `cell`, at this time.
    pub fn new(cell: &'r (dyn Fn(&str) -> Option<&'r Value> + Send + Sync), time: LocalTime) -> Self {
        Scope { cell, time }
    }
}

impl VariableResolver for Scope<'_> {
    fn resolve<'b>(&'b self, variable: &str) -> Option<CowVal<'b, 'b>> {
        if let Some(column) = variable.strip_prefix(ROW_PREFIX) {
            return (self.cell)(column).map(to_cel);
        }
        match variable {
            "today" => Some(CowVal::owned(CelString::from(self.time.today().to_string()))),
            "now" => Some(CowVal::owned(CelTimestamp::from(self.time.now()))),
            dates::ZONE => Some(CowVal::owned(CelString::from(self.time.zone().name()))),
            column => (self.cell)(column).map(to_cel),
        }
    }
}

/// A cell as CEL sees it. An absent cell is an empty text, so that expressions need no test for it.
fn to_cel(cell: &Value) -> CowVal<'_, '_> {
    match cell {
        Value::Null => CowVal::owned(CelString::from("")),
        Value::String(text) => CowVal::owned(CelString::from(text.as_str())),
        Value::Bool(yes) => CowVal::owned(CelBool::from(*yes)),
        Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(whole), _) => CowVal::owned(CelInt::from(whole)),
            (None, Some(whole)) => CowVal::owned(CelUInt::from(whole)),
            (None, None) => CowVal::owned(CelDouble::from(number.as_f64().unwrap_or(f64::NAN))),
        },
        nested @ (Value::Array(_) | Value::Object(_)) => {
            let value: Result<Box<dyn Val>, _> = nested_to_cel(nested).try_into();
            value.map_or_else(|_| CowVal::owned(CelString::from("")), CowVal::from)
        }
    }
}

fn nested_to_cel(value: &Value) -> cel::Value {
    match value {
        Value::Null => cel::Value::Null,
        Value::Bool(yes) => cel::Value::Bool(*yes),
        Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(whole), _) => cel::Value::Int(whole),
            (None, Some(whole)) => cel::Value::UInt(whole),
            (None, None) => cel::Value::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        Value::String(text) => cel::Value::String(Arc::new(text.clone())),
        Value::Array(items) => cel::Value::List(Arc::new(items.iter().map(nested_to_cel).collect())),
        Value::Object(members) => {
            let map: HashMap<String, cel::Value> =
                members.iter().map(|(name, value)| (name.clone(), nested_to_cel(value))).collect();
            cel::Value::Map(map.into())
        }
    }
}

fn to_json(value: cel::Value) -> Result<Value, String> {
    Ok(match value {
        cel::Value::Null => Value::Null,
        cel::Value::Bool(yes) => Value::Bool(yes),
        cel::Value::Int(whole) => whole.into(),
        cel::Value::UInt(whole) => whole.into(),
        cel::Value::Float(number) => {
            Number::from_f64(number).map(Value::Number).ok_or("its result is not a finite number")?
        }
        cel::Value::String(text) => Value::String(Arc::unwrap_or_clone(text)),
        cel::Value::Timestamp(time) => Value::String(time.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true)),
        cel::Value::List(items) => {
            Value::Array(Arc::unwrap_or_clone(items).into_iter().map(to_json).collect::<Result<_, _>>()?)
        }
        cel::Value::Map(map) => {
            let mut members = serde_json::Map::new();
            for (name, value) in map.map.iter() {
                members.insert(name.to_string(), to_json(value.clone())?);
            }
            Value::Object(members)
        }
        other => return Err(format!("its result is of type {}, which no field can hold", other.type_of())),
    })
}

/// What went wrong in an evaluation, in our words: the crate's messages contain the values at hand.
fn describe(error: &ExecutionError) -> String {
    use ExecutionError as E;
    match error {
        E::InvalidArgumentCount { expected, actual } => {
            format!("a function takes {expected} arguments and was given {actual}")
        }
        E::NotSupportedAsMethod { method, .. } => format!("{method}() can't be used on a value of this type"),
        E::NoSuchKey(_) => "a key is looked up that isn't there".into(),
        E::NoSuchOverload(call) => {
            format!("{} can't be applied to {}", operator(call.function()), call.argument_types().join(" and "))
        }
        E::UndeclaredReference(name) => format!("{} is neither a column nor a function", name.trim_start_matches('@')),
        E::FunctionError { function, message } if function == dates::DATES || function == METER => message.clone(),
        E::FunctionError { function, .. } => format!("{function}() failed on this record's value"),
        E::ValuesNotComparable(a, b) => format!("{} and {} can't be compared", a.type_of(), b.type_of()),
        E::UnsupportedBinaryOperator(name, ..) => format!("{} can't be applied to these types", operator(name)),
        E::DivisionByZero(_) | E::RemainderByZero(_) => "division by zero".into(),
        E::Overflow(name, ..) => format!("{} goes beyond the largest number", operator(name)),
        E::IndexOutOfBounds(_) => "an index is beyond the end of a list".into(),
        E::DuplicateKey(_) => "a map has the same key twice".into(),
        E::UnexpectedType { want, .. } => format!("a value of type {want} is needed"),
        E::UnsupportedTargetType { .. } | E::MissingArgumentOrTarget => "a function was called on a wrong type".into(),
        E::UnsupportedKeyType(_) | E::UnsupportedIndex(..) => "a value of this type can't be an index".into(),
        _ => "it can't be evaluated".into(),
    }
}

/// An operator as people write it: `+` for `_+_`.
fn operator(name: &str) -> String {
    match name {
        "_[_]" => "[ ]".into(),
        "_._" => "a dot".into(),
        "@in" => "in".into(),
        meter::MATCHES_ANY => "matches()".into(),
        _ if name.contains(char::is_alphabetic) => format!("{}()", name.trim_start_matches('@')),
        _ => name.trim_matches('_').to_string(),
    }
}

/// The first of the parser's complaints about the text; those after it are mostly its consequences, and those about
/// an "incomplete context" are about the parser itself.
fn syntax_problem(text: &str, errors: &ParseErrors) -> Problem {
    let about_text = errors.errors.iter().find(|error| !error.msg.starts_with("Incomplete"));
    let Some(error) = about_text.or(errors.errors.first()) else {
        return Problem::new("the expression does not parse");
    };
    if errors.errors.iter().any(|error| error.msg.contains("Recursion limit")) {
        return Problem::new(format!("the expression is a chain of more than {LEVELS} operators or calls"))
            .help(scan::SHORTER);
    }
    let what = readable(&error.msg);
    let place = match error.pos {
        (line, column) if line > 1 && column > 0 => format!(" at line {line}, column {column}"),
        (_, column) if column > 0 => format!(" at column {column}"),
        _ => String::new(),
    };
    let problem = Problem::new(format!("the expression does not parse{place}: {what}"));
    let spaced = spaced_name(text).map(|name| format!("a column whose name has spaces is written row[{name:?}]"));
    match habit(text).map(str::to_string).or(spaced) {
        Some(help) => problem.help(help),
        None => problem,
    }
}

/// The parser generator's messages in plain words.
fn readable(message: &str) -> String {
    let message = message.trim_start_matches("Syntax error: ");
    let quoted = |after: &str| {
        let rest = &message[message.find(after)? + after.len()..];
        let inner = rest.trim_start().trim_start_matches(':').trim_start().strip_prefix('\'')?;
        let end = inner.find("' expecting").or_else(|| inner.rfind('\''))?;
        Some(inner[..end].to_string())
    };
    for (marker, words) in [
        ("mismatched input", "is not expected here"),
        ("extraneous input", "is not expected here"),
        ("no viable alternative at input", "is not expected here"),
        ("token recognition error at", "can't be read"),
    ] {
        if let Some(token) = quoted(marker) {
            return match token.trim() {
                end if end.ends_with("<EOF>") => "it ends too early; is a quote or a bracket missing?".into(),
                text if text.starts_with(['\'', '"']) && words == "can't be read" => "a quote is not closed".into(),
                token => format!("“{token}” {words}"),
            };
        }
    }
    if message.starts_with("missing") && message.contains("<EOF>") {
        return "it ends too early; is a quote or a bracket missing?".into();
    }
    if message.starts_with("Incomplete") {
        return "something is missing in it".into();
    }
    message.split(" expecting {").next().unwrap_or(message).to_string()
}

/// Names that stand side by side, as nothing in the language does: the name of a column with spaces.
fn spaced_name(text: &str) -> Option<String> {
    static NAMES: LazyLock<Regex> = LazyLock::new(|| {
        let pattern = r#""(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|\p{Alphabetic}[\w]*(?: +[\p{Alphabetic}(/&#]?[\w/&#)]+)*"#;
        Regex::new(pattern).expect("a pattern of ours")
    });
    let named = |found: &&str| found.contains(' ') && !found.starts_with(['"', '\'']) && !found.contains(" in ");
    let name = NAMES.find_iter(text).map(|found| found.as_str()).find(named)?;
    Some(name.split_once('(').map_or(name, |(before, _)| before).trim().to_string())
}

/// The remedy for what people bring along from other languages.
fn habit(text: &str) -> Option<&'static str> {
    let word = |w: &str| text.split(|c: char| !c.is_alphanumeric() && c != '_').any(|t| t.eq_ignore_ascii_case(w));
    let bare = ["==", "!=", "<=", ">="].iter().fold(text.to_string(), |t, op| t.replace(op, " "));
    if word("if") || word("then") || word("else") {
        Some(CONDITION)
    } else if word("null") && word("is") {
        Some("an empty cell is an empty text: compare with \"\"")
    } else if word("like") {
        Some("write name.startsWith(\"A\"), name.endsWith(\"x\") or name.contains(\"x\")")
    } else if text.contains(" in (") {
        Some("a list stands in square brackets: status in [\"active\", \"leave\"]")
    } else if word("and") || word("or") || word("not") {
        Some("CEL writes && for and, || for or, ! for not")
    } else if bare.contains('=') {
        Some("compare with ==")
    } else if text.contains('`') {
        Some("a column whose name has spaces is written row[\"First Name\"]")
    } else {
        None
    }
}

#[cfg(test)]
mod tests;

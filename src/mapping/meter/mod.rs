//! What an evaluation costs: steps of work and the size of results, counted while it runs.
//!
//! The `cel` crate has no budget. Expressions are therefore rewritten (see [`super::guard`]) to call functions of ours
//! before work is done, which count here. The count is the thread's, since the crate's functions carry no state; an
//! evaluation runs from begin to end on one thread.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use cel::common::ast::operators;
use cel::common::types::{
    CelBool, CelBytes, CelInt, CelList, CelMap, CelOptional, CelString, DYN_TYPE, INT_TYPE, STRING_TYPE,
};
use cel::common::value::{CowVal, Val};
use cel::{DeclarationError, Env, ExecutionError};
use regex::{Regex, RegexBuilder};

/// Steps that one evaluation may take.
pub(super) const STEPS: f64 = 1_000_000.0;

/// Bytes of a result, in an evaluation as at its end.
pub(super) const LARGEST: f64 = 1_000_000.0;

/// What a number, or the place of an item in a list, counts as.
pub(super) const ITEM: f64 = 8.0;

/// Counts work that is about to be done, and what its result will take; its first argument is the function's name.
pub(super) const ADMIT: &str = "@admit";
/// Counts a value that is looked at or copied; gives it back.
pub(super) const SEEN: &str = "@seen";
/// Counts a loop before it begins: the cost of one round, the list.
pub(super) const ROUNDS: &str = "@rounds";
/// `matches` with a pattern that stands in the expression, compiled once.
pub(super) const MATCHES: &str = "@matches";
/// `matches` with any other pattern.
pub(super) const MATCHES_ANY: &str = "@matches_any";
/// Whose message is ours.
pub(super) const METER: &str = "@meter";

/// How many arguments [`ADMIT`] takes after the name.
pub(super) const ADMITTED: usize = 4;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Over {
    Steps,
    Size,
}

thread_local! {
    static LEFT: Cell<f64> = const { Cell::new(STEPS) };
    static OVER: Cell<Option<Over>> = const { Cell::new(None) };
}

/// Evaluates with a fresh budget. What `||` made of an exceeded budget is not believed.
pub(super) fn metered<T>(evaluate: impl FnOnce() -> T) -> Result<T, String> {
    LEFT.set(STEPS);
    OVER.set(None);
    let value = evaluate();
    match OVER.take() {
        None => Ok(value),
        Some(Over::Steps) => Err(format!(
            "it takes more than {STEPS} steps on this record: loops within loops over long lists, or long texts, cost most"
        )),
        Some(Over::Size) => Err(too_large()),
    }
}

/// What is said of a result above [`LARGEST`].
pub(super) fn too_large() -> String {
    "what it makes of this record is larger than 1 MB".into()
}

fn refused(over: Over) -> ExecutionError {
    OVER.set(OVER.get().or(Some(over)));
    ExecutionError::function_error(METER, "beyond its budget")
}

fn spend(steps: f64) -> Result<(), ExecutionError> {
    let left = LEFT.get() - steps;
    LEFT.set(left);
    if left < 0.0 || OVER.get().is_some() { Err(refused(Over::Steps)) } else { Ok(()) }
}

/// The steps of handling so many bytes: ten a step, the first few for nothing.
pub(super) fn handling(bytes: f64) -> f64 {
    (bytes - 64.0).max(0.0) / 10.0
}

/// What a value takes: the bytes of its texts, and [`ITEM`] for everything else.
pub(super) fn weight(value: &dyn Val) -> f64 {
    if let Some(text) = value.downcast_ref::<CelString>() {
        text.len() as f64
    } else if let Some(list) = value.downcast_ref::<CelList>() {
        list.inner().iter().map(|item| ITEM + weight(item.as_ref())).sum()
    } else if let Some(map) = value.downcast_ref::<CelMap>() {
        map.inner().iter().map(|(key, value)| ITEM + weight(key.inner()) + weight(value.as_ref())).sum()
    } else if let Some(bytes) = value.downcast_ref::<CelBytes>() {
        bytes.inner().len() as f64
    } else if let Some(option) = value.downcast_ref::<CelOptional>() {
        ITEM + option.inner().map_or(0.0, weight)
    } else {
        ITEM
    }
}

/// What a call costs beside looking at its arguments, and what its result takes at most.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Cost {
    pub steps: f64,
    pub result: f64,
}

/// The cost of a call with arguments of these sizes, of which the first is what it is called on. Never less for larger
/// arguments, and of a shape that two halves never cost more than the whole.
pub(super) fn cost(function: &str, sizes: &[f64]) -> Cost {
    let all: f64 = sizes.iter().sum();
    let size = |n: usize| sizes.get(n).copied().unwrap_or(0.0);
    let items = size(0) / ITEM;
    let (steps, result) = match function {
        "replace" => (0.0, size(0) * (size(2) + 1.0) + size(2)),
        "join" => (0.0, size(0) + items * size(1)),
        "split" => (0.0, size(0) + (size(0) + 1.0) * ITEM),
        "format" => (0.0, 2.0 * all + (size(0) / 2.0 + 1.0) * 420.0),
        "strings.quote" => (0.0, 2.0 * all + 2.0),
        "indexOf" | "lastIndexOf" => (size(0) * size(1) / 80.0, ITEM),
        "distinct" => (items * items / 20.0, size(0)),
        "sort" | "@sortByAssociatedKeys" => (2.0 * all, size(0)),
        "string" | "bytes" => (0.0, all + 400.0),
        _ if is_question(function) => (0.0, ITEM),
        _ => (0.0, all + ITEM),
    };
    Cost { steps, result }
}

/// Whether a function's answer is a number or yes or no, whatever it is asked about.
fn is_question(function: &str) -> bool {
    matches!(
        function,
        "contains"
            | "startsWith"
            | "endsWith"
            | "size"
            | "int"
            | "double"
            | "uint"
            | "bool"
            | "timestamp"
            | "duration"
            | "type"
            | MATCHES
            | MATCHES_ANY
    ) || [
        operators::EQUALS,
        operators::NOT_EQUALS,
        operators::LESS,
        operators::LESS_EQUALS,
        operators::GREATER,
        operators::GREATER_EQUALS,
        operators::IN,
        super::dates::DAY_IN,
        super::dates::INSTANT_IN,
        super::dates::ORDER,
        super::dates::DATE,
        super::dates::DATETIME,
    ]
    .contains(&function)
}

/// What the result takes, where the arguments at hand tell it better than their sizes.
fn exactly(function: &str, args: &[CowVal<'_, '_>]) -> Option<f64> {
    let text = |n: usize| args.get(n)?.downcast_ref::<CelString>().map(CelString::inner);
    let number = |n: usize| args.get(n)?.downcast_ref::<CelInt>().map(|n| *n.inner());
    let at_most = |found: usize, limit: Option<i64>| match limit.map(usize::try_from) {
        Some(Ok(limit)) => found.min(limit),
        _ => found,
    };
    match function {
        "replace" => {
            let (whole, from, to) = (text(0)?, text(1)?, text(2)?);
            let found = at_most(whole.matches(from).count(), number(3)) as f64;
            Some(whole.len() as f64 + found * (to.len() as f64 - from.len() as f64))
        }
        "split" => {
            let (whole, between) = (text(0)?, text(1)?);
            let parts = at_most(whole.matches(between).count() + 1, number(2));
            Some(whole.len() as f64 + parts as f64 * ITEM)
        }
        "join" => {
            let list = args.first()?.downcast_ref::<CelList>()?;
            let items = list.inner().len() as f64;
            Some(weight(list) - items * ITEM + items * text(1).map_or(0.0, |t| t.len() as f64))
        }
        "lists.range" => Some(number(0)?.max(0) as f64 * ITEM),
        _ => None,
    }
}

/// Adds the functions that count.
pub(super) fn extension(env: &mut Env) -> Result<(), DeclarationError> {
    for arguments in 1..=ADMITTED {
        let mut types = vec![STRING_TYPE];
        types.extend(std::iter::repeat_with(|| DYN_TYPE).take(arguments));
        env.add_overload(ADMIT, &format!("admit_{arguments}"), types, admit)?;
    }
    env.add_overload(SEEN, "seen_any", vec![DYN_TYPE], seen)?;
    env.add_overload(ROUNDS, "rounds_of_any", vec![INT_TYPE, DYN_TYPE], rounds)?;
    env.add_overload(MATCHES, "matches_pattern", vec![STRING_TYPE, STRING_TYPE], matches)?;
    env.add_overload(MATCHES_ANY, "matches_any_pattern", vec![STRING_TYPE, STRING_TYPE], matches_any)
}

fn admit<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let Some((name, args)) = args.split_first() else { return Err(ExecutionError::invalid_argument_count(1, 0)) };
    let name = name.downcast_ref::<CelString>().map_or("", CelString::inner);
    let sizes: Vec<f64> = args.iter().map(|arg| weight(arg.as_ref())).collect();
    // Before what the arguments say is looked at, which costs as well.
    spend(1.0 + handling(sizes.iter().sum()))?;
    let cost = cost(name, &sizes);
    let result = exactly(name, args).unwrap_or(cost.result);
    if result > LARGEST {
        return Err(refused(Over::Size));
    }
    spend(cost.steps + handling(result))?;
    Ok(CowVal::owned(CelBool::from(true)))
}

fn seen<'b, 'v>(mut args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let Some(value) = args.pop() else { return Err(ExecutionError::invalid_argument_count(1, 0)) };
    let size = weight(value.as_ref());
    spend(1.0 + handling(size))?;
    if size > LARGEST { Err(refused(Over::Size)) } else { Ok(value) }
}

fn rounds<'b, 'v>(mut args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let (Some(list), Some(each)) = (args.pop(), args.pop()) else {
        return Err(ExecutionError::invalid_argument_count(2, 0));
    };
    let each = each.downcast_ref::<CelInt>().map_or(1, |each| *each.inner()) as f64;
    let items = list.as_sizer().map_or(0, |list| *list.size().inner()) as f64;
    spend(1.0 + items * each + handling(weight(list.as_ref())))?;
    Ok(list)
}

/// A compiled pattern, and what it may take on one character compared with a plain one.
struct Pattern {
    regex: Option<Regex>,
    effort: f64,
}

/// Bytes that a compiled pattern may take, and the effort that a character may then be.
const SIZES: [(usize, f64); 4] = [(10_000, 1.0), (100_000, 10.0), (1_000_000, 100.0), (10_000_000, 1_000.0)];

/// The longest pattern that is compiled.
const LONGEST_PATTERN: usize = 4_096;

/// How many patterns are kept compiled.
const KEPT: usize = 64;

/// The patterns in use, by their text.
static PATTERNS: LazyLock<Mutex<HashMap<String, Arc<Pattern>>>> = LazyLock::new(Mutex::default);

/// A pattern, kept for the next time where it stands in an expression or is small.
fn pattern(text: &str, is_constant: bool) -> Arc<Pattern> {
    let kept = || PATTERNS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = kept().get(text) {
        return Arc::clone(known);
    }
    let made = Arc::new(compiled(text));
    if is_constant || made.effort < SIZES[2].1 {
        let mut kept = kept();
        if kept.len() >= KEPT {
            kept.clear();
        }
        kept.insert(text.to_string(), Arc::clone(&made));
    }
    made
}

fn compiled(text: &str) -> Pattern {
    let refused = Pattern { regex: None, effort: SIZES[SIZES.len() - 1].1 };
    if text.len() > LONGEST_PATTERN {
        return refused;
    }
    SIZES
        .iter()
        .find_map(|(size, effort)| {
            let regex = RegexBuilder::new(text).size_limit(*size).build().ok()?;
            Some(Pattern { regex: Some(regex), effort: *effort })
        })
        .unwrap_or(refused)
}

/// Whether this is a pattern that can be used; how it is not, if not.
pub(super) fn judge_pattern(text: &str) -> Result<(), String> {
    if text.len() > LONGEST_PATTERN {
        return Err(format!("the pattern of matches() has {} bytes, and {LONGEST_PATTERN} are admitted", text.len()));
    }
    match RegexBuilder::new(text).size_limit(SIZES[SIZES.len() - 1].0).build() {
        Ok(_) => Ok(()),
        Err(regex::Error::CompiledTooBig(_)) => {
            Err("the pattern of matches() takes more than 10 MB when it is compiled: repeat less".into())
        }
        Err(_) => Err("the pattern of matches() is not a regular expression".into()),
    }
}

/// How much more than a plain pattern this one may take a character; for one that is not known yet, the most.
pub(super) fn effort(literal: Option<&str>) -> f64 {
    literal.map_or(SIZES[SIZES.len() - 1].1, |text| pattern(text, true).effort)
}

/// What compiling a pattern costs, for each unit of its effort.
pub(super) const COMPILING: f64 = 1_000.0;

fn matches<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    matching(&args, true)
}

fn matches_any<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    matching(&args, false)
}

fn matching<'b, 'v>(args: &[CowVal<'b, 'v>], is_constant: bool) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let text = |n: usize| args.get(n).and_then(|arg| arg.downcast_ref::<CelString>()).map(CelString::inner);
    let (Some(text), Some(wanted)) = (text(0), text(1)) else {
        return Err(ExecutionError::invalid_argument_count(2, args.len()));
    };
    // Charged whether it was kept or not: what a record costs does not depend on the records before it.
    let pattern = pattern(wanted, is_constant);
    let compiling = if is_constant { 0.0 } else { COMPILING };
    spend((compiling + handling(text.len() as f64)) * pattern.effort)?;
    let Some(regex) = &pattern.regex else {
        return Err(ExecutionError::function_error("matches", "no regular expression"));
    };
    Ok(CowVal::owned(CelBool::from(regex.is_match(text))))
}

/// Whether a call is left as it is: it does nothing that grows with its arguments, and is a step of its loop.
pub(super) fn is_plain(function: &str) -> bool {
    static PLAIN: LazyLock<[&str; 13]> = LazyLock::new(|| {
        [
            operators::CONDITIONAL,
            operators::LOGICAL_AND,
            operators::LOGICAL_OR,
            operators::LOGICAL_NOT,
            operators::NOT_STRICTLY_FALSE,
            operators::NEGATE,
            operators::INDEX,
            operators::OPT_INDEX,
            operators::OPT_SELECT,
            operators::SUBSTRACT,
            operators::MULTIPLY,
            operators::DIVIDE,
            operators::MODULO,
        ]
    });
    PLAIN.contains(&function)
}

/// Whether a call looks at its arguments once, and gives nothing larger than they are.
pub(super) fn is_linear(function: &str) -> bool {
    is_question(function)
        || function.starts_with("math.")
        || function.starts_with("get")
        || matches!(
            function,
            "trim"
                | "lowerAscii"
                | "upperAscii"
                | "substring"
                | "charAt"
                | "slice"
                | "reverse"
                | "flatten"
                | super::dates::DAY
        )
}

#[cfg(test)]
mod tests;

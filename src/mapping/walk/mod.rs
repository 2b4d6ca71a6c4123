//! One walk over the tree of a CEL expression: which columns it refers to, and whether every function exists.
//!
//! The walk also turns `row["First Name"]` into a variable of its own, so that evaluation needs no map of the row, has
//! whatever is compared with a date or a time checked for being one, see [`super::dates`], and lets `matches` keep its compiled
//! patterns, see [`super::meter`].

mod names;
mod times;

pub(super) use names::CONDITION;

use std::collections::BTreeSet;

use cel::IdedExpr;
use cel::common::ast::{CallExpr, EntryExpr, Expr, IdedEntryExpr, LiteralValue, operators};
use cel::common::types::CelString;

use self::names::exists;
use self::times::Temporal;
use super::expression::{Problem, TimeUse};
use super::meter::{self, MATCHES, MATCHES_ANY};

/// What variables made from `row[…]` begin with; no identifier in source text can.
pub(super) const ROW_PREFIX: &str = "@row:";

/// The operators that compare.
const COMPARISONS: [&str; 6] = [
    operators::LESS,
    operators::LESS_EQUALS,
    operators::GREATER,
    operators::GREATER_EQUALS,
    operators::EQUALS,
    operators::NOT_EQUALS,
];

/// Identifiers that are CEL's types, not columns. `type` is left out: it is a likely name of a column.
const TYPES: [&str; 9] = ["bool", "bytes", "double", "google", "int", "list", "map", "string", "uint"];

/// What the walk found.
#[derive(Default)]
pub(super) struct Facts {
    pub columns: BTreeSet<String>,
    /// The constant texts.
    pub texts: BTreeSet<String>,
    /// Functions that are called on a constant text, or comparisons of one: the text.
    asked_of_constants: Vec<String>,
    /// What it asks of the time of the run.
    pub uses: TimeUse,
    pub problems: Vec<Problem>,
}

/// Walks the tree, and rewrites `row[…]` and comparisons with `today` in it.
pub(super) fn inspect(tree: &mut IdedExpr) -> Facts {
    let mut walk = Walk { facts: Facts::default(), locals: Vec::new() };
    walk.node(tree);
    let mut facts = walk.facts;
    // Where there is no column at all, a text that something is asked about was meant to be one.
    if let (true, false, Some(text)) =
        (facts.columns.is_empty(), facts.uses != TimeUse::default(), facts.asked_of_constants.first())
    {
        let message = format!("the expression asks about the constant text {text:?}, and refers to no column");
        let help = format!("the column of that name is row[{text:?}]; a constant is written {{ value = … }}");
        facts.problems.push(Problem::new(message).help(help));
    }
    facts
}

struct Walk {
    facts: Facts,
    /// The variables that the comprehensions around this node have declared.
    locals: Vec<Local>,
}

/// A variable of a comprehension.
struct Local {
    name: String,
    /// What it may be.
    kind: Temporal,
}

impl Walk {
    fn node(&mut self, node: &mut IdedExpr) {
        if let Some(column) = self.row_access(&node.expr) {
            node.expr = Expr::Ident(format!("{ROW_PREFIX}{column}"));
            self.facts.columns.insert(column);
            return;
        }
        match &mut node.expr {
            Expr::Literal(LiteralValue::String(text)) => {
                self.facts.texts.insert(text.inner().to_string());
            }
            Expr::Unspecified | Expr::Literal(_) => {}
            Expr::Ident(name) => self.variable(&[name.trim_start_matches('.')]),
            Expr::Select(select) => {
                if select.test {
                    return self.presence_test(&mut select.operand);
                }
                let mut path = match path_of(&select.operand.expr) {
                    Some(path) => path,
                    None => return self.node(&mut select.operand),
                };
                path.push(&select.field);
                self.variable(&path);
            }
            Expr::Call(call) => self.call(call),
            Expr::List(list) => self.nodes(&mut list.elements),
            Expr::Map(map) => self.entries(&mut map.entries),
            Expr::Struct(made) => {
                self.problem(Problem::new(format!("{} is not a type that can be made here", made.type_name)));
            }
            Expr::Comprehension(comprehension) => {
                let (ranges, begins) =
                    (self.temporal(&comprehension.iter_range), self.temporal(&comprehension.accu_init));
                self.node(&mut comprehension.iter_range);
                self.node(&mut comprehension.accu_init);
                let before = self.locals.len();
                self.locals.push(Local { name: comprehension.accu_var.clone(), kind: begins });
                self.node(&mut comprehension.result);
                self.locals.push(Local { name: comprehension.iter_var.clone(), kind: ranges });
                self.locals.extend(comprehension.iter_var2.clone().map(|name| Local { name, kind: ranges }));
                self.node(&mut comprehension.loop_cond);
                self.node(&mut comprehension.loop_step);
                self.locals.truncate(before);
            }
        }
    }

    fn nodes(&mut self, nodes: &mut [IdedExpr]) {
        nodes.iter_mut().for_each(|node| self.node(node));
    }

    fn entries(&mut self, entries: &mut [IdedEntryExpr]) {
        for entry in entries {
            match &mut entry.expr {
                EntryExpr::StructField(field) => self.node(&mut field.value),
                EntryExpr::MapEntry(entry) => {
                    self.node(&mut entry.key);
                    self.node(&mut entry.value);
                }
            }
        }
    }

    /// A name that stands alone or is dotted: a local variable, the date or the time, a type, or a column.
    fn variable(&mut self, path: &[&str]) {
        let root = path.first().copied().unwrap_or_default();
        if root.starts_with('@') || self.is_local(root) {
            return;
        }
        match (root, path.len()) {
            ("today", 1) => self.facts.uses.today = true,
            ("now", 1) => self.facts.uses.now = true,
            ("row", 1) => self
                .problem(Problem::new("row can't be used as a whole").help("name a column of it: row[\"First Name\"]")),
            (name, _) if TYPES.contains(&name) => {}
            _ => {
                self.facts.columns.insert(path.join("."));
            }
        }
    }

    /// The column that `row["…"]` or `row.…` names.
    fn row_access(&self, expr: &Expr) -> Option<String> {
        if self.is_local("row") {
            return None;
        }
        let is_row = |e: &IdedExpr| matches!(&e.expr, Expr::Ident(name) if name == "row");
        match expr {
            Expr::Call(call) if call.func_name == operators::INDEX && call.args.len() == 2 && is_row(&call.args[0]) => {
                match &call.args[1].expr {
                    Expr::Literal(LiteralValue::String(name)) => Some(name.inner().to_string()),
                    _ => None,
                }
            }
            Expr::Select(select) if !select.test => {
                let path = path_of(&select.operand.expr)?;
                let (root, rest) = path.split_first()?;
                (*root == "row")
                    .then(|| rest.iter().copied().chain([select.field.as_str()]).collect::<Vec<_>>().join("."))
            }
            _ => None,
        }
    }

    /// `has(a.b)`: useful on what is nested in a cell only, since columns are always there.
    fn presence_test(&mut self, operand: &mut IdedExpr) {
        if path_of(&operand.expr).is_some_and(|path| !self.is_local(path[0])) {
            self.problem(
                Problem::new("has() is of no use on a column, which every record has")
                    .help("ask whether it is filled: email != \"\""),
            );
            return;
        }
        self.node(operand);
    }

    fn call(&mut self, call: &mut CallExpr) {
        if call.func_name == operators::INDEX && matches!(&call.args[0].expr, Expr::Ident(name) if name == "row") {
            self.problem(
                Problem::new("row[…] takes the name of a column as a literal text").help("e.g. row[\"First Name\"]"),
            );
            return;
        }
        self.note_constant(call);
        self.keep_pattern(call);
        if call.target.is_none() && call.args.len() == 2 {
            let kind = call.args.iter().map(|side| self.temporal(side)).max().unwrap_or_default();
            if kind != Temporal::Neither && COMPARISONS.contains(&call.func_name.as_str()) {
                return self.comparison(call, kind);
            }
            if kind != Temporal::Neither && call.func_name == operators::IN {
                return self.membership(call, kind);
            }
        }
        if call.target.is_none() && matches!(call.func_name.as_str(), "date" | "datetime") {
            return self.parsed(call);
        }
        let qualified = call.target.as_ref().and_then(|t| path_of(&t.expr)).map(|p| p.join("."));
        let qualified = qualified.map(|path| format!("{path}.{}", call.func_name));
        match (&mut call.target, qualified) {
            (Some(_), Some(name)) if exists(&name, call.args.len(), false) => {}
            (Some(_), Some(name))
                if ["math", "lists", "strings"].iter().any(|n| name.starts_with(&format!("{n}."))) =>
            {
                self.problem(names::unknown_function(&name));
            }
            (Some(target), _) => {
                self.node(target);
                if !exists(&call.func_name, call.args.len(), true) {
                    self.problem(names::unknown_function(&call.func_name));
                }
            }
            (None, _) => {
                if !exists(&call.func_name, call.args.len(), false) {
                    self.problem(names::unknown_function(&call.func_name));
                }
            }
        }
        self.nodes(&mut call.args);
    }

    /// Notes a constant text of which something is asked: `"Work Email".trim()`. A format is one by nature.
    fn note_constant(&mut self, call: &CallExpr) {
        let asked = match &call.target {
            Some(target) if call.func_name != "format" => Some(&**target),
            None if COMPARISONS.contains(&call.func_name.as_str()) => call.args.first(),
            _ => None,
        };
        if let Some(Expr::Literal(LiteralValue::String(text))) = asked.map(|asked| &asked.expr)
            && !text.inner().is_empty()
        {
            self.facts.asked_of_constants.push(text.inner().to_string());
        }
    }

    /// A literal pattern that is no regular expression would fail on every record: better here. `matches` becomes ours.
    fn keep_pattern(&mut self, call: &mut CallExpr) {
        if call.func_name != "matches" || call.args.len() + usize::from(call.target.is_some()) != 2 {
            return;
        }
        call.func_name = MATCHES_ANY.into();
        if let Some(Expr::Literal(LiteralValue::String(pattern))) = call.args.last().map(|a| &a.expr) {
            call.func_name = MATCHES.into();
            if let Err(fault) = meter::judge_pattern(pattern.inner()) {
                self.problem(Problem::new(fault));
            }
        }
        if let Some(target) = call.target.take() {
            call.args.insert(0, *target);
        }
    }

    /// The column that an expression is, if it is one.
    fn column_of(&self, expr: &Expr) -> String {
        if let Some(column) = self.row_access(expr) {
            return column;
        }
        // A column stays one whatever is trimmed off it.
        if let Expr::Call(CallExpr { func_name, target: Some(target), args }) = expr
            && func_name == "trim"
            && args.is_empty()
        {
            return self.column_of(&target.expr);
        }
        let path = path_of(expr).filter(|path| !self.is_local(path[0]) && *path != ["today"] && *path != ["now"]);
        path.map(|path| path.join(".")).unwrap_or_default()
    }

    fn is_local(&self, name: &str) -> bool {
        self.locals.iter().any(|local| local.name == name)
    }

    fn problem(&mut self, problem: Problem) {
        self.facts.problems.push(problem);
    }
}

/// The segments of a name such as `a.b.c`; none for any other expression.
pub(super) fn path_of(expr: &Expr) -> Option<Vec<&str>> {
    match expr {
        Expr::Ident(name) => Some(vec![name.trim_start_matches('.')]),
        Expr::Select(select) if !select.test => {
            let mut path = path_of(&select.operand.expr)?;
            path.push(&select.field);
            Some(path)
        }
        _ => None,
    }
}

/// The name of the function that a call such as `math.least(a, b)` calls, in which `math` is no value. Only of what was
/// inspected.
pub(super) fn qualified(call: &CallExpr) -> Option<String> {
    let Expr::Ident(space) = &call.target.as_ref()?.expr else { return None };
    let name = format!("{space}.{}", call.func_name);
    let is_function = match space.as_str() {
        "math" | "lists" | "strings" => true,
        "optional" => exists(&name, call.args.len(), false),
        _ => false,
    };
    is_function.then_some(name)
}

/// Puts something around a node.
fn wrap(node: &mut IdedExpr, around: impl FnOnce(Expr) -> Expr) {
    let inner = std::mem::replace(&mut node.expr, Expr::Unspecified);
    node.expr = around(inner);
}

pub(super) fn literal(text: &str) -> Expr {
    Expr::Literal(LiteralValue::String(CelString::from(text.to_string())))
}

pub(super) fn call_on(function: &str, target: Option<Expr>, args: Vec<Expr>) -> IdedExpr {
    let node = |expr| IdedExpr { id: 0, expr };
    node(Expr::Call(CallExpr {
        func_name: function.to_string(),
        target: target.map(|t| Box::new(node(t))),
        args: args.into_iter().map(node).collect(),
    }))
}

/// How many levels a tree has.
pub(super) fn levels(tree: &IdedExpr) -> usize {
    let deepest = |trees: &[IdedExpr]| trees.iter().map(levels).max().unwrap_or(0);
    1 + match &tree.expr {
        Expr::Unspecified | Expr::Literal(_) | Expr::Ident(_) => 0,
        Expr::Select(select) => levels(&select.operand),
        Expr::Call(call) => deepest(&call.args).max(call.target.as_ref().map_or(0, |target| levels(target))),
        Expr::List(list) => deepest(&list.elements),
        Expr::Map(map) => entry_levels(&map.entries),
        Expr::Struct(made) => entry_levels(&made.entries),
        Expr::Comprehension(inner) => {
            [&inner.iter_range, &inner.accu_init, &inner.loop_cond, &inner.loop_step, &inner.result]
                .into_iter()
                .map(levels)
                .max()
                .unwrap_or(0)
        }
    }
}

fn entry_levels(entries: &[IdedEntryExpr]) -> usize {
    let of = |entry: &IdedEntryExpr| match &entry.expr {
        EntryExpr::StructField(field) => levels(&field.value),
        EntryExpr::MapEntry(entry) => levels(&entry.key).max(levels(&entry.value)),
    };
    entries.iter().map(of).max().unwrap_or(0)
}

//! An expression as it is evaluated where its inputs are large: every call that may take long or make much asks first.
//!
//! What a call's arguments are is only known when they are there, so a call that may grow is rewritten to bind its
//! arguments, to have [`super::meter`] admit them, and only then to run: `a.replace(b, c)` becomes, in the terms of the
//! language, `bind(x, a, bind(y, b, bind(z, c, admitted("replace", x, y, z) ? x.replace(y, z) : null)))`. Loops are paid
//! for before they begin. The tree as it was written stays beside it, for inputs that can't exceed anything, see
//! [`super::weigh`].

use cel::IdedExpr;
use cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, ListExpr, LiteralValue, operators};

use super::meter::{ADMIT, ADMITTED, ROUNDS, SEEN, is_linear, is_plain};
use super::walk::{call_on, literal, path_of, qualified};

/// The guarded form of a tree.
pub(super) fn guarded(tree: &IdedExpr) -> IdedExpr {
    let mut tree = tree.clone();
    node(&mut tree);
    tree
}

fn node(tree: &mut IdedExpr) {
    match &mut tree.expr {
        Expr::Unspecified | Expr::Literal(_) | Expr::Ident(_) | Expr::Struct(_) => {}
        Expr::Select(select) => {
            if path_of(&select.operand.expr).is_none() {
                node(&mut select.operand);
            }
        }
        Expr::List(list) => list.elements.iter_mut().for_each(counted),
        Expr::Map(map) => {
            for entry in &mut map.entries {
                match &mut entry.expr {
                    EntryExpr::StructField(field) => counted(&mut field.value),
                    EntryExpr::MapEntry(entry) => {
                        counted(&mut entry.key);
                        counted(&mut entry.value);
                    }
                }
            }
        }
        Expr::Comprehension(comprehension) => looped(comprehension),
        Expr::Call(_) => called(tree),
    }
}

/// Guards a node, and has its value counted; a constant is as large as it is written.
fn counted(tree: &mut IdedExpr) {
    node(tree);
    if !matches!(tree.expr, Expr::Literal(_)) {
        around(tree, |inner| call_on(SEEN, None, vec![inner]).expr);
    }
}

fn called(tree: &mut IdedExpr) {
    let Expr::Call(call) = &mut tree.expr else { return };
    let name = qualified(call);
    let function = name.clone().unwrap_or_else(|| call.func_name.clone());
    let of_values = name.is_none();
    if is_plain(&function) {
        call.args.iter_mut().for_each(node);
    } else if is_linear(&function) {
        call.args.iter_mut().for_each(counted);
        if let (true, Some(target)) = (of_values, &mut call.target) {
            counted(target);
        }
    } else {
        call.args.iter_mut().for_each(node);
        if let (true, Some(target)) = (of_values, &mut call.target) {
            node(target);
        }
        admitted(tree, &function, of_values);
    }
}

/// Binds the arguments of a call, and has them admitted before it runs.
fn admitted(tree: &mut IdedExpr, function: &str, of_values: bool) {
    let Expr::Call(call) = &mut tree.expr else { return };
    let mut bound = Vec::new();
    let mut asked = vec![literal(function)];
    let target = call.target.as_deref_mut().filter(|_| of_values);
    for argument in target.into_iter().chain(&mut call.args) {
        if !matches!(argument.expr, Expr::Literal(_)) {
            let name = format!("@g{}", bound.len());
            let value = std::mem::replace(&mut argument.expr, Expr::Ident(name.clone()));
            bound.push((name, value));
        }
        asked.push(argument.expr.clone());
    }
    if asked.len() - 1 <= ADMITTED {
        around(tree, |inner| {
            let asks = call_on(ADMIT, None, asked).expr;
            let result = call_on(SEEN, None, vec![inner]).expr;
            call_on(operators::CONDITIONAL, None, vec![asks, result, Expr::Literal(LiteralValue::Null)]).expr
        });
    } else {
        around(tree, |inner| call_on(SEEN, None, vec![inner]).expr);
    }
    for (name, value) in bound.into_iter().rev() {
        around(tree, |inner| bind(name, value, inner));
    }
}

/// A loop over nothing whose result is evaluated where the name holds the value, as `cel.bind` is.
fn bind(name: String, value: Expr, result: Expr) -> Expr {
    let plain = |expr| IdedExpr { id: 0, expr };
    Expr::Comprehension(Box::new(ComprehensionExpr {
        iter_range: plain(Expr::List(ListExpr::new(Vec::new()))),
        iter_var: "#unused".into(),
        iter_var2: None,
        accu_init: plain(value),
        loop_cond: plain(Expr::Literal(LiteralValue::Boolean(false.into()))),
        loop_step: plain(Expr::Ident(name.clone())),
        accu_var: name,
        result: plain(result),
    }))
}

fn looped(comprehension: &mut ComprehensionExpr) {
    node(&mut comprehension.accu_init);
    if runs_once(comprehension) {
        return node(&mut comprehension.result);
    }
    node(&mut comprehension.iter_range);
    let each = i64::try_from(rounds(comprehension)).unwrap_or(i64::MAX);
    around(&mut comprehension.iter_range, |list| {
        call_on(ROUNDS, None, vec![Expr::Literal(LiteralValue::Int(each.into())), list]).expr
    });
    step(&mut comprehension.loop_step, &comprehension.accu_var);
}

/// Guards what a loop does with an item. What it does with what it has made so far keeps its form, by which the library
/// knows that it can append to a list in place; that is paid for item by item.
fn step(tree: &mut IdedExpr, accumulated: &str) {
    let is_accumulated = |expr: &Expr| matches!(expr, Expr::Ident(name) if name == accumulated);
    match &mut tree.expr {
        Expr::Call(call) if call.func_name == operators::ADD && is_accumulated(&call.args[0].expr) => {
            node(&mut call.args[1]);
        }
        Expr::Call(call) if call.func_name == operators::CONDITIONAL && call.args.len() == 3 => {
            node(&mut call.args[0]);
            call.args.iter_mut().skip(1).for_each(|branch| step(branch, accumulated));
        }
        _ => node(tree),
    }
}

/// Whether a comprehension is a `bind`: over an empty list, it runs nothing repeatedly.
pub(super) fn runs_once(comprehension: &ComprehensionExpr) -> bool {
    matches!(&comprehension.iter_range.expr, Expr::List(list) if list.elements.is_empty())
}

/// The steps of one round of a loop, beside those of the calls that pay for themselves: what is plain in its body, and
/// not in a loop within it.
pub(super) fn rounds(comprehension: &ComprehensionExpr) -> u64 {
    1 + plain(&comprehension.loop_step) + plain(&comprehension.loop_cond) / 2
}

fn plain(tree: &IdedExpr) -> u64 {
    match &tree.expr {
        Expr::Unspecified | Expr::Literal(_) | Expr::Ident(_) | Expr::Struct(_) => 0,
        Expr::Select(select) => plain(&select.operand),
        Expr::List(list) => list.elements.iter().map(|item| 1 + plain(item)).sum(),
        Expr::Map(map) => {
            let entries = map.entries.iter().map(|entry| match &entry.expr {
                EntryExpr::StructField(field) => 1 + plain(&field.value),
                EntryExpr::MapEntry(entry) => 2 + plain(&entry.key) + plain(&entry.value),
            });
            entries.sum()
        }
        Expr::Call(CallExpr { func_name, target, args }) => {
            let own = u64::from(is_plain(func_name));
            own + target.iter().map(|t| plain(t)).sum::<u64>() + args.iter().map(plain).sum::<u64>()
        }
        Expr::Comprehension(inner) => plain(&inner.iter_range) + plain(&inner.accu_init) + 1,
    }
}

/// Puts something around a node.
fn around(tree: &mut IdedExpr, wrap: impl FnOnce(Expr) -> Expr) {
    let inner = std::mem::replace(&mut tree.expr, Expr::Unspecified);
    tree.expr = wrap(inner);
}

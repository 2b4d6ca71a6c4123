//! How large the inputs of an expression may be so that nothing in it can exceed the budget: told from the tree alone.
//!
//! Most records are small and most expressions plain. Where no input of so many bytes can make an evaluation take too
//! many steps or make too large a value, it is evaluated as it was written, and nothing is counted.
//!
//! The bound of a loop over items that are `R` bytes in all: a cost never falls with size, and two halves never cost more
//! than the whole, so that one item of `R` bytes and all the others of none is the worst division.

use cel::IdedExpr;
use cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, LiteralValue};

use super::guard::{rounds, runs_once};
use super::meter::{COMPILING, Cost, ITEM, LARGEST, MATCHES, MATCHES_ANY, STEPS, cost, effort, handling, is_plain};
use super::walk::{path_of, qualified};

/// Sizes that are tried, from small to large.
const TRIED: [u32; 10] = [32, 128, 512, 1_024, 4_096, 16_384, 65_536, 131_072, 262_144, 524_288];

/// Loops within loops up to which a tree is weighed: each is weighed twice.
const LOOPS: usize = 4;

/// The size of all inputs up to which an evaluation needs no counting; none: it always does.
pub(super) fn harmless_up_to(tree: &IdedExpr) -> Option<u64> {
    let fits = |size: &&u32| {
        let mut weigh = Weigh { cell: f64::from(**size), locals: Vec::new(), steps: 0.0, loops: 0, fits: true };
        weigh.node(tree);
        weigh.fits && weigh.steps <= STEPS
    };
    TRIED.iter().take_while(fits).last().map(|size| u64::from(*size))
}

struct Weigh<'t> {
    cell: f64,
    locals: Vec<(&'t str, f64)>,
    steps: f64,
    loops: usize,
    fits: bool,
}

impl<'t> Weigh<'t> {
    /// The size of a node's value at most.
    fn node(&mut self, tree: &'t IdedExpr) -> f64 {
        let size = match &tree.expr {
            Expr::Unspecified | Expr::Struct(_) => ITEM,
            Expr::Literal(LiteralValue::String(text)) => text.inner().len() as f64,
            Expr::Literal(LiteralValue::Bytes(bytes)) => bytes.inner().len() as f64,
            Expr::Literal(_) => ITEM,
            Expr::Ident(name) => self.named(name),
            Expr::Select(select) => match path_of(&tree.expr) {
                Some(path) => self.named(path[0]),
                None => self.node(&select.operand),
            },
            Expr::List(list) => {
                let items = list.elements.iter().map(|item| ITEM + self.item(item));
                items.sum()
            }
            Expr::Map(map) => {
                let mut size = 0.0;
                for entry in &map.entries {
                    size += ITEM
                        + match &entry.expr {
                            EntryExpr::StructField(field) => self.item(&field.value),
                            EntryExpr::MapEntry(entry) => self.item(&entry.key) + self.item(&entry.value),
                        };
                }
                size
            }
            Expr::Call(call) => self.call(call),
            Expr::Comprehension(comprehension) => self.looped(comprehension),
        };
        self.fits &= size <= LARGEST;
        size
    }

    fn named(&self, name: &str) -> f64 {
        let local = self.locals.iter().rev().find(|(local, _)| *local == name);
        local.map_or(self.cell + ITEM, |(_, size)| *size)
    }

    fn item(&mut self, tree: &'t IdedExpr) -> f64 {
        let size = self.node(tree);
        self.steps += 1.0 + handling(size);
        size
    }

    fn call(&mut self, call: &'t CallExpr) -> f64 {
        let name = qualified(call);
        let mut sizes = Vec::with_capacity(call.args.len() + 1);
        if let (None, Some(target)) = (&name, &call.target) {
            sizes.push(self.node(target));
        }
        for argument in &call.args {
            sizes.push(self.node(argument));
        }
        let function = name.as_deref().unwrap_or(&call.func_name);
        if is_plain(function) {
            self.steps += 1.0;
            return sizes.iter().copied().fold(ITEM, f64::max);
        }
        let all: f64 = sizes.iter().sum();
        let Cost { steps, result } = match function {
            "lists.range" => Cost { steps: 0.0, result: range(call) },
            MATCHES => Cost { steps: handling(all) * effort(text(call.args.last())), result: ITEM },
            MATCHES_ANY => Cost { steps: (COMPILING + handling(all)) * effort(None), result: ITEM },
            _ => cost(function, &sizes),
        };
        let looked = sizes.iter().map(|size| 1.0 + handling(*size)).sum::<f64>().max(1.0 + handling(all));
        self.steps += looked + steps + 1.0 + handling(result);
        result
    }

    fn looped(&mut self, comprehension: &'t ComprehensionExpr) -> f64 {
        let begins = self.node(&comprehension.accu_init);
        let made: &str = &comprehension.accu_var;
        if runs_once(comprehension) {
            return self.within(made, begins, |weigh| weigh.node(&comprehension.result));
        }
        let over = self.node(&comprehension.iter_range);
        let items = (over / ITEM).max(1.0);
        self.steps += 1.0 + items * rounds(comprehension) as f64 + handling(over);
        if self.loops >= LOOPS {
            self.fits = false;
            return ITEM;
        }
        self.loops += 1;
        let is_list = matches!(comprehension.accu_init.expr, Expr::List(_));
        let so_far = if is_list { 0.0 } else { ITEM };
        let (most, most_steps) = self.round(comprehension, so_far, over);
        let (least, least_steps) = self.round(comprehension, so_far, 0.0);
        self.loops -= 1;
        self.steps += most_steps + (items - 1.0) * least_steps;
        let result = if is_list { most + (items - 1.0) * least } else { most };
        self.within(made, result, |weigh| weigh.node(&comprehension.result))
    }

    /// One round with an item of this size: the size of what it makes, and its steps.
    fn round(&mut self, comprehension: &'t ComprehensionExpr, so_far: f64, item: f64) -> (f64, f64) {
        let before = std::mem::replace(&mut self.steps, 0.0);
        let known = self.locals.len();
        self.locals.push((&comprehension.accu_var, so_far));
        self.locals.push((&comprehension.iter_var, item));
        self.locals.extend(comprehension.iter_var2.as_deref().map(|name| (name, item)));
        self.node(&comprehension.loop_cond);
        let size = self.node(&comprehension.loop_step);
        self.locals.truncate(known);
        (size, std::mem::replace(&mut self.steps, before))
    }

    fn within(&mut self, name: &'t str, size: f64, look: impl FnOnce(&mut Self) -> f64) -> f64 {
        self.locals.push((name, size));
        let size = look(self);
        self.locals.pop();
        size
    }
}

/// What `lists.range` makes: of a constant, so much; of anything else there is no telling.
fn range(call: &CallExpr) -> f64 {
    match call.args.first().map(|argument| &argument.expr) {
        Some(Expr::Literal(LiteralValue::Int(number))) => (*number.inner()).max(0) as f64 * ITEM,
        _ => f64::INFINITY,
    }
}

fn text(argument: Option<&IdedExpr>) -> Option<&str> {
    match argument.map(|argument| &argument.expr) {
        Some(Expr::Literal(LiteralValue::String(text))) => Some(text.inner()),
        _ => None,
    }
}

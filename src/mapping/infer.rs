//! What an expression gives, as far as its tree tells: a text, a number, yes or no. What can't come out right on any
//! record is told before there is one.

use cel::IdedExpr;
use cel::common::ast::{CallExpr, Expr, LiteralValue, operators};

use super::dates::{DATE, DATETIME, DAY, DAY_IN, INSTANT_IN, ORDER};
use super::expression::Problem;
use super::guard::runs_once;
use super::meter::{MATCHES, MATCHES_ANY};
use super::walk::{ROW_PREFIX, path_of, qualified};

/// What kind of value an expression gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueKind {
    /// A text.
    Text,
    /// A number.
    Number,
    /// True or false.
    Truth,
    /// A date with a time.
    Time,
    /// A list or a map.
    Several,
    /// There is no telling.
    Unknown,
}

impl ValueKind {
    /// In words.
    pub fn named(self) -> &'static str {
        match self {
            ValueKind::Text => "a text",
            ValueKind::Number => "a number",
            ValueKind::Truth => "true or false",
            ValueKind::Time => "a time",
            ValueKind::Several => "a list or a map",
            ValueKind::Unknown => "anything",
        }
    }
}

/// The comparisons, as they are written.
const COMPARED: [(&str, &str); 7] = [
    (operators::EQUALS, "=="),
    (operators::NOT_EQUALS, "!="),
    (operators::LESS, "<"),
    (operators::LESS_EQUALS, "<="),
    (operators::GREATER, ">"),
    (operators::GREATER_EQUALS, ">="),
    (operators::IN, "in"),
];

/// What is found about an inspected tree. `all_text`: every column of the source is a text.
pub(super) fn infer(tree: &IdedExpr, all_text: bool) -> (ValueKind, Vec<Problem>) {
    let mut infer = Infer { all_text, problems: Vec::new(), locals: Vec::new() };
    let gives = infer.node(tree);
    (gives, infer.problems)
}

struct Infer<'t> {
    all_text: bool,
    problems: Vec<Problem>,
    locals: Vec<&'t str>,
}

impl<'t> Infer<'t> {
    fn node(&mut self, tree: &'t IdedExpr) -> ValueKind {
        match &tree.expr {
            Expr::Literal(LiteralValue::String(_)) => ValueKind::Text,
            Expr::Literal(LiteralValue::Int(_) | LiteralValue::UInt(_) | LiteralValue::Double(_)) => ValueKind::Number,
            Expr::Literal(LiteralValue::Boolean(_)) => ValueKind::Truth,
            Expr::Literal(_) | Expr::Unspecified | Expr::Struct(_) => ValueKind::Unknown,
            Expr::Ident(_) => self.column(&tree.expr),
            Expr::Select(select) if select.test => ValueKind::Truth,
            Expr::Select(select) => match path_of(&tree.expr) {
                Some(_) => self.column(&tree.expr),
                None => {
                    self.node(&select.operand);
                    ValueKind::Unknown
                }
            },
            Expr::List(list) => {
                for item in &list.elements {
                    self.node(item);
                }
                ValueKind::Several
            }
            Expr::Map(_) => ValueKind::Several,
            Expr::Call(call) => self.call(call),
            Expr::Comprehension(inner) => {
                self.node(&inner.accu_init);
                self.node(&inner.iter_range);
                let known = self.locals.len();
                self.locals.push(&inner.accu_var);
                let mut gives = self.node(&inner.result);
                self.locals.push(&inner.iter_var);
                self.locals.extend(inner.iter_var2.as_deref());
                self.node(&inner.loop_step);
                self.locals.truncate(known);
                if !runs_once(inner) && gives == ValueKind::Unknown {
                    gives = match &inner.accu_init.expr {
                        Expr::Literal(LiteralValue::Boolean(_)) => ValueKind::Truth,
                        Expr::List(_) => ValueKind::Several,
                        _ => ValueKind::Unknown,
                    };
                }
                gives
            }
        }
    }

    /// A column, the date, or a variable of a loop, of which nothing is known.
    fn column(&self, expr: &Expr) -> ValueKind {
        let root = path_of(expr).map(|path| path[0]).unwrap_or_default();
        match root {
            "today" => ValueKind::Text,
            "now" => ValueKind::Time,
            _ if self.locals.contains(&root) || (root.starts_with('@') && !root.starts_with(ROW_PREFIX)) => {
                ValueKind::Unknown
            }
            _ if self.all_text => ValueKind::Text,
            _ => ValueKind::Unknown,
        }
    }

    fn call(&mut self, call: &'t CallExpr) -> ValueKind {
        let name = qualified(call);
        let mut sides = Vec::new();
        if let (None, Some(target)) = (&name, &call.target) {
            sides.push(self.node(target));
        }
        for argument in &call.args {
            sides.push(self.node(argument));
        }
        let function = name.as_deref().unwrap_or(&call.func_name);
        if let Some((_, operator)) = COMPARED.iter().find(|(name, _)| *name == function) {
            self.compared(call, operator, &sides);
            self.compared_with_null(call, operator, &sides);
            return ValueKind::Truth;
        }
        if function == operators::ADD {
            self.joined(call, &sides);
        }
        match function {
            operators::CONDITIONAL if sides.get(1) == sides.get(2) => sides[1],
            operators::ADD if sides.first() == sides.get(1) => sides[0],
            operators::LOGICAL_AND
            | operators::LOGICAL_OR
            | operators::LOGICAL_NOT
            | DAY_IN
            | INSTANT_IN
            | MATCHES
            | MATCHES_ANY => ValueKind::Truth,
            "contains" | "startsWith" | "endsWith" | "bool" => ValueKind::Truth,
            DATETIME | "timestamp" => ValueKind::Time,
            operators::SUBSTRACT | operators::MULTIPLY | operators::DIVIDE | operators::MODULO
                if sides.contains(&ValueKind::Number) =>
            {
                ValueKind::Number
            }
            operators::NEGATE | ORDER | "size" | "int" | "uint" | "double" | "indexOf" | "lastIndexOf" => {
                ValueKind::Number
            }
            "string" | "trim" | "lowerAscii" | "upperAscii" | "replace" | "substring" | "charAt" | "join"
            | "format" | "strings.quote" | DAY | DATE => ValueKind::Text,
            "split" | "sort" | "distinct" | "flatten" | "slice" | "lists.range" => ValueKind::Several,
            _ => ValueKind::Unknown,
        }
    }

    /// A number and a text are never equal, and there is no order of them.
    fn compared(&mut self, call: &CallExpr, operator: &str, sides: &[ValueKind]) {
        let (&left, &right) = match sides {
            [left, right] => (left, right),
            _ => return,
        };
        let mut right = right;
        let numbers = |list: &Expr| match list {
            Expr::List(list) if !list.elements.is_empty() => list.elements.iter().all(|item| {
                matches!(
                    item.expr,
                    Expr::Literal(LiteralValue::Int(_) | LiteralValue::UInt(_) | LiteralValue::Double(_))
                )
            }),
            _ => false,
        };
        if operator == "in" {
            right = if call.args.get(1).is_some_and(|list| numbers(&list.expr)) {
                ValueKind::Number
            } else {
                ValueKind::Unknown
            };
        }
        let at = match (left, right) {
            (ValueKind::Text, ValueKind::Number) => 0,
            (ValueKind::Number, ValueKind::Text) => 1,
            _ => return,
        };
        let [Some(text), Some(number)] = [call.args.get(at), call.args.get(1 - at)] else { return };
        let is_column = self.is_column(&text.expr);
        let text_node = text;
        let [text, number] = [written(&text.expr), written(&number.expr)];
        let both = |text: &str, number: &str| match at {
            0 => format!("{text} {operator} {number}"),
            _ => format!("{number} {operator} {text}"),
        };
        let figures = if number.contains('.') { "double" } else { "int" };
        let as_number = both(&format!("{figures}({text})"), &number);
        let kind = if figures == "int" { "whole number" } else { "number" };
        let rejected = format!("a record whose {text} is no {kind} is rejected then");
        let quoted = match number.as_str() {
            UNSHOWN => both(&text, "\"5\""),
            list if list.starts_with('[') => both(&text, "[\"1\", \"2\"]"),
            figure => both(&text, &format!("{figure:?}")),
        };
        let help = match (is_literal_text(&text_node.expr), operator) {
            (true, _) => {
                format!("write the number without quotes, or make the other side text: {}", both(&text, "string(…)"))
            }
            (false, "==" | "!=" | "in") => format!("compare texts: {quoted}; or numbers: {as_number}, and {rejected}"),
            _ => format!("compare numbers: {as_number}; {rejected}"),
        };
        let why = match is_column {
            true => "compares text with a number: every column of this source is text",
            false => "compares text with a number",
        };
        let never = match operator {
            "==" | "!=" | "in" => "text never equals a number",
            _ => "text and numbers have no order",
        };
        self.problems.push(Problem::new(format!("{} {why}, and {never}", both(&text, &number))).help(help));
    }

    /// A text is never null: a cell without content is an empty text.
    fn compared_with_null(&mut self, call: &CallExpr, operator: &str, sides: &[ValueKind]) {
        let is_null =
            |side: usize| call.args.get(side).is_some_and(|arg| matches!(arg.expr, Expr::Literal(LiteralValue::Null)));
        let at = if is_null(1) { 0 } else { 1 };
        if !(is_null(0) || is_null(1)) || sides.get(at) != Some(&ValueKind::Text) || !matches!(operator, "==" | "!=") {
            return;
        }
        let Some(text) = call.args.get(at).map(|arg| written(&arg.expr)) else { return };
        let message = format!("{text} {operator} null asks for what never is: an empty cell is an empty text");
        self.problems.push(Problem::new(message).help(format!("write {text} {operator} \"\"")));
    }

    /// Text and numbers are not joined by a plus.
    fn joined(&mut self, call: &CallExpr, sides: &[ValueKind]) {
        let number = match sides {
            [ValueKind::Text, ValueKind::Number] => 1,
            [ValueKind::Number, ValueKind::Text] => 0,
            _ => return,
        };
        let [Some(left), Some(right)] = [call.args.first(), call.args.get(1)] else { return };
        let (left, right) = (written(&left.expr), written(&right.expr));
        let (text, figure) = if number == 1 { (&left, &right) } else { (&right, &left) };
        let help = format!("to count, write int({text}) + …; to join texts, string({figure})");
        self.problems
            .push(Problem::new(format!("{left} + {right} adds text and a number, which can't be done")).help(help));
    }

    fn is_column(&self, expr: &Expr) -> bool {
        path_of(expr).is_some_and(|path| path != ["today"] && path != ["now"] && !self.locals.contains(&path[0]))
    }
}

/// What stands for an operand that is not shown.
const UNSHOWN: &str = "…";

/// Whether it is a text in quotes.
fn is_literal_text(expr: &Expr) -> bool {
    matches!(expr, Expr::Literal(LiteralValue::String(_)))
}

/// An operand as it is written, where it is a column or a constant.
fn written(expr: &Expr) -> String {
    if let Some(path) = path_of(expr).map(|path| path.join(".")) {
        return match path.strip_prefix(ROW_PREFIX) {
            Some(column) => super::dates::spelled(column),
            None => path,
        };
    }
    match expr {
        Expr::Literal(LiteralValue::Int(number)) => number.inner().to_string(),
        Expr::Literal(LiteralValue::UInt(number)) => number.inner().to_string(),
        Expr::Literal(LiteralValue::Double(number)) => format!("{:?}", number.inner()),
        Expr::Literal(LiteralValue::String(text)) => format!("{:?}", text.inner()),
        Expr::List(list) => {
            let items: Vec<String> = list.elements.iter().map(|item| written(&item.expr)).collect();
            format!("[{}]", items.join(", "))
        }
        _ => UNSHOWN.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::expression::Expression;
    use super::*;

    fn told(text: &str, all_text: bool) -> Result<ValueKind, String> {
        match Expression::over(text, all_text) {
            Ok(expression) => Ok(expression.gives()),
            Err(problems) => Err(format!("{} / {}", problems[0].message, problems[0].help.clone().unwrap_or_default())),
        }
    }

    #[test]
    fn what_an_expression_gives_is_told_where_it_is_certain() {
        for (text, gives) in [
            ("status", ValueKind::Text),
            ("row['Job Title']", ValueKind::Text),
            ("'x'", ValueKind::Text),
            ("1 + 1", ValueKind::Number),
            ("a + b", ValueKind::Text),
            ("a.size() - 1", ValueKind::Number),
            ("a == 'x' ? b : c", ValueKind::Text),
            ("a == 'x' ? b : 1", ValueKind::Unknown),
            ("a == 'x'", ValueKind::Truth),
            ("!(a == 'x') && b.matches('y')", ValueKind::Truth),
            ("a.split(',').exists(x, x == 'y')", ValueKind::Truth),
            ("a.split(',').exists_one(x, x == 'y')", ValueKind::Truth),
            ("a.split(',').map(x, x.trim())", ValueKind::Several),
            ("a.split(',').map(x, x)[0]", ValueKind::Unknown),
            ("{'x': true}[a]", ValueKind::Unknown),
            ("start >= today", ValueKind::Truth),
            ("today in [start]", ValueKind::Truth),
            ("true", ValueKind::Truth),
        ] {
            assert_eq!(told(text, true), Ok(gives), "{text}");
        }
        assert_eq!(told("active", false), Ok(ValueKind::Unknown), "JSON has truths");
        assert_eq!(told("a + b", false), Ok(ValueKind::Unknown));
    }

    #[test]
    fn a_number_compared_with_a_text_is_told_with_the_remedy() {
        for (text, parts) in [
            ("level > 3", ["level > 3 compares text with a number", "int(level) > 3"]),
            ("30 == age", ["30 == age compares", "\"30\" == age"]),
            ("row['Cost Center'] != 7", ["row[\"Cost Center\"] != 7 compares", "row[\"Cost Center\"] != \"7\""]),
            ("level in [1, 2]", ["level in [1, 2] compares", "level in [\"1\", \"2\"]"]),
            ("status == 'x' && level >= 3", ["level >= 3 compares", "int(level) >= 3"]),
            ("level.trim() < 3", ["… < 3 compares text with a number", "int(…) < 3"]),
            ("size(name) == '3'", ["… == \"3\" compares text with a number", "without quotes"]),
            ("level > 1.5", ["level > 1.5 compares", "double(level) > 1.5"]),
            ("level != null", ["level != null asks for what never is", "level != \"\""]),
            ("level + 1 == 2", ["level + 1 adds text and a number", "int(level) + …"]),
            ("2 + level == '2x'", ["2 + level adds", "string(2)"]),
        ] {
            let told = told(text, true).expect_err(text);
            assert!(parts.iter().all(|part| told.contains(part)), "{text}: {told}");
        }
        for text in [
            "int(level) > 3",
            "level > '3'",
            "size(name) > 3",
            "name.split(',').size() == 2",
            "level in ['1', '2']",
            "name.split(',').exists(x, x.size() > 1)",
            "level == '' ? false : double(level) > 1.5",
            "name.indexOf('a') == -1",
            "int(level) + 1 == 2",
            "name + 'x' + string(1) == 'ax1'",
            "size(name) + 1 > 3",
        ] {
            told(text, true).unwrap_or_else(|told| panic!("{text}: {told}"));
        }
        for text in [
            "level > 3",
            "age == 30",
            "level in [1, 2]",
            "level != null",
            "level + 1 > 2",
            "people.exists(p, p.age > 3)",
        ] {
            assert!(told(text, false).is_ok(), "{text} of JSON");
        }
    }
}

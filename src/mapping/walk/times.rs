//! Dates and times in a tree: what is one, and what is compared with one.

use cel::IdedExpr;
use cel::common::ast::{CallExpr, Expr, LiteralValue, operators};

use super::{Walk, call_on, literal, wrap};
use crate::mapping::dates;
use crate::mapping::expression::Problem;

/// What is compared as a date or as a time. Where both meet, days are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Temporal {
    /// It is neither.
    #[default]
    Neither,
    /// A moment: `now`, or what `datetime()` gives.
    Time,
    /// A day: `today`, or what `date()` gives.
    Date,
}

impl Temporal {
    /// The function that finds one side among the others.
    fn finder(self) -> &'static str {
        if self == Temporal::Time { dates::INSTANT_IN } else { dates::DAY_IN }
    }
}

impl Walk {
    /// Whether this is a date or a time, or may be.
    pub(super) fn temporal(&self, node: &IdedExpr) -> Temporal {
        match &node.expr {
            Expr::Ident(name) => match self.locals.iter().rev().find(|local| local.name == *name) {
                Some(local) => local.kind,
                None => match name.trim_start_matches('.') {
                    "today" => Temporal::Date,
                    "now" => Temporal::Time,
                    _ => Temporal::Neither,
                },
            },
            Expr::Call(call) if call.func_name == operators::CONDITIONAL => {
                call.args.iter().skip(1).map(|branch| self.temporal(branch)).max().unwrap_or_default()
            }
            // A time and a duration give a time, two times a duration.
            Expr::Call(call) if matches!(call.func_name.as_str(), operators::ADD | operators::SUBSTRACT) => {
                let times = call.args.iter().filter(|side| self.temporal(side) == Temporal::Time).count();
                if times == 1 { Temporal::Time } else { Temporal::Neither }
            }
            Expr::Call(call) if call.target.is_none() => match call.func_name.as_str() {
                "date" | dates::DATE => Temporal::Date,
                "datetime" | dates::DATETIME => Temporal::Time,
                _ => Temporal::Neither,
            },
            Expr::List(list) => list.elements.iter().map(|item| self.temporal(item)).max().unwrap_or_default(),
            _ => Temporal::Neither,
        }
    }

    /// A comparison with what may be a date or a time: both sides must be one, and their days or moments are compared.
    pub(super) fn comparison(&mut self, call: &mut CallExpr, kind: Temporal) {
        let what: Vec<Expr> = call.args.iter().map(|side| literal(&self.column_of(&side.expr))).collect();
        for side in &mut call.args {
            self.check_constant(&side.expr, kind);
            self.node(side);
        }
        if let Some(zone) = self.zone(kind) {
            // `one < other` becomes `@order(one, other) < 0`.
            let sides = call.args.drain(..).map(|side| side.expr).chain(what).chain([zone]).collect();
            call.args = vec![
                call_on(dates::ORDER, None, sides),
                IdedExpr { id: 0, expr: Expr::Literal(LiteralValue::Int(0.into())) },
            ];
            return;
        }
        for (side, what) in call.args.iter_mut().zip(what) {
            wrap(side, |side| call_on(dates::DAY, None, vec![side, what]).expr);
        }
    }

    /// `today in dates`, which compares it with each of them.
    pub(super) fn membership(&mut self, call: &mut CallExpr, kind: Temporal) {
        let what = call.args.get(1).map(|list| self.column_of(&list.expr)).unwrap_or_default();
        for side in &call.args {
            match &side.expr {
                Expr::List(list) => list.elements.iter().for_each(|item| self.check_constant(&item.expr, kind)),
                other => self.check_constant(other, kind),
            }
        }
        self.nodes(&mut call.args);
        call.func_name = kind.finder().to_string();
        let zone = self.zone(kind);
        call.args.extend([literal(&what)].into_iter().chain(zone).map(|expr| IdedExpr { id: 0, expr }));
    }

    /// `date(text, format)` and `datetime(text, format)`: the format is judged here, and what is read from told.
    pub(super) fn parsed(&mut self, call: &mut CallExpr) {
        let is_date = call.func_name == "date";
        if !(1..=2).contains(&call.args.len()) {
            let name = &call.func_name;
            self.problem(
                Problem::new(format!(
                    "{name}() takes a text, and the format in which it is written if that is not ISO 8601"
                ))
                .help(format!("e.g. {name}(hire_date) or {name}(row[\"Hire Date\"], \"%d.%m.%Y\")")),
            );
            return;
        }
        if let Some(Expr::Literal(LiteralValue::String(format))) = call.args.get(1).map(|format| &format.expr)
            && let Err(problem) = dates::judge_format(format.inner(), is_date)
        {
            self.problem(problem);
        }
        let what = self.column_of(&call.args[0].expr);
        self.nodes(&mut call.args);
        if call.args.len() == 1 {
            call.args.push(IdedExpr { id: 0, expr: literal("") });
        }
        let zone = if is_date { None } else { self.zone(Temporal::Time) };
        call.func_name = if is_date { dates::DATE } else { dates::DATETIME }.to_string();
        call.args.extend([literal(&what)].into_iter().chain(zone).map(|expr| IdedExpr { id: 0, expr }));
    }

    /// What tells the zone of times that name none.
    fn zone(&mut self, kind: Temporal) -> Option<Expr> {
        (kind == Temporal::Time).then(|| {
            self.facts.uses.zone = true;
            Expr::Ident(dates::ZONE.to_string())
        })
    }

    /// A constant that is no date would fail on every record: better here.
    fn check_constant(&mut self, side: &Expr, kind: Temporal) {
        let fits = match side {
            Expr::Literal(LiteralValue::String(text)) => match kind {
                Temporal::Time => dates::is_time(text.inner()),
                _ => dates::day(text.inner()).is_some(),
            },
            Expr::Literal(_) => false,
            _ => true,
        };
        if !fits {
            self.problem(match kind {
                Temporal::Time => Problem::new("now, or another time, is compared with something that is no time")
                    .help("compare it with one: \"2027-01-31T18:00\", or datetime(\"31.01.2027 18:00\", \"%d.%m.%Y %H:%M\")"),
                _ => Problem::new("today is compared with something that is no date")
                    .help("today is a date such as \"2027-01-31\": compare it with one, or with date(\"31.01.2027\", \"%d.%m.%Y\")"),
            });
        }
    }
}

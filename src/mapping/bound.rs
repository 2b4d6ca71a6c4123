//! A mapping bound to a source's columns: fingerprints of records, and what the target should hold for each.
//!
//! This is what runs for every row, so columns are found once, the evaluation's context is made once a record and
//! only when an expression needs it, and constants were converted long before.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use super::expression::Scope;
use super::fingerprint::KnownRow;
use super::{Compiled, OnEmpty, Rule, Source, When, match_values};
use crate::domain::local_time::LocalTime;
use crate::domain::record::{Columns, Places, Position, Record, Row, Several, same_cell};

/// A mapping that knows where in a row its columns stand. Cheap to clone.
#[derive(Clone)]
pub struct Bound {
    pub(super) mapping: Arc<Compiled>,
    /// Where each of the mapping's columns stands, in the order of names.
    pub(super) cells: Arc<[(String, usize)]>,
    /// How many columns there are.
    pub(super) columns: usize,
}

/// What becomes of a person, and by which of their rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Decided {
    /// What becomes of them.
    pub mapped: Mapped,
    /// The row that decided; of several alike, the first.
    pub position: Position,
    /// Rows in scope that say the same, which nobody need know where several are expected: a sentence.
    pub repeated: Option<String>,
}

/// What becomes of a record.
#[derive(Clone, Debug, PartialEq)]
pub enum Mapped {
    /// The person belongs on the target, with these values.
    InScope(Desired),
    /// `include` says no: the person is treated as absent.
    Excluded,
    /// The record can't be used; why, without values.
    Rejected(String),
}

/// The person belongs on the target with the values that they have there, as the snapshot tells of the row that decides:
/// it was not kept, and there is nothing to evaluate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AsBefore {
    /// As [`Decided::repeated`].
    pub repeated: Option<String>,
}

/// Why a person is not decided about: what was found settled while the source was read is so no more.
const CHANGED_MEANWHILE: &str = "what is known of this person changed while the source was read; the next run decides";

/// What the target should hold for one person.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Desired {
    /// By target field; fields that are to be left alone are not in it.
    pub fields: BTreeMap<String, DesiredField>,
}

/// What one field should hold.
#[derive(Clone, PartialEq)]
pub struct DesiredField {
    /// The value; `Null` is empty.
    pub value: Value,
    /// Whether it is written to accounts that exist.
    pub when: When,
    /// What an empty value does; a field that is empty and omitted is not here at all.
    pub empty: OnEmpty,
}

impl fmt::Debug for DesiredField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.value.is_null() { "DesiredField(empty)" } else { "DesiredField" })
    }
}

impl fmt::Debug for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bound({} rules, {} columns)", self.mapping.rules.len(), self.cells.len())
    }
}

impl Bound {
    pub(super) fn new(mapping: Arc<Compiled>, columns: &Columns) -> Result<Bound, Vec<String>> {
        let mut cells = Vec::with_capacity(mapping.columns.len());
        let mut missing = Vec::new();
        for name in &mapping.columns {
            match columns.index(name) {
                Some(at) => cells.push((name.clone(), at)),
                None => missing.push(name.clone()),
            }
        }
        if missing.is_empty() {
            Ok(Bound { mapping, cells: cells.into(), columns: columns.names().len() })
        } else {
            Err(missing)
        }
    }

    /// What becomes of a person with these rows. `include` is asked of each row first; those that remain must agree in
    /// every column that the mapping refers to.
    pub fn decide(&self, record: &Record, time: LocalTime) -> Decided {
        self.decide_knowing(record, time, None).unwrap_or_else(|AsBefore { repeated }| Decided {
            mapped: Mapped::Rejected(CHANGED_MEANWHILE.into()),
            position: record.position,
            repeated,
        })
    }

    /// [`Bound::decide`] of a person one of whose rows may not have been kept, with what the snapshot tells of that one.
    ///
    /// # Errors
    /// That row decides.
    pub fn decide_knowing(
        &self,
        record: &Record,
        time: LocalTime,
        known: Option<KnownRow>,
    ) -> Result<Decided, AsBefore> {
        match &record.several {
            None => Ok(Decided { mapped: self.apply(&record.cells, time), position: record.position, repeated: None }),
            Some(several) => self.of_several(record, several, time, known),
        }
    }

    fn of_several(
        &self,
        record: &Record,
        several: &Several,
        time: LocalTime,
        known: Option<KnownRow>,
    ) -> Result<Decided, AsBefore> {
        let position = record.position;
        let decided = |mapped, position| Ok(Decided { mapped, position, repeated: None });
        let mut remaining: Vec<&Row> = Vec::new();
        for row in &several.rows {
            let at = row.places.first().unwrap_or(position);
            let wanted = match (row.is_known, known) {
                (false, _) => self.wants(&row.cells, time),
                (true, Some(known)) => Ok(known.in_scope),
                (true, None) => return decided(Mapped::Rejected(CHANGED_MEANWHILE.into()), at),
            };
            match wanted {
                Ok(true) => remaining.push(row),
                Ok(false) => {}
                Err(why) => return decided(Mapped::Rejected(format!("include: {why}")), at),
            }
        }
        let Some((first, rest)) = remaining.split_first() else { return decided(Mapped::Excluded, position) };
        let at = first.places.first().unwrap_or(position);
        let places = Places::merged(remaining.iter().map(|row| &row.places));
        let listed = places.listed(&several.members);
        if self.differ(record, first, rest, time, known) {
            let reason = format!("{listed} have this key and differ{}", places.lines());
            return decided(Mapped::Rejected(reason), at);
        }
        let repeated = (places.count() > 1).then(|| format!("{listed} are the same in what is mapped and count once"));
        // Those that remain say the same: whichever of them was kept tells.
        match remaining.iter().find(|row| !row.is_known) {
            Some(row) => Ok(Decided { mapped: self.apply(&row.cells, time), position: at, repeated }),
            None => Err(AsBefore { repeated }),
        }
    }

    /// Whether a row says otherwise than the first in what the mapping refers to.
    fn differ(&self, record: &Record, first: &Row, rest: &[&Row], time: LocalTime, known: Option<KnownRow>) -> bool {
        if first.is_known || rest.iter().any(|row| row.is_known) {
            let prints = self.fingerprints(time);
            let first = prints.of_one(&record.key, first, known);
            return rest.iter().any(|row| prints.of_one(&record.key, row, known) != first);
        }
        self.cells.iter().any(|(_, cell)| differs(first, rest, *cell))
    }

    /// Whether `include` wants a row.
    fn wants(&self, cells: &[Value], time: LocalTime) -> Result<bool, String> {
        let cell = |name: &str| self.cell(cells, name);
        self.in_scope(&Scope::new(&cell, time))
    }

    /// Where one of the mapping's columns stands.
    pub(super) fn place(&self, name: &str) -> usize {
        self.cells.binary_search_by(|(column, _)| column.as_str().cmp(name)).map_or(usize::MAX, |at| self.cells[at].1)
    }

    fn cell<'r>(&self, cells: &'r [Value], name: &str) -> Option<&'r Value> {
        let at = self.cells.binary_search_by(|(column, _)| column.as_str().cmp(name)).ok()?;
        Some(cells.get(self.cells[at].1).unwrap_or(&Value::Null))
    }

    /// What becomes of a record with this one row.
    pub fn apply(&self, cells: &[Value], time: LocalTime) -> Mapped {
        self.evaluate(cells, time, |scope| match self.in_scope(scope) {
            Ok(true) => Ok(()),
            Ok(false) => Err(Mapped::Excluded),
            Err(why) => Err(Mapped::Rejected(format!("include: {why}"))),
        })
    }

    /// What the target should hold by each of the person's rows, in scope or not; rows that can't be mapped are left out.
    pub fn regardless_of_scope(&self, record: &Record, time: LocalTime) -> Vec<Desired> {
        let of_row = |cells| match self.evaluate(cells, time, |_| Ok(())) {
            Mapped::InScope(desired) => Some(desired),
            Mapped::Excluded | Mapped::Rejected(_) => None,
        };
        record.rows().filter_map(of_row).collect()
    }

    fn evaluate(&self, cells: &[Value], time: LocalTime, admit: impl Fn(&Scope<'_>) -> Result<(), Mapped>) -> Mapped {
        let cell = |name: &str| self.cell(cells, name);
        let scope = Scope::new(&cell, time);
        if let Err(out) = admit(&scope) {
            return out;
        }
        let mut desired = Desired::default();
        for rule in &self.mapping.rules {
            match rule.apply(&cell, &scope) {
                Ok(Some(field)) => {
                    desired.fields.insert(rule.field.clone(), field);
                }
                Ok(None) => {}
                Err(why) => return Mapped::Rejected(format!("{}{why}", rule.field)),
            }
        }
        Mapped::InScope(desired)
    }

    fn in_scope(&self, scope: &Scope<'_>) -> Result<bool, String> {
        let Some(include) = &self.mapping.include else { return Ok(true) };
        match include.evaluate(scope)? {
            Value::Bool(yes) => Ok(yes),
            _ => Err("its result is neither true nor false".into()),
        }
    }
}

/// Whether a row says otherwise than the first in this cell.
fn differs(first: &Row, rest: &[&Row], cell: usize) -> bool {
    let first = first.cells.get(cell).unwrap_or(&Value::Null);
    rest.iter().any(|row| !same_cell(first, row.cells.get(cell).unwrap_or(&Value::Null)))
}

impl Rule {
    /// The field's value; none when it is to be left alone. An error follows the field's name.
    fn apply<'r>(
        &self,
        cell: &impl Fn(&str) -> Option<&'r Value>,
        scope: &Scope<'_>,
    ) -> Result<Option<DesiredField>, String> {
        let value = match &self.from {
            Source::Constant(value) => value.clone(),
            Source::Column(name) => {
                let raw = cell(name).cloned().unwrap_or(Value::Null);
                self.admits.coerce(raw).map_err(|must| format!(" {must} (column {name})"))?
            }
            Source::Cel(expression) => {
                let raw = expression.evaluate(scope).map_err(|why| format!(": {why}"))?;
                self.admits.coerce(raw).map_err(|must| format!(" {must}"))?
            }
        };
        self.settle(value)
    }

    /// What is to be done with a value that the field admits.
    pub(super) fn settle(&self, value: Value) -> Result<Option<DesiredField>, String> {
        if self.identifies
            && let Err(fault) = match_values::judge(&value)
        {
            return Err(match_values::told(fault, &self.field, &self.from));
        }
        if value.is_null() {
            if self.empty == OnEmpty::Omit {
                return Ok(None);
            }
            if self.required && self.when == When::Always {
                return Err(" is empty, and the target has no account without it".into());
            }
        }
        Ok(Some(DesiredField { value, when: self.when, empty: self.empty }))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{cel, column, compile, value};
    use super::super::{FieldRule, Mapping};
    use super::*;
    use crate::domain::operation::Fingerprint;
    use crate::domain::record::Key;
    use proptest::prelude::*;
    use serde_json::json;

    fn day(text: &str) -> LocalTime {
        LocalTime::noon(text)
    }

    fn bind(mapping: &Mapping, columns: &[&str]) -> Bound {
        mapping.bind(&Columns::new(columns.iter().map(ToString::to_string))).expect("every column is there")
    }

    fn print(bound: &Bound, cells: &[Value], today: LocalTime) -> Option<Fingerprint> {
        let key = Key::parse("E1").expect("a key");
        bound.fingerprints(today).of(&Record::new(key, Position::default(), cells.to_vec()), None)
    }

    fn apply(fields: Vec<FieldRule>, include: Option<&str>, record: &Value) -> Mapped {
        let mapping = compile(fields, include);
        let columns: Vec<&str> = record.as_object().expect("an object").keys().map(String::as_str).collect();
        let cells: Vec<Value> = columns.iter().map(|c| record[c].clone()).collect();
        bind(&mapping, &columns).apply(&cells, day("2026-11-22"))
    }

    fn value_of(mapped: &Mapped, field: &str) -> Option<Value> {
        match mapped {
            Mapped::InScope(desired) => desired.fields.get(field).map(|f| f.value.clone()),
            _ => None,
        }
    }

    #[test]
    fn values_come_from_columns_expressions_and_constants() {
        let fields = vec![
            cel("email", "mail.trim().lowerAscii()"),
            column("title", "job"),
            value("level", json!("1")),
            column("starts", "start"),
            column("tags", "groups"),
        ];
        let record = json!({"mail": " A@B.c ", "job": "Nurse ", "start": "2026-01-31T00:00:00Z", "groups": "x;y"});
        let mapped = apply(fields, Some("start <= today"), &record);
        for (field, expected) in [
            ("email", json!("a@b.c")),
            ("title", json!("Nurse ")),
            ("level", json!(1)),
            ("starts", json!("2026-01-31")),
            ("tags", json!(["x", "y"])),
        ] {
            assert_eq!(value_of(&mapped, field), Some(expected), "{field}");
        }
    }

    #[test]
    fn an_empty_value_clears_or_is_left_out() {
        let record = json!({"mail": "a@b.c", "job": "  "});
        let mut omitted = column("title", "job");
        let cleared = apply(vec![column("email", "mail"), omitted.clone()], None, &record);
        assert_eq!(value_of(&cleared, "title"), Some(json!(null)));
        omitted.empty = OnEmpty::Omit;
        let mapped = apply(vec![column("email", "mail"), omitted], None, &record);
        assert_eq!(value_of(&mapped, "title"), None);
    }

    #[test]
    fn include_excludes_and_its_errors_reject() {
        let record = json!({"mail": "hunter2", "status": "left"});
        let fields = || vec![column("email", "mail")];
        assert_eq!(apply(fields(), Some("status == 'active'"), &record), Mapped::Excluded);
        for (include, why) in [("status", "neither true nor false"), ("int(mail) > 1", "int() failed")] {
            let Mapped::Rejected(reason) = apply(fields(), Some(include), &record) else { panic!("{include}") };
            assert!(reason.starts_with("include: ") && reason.contains(why), "{reason}");
            assert!(!reason.contains("hunter2"));
        }
    }

    #[test]
    fn what_a_field_does_not_admit_rejects_the_record_and_names_the_column() {
        let record = json!({"mail": "a@b.c", "n": "hunter2", "no": ""});
        for (fields, why) in [
            (vec![column("email", "mail"), column("level", "n")], "level must be a whole number (column n)"),
            (vec![column("email", "mail"), cel("level", "int(n)")], "level: int() failed on this record's value"),
            (vec![column("email", "mail"), cel("title", "[n]")], "title must be text, not a list or an object"),
            (vec![column("email", "no")], "email is empty, and the target has no account without it"),
        ] {
            assert_eq!(apply(fields, None, &record), Mapped::Rejected(why.into()));
        }
    }

    /// A person with these rows of mail, job and note, of which `note` is not mapped.
    fn person(rows: &[[&str; 3]]) -> Record {
        let cells = |row: &[&str; 3]| row.iter().map(|cell| json!(cell)).collect::<Vec<_>>();
        let at = |n: usize| Position { line: n as u64 + 2, record: n as u64 + 1 };
        let key = Key::parse("E1").expect("a key");
        let mut record = Record::new(key, at(0), cells(&rows[0]));
        rows.iter().enumerate().skip(1).for_each(|(n, row)| record.add(at(n), cells(row)));
        record
    }

    fn for_several() -> Bound {
        let mapping = compile(vec![column("email", "mail"), column("title", "job")], Some("job != 'left'"));
        bind(&mapping, &["mail", "job", "note"])
    }

    #[test]
    fn of_several_rows_those_in_scope_decide_if_they_agree() {
        let in_scope = |rows: &[[&str; 3]], title: &str, position: u64, repeated: Option<&str>| {
            let decided = for_several().decide(&person(rows), day("2026-11-22"));
            assert_eq!(value_of(&decided.mapped, "title"), Some(json!(title)), "{rows:?}");
            assert_eq!((decided.position.record, decided.repeated.as_deref()), (position, repeated), "{rows:?}");
        };
        in_scope(&[["a", "Nurse", "1"]], "Nurse", 1, None);
        in_scope(&[["a", "left", "1"], ["b", "Nurse", "2"]], "Nurse", 2, None);
        let same = "rows 1 and 3 are the same in what is mapped and count once";
        in_scope(&[["a", "Nurse", "1"], ["b", "left", "2"], ["a", "Nurse", "3"]], "Nurse", 1, Some(same));
        let decided = |rows: &[[&str; 3]]| for_several().decide(&person(rows), day("2026-11-22"));
        assert_eq!(decided(&[["a", "left", "1"], ["b", "left", "2"]]).mapped, Mapped::Excluded);
        let both = decided(&[["a", "left", "1"], ["a", "Nurse", "2"], ["b", "Nurse", "3"], ["a", "Nurse", "2"]]);
        let why = "rows 2, 3 and 4 have this key and differ (lines 3, 4 and 5)";
        assert_eq!((both.mapped, both.position.record), (Mapped::Rejected(why.into()), 2));
    }

    #[test]
    fn a_row_of_which_include_can_not_be_told_rejects_the_person() {
        let mapping = compile(vec![column("email", "mail")], Some("int(job) > 1"));
        let bound = bind(&mapping, &["mail", "job", "note"]);
        let decided = bound.decide(&person(&[["a", "2", ""], ["a", "x", ""]]), day("2026-11-22"));
        assert!(matches!(&decided.mapped, Mapped::Rejected(why) if why.starts_with("include: ")), "{decided:?}");
        assert_eq!(decided.position.record, 2);
    }

    #[test]
    fn the_fingerprint_of_several_rows_is_that_of_what_they_say() {
        let print = |rows: &[[&str; 3]]| for_several().fingerprints(day("2026-11-22")).of(&person(rows), None);
        let [one, other, third] = [["a", "x", "1"], ["a", "y", "1"], ["b", "x", "1"]];
        assert_eq!(print(&[one, other]), print(&[other, one]), "whatever their order");
        assert_eq!(print(&[one, ["a", "x", "2"]]), print(&[one]), "a row that says nothing new changes nothing");
        assert_ne!(print(&[one, other]), print(&[one]));
        assert_ne!(print(&[one, other]), print(&[one, third]));
        assert_ne!(print(&[one, other]), print(&[one, other, third]));
    }

    #[test]
    fn missing_columns_are_named() {
        let mapping = compile(vec![column("email", "mail"), cel("title", "job + team")], None);
        let error = mapping.bind(&Columns::new(["job".to_string()])).err();
        assert_eq!(error, Some(vec!["mail".to_string(), "team".to_string()]));
    }

    #[test]
    fn the_date_counts_only_where_it_is_used() {
        let cells = [json!("a"), json!("2026-11-23")];
        let still = compile(vec![column("email", "m")], Some("s != ''"));
        let dated = compile(vec![column("email", "m")], Some("s < today"));
        for (mapping, moves) in [(still, false), (dated, true)] {
            let bound = bind(&mapping, &["m", "s"]);
            let (one, two) = (day("2026-11-22"), day("2026-11-24"));
            assert_eq!(print(&bound, &cells, one) != print(&bound, &cells, two), moves);
            assert_eq!(bound.apply(&cells, one) != bound.apply(&cells, two), moves);
        }
    }

    #[test]
    fn debug_of_what_is_desired_holds_no_value() {
        let mapped = apply(vec![column("email", "mail")], None, &json!({"mail": "ann@acme.com"}));
        assert!(!format!("{mapped:?}").contains("ann@"));
    }

    proptest! {
        #![proptest_config(crate::domain::properties::cases(256))]

        #[test]
        fn fingerprints_differ_where_a_used_cell_differs_and_nowhere_else(
            a in "[a-c]{0,3}", b in "[a-c]{0,3}", c in "[a-c]{0,3}", d in "[a-c]{0,3}", x in "[a-c]{0,3}",
        ) {
            let mapping = compile(vec![column("email", "m"), column("title", "t")], None);
            let bound = bind(&mapping, &["m", "unused", "t"]);
            let today = day("2026-11-22");
            let one = print(&bound, &[json!(a), json!("u"), json!(b)], today);
            let two = print(&bound, &[json!(c), json!(x), json!(d)], today);
            prop_assert_eq!(one == two, a == c && b == d);
        }

        #[test]
        fn applying_twice_gives_the_same(mail in "\\PC{0,12}", job in "\\PC{0,12}") {
            let mapping = compile(vec![column("email", "m"), cel("title", "t.trim().upperAscii()")], Some("size(m) > 2"));
            let bound = bind(&mapping, &["m", "t"]);
            let cells = [json!(mail), json!(job)];
            let today = day("2026-11-22");
            prop_assert_eq!(bound.apply(&cells, today), bound.apply(&cells, today));
        }
    }
}

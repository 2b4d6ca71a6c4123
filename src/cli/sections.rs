//! The operations of a plan as people read them: a section for each kind, and first, where a limit is exceeded, those whom
//! it is about, by department.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::words;
use crate::domain::error::Result;
use crate::domain::label::LabelFields;
use crate::domain::limits::{Breach, LimitName, counts_towards};
use crate::domain::operation::OpKind;
use crate::domain::planned::Planned;
use crate::os::zone;
use crate::state::plan_history::ApprovedPlan;
use crate::terminal::out::Out;

/// How many operations of a kind are printed unless everything is asked for with `-v`.
pub const SHOWN: usize = 20;

/// How many of a department are, where there are several departments.
const SHOWN_EACH: usize = 5;

/// The first operations of each kind, collected in one pass.
pub struct Sections<'l> {
    all: bool,
    label: &'l LabelFields,
    about: Option<About>,
    kinds: BTreeMap<OpKind, Lines>,
}

/// Those whom an exceeded limit is about.
struct About {
    limit: LimitName,
    approved: Option<ApprovedPlan>,
    total: u64,
    /// Of them, as many are in that plan too.
    again: u64,
    departments: BTreeMap<Option<String>, Lines>,
}

#[derive(Default)]
struct Lines {
    total: u64,
    lines: Vec<String>,
}

impl Lines {
    fn add(&mut self, most: usize, line: impl FnOnce() -> String) {
        self.total += 1;
        if self.lines.len() < most {
            self.lines.push(line());
        }
    }
}

impl<'l> Sections<'l> {
    /// The first [`SHOWN`] of each kind, or all of them, each with the person's label.
    pub fn new(all: bool, label: &'l LabelFields) -> Self {
        Sections { all, label, about: None, kinds: BTreeMap::new() }
    }

    /// The same of a plan that exceeds a limit: first those whom that is about. `approved`: the last plan of the sync that
    /// somebody approved.
    pub fn about(self, breach: &Breach, approved: Option<ApprovedPlan>) -> Self {
        let limit = breach.limit.clone();
        let about = About { limit, approved, total: 0, again: 0, departments: BTreeMap::new() };
        Sections { about: Some(about), ..self }
    }

    /// One more operation.
    pub fn add(&mut self, operation: &Planned) {
        if operation.is_step() {
            return;
        }
        let most = if self.all { usize::MAX } else { SHOWN };
        let line = || words::operation(operation, self.label, self.all);
        match &mut self.about {
            Some(about) if counts_towards(operation, &about.limit) => {
                about.total += 1;
                about.again += u64::from(about.approved.as_ref().is_some_and(|plan| plan.had(operation)));
                let department = self.label.department_of_operation(operation);
                about.departments.entry(department).or_default().add(most, line);
            }
            _ => self.kinds.entry(operation.kind).or_default().add(most, line),
        }
    }

    /// Prints a section for each kind.
    pub fn print(&self, out: &mut Out) -> Result<()> {
        if let Some(about) = self.about.as_ref().filter(|about| about.total > 0) {
            self.print_about(out, about)?;
        }
        for (kind, Lines { total, lines }) in &self.kinds {
            let heading = format!("{} {total}", words::heading(*kind));
            let heading = if kind.takes_access() { out.style.warn(&heading) } else { out.style.strong(&heading) };
            out.section(&format!("  {heading}"))?;
            print_lines(out, "    ", *total, lines)?;
        }
        Ok(())
    }

    fn print_about(&self, out: &mut Out, about: &About) -> Result<()> {
        let what = match &about.limit {
            LimitName::Clear(field) => format!("Empty {field}"),
            LimitName::Create => "Create".into(),
            LimitName::Update => "Write".into(),
            LimitName::Reinstate => "Let in again".into(),
            LimitName::Adopt => "Adopt".into(),
            _ => "Lose access".into(),
        };
        out.section(&format!("  {}", out.style.warn(&format!("{what} {}", about.total))))?;
        if let Some(plan) = about.approved.as_ref().filter(|_| about.again > 0) {
            let as_many = if about.again == about.total { "All".into() } else { about.again.to_string() };
            out.line(&format!(
                "    {as_many} of them were in plan {} too, which {} approved on {}.",
                plan.id,
                plan.by,
                zone::told(plan.at)
            ))?;
        }
        let mut departments: Vec<_> = about.departments.iter().collect();
        departments.sort_by_key(|(name, lines)| (Reverse(lines.total), name.is_none(), *name));
        if let [(None, Lines { total, lines })] = departments.as_slice() {
            return print_lines(out, "    ", *total, lines);
        }
        let most = if self.all || departments.len() == 1 { usize::MAX } else { SHOWN_EACH };
        for (name, Lines { total, lines }) in departments {
            let name = name.as_deref().unwrap_or("without a department");
            out.line(&format!("    {}", out.style.strong(&format!("{name} {total}"))))?;
            print_lines(out, "      ", *total, lines.get(..most.min(lines.len())).unwrap_or_default())?;
        }
        Ok(())
    }
}

fn print_lines(out: &mut Out, indent: &str, total: u64, lines: &[String]) -> Result<()> {
    lines.iter().try_for_each(|line| out.line(&format!("{indent}{line}")))?;
    more(out, indent, total, lines.len())
}

/// How many of so many are not shown.
pub fn more(out: &mut Out, indent: &str, of: u64, shown: usize) -> Result<()> {
    match of.saturating_sub(shown as u64) {
        0 => Ok(()),
        more => out.line(&out.style.faint(&format!("{indent}… and {more} more (-v shows all)"))),
    }
}

//! `reconcile`: what differs between source, snapshot and target, and on request what was done about it.

use std::sync::Arc;

use serde_json::{Value, json};

use super::args::{Format, Printing};
use super::out::{Comma, Out};
use super::progress::Progress;
use super::words;
use crate::config::Settings;
use crate::config::settings::SyncSettings;
use crate::exit::{Exit, Failure, Result};
use crate::plan::{Operation, shown};
use crate::planner::PAGE;
use crate::reconcile::{Comparison, Difference, Remedy};
use crate::run::{RunError, RunSummary, chosen};
use crate::state::lock::SenderLock;
use crate::state::ownership::Unconfigured;
use crate::state::{Access, State};
use crate::status;

/// How many of a kind are printed unless everything is asked for with `-v`.
const SHOWN: usize = 20;

/// `rosterd reconcile`.
pub async fn command(
    settings: Arc<Settings>,
    syncs: &[String],
    remedy: Remedy,
    detailed: bool,
    all: bool,
    printing: Printing,
) -> Result<Exit> {
    let syncs = chosen(&settings, syncs)?;
    let configured = Arc::clone(&settings);
    let _lock = remedy.any().then(|| SenderLock::take(&settings.state.path)).transpose()?;
    let progress = Arc::new(Progress::new(None, false)?);
    let state = State::open(&settings.state.path, Access::Write)?;
    let unconfigured = status::unconfigured(&configured, &state).await?;
    let runner = super::sync::runner(settings, state, &progress)?;
    let readings = runner.read_to_reconcile(&syncs, remedy).await?;
    let mut page = Page { out: Out::stdout(), all, json: printing.format == Format::Json, comma: Comma::default() };
    let mut exit = Exit::Ok;
    page.begin()?;
    for (read, syncs) in readings {
        for sync in syncs {
            let mut differences = 0;
            let report = |comparison: &Comparison| {
                differences = page.report(&sync, comparison, remedy)?;
                Ok(())
            };
            match runner.reconcile(&sync, &read, remedy, None, report).await {
                Ok(run) => {
                    exit = exit.worse(run.as_ref().map_or(Exit::Ok, |run| run.exit));
                    let notable = run.as_ref().map(|run| progress.notable(&run.run)).unwrap_or_default();
                    page.end_of_sync(run.as_ref(), &notable)?;
                }
                Err(failure) => {
                    exit = exit.worse(failure.exit);
                    page.failed(&sync.name, &failure)?;
                }
            }
            if detailed && differences > 0 {
                exit = exit.worse(Exit::Differences);
            }
        }
    }
    if detailed && !unconfigured.is_empty() {
        exit = exit.worse(Exit::Differences);
    }
    progress.finish()?;
    page.end(&unconfigured)?;
    Ok(exit)
}

/// The result on its way out, written piece by piece: it may be longer than memory.
struct Page {
    out: Out,
    all: bool,
    json: bool,
    comma: Comma,
}

impl Page {
    fn begin(&mut self) -> Result<()> {
        if self.json { self.out.write("{\"syncs\":[") } else { Ok(()) }
    }

    /// Ends with the syncs that the configuration no longer has: their accounts are looked after by nobody.
    fn end(&mut self, unconfigured: &[Unconfigured]) -> Result<()> {
        if self.json {
            return self.out.line(&format!("],\"unconfigured\":{}}}", json!(unconfigured)));
        }
        unconfigured.iter().try_for_each(|known| super::status::forsaken(&mut self.out, known))
    }

    /// Reports one sync, and returns how many differences there are.
    fn report(&mut self, sync: &SyncSettings, comparison: &Comparison, remedy: Remedy) -> Result<u64> {
        let (counts, orphaned) = comparison.counts()?;
        let differences = counts.iter().sum::<u64>() + orphaned;
        match self.json {
            true => self.report_json(sync, comparison)?,
            false => self.report_text(sync, comparison, &counts, orphaned, remedy)?,
        }
        Ok(differences)
    }

    fn report_json(&mut self, sync: &SyncSettings, comparison: &Comparison) -> Result<()> {
        self.comma.next(&mut self.out)?;
        let head = json!({
            "sync": sync.name, "target_users": comparison.target_users, "in_step": comparison.plan.in_step,
        });
        self.out.write(head.to_string().trim_end_matches('}'))?;
        for kind in Difference::ALL {
            self.out.write(&format!(",\"{}\":[", kind.name()))?;
            let mut comma = Comma::default();
            comparison.each(kind, |operation, protected| {
                comma.next(&mut self.out)?;
                self.out.write(&element(kind, operation, protected).to_string())
            })?;
            self.out.write("]")?;
        }
        self.out.write(",\"orphaned\":[")?;
        let mut comma = Comma::default();
        each_orphan(comparison, |id| {
            comma.next(&mut self.out)?;
            self.out.write(&json!({ "remote_id": id }).to_string())
        })?;
        self.out.write("],\"kept_by_target\":[")?;
        let mut comma = Comma::default();
        comparison.each_kept(|kept| {
            comma.next(&mut self.out)?;
            let kept = json!({ "key": kept.key, "remote_id": kept.remote_id, "fields": kept.fields });
            self.out.write(&kept.to_string())
        })?;
        self.out.write("]")
    }

    fn report_text(
        &mut self,
        sync: &SyncSettings,
        comparison: &Comparison,
        counts: &[u64; 5],
        orphaned: u64,
        remedy: Remedy,
    ) -> Result<()> {
        let style = self.out.style;
        self.out.line(&format!(
            "{}: {} on {}, {} in step",
            style.strong(&sync.name),
            words::count(comparison.target_users, "account", "accounts"),
            sync.target.name,
            comparison.plan.in_step
        ))?;
        if let Some((found, lost)) = comparison.rebound {
            self.out.line(&format!("  bound anew: {found} found again, {lost} not"))?;
        }
        for (kind, count) in Difference::ALL.into_iter().zip(counts).filter(|(_, n)| **n > 0) {
            self.out.line(&format!("\n  {}", style.strong(&format!("{} {count}", heading(kind)))))?;
            let mut left = if self.all { usize::MAX } else { SHOWN };
            comparison.each(kind, |operation, protected| {
                if left > 0 {
                    left -= 1;
                    self.out.line(&format!("    {}", line(kind, operation, protected)))?;
                }
                Ok(())
            })?;
            self.more(*count)?;
        }
        if orphaned > 0 {
            let heading = format!("Orphaned {orphaned}: in no source and no snapshot; never touched");
            self.out.line(&format!("\n  {}", style.warn(&heading)))?;
            let mut left = if self.all { usize::MAX } else { SHOWN };
            each_orphan(comparison, |id| {
                if left > 0 {
                    left -= 1;
                    self.out.line(&format!("    account {id}"))?;
                }
                Ok(())
            })?;
            self.more(orphaned)?;
        }
        self.kept(comparison)?;
        if !comparison.plan.unresolved.is_empty() {
            let n = comparison.plan.unresolved.len() as u64;
            let people = words::count(n, "person has", "people have");
            self.out.line(&format!("\n  {people} an operation without an answer: the next run looks them up first"))?;
        }
        self.advice(sync, counts, orphaned, remedy)
    }

    /// What the target keeps of its own.
    fn kept(&mut self, comparison: &Comparison) -> Result<()> {
        let mut count = 0;
        comparison.each_kept(|_| {
            count += 1;
            Ok(())
        })?;
        if count == 0 {
            return Ok(());
        }
        let heading = format!(
            "Kept otherwise by the target {count}: written and acknowledged; not written again until the source changes"
        );
        self.out.line(&format!("\n  {}", self.out.style.strong(&heading)))?;
        let mut left = if self.all { usize::MAX } else { SHOWN };
        comparison.each_kept(|kept| {
            if left > 0 {
                left -= 1;
                let (key, id) = (kept.key.as_str(), &kept.remote_id);
                self.out.line(&format!("    {key:<10}  account {id}  {}", kept.fields.join(", ")))?;
            }
            Ok(())
        })?;
        self.more(count)
    }

    /// What one does next.
    fn advice(&mut self, sync: &SyncSettings, counts: &[u64; 5], orphaned: u64, remedy: Remedy) -> Result<()> {
        let [missing, drifted, banned, active, adoptable] = counts;
        let repairable = missing + drifted + banned + active;
        if repairable + adoptable + orphaned == 0 {
            return self.out.line("  Nothing differs.");
        }
        if repairable > 0 && !remedy.repair {
            self.out.line(&format!(
                "\n  Set them right, under the same limits: rosterd reconcile {} --repair",
                sync.name
            ))?;
        }
        if *adoptable > 0 && !remedy.adopt {
            self.out
                .line(&format!("\n  Link those that are there already: rosterd reconcile {} --adopt", sync.name))?;
        }
        Ok(())
    }

    fn more(&mut self, count: u64) -> Result<()> {
        match count.saturating_sub(SHOWN as u64) {
            more if more > 0 && !self.all => {
                let text = self.out.style.faint(&format!("    … and {more} more (-v shows all)"));
                self.out.line(&text)
            }
            _ => Ok(()),
        }
    }

    fn end_of_sync(&mut self, run: Option<&RunSummary>, notable: &[crate::outcome::Outcome]) -> Result<()> {
        match (self.json, run) {
            (true, Some(run)) => self.out.write(&format!(",\"run\":{}}}", json!(run))),
            (true, None) => self.out.write("}"),
            (false, Some(run)) => {
                self.out.line("")?;
                super::sync::text(&mut self.out, run, notable)
            }
            (false, None) => Ok(()),
        }
    }

    fn failed(&mut self, sync: &str, failure: &Failure) -> Result<()> {
        if self.json {
            self.comma.next(&mut self.out)?;
            let empty = json!({
                "sync": sync, "target_users": 0, "in_step": 0, "missing": [], "drifted": [], "banned_there": [],
                "active_there": [], "orphaned": [], "kept_by_target": [], "adoptable": [], "error": RunError::from(failure),
            });
            return self.out.write(&empty.to_string());
        }
        let style = self.out.style;
        self.out.line(&format!("{}: {}", style.strong(sync), style.bad("not compared")))?;
        self.out.line(&format!("  {}: {}", style.bad("error"), failure.chain()))?;
        match &failure.help {
            Some(help) => self.out.line(&format!("   {}: {help}", style.strong("help"))),
            None => Ok(()),
        }
    }
}

fn each_orphan(comparison: &Comparison, mut visit: impl FnMut(&str) -> Result<()>) -> Result<()> {
    let mut after = String::new();
    loop {
        let page = comparison.listing.nobodys(&after, PAGE)?;
        let Some(last) = page.last().cloned() else { return Ok(()) };
        page.iter().try_for_each(|id| visit(id))?;
        after = last;
    }
}

const fn heading(kind: Difference) -> &'static str {
    match kind {
        Difference::Missing => "Missing there",
        Difference::Drifted => "Drifted",
        Difference::BannedThere => "Banned there, active here:",
        Difference::ActiveThere => "Active there, gone here:",
        Difference::Adoptable => "Adoptable: the account is there and not linked:",
    }
}

/// One difference as the contract's JSON.
fn element(kind: Difference, operation: &Operation, protected: bool) -> Value {
    let mut element = json!({ "key": operation.key });
    if kind != Difference::Missing {
        element["remote_id"] = json!(operation.remote_id);
    }
    if !operation.fields.is_empty() && matches!(kind, Difference::Drifted | Difference::BannedThere) {
        let fields: serde_json::Map<String, Value> = (operation.fields.iter())
            .map(|(field, change)| (field.clone(), json!({ "expected": change.new, "actual": change.old })))
            .collect();
        element["fields"] = Value::Object(fields);
    }
    if let Some(conflict) = &operation.conflict {
        element["conflict"] = json!(conflict.message);
    }
    if protected {
        element["protected"] = json!(true);
    }
    element
}

/// One difference as a person reads it.
fn line(kind: Difference, operation: &Operation, protected: bool) -> String {
    let mut text = format!("{:<10}", operation.key.as_str());
    if let Some(id) = &operation.remote_id {
        text.push_str(&format!("  account {id}"));
    }
    if matches!(kind, Difference::Drifted | Difference::BannedThere) {
        let fields = operation.fields.iter();
        let fields = fields.map(|(f, c)| format!("{f} should be {}, is {}", shown(&c.new), shown(&c.old)));
        let fields = fields.collect::<Vec<_>>().join("; ");
        if !fields.is_empty() {
            text.push_str(&format!("  {fields}"));
        }
    }
    if let Some(conflict) = &operation.conflict {
        text.push_str(&format!("  {}", conflict.message));
    }
    if protected {
        text.push_str("  (protected: left as it is)");
    }
    text.trim_end().to_string()
}

//! `reconcile`: what differs between source, snapshot and target, and on request what was done about it.

use std::sync::Arc;

use serde_json::{Value, json};

use super::approver::who;
use super::args::{Format, Printing};
use super::progress::Progress;
use super::words;
use crate::config::Settings;
use crate::config::settings::SyncSettings;
use crate::domain::error::{Failure, Result};
use crate::domain::exit::Exit;
use crate::domain::label::{Label, LabelFields};
use crate::domain::operation::shown;
use crate::domain::planned::Planned;
use crate::domain::record::Key;
use crate::domain::remedy::Remedy;
use crate::domain::remote_id::RemoteId;
use crate::domain::visible::padded;
use crate::run::reconcile::{Comparison, Difference};
use crate::run::{Asked, RunError, RunSummary, chosen};
use crate::state::ownership::Unconfigured;
use crate::state::{self, Access, Opened};
use crate::terminal::out::{Comma, Out};

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
    let access = if remedy.any() { Access::Send } else { Access::Write };
    let Opened { state, lock: _lock } = state::open(&settings.state.path, access)?;
    let progress = Arc::new(Progress::new(None, false)?);
    let unconfigured = crate::run::unconfigured(&configured, &state).await?;
    let runner = super::sync::runner(settings, state, &progress)?;
    let readings = runner.read_to_reconcile(&syncs, remedy).await?;
    let (json, forsaken) = (printing.format == Format::Json, !unconfigured.is_empty());
    let mut page = Page { out: Out::stdout(), all, json, comma: Comma::default(), forsaken };
    let mut exit = Exit::Ok;
    page.begin()?;
    for (read, syncs) in readings {
        for sync in syncs {
            let mut differences = 0;
            let report = |comparison: &Comparison| {
                differences = page.report(&sync, comparison, remedy)?;
                Ok(())
            };
            match runner.reconcile(&sync, &read, remedy, Asked::By(who()), report).await {
                Ok(run) => {
                    exit = exit.worse(run.as_ref().map_or(Exit::Ok, |run| run.exit));
                    let notable = run.as_ref().map(|run| progress.notable(&run.run)).unwrap_or_default();
                    page.end_of_sync(run.as_ref(), &notable)?;
                }
                Err(failure) => {
                    exit = exit.worse(failure.error.into());
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
    /// There are syncs that the configuration no longer has: all is not well, whatever the others' reports say.
    forsaken: bool,
}

/// How many there are of what.
struct Figures {
    /// In the order of [`Difference::ALL`].
    counts: [u64; 5],
    orphaned: u64,
    doubled: u64,
    unresolved: u64,
    /// Known, and no difference: nothing can be done about it.
    kept: u64,
}

impl Figures {
    fn of(comparison: &Comparison) -> Result<Figures> {
        let (counts, orphaned) = comparison.counts()?;
        let unresolved = comparison.plan.unresolved.len() as u64;
        let mut kept = 0;
        comparison.each_kept(|_| {
            kept += 1;
            Ok(())
        })?;
        Ok(Figures { counts, orphaned, doubled: comparison.listing.doubled_count()?, unresolved, kept })
    }

    fn differences(&self) -> u64 {
        self.counts.iter().sum::<u64>() + self.orphaned + self.doubled + self.unresolved
    }
}

impl Page {
    fn begin(&mut self) -> Result<()> {
        if self.json { self.out.piece("{\"syncs\":[") } else { Ok(()) }
    }

    /// Ends with the syncs that the configuration no longer has: their accounts are looked after by nobody.
    fn end(&mut self, unconfigured: &[Unconfigured]) -> Result<()> {
        if self.json {
            self.out.piece(&format!("],\"unconfigured\":{}}}", json!(unconfigured)))?;
            return self.out.verbatim("\n");
        }
        unconfigured.iter().try_for_each(|known| super::status::forsaken(&mut self.out, known))
    }

    /// Reports one sync, and returns how many differences there are.
    fn report(&mut self, sync: &SyncSettings, comparison: &Comparison, remedy: Remedy) -> Result<u64> {
        let figures = Figures::of(comparison)?;
        match self.json {
            true => self.report_json(sync, comparison)?,
            false => self.report_text(sync, comparison, &figures, remedy)?,
        }
        Ok(figures.differences())
    }

    fn report_json(&mut self, sync: &SyncSettings, comparison: &Comparison) -> Result<()> {
        self.comma.next(&mut self.out)?;
        let head = json!({
            "sync": sync.name, "target_users": comparison.target_users, "in_step": comparison.plan.in_step,
        });
        self.out.piece(head.to_string().trim_end_matches('}'))?;
        for kind in Difference::ALL {
            self.out.piece(&format!(",\"{}\":[", kind.name()))?;
            let mut comma = Comma::default();
            comparison.each(kind, |operation, protected| {
                comma.next(&mut self.out)?;
                self.out.piece(&element(kind, operation, protected, &sync.label).to_string())
            })?;
            self.out.piece("]")?;
        }
        self.out.piece(",\"orphaned\":[")?;
        let mut comma = Comma::default();
        // Those whose account it is have a label in JSON: of these it is in doubt.
        comparison.each_orphan(|id| comma.write(&mut self.out, &json!({ "remote_id": id })))?;
        self.out.piece("],\"doubled\":[")?;
        let mut comma = Comma::default();
        comparison.each_doubled(|doubled| {
            comma.write(&mut self.out, &json!({ "key": doubled.key, "remote_ids": doubled.remote_ids }))
        })?;
        self.out.piece("],\"kept_by_target\":[")?;
        let mut comma = Comma::default();
        comparison.each_kept(|kept| {
            let kept = json!({ "key": kept.key, "remote_id": kept.remote_id, "fields": kept.fields });
            comma.write(&mut self.out, &kept)
        })?;
        self.out.piece(&format!("],\"unresolved\":{}", json!(comparison.plan.unresolved)))
    }

    fn report_text(
        &mut self,
        sync: &SyncSettings,
        comparison: &Comparison,
        figures: &Figures,
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
        for (kind, count) in Difference::ALL.into_iter().zip(figures.counts).filter(|(_, n)| *n > 0) {
            let heading = style.strong(&format!("{} {count}", heading(kind)));
            self.section(&heading, count, |visit| {
                comparison.each(kind, |operation, protected| visit(&line(kind, operation, protected, &sync.label)))
            })?;
        }
        let heading = format!("Orphaned {}: in no source and no snapshot; never touched", figures.orphaned);
        self.section(&style.warn(&heading), figures.orphaned, |visit| {
            comparison.each_orphan(|id| {
                let called = called(sync, comparison, id)?.map(|called| format!("  {called}")).unwrap_or_default();
                visit(&format!("account {}{called}", id.as_str()))
            })
        })?;
        let heading = format!("More than one account {}: never touched; see to them there", figures.doubled);
        self.section(&style.warn(&heading), figures.doubled, |visit| {
            comparison.each_doubled(|doubled| {
                let ids: Vec<&str> = doubled.remote_ids.iter().map(RemoteId::as_str).collect();
                let key = key_and(&doubled.key, first_called(sync, comparison, &doubled.remote_ids)?);
                visit(&format!("{key}  accounts {}", ids.join(", ")))
            })
        })?;
        let heading = format!("Kept otherwise by the target {}: not written again until it changes", figures.kept);
        self.section(&style.strong(&heading), figures.kept, |visit| {
            comparison.each_kept(|kept| {
                let key = key_and(&kept.key, called(sync, comparison, &kept.remote_id)?);
                visit(&format!("{key}  account {}  {}", kept.remote_id.as_str(), kept.fields.join(", ")))
            })
        })?;
        let unresolved = &comparison.plan.unresolved;
        let heading =
            format!("Without an answer {}: looked up first by rosterd sync {}", figures.unresolved, sync.name);
        self.section(&style.warn(&heading), figures.unresolved, |visit| {
            unresolved.iter().try_for_each(|key| visit(key.as_str()))
        })?;
        self.advice(sync, figures, remedy)
    }

    /// A heading, and the first lines of what stands below it; nothing of what there is nothing of.
    fn section(
        &mut self,
        heading: &str,
        count: u64,
        each: impl FnOnce(&mut dyn FnMut(&str) -> Result<()>) -> Result<()>,
    ) -> Result<()> {
        if count == 0 {
            return Ok(());
        }
        self.out.section(&format!("  {heading}"))?;
        let mut left = if self.all { usize::MAX } else { SHOWN };
        each(&mut |line| {
            if left > 0 {
                left -= 1;
                self.out.line(&format!("    {line}"))?;
            }
            Ok(())
        })?;
        self.more(count)
    }

    /// What one does next.
    fn advice(&mut self, sync: &SyncSettings, figures: &Figures, remedy: Remedy) -> Result<()> {
        let [missing, drifted, banned, active, adoptable] = figures.counts;
        let repairable = missing + drifted + banned + active;
        if figures.differences() == 0 {
            return self.out.line(if self.forsaken { "  Everybody is in step here." } else { "  Nothing differs." });
        }
        if repairable > 0 && !remedy.repair {
            self.out.section(&format!(
                "  Set them right, under the same limits: rosterd reconcile {} --repair",
                sync.name
            ))?;
        }
        if adoptable > 0 && !remedy.adopt {
            self.out
                .section(&format!("  Link those that are there already: rosterd reconcile {} --adopt", sync.name))?;
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

    fn end_of_sync(&mut self, run: Option<&RunSummary>, notable: &[crate::domain::outcome::Outcome]) -> Result<()> {
        match (self.json, run) {
            (true, Some(run)) => self.out.piece(&format!(",\"run\":{}}}", json!(run))),
            (true, None) => self.out.piece("}"),
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
                "active_there": [], "orphaned": [], "adoptable": [], "doubled": [], "kept_by_target": [],
                "unresolved": [], "error": RunError::from(failure),
            });
            return self.out.piece(&empty.to_string());
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

const fn heading(kind: Difference) -> &'static str {
    match kind {
        Difference::Missing => "Missing there",
        Difference::Drifted => "Drifted",
        Difference::BannedThere => "Banned there, active here:",
        Difference::ActiveThere => "Active there, gone here:",
        Difference::Adoptable => "Adoptable: the account is there and not linked:",
    }
}

/// What an account's owner is called, by what the listing shows.
fn called(sync: &SyncSettings, comparison: &Comparison, id: &RemoteId) -> Result<Option<Label>> {
    let account = comparison.listing.by_id(id)?;
    Ok(account.and_then(|account| sync.label.of(|field| account.attributes.get(field))))
}

fn first_called(sync: &SyncSettings, comparison: &Comparison, ids: &[RemoteId]) -> Result<Option<Label>> {
    ids.first().map_or(Ok(None), |id| called(sync, comparison, id))
}

fn labelled(mut told: Value, called: Option<Label>) -> Value {
    if let Some(called) = called {
        told["label"] = json!(called);
    }
    told
}

fn key_and(key: &Key, called: Option<Label>) -> String {
    match called {
        Some(called) => format!("{}  {called}", padded(key.as_str(), 10)),
        None => padded(key.as_str(), 10),
    }
}

/// One difference as the contract's JSON.
fn element(kind: Difference, operation: &Planned, protected: bool, label: &LabelFields) -> Value {
    let mut element = labelled(json!({ "key": operation.key }), label.of_operation(operation));
    if kind != Difference::Missing {
        element["remote_id"] = json!(operation.remote_id);
    }
    if !operation.fields.is_empty() && matches!(kind, Difference::Drifted | Difference::BannedThere) {
        let fields: serde_json::Map<String, Value> = (operation.fields.iter())
            .map(|(field, change)| (field.clone(), json!({ "expected": change.new, "actual": change.old })))
            .collect();
        element["fields"] = Value::Object(fields);
    }
    if let Some(conflict) = operation.conflict() {
        element["conflict"] = json!(conflict.message);
    }
    if protected {
        element["protected"] = json!(true);
    }
    element
}

/// One difference as a person reads it.
fn line(kind: Difference, operation: &Planned, protected: bool, label: &LabelFields) -> String {
    let mut text = key_and(&operation.key, label.of_operation(operation));
    if let Some(id) = &operation.remote_id {
        text.push_str(&format!("  account {}", id.as_str()));
    }
    if matches!(kind, Difference::Drifted | Difference::BannedThere) {
        let fields = operation.fields.iter();
        let fields = fields.map(|(f, c)| format!("{f} should be {}, is {}", shown(&c.new), shown(&c.old)));
        let fields = fields.collect::<Vec<_>>().join("; ");
        if !fields.is_empty() {
            text.push_str(&format!("  {fields}"));
        }
    }
    if let Some(conflict) = operation.conflict() {
        text.push_str(&format!("  {}", conflict.message));
    }
    if protected {
        text.push_str("  (protected: left as it is)");
    }
    text.trim_end().to_string()
}

//! A plan as people read it.

use super::Shown;
use crate::cli::sections::{SHOWN, Sections, more};
use crate::cli::words;
use crate::domain::error::Result;
use crate::domain::label::Label;
use crate::domain::limits::{self, Breach, LimitName, Measured};
use crate::domain::record::{Key, Reject};
use crate::domain::visible::padded;
use crate::mapping;
use crate::plan::Plan;
use crate::state::plan_history::LastApproved;
use crate::terminal::out::Out;

impl Shown<'_> {
    pub(super) async fn text(&self, out: &mut Out, plan: &Plan, held: Option<&Breach>) -> Result<()> {
        let (style, sync) = (out.style, self.sync);
        out.line(&format!(
            "{}: {} → {}  {}",
            style.strong(&sync.name),
            sync.source.name,
            sync.target.name,
            style.faint(&format!("plan {}", plan.id))
        ))?;
        if let Some(date) = self.on {
            out.line(&format!("  As if today were {date}."))?;
        }
        out.line(&format!(
            "  {} read: {} unchanged, {} out of scope.",
            words::count(plan.source_records, "record", "records"),
            plan.unchanged,
            plan.excluded
        ))?;
        let mut sections = Sections::new(self.all, &sync.label);
        if let Some(breach) = held {
            let named = if breach.limit == LimitName::Rekey { plan.reformatted.as_slice() } else { &[] };
            out.section(&format!("  {}", style.warn(&format!("It would be {}.", breach.sentence(named)))))?;
            sections = sections.about(breach, self.state.ask(LastApproved(sync.name.clone())).await?);
        }
        plan.for_each(|operation| sections.add(operation))?;
        sections.print(out)?;
        self.bystanders(out, plan).await?;
        for shared in &plan.shared {
            out.section(&format!("  {}", style.warn(&format!("{shared}: none of them is created"))))?;
        }
        self.ending(out, plan, held)
    }

    /// What one can do with it.
    fn ending(&self, out: &mut Out, plan: &Plan, held: Option<&Breach>) -> Result<()> {
        let name = &self.sync.name;
        let total = words::count(plan.total(), "operation", "operations");
        match held {
            _ if self.on.is_some() && plan.total() > 0 => {
                out.section(&format!("  {total}, as things stand now. Nothing has been sent, nor can this plan be."))
            }
            Some(breach) if limits::holds_bans_alone(plan.tally(), &self.sync.limits, breach) => out.section(&format!(
                "  rosterd sync {name} holds the bans, and what can't be done before them, for approval; it sends the rest."
            )),
            Some(_) => out.section(&format!("  rosterd sync {name} holds it for approval.")),
            None if plan.total() == 0 && plan.unresolved.is_empty() && plan.rejected == 0 => {
                out.section("  Nothing to do: the target is in step.")
            }
            None if plan.total() == 0 => out.section("  Nothing else to do."),
            None => out.section(&format!("  {total}. Nothing has been sent; rosterd sync {name} sends it.")),
        }
    }

    /// Those for whom nothing is sent, and why.
    async fn bystanders(&self, out: &mut Out, plan: &Plan) -> Result<()> {
        let most = if self.all { usize::MAX } else { SHOWN };
        if plan.rejected > 0 {
            let heading = format!("Rejected {}: nothing is done to these people", plan.rejected);
            out.section(&format!("  {}", out.style.warn(&heading)))?;
            let (mut left, mut help) = (most, None);
            for page in plan.reject_pages() {
                let page: Vec<Reject> = page?.into_iter().map(|(_, reject)| reject).take(left).collect();
                if page.is_empty() {
                    break;
                }
                left -= page.len();
                help = help.or_else(|| page.iter().find_map(|reject| mapping::remedy(&reject.reason)));
                let called = self.labels(plan, page.iter().filter_map(|reject| reject.key.as_ref())).await?;
                for reject in &page {
                    let who = named(reject.key.as_ref(), reject.key.as_ref().and_then(|key| called.get(key)));
                    out.line(&format!("    {who}  {}: {}", reject.position, reject.reason))?;
                }
            }
            more(out, "    ", plan.rejected, most)?;
            help.iter().try_for_each(|help| out.line(&format!("    help: {help}")))?;
        }
        if plan.skipped > 0 {
            out.section(&format!("  {}", out.style.strong(&format!("Skipped {}", plan.skipped))))?;
            let mut left = most;
            for page in plan.skip_pages() {
                let page: Vec<(Key, String)> = page?.into_iter().take(left).collect();
                if page.is_empty() {
                    break;
                }
                left -= page.len();
                let called = self.labels(plan, page.iter().map(|(key, _)| key)).await?;
                for (key, reason) in &page {
                    out.line(&format!("    {}  {reason}", named(Some(key), called.get(key))))?;
                }
            }
            more(out, "    ", plan.skipped, most)?;
        }
        if !plan.unresolved.is_empty() {
            let count = plan.unresolved.len();
            let heading =
                format!("Unresolved {count}: sent, and without an answer so far; looked up first by the next run");
            out.section(&format!("  {}", out.style.warn(&heading)))?;
            let shown: Vec<&Key> = plan.unresolved.iter().take(most).collect();
            let called = self.labels(plan, shown.iter().copied()).await?;
            shown.iter().try_for_each(|key| out.line(&format!("    {}", named(Some(key), called.get(*key)))))?;
            more(out, "    ", count as u64, most)?;
        }
        Ok(())
    }
}

/// A person by key and label.
fn named(key: Option<&Key>, label: Option<&Label>) -> String {
    let key = padded(key.map_or("(no key)", Key::as_str), 10);
    match label {
        Some(label) => format!("{key}  {label}"),
        None => key,
    }
}

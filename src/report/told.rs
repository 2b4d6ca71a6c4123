//! Outcomes as they are told to people and scripts who look back: with who approved their run, and who had it taken back.

use std::collections::BTreeSet;

use serde::{Serialize, Serializer};

use crate::domain::cause::Consented;
use crate::domain::error::Failure;
use crate::domain::ids::RunId;
use crate::domain::outcome::Outcome;
use crate::domain::record::Key;
use crate::os::zone;
use crate::state::State;
use crate::state::runs::{Consents, ConsentsTo};

/// Outcomes with what people said to their runs.
///
/// # Errors
/// The state fails.
pub async fn told(state: &State, outcomes: Vec<Outcome>) -> Result<Vec<ToldOutcome>, Failure> {
    let runs: BTreeSet<RunId> = outcomes.iter().map(|outcome| outcome.run.clone()).collect();
    let consents = state.ask(ConsentsTo(runs.into_iter().collect())).await?;
    let of = |run: &RunId| consents.get(run).cloned().unwrap_or_default();
    Ok(outcomes.into_iter().map(|outcome| ToldOutcome { consents: of(&outcome.run), outcome }).collect())
}

/// An outcome, and what people said to its run.
#[derive(Clone, Debug)]
pub struct ToldOutcome {
    /// The outcome. Its key is the one that they had then.
    pub outcome: Outcome,
    /// Who said yes to its run, and to what took the run back.
    pub consents: Consents,
}

impl Serialize for ToldOutcome {
    /// The outcome as the contract has it, with who approved its run and who had it taken back, where somebody did.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Told<'o> {
            #[serde(flatten)]
            outcome: &'o Outcome,
            #[serde(skip_serializing_if = "Option::is_none")]
            approved_by: Option<&'o str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            approval_reason: Option<Option<&'o str>>,
            #[serde(skip_serializing_if = "Option::is_none")]
            undone_by: Option<&'o str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            undo_reason: Option<Option<&'o str>>,
        }
        let Consents { approved, undone, .. } = &self.consents;
        let told = Told {
            outcome: &self.outcome,
            approved_by: approved.as_ref().map(|consented| consented.by.as_str()),
            approval_reason: approved.as_ref().map(|consented| consented.reason.as_deref()),
            undone_by: undone.as_ref().map(|consented| consented.by.as_str()),
            undo_reason: undone.as_ref().map(|consented| consented.reason.as_deref()),
        };
        told.serialize(serializer)
    }
}

impl ToldOutcome {
    /// The outcome in a line, for the person of this key.
    pub fn line(&self, key: &Key) -> String {
        let (o, Consents { approved, undone, undoes }) = (&self.outcome, &self.consents);
        let mut line = format!("  {}  {} {}", zone::told(o.ts), o.op.map_or("record", |op| op.name()), o.status.name());
        if let Some(then) = o.key.as_ref().filter(|then| *then != key) {
            line.push_str(&format!(" (then {then})"));
        }
        if !o.fields.is_empty() {
            line.push_str(&format!(" ({})", o.fields.join(", ")));
        }
        for why in [o.reason.as_deref(), o.error.as_ref().map(|e| e.message.as_str())].into_iter().flatten() {
            line.push_str(&format!(": {why}"));
        }
        if let Some(approved) = approved {
            let what = undoes.as_ref().map_or("approved".into(), |run| format!("in an undo of run {run}, approved"));
            line.push_str(&format!("; {what} by {}", said(approved)));
        }
        if let Some(undone) = undone {
            line.push_str(&format!("; its run was taken back, approved by {}", said(undone)));
        }
        line
    }
}

/// Who said yes, and what they said.
pub fn said(consented: &Consented) -> String {
    match &consented.reason {
        Some(reason) => format!("{}: “{reason}”", consented.by),
        None => consented.by.clone(),
    }
}

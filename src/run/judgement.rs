//! The judgement of one read by the syncs that wait for it. What a mapping rejects counts as what the reader rejects, so a
//! read is trusted, and the baseline of later ones, only when every sync that looked at it has found it good.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};

use crate::domain::error::Result;
use crate::state::State;
use crate::state::sources::Trusted;

/// What is remembered of a source once its read is trusted.
#[derive(Clone, Debug)]
pub(super) struct Remembered {
    /// The source.
    pub source: String,
    /// How many people were there.
    pub people: u64,
    /// It passed because somebody accepted it.
    pub spends_accept: bool,
}

/// How the syncs that wait for a read judge it. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Judgement(Arc<Mutex<Votes>>);

#[derive(Debug, Default)]
struct Votes {
    /// Syncs that have not said anything yet.
    waiting: BTreeSet<String>,
    trusted: bool,
    untrusted: bool,
    /// When it was read, and what is remembered of it.
    read: Option<(DateTime<Utc>, Vec<Remembered>)>,
}

impl Judgement {
    /// A read at this time, which these syncs wait for.
    pub(super) fn waits_for(
        syncs: impl IntoIterator<Item = String>,
        at: DateTime<Utc>,
        remembered: Vec<Remembered>,
    ) -> Judgement {
        let waiting = syncs.into_iter().collect();
        let votes = Votes { waiting, read: Some((at, remembered)), ..Votes::default() };
        Judgement(Arc::new(Mutex::new(votes)))
    }

    /// A sync has looked at it, and found it good, or not; none: it did not come to that. Only its first word counts.
    /// With the last sync's the read is remembered, if it is.
    ///
    /// # Errors
    /// The state fails.
    pub(super) async fn says(&self, sync: &str, trusted: Option<bool>, state: &State) -> Result<()> {
        let Some((at, remembered)) = self.heard(sync, trusted) else { return Ok(()) };
        for Remembered { source, people, spends_accept } in remembered {
            state.ask(Trusted { source, at, people, spends_accept }).await?;
        }
        Ok(())
    }

    fn heard(&self, sync: &str, trusted: Option<bool>) -> Option<(DateTime<Utc>, Vec<Remembered>)> {
        let mut votes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if votes.waiting.remove(sync) {
            votes.trusted |= trusted == Some(true);
            votes.untrusted |= trusted == Some(false);
        }
        let done = votes.waiting.is_empty() && votes.trusted && !votes.untrusted;
        if done { votes.read.take() } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remembered(words: &[(&str, Option<bool>)]) -> bool {
        let read = Remembered { source: "hr".into(), people: 40, spends_accept: false };
        let judgement = Judgement::waits_for(["a", "b"].map(String::from), DateTime::UNIX_EPOCH, vec![read]);
        let times = words.iter().filter(|(sync, trusted)| judgement.heard(sync, *trusted).is_some()).count();
        assert!(times <= 1, "once");
        times == 1
    }

    #[test]
    fn a_read_is_remembered_when_all_who_judge_it_find_it_good() {
        for (words, is_remembered) in [
            (&[("a", Some(true)), ("b", Some(true)), ("b", None)][..], true),
            (&[("a", Some(true)), ("b", None)], true),
            (&[("a", None), ("b", Some(true)), ("a", Some(true))], true),
            (&[("a", Some(true)), ("b", Some(false))], false),
            (&[("a", Some(false)), ("b", Some(true))], false),
            (&[("a", None), ("b", None)], false),
            (&[("a", Some(true)), ("a", Some(true))], false),
        ] {
            assert_eq!(remembered(words), is_remembered, "{words:?}");
        }
    }
}

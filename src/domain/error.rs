//! What can go wrong, by whose trouble it is, and the failure that tells it to a person.
//!
//! Control flow matches on [`Error`] and on nothing else. The exit code that follows from one is [`super::exit`]'s affair.

use std::fmt;

/// Whose trouble it is that something could not be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The source's.
    Source(SourceReason),
    /// The target's.
    Target(TargetReason),
    /// That of the database in which is kept what each target confirmed.
    State(StateReason),
    /// The configuration's.
    Config,
    /// The caller's: wrong usage, or something named that there is not.
    Usage,
    /// The operator's to decide: held by a limit, or an approval that is stale or spent.
    Held,
    /// This machine's, or this process's.
    Local(LocalReason),
    /// Ours: something that can't happen did.
    Defect,
}

/// What is wrong with a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceReason {
    /// It can't be reached, or it is in trouble.
    Unreachable,
    /// It refuses the credentials.
    Denied,
    /// What it gave is not to be trusted.
    Untrusted,
}

/// What is wrong with a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetReason {
    /// It can't be reached, is in trouble, or answers what can't be believed.
    Unreachable,
    /// It refuses the credentials.
    Denied,
    /// The requests that it may be sent on a day are used up.
    QuotaUsedUp,
    /// It failed too often, or does not answer any more: the rest of the run is left out.
    GaveUp,
    /// An operation that it was sent has no answer yet.
    Unanswered,
}

/// What is wrong with the state database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateReason {
    /// There is none.
    Missing,
    /// Another process holds it for a moment.
    Busy,
    /// Another process sends with it.
    SenderActive,
    /// Its disk is full, or fails.
    Io,
    /// It is damaged, newer than this program, or not ours.
    Damaged,
    /// Others can read or write it, or its place can't be relied on.
    Exposed,
}

/// What is wrong on this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LocalReason {
    /// Input or output failed.
    Io,
    /// A service of this machine is not there: an address to listen on, the daemon, a notifier.
    Unavailable,
    /// A secret or a file that others can read.
    Exposed,
    /// It was stopped before the end, as asked.
    Stopped,
}

/// An error on its way to a person: one sentence, a remedy, whose trouble it is, and the cause below it.
///
/// The message states this layer alone; what lies beneath is in [`std::error::Error::source`]. It never contains a
/// value of a person or a secret.
#[derive(Debug)]
pub struct Failure {
    /// Whose trouble it is.
    pub error: Error,
    /// What went wrong, naming the place.
    pub message: String,
    /// What to do about it, if there is something to do.
    pub help: Option<String>,
    /// What else is wrong at the same time.
    pub others: Vec<Failure>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// What a fallible step of a command returns.
pub type Result<T, E = Failure> = std::result::Result<T, E>;

/// What is said of a panic, whose own words may quote a value.
const A_DEFECT: &str = "a defect of rosterd's own, at the place that the log names";

impl Failure {
    /// A failure with this message.
    pub fn new(error: Error, message: impl Into<String>) -> Self {
        Failure { error, message: message.into(), help: None, others: Vec::new(), source: None }
    }

    /// A fault of ours: something that can't happen did.
    pub fn internal(message: impl Into<String>) -> Self {
        Failure::new(Error::Defect, message)
    }

    /// A panic of ours that was caught.
    pub fn defect(message: impl Into<String>) -> Self {
        Failure::internal(message).because(A_DEFECT)
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Adds the cause.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The same failure once more, for the next one whom it concerns; its causes become part of the message.
    #[must_use]
    pub fn again(&self) -> Failure {
        Failure {
            error: self.error,
            message: self.told(),
            help: self.help.clone(),
            others: self.others.iter().map(Failure::again).collect(),
            source: None,
        }
    }

    /// Everything: [`Failure::told`], and on lines of their own the others that are wrong at the same time.
    pub fn chain(&self) -> String {
        let Some(others) = (!self.others.is_empty()).then_some(&self.others) else { return self.told() };
        let help =
            |failure: &Failure| failure.help.as_ref().map(|help| format!("\n   help: {help}")).unwrap_or_default();
        let others: String = others.iter().map(|other| format!("\nerror: {}{}", other.chain(), help(other))).collect();
        format!("{}{}{others}", self.told(), help(self))
    }

    /// The message followed by each cause below it, on one line: `what: why: why that`.
    pub fn told(&self) -> String {
        let mut text = self.message.clone();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            let next = error.to_string();
            if !text.ends_with(&next) {
                text.push_str(": ");
                text.push_str(&next);
            }
            cause = error.source();
        }
        text
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|e| e as _)
    }
}

#[cfg(test)]
impl Failure {
    /// The exit code that the command line would make of it.
    pub fn exit(&self) -> super::exit::Exit {
        self.error.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_prints_its_own_layer_and_chains_its_causes() {
        let inner = std::io::Error::other("disk full");
        let failure = Failure::new(Error::Local(LocalReason::Io), "cannot write the journal").because(inner);
        assert_eq!(failure.to_string(), "cannot write the journal");
        assert_eq!(failure.chain(), "cannot write the journal: disk full");
    }
}

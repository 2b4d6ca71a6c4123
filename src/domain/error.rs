//! How a command ends: the exit codes, which of two is the graver, and the error that carries one.
//!
//! Every failure that reaches `main` is a [`Failure`]: what went wrong in one sentence, what to do about it, and the
//! exit code under which scripts and systemd will see it. Nothing else in the crate decides an exit code.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The process's exit code. The numbers are those of BSD `sysexits` where one fits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Exit {
    /// 0: done, or nothing to do.
    #[default]
    Ok,
    /// 2: there are differences; given only with `--detailed-exitcode`.
    Differences,
    /// 3: held by a limit, or an approval that is stale or spent.
    Held,
    /// 64: wrong usage; an unknown sync, key, plan or run.
    Usage,
    /// 65: the source is not to be trusted.
    Untrusted,
    /// 69: source or target unreachable before anything was sent.
    Unavailable,
    /// 70: internal error, or a state database that is damaged or newer than this program.
    Internal,
    /// 74: local input or output failed (a full disk, say).
    Io,
    /// 75: finished, but something is left over; or another sender holds the state.
    Partial,
    /// 77: credentials refused, or a secret or state file that others can read.
    Denied,
    /// 78: the configuration is wrong.
    Config,
}

impl Exit {
    /// The number that the shell sees.
    pub const fn code(self) -> u8 {
        match self {
            Exit::Ok => 0,
            Exit::Differences => 2,
            Exit::Held => 3,
            Exit::Usage => 64,
            Exit::Untrusted => 65,
            Exit::Unavailable => 69,
            Exit::Internal => 70,
            Exit::Io => 74,
            Exit::Partial => 75,
            Exit::Denied => 77,
            Exit::Config => 78,
        }
    }

    /// Every code.
    const ALL: [Exit; 11] = [
        Exit::Ok,
        Exit::Differences,
        Exit::Held,
        Exit::Usage,
        Exit::Untrusted,
        Exit::Unavailable,
        Exit::Internal,
        Exit::Io,
        Exit::Partial,
        Exit::Denied,
        Exit::Config,
    ];

    /// The exit of this number, if it is one of ours.
    pub fn of_code(code: u8) -> Option<Exit> {
        Exit::ALL.into_iter().find(|exit| exit.code() == code)
    }

    /// How grave it is when several syncs end differently; the greatest wins.
    ///
    /// The order is that of how much a person must do: a broken state before a full disk before a wrong
    /// configuration, down to "something is left for the next run".
    const fn gravity(self) -> u8 {
        match self {
            Exit::Ok => 0,
            Exit::Differences => 1,
            Exit::Partial => 2,
            Exit::Held => 3,
            Exit::Untrusted => 4,
            Exit::Unavailable => 5,
            Exit::Denied => 6,
            Exit::Config => 7,
            Exit::Io => 8,
            Exit::Internal => 9,
            Exit::Usage => 10,
        }
    }

    /// The graver of two.
    #[must_use]
    pub fn worse(self, other: Exit) -> Exit {
        if other.gravity() > self.gravity() { other } else { self }
    }
}

impl Serialize for Exit {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(self.code())
    }
}

impl<'de> Deserialize<'de> for Exit {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Exit, D::Error> {
        let code = u8::deserialize(deserializer)?;
        Exit::of_code(code).ok_or_else(|| serde::de::Error::custom(format!("{code} is no exit code of ours")))
    }
}

/// An error on its way to a person: one sentence, a remedy, an exit code, and the cause below it.
///
/// The message states this layer alone; what lies beneath is in [`std::error::Error::source`]. It never contains a
/// value of a person or a secret.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
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
    /// A failure with this exit code and message.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Failure { exit, message: message.into(), help: None, others: Vec::new(), source: None }
    }

    /// A fault of ours: something that can't happen did.
    pub fn internal(message: impl Into<String>) -> Self {
        Failure::new(Exit::Internal, message)
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
            exit: self.exit,
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
mod tests {
    use super::*;

    #[test]
    fn gravest_code_of_several_syncs_wins_in_the_documented_order() {
        let order = [70, 74, 78, 77, 69, 65, 3, 75, 0];
        let all = Exit::ALL.into_iter().filter(|e| order.contains(&e.code()));
        for a in all.clone() {
            for b in all.clone() {
                let rank = |e: Exit| order.iter().position(|c| *c == e.code()).expect("in the order");
                let expected = if rank(a) <= rank(b) { a } else { b };
                assert_eq!(a.worse(b), expected, "{a:?} and {b:?}");
            }
        }
    }

    #[test]
    fn a_failure_prints_its_own_layer_and_chains_its_causes() {
        let inner = std::io::Error::other("disk full");
        let failure = Failure::new(Exit::Io, "cannot write the journal").because(inner);
        assert_eq!(failure.to_string(), "cannot write the journal");
        assert_eq!(failure.chain(), "cannot write the journal: disk full");
    }
}

//! The exit codes of the program, and which of two is the graver.
//!
//! They are made of an [`Error`] here and nowhere else. Only the command line ends with one; what is written down for
//! programs (the JSON of a run, answers of the daemon and of the page's API) carries the same number.

use serde::{Deserialize, Serialize};

use super::error::{Error, LocalReason, SourceReason, StateReason, TargetReason};

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

    /// What an answer of another process of ours that ends with it is taken for.
    pub fn error(self) -> Error {
        match self {
            Exit::Usage => Error::Usage,
            Exit::Config => Error::Config,
            Exit::Held => Error::Held,
            Exit::Untrusted => Error::Source(SourceReason::Untrusted),
            Exit::Unavailable => Error::Local(LocalReason::Unavailable),
            Exit::Denied => Error::Local(LocalReason::Exposed),
            Exit::Io => Error::Local(LocalReason::Io),
            Exit::Partial => Error::Local(LocalReason::Stopped),
            Exit::Internal | Exit::Ok | Exit::Differences => Error::Defect,
        }
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

impl From<Error> for Exit {
    fn from(error: Error) -> Exit {
        match error {
            Error::Usage => Exit::Usage,
            Error::Config => Exit::Config,
            Error::Held => Exit::Held,
            Error::Defect => Exit::Internal,
            Error::Source(SourceReason::Untrusted) => Exit::Untrusted,
            Error::Source(SourceReason::Unreachable)
            | Error::Target(TargetReason::Unreachable)
            | Error::State(StateReason::Missing)
            | Error::Local(LocalReason::Unavailable) => Exit::Unavailable,
            Error::Source(SourceReason::Denied)
            | Error::Target(TargetReason::Denied)
            | Error::State(StateReason::Exposed)
            | Error::Local(LocalReason::Exposed) => Exit::Denied,
            Error::Target(TargetReason::QuotaUsedUp | TargetReason::GaveUp | TargetReason::Unanswered)
            | Error::State(StateReason::Busy | StateReason::SenderActive)
            | Error::Local(LocalReason::Stopped) => Exit::Partial,
            Error::State(StateReason::Damaged) => Exit::Internal,
            Error::State(StateReason::Io) | Error::Local(LocalReason::Io) => Exit::Io,
        }
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
}

//! Why the state could not do what it was asked.

use crate::domain::error::{Error, Failure, StateReason};

/// An error of the state. Cloneable, because one failed commit is everybody's who shared it.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct StateError {
    /// Whose trouble it is.
    pub error: Error,
    /// What happened.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

impl StateError {
    /// An error of this kind.
    pub fn new(error: Error, message: impl Into<String>) -> Self {
        StateError { error, message: message.into(), help: None }
    }

    /// Local input or output failed.
    pub fn io(message: impl Into<String>) -> Self {
        StateError::new(Error::State(StateReason::Io), message)
    }

    /// The database is damaged, newer than this program, or not ours.
    pub fn damaged(message: impl Into<String>) -> Self {
        StateError::new(Error::State(StateReason::Damaged), message)
    }

    /// A panic of ours in a command, whose words are kept back.
    pub fn defect() -> Self {
        StateError::new(
            Error::State(StateReason::Damaged),
            "the state broke off on a defect of rosterd's own, at the place that the log names",
        )
    }

    /// The state's thread has ended.
    pub fn gone() -> Self {
        StateError::new(Error::State(StateReason::Damaged), "the state's thread has ended")
    }

    /// The transaction was given up below us.
    pub fn lost() -> Self {
        StateError::new(Error::State(StateReason::Io), "the state database gave a transaction up")
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl From<serde_json::Error> for StateError {
    fn from(error: serde_json::Error) -> Self {
        // serde_json's messages can quote what it read; its category can't.
        StateError::damaged(format!("a stored value can't be read ({:?} error)", error.classify()))
    }
}

impl From<StateError> for Failure {
    fn from(error: StateError) -> Self {
        let failure = Failure::new(error.error, error.message);
        match error.help {
            Some(help) => failure.help(help),
            None => failure,
        }
    }
}

#[cfg(test)]
impl StateError {
    /// The exit code that the command line would make of it.
    pub fn exit(&self) -> crate::domain::exit::Exit {
        self.error.into()
    }
}

//! What is wrong with a configuration, one finding at a time: where it stands, what it is, what to do about it.
//!
//! A diagnostic shows values of the configuration, never secrets: whoever makes one sees to that.

use std::fmt;

use serde::Serialize;

use crate::domain::error::{Error, Failure};
use crate::domain::nearest::nearest;

/// One finding. Its serialised form is an element of `check`'s `errors` and `warnings`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// The file, or `environment NAME`.
    pub file: String,
    /// The line in it, counted from 1, where it has one.
    pub line: Option<usize>,
    /// The key, dotted: `targets.juno.rate`. Empty where it is the file as a whole.
    pub key: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
    /// Whose trouble it is.
    #[serde(skip)]
    pub error: Error,
}

impl Diagnostic {
    /// A finding about a whole file.
    pub fn file(file: impl Into<String>, message: impl Into<String>) -> Self {
        Diagnostic {
            file: file.into(),
            line: None,
            key: String::new(),
            message: message.into(),
            help: None,
            error: Error::Config,
        }
    }

    /// Logs it as a warning: one line, with the help as a field.
    pub fn warn(&self) {
        tracing::warn!(help = self.help.as_deref(), "{}", self.finding());
    }

    /// `file:line: key: message`.
    fn finding(&self) -> String {
        let line = self.line.map(|line| format!(":{line}")).unwrap_or_default();
        let key = if self.key.is_empty() { String::new() } else { format!(": {}", self.key) };
        format!("{}{line}{key}: {}", self.file, self.message)
    }

    /// The finding, and the help on a line of its own.
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.finding())?;
        match &self.help {
            Some(help) => write!(f, "\n   help: {help}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f)
    }
}

/// The failure that a command ends with when the configuration has these errors: each of them, and 77 when open
/// secrets are all that is wrong, otherwise 78.
pub fn failure(errors: &[Diagnostic]) -> Failure {
    let kind = match errors.iter().find(|e| e.error == Error::Config).or(errors.first()) {
        Some(gravest) => gravest.error,
        None => Error::Config,
    };
    let one = |error: &Diagnostic| {
        let failure = Failure::new(kind, error.finding());
        match &error.help {
            Some(help) => failure.help(help.clone()),
            None => failure,
        }
    };
    let mut all = errors.iter().map(one);
    let mut first = all.next().unwrap_or_else(|| Failure::new(kind, "the configuration can't be used"));
    first.others = all.collect();
    first
}

/// Help for a name that isn't known: the nearest one, or all there are.
pub fn did_you_mean<'a>(name: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> Option<String> {
    if let Some(near) = nearest(name, known.clone()) {
        return Some(format!("did you mean `{near}`?"));
    }
    let all: Vec<&str> = known.into_iter().collect();
    if all.is_empty() { None } else { Some(format!("known here: {}", all.join(", "))) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::error::LocalReason;

    #[test]
    fn help_names_the_nearest_or_all() {
        let known = ["rate", "retry", "burst"];
        assert_eq!(did_you_mean("raet", known).as_deref(), Some("did you mean `rate`?"));
        assert_eq!(did_you_mean("zip", known).as_deref(), Some("known here: rate, retry, burst"));
        assert_eq!(did_you_mean("zip", []), None);
    }

    #[test]
    fn text_and_kind_of_several_errors() {
        let mut first = Diagnostic::file("a.toml", "bad");
        first.line = Some(3);
        first.key = "state.path".into();
        first.help = Some("mend it".into());
        let mut open = Diagnostic::file("a.toml", "open");
        open.error = Error::Local(LocalReason::Exposed);
        assert_eq!(first.to_string(), "a.toml:3: state.path: bad\n   help: mend it");
        assert_eq!(failure(std::slice::from_ref(&open)).error, Error::Local(LocalReason::Exposed));
        let alone = failure(std::slice::from_ref(&first));
        assert_eq!((alone.message.as_str(), alone.help.as_deref()), ("a.toml:3: state.path: bad", Some("mend it")));
        assert_eq!(failure(&[open, first]).error, Error::Config);
    }
}

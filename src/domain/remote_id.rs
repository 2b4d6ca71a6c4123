//! The id that a target gave an account.
//!
//! On some platforms it is an e-mail address, which no log, outcome or message may show. That is why the raw text is had
//! by name alone ([`RemoteId::as_str`]: for requests, rows, comparisons, and the plans and reports that show people's
//! values anyway), and why there is no `Display`. Everything else shows a [`LoggableId`], which nobody makes without saying
//! whether the id is an address; a target's definition knows (`Engine::loggable_id`).

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The target's own id of an account.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RemoteId(String);

impl RemoteId {
    /// The raw text, which may be somebody's address.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id as it may be shown anywhere: where ids are addresses, a short hash, the same for the same address.
    pub fn loggable(&self, is_address: bool) -> LoggableId {
        LoggableId(match is_address {
            true => format!("#{}", &blake3::hash(self.0.as_bytes()).to_hex()[..12]),
            false => self.0.clone(),
        })
    }

    /// The same where it is not known whether ids are addresses: what looks like one is treated as one.
    pub fn loggable_by_look(&self) -> LoggableId {
        self.loggable(self.0.contains('@'))
    }
}

impl fmt::Debug for RemoteId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RemoteId({})", self.loggable_by_look())
    }
}

impl From<String> for RemoteId {
    fn from(text: String) -> RemoteId {
        RemoteId(text)
    }
}

impl From<&str> for RemoteId {
    fn from(text: &str) -> RemoteId {
        RemoteId(text.into())
    }
}

/// An account's id as logs, outcomes and messages show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct LoggableId(String);

impl LoggableId {
    /// The id in an outcome that was written earlier.
    pub fn written(text: String) -> LoggableId {
        LoggableId(text)
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for LoggableId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_address_is_shown_and_what_is_none_is() {
        let (address, number) = (RemoteId::from("ann@acme.example"), RemoteId::from("1001"));
        let hidden = address.loggable(true);
        assert_eq!((hidden.as_str().len(), hidden.as_str().starts_with('#')), (13, true));
        assert_eq!(hidden, address.loggable_by_look());
        assert_eq!(format!("{address:?}"), format!("RemoteId({hidden})"));
        assert_eq!((address.loggable(false).as_str(), address.as_str()), ("ann@acme.example", "ann@acme.example"));
        assert_eq!((format!("{number:?}"), number.loggable(true).as_str().len()), ("RemoteId(1001)".into(), 13));
        assert_eq!(serde_json::to_string(&address).expect("JSON"), "\"ann@acme.example\"");
    }
}

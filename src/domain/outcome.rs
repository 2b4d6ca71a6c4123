//! What became of one record: the ledger's row, its JSON line, and the words it is made of.
//!
//! The fields and their names are a promise to scripts; see `src/manual/records.md`. Messages are ours, never the
//! vendor's text, which echoes values.

use std::fmt;

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::ids::RunId;
use crate::domain::json_schema::Rfc3339;
use crate::domain::operation::OpKind;
use crate::domain::record::Key;
use crate::domain::remote_id::LoggableId;
use crate::domain::time;

/// What became of one operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// The target acknowledged it.
    Ok,
    /// The target refused it.
    Failed,
    /// It was sent, and no usable answer came.
    Unknown,
    /// The source's record is bad; nothing was sent.
    Rejected,
    /// A limit held the plan it belongs to.
    Held,
    /// Deliberately not done; the reason says why.
    Skipped,
}

impl Status {
    /// Every status, in the order in which summaries list them.
    pub const ALL: [Status; 6] =
        [Status::Ok, Status::Failed, Status::Unknown, Status::Rejected, Status::Held, Status::Skipped];

    /// The word in JSON, in the database and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Status::Ok => "ok",
            Status::Failed => "failed",
            Status::Unknown => "unknown",
            Status::Rejected => "rejected",
            Status::Held => "held",
            Status::Skipped => "skipped",
        }
    }

    /// The status of this name.
    pub fn parse(name: &str) -> Option<Status> {
        Status::ALL.into_iter().find(|s| s.name() == name)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Outcomes of one kind of operation, by status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// Acknowledged.
    pub ok: u64,
    /// Refused.
    pub failed: u64,
    /// Sent, no usable answer.
    pub unknown: u64,
    /// Held by a limit.
    pub held: u64,
    /// Not begun: the run was stopped.
    pub skipped: u64,
}

impl Counted {
    /// Adds outcomes of a status.
    pub const fn add(&mut self, status: Status, n: u64) {
        *match status {
            Status::Ok => &mut self.ok,
            Status::Failed => &mut self.failed,
            Status::Unknown => &mut self.unknown,
            Status::Held => &mut self.held,
            Status::Skipped | Status::Rejected => &mut self.skipped,
        } += n;
    }
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RunStatus {
    /// Everything that was to be done was done.
    Ok,
    /// Something is left over.
    Partial,
    /// Its plan exceeds a limit and waits for approval, or an approval was stale.
    Held,
    /// It could not be carried out.
    Failed,
    /// Its source was read, and is not believed.
    Untrusted,
    /// The sync is paused.
    Paused,
}

impl RunStatus {
    /// Every status.
    pub const ALL: [RunStatus; 6] = [
        RunStatus::Ok,
        RunStatus::Partial,
        RunStatus::Held,
        RunStatus::Failed,
        RunStatus::Untrusted,
        RunStatus::Paused,
    ];

    /// The word in JSON, in the database and in messages.
    pub const fn name(self) -> &'static str {
        match self {
            RunStatus::Ok => "ok",
            RunStatus::Partial => "partial",
            RunStatus::Held => "held",
            RunStatus::Failed => "failed",
            RunStatus::Untrusted => "untrusted",
            RunStatus::Paused => "paused",
        }
    }

    /// The status of this name.
    pub fn parse(name: &str) -> Option<RunStatus> {
        RunStatus::ALL.into_iter().find(|s| s.name() == name)
    }
}

impl fmt::Display for RunStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What kind of trouble an operation met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// The target understood and said no.
    Refused,
    /// No answer in time.
    Timeout,
    /// The connection failed or broke.
    Network,
    /// The credentials were refused.
    Auth,
    /// Too many requests, beyond all patience.
    RateLimited,
    /// An answer that the target's definition doesn't explain.
    Protocol,
    /// The record or the request can't be right.
    Invalid,
    /// Another account or another key is in the way.
    Conflict,
}

impl ErrorKind {
    /// The word in JSON and in the database.
    pub const fn name(self) -> &'static str {
        match self {
            ErrorKind::Refused => "refused",
            ErrorKind::Timeout => "timeout",
            ErrorKind::Network => "network",
            ErrorKind::Auth => "auth",
            ErrorKind::RateLimited => "rate_limited",
            ErrorKind::Protocol => "protocol",
            ErrorKind::Invalid => "invalid",
            ErrorKind::Conflict => "conflict",
        }
    }

    /// The kind of this name.
    pub fn parse(name: &str) -> Option<ErrorKind> {
        use ErrorKind::*;
        [Refused, Timeout, Network, Auth, RateLimited, Protocol, Invalid, Conflict]
            .into_iter()
            .find(|k| k.name() == name)
    }
}

/// Why an operation failed, in our words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OpError {
    /// What kind of trouble.
    pub kind: ErrorKind,
    /// The HTTP status, the vendor's code, the names of the fields it complains of; never a value.
    pub message: String,
}

impl OpError {
    /// An error of this kind.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        OpError { kind, message: message.into() }
    }
}

/// One row of the ledger.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Outcome {
    /// When it was settled.
    #[serde(with = "time::written")]
    #[schemars(with = "Rfc3339")]
    pub ts: DateTime<Utc>,
    /// The run's id.
    pub run: RunId,
    /// The sync.
    pub sync: String,
    /// Its source.
    pub source: String,
    /// Its target.
    pub target: String,
    /// The person, unless the row's key could not be read.
    pub key: Option<Key>,
    /// The operation; none for a rejected record.
    pub op: Option<OpKind>,
    /// What became of it.
    pub status: Status,
    /// The target's own id of the account, as logs may show it.
    pub remote_id: Option<LoggableId>,
    /// The names of the fields that were, or would have been, written.
    pub fields: Vec<String>,
    /// How many requests were made for it.
    pub attempts: u32,
    /// The HTTP status of the last answer.
    pub http_status: Option<u16>,
    /// From the first request to the last answer, in milliseconds.
    pub duration_ms: u64,
    /// Why it was skipped, held or rejected, or what is worth knowing of a success ("already gone").
    pub reason: Option<String>,
    /// Why it failed.
    pub error: Option<OpError>,
}

/// Which run an outcome belongs to.
#[derive(Clone, Debug)]
pub struct OfRun {
    /// The run's id.
    pub run: RunId,
    /// The sync.
    pub sync: String,
    /// Its source.
    pub source: String,
    /// Its target.
    pub target: String,
}

impl Outcome {
    /// An outcome of this run for which nothing was sent. Whoever sent something adds what came of it.
    pub fn new(ts: DateTime<Utc>, of: OfRun, key: Option<Key>, op: Option<OpKind>, status: Status) -> Outcome {
        let OfRun { run, sync, source, target } = of;
        Outcome {
            ts,
            run,
            sync,
            source,
            target,
            key,
            op,
            status,
            remote_id: None,
            fields: Vec::new(),
            attempts: 0,
            http_status: None,
            duration_ms: 0,
            reason: None,
            error: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::instant;

    /// The contract's example, member by member and in its order.
    #[test]
    fn a_line_is_the_contracts() {
        let outcome = Outcome {
            ts: instant("2026-11-22T03:34:00.123Z"),
            run: "01J9".into(),
            sync: "staff".into(),
            source: "hr".into(),
            target: "juno".into(),
            key: Key::parse("E1007"),
            op: Some(OpKind::Update),
            status: Status::Ok,
            remote_id: Some(LoggableId::written("123".into())),
            fields: vec!["title".into(), "city".into()],
            attempts: 1,
            http_status: Some(200),
            duration_ms: 84,
            reason: None,
            error: None,
        };
        let line = serde_json::to_string(&outcome).expect("JSON");
        assert_eq!(
            line,
            r#"{"ts":"2026-11-22T03:34:00.123Z","run":"01J9","sync":"staff","source":"hr","target":"juno","key":"E1007","op":"update","status":"ok","remote_id":"123","fields":["title","city"],"attempts":1,"http_status":200,"duration_ms":84,"reason":null,"error":null}"#
        );
        assert_eq!(serde_json::from_str::<Outcome>(&line).expect("read back"), outcome);

        let rejected = Outcome {
            key: None,
            op: None,
            status: Status::Rejected,
            remote_id: None,
            error: Some(OpError::new(ErrorKind::RateLimited, "HTTP 429")),
            ..outcome
        };
        let line = serde_json::to_string(&rejected).expect("JSON");
        assert!(line.contains(r#""key":null,"op":null,"status":"rejected","remote_id":null"#), "{line}");
        assert!(line.ends_with(r#""error":{"kind":"rate_limited","message":"HTTP 429"}}"#), "{line}");
    }

    #[test]
    fn every_word_is_read_back_and_is_the_one_in_json() {
        for status in Status::ALL {
            assert_eq!(Status::parse(status.name()), Some(status));
            assert_eq!(serde_json::to_value(status).expect("JSON"), status.name());
        }
        for status in RunStatus::ALL {
            assert_eq!(RunStatus::parse(status.name()), Some(status));
            assert_eq!(serde_json::to_value(status).expect("JSON"), status.name());
        }
        let kinds = ["refused", "timeout", "network", "auth", "rate_limited", "protocol", "invalid", "conflict"];
        for word in kinds {
            let kind = ErrorKind::parse(word).expect(word);
            assert_eq!((kind.name(), serde_json::to_value(kind).expect("JSON")), (word, word.into()));
        }
        for kind in OpKind::ALL {
            assert_eq!(OpKind::parse(kind.name()), Some(kind));
            assert_eq!(serde_json::to_value(kind).expect("JSON"), kind.name());
        }
        assert_eq!((Status::parse("done"), ErrorKind::parse("oops"), OpKind::parse("ok")), (None, None, None));
    }
}

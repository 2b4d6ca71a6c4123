//! Events into systemd's journal: a line that tells the whole to whoever reads `journalctl`, and the same again field
//! by field (`ROSTERD_RUN`, `ROSTERD_SYNC`, `ROSTERD_KEY` …) for whoever searches it.
//!
//! The native protocol is a datagram of `NAME=value` lines; see systemd's JOURNAL_NATIVE_PROTOCOL. A ready-made layer
//! (tracing-journald) writes the fields, but leaves them out of the line, so that `journalctl -u rosterd` would show
//! "run finished" and not of what.

use std::fmt::{self, Write};
use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::Path;

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

use crate::domain::visible::visible;

/// Where the journal listens.
const SOCKET: &str = "/run/systemd/journal/socket";

/// The longest line, in bytes: below what a datagram takes whatever the kernel's settings. Our own events are far
/// shorter.
const LONGEST_LINE: usize = 32 * 1024;

/// A layer that writes to the journal.
pub(super) struct Journal {
    socket: UnixDatagram,
}

impl Journal {
    /// Connects to the journal of this machine.
    ///
    /// # Errors
    /// There is none.
    pub fn connect() -> io::Result<Journal> {
        Journal::connect_to(Path::new(SOCKET))
    }

    fn connect_to(path: &Path) -> io::Result<Journal> {
        let socket = UnixDatagram::unbound()?;
        socket.connect(path)?;
        // A journal that takes nothing for a while must not stop the scheduler.
        socket.set_write_timeout(Some(std::time::Duration::from_secs(1)))?;
        Ok(Journal { socket })
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Journal {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut entry = Entry::default();
        event.record(&mut entry);
        // What the journal does not take is lost, as it would be on a closed standard error.
        let _ = self.socket.send(&entry.datagram(event.metadata().level(), event.metadata().target()));
    }
}

/// An event taken apart.
#[derive(Default)]
struct Entry {
    message: String,
    fields: Vec<(&'static str, String)>,
}

impl Visit for Entry {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => self.message = value.to_string(),
            name => self.fields.push((name, value.to_string())),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

impl Entry {
    fn datagram(&self, level: &Level, target: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        put(&mut bytes, "PRIORITY", priority(level));
        put(&mut bytes, "SYSLOG_IDENTIFIER", "rosterd");
        put(&mut bytes, "TARGET", target);
        put(&mut bytes, "MESSAGE", &self.line());
        for (name, value) in &self.fields {
            put(&mut bytes, &format!("ROSTERD_{}", name.to_ascii_uppercase()), value);
        }
        bytes
    }

    /// The message, and the fields that say something.
    fn line(&self) -> String {
        let mut line = visible(&self.message).into_owned();
        for (name, value) in self.fields.iter().filter(|(_, value)| !value.is_empty()) {
            let space = if line.is_empty() { "" } else { " " };
            let quoted = value.contains([' ', '"', '=']);
            let shown = visible(value);
            let _ =
                if quoted { write!(line, "{space}{name}={value:?}") } else { write!(line, "{space}{name}={shown}") };
        }
        let mut end = line.len().min(LONGEST_LINE);
        while !line.is_char_boundary(end) {
            end -= 1;
        }
        line.truncate(end);
        line
    }
}

/// A field: `NAME=value` on a line, or, where the value has lines, with its length before it.
fn put(bytes: &mut Vec<u8>, name: &str, value: &str) {
    bytes.extend_from_slice(name.as_bytes());
    if value.contains('\n') {
        bytes.push(b'\n');
        bytes.extend_from_slice(&(value.len() as u64).to_le_bytes());
    } else {
        bytes.push(b'=');
    }
    bytes.extend_from_slice(value.as_bytes());
    bytes.push(b'\n');
}

/// Syslog's numbers.
fn priority(level: &Level) -> &'static str {
    match *level {
        Level::ERROR => "3",
        Level::WARN => "4",
        Level::INFO => "6",
        _ => "7",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing_subscriber::layer::SubscriberExt;

    #[test]
    fn an_event_is_a_line_and_fields() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("socket");
        let journal = UnixDatagram::bind(&path).expect("a journal");
        let layer = Journal::connect_to(&path).expect("connected");
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            tracing::warn!(target: "rosterd::run", run = "01J", why = "a \"b\"", nothing = "", "run finished");
            tracing::info!(text = "two\nlines", "x");
        });
        let mut buffer = [0; 4096];
        let length = journal.recv(&mut buffer).expect("an entry");
        let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
        let expected = "PRIORITY=4\nSYSLOG_IDENTIFIER=rosterd\nTARGET=rosterd::run\n\
                        MESSAGE=run finished run=01J why=\"a \\\"b\\\"\"\n\
                        ROSTERD_RUN=01J\nROSTERD_WHY=a \"b\"\nROSTERD_NOTHING=\n";
        assert_eq!(text, expected);
        let length = journal.recv(&mut buffer).expect("an entry");
        let with_length = [b"ROSTERD_TEXT\n".as_slice(), &9u64.to_le_bytes(), b"two\nlines\n"].concat();
        assert!(buffer[..length].ends_with(&with_length));
    }
}

//! `outcomes`: the ledger, for people, for scripts, and as a table that is safe to open in a spreadsheet.

use chrono::{DateTime, Utc};

use super::args::{LedgerFormat, OutcomesArgs};
use crate::config::Settings;
use crate::domain::error::{Error, Failure, Result};
use crate::domain::exit::Exit;
use crate::domain::outcome::{Outcome, Status};
use crate::domain::remote_id::LoggableId;
use crate::domain::time;
use crate::domain::visible::{padded, visible};
use crate::os::clock::Clock;
use crate::run::chosen;
use crate::state::ledger::{Filter, Outcomes, RunExists};
use crate::state::{self, Access};
use crate::terminal::out::Out;

/// How many rows are in memory at once.
const PAGE: usize = 500;

/// `rosterd outcomes`.
pub async fn command(settings: &Settings, wanted: OutcomesArgs) -> Result<Exit> {
    if let Some(sync) = &wanted.sync {
        chosen(settings, std::slice::from_ref(sync))?;
    }
    let since = wanted.since.as_deref().map(|text| since(text, Clock::system().now())).transpose()?;
    let state = state::open(&settings.state.path, Access::Read)?.state;
    if let Some(run) = &wanted.run
        && !state.ask(RunExists(run.clone())).await?
    {
        return Err(Failure::new(Error::Usage, format!("there is no run {run}")));
    }
    let filter = Filter { sync: wanted.sync, run: wanted.run, key: wanted.key, status: wanted.status, since };
    let mut table = Table::new(wanted.format)?;
    let mut pages = state.pages(Outcomes { filter, after: 0, limit: PAGE });
    while let Some(page) = pages.next().await? {
        for (_, outcome) in &page {
            table.row(outcome)?;
        }
    }
    table.end()?;
    Ok(Exit::Ok)
}

/// A time, a date (its midnight in UTC), or how long ago.
fn since(text: &str, now: DateTime<Utc>) -> Result<DateTime<Utc>> {
    time::since(text, now).ok_or_else(|| {
        Failure::new(Error::Usage, format!("--since {text:?} is neither a time nor a span"))
            .help("write 2026-11-22, 2026-11-22T03:34:00Z, or how long ago: 2h, 7d")
    })
}

/// The ledger on its way out.
struct Table {
    out: Out,
    format: LedgerFormat,
    rows: u64,
}

const COLUMNS: [&str; 16] = [
    "ts",
    "run",
    "sync",
    "source",
    "target",
    "key",
    "op",
    "status",
    "remote_id",
    "fields",
    "attempts",
    "http_status",
    "duration_ms",
    "reason",
    "error_kind",
    "error_message",
];

/// What a spreadsheet takes for the beginning of a formula, or skips to find one; full-width forms included, which some
/// fold to the ordinary ones.
const FORMULA: [char; 11] = ['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'];

impl Table {
    fn new(format: LedgerFormat) -> Result<Table> {
        let mut table = Table { out: Out::stdout(), format, rows: 0 };
        if format == LedgerFormat::Csv {
            table.csv(&COLUMNS)?;
        }
        Ok(table)
    }

    fn row(&mut self, outcome: &Outcome) -> Result<()> {
        self.rows += 1;
        match self.format {
            LedgerFormat::Json => self.out.json(outcome),
            LedgerFormat::Csv => {
                let cells = cells(outcome);
                self.csv(&cells.iter().map(String::as_str).collect::<Vec<_>>())
            }
            LedgerFormat::Text => self.text(outcome),
        }
    }

    /// Formula characters are escaped here, and only here: what is sent to a target is never touched.
    fn csv(&mut self, cells: &[&str]) -> Result<()> {
        let safe = cells.iter().map(|cell| {
            let shown = visible(cell);
            if cell.starts_with(FORMULA) { format!("'{shown}") } else { shown.into_owned() }
        });
        let mut writer = csv::Writer::from_writer(Vec::new());
        let written = writer.write_record(safe.map(String::into_bytes));
        let line = written.ok().and_then(|()| writer.into_inner().ok());
        let line = line.ok_or_else(|| Failure::internal("cannot write a row of the ledger"))?;
        self.out.piece(&String::from_utf8_lossy(&line))
    }

    fn text(&mut self, o: &Outcome) -> Result<()> {
        let style = self.out.style;
        let word = format!("{:<8}", o.status.name());
        let status = match o.status {
            Status::Ok => style.good(&word),
            Status::Held | Status::Skipped => style.warn(&word),
            Status::Failed | Status::Unknown | Status::Rejected => style.bad(&word),
        };
        let key = o.key.as_ref().map_or("(no key)", |k| k.as_str());
        let op = o.op.map_or("-", |op| op.name());
        let mut line = format!("{}  {}  {status}  {op:<9}  {}", time::rfc3339(o.ts), o.sync, padded(key, 10));
        if let Some(id) = &o.remote_id {
            line.push_str(&format!("  account {id}"));
        }
        if !o.fields.is_empty() {
            line.push_str(&format!("  {}", o.fields.join(", ")));
        }
        for why in [o.reason.as_deref(), o.error.as_ref().map(|e| e.message.as_str())].into_iter().flatten() {
            line.push_str(&format!("  {why}"));
        }
        self.out.line(&line)
    }

    fn end(&mut self) -> Result<()> {
        match (self.format, self.rows) {
            (LedgerFormat::Text, 0) => self.out.line("No outcome matches."),
            _ => Ok(()),
        }
    }
}

fn cells(o: &Outcome) -> [String; 16] {
    let text = |s: Option<&str>| s.unwrap_or_default().to_string();
    [
        time::rfc3339(o.ts),
        o.run.to_string(),
        o.sync.clone(),
        o.source.clone(),
        o.target.clone(),
        text(o.key.as_ref().map(|k| k.as_str())),
        text(o.op.map(|op| op.name())),
        o.status.name().to_string(),
        text(o.remote_id.as_ref().map(LoggableId::as_str)),
        o.fields.join(" "),
        o.attempts.to_string(),
        o.http_status.map(|s| s.to_string()).unwrap_or_default(),
        o.duration_ms.to_string(),
        text(o.reason.as_deref()),
        text(o.error.as_ref().map(|e| e.kind.name())),
        text(o.error.as_ref().map(|e| e.message.as_str())),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn since_is_a_time_a_date_or_a_span() {
        let now = time::parse("2026-11-22T12:00:00Z").expect("a time");
        for (text, expected) in [
            ("2026-11-21", "2026-11-21T00:00:00.000Z"),
            ("2026-11-21T03:00:00+01:00", "2026-11-21T02:00:00.000Z"),
            ("2h", "2026-11-22T10:00:00.000Z"),
        ] {
            assert_eq!(time::rfc3339(since(text, now).expect(text)), expected);
        }
        assert_eq!(since("yesterday", now).map_err(|f| f.exit()), Err(Exit::Usage));
    }
}

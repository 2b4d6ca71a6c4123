//! `outcomes`: the ledger, for people, for scripts, and as a table that is safe to open in a spreadsheet.

use chrono::{DateTime, Utc};

use super::args::{LedgerFormat, OutcomesArgs};
use crate::config::Settings;
use crate::domain::error::{Error, Failure, Result};
use crate::domain::exit::Exit;
use crate::domain::outcome::{Outcome, Status};
use crate::domain::record::Key;
use crate::domain::remote_id::LoggableId;
use crate::domain::time;
use crate::domain::visible::{padded, visible};
use crate::os::clock::Clock;
use crate::os::zone;
use crate::report::told::{ToldOutcome, said, told};
use crate::run::chosen;
use crate::state::former_keys::{KeyHistory, KnownKeys};
use crate::state::ledger::{Filter, NewestOutcomes, Outcomes, ReachOf, RunExists};
use crate::state::{self, Access, State};
use crate::terminal::out::Out;

/// How many rows are in memory at once.
const PAGE: usize = 500;

/// How many rows are shown on a terminal unless it is said.
const ON_A_SCREEN: u64 = 100;

/// `rosterd outcomes`. Text is newest first; JSON and CSV, which are appended to and compared, are oldest first.
pub async fn command(settings: &Settings, wanted: OutcomesArgs) -> Result<Exit> {
    if let Some(sync) = &wanted.sync {
        chosen(settings, std::slice::from_ref(sync))?;
    }
    let since = wanted.since.as_deref().map(|text| since(text, Clock::system().now())).transpose()?;
    let state = state::open(&settings.state.path, Access::Read)?.state;
    if let Some(run) = &wanted.run
        && !state.ask(RunExists(run.clone())).await?
    {
        return Err(Failure::new(Error::Usage, format!("there is no run {run}")).help("see: rosterd runs"));
    }
    let keys = match &wanted.key {
        Some(key) => state.ask(KeyHistory { sync: wanted.sync.clone(), key: key.clone() }).await?,
        None => KnownKeys::default(),
    };
    let filter = Filter { sync: wanted.sync, run: wanted.run, key: wanted.key, status: wanted.status, since };
    let mut table = Table::new(wanted.format, filter.key.clone(), keys)?;
    match wanted.format {
        LedgerFormat::Text => newest_first(&state, &mut table, filter, wanted.limit).await?,
        LedgerFormat::Json | LedgerFormat::Csv => oldest_first(&state, &mut table, filter, wanted.limit).await?,
    }
    Ok(Exit::Ok)
}

async fn oldest_first(state: &State, table: &mut Table, filter: Filter, limit: Option<u64>) -> Result<()> {
    let after = match limit {
        None => 0,
        Some(limit) => {
            let newest = Some(usize::try_from(limit).unwrap_or(usize::MAX));
            let Some(reach) = state.ask(ReachOf { filter: filter.clone(), newest }).await? else { return Ok(()) };
            reach.after
        }
    };
    let mut pages = state.pages(Outcomes { filter, after, limit: PAGE });
    while let Some(page) = pages.next().await? {
        let (ids, outcomes): (Vec<i64>, Vec<Outcome>) = page.into_iter().unzip();
        let page = told(state, outcomes).await?;
        ids.into_iter().zip(&page).try_for_each(|(id, outcome)| table.row(id, outcome))?;
    }
    Ok(())
}

async fn newest_first(state: &State, table: &mut Table, filter: Filter, limit: Option<u64>) -> Result<()> {
    let unsaid = table.out.is_terminal().then_some(ON_A_SCREEN);
    let mut left = limit.or(unsaid).unwrap_or(u64::MAX);
    let Some(between) = state.ask(ReachOf { filter: filter.clone(), newest: None }).await? else {
        return table.end(false);
    };
    let page = usize::try_from(left).unwrap_or(PAGE).saturating_add(1).min(PAGE);
    let mut pages = state.pages(NewestOutcomes { filter, between, limit: page });
    while let Some(page) = pages.next().await? {
        let (ids, outcomes): (Vec<i64>, Vec<Outcome>) = page.into_iter().unzip();
        for (id, outcome) in ids.into_iter().zip(&told(state, outcomes).await?) {
            if left == 0 {
                return table.end(limit.is_none());
            }
            left -= 1;
            table.row(id, outcome)?;
        }
    }
    table.end(false)
}

/// A time or a date of this zone, a time with its zone, or how long ago.
pub(super) fn since(text: &str, now: DateTime<Utc>) -> Result<DateTime<Utc>> {
    zone::local().since(text, now).ok_or_else(|| {
        Failure::new(Error::Usage, format!("--since {text:?} is neither a time nor a span"))
            .help("write 2026-11-22, \"2026-11-22 04:34\", 2026-11-22T03:34:00Z, or how long ago: 2h, 7d")
    })
}

/// The ledger on its way out.
struct Table {
    out: Out,
    format: LedgerFormat,
    rows: u64,
    /// The key that was asked for, and what is known of it.
    asked: Option<String>,
    keys: KnownKeys,
}

const COLUMNS: [&str; 18] = [
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
    "approved_by",
    "approval_reason",
];

/// What a spreadsheet takes for the beginning of a formula, or skips to find one; full-width forms included, which some
/// fold to the ordinary ones.
const FORMULA: [char; 11] = ['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'];

impl Table {
    fn new(format: LedgerFormat, asked: Option<String>, keys: KnownKeys) -> Result<Table> {
        let mut table = Table { out: Out::stdout(), format, rows: 0, asked, keys };
        if format == LedgerFormat::Csv {
            table.csv(&COLUMNS)?;
        }
        Ok(table)
    }

    fn row(&mut self, id: i64, outcome: &ToldOutcome) -> Result<()> {
        self.rows += 1;
        match self.format {
            LedgerFormat::Json => self.out.json(&outcome),
            LedgerFormat::Csv => {
                let cells = cells(outcome);
                self.csv(&cells.iter().map(String::as_str).collect::<Vec<_>>())
            }
            LedgerFormat::Text => self.text(id, outcome),
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

    fn text(&mut self, id: i64, told: &ToldOutcome) -> Result<()> {
        let o = &told.outcome;
        let style = self.out.style;
        let word = format!("{:<8}", o.status.name());
        let status = match o.status {
            Status::Ok => style.good(&word),
            Status::Held | Status::Skipped => style.warn(&word),
            Status::Failed | Status::Unknown | Status::Rejected => style.bad(&word),
        };
        let op = o.op.map_or("-", |op| op.name());
        let who = padded(&self.who(id, o), 10);
        let mut line = format!("{}  {}  {status}  {op:<9}  {who}", zone::told(o.ts), o.sync);
        if let Some(id) = &o.remote_id {
            line.push_str(&format!("  account {id}"));
        }
        if !o.fields.is_empty() {
            line.push_str(&format!("  {}", o.fields.join(", ")));
        }
        for why in [o.reason.as_deref(), o.error.as_ref().map(|e| e.message.as_str())].into_iter().flatten() {
            line.push_str(&format!("  {why}"));
        }
        if let Some(approved) = &told.consents.approved {
            line.push_str(&format!("  approved by {}", said(approved)));
        }
        line.push_str(&format!("  {}", style.faint(o.run.as_str())));
        self.out.line(&line)
    }

    /// Whom a row is about: by the key that they have, and by the one that they had then or have now where that is another.
    fn who(&self, id: i64, o: &Outcome) -> String {
        let Some(key) = o.key.as_ref().map(Key::as_str) else { return "(no key)".into() };
        match &self.asked {
            Some(asked) if asked != key => format!("{asked} (then {key})"),
            _ => {
                let now = self.keys.since.iter().find(|f| f.sync == o.sync && f.after < id && id <= f.upto);
                now.map_or_else(|| key.to_string(), |now| format!("{key} (now {})", now.new))
            }
        }
    }

    /// What is below the rows for people; `more` when there are older ones that nobody asked to leave out.
    fn end(&mut self, more: bool) -> Result<()> {
        if self.rows == 0 {
            self.out.line("No outcome matches.")?;
        }
        if let (Some(had), Some(asked)) = (self.keys.since.last(), &self.asked) {
            let told = format!(
                "Whoever had {asked} in {} has {new} since {}: rosterd outcomes --key {new}",
                had.sync,
                zone::told(had.at),
                new = had.new
            );
            self.out.section(&told)?;
        }
        if more {
            let told = format!("There are older ones: add --limit {}, or --since and --key.", ON_A_SCREEN * 10);
            self.out.section(&self.out.style.faint(&told))?;
        }
        Ok(())
    }
}

fn cells(told: &ToldOutcome) -> [String; 18] {
    let (o, approved) = (&told.outcome, told.consents.approved.as_ref());
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
        text(approved.map(|approved| approved.by.as_str())),
        text(approved.and_then(|approved| approved.reason.as_deref())),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn since_is_a_time_or_a_span() {
        let now = time::parse("2026-11-22T12:00:00Z").expect("a time");
        for (text, expected) in
            [("2026-11-21T03:00:00+01:00", "2026-11-21T02:00:00.000Z"), ("2h", "2026-11-22T10:00:00.000Z")]
        {
            assert_eq!(time::rfc3339(since(text, now).expect(text)), expected);
        }
        assert_eq!(since("yesterday", now).map_err(|f| f.exit()), Err(Exit::Usage));
    }
}

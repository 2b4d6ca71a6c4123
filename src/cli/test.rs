//! `test`: the mapping tests that stand in the configuration.

use serde::Serialize;

use super::args::{Format, Printing};
use super::words;
use crate::config::Settings;
use crate::domain::error::Result;
use crate::domain::exit::Exit;
use crate::domain::local_time::LocalTime;
use crate::mapping::testing;
use crate::os::clock::Clock;
use crate::run::chosen;
use crate::terminal::out::Out;

#[derive(Debug, Serialize)]
struct Tested {
    sync: String,
    name: String,
    ok: bool,
    message: Option<String>,
}

/// `rosterd test`.
pub fn command(settings: &Settings, syncs: &[String], printing: Printing) -> Result<Exit> {
    let mut tests = Vec::new();
    for sync in chosen(settings, syncs)? {
        let time = LocalTime::new(Clock::system().now(), sync.timezone);
        for test in &sync.tests {
            let result = testing::run(&sync.mapping, &sync.source.key, test, time);
            let (ok, message) = (result.is_ok(), result.err());
            tests.push(Tested { sync: sync.name.clone(), name: test.name.clone(), ok, message });
        }
    }
    let failed = tests.iter().filter(|t| !t.ok).count();
    let passed = tests.len() - failed;
    let mut out = Out::stdout();
    match printing.format {
        Format::Json => out.json(&serde_json::json!({ "passed": passed, "failed": failed, "tests": tests }))?,
        Format::Text => text(&mut out, &tests, passed, failed)?,
    }
    Ok(if failed > 0 { Exit::Partial } else { Exit::Ok })
}

fn text(out: &mut Out, tests: &[Tested], passed: usize, failed: usize) -> Result<()> {
    for test in tests {
        let mark = if test.ok { out.style.good("ok    ") } else { out.style.bad("FAILED") };
        out.line(&format!("{mark}  {}: {}", test.sync, test.name))?;
        for line in test.message.as_deref().unwrap_or_default().lines() {
            out.line(&format!("        {line}"))?;
        }
    }
    if tests.is_empty() {
        return out.line("The configuration has no tests: write some as [[syncs.NAME.tests]].");
    }
    let of = words::count((passed + failed) as u64, "test", "tests");
    out.line(&format!("{of}: {passed} passed, {failed} failed"))
}

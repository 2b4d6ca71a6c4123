//! `check --connect`: the configuration held against the world. One page of each source is read, each target is
//! asked for one page of its users, and nothing is written anywhere.
//!
//! Keys are shown, since they are what one looks for; values are masked unless they are asked for.

use crate::os::panics::off_thread;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;
use serde_json::{Value, json};

use super::args::{Format, Printing};
use super::read_only;
use super::words;
use crate::account::{Client, Clients};
use crate::api::Proof;
use crate::config::settings::{SourceSettings, SyncSettings, TargetSettings};
use crate::config::{self, Diagnostic, Loaded, Places, Settings};
use crate::domain::error::{Error, Failure, Result, SourceReason, TargetReason};
use crate::domain::exit::Exit;
use crate::domain::local_time::LocalTime;
use crate::domain::nearest::nearest;
use crate::domain::operation::shown;
use crate::domain::visible::padded;
use crate::failpoints;
use crate::mapping::{self, Finding, FindingAt, Mapped, Severity, ValueFrom};
use crate::os::clock::Clock;
use crate::os::panics;
use crate::source::{self, Preview};
use crate::terminal::out::Out;

/// Up to how many characters not even the length of a masked value is told.
const SHORT: usize = 8;

/// What one source, or member of a union, showed.
#[derive(Debug, Serialize)]
struct SourceLine {
    source: String,
    columns: Vec<String>,
    keys: Vec<String>,
    rows: u64,
    rejected: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_reject: Option<String>,
    /// Why nobody would be banned after a read of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    unproven: Option<String>,
    mapped: Vec<MappedLine>,
}

/// A record as one sync maps it.
#[derive(Debug, Serialize)]
struct MappedLine {
    sync: String,
    key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    fields: Option<BTreeMap<String, Value>>,
    excluded: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    rejected: Option<String>,
    /// The values, for comparing and never for showing.
    #[serde(skip)]
    values: BTreeMap<String, Value>,
}

/// What the world said.
#[derive(Debug, Default)]
struct Found {
    sources: Vec<SourceLine>,
    targets: Vec<String>,
    errors: Vec<Diagnostic>,
}

/// `rosterd check --connect`.
pub async fn command(
    files: &[PathBuf],
    loaded: Result<Loaded, Vec<Diagnostic>>,
    show_values: bool,
    printing: Printing,
) -> Result<Exit> {
    let loaded = match loaded {
        Ok(loaded) => loaded,
        // A configuration that is wrong is reported as `check` does.
        Err(_) => return super::check::run(files, config::environment(), printing.format, &mut Out::stdout()),
    };
    let Loaded { settings, warnings, places } = loaded;
    let warnings = [warnings, super::check::unconfigured(&settings)].concat();
    let mut found = Found::default();
    for source in settings.sources.values() {
        let syncs: Vec<_> = settings.syncs.values().filter(|sync| sync.source.name == source.name).collect();
        match panics::caught_in(look(source, &syncs, show_values)).await {
            Ok(lines) => found.sources.extend(lines),
            Err(failure) => found.errors.push(places.diagnostic(&["sources", &source.name], &failure)),
        }
    }
    let warnings = [warnings, in_quotes(&places, &settings, &found.sources)].concat();
    let clients = read_only::look(&settings, settings.targets.values().map(|target| &**target))?.clients;
    for target in settings.targets.values() {
        match panics::caught_in(log_in(&clients, target)).await {
            Ok(proven) => {
                found.targets.push(target.name.clone());
                for sync in settings.syncs.values().filter(|sync| sync.target.name == target.name) {
                    let samples = found.sources.iter().flat_map(|line| &line.mapped);
                    let samples: Vec<&MappedLine> = samples.filter(|line| line.sync == sync.name).collect();
                    let strangers = proven.iter().flat_map(|(proof, ids)| strangers(sync, proof, ids, &samples));
                    let told = |(field, why): (String, Failure)| {
                        places.diagnostic(&["syncs", &sync.name, "map", &field], &why)
                    };
                    let strangers: Vec<_> = strangers.map(told).collect();
                    found.errors.extend(strangers);
                }
            }
            Err(failure) => {
                let key = ["targets", &target.name].into_iter().chain(key_of_target(&failure));
                found.errors.push(places.diagnostic(&key.collect::<Vec<_>>(), &failure));
            }
        }
    }
    let exit = found.errors.iter().fold(Exit::Ok, |worst, error| worst.worse(error.error.into()));
    let mut out = Out::stdout();
    match printing.format {
        Format::Json => out.json(&json!({
            "ok": found.errors.is_empty(), "errors": found.errors, "warnings": warnings,
            "sources": found.sources, "targets": found.targets,
        }))?,
        Format::Text => text(&mut out, &settings, &warnings, &found, show_values)?,
    }
    Ok(exit)
}

/// Constants of mappings that are the names of columns which the sources turned out to have.
fn in_quotes(places: &Places, settings: &Settings, sources: &[SourceLine]) -> Vec<Diagnostic> {
    let of_sync = |sync: &SyncSettings| {
        let members = sync.source.kind.members();
        let is_its = |line: &&SourceLine| {
            line.source == sync.source.name || members.iter().any(|member| member.name == line.source)
        };
        let columns: BTreeSet<&str> =
            sources.iter().filter(is_its).flat_map(|line| line.columns.iter().map(String::as_str)).collect();
        // Of those that the configuration names, `check` tells by itself.
        let is_named = |text: &str| sync.source.is_key(text) || sync.mapping.columns().iter().any(|c| c == text);
        let mut found = sync.mapping.columns_in_quotes(|text| columns.contains(text) && !is_named(text));
        let uses = sync.mapping.uses();
        for (name, is_used) in [("today", uses.today), ("now", uses.now)] {
            if is_used && columns.contains(name) && !sync.mapping.columns().iter().any(|column| column == name) {
                found.push(Finding {
                    severity: Severity::Warning,
                    place: FindingAt::Include,
                    message: format!(
                        "{name} in an expression is the time of the run, and the source has a column {name}"
                    ),
                    help: Some(format!("if the column is meant, write row[\"{name}\"]")),
                });
            }
        }
        found
    };
    let told = |sync: &SyncSettings, finding: Finding| {
        let failure = Failure::new(Error::Config, finding.message).help(finding.help.unwrap_or_default());
        match &finding.place {
            FindingAt::Include => places.diagnostic(&["syncs", &sync.name, "include"], &failure),
            FindingAt::Field(field) => places.diagnostic(&["syncs", &sync.name, "map", field], &failure),
        }
    };
    settings.syncs.values().flat_map(|sync| of_sync(sync).into_iter().map(|f| told(sync, f))).collect()
}

/// The key of a target that its failure is about.
fn key_of_target(failure: &Failure) -> Option<&'static str> {
    match failure.error {
        Error::Target(TargetReason::Unreachable) => Some("base_url"),
        Error::Target(TargetReason::Denied) => Some("auth"),
        _ => None,
    }
}

/// Reads the first page of a source, and maps one of its records for each sync.
async fn look(source: &Arc<SourceSettings>, syncs: &[&Arc<SyncSettings>], show: bool) -> Result<Vec<SourceLine>> {
    failpoints::panic_in("source", &source.name);
    let wanted: BTreeSet<String> = syncs.iter().flat_map(|sync| sync.mapping.columns().iter().cloned()).collect();
    let mut connector = source::connect(source);
    let previews = off_thread("reading broke off", move || connector.check(&wanted)).await??;
    previews
        .into_iter()
        .map(|preview| {
            let mapped: Result<Vec<Option<MappedLine>>> =
                syncs.iter().map(|sync| mapped(sync, &preview, show)).collect();
            Ok(SourceLine {
                keys: preview.keys().iter().map(ToString::to_string).collect(),
                mapped: mapped?.into_iter().flatten().collect(),
                source: preview.source,
                columns: preview.columns,
                rows: preview.rows,
                rejected: preview.rejected.0,
                first_reject: preview.rejected.1,
                unproven: preview.unproven,
            })
        })
        .collect()
}

/// One of the sample records as the sync maps it: the first that is in scope, if one is.
fn mapped(sync: &SyncSettings, preview: &Preview, show: bool) -> Result<Option<MappedLine>> {
    let bound = sync.mapping.bind(&preview.wanted).map_err(|missing| {
        Failure::new(
            Error::Source(SourceReason::Untrusted),
            format!("source {} has no column {}", preview.source, missing.join(", ")),
        )
    })?;
    let time = LocalTime::new(Clock::system().now(), sync.timezone);
    let results: Vec<_> = preview.samples.iter().map(|record| (record, bound.decide(record, time).mapped)).collect();
    let best = results.iter().find(|(_, mapped)| matches!(mapped, Mapped::InScope(_))).or(results.first());
    Ok(best.map(|(record, mapped)| {
        let line = |fields, excluded, rejected| MappedLine {
            sync: sync.name.clone(),
            key: record.key.to_string(),
            fields,
            excluded,
            rejected,
            values: BTreeMap::new(),
        };
        match mapped {
            Mapped::InScope(desired) => {
                let value = |value: &Value| if show { value.clone() } else { masked(value) };
                let fields = desired.fields.iter().map(|(name, field)| (name.clone(), value(&field.value))).collect();
                let values = desired.fields.iter().map(|(name, field)| (name.clone(), field.value.clone())).collect();
                MappedLine { values, ..line(Some(fields), false, None) }
            }
            Mapped::Excluded => line(None, true, None),
            Mapped::Rejected(reason) => line(None, false, Some(reason.clone())),
        }
    }))
}

/// What kind of value it is, and nothing of it.
fn masked(value: &Value) -> Value {
    let what = match value {
        Value::Null => return Value::Null,
        Value::String(text) => match text.chars().count() {
            0 => "*** (empty)".into(),
            // How long a short value is can be what it is: a grade, a status.
            1..=SHORT => format!("*** (at most {SHORT} characters)"),
            length => format!("*** ({})", words::count(length as u64, "character", "characters")),
        },
        Value::Array(items) => format!("*** ({})", words::count(items.len() as u64, "item", "items")),
        Value::Bool(_) => "*** (true or false)".into(),
        Value::Number(_) => "*** (a number)".into(),
        Value::Object(_) => "*** (an object)".into(),
    };
    Value::String(what)
}

/// Asks a target, and leaves no session behind.
async fn log_in(clients: &Clients, target: &Arc<TargetSettings>) -> Result<Vec<(Proof, Vec<String>)>> {
    let client = clients.of(target)?;
    let proven = ask(&client).await;
    client.rest().await;
    proven
}

/// Requests that change nothing: the proofs that the target's definition asks for, and the first page of users, or,
/// where there is no list, a search for nobody. Returns what was proven.
async fn ask(client: &Client) -> Result<Vec<(Proof, Vec<String>)>> {
    let engine = client.engine();
    let mut proven = Vec::new();
    for proof in engine.proofs() {
        proven.push((proof.clone(), client.prove(proof).await?));
    }
    if engine.can_list() {
        client.page(&engine.list()).await?;
        return Ok(proven);
    }
    match engine.find_fields().first() {
        Some(field) => client.find(field, "nobody@rosterd.invalid").await.map(|_| ())?,
        None => client.get(&"rosterd-check".into()).await.map(|_| ())?,
    }
    Ok(proven)
}

/// Where a sync maps values that the target doesn't have, and why they are none: constants are named, values of people
/// are not.
fn strangers(sync: &SyncSettings, proof: &Proof, ids: &[String], samples: &[&MappedLine]) -> Vec<(String, Failure)> {
    let Some(field) = &proof.field else { return Vec::new() };
    let key = field;
    let one = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_string);
    let values = |value: &Value| match value {
        Value::Array(items) => items.iter().map(one).collect(),
        Value::Null => Vec::new(),
        value => vec![one(value)],
    };
    let unknown = |value: &String| !ids.contains(value);
    let constant = sync.mapping.rules().iter().find_map(|rule| match &rule.from {
        ValueFrom::Value(value) if rule.field == *field => Some(value),
        _ => None,
    });
    if let Some(constant) = constant {
        let missing = values(constant).into_iter().filter(unknown).map(|value| {
            let help = nearest(&value, ids.iter().map(String::as_str)).map(|near| format!("did you mean `{near}`?"));
            let failure = Failure::new(Error::Config, format!("{value:?} is no {}", proof.proves));
            (key.clone(), failure.help(help.unwrap_or_else(|| format!("there are {}", ids.join(", ")))))
        });
        return missing.collect();
    }
    let missing = samples.iter().filter(|line| line.values.get(field).is_some_and(|v| values(v).iter().any(unknown)));
    let told = missing.map(|line| {
        let message = format!("{} is given a value that is no {}", line.key, proof.proves);
        (key.clone(), Failure::new(Error::Config, message).help(format!("there are {}", ids.join(", "))))
    });
    told.collect()
}

fn text(out: &mut Out, settings: &Settings, warnings: &[Diagnostic], found: &Found, show: bool) -> Result<()> {
    let style = out.style;
    for warning in warnings {
        super::check::told(out, &style.warn("warning"), warning)?;
    }
    found.sources.iter().try_for_each(|line| source_text(out, line))?;
    for target in &found.targets {
        out.line(&format!("target {}: {}, it lets us in", style.strong(target), style.good("ok")))?;
    }
    for error in &found.errors {
        super::check::told(out, &style.bad("error"), error)?;
    }
    let masked = found.sources.iter().any(|line| !line.mapped.is_empty()) && !show;
    if masked {
        out.line(&style.faint("Values are masked; show them with --show-values."))?;
    }
    let all = settings.sources.len() + settings.targets.len();
    match found.errors.len() {
        0 => out.line(&format!("All {all} answer. Nothing was written.")),
        n => out.line(&format!("{n} of {all} can't be used. Nothing was written.")),
    }
}

fn source_text(out: &mut Out, line: &SourceLine) -> Result<()> {
    let style = out.style;
    let rows = words::count(line.rows, "row", "rows");
    out.line(&format!("source {}: {}, {rows} looked at", style.strong(&line.source), style.good("ok")))?;
    out.line(&format!("  columns  {}", line.columns.join(", ")))?;
    out.line(&format!("  keys     {}", line.keys.join(", ")))?;
    if let Some(reason) = &line.first_reject {
        out.line(&format!("  {}  the first: {reason}", style.warn(&format!("{} rejected", line.rejected))))?;
    }
    if let Some(why) = &line.unproven {
        out.line(&format!("  {}  nobody would be banned: {why}", style.warn("unproven")))?;
    }
    for mapped in &line.mapped {
        let outcome = match (&mapped.rejected, mapped.excluded) {
            (Some(reason), _) => format!("is rejected: {reason}"),
            (None, true) => "is out of scope (include)".into(),
            (None, false) => "becomes".into(),
        };
        out.line(&format!("  sync {}: {} {outcome}", mapped.sync, mapped.key))?;
        if let Some(help) = mapped.rejected.as_deref().and_then(mapping::remedy) {
            out.line(&format!("    {}: {help}", style.strong("help")))?;
        }
        for (field, value) in mapped.fields.iter().flatten() {
            out.line(&format!("    {} {}", padded(field, 20), shown(value)))?;
        }
    }
    Ok(())
}

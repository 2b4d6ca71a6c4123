//! `rosterd check`: what is wrong with the configuration, or, when nothing is, what it was understood to say.

use std::path::PathBuf;

use serde::Serialize;

use super::args::Format;
use super::out::Out;
use crate::address;
use crate::config::settings::{NotifySettings, OnLeave, SourceKind, SourceSettings, SyncSettings, TargetSettings};
use crate::config::units::Span;
use crate::config::{self, Diagnostic, Judged, Settings};
use crate::exit::{Exit, Failure};
use crate::state::ownership;

/// The report, as `--format json` prints it.
#[derive(Debug, Serialize)]
struct Report<'a> {
    ok: bool,
    errors: &'a [Diagnostic],
    warnings: &'a [Diagnostic],
}

/// Judges the configuration in these files and this environment, and prints the report.
///
/// Ends with 78 when something is wrong, with 77 when nothing is but open secrets.
pub fn run(
    files: &[PathBuf],
    env: impl IntoIterator<Item = (String, String)>,
    format: Format,
    out: &mut Out,
) -> Result<Exit, Failure> {
    let Judged { settings, mut errors, mut warnings } = config::judge(files, env);
    if let Some(settings) = settings.as_ref().filter(|_| errors.is_empty()) {
        for (is_missing, diagnostic) in unusable_secrets(settings) {
            if is_missing { &mut errors } else { &mut warnings }.push(diagnostic);
        }
        warnings.extend(unconfigured(settings));
    }
    let settings = settings.filter(|_| errors.is_empty());
    let exit = match &settings {
        Some(_) => Exit::Ok,
        None => config::failure(&errors).exit,
    };
    match format {
        Format::Json => out.json(&Report { ok: errors.is_empty(), errors: &errors, warnings: &warnings })?,
        Format::Text => text(out, files, settings.as_ref(), &errors, &warnings)?,
    }
    Ok(exit)
}

/// Secrets that a run would not get, as things stand here; of each, whether it is missing or empty. What is there, but
/// open to others, or is given by systemd to the service alone, is no mistake of the configuration.
fn unusable_secrets(settings: &Settings) -> Vec<(bool, Diagnostic)> {
    let of_targets =
        settings.targets.iter().map(|(name, target)| (format!("targets.{name}.auth"), target.auth.secret()));
    let of_sources = settings.sources.iter().filter_map(|(name, source)| match &source.kind {
        SourceKind::Http(http) => Some((format!("sources.{name}.auth"), http.auth.secret())),
        _ => None,
    });
    let of_notify = settings.notify.iter().filter_map(|notify| match notify {
        NotifySettings::Webhook { url } => Some(("notify.webhook.url".to_string(), Some(url))),
        NotifySettings::Command(_) => None,
    });
    let secrets = of_sources.chain(of_targets).chain(of_notify);
    let unusable = secrets.filter_map(|(key, secret)| Some((key, secret?, secret?.read().err()?)));
    unusable
        .map(|(key, secret, failure)| {
            let is_missing = failure.exit == Exit::Config && !secret.is_for_the_service_alone();
            let consequence = format!("a run started here would end with {}: ", failure.exit.code());
            let diagnostic = Diagnostic {
                file: "secrets".into(),
                line: None,
                key,
                message: format!("{}{}", if is_missing { "" } else { &consequence }, failure.chain()),
                help: failure.help.clone(),
                exit: failure.exit,
            };
            (is_missing, diagnostic)
        })
        .collect()
}

/// Syncs that the state knows and this configuration does not. Where there is no state there are none; one that can't be
/// looked into is no mistake of the configuration.
pub(super) fn unconfigured(settings: &Settings) -> Vec<Diagnostic> {
    let path = &settings.state.path;
    let file = path.display().to_string();
    match ownership::unconfigured(path, settings.syncs.keys().cloned().collect()) {
        Ok(known) => known
            .iter()
            .map(|known| Diagnostic {
                key: format!("syncs.{}", known.sync),
                help: Some(known.remedy()),
                ..Diagnostic::file(&file, known.told())
            })
            .collect(),
        Err(error) => {
            let message = format!("whether it knows of syncs that are not configured can't be seen: {error}");
            vec![Diagnostic { key: "state.path".into(), help: error.help, ..Diagnostic::file(file, message) }]
        }
    }
}

fn text(
    out: &mut Out,
    files: &[PathBuf],
    settings: Option<&Settings>,
    errors: &[Diagnostic],
    warnings: &[Diagnostic],
) -> Result<(), Failure> {
    for error in errors {
        told(out, "error", error)?;
    }
    for warning in warnings {
        told(out, "warning", warning)?;
    }
    let Some(settings) = settings else {
        let things = counted(errors.len(), "error");
        return out.line(&format!("{things} in {}. Nothing was read or sent.", shown(files)));
    };
    if !warnings.is_empty() {
        out.line("")?;
    }
    let tests: usize = settings.syncs.values().map(|s| s.tests.len()).sum();
    out.line(&format!(
        "{} is right: {}, {}, {}, {}.",
        shown(files),
        counted(settings.sources.len(), "source"),
        counted(settings.targets.len(), "target"),
        counted(settings.syncs.len(), "sync"),
        counted(tests, "mapping test"),
    ))?;
    settings.sources.values().try_for_each(|source| out.line(&format!("  source {}", source_line(source))))?;
    settings.targets.values().try_for_each(|target| out.line(&format!("  target {}", target_line(target))))?;
    settings.syncs.values().try_for_each(|sync| out.line(&format!("  sync {}", sync_line(sync))))
}

/// A finding, and what to do about it on a line of its own.
pub(super) fn told(out: &mut Out, word: &str, found: &Diagnostic) -> Result<(), Failure> {
    out.line(&format!("{word}: {}", Diagnostic { help: None, ..found.clone() }))?;
    found.help.iter().try_for_each(|help| out.line(&format!("   help: {help}")))
}

fn shown(files: &[PathBuf]) -> String {
    files.iter().map(|f| f.display().to_string()).collect::<Vec<_>>().join(" with ")
}

fn counted(count: usize, thing: &str) -> String {
    if count == 1 { format!("1 {thing}") } else { format!("{count} {thing}s") }
}

fn source_line(source: &SourceSettings) -> String {
    let place = match &source.kind {
        SourceKind::Csv(csv) => address::scrubbed(&csv.path.display().to_string()),
        SourceKind::Http(http) => format!("{}, auth {}", address::shown(&http.url), http.auth.kind()),
        SourceKind::Union(members) => {
            let names: Vec<&str> = members.iter().map(|member| member.name.as_str()).collect();
            format!("union of {}", names.join(", "))
        }
    };
    format!("{}: {place}, people by {}", source.name, source.key)
}

fn target_line(target: &TargetSettings) -> String {
    let quota = target.daily_quota.map(|q| format!(", at most {q} a day")).unwrap_or_default();
    let kind = target.auth.kind();
    format!(
        "{}: {} at {}, auth {kind}, requests at most {}{quota}",
        target.name,
        target.kind,
        address::shown(&target.base_url),
        target.rate
    )
}

/// A sync in one sentence.
fn sync_line(sync: &SyncSettings) -> String {
    let leavers = match sync.on_leave {
        OnLeave::Ban => "bans leavers",
        OnLeave::Delete => "deletes leavers",
        OnLeave::Ignore => "leaves leavers alone",
    };
    let grace = match sync.leave_grace.is_zero() {
        true => String::new(),
        false => format!(" after {}", Span(sync.leave_grace)),
    };
    let when = match &sync.schedule {
        Some(schedule) => format!("at \"{schedule}\" {}", sync.timezone),
        None => "when asked".into(),
    };
    format!(
        "{}: brings the people of {} to {}, {leavers}{grace} (at most {} a run), {when}",
        sync.name, sync.source.name, sync.target.name, sync.limits.ban
    )
}

#[cfg(test)]
mod tests {
    use super::super::out::tests::Kept;
    use super::*;
    use std::path::Path;

    fn check(files: &[PathBuf], format: Format) -> (Exit, String) {
        let kept = Kept::default();
        let exit = run(files, [], format, &mut kept.out(false)).expect("printed");
        (exit, kept.text())
    }

    fn sample() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("config/rosterd.toml")
    }

    #[test]
    fn what_is_right_is_said_in_a_few_lines() {
        let (exit, text) = check(&[sample()], Format::Text);
        assert_eq!(exit, Exit::Ok);
        assert!(text.contains("is right: 1 source, 1 target, 1 sync, 2 mapping tests."), "{text}");
        let sentence = "sync staff: brings the people of hr to juno, bans leavers (at most 10 or 5% a run), when asked";
        assert!(text.contains(sentence), "{text}");
    }

    #[test]
    fn the_report_of_errors_is_json_as_documented() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("r.toml");
        std::fs::write(&file, "[state]\npath = \"s.db\"\nkeep_outcomes = \"long\"\n").expect("written");
        let (exit, text) = check(std::slice::from_ref(&file), Format::Json);
        assert_eq!(exit, Exit::Config);
        let report: serde_json::Value = serde_json::from_str(&text).expect("one document");
        assert_eq!(report["ok"], false);
        assert_eq!(report["warnings"], serde_json::json!([]));
        let error = &report["errors"][0];
        let keys: Vec<_> = error.as_object().expect("an object").keys().cloned().collect();
        assert_eq!(keys.len(), 5, "{keys:?}");
        assert_eq!((error["file"].as_str(), error["line"].as_u64()), (file.to_str(), Some(3)));
        assert_eq!(error["key"], "state.keep_outcomes");
        let (_, text) = check(&[file], Format::Text);
        assert!(text.starts_with("error: ") && text.contains("\n   help: ") && text.contains("1 error in "), "{text}");
    }
}

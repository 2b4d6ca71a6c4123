//! `rosterd check`: what is wrong with the configuration, or, when nothing is, what it was understood to say.

use std::path::PathBuf;

use serde::Serialize;

use super::args::Format;
use super::handover::{Handover, Kind};
use super::service::Service;
use crate::config::settings::{NotifySettings, OnLeave, SourceSettings, SyncSettings, TargetSettings};
use crate::config::{self, Diagnostic, Judged, Places, Settings};
use crate::domain::address;
use crate::domain::error::{Error, Failure};
use crate::domain::exit::Exit;
use crate::domain::units::Span;
use crate::state::ownership;
use crate::terminal::out::Out;

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
    let Judged { settings, mut errors, mut warnings, places } = config::judge(files, env);
    if let Some(settings) = &settings {
        let is_right = errors.is_empty();
        for (is_mistake, diagnostic) in unusable_secrets(settings, &places) {
            if is_mistake { &mut errors } else { &mut warnings }.push(diagnostic);
        }
        if is_right {
            warnings.extend(unconfigured(settings));
            warnings.extend(out_of_reach(settings, files, &places));
        }
    }
    let settings = settings.filter(|_| errors.is_empty());
    let exit = match &settings {
        Some(_) => Exit::Ok,
        None => config::failure(&errors).error.into(),
    };
    match format {
        Format::Json => out.json(&Report { ok: errors.is_empty(), errors: &errors, warnings: &warnings })?,
        Format::Text => text(out, files, settings.as_ref(), &errors, &warnings)?,
    }
    Ok(exit)
}

/// Secrets that a run would not get, as things stand here; of each, whether that is a mistake for certain: it is missing
/// or empty, or everybody can read it. What this user can't read, or systemd gives to the service alone, may be right.
fn unusable_secrets(settings: &Settings, places: &Places) -> Vec<(bool, Diagnostic)> {
    let of_targets =
        settings.targets.iter().map(|(name, target)| (vec!["targets", name, "auth"], target.auth.secret()));
    let of_sources =
        settings.sources.iter().map(|(name, source)| (vec!["sources", name, "auth"], source.kind.secret()));
    let of_notify = settings.notify.iter().filter_map(|notify| match notify {
        NotifySettings::Webhook { url } => Some((vec!["notify", "webhook", "url"], Some(url))),
        NotifySettings::Command(_) => None,
    });
    let secrets = of_sources.chain(of_targets).chain(of_notify);
    let unusable = secrets.filter_map(|(key, secret)| Some((key, secret?, secret?.read().err()?)));
    unusable
        .map(|(key, secret, failure)| {
            let is_missing = failure.error == Error::Config && !secret.is_for_the_service_alone();
            let is_mistake = is_missing || secret.is_open_to_all();
            let consequence = format!("a run started here would end with {}: ", Exit::from(failure.error).code());
            let found = places.diagnostic(&key, &failure);
            let message = format!("{}{}", if is_mistake { "" } else { &consequence }, found.message);
            (is_mistake, Diagnostic { message, ..found })
        })
        .collect()
}

/// What the service of this machine can't read of its own configuration, however well whoever checks it can.
fn out_of_reach(settings: &Settings, files: &[PathBuf], places: &Places) -> Vec<Diagnostic> {
    let Some(service) = Service::of_this_machine() else { return Vec::new() };
    let told = |(key, file): (Vec<String>, PathBuf)| {
        let key: Vec<&str> = key.iter().map(String::as_str).collect();
        let (user, shown) = (&service.user.name, file.display());
        let mut failure = Failure::new(Error::Config, format!("the service, which runs as {user}, can't read {shown}"));
        let kind = if key.last() == Some(&"auth") { Kind::Secret } else { Kind::Export };
        failure.help = Handover::needed(&service, &file, kind).map(|handover| remedy(&handover));
        places.diagnostic(&key, &failure)
    };
    service.out_of_reach(settings, files).into_iter().map(told).collect()
}

/// What to type, and to change, so that the service can read a file.
fn remedy(handover: &Handover) -> String {
    let commands = handover.commands().join(" && ");
    match handover.stays() {
        true => commands,
        false => format!("bring it where it can, and name it there: {commands}"),
    }
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
        let by_variable = errors.iter().any(|error| error.file.starts_with("environment "));
        let and = if by_variable { " and the environment" } else { "" };
        return out.line(&format!("{things} in {}{and}. Nothing was read or sent.", shown(files)));
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
    format!("{}: {}, people by {}", source.name, source.kind.shown(), source.key)
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
    use super::*;
    use crate::terminal::out::tests::Kept;
    use std::path::Path;

    fn check(files: &[PathBuf], format: Format) -> (Exit, String) {
        let kept = Kept::default();
        let exit = run(files, [], format, &mut kept.out(false)).expect("printed");
        (exit, kept.text())
    }

    #[test]
    fn what_is_right_is_said_in_a_few_lines() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().expect("a directory");
        let copied = |name: &str| {
            let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("config").join(name);
            let copy = dir.path().join(name);
            std::fs::copy(sample, &copy).expect("a copy");
            // Git forgets that a secret is not for everybody.
            std::fs::set_permissions(&copy, std::fs::Permissions::from_mode(0o600)).expect("set");
            copy
        };
        copied("juno.token");
        let (exit, text) = check(&[copied("rosterd.toml")], Format::Text);
        assert_eq!(exit, Exit::Ok);
        assert!(text.contains("is right: 1 source, 1 target, 1 sync, 2 mapping tests."), "{text}");
        let sentence = "sync staff: brings the people of hr to juno, bans leavers (at most 10 or 5% a run), when asked";
        assert!(text.contains(sentence), "{text}");
    }

    /// A configuration with these parts, and what is said of it: the exit, errors, warnings.
    fn said(kind: &str, include: &str, email: &str, more: &str, mode: u32) -> (Exit, Vec<String>, Vec<String>) {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("r.toml");
        let token = dir.path().join("token");
        std::fs::write(&token, "secret").expect("written");
        std::fs::set_permissions(&token, std::fs::Permissions::from_mode(mode)).expect("set");
        let source = match kind {
            "csv" => "kind = \"csv\"\npath = \"hr.csv\"\nkey = \"id\"",
            _ => "kind = \"http\"\nurl = \"http://127.0.0.1:9/hr\"\nformat = \"json\"\nkey = \"id\"",
        };
        let text = format!(
            "[state]\npath = \"s.db\"\n[sources.hr]\n{source}\n[targets.juno]\nkind = \"juno\"\n\
             base_url = \"https://x.example.com/api\"\nauth = {{ kind = \"bearer\", token = {{ file = \"token\" }} }}\n\
             [syncs.staff]\nsource = \"hr\"\ntarget = \"juno\"\ninclude = '''{include}'''\n\
             [syncs.staff.map]\nclient_id = \"id\"\nfirst_name = \"first\"\nlast_name = \"last\"\n\
             email = {{ cel = '''{email}''' }}\n{more}\n"
        );
        std::fs::write(&file, text).expect("written");
        let (exit, text) = check(&[file], Format::Json);
        let report: serde_json::Value = serde_json::from_str(&text).expect("one document");
        let list = |what: &str| {
            let all = report[what].as_array().expect("a list").iter();
            let word = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_string();
            all.map(|d| format!("{}: {} / {}", word(&d["key"]), word(&d["message"]), word(&d["help"]))).collect()
        };
        (exit, list("errors"), list("warnings"))
    }

    #[test]
    fn what_can_not_be_meant_is_told_at_once_with_the_remedy() {
        let plain = "email.trim()";
        let active = "status == 'active'";
        for (kind, include, email, parts) in [
            ("csv", "status", plain, &["syncs.staff.include", "gives a text", "status == \"active\""][..]),
            ("csv", "\"x\"", plain, &["syncs.staff.include", "gives a text"]),
            ("http", "1 + 1", plain, &["syncs.staff.include", "gives a number"]),
            (
                "csv",
                "level > 3",
                plain,
                &["syncs.staff.include", "every column of this source is text", "int(level) > "],
            ),
            ("csv", "age == 30", plain, &["syncs.staff.include", "every column of this source", "age == \"30\""]),
            ("csv", active, "Work Email.trim()", &["syncs.staff.map.email", "row[\"Work Email\"]"]),
            ("csv", active, "\"Work Email\".trim()", &["syncs.staff.map.email", "row[\"Work Email\"]"]),
        ] {
            let (exit, errors, warnings) = said(kind, include, email, "", 0o600);
            assert_eq!((exit, errors.len(), warnings.len()), (Exit::Config, 1, 0), "{include} {email}: {errors:?}");
            assert!(parts.iter().all(|part| errors[0].contains(part)), "{include} {email}: {errors:?}");
        }
        let (_, errors, _) = said("csv", "level > 3", "Work Email.trim()", "[syncs.staff.limits]\nban = -1", 0o644);
        assert_eq!(errors.len(), 4, "all of them at once: {errors:?}");
    }

    #[test]
    fn what_is_ordinary_is_not_told() {
        for (kind, include, email) in [
            ("csv", "status == 'active' && int(level) > 3", "row[\"Work Email\"].trim().lowerAscii()"),
            ("csv", "true", "email != '' ? email : first + '.' + last + '@acme.com'"),
            ("csv", "['a', 'b'].exists(x, x == status)", "'%s@acme.com'.format([first])"),
            ("http", "active", "email"),
            ("http", "level > 3 && age == 30", "email"),
        ] {
            let (exit, errors, warnings) = said(kind, include, email, "", 0o640);
            assert_eq!((exit, errors, warnings), (Exit::Ok, vec![], vec![]), "{include} {email}");
        }
    }

    #[test]
    fn a_token_that_everybody_can_read_is_an_error_of_its_own_exit() {
        let (exit, errors, _) = said("csv", "status == 'active'", "email", "", 0o644);
        assert_eq!((exit, errors.len()), (Exit::Denied, 1), "{errors:?}");
        assert!(errors[0].contains("targets.juno.auth") && errors[0].contains("chmod o-r"), "{errors:?}");
    }

    #[test]
    fn two_syncs_that_would_own_the_same_people_are_told_with_an_example() {
        let second = |include: &str| {
            let include = if include.is_empty() { String::new() } else { format!("include = '''{include}'''\n") };
            format!(
                "[syncs.more]\nsource = \"hr\"\ntarget = \"juno\"\n{include}[syncs.more.map]\nclient_id = \"id\"\n\
                 first_name = \"first\"\nlast_name = \"last\"\nemail = \"email\"\n"
            )
        };
        for (one, other, example) in [
            ("status == 'active'", "status == 'active'", "status = \"active\""),
            ("status == 'active'", "", "status = \"active\""),
            ("country == 'CH'", "status == 'active'", "country = \"CH\", status = \"active\""),
            ("end == '' || end >= today", "country in ['CH', 'DE']", "is both's"),
            ("true", "", "everybody in it is both's"),
        ] {
            let (exit, errors, warnings) = said("csv", one, "email", &second(other), 0o600);
            assert_eq!(
                (exit, errors.len(), warnings.len()),
                (Exit::Ok, 0, 1),
                "{one} {other}: {errors:?} {warnings:?}"
            );
            assert!(warnings[0].contains("sync staff") && warnings[0].contains("sync more"), "{warnings:?}");
            assert!(warnings[0].contains(example), "{warnings:?}");
        }
        for (one, other) in [
            ("country == 'CH'", "country == 'DE'"),
            ("country == 'CH'", "country != 'CH'"),
            ("dept.startsWith('A')", "!dept.startsWith('A')"),
            ("a == '1' && b == '2' && country in ['CH', 'FR']", "a == '1' && b == '2' && country in ['DE', 'AT']"),
        ] {
            let (exit, errors, warnings) = said("csv", one, "email", &second(other), 0o600);
            assert_eq!((exit, errors, warnings), (Exit::Ok, vec![], vec![]), "{one} {other}");
        }
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

//! `[targets.NAME]`: the kind's definition is loaded here, because auth and mappings are judged against it.

use crate::domain::error::Error;
use std::sync::Arc;

use super::super::diagnostic::{Diagnostic, did_you_mean};
use super::super::locate::KeyPath;
use super::super::raw::RawTarget;
use super::super::settings::TargetSettings;
use super::network::{Use, url};
use super::{Made, Report, auth, network};
use crate::api::{DefinitionError, Engine};
use crate::domain::address;
use crate::domain::address::Address;
use crate::domain::units::Rate;
use crate::http::settings::AuthSettings;
use crate::os::bounded_file;

/// The kind whose definition is the operator's own.
pub(in crate::config) const OWN: &str = "rest";

/// Kinds that are named in the documentation; one without a definition here comes with a later version.
const DOCUMENTED: [&str; 5] = ["juno", "juicebox", "longjump", "scim", OWN];

/// The default of `rate`, as documented.
const RATE: Rate = Rate { count: 10, per: std::time::Duration::from_secs(1) };

/// The default of `concurrency`, as documented.
const CONCURRENCY: usize = 8;

/// The default of `settle`, as documented.
const SETTLE: std::time::Duration = std::time::Duration::from_secs(60);

/// Resolves one target.
pub(super) fn resolve(report: &mut Report<'_>, path: &KeyPath, name: &str, raw: RawTarget) -> Made<TargetSettings> {
    let engine = engine(report, path, name, &raw);
    let allowed = match &engine {
        Made::Ready(engine) => engine.auth_kinds().to_vec(),
        _ => Vec::new(),
    };
    let auth = auth::resolve(report, &path.join("auth"), raw.auth, &allowed);
    let base_url = base_url(report, path, raw.base_url, auth.as_ref().map(|a| a.kind()));
    let rate = raw.rate.unwrap_or(RATE);
    let burst = report.positive(&path.join("burst"), raw.burst).unwrap_or_else(|| rate.default_burst());
    let daily_quota = report.positive(&path.join("daily_quota"), raw.daily_quota);
    let concurrency = report.positive(&path.join("concurrency"), raw.concurrency).unwrap_or(CONCURRENCY);
    let timeout = network::timeout(report, path, raw.timeout);
    let retry = network::retry(report, path, raw.retry);
    let settle = raw.settle.map_or(SETTLE, |span| span.0);
    let network = network::network(report, path, raw.ca_file, raw.client_cert, raw.proxy);
    let engine = match engine {
        Made::Ready(engine) => engine,
        Made::Unsupported(why) => return Made::Unsupported(why),
        Made::Broken => return Made::Broken,
    };
    // What is missing has been reported, and settings with errors are never used: stand-ins let the syncs on this
    // target be judged in the same go.
    let auth = auth.unwrap_or(AuthSettings::None);
    let Some(base_url) = base_url.or_else(|| url::Url::parse("https://missing.invalid").ok().map(Address::from)) else {
        return Made::Broken;
    };
    let name = name.to_owned();
    let kind = raw.kind.unwrap_or_default();
    Made::Ready(Arc::new(TargetSettings {
        name,
        kind,
        base_url,
        auth,
        rate,
        burst,
        daily_quota,
        concurrency,
        timeout,
        retry,
        settle,
        network,
        engine,
    }))
}

/// The address below which the API is, without a slash at its end.
fn base_url(report: &mut Report<'_>, path: &KeyPath, raw: Option<String>, auth: Option<&str>) -> Option<Address> {
    let path = path.join("base_url");
    let text = report.required(&path, raw, r#"write base_url = "https://…""#)?;
    let used = if auth == Some("none") { Use::Open } else { Use::Credentials };
    let mut address = url(report, &path, &text, used)?.whole();
    if address.query().is_some() {
        report.error(
            &path,
            format!("{:?} has a query (what follows the ?)", address::typed(&text)),
            Some("take the query out: the paths of the API are put behind the address".into()),
        );
        return None;
    }
    let trimmed = address.path().trim_end_matches('/').to_owned();
    address.set_path(&trimmed);
    Some(address.into())
}

fn engine(report: &mut Report<'_>, path: &KeyPath, name: &str, raw: &RawTarget) -> Made<Engine> {
    let kinds = Engine::builtin_kinds();
    let known = || kinds.iter().copied().chain([OWN]);
    let all = known().collect::<Vec<_>>().join(", ");
    let Some(kind) = report.required(
        &path.join("kind"),
        raw.kind.clone(),
        &format!("write kind = {:?}, or another of {all}", kinds[0]),
    ) else {
        return Made::Broken;
    };
    let definition = path.join("definition");
    if kind != OWN && raw.definition.is_some() {
        let message = format!("a target of kind {kind:?} has its definition built in");
        report.error(&definition, message, Some("write kind = \"rest\" for one of your own".into()));
    }
    let options = raw.options.clone().unwrap_or_default();
    if kind == OWN {
        return own(report, path, raw, &options);
    }
    if !kinds.contains(&kind.as_str()) {
        if DOCUMENTED.contains(&kind.as_str()) {
            return Made::Unsupported(format!(
                "target `{name}` is of kind {kind:?}; this version has definitions of {all}"
            ));
        }
        report.error(&path.join("kind"), format!("{kind:?} is not a kind of target"), did_you_mean(&kind, known()));
        return Made::Broken;
    }
    match Engine::builtin(&kind, &options) {
        Ok(engine) => Made::Ready(Arc::new(engine)),
        Err(errors) => {
            errors.into_iter().for_each(|e| option_error(report, path, e));
            Made::Broken
        }
    }
}

/// A definition of the operator's own.
fn own(report: &mut Report<'_>, path: &KeyPath, raw: &RawTarget, options: &toml::Table) -> Made<Engine> {
    let key = path.join("definition");
    let help = "name the file: definition = \"my-target.toml\"; `rosterd targets show juno` prints one to copy";
    let Some(file) = report.required(&key, raw.definition.as_ref(), help) else { return Made::Broken };
    let absolute = report.path(&key, file);
    let text = match bounded_file::read_text(&absolute) {
        Ok(text) => text,
        Err(error) => {
            report.error(
                &key,
                format!("cannot read {}: {error}", address::scrubbed(&absolute.display().to_string())),
                Some(help.into()),
            );
            return Made::Broken;
        }
    };
    let shown = file.display().to_string();
    match Engine::from_definition(&shown, &text, options) {
        Ok(engine) => Made::Ready(Arc::new(engine)),
        Err(errors) => {
            for error in errors {
                if is_option(&error) {
                    option_error(report, path, error);
                } else {
                    let DefinitionError { key, line, message, help } = error;
                    report.error_elsewhere(Diagnostic {
                        file: shown.clone(),
                        line,
                        key,
                        message,
                        help,
                        error: Error::Config,
                    });
                }
            }
            Made::Broken
        }
    }
}

/// Whether a definition complains of the options that it was given rather than of itself: those stand elsewhere.
fn is_option(error: &DefinitionError) -> bool {
    error.line.is_none() && (error.key == "options" || error.key.starts_with("options."))
}

/// A built-in definition is right, so what it complains of are its options.
fn option_error(report: &mut Report<'_>, path: &KeyPath, error: DefinitionError) {
    let mut at = path.join("options");
    for segment in error.key.trim_start_matches("options").split('.').filter(|s| !s.is_empty()) {
        at = at.join(segment);
    }
    report.error(&at, error.message, error.help);
}

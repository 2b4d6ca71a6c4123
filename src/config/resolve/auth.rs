//! `auth = { kind, … }`: which keys go with which kind, and what they must hold.

use super::super::diagnostic::did_you_mean;
use super::super::locate::KeyPath;
use super::super::raw::{RawAuth, RawSecret};
use super::Report;
use super::network::{Use, url};
use crate::http::settings::AuthSettings;

/// The kinds, and the keys of each; all of them have to be there but `scope`.
pub(in crate::config) const KINDS: [(&str, &[&str]); 7] = [
    ("bearer", &["token"]),
    ("token", &["token"]),
    ("header", &["name", "value"]),
    ("basic", &["username", "password"]),
    ("session", &["username", "password"]),
    ("oauth2", &["token_url", "client_id", "client_secret", "scope"]),
    ("none", &[]),
];

/// Reads an `auth` table. `allowed` are the kinds that the target takes; empty is any.
pub(super) fn resolve(
    report: &mut Report<'_>,
    path: &KeyPath,
    raw: Option<RawAuth>,
    allowed: &[String],
) -> Option<AuthSettings> {
    let kinds = KINDS.iter().map(|(kind, _)| *kind).filter(|k| allowed.is_empty() || allowed.iter().any(|a| a == k));
    let wanted: Vec<&str> = kinds.collect();
    let help = format!("write auth = {}", example(wanted.first().unwrap_or(&"bearer")));
    let raw = report.required(path, raw, &help)?;
    let first = wanted.first().unwrap_or(&"bearer");
    let help = match wanted.as_slice() {
        [only] => format!("write kind = {only:?}"),
        _ => format!("write kind = {first:?}, or another of {}", wanted.join(", ")),
    };
    let kind = report.required(&path.join("kind"), raw.kind.clone(), &help)?;
    let Some((_, keys)) = KINDS.iter().find(|(name, _)| *name == kind) else {
        let help = did_you_mean(&kind, wanted.iter().copied());
        report.error(&path.join("kind"), format!("{kind:?} is not a kind of auth"), help);
        return None;
    };
    if !wanted.contains(&kind.as_str()) {
        let message = format!("auth of kind {kind:?} can't be used here");
        let help = match wanted.as_slice() {
            [only] => format!("this platform takes kind = {only:?} alone"),
            _ => format!("use one of {}", wanted.join(", ")),
        };
        report.error(&path.join("kind"), message, Some(help));
        return None;
    }
    refuse_foreign(report, path, &kind, keys, &raw);
    by_kind(report, path, &kind, raw)
}

/// A kind of auth as it is written.
fn example(kind: &str) -> &'static str {
    match kind {
        "token" => r#"{ kind = "token", token = { file = "api.token" } }"#,
        "header" => r#"{ kind = "header", name = "X-Api-Key", value = { file = "api.token" } }"#,
        "basic" => r#"{ kind = "basic", username = "rosterd", password = { file = "api.password" } }"#,
        "session" => r#"{ kind = "session", username = "rosterd", password = { file = "api.password" } }"#,
        "oauth2" => {
            r#"{ kind = "oauth2", token_url = "https://…", client_id = "…", client_secret = { file = "api.secret" } }"#
        }
        "none" => r#"{ kind = "none" }"#,
        _ => r#"{ kind = "bearer", token = { file = "api.token" } }"#,
    }
}

/// Refuses keys that belong to another kind.
fn refuse_foreign(report: &mut Report<'_>, path: &KeyPath, kind: &str, keys: &[&str], raw: &RawAuth) {
    let present = [
        ("token", raw.token.is_some()),
        ("name", raw.name.is_some()),
        ("value", raw.value.is_some()),
        ("username", raw.username.is_some()),
        ("password", raw.password.is_some()),
        ("token_url", raw.token_url.is_some()),
        ("client_id", raw.client_id.is_some()),
        ("client_secret", raw.client_secret.is_some()),
        ("scope", raw.scope.is_some()),
    ];
    for (key, _) in present.into_iter().filter(|(key, there)| *there && !keys.contains(key)) {
        let takes = if keys.is_empty() { "nothing more".into() } else { keys.join(", ") };
        let message = format!("`{key}` does not belong to auth of kind {kind:?}");
        report.error(&path.join(key), message, Some(format!("it takes {takes}")));
    }
}

fn by_kind(report: &mut Report<'_>, path: &KeyPath, kind: &str, raw: RawAuth) -> Option<AuthSettings> {
    let text = |report: &mut Report<'_>, key: &str, value: Option<String>| {
        let path = path.join(key);
        let value = report.required(&path, value, &format!("auth of kind {kind:?} needs it"))?;
        if value.is_empty() {
            report.error(&path, "this is empty", None);
            return None;
        }
        Some(value)
    };
    let secret = |report: &mut Report<'_>, key: &str, value: Option<RawSecret>| {
        let path = path.join(key);
        let help = format!(r#"write {key} = {{ env = "NAME" }} or {{ file = "PATH" }}"#);
        let value = report.required(&path, value, &help)?;
        report.secret(&path, value)
    };
    match kind {
        "bearer" => secret(report, "token", raw.token).map(AuthSettings::Bearer),
        "token" => secret(report, "token", raw.token).map(AuthSettings::Token),
        "header" => {
            let name = text(report, "name", raw.name);
            let is_name = |name: &String| reqwest::header::HeaderName::from_bytes(name.as_bytes()).is_ok();
            if name.as_ref().is_some_and(|name| !is_name(name)) {
                // Not shown: it is often the whole header, with its value.
                let help = "write the name alone, e.g. name = \"X-Api-Key\"; what follows the colon belongs into value";
                report.error(&path.join("name"), "this is not the name of a header", Some(help.into()));
            }
            let value = secret(report, "value", raw.value);
            Some(AuthSettings::Header { name: name?, value: value? })
        }
        "basic" | "session" => {
            let username = text(report, "username", raw.username);
            let password = secret(report, "password", raw.password);
            let (username, password) = (username?, password?);
            Some(match kind {
                "basic" => AuthSettings::Basic { username, password },
                _ => AuthSettings::Session { username, password },
            })
        }
        "oauth2" => {
            let token_url = text(report, "token_url", raw.token_url)
                .and_then(|t| url(report, &path.join("token_url"), &t, Use::Credentials));
            let client_id = text(report, "client_id", raw.client_id);
            let client_secret = secret(report, "client_secret", raw.client_secret);
            Some(AuthSettings::OAuth2 {
                token_url: token_url?,
                client_id: client_id?,
                client_secret: client_secret?,
                scope: raw.scope,
            })
        }
        _ => Some(AuthSettings::None),
    }
}

//! From the configuration as typed to [`Settings`]: defaults filled in, references checked, every mistake noted.
//!
//! Each section resolves to `None` when something in it is wrong, and goes on to the end all the same, so that one
//! reading finds everything. A [`Report`] collects what is found, with its place.

pub(super) mod auth;
mod label;
mod network;
mod overlap;
mod release;
pub(super) mod source;
mod sync;
pub(super) mod target;
mod times;

use crate::domain::error::{Error, LocalReason};
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use secrecy::ExposeSecret;

use super::diagnostic::{Diagnostic, did_you_mean};
use super::locate::{KeyPath, Layers};
use super::raw::{Raw, RawNotify, RawSecret, RawServer, RawState};
use super::settings::{NotifySettings, ServerSettings, Settings, StateSettings};
use crate::domain::nearest::nearest;
use crate::http::secret::Secret;

/// How long outcomes are kept unless told otherwise: half a year, enough for an audit.
const KEEP_OUTCOMES: Duration = Duration::from_secs(180 * 86_400);

/// Connections to the server, unless the configuration says otherwise: some browsers and scrapers, and a small part of
/// the 1,024 files that a process may usually have open.
const MAX_CONNECTIONS: u32 = 64;

/// The most that can be asked for.
const MOST_CONNECTIONS: u32 = 10_000;

/// The longest path that is looked for, in bytes.
const LONGEST_NAME: usize = 4096;

/// The mode bits by which others than owner and group can do anything with a file.
const OPEN_TO_OTHERS: u32 = 0o007;

/// What is found wrong, with the place where it stands.
pub(super) struct Report<'a> {
    layers: &'a Layers,
    errors: Vec<Diagnostic>,
    warnings: Vec<Diagnostic>,
    /// Keys that were typed and can't be read: they are not also missing.
    unreadable: BTreeSet<KeyPath>,
}

impl<'a> Report<'a> {
    pub fn new(layers: &'a Layers) -> Self {
        Report { layers, errors: Vec::new(), warnings: Vec::new(), unreadable: BTreeSet::new() }
    }

    /// Errors and warnings, in the order of files and lines.
    pub fn into_parts(self) -> (Vec<Diagnostic>, Vec<Diagnostic>) {
        let order = |d: &Diagnostic| {
            let file = self.layers.files.iter().position(|f| f.shown == d.file).unwrap_or(usize::MAX);
            (file, d.line)
        };
        let (mut errors, mut warnings) = (self.errors, self.warnings);
        errors.sort_by_key(order);
        warnings.sort_by_key(order);
        errors.dedup();
        (errors, warnings)
    }

    fn diagnostic(&self, path: &KeyPath, message: String, help: Option<String>) -> Diagnostic {
        let place = self.layers.locate(path);
        Diagnostic { file: place.file, line: place.line, key: path.to_string(), message, help, error: Error::Config }
    }

    /// Notes a mistake.
    pub fn error(&mut self, path: &KeyPath, message: impl Into<String>, help: Option<String>) {
        let diagnostic = self.diagnostic(path, message.into(), help);
        self.errors.push(diagnostic);
    }

    /// Notes what is allowed and probably not meant.
    pub fn warning(&mut self, path: &KeyPath, message: impl Into<String>, help: Option<String>) {
        let diagnostic = self.diagnostic(path, message.into(), help);
        self.warnings.push(diagnostic);
    }

    /// Notes a mistake that stands in another file than the configuration.
    fn error_elsewhere(&mut self, diagnostic: Diagnostic) {
        self.errors.push(diagnostic);
    }

    /// Remembers that this key was typed and could not be read.
    pub fn reported(&mut self, path: &KeyPath) {
        self.unreadable.insert(path.clone());
    }

    /// Whether this key was typed and could not be read.
    fn is_unreadable(&self, path: &KeyPath) -> bool {
        self.unreadable.contains(path)
    }

    /// The keys directly below this one that were typed and can't be read.
    fn unreadable_below(&self, path: &KeyPath) -> Vec<String> {
        let depth = path.0.len();
        self.unreadable.iter().filter(|p| p.0.starts_with(&path.0)).filter_map(|p| p.0.get(depth).cloned()).collect()
    }

    /// The text of the variable that sets exactly this key.
    pub fn text_of_variable(&self, path: &KeyPath) -> Option<String> {
        self.layers.env_of(path).filter(|e| e.path == *path).map(|e| e.text.clone())
    }

    /// A value that must be there.
    fn required<T>(&mut self, path: &KeyPath, value: Option<T>, help: &str) -> Option<T> {
        if value.is_none() && !self.is_unreadable(path) {
            self.missing(path, "this is missing", help);
        }
        value
    }

    /// Notes that something is missing. Where a variable alone speaks of the element, its name is the likelier mistake.
    fn missing(&mut self, path: &KeyPath, message: &str, help: &str) {
        let Some(known) = self.layers.known_to_variables_alone(path) else {
            return self.error(path, message, Some(help.to_owned()));
        };
        let element = KeyPath::of(&path.0[..2]);
        let (section, name) = (path.0[0].trim_end_matches('s'), &path.0[1]);
        let near = nearest(name, known.iter().map(String::as_str)).map(|near| format!("did you mean `{near}`? "));
        let known = if known.is_empty() { String::new() } else { format!("the files have: {}; ", known.join(", ")) };
        let help = format!(
            "{}A {section} that is set by variables alone needs its {} too",
            near.unwrap_or(known),
            path.0[2..].join(".")
        );
        let message = format!("no file of the configuration has a {section} {name:?}");
        let diagnostic = self.diagnostic(&element, message, Some(help));
        if !self.errors.iter().any(|e| (&e.key, &e.message) == (&diagnostic.key, &diagnostic.message)) {
            self.errors.push(diagnostic);
        }
    }

    /// A number that must be at least 1.
    fn positive<T: Default + PartialEq>(&mut self, path: &KeyPath, value: Option<T>) -> Option<T> {
        if value.as_ref() == Some(&T::default()) {
            let key = path.0.last().map_or("it", String::as_str);
            self.error(path, "0 would mean that nothing is ever done", Some(format!("write {key} = 1, or more")));
        }
        value
    }

    /// The name of something defined elsewhere.
    fn known<'n>(
        &mut self,
        path: &KeyPath,
        what: &str,
        name: &str,
        known: impl Iterator<Item = &'n String> + Clone,
    ) -> bool {
        let found = known.clone().any(|k| k == name);
        if !found {
            let help = did_you_mean(name, known.map(String::as_str));
            self.error(path, format!("there is no {what} {name:?}"), help);
        }
        found
    }

    /// A path in a file, absolute.
    fn path(&self, key: &KeyPath, path: &Path) -> PathBuf {
        self.layers.absolute(key, path)
    }

    /// Where a secret is.
    fn secret(&mut self, path: &KeyPath, raw: RawSecret) -> Option<Secret> {
        let table = match raw {
            RawSecret::Literal(text) => {
                self.refuse_open_literal(path);
                self.warn_of_file_name(path, text.expose_secret());
                return Some(Secret::Literal(text));
            }
            RawSecret::Table(table) => table,
        };
        match (table.env, table.file, table.credential) {
            (Some(name), None, None) if is_variable(&name) => Some(Secret::Env(name)),
            (Some(_), None, None) => {
                let help = "name the variable that holds it: { env = \"JUNO_TOKEN\" }; its value does not belong here";
                let message =
                    "this is not the name of an environment variable, and not shown, for it may be the secret";
                self.error(&path.join("env"), message, Some(help.into()));
                None
            }
            (None, Some(file), None) => Some(Secret::File(self.path(&path.join("file"), &file))),
            (None, None, Some(name)) if !name.is_empty() && !name.contains('/') => Some(Secret::Credential(name)),
            (None, None, Some(_)) => {
                let help =
                    "write the name alone, as LoadCredential= of the unit has it: { credential = \"juno.token\" }";
                self.error(path, "a credential's name has no slash and is not empty", Some(help.into()));
                None
            }
            _ => {
                if self.unreadable_below(path).is_empty() {
                    let help = r#"write { env = "NAME" }, { file = "PATH" } or { credential = "NAME" }"#;
                    self.error(path, "a secret comes from exactly one place", Some(help.into()));
                }
                None
            }
        }
    }

    /// Warns of a secret that is the name of a file: the file was meant. It is not shown, for it may be a secret.
    fn warn_of_file_name(&mut self, path: &KeyPath, text: &str) {
        let may_be_name = !text.is_empty() && text.len() <= LONGEST_NAME && !text.contains(['\n', '\0']);
        if may_be_name && self.path(path, Path::new(text)).is_file() {
            let message = "this text is taken for the secret itself, and it is the name of a file";
            let help = "if the secret is in that file, write { file = \"…\" } with its name";
            self.warning(path, message, Some(help.into()));
        }
    }

    /// Refuses a secret that stands in a configuration file which others can read: it is no secret any more.
    fn refuse_open_literal(&mut self, path: &KeyPath) {
        let Some(layer) = self.layers.locate(path).layer else { return };
        let open = std::fs::metadata(&layer.path).is_ok_and(|m| m.permissions().mode() & OPEN_TO_OTHERS != 0);
        if open {
            let help = format!("chmod o= {}, or write {{ file = \"PATH\" }}", layer.shown);
            let message = "a secret stands here, and everybody on this machine can read this file";
            let mut diagnostic = self.diagnostic(path, message.into(), Some(help));
            diagnostic.error = Error::Local(LocalReason::Exposed);
            self.errors.push(diagnostic);
        }
    }
}

/// What became of a section that others refer to.
enum Made<T> {
    /// It is there.
    Ready(Arc<T>),
    /// It is right, but this version can't do it; this says so.
    Unsupported(String),
    /// It is wrong, and that has been said.
    Broken,
}

/// Resolves everything. `None` exactly when errors are reported.
pub(super) fn resolve(raw: Raw, report: &mut Report<'_>) -> Option<Settings> {
    let state = state(raw.state.unwrap_or_default(), report);
    let server = raw.server.map(|s| server(s, report));
    let notify = raw.notify.map(|n| notify(n, report));
    let unions: Vec<String> =
        raw.sources.iter().filter(|(_, s)| source::is_of_others(s.kind())).map(|(n, _)| n.clone()).collect();
    let names: Vec<String> = raw.sources.keys().cloned().collect();
    // Unions come after what they are made of.
    let (unions_raw, plain) = raw.sources.into_iter().partition(|(name, _)| unions.contains(name));
    let mut sources = BTreeMap::new();
    for sources_raw in [plain, unions_raw] {
        let all = source::Sources { names: &names, unions: &unions, made: &sources };
        let made = section("sources", sources_raw, report, |report, path, name, raw| {
            source::resolve(report, path, name, raw, &all)
        });
        sources.extend(made);
    }
    let targets = section("targets", raw.targets, report, target::resolve);
    let target_of = raw.syncs.iter().map(|(name, sync)| (name.clone(), sync.target.clone())).collect();
    let all = sync::Defined { sources: &sources, targets: &targets, target_of };
    let syncs = section("syncs", raw.syncs, report, |report, path, name, raw| {
        sync::resolve(report, path, name, raw, &all).map_or(Made::Broken, |s| Made::Ready(Arc::new(s)))
    });
    if syncs.is_empty() && report.errors.is_empty() {
        report.warning(&KeyPath::of(["syncs"]), "no sync is configured, so there is nothing to do", None);
    }
    for (section, unused) in [("sources", unsupported(&sources)), ("targets", unsupported(&targets))] {
        for (name, why) in unused {
            report.warning(&KeyPath::of([section, &name]), format!("{why}; it is left alone"), None);
        }
    }
    let syncs = ready(syncs);
    overlap::warn(report, &syncs);
    Some(Settings {
        state: state?,
        server: server.map_or(Some(None), |s| s.map(Some))?,
        notify: notify.map_or(Some(None), |n| n.map(Some))?,
        sources: ready(sources),
        targets: ready(targets),
        syncs,
    })
}

/// Resolves each element of a section, after a look at its name.
fn section<R, T>(
    section: &str,
    raw: BTreeMap<String, R>,
    report: &mut Report<'_>,
    mut one: impl FnMut(&mut Report<'_>, &KeyPath, &str, R) -> Made<T>,
) -> BTreeMap<String, Made<T>> {
    let mut all = BTreeMap::new();
    for (name, raw) in raw {
        let path = KeyPath::of([section, &name]);
        if !is_name(&name) {
            let help = "a name is small letters, digits, - and _, and begins with a letter: hr, hr-2";
            report.error(&path, format!("{name:?} can't be a name"), Some(help.into()));
        }
        let made = one(report, &path, &name, raw);
        all.insert(name, made);
    }
    all
}

/// Whether this is `[a-z][a-z0-9_-]*`.
fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-')
}

fn ready<T>(made: BTreeMap<String, Made<T>>) -> BTreeMap<String, Arc<T>> {
    made.into_iter().filter_map(|(name, m)| if let Made::Ready(t) = m { Some((name, t)) } else { None }).collect()
}

fn unsupported<T>(made: &BTreeMap<String, Made<T>>) -> Vec<(String, String)> {
    made.iter()
        .filter_map(|(name, m)| if let Made::Unsupported(why) = m { Some((name.clone(), why.clone())) } else { None })
        .collect()
}

fn state(raw: RawState, report: &mut Report<'_>) -> Option<StateSettings> {
    let path = KeyPath::of(["state", "path"]);
    let file = report.required(&path, raw.path, r#"write [state] and path = "rosterd.db": the database goes there"#)?;
    if file.as_os_str().is_empty() {
        report.error(&path, "the path is empty", Some(r#"write path = "rosterd.db": the database goes there"#.into()));
        return None;
    }
    Some(StateSettings {
        path: report.path(&path, &file),
        keep_outcomes: raw.keep_outcomes.map_or(KEEP_OUTCOMES, |s| s.0),
    })
}

fn server(raw: RawServer, report: &mut Report<'_>) -> Option<ServerSettings> {
    let path = KeyPath::of(["server", "listen"]);
    let help = r#"write an address and a port, e.g. listen = "127.0.0.1:9464""#;
    let listen = report.required(&path, raw.listen, help)?;
    let address = listen.parse();
    if address.is_err() {
        let help = match listen.rsplit_once(':') {
            Some(("localhost", port)) => format!("write the address of localhost: listen = \"127.0.0.1:{port}\""),
            _ => help.to_owned(),
        };
        report.error(&path, format!("{listen:?} is not an IP address and a port"), Some(help));
    }
    let hosts = raw.hosts.unwrap_or_default();
    for host in hosts.iter().filter(|host| !is_host(host)) {
        let help =
            r#"write names as they stand in an address, without scheme and port, e.g. hosts = ["rosterd.example.com"]"#;
        report.error(
            &KeyPath::of(["server", "hosts"]),
            format!("{host:?} is not the name of a host"),
            Some(help.into()),
        );
    }
    let max_connections = raw.max_connections.unwrap_or(MAX_CONNECTIONS);
    if !(1..=MOST_CONNECTIONS).contains(&max_connections) {
        let message = format!("{max_connections} is not a number of connections from 1 to {MOST_CONNECTIONS}");
        report.error(&KeyPath::of(["server", "max_connections"]), message, None);
    }
    Some(ServerSettings {
        listen: address.ok()?,
        show_values: raw.show_values.unwrap_or(false),
        hosts,
        max_connections,
    })
}

/// Whether this can be the name of an environment variable: letters, digits and underscores.
fn is_variable(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Whether this is a host as it stands in an address: a name or an IP address, without a port.
fn is_host(text: &str) -> bool {
    let alone = |host: url::Host<String>| !matches!(host, url::Host::Domain(name) if name.is_empty());
    url::Host::parse(text).is_ok_and(alone) || text.parse::<std::net::Ipv6Addr>().is_ok()
}

fn notify(raw: RawNotify, report: &mut Report<'_>) -> Option<NotifySettings> {
    let path = KeyPath::of(["notify"]);
    match (raw.webhook, raw.command) {
        (Some(webhook), None) => {
            let path = path.join("webhook").join("url");
            let url = report.required(&path, webhook.url, r#"write webhook = { url = "https://…" }"#)?;
            Some(NotifySettings::Webhook { url: webhook_url(report, &path, url)? })
        }
        (None, Some(command)) => {
            if command.first().is_none_or(|program| program.is_empty()) {
                let help = r#"write the program and its arguments: command = ["/usr/local/bin/page", "ops"]"#;
                report.error(&path.join("command"), "no program is named", Some(help.into()));
                return None;
            }
            Some(NotifySettings::Command(command))
        }
        _ => {
            if report.unreadable_below(&path).is_empty() {
                let help = r#"write webhook = { url = "https://…" } or command = ["/usr/local/bin/page", "ops"]"#;
                report.error(&path, "exactly one of webhook and command belongs here", Some(help.into()));
            }
            None
        }
    }
}

/// A webhook's address. It often carries a secret, yet may stand in any file: it opens nothing but a mailbox.
fn webhook_url(report: &mut Report<'_>, path: &KeyPath, raw: RawSecret) -> Option<Secret> {
    let RawSecret::Literal(text) = raw else { return report.secret(path, raw) };
    network::url(report, path, text.expose_secret(), network::Use::Secret)?;
    Some(Secret::Literal(text))
}

//! Configuration: as typed, then resolved into settings as used, with every error at once.
//!
//! [`load`] is the only way in. It reads the files in order, lays the environment over them (through figment), turns
//! what is typed into types section by section, and judges the whole: references, mappings against the target's
//! catalogue, schedules. What comes out is [`Settings`], in which nothing has to be checked again, or every mistake
//! there is, each with its place.

mod diagnostic;
mod examples;
mod layers;
mod locate;
mod raw;
mod resolve;
pub mod schema;
pub mod settings;
mod syntax;
mod typed;

use std::path::PathBuf;
use std::sync::Arc;

use crate::domain::address;
use crate::domain::error::Failure;

pub use diagnostic::{Diagnostic, did_you_mean, failure};
pub use settings::Settings;

/// A configuration that holds.
#[derive(Debug)]
pub struct Loaded {
    /// What it says.
    pub settings: Settings,
    /// What is allowed and probably not meant.
    pub warnings: Vec<Diagnostic>,
    /// Where its keys stand.
    pub places: Places,
}

/// Where the keys of a configuration stand.
#[derive(Debug, Default)]
pub struct Places(locate::Layers);

impl Places {
    /// A finding about a key, at its place: `targets`, `juno`, `base_url`. Where it stands nowhere, its nearest parent's.
    pub fn diagnostic(&self, key: &[&str], failure: &Failure) -> Diagnostic {
        let path = locate::KeyPath::of(key);
        let place = self.0.locate(&path);
        Diagnostic {
            file: place.file,
            line: place.line,
            key: path.to_string(),
            message: failure.chain(),
            help: failure.help.clone(),
            error: failure.error,
        }
    }
}

/// Reads these files, later ones winning, and this environment (`ROSTERD_…`, which wins over files).
///
/// All errors are returned together, in the order of files and lines; [`failure`] makes them the end of a command.
pub fn load(files: &[PathBuf], env: impl IntoIterator<Item = (String, String)>) -> Result<Loaded, Vec<Diagnostic>> {
    let Judged { settings, errors, warnings, places } = judge(files, env);
    settings.filter(|_| errors.is_empty()).map(|settings| Loaded { settings, warnings, places }).ok_or(errors)
}

/// A configuration, and everything that there is to say of it.
#[derive(Debug)]
pub struct Judged {
    /// What it says, as far as it holds.
    pub settings: Option<Settings>,
    /// What is wrong: none when it holds.
    pub errors: Vec<Diagnostic>,
    /// What is allowed and probably not meant.
    pub warnings: Vec<Diagnostic>,
    /// Where its keys stand.
    pub places: Places,
}

/// As [`load`], for those who want the warnings beside the errors too.
pub fn judge(files: &[PathBuf], env: impl IntoIterator<Item = (String, String)>) -> Judged {
    let (layers, merged) = match layers::read(files, env) {
        Ok(read) => read,
        Err(errors) => {
            let (errors, places) = (without_secrets(errors), Places::default());
            return Judged { settings: None, errors, warnings: Vec::new(), places };
        }
    };
    let mut report = resolve::Report::new(&layers);
    let typed = typed::Typed::of(&merged);
    let raw = layers::typed(merged, &locate::KeyPath::default(), &mut report);
    let mut settings = resolve::resolve(raw, &mut report);
    if let Some(settings) = &mut settings {
        for (name, sync) in &mut settings.syncs {
            Arc::make_mut(sync).typed = typed.of_sync(name);
        }
    }
    let (errors, warnings) = report.into_parts();
    let (errors, warnings) = (without_secrets(errors), without_secrets(warnings));
    Judged { settings, errors, warnings, places: Places(layers) }
}

/// What is said quotes what was typed: where an address was typed, whatever was wanted there, its query and user are left
/// out.
fn without_secrets(mut said: Vec<Diagnostic>) -> Vec<Diagnostic> {
    for diagnostic in &mut said {
        diagnostic.message = address::scrubbed(&diagnostic.message);
    }
    said
}

/// The process's environment, as [`load`] takes it. What isn't Unicode can't be a setting of ours.
pub fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(name, text)| Some((name.into_string().ok()?, text.into_string().ok()?)))
}

#[cfg(test)]
mod tests;

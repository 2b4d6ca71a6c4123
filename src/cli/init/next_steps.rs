//! What somebody types after `rosterd init`: on this machine, for this target, each on a line that can be copied.

use std::path::Path;

use super::target::Chosen;
use super::{InitArgs, place};
use crate::cli::args::Format;
use crate::cli::check;
use crate::cli::handover::{Handover, Kind, command_word};
use crate::cli::service::{self, Service, Typed};
use crate::config;
use crate::domain::error::Result;
use crate::domain::exit::Exit;
use crate::terminal::out::Out;

/// Where the text behind a command begins.
const BEHIND: usize = 26;

/// What the next steps depend on.
pub struct Situation<'a> {
    /// The configuration that was written.
    pub path: &'a Path,
    /// What was typed after `rosterd init`.
    pub args: &'a InitArgs,
    /// The target.
    pub chosen: &'a Chosen,
    /// The service that it was written for, and how commands for it are typed.
    pub service: Option<(&'a Service, Typed)>,
    /// What the service can't read of the source yet: the export, or the secret of an address.
    pub source: Option<&'a Handover>,
    /// Whether `ROSTERD_CONFIG` names another file.
    pub is_diverted: bool,
}

/// A line of what is printed.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Line {
    /// A sentence; a blank line before it where a step begins.
    Step(String),
    /// A sentence that goes on.
    Prose(String),
    /// What is typed, as it is.
    Command(String),
}

/// Runs `check` on what was written, and says how to go on.
pub fn show(situation: &Situation<'_>) -> Result<Exit> {
    let Situation { path, service, .. } = situation;
    let for_whom = service.map_or(String::new(), |_| format!(" for the service {}", service::UNIT));
    let written = format!("{} is written{for_whom}. What `rosterd check` says of it:", path.display());
    Out::stdout().line(&written)?;
    let exit = check::run(&[path.to_path_buf()], config::environment(), Format::Text, &mut Out::stdout())?;
    let mut out = Out::stdout();
    // Broken into lines, a command could not be copied; sentences are short enough as they are.
    text(situation, exit == Exit::Ok).iter().try_for_each(|line| out.whole_line(line))?;
    Ok(Exit::Ok)
}

/// What is printed below the judgement, line by line. `is_right`: `check` found nothing.
pub fn text(situation: &Situation<'_>, is_right: bool) -> Vec<String> {
    let told = |line| match line {
        Line::Step(text) => vec![String::new(), text],
        Line::Prose(text) => vec![text],
        Line::Command(text) => vec![format!("  {text}")],
    };
    lines(situation, is_right).into_iter().flat_map(told).collect()
}

fn lines(situation: &Situation<'_>, is_right: bool) -> Vec<Line> {
    let mut lines = Vec::new();
    match (&situation.chosen.handover, situation.service) {
        (Some(secret), Some((_, typed))) => {
            lines.push(Line::Step("First have the service, and nobody else, read the secret:".into()));
            lines.extend(secret.commands().iter().map(|command| Line::Command(typed.by_root(command))));
        }
        _ if is_right => {}
        (_, Some((service, typed))) => secret_of_service(&mut lines, situation, service, typed),
        (_, None) => secret_here(&mut lines, situation),
    }
    match situation.service {
        Some((_, typed)) => {
            if let Some(handover) = situation.source {
                source(&mut lines, handover, typed);
            }
            with_service(&mut lines, situation, typed);
        }
        None => without_service(&mut lines, situation),
    }
    lines
}

/// Whether the target is simulated, on this machine.
fn is_here(chosen: &Chosen) -> bool {
    chosen.target.base_url.starts_with("http://")
}

const NOT_REAL: &str = "That is the sandbox's. A real one does not belong into the shell's history: type";
const PASTED: &str = "paste it, and end with Enter and Ctrl-D.";

/// How the secret is stored for whoever runs `init`.
fn secret_here(lines: &mut Vec<Line>, Situation { args, chosen, .. }: &Situation<'_>) {
    let Some(file) = &chosen.secret_file else {
        let name = args.token_env.as_deref().unwrap_or_default();
        lines.push(Line::Step("First give it the secret:".into()));
        lines.push(Line::Command(format!("set the environment variable {name}")));
        return;
    };
    let file = command_word(&file.display().to_string());
    lines.push(Line::Step("First store the secret, for your eyes only:".into()));
    if is_here(chosen) {
        lines.push(Line::Command(format!("printf sandbox > {file} && chmod 600 {file}")));
        lines.push(Line::Prose(NOT_REAL.into()));
    }
    lines.push(Line::Command(format!("install -m 600 /dev/stdin {file}")));
    lines.push(Line::Prose(PASTED.into()));
}

/// How the secret is stored for the service.
fn secret_of_service(lines: &mut Vec<Line>, situation: &Situation<'_>, service: &Service, typed: Typed) {
    let Situation { args, chosen, .. } = situation;
    let Some(file) = &chosen.secret_file else {
        let name = args.token_env.as_deref().unwrap_or_default();
        lines.push(Line::Step("First give it the secret. This opens an editor:".into()));
        lines.push(Line::Command(typed.by_root(&format!("systemctl edit {}", service::UNIT))));
        lines.push(Line::Prose("Write there, with the secret for the dots:".into()));
        lines.push(Line::Command("[Service]".into()));
        lines.push(Line::Command(format!("Environment={name}=…")));
        lines
            .push(Line::Prose("Every user of this machine can ask systemd for it; a file, by --token-file, is".into()));
        lines.push(Line::Prose("for the service alone. The commands below need the variable too.".into()));
        return;
    };
    let file = command_word(&file.display().to_string());
    let install = typed.by_root(&format!("install -o {} -m600 /dev/stdin {file}", service.user.name));
    lines.push(Line::Step("First store the secret, for the service alone:".into()));
    if is_here(chosen) {
        lines.push(Line::Command(format!("echo sandbox | {install}")));
        lines.push(Line::Prose(NOT_REAL.into()));
    }
    lines.push(Line::Command(install));
    lines.push(Line::Prose(PASTED.into()));
}

/// How what is read of the source gets to where the service can read it.
fn source(lines: &mut Vec<Line>, handover: &Handover, typed: Typed) {
    let (what, who) = match handover.kind {
        Kind::Export => ("export", "its group"),
        Kind::Secret => ("secret of the export", "its user"),
    };
    lines.push(Line::Step(match handover.stays() {
        true => format!("The service can't read the {what}. Let {who} read it:"),
        false => format!("The service can't read the {what} where it is. Bring it where it can:"),
    }));
    lines.extend(handover.commands().iter().map(|command| Line::Command(typed.by_root(command))));
    match (handover.kind, handover.stays()) {
        (Kind::Export, true) => lines.push(Line::Prose("and have it made so from now on.".into())),
        (Kind::Export, false) => lines.push(Line::Prose("and have it delivered there from now on.".into())),
        (Kind::Secret, _) => {}
    }
}

/// The commands for the service that come then.
fn with_service(lines: &mut Vec<Line>, Situation { chosen, is_diverted, .. }: &Situation<'_>, typed: Typed) {
    if is_here(chosen) {
        lines.push(Line::Step("In another terminal, run the simulated target:".into()));
        lines.push(Line::Command("rosterd sandbox".into()));
    }
    lines.push(Line::Step("Then look, as the user of the service. Nothing is written to the target:".into()));
    if *is_diverted {
        lines.push(Line::Command("unset ROSTERD_CONFIG".into()));
    }
    lines.push(Line::Command(typed.by_service("rosterd check --connect")));
    lines.push(Line::Command(typed.by_service("rosterd plan")));
    lines.push(Line::Step("Change it once, and from then on every quarter of an hour:".into()));
    lines.push(Line::Command(typed.by_service("rosterd sync")));
    lines.push(Line::Command(typed.by_root(&format!("systemctl enable --now {}", service::UNIT))));
    lines.push(Line::Command(typed.by_root("rosterd status")));
    lines.push(Line::Step("`rosterd manual install` tells the rest.".into()));
}

/// The commands that come then, where no service is written for.
fn without_service(lines: &mut Vec<Line>, Situation { path, chosen, .. }: &Situation<'_>) {
    lines.push(Line::Step("Then:".into()));
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    let variable = format!("export ROSTERD_CONFIG={}", command_word(&path.display().to_string()));
    let sandbox = is_here(chosen).then_some(("rosterd sandbox", "in another terminal: the simulated target"));
    let commands = [
        sandbox,
        Some((variable.as_str(), "")),
        Some(("rosterd check --connect", "is everything there?")),
        Some(("rosterd plan", "what would change; writes nothing")),
        Some(("rosterd sync", "change it")),
    ];
    for (command, what) in commands.into_iter().flatten() {
        let wide = if what.is_empty() { 0 } else { BEHIND };
        lines.push(Line::Command(format!("{command:wide$}  {what}").trim_end().into()));
    }
    lines.push(Line::Prose(match Service::of_this_machine() {
        Some(service) => format!(
            "For the service of this machine, run init as root: it writes {}.",
            service.directory.join(place::NAME).display()
        ),
        None => "To have it done regularly, set schedule in the file and let `rosterd run` go on.".into(),
    }));
}

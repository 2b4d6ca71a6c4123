//! What somebody types after `rosterd init`: on this machine, for this target, each on a line that can be copied.

use std::path::Path;

use super::target::Chosen;
use super::{Delivery, InitArgs};
use crate::cli::args::Format;
use crate::cli::check;
use crate::cli::service::{self, Service};
use crate::config;
use crate::domain::error::Result;
use crate::domain::exit::Exit;
use crate::terminal::out::Out;

/// Where the text behind a command begins.
const BEHIND: usize = 26;

/// Runs `check` on what was written, and says how to go on.
pub fn show(
    path: &Path,
    args: &InitArgs,
    chosen: &Chosen,
    service: Option<&Service>,
    delivery: Option<&Delivery>,
) -> Result<Exit> {
    let for_whom = service.map_or(String::new(), |_| format!(" for the service {}", service::UNIT));
    let written = format!("{} is written{for_whom}. What `rosterd check` says of it:", path.display());
    Out::stdout().line(&written)?;
    let exit = check::run(&[path.to_path_buf()], config::environment(), Format::Text, &mut Out::stdout())?;
    let mut out = Out::stdout();
    if exit != Exit::Ok {
        secret(&mut out, args, chosen, service)?;
    }
    if let Some(delivery) = delivery {
        export(&mut out, path, delivery)?;
    }
    commands(&mut out, path, chosen, service)?;
    Ok(Exit::Ok)
}

/// Whether the target is simulated, on this machine.
fn is_here(chosen: &Chosen) -> bool {
    chosen.target.base_url.starts_with("http://")
}

/// How the secret is stored.
fn secret(out: &mut Out, args: &InitArgs, chosen: &Chosen, service: Option<&Service>) -> Result<()> {
    let Some(file) = &chosen.secret_file else {
        out.section("First give it the secret:")?;
        let name = args.token_env.as_deref().unwrap_or_default();
        return match service {
            None => out.line(&format!("  set the environment variable {name}")),
            Some(_) => out.line(&format!("  a drop-in with Environment={name}=…, see `rosterd manual install`")),
        };
    };
    let file = command_word(&file.display().to_string());
    let owner = service.map_or(String::new(), |service| format!(" -o {}", service.user.name));
    let install = format!("install{owner} -m 600 /dev/stdin {file}");
    match service {
        None => out.section("First store the secret, for your eyes only:")?,
        Some(_) => out.section("First store the secret, for the service alone:")?,
    }
    if is_here(chosen) {
        match service {
            None => out.line(&format!("  printf sandbox > {file} && chmod 600 {file}"))?,
            Some(_) => out.line(&format!("  printf sandbox | {install}"))?,
        }
        out.line("That is the sandbox's. A real one does not belong into the shell's history: type")?;
    }
    out.line(&format!("  {install}"))?;
    out.line("paste it, and end with Enter and Ctrl-D.")
}

/// How the export gets to where the service can read it.
fn export(out: &mut Out, configuration: &Path, delivery: &Delivery) -> Result<()> {
    let to = configuration.with_file_name(&delivery.name);
    let word = |path: &Path| command_word(&path.display().to_string());
    out.section("The service can't read the export where it is. Bring it where it can:")?;
    out.line(&format!("  install -g {} -m 640 {} {}", service::USER, word(&delivery.from), word(&to)))?;
    out.line("and have it delivered there from now on.")
}

/// The commands that come then.
fn commands(out: &mut Out, path: &Path, chosen: &Chosen, service: Option<&Service>) -> Result<()> {
    out.section("Then:")?;
    let mut commands = Vec::new();
    if is_here(chosen) {
        commands.push(("rosterd sandbox".to_string(), "in another terminal: the simulated target"));
    }
    if service.is_none() {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
        commands.push((format!("export ROSTERD_CONFIG={}", command_word(&path.display().to_string())), ""));
    }
    commands.extend([
        ("rosterd check --connect".into(), "is everything there?"),
        ("rosterd plan".into(), "what would change; writes nothing"),
        ("rosterd sync".into(), "change it"),
    ]);
    if service.is_some() {
        commands.extend([
            (format!("systemctl enable --now {}", service::UNIT), ""),
            ("rosterd status".into(), "from now on: every quarter of an hour, by the schedule"),
        ]);
    }
    for (command, what) in commands {
        let wide = if what.is_empty() { 0 } else { BEHIND };
        out.line(format!("  {command:wide$}  {what}").trim_end())?;
    }
    match service {
        Some(_) => out.line("`rosterd manual install` tells the rest."),
        None if Service::of_this_machine().is_some() => {
            out.line("For the service of this machine, run init as root: it writes where the service looks.")
        }
        None => out.line("To have it done regularly, set schedule in the file and let `rosterd run` go on."),
    }
}

/// A word as a shell takes it.
pub fn command_word(text: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "/._-+".contains(letter);
    if !text.is_empty() && text.chars().all(plain) { text.into() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

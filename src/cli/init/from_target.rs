//! `rosterd init --from-target`: the accounts that a target has, as a CSV to begin from. Nothing is written to the target.

use std::sync::Arc;

use super::ask::Asker;
use super::place::{self, Directory};
use super::{InitArgs, target};
use crate::account::Listing;
use crate::cli::args::Global;
use crate::cli::handover::command_word;
use crate::cli::{read_only, words};
use crate::config::settings::TargetSettings;
use crate::config::{self, Settings};
use crate::domain::account::Account;
use crate::domain::error::{Error, Failure, LocalReason, Result};
use crate::domain::exit::Exit;
use crate::domain::keyset::pages;
use crate::init::accounts;
use crate::terminal::out::Out;

/// How many accounts are in memory at a time.
const PAGE: usize = 500;

/// Lists the target and writes `KIND.csv`, or `NAME.csv` of a target of the configuration.
pub async fn command(global: &Global, args: &InitArgs, asker: Asker) -> Result<Exit> {
    let mut directory = Directory::open(args.out())?;
    let settings = match args.base_url {
        Some(_) => typed(args, &directory, asker)?,
        None => {
            config::load(&global.config, config::environment()).map_err(|errors| config::failure(&errors))?.settings
        }
    };
    let target = chosen(args, &settings)?;
    let name = format!("{}.csv", target.name);
    place::refuse_existing(&args.out().join(&name))?;
    let clients = read_only::look(&settings, [&*target])?.clients;
    let client = clients.of(&target)?;
    if !client.engine().can_list() {
        let message = format!("{} has no way to list its accounts", client.engine().title());
        return Err(Failure::new(Error::Usage, message).help("begin from an export of HR instead: --source FILE|URL"));
    }
    let listed = Listing::of(&client, &[], u64::MAX).await;
    client.rest().await;
    let listing = listed?.ok_or_else(|| Failure::internal("a listing without a bound was bounded"))?;
    let file = directory.unnamed()?;
    let columns = accounts::columns(client.engine().catalogue());
    let told = written(&listing, &columns, file.as_file())?;
    let path = directory.persist(&name, file)?;
    let mut out = Out::stdout();
    let shown = command_word(&path.display().to_string());
    out.line(&format!(
        "{} is written: {}, readable by you alone.",
        path.display(),
        words::count(told.accounts, "account", "accounts")
    ))?;
    if told.keyless > 0 {
        let some = words::count(told.keyless, "account has", "accounts have");
        out.line(&format!("{some} no {}: fill it in, or take the rows out.", columns[0]))?;
    }
    if told.formulas > 0 {
        out.line("Some values begin with = + - or @, and are written as they are. Open the file in a spreadsheet by importing")?;
        out.line("all of its columns as text, or it may carry them out, and drop zeros at the beginning of keys.")?;
    }
    out.line(&format!("A configuration from it:  rosterd init --source {shown} --target {}", target.kind))?;
    Ok(Exit::Ok)
}

/// The configuration that the options make: a target, and nothing else that is used.
fn typed(args: &InitArgs, directory: &Directory, asker: Asker) -> Result<Settings> {
    let chosen = target::choose(args, args.out(), None, asker)?.target;
    let options: Vec<String> = chosen.options.iter().map(|(name, value, _)| format!("{name} = {value}")).collect();
    let base_url = crate::init::write::quoted(&chosen.base_url);
    directory.judged(&format!(
        "[state]\npath = \"state/rosterd.db\"\n[targets.{kind}]\nkind = \"{kind}\"\nbase_url = {base_url}\nauth = {}\n\
         options = {{ {} }}\n",
        chosen.auth,
        options.join(", "),
        kind = chosen.kind,
    ))
}

/// The target that is meant: the one that is named, or the only one.
fn chosen(args: &InitArgs, settings: &Settings) -> Result<Arc<TargetSettings>> {
    let names: Vec<&str> = settings.targets.keys().map(String::as_str).collect();
    let named = args.target.as_ref().map(|name| settings.targets.get(name));
    match (named, settings.targets.values().next()) {
        (Some(Some(target)), _) => Ok(Arc::clone(target)),
        (None, Some(only)) if names.len() == 1 => Ok(Arc::clone(only)),
        (named, _) => {
            let wrong =
                if named.is_some() { "the configuration has no target of this name" } else { "which target is meant?" };
            Err(Failure::new(Error::Usage, wrong)
                .help(format!("--target NAME, of: {}; or --base-url with --target KIND", names.join(", "))))
        }
    }
}

/// What there is to say of what was written.
#[derive(Default)]
struct Written {
    accounts: u64,
    keyless: u64,
    formulas: usize,
}

fn written(listing: &Listing, columns: &[String], file: &std::fs::File) -> Result<Written> {
    let failed =
        |error: csv::Error| Failure::new(Error::Local(LocalReason::Io), "the accounts can't be written").because(error);
    let mut csv = csv::Writer::from_writer(std::io::BufWriter::new(file));
    csv.write_record(columns).map_err(failed)?;
    let mut told = Written::default();
    let id = |account: &Account| account.remote_id.as_str().to_string();
    for page in pages(|after: Option<&String>| listing.page(after.map_or("", String::as_str), PAGE), id) {
        for account in page? {
            let cells = accounts::cells(&account, columns);
            told.accounts += 1;
            told.keyless += u64::from(cells.first().is_some_and(|key| key.trim().is_empty()));
            told.formulas += accounts::formulas(&cells);
            csv.write_record(&cells).map_err(failed)?;
        }
    }
    csv.flush().map_err(|error| failed(error.into()))?;
    Ok(told)
}

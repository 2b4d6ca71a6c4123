//! `rosterd init`: looks at an export, asks for what it can't know, and writes a configuration that passes `check`.
//!
//! What is written is judged before it has its name: by the rules of `check`, by its own mapping tests, and by the reader
//! that `sync` has. Whatever is wrong then is said, and nothing is there.

mod args;
mod ask;
mod from_target;
mod next_steps;
mod place;
mod target;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use url::Url;

pub use self::args::InitArgs;
use self::ask::Asker;
use self::next_steps::Situation;
use self::place::Directory;
use self::target::Chosen;
use super::args::Global;
use super::handover::{Handover, Kind};
use super::service::{self, Service, Typed};
use super::words;
use crate::config::Settings;
use crate::config::settings::SyncSettings;
use crate::domain::catalogue::Catalogue;
use crate::domain::error::{Error, Failure, Result};
use crate::domain::exit::Exit;
use crate::domain::local_time::LocalTime;
use crate::domain::nearest::nearest;
use crate::http::secret::Secret;
use crate::http::settings::AuthSettings;
use crate::init::detect::{self, Told};
use crate::init::guess::{self, KeyBy, Roles};
use crate::init::json;
use crate::init::proposal::{self, Choices, Expect, Lack, Proposal};
use crate::init::status;
use crate::init::table::{Form, Table};
use crate::init::vocabulary::Meaning;
use crate::init::write::{self, Configuration, Place, short};
use crate::mapping::testing;
use crate::os::clock::Clock;
use crate::os::panics::off_thread;
use crate::source::beginning::{self, Beginning};
use crate::source::connect;
use crate::terminal::out::Out;

/// `rosterd init`.
pub async fn command(global: &Global, args: Box<InitArgs>) -> Result<Exit> {
    let asker = Asker::new(args.yes);
    if args.from_target {
        return from_target::command(global, &args, asker).await;
    }
    let (args, service, note) = for_service(*args, Service::of_this_machine(), rustix::process::geteuid().is_root());
    let service = service.as_ref();
    let path = args.out().join(place::NAME);
    place::refuse_existing(&path)?;
    let (place, table) = look(&args, asker).await?;
    let mut roles = guess::roles(&table);
    key(&args, &table, &mut roles, asker)?;
    let mut chosen = target::choose(&args, args.out(), service, asker)?;
    chosen.taken.splice(..0, note);
    let proposal = proposed(&args, &table, &mut roles, chosen.engine.catalogue(), asker)?;
    let whole_names = proposal::whole_names(&table, &roles, &proposal);
    shown(&table, &chosen, &proposal, whole_names)?;
    if !asker.confirmed(&format!("Write {}?", path.display()))? {
        return Err(ask::given_up());
    }
    let mut directory = Directory::open(args.out())?;
    let state = service.map(|_| service::STATE);
    let written = Written { args: &args, table: &table, roles: &roles, chosen: &chosen, state };
    let (mut text, settings) = judged(&written, &directory, &place, proposal.clone())?;
    readable(&settings).await?;
    let delivered = service.and_then(|service| delivered(service, &args, &place));
    if let Some((place, _)) = &delivered {
        (text, _) = judged(&written, &directory, place, proposal)?;
    }
    if let Some(service) = service {
        directory.read_by(service.user.gid);
    }
    let path = directory.publish(place::NAME, text.as_bytes())?;
    let is_elsewhere = |set: std::ffi::OsString| !set.is_empty() && Path::new(&set) != path;
    next_steps::show(&Situation {
        path: &path,
        args: &args,
        chosen: &chosen,
        service: service.map(|service| (service, Typed::here())),
        source: delivered.as_ref().map(|(_, handover)| handover),
        is_diverted: std::env::var_os("ROSTERD_CONFIG").is_some_and(is_elsewhere),
    })
}

/// Where it is written to, the service that it is written for, and what is to be said of that: root's unless said
/// otherwise, where the package is installed, and whoever names the directory of the service.
fn for_service(
    mut args: InitArgs,
    installed: Option<Service>,
    is_root: bool,
) -> (InitArgs, Option<Service>, Option<String>) {
    let mut note = None;
    if let (None, Some(service), true) = (&args.out, &installed, is_root) {
        let directory = service.directory.display();
        note = Some(format!(
            "a service is installed here: it is written for that, into {directory}; elsewhere: --out DIR"
        ));
        args.out = Some(service.directory.clone());
    }
    let service = installed.filter(|service| service.is_in(args.out()));
    (args, service, note)
}

/// The source as the configuration of the service has it, and what has to be done for that, where the service can't read it
/// as it is.
fn delivered(service: &Service, args: &InitArgs, place: &Place) -> Option<(Place, Handover)> {
    match place {
        Place::File(path) => {
            let handover = Handover::needed(service, &args.out().join(path), Kind::Export)?;
            Some((Place::File(handover.name()), handover))
        }
        Place::Url { url, pagination, .. } => {
            let handover = Handover::needed(service, args.source_token_file.as_ref()?, Kind::Secret)?;
            let auth = Some(bearer("file", &handover.name()));
            Some((Place::Url { url: url.clone(), auth, pagination: pagination.clone() }, handover))
        }
    }
}

/// The inline table of `auth` with a bearer token from there.
fn bearer(kind: &str, place: &str) -> String {
    format!("{{ kind = \"bearer\", token = {{ {kind} = {} }} }}", write::quoted(place))
}

/// The export that is meant, and what its beginning holds.
async fn look(args: &InitArgs, asker: Asker) -> Result<(Place, Table)> {
    let source = match &args.source {
        Some(source) => source.clone(),
        None => asker.text(
            "The export of people (a file or an address)",
            None,
            "the export is not given: --source FILE|URL",
        )?,
    };
    if source == "-" {
        return Err(Failure::new(Error::Usage, "standard input can't be looked at before it is read")
            .help("save the export as a file; in the configuration, path = \"-\" is standard input"));
    }
    let told = Told {
        format: args.source_format.map(|format| format.name().to_string()),
        delimiter: args.delimiter,
        encoding: args.encoding.clone(),
    };
    let url = Url::parse(&source).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    let Some(url) = url else {
        let path = PathBuf::from(&source);
        let Beginning { bytes, whole, .. } = off_thread("reading broke off", {
            let path = path.clone();
            move || beginning::of_file(&path)
        })
        .await??;
        let table = detect::table(&bytes, whole, &told)?;
        return Ok((Place::File(place::relative(args.out(), &path)?), table));
    };
    let (auth, written) = source_auth(args)?;
    let Beginning { bytes, whole, linked } = beginning::of_address(&url, &auth).await?;
    let table = detect::table(&bytes, whole, &told)?;
    let found = || match &table.form {
        Form::Json { .. } if !linked => json::next_page(&bytes)
            .map(|pointer| format!("{{ kind = \"next\", pointer = {} }}", write::quoted(&pointer))),
        _ => linked.then(|| "{ kind = \"link\" }".to_string()),
    };
    let pagination = args.pagination.clone().or_else(found);
    Ok((Place::Url { url: source, auth: written, pagination }, table))
}

/// How an address is asked, and the inline table of that.
fn source_auth(args: &InitArgs) -> Result<(AuthSettings, Option<String>)> {
    let (secret, written) = match (&args.source_token_file, &args.source_token_env) {
        (Some(file), _) => (Secret::File(file.clone()), bearer("file", &place::relative(args.out(), file)?)),
        (None, Some(name)) => (Secret::Env(name.clone()), bearer("env", name)),
        (None, None) => return Ok((AuthSettings::None, None)),
    };
    Ok((AuthSettings::Bearer(secret), Some(written)))
}

/// The place of the column with this name.
fn column(table: &Table, name: &str, option: &str) -> Result<usize> {
    if let Some(at) = table.place(name.trim()) {
        return Ok(at);
    }
    let unusable = table.columns.iter().find(|column| column.name == name.trim());
    let names = table.names();
    if let Some(why) = unusable.and_then(|column| column.unusable) {
        return Err(Failure::new(Error::Usage, format!("{option}: column {:?} can't be used: {why}", short(name)))
            .help("have the export mended, or name another column"));
    }
    let listed: Vec<String> = names.iter().take(40).map(|name| short(name)).collect();
    let help = match nearest(name, names.iter().copied()) {
        Some(near) => format!("did you mean {:?}?", short(near)),
        None => format!("its columns are: {}", listed.join("; ")),
    };
    Err(Failure::new(Error::Usage, format!("{option}: the export has no column {:?}", short(name))).help(help))
}

/// The named columns that can't be used, and why, to follow what is missing.
fn unusable(table: &Table) -> String {
    let named = table.columns.iter().filter(|column| !column.name.is_empty());
    let told: Vec<String> =
        named.filter_map(|column| Some(format!("{:?}: {}", short(&column.name), column.unusable?))).take(10).collect();
    if told.is_empty() { String::new() } else { format!("; columns that can't be used: {}", told.join("; ")) }
}

/// Settles which column is the key.
fn key(args: &InitArgs, table: &Table, roles: &mut Roles, asker: Asker) -> Result<()> {
    if let Some(name) = &args.key {
        roles.set_key(column(table, name, "--key")?, KeyBy::Told);
    }
    if roles.key.is_some() {
        return Ok(());
    }
    let names: Vec<String> = table.names().into_iter().map(str::to_owned).collect();
    let question = "Which column names a person for good, such as an employee number?";
    let missing = format!(
        "no column is known to name a person for good, such as an employee number: --key COLUMN{}",
        unusable(table)
    );
    let chosen = asker.choice(question, &names, false, &missing)?;
    roles.set_key(column(table, &names[chosen], "--key")?, KeyBy::Told);
    Ok(())
}

/// Proposes the mapping; what it lacks is asked for.
fn proposed(
    args: &InitArgs,
    table: &Table,
    roles: &mut Roles,
    catalogue: &Catalogue,
    asker: Asker,
) -> Result<Proposal> {
    let active = who_works_here(args, table, roles, asker)?;
    let mut choices = Choices { include: args.include.clone(), active, map: Vec::new() };
    for (field, name) in &args.map {
        known_field(catalogue, field)?;
        let at = if name.is_empty() { None } else { Some(column(table, name, &format!("--map {field}"))?) };
        choices.map.retain(|(chosen, _)| chosen != field);
        choices.map.push((field.clone(), at));
    }
    loop {
        let fields = match proposal::propose(table, roles, catalogue, &choices) {
            Ok(proposal) => return Ok(proposal),
            Err(Lack::Key) => return Err(Failure::internal("the key is lacking once it was chosen")),
            Err(Lack::Fields(fields)) => fields,
        };
        let names: Vec<String> = table.names().into_iter().map(str::to_owned).collect();
        for field in fields {
            let question = format!("Which column is {field}? The target creates no account without it.");
            let missing = format!(
                "the target creates no account without {field}, and no column is known for it: --map {field}=COLUMN{}",
                unusable(table)
            );
            let chosen = asker.choice(&question, &names, false, &missing)?;
            choices.map.retain(|(known, _)| *known != field);
            choices.map.push((field, Some(column(table, &names[chosen], "the answer")?)));
        }
    }
}

/// The values of the status of people who work here, where somebody can be asked what they mean.
fn who_works_here(args: &InitArgs, table: &Table, roles: &Roles, asker: Asker) -> Result<Option<Vec<String>>> {
    if args.include.is_some() || !asker.can_ask() {
        return Ok(None);
    }
    let column = roles.get(Meaning::Status).map(|at| &table.columns[at]).filter(|column| column.is_text);
    let Some(statuses) = column.and_then(status::of).filter(|statuses| !statuses.unknown.is_empty()) else {
        return Ok(None);
    };
    let values = statuses.all();
    let named: Vec<String> =
        values.iter().map(|value| if value.is_empty() { "(empty)".into() } else { value.clone() }).collect();
    let question = format!(
        "Which values of {} are of people who work for you?",
        short(column.map_or("", |column| column.name.as_str()))
    );
    let here = statuses.active.len() + statuses.unknown.len();
    let chosen = asker.several(&question, &named, here)?;
    Ok(Some(chosen.into_iter().map(|at| values[at].clone()).collect()))
}

fn known_field(catalogue: &Catalogue, field: &str) -> Result<()> {
    if let Some(why) = catalogue.field(field).and_then(|known| known.writable.as_ref().err()) {
        return Err(Failure::new(Error::Usage, format!("--map: the field {field} can't be written: {why}"))
            .help("take it out of --map"));
    }
    if catalogue.admits(field) {
        return Ok(());
    }
    Err(Failure::new(Error::Usage, format!("--map: the target has no field {field:?}")).help(catalogue.hint(field)))
}

/// Says what was found out.
fn shown(table: &Table, chosen: &Chosen, proposal: &Proposal, whole_names: Option<usize>) -> Result<()> {
    let mut out = Out::stdout();
    let style = out.style;
    let form = match &table.form {
        Form::Text { delimiter, encoding, encoding_is_a_guess } => {
            let delimiter = match delimiter {
                b'\t' => "tabs".to_string(),
                other => format!("{:?}", char::from(*other)),
            };
            let guess = if *encoding_is_a_guess { " (a guess)" } else { "" };
            format!("columns separated by {delimiter}, {encoding}{guess}")
        }
        Form::Json { .. } => "a JSON document".into(),
        Form::Ndjson => "a JSON record a line".into(),
    };
    let more = if table.whole { "" } else { "more than " };
    let rows = words::count(table.rows as u64, "row", "rows");
    let columns = words::count(table.columns.len() as u64, "column", "columns");
    let name = |at: usize| short(&table.columns[at].name);
    out.line(&format!("{}  {more}{rows}, {columns}; {form}", style.strong("export ")))?;
    out.line(&format!("{}  {}", style.strong("key    "), name(proposal.key.0)))?;
    match &proposal.include.cel {
        Some(cel) => out.line(&format!("{}  {cel}", style.strong("include")))?,
        None => out.line(&format!("{}  everybody", style.strong("include")))?,
    }
    for (n, rule) in proposal.rules.iter().enumerate() {
        let head = if n == 0 { style.strong("map    ") } else { "       ".into() };
        out.line(&format!("{head}  {} <- {}", rule.field, name(rule.from.column())))?;
    }
    if !proposal.unused.is_empty() {
        let names: Vec<String> = proposal
            .unused
            .iter()
            .filter(|at| !table.columns[**at].name.is_empty())
            .take(20)
            .map(|at| name(*at))
            .collect();
        out.line(&format!("{}  {}", style.strong("unused "), names.join("; ")))?;
    }
    let key_warning = match proposal.key.1 {
        KeyBy::Address => Some(
            "the key is the address, since no column of numbers is there: whose address changes is another person then; \
             better --key COLUMN",
        ),
        KeyBy::Values => Some("that this is the key is a guess from its values: they are all there, and all different"),
        KeyBy::Told | KeyBy::Name => None,
    };
    let key_warning = key_warning.map(str::to_owned);
    let repeated = (table.columns[proposal.key.0].repeated() > 0)
        .then(|| "some rows have the same key: who is in several that differ is left alone".to_string());
    let nameless = nameless(proposal, whole_names.map(name));
    for warning in
        key_warning.iter().chain(&repeated).chain(&nameless).chain(&proposal.include.warnings).chain(&chosen.taken)
    {
        ask::prose(&mut out, &style.warn("note:"), warning)?;
    }
    out.line("")
}

/// That nobody will have a name on the target, and what to do about it. `whole`: a column of names that are not taken apart.
fn nameless(proposal: &Proposal, whole: Option<String>) -> Option<String> {
    let first = proposal.nameless.first()?;
    let fields = proposal.nameless.join(" and ");
    Some(match whole {
        Some(whole) => format!(
            "{whole} holds whole names, which can't be taken apart for certain: accounts are made without {fields}; the \
             file that is written says how to have them"
        ),
        None => format!(
            "no column of names is known: accounts are made without {fields}; if one holds them: --map {first}=COLUMN"
        ),
    })
}

/// What a configuration is written from, besides the place of the export and the proposal.
struct Written<'a> {
    args: &'a InitArgs,
    table: &'a Table,
    roles: &'a Roles,
    chosen: &'a Chosen,
    /// The state of the service that it is for.
    state: Option<&'a str>,
}

/// The text of the configuration, judged: it is right, and its tests pass.
fn judged(
    &Written { args, table, roles, chosen, state: service_state }: &Written<'_>,
    directory: &Directory,
    place: &Place,
    mut proposal: Proposal,
) -> Result<(String, Settings)> {
    let whole_names = proposal::whole_names(table, roles, &proposal);
    let text_of = |proposal: &Proposal| {
        let (sync, target) = (args.sync.as_str(), &chosen.target);
        write::text(&Configuration { sync, place, table, target, proposal, whole_names, service_state })
    };
    let text = text_of(&proposal);
    let settings = directory.judged(&text)?;
    let failed = failed_tests(&settings);
    if failed.is_empty() {
        return Ok((text, settings));
    }
    // Whom an expression of the operator's own includes is known from the expression alone.
    if args.include.is_none() {
        return Err(Failure::internal(format!("a mapping test of the proposal fails: {}", failed.join(", "))));
    }
    for test in &mut proposal.tests {
        if failed.iter().any(|name| name == test.name) {
            test.name = "somebody whom `include` leaves out";
            test.expect = Expect::Excluded;
        }
    }
    let text = text_of(&proposal);
    let settings = directory.judged(&text)?;
    let failed = failed_tests(&settings);
    proposal.tests.retain(|test| !failed.iter().any(|name| name == test.name));
    let text = text_of(&proposal);
    let settings = directory.judged(&text)?;
    Ok((text, settings))
}

/// The names of the tests that fail.
fn failed_tests(settings: &Settings) -> Vec<String> {
    let time = |sync: &SyncSettings| LocalTime::new(Clock::system().now(), sync.timezone);
    let failed = settings.syncs.values().flat_map(|sync| {
        let fails =
            |test: &&testing::TestSettings| testing::run(&sync.mapping, &sync.source.key, test, time(sync)).is_err();
        sync.tests.iter().filter(fails).map(|test| test.name.clone()).collect::<Vec<_>>()
    });
    failed.collect()
}

/// Whether the reader that `sync` has can read the beginning of the source.
async fn readable(settings: &Settings) -> Result<()> {
    for source in settings.sources.values() {
        let of_source = settings.syncs.values().filter(|sync| sync.source.name == source.name);
        let wanted = of_source.flat_map(|sync| sync.mapping.columns().iter().cloned()).collect();
        let mut connector = connect(&Arc::clone(source));
        off_thread("reading broke off", move || connector.check(&wanted)).await?.map_err(|failure| {
            let pages = failure.message.contains("pagination");
            match &failure.help {
                Some(_) => failure,
                None if pages => failure.help("say it as an option: --pagination '{ kind = …, … }'"),
                None => failure.help("nothing was written; have the export mended, then run init again"),
            }
        })?;
    }
    Ok(())
}

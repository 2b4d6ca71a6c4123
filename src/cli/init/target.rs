//! The target of a configuration that is being made: its kind, address, secret and options, told, asked for, or those of the
//! sandbox.

use std::path::{Path, PathBuf};

use serde_json::Value;
use url::Url;

use super::ask::Asker;
use super::{InitArgs, place};
use crate::api::Engine;
use crate::cli::handover::{Handover, Kind};
use crate::cli::service::Service;
use crate::domain::address;
use crate::domain::error::{Error, Failure, Result};
use crate::domain::nearest::nearest;
use crate::init::write::{Target, key, quoted};

/// Where `rosterd sandbox` listens unless told otherwise.
const SANDBOX: &str = "http://127.0.0.1:8480";

/// A kind that the sandbox simulates.
struct Simulated {
    kind: &'static str,
    path: &'static str,
    /// The options that fit it.
    options: &'static [(&'static str, &'static str)],
}

/// The kinds that the sandbox simulates.
const SIMULATED: [Simulated; 4] = [
    Simulated { kind: "juno", path: "/juno/api", options: &[] },
    Simulated { kind: "juicebox", path: "/juicebox", options: &[("client", "1")] },
    Simulated { kind: "longjump", path: "/longjump", options: &[("team_id", "1"), ("access_profile_id", "3")] },
    Simulated { kind: "scim", path: "/scim/v2", options: &[] },
];

/// Who logs in at the sandbox.
const SANDBOX_USER: &str = "admin";

/// A target, as chosen.
pub struct Chosen {
    /// What is written of it.
    pub target: Target,
    /// Its definition, with the options.
    pub engine: Engine,
    /// Where the secret is expected, as the operator names it; none: in the environment.
    pub secret_file: Option<PathBuf>,
    /// What has to be done so that the service can read that file.
    pub handover: Option<Handover>,
    /// What was taken without being told.
    pub taken: Vec<String>,
}

/// Chooses the target. `out`: where the configuration will stand; `service`: the one that it is for.
///
/// # Errors
/// 64: something is missing and nobody can be asked, or is impossible.
pub fn choose(args: &InitArgs, out: &Path, service: Option<&Service>, asker: Asker) -> Result<Chosen> {
    let kind = kind(args, asker)?;
    let simulated = SIMULATED.iter().find(|simulated| simulated.kind == kind);
    let mut taken = Vec::new();
    let default = simulated.map(|simulated| format!("{SANDBOX}{}", simulated.path));
    let base_url = match (&args.base_url, default) {
        (Some(url), _) => url.clone(),
        (None, Some(default)) if args.yes => {
            taken.push(format!("no --base-url is given: it is the sandbox on this machine, {default}"));
            default
        }
        (None, default) => {
            let question =
                format!("The address of {kind}{}", if default.is_some() { " (Enter: the sandbox)" } else { "" });
            let missing = format!("where {kind} is, is not given: --base-url URL");
            asker.text(&question, default.as_deref(), &missing)?
        }
    };
    let url = Url::parse(&base_url).ok().filter(|url| url.has_host());
    let url = url.ok_or_else(|| {
        Failure::new(Error::Usage, format!("--base-url {:?} is not an address", address::typed(&base_url)))
            .help("write it whole, e.g. https://acme.example.com/api")
    })?;
    let is_here = url.scheme() == "http" && address::is_private(&url);
    let simulated = simulated.filter(|_| is_here).map_or(&[][..], |simulated| simulated.options);
    let options = options(&kind, args, simulated, asker, &mut taken)?;
    let table = options.iter().map(|(name, value, _)| format!("{} = {value}\n", key(name))).collect::<String>();
    let table: toml::Table = table.parse().map_err(|_| Failure::internal("the options are no TOML"))?;
    let engine = Engine::builtin(&kind, &table).map_err(|errors| {
        let told: Vec<String> = errors.iter().map(ToString::to_string).collect();
        Failure::new(Error::Usage, told.join("; ")).help(format!("see rosterd targets show {kind}"))
    })?;
    let (secret, secret_file, handover) = secret(args, &kind, out, service)?;
    let auth = auth(&engine, args, is_here, &secret, asker, &mut taken)?;
    let is_sandbox = args.base_url.is_none() && base_url.starts_with(SANDBOX);
    let target = Target { title: engine.title().into(), kind, base_url, is_sandbox, auth, options };
    Ok(Chosen { target, engine, secret_file, handover, taken })
}

/// The kind.
fn kind(args: &InitArgs, asker: Asker) -> Result<String> {
    let kinds = Engine::builtin_kinds();
    let listed = kinds.join(", ");
    match &args.target {
        Some(kind) if kinds.contains(&kind.as_str()) => Ok(kind.clone()),
        Some(kind) => {
            let near = nearest(kind, kinds.iter().copied()).map(|near| format!("did you mean {near}? "));
            Err(Failure::new(Error::Usage, format!("there is no built-in target kind {kind:?}"))
                .help(format!("{}the kinds are: {listed}", near.unwrap_or_default())))
        }
        None => {
            let choices: Vec<String> = kinds.iter().map(ToString::to_string).collect();
            let missing = format!("the target is not given: --target KIND, one of {listed}");
            Ok(choices[asker.choice("Which platform is the target?", &choices, false, &missing)?].clone())
        }
    }
}

/// The options that are set: name, value as TOML, and what it is.
fn options(
    kind: &str,
    args: &InitArgs,
    simulated: &[(&str, &str)],
    asker: Asker,
    taken: &mut Vec<String>,
) -> Result<Vec<(String, String, String)>> {
    let takes = Engine::builtin_takes(kind).ok_or_else(|| Failure::internal("a built-in kind can't be read"))?;
    let known = takes.options["properties"].as_object().cloned().unwrap_or_default();
    let needed: Vec<&str> =
        takes.options["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let mut options = Vec::new();
    for (name, _) in &args.option {
        if !known.contains_key(name) {
            let names: Vec<&str> = known.keys().map(String::as_str).collect();
            return Err(Failure::new(Error::Usage, format!("a target of kind {kind} has no option {name:?}")).help(
                if names.is_empty() { "it takes none".into() } else { format!("it takes {}", names.join(", ")) },
            ));
        }
    }
    for (name, schema) in &known {
        let help = schema["description"].as_str().unwrap_or_default().to_string();
        let told = args.option.iter().rev().find(|(told, _)| told == name).map(|(_, value)| value.clone());
        let stand_in = simulated.iter().find(|(option, _)| option == name).map(|(_, value)| value.to_string());
        let is_needed = needed.contains(&name.as_str()) || backs_a_required_field(kind, name);
        // A column may give what the option would.
        let is_mapped = args.map.iter().any(|(field, _)| option_of(kind, field).as_deref() == Some(name));
        let value = match (told, stand_in) {
            (Some(told), _) => told,
            (None, _) if is_mapped || !is_needed => continue,
            (None, Some(stand_in)) if args.yes => {
                taken.push(format!("no --option {name}=… is given: it is {stand_in}, as in the sandbox"));
                stand_in
            }
            (None, stand_in) => {
                let missing = format!("what {kind} needs is not given: --option {name}=…, {help}");
                asker.text(&format!("{name}, {help}"), stand_in.as_deref(), &missing)?
            }
        };
        options.push((name.clone(), as_toml(name, &value, schema)?, help));
    }
    Ok(options)
}

/// A value as the option's type has it.
fn as_toml(name: &str, value: &str, schema: &Value) -> Result<String> {
    let wrong = |what: &str| Err(Failure::new(Error::Usage, format!("the option {name} must be {what}")));
    match schema["type"].as_str() {
        Some("integer") if value.parse::<i64>().is_err() => wrong("a whole number"),
        Some("boolean") if !matches!(value, "true" | "false") => wrong("true or false"),
        Some("integer" | "boolean") => Ok(value.to_string()),
        _ => Ok(quoted(value)),
    }
}

/// The definition's fields.
fn fields(kind: &str) -> toml::Table {
    let definition: Option<toml::Table> = Engine::builtin_text(kind).and_then(|text| text.parse().ok());
    let fields = definition.as_ref().and_then(|d| d.get("resources")?.get("users")?.get("fields")?.as_table().cloned());
    fields.unwrap_or_default()
}

/// The option that gives a field where no column does.
fn option_of(kind: &str, field: &str) -> Option<String> {
    Some(fields(kind).get(field)?.get("option")?.as_str()?.to_string())
}

/// Whether no account is made without this option, or a column for its field.
fn backs_a_required_field(kind: &str, option: &str) -> bool {
    fields(kind).values().any(|field| {
        field.get("option").and_then(toml::Value::as_str) == Some(option)
            && field.get("required").and_then(toml::Value::as_bool) == Some(true)
    })
}

/// The secret as TOML, the file that it is in, and what has to be done so that the service can read that.
fn secret(
    args: &InitArgs,
    kind: &str,
    out: &Path,
    service: Option<&Service>,
) -> Result<(String, Option<PathBuf>, Option<Handover>)> {
    if let Some(name) = &args.token_env {
        if name.is_empty() || name.contains(['=', '\0']) {
            return Err(Failure::new(Error::Usage, "--token-env needs the name of an environment variable"));
        }
        return Ok((format!("{{ env = {} }}", quoted(name)), None, None));
    }
    let named = args.token_file.clone().unwrap_or_else(|| out.join(format!("{kind}.token")));
    let handover = service.and_then(|service| Handover::needed(service, &named, Kind::Secret));
    let file = handover.as_ref().map_or(named, |handover| handover.to.clone());
    let written = place::relative(out, &file)?;
    Ok((format!("{{ file = {} }}", quoted(&written)), Some(file), handover))
}

/// The inline table of `auth`: the first kind that the API takes.
fn auth(
    engine: &Engine,
    args: &InitArgs,
    is_here: bool,
    secret: &str,
    asker: Asker,
    taken: &mut Vec<String>,
) -> Result<String> {
    let scheme = engine.auth_kinds().first().map_or("bearer", String::as_str);
    if !matches!(scheme, "session" | "basic") {
        return Ok(match scheme {
            "none" => "{ kind = \"none\" }".into(),
            "header" => format!("{{ kind = \"header\", name = \"X-Api-Key\", value = {secret} }}"),
            _ => format!("{{ kind = {}, token = {secret} }}", quoted(scheme)),
        });
    }
    let username = match &args.username {
        Some(name) => name.clone(),
        None if is_here && args.yes => {
            taken.push(format!("no --username is given: it is {SANDBOX_USER}, as in the sandbox"));
            SANDBOX_USER.into()
        }
        None => {
            let default = is_here.then_some(SANDBOX_USER);
            asker.text("Who logs in there (user name)", default, "who logs in there is not given: --username NAME")?
        }
    };
    Ok(format!("{{ kind = {}, username = {}, password = {secret} }}", quoted(scheme), quoted(&username)))
}

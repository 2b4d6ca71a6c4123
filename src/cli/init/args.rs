//! What can be typed after `rosterd init`.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

const EXAMPLES: &str = "\
Examples:
  rosterd init                                      asks for what it needs
  rosterd init --source hr.csv --target juno --yes  for the sandbox here
  rosterd init --source hr.csv --target scim --token-env SCIM_TOKEN \\
    --base-url https://acme.example.com/scim/v2 --key 'Employee #'
  rosterd init --from-target --target juno --token-file juno.token \\
    --base-url https://acme.junolive.com/api        its accounts, as a CSV

Nothing is overwritten: where there is a rosterd.toml it ends with 64.
Nothing is sent to the target.";

/// `init`.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct InitArgs {
    /// The export: a CSV or JSON file, or an address
    #[arg(long, value_name = "FILE|URL")]
    pub source: Option<String>,
    /// How it is written, where the file does not tell
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub source_format: Option<SourceFormat>,
    /// What separates the columns: one character, or "tab"
    #[arg(long, value_name = "CHARACTER", value_parser = delimiter)]
    pub delimiter: Option<u8>,
    /// Its encoding, e.g. windows-1252
    #[arg(long, value_name = "NAME")]
    pub encoding: Option<String>,
    /// The file that holds the bearer token of an address
    #[arg(long, value_name = "FILE", conflicts_with = "source_token_env")]
    pub source_token_file: Option<PathBuf>,
    /// The environment variable that holds the bearer token of an address
    #[arg(long, value_name = "NAME")]
    pub source_token_env: Option<String>,
    /// How one page of an address leads to the next, as the configuration has it, e.g. '{ kind = "page", param = "page" }'
    #[arg(long, value_name = "TOML", value_parser = inline_table)]
    pub pagination: Option<String>,
    /// The target's kind, of those that `rosterd targets` lists; with --from-target also a target of the configuration
    #[arg(long, value_name = "KIND")]
    pub target: Option<String>,
    /// Where the target is; with --yes the sandbox on this machine unless said
    #[arg(long, value_name = "URL")]
    pub base_url: Option<String>,
    /// The file that holds its secret
    #[arg(long, value_name = "FILE", conflicts_with = "token_env")]
    pub token_file: Option<PathBuf>,
    /// The environment variable that holds its secret
    #[arg(long, value_name = "NAME")]
    pub token_env: Option<String>,
    /// The user who logs in, where the target wants one
    #[arg(long, value_name = "NAME")]
    pub username: Option<String>,
    /// What the target's kind takes, e.g. client=7; may be given several times
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    pub option: Vec<(String, String)>,
    /// The column that names a person for good
    #[arg(long, value_name = "COLUMN")]
    pub key: Option<String>,
    /// The column for a field of the target; without a column the field is left out. May be given several times
    #[arg(long, value_name = "FIELD=COLUMN", value_parser = pair)]
    pub map: Vec<(String, String)>,
    /// Who belongs on the target: an expression over the columns, e.g. 'status == "active"'
    #[arg(long, value_name = "CEL")]
    pub include: Option<String>,
    /// The name of the sync
    #[arg(long, value_name = "NAME", default_value = "staff", value_parser = name)]
    pub sync: String,
    /// The directory to write to; made where it is missing. Unless said the one here, or, for root, that of the service
    /// where the package is installed
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Ask nothing, and take every default
    #[arg(long, short)]
    pub yes: bool,
    /// Write the accounts that the target has into KIND.csv instead: an export to begin from
    ///
    /// The target is that of --target, --base-url and --token-…, or, without --base-url, one of the configuration.
    #[arg(long, conflicts_with_all = ["source", "source_format", "delimiter", "encoding", "key", "map", "include", "pagination"])]
    pub from_target: bool,
}

impl InitArgs {
    /// The directory to write to.
    pub fn out(&self) -> &Path {
        self.out.as_deref().unwrap_or(Path::new("."))
    }
}

/// How an export is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SourceFormat {
    /// Delimited text with a header
    Csv,
    /// One JSON document
    Json,
    /// A JSON record a line
    Ndjson,
}

impl SourceFormat {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            SourceFormat::Csv => "csv",
            SourceFormat::Json => "json",
            SourceFormat::Ndjson => "ndjson",
        }
    }
}

/// A name, as the configuration has them.
fn name(text: &str) -> Result<String, String> {
    let is_rest = |letter: char| matches!(letter, 'a'..='z' | '0'..='9' | '_' | '-');
    match text.starts_with(|letter: char| letter.is_ascii_lowercase()) && text.chars().all(is_rest) {
        true => Ok(text.into()),
        false => Err("a name begins with a small letter, and holds small letters, digits, _ and -".into()),
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    // A SCIM field has = in no name; a column may.
    match text.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => Ok((name.trim().into(), value.trim().into())),
        _ => Err("write NAME=VALUE".into()),
    }
}

/// A table on one line, and nothing else.
fn inline_table(text: &str) -> Result<String, String> {
    let table = format!("it = {text}").parse::<toml::Table>();
    match table.as_ref().map(|table| (table.len(), table.get("it"))) {
        Ok((1, Some(toml::Value::Table(_)))) if !text.contains(['\n', '\r']) => Ok(text.to_string()),
        _ => Err("write a table on one line, e.g. { kind = \"page\", param = \"page\" }".into()),
    }
}

fn delimiter(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        [b'"' | b'\r' | b'\n'] => Err("this can't separate columns".into()),
        [byte] if byte.is_ascii() => Ok(*byte),
        _ if text == "tab" || text == "\\t" => Ok(b'\t'),
        _ => Err("write one character, e.g. ';', or tab".into()),
    }
}

//! The text of a configuration: TOML with comments, in which no name of a column can be anything but a name.

use std::fmt::Write;

use super::guess::KeyBy;
use super::include::{Remark, literal, spelled};
use super::proposal::{Expect, Origin, Proposal, Test};
use super::samples::Cell;
use super::table::{Form, Table};
use super::vocabulary::{Meaning, meaning};
use crate::domain::visible::visible;

/// How wide a comment is, in characters.
const WIDE: usize = 100;

/// How much of a column's name a comment shows, in characters.
const NAME: usize = 60;

/// Where the people come from.
#[derive(Clone, Debug)]
pub enum Place {
    /// A file, relative to the configuration.
    File(String),
    /// An address.
    Url {
        /// It.
        url: String,
        /// The inline table of `auth`.
        auth: Option<String>,
        /// The inline table of `pagination`, where the first answer says how to go on.
        pagination: Option<String>,
    },
}

/// The target, as it is configured.
#[derive(Clone, Debug)]
pub struct Target {
    /// The kind, and the name.
    pub kind: String,
    /// How messages call it.
    pub title: String,
    /// Where it is.
    pub base_url: String,
    /// That is the sandbox, since nothing else was said.
    pub is_sandbox: bool,
    /// The inline table of `auth`.
    pub auth: String,
    /// Name, value as TOML, and what it is, of each option that is set.
    pub options: Vec<(String, String, String)>,
}

/// Everything that a configuration says.
pub struct Configuration<'a> {
    /// The name of the sync.
    pub sync: &'a str,
    /// Where the people come from.
    pub place: &'a Place,
    /// What was seen there.
    pub table: &'a Table,
    /// The target.
    pub target: &'a Target,
    /// The mapping.
    pub proposal: &'a Proposal,
    /// A column of whole names that is not taken apart.
    pub whole_names: Option<usize>,
    /// The state of the service that it is for, if it is for one: its schedule is then in force.
    pub service_state: Option<&'a str>,
}

/// A text as TOML: literal where that reads better, basic otherwise.
pub fn quoted(text: &str) -> String {
    let plain = text.chars().all(|letter| !letter.is_control());
    if plain && text.contains(['"', '\\']) && !text.contains('\'') {
        return format!("'{text}'");
    }
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for letter in text.chars() {
        match letter {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            // Writing to a string does not fail.
            _ if letter.is_control() => drop(write!(quoted, "\\u{:04X}", u32::from(letter))),
            _ => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}

/// A key as TOML.
pub fn key(name: &str) -> String {
    let bare = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    if bare { name.to_string() } else { quoted(name) }
}

/// A name as a comment, or a line on the screen, shows it.
pub fn short(name: &str) -> String {
    let name = visible(name);
    match name.char_indices().nth(NAME) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => name.into_owned(),
    }
}

/// Text as lines of a comment.
fn comment(out: &mut String, text: &str) {
    let text = visible(text);
    let mut line = String::new();
    for word in text.split(' ') {
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > WIDE {
            out.push_str(&format!("# {line}\n"));
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    out.push_str(&format!("# {line}\n"));
}

/// A setting, with a remark behind it where there is room, else above.
fn setting(out: &mut String, text: &str, remark: &str) {
    let width = text.chars().count();
    if remark.is_empty() {
        out.push_str(&format!("{text}\n"));
    } else if width.max(31) + 3 + remark.chars().count() <= WIDE {
        out.push_str(&format!("{text}{:1$} # {remark}\n", "", 31_usize.saturating_sub(width)));
    } else {
        comment(out, remark);
        out.push_str(&format!("{text}\n"));
    }
}

/// The text of a configuration.
pub fn text(configuration: &Configuration<'_>) -> String {
    let mut out = String::new();
    comment(
        &mut out,
        "Written by `rosterd init` from the beginning of the export. Read it once; everything may be changed.",
    );
    comment(
        &mut out,
        "Judge it with `rosterd check`, try the mapping with `rosterd test`, see what it would do with `rosterd plan`.",
    );
    out.push_str("\n[state]\n");
    let state = configuration.service_state.unwrap_or("state/rosterd.db");
    setting(&mut out, &format!("path = {}", quoted(state)), "what the target confirmed; made on first use");
    source(&mut out, configuration);
    target(&mut out, configuration.target);
    sync(&mut out, configuration);
    map(&mut out, configuration);
    for test in &configuration.proposal.tests {
        mapping_test(&mut out, configuration, test);
    }
    out
}

fn source(out: &mut String, c: &Configuration<'_>) {
    out.push_str("\n[sources.hr]\n");
    match (c.place, &c.table.form) {
        (Place::File(path), form) => {
            let kind = if matches!(form, Form::Text { .. }) { "csv" } else { "file" };
            out.push_str(&format!("kind = \"{kind}\"\n"));
            let remark = if path.starts_with('/') { "" } else { "relative to this file" };
            setting(out, &format!("path = {}", quoted(path)), remark);
            if kind == "file" {
                out.push_str(&format!("format = \"{}\"\n", form.name()));
            }
        }
        (Place::Url { url, .. }, form) => {
            out.push_str(&format!("kind = \"http\"\nurl = {}\nformat = \"{}\"\n", quoted(url), form.name()));
        }
    }
    let (at, by) = c.proposal.key;
    let column = &c.table.columns[at];
    let seen =
        if c.table.whole { format!("all {} rows", c.table.rows) } else { format!("the first {} rows", c.table.rows) };
    let remark = match by {
        _ if column.repeated() > 0 => "names a person for good; careful: some rows have the same one".to_string(),
        KeyBy::Address => "careful: an address may change, and its owner is then somebody else; better a number".into(),
        _ if column.filled_count() < column.cells.len() => {
            "names a person for good; careful: it is empty in some rows, which are rejected".into()
        }
        _ => format!("names a person for good; different in {seen}"),
    };
    setting(out, &format!("key = {}", quoted(&column.name)), &remark);
    match &c.table.form {
        Form::Text { delimiter, encoding, encoding_is_a_guess } => {
            let delimiter = char::from(*delimiter).to_string();
            setting(out, &format!("delimiter = {}", quoted(&delimiter)), "");
            let remark = "a guess, since the file does not tell: look at names with accents in `rosterd plan`";
            setting(out, &format!("encoding = {}", quoted(encoding)), if *encoding_is_a_guess { remark } else { "" });
        }
        Form::Json { records } => {
            setting(out, &format!("records = {}", quoted(records)), "where the list of records is")
        }
        Form::Ndjson => {}
    }
    if let Place::Url { auth: Some(auth), .. } = c.place {
        setting(out, &format!("auth = {auth}"), "");
    }
    if let Place::Url { pagination: Some(pagination), .. } = c.place {
        setting(out, &format!("pagination = {pagination}"), "how one page leads to the next");
    }
    comment(
        out,
        "An export with far fewer people than the last ones, or with many rows that can't be used, changes nothing: see \
         max_shrink, max_rejected, min_records and max_age in the reference.",
    );
}

fn target(out: &mut String, target: &Target) {
    out.push_str(&format!("\n[targets.{}]\n", target.kind));
    out.push_str(&format!("kind = {}\n", quoted(&target.kind)));
    if target.is_sandbox {
        comment(
            out,
            &format!(
                "This is the sandbox, simulated {} on this machine: start it with `rosterd sandbox`. When all is well, write the \
             real address here, store the real secret, and give state.path another name.",
                target.title
            ),
        );
    }
    out.push_str(&format!("base_url = {}\n", quoted(&target.base_url)));
    setting(out, &format!("auth = {}", target.auth), "");
    if !target.options.is_empty() {
        for (name, _, help) in &target.options {
            comment(out, &format!("{name}: {help}"));
        }
        let options: Vec<String> =
            target.options.iter().map(|(name, value, _)| format!("{} = {value}", key(name))).collect();
        out.push_str(&format!("options = {{ {} }}\n", options.join(", ")));
    }
    setting(out, "rate = \"10/s\"", "a ceiling on all requests to it");
}

fn sync(out: &mut String, c: &Configuration<'_>) {
    let target = &c.target.kind;
    out.push_str(&format!("\n[syncs.{}]\nsource = \"hr\"\ntarget = {}\n", c.sync, quoted(target)));
    comment(
        out,
        "Who belongs there: an expression (CEL) over the columns. Everybody else counts as having left. Whoever has left, \
        and everybody who is missing from the export, is banned there as a leaver: never more than `limits` allow, 10 people \
        or 5 % in a run, whichever is more, unless you approve it.",
    );
    for remark in &c.proposal.include.comments {
        match remark {
            Remark::Text(text) => comment(out, text),
            // Whatever is quoted there, the line stays one.
            Remark::Code(code) => out.push_str(&format!("#     {}\n", visible(code))),
        }
    }
    match &c.proposal.include.cel {
        Some(cel) => out.push_str(&format!("include = {}\n", quoted(cel))),
        None => comment(out, "include = …   is left out: everybody in the export is included."),
    }
    let list = |fields: &[String]| fields.iter().map(|field| quoted(field)).collect::<Vec<_>>().join(", ");
    setting(
        out,
        &format!("match = [{}]", list(&c.proposal.recognised_by)),
        "an account that exists already is recognised by it, not made twice",
    );
    if !c.proposal.label.is_empty() {
        setting(out, &format!("label = [{}]", list(&c.proposal.label)), "by which plans name people");
    }
    let schedule = "schedule = \"0 */15 * * * *\"";
    match c.service_state {
        Some(_) => setting(out, schedule, "every quarter of an hour (seconds first), while the service runs"),
        None => setting(out, &format!("# {schedule}"), "for `rosterd run`: every quarter of an hour, seconds first"),
    }
    setting(out, "# timezone = \"Europe/Zurich\"", "of the schedule and of `today`; UTC unless said");
}

fn map(out: &mut String, c: &Configuration<'_>) {
    out.push_str(&format!("\n[syncs.{}.map]\n", c.sync));
    comment(
        out,
        &format!("Field of the target = column of the export. All fields: `rosterd targets show {}`.", c.target.kind),
    );
    for rule in &c.proposal.rules {
        let column = &c.table.columns[rule.from.column()].name;
        let name = spelled(column);
        let cel = match rule.from {
            Origin::Column(_) => None,
            Origin::Address(_) => Some(format!("{name}.trim().lowerAscii()")),
            Origin::Trimmed(_) => Some(format!("{name}.trim()")),
            Origin::BeforeComma(_) => Some(format!("{name}.split(\",\")[0].trim()")),
            Origin::BehindComma(_) => {
                Some(format!("{name}.contains(\",\") ? {name}.split(\",\")[1].trim() : {}", literal("")))
            }
        };
        let value = cel.map_or_else(|| quoted(column), |cel| format!("{{ cel = {} }}", quoted(&cel)));
        out.push_str(&format!("{} = {value}\n", key(&rule.field)));
    }
    if let Some(at) = c.whole_names {
        let name = short(&c.table.columns[at].name);
        comment(
            out,
            &format!(
                "Column {name} holds whole names, and where a family name begins can't be told for certain. If yours have two words: \
             {{ cel = 'NAME.split(\" \")[0]' }} and {{ cel = 'NAME.split(\" \")[1]' }}, with the column for NAME."
            ),
        );
    } else if let Some(first) = c.proposal.nameless.first() {
        comment(
            out,
            &format!(
                "No column of names is known: accounts are made without {}. Where the export gets one: {} = \"COLUMN\".",
                c.proposal.nameless.join(" and "),
                key(first)
            ),
        );
    }
    unused(out, c);
}

/// The columns that nothing uses.
fn unused(out: &mut String, c: &Configuration<'_>) {
    let unused = &c.proposal.unused;
    if unused.is_empty() {
        return;
    }
    let name = |at: &usize| match c.table.columns[*at].name.as_str() {
        "" => format!("(column {})", at + 1),
        name => short(name),
    };
    let shown: Vec<String> = unused.iter().take(LISTED).map(name).collect();
    let more = unused.len().saturating_sub(LISTED);
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    comment(out, &format!("Columns that nothing uses: {}{more}.", shown.join("; ")));
    let is_sensitive = |at: &usize| matches!(meaning(&c.table.columns[*at].name), Some((Meaning::Sensitive, _)));
    if unused.iter().any(is_sensitive) {
        let told = "Some of them look like what a platform does not need (birth, pay, bank, sex): better leave them out of \
                    the export.";
        comment(out, told);
    }
}

/// How many unused columns are listed.
const LISTED: usize = 60;

fn mapping_test(out: &mut String, c: &Configuration<'_>, test: &Test) {
    let cell = |(at, cell): &(usize, Cell)| {
        let value = match cell {
            Cell::Text(text) => quoted(text),
            Cell::Truth(truth) => truth.to_string(),
        };
        format!("{} = {value}", key(&c.table.columns[*at].name))
    };
    let record: Vec<String> = test.record.iter().map(cell).collect();
    out.push_str(&format!("\n[[syncs.{}.tests]]\nname = {}\n", c.sync, quoted(test.name)));
    out.push_str(&format!("record = {{ {} }}\n", record.join(", ")));
    match &test.expect {
        Expect::Fields(fields) => {
            let fields: Vec<String> =
                fields.iter().map(|(field, value)| format!("{} = {}", key(field), quoted(value))).collect();
            out.push_str(&format!("expect = {{ {} }}\n", fields.join(", ")));
        }
        Expect::Excluded => out.push_str("excluded = true\n"),
        Expect::Rejected(part) => out.push_str(&format!("rejected = {}\n", quoted(part))),
    }
}

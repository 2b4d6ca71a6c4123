//! Why a file is not TOML, in words for people who meet TOML for the first time: what stands there, and what to write.
//!
//! The parser knows the place and names the rule; which habit led there is seen in the line. Nothing that may be a
//! secret is shown: see [`is_shown`].

use std::ops::Range;

use super::locate::line_of;

/// What is wrong with a file that is not TOML.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Explained {
    /// The line, counted from 1.
    pub line: Option<usize>,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub help: String,
}

/// The longest text of a line that is shown, in characters.
const SHOWN: usize = 60;

/// The most characters of a name that is shown as one.
const NAME: usize = 40;

/// Words of a line that may stand beside a secret.
const BESIDE_SECRETS: [&str; 11] =
    ["token", "password", "passphrase", "secret", "auth", "value", "webhook", "url", "proxy", "private", "begin"];

/// An error of the parser, explained: `message` is the parser's, `span` its place in `text`, in bytes.
pub(super) fn explain(text: &str, message: &str, span: Option<&Range<usize>>) -> Explained {
    let at = span.map_or(0, |span| span.start.min(text.len()));
    let line = Line::around(text, at);
    if line.number == 1 && text.trim_start().starts_with('{') {
        let help = "a section begins with its name, [sources.hr], and below it stand lines of name = value";
        return line.says("this looks like JSON, and a configuration is TOML", help);
    }
    let known = message.lines().next().unwrap_or_default().split(", expected").next().unwrap_or_default();
    match known {
        "duplicate key" => line.twice(),
        "string values must be quoted" | "invalid value" | "missing value for key" | "missing value" => line.unquoted(),
        "invalid boolean" => {
            line.says("true and false are written in small letters", &format!("write {} = true or false", line.named()))
        }
        "key with no value" | "unquoted keys cannot be empty" | "invalid unquoted key" => line.no_value(),
        "unclosed table" | "unclosed array table" => line.says(
            "the name of this section is not closed: a `]` is missing",
            &format!("write {}", line.section().unwrap_or_else(|| "[sources.hr]".into())),
        ),
        "missing comma between array elements" | "unclosed array" => line.list(),
        "missing comma between key-value pairs" | "unclosed inline table" => line.braces(),
        "unexpected key or value" | "unexpected content" => line.trailing(),
        _ if known.contains("basic string") || known.contains("literal string") => line.unclosed(),
        _ if known.contains("unicode") || known.contains("escape") => line.backslash(),
        "unexpected leading zero" | "redundant numeric sign" | "redundant integer number prefix" => line
            .says("a number is written without a 0 or a + before it", &format!("write {} = 7, not 07", line.named())),
        _ if known.starts_with("cannot extend value") => {
            let help = "put the keys below it into a section or a { … } of its own, or quote the dotted name";
            line.says(&format!("{} has a value already, so no key can stand below it", line.quoted_name()), help)
        }
        "" => line.says("this is not TOML", GENERAL),
        other => line.says(&format!("this is not TOML: {}", other.trim_end_matches('.')), GENERAL),
    }
}

/// What a file of settings consists of.
const GENERAL: &str = r#"a line is name = value, with text in quotes: path = "hr.csv"; a section begins with [name]"#;

/// The line where the parser stopped.
struct Line<'t> {
    text: &'t str,
    /// Counted from 1.
    number: usize,
    /// Where it begins in the text, in bytes.
    begin: usize,
    line: &'t str,
    /// Where in the line the parser stopped, in bytes.
    at: usize,
}

impl<'t> Line<'t> {
    fn around(text: &'t str, at: usize) -> Line<'t> {
        let begin = text[..at].rfind('\n').map_or(0, |end| end + 1);
        let end = text[at..].find('\n').map_or(text.len(), |length| at + length);
        Line { text, number: line_of(text, at), begin, line: text[begin..end].trim_end_matches('\r'), at: at - begin }
    }

    fn says(&self, message: &str, help: &str) -> Explained {
        Explained { line: Some(self.number), message: message.to_owned(), help: help.to_owned() }
    }

    /// The name before the equals sign, where there is a plain one; names are no secrets.
    fn name(&self) -> Option<&'t str> {
        let name = self.line.split_once('=').map_or(self.line, |(name, _)| name).trim();
        let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_.\"".contains(letter);
        (self.line.contains('=') && !name.is_empty() && name.len() <= NAME && name.chars().all(plain)).then_some(name)
    }

    fn named(&self) -> &'t str {
        self.name().unwrap_or("name")
    }

    fn quoted_name(&self) -> String {
        self.name().map_or_else(|| "this".into(), |name| format!("`{}`", name.split('.').next().unwrap_or(name)))
    }

    /// What stands after the equals sign, without a comment, if it may be shown.
    fn value(&self) -> Option<&'t str> {
        let (_, value) = self.line.split_once('=')?;
        let value = value.split(" #").next().unwrap_or(value).trim();
        (self.name().is_some() && is_shown(self.text, self.begin, self.line)).then_some(value)
    }

    /// The section that this line opens, as it would be closed.
    fn section(&self) -> Option<String> {
        let name = self.line.trim().trim_matches(['[', ']', ' ']);
        let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_.\"".contains(letter);
        let brackets = if self.line.trim_start().starts_with("[[") { ("[[", "]]") } else { ("[", "]") };
        (!name.is_empty() && name.chars().all(plain)).then(|| format!("{}{name}{}", brackets.0, brackets.1))
    }

    /// A name or a section that is there already.
    fn twice(&self) -> Explained {
        let trimmed = self.line.trim();
        let before = || self.text[..self.begin].lines().enumerate();
        if trimmed.starts_with('[') {
            let Some(section) = self.section() else { return self.says("this section is there already", KEEP_ONE) };
            let first = before().find(|(_, line)| line.split('#').next().unwrap_or(line).trim() == section);
            if let Some((first, _)) = first {
                let message = format!("{section} is there already, in line {}", first + 1);
                return self
                    .says(&message, "put what belongs together into one section, or give the second another name");
            }
            let message = format!("{section} can't be opened here: the name is in use for something else above");
            let help = match section.starts_with("[[") {
                true => "sections of sources, targets and syncs have names: write [sources.NAME], in single brackets",
                false => "a name is either a value, a section [name], or a list [[name]]",
            };
            return self.says(&message, help);
        }
        let Some(name) = self.name() else { return self.says("a name stands here a second time", KEEP_ONE) };
        let same = |line: &str| line.split_once('=').is_some_and(|(key, _)| key.trim() == name);
        let first =
            before().take_while(|_| true).filter(|(_, line)| same(line) || line.trim_start().starts_with('[')).last();
        match first {
            Some((first, line)) if same(line) => {
                self.says(&format!("`{name}` stands here a second time; the first is in line {}", first + 1), KEEP_ONE)
            }
            _ => self.says(&format!("`{name}` stands here a second time"), KEEP_ONE),
        }
    }

    /// A value that is neither quoted nor a number, a list, a table.
    fn unquoted(&self) -> Explained {
        let name = self.named();
        let raw = self.line[self.line.find('=').map_or(0, |at| at + 1)..].trim();
        if raw.is_empty() || raw.starts_with('#') {
            return self.says(&format!("nothing stands after `{name} =`"), &format!("write a value: {name} = \"…\""));
        }
        if raw.starts_with(['“', '”', '‘', '’', '„', '«', '`']) {
            let help = format!("type them anew: {name} = \"…\"");
            return self.says("these are quotes as word processors make them; TOML wants straight ones", &help);
        }
        if ["True", "False", "TRUE", "FALSE", "yes", "no", "on", "off"].contains(&raw) {
            return self.says("yes and no are written true and false", &format!("write {name} = true or false"));
        }
        let plain = |value: &&str| !value.contains(['"', '\'', '\\']) && value.chars().count() <= SHOWN;
        match self.value().filter(plain) {
            Some(value) if self.name().is_some() => self.says(
                &format!("the text after `{name} =` has no quotes around it"),
                &format!("write {name} = \"{value}\""),
            ),
            _ => self.says(
                "a text stands here without quotes around it",
                &format!("write {name} = \"…\"; only numbers, true and false stand without quotes"),
            ),
        }
    }

    /// A name without an equals sign and a value.
    fn no_value(&self) -> Explained {
        let trimmed = self.line.trim();
        let plain = |name: &&str| {
            let allowed = |letter: char| letter.is_ascii_alphanumeric() || "-_. ".contains(letter);
            !name.is_empty() && name.len() <= NAME && name.chars().all(allowed)
        };
        let colon = trimmed.split_once(':').map(|(name, _)| name.trim()).filter(plain);
        if let Some(name) = colon.filter(|name| !name.contains(' ')) {
            let message = format!("`{name}:` is YAML; TOML writes name = value");
            return self.says(&message, &format!("write {name} = \"…\", or [{name}] where it begins a section"));
        }
        if let Some((name, _)) = trimmed.split_once('=') {
            let name = name.trim();
            return match Some(name).filter(plain) {
                Some(name) if name.contains(' ') => {
                    let message = format!("the name `{name}` has a space in it, so it needs quotes");
                    self.says(&message, &format!("write \"{name}\" = …"))
                }
                _ => self.says(
                    "the name before the equals sign has a character that a name can't have",
                    "names are letters, digits, - and _; put any other name into quotes: \"Work Email\" = …",
                ),
            };
        }
        let first = trimmed.split_whitespace().next().filter(plain);
        let message = match first {
            Some(name) => format!("after `{name}` an equals sign and a value are missing"),
            None => "a line is name = value, and here is no equals sign".into(),
        };
        self.says(&message, &format!("write {} = \"…\"", first.unwrap_or("name")))
    }

    /// A list that is not closed, or lacks a comma.
    fn list(&self) -> Explained {
        let help = "write [\"email\", \"phone\"]: a comma between two entries, and ] at the end";
        // The parser stops at the next line when the bracket is missing.
        let opened = |line: &str| {
            line.split_once('=').is_some_and(|(_, value)| value.trim_start().starts_with('[') && !value.contains(']'))
        };
        let above = self.text[..self.begin].lines().enumerate().filter(|(_, line)| opened(line)).last();
        let here = self.line[self.at.min(self.line.len())..].trim_start().starts_with(['"', '\'']);
        match above {
            Some((number, line)) if !opened(self.line) && !here => {
                let name = line.split_once('=').map_or("list", |(name, _)| name).trim();
                let message = format!("the list `{name}` is not closed: a `]` is missing");
                Explained { line: Some(number + 1), message, help: help.into() }
            }
            _ => self.says("in a list, a comma is missing between two entries, or the `]` at the end", help),
        }
    }

    /// A table in braces that is not closed, or lacks a comma.
    fn braces(&self) -> Explained {
        self.says(
            "in { … }, a comma is missing between two settings, or the `}` at the end",
            r#"write { kind = "bearer", token = { file = "juno.token" } }: a comma between two, and one } for each {"#,
        )
    }

    /// Something that follows a value in its line.
    fn trailing(&self) -> Explained {
        let rest = self.line[self.at.min(self.line.len())..].trim_start();
        let raw = self.line[self.line.find('=').map_or(0, |at| at + 1)..].trim_start();
        let name = self.named();
        if rest.starts_with("//") || rest.starts_with(';') || rest.starts_with("--") {
            return self
                .says("a comment begins with #, and nothing else can follow a value", "write # before the comment");
        }
        if rest.starts_with([',', '}', ']']) {
            let help = "take it out; commas belong into lists and { … } alone";
            return self.says(&format!("`{}` follows the value", &rest[..1]), help);
        }
        if raw.starts_with('\'') {
            let help = format!(r#"use double quotes inside single ones: {name} = 'status == "active"'"#);
            return self.says("the text ends at the second single quote, and something follows", &help);
        }
        if raw.starts_with('"') {
            let help = format!(r#"put the whole into single quotes: {name} = 'status == "active"'"#);
            return self.says("the text ends at the second double quote, and something follows", &help);
        }
        if raw.starts_with(|letter: char| letter.is_ascii_digit()) {
            let help = format!("put the whole into quotes: {name} = \"10/s\"");
            return self.says("something follows the number", &help);
        }
        self.says("something follows the value, and one line is one setting", "put it on a line of its own")
    }

    /// A text without its second quote.
    fn unclosed(&self) -> Explained {
        let opening = self.line.find('=').and_then(|at| self.line[at + 1..].trim_start().chars().next());
        let quote = if opening == Some('\'') { '\'' } else { '"' };
        let kind = if quote == '\'' { "single" } else { "double" };
        let message = format!("a text in {kind} quotes is not closed before the line ends");
        let help = format!(
            "put a {quote} at its end; a text of several lines stands between {quote}{quote}{quote} and {quote}{quote}{quote}"
        );
        self.says(&message, &help)
    }

    /// A backslash in double quotes.
    fn backslash(&self) -> Explained {
        let fits = |value: &&str| value.starts_with('"') && value.len() > 1 && value.ends_with('"');
        let inner = self.value().filter(fits).map(|value| &value[1..value.len() - 1]);
        let plain = inner.filter(|inner| !inner.contains(['"', '\'']) && inner.chars().count() <= SHOWN);
        let example = plain.unwrap_or(r"C:\exports\hr.csv");
        let help = format!("use single quotes, where a backslash is a backslash: {} = '{example}'", self.named());
        self.says("in double quotes, a backslash begins an escape such as \\n or \\\\, and this is none", &help)
    }
}

const KEEP_ONE: &str = "keep one of the two";

/// Whether a line may be shown: neither it nor the section around it speaks of what can be a secret.
fn is_shown(text: &str, begin: usize, line: &str) -> bool {
    let section = text[..begin].lines().rev().find(|line| line.trim_start().starts_with('[')).unwrap_or_default();
    let harmless = |line: &str| {
        let line = line.to_lowercase();
        !BESIDE_SECRETS.iter().any(|word| line.contains(word))
    };
    harmless(section) && harmless(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said of a text: the line, and message and help in one.
    fn said(text: &str) -> (usize, String) {
        let error = toml_edit::Document::parse(text.to_owned()).err().map(|e| (e.message().to_owned(), e.span()));
        let error =
            error.or_else(|| toml::from_str::<toml::Table>(text).err().map(|e| (e.message().to_owned(), e.span())));
        let (message, span) = error.unwrap_or_else(|| panic!("this is TOML: {text}"));
        let Explained { line, message, help } = explain(text, &message, span.as_ref());
        (line.unwrap_or_default(), format!("{message} / {help}"))
    }

    #[test]
    fn each_habit_is_recognised_and_has_its_remedy() {
        let rows: [(&str, usize, &[&str]); 29] = [
            ("kind = csv", 1, &["no quotes", r#"kind = "csv""#]),
            ("rate = 10/s", 1, &["quotes", r#"rate = "10"#]),
            ("leave_grace = 7d", 1, &["quotes", r#"leave_grace = "7d""#]),
            ("a = 1\npath =", 2, &["nothing stands after `path =`"]),
            ("path = “hr.csv”", 1, &["straight", r#"path = "…""#]),
            ("bans_first = True", 1, &["bans_first = true or false"]),
            ("show_values = yes", 1, &["show_values = true or false"]),
            (r#"path = "C:\users\hr.csv""#, 1, &["backslash", r"path = 'C:\users\hr.csv'"]),
            (r#"path = "C:\data\hr.csv""#, 1, &["backslash", r"path = 'C:\data\hr.csv'"]),
            ("[syncs.staff\na = 1", 1, &["`]` is missing", "write [syncs.staff]"]),
            ("a = {\n k = 1\n t = 2\n}", 3, &["comma", "{ kind = "]),
            ("a = { k = 1", 1, &["`}`"]),
            ("include = 'status == 'active''", 1, &["second single quote", r#"'status == "active"'"#]),
            (r#"include = "status == "active"""#, 1, &["second double quote", r#"'status == "active"'"#]),
            ("[a]\nkey = \"x\"\nk = 1\nkey = \"y\"", 4, &["`key` stands here a second time", "line 2", "keep one"]),
            ("[a.b]\nx = 1\n[c]\nx = 1\n[a.b]\ny = 1", 5, &["[a.b] is there already", "line 1"]),
            ("[sources.hr]\nk = 1\n[[sources]]\nname = 1", 3, &["[[sources]] can't be opened", "[sources.NAME]"]),
            ("path = \"hr.csv\nx = 1", 1, &["double quotes", "not closed"]),
            ("path = 'hr.csv\nx = 1", 1, &["single quotes", "not closed"]),
            ("match = [\"email\"\nx = 1", 1, &["`match` is not closed", "`]`"]),
            ("match = [\"email\" \"phone\"]", 1, &["comma is missing"]),
            ("path: \"hr.csv\"", 1, &["YAML", "path = \"…\""]),
            ("state:\n  path: s.db", 1, &["YAML", "[state]"]),
            ("path \"hr.csv\"", 1, &["equals sign", "write path = "]),
            ("Work Email = \"email\"", 1, &["space", "\"Work Email\" = "]),
            ("{\"state\": {}}", 1, &["JSON"]),
            ("path = \"hr.csv\" // the file", 1, &["comment begins with #"]),
            ("max_flaps = 03", 1, &["max_flaps = 7, not 07"]),
            ("a = \"x\"\na.city = \"y\"", 2, &["`a` has a value already"]),
        ];
        for (text, line, parts) in rows {
            let (at, said) = said(text);
            assert_eq!(at, line, "{text}: {said}");
            for part in parts {
                assert!(said.contains(part), "{text}: {part:?} is not in: {said}");
            }
        }
    }

    #[test]
    fn nothing_that_may_be_a_secret_is_shown() {
        for text in [
            "token = hunter2",
            "password = \"hunter2",
            "auth = { kind = \"bearer\", token = hunter2 }",
            "[targets.juno.auth]\nkind = hunter2",
            "client_secret = \"hunter2\\q\"",
            "url = https://hooks/hunter2",
            "token = 'hunter2' hunter2",
            "token: hunter2",
            "hunter2 + / hunter2",
            "a = [hunter2, hunter2",
            "text = \"\"\"\nhunter2\\q\n\"\"\"",
        ] {
            let (_, said) = said(text);
            // A line without a sign of what it is begins with something; only a first word that could be a name is shown.
            let shown = said.replace("after `hunter2`", "").replace("write hunter2 =", "");
            assert!(!shown.contains("hunter2"), "{text}: {said}");
        }
    }
}

//! How a key is written: an example for each key of the configuration whose value people get wrong, shown where a value
//! of another type stands there.

use super::locate::KeyPath;

/// Values by the name of their key.
const EXAMPLES: [(&str, &str); 28] = [
    ("auth", "{ kind = \"bearer\", token = { file = \"api.token\" } }"),
    ("bans_first", "true"),
    ("burst", "1"),
    ("command", "[\"/usr/local/bin/page\", \"ops\"]"),
    ("concurrency", "8"),
    ("daily_quota", "5000"),
    ("hosts", "[\"rosterd.example.com\"]"),
    ("include", "'status == \"active\"'"),
    ("label", "[\"first_name\", \"last_name\"]"),
    ("leave_grace", "\"7d\""),
    ("listen", "\"127.0.0.1:9464\""),
    ("match", "[\"email\"]"),
    ("max_age", "\"26h\""),
    ("max_page", "\"64MB\""),
    ("max_rejected", "\"5%\""),
    ("max_shrink", "\"20%\""),
    ("members", "[\"first\", \"second\"]"),
    ("min_records", "100"),
    ("options", "{ page_size = 50 }"),
    ("pagination", "{ kind = \"link\" }"),
    ("protect", "[\"E1\", \"ceo@acme.com\"]"),
    ("rate", "\"10/s\""),
    ("release_on_ban", "[\"email\"]"),
    ("required", "[\"email\", \"status\"]"),
    ("retry", "{ attempts = 5 }"),
    ("schedule", "\"0 30 3 * * *\""),
    ("timeout", "\"30s\""),
    ("webhook", "{ url = \"https://…\" }"),
];

/// What to write at this key, where something of another type stands; `wanted` is what the reader of it expected.
pub(super) fn of(path: &KeyPath, wanted: &str) -> Option<String> {
    let segments: Vec<&str> = path.0.iter().map(String::as_str).collect();
    let key = *segments.iter().rev().find(|segment| segment.parse::<usize>().is_err())?;
    let remedy = match segments.as_slice() {
        ["syncs", _, "map", field] => {
            let field = KeyPath::of([field]);
            return Some(format!("write {field} = \"COLUMN\"; a constant is written {field} = {{ value = … }}"));
        }
        ["syncs", name, "tests"] => return Some(format!("write [[syncs.{name}.tests]], in double brackets")),
        ["syncs", _, "limits", "hold"] => "\"plan\" or hold = \"bans\"",
        ["syncs", _, "limits", _] => "20, or \"5%\"",
        [section @ ("sources" | "targets" | "syncs")] => {
            return Some(format!("write [{section}.NAME], and the keys of it below"));
        }
        [section @ ("state" | "server" | "notify")] => return Some(format!("write [{section}], and its keys below")),
        [section @ ("sources" | "targets" | "syncs"), name] => return Some(format!("write [{section}.{name}]")),
        _ => EXAMPLES.iter().find(|(name, _)| *name == key).map_or("", |(_, example)| *example),
    };
    if !remedy.is_empty() {
        return Some(format!("write {key} = {remedy}"));
    }
    let plain = wanted.trim_matches('`');
    let form = match plain {
        "a string" | "string" | "path string" => "\"…\", in quotes",
        "a boolean" => "true or false, without quotes",
        "u8" | "u16" | "u32" | "u64" | "usize" | "i64" => "7, a whole number without quotes",
        "a sequence" => "[\"…\", \"…\"]",
        _ => return None,
    };
    Some(format!("write {key} = {form}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_example_is_toml() {
        for (key, example) in EXAMPLES {
            let line = format!("{key} = {example}");
            assert!(toml::from_str::<toml::Table>(&line).is_ok(), "{line}");
        }
        assert!(EXAMPLES.is_sorted_by_key(|(key, _)| *key), "in order, so that none is there twice");
    }

    #[test]
    fn the_place_decides_what_is_written() {
        for (path, wanted, part) in [
            (&["syncs", "staff", "match"][..], "a sequence", r#"match = ["email"]"#),
            (&["syncs", "staff", "include"], "a string", r#"include = 'status == "active"'"#),
            (&["syncs", "staff", "map", "title"], "the name of a column", "title = \"COLUMN\""),
            (&["syncs", "staff", "tests"], "a sequence", "[[syncs.staff.tests]]"),
            (&["syncs", "staff", "protect", "0"], "a string", "protect = [\"E1\""),
            (&["sources"], "a map", "[sources.NAME]"),
            (&["server", "show_values"], "a boolean", "show_values = true or false"),
            (&["sources", "hr", "path"], "path string", "path = \"…\""),
        ] {
            let help = of(&KeyPath::of(path), wanted).unwrap_or_default();
            assert!(help.contains(part), "{path:?}: {help}");
        }
    }
}

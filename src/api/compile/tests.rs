//! Mistakes in definitions: all at once, each with its key, its line and a remedy.

use super::*;
use proptest::prelude::*;

const GOOD: &str = r#"format = 1
kind = "acme"
title = "Acme"

[auth]
kinds = ["bearer"]

[account]
id = "/id"
key_field = "number"

[state]
field = "active"
active = true
banned = false

[operations.create]
method = "POST"
path = "/users"

[operations.update]
method = "PATCH"
path = "/users/{id}"

[operations.get]
method = "GET"
path = "/users/{id}"

[operations.list]
method = "GET"
path = "/users"
paging = { style = "page", param = "page", size = 50 }

[[failures]]
status = [409]
means = "duplicate"

[fields.number]
type = "text"

[fields.active]
type = "boolean"
read_only = "it is access"
"#;

fn errors(text: &str) -> Vec<DefinitionError> {
    compile(text, &toml::Table::new()).err().unwrap_or_default()
}

#[test]
fn a_small_definition_is_enough() {
    let engine = compile(GOOD, &toml::Table::new()).expect("a definition");
    assert_eq!((engine.kind(), engine.page_size(), engine.auth_kinds().len()), ("acme", 50, 1));
}

#[test]
fn one_mistake_is_found_where_it_stands() {
    // What is replaced, by what, the key and line of the error, and a part of its message or help.
    let cases = [
        ("format = 1", "format = 2", "format", 1, "reads format 1"),
        ("format = 1", "format = ", "", 1, "not valid TOML"),
        ("kinds = [\"bearer\"]", "kinds = [\"baerer\"]", "auth.kinds", 6, "did you mean `bearer`?"),
        ("kinds = [\"bearer\"]", "kinds = []", "auth.kinds", 6, "names no kind"),
        ("id = \"/id\"", "id = \"id\"", "account.id", 9, "write \"/id\""),
        ("key_field = \"number\"", "key_field = \"numbr\"", "account.key_field", 10, "did you mean `number`?"),
        ("key_field =", "keyfield =", "account.keyfield", 10, "did you mean `key_field`?"),
        ("banned = false", "banned = \"True\"", "state", 12, "two different values"),
        ("method = \"POST\"", "method = \"post\"", "operations.create.method", 18, "none of GET, POST"),
        (
            "path = \"/users\"\n\n[operations.update]",
            "path = \"/users/{id}\"\n\n[operations.update]",
            "operations.create.path",
            19,
            "nothing is known to put for {id}",
        ),
        (
            "method = \"PATCH\"\npath = \"/users/{id}\"",
            "method = \"PATCH\"\npath = \"/users/..\"",
            "operations.update.path",
            23,
            ".. segments",
        ),
        (
            "method = \"PATCH\"\npath = \"/users/{id}\"",
            "method = \"PATCH\"\npath = \"/users\"",
            "operations.update.path",
            23,
            "where {id}",
        ),
        ("[operations.create]", "[operations.crate]", "operations.crate", 17, "did you mean `create`?"),
        ("style = \"page\"", "style = \"pages\"", "operations.list.paging.style", 32, "did you mean `page`?"),
        ("style = \"page\"", "stile = \"page\"", "operations.list.paging.stile", 32, "did you mean `style`?"),
        ("style = \"page\"", "style = 1", "operations.list.paging.style", 32, "is wanted here, not a number"),
        ("size = 50", "size = 0", "operations.list.paging", 32, "size, of at least 1"),
        ("status = [409]\n", "", "failures.0", 34, "fits every answer"),
        ("means = \"duplicate\"", "means = \"duplicated\"", "failures.0.means", 36, "did you mean `duplicate`?"),
        (
            "[fields.number]\ntype = \"text\"",
            "[fields.number]\ntype = \"txt\"",
            "fields.number.type",
            39,
            "did you mean `text`?",
        ),
        (
            "[fields.number]\ntype = \"text\"",
            "[fields.number]\ntype = \"text\"\nrequird = true",
            "fields.number.requird",
            40,
            "did you mean `required`?",
        ),
        (
            "[fields.number]\ntype = \"text\"",
            "[fields.number]\ntype = \"text\"\nrange = [0, 1]",
            "fields.number.range",
            40,
            "only numbers",
        ),
        (
            "[fields.number]\ntype = \"text\"",
            "[fields.number]\ntype = \"text\"\nallowed = [1]",
            "fields.number.allowed",
            40,
            "is not text",
        ),
        (
            "[fields.number]\ntype = \"text\"",
            "[fields.number]\ntype = \"text\"\nsame_as = \"x\"",
            "fields.number.same_as",
            40,
            "no field x",
        ),
        (
            "[fields.number]",
            "[fields.\"a.*.b\"]\ntype = \"text\"\n[fields.number]",
            "fields.\"a.*.b\"",
            38,
            "a pattern is NAME.*",
        ),
        (
            "[[failures]]",
            "[lists.dimensions]\nid = \"id\"\nvalue = \"value\"\n[[failures]]",
            "lists.dimensions",
            34,
            "no field dimensions.*",
        ),
        ("[[failures]]", "[opertions.x]\n[[failures]]", "opertions", 34, "did you mean `operations`?"),
    ];
    for (from, to, key, line, expected) in cases {
        assert!(GOOD.contains(from), "{from}");
        let found = errors(&GOOD.replacen(from, to, 1));
        let hit = found
            .iter()
            .find(|e| e.key == key && format!("{} {:?}", e.message, e.help).replace('\\', "").contains(expected));
        let hit = hit.unwrap_or_else(|| panic!("{to}: {found:#?}"));
        // A table that exists only through its children has no line of its own.
        assert!(hit.line == Some(line) || key == "opertions", "{to}: {hit:?}");
    }
}

#[test]
fn mistakes_are_reported_together_in_the_order_of_lines() {
    let text = GOOD
        .replace("kinds = [\"bearer\"]", "kinds = [\"x\"]")
        .replace("method = \"PATCH\"", "method = \"PUSH\"")
        .replace("type = \"text\"", "type = \"txt\"")
        .replace("id = \"/id\"", "id = \"id\"");
    let keys: Vec<String> = errors(&text).into_iter().map(|error| error.key).collect();
    assert_eq!(keys, ["auth.kinds", "account.id", "operations.update.method", "fields.number.type"]);
}

#[test]
fn several_mistakes_in_one_entry_are_told_together_and_what_follows_from_them_is_not() {
    let text = GOOD.replace(
        "[fields.number]\ntype = \"text\"",
        "[fields.number]\ntype = \"txt\"\nrequired = \"yes\"\nuniqe = true\nrange = [1]",
    );
    let found = errors(&text);
    let told: Vec<(&str, Option<usize>)> = found.iter().map(|error| (error.key.as_str(), error.line)).collect();
    let expected = [("type", 39), ("required", 40), ("uniqe", 41), ("range", 42)];
    assert_eq!(
        told,
        expected
            .map(|(key, line)| (format!("fields.number.{key}"), Some(line)))
            .iter()
            .map(|(k, l)| (k.as_str(), *l))
            .collect::<Vec<_>>()
    );
    assert_eq!(found[1].message, "true or false is wanted here, not text");
    assert_eq!(found[2].help.as_deref(), Some("did you mean `unique`?"));
    // A key that must be there, and isn't.
    let found = errors(&GOOD.replace("[fields.number]\ntype = \"text\"", "[fields.number]"));
    assert_eq!((found.len(), found[0].message.as_str()), (1, "type is missing"));
}

#[test]
fn each_style_of_paging_needs_its_keys_and_no_others() {
    for (paging, wrong) in [
        ("style = \"link\"", None),
        ("style = \"link\", size_param = \"n\", size = 10", None),
        ("style = \"next\", pointer = \"/next\"", None),
        ("style = \"cursor\", param = \"after\", pointer = \"/next\"", None),
        ("style = \"header\", header = \"X-Next\"", None),
        ("style = \"none\"", None),
        ("style = \"next\"", Some("belong together")),
        ("style = \"link\", pointer = \"/next\"", Some("belong together")),
        ("style = \"link\", header = \"X-Next\"", Some("belong together")),
        ("style = \"cursor\", pointer = \"/next\"", Some("needs param")),
        ("style = \"cursor\", param = \"a\", pointer = \"next\"", Some("JSON pointer")),
        ("style = \"page\", size = 10", Some("needs param")),
        ("style = \"offset\", param = \"o\"", Some("needs size")),
        ("style = \"link\", size_param = \"n\"", Some("needs size")),
    ] {
        let found = errors(&GOOD.replace("style = \"page\", param = \"page\", size = 50", paging));
        let told = found.iter().map(|error| error.message.as_str()).collect::<Vec<_>>().join("; ");
        match wrong {
            None => assert!(found.is_empty(), "{paging}: {told}"),
            Some(wrong) => assert!(found.len() == 1 && told.contains(wrong), "{paging}: {told}"),
        }
    }
}

#[test]
fn proofs_are_judged_like_everything_else() {
    let good = "[[proofs]]\npath = \"/clubs/1\"\nproves = \"club 1\"\n";
    assert_eq!(errors(&format!("{GOOD}\n{good}")), []);
    for (from, to, key, said) in [
        ("path = \"/clubs/1\"", "path = \"clubs\"", "proofs.0.path", "must begin with /"),
        ("path = \"/clubs/1\"", "path = \"/clubs/{options.club}\"", "proofs.0.path", "nothing is known to put for"),
        ("path", "pth", "proofs.0.pth", "did you mean `path`?"),
        (
            "proves = \"club 1\"",
            "proves = \"x\"\nfield = \"numbr\"\nid = \"/id\"",
            "proofs.0.field",
            "did you mean `number`?",
        ),
        ("proves = \"club 1\"", "proves = \"x\"\nfield = \"number\"", "proofs.0.id", "belong together"),
        ("proves = \"club 1\"", "proves = \"x\"\nfield = \"number\"\nid = \"id\"", "proofs.0.id", "write \"/id\""),
    ] {
        let found = errors(&format!("{GOOD}\n{}", good.replacen(from, to, 1)));
        let hit = found
            .iter()
            .find(|e| e.key == key && format!("{} {:?}", e.message, e.help).replace('\\', "").contains(said));
        assert!(hit.is_some_and(|hit| hit.line.is_some()), "{to}: {found:?}");
    }
}

/// What `check` would accept and what would send nonsense: each with its key and what to do.
#[test]
fn what_is_written_has_no_position_and_a_place_of_its_own() {
    let field = |text: &str| GOOD.replace("[fields.number]", &format!("{text}\n[fields.number]"));
    let envelope = |text: &str| GOOD.replace("[operations.create]", &format!("[request]\n{text}\n[operations.create]"));
    let invite = |writes: &str| {
        let invite = format!("[operations.invite]\nmethod = \"POST\"\npath = \"/i\"\nwrites = {writes}\n[[failures]]");
        GOOD.replace("[[failures]]", &invite)
    };
    let constants =
        |text: &str| GOOD.replace("path = \"/users\"\n\n", &format!("path = \"/users\"\nconstants = {text}\n\n"));
    let rows = [
        (field("[fields.mail]\ntype = \"text\"\nat = \"/emails/0/value\""), "fields.mail.at", "type = \"list\""),
        (field("[fields.mail]\ntype = \"text\"\nat = \"/emails/-\""), "fields.mail.at", "by position"),
        (field("[fields.\"emails.0.value\"]\ntype = \"text\""), "fields.\"emails.0.value\"", "by position"),
        (
            GOOD.replace("type = \"boolean\"", "type = \"boolean\"\nat = \"/states/0\""),
            "fields.active.at",
            "by position",
        ),
        (envelope("envelope = \"/users/0\""), "request.envelope", "by position"),
        (constants("{ \"/tags/0\" = 1 }"), "operations.create.constants", "by position"),
        (constants("{ \"\" = 1 }"), "operations.create.constants", "the whole account"),
        (invite("{ number = \"/people/0/n\" }"), "operations.invite.writes", "by position"),
        (invite("{ number = \"/p\", active = \"/p/active\" }"), "operations.invite.writes", "written within"),
        (field("[fields.mail]\ntype = \"text\"\nat = \"/mail/\""), "fields.mail.at", "write \"/mail\""),
        (field("[fields.mail]\ntype = \"text\"\nat = \"/a//b\""), "fields.mail.at", "write \"/a/b\""),
        (field("[fields.mail]\ntype = \"text\"\nat = \"/a~b\""), "fields.mail.at", "~0"),
        (field("[fields.mail]\ntype = \"text\"\nat = \"\""), "fields.mail.at", "the whole account"),
        (field("[fields.mail]\ntype = \"text\"\nat = \"/number\""), "fields.number", "the same place as mail"),
        (
            field("[fields.name]\ntype = \"text\"\n[fields.\"name.first\"]\ntype = \"text\""),
            "fields.\"name.first\"",
            "within what is written for name",
        ),
        (
            field("[fields.mail]\ntype = \"text\"\nat = \"/active/mail\""),
            "fields.mail",
            "within what is written for active",
        ),
        (GOOD.replace("\"/id\"", "\"/id/\""), "account.id", "write \"/id\""),
    ];
    for (text, key, said) in rows {
        assert_ne!(text, GOOD, "{key}: {said}");
        let found = errors(&text);
        let told = |e: &DefinitionError| format!("{} {}", e.message, e.help.clone().unwrap_or_default());
        let hit = found.iter().find(|e| e.key == key && told(e).contains(said));
        assert!(hit.is_some_and(|hit| hit.line.is_some()), "{key}: {said}: {found:#?}");
        assert_eq!(found.len(), 1, "{key}: {found:#?}");
    }
    // What is only read may have a position, and what is not written is in nobody's way.
    for good in [
        "[fields.mail]\ntype = \"text\"\nat = \"/emails/0/value\"\nread_only = \"the first one\"",
        "[fields.whole]\ntype = \"object\"\nat = \"\"\nread_only = \"as it is\"",
        "[fields.name]\ntype = \"object\"\nread_only = \"as it is\"\n[fields.\"name.first\"]\ntype = \"text\"",
        "[fields.\"custom.101\"]\ntype = \"text\"",
        "[fields.other]\ntype = \"text\"\nat = \"/number\"\nsame_as = \"number\"",
    ] {
        assert_eq!(errors(&field(good)), [], "{good}");
    }
}

#[test]
fn fields_of_scim_are_attribute_paths() {
    let scim = GOOD.replace("id = \"/id\"", "id = \"/id\"\npaths = \"scim\"");
    let with =
        |name: &str| scim.replace("[fields.number]", &format!("[fields.'{name}']\ntype = \"text\"\n[fields.number]"));
    for good in
        ["emails[primary eq true].value", r#"emails[type eq "work"].value"#, "urn:a:b:c.d", "roles[rank eq 2].value"]
    {
        assert_eq!(errors(&with(good)), [], "{good}");
    }
    for (wrong, nearest) in [
        ("emails[type eq work].value", r#"emails[type eq "work"].value"#),
        (r#"emails[type sw "work"].value"#, r#"emails[type eq "work"].value"#),
        (r#"emails[type eq "work"]"#, r#"emails[type eq "work"].value"#),
        ("emails[primary eq TRUE].value", "emails[primary eq true].value"),
    ] {
        let found = errors(&with(wrong));
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].help, Some(format!("did you mean `{nearest}`?")), "{wrong}");
        assert!(found[0].line.is_some());
    }
}

#[test]
fn what_a_mapping_can_not_mean_is_no_field() {
    let text =
        GOOD.replace("[[failures]]", "[lists.labels]\nid = \"id\"\nvalue = \"v\"\nid_type = \"integer\"\n[[failures]]");
    let text = text.replace("[fields.number]", "[fields.\"labels.*\"]\ntype = \"text\"\n[fields.number]");
    let open = compile(&text.replace("id = \"/id\"", "id = \"/id\"\nopen = true"), &toml::Table::new()).expect("one");
    let catalogue = open.catalogue();
    for (name, said) in
        [("labels.school", "whole numbers"), ("number.first", "has no parts"), ("emails.0.value", "by position")]
    {
        let (why, help) = catalogue.why_not(name).expect(name);
        assert!(why.contains(said) && help.is_some() && !catalogue.admits(name), "{name}: {why}");
    }
    for name in ["labels.7", "number", "custom", "custom.101", "name.first"] {
        assert!(catalogue.admits(name), "{name}");
    }
}

#[test]
fn missing_parts_are_named() {
    let keys = |text: &str| errors(text).into_iter().map(|error| error.key).collect::<Vec<_>>();
    assert_eq!(keys("format = 1"), ["kind", "title", "auth", "account", "state"]);
    let text = GOOD.replace("[operations.list]", "[operations.delete]");
    assert!(keys(&text).contains(&"operations".to_string()), "neither find nor list");
}

#[test]
fn options_must_be_given_where_they_have_no_default() {
    let text = GOOD.replace("[auth]", "[options.client]\ntype = \"integer\"\nhelp = \"the client's number\"\n\n[auth]");
    let found = errors(&text);
    assert_eq!((found[0].key.as_str(), found[0].help.as_deref()), ("options.client", Some("the client's number")));
    assert!(compile(&text, &"client = 1".parse().expect("TOML")).is_ok());
}

proptest! {
    #![proptest_config(crate::domain::properties::cases(256))]

    #[test]
    fn no_text_makes_it_panic(cut in 0..GOOD.len(), noise in ".{0,10}") {
        let _ = errors(&format!("{}{noise}{}", &GOOD[..cut], &GOOD[cut..]));
    }
}

#[test]
fn mistakes_in_what_only_some_apis_have_are_found() {
    let session =
        "[session]\nlogin = { method = \"POST\", path = \"/in\", username = \"/u\", password = \"/p\", id = \"/s\" }\n";
    let rows: [(String, &str, &str); 13] = [
        (format!("{GOOD}\n{session}cookie = \"S\""), "session", "without the other"),
        (GOOD.replace("\"bearer\"", "\"session\""), "session", "without the other"),
        (format!("{}\n{session}", GOOD.replace("\"bearer\"", "\"session\"")), "session", "exactly one of"),
        (
            format!("{}\n{session}cookie = \"S\"\nlasts = \"0s\"", GOOD.replace("\"bearer\"", "\"session\"")),
            "session.lasts",
            "serves nobody",
        ),
        (GOOD.replace("id = \"/id\"", "id = \"/id\"\nid_is_address = true"), "account", "id_field"),
        (GOOD.replace("id = \"/id\"", "id = \"/id\"\nid_field = \"mail\""), "account.id_field", "no field mail"),
        (
            GOOD.replace("path = \"/users\"\n\n", "path = \"/users\"\nanswer = \"id\"\n\n"),
            "operations.create.id_at",
            "belong",
        ),
        (
            GOOD.replace("path = \"/users\"\n\n", "path = \"/users\"\nwrites = { number = \"/n\" }\n\n"),
            "operations.create.writes",
            "invite",
        ),
        (
            GOOD.replace("path = \"/users\"\n\n", "path = \"/users\"\nconstants = { x = 1 }\n\n"),
            "operations.create.constants",
            "pointer",
        ),
        (GOOD.replace("style = \"page\"", "style = \"header\""), "operations.list.paging", "belong together"),
        (GOOD.replace("size = 50", "size = 50, total = \"n\""), "operations.list.paging", "pointer"),
        (GOOD.replace("type = \"text\"", "type = \"text\"\nwhole = true"), "fields.number.whole", "NAME.*"),
        (
            GOOD.replace("type = \"text\"", "type = \"text\"\noption = \"nmbr\""),
            "fields.number.option",
            "no option nmbr",
        ),
    ];
    for (text, key, message) in rows {
        let found = errors(&text);
        assert_eq!(found.len(), 1, "{message}: {found:?}");
        assert_eq!(found[0].key, key, "{found:?}");
        assert!(
            found[0].message.contains(message) || found[0].help.as_deref().unwrap_or_default().contains(message),
            "{found:?}"
        );
    }
}

/// The keys that only some APIs need, each with what can be wrong about it.
#[test]
fn each_of_the_rarer_keys_is_judged() {
    let find = |lines: &str| format!("{GOOD}\n[operations.find]\nmethod = \"GET\"\npath = \"/users\"\n{lines}\n");
    let sought = "query = { q = \"{value}\" }\nfields = [\"number\"]\n";
    let field = |lines: &str| GOOD.replace("[fields.number]\ntype = \"text\"", &format!("[fields.number]\n{lines}"));
    let update = |lines: &str| {
        GOOD.replace(
            "path = \"/users/{id}\"\n\n[operations.get]",
            &format!("path = \"/users/{{id}}\"\n{lines}\n\n[operations.get]"),
        )
    };
    assert_eq!(errors(&find(sought)), []);
    let rows: Vec<(String, &str, &str)> = vec![
        (find("query = { q = \"x\" }\nfields = [\"number\"]"), "operations.find.query", "must say where {value}"),
        (find("query = { q = \"{value}\" }"), "operations.find.fields", "by which accounts can be sought"),
        (find("query = { q = \"{value}\" }\nfields = [\"numbr\"]"), "operations.find.fields", "no field numbr"),
        (find(&format!("{sought}names = {{ numbr = \"n\" }}")), "operations.find.names", "no field numbr"),
        (find(&format!("{sought}escape = \"double\"")), "operations.find.escape", "did you mean `doubled`?"),
        (find(&sought.replace("{value}", "{value}{who}")), "operations.find.query", "to put for {who}"),
        (update("records = [\"\"]"), "operations.update.records", "belong to find and list"),
        (update("fields = [\"number\"]"), "operations.update.fields", "belongs to find"),
        (update("only_if = { option = \"mode\", is = 1 }"), "operations.update.only_if", "no option mode"),
        (update("body = \"merge\""), "operations.update.body", "did you mean `merged`?"),
        (field("type = \"text\"\nentry_id = \"id\""), "fields.number.entry_id", "only a set"),
        (field("type = \"set\"\nwrite = \"values\""), "fields.number.write", "no entry_id"),
        (field("type = \"text\"\nrequired = true\nread_only = \"no\""), "fields.number.required", "can't be written"),
        (field("type = \"text\"\nread_only = \" \""), "fields.number.read_only", "must say why"),
        (field("type = \"integer\"\nrange = [2, 1]"), "fields.number.range", "2 is more than 1"),
        (
            field("type = \"text\"\nthrowaway = { option = \"mode\", is = 1 }"),
            "fields.number.throwaway",
            "no option mode",
        ),
        (field("type = \"text\"\nat = \"n\""), "fields.number.at", "JSON pointer"),
        (
            GOOD.replace("size = 50", "size_option = \"size\""),
            "operations.list.paging",
            "size_option must name an option",
        ),
        (format!("{GOOD}\n[discovery]\npath = \"/can\"\npatch = \"patch\""), "discovery.patch", "JSON pointer"),
        (format!("{GOOD}\n[request]\nidempotency_header = \"a b\""), "request.idempotency_header", "name of a header"),
        (format!("{GOOD}\n[request]\nformat = \"yaml\""), "request.format", "\"json\", \"xml\""),
        (format!("{GOOD}\n[success]\nbody = [{{ pointer = \"ok\", is = [1] }}]"), "success.body", "JSON pointer"),
        (
            format!("{GOOD}\n[options.mode]\ntype = \"integer\"\ndefault = \"x\""),
            "options.mode.default",
            "whole number",
        ),
        (format!("{GOOD}\n[[failures]]\npointer = \"/a\"\nmeans = \"refused\""), "failures.1.is", "belong together"),
        (
            format!("{GOOD}\n[[failures]]\nnames = [\"numbr\"]\nmeans = \"refused\""),
            "failures.1.names",
            "did you mean `number`?",
        ),
        (
            GOOD.replace("banned = false", "banned = false\nunstated = \"band\""),
            "state.unstated",
            "did you mean `banned`?",
        ),
    ];
    for (text, key, said) in rows {
        let found = errors(&text);
        let told = |e: &&DefinitionError| {
            e.key == key && format!("{} {:?}", e.message, e.help).replace('\\', "").contains(said)
        };
        let hit = found.iter().find(told).unwrap_or_else(|| panic!("{key}, {said}: {found:#?}"));
        assert!(hit.line.is_some() && found.len() == 1, "{key}: {found:#?}");
    }
}

//! What `check` says of a mapping, on each target: a field that isn't there, one that can't be written, a constant that
//! the field doesn't admit, a required field that nothing maps. Nothing is sent for any of it.

use serde_json::Value;

use rosterd::api::Engine;

use crate::support::Home;

/// A target of each kind, and the lines that its mapping needs to be right.
const KINDS: [(&str, &str, &str); 4] = [
    ("juno", "auth = { kind = \"bearer\", token = { file = \"secret\" } }", "email = \"m\"\nclient_id = \"id\""),
    (
        "juicebox",
        "auth = { kind = \"token\", token = { file = \"secret\" } }\noptions = { client = 1 }",
        "email = \"m\"\nfirst_name = \"f\"",
    ),
    (
        "longjump",
        "auth = { kind = \"session\", username = \"a\", password = { file = \"secret\" } }",
        "email = \"m\"\nusername = \"m\"\nemployee_number = \"id\"\nteam_id = { value = 1 }\naccessProfileId = { value = 3 }",
    ),
    ("scim", "auth = { kind = \"bearer\", token = { file = \"secret\" } }", "userName = \"m\"\nexternalId = \"id\""),
];

/// What `check` says of this mapping.
fn check(kind: &str, map: &str, code: i32) -> Value {
    let (_, settings, _) = KINDS.iter().find(|(name, ..)| *name == kind).expect("a kind");
    let home = Home::empty();
    home.secret("config/secret", "sandbox\n");
    let key = if map.contains("userName") { "userName" } else { "email" };
    let key = if map.contains(key) { key } else { "title" };
    home.write(
        "config/rosterd.toml",
        &format!(
            "[state]\npath = \"../state/rosterd.db\"\n[sources.hr]\nkind = \"csv\"\npath = \"hr.csv\"\nkey = \"id\"\n\
             [targets.there]\nkind = \"{kind}\"\nbase_url = \"http://127.0.0.1:9\"\n{settings}\n\
             [syncs.staff]\nsource = \"hr\"\ntarget = \"there\"\nmatch = [\"{key}\"]\n[syncs.staff.map]\n{map}\n"
        ),
    );
    home.run_json(&["check"]).exits(code).json()
}

/// The finding about this field.
#[track_caller]
fn about<'v>(list: &'v Value, field: &str) -> &'v Value {
    let key = |f: &&Value| {
        f["key"]
            .as_str()
            .is_some_and(|key| key.trim_start_matches("syncs.staff.map.").replace('\\', "").trim_matches('"') == field)
    };
    let found: Vec<&Value> = list.as_array().expect("a list").iter().filter(key).collect();
    assert_eq!(found.len(), 1, "about {field}: {list}");
    found[0]
}

fn right(kind: &str) -> &'static str {
    KINDS.iter().find(|(name, ..)| *name == kind).expect("a kind").2
}

#[test]
fn mappings_of_what_is_there_are_right() {
    for (kind, _, map) in KINDS {
        let ran = check(kind, map, 0);
        assert_eq!((&ran["errors"], &ran["warnings"]), (&Value::Array(vec![]), &Value::Array(vec![])), "{kind}");
    }
}

/// Kind, the line that is wrong, the field, whether it is a mere warning, and what is said: message or remedy.
#[test]
fn each_kind_of_mistake_is_named_on_each_target() {
    const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
    let wrong_department = format!("{ENTERPRISE}:departement");
    let work = "emails[type eq \"work\"].primary";
    let rows: Vec<(&str, String, &str, bool, &[&str])> = vec![
        (
            "juno",
            "frist_name = \"f\"".into(),
            "frist_name",
            false,
            &["no field frist_name", "did you mean `first_name`?"],
        ),
        ("juno", "shoe = \"f\"".into(), "shoe", false, &["no field shoe", "rosterd targets show"]),
        ("juno", "timezone = { value = \"noon\" }".into(), "timezone", false, &["noon", "whole number"]),
        ("juno", "timezone = { value = 50401 }".into(), "timezone", false, &["between -43200 and 50400"]),
        ("juno", "account_level = { value = 50 }".into(), "account_level", false, &["one of 0, 99"]),
        (
            "juno",
            "ce_status = { value = \"Open\" }".into(),
            "ce_status",
            false,
            &["belong to CE records, not to users"],
        ),
        ("juicebox", "frist_name = \"f\"".into(), "frist_name", false, &["did you mean `first_name`?"]),
        ("juicebox", "apps = { value = { a = 1 } }".into(), "apps", false, &["must be a list"]),
        ("juicebox", "\"extra.level\" = { value = [1] }".into(), "extra.level", false, &["must be text"]),
        ("longjump", "frist_name = \"f\"".into(), "frist_name", true, &["custom field", "did you mean `first_name`?"]),
        ("longjump", "time_zone = { value = \"noon\" }".into(), "time_zone", false, &["whole number"]),
        ("longjump", "enable_mobile = { value = \"maybe\" }".into(), "enable_mobile", false, &["true or false"]),
        ("longjump", "user_id_type = { value = 3 }".into(), "user_id_type", false, &["one of 1, 2"]),
        ("scim", "titel = \"f\"".into(), "titel", false, &["no field titel", "did you mean `title`?"]),
        ("scim", "\"name.giveName\" = \"f\"".into(), "name.giveName", false, &["did you mean `name.givenName`?"]),
        ("scim", format!("\"{wrong_department}\" = \"f\""), &wrong_department, false, &["User:department`?"]),
        ("scim", format!("'{work}' = {{ value = \"maybe\" }}"), work, false, &["true or false"]),
        ("scim", "title = { value = [1] }".into(), "title", false, &["must be text"]),
        ("scim", "\"urn:acme:2.0:User:badge\" = \"f\"".into(), "urn:acme:2.0:User:badge", true, &["custom field"]),
    ];
    for (kind, line, field, mere, said) in rows {
        let ran = check(kind, &format!("{}\n{line}", right(kind)), if mere { 0 } else { 78 });
        let (list, other) = if mere { ("warnings", "errors") } else { ("errors", "warnings") };
        assert_eq!(ran[other], Value::Array(vec![]), "{kind} {line}: {ran}");
        let finding = about(&ran[list], field);
        let text = format!("{} {}", finding["message"], finding["help"]).replace('\\', "");
        assert!(said.iter().all(|said| text.contains(said)), "{kind} {line}: {text}");
        let line_is_told =
            finding["line"].is_u64() && finding["file"].as_str().is_some_and(|f| f.ends_with("rosterd.toml"));
        assert!(line_is_told, "{finding}");
        assert_eq!(ran[list].as_array().map(Vec::len), Some(1), "one mistake is told once: {ran}");
    }
}

#[test]
fn every_read_only_field_is_refused_with_its_reason() {
    for (kind, _, map) in KINDS {
        let options = if kind == "juicebox" { "client = 1" } else { "" };
        let engine = Engine::builtin(kind, &options.parse().expect("options")).expect("a definition");
        let fields = engine.catalogue().fields.iter().filter(|(_, field)| field.writable.is_err());
        let fields: Vec<(&String, &String)> =
            fields.map(|(name, f)| (name, f.writable.as_ref().expect_err("read-only"))).collect();
        assert!(fields.len() > 5, "{kind}");
        let lines: String = fields.iter().map(|(name, _)| format!("'{name}' = \"f\"\n")).collect();
        let ran = check(kind, &format!("{map}\n{lines}"), 78);
        for (name, why) in &fields {
            let told = about(&ran["errors"], name);
            assert_eq!(told["message"], format!("it can't be mapped: {why}"), "{kind}");
            assert!(told["help"].as_str().is_some_and(|help| help.contains(&format!("`{name}` out"))), "{told}");
        }
        assert_eq!(ran["errors"].as_array().map(Vec::len), Some(fields.len()), "{ran}");
    }
}

#[test]
fn every_required_field_that_nothing_maps_is_named() {
    let rows: [(&str, &str, &[&str]); 4] = [
        ("juno", "title = \"t\"\nclient_id = \"id\"", &["email"]),
        ("juicebox", "first_name = \"f\"", &["email"]),
        ("longjump", "title = \"t\"\nemployee_number = \"id\"", &["accessProfileId", "email", "team_id", "username"]),
        ("scim", "title = \"t\"\nexternalId = \"id\"", &["userName"]),
    ];
    for (kind, map, required) in rows {
        let ran = check(kind, map, 78);
        for field in required {
            let error = about(&ran["errors"], field);
            assert!(error["message"].as_str().is_some_and(|m| m.contains("nothing maps it")), "{kind}: {error}");
        }
    }
}

/// A warning beside an error stays one, and the error is there although a warning speaks of a similar name.
#[test]
fn warnings_and_errors_of_an_open_catalogue_are_told_apart() {
    let map = right("longjump").replace("username = \"m\"", "user_name = \"m\"");
    let ran = check("longjump", &map, 78);
    assert_eq!(about(&ran["warnings"], "user_name")["help"], "did you mean `username`?");
    assert!(about(&ran["errors"], "username")["message"].as_str().is_some_and(|m| m.contains("nothing maps it")));
    assert_eq!(ran["errors"].as_array().map(Vec::len), Some(1), "{ran}");
}

//! What requests the engine makes, of JUNO and of an API quite unlike it.

use super::*;
use crate::api::ApiRequest;
use crate::domain::operation::Change;
use crate::domain::outcome::ErrorKind;
use crate::domain::record::Key;
use proptest::prelude::*;
use serde_json::json;

fn engine(text: &str) -> Engine {
    Engine::from_definition("test.toml", text, &toml::Table::new()).expect("a definition")
}

fn juno() -> Engine {
    Engine::builtin("juno", &toml::Table::new()).expect("a definition")
}

fn operation(kind: OpKind, id: Option<&str>, fields: &[(&str, Value)]) -> Operation {
    let mut operation = Operation::new(kind, Key::parse("E1").expect("a key"), id.map(Into::into));
    for (field, new) in fields {
        operation.fields.insert((*field).to_string(), Change { old: Value::Null, new: new.clone() });
    }
    operation
}

fn body(request: &ApiRequest) -> Value {
    serde_json::from_slice(request.body.as_deref().expect("a body")).expect("JSON")
}

/// An API quite unlike JUNO: another id, nested names, an envelope, full bodies, text for access, a ban of its own.
const OTHER: &str = r#"
    format = 1
    kind = "other"
    title = "Other"
    auth = { kinds = ["basic"] }
    options.tenant = { type = "text", default = "a b" }
    account = { id = "/meta/uid", at = ["/result"], key_field = "staff_no" }
    state = { field = "status", active = "on", banned = "off", unstated = "banned" }
    request = { content_type = "application/vnd.other+json", envelope = "/data/user" }
    [operations]
    create = { method = "POST", path = "/{options.tenant}/people" }
    update = { method = "PATCH", path = "/{options.tenant}/people/{id}", body = "full", answer = "any" }
    ban = { method = "POST", path = "/{options.tenant}/people/{id}/lock", body = "none", answer = "any" }
    delete = { method = "DELETE", path = "/{options.tenant}/people/{id}" }
    get = { method = "GET", path = "/{options.tenant}/people/{id}" }
    list = { method = "GET", path = "/{options.tenant}/people", records = ["/items"], paging = { style = "offset", param = "skip", size_param = "take", size = 2 } }
    find = { method = "GET", path = "/{options.tenant}/people", query = { q = "{field}:{value}" }, fields = ["staff_no"], records = ["/items"] }
    [fields]
    staff_no = { type = "text", unique = true }
    status = { type = "text", read_only = "it is access" }
    first = { type = "text", at = "/name/given" }
    groups = { type = "set", entry_id = "ref", write = "values" }
    "extra.*" = { type = "text" }
"#;

#[test]
fn an_api_unlike_juno_needs_no_rust() {
    let engine = engine(OTHER);
    let create = operation(
        OpKind::Create,
        None,
        &[("first", json!("Ann")), ("extra.dept", json!("R&D")), ("groups", json!([3, 1]))],
    );
    let request = engine.encode(&create).expect("a request");
    assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/a%20b/people"));
    assert!(request.headers.contains(&("content-type".into(), "application/vnd.other+json".into())));
    let user = json!({"name": {"given": "Ann"}, "extra": {"dept": "R&D"}, "groups": ["1", "3"]});
    assert_eq!(body(&request), json!({"data": {"user": user}}));

    let mut update = operation(OpKind::Update, Some("x/y"), &[("first", json!(null))]);
    update.baseline.set("staff_no", json!("E1"));
    let request = engine.encode(&update).expect("a request");
    assert_eq!(request.path, "/a%20b/people/x%2Fy");
    let user = json!({"name": {"given": null}, "staff_no": "E1", "status": "on"});
    assert_eq!(body(&request), json!({"data": {"user": user}}), "a full body says all that is known");

    let request = engine.encode(&operation(OpKind::Ban, Some("7"), &[])).expect("a request");
    assert_eq!((request.path.as_str(), request.body), ("/a%20b/people/7/lock", None));
    assert!(engine.encode(&operation(OpKind::Ban, Some("7"), &[("first", json!(null))])).is_err());
    assert_eq!(engine.encode(&operation(OpKind::Delete, Some("7"), &[])).expect("a request").method, "DELETE");
    assert_eq!(engine.list().path, "/a%20b/people?skip=0&take=2");
    assert_eq!(engine.find("staff_no", "E 1").expect("a look-up").path, "/a%20b/people?q=staff_no%3AE%201");
}

#[test]
fn what_cannot_be_sent_is_refused_naming_fields_and_never_values() {
    let secret = json!("s3cret");
    let cases = [
        (OpKind::Update, None, ("title", json!("x")), "id is missing"),
        (OpKind::Update, Some(".."), ("title", json!("x")), "can't stand in a path"),
        (OpKind::Update, Some("1"), ("points", secret.clone()), "points must be a whole number"),
        (OpKind::Update, Some("1"), ("id", secret.clone()), "id can't be written"),
        (OpKind::Update, Some("1"), ("banned", secret.clone()), "banned can't be written"),
        (OpKind::Update, Some("1"), ("ce_status", secret.clone()), "ce_status can't be written"),
        (OpKind::Update, Some("1"), ("shoe_size", secret.clone()), "no field shoe_size"),
        (OpKind::Update, Some("1"), ("dimensions.x", secret), "known by whole numbers"),
        (OpKind::Delete, Some("1"), ("title", json!("x")), "no request for delete"),
        (OpKind::Unlink, Some("1"), ("title", json!("x")), "no request for unlink"),
    ];
    for (kind, id, (field, value), expected) in cases {
        let error = juno().encode(&operation(kind, id, &[(field, value)])).expect_err(expected);
        assert_eq!(error.kind, ErrorKind::Invalid);
        assert!(error.message.contains(expected), "{}", error.message);
        assert!(!error.message.contains("s3cret"), "{}", error.message);
    }
}

#[test]
fn values_are_sent_in_the_catalogues_types() {
    let update = operation(
        OpKind::Update,
        Some("1"),
        &[("points", json!("120")), ("client_guid", json!(5)), ("tags", json!(null))],
    );
    let request = juno().encode(&update).expect("a request");
    assert_eq!(body(&request), json!({"points": 120, "client_guid": "5", "tags": []}));
}

#[test]
fn look_ups_are_only_by_documented_fields_and_never_by_nothing() {
    assert!(juno().find("title", "x").is_none());
    assert!(juno().find("email", " ").is_none());
    assert_eq!(juno().find_fields(), ["client_id", "email"]);
    assert!(juno().can_list() && !juno().can_delete());
    assert_eq!(juno().page_size(), 100);
}

#[test]
fn options_are_checked_and_used() {
    let small = "page_size = 2".parse().expect("TOML");
    let engine = Engine::builtin("juno", &small).expect("a definition");
    assert_eq!((engine.page_size(), engine.list().path.as_str()), (2, "/users?page=1&per_page=2"));
    for (options, key, expected) in [
        ("pagesize = 2", "options.pagesize", "unknown option"),
        ("page_size = 0", "options.page_size", "not between 1 and 1000"),
        ("page_size = \"2\"", "options.page_size", "not a whole number"),
    ] {
        let errors = Engine::builtin("juno", &options.parse().expect("TOML")).expect_err(expected);
        assert_eq!(errors.len(), 1);
        assert_eq!(errors[0].key, key);
        assert!(errors[0].message.contains(expected), "{:?}", errors[0]);
        assert!(errors[0].help.is_some());
    }
    let errors = Engine::builtin("jnuo", &toml::Table::new()).expect_err("unknown");
    assert_eq!(errors[0].help.as_deref(), Some("did you mean `juno`?"));
}

#[test]
fn the_kinds_that_are_built_in_are_right() {
    for kind in Engine::builtin_kinds() {
        let options = if *kind == "juicebox" { "client = 1" } else { "" };
        let engine = Engine::builtin(kind, &options.parse().expect("options")).expect("a definition");
        assert_eq!(engine.kind(), *kind);
    }
}

#[test]
fn the_catalogue_of_juno_is_that_of_the_vendor_page() {
    let engine = juno();
    let catalogue = engine.catalogue();
    assert_eq!(catalogue.key_field.as_deref(), Some("client_id"));
    let writable = "account_level address avatar city client_guid client_id company country designation dimensions.* email \
                    facebook first_name instagram job_type last_name linkedin phone points postal_code state_province \
                    tags timezone title twitter username website";
    let actual: Vec<&str> =
        catalogue.fields.iter().filter(|(_, f)| f.writable.is_ok()).map(|(name, _)| name.as_str()).collect();
    assert_eq!(actual, writable.split_whitespace().collect::<Vec<_>>());
    let underneath = [
        ("instagram", 1),
        ("facebook", 2),
        ("twitter", 3),
        ("website", 4),
        ("phone", 5),
        ("linkedin", 8),
        ("address", 10),
        ("job_type", 11),
        ("designation", 12),
        ("city", 13),
        ("state_province", 14),
        ("postal_code", 15),
        ("country", 16),
        ("title", 18),
    ];
    for (name, field) in &catalogue.fields {
        let expected = underneath.iter().find(|(n, _)| n == name).map(|(_, id)| format!("dimensions.{id}"));
        assert_eq!(field.same_as, expected, "{name}");
    }
    assert_eq!(catalogue.field("account_level").expect("a field").allowed, [json!(0), json!(99)]);
    let why = catalogue.field("ce_credits").expect("a field").writable.clone().expect_err("read-only");
    assert!(why.contains("belong to CE records, not to users"));
    for (name, required, unique, clearable) in
        [("email", true, true, false), ("client_id", false, true, false), ("phone", false, false, true)]
    {
        let field = catalogue.field(name).expect("a field");
        assert_eq!((field.required, field.unique, field.clearable), (required, unique, clearable), "{name}");
    }
}

proptest! {
    #![proptest_config(crate::domain::properties::cases(256))]

    #[test]
    fn whatever_the_values_bodies_are_json_and_paths_stay_put(id in ".{1,12}", text in ".{0,20}") {
        let update = operation(OpKind::Update, Some(&id), &[("title", json!(text))]);
        if let Ok(request) = juno().encode(&update) {
            let expected = if text.is_empty() { Value::Null } else { json!(text) };
            prop_assert_eq!(&body(&request)["title"], &expected);
            prop_assert_eq!(request.path.matches('/').count(), 2);
            prop_assert!(!request.path.contains(['?', '#', ' ']));
        }
    }
}

/// What LongJump's and Juicebox's pages call read-only, and what rosterd writes by itself.
#[test]
fn read_only_fields_of_the_vendor_pages_are_refused() {
    let longjump = "id sso_type federation_id last_login date_last_password_change customer_language full_name \
        date_created created_id date_modified modified_id community_user_id auto_generated_community_user_record \
        user_type date_status_updated tenant_id tenant_user_id customerId flag_logged_in active notify_info password";
    let juicebox = "last_login date_joined last_activated last_deactivated last_password_set handle profile_avatar \
        is_demo_user is_active";
    let scim = "id meta groups schemas active password";
    for (kind, options, fields) in
        [("longjump", "", longjump), ("juicebox", "client = 1", juicebox), ("scim", "", scim)]
    {
        let engine = Engine::builtin(kind, &options.parse().expect("options")).expect("a definition");
        for name in fields.split_whitespace() {
            let field = engine.catalogue().field(name).unwrap_or_else(|| panic!("{kind} has no {name}"));
            assert!(field.writable.is_err(), "{kind}.{name}");
        }
    }
}

#[test]
fn options_of_juicebox_and_longjump_are_judged() {
    let rows = [
        ("juicebox", "", "options.client", "is missing"),
        ("juicebox", "client = \"acme\"", "options.client", "whole number"),
        ("juicebox", "client = 0", "options.client", "not between"),
        ("juicebox", "client = 1\ncreate = \"ask\"", "options.create", "none of"),
        ("longjump", "notify = 1", "options.notify", "true or false"),
        ("longjump", "notfy = true", "options.notfy", "unknown option"),
    ];
    for (kind, options, key, message) in rows {
        let errors = Engine::builtin(kind, &options.parse().expect("options")).expect_err("a mistake");
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert_eq!(errors[0].key, key);
        assert!(errors[0].message.contains(message), "{errors:?}");
    }
}

#[test]
fn what_an_option_gives_a_new_account_needs_no_mapping() {
    let required = |options: &str| {
        let engine = Engine::builtin("longjump", &options.parse().expect("options")).expect("a definition");
        let fields = engine.catalogue().fields.iter().filter(|(_, field)| field.required);
        fields.map(|(name, _)| name.clone()).collect::<Vec<_>>()
    };
    assert_eq!(required(""), ["accessProfileId", "email", "team_id", "username"]);
    assert_eq!(required("team_id = 1\naccess_profile_id = 3"), ["email", "username"]);
    // And what is mapped comes before the option.
    let engine = Engine::builtin("longjump", &"team_id = 1".parse().expect("options")).expect("a definition");
    let request = engine.encode(&operation(OpKind::Create, None, &[("team_id", json!(7))])).expect("a request");
    let text = String::from_utf8(request.body.expect("a body")).expect("UTF-8");
    assert!(text.contains("<team_id>7</team_id>") && !text.contains("<team_id>1</team_id>"), "{text}");
}

#[test]
fn what_xml_can_not_carry_rejects_the_record_and_is_not_shown() {
    let engine = Engine::builtin("longjump", &toml::Table::new()).expect("a definition");
    for (field, value) in [("title", "secret\u{1}"), ("title", "secret\u{ffff}"), ("bad name", "secret")] {
        let error = engine.encode(&operation(OpKind::Update, Some("1"), &[(field, json!(value))])).expect_err(field);
        assert_eq!(error.kind, ErrorKind::Invalid);
        assert!(error.message.contains(field) && !error.message.contains("secret"), "{error:?}");
    }
}

#[test]
fn access_that_is_a_request_of_its_own_comes_before_the_fields() {
    let engine = engine(&OTHER.replace(
        "[operations]",
        "[operations]\nreinstate = { method = \"POST\", path = \"/on/{id}\", body = \"none\", answer = \"any\" }",
    ));
    let fields = [("staff_no", json!("x"))];
    let rehire = operation(OpKind::Reinstate, Some("1"), &fields);
    let first = engine.first_step(&rehire).expect("a step of its own");
    assert!(first.fields.is_empty());
    assert_eq!(engine.encode(&first).expect("a request").path, "/on/1");
    assert_eq!(engine.first_step(&operation(OpKind::Update, Some("1"), &fields)), None);
    assert_eq!(engine.first_step(&operation(OpKind::Reinstate, Some("1"), &[])), None);
}

//! What each kind of source, log-in and sync may say.

use super::*;

#[test]
fn addresses_with_credentials_are_encrypted_off_this_machine() {
    let with = |url: &str| minimal().replace("http://127.0.0.1:1/api/", url);
    for fine in ["https://acme.com/api", "http://localhost:8/", "http://[::1]:8/x", "http://127.8.8.8/"] {
        assert!(load_text(&with(fine)).is_ok(), "{fine}");
    }
    for wrong in
        ["http://acme.com/api", "http://127.0.0.1.acme.com/", "ftp://acme.com", "acme.com/api", "https://acme.com/?x=1"]
    {
        // A query may hold a key, and is not shown.
        let shown = wrong.split('?').next().expect("an address");
        one_error(&with(wrong), &["targets.juno.base_url", shown]);
        assert!(!errors(&with(wrong))[0].contains("x=1"));
    }
}

#[test]
fn auth_takes_the_keys_of_its_kind() {
    let with = |auth: &str| {
        let target = TARGET.split("auth").next().expect("a head");
        format!("{STATE}{SOURCE}{target}auth = {auth}\n{SYNC}{MAP}")
    };
    one_error(&with("{ kind = \"bearer\" }"), &["targets.juno.auth.token", "missing"]);
    one_error(&with("{ kind = \"bearer\", token = { env = \"A\" }, scope = \"s\" }"), &["`scope` does not belong"]);
    one_error(&with("{ kind = \"bearar\", token = { env = \"A\" } }"), &["did you mean `bearer`?"]);
    one_error(&with("{ token = { env = \"A\" } }"), &["auth.kind", "missing"]);
    one_error(&with("{ kind = \"bearer\", token = { env = \"A\", file = \"b\" } }"), &["exactly one place"]);
    one_error(&with("{ kind = \"bearer\", token = { evn = \"A\" } }"), &["did you mean `env`?"]);
}

const OTHER_KINDS: &str = "[sources.api]\nkind = \"http\"\nurl = \"https://h/x\"\nkey = \"id\"\nformat = \"json\"\nrecords = \"/data\"\n\
    auth = { kind = \"oauth2\", token_url = \"https://h/t\", client_id = \"c\", client_secret = { env = \"S\" }, scope = \"r\" }\n\
    pagination = { kind = \"cursor\", pointer = \"/next\", param = \"c\" }\ntotal = \"/meta/total\"\ntimeout = \"30s\"\nmax_page = \"64MB\"\n\
    rate = \"5/s\"\nretry = { attempts = 2 }\n[sources.all]\nkind = \"union\"\nmembers = [\"hr\", \"api\"]\n";

#[test]
fn sources_of_other_kinds_are_judged() {
    let text = minimal() + OTHER_KINDS;
    let loaded = load_text(&text).map_err(told).expect("valid");
    assert!(loaded.warnings.is_empty(), "{:#?}", told(loaded.warnings));
    let SourceKind::Union(UnionSettings { members }) = &loaded.settings.sources["all"].kind else { panic!("a union") };
    assert_eq!(members.iter().map(|m| m.name.as_str()).collect::<Vec<_>>(), ["hr", "api"]);
    let SourceKind::Http(http) = &loaded.settings.sources["api"].kind else { panic!("an address") };
    let total = Some(settings::Total::Pointer("/meta/total".into()));
    assert_eq!((http.max_page, &http.total(), http.retry.attempts), (64_000_000, &total, 2));
    assert_eq!((http.reads, http.max_pages, http.rate.count), (2, 100_000, 5));
    assert_eq!(http.format.json().map(|json| &json.success), Some(&None));
    one_error(&text.replace("kind = \"cursor\"", "kind = \"curser\""), &["pagination.kind", "`cursor`"]);
    one_error(
        &text
            .replace("format = \"json\"\nrecords = \"/data\"", "format = \"ndjson\"")
            .replace("total = \"/meta/total\"\n", ""),
        &["needs format = \"json\""],
    );
    one_error(&text.replace("param = \"c\"", "param = \"c\", size = 5"), &["belong together"]);
    one_error(&text.replace("kind = \"oauth2\", token_url = \"https://h/t\", client_id = \"c\", client_secret = { env = \"S\" }, scope = \"r\"", "kind = \"session\", username = \"u\", password = { env = \"S\" }"), &["sources.api.auth.kind", "session"]);
    one_error(&text.replace("/meta/total", "meta.total"), &["sources.api.total", "/meta/total"]);
    one_error(&text.replace(", param = \"c\"", ""), &["pagination.param", "missing"]);
    one_error(&text.replace("\"hr\", \"api\"", "\"hr\", \"apy\""), &["members.1", "`api`"]);
    one_error(&text.replace("\"hr\", \"api\"", "\"hr\", \"hr\""), &["twice"]);
    one_error(&text.replace("records = \"/data\"", "path = \"x\""), &["`path` does not belong"]);
}

#[test]
fn a_key_that_no_source_has_and_one_that_another_kind_has_are_told_apart() {
    let file = |lines: &str| minimal() + "[sources.f]\nkind = \"file\"\npath = \"x\"\nkey = \"id\"\n" + lines;
    let json = "format = \"json\"\n";
    let settings = load_text(&file(json)).map_err(told).expect("valid").settings;
    let SourceKind::File(of_json) = &settings.sources["f"].kind else { panic!("a file") };
    assert_eq!(of_json.format.json(), Some(&JsonSettings::default()));
    for (lines, parts) in [
        ("", &["sources.f.format: this is missing", "ndjson"][..]),
        ("format = \"xml\"\n", &["sources.f.format", "\"xml\" is not one of \"json\", \"ndjson\", \"csv\""]),
        ("format = \"json\"\nrecord = \"/d\"\n", &["unknown key `record`", "did you mean `records`?"]),
        ("format = \"json\"\nurll = \"/d\"\n", &["unknown key `urll`", "`url`? It belongs to kind = \"http\""]),
        (
            "format = \"json\"\nreads = 3\n",
            &["`reads` does not belong to a source of kind \"file\"", "kind = \"http\""],
        ),
        (
            "format = \"json\"\ndelimiter = \";\"\n",
            &["`delimiter` does not", "\"csv\", or to file and http with format"],
        ),
        ("format = \"csv\"\nrecords = \"/d\"\n", &["`records` does not belong to this format"]),
        ("format = \"json\"\ntotal = { header = \"X\" }\n", &["sources.f.total", "no headers"]),
        ("format = \"json\"\nmin_records = \"many\"\n", &["sources.f.min_records", "a whole number"]),
    ] {
        one_error(&file(lines), parts);
    }
    let csv = SOURCE.replace("kind = \"csv\"\n", "kind = \"csv\"\nformat = \"csv\"\n");
    let text = minimal().replace(SOURCE, &csv);
    one_error(&text, &["`format` does not belong to a source of kind \"csv\"", "kind = \"file\" or \"http\""]);
    one_error(&minimal().replace("kind = \"csv\"", "knid = \"csv\""), &["unknown key `knid`", "`kind`"]);
}

#[test]
fn server_and_notify_are_judged() {
    let with = |more: &str| minimal() + more;
    let fine = "[server]\nlisten = \"127.0.0.1:9464\"\n[notify]\nwebhook = { url = \"https://hooks.example.com/x\" }\n";
    let settings = load_text(&with(fine)).map_err(told).expect("valid").settings;
    assert!(settings.server.is_some() && settings.notify.is_some());
    one_error(&with("[server]\nlisten = \"9464\"\n"), &["server.listen", "127.0.0.1:9464"]);
    one_error(&with("[notify]\n"), &["exactly one of"]);
    one_error(&with("[notify]\ncommand = []\n"), &["no program"]);
    one_error(&with("[notify]\nwebhook = { url = \"http://hooks.example.com/x\" }\n"), &["in the clear"]);
}

#[test]
fn standard_input_has_no_schedule() {
    let text = minimal().replace("path = \"hr.csv\"", "path = \"-\"");
    let settings = load_text(&text).map_err(told).expect("valid").settings;
    let SourceKind::File(csv) = &settings.sources["hr"].kind else { panic!("a file") };
    assert_eq!(csv.path, Path::new("-"));
    one_error(&text.replace("target = \"juno\"", "target = \"juno\"\nschedule = \"0 0 1 * * *\""), &["standard input"]);
}

#[test]
fn syncs_on_one_platform_know_of_each_other_whatever_its_targets_are_called() {
    let target = |name: &str, base_url: &str| {
        TARGET.replace("targets.juno", &format!("targets.{name}")).replace("http://127.0.0.1:1/api/", base_url)
    };
    let sync = |name: &str, target: &str| {
        [SYNC, MAP]
            .concat()
            .replace("syncs.staff", &format!("syncs.{name}"))
            .replace("\"juno\"", &format!("{target:?}"))
    };
    let text = [
        STATE,
        SOURCE,
        TARGET,
        &target("slash", "http://LOCALHOST:1/api"),
        &target("other", "http://127.0.0.1:2/api"),
        &[SYNC, MAP].concat(),
        &sync("again", "juno"),
        &sync("second", "slash"),
        &sync("third", "other"),
    ]
    .concat();
    let settings = load_text(&text).map_err(told).expect("right").settings;
    let rivals = |sync: &str| settings.syncs[sync].rivals.iter().cloned().collect::<Vec<_>>().join(" ");
    assert_eq!(rivals("staff"), "again second");
    assert_eq!(rivals("second"), "again staff");
    assert_eq!(rivals("third"), "");
}

#[test]
fn clients_of_one_platform_are_places_of_their_own() {
    let target = |name: &str, client: u32, create: &str| {
        format!(
            "[targets.{name}]\nkind = \"juicebox\"\nbase_url = \"https://a.example\"\n\
             auth = {{ kind = \"token\", token = {{ env = \"ROSTERD_TOKEN\" }} }}\n\
             options = {{ client = {client}, create = {create:?} }}\n"
        )
    };
    let sync = |name: &str| {
        format!("[syncs.{name}]\nsource = \"hr\"\ntarget = {name:?}\n[syncs.{name}.map]\nemail = \"email\"\n")
    };
    let texts = [
        STATE.to_string(),
        SOURCE.to_string(),
        target("one", 1, "invite"),
        target("one-more", 1, "direct"),
        target("two", 2, "invite"),
        sync("one"),
        sync("one-more"),
        sync("two"),
    ];
    let settings = load_text(&texts.concat()).map_err(told).expect("right").settings;
    let rivals = |sync: &str| settings.syncs[sync].rivals.iter().cloned().collect::<Vec<_>>().join(" ");
    assert_eq!((rivals("one"), rivals("one-more"), rivals("two")), ("one-more".into(), "one".into(), String::new()));
    assert_eq!(settings.targets["two"].identity().to_string(), "https://a.example?client=2");
}

#[test]
fn a_ban_releases_what_can_be_emptied_or_parked_and_nothing_else() {
    const WORK: &str = "emails[type eq \"work\"].value";
    let judged = |kind: &str, auth: &str, field: &str, on_leave: &str| {
        let token = "{ env = \"T\" }";
        let auth = match auth {
            "session" => format!("{{ kind = \"session\", username = \"u\", password = {token} }}"),
            auth => format!("{{ kind = {auth:?}, token = {token} }}"),
        };
        let (options, map) = match kind {
            "juno" => ("", "client_id = \"id\"\nemail = \"email\"\nusername = \"u\""),
            "juicebox" => ("options = { client = 1 }", "email = \"email\""),
            "longjump" => (
                "options = { team_id = 1, access_profile_id = 3 }",
                "employee_number = \"id\"\nusername = \"email\"\nemail = \"email\"\nbadge = \"b\"",
            ),
            _ => ("", "externalId = \"id\"\nuserName = \"email\"\n'emails[type eq \"work\"].value' = \"email\""),
        };
        let text = format!(
            "{STATE}{SOURCE}[targets.there]\nkind = {kind:?}\nbase_url = \"https://a.example\"\nauth = {auth}\n{options}\n\
             [syncs.staff]\nsource = \"hr\"\ntarget = \"there\"\nrelease_on_ban = ['{field}']\non_leave = {on_leave:?}\n\
             [syncs.staff.map]\n{map}\n"
        );
        load_text(&text).map(|_| ()).map_err(told)
    };
    for (kind, auth, field, is_released) in [
        ("juno", "bearer", "email", true),
        ("juno", "bearer", "username", true),
        ("juno", "bearer", "client_id", false),
        ("juicebox", "token", "email", false),
        ("longjump", "session", "username", false),
        ("longjump", "session", "employee_number", false),
        ("longjump", "session", "email", false),
        ("longjump", "session", "badge", true),
        ("scim", "bearer", "userName", false),
        ("scim", "bearer", "externalId", false),
        ("scim", "bearer", WORK, true),
        ("scim", "bearer", "urn:ietf:params:scim:schemas:extension:acme:2.0:User:badge", true),
    ] {
        let found = judged(kind, auth, field, "ban");
        assert_eq!(found.is_ok(), is_released, "{kind} {field}: {found:?}");
        if let Err(found) = found {
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(found[0].contains("release_on_ban.0") && found[0].contains("can't give up"), "{found:?}");
            assert!(found[0].contains("take"), "{found:?}");
        }
        // Nothing is banned, or what is removed gives up everything.
        assert!(judged(kind, auth, field, "ignore").is_ok(), "{kind} {field}");
        if matches!(kind, "scim" | "longjump") {
            assert!(judged(kind, auth, field, "delete").is_ok(), "{kind} {field}");
        }
    }
}

//! What an editor underlines that follows the schema.

use serde_json::{Value, json};

use super::*;

/// [`EVERYTHING`] with the targets and syncs of one kind alone, and these lines instead of the mapping of staff.
fn of_kind(kind: &str, map: Value) -> Value {
    let mut configuration = everything();
    configuration["targets"].as_object_mut().expect("targets").retain(|name, _| name == kind);
    let syncs = configuration["syncs"].as_object_mut().expect("syncs");
    syncs.retain(|name, _| name == "staff");
    syncs["staff"] = json!({ "source": "file", "target": kind, "map": map });
    configuration
}

#[test]
fn fields_that_a_kind_does_not_have_are_refused() {
    let judge = judge();
    for (kind, field, is_right) in [
        ("juno", "email", true),
        ("juno", "dimensions.101", true),
        ("juno", "emial", false),
        ("juno", "titel", false),
        ("juno", "id", false),
        ("juno", "dimensions.x", false),
        ("juicebox", "email", true),
        ("juicebox", "client_id", false),
        ("scim", "userName", true),
        ("scim", "usrName", false),
        ("scim", "emails[type eq \"work\"].value", true),
        ("scim", "urn:ietf:params:scim:schemas:extension:acme:2.0:User:badge", true),
        ("scim", "first_name", false),
        // Administrators add fields there, and an own definition has its own.
        ("longjump", "shoe_size__c", true),
        ("own", "emial", true),
    ] {
        let complaint = judge.complaint(&of_kind(kind, json!({ field: "id" })));
        assert_eq!(complaint.is_none(), is_right, "{kind}.{field}: {complaint:?}");
    }
    // Of several kinds: a field of any of them may be meant; with an own definition beside them, anything may.
    let with = |names: &[&str], field: &str| {
        let mut configuration = of_kind("juno", json!({ field: "id" }));
        let all = everything();
        for name in names {
            configuration["targets"][*name] = all["targets"][*name].clone();
        }
        judge.complaint(&configuration).is_none()
    };
    assert!(with(&["juicebox", "scim"], "userName") && !with(&["juicebox", "scim"], "emial"));
    assert!(with(&["own"], "emial") && with(&["longjump"], "shoe_size__c"));
    for (key, value, is_right) in [
        ("match", json!(["email"]), true),
        ("match", json!(["emial"]), false),
        ("label", json!(["first_name", "id"]), true),
        ("label", json!(["nmae"]), false),
        ("release_on_ban", json!(["mail"]), false),
    ] {
        let mut configuration = of_kind("juno", json!({ "email": "id" }));
        configuration["syncs"]["staff"][key] = value.clone();
        assert_eq!(judge.complaint(&configuration).is_none(), is_right, "{key} = {value}");
    }
}

/// Mistakes of form: schedules, zones, addresses, durations, rates, sizes, limits.
#[test]
fn an_editor_underlines_what_is_written_wrong() {
    let judge = judge();
    for (pointer, right, wrong) in [
        (
            "/syncs/staff/schedule",
            &["0 */15 * * * *", "0 3 * * mon-fri"][..],
            &["0 0 25 * * *", "@daily", "60 3 * * *"][..],
        ),
        ("/syncs/staff/reconcile_schedule", &["30 3 * * 0"], &["0 3 * * Lundi", "daily"]),
        ("/syncs/staff/timezone", &["Europe/Zurich", "UTC"], &["Zurich", "Europe/Zürich", "+01:00", "europe/zurich"]),
        ("/targets/juno/base_url", &["https://a.example.com/api", "HTTP://127.0.0.1:1"], &["a.example.com", "ftp://a"]),
        ("/targets/juno/proxy", &["http://proxy:3128"], &["proxy:3128"]),
        ("/targets/scim/auth/token_url", &["https://a.example.com/t"], &["a.example.com/t"]),
        ("/sources/cursor/url", &["https://a.example.com/t"], &["a.example.com/t", "file:///x"]),
        ("/server/listen", &["127.0.0.1:9464", "[::1]:9464"], &["9464", "localhost:9464", "127.0.0.1"]),
        ("/targets/juno/rate", &["10/s", "600/min"], &["10", "10/sec", "0/s", "10 per second"]),
        ("/targets/juno/timeout", &["30s", "15m"], &["30", "30 seconds", "-1s"]),
        ("/sources/cursor/max_page", &["64MB", "1GiB"], &["64", "64 megs"]),
        ("/syncs/staff/limits/ban", &["5%", "20", "unlimited"], &["101%", "ten", "5 percent"]),
        ("/state/keep_outcomes", &["180d"], &["half a year"]),
    ] {
        let complaint = |text: &str| {
            let mut configuration = everything();
            let (above, key) = split(pointer);
            configuration.pointer_mut(above).expect("a table")[key] = json!(text);
            judge.complaint(&configuration)
        };
        for text in right {
            assert_eq!(complaint(text), None, "{pointer} = {text}");
        }
        for text in wrong {
            assert!(complaint(text).is_some(), "{pointer} = {text}");
        }
    }
}

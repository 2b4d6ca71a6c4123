//! Answers that are pages of a list, and the requests that follow from them.

use super::*;

#[test]
fn pages_in_every_wrapping_and_the_request_for_the_next() {
    let options = "page_size = 2".parse().expect("TOML");
    let engine = Engine::builtin("juno", &options).expect("a definition");
    let two = r#"[{"id": 1}, {"id": 2, "client_id": "E2"}]"#;
    let first = engine.list();
    for body in [two.to_string(), format!(r#"{{"users": {two}}}"#), format!(r#"{{"data": {two}}}"#)] {
        let page = engine.page(&first, &answer(200, &body)).expect("a page");
        let ids: Vec<&str> = page.accounts.iter().map(|account| account.remote_id.as_str()).collect();
        assert_eq!(ids, ["1", "2"]);
        assert_eq!(page.accounts[1].key.as_deref(), Some("E2"));
        let second = page.next.expect("a next page");
        assert_eq!(second.path, "/users?page=2&per_page=2");
        assert_eq!((&second.method, &second.headers), (&first.method, &first.headers));
        let third = engine.page(&second, &answer(200, &body)).expect("a page").next.expect("a next page");
        assert_eq!(third.path, "/users?page=3&per_page=2");
    }
    for last in ["[]", r#"[{"id": 3}]"#] {
        assert_eq!(engine.page(&first, &answer(200, last)).expect("a page").next, None, "{last}");
    }
    let found = engine.page(&engine.find("email", "a@b.c").expect("a look-up"), &answer(200, two)).expect("a page");
    assert_eq!((found.accounts.len(), found.next), (2, None), "nothing is discarded, and a look-up has one page");
}

#[test]
fn a_look_up_can_have_pages_of_its_own() {
    let text = Engine::builtin_text("juno").expect("text").replace(
        r#"fields = ["client_id", "email"]"#,
        r#"fields = ["email"]
           paging = { style = "offset", param = "$skip", size_param = "per_page", size = 1 }"#,
    );
    let engine = Engine::from_definition("t.toml", &text, &toml::Table::new()).expect("a definition");
    let request = engine.find("email", "a@b.c").expect("a look-up");
    assert_eq!(request.path, "/users?email=a%40b.c&%24skip=0&per_page=1");
    let next = engine.page(&request, &answer(200, r#"[{"id": 1}]"#)).expect("a page").next.expect("a next page");
    assert_eq!(next.path, "/users?email=a%40b.c&%24skip=1&per_page=1");
    assert_eq!(engine.page(&next, &answer(200, "[]")).expect("a page").next, None);
    assert_eq!(engine.page(&engine.list(), &answer(200, r#"[{"id": 1}]"#)).expect("a page").next, None);

    let text = Engine::builtin_text("juno").expect("text").replace(
        r#"style = "page", param = "page", start = 1, size_param = "per_page", size_option = "page_size""#,
        r#"style = "offset", param = "$skip", size = 1"#,
    );
    let engine = Engine::from_definition("t.toml", &text, &toml::Table::new()).expect("a definition");
    let next = engine.page(&engine.list(), &answer(200, r#"[{"id": 1}]"#)).expect("a page").next.expect("a next page");
    assert_eq!(next.path, "/users?%24skip=1");
    let next = engine.page(&next, &answer(200, r#"[{"id": 1}]"#)).expect("a page").next.expect("a next page");
    assert_eq!(next.path, "/users?%24skip=2");
}

/// A listing that goes on as `paging` says, its look-up being under the same path.
fn paged(paging: &str) -> Engine {
    let text = Engine::builtin_text("juno").expect("text").replace(
        r#"style = "page", param = "page", start = 1, size_param = "per_page", size_option = "page_size""#,
        paging,
    );
    Engine::from_definition("t.toml", &text, &toml::Table::new()).expect("a definition")
}

#[test]
fn cursors_and_links_lead_to_the_next_page_and_nowhere_else() {
    let two = r#""users": [{"id": 1}, {"id": 2}]"#;
    let cursor =
        paged(r#"style = "cursor", param = "after", pointer = "/meta/next", size_param = "per_page", size = 2"#);
    let first = cursor.list();
    assert_eq!(first.path, "/users?per_page=2");
    let next = |from: &ApiRequest, told: &str| {
        cursor.page(from, &answer(200, &format!(r#"{{{two}, "meta": {{"next": {told}}}}}"#))).map(|page| page.next)
    };
    let second = next(&first, r#""a b&c""#).expect("a page").expect("a next page");
    assert_eq!(second.path, "/users?per_page=2&after=a%20b%26c");
    assert_eq!(next(&second, "7").expect("a page").expect("a next page").path, "/users?per_page=2&after=7");
    for end in ["null", "\"\"", "false"] {
        assert_eq!(next(&second, end).expect("a page"), None, "{end}");
    }
    assert!(next(&second, r#""a b&c""#).is_err(), "the cursor of this very page");
    assert!(next(&second, "[1]").is_err());
    assert_eq!(cursor.page(&first, &answer(200, &format!("{{{two}}}"))).expect("a page").next, None);

    let follow = paged(r#"style = "next", pointer = "/next""#);
    let first = follow.list();
    let next =
        |told: &str| follow.page(&first, &answer(200, &format!(r#"{{{two}, "next": {told}}}"#))).map(|page| page.next);
    let second = next(r#""https://elsewhere.example/secrets?page=2#x""#).expect("a page").expect("a next page");
    assert_eq!(second.path, "/users?page=2", "of the link, the query counts");
    assert_eq!(next("null").expect("a page"), None);
    for wrong in ["7", r#""/users""#, r#""?a b""#] {
        assert!(next(wrong).is_err(), "{wrong}");
    }

    let link = paged(r#"style = "link""#);
    let told = |header: &str| {
        let headers = vec![("link".to_string(), header.to_string())];
        link.page(&link.list(), &ApiResponse { headers, ..answer(200, &format!("{{{two}}}")) }).map(|page| page.next)
    };
    let second = told(r#"<https://x.example/users?page=1>; rel="prev", </users?page=3>; rel="next last""#);
    assert_eq!(second.expect("a page").expect("a next page").path, "/users?page=3");
    assert_eq!(told(r#"</users?page=1>; rel="first""#).expect("a page"), None);
    assert!(told("page 3").is_err());
    // A look-up under the same path is none of the listing's pages.
    let found = link.find("email", "a@b.c").expect("a look-up");
    let headers = vec![("link".to_string(), r#"</users?page=2>; rel="next""#.to_string())];
    assert_eq!(link.page(&found, &ApiResponse { headers, ..answer(200, "[]") }).expect("a page").next, None);
}

#[test]
fn what_is_no_page_is_never_an_empty_one() {
    for (status, body, expected) in [
        (200, "", "unclear protocol"),
        (200, "{}", "unclear protocol"),
        (200, r#"[{"id": 1}, {"id":"#, "unclear protocol"),
        (200, r#"[{"id": 1}, {"email": "x@y.z"}]"#, "unclear protocol"),
        (200, "<html>", "unclear protocol"),
        (404, "{}", "refused refused"),
        (401, "", "log in"),
        (503, "", "slow None"),
    ] {
        for request in [juno().list(), juno().find("client_id", "E1").expect("a look-up")] {
            let verdict = juno().page(&request, &answer(status, body)).expect_err("no page");
            assert_eq!(word(&verdict), expected, "{status} {body}");
        }
    }
}

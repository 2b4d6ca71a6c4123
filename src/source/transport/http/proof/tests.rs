//! Signs of a further page, and when they count.

use serde_json::json;

use super::super::tests::{BodyFormat, settings};
use super::*;
use crate::source::format::json::{Places, Pointer, skim};

fn found(pagination: Pagination, link: Option<&str>, body: &serde_json::Value) -> Vec<String> {
    let next = match &pagination {
        Pagination::Next { pointer } | Pagination::Cursor { pointer, .. } => Some(Pointer::parse(pointer)),
        _ => None,
    };
    let settings = HttpSettings { pagination, ..settings(BodyFormat::Json) };
    let mut headers = HeaderMap::new();
    if let Some(link) = link {
        headers.append(header::LINK, link.parse().expect("a header"));
    }
    let places = Places { records: Pointer::parse("/data"), next, ..Places::default() };
    let skimmed = skim(body.to_string().as_bytes(), &places).expect("a page");
    let url = Url::parse("https://hr.example.com/p?since=7").expect("an address");
    let progress = Progress { url: &url, arrived: skimmed.count, declared: None };
    signs(&settings, &headers, &skimmed, &progress).iter().map(|sign| says_more(&settings, sign)).collect()
}

#[test]
fn what_is_configured_and_present_decides_and_what_is_absent_lets_the_others_speak() {
    let cursor = || Pagination::Cursor { pointer: "/next_cursor".into(), param: "c".into(), size: None };
    let page = || Pagination::Page { param: "p".into(), start: 1, size: None };
    let link = Some("</p2>; rel=next");
    for (pagination, link, body, count) in [
        (Pagination::None, None, json!({ "data": [1] }), 0),
        (Pagination::None, link, json!({ "data": [1] }), 1),
        (Pagination::None, Some("</p2>; rel=last"), json!({ "data": [1] }), 0),
        (Pagination::None, Some("nonsense"), json!({ "data": [1] }), 0),
        (Pagination::None, Some("<>; rel=next"), json!({ "data": [1] }), 0),
        (Pagination::None, None, json!({ "data": [1], "cursor": "x" }), 1),
        (Pagination::None, None, json!({ "data": [1], "cursor": "x", "has_more": false }), 0),
        (Pagination::None, None, json!({ "data": [1], "next": "/p", "has_more": false }), 1),
        (Pagination::None, None, json!({ "data": [1], "cursor": "x", "next": null }), 0),
        (Pagination::None, None, json!({ "data": [1], "meta": { "after": "2" } }), 1),
        (Pagination::None, None, json!({ "data": [1], "meta": { "after": "7" } }), 0),
        (Pagination::None, None, json!({ "data": [1], "meta": { "after": "2" }, "totalResults": 1 }), 0),
        (Pagination::None, None, json!({ "data": [1], "page_info": { "endCursor": "x" } }), 0),
        (Pagination::None, None, json!({ "data": [1], "page_info": { "endCursor": "x", "hasNextPage": true } }), 2),
        (Pagination::None, None, json!({ "data": [1], "next_token": "x" }), 1),
        (Pagination::Link, None, json!({ "data": [1], "cursors": { "after": "x" } }), 0),
        (Pagination::Link, None, json!({ "data": [1], "paging": { "next": { "after": "x" } } }), 1),
        (Pagination::Link, None, json!({ "data": [1], "nextToken": "x" }), 1),
        (cursor(), None, json!({ "data": [1], "paging": { "cursors": { "after": "x" } } }), 0),
        (Pagination::Link, None, json!({ "data": [1], "cursor": "x" }), 0),
        (Pagination::Link, None, json!({ "data": [1], "next_cursor": "x" }), 1),
        (cursor(), None, json!({ "data": [1], "next_cursor": null, "cursor": "x" }), 0),
        (cursor(), None, json!({ "data": [1], "cursor": "x" }), 1),
        (cursor(), link, json!({ "data": [1], "next_cursor": "" }), 1),
        (cursor(), None, json!({ "data": [1], "next_cursor": "", "hasMore": "true" }), 1),
        (page(), link, json!({ "data": [], "next": "/p", "next_page": 9 }), 0),
        (page(), None, json!({ "data": [], "has_more": true }), 1),
        (page(), None, json!({ "data": [1], "next": "/p" }), 1),
        (page(), None, json!({ "data": [1], "totalResults": 1 }), 0),
        (page(), None, json!({ "data": [1], "totalResults": 2 }), 1),
    ] {
        let told = found(pagination.clone(), link, &body);
        assert_eq!(told.len(), count, "{pagination:?} {link:?} {body}: {told:?}");
    }
}

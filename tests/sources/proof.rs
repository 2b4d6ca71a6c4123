//! What a read over HTTP must prove before it is believed: that the list stood still, that there is no further page,
//! that nothing went wrong beside the records, that the answer came to its end, that the paging has one.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rosterd::sandbox::Op;
use serde_json::{Value, json};

use super::creates;
use super::export::{Asked, Export, Framing, Reply};
use super::gz;
use super::stage::{HEADER, file, http_source, over_http, people, person, put, refused, row, rows, run, set_source};
use crate::support::{Home, Sim};

const NONE: &[(&str, &str)] = &[];

/// Pages by a Link header: these people each, and this total.
fn pages(pages: Vec<(Vec<Value>, Value)>) -> impl Fn(&Asked) -> Reply + Send + Sync {
    move |asked| {
        let page: usize = asked.param("page").and_then(|p| p.parse().ok()).unwrap_or(0);
        let (records, total) = &pages[page];
        let reply = Reply::json(&json!({ "data": records, "meta": { "total": total } }));
        match page + 1 < pages.len() {
            true => reply.with("link", &format!("<?page={}>; rel=\"next\"", page + 1)),
            false => reply,
        }
    }
}

/// A home in step with forty people of this source.
fn in_step(sim: &Sim, export: &Export, lines: &str) -> Home {
    let home = over_http(sim, &export.url(), lines);
    home.run(&["sync"]).exits(0);
    export.taken();
    home
}

const LINKED: &str = "records = \"/data\"\npagination = { kind = \"link\" }";
const TOTALLED: &str = "records = \"/data\"\ntotal = \"/meta/total\"\npagination = { kind = \"link\" }";

#[test]
fn a_list_that_moved_between_two_pages_is_read_again_and_then_refused() {
    let sim = Sim::start();
    let export = Export::start(pages(vec![(people(1..=20), json!(40)), (people(21..=40), json!(40))]));
    let home = in_step(&sim, &export, TOTALLED);
    let mut edited = person(20);
    edited["title"] = json!("Head");
    let moved = [people(20..=38), vec![]].concat();
    let edited = [vec![edited], people(21..=39)].concat();
    for (name, second, declared, lines, part) in [
        ("with a total", people(20..=39), json!(40), TOTALLED, "E020 (pages 1 and 2)"),
        (
            "with a total, in figures",
            people(20..=39),
            json!(40),
            TOTALLED,
            "it declares 40 records, and 39 arrived in 40 rows",
        ),
        ("without a total", moved, json!(40), LINKED, "E020 (pages 1 and 2)"),
        ("and edited", edited.clone(), json!(40), LINKED, "E020 (pages 1 and 2)"),
        ("and edited, with a total", edited, json!(40), TOTALLED, "E020 (pages 1 and 2)"),
        ("the total falls", people(21..=39), json!(39), TOTALLED, "it declared 40 records on page 1 and 39 on page 2"),
        (
            "the total goes",
            people(21..=40),
            Value::Null,
            TOTALLED,
            "it declared 40 records on page 1 and none on page 2",
        ),
        ("more than declared", people(21..=42), json!(40), TOTALLED, "it declares 40 records, and 42 arrived"),
    ] {
        export.now(pages(vec![(people(1..=20), json!(40)), (second, declared)]));
        set_source(&home, &http_source(&export.url(), lines));
        refused(&home, &sim, name, NONE, 65, part);
        assert_eq!(export.taken().len(), 4, "{name}: two reads of two pages");
        refused(&home, &sim, name, &[("ROSTERD_SOURCES__HR__READS", "1")], 65, part);
        assert_eq!(export.taken().len(), 2, "{name}: one read");
    }
    // The numbers of rejected rows count as what they are: people who are there.
    let mut bad = people(21..=40);
    bad[3]["employee_id"] = json!([]);
    export.now(pages(vec![(people(1..=20), json!(40)), (bad, json!(40))]));
    set_source(&home, &http_source(&export.url(), TOTALLED));
    assert_eq!(home.run(&["plan"]).code, 0);
}

#[test]
fn a_list_that_stood_still_the_second_time_is_believed_and_nothing_of_the_first_is_left() {
    let sim = Sim::start();
    let export = Export::start(pages(vec![(people(1..=20), json!(40)), (people(21..=40), json!(40))]));
    let home = in_step(&sim, &export, TOTALLED);
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let torn = pages(vec![(people(1..=20), json!(40)), (people([20, 22, 23]), json!(40))]);
    let still = pages(vec![(people(2..=20), json!(40)), (people(21..=41), json!(40))]);
    export.now(move |request| if count.fetch_add(1, Ordering::SeqCst) < 2 { torn(request) } else { still(request) });
    let counts = home.run_json(&["sync"]).exits(0).the_run()["counts"].clone();
    assert_eq!((&counts["ban"]["ok"], &counts["create"]["ok"]), (&json!(1), &json!(1)), "{counts}");
    assert_eq!(export.taken().len(), 4);
    // A repeated row on one page is nobody's move, nor is the whole list on one page.
    let doubled = [people(2..=41), people(5..=5)].concat();
    export.now(pages(vec![(doubled, json!(40))]));
    assert_eq!(home.run_json(&["sync"]).exits(0).the_run()["planned"], json!({}));
    // A total in a header, of any format.
    let lines = |n: usize| people(2..=n).iter().map(|p| format!("{p}\n")).collect::<String>();
    for (format, body) in [("ndjson", lines(41)), ("csv", file(2..=41)), ("json", json!(people(2..=41)).to_string())] {
        let section = format!("format = \"{format}\"\ntotal = {{ header = \"X-Total-Count\" }}");
        set_source(&home, &http_source(&export.url(), &section));
        let whole = body.clone();
        export.now(move |_| Reply::of("text/plain", whole.clone()).with("x-total-count", "40"));
        assert_eq!(home.run_json(&["sync"]).exits(0).the_run()["planned"], json!({}), "{format}");
        let whole = body.clone();
        export.now(move |_| Reply::of("text/plain", whole.clone()).with("x-total-count", "41"));
        refused(&home, &sim, format, NONE, 65, "it declares 41 records, and 40 arrived");
        export.now(move |_| Reply::of("text/plain", body.clone()));
        refused(&home, &sim, format, NONE, 65, "there is no number in the header X-Total-Count");
    }
}

#[test]
fn an_answer_that_begins_to_be_paged_is_refused_with_the_setting_to_write() {
    let sim = Sim::start();
    let export = Export::start(|_| Reply::json(&json!({ "data": people(1..=40) })));
    let home = in_step(&sim, &export, "records = \"/data\"");
    let beside = |more: Value| {
        let mut body = json!({ "data": people(1..=35) });
        body.as_object_mut().expect("one").extend(more.as_object().expect("one").clone());
        Reply::json(&body)
    };
    let plain = || beside(json!({}));
    let url = "https://hr.example.com/p?offset=35";
    let cases: Vec<(Reply, &str)> = vec![
        (plain().with("link", "</p?offset=35>; rel=\"next\""), "write pagination = { kind = \\\"link\\\" }"),
        (plain().with("link", "</p>; rel=prev").with("link", "<?offset=35>; rel=next"), "kind = \\\"link\\\""),
        (plain().with("x-next-page", "2"), "name = \\\"x-next-page\\\", param = \\\"page\\\""),
        (beside(json!({ "next": url })), "kind = \\\"next\\\", pointer = \\\"/next\\\""),
        (beside(json!({ "@odata.nextLink": url })), "pointer = \\\"/@odata.nextLink\\\""),
        (beside(json!({ "links": { "next": "?page=2" } })), "pointer = \\\"/links/next\\\""),
        (beside(json!({ "_links": { "next": { "href": url } } })), "pointer = \\\"/_links/next/href\\\""),
        (
            beside(json!({ "meta": { "next_cursor": "abc" } })),
            "pointer = \\\"/meta/next_cursor\\\", param = \\\"cursor\\\"",
        ),
        (beside(json!({ "nextPageToken": "abc" })), "param = \\\"pageToken\\\""),
        (beside(json!({ "cursor": "abc" })), "pointer = \\\"/cursor\\\""),
        (
            beside(json!({ "meta": { "after": "2" } })),
            "pointer = \\\"/meta/after\\\", param = \\\"after\\\" }; if this is all there is, write",
        ),
        (beside(json!({ "paging": { "cursors": { "after": "MTAx" } } })), "pointer = \\\"/paging/cursors/after\\\""),
        (
            beside(json!({ "page_info": { "endCursor": "x", "hasNextPage": true } })),
            "pointer = \\\"/page_info/endCursor\\\", param = \\\"after\\\"",
        ),
        (beside(json!({ "nextToken": "abc" })), "pointer = \\\"/nextToken\\\", param = \\\"nextToken\\\""),
        (beside(json!({ "continuationToken": "abc" })), "pointer = \\\"/continuationToken\\\""),
        (beside(json!({ "pagination": { "pageToken": 7 } })), "pointer = \\\"/pagination/pageToken\\\""),
        (beside(json!({ "_scroll_id": "abc" })), "param = \\\"scroll_id\\\""),
        (beside(json!({ "isLast": false })), "\\\"/isLast\\\" is false"),
        (beside(json!({ "next_page": 2 })), "kind = \\\"page\\\""),
        (beside(json!({ "has_more": true, "cursor": null })), "\\\"/has_more\\\" is true"),
        (beside(json!({ "paging": { "hasNextPage": true } })), "\\\"/paging/hasNextPage\\\" is true"),
        (beside(json!({ "links": [{ "rel": "self", "href": url }, { "rel": "next", "href": url }] })), "there is more"),
        (beside(json!({ "totalResults": 40 })), "totalResults is 40, and 35 arrived"),
    ];
    for (reply, part) in cases {
        let name = format!("{:?}", reply.headers);
        let answer = reply.clone();
        export.now(move |_| answer.clone());
        refused(&home, &sim, &name, NONE, 65, part);
        refused(&home, &sim, &name, NONE, 65, "no pagination is configured");
        let checked = home.run_json(&["check", "--connect"]).exits(65).json();
        let said = checked["errors"][0].to_string();
        assert!(said.contains(part), "{said}");
    }
    // Records have such fields of their own, and a document may say that there is no more in many ways.
    let own = |fields: Value| -> Vec<Value> {
        people(1..=40)
            .into_iter()
            .map(|mut p| {
                p.as_object_mut().expect("one").extend(fields.as_object().expect("one").clone());
                p
            })
            .collect()
    };
    let fields = json!({ "next": "/p", "has_more": true, "errors": ["e"], "success": false, "cursor": "c", "ok": false,
            "after": "2026-01-01", "pageToken": "p", "isLast": false });
    for quiet in [
        json!({ "next": null, "has_more": false, "cursor": "the last position" }),
        json!({ "page_info": { "endCursor": "abc", "hasNextPage": false }, "meta": { "after": null, "pageToken": "" } }),
        json!({ "meta": { "next_cursor": null, "after": "the last position" }, "page_info": { "endCursor": "abc" } }),
        json!({ "_scroll_id": "abc", "totalResults": 40 }),
        json!({ "other": { "after": "2" }, "filter": { "pageToken": "2" } }),
        json!({ "next": "", "links": {}, "_links": { "next": {} }, "nextPageToken": "" }),
        json!({ "next": {}, "links": { "next": null, "prev": "/p" }, "next_page": false, "next_cursor": 0 }),
        json!({ "meta": { "next": null, "page": 1 }, "totalResults": 40, "previous": "/p", "self": "/next" }),
    ] {
        let mut body = quiet.clone();
        body["data"] = json!(own(fields.clone()));
        export.now(move |_| Reply::json(&body).with("link", "</p>; rel=\"prev\", </>; rel=\"first\""));
        assert_eq!(home.run_json(&["plan"]).exits(0).json()["syncs"][0]["operations"], json!([]), "{quiet}");
    }
    // What was asked for comes back, everybody came who was declared, or somebody says that there is one page.
    let export_url = export.url();
    let asked = format!("{export_url}?after=E000&since=2026-01-01");
    for (url, lines, meta) in [
        (&asked, "", json!({ "after": "E000" })),
        (&asked, "", json!({ "after": "2026-01-01" })),
        (&export_url, "total = \"/meta/total\"", json!({ "after": "E040", "total": 40 })),
        (&export_url, "pagination = { kind = \"none\" }", json!({ "after": "E040" })),
    ] {
        set_source(&home, &http_source(url, &format!("records = \"/data\"\n{lines}")));
        let body = json!({ "data": people(1..=40), "meta": meta });
        export.now(move |_| Reply::json(&body));
        assert_eq!(home.run_json(&["plan"]).exits(0).json()["syncs"][0]["operations"], json!([]), "{url} {lines}");
    }
    // Of what is no mere position, `none` is no denial.
    for more in [json!({ "has_more": true }), json!({ "next": "/p" }), json!({ "nextToken": "x" })] {
        export.now(move |_| beside(more.clone()));
        refused(&home, &sim, "none", NONE, 65, "there is more");
    }
    set_source(&home, &http_source(&export.url(), ""));
    export.now(move |_| Reply::json(&json!(own(fields.clone()))));
    assert_eq!(home.run_json(&["plan"]).exits(0).json()["syncs"][0]["operations"], json!([]));
    // Text and lines can say so in a header only.
    for (format, body) in [("csv", file(1..=35)), ("ndjson", people(1..=35).iter().map(|p| format!("{p}\n")).collect())]
    {
        set_source(&home, &http_source(&export.url(), &format!("format = \"{format}\"")));
        export.now(move |_| Reply::of("text/plain", body.clone()).with("link", "<?page=2>; rel=next"));
        refused(&home, &sim, format, NONE, 65, "kind = \\\"link\\\"");
    }
}

#[test]
fn a_mark_of_the_next_page_that_was_renamed_is_no_end() {
    let sim = Sim::start();
    let export = Export::start(|_| Reply::json(&json!({ "data": people(1..=40) })));
    let lines =
        "records = \"/data\"\npagination = { kind = \"cursor\", pointer = \"/next_cursor\", param = \"after\" }";
    let home = in_step(&sim, &export, lines);
    export.now(|_| Reply::json(&json!({ "data": people(1..=35), "nextCursor": "x" })));
    refused(&home, &sim, "another name", NONE, 65, "pointer = \\\"/nextCursor\\\"");
    refused(&home, &sim, "another name", NONE, 65, "what pagination names, \\\"/next_cursor\\\", does not lead there");
    export.now(|_| Reply::json(&json!({ "data": people(1..=35), "next_cursor": null, "has_more": true })));
    refused(&home, &sim, "it contradicts itself", NONE, 65, "\\\"/has_more\\\" is true");
    // The last position, which is no next one.
    let halves = |asked: &Asked| match asked.param("after") {
        None => Reply::json(&json!({ "data": people(1..=20), "next_cursor": "a", "has_more": true })),
        Some(_) => Reply::json(&json!({ "data": people(21..=40), "next_cursor": "b", "has_more": false })),
    };
    export.now(halves);
    assert_eq!(home.run_json(&["plan"]).exits(0).json()["syncs"][0]["operations"], json!([]));
    assert_eq!(export.taken().len(), 5);
    // By counting: an empty page is the end, whatever address it makes up.
    for kind in ["page", "offset"] {
        let lines = format!("records = \"/data\"\npagination = {{ kind = \"{kind}\", param = \"p\" }}");
        set_source(&home, &http_source(&export.url(), &lines));
        export.now(|asked| {
            let there =
                matches!(asked.param("p").as_deref(), Some("0" | "1") if asked.param("p").as_deref() != Some("40"));
            let records = if there { people(1..=40) } else { vec![] };
            Reply::json(&json!({ "data": records, "next": "?p=99" }))
        });
        assert_eq!(home.run_json(&["plan"]).exits(0).json()["syncs"][0]["operations"], json!([]), "{kind}");
    }
    // The declared total is there, and so is a next page: it is looked at.
    set_source(
        &home,
        &http_source(
            &export.url(),
            "records = \"/data\"\ntotal = \"/n\"\npagination = { kind = \"page\", param = \"p\" }",
        ),
    );
    export.taken();
    export.now(|asked| {
        let records = if asked.param("p").as_deref() == Some("1") { people(1..=40) } else { vec![] };
        Reply::json(&json!({ "data": records, "n": 40, "next": "?p=99" }))
    });
    assert_eq!(home.run_json(&["plan"]).exits(0).json()["syncs"][0]["operations"], json!([]));
    assert_eq!(export.taken().len(), 2);
}

#[test]
fn errors_beside_the_records_make_an_answer_incomplete() {
    let sim = Sim::start();
    let export = Export::start(|_| Reply::json(&json!({ "data": people(1..=40) })));
    let home = in_step(&sim, &export, "records = \"/data\"");
    let with = |more: &Value, numbers: std::ops::RangeInclusive<usize>| {
        let mut body = json!({ "data": people(numbers) });
        body.as_object_mut().expect("one").extend(more.as_object().expect("one").clone());
        Reply::json(&body)
    };
    for (more, part) in [
        (json!({ "errors": [{ "message": "p7@acme.com timeout" }] }), "it holds \\\"errors\\\""),
        (json!({ "errors": "p7@acme.com" }), "it holds \\\"errors\\\""),
        (json!({ "errors": { "E7": "late" } }), "it holds \\\"errors\\\""),
        (json!({ "error": { "code": 504 } }), "it holds \\\"error\\\""),
        (json!({ "error": true }), "it holds \\\"error\\\""),
        (json!({ "error": "late" }), "it holds \\\"error\\\""),
        (json!({ "success": false }), "\\\"success\\\" is not true"),
        (json!({ "ok": false }), "\\\"ok\\\" is not true"),
    ] {
        let reply = with(&more, 1..=39);
        export.now(move |_| reply.clone());
        refused(&home, &sim, &more.to_string(), NONE, 65, part);
        home.run(&["check", "--connect"]).exits(65);
        // On a later page too.
        set_source(&home, &http_source(&export.url(), LINKED));
        let (first, second) = (with(&json!({}), 1..=20), with(&more, 21..=39));
        export.now(move |asked| match asked.param("page") {
            None => first.clone().with("link", "<?page=1>; rel=next"),
            Some(_) => second.clone(),
        });
        refused(&home, &sim, &more.to_string(), NONE, 65, "after page 2: ");
        set_source(&home, &http_source(&export.url(), "records = \"/data\""));
    }
    for fine in [
        json!({ "errors": [], "error": null, "success": true, "ok": true }),
        json!({ "errors": null, "error": false, "success": null }),
        json!({ "errors": {}, "error": "", "warnings": ["w"] }),
        json!({ "errors": "", "error": 0, "status": "ok", "meta": { "errors": ["of a column"] } }),
    ] {
        let reply = with(&fine, 1..=40);
        export.now(move |_| reply.clone());
        assert_eq!(home.run_json(&["plan"]).exits(0).json()["syncs"][0]["operations"], json!([]), "{fine}");
    }
    // A place of one's own.
    set_source(&home, &http_source(&export.url(), "records = \"/data\"\nsuccess = \"/meta/done\""));
    for (meta, good) in [
        (json!({ "done": true }), true),
        (json!({ "done": false }), false),
        (json!({}), false),
        (json!({ "done": "yes" }), false),
    ] {
        let reply = with(&json!({ "meta": meta }), 1..=40);
        export.now(move |_| reply.clone());
        match good {
            true => assert_eq!(home.run(&["plan"]).code, 0),
            false => refused(&home, &sim, &meta.to_string(), NONE, 65, "which success says must be true"),
        }
    }
}

#[test]
fn an_answer_whose_end_nothing_shows_bans_nobody() {
    let sim = Sim::start();
    let export = Export::start(|_| Reply::of("text/csv", file(1..=40)));
    let home = in_step(&sim, &export, "format = \"csv\"");
    let lines = |n: usize| people(1..=n).iter().map(|p| format!("{p}\n")).collect::<String>();
    let part = |n: usize| format!("{}{}", file(1..=n), row(50));
    let mark = sim.mark();
    for (format, body) in [("csv", part(32)), ("ndjson", lines(32))] {
        set_source(&home, &http_source(&export.url(), &format!("format = \"{format}\"")));
        export.now(move |_| Reply::of("text/plain", body.clone()).framed(Framing::Close));
        for policy in ["stop", "no-bans"] {
            let ran = run(&home, &["sync"], &[("ROSTERD_SOURCES__HR__ON_INCOMPLETE", policy)]).exits(75);
            assert_eq!(ran.json()["runs"][0]["status"], "partial", "{format} {policy}");
        }
        assert_eq!(sim.committed_since(mark, Op::Ban), 0, "{format}");
        let status = home.run_json(&["status"]).exits(0).json();
        let reason = status["syncs"][0]["reason"].as_str().unwrap_or_default();
        assert!(reason.contains("came without a length") && reason.contains("total = { header"), "{reason}");
        let checked = home.run_json(&["check", "--connect"]).exits(0).json();
        assert!(checked["sources"][0]["unproven"].as_str().is_some_and(|why| why.contains("without a length")));
    }
    assert_eq!(sim.committed_since(mark, Op::Create), 1, "what arrived is used");
    // Shown by a length, by chunks, by a total, by the document itself; packed or not.
    let whole = || file(1..=31);
    let cases: Vec<(&str, Reply)> = vec![
        ("format = \"csv\"", Reply::of("text/csv", whole())),
        ("format = \"csv\"", Reply::of("text/csv", whole()).framed(Framing::Chunks)),
        ("format = \"csv\"", Reply::of("text/csv", gz(whole().as_bytes())).with("content-encoding", "gzip")),
        (
            "format = \"csv\"",
            Reply::of("text/csv", gz(whole().as_bytes())).with("content-encoding", "gzip").framed(Framing::Chunks),
        ),
        ("format = \"csv\"", Reply::of("application/gzip", gz(whole().as_bytes()))),
        (
            "format = \"csv\"\ntotal = { header = \"X-Total\" }",
            Reply::of("text/csv", whole()).framed(Framing::Close).with("x-total", "31"),
        ),
        (
            "format = \"csv\"\ntrailer = \"^TOTAL;([0-9]+)$\"",
            Reply::of("text/csv", format!("{}TOTAL;31\n", whole())).framed(Framing::Close),
        ),
        ("format = \"ndjson\"", Reply::of("text/plain", lines(31)).framed(Framing::Chunks)),
        ("", Reply::json(&json!(people(1..=31))).framed(Framing::Close)),
    ];
    for (lines, reply) in cases {
        set_source(&home, &http_source(&export.url(), lines));
        let told = format!("{lines} {:?}", reply.framing);
        export.now(move |_| reply.clone());
        let plan = home.run_json(&["plan"]).exits(0).json();
        assert_eq!(plan["syncs"][0]["counts"]["ban"], 10, "{told}: {}", plan["syncs"][0]["counts"]);
    }
    // A member of a union proves as much as the union does.
    let web = http_source(&export.url(), "format = \"csv\"").replace("sources.hr", "sources.web");
    put(&home, "rest.csv", format!("{HEADER}{}", rows(38..=40)));
    let rest = "[sources.rest]\nkind = \"csv\"\npath = \"rest.csv\"\nkey = \"employee_id\"\n";
    set_source(&home, &format!("[sources.hr]\nkind = \"union\"\nmembers = [\"web\", \"rest\"]\n{web}{rest}"));
    let mark = sim.mark();
    export.now(|_| Reply::of("text/csv", file(1..=31)).framed(Framing::Close));
    run(&home, &["sync"], NONE).exits(75);
    assert_eq!(sim.committed_since(mark, Op::Ban), 0);
}

#[test]
fn a_paging_that_brings_nobody_new_is_ended() {
    let sim = Sim::start();
    let export = Export::start(|_| Reply::json(&json!({ "data": people(1..=40) })));
    let cursor = "records = \"/data\"\npagination = { kind = \"cursor\", pointer = \"/next\", param = \"after\" }";
    let home = in_step(&sim, &export, cursor);
    let number = |asked: &Asked| asked.param("after").and_then(|n| n.parse::<usize>().ok()).unwrap_or(0);
    export.now(move |asked| {
        let page = number(asked);
        let records = if page == 0 { people(1..=40) } else { vec![] };
        Reply::json(&json!({ "data": records, "next": (page + 1).to_string() }))
    });
    refused(&home, &sim, "empty pages", NONE, 65, "pages 2 to 4 brought nobody new");
    assert!(export.taken().len() <= 5, "as good as at once");
    export.now(move |asked| Reply::json(&json!({ "data": [], "next": (number(asked) + 1).to_string() })));
    refused(&home, &sim, "nothing at all", NONE, 65, "pages 1 to 3 brought nobody new");
    assert!(export.taken().len() <= 4);
    // Two empty pages in a row are those of a filter.
    export.now(move |asked| {
        let page = number(asked);
        let records = if page % 3 == 0 { people(page / 3 * 20 + 1..=page / 3 * 20 + 20) } else { vec![] };
        let next = (page < 3).then(|| (page + 1).to_string());
        Reply::json(&json!({ "data": records, "next": next }))
    });
    assert_eq!(creates(&home), 0);
    assert_eq!(export.taken().len(), 4);
    export.now(move |asked| {
        let page = number(asked);
        Reply::json(&json!({ "data": [person(page + 1)], "next": (page + 1).to_string() }))
    });
    refused(&home, &sim, "too many", &[("ROSTERD_SOURCES__HR__MAX_PAGES", "6")], 65, "there are more than 6 pages");
    assert_eq!(export.taken().len(), 6);
}

#[test]
fn pages_come_no_faster_than_twenty_a_second_unless_told() {
    let sim = Sim::start();
    let times = Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = Arc::clone(&times);
    let list = super::linked(people(1..=14), 1);
    let export = Export::start(move |asked| {
        seen.lock().expect("not poisoned").push(std::time::Instant::now());
        list(asked)
    });
    let home = over_http(&sim, &export.url(), LINKED);
    assert_eq!(creates(&home), 14);
    let times = times.lock().expect("not poisoned");
    let took = times[13].duration_since(times[0]);
    assert!(took >= std::time::Duration::from_millis(500), "fourteen pages in {took:?}");
}

#[test]
fn a_trailer_is_no_row_and_counts_those_before_it() {
    let sim = Sim::start();
    let home = Home::juno(&sim.juno());
    let section =
        "[sources.hr]\nkind = \"csv\"\npath = \"hr.csv\"\nkey = \"employee_id\"\ntrailer = \"^TOTAL;([0-9]+)\"\n";
    set_source(&home, section);
    put(&home, "hr.csv", format!("{}TOTAL;40;\r\n\r\n", file(1..=40)));
    home.run(&["sync"]).exits(0);
    assert_eq!(sim.users().len(), 40);
    for (name, text, part) in [
        ("missing", file(1..=40), "it has no trailer"),
        ("cut off between two rows", file(1..=32), "it has no trailer"),
        ("cut off inside it", format!("{}TOTAL;", file(1..=40)), "cut off inside the row on line 42"),
        (
            "cut off inside its number",
            format!("{}TOTAL;4", file(1..=40)),
            "its trailer counts 4 rows, and 40 came before it",
        ),
        ("another number", format!("{}TOTAL;40\n", file(1..=39)), "its trailer counts 40 rows, and 39 came before it"),
        ("not the last", format!("{HEADER}TOTAL;40\n{}", rows(1..=40)), "it has no trailer"),
    ] {
        put(&home, "hr.csv", text);
        refused(&home, &sim, name, NONE, 65, part);
    }
    let plan = |home: &Home| home.run_json(&["plan"]).exits(0).json()["syncs"][0]["operations"].clone();
    // Rejected rows are rows, and so is one that repeats another.
    put(&home, "hr.csv", format!("{}{}E1,x\nTOTAL;42", file(1..=40), row(7)));
    assert_eq!(plan(&home), json!([]));
    for (encoding, bytes) in [
        ("gzip", gz(format!("{}TOTAL;40", file(1..=40)).as_bytes())),
        ("utf-16", format!("{}TOTAL;40\n", file(1..=40)).encode_utf16().flat_map(u16::to_le_bytes).collect()),
    ] {
        let line = if encoding == "gzip" { String::new() } else { "encoding = \"utf-16le\"\n".to_string() };
        set_source(&home, &format!("{section}{line}"));
        put(&home, "hr.csv", bytes);
        assert_eq!(plan(&home), json!([]), "{encoding}");
    }
    // Over HTTP: after the last row, of all rows or of those of its page.
    let export = Export::start(|_| Reply::status(500));
    let lines = "format = \"csv\"\ntrailer = \"^TOTAL;([0-9]+)\"\npagination = { kind = \"page\", param = \"p\" }";
    set_source(&home, &http_source(&export.url(), lines));
    let paged = |ends: [&'static str; 2]| {
        move |asked: &Asked| {
            let text = match asked.param("p").as_deref() {
                Some("1") => format!("{}{}", file(1..=20), ends[0]),
                Some("2") => format!("{}{}", file(21..=40), ends[1]),
                _ => HEADER.to_string(),
            };
            Reply::of("text/csv", text).framed(Framing::Close)
        }
    };
    for (ends, good) in [
        (["", "TOTAL;40\n"], true),
        (["TOTAL;20\n", "TOTAL;20\n"], true),
        (["TOTAL;20\n", "TOTAL;40\n"], true),
        (["TOTAL;20\n", ""], false),
        (["", "TOTAL;41\n"], false),
        (["", ""], false),
    ] {
        export.now(paged(ends));
        match good {
            true => assert_eq!(plan(&home), json!([]), "{ends:?}"),
            false => refused(&home, &sim, &format!("{ends:?}"), NONE, 65, "trailer"),
        }
    }
    home.run(&["check", "--connect"]).exits(0);
    for (pattern, part) in [("TOTAL", "has 0 groups"), ("(a)(b)", "has 2 groups"), ("(", "is not a regular expression")]
    {
        set_source(&home, &section.replace("^TOTAL;([0-9]+)", pattern));
        assert!(home.run(&["check"]).exits(78).stdout.contains(part), "{pattern}");
    }
}

#[test]
fn where_people_have_several_rows_only_a_row_in_full_comes_once() {
    let sim = Sim::start();
    let export = Export::start(|_| Reply::status(500));
    let lines = format!("{TOTALLED}\nrows = \"many\"");
    let post = |n: usize, post: &str| {
        let mut person = person(n);
        person["post"] = json!(post);
        person
    };
    let list = move |second: &str| {
        let first = [people(1..=19), vec![post(20, "first")]].concat();
        pages(vec![(first, json!(40)), ([vec![post(20, second)], people(21..=39)].concat(), json!(40))])
    };
    export.now(list("second"));
    let home = in_step(&sim, &export, &lines);
    assert_eq!(sim.users().len(), 39);
    export.now(list("first"));
    refused(&home, &sim, "a row in full", NONE, 65, "rows of these keys came on two pages: E020 (pages 1 and 2)");
}

/// Servers of SCIM leave `Resources` out of a page that would be empty, such as the one behind the last.
#[test]
fn a_page_without_its_list_is_the_end_where_everybody_has_come() {
    let sim = Sim::start();
    let lines = "records = \"/Resources\"\npagination = { kind = \"offset\", param = \"startIndex\", start = 1 }";
    // Three a page; what a page behind the list says is told, and of how many there are.
    let server = |there: usize, total: Value, beyond: Value| {
        move |asked: &Asked| {
            let start: usize = asked.param("startIndex").and_then(|n| n.parse().ok()).unwrap_or(1);
            match (start..=there).take(3).map(person).collect::<Vec<_>>() {
                page if page.is_empty() => Reply::json(&beyond),
                page => Reply::json(&json!({ "totalResults": total, "Resources": page })),
            }
        }
    };
    let nothing = json!({ "totalResults": 7, "itemsPerPage": 0, "startIndex": 8 });
    let export = Export::start(server(7, json!(7), nothing.clone()));
    let home = in_step(&sim, &export, lines);
    assert_eq!(sim.users().len(), 7);
    for end in
        [nothing.clone(), json!({ "totalResults": 7, "Resources": null }), json!({}), json!({ "totalResults": 0 })]
    {
        export.now(server(7, json!(7), end.clone()));
        let plan = home.run_json(&["plan"]).exits(0).json()["syncs"][0].clone();
        assert_eq!((&plan["source_records"], &plan["operations"]), (&json!(7), &json!([])), "{end}");
    }
    for (name, there, total, end, part) in [
        ("one too few", 6, json!(7), nothing.clone(), "page 3 can't be read: there is no list of records"),
        ("nobody declares how many", 6, json!(null), json!({}), "page 3 can't be read: there is no list of records"),
        ("more are declared behind the end", 6, json!(6), nothing, "page 3 can't be read: there is no list of records"),
        ("something else", 7, json!(7), json!({ "Resources": { "id": 1 } }), "there is no list of records"),
        ("an error", 7, json!(7), json!({ "errors": ["E"] }), "something went wrong"),
        ("there is more", 7, json!(7), json!({ "has_more": true }), "there is more"),
        ("no page at all", 0, json!(0), json!({ "totalResults": 0 }), "there is no list of records"),
    ] {
        export.now(server(there, total, end));
        refused(&home, &sim, name, NONE, 65, part);
    }
    // The sandbox's own SCIM server does so, and a source can read it.
    let users = (1..=60).map(|n| json!({ "externalId": format!("S{n}"), "userName": format!("s{n}@acme.com") }));
    sim.seed_in("scim", users.collect());
    let url = format!("{}/scim/v2/Users", sim.url());
    let auth = "auth = { kind = \"bearer\", token = { file = \"juno.token\" } }";
    let home = over_http(&sim, &url, &format!("{auth}\n{lines}"));
    let text = std::fs::read_to_string(home.config()).expect("a configuration");
    let (head, _) = text.split_once("client_id =").expect("a mapping");
    let head = head.replace("include = 'status == \"active\"'", "").replace("required = [\"email\", \"status\"]", "");
    let head = head.replace("key = \"employee_id\"", "key = \"externalId\"");
    home.write("config/rosterd.toml", &format!("{head}client_id = \"externalId\"\nemail = \"userName\"\n"));
    let plan = home.run_json(&["plan"]).exits(0).json()["syncs"][0].clone();
    assert_eq!((&plan["source_records"], &plan["counts"]["create"]), (&json!(60), &json!(60)), "{plan:#}");
}

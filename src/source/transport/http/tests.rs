//! Pages without a network: whatever the records are and however they are cut into pages, none is lost or invented.

use std::io::BufReader;

use proptest::prelude::*;
use serde_json::{Value, json};
use url::Url;

use super::parse::look_through;
use super::*;
use crate::config::settings::{
    JsonSettings, OnIncomplete, RetrySettings, RowsPerPerson, SourceKind, TextSettings, TrustSettings,
};
use crate::domain::limits::Limit;
use crate::http::body::Body;
use crate::http::settings::{AuthSettings, NetworkSettings};
use crate::source::Intake;
use crate::source::trust::ReadStats;

/// What pages are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyFormat {
    Json,
    Ndjson,
    Csv,
}

pub(super) fn settings(format: BodyFormat) -> HttpSettings {
    let text = TextSettings { delimiter: b',', quote: b'"', encoding: "utf-8".into(), trailer: None };
    let second = std::time::Duration::from_secs(1);
    HttpSettings {
        url: Url::parse("http://127.0.0.1:1/").expect("an address").into(),
        format: match format {
            BodyFormat::Json => {
                FormatSettings::Json(JsonSettings { records: "/data".into(), ..JsonSettings::default() })
            }
            BodyFormat::Ndjson => FormatSettings::Ndjson,
            BodyFormat::Csv => FormatSettings::Csv(text),
        },
        auth: AuthSettings::None,
        pagination: Pagination::Link,
        one_page: false,
        total_header: None,
        reads: 1,
        max_pages: 1_000,
        max_page: 1_000_000,
        rate: "1000/s".parse().expect("a rate"),
        timeout: second,
        retry: RetrySettings { attempts: 1, base: second, max: second },
        network: NetworkSettings::default(),
    }
}

fn source(format: BodyFormat) -> SourceSettings {
    SourceSettings {
        name: "hr".into(),
        key: "id".into(),
        also_key: Vec::new(),
        required: Vec::new(),
        rows: RowsPerPerson::One,
        gate: TrustSettings {
            min_records: 0,
            max_shrink: Limit::Unlimited,
            max_rejected: Limit::Unlimited,
            max_age: None,
            on_incomplete: OnIncomplete::Stop,
        },
        kind: SourceKind::Http(Arc::new(settings(format))),
    }
}

/// Reads these pages; the last word on completeness, the records counted by the first look, and what came of it. As in
/// a run, a page that the first look refuses is not read.
fn parsed(format: BodyFormat, pages: &[Vec<u8>]) -> (Completeness, u64, Intake) {
    let source = source(format);
    let mut counting = settings(format);
    counting.pagination = Pagination::Offset { param: "from".into(), start: 0, size: None };
    let settings = settings(format);
    let wanted: BTreeSet<String> = ["mail".to_string()].into();
    let directory = tempfile::tempdir().expect("a directory");
    let mut sink = Sink::create(directory.path(), RowsPerPerson::One, None).expect("a spool");
    let mut last = Completeness::Complete;
    let mut counted = 0;
    {
        let mut parser = Parser::new(&source, &settings, &wanted, false);
        let mut take = |took: Piece<'_>| {
            if let Piece::Row(parsed) = took {
                sink.take(parsed)?;
            }
            Ok(ControlFlow::Continue(()))
        };
        for (n, page) in pages.iter().enumerate() {
            let body = Body::Memory(page.clone().into());
            last = match look_through(&body, &counting) {
                Err(why) => Completeness::Unusable(why),
                Ok(skimmed) => {
                    counted += skimmed.count;
                    let read = parser.page(n as u64 + 1, &body, &mut take);
                    read.unwrap_or_else(|failure| Completeness::Unusable(failure.message))
                }
            };
            if last != Completeness::Complete {
                break;
            }
        }
    }
    (last, counted, Intake::settled(sink, &wanted, ReadStats::default()).expect("settled"))
}

/// Records of a few keys, some of them repeated, contradicting or without a key.
fn record() -> impl Strategy<Value = Value> {
    let key = prop_oneof![
        "[ABC]".prop_map(Value::from),
        (0u8..9).prop_map(Value::from),
        Just(Value::Null),
        Just(json!([1])),
        "[a-z]{3}".prop_map(Value::from),
    ];
    prop_oneof![
        9 => (key, "[xy]").prop_map(|(id, mail)| json!({ "id": id, "mail": mail })),
        1 => Just(json!("nobody")),
    ]
}

fn page(format: BodyFormat, records: &[Value]) -> Vec<u8> {
    match format {
        BodyFormat::Json => json!({ "data": records }).to_string().into_bytes(),
        _ => records.iter().map(|record| format!("{record}\n")).collect::<String>().into_bytes(),
    }
}

/// A server on a thread of its own that answers each path with a page, in whatever order they are asked for, and tells
/// which were; it ends with the test.
struct Pages {
    port: u16,
    asked: Arc<std::sync::Mutex<Vec<String>>>,
}

impl Pages {
    /// Serves pages of so many records each, linked one to the next.
    fn of(pages: usize, records: usize) -> Pages {
        use std::io::{BufRead, Write};
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let asked = Arc::new(std::sync::Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming().take(pages) {
                let mut stream = stream.expect("a connection");
                let mut line = String::new();
                let mut lines = BufReader::new(stream.try_clone().expect("the same one"));
                lines.read_line(&mut line).expect("a request");
                let mut rest = String::new();
                while lines.read_line(&mut rest).is_ok_and(|n| n > 2) {
                    rest.clear();
                }
                let path = line.split(' ').nth(1).unwrap_or_default().to_string();
                let number: usize = path.trim_matches('/').parse().unwrap_or(1);
                log.lock().expect("the log").push(path);
                let records: Vec<Value> =
                    (0..records).map(|n| json!({"id": format!("{number}-{n}"), "mail": "x"})).collect();
                let body = json!({ "data": records }).to_string();
                let link = match number < pages {
                    true => format!("link: </{}>; rel=next\r\n", number + 1),
                    false => String::new(),
                };
                let length = body.len();
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n{link}\r\n");
                let _ = stream.write_all(format!("{head}{body}").as_bytes());
            }
        });
        Pages { port, asked }
    }

    fn asked(&self) -> usize {
        self.asked.lock().expect("the log").len()
    }
}

#[test]
fn the_next_page_is_fetched_while_one_is_consumed_and_no_more_than_that() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    const PAGES: usize = 6;
    let server = Pages::of(PAGES, 3);
    let mut settings = settings(BodyFormat::Json);
    settings.url = Url::parse(&format!("http://127.0.0.1:{}/1", server.port)).expect("an address").into();
    settings.timeout = std::time::Duration::from_secs(60);
    let source =
        Arc::new(SourceSettings { kind: SourceKind::Http(Arc::new(settings.clone())), ..source(BodyFormat::Json) });
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    let reading = move || {
        let mut rows = 0;
        let mut take = |took: Piece<'_>| {
            if let Piece::Row(_) = took {
                let page = rows / 3 + 1;
                rows += 1;
                // The server must see the next page asked for although this one is not consumed yet: the first
                // record of it waits for that.
                let begun = std::time::Instant::now();
                while server.asked() < (page + 1).min(PAGES) && begun.elapsed().as_secs() < 60 {
                    std::thread::sleep(std::time::Duration::from_millis(1));
                }
                assert_eq!(server.asked(), (page + 1).min(PAGES), "ahead of page {page}: one, and no more");
            }
            Ok(ControlFlow::Continue(()))
        };
        let wanted: BTreeSet<String> = ["mail".to_string()].into();
        let directory = tempfile::tempdir().expect("a directory");
        let fetcher = Arc::new(Fetcher::new(&source, &settings, directory.path()).expect("a fetcher"));
        let fetched = pass(&source, &Arc::new(settings), &wanted, (fetcher, None), u64::MAX, &mut take).expect("read");
        assert_eq!(fetched.completeness, Completeness::Complete);
        assert_eq!(rows, 3 * PAGES);
    };
    runtime.block_on(runtime.spawn_blocking(reading)).expect("nothing panicked");
}

proptest! {
    #![proptest_config(crate::domain::properties::cases(64))]

    #[test]
    fn however_it_is_cut_into_pages_every_record_is_counted_once(
        records in proptest::collection::vec(record(), 0..40),
        size in 1usize..15,
        lines in any::<bool>(),
    ) {
        let format = if lines { BodyFormat::Ndjson } else { BodyFormat::Json };
        let pages: Vec<Vec<u8>> = records.chunks(size).map(|chunk| page(format, chunk)).collect();
        let (completeness, counted, intake) = parsed(format, &pages);
        prop_assert_eq!(completeness, Completeness::Complete);
        prop_assert_eq!(counted, records.len() as u64);
        prop_assert_eq!(intake.stats().rows(), records.len() as u64);
        let (_, _, whole) = parsed(format, &[page(format, &records)]);
        let all = |intake: &Intake| intake.rows(None, 1_000).expect("rows");
        let told = |intake: &Intake| -> Vec<_> {
            all(intake).into_iter().map(|r| (r.key.to_string(), r.position.record, r.cells)).collect()
        };
        prop_assert_eq!(told(&intake), told(&whole), "pages make no difference");
        for row in all(&intake) {
            let of_key = |r: &&Value| r["id"].as_str().map(str::to_owned).or(r["id"].as_u64().map(|n| n.to_string()))
                .is_some_and(|id| id == row.key.as_str());
            let found: Vec<&Value> = records.iter().filter(of_key).collect();
            prop_assert!(found.iter().all(|r| row.rows().any(|cells| r["mail"] == cells[0])), "lost");
            prop_assert!(row.rows().all(|cells| found.iter().any(|r| r["mail"] == cells[0])), "invented");
        }
    }

    #[test]
    fn a_page_that_is_cut_is_never_the_end(records in proptest::collection::vec(record(), 1..9), cut in any::<prop::sample::Index>()) {
        let whole = page(BodyFormat::Json, &records);
        let (completeness, _, _) = parsed(BodyFormat::Json, &[whole[..cut.index(whole.len())].to_vec()]);
        prop_assert!(completeness != Completeness::Complete);
    }

    #[test]
    fn no_page_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        for format in [BodyFormat::Json, BodyFormat::Ndjson, BodyFormat::Csv] {
            let (_, _, intake) = parsed(format, std::slice::from_ref(&bytes));
            prop_assert!(intake.stats().rows() <= 300);
        }
    }
}

proptest! {
    #![proptest_config(crate::domain::properties::cases(200))]

    #[test]
    fn no_page_makes_reading_panic_and_the_two_looks_at_it_agree(
        format in prop::sample::select(vec![BodyFormat::Json, BodyFormat::Ndjson, BodyFormat::Csv]),
        page in crate::domain::mutated::of(
            [
                r#"{"data":[{"id":"A","mail":"x","more":{"a":[1,{"b":null}]}},{"id":2,"mail":"y"}],"next":"/p2","meta":{"total":2}}"#,
                "{\"id\":\"A\",\"mail\":\"x\"}\n{\"id\":2,\"mail\":[\"y\"]}\n\n{\"id\":\"C\"}\n",
                "id,mail,more\nA,x,\"a \"\"b\"\"\"\nB,y,\nC,\"z\nz\",1\n",
            ]
            .map(|text| text.as_bytes().to_vec())
            .to_vec(),
        ),
    ) {
        let (completeness, counted, intake) = parsed(format, std::slice::from_ref(&page));
        let stats = intake.stats();
        let arrived = stats.records + stats.further_rows + stats.duplicate_equal + stats.rejected_rows + stats.blank_rows;
        prop_assert!(arrived <= page.len() as u64 + 1);
        if completeness == Completeness::Complete {
            prop_assert_eq!(arrived, counted);
        }
    }
}

#[test]
fn where_only_the_first_look_sees_that_a_page_is_no_text_it_is_not_read() {
    // Of what stands beside the records the second look follows nothing, not even whether it is UTF-8.
    let mut page = br#"{"data":[{"id":"A","mail":"x"}],"next":"/p2","meta":{"?otal":2}}"#.to_vec();
    let at = page.iter().position(|byte| *byte == b'?').expect("the name");
    page[at] = 0x80;
    let (completeness, counted, _) = parsed(BodyFormat::Json, &[page]);
    assert!(matches!(completeness, Completeness::Unusable(_)), "{completeness:?}");
    assert_eq!(counted, 0);
}

/// A server on loopback that gives tokens at `/token` and one page elsewhere.
async fn export_with_tokens() -> String {
    use axum::routing::{get, post};
    let tokens = post(|| async { r#"{"access_token":"t","expires_in":3600}"# });
    let page = get(|| async { r#"{"data":[]}"# });
    let router = axum::Router::new().route("/token", tokens).route("/people", page);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
}

#[tokio::test]
async fn a_request_for_a_token_counts_towards_the_rate_of_the_source() {
    let base = export_with_tokens().await;
    let url = |path: &str| Url::parse(&format!("{base}{path}")).expect("an address");
    let auth = AuthSettings::OAuth2 {
        token_url: url("/token").into(),
        client_id: "me".into(),
        client_secret: crate::http::secret::Secret::Literal("s".to_string().into()),
        scope: None,
    };
    let settings = HttpSettings { url: url("/people").into(), auth, ..settings(BodyFormat::Json) };
    let directory = tempfile::tempdir().expect("a directory");
    let fetcher = Fetcher::new(&source(BodyFormat::Json), &settings, directory.path()).expect("a fetcher");
    for admitted in [2, 3] {
        let got = fetcher.get(&url("/people"), None).await.expect("a page");
        assert!(matches!(got, Got::Page(_)));
        assert_eq!(fetcher.counters().admitted, admitted, "one request for a token, which serves both pages");
    }
}

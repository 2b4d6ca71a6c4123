//! The socket against small servers in this process, on loopback.

use crate::http::secret::Secret;
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap as AxumHeaders, StatusCode, Uri};
use axum::response::{IntoResponse, Redirect};
use axum::routing::{any, get, post, put};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::api::{Call, Engine};
use crate::config::settings::RetrySettings;
use crate::domain::exit::Exit;
use crate::domain::units::Rate;

fn secret(text: &str) -> Secret {
    Secret::Literal(text.to_string().into())
}

/// A definition of any kind of authentication.
fn engine(auth: &str) -> Arc<Engine> {
    let text = format!(
        r#"
        format = 1
        kind = "t"
        title = "T"
        auth = {{ kinds = [{auth}] }}
        account = {{ id = "/id" }}
        state = {{ field = "on", active = true, banned = false }}
        fields = {{ on = {{ type = "boolean", read_only = "access" }} }}
        [operations]
        create = {{ method = "POST", path = "/users" }}
        update = {{ method = "PUT", path = "/users/{{id}}" }}
        get = {{ method = "GET", path = "/users/{{id}}" }}
        list = {{ method = "GET", path = "/users", paging = {{ style = "none" }} }}
        "#
    );
    Arc::new(Engine::from_definition("t.toml", &text, &toml::Table::new()).expect("a definition"))
}

fn settings(base_url: &str, auth: AuthSettings) -> TargetSettings {
    TargetSettings {
        name: "t".into(),
        kind: "t".into(),
        base_url: base_url.parse().expect("a URL"),
        auth,
        rate: Rate { count: 1, per: Duration::from_secs(1) },
        burst: 1,
        daily_quota: None,
        concurrency: 2,
        timeout: Duration::from_millis(500),
        retry: RetrySettings { attempts: 1, base: Duration::ZERO, max: Duration::ZERO },
        settle: std::time::Duration::from_secs(60),
        network: crate::http::settings::NetworkSettings::default(),
        engine: engine(r#""bearer", "token", "header", "basic", "none""#),
    }
}

fn request(method: &str, path: &str) -> ApiRequest {
    ApiRequest { call: Call::Get, method: method.into(), path: path.into(), headers: vec![], body: None }
}

async fn listening() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let base = format!("http://{}", listener.local_addr().expect("an address"));
    (listener, base)
}

async fn serve(router: Router) -> String {
    let (listener, base) = listening().await;
    tokio::spawn(async move { axum::serve(listener, router).await });
    base
}

fn transport(base: &str) -> Transport {
    Transport::new(&settings(base, AuthSettings::Bearer(secret("s3cret")))).expect("a client")
}

#[tokio::test]
async fn what_the_wire_says_is_what_arrives_and_what_comes_back_is_the_answer() {
    let echo = put(|uri: Uri, headers: AxumHeaders, body: Bytes| async move {
        let seen = format!(
            "{uri} {:?} {:?} {:?} {body:?}",
            headers["authorization"], headers["content-type"], headers["user-agent"]
        );
        (StatusCode::IM_A_TEAPOT, [("X-Seen", seen)], "body")
    });
    let base = serve(Router::new().route("/api/users/{id}", echo)).await;
    let request = ApiRequest {
        call: Call::Update,
        method: "PUT".into(),
        path: "/users/a%2Fb?email=o%27neil%2B1%40x.y".into(),
        headers: vec![("content-type".into(), "application/json".into())],
        body: Some(b"{}".to_vec()),
    };
    for base in [format!("{base}/api"), format!("{base}/api/")] {
        let answer = transport(&base).send(&request).await.expect("an answer");
        assert_eq!((answer.status, answer.body.as_slice()), (418, b"body".as_slice()));
        let agent = concat!("rosterd/", env!("CARGO_PKG_VERSION"));
        let expected = format!(
            "/api/users/a%2Fb?email=o%27neil%2B1%40x.y \"Bearer s3cret\" \"application/json\" \"{agent}\" b\"{{}}\""
        );
        assert_eq!(answer.header("x-seen"), Some(expected.as_str()));
    }
}

#[tokio::test]
async fn every_kind_of_authentication_has_its_header() {
    let seen = any(|headers: AxumHeaders| async move {
        let shown = ["authorization", "x-key"]
            .map(|name| headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or("-").to_string());
        shown.join("|")
    });
    let base = serve(Router::new().route("/", seen)).await;
    let header = |name: &str| AuthSettings::Header { name: name.into(), value: secret("k") };
    let basic = AuthSettings::Basic { username: "Aladdin".into(), password: secret("open sesame") };
    for (auth, expected) in [
        (AuthSettings::None, "-|-"),
        (AuthSettings::Bearer(secret("b")), "Bearer b|-"),
        (AuthSettings::Token(secret("t")), "Token t|-"),
        (header("X-Key"), "-|k"),
        (basic, "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==|-"),
    ] {
        let transport = Transport::new(&settings(&base, auth)).expect("a client");
        let answer = transport.send(&request("GET", "/")).await.expect("an answer");
        assert_eq!(String::from_utf8_lossy(&answer.body), expected);
    }
}

#[test]
fn what_cannot_authenticate_is_refused_before_anything_is_sent() {
    let session = AuthSettings::Session { username: "u".into(), password: secret("s3cret") };
    let oauth = AuthSettings::OAuth2 {
        token_url: url::Url::parse("https://x.y").expect("a URL").into(),
        client_id: "c".into(),
        client_secret: secret("s3cret"),
        scope: None,
    };
    let local = "http://127.0.0.1:1";
    let mut bearer_only = settings(local, AuthSettings::Token(secret("s3cret")));
    bearer_only.engine = engine(r#""bearer""#);
    let header = AuthSettings::Header { name: "a b".into(), value: secret("s3cret") };
    for (settings, expected) in [
        (settings(local, session), "\"session\" is not supported by t"),
        (settings(local, oauth), "\"oauth2\" is not supported by t"),
        (bearer_only, "\"token\" is not supported by t"),
        (settings(local, header), "not the name of a header"),
        (settings(local, AuthSettings::Bearer(secret("s3cret\nx"))), "can't stand in a header"),
        (settings("http://acme.example", AuthSettings::Bearer(secret("s3cret"))), "unencrypted to another machine"),
    ] {
        let failure = Transport::new(&settings).expect_err(expected);
        assert_eq!(failure.exit(), Exit::Config, "{failure}");
        assert!(failure.message.contains(expected), "{failure}");
        assert!(!format!("{failure:?}").contains("s3cret"), "{failure:?}");
    }
    assert!(Transport::new(&settings("http://acme.example", AuthSettings::None)).is_ok());
    assert!(Transport::new(&settings("https://acme.example", AuthSettings::Bearer(secret("s")))).is_ok());
}

#[tokio::test]
async fn a_slow_answer_is_a_timeout_after_which_the_request_may_have_been_sent() {
    let slow = get(|| async { tokio::time::sleep(Duration::from_secs(30)).await });
    // Headers at once, and then a body that never ends.
    let (listener, dripping) = listening().await;
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.expect("a connection");
        let _ = socket.read(&mut [0; 4096]).await;
        socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n").await.expect("headers");
        loop {
            tokio::time::sleep(Duration::from_millis(50)).await;
            if socket.write_all(b".").await.is_err() {
                break;
            }
        }
    });
    for base in [serve(Router::new().route("/", slow)).await, dripping] {
        let started = std::time::Instant::now();
        let error = transport(&base).send(&request("GET", "/")).await.expect_err("too slow");
        assert_eq!((error.kind, error.maybe_sent), (ErrorKind::Timeout, true), "{error}");
        assert!(started.elapsed() < Duration::from_secs(5));
    }
}

#[tokio::test]
async fn without_a_connection_nothing_was_sent() {
    let (listener, base) = listening().await;
    drop(listener);
    for base in [base, "http://does-not-exist.invalid".into()] {
        let transport = Transport::new(&settings(&base, AuthSettings::None)).expect("a client");
        let error = transport.send(&request("GET", "/users?email=ann%40acme.com")).await.expect_err("nobody there");
        assert!(!error.maybe_sent, "{error}");
        assert!(matches!(error.kind, ErrorKind::Network | ErrorKind::Timeout), "{error}");
        assert!(!error.message.contains("ann") && !error.message.contains("users"), "{error}");
    }
}

#[tokio::test]
async fn a_failed_handshake_means_that_nothing_was_sent() {
    let (listener, base) = listening().await;
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let _ = socket.write_all(b"this is no TLS\r\n").await;
        }
    });
    let base = base.replace("http://", "https://");
    let error = transport(&base).send(&request("GET", "/")).await.expect_err("no TLS");
    // Somebody is there, and speaks another protocol; what was to be sent never left.
    assert_eq!((error.kind, error.maybe_sent), (ErrorKind::Protocol, false), "{error}");
}

#[tokio::test]
async fn a_connection_that_breaks_after_the_request_leaves_it_unknown() {
    for answer in ["", "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"id\":", "nonsense\r\n\r\n"] {
        let (listener, base) = listening().await;
        tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.expect("a connection");
            let mut seen = [0; 4096];
            let _ = socket.read(&mut seen).await;
            let _ = socket.write_all(answer.as_bytes()).await;
        });
        let mut request = request("POST", "/users");
        request.body = Some(b"{\"email\":\"ann@acme.com\"}".to_vec());
        let error = transport(&base).send(&request).await.expect_err("broken");
        assert!(error.maybe_sent, "{answer:?}: {error}");
        assert!(matches!(error.kind, ErrorKind::Network | ErrorKind::Protocol), "{answer:?}: {error:?}");
        assert!(!error.message.contains("ann@"), "{error}");
    }
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_credentials_go_nowhere_else() {
    let visits = Arc::new(Mutex::new(0));
    let elsewhere = serve(Router::new().fallback(any({
        let visits = visits.clone();
        move || async move { *visits.lock().expect("no panic") += 1 }
    })))
    .await;
    let base = serve(Router::new().route("/", get(|| async move { Redirect::temporary(&elsewhere) }))).await;
    let answer = transport(&base).send(&request("GET", "/")).await.expect("an answer");
    assert_eq!(answer.status, 307);
    assert_eq!(*visits.lock().expect("no panic"), 0);
}

fn gzipped(size: usize) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    let block = vec![b' '; 1_000_000];
    let mut left = size;
    while left > 0 {
        let part = left.min(block.len());
        encoder.write_all(&block[..part]).expect("memory");
        left -= part;
    }
    encoder.finish().expect("memory")
}

#[tokio::test]
async fn an_answer_beyond_the_limit_is_refused_however_it_is_wrapped() {
    let bomb = |size: usize| {
        let bytes = Bytes::from(gzipped(size));
        get(move || async move { ([("content-encoding", "gzip")], bytes).into_response() })
    };
    let plain = |size: usize| get(move || async move { vec![b' '; size] });
    let router = Router::new()
        .route("/bomb", bomb(200_000_000))
        .route("/bomb-just", bomb(LARGEST_ANSWER + 1))
        .route("/bomb-fits", bomb(LARGEST_ANSWER))
        .route("/plain", plain(LARGEST_ANSWER + 1))
        .route("/plain-fits", plain(LARGEST_ANSWER));
    let base = serve(router).await;
    let mut settings = settings(&base, AuthSettings::None);
    settings.timeout = Duration::from_secs(30);
    let transport = Transport::new(&settings).expect("a client");
    for path in ["/bomb", "/bomb-just", "/plain"] {
        let error = transport.send(&request("GET", path)).await.expect_err("too large");
        assert_eq!((error.kind, error.maybe_sent), (ErrorKind::Protocol, true), "{path}: {error}");
        assert!(error.message.contains("10 MB"), "{error}");
    }
    for path in ["/bomb-fits", "/plain-fits"] {
        assert_eq!(
            transport.send(&request("GET", path)).await.expect("an answer").body.len(),
            LARGEST_ANSWER,
            "{path}"
        );
    }
}

#[test]
fn paths_stay_below_the_base_url() {
    let base: Url = "https://acme.example/api".parse().expect("a URL");
    for (path, expected) in [
        ("/users", Some("https://acme.example/api/users")),
        ("/users/a%2Fb?x=%26", Some("https://acme.example/api/users/a%2Fb?x=%26")),
        ("/users/..", None),
        ("/users/%2e%2e", None),
        ("/../../etc", None),
    ] {
        assert_eq!(joined(&base, path).as_ref().map(Url::as_str), expected, "{path}");
    }
    let root: Url = "https://acme.example".parse().expect("a URL");
    assert_eq!(joined(&root, "/users").as_ref().map(Url::as_str), Some("https://acme.example/users"));
}

#[tokio::test]
async fn a_request_for_a_token_counts_towards_the_rate_of_the_target() {
    let tokens = post(|| async { r#"{"access_token":"t","expires_in":3600}"# });
    let base = serve(Router::new().route("/token", tokens).route("/users", get(|| async { "[]" }))).await;
    let token_url: Url = format!("{base}/token").parse().expect("a URL");
    let oauth = AuthSettings::OAuth2 {
        token_url: token_url.into(),
        client_id: "c".into(),
        client_secret: secret("s3cret"),
        scope: None,
    };
    let mut settings = settings(&base, oauth);
    settings.engine = engine(r#""oauth2""#);
    settings.rate = Rate { count: 1000, per: Duration::from_secs(1) };
    let state = crate::state::State::in_memory().expect("a state");
    let budget = crate::account::budget::Budget::of_this_process();
    let clients = crate::account::Clients::new(state, crate::os::clock::Clock::system(), budget);
    let client = clients.of(&Arc::new(settings)).expect("a client");
    for admitted in [2, 3] {
        let answer = client.send(&request("GET", "/users")).await.expect("an answer");
        assert_eq!(answer.status, 200);
        assert_eq!(clients.readings()[0].counters.admitted, admitted, "one request for a token, which serves both");
    }
}

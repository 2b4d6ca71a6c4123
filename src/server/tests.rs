use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;
use crate::state::{self, Access};

/// The head's status and the body of an answer.
async fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.expect("somebody listens");
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("asked");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("answered");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    (head.split(' ').nth(1).and_then(|s| s.parse().ok()).expect("a status"), body.to_string())
}

#[tokio::test]
async fn it_works_before_it_is_ready_and_is_no_longer_ready_while_it_stops() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("r.toml");
    std::fs::write(&file, "[state]\npath = \"s.db\"\n[server]\nlisten = \"127.0.0.1:0\"\n").expect("written");
    let settings = Arc::new(crate::config::load(&[file], []).expect("valid").settings);
    let clock = Clock::system();
    let context = Context {
        live: LiveStatus::new(Arc::clone(&settings), clock.now()),
        ready: Ready::default(),
        clock,
        measured: metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder().handle(),
    };
    let server = start(settings.server.as_ref().expect("configured"), &context).await.expect("a server");
    let at = server.address;
    assert_eq!(get(at, "/healthz").await, (200, "ok\n".into()));
    let (status, body) = get(at, "/readyz").await;
    assert!(status == 503 && body.contains("the state is not open yet"), "{status} {body}");
    assert_eq!(get(at, "/").await.0, 503);
    assert_eq!(get(at, "/metrics").await.0, 200, "what there is, also without the state");

    context.ready.set(state::open(&dir.path().join("s.db"), Access::Write).expect("a state").state);
    assert_eq!(get(at, "/readyz").await, (200, "ready\n".into()));
    assert_eq!(get(at, "/").await.0, 200);
    context.live.stopping();
    let (status, body) = get(at, "/readyz").await;
    assert!(status == 503 && body.contains("stopping"), "{status} {body}");
    server.end().await;
    assert!(TcpStream::connect(at).await.is_err(), "nobody listens any more");
}

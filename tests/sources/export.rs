//! An HTTP server that does as it is told, down to the bytes: short bodies, drips, bombs, TLS.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};

/// One request, as far as anybody asks.
#[derive(Clone, Debug)]
pub struct Asked {
    /// `GET /people?page=2`
    pub line: String,
    /// By name in small letters.
    pub headers: HashMap<String, String>,
    /// The body.
    pub body: String,
}

impl Asked {
    /// The value of a query parameter.
    pub fn param(&self, name: &str) -> Option<String> {
        let url = url::Url::parse(&format!("http://h{}", self.line.split(' ').nth(1)?)).ok()?;
        url.query_pairs().find(|(n, _)| n == name).map(|(_, v)| v.into_owned())
    }

    /// The path without its query.
    pub fn path(&self) -> &str {
        self.line.split(' ').nth(1).unwrap_or_default().split('?').next().unwrap_or_default()
    }

    /// A header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

/// What is answered.
#[derive(Clone, Debug, Default)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Bytes that Content-Length claims beyond those that come.
    pub missing: usize,
    /// Pause before each of the body's first bytes.
    pub drip: Option<Duration>,
    /// How the end of the body is shown.
    pub framing: Framing,
}

/// How the end of a body is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Framing {
    /// By Content-Length.
    #[default]
    Length,
    /// By chunks.
    Chunks,
    /// By the end of the connection: HTTP/1.0.
    Close,
}

impl Reply {
    pub fn json(body: &serde_json::Value) -> Reply {
        Reply::of("application/json", body.to_string())
    }

    pub fn of(kind: &str, body: impl Into<Vec<u8>>) -> Reply {
        Reply { status: 200, body: body.into(), ..Reply::default() }.with("content-type", kind)
    }

    pub fn status(status: u16) -> Reply {
        Reply { status, ..Reply::default() }
    }

    /// The same, its end shown otherwise.
    pub fn framed(self, framing: Framing) -> Reply {
        Reply { framing, ..self }
    }

    pub fn with(mut self, name: &str, value: &str) -> Reply {
        self.headers.push((name.into(), value.into()));
        self
    }
}

type Handler = dyn Fn(&Asked) -> Reply + Send + Sync;

/// The server; it stops when this is dropped.
pub struct Export {
    address: SocketAddr,
    scheme: &'static str,
    asked: Arc<Mutex<Vec<Asked>>>,
    handler: Arc<Mutex<Arc<Handler>>>,
    stop: Arc<AtomicBool>,
}

impl Export {
    pub fn start(handler: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Export {
        Export::listen(None, handler)
    }

    /// With TLS: the server's certificate and key, and the authority of its clients' certificates, as PEM.
    pub fn tls(
        (certificate, key): (&str, &str),
        clients: Option<&str>,
        handler: impl Fn(&Asked) -> Reply + Send + Sync + 'static,
    ) -> Export {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).expect("a certificate")];
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("a key");
        let builder = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .expect("versions");
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                let mut roots = rustls::RootCertStore::empty();
                roots
                    .add(CertificateDer::from_pem_slice(authority.as_bytes()).expect("a certificate"))
                    .expect("a root");
                let verifier =
                    rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
                builder.with_client_cert_verifier(verifier.expect("a verifier"))
            }
        };
        Export::listen(Some(Arc::new(builder.with_single_cert(chain, key).expect("a configuration"))), handler)
    }

    fn listen(
        tls: Option<Arc<rustls::ServerConfig>>,
        handler: impl Fn(&Asked) -> Reply + Send + Sync + 'static,
    ) -> Export {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let export = Export {
            address: listener.local_addr().expect("its address"),
            scheme: if tls.is_some() { "https" } else { "http" },
            asked: Arc::default(),
            handler: Arc::new(Mutex::new(Arc::new(handler))),
            stop: Arc::default(),
        };
        let (asked, handler, stop) = (Arc::clone(&export.asked), Arc::clone(&export.handler), Arc::clone(&export.stop));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let _ = stream.set_read_timeout(Some(Duration::from_secs(10)));
                let _ = stream.set_nodelay(true);
                let (asked, handler, tls) = (Arc::clone(&asked), Arc::clone(&handler), tls.clone());
                std::thread::spawn(move || match tls {
                    None => serve(stream, &asked, &handler),
                    Some(tls) => {
                        if let Ok(connection) = rustls::ServerConnection::new(tls) {
                            serve(rustls::StreamOwned::new(connection, stream), &asked, &handler);
                        }
                    }
                });
            }
        });
        export
    }

    /// `http://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    /// From now on answers otherwise.
    pub fn now(&self, handler: impl Fn(&Asked) -> Reply + Send + Sync + 'static) {
        *self.handler.lock().expect("not poisoned") = Arc::new(handler);
    }

    /// Every request since the last call.
    pub fn taken(&self) -> Vec<Asked> {
        std::mem::take(&mut self.asked.lock().expect("not poisoned"))
    }
}

impl Drop for Export {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address);
    }
}

/// One request, one answer, then the connection is closed.
fn serve<S: Read + Write>(mut stream: S, asked: &Mutex<Vec<Asked>>, handler: &Mutex<Arc<Handler>>) {
    let Some(request) = read(&mut stream) else { return };
    asked.lock().expect("not poisoned").push(request.clone());
    let handler = Arc::clone(&handler.lock().expect("not poisoned"));
    let reply = handler(&request);
    let version = if reply.framing == Framing::Close { "1.0" } else { "1.1" };
    let mut head = format!("HTTP/{version} {} X\r\nconnection: close\r\n", reply.status);
    match reply.framing {
        Framing::Length if matches!(reply.status, 304 | 204) => {}
        Framing::Length => head.push_str(&format!("content-length: {}\r\n", reply.body.len() + reply.missing)),
        Framing::Chunks => head.push_str("transfer-encoding: chunked\r\n"),
        Framing::Close => {}
    }
    for (name, value) in &reply.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    let _ = stream.write_all(format!("{head}\r\n").as_bytes());
    let _ = stream.flush();
    match reply.drip {
        None if reply.framing == Framing::Chunks => {
            for chunk in reply.body.chunks(700) {
                let _ = stream.write_all(format!("{:x}\r\n", chunk.len()).as_bytes());
                let _ = stream.write_all(chunk);
                let _ = stream.write_all(b"\r\n");
            }
            let _ = stream.write_all(b"0\r\n\r\n");
        }
        None => {
            let _ = stream.write_all(&reply.body);
        }
        Some(pause) => {
            for byte in &reply.body {
                std::thread::sleep(pause);
                if stream.write_all(&[*byte]).and_then(|()| stream.flush()).is_err() {
                    return;
                }
            }
        }
    }
    let _ = stream.flush();
}

fn read(stream: &mut impl Read) -> Option<Asked> {
    let mut reader = BufReader::with_capacity(1, stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|n| *n > 0)?;
    let mut headers = HashMap::new();
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let Some((name, value)) = header.trim_end().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_string());
    }
    let length = headers.get("content-length").and_then(|n| n.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Asked { line: line.trim_end().to_string(), headers, body: String::from_utf8_lossy(&body).into_owned() })
}

//! Tokens, authorities, client certificates and proxies, as any target can have them.

use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use serde_json::json;

use super::scim::story;
use super::{ANN, BOB, Bench, HEADER};
use crate::support::{Home, Sim, skipped};

/// A token endpoint on a runtime of its own, which notes what it was asked.
pub struct Tokens {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
    _runtime: tokio::runtime::Runtime,
}

type Asked = (Arc<Mutex<Vec<String>>>, u64);

async fn token(State((asked, life)): State<Asked>, headers: HeaderMap, body: String) -> (StatusCode, String) {
    let authorization = headers.get("authorization").and_then(|v| v.to_str().ok()).unwrap_or_default().to_string();
    asked.lock().expect("the log").push(format!("{authorization} {body}"));
    // "us er" and "a:b&c", form-encoded, then base64.
    if authorization != "Basic dXMrZXI6YSUzQWIlMjZj" {
        return (StatusCode::UNAUTHORIZED, json!({"error": "invalid_client", "error_description": "x"}).to_string());
    }
    (StatusCode::OK, json!({"access_token": "sandbox", "token_type": "Bearer", "expires_in": life}).to_string())
}

impl Tokens {
    pub fn start(life: u64) -> Tokens {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("one");
        let asked = Arc::new(Mutex::new(Vec::new()));
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a port");
        let url = format!("http://{}/token", listener.local_addr().expect("an address"));
        let app =
            axum::Router::new().route("/token", axum::routing::post(token)).with_state((Arc::clone(&asked), life));
        runtime.spawn(async move { axum::serve(listener, app).await });
        Tokens { url, asked, _runtime: runtime }
    }

    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("the log").clone()
    }
}

/// SCIM with tokens from this endpoint.
pub fn with_tokens(tokens: &Tokens) -> Bench {
    let bench = Bench::new(story(
        "kind = \"scim\"\nbase_url = \"{url}/scim/v2\"\nauth = { kind = \"oauth2\", token_url = \"TOKENS\", \
         client_id = \"us er\", client_secret = { file = \"secret\" }, scope = \"users write\" }",
    ));
    let text = std::fs::read_to_string(bench.home.config()).expect("the configuration");
    std::fs::write(bench.home.config(), text.replace("TOKENS", &tokens.url)).expect("written");
    bench.home.secret("config/secret", "a:b&c\n");
    bench
}

#[test]
fn one_token_serves_a_run_and_is_renewed_once_when_it_is_refused() {
    let tokens = Tokens::start(3600);
    let bench = with_tokens(&tokens);
    bench.sync(&[ANN, BOB], 0);
    assert_eq!(tokens.asked(), ["Basic dXMrZXI6YSUzQWIlMjZj grant_type=client_credentials&scope=users+write"]);
    bench.sim.script(json!({"method": "PATCH", "nth": 1, "do": "status:401"}));
    bench.sync(&[&ANN.replace("Zürich", "Chur"), BOB], 0);
    assert_eq!(tokens.asked().len(), 3);
    assert_eq!(bench.value("E1", "/addresses/0/locality"), "Chur");
}

#[test]
fn a_token_that_stays_refused_ends_the_run() {
    let tokens = Tokens::start(3600);
    let bench = with_tokens(&tokens);
    bench.sim.script(json!({"do": "status:401"}));
    bench.sync(&[ANN], 77);
    assert_eq!(tokens.asked().len(), 2);
}

#[test]
fn a_token_is_renewed_before_it_ends() {
    let tokens = Tokens::start(0);
    let bench = with_tokens(&tokens);
    bench.sync(&[ANN], 0);
    assert!(tokens.asked().len() > 1, "a token without a life is asked for anew each time");
}

#[test]
fn a_refused_client_is_told_once_and_the_secret_never() {
    let tokens = Tokens::start(3600);
    let bench = with_tokens(&tokens);
    bench.home.secret("config/secret", "tell-nobody\n");
    bench.home.write("config/hr.csv", &format!("{HEADER}{ANN}\n{BOB}\n"));
    let ran = bench.home.run(&["-vvv", "sync"]).exits(77);
    assert!(ran.stderr.contains("invalid_client") || ran.stdout.contains("invalid_client"), "{ran:?}");
    assert!(!ran.stderr.contains("tell-nobody") && !ran.stderr.contains("Basic "), "{ran:?}");
    assert_eq!(tokens.asked().len(), 1);
}

#[test]
fn every_request_goes_through_the_proxy() {
    let sim = Sim::start();
    let home = Home::juno("http://127.0.0.1:9/juno/api");
    let text = std::fs::read_to_string(home.config()).expect("the configuration");
    let proxy = format!("kind = \"juno\"\nproxy = \"{}\"", sim.url());
    std::fs::write(home.config(), text.replace("kind = \"juno\"", &proxy)).expect("written");
    home.people(&["E1,Ann,Lee,ann@acme.example,,CEO,Bern,active"]);
    home.run(&["sync"]).exits(0);
    assert_eq!(sim.users().len(), 1);
}

/// A server over TLS that asks for a certificate, in Python: an implementation that is not ours.
const TLS_SERVER: &str = r#"
import http.server, ssl, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.send_header("content-type", "application/json"); self.send_header("content-length", "2"); self.end_headers()
        self.wfile.write(b"[]")
    def log_message(self, *args): pass
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("server.pem"); context.load_verify_locations("ca.pem")
context.verify_mode = ssl.CERT_REQUIRED
server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_port, flush=True)
server.serve_forever()
"#;

/// Certificates: an authority, a server of it, a client of it.
const CERTIFICATES: &str = "set -e
openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=ours
for name in server client; do
  openssl req -newkey rsa:2048 -nodes -keyout $name.key -out $name.csr -subj /CN=$name
  printf 'subjectAltName=IP:127.0.0.1\\nbasicConstraints=CA:FALSE\\n' > ext
  openssl x509 -req -in $name.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile ext -out $name.crt
  cat $name.crt $name.key > $name.pem
done
chmod 600 *.pem *.key";

struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn our_own_authority_is_trusted_and_our_certificate_is_shown() {
    use std::io::BufRead;
    let home = Home::empty();
    let there =
        |program: &str| Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if there("openssl").is_err() || there("python3").is_err() {
        return skipped("our own authority and client certificate; openssl and python3 make what this needs");
    }
    let made = Command::new("sh").args(["-c", CERTIFICATES]).current_dir(home.path()).output().expect("a shell");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let server =
        Command::new("python3").args(["-c", TLS_SERVER]).current_dir(home.path()).stdout(Stdio::piped()).spawn();
    let mut server = Ended(server.expect("a server"));
    let mut port = String::new();
    let output = server.0.stdout.take().expect("its output");
    std::io::BufReader::new(output).read_line(&mut port).expect("its port");

    let run = |network: &str| {
        let juno = Home::juno(&format!("https://127.0.0.1:{}", port.trim()));
        let text = std::fs::read_to_string(juno.config()).expect("the configuration");
        let at = home.path().display();
        let network = network.replace("AT", &at.to_string());
        std::fs::write(juno.config(), text.replace("kind = \"juno\"", &format!("kind = \"juno\"\n{network}")))
            .expect("written");
        juno.people(&["E1,Ann,Lee,ann@acme.example,,CEO,Bern,active"]);
        juno.run(&["plan"])
    };
    run("ca_file = \"AT/ca.pem\"\nclient_cert = \"AT/client.pem\"").exits(0);
    run("client_cert = \"AT/client.pem\"").exits(69);
    run("ca_file = \"AT/ca.pem\"").exits(69);
    let ran = run("ca_file = \"AT/server.key\"").exits(78);
    assert!(ran.stdout.contains("ca_file"), "{ran:?}");
}

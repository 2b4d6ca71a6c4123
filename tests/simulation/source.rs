//! The source of the simulation: an HTTP server on the loopback that gives the roster out in pages. Under rough
//! conditions the roster moves while it is read, or an answer holds less than all and says so only in passing.
//!
//! It is asked while the simulated clock stands still, so it may be a real one.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Map, Value, json};

use super::network::told;

/// How many people are on a page.
pub const PAGE: usize = 3;

/// What becomes of the roster while it is read once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SourceFault {
    /// Nothing: it is given out as it is.
    Still,
    /// Somebody comes in front once the first page is out; the last one falls off the end that was announced.
    ComesInFront,
    /// The same, and whoever is seen twice was edited in between.
    ComesInFrontEdited,
    /// The first one moves to the end: whoever begins the second page is on none.
    MovesToTheEnd,
    /// The first one vanishes, and the total with them.
    Vanishes,
    /// One page is empty.
    EmptyPage,
    /// One is left out, and the total falls from one page to the next.
    TotalFalls,
    /// One is left out of the first page and of the total; errors stand beside the data.
    Errors,
    /// The same, and the answer says that it was no success.
    NoSuccess,
    /// A body breaks off.
    Cut,
    /// An error in the place of a page.
    Refusal,
}

const MOVING: [SourceFault; 10] = [
    SourceFault::ComesInFront,
    SourceFault::ComesInFrontEdited,
    SourceFault::MovesToTheEnd,
    SourceFault::Vanishes,
    SourceFault::EmptyPage,
    SourceFault::TotalFalls,
    SourceFault::Errors,
    SourceFault::NoSuccess,
    SourceFault::Cut,
    SourceFault::Refusal,
];

/// What it gives out.
pub struct ExportFile {
    chance: StdRng,
    people: Vec<Value>,
    fault: SourceFault,
    /// So many reads of a hundred meet something.
    pub restless: u32,
}

impl ExportFile {
    fn new(seed: u64) -> ExportFile {
        ExportFile { chance: StdRng::seed_from_u64(seed), people: Vec::new(), fault: SourceFault::Still, restless: 0 }
    }

    /// The roster as it is from now on.
    pub fn set(&mut self, people: Vec<Value>) {
        self.people = people;
    }

    /// The answer to a request for the people from an offset on: status, body, and how long it claims to be.
    fn page(&mut self, offset: usize) -> (u16, Vec<u8>, usize) {
        if offset == 0 {
            self.fault = match self.chance.random_range(0..100) < self.restless && told("moving") {
                true => MOVING[self.chance.random_range(0..MOVING.len())],
                false => SourceFault::Still,
            };
        }
        let (status, document) = self.document(offset);
        let mut body = document.to_string().into_bytes();
        let length = body.len();
        // Of the first page or of a later one.
        if self.fault == SourceFault::Cut && (offset > 0 || self.chance.random_bool(0.5)) {
            body.truncate(length * 2 / 3);
        }
        (status, body, length)
    }

    fn document(&self, offset: usize) -> (u16, Value) {
        let later = offset > 0;
        let (mut people, mut total, mut rest) = (self.people.clone(), self.people.len(), Map::new());
        match self.fault {
            SourceFault::ComesInFront | SourceFault::ComesInFrontEdited if later => {
                people.insert(0, Value::Null); // never shown: the page before is out
                people.truncate(total);
                if let (SourceFault::ComesInFrontEdited, Some(seen)) = (self.fault, people.get_mut(offset)) {
                    seen["title"] = "Edited".into();
                }
            }
            SourceFault::MovesToTheEnd if later => people.rotate_left(1),
            SourceFault::Vanishes if later => {
                people.remove(0);
                total -= 1;
            }
            SourceFault::EmptyPage if later => people.clear(),
            SourceFault::TotalFalls if later => {
                people.pop();
                total -= 1;
            }
            SourceFault::Errors | SourceFault::NoSuccess => {
                people.pop();
                total = total.saturating_sub(1);
                match self.fault {
                    SourceFault::Errors => rest.insert("errors".into(), json!([{"message": "timeout"}])),
                    _ => rest.insert("success".into(), false.into()),
                };
            }
            SourceFault::Refusal if later => return (503, json!({"error": "later"})),
            _ => {}
        }
        let page: Vec<Value> = people.into_iter().skip(offset).take(PAGE).collect();
        rest.insert("total".into(), total.into());
        rest.insert("people".into(), page.into());
        (200, Value::Object(rest))
    }
}

/// The office, open until it is dropped.
pub struct SourceServer {
    pub address: SocketAddr,
    export: Arc<Mutex<ExportFile>>,
    closed: Arc<AtomicBool>,
    clerk: Option<JoinHandle<()>>,
}

impl SourceServer {
    pub fn open() -> SourceServer {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let (export, closed) = (Arc::new(Mutex::new(ExportFile::new(0))), Arc::new(AtomicBool::new(false)));
        let (of_clerk, until) = (Arc::clone(&export), Arc::clone(&closed));
        let clerk = std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if until.load(Ordering::Relaxed) {
                    return;
                }
                serve(stream, &of_clerk);
            }
        });
        SourceServer { address, export, closed, clerk: Some(clerk) }
    }

    /// Everything is drawn from this seed from now on.
    pub fn begin(&self, seed: u64) {
        *self.export.lock().expect("sound") = ExportFile::new(seed);
    }

    /// What it gives out.
    pub fn export(&self) -> std::sync::MutexGuard<'_, ExportFile> {
        self.export.lock().expect("sound")
    }
}

impl Drop for SourceServer {
    fn drop(&mut self) {
        self.closed.store(true, Ordering::Relaxed);
        // Whoever waits for a visitor gets one.
        if TcpStream::connect(self.address).is_ok()
            && let Some(clerk) = self.clerk.take()
        {
            clerk.join().expect("the office was sound");
        }
    }
}

/// One request, one answer. Who hangs up has their reasons.
fn serve(mut stream: TcpStream, export: &Mutex<ExportFile>) {
    let mut request = Vec::new();
    let mut piece = [0; 2048];
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut piece) {
            Ok(length) if length > 0 => request.extend_from_slice(&piece[..length]),
            _ => return,
        }
    }
    let request = String::from_utf8_lossy(&request);
    let address = request.split_whitespace().nth(1).unwrap_or_default();
    let offset = super::target::query(address).get("offset").and_then(|text| text.parse().ok()).unwrap_or(0);
    let (status, body, length) = export.lock().expect("sound").page(offset);
    let head = format!(
        "HTTP/1.1 {status} Simulated\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
    );
    if stream.write_all(head.as_bytes()).is_ok() {
        // A caller that does not want the body any more is no fault here.
        drop(stream.write_all(&body));
    }
}

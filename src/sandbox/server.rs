//! The way of one request through the sandbox: into the log, past the faults, to its target, and back.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, Request as HttpRequest, State};
use axum::http::{HeaderName, HeaderValue, Response, StatusCode, header};

use super::admin;
use super::connection::Connection;
use super::faults::{Do, FaultDecision, Faults, Scripted};
use super::log::{Log, Op};
use super::target::{About, Answer, Call, Target};

/// Largest body that is read: an administrator's list of accounts, not one user.
const MAX_BODY: usize = 256 * 1024 * 1024;

/// What `html` answers: the kind of page that a proxy puts in the way.
const LOGIN_PAGE: &str = "<!DOCTYPE html>\n<html><head><title>Sign in</title></head><body>\
                          <form action=\"/login\"><input name=\"user\"></form></body></html>\n";

/// Everything behind the sandbox's socket. Locks are held for one step each, never across an await.
pub(super) struct SandboxState {
    targets: Vec<Hosted>,
    log: Mutex<Log>,
    faults: Mutex<Faults>,
}

/// A target and what is known of it without asking it.
struct Hosted {
    name: &'static str,
    base_path: &'static str,
    target: Mutex<Box<dyn Target>>,
}

/// A lock, whatever became of a thread that held it: the data stay consistent between single steps.
fn locked<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl SandboxState {
    /// A world of these targets.
    pub(super) fn new(targets: Vec<Box<dyn Target>>, faults: Faults) -> Self {
        let targets = targets
            .into_iter()
            .map(|t| Hosted { name: t.name(), base_path: t.base_path(), target: Mutex::new(t) })
            .collect();
        SandboxState { targets, log: Mutex::new(Log::new()), faults: Mutex::new(faults) }
    }

    /// The log.
    pub(super) fn log(&self) -> MutexGuard<'_, Log> {
        locked(&self.log)
    }

    /// The faults.
    pub(super) fn faults(&self) -> MutexGuard<'_, Faults> {
        locked(&self.faults)
    }

    /// The target of this name.
    pub(super) fn target(&self, name: &str) -> Option<MutexGuard<'_, Box<dyn Target>>> {
        self.targets.iter().find(|t| t.name == name).map(|t| locked(&t.target))
    }

    /// The names of the targets.
    pub(super) fn names(&self) -> Vec<&'static str> {
        self.targets.iter().map(|t| t.name).collect()
    }

    /// The target that a path belongs to, and the rest of the path.
    fn route<'a>(&self, path: &'a str) -> Option<(&Hosted, &'a str)> {
        self.targets.iter().find_map(|hosted| {
            let rest = path.strip_prefix(hosted.base_path)?;
            (rest.is_empty() || rest.starts_with('/')).then_some((hosted, rest))
        })
    }
}

/// Serves one request.
pub(super) async fn serve(
    State(world): State<Arc<SandboxState>>,
    ConnectInfo(connection): ConnectInfo<Connection>,
    request: HttpRequest,
) -> Response<Body> {
    let path = request.uri().path().to_string();
    let call = match read(request).await {
        Ok(call) => call,
        Err(status) => return plain(status, "the body could not be read\n"),
    };
    if path.starts_with("/_sandbox") {
        return respond(admin::handle(&world, &path, &call));
    }
    match world.route(&path) {
        Some((hosted, rest)) => {
            let call = Call { path: rest.to_string(), ..call };
            serve_target(&world, hosted, &connection, &path, call).await
        }
        None => {
            let about = About { op: Op::Other, remote_id: None, key: None, fields: Vec::new() };
            let mut log = world.log();
            let seq = log.begin("", &path, &call, about);
            log.answered(seq, 404);
            plain(StatusCode::NOT_FOUND, "no simulated target has this path\n")
        }
    }
}

/// A request to a target: logged, delayed, perhaps struck by a fault, handled, answered.
async fn serve_target(
    world: &SandboxState,
    hosted: &Hosted,
    connection: &Connection,
    path: &str,
    call: Call,
) -> Response<Body> {
    let (seq, fate, latency) = arrive(world, hosted, path, &call);
    let there = latency / 2;
    connection.pause(there).await;
    let response = match fate {
        FaultDecision::Served => Some(respond(commit(world, hosted, seq, &call))),
        FaultDecision::TooMany(seconds) => Some(too_many(seconds)),
        FaultDecision::Struck(fault) => strike(world, hosted, connection, seq, &call, &fault).await,
    };
    connection.pause(latency - there).await;
    match response {
        Some(response) => {
            world.log().answered(seq, response.status().as_u16());
            response
        }
        None => {
            connection.cut();
            // Never sent: every write on a connection that was cut fails.
            Response::new(Body::empty())
        }
    }
}

/// Enters a request in the log and asks what is to happen to it.
fn arrive(world: &SandboxState, hosted: &Hosted, path: &str, call: &Call) -> (u64, FaultDecision, Duration) {
    let about = locked(&hosted.target).about(call);
    let key = about.key.clone();
    let (seq, now) = {
        let mut log = world.log();
        (log.begin(hosted.name, path, call, about), log.elapsed())
    };
    let (fate, latency) = {
        let mut faults = world.faults();
        (faults.fate(hosted.name, call.method.as_str(), path, key.as_deref(), now), faults.latency)
    };
    if let Some(fault) = fate.name() {
        world.log().struck(seq, fault);
    }
    (seq, fate, latency)
}

/// Has the target do what is asked. The log learns of it before the target's lock is given up, so that its order is
/// the order in which things really happened.
fn commit(world: &SandboxState, hosted: &Hosted, seq: u64, call: &Call) -> Answer {
    let mut target = locked(&hosted.target);
    let answer = target.handle(call);
    if answer.committed {
        world.log().committed(seq, answer.created.as_deref());
    }
    answer
}

/// What a fault makes of a request; `None` is no answer at all.
async fn strike(
    world: &SandboxState,
    hosted: &Hosted,
    connection: &Connection,
    seq: u64,
    call: &Call,
    fault: &Scripted,
) -> Option<Response<Body>> {
    let answer = fault.action.commits().then(|| commit(world, hosted, seq, call));
    match fault.action {
        Do::Status(status) | Do::CommitThenStatus(status) => Some(scripted_answer(status, fault)),
        Do::CommitThenClose | Do::CloseBeforeCommit => None,
        Do::CommitThenHang(ms) | Do::HangBeforeCommit(ms) => {
            connection.pause(Duration::from_millis(ms)).await;
            None
        }
        Do::Garbage => {
            let mut answer = answer.unwrap_or_else(|| Answer::json(200, &serde_json::Value::Null));
            answer.status = 200;
            answer.body.truncate(answer.body.len() / 2);
            Some(respond(answer))
        }
        Do::Html => {
            let mut page = plain(StatusCode::OK, LOGIN_PAGE);
            page.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
            Some(page)
        }
    }
}

fn scripted_answer(status: u16, fault: &Scripted) -> Response<Body> {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let default = format!("{{\"error\":{{\"code\":\"scripted\",\"message\":\"status {}\"}}}}", status.as_u16());
    let mut response = Response::new(Body::from(fault.body.clone().unwrap_or(default)));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    for (name, value) in &fault.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

fn too_many(seconds: u64) -> Response<Body> {
    let mut response = plain(StatusCode::TOO_MANY_REQUESTS, "slow down\n");
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    response
}

/// Reads a request to its end.
async fn read(request: HttpRequest) -> Result<Call, StatusCode> {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, MAX_BODY).await.map_err(|_| StatusCode::PAYLOAD_TOO_LARGE)?;
    let query = url::form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes());
    Ok(Call {
        method: parts.method,
        path: parts.uri.path().to_string(),
        query: query.into_owned().collect(),
        headers: parts.headers,
        json: serde_json::from_slice(&body).ok(),
        body: body.into(),
    })
}

/// A target's answer as a response.
fn respond(answer: Answer) -> Response<Body> {
    let mut response = Response::new(Body::from(answer.body));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(answer.content_type));
    for (name, value) in answer.headers {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    response
}

fn plain(status: StatusCode, text: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

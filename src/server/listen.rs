//! The listener: takes connections, and lets none of them hold the process up.
//!
//! Each connection costs a file descriptor, and the process needs some for the state and the targets. So there are at
//! most `max_connections` of them. When one more comes, the one that has been idle longest gives way: whoever opens
//! connections and says nothing pushes out their own like. A request's head has to arrive within [`HEAD`], which is also
//! how long a connection is kept between two requests; an answer that nobody takes within [`WHOLE`] is given up.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::response::IntoResponse;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::host::Hosts;

/// How long the head of a request may take, and a connection may say nothing: a browser or a scraper on a slow line
/// needs a second.
const HEAD: Duration = Duration::from_secs(10);

/// How long a connection may last: longer than the largest answer takes on a slow line, and than scrapers pause.
const WHOLE: Duration = Duration::from_secs(300);

/// How long nothing is taken when the process has no file descriptor left, or when all who are connected are busy.
const RESPITE: Duration = Duration::from_millis(100);

/// The largest head of a request, in bytes: that of hyper's smallest buffer. What browsers send is a tenth of it.
const LARGEST_HEAD: usize = 8_192;

/// One connection, as the listener sees it.
struct Guest {
    number: u64,
    busy: Arc<AtomicBool>,
    leave: CancellationToken,
}

/// Who is connected, in the order in which they came or were last busy.
#[derive(Clone, Default)]
struct Guests(Arc<Mutex<VecDeque<Guest>>>);

impl Guests {
    fn list(&self) -> std::sync::MutexGuard<'_, VecDeque<Guest>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the connection that has been idle longest leave; none when all are busy.
    fn one_gives_way(&self) {
        let mut list = self.list();
        let idle = list.iter().position(|guest| !guest.busy.load(Ordering::Relaxed));
        if let Some(guest) = idle.and_then(|at| list.remove(at)) {
            guest.leave.cancel();
        }
    }

    /// A request of this connection begins or ends: it has not been idle so far.
    fn is_busy(&self, number: u64, busy: bool) {
        let mut list = self.list();
        if let Some(guest) = list.iter().position(|guest| guest.number == number).and_then(|at| list.remove(at)) {
            guest.busy.store(busy, Ordering::Relaxed);
            list.push_back(guest);
        }
    }

    fn left(&self, number: u64) {
        self.list().retain(|guest| guest.number != number);
    }
}

/// Takes connections until `stop`, then waits for the answers under way.
pub(super) async fn serve(listener: TcpListener, routes: Router, hosts: Hosts, most: usize, stop: CancellationToken) {
    let (guests, seats, tasks) = (Guests::default(), Arc::new(Semaphore::new(most)), TaskTracker::new());
    let (routes, hosts) = (TowerToHyperService::new(routes), Arc::new(hosts));
    let mut exhausted = false;
    for number in 0.. {
        let (stream, address) = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            taken = listener.accept() => match taken.and_then(|(stream, _)| Ok((stream.local_addr()?, stream))) {
                Ok((address, stream)) => (stream, address),
                Err(error) => {
                    pause(&error, &mut exhausted).await;
                    continue;
                }
            },
        };
        exhausted = false;
        let Some(seat) = seat(&seats, &guests, &stop).await else { break };
        let guest = Guest { number, busy: Arc::default(), leave: CancellationToken::new() };
        let leave = guest.leave.clone();
        guests.list().push_back(guest);
        let (guests, routes, hosts, stop) = (guests.clone(), routes.clone(), Arc::clone(&hosts), stop.clone());
        tasks.spawn(async move {
            attend(stream, address, &guests, number, routes, &hosts, (&leave, &stop)).await;
            guests.left(number);
            drop(seat);
        });
    }
    drop(listener);
    tasks.close();
    tasks.wait().await;
}

/// Waits for a seat, and has somebody who is idle give way as long as there is none; nothing when the server ends.
async fn seat(seats: &Arc<Semaphore>, guests: &Guests, stop: &CancellationToken) -> Option<OwnedSemaphorePermit> {
    loop {
        if let Ok(seat) = Arc::clone(seats).try_acquire_owned() {
            return Some(seat);
        }
        guests.one_gives_way();
        tokio::select! {
            biased;
            () = stop.cancelled() => return None,
            seat = Arc::clone(seats).acquire_owned() => return seat.ok(),
            () = tokio::time::sleep(RESPITE) => {}
        }
    }
}

/// What can't be taken now is taken later: the connection itself may be broken, or the process without descriptors.
async fn pause(error: &io::Error, exhausted: &mut bool) {
    if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) {
        return;
    }
    if !std::mem::replace(exhausted, true) {
        tracing::error!(%error, "the server can take no connection; it goes on trying");
    }
    tokio::time::sleep(RESPITE).await;
}

/// Answers the requests of one connection until it ends, or has to leave.
async fn attend(
    stream: TcpStream,
    address: SocketAddr,
    guests: &Guests,
    number: u64,
    routes: TowerToHyperService<Router>,
    hosts: &Hosts,
    (leave, stop): (&CancellationToken, &CancellationToken),
) {
    let service = service_fn(|request: hyper::Request<Incoming>| {
        let answer = hosts.admit(&request, address).map(|()| routes.call(request));
        async move {
            guests.is_busy(number, true);
            let response = match answer {
                Ok(answer) => answer.await,
                Err(refusal) => Ok(refusal.into_response()),
            };
            guests.is_busy(number, false);
            response
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(LARGEST_HEAD)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        biased;
        ended = connection.as_mut() => ended,
        // It says nothing, or takes nothing of what it was answered: there is nothing to wait for.
        () = leave.cancelled() => return,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.as_mut().await
        }
        () = tokio::time::sleep(WHOLE) => Ok(()),
    };
    if let Err(error) = ended {
        // Whoever goes away in the middle, or says nothing, is no news.
        tracing::trace!(%error, "a connection to the server broke off");
    }
}

//! Connections that can be cut: how the sandbox drops a caller without an answer.
//!
//! A response that errors half-way is still a response: its status line has left. What a broken network does is
//! different: not one byte comes back. So each connection carries a token, and once that is cancelled every read and
//! write on the socket fails; hyper then lets go of it and the kernel closes it. Cancelling the server's own token
//! cuts them all, so that shutting down waits for nobody.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// A listening socket whose connections can be cut one by one, or all at once through the token it was made with.
pub(super) struct CuttableListener {
    inner: TcpListener,
    server: CancellationToken,
}

impl CuttableListener {
    /// Wraps a bound socket.
    pub(super) fn new(inner: TcpListener, server: CancellationToken) -> Self {
        CuttableListener { inner, server }
    }
}

impl Listener for CuttableListener {
    type Io = CuttableStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        let (stream, peer) = Listener::accept(&mut self.inner).await;
        // An answer is small and awaited: waiting to fill a packet would cost 40 ms a call. Failing to set it is harmless.
        let _ = stream.set_nodelay(true);
        (CuttableStream::new(stream, self.server.child_token()), peer)
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.inner.local_addr()
    }
}

/// One connection.
pub(super) struct CuttableStream {
    inner: TcpStream,
    cut: CancellationToken,
    cancelled: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl CuttableStream {
    fn new(inner: TcpStream, cut: CancellationToken) -> Self {
        let cancelled = Box::pin(cut.clone().cancelled_owned());
        CuttableStream { inner, cut, cancelled }
    }

    /// Whether the connection was cut; if not, the task is woken when it is.
    fn is_cut(&mut self, cx: &mut Context<'_>) -> bool {
        self.cancelled.as_mut().poll(cx).is_ready()
    }
}

fn aborted<T>() -> Poll<io::Result<T>> {
    Poll::Ready(Err(io::Error::new(io::ErrorKind::ConnectionAborted, "cut by the sandbox")))
}

impl AsyncRead for CuttableStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.is_cut(cx) { aborted() } else { Pin::new(&mut self.inner).poll_read(cx, buf) }
    }
}

impl AsyncWrite for CuttableStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.is_cut(cx) { aborted() } else { Pin::new(&mut self.inner).poll_write(cx, buf) }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is_cut(cx) { aborted() } else { Pin::new(&mut self.inner).poll_flush(cx) }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.is_cut(cx) { aborted() } else { Pin::new(&mut self.inner).poll_write_vectored(cx, bufs) }
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}

/// The handle to a request's own connection.
#[derive(Clone)]
pub(super) struct Connection(CancellationToken);

impl Connection {
    /// Cuts the connection: the caller sees it close, without a byte of an answer to this request.
    pub(super) fn cut(&self) {
        self.0.cancel();
    }

    /// Waits this long, or until the sandbox shuts down.
    pub(super) async fn pause(&self, time: std::time::Duration) {
        if !time.is_zero() {
            tokio::select! {
                () = tokio::time::sleep(time) => {}
                () = self.0.cancelled() => {}
            }
        }
    }
}

impl Connected<IncomingStream<'_, CuttableListener>> for Connection {
    fn connect_info(stream: IncomingStream<'_, CuttableListener>) -> Self {
        Connection(stream.io().cut.clone())
    }
}

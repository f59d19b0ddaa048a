//! One connection: handshake, requests, and the clock that ends it when its peer takes too long.

use std::convert::Infallible;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_rustls::TlsAcceptor;

use super::HttpServerSettings;
use super::http2::{self, OpenStream};
use super::listener::Accepted;
use super::rounds::Rounds;
use super::service::Service;

/// The longest head of a request. Proxies allow 8 to 32 KiB.
const MAX_HEAD: usize = 64 << 10;
/// How long the TLS handshake may take, if the time for a head is not limited.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Serves a connection to its end. The error is that of the TLS handshake; what goes wrong later is the client's affair.
pub(super) async fn serve(accepted: Accepted, service: Arc<Service>, stopped: watch::Receiver<bool>) -> io::Result<()> {
    let peer = accepted.peer();
    let only_http2 = service.settings.http2.only;
    let Some(tls) = &service.settings.tls else {
        if only_http2 {
            Box::pin(http2::serve(accepted, service, peer, stopped)).await;
            return Ok(());
        }
        http1(accepted, service, peer, stopped).await;
        return Ok(());
    };
    let limit = match service.settings.read_header_timeout {
        Duration::ZERO => HANDSHAKE_TIMEOUT,
        limit => limit.min(HANDSHAKE_TIMEOUT),
    };
    let handshake = TlsAcceptor::from(tls.config()).accept(accepted);
    let stream = timeout(limit, handshake).await.map_err(|_| io::ErrorKind::TimedOut)??;
    if stream.get_ref().1.alpn_protocol() == Some(b"h2") || only_http2 {
        Box::pin(http2::serve(stream, service, peer, stopped)).await;
    } else {
        Box::pin(http1(stream, service, peer, stopped)).await;
    }
    Ok(())
}

async fn http1<S: AsyncRead + AsyncWrite + Unpin + 'static>(
    stream: S,
    service: Arc<Service>,
    peer: Option<std::net::SocketAddr>,
    mut stopped: watch::Receiver<bool>,
) {
    let clock = Arc::new(Clock::new());
    let timed = Timed { stream, clock: Arc::clone(&clock) };
    let handler = {
        let (service, clock) = (Arc::clone(&service), Arc::clone(&clock));
        service_fn(move |request| {
            let (service, clock) = (Arc::clone(&service), Arc::clone(&clock));
            clock.head_complete();
            async move { Ok::<_, Infallible>(respond(&service, request, peer, &clock).await) }
        })
    };
    let connection = hyper::server::conn::http1::Builder::new()
        .max_buf_size(MAX_HEAD)
        .keep_alive(service.settings.keep_alive)
        .half_close(true)
        .serve_connection(TokioIo::new(timed), handler);
    let connection = pin!(connection);
    let mut connection = Rounds::new(connection);
    let mut stopping = false;
    loop {
        let deadline = clock.deadline(&service.settings);
        tokio::select! {
            _ = &mut connection => return,
            _ = stopped.wait_for(|stopped| *stopped), if !stopping => {
                stopping = true;
                connection.get_mut().as_mut().graceful_shutdown();
            }
            // Requests move the deadline without touching this timer; when it rings, the clock is asked again.
            () = sleep_until(deadline) => {
                if clock.deadline(&service.settings) <= Instant::now() {
                    return;
                }
            }
        }
    }
}

pub(super) async fn respond(
    service: &Service,
    request: http::Request<Incoming>,
    peer: Option<std::net::SocketAddr>,
    clock: &Arc<Clock>,
) -> http::Response<Finishing> {
    let response = service.respond(request, peer, clock).await;
    let trailers = (!response.trailers.is_empty()).then_some(response.trailers);
    let body = Finishing { body: Full::new(response.body), trailers, clock: Arc::clone(clock), stream: None };
    let mut message = http::Response::new(body);
    *message.status_mut() = response.status;
    *message.headers_mut() = response.headers;
    message
}

/// Where a connection stands, and since when.
pub(super) struct Clock {
    state: Mutex<State>,
}

#[derive(Clone, Copy)]
struct State {
    phase: Phase,
    /// The beginning of the phase; for `Body`, of the head.
    since: Instant,
    /// The end of the head.
    head_end: Instant,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Waiting for the next request.
    Idle,
    /// Reading a head.
    Head,
    /// Reading a body.
    Body,
    /// Working and writing.
    Response,
}

/// Far enough: a timer that never matters.
pub(super) const NEVER: Duration = Duration::from_secs(365 * 24 * 3600);

impl Clock {
    pub(super) fn new() -> Self {
        let now = Instant::now();
        // A client that connects is expected to begin at once.
        Self { state: Mutex::new(State { phase: Phase::Head, since: now, head_end: now }) }
    }

    fn bytes_arrived(&self) {
        let mut state = self.state.lock();
        if state.phase == Phase::Idle {
            state.phase = Phase::Head;
            state.since = Instant::now();
        }
    }

    pub(super) fn head_complete(&self) {
        let mut state = self.state.lock();
        state.phase = Phase::Body;
        state.head_end = Instant::now();
    }

    pub(super) fn body_complete(&self) {
        self.state.lock().phase = Phase::Response;
    }

    fn response_complete(&self) {
        let mut state = self.state.lock();
        state.phase = Phase::Idle;
        state.since = Instant::now();
    }

    fn deadline(&self, settings: &HttpServerSettings) -> Instant {
        let state = *self.state.lock();
        let after = |since: Instant, limit: Duration| match limit {
            Duration::ZERO => Instant::now() + NEVER,
            limit => since.checked_add(limit).unwrap_or_else(|| Instant::now() + NEVER),
        };
        match state.phase {
            Phase::Idle => after(state.since, settings.idle_timeout),
            Phase::Head => {
                after(state.since, settings.read_header_timeout).min(after(state.since, settings.read_timeout))
            }
            Phase::Body => after(state.since, settings.read_timeout).min(after(state.head_end, settings.write_timeout)),
            Phase::Response => after(state.head_end, settings.write_timeout),
        }
    }
}

/// A stream that tells the clock when something arrives.
struct Timed<S> {
    stream: S,
    clock: Arc<Clock>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Timed<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.clock.bytes_arrived();
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Timed<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// A response's body that tells the clock when it has been handed over.
pub(super) struct Finishing {
    body: Full<Bytes>,
    trailers: Option<HeaderMap>,
    clock: Arc<Clock>,
    /// For HTTP/2.
    pub(super) stream: Option<OpenStream>,
}

impl Body for Finishing {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Ready(None) => Poll::Ready(self.trailers.take().map(|trailers| Ok(Frame::trailers(trailers)))),
            polled => polled,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream() && self.trailers.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Finishing {
    fn drop(&mut self) {
        self.clock.response_complete();
    }
}

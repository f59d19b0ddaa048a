//! A connection of HTTP/2: its streams, and when it is idle or old.

use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use hyper::rt::Executor;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use super::connection::{Clock, NEVER, respond};
use super::rounds::Rounds;
use super::service::Service;

/// The largest frame that peers may send. Those that heed it (others send 16 KiB) send a usual request in two or three, each of which costs some
/// reads, buffers and wakes. What a peer has sent of a frame is held before it is counted among the bodies ([`super::body`]), as much
/// as HTTP/1.1 reads at once.
const MAX_FRAME: u32 = 64 << 10;

/// Serves a connection to its end.
pub(super) async fn serve<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    service: Arc<Service>,
    peer: Option<SocketAddr>,
    mut stopped: watch::Receiver<bool>,
) {
    let activity = Arc::new(Activity { open: AtomicUsize::new(0), since: Mutex::new(Instant::now()) });
    let handler = {
        let (service, activity) = (Arc::clone(&service), Arc::clone(&activity));
        service_fn(move |request| {
            let service = Arc::clone(&service);
            let stream = OpenStream::new(&activity);
            async move {
                // Each stream has its own times, since several run at once.
                let clock = Arc::new(Clock::new());
                clock.head_complete();
                let limit = match service.settings.write_timeout {
                    Duration::ZERO => Duration::MAX,
                    limit => limit,
                };
                let mut response = timeout(limit, respond(&service, request, peer, &clock)).await?;
                response.body_mut().stream = Some(stream);
                Ok::<_, io::Error>(response)
            }
        })
    };
    let (http2, idle) = (service.settings.http2, service.settings.idle_timeout);
    let begun = Arc::new(Mutex::new(Vec::new()));
    let mut builder = hyper::server::conn::http2::Builder::new(Begun(Arc::downgrade(&begun)));
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(http2.max_streams)
        .max_header_list_size(64 << 10)
        .max_frame_size(MAX_FRAME)
        // A peer that vanished is noticed even though its connection may be silent for long.
        .keep_alive_interval(http2.ping_after.unwrap_or(if idle.is_zero() { Duration::from_secs(60) } else { idle }))
        .keep_alive_timeout(http2.ping_timeout);
    let connection = pin!(builder.serve_connection(TokioIo::new(stream), handler));
    let mut connection = Rounds::new(Together { connection, begun, streams: FuturesUnordered::new() });
    let mut end = EndOfConnection { age: http2.max_age.and_then(|age| Instant::now().checked_add(age)), cut: None };
    let mut stopping = false;
    loop {
        let deadline = activity.deadline(idle);
        tokio::select! {
            () = &mut connection => return,
            _ = stopped.wait_for(|stopped| *stopped), if !stopping => {
                stopping = true;
                connection.get_mut().connection.as_mut().graceful_shutdown();
            }
            () = sleep_until(deadline), if !stopping => {
                if activity.deadline(idle) <= Instant::now() {
                    stopping = true;
                    connection.get_mut().connection.as_mut().graceful_shutdown();
                }
            }
            () = sleep_until(end.age.unwrap_or(deadline)), if !stopping && end.age.is_some() => {
                stopping = true;
                connection.get_mut().connection.as_mut().graceful_shutdown();
                end.cut = http2.max_age_grace.and_then(|grace| Instant::now().checked_add(grace));
            }
            () = sleep_until(end.cut.unwrap_or(deadline)), if end.cut.is_some() => return,
        }
    }
}

/// A stream that is being served.
type Stream = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Takes the streams that a connection begins.
#[derive(Clone)]
struct Begun(Weak<Mutex<Vec<Stream>>>);

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Begun {
    fn execute(&self, stream: F) {
        if let Some(begun) = self.0.upgrade() {
            begun.lock().push(Box::pin(stream));
        }
    }
}

/// A connection and its streams in one task, as it is for HTTP/1.1. In tasks of their own each frame and each response would go from one
/// task to another, and mostly from one thread to another; what a request is decoded into is put together one at a time anyway.
struct Together<C> {
    connection: C,
    begun: Arc<Mutex<Vec<Stream>>>,
    streams: FuturesUnordered<Stream>,
}

impl<C: Future + Unpin> Future for Together<C> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Self { connection, begun, streams } = self.get_mut();
        // Streams end with their connection.
        if Pin::new(connection).poll(cx).is_ready() {
            return Poll::Ready(());
        }
        streams.extend(begun.lock().drain(..));
        while let Poll::Ready(Some(())) = streams.poll_next_unpin(cx) {}
        Poll::Pending
    }
}

/// When a connection is too old, and when what is open then is cut off.
struct EndOfConnection {
    age: Option<Instant>,
    cut: Option<Instant>,
}

/// What an HTTP/2 connection is doing.
struct Activity {
    open: AtomicUsize,
    since: Mutex<Instant>,
}

impl Activity {
    /// When the connection has been idle for long enough, as things stand.
    fn deadline(&self, idle: Duration) -> Instant {
        let since = match self.open.load(Ordering::Relaxed) {
            0 => *self.since.lock(),
            _ => Instant::now(),
        };
        let idle = if idle.is_zero() { NEVER } else { idle };
        since.checked_add(idle).unwrap_or_else(|| Instant::now() + NEVER)
    }
}

/// Counts a stream as open until it is dropped.
pub(super) struct OpenStream {
    activity: Arc<Activity>,
}

impl OpenStream {
    fn new(activity: &Arc<Activity>) -> Self {
        activity.open.fetch_add(1, Ordering::Relaxed);
        Self { activity: Arc::clone(activity) }
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        *self.activity.since.lock() = Instant::now();
        self.activity.open.fetch_sub(1, Ordering::Relaxed);
    }
}

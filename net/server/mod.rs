//! The HTTP server of all receivers and extensions.
//!
//! A [`Handler`] gets whole requests: the body has been read, limited and decompressed, the sender authenticated. [`HttpServer::bind`]
//! opens the socket, so that a wrong or used address is known at start; [`HttpServer::serve`] runs it until it
//! is told to stop and has finished what it had begun.
//!
//! gRPC is HTTP/2 with a frame around each message and a status behind it: [`grpc`] has both, for calls with one request and
//! one response.

mod body;
mod config;
mod connection;
mod cors;
pub(crate) mod decompress;
pub mod grpc;
mod grpc_config;
mod http2;
mod listener;
mod rounds;
mod service;

pub use self::config::{DEFAULT_MAX_BUFFERED, DEFAULT_MAX_CONNECTIONS, DEFAULT_MAX_REQUEST_BODY, HttpServerConfig};
pub use self::cors::CorsConfig;
pub use self::decompress::{Encodings, zstd_frames};
pub use self::grpc_config::{GrpcServerConfig, KeepaliveServerConfig};

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use self::listener::{Accepted, Listener};
use self::service::Service;
use crate::auth::{Identity, ServerAuth};
use crate::file::io_text;
use crate::tls::{ServerTls, TlsError};

/// The pause after a failure to accept, which mostly means that descriptors are used up: without it the loop would spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How often refused connections are reported in the log.
const REPORT_EVERY: Duration = Duration::from_secs(1);

/// Answers requests.
#[async_trait]
pub trait Handler: Send + Sync + 'static {
    /// Answers one request. Runs in the connection's task; it is dropped if the client goes away or the write timeout
    /// passes.
    async fn handle(&self, request: Request) -> Response;

    /// The response to a request that did not get as far as [`Handler::handle`], in the protocol's own form. `headers` are
    /// the request's.
    fn refusal(&self, headers: &HeaderMap, status: StatusCode, text: String) -> Response {
        let _ = headers;
        Response::text(status, text)
    }
}

/// A request, complete.
#[derive(Debug)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// The path and query.
    pub uri: Uri,
    /// The fields; `Content-Encoding` is gone if the body was decompressed.
    pub headers: HeaderMap,
    /// The body, decompressed.
    pub body: Bytes,
    /// The client's address; none for Unix sockets.
    pub peer: Option<SocketAddr>,
    /// Who sent it, if the server authenticates.
    pub identity: Option<Identity>,
}

/// A response.
#[derive(Debug, Clone)]
pub struct Response {
    /// The status.
    pub status: StatusCode,
    /// The fields.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// Fields behind the body. Only HTTP/2 has a place for them here.
    pub trailers: HeaderMap,
}

impl Response {
    /// A response without fields or body.
    #[must_use]
    pub fn new(status: StatusCode) -> Self {
        Self { status, headers: HeaderMap::new(), body: Bytes::new(), trailers: HeaderMap::new() }
    }

    /// A response with a plain text.
    #[must_use]
    pub fn text(status: StatusCode, text: impl Into<Bytes>) -> Self {
        Self::with_body(status, "text/plain; charset=utf-8", text)
    }

    /// A response with a body of a media type.
    #[must_use]
    pub fn with_body(status: StatusCode, media_type: &'static str, body: impl Into<Bytes>) -> Self {
        let mut response = Self::new(status);
        response.headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
        response.body = body.into();
        response
    }
}

/// What kind of socket a server listens on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Transport {
    /// TCP over whatever the host's name gives.
    #[default]
    Tcp,
    /// TCP over IPv4 only.
    Tcp4,
    /// TCP over IPv6 only.
    Tcp6,
    /// A Unix socket; the endpoint is its path.
    Unix,
}

/// Everything that a server can be told.
pub struct HttpServerSettings {
    /// Where to listen: `host:port`, `:port`, or a path.
    pub endpoint: String,
    /// The kind of socket.
    pub transport: Transport,
    /// TLS; none for plain HTTP.
    pub tls: Option<ServerTls>,
    /// Which web pages may send.
    pub cors: Option<CorsConfig>,
    /// Who finds out who sends.
    pub auth: Option<Arc<dyn ServerAuth>>,
    /// Parameters of the URL that the authenticator sees as header fields.
    pub auth_params: Vec<String>,
    /// The largest body in bytes, before and after decompression.
    pub max_request_body: usize,
    /// Fields added to every response.
    pub response_headers: Vec<(HeaderName, HeaderValue)>,
    /// The encodings that are undone.
    pub encodings: Encodings,
    /// For reading a request; zero for no limit.
    pub read_timeout: Duration,
    /// For reading a request's head; zero for no limit.
    pub read_header_timeout: Duration,
    /// From a request's head to the end of its response; zero for no limit.
    pub write_timeout: Duration,
    /// Between requests; zero for no limit.
    pub idle_timeout: Duration,
    /// Serve several requests on one connection.
    pub keep_alive: bool,
    /// Connections at the same time. More are refused with 503 and counted.
    pub max_connections: usize,
    /// Bytes of all bodies that are being read or handled at the same time, as they came. More are refused with 503.
    pub max_buffered: usize,
    /// How long a body may stand still before it is given up with 408; zero for no limit.
    pub body_stall: Duration,
    /// Of HTTP/2.
    pub http2: Http2Settings,
}

/// Settings of HTTP/2 connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Http2Settings {
    /// Speak nothing else, without TLS too: gRPC.
    pub only: bool,
    /// Requests that a connection may have open at the same time. Each may hold a body of the allowed size.
    pub max_streams: u32,
    /// The silence after which a peer is asked whether it is still there; none to take the idle timeout.
    pub ping_after: Option<Duration>,
    /// How long its answer may take.
    pub ping_timeout: Duration,
    /// How old a connection may become; none for any age.
    pub max_age: Option<Duration>,
    /// How long requests may take that are open then; none for as long as they need.
    pub max_age_grace: Option<Duration>,
}

impl Default for Http2Settings {
    fn default() -> Self {
        Self {
            only: false,
            max_streams: 100,
            ping_after: None,
            ping_timeout: Duration::from_secs(20),
            max_age: None,
            max_age_grace: None,
        }
    }
}

impl Default for HttpServerSettings {
    /// The Collector's defaults, on a free port of the own host.
    fn default() -> Self {
        Self {
            endpoint: "localhost:0".to_owned(),
            transport: Transport::Tcp,
            tls: None,
            cors: None,
            auth: None,
            auth_params: Vec::new(),
            max_request_body: DEFAULT_MAX_REQUEST_BODY,
            response_headers: Vec::new(),
            encodings: Encodings::all(),
            read_timeout: Duration::ZERO,
            read_header_timeout: Duration::from_secs(60),
            write_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(60),
            keep_alive: true,
            max_connections: DEFAULT_MAX_CONNECTIONS,
            max_buffered: DEFAULT_MAX_BUFFERED,
            body_stall: Duration::ZERO,
            http2: Http2Settings::default(),
        }
    }
}

/// A server that cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum HttpServerError {
    /// A setting has a value that is not known.
    #[error("{0}")]
    Config(String),
    /// Certificates cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The address cannot be listened on.
    #[error("listen {endpoint}: {}{}", io_text(source), advice(source))]
    Bind {
        /// The endpoint as configured.
        endpoint: String,
        /// Why.
        source: io::Error,
    },
}

fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => "; another program or another component listens there",
        io::ErrorKind::PermissionDenied => "; ports below 1024 need a privilege",
        _ => "",
    }
}

/// A server with its socket open.
pub struct HttpServer {
    listener: Listener,
    service: Arc<Service>,
    max_connections: usize,
    counters: Arc<ServerCounters>,
}

/// What a server counts.
#[derive(Debug, Default)]
pub struct ServerCounters {
    refused_connections: AtomicU64,
    failed_handshakes: AtomicU64,
    cut_off_connections: AtomicU64,
}

impl ServerCounters {
    /// Connections refused because there were as many as allowed.
    #[must_use]
    pub fn refused_connections(&self) -> u64 {
        self.refused_connections.load(Ordering::Relaxed)
    }

    /// TLS handshakes that failed.
    #[must_use]
    pub fn failed_handshakes(&self) -> u64 {
        self.failed_handshakes.load(Ordering::Relaxed)
    }

    /// Connections that were still busy at the end of the time for stopping.
    #[must_use]
    pub fn cut_off_connections(&self) -> u64 {
        self.cut_off_connections.load(Ordering::Relaxed)
    }
}

impl HttpServer {
    /// Opens the socket. Requests wait in its queue until [`HttpServer::serve`] runs.
    ///
    /// # Errors
    /// [`HttpServerError::Bind`] with the endpoint if it cannot be listened on.
    pub async fn bind(settings: HttpServerSettings, handler: Arc<dyn Handler>) -> Result<Self, HttpServerError> {
        let listener = Listener::bind(&settings.endpoint, settings.transport)
            .await
            .map_err(|source| HttpServerError::Bind { endpoint: settings.endpoint.clone(), source })?;
        Ok(Self {
            listener,
            max_connections: settings.max_connections,
            counters: Arc::default(),
            service: Arc::new(Service::new(settings, handler)),
        })
    }

    /// The address that the socket got: tells the port if the endpoint left it open. None for Unix sockets.
    #[must_use]
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.listener.local_addr()
    }

    /// What the server counts; stays readable after its end.
    #[must_use]
    pub fn counters(&self) -> Arc<ServerCounters> {
        Arc::clone(&self.counters)
    }

    /// Serves until `stop` is ready. Then no connection is accepted any more, idle ones are closed, and requests that
    /// have begun are finished; those that are not after `grace` are cut off.
    pub async fn serve(self, stop: impl Future<Output = ()>, grace: Duration) {
        let Self { listener, service, max_connections, counters } = self;
        let (stopping, stopped) = watch::channel(false);
        let permits = Arc::new(Semaphore::new(max_connections.min(Semaphore::MAX_PERMITS)));
        let mut connections = JoinSet::new();
        let mut reported: Option<Instant> = None;
        let mut stop = std::pin::pin!(stop);
        loop {
            let accepted = tokio::select! {
                () = &mut stop => break,
                // Finished tasks are taken out at once, so that the set holds only what is open.
                Some(_) = connections.join_next(), if !connections.is_empty() => continue,
                accepted = listener.accept() => accepted,
            };
            let accepted = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(error = %error, endpoint = %service.settings.endpoint, "A connection cannot be accepted.");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            match Arc::clone(&permits).try_acquire_owned() {
                Ok(permit) => {
                    let (service, counters, stopped) = (Arc::clone(&service), Arc::clone(&counters), stopped.clone());
                    connections.spawn(run(accepted, service, counters, stopped, permit));
                }
                Err(_) => {
                    counters.refused_connections.fetch_add(1, Ordering::Relaxed);
                    if reported.is_none_or(|last| last.elapsed() >= REPORT_EVERY) {
                        reported = Some(Instant::now());
                        tracing::warn!(
                            endpoint = %service.settings.endpoint,
                            limit = max_connections,
                            refused = counters.refused_connections(),
                            "A connection is refused because there are as many as allowed."
                        );
                    }
                    let silent = service.settings.tls.is_some() || service.settings.http2.only;
                    accepted.refuse(silent, max_connections);
                }
            }
        }
        drop(listener);
        stopping.send_replace(true);
        let finish = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(grace, finish).await.is_err() {
            let cut_off = connections.len();
            counters.cut_off_connections.fetch_add(cut_off as u64, Ordering::Relaxed);
            tracing::warn!(
                endpoint = %service.settings.endpoint,
                connections = cut_off,
                "Connections are still busy at the end of the time for stopping and are cut off."
            );
            connections.shutdown().await;
        }
    }
}

async fn run(
    accepted: Accepted,
    service: Arc<Service>,
    counters: Arc<ServerCounters>,
    stopped: watch::Receiver<bool>,
    permit: OwnedSemaphorePermit,
) {
    let peer = accepted.peer();
    if let Err(error) = connection::serve(accepted, service, stopped).await {
        counters.failed_handshakes.fetch_add(1, Ordering::Relaxed);
        tracing::debug!(error = %error, peer = ?peer, "A TLS handshake failed.");
    }
    drop(permit);
}

#[cfg(test)]
mod tests;

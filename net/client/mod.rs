//! The HTTP client of all components.
//!
//! [`HttpClient::send`] reads a whole response into the caller's buffer, which is what a scrape and a write need;
//! [`HttpClient::open`] gives the body piece by piece, for watches. HTTP/1.1 runs on own code that keeps nothing but the
//! descriptor between requests (see `http1`), HTTP/2 on hyper.

mod body;
mod collector;
mod compression;
mod cookies;
mod credentials;
mod dial;
mod error;
mod exchange;
mod framing;
pub mod grpc;
mod http1;
mod http2;
mod oauth2;
mod pool;
mod prometheus;
mod prometheus_checks;
mod proxy;
mod redirect;
mod settings;
mod stream;

pub use self::body::ResponseBody;
pub(crate) use self::collector::unknown_middleware;
pub use self::collector::{
    CollectorDefaults, CollectorHttpClientConfig, CompressionParams, CookiesConfig, HeaderList, MiddlewareConfig,
    collector_settings,
};
pub use self::compression::Compression;
pub(crate) use self::dial::percent_decoded;
pub use self::error::{RequestError, RequestErrorKind};
pub use self::http2::Http2Ping;
pub use self::oauth2::{Grant, JwtAlgorithm, OAuth2Settings};
pub use self::pool::PoolLimits;
pub use self::prometheus::{
    Authorization, BasicAuth, ClaimValue, HttpHeader, OAuth2Config, PrometheusHttpClientConfig,
};
pub use self::prometheus_checks::{prometheus_settings, resolve_prometheus_paths};
pub use self::proxy::{ProxySettings, ProxyUrl};
pub use self::settings::{ClientConfigError, ClientSettings, Credentials, SecretSource};

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, Uri};

use self::cookies::CookieJar;
use self::credentials::{ConfiguredHeaders, Signer};
use self::dial::Dialer;
use self::exchange::{Chain, Phase};
use self::pool::Pool;
use self::proxy::ProxyRules;
use crate::auth::Authenticators;
use crate::tls::ClientTls;

/// A client with its kept connections. Clones share them.
#[derive(Clone)]
pub struct HttpClient {
    inner: Arc<Inner>,
}

struct Inner {
    timeout: Option<Duration>,
    follow_redirects: bool,
    http2_ping: Http2Ping,
    keep_alive: bool,
    compression: Option<Compression>,
    headers: ConfiguredHeaders,
    signer: Signer,
    dialer: Dialer,
    pool: Arc<Pool>,
    cookies: Option<CookieJar>,
}

/// A request. Build it once and send it by reference as often as needed.
#[derive(Debug, Clone)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// The absolute URL.
    pub uri: Uri,
    /// Fields to send. What frames the message (`Content-Length`, `Connection`, …) is added by the client.
    pub headers: HeaderMap,
    /// The body; empty for none.
    pub body: Bytes,
    /// The time for the whole exchange, in place of the client's.
    pub timeout: Option<Duration>,
    /// Connect to this Unix socket instead of the URL's host.
    pub unix_socket: Option<PathBuf>,
    /// Whether sending the request twice does no harm, so that it may be sent again when a kept connection turns out to
    /// be closed. True for all methods but POST and PATCH unless set.
    pub idempotent: Option<bool>,
}

/// Status and fields of a response.
#[derive(Debug, Clone)]
pub struct ResponseHead {
    /// The status.
    pub status: StatusCode,
    /// The fields.
    pub headers: HeaderMap,
    /// The URL that answered, if redirects led to another one than was asked for.
    pub redirected_to: Option<Uri>,
}

impl Request {
    /// A request without fields or body.
    #[must_use]
    pub fn new(method: Method, uri: Uri) -> Self {
        Self {
            method,
            uri,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            timeout: None,
            unix_socket: None,
            idempotent: None,
        }
    }

    /// A GET request.
    #[must_use]
    pub fn get(uri: Uri) -> Self {
        Self::new(Method::GET, uri)
    }

    /// A POST request.
    #[must_use]
    pub fn post(uri: Uri, body: impl Into<Bytes>) -> Self {
        let mut request = Self::new(Method::POST, uri);
        request.body = body.into();
        request
    }

    fn is_idempotent(&self) -> bool {
        self.idempotent.unwrap_or(!matches!(self.method, Method::POST | Method::PATCH | Method::CONNECT))
    }
}

impl HttpClient {
    /// A client. Reads no certificates yet: they are read when the first connection needs them, so that a file that
    /// appears later does no harm. [`HttpClient::check_files`] reads them at once.
    ///
    /// # Errors
    /// [`ClientConfigError`] for settings that cannot be used, or an authenticator that is not there.
    pub fn new(settings: &ClientSettings, authenticators: &Authenticators) -> Result<Self, ClientConfigError> {
        let inner = Inner {
            timeout: settings.timeout.filter(|timeout| !timeout.is_zero()),
            follow_redirects: settings.follow_redirects,
            http2_ping: settings.http2_ping,
            keep_alive: settings.pool.keep_alive,
            compression: settings.compression,
            headers: ConfiguredHeaders::new(settings),
            signer: Signer::new(settings, authenticators)?,
            dialer: Dialer {
                tls: ClientTls::new(settings.tls.clone(), settings.http2)?,
                proxies: ProxyRules::new(&settings.proxy)?,
            },
            pool: Pool::new(settings.pool),
            cookies: settings.cookies.then(CookieJar::default),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Reads the certificates' files, so that a mistake shows at start.
    ///
    /// # Errors
    /// Naming the file that cannot be used.
    pub fn check_files(&self) -> Result<(), ClientConfigError> {
        Ok(self.inner.dialer.tls.check_files()?)
    }

    /// Sends a request and reads the whole response; its body replaces what is in `body`, whose capacity is used again.
    ///
    /// The body is as it came: a `Content-Encoding` is left to the caller. A body of more than `limit` bytes is an
    /// error, noticed as early as its announced length. The timeout covers everything from the name's resolution to the
    /// body's last byte. After an error `body` holds nothing of use.
    ///
    /// # Errors
    /// [`RequestError`] if there is no complete response. A response with whatever status is not an error.
    pub async fn send(
        &self,
        request: &Request,
        body: &mut Vec<u8>,
        limit: usize,
    ) -> Result<ResponseHead, RequestError> {
        let phase = AtomicU8::new(Phase::Connecting as u8);
        let mut chain = Chain::new(&self.inner, request, &phase);
        let result = match request.timeout.or(self.inner.timeout) {
            None => chain.send(body, limit).await,
            Some(timeout) => match tokio::time::timeout(timeout, chain.send(body, limit)).await {
                Ok(result) => result,
                Err(_) => Err(Phase::timed_out(phase.load(Ordering::Relaxed), timeout)),
            },
        };
        result.map_err(|failure| chain.error(failure))
    }

    /// As [`HttpClient::send`], but of a body longer than `limit` bytes only the beginning is read, and its connection closed:
    /// for responses whose status is what matters.
    ///
    /// # Errors
    /// As [`HttpClient::send`], except for long bodies.
    pub async fn send_for_status(
        &self,
        request: &Request,
        body: &mut Vec<u8>,
        limit: usize,
    ) -> Result<ResponseHead, RequestError> {
        let phase = AtomicU8::new(Phase::Connecting as u8);
        let mut chain = Chain::new(&self.inner, request, &phase);
        let sending = chain.send_for_status(body, limit);
        let result = match request.timeout.or(self.inner.timeout) {
            None => sending.await,
            Some(timeout) => match tokio::time::timeout(timeout, sending).await {
                Ok(result) => result,
                Err(_) => Err(Phase::timed_out(phase.load(Ordering::Relaxed), timeout)),
            },
        };
        result.map_err(|failure| chain.error(failure))
    }

    /// Sends a request and hands over the response as soon as its head is there. The timeout covers the time until
    /// then. The connection is kept for another request once the body has been read to its end.
    ///
    /// # Errors
    /// [`RequestError`] if there is no response.
    pub async fn open(&self, request: &Request) -> Result<(ResponseHead, ResponseBody), RequestError> {
        let phase = AtomicU8::new(Phase::Connecting as u8);
        let mut chain = Chain::new(&self.inner, request, &phase);
        let result = match request.timeout.or(self.inner.timeout) {
            None => chain.open().await,
            Some(timeout) => match tokio::time::timeout(timeout, chain.open()).await {
                Ok(result) => result,
                Err(_) => Err(Phase::timed_out(phase.load(Ordering::Relaxed), timeout)),
            },
        };
        result.map_err(|failure| chain.error(failure))
    }

    /// The proxy that a request to `uri` goes through, with its password replaced; none if it goes there directly, or nowhere.
    #[must_use]
    pub fn proxy_of(&self, uri: &Uri) -> Option<String> {
        let route = self.inner.dialer.route(uri, None).ok()?;
        route.proxy.map(|proxy| error::redacted(proxy.uri()))
    }

    /// The number of connections that are kept for the next request (HTTP/1.1 only).
    #[must_use]
    pub fn idle_connections(&self) -> usize {
        self.inner.pool.idle()
    }
}

impl std::fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpClient").field("idle_connections", &self.idle_connections()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;

//! A gRPC client for calls of one request and one response (gRPC over HTTP2, PROTOCOL-HTTP2.md), with the settings of the
//! Collector's configgrpc.
//!
//! A connection serves many calls at once; there is one to each address of the endpoint. It is opened when the first call needs it and again
//! when it has ended, when its certificates have changed, or when the server asks for it. A call that the server cannot have begun with is
//! made again on another connection; whether others are is the caller's business.

mod balancer;
mod config;
mod endpoint;
mod status;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use http::header::{CONTENT_TYPE, TE, USER_AGENT};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use http_body_util::Full;
use pipeline::config::ComponentId;
use tokio::sync::Mutex;

use self::balancer::{Balancer, State};
pub use self::config::{GrpcClientConfig, KeepaliveClientConfig};
pub use self::endpoint::{GrpcEndpoint, GrpcEndpointError};
pub use crate::server::grpc::GrpcStatus;

use super::compression::Compression;
use super::dial::Dialer;
use super::error::Failure;
use super::http2::{self, Http2Ping};
use super::proxy::{ProxyRules, ProxySettings};
use super::settings::ClientConfigError;
use crate::auth::{Authenticators, ClientAuth};
use crate::server::grpc::{FRAME, message};
use crate::tls::{ClientTls, ClientTlsSettings};

/// The largest response: grpc-go's.
const MAX_RESPONSE: usize = 4 << 20;

/// Everything that a [`GrpcClient`] is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrpcSettings {
    /// Where calls go.
    pub endpoint: GrpcEndpoint,
    /// TLS; none for plain connections.
    pub tls: Option<ClientTlsSettings>,
    /// Fields sent with every call.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The extension that authenticates calls.
    pub authenticator: Option<ComponentId>,
    /// When to ask a silent connection whether it is still there.
    pub ping: Http2Ping,
    /// The name of the server in requests, in place of the endpoint's.
    pub authority: Option<String>,
    /// What the client calls itself.
    pub user_agent: Option<HeaderValue>,
    /// How messages are compressed; only gzip, zstd and framed snappy have a name in gRPC.
    pub compression: Option<Compression>,
    /// Use all addresses that the endpoint's name has in turn, and not the first that works.
    pub spreads: bool,
}

/// A client with its connections. Clones share them.
#[derive(Clone)]
pub struct GrpcClient {
    inner: Arc<Inner>,
}

struct Inner {
    balancer: Balancer,
    headers: HeaderMap,
    auth: Option<Arc<dyn ClientAuth>>,
    authority: String,
    compression: Option<Compression>,
}

/// Why a call gave no response.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GrpcError {
    /// The server has refused it, or the time was over.
    #[error("rpc error: code = {} desc = {}", status::name(.0.code), .0.message)]
    Status(GrpcStatus),
    /// The server could not be reached, or the connection has ended.
    #[error("rpc error: code = Unavailable desc = {0}")]
    Transport(String),
    /// The authenticator has no credentials at the moment.
    #[error("rpc error: code = Unauthenticated desc = {0}")]
    Auth(String),
}

impl From<Failure> for GrpcError {
    fn from(failure: Failure) -> Self {
        Self::Transport(failure.detail)
    }
}

/// A message in its frame, ready to be sent any number of times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Framed(Bytes);

impl Framed {
    /// The bytes on the wire, to be kept.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        self.0
    }

    /// What [`Framed::into_bytes`] has given.
    #[must_use]
    pub fn from_bytes(bytes: Bytes) -> Self {
        Self(bytes)
    }
}

impl GrpcClient {
    /// A client. Opens nothing yet, and reads no certificates: [`GrpcClient::check_files`] does.
    ///
    /// # Errors
    /// [`ClientConfigError`] for settings that cannot be used, or an authenticator that is not there.
    pub fn new(settings: &GrpcSettings, authenticators: &Authenticators) -> Result<Self, ClientConfigError> {
        let auth = match &settings.authenticator {
            Some(id) => Some(authenticators.client(id)?),
            None => None,
        };
        if let (Some(auth), Some(id)) = (&auth, &settings.authenticator)
            && !auth.authenticates_grpc()
        {
            return Err(ClientConfigError::invalid(format!(
                "auth::authenticator: {id} signs HTTP requests and cannot authenticate gRPC; use the otlphttp exporter"
            )));
        }
        let mut headers = HeaderMap::new();
        for (name, value) in &settings.headers {
            headers.append(name, status::metadata_value(name, value)?);
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert(TE, HeaderValue::from_static("trailers"));
        headers.insert("grpc-accept-encoding", HeaderValue::from_static("identity,gzip,zstd,snappy"));
        if let Some(compression) = settings.compression {
            headers.insert("grpc-encoding", HeaderValue::from_static(status::encoding(compression)?));
        }
        let own = HeaderValue::from_static(super::exchange::DEFAULT_USER_AGENT);
        headers.insert(USER_AGENT, settings.user_agent.clone().unwrap_or(own));
        let mut tls = settings.tls.clone().unwrap_or_default();
        let authority = match (&settings.authority, &tls.server_name) {
            (Some(authority), _) => authority.clone(),
            (None, Some(name)) => name.clone(),
            (None, None) => settings.endpoint.authority(),
        };
        // What cannot be an authority would fail every call.
        format!("http://{authority}/")
            .parse::<Uri>()
            .map_err(|_| ClientConfigError::invalid(format!("authority {authority:?} cannot be sent")))?;
        if let GrpcEndpoint::Tcp { host, .. } = &settings.endpoint {
            // Connections lead to addresses, and certificates are for the name.
            tls.server_name.get_or_insert_with(|| host.clone());
        }
        let balancer = Balancer {
            endpoint: settings.endpoint.clone(),
            secure: settings.tls.is_some(),
            dialer: Dialer {
                tls: ClientTls::only_http2(tls)?,
                proxies: ProxyRules::new(&ProxySettings::FromEnvironment { connect_headers: Vec::new() })?,
            },
            ping: settings.ping,
            spreads: settings.spreads,
            state: Mutex::new(State::default()),
            #[cfg(test)]
            addresses: parking_lot::Mutex::default(),
        };
        let inner = Inner { balancer, headers, auth, authority, compression: settings.compression };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Reads the certificates' files, so that a mistake shows at start.
    ///
    /// # Errors
    /// Naming the file that cannot be used.
    pub fn check_files(&self) -> Result<(), ClientConfigError> {
        let balancer = &self.inner.balancer;
        if balancer.secure { Ok(balancer.dialer.tls.check_files()?) } else { Ok(()) }
    }

    /// Puts a message in its frame, compressed if the client compresses; none for more than 4 GiB.
    #[must_use]
    pub fn frame(&self, message: &[u8]) -> Option<Framed> {
        let compressed = match self.inner.compression {
            Some(compression) if !message.is_empty() => Some(compression.compress(message)?),
            _ => None,
        };
        let content = compressed.as_deref().unwrap_or(message);
        let mut frame = BytesMut::with_capacity(FRAME + content.len());
        frame.put_u8(u8::from(compressed.is_some()));
        frame.put_u32(u32::try_from(content.len()).ok()?);
        frame.put_slice(content);
        Some(Framed(frame.freeze()))
    }

    /// The message in a frame that [`GrpcClient::frame`] has made; none if it is more than `limit` bytes.
    #[must_use]
    pub fn unframe(&self, framed: Framed, limit: usize) -> Option<Bytes> {
        message(&self.inner.headers, framed.0, limit).ok()
    }

    /// Makes one call: `path` is `/package.Service/Method`. Gives the response's message. `timeout` bounds everything and is told to the
    /// server.
    ///
    /// # Errors
    /// [`GrpcError`] if there is no response that says `OK`.
    pub async fn call(&self, path: &str, request: &Framed, timeout: Option<Duration>) -> Result<Bytes, GrpcError> {
        let Some(timeout) = timeout.filter(|timeout| !timeout.is_zero()) else {
            return self.attempt(path, request, None).await;
        };
        match tokio::time::timeout(timeout, self.attempt(path, request, Some(timeout))).await {
            Ok(result) => result,
            Err(_) => Err(GrpcError::Status(GrpcStatus::deadline_exceeded())),
        }
    }

    async fn attempt(&self, path: &str, request: &Framed, timeout: Option<Duration>) -> Result<Bytes, GrpcError> {
        let inner = &*self.inner;
        let mut parts = inner.parts(path, timeout)?;
        if let Some(auth) = &inner.auth {
            auth.apply(&mut parts, &request.0).await.map_err(|error| GrpcError::Auth(error.to_string()))?;
        }
        let mut tries_left = 1;
        loop {
            let (mut sender, reused) = inner.balancer.connection().await?;
            let request = http::Request::from_parts(parts.clone(), Full::new(request.0.clone()));
            match sender.send(request).await {
                Ok(response) => return response_message(response).await,
                Err(failure) if failure.before_response && reused && tries_left > 0 => tries_left -= 1,
                Err(failure) => return Err(failure.into()),
            }
        }
    }
}

impl Inner {
    fn parts(&self, path: &str, timeout: Option<Duration>) -> Result<Parts, GrpcError> {
        let scheme = if self.balancer.secure { "https" } else { "http" };
        let uri: Uri = format!("{scheme}://{}{path}", self.authority)
            .parse()
            .map_err(|_| GrpcError::Transport(format!("malformed method name: {path:?}")))?;
        let mut request = http::Request::new(());
        *request.method_mut() = Method::POST;
        *request.uri_mut() = uri;
        *request.version_mut() = http::Version::HTTP_2;
        *request.headers_mut() = self.headers.clone();
        if let Some(timeout) = timeout
            && let Ok(value) = HeaderValue::from_str(&status::timeout_text(timeout))
        {
            request.headers_mut().insert("grpc-timeout", value);
        }
        Ok(request.into_parts().0)
    }
}

/// The message of a response that says `OK`.
async fn response_message(response: http::Response<hyper::body::Incoming>) -> Result<Bytes, GrpcError> {
    let (head, incoming) = response.into_parts();
    let content_type = head.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if head.status != StatusCode::OK || !content_type.starts_with("application/grpc") {
        return Err(GrpcError::Status(status::of_http(head.status, content_type)));
    }
    if let Some(status) = status::read(&head.headers) {
        return status.map(|()| Bytes::new()).map_err(GrpcError::Status);
    }
    let mut body = Vec::new();
    let trailers = http2::read_with_trailers(incoming, &mut body, MAX_RESPONSE + FRAME).await?;
    match trailers.as_ref().and_then(status::read) {
        Some(Ok(())) if body.is_empty() => Ok(Bytes::new()),
        Some(Ok(())) => message(&head.headers, body.into(), MAX_RESPONSE).map_err(GrpcError::Status),
        Some(Err(status)) => Err(GrpcError::Status(status)),
        None => Err(GrpcError::Transport("server closed the stream without sending trailers".to_owned())),
    }
}

impl std::fmt::Debug for GrpcClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GrpcClient").field("endpoint", &self.inner.balancer.endpoint).finish_non_exhaustive()
    }
}

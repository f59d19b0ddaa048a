//! What an HTTP client can be told, in one form for both dialects.

use std::path::PathBuf;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use pipeline::config::{ComponentId, Secret};

use super::compression::Compression;
use super::http2::Http2Ping;
use super::oauth2::OAuth2Settings;
use super::pool::PoolLimits;
use super::proxy::ProxySettings;
use crate::tls::{ClientTlsSettings, TlsError};

/// Everything that an [`HttpClient`](super::HttpClient) is made of. Built by
/// [`CollectorHttpClientConfig`](super::CollectorHttpClientConfig) or
/// [`PrometheusHttpClientConfig`](super::PrometheusHttpClientConfig), or by hand from the default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientSettings {
    /// The time for one whole exchange: connecting, sending, the response and its body, and redirects. None for no limit.
    /// A request may carry its own.
    pub timeout: Option<Duration>,
    /// Fields set on every request, in place of what the request says.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Fields added to every request.
    pub added_headers: Vec<(HeaderName, SecretSource)>,
    /// How the client proves who it is.
    pub credentials: Credentials,
    /// TLS for `https` URLs.
    pub tls: ClientTlsSettings,
    /// Follow redirects (at most 10).
    pub follow_redirects: bool,
    /// Use HTTP/2 where the server prefers it (TLS only).
    pub http2: bool,
    /// Pings on silent HTTP/2 connections.
    pub http2_ping: Http2Ping,
    /// Requests through a proxy.
    pub proxy: ProxySettings,
    /// How bodies of requests are compressed.
    pub compression: Option<Compression>,
    /// Which connections are kept.
    pub pool: PoolLimits,
    /// Store cookies and send them back.
    pub cookies: bool,
}

/// How a client proves who it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Credentials {
    /// Not at all, beyond what the URL may carry.
    #[default]
    None,
    /// `Authorization: Basic`.
    Basic {
        /// The user's name.
        username: SecretSource,
        /// The password.
        password: SecretSource,
    },
    /// `Authorization: <scheme> <credentials>`.
    Authorization {
        /// The scheme, usually `Bearer`.
        scheme: String,
        /// What follows the scheme.
        credentials: SecretSource,
    },
    /// A token that is fetched first.
    OAuth2(Box<OAuth2Settings>),
    /// An extension, named in the Collector's `auth` block.
    Authenticator(ComponentId),
}

/// A text that stands in the configuration or in a file. Files are read for each request, so that they can be rotated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// The text itself.
    Inline(Secret),
    /// The file; white space around its content is cut off.
    File(PathBuf),
}

impl Default for SecretSource {
    fn default() -> Self {
        Self::Inline(Secret::default())
    }
}

impl Default for ClientSettings {
    /// Prometheus' defaults without credentials: redirects are followed, HTTP/2 is off, connections are kept for five minutes.
    fn default() -> Self {
        Self {
            timeout: None,
            headers: Vec::new(),
            added_headers: Vec::new(),
            credentials: Credentials::None,
            tls: ClientTlsSettings::default(),
            follow_redirects: true,
            http2: false,
            http2_ping: Http2Ping::default(),
            proxy: ProxySettings::None,
            compression: None,
            pool: PoolLimits {
                max_idle: 20_000,
                max_idle_per_host: 1000,
                max_per_host: 0,
                idle_timeout: Duration::from_secs(300),
                keep_alive: true,
                max_age: Duration::ZERO,
            },
            cookies: false,
        }
    }
}

/// Client settings that cannot be used. The text of [`ClientConfigError::Invalid`] is the original program's where users know it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClientConfigError {
    /// Settings contradict each other, or a value is not one of those known.
    #[error("{0}")]
    Invalid(String),
    /// The TLS settings cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The `auth` block names an extension that is not there.
    #[error(transparent)]
    Authenticator(#[from] crate::auth::UnknownAuthenticator),
}

impl ClientConfigError {
    pub(crate) fn invalid(text: impl Into<String>) -> Self {
        Self::Invalid(text.into())
    }
}

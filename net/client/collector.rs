//! The Collector's client keys (confighttp).

use std::fmt;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use pipeline::config::{ComponentId, Secret};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use super::compression::Compression;
use super::http2::Http2Ping;
use super::pool::PoolLimits;
use super::proxy::{ProxySettings, ProxyUrl};
use super::settings::{ClientConfigError, ClientSettings, Credentials};

/// Defines a configuration struct that has the Collector's HTTP client keys beside its own.
///
/// `serde(flatten)` would make unknown keys go unnoticed, so the fields are written out by this macro. Give the struct
/// its attributes, visibility and own fields; shared fields are all optional and follow them. The struct gets
///
/// - `HTTP_CLIENT_FIELDS`, the names of the shared keys,
/// - `http_client()`, the shared part as a [`CollectorHttpClientConfig`](crate::client::CollectorHttpClientConfig),
/// - `client_settings(defaults)`, what an [`HttpClient`](crate::client::HttpClient) is built from.
///
/// ```
/// net::collector_http_client_config! {
///     /// An exporter's configuration.
///     #[derive(Debug, Clone, Default, serde::Deserialize)]
///     #[serde(default, deny_unknown_fields)]
///     pub struct DemoConfig {
///         /// Its own key.
///         pub namespace: String,
///     }
/// }
/// let config: DemoConfig = serde_json::from_str(r#"{"namespace": "a", "timeout": "5s"}"#)?;
/// let settings = config.client_settings(&net::client::CollectorDefaults::default())?;
/// assert_eq!(settings.timeout, Some(std::time::Duration::from_secs(5)));
/// assert!(serde_json::from_str::<DemoConfig>(r#"{"timeuot": "5s"}"#).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[macro_export]
macro_rules! collector_http_client_config {
    (
        $(#[$attribute:meta])*
        $visibility:vis struct $name:ident {
            $($(#[$field_attribute:meta])* $field_visibility:vis $field:ident: $kind:ty),* $(,)?
        }
    ) => {
        $(#[$attribute])*
        $visibility struct $name {
            $($(#[$field_attribute])* $field_visibility $field: $kind,)*
            /// Where requests go: a URL. Required by most exporters.
            pub endpoint: Option<String>,
            /// The proxy for all requests, `http://host:port`. Default: the environment's (`HTTP_PROXY`, `HTTPS_PROXY`, `NO_PROXY`).
            pub proxy_url: Option<String>,
            /// TLS for `https` endpoints.
            pub tls: Option<$crate::tls::TlsClientConfig>,
            /// Accepted for the Collector's sake. Responses are read straight into the buffer they are used from.
            pub read_buffer_size: Option<u64>,
            /// As `read_buffer_size`, for requests.
            pub write_buffer_size: Option<u64>,
            /// The time for one request with its response. 0 for no limit. The default depends on the component.
            pub timeout: Option<$crate::reexport::GoDuration>,
            /// Fields set on every request, as a map or as a list of `{name, value}`.
            pub headers: $crate::client::HeaderList,
            /// The extension that authenticates requests.
            pub auth: Option<$crate::auth::AuthConfig>,
            /// How bodies are compressed: `gzip`, `zstd`, `snappy`, `x-snappy-framed`, `zlib`, `deflate`, `lz4` or `none`. The
            /// default depends on the component.
            pub compression: Option<String>,
            /// The level of the compression.
            pub compression_params: Option<$crate::client::CompressionParams>,
            /// Connections kept for the next request, in all. Default 100; 0 for no limit.
            pub max_idle_conns: Option<u32>,
            /// Connections kept for each host. Default 0: as many as `max_idle_conns` allows.
            pub max_idle_conns_per_host: Option<u32>,
            /// Connections to each host, in use or kept. Default 0: no limit. Requests beyond it wait.
            pub max_conns_per_host: Option<u32>,
            /// How long an unused connection is kept. Default 90s; 0 for as long as the server likes.
            pub idle_conn_timeout: Option<$crate::reexport::GoDuration>,
            /// Close each connection after one request. Default false.
            pub disable_keep_alives: bool,
            /// Silence on an HTTP/2 connection after which a ping is sent. Default 0: never.
            pub http2_read_idle_timeout: Option<$crate::reexport::GoDuration>,
            /// How long the ping's answer may take before the connection is closed. Default 15s.
            pub http2_ping_timeout: Option<$crate::reexport::GoDuration>,
            /// Whether cookies are stored and sent back.
            pub cookies: Option<$crate::client::CookiesConfig>,
            /// Use HTTP/2 with servers that prefer it (`https` only). Default true.
            pub force_attempt_http2: Option<bool>,
            /// Extensions that see every request. There are none yet that could be named here.
            pub middlewares: Vec<$crate::client::MiddlewareConfig>,
        }

        impl $name {
            /// The keys that this block shares with every other HTTP client.
            pub const HTTP_CLIENT_FIELDS: &'static [&'static str] = &[
                "endpoint", "proxy_url", "tls", "read_buffer_size", "write_buffer_size", "timeout", "headers", "auth",
                "compression", "compression_params", "max_idle_conns", "max_idle_conns_per_host", "max_conns_per_host",
                "idle_conn_timeout", "disable_keep_alives", "http2_read_idle_timeout", "http2_ping_timeout", "cookies",
                "force_attempt_http2", "middlewares",
            ];

            /// The shared part of the block.
            #[must_use]
            pub fn http_client(&self) -> $crate::client::CollectorHttpClientConfig {
                $crate::client::CollectorHttpClientConfig {
                    endpoint: self.endpoint.clone(),
                    proxy_url: self.proxy_url.clone(),
                    tls: self.tls.clone(),
                    read_buffer_size: self.read_buffer_size,
                    write_buffer_size: self.write_buffer_size,
                    timeout: self.timeout,
                    headers: self.headers.clone(),
                    auth: self.auth.clone(),
                    compression: self.compression.clone(),
                    compression_params: self.compression_params.clone(),
                    max_idle_conns: self.max_idle_conns,
                    max_idle_conns_per_host: self.max_idle_conns_per_host,
                    max_conns_per_host: self.max_conns_per_host,
                    idle_conn_timeout: self.idle_conn_timeout,
                    disable_keep_alives: self.disable_keep_alives,
                    http2_read_idle_timeout: self.http2_read_idle_timeout,
                    http2_ping_timeout: self.http2_ping_timeout,
                    cookies: self.cookies.clone(),
                    force_attempt_http2: self.force_attempt_http2,
                    middlewares: self.middlewares.clone(),
                }
            }

            /// What a client is built from; `defaults` stand for keys that are not given.
            ///
            /// # Errors
            /// For values that are not known, and keys that contradict each other.
            pub fn client_settings(
                &self,
                defaults: &$crate::client::CollectorDefaults,
            ) -> Result<$crate::client::ClientSettings, $crate::client::ClientConfigError> {
                $crate::client::collector_settings(&self.http_client(), defaults)
            }
        }
    };
}

collector_http_client_config! {
    /// The client keys of confighttp alone.
    #[derive(Debug, Clone, Default, PartialEq, Eq, serde::Deserialize)]
    #[serde(default, deny_unknown_fields)]
    pub struct CollectorHttpClientConfig {}
}

/// What a component sets for keys that its users leave out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CollectorDefaults {
    /// The `timeout`; none for no limit.
    pub timeout: Option<Duration>,
    /// The `compression`.
    pub compression: Option<Compression>,
}

/// Fields of requests, written as a map or as a list of `{name, value}`. Values may be secrets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeaderList(pub Vec<(String, Secret)>);

/// The `compression_params` block.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CompressionParams {
    /// From 1 (fast) to 9 (small) for gzip, zlib and deflate, by default 6; from 1 to 22 for zstd, by default 3.
    pub level: Option<i32>,
}

/// The `cookies` block.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CookiesConfig {
    /// Store cookies and send them back, for load balancers that depend on them. Default false.
    pub enabled: bool,
}

/// One entry of `middlewares`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MiddlewareConfig {
    /// The extension's id.
    pub id: ComponentId,
}

/// What a client is built from. Behind `client_settings` of the structs made by
/// [`collector_http_client_config!`](crate::collector_http_client_config).
///
/// # Errors
/// For values that are not known, and keys that contradict each other.
pub fn collector_settings(
    config: &CollectorHttpClientConfig,
    defaults: &CollectorDefaults,
) -> Result<ClientSettings, ClientConfigError> {
    if let Some(middleware) = config.middlewares.first() {
        return Err(unknown_middleware(&middleware.id));
    }
    let level = config.compression_params.as_ref().and_then(|params| params.level);
    let compression = match &config.compression {
        Some(name) => Compression::parse(name, level)?,
        None => defaults.compression,
    };
    let proxy = match config.proxy_url.as_deref().filter(|url| !url.is_empty()) {
        Some(url) => {
            ProxySettings::Url { url: ProxyUrl::parse(url)?, no_proxy: String::new(), connect_headers: Vec::new() }
        }
        None => ProxySettings::FromEnvironment { connect_headers: Vec::new() },
    };
    let duration =
        |value: Option<crate::reexport::GoDuration>, default: Duration| value.map_or(default, |value| value.to_std());
    let max_idle = config.max_idle_conns.unwrap_or(100) as usize;
    let max_idle_per_host = match config.max_idle_conns_per_host.unwrap_or(0) as usize {
        // Go's two connections for each host make an exporter with ten consumers reconnect all the time.
        0 if max_idle == 0 => usize::MAX,
        0 => max_idle,
        given => given,
    };
    Ok(ClientSettings {
        timeout: config.timeout.map_or(defaults.timeout, |timeout| Some(timeout.to_std())),
        headers: config.headers.parsed()?,
        added_headers: Vec::new(),
        credentials: match &config.auth {
            Some(auth) => Credentials::Authenticator(auth.authenticator.clone()),
            None => Credentials::None,
        },
        tls: config.tls.clone().unwrap_or_default().settings()?,
        follow_redirects: true,
        http2: config.force_attempt_http2.unwrap_or(true),
        http2_ping: Http2Ping {
            after: duration(config.http2_read_idle_timeout, Duration::ZERO),
            timeout: duration(config.http2_ping_timeout, Duration::ZERO),
            while_idle: false,
        },
        proxy,
        compression,
        pool: PoolLimits {
            max_idle,
            max_idle_per_host,
            max_per_host: config.max_conns_per_host.unwrap_or(0) as usize,
            idle_timeout: duration(config.idle_conn_timeout, Duration::from_secs(90)),
            keep_alive: !config.disable_keep_alives,
            max_age: Duration::ZERO,
        },
        cookies: config.cookies.as_ref().is_some_and(|cookies| cookies.enabled),
    })
}

/// No extension of this program is a middleware, so that any name is a mistake.
pub(crate) fn unknown_middleware(id: &ComponentId) -> ClientConfigError {
    ClientConfigError::invalid(format!(
        "middlewares: failed to resolve middleware {:?}: no extension of this program is a middleware; remove it",
        id.to_string()
    ))
}

impl HeaderList {
    /// Names and values as they are sent.
    ///
    /// # Errors
    /// For a name or a value that cannot be sent; values are not repeated in the error.
    pub fn parsed(&self) -> Result<Vec<(HeaderName, HeaderValue)>, ClientConfigError> {
        let parse = |(name, value): &(String, Secret)| {
            let invalid =
                |what: &str| ClientConfigError::invalid(format!("headers: {what} of {name:?} cannot be sent"));
            let parsed: HeaderName = name.parse().map_err(|_| invalid("name"))?;
            let mut value = HeaderValue::from_str(value.expose()).map_err(|_| invalid("value"))?;
            value.set_sensitive(true);
            Ok((parsed, value))
        };
        self.0.iter().map(parse).collect()
    }
}

impl<'de> Deserialize<'de> for HeaderList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Pair {
            name: String,
            #[serde(default)]
            value: Secret,
        }
        struct ListVisitor;
        impl<'de> Visitor<'de> for ListVisitor {
            type Value = HeaderList;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of header fields, or a list of {name, value}")
            }

            fn visit_unit<E>(self) -> Result<HeaderList, E> {
                Ok(HeaderList::default())
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<HeaderList, A::Error> {
                let mut list = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, Option<Secret>>()? {
                    list.push((name, value.unwrap_or_default()));
                }
                Ok(HeaderList(list))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<HeaderList, A::Error> {
                let mut list: Vec<(String, Secret)> = Vec::new();
                while let Some(Pair { name, value }) = items.next_element()? {
                    list.push((name, value));
                }
                Ok(HeaderList(list))
            }
        }
        deserializer.deserialize_any(ListVisitor)
    }
}

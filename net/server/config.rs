//! The Collector's server keys (confighttp).

use std::time::Duration;

use http::{HeaderName, HeaderValue};
use pipeline::config::GoDuration;

use super::decompress::Encodings;
use super::{HttpServerError, HttpServerSettings, Transport, listener};
use crate::auth::Authenticators;
use crate::client::{HeaderList, MiddlewareConfig};
use crate::tls::{ServerTls, TlsServerConfig};

/// The limit of a request's body when none is given: the Collector's 20 MiB.
pub const DEFAULT_MAX_REQUEST_BODY: usize = 20 << 20;

/// Connections at the same time when a component sets nothing else. Each takes a descriptor and some KiB (hyper's
/// buffer, a task), so that this many are about 150 MiB, and less than the descriptors that service managers
/// usually allow (65,536).
pub const DEFAULT_MAX_CONNECTIONS: usize = 10_000;

/// Bytes of bodies at the same time when a component sets nothing else: 25 of the largest, or a small one from each
/// client that may be connected.
pub const DEFAULT_MAX_BUFFERED: usize = 512 << 20;

/// Defines a configuration struct that has the Collector's HTTP server keys beside its own.
///
/// `serde(flatten)` would make unknown keys go unnoticed, so the fields are written out by this macro. Give the struct
/// its attributes, visibility and own fields; shared fields are all optional and follow them. The struct gets
/// `HTTP_SERVER_FIELDS`, the names of the shared keys, and `http_server()`, the shared part as an
/// [`HttpServerConfig`](crate::server::HttpServerConfig).
///
/// ```
/// net::http_server_config! {
///     /// A receiver's block.
///     #[derive(Debug, Clone, Default, serde::Deserialize)]
///     #[serde(default, deny_unknown_fields)]
///     pub struct DemoConfig {
///         /// Its own key.
///         pub path: String,
///     }
/// }
/// let config: DemoConfig = serde_json::from_str(r#"{"path": "/v1", "endpoint": "localhost:0"}"#)?;
/// let settings = config.http_server().settings("localhost:4318", &net::auth::Authenticators::default())?;
/// assert_eq!(settings.endpoint, "localhost:0");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[macro_export]
macro_rules! http_server_config {
    (
        $(#[$attribute:meta])*
        $visibility:vis struct $name:ident {
            $($(#[$field_attribute:meta])* $field_visibility:vis $field:ident: $kind:ty),* $(,)?
        }
    ) => {
        $(#[$attribute])*
        $visibility struct $name {
            $($(#[$field_attribute])* $field_visibility $field: $kind,)*
            /// Where to listen: `host:port`, `:port` for all addresses, or a path with `transport: unix`.
            pub endpoint: Option<String>,
            /// `tcp` (default), `tcp4`, `tcp6` or `unix`.
            pub transport: Option<String>,
            /// Serve TLS. Default: plain.
            pub tls: Option<$crate::tls::TlsServerConfig>,
            /// Which web pages may send requests. Default: none.
            pub cors: Option<$crate::server::CorsConfig>,
            /// The extension that finds out who sends. Default: anyone may.
            pub auth: Option<$crate::auth::AuthConfig>,
            /// The largest request body in bytes, after decompression. Default 20971520 (20 MiB).
            pub max_request_body_size: Option<u64>,
            /// Hand the requests' header fields to the pipeline. Default false.
            pub include_metadata: bool,
            /// Fields added to every response.
            pub response_headers: $crate::client::HeaderList,
            /// The encodings of requests that are accepted; the empty text stands for none. Default: all that are known.
            pub compression_algorithms: Option<$crate::reexport::StringList>,
            /// The time for reading a request, head and body. Default 0: no limit.
            pub read_timeout: Option<$crate::reexport::GoDuration>,
            /// The time for reading a request's head. Default 1m; 0 for no limit.
            pub read_header_timeout: Option<$crate::reexport::GoDuration>,
            /// The time from a request's head to the end of its response. Default 30s; 0 for no limit.
            pub write_timeout: Option<$crate::reexport::GoDuration>,
            /// How long a connection may wait for its next request. Default 1m; 0 for no limit.
            pub idle_timeout: Option<$crate::reexport::GoDuration>,
            /// Serve several requests on one connection. Default true.
            pub keep_alives_enabled: Option<bool>,
            /// Extensions that see every request. There are none yet that could be named here.
            pub middlewares: Vec<$crate::client::MiddlewareConfig>,
        }

        impl $name {
            /// The keys that this block shares with every other HTTP server.
            pub const HTTP_SERVER_FIELDS: &'static [&'static str] = &[
                "endpoint", "transport", "tls", "cors", "auth", "max_request_body_size", "include_metadata",
                "response_headers", "compression_algorithms", "read_timeout", "read_header_timeout",
                "write_timeout", "idle_timeout", "keep_alives_enabled", "middlewares",
            ];

            /// The shared part of the block.
            #[must_use]
            pub fn http_server(&self) -> $crate::server::HttpServerConfig {
                $crate::server::HttpServerConfig {
                    endpoint: self.endpoint.clone(),
                    transport: self.transport.clone(),
                    tls: self.tls.clone(),
                    cors: self.cors.clone(),
                    auth: self.auth.clone(),
                    max_request_body_size: self.max_request_body_size,
                    include_metadata: self.include_metadata,
                    response_headers: self.response_headers.clone(),
                    compression_algorithms: self.compression_algorithms.clone(),
                    read_timeout: self.read_timeout,
                    read_header_timeout: self.read_header_timeout,
                    write_timeout: self.write_timeout,
                    idle_timeout: self.idle_timeout,
                    keep_alives_enabled: self.keep_alives_enabled,
                    middlewares: self.middlewares.clone(),
                }
            }
        }
    };
}

http_server_config! {
    /// The server keys of confighttp alone.
    #[derive(Debug, Clone, Default, PartialEq, Eq, serde::Deserialize)]
    #[serde(default, deny_unknown_fields)]
    pub struct HttpServerConfig {}
}

impl HttpServerConfig {
    /// What is wrong with the values, each with its key. Reads no file and listens on nothing.
    #[must_use]
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        let shared = SharedKeys {
            endpoint: self.endpoint.as_deref(),
            transport: self.transport.as_deref(),
            tls: self.tls.as_ref(),
            middlewares: &self.middlewares,
        };
        let headers = response_headers(&self.response_headers).err().map(|text| ("response_headers", text));
        shared.problems().into_iter().chain(headers).collect()
    }

    /// What a server is built from; `endpoint` stands in if the configuration names none. Certificates are read.
    ///
    /// # Errors
    /// For values that are not known, files that cannot be read, and an authenticator that is not there.
    pub fn settings(
        &self,
        endpoint: &str,
        authenticators: &Authenticators,
    ) -> Result<HttpServerSettings, HttpServerError> {
        let invalid = |text: String| HttpServerError::Config(text);
        if let Some(middleware) = self.middlewares.first() {
            return Err(invalid(crate::client::unknown_middleware(&middleware.id).to_string()));
        }
        let defaults = HttpServerSettings::default();
        let or = |value: Option<GoDuration>, default: Duration| value.map_or(default, |value| value.to_std());
        Ok(HttpServerSettings {
            endpoint: self.endpoint.clone().unwrap_or_else(|| endpoint.to_owned()),
            transport: transport(self.transport.as_deref())?,
            tls: match &self.tls {
                Some(tls) => Some(ServerTls::new(tls.settings(true)?)?),
                None => None,
            },
            cors: self.cors.clone(),
            auth: match &self.auth {
                Some(auth) => {
                    Some(authenticators.server(&auth.authenticator).map_err(|error| invalid(error.to_string()))?)
                }
                None => None,
            },
            auth_params: self.auth.as_ref().map(|auth| auth.request_params.clone()).unwrap_or_default(),
            max_request_body: match self.max_request_body_size {
                None | Some(0) => DEFAULT_MAX_REQUEST_BODY,
                Some(size) => usize::try_from(size).unwrap_or(usize::MAX),
            },
            response_headers: response_headers(&self.response_headers).map_err(invalid)?,
            encodings: match &self.compression_algorithms {
                Some(list) => Encodings::only(list),
                None => Encodings::all(),
            },
            read_timeout: or(self.read_timeout, defaults.read_timeout),
            read_header_timeout: or(self.read_header_timeout, defaults.read_header_timeout),
            write_timeout: or(self.write_timeout, defaults.write_timeout),
            idle_timeout: or(self.idle_timeout, defaults.idle_timeout),
            keep_alive: self.keep_alives_enabled.unwrap_or(true),
            max_connections: DEFAULT_MAX_CONNECTIONS,
            ..defaults
        })
    }
}

/// The keys that servers of HTTP and gRPC have in common, and that may be wrong.
pub(super) struct SharedKeys<'a> {
    pub(super) endpoint: Option<&'a str>,
    pub(super) transport: Option<&'a str>,
    pub(super) tls: Option<&'a TlsServerConfig>,
    pub(super) middlewares: &'a [MiddlewareConfig],
}

impl SharedKeys<'_> {
    pub(super) fn problems(&self) -> Vec<(&'static str, String)> {
        let mut problems = Vec::new();
        match transport(self.transport) {
            Ok(transport) => {
                let problem = self.endpoint.and_then(|endpoint| listener::problem(endpoint, transport));
                problems.extend(problem.map(|problem| ("endpoint", problem)));
            }
            Err(error) => problems.push(("transport", error.to_string())),
        }
        if let Some(Err(error)) = self.tls.map(|tls| tls.settings(true)) {
            problems.push(("tls", error.to_string()));
        }
        if let Some(middleware) = self.middlewares.first() {
            problems.push(("middlewares", crate::client::unknown_middleware(&middleware.id).to_string()));
        }
        problems
    }
}

/// A kind of socket by its name; TCP if there is none.
pub(super) fn transport(name: Option<&str>) -> Result<Transport, HttpServerError> {
    Ok(match name {
        None | Some("" | "tcp") => Transport::Tcp,
        Some("tcp4") => Transport::Tcp4,
        Some("tcp6") => Transport::Tcp6,
        Some("unix") => Transport::Unix,
        Some(other) => {
            let text = format!("transport {other:?} is not known; use tcp, tcp4, tcp6 or unix");
            return Err(HttpServerError::Config(text));
        }
    })
}

fn response_headers(list: &HeaderList) -> Result<Vec<(HeaderName, HeaderValue)>, String> {
    list.parsed().map_err(|error| format!("response_{error}"))
}

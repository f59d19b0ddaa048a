//! The Collector's client keys of gRPC (configgrpc).

use std::time::Duration;

use http::HeaderValue;
use pipeline::config::GoDuration;
use serde::Deserialize;

use super::endpoint::Scheme;
use super::{GrpcEndpoint, GrpcSettings};
use crate::client::collector::unknown_middleware;
use crate::client::{ClientConfigError, Compression, Http2Ping};

/// grpc-go's pause before a silent server is asked whether it is there, for its answer, and the shortest that it allows.
const DEFAULT_PING: Duration = Duration::from_secs(10);

/// Defines a configuration struct that has the Collector's gRPC client keys beside its own, as
/// [`collector_http_client_config!`](crate::collector_http_client_config) does for HTTP. The struct gets `grpc_client()`, the shared part
/// as a [`GrpcClientConfig`]. What a key says that both have is written there.
#[macro_export]
macro_rules! grpc_client_config {
    (
        $(#[$attribute:meta])*
        $visibility:vis struct $name:ident {
            $($(#[$field_attribute:meta])* $field_visibility:vis $field:ident: $kind:ty),* $(,)?
        }
    ) => {
        $(#[$attribute])*
        $visibility struct $name {
            $($(#[$field_attribute])* $field_visibility $field: $kind,)*
            /// Where calls go: `host:port`, `http://host:port` (plain), `https://host:port` (TLS) or `unix:path`. Required.
            pub endpoint: Option<String>,
            /// How messages are compressed: `gzip`, `zstd`, `snappy` or `none`. Default `gzip`.
            pub compression: Option<String>,
            /// TLS. Default: with the system's authorities; `insecure: true` for none.
            pub tls: Option<$crate::tls::TlsClientConfig>,
            /// When to ask a silent connection whether it is still there.
            pub keepalive: Option<$crate::client::grpc::KeepaliveClientConfig>,
            /// Accepted, as for HTTP.
            pub read_buffer_size: Option<u64>,
            /// As `read_buffer_size`.
            pub write_buffer_size: Option<u64>,
            /// Accepted for the Collector's sake: whether a call waits for a connection or fails and is tried again comes to the same.
            pub wait_for_ready: bool,
            /// As for HTTP, set on every call.
            pub headers: $crate::client::HeaderList,
            /// `round_robin` (default): calls go to all addresses of the endpoint's name in turn; `pick_first`: to the first that works.
            pub balancer_name: Option<String>,
            /// The server's name in requests. Default: the endpoint's.
            pub authority: Option<String>,
            /// What the client calls itself. Default: the program's name and version.
            pub user_agent: Option<String>,
            /// As for HTTP.
            pub auth: Option<$crate::auth::AuthConfig>,
            /// As for HTTP.
            pub middlewares: Vec<$crate::client::MiddlewareConfig>,
        }

        impl $name {
            /// The shared part of the block.
            #[must_use]
            pub fn grpc_client(&self) -> $crate::client::grpc::GrpcClientConfig {
                $crate::client::grpc::GrpcClientConfig {
                    endpoint: self.endpoint.clone(),
                    compression: self.compression.clone(),
                    tls: self.tls.clone(),
                    keepalive: self.keepalive.clone(),
                    read_buffer_size: self.read_buffer_size,
                    write_buffer_size: self.write_buffer_size,
                    wait_for_ready: self.wait_for_ready,
                    headers: self.headers.clone(),
                    balancer_name: self.balancer_name.clone(),
                    authority: self.authority.clone(),
                    user_agent: self.user_agent.clone(),
                    auth: self.auth.clone(),
                    middlewares: self.middlewares.clone(),
                }
            }
        }
    };
}

grpc_client_config! {
    /// The client keys of configgrpc alone.
    #[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    pub struct GrpcClientConfig {}
}

/// The `keepalive` block of a client.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KeepaliveClientConfig {
    /// The silence after which the server is asked whether it is there. Default and least 10s.
    pub time: Option<GoDuration>,
    /// How long its answer may take. Default 10s.
    pub timeout: Option<GoDuration>,
    /// Ask also while no call is under way. Default false.
    pub permit_without_stream: bool,
}

impl GrpcClientConfig {
    /// What a client is built from, or the keys that are wrong, each with what is.
    ///
    /// # Errors
    /// All problems.
    pub fn settings(&self) -> Result<GrpcSettings, Vec<(&'static str, String)>> {
        let mut problems = Vec::new();
        let endpoint = GrpcEndpoint::parse(self.endpoint.as_deref().unwrap_or_default());
        let compression = match self.compression.as_deref() {
            None => Ok(Some(Compression::Gzip(6))),
            Some("" | "none") => Ok(None),
            Some("snappy") => Ok(Some(Compression::SnappyFramed)),
            Some(name @ ("gzip" | "zstd")) => Compression::parse(name, None),
            Some(name) => Err(ClientConfigError::invalid(format!(
                "unsupported compression type {name:?}; use gzip, zstd, snappy or none"
            ))),
        };
        let mut note = |key, error: &dyn std::fmt::Display| problems.push((key, error.to_string()));
        let compression = compression.map_err(|error| note("compression", &error)).unwrap_or_default();
        let headers = self.headers.parsed().map_err(|error| note("headers", &error)).unwrap_or_default();
        let tls = self.tls.clone().unwrap_or_default();
        let tls_settings = tls.settings().map_err(|error| note("tls", &error)).unwrap_or_default();
        match self.balancer_name.as_deref() {
            None | Some("" | "round_robin" | "pick_first") => {}
            Some(other) => {
                note("balancer_name", &format!("invalid balancer_name: {other}; use round_robin or pick_first"));
            }
        }
        if let Some(middleware) = self.middlewares.first() {
            note("middlewares", &unknown_middleware(&middleware.id));
        }
        let user_agent = self.user_agent.as_deref().filter(|text| !text.is_empty()).map(HeaderValue::from_str);
        let user_agent = user_agent.transpose().map_err(|error| note("user_agent", &error)).unwrap_or_default();
        let (endpoint, scheme) = match endpoint {
            Ok(endpoint) => endpoint,
            Err(error) => {
                note("endpoint", &error);
                return Err(problems);
            }
        };
        if !problems.is_empty() {
            return Err(problems);
        }
        let has_ca = tls.ca_file.is_some() || tls.ca_pem.is_some();
        let secure = match scheme {
            Scheme::Secure => true,
            // A `tls` block says more than `http://`, which the Collector only takes away.
            Scheme::Plain => self.tls.is_some() && !tls.insecure,
            Scheme::None => !tls.insecure || has_ca,
        };
        Ok(GrpcSettings {
            endpoint,
            tls: secure.then_some(tls_settings),
            headers,
            authenticator: self.auth.as_ref().map(|auth| auth.authenticator.clone()),
            ping: self.ping(),
            authority: self.authority.clone().filter(|authority| !authority.is_empty()),
            user_agent,
            compression,
            spreads: self.balancer_name.as_deref() != Some("pick_first"),
        })
    }

    fn ping(&self) -> Http2Ping {
        let keepalive = self.keepalive.clone().unwrap_or_default();
        let given = |value: Option<GoDuration>| value.map(GoDuration::to_std).filter(|value| !value.is_zero());
        Http2Ping {
            after: given(keepalive.time).unwrap_or(DEFAULT_PING).max(DEFAULT_PING),
            timeout: given(keepalive.timeout).unwrap_or(DEFAULT_PING),
            while_idle: keepalive.permit_without_stream,
        }
    }
}

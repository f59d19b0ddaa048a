//! The Collector's server keys of gRPC (configgrpc).

use std::time::Duration;

use pipeline::config::GoDuration;
use serde::Deserialize;

use super::config::{SharedKeys, transport};
use super::{Encodings, Http2Settings, HttpServerError, HttpServerSettings};
use crate::auth::{AuthConfig, Authenticators};
use crate::client::MiddlewareConfig;
use crate::tls::{ServerTls, TlsServerConfig};

/// The largest message when no limit is given: grpc-go's 4 MiB.
const DEFAULT_MAX_MESSAGE: usize = 4 << 20;
/// Calls that a connection may have open when no limit is given. Where grpc-go has none, each call here may hold a message of
/// the allowed size.
const DEFAULT_MAX_STREAMS: u32 = 100;
/// grpc-go's pauses before a silent client is asked whether it is there, and for its answer.
const DEFAULT_PING: (Duration, Duration) = (Duration::from_secs(2 * 3600), Duration::from_secs(20));

/// The keys of a gRPC server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GrpcServerConfig {
    /// Where to listen: `host:port`, `:port` for all addresses, or a path with `transport: unix`.
    pub endpoint: Option<String>,
    /// `tcp` (default), `tcp4`, `tcp6` or `unix`.
    pub transport: Option<String>,
    /// Serve TLS. Default: plain.
    pub tls: Option<TlsServerConfig>,
    /// The largest message in MiB, before and after decompression. Default 4.
    pub max_recv_msg_size_mib: Option<u64>,
    /// Calls that a connection may have open at the same time. Default 100.
    pub max_concurrent_streams: Option<u32>,
    /// Accepted for the Collector's sake. Requests are read straight into the buffer they are used from.
    pub read_buffer_size: Option<u64>,
    /// As `read_buffer_size`, for responses.
    pub write_buffer_size: Option<u64>,
    /// When connections are ended, and silent clients asked whether they are there.
    pub keepalive: Option<KeepaliveServerConfig>,
    /// The extension that finds out who sends. Default: anyone may.
    pub auth: Option<AuthConfig>,
    /// Hand the requests' metadata to the pipeline. Default false.
    pub include_metadata: bool,
    /// Extensions that see every request. There are none yet that could be named here.
    pub middlewares: Vec<MiddlewareConfig>,
}

/// The `keepalive` block of a gRPC server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KeepaliveServerConfig {
    /// What the server does.
    pub server_parameters: Option<ServerParameters>,
    /// What clients may do.
    pub enforcement_policy: Option<EnforcementPolicy>,
}

/// What a server does with its connections.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerParameters {
    /// A connection without calls is closed after this. Default 0: never.
    pub max_connection_idle: Option<GoDuration>,
    /// A connection is closed after this, when its calls have ended. Default 0: never. Behind a balancer, some minutes
    /// spread clients anew.
    pub max_connection_age: Option<GoDuration>,
    /// How long those calls may take. Default 0: as long as they need.
    pub max_connection_age_grace: Option<GoDuration>,
    /// The silence after which a client is asked whether it is there. Default 2h.
    pub time: Option<GoDuration>,
    /// How long its answer may take. Default 20s.
    pub timeout: Option<GoDuration>,
}

/// What clients may do. Accepted for the Collector's sake: pings cost nothing here, and floods of them are cut off anyway.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EnforcementPolicy {
    /// How often a client may ask.
    pub min_time: Option<GoDuration>,
    /// Whether it may ask without a call.
    pub permit_without_stream: bool,
}

impl GrpcServerConfig {
    /// The largest message in bytes.
    #[must_use]
    pub fn max_message(&self) -> usize {
        match self.max_recv_msg_size_mib {
            None | Some(0) => DEFAULT_MAX_MESSAGE,
            Some(mib) => usize::try_from(mib.saturating_mul(1 << 20)).unwrap_or(usize::MAX),
        }
    }

    /// What is wrong with the values, each with its key. Reads no file and listens on nothing.
    #[must_use]
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        let (endpoint, transport) = (self.endpoint.as_deref(), self.transport.as_deref());
        SharedKeys { endpoint, transport, tls: self.tls.as_ref(), middlewares: &self.middlewares }.problems()
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
        let invalid = HttpServerError::Config;
        if let Some(middleware) = self.middlewares.first() {
            return Err(invalid(crate::client::unknown_middleware(&middleware.id).to_string()));
        }
        let parameters = self.keepalive.as_ref().and_then(|keepalive| keepalive.server_parameters.clone());
        let parameters = parameters.unwrap_or_default();
        let given = |value: Option<GoDuration>| value.map(GoDuration::to_std).filter(|value| !value.is_zero());
        let auth = match &self.auth {
            Some(auth) => Some(authenticators.server(&auth.authenticator).map_err(|error| invalid(error.to_string()))?),
            None => None,
        };
        Ok(HttpServerSettings {
            endpoint: self.endpoint.clone().unwrap_or_else(|| endpoint.to_owned()),
            transport: transport(self.transport.as_deref())?,
            tls: match &self.tls {
                Some(tls) => Some(ServerTls::new(tls.settings(true)?)?),
                None => None,
            },
            auth,
            // With the frame around the message.
            max_request_body: self.max_message().saturating_add(super::grpc::FRAME),
            // gRPC compresses messages, not bodies.
            encodings: Encodings::raw(),
            read_timeout: Duration::ZERO,
            write_timeout: Duration::ZERO,
            idle_timeout: given(parameters.max_connection_idle).unwrap_or_default(),
            http2: Http2Settings {
                only: true,
                max_streams: self.max_concurrent_streams.filter(|streams| *streams > 0).unwrap_or(DEFAULT_MAX_STREAMS),
                ping_after: Some(given(parameters.time).unwrap_or(DEFAULT_PING.0)),
                ping_timeout: given(parameters.timeout).unwrap_or(DEFAULT_PING.1),
                max_age: given(parameters.max_connection_age),
                max_age_grace: given(parameters.max_connection_age_grace),
            },
            ..HttpServerSettings::default()
        })
    }
}

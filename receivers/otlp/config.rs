//! Settings of the `otlp` receiver.

use std::time::Duration;

use net::auth::Authenticators;
use net::server::{GrpcServerConfig, HttpServerError, HttpServerSettings};
use pipeline::config::{ConfigErrors, GoDuration, Node, Section, decode_to_check};
use serde::Deserialize;

use crate::acknowledge::Acknowledge;

/// Where the Collector's receiver takes gRPC.
pub const DEFAULT_GRPC_ENDPOINT: &str = "localhost:4317";
/// Where the Collector's receiver takes HTTP.
pub const DEFAULT_HTTP_ENDPOINT: &str = "localhost:4318";

/// How long a request's body may stand still. Senders write what they have ready; after a minute of silence a sender is gone, or
/// holds a connection that others could use.
const BODY_STALL: Duration = Duration::from_secs(60);

/// The keys of the `otlp` receiver.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OtlpConfig {
    /// The protocols that are served: those that are listed, even with nothing behind them.
    pub protocols: Protocols,
    /// When a request is answered: `accepted` (default) once the pipelines have taken what is in it, `durable` once it
    /// is delivered or on disk.
    pub acknowledge: Acknowledge,
    /// After how long without a point a series is marked as stale, so that queries do not show its last value any more. Default
    /// 0s: never, as in the ADOT Collector. At least 1s; longer than the interval at which clients send. Ours.
    pub mark_stale_after: Option<GoDuration>,
}

/// The `protocols` block.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Protocols {
    /// gRPC, by default at `localhost:4317`.
    pub grpc: Section<GrpcServerConfig>,
    /// HTTP with protobuf and JSON, by default at `localhost:4318`.
    pub http: Section<OtlpHttpConfig>,
}

net::http_server_config! {
    /// The `http` block: the keys of every HTTP server and the paths of the signals.
    #[derive(Clone, Debug, Default, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    pub struct OtlpHttpConfig {
        /// Where traces are posted. Default `/v1/traces`.
        pub traces_url_path: Option<String>,
        /// Where metrics are posted. Default `/v1/metrics`.
        pub metrics_url_path: Option<String>,
        /// Where logs are posted. Default `/v1/logs`.
        pub logs_url_path: Option<String>,
    }
}

impl OtlpConfig {
    /// Reads and checks the receiver's block.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn read(node: &Node) -> Result<Self, ConfigErrors> {
        let (config, mut errors) = decode_to_check::<Self>(node, "")?;
        if config.protocols.grpc.0.is_none() && config.protocols.http.0.is_none() {
            let message = "must specify at least one protocol when using the OTLP receiver";
            errors.push(node.error_at("", "protocols", message));
        }
        if config.mark_stale_after().is_some_and(|after| after < Duration::from_secs(1)) {
            let message = "must be 0s (never), or at least 1s and longer than the interval at which clients send";
            errors.push(node.error_at("", "mark_stale_after", message));
        }
        let servers = [
            ("grpc", config.protocols.grpc.0.as_ref().map(GrpcServerConfig::problems)),
            ("http", config.protocols.http.0.as_ref().map(|http| http.http_server().problems())),
        ];
        for (protocol, problems) in servers {
            for (key, message) in problems.into_iter().flatten() {
                errors.push(node.error_at("", &format!("protocols::{protocol}::{key}"), message));
            }
        }
        errors.into_result(config)
    }

    /// After how long without a point a series is marked as stale, if at all.
    pub fn mark_stale_after(&self) -> Option<Duration> {
        self.mark_stale_after.map(GoDuration::to_std).filter(|after| !after.is_zero())
    }

    /// What the HTTP server is built from; certificates are read.
    ///
    /// # Errors
    /// For values that are not known, unreadable files, and an authenticator that is not there.
    pub fn http_settings(
        &self,
        config: &OtlpHttpConfig,
        authenticators: &Authenticators,
    ) -> Result<HttpServerSettings, HttpServerError> {
        let mut settings = config.http_server().settings(DEFAULT_HTTP_ENDPOINT, authenticators)?;
        settings.body_stall = BODY_STALL;
        // The Collector's receiver has no limits either unless they are written.
        if config.write_timeout.is_none() {
            settings.write_timeout = Duration::ZERO;
        }
        Ok(settings)
    }

    /// What the gRPC server is built from; certificates are read.
    ///
    /// # Errors
    /// As for [`OtlpConfig::http_settings`].
    pub fn grpc_settings(
        &self,
        config: &GrpcServerConfig,
        authenticators: &Authenticators,
    ) -> Result<HttpServerSettings, HttpServerError> {
        let mut settings = config.settings(DEFAULT_GRPC_ENDPOINT, authenticators)?;
        settings.body_stall = BODY_STALL;
        Ok(settings)
    }
}

/// A path as requests have it: with a slash at its beginning.
pub(super) fn path(given: Option<&str>, default: &str) -> String {
    match given {
        None | Some("") => default.to_owned(),
        Some(path) if path.starts_with('/') => path.to_owned(),
        Some(path) => format!("/{path}"),
    }
}

//! Settings of the `prometheusremotewrite` receiver.

use std::time::Duration;

use net::auth::Authenticators;
use net::server::{Encodings, HttpServerError, HttpServerSettings};
use pipeline::config::{ConfigErrors, Node, decode_to_check};
use serde::Deserialize;

use crate::acknowledge::Acknowledge;

/// Where the Collector's receiver of this name listens.
pub const DEFAULT_ENDPOINT: &str = "localhost:9090";

net::http_server_config! {
    /// The keys of the `prometheusremotewrite` receiver: those of every HTTP server (default endpoint
    /// `localhost:9090`) and its own.
    #[derive(Clone, Debug, Default, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    pub struct RemoteWriteConfig {
        /// When a request is answered: `accepted` (default) once the pipeline has taken the points, `durable` once
        /// they are delivered or on disk.
        pub acknowledge: Acknowledge,
    }
}

impl RemoteWriteConfig {
    /// Reads and checks the receiver's block.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn read(node: &Node) -> Result<Self, ConfigErrors> {
        let (config, mut errors) = decode_to_check::<Self>(node, "")?;
        for (key, message) in config.http_server().problems() {
            errors.push(node.error_at("", key, message));
        }
        errors.into_result(config)
    }

    /// What the server is built from; certificates are read.
    ///
    /// # Errors
    /// For values that are not known, unreadable files, and an authenticator that is not there.
    pub fn server_settings(&self, authenticators: &Authenticators) -> Result<HttpServerSettings, HttpServerError> {
        let mut settings = self.http_server().settings(DEFAULT_ENDPOINT, authenticators)?;
        // Bodies are decompressed into buffers that are kept, with a limit of their own.
        settings.encodings = Encodings::raw();
        if self.acknowledge == Acknowledge::Durable && self.write_timeout.is_none() {
            // A store's outage is no reason to cut off a sender that was promised to hear of delivery.
            settings.write_timeout = Duration::ZERO;
        }
        Ok(settings)
    }
}

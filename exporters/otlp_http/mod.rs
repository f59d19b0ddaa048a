//! The `otlphttp` exporter: sends metrics, traces and logs by OTLP over HTTP, in protobuf or JSON.
//!
//! ```yaml
//! exporters:
//!   otlphttp:
//!     endpoint: https://collector.example:4318
//! ```
//!
//! An authenticator signs each attempt anew, over the exact bytes that are sent, which is how OTLP reaches CloudWatch and X-Ray
//! (`sigv4auth`). What waits, how often it is tried, and what is counted is the business of the sending queue.

mod config;
#[cfg(test)]
mod tests;
mod transport;

use std::sync::Arc;

use net::auth::Authenticators;
use net::client::{Credentials, HttpClient};
use pipeline::component::{Build, BuildContext, ComponentError, Exporter, Factory, Signal, Stability};
use pipeline::config::{ConfigErrors, Node};

use self::config::Config;
use self::transport::HttpTransport;
use crate::sending_queue::{Delivery, QueuedExporter, Settings, Transport};

/// The factory of `otlphttp`.
pub const FACTORY: Factory = Factory {
    type_name: "otlphttp",
    aliases: &["otlp_http"],
    summary: "sends metrics, traces and logs by OTLP over HTTP, in protobuf or JSON",
    signals: &[Signal::Metrics, Signal::Traces, Signal::Logs],
    stability: Stability::Stable,
    live_update: false,
    validate,
    build: Build::Exporter(build),
};

fn validate(node: &Node) -> Result<(), ConfigErrors> {
    Config::read(node).map(drop)
}

fn build(node: &Node, context: &BuildContext) -> Result<Box<dyn Exporter>, ComponentError> {
    let config = Config::read(node).map_err(|errors| ComponentError::new(errors.to_string()))?;
    Ok(QueuedExporter::build(config, context))
}

impl Settings for Config {
    fn delivery(&self) -> &Delivery {
        &self.delivery
    }

    fn transport(&self, context: &BuildContext) -> Result<Arc<dyn Transport>, ComponentError> {
        let authenticators = Authenticators::of(&context.shared);
        let auth = match &self.client.credentials {
            Credentials::Authenticator(id) => authenticators.client(id).ok(),
            _ => None,
        };
        let client = HttpClient::new(&self.client, &authenticators)
            .map_err(|error| ComponentError::caused("cannot set up the HTTP client", error))?;
        client.check_files().map_err(|error| ComponentError::caused("cannot read TLS files", error))?;
        let transport = HttpTransport::new(self, client, auth, context.program);
        Ok(Arc::new(transport))
    }
}

//! The `otlp` exporter: sends metrics, traces and logs by OTLP over gRPC.
//!
//! ```yaml
//! exporters:
//!   otlp:
//!     endpoint: collector.example:4317
//!     tls: {ca_file: /etc/ca.pem}
//! ```
//!
//! Traces and logs leave as the bytes that came. What waits, how often it is tried, and what is counted is the business of the sending queue;
//! here are the settings, the calls, and what the codes of gRPC mean to OTLP.

mod config;
#[cfg(test)]
mod tests;
mod transport;

use std::sync::Arc;

use net::auth::Authenticators;
use net::client::grpc::GrpcClient;
use pipeline::component::{Build, BuildContext, ComponentError, Exporter, Factory, Signal, Stability};
use pipeline::config::{ConfigErrors, Node};

use self::config::Config;
use self::transport::GrpcTransport;
use crate::sending_queue::{Delivery, QueuedExporter, Settings, Transport};

/// The factory of `otlp`.
pub const FACTORY: Factory = Factory {
    type_name: "otlp",
    aliases: &["otlp_grpc"],
    summary: "sends metrics, traces and logs by OTLP over gRPC",
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
        let client = GrpcClient::new(&self.client, &authenticators)
            .map_err(|error| ComponentError::caused("cannot set up the gRPC client", error))?;
        client.check_files().map_err(|error| ComponentError::caused("cannot read TLS files", error))?;
        let transport = GrpcTransport { client, shown: self.client.endpoint.to_string(), timeout: self.timeout };
        Ok(Arc::new(transport))
    }
}

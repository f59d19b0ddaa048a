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

use async_trait::async_trait;
use net::auth::Authenticators;
use net::client::grpc::GrpcClient;
use pipeline::component::{Build, BuildContext, ComponentError, Exporter, ExporterContext, Factory, Signal, Stability};
use pipeline::config::{ConfigErrors, Node};

use self::config::Config;
use self::transport::GrpcTransport;
use crate::sending_queue::SendingQueue;

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
    Ok(Box::new(Otlp { config, context: context.clone(), queue: None }))
}

struct Otlp {
    config: Config,
    context: BuildContext,
    queue: Option<SendingQueue>,
}

#[async_trait]
impl Exporter for Otlp {
    async fn start(&mut self) -> Result<(), ComponentError> {
        let authenticators = Authenticators::of(&self.context.shared);
        let client = GrpcClient::new(&self.config.client, &authenticators)
            .map_err(|error| ComponentError::caused("cannot set up the gRPC client", error))?;
        client.check_files().map_err(|error| ComponentError::caused("cannot read TLS files", error))?;
        let transport =
            GrpcTransport { client, shown: self.config.client.endpoint.to_string(), timeout: self.config.timeout };
        let (queue, retry) = (self.config.queue.clone(), self.config.retry);
        self.queue = Some(SendingQueue::open(queue, retry, Arc::new(transport), &self.context).await?);
        Ok(())
    }

    async fn run(mut self: Box<Self>, context: ExporterContext) -> Result<(), ComponentError> {
        match self.queue.take() {
            Some(queue) => queue.run(context).await,
            None => Err(ComponentError::new("the exporter was run without being started")),
        }
    }
}

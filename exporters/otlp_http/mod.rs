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

use async_trait::async_trait;
use net::auth::Authenticators;
use net::client::{Credentials, HttpClient};
use pipeline::component::{Build, BuildContext, ComponentError, Exporter, ExporterContext, Factory, Signal, Stability};
use pipeline::config::{ConfigErrors, Node};

use self::config::Config;
use self::transport::HttpTransport;
use crate::sending_queue::SendingQueue;

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
    Ok(Box::new(OtlpHttp { config, context: context.clone(), queue: None }))
}

struct OtlpHttp {
    config: Config,
    context: BuildContext,
    queue: Option<SendingQueue>,
}

#[async_trait]
impl Exporter for OtlpHttp {
    async fn start(&mut self) -> Result<(), ComponentError> {
        let authenticators = Authenticators::of(&self.context.shared);
        let auth = match &self.config.client.credentials {
            Credentials::Authenticator(id) => authenticators.client(id).ok(),
            _ => None,
        };
        let client = HttpClient::new(&self.config.client, &authenticators)
            .map_err(|error| ComponentError::caused("cannot set up the HTTP client", error))?;
        client.check_files().map_err(|error| ComponentError::caused("cannot read TLS files", error))?;
        let transport = HttpTransport::new(&self.config, client, auth, self.context.program);
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

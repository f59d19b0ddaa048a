//! The `prometheusremotewrite` receiver: takes what Prometheus servers and agents push by remote write 1.0 and 2.0.
//!
//! `POST /api/v1/write` (or `/api/v1/push`) takes snappy-compressed requests and answers 204 when the pipeline has
//! the samples; with `acknowledge: durable` when they are delivered or on disk. 400 says what is wrong with a request
//! that is not worth sending again (what was right in it is taken), 503 with `Retry-After` asks to send it again.
//!
//! `job` and `instance` become `service.name` and `service.instance.id` in their exact text; all other labels become
//! attributes. Types, help and units follow from the metadata that senders of 1.0 write each minute, for series that are
//! seen for the first time after it; those of 2.0 write it with each series. Their answers say how much was written.

mod cache;
mod config;
mod exemplars;
mod families;
mod handler;
mod labels;
mod metrics;
mod native;
mod request;
mod scan;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use net::auth::Authenticators;
use net::server::{HttpServer, HttpServerSettings};
use parking_lot::Mutex;
use pipeline::component::{Build, BuildContext, ComponentError, Factory, Receiver, ReceiverContext, Signal, Stability};
use pipeline::config::{ConfigErrors, Node};

use self::cache::SeriesCache;
use self::handler::WriteHandler;
use self::metrics::Metrics;

pub use self::config::{DEFAULT_ENDPOINT, RemoteWriteConfig};

/// How long requests may take to finish once the receiver stops, should the service set no deadline.
const GRACE: Duration = Duration::from_secs(600);

/// What the program's table of components lists.
pub const FACTORY: Factory = Factory {
    type_name: "prometheusremotewrite",
    aliases: &["prometheus_remote_write"],
    summary: "Takes metrics that Prometheus servers and agents push by remote write 1.0 and 2.0",
    signals: &[Signal::Metrics],
    stability: Stability::Beta,
    live_update: false,
    validate,
    build: Build::Receiver(build),
};

fn validate(node: &Node) -> Result<(), ConfigErrors> {
    RemoteWriteConfig::read(node).map(drop)
}

fn build(node: &Node, context: &BuildContext) -> Result<Box<dyn Receiver>, ComponentError> {
    RemoteWriteReceiver::build(node, context).map(|receiver| Box::new(receiver) as _)
}

struct RemoteWriteReceiver {
    /// Taken when the socket is opened.
    settings: Option<HttpServerSettings>,
    handler: Arc<WriteHandler>,
    server: Option<HttpServer>,
}

impl RemoteWriteReceiver {
    fn build(node: &Node, context: &BuildContext) -> Result<Self, ComponentError> {
        let failed = |error: &dyn std::fmt::Display| ComponentError::new(format!("receiver {}: {error}", context.id));
        let config = RemoteWriteConfig::read(node).map_err(|errors| failed(&errors))?;
        let settings = config.server_settings(&Authenticators::of(&context.shared)).map_err(|error| failed(&error))?;
        let id = context.id.to_string();
        let cache = Arc::new(Mutex::new(SeriesCache::default()));
        let metrics = Metrics::new(&context.telemetry, &id, &cache);
        let handler = Arc::new(WriteHandler::new(id, &config, metrics, cache));
        Ok(Self { settings: Some(settings), handler, server: None })
    }

    async fn bind(&mut self) -> Result<Option<SocketAddr>, ComponentError> {
        let settings = self.settings.take().ok_or_else(|| ComponentError::new("the receiver was started twice"))?;
        let server = HttpServer::bind(settings, self.handler.clone())
            .await
            .map_err(|error| ComponentError::caused("remote write cannot be received", error))?;
        let address = server.local_addr();
        self.server = Some(server);
        Ok(address)
    }
}

#[async_trait]
impl Receiver for RemoteWriteReceiver {
    async fn start(&mut self) -> Result<(), ComponentError> {
        self.bind().await.map(drop)
    }

    async fn run(mut self: Box<Self>, mut context: ReceiverContext) -> Result<(), ComponentError> {
        if self.server.is_none() {
            self.bind().await?;
        }
        let Some(server) = self.server.take() else { return Ok(()) };
        self.handler.send_to(context.output);
        let mut deadline = context.stop.clone();
        tokio::select! {
            () = server.serve(context.stop.requested(), GRACE) => {}
            () = deadline.deadline_passed() => {
                tracing::warn!("Write requests are cut off by the deadline for stopping; their senders will repeat them.");
            }
        }
        Ok(())
    }
}

//! The `otlp` receiver: takes metrics, traces and logs from OpenTelemetry SDKs and Collectors, over gRPC and HTTP.
//!
//! ```yaml
//! receivers:
//!   otlp:
//!     acknowledge: accepted
//!     protocols:
//!       grpc: {endpoint: "0.0.0.0:4317"}
//!       http: {endpoint: "0.0.0.0:4318"}
//! ```
//!
//! Only protocols that are listed start, and only signals that a pipeline carries are taken. A request is answered when every
//! pipeline has taken it; with `acknowledge: durable` when what is in it is delivered or on disk. Status codes, bodies and
//! content types are those of the Collector; senders that are to come again are told when.

mod config;
mod grpc;
mod http;
mod intake;
mod stale;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use net::auth::Authenticators;
use net::server::{Handler, HttpServer, HttpServerSettings};
use pipeline::component::{Build, BuildContext, ComponentError, Factory, Receiver, ReceiverContext, Signal, Stability};
use pipeline::config::{ConfigErrors, Node};

use self::grpc::GrpcHandler;
use self::http::HttpHandler;
use self::intake::Intake;
use self::stale::StaleMarking;

pub use self::config::{DEFAULT_GRPC_ENDPOINT, DEFAULT_HTTP_ENDPOINT, OtlpConfig, OtlpHttpConfig};

/// How long requests may take to finish once the receiver stops, should the service set no deadline.
const GRACE: Duration = Duration::from_secs(600);

/// What the program's table of components lists.
pub const FACTORY: Factory = Factory {
    type_name: "otlp",
    aliases: &[],
    summary: "Takes metrics, traces and logs by OTLP over gRPC and HTTP",
    signals: &[Signal::Metrics, Signal::Traces, Signal::Logs],
    stability: Stability::Stable,
    live_update: false,
    validate,
    build: Build::Receiver(build),
};

fn validate(node: &Node) -> Result<(), ConfigErrors> {
    OtlpConfig::read(node).map(drop)
}

fn build(node: &Node, context: &BuildContext) -> Result<Box<dyn Receiver>, ComponentError> {
    OtlpReceiver::build(node, context).map(|receiver| Box::new(receiver) as _)
}

/// One of the two protocols.
struct Protocol {
    name: &'static str,
    /// Taken when the socket is opened.
    settings: Option<HttpServerSettings>,
    handler: Arc<dyn Handler>,
    server: Option<HttpServer>,
}

struct OtlpReceiver {
    intake: Arc<Intake>,
    protocols: Vec<Protocol>,
    /// Marks series that have ended, if that is wanted.
    marking: Option<StaleMarking>,
}

impl OtlpReceiver {
    fn build(node: &Node, context: &BuildContext) -> Result<Self, ComponentError> {
        let failed = |error: &dyn std::fmt::Display| ComponentError::new(format!("receiver {}: {error}", context.id));
        let config = OtlpConfig::read(node).map_err(|errors| failed(&errors))?;
        let authenticators = Authenticators::of(&context.shared);
        let intake = Arc::new(Intake::new(context, config.acknowledge));
        let marking = config.mark_stale_after().map(|after| StaleMarking::new(after, &intake, context));
        let mut protocols = Vec::new();
        if let Some(grpc) = &config.protocols.grpc.0 {
            let settings = config.grpc_settings(grpc, &authenticators).map_err(|error| failed(&error))?;
            let handler = Arc::new(GrpcHandler::new(Arc::clone(&intake), grpc, context));
            protocols.push(Protocol { name: "grpc", settings: Some(settings), handler, server: None });
        }
        if let Some(http) = &config.protocols.http.0 {
            let settings = config.http_settings(http, &authenticators).map_err(|error| failed(&error))?;
            let handler = Arc::new(HttpHandler::new(Arc::clone(&intake), http, context));
            protocols.push(Protocol { name: "http", settings: Some(settings), handler, server: None });
        }
        Ok(Self { intake, protocols, marking })
    }

    /// Opens all sockets; their addresses in the order of the protocols.
    async fn bind(&mut self) -> Result<Vec<Option<SocketAddr>>, ComponentError> {
        let mut addresses = Vec::new();
        for protocol in &mut self.protocols {
            let settings = protocol.settings.take();
            let settings = settings.ok_or_else(|| ComponentError::new("the receiver was started twice"))?;
            let endpoint = settings.endpoint.clone();
            let server = HttpServer::bind(settings, Arc::clone(&protocol.handler)).await.map_err(|error| {
                ComponentError::caused(format!("OTLP cannot be received by {}", protocol.name), error)
            })?;
            tracing::info!(endpoint, "Starting {} server", protocol.name.to_uppercase());
            addresses.push(server.local_addr());
            protocol.server = Some(server);
        }
        Ok(addresses)
    }
}

#[async_trait]
impl Receiver for OtlpReceiver {
    async fn start(&mut self) -> Result<(), ComponentError> {
        self.bind().await.map(drop)
    }

    async fn run(mut self: Box<Self>, context: ReceiverContext) -> Result<(), ComponentError> {
        if self.protocols.iter().any(|protocol| protocol.server.is_none()) {
            self.bind().await?;
        }
        self.intake.send_to(context.output);
        let mut serving = tokio::task::JoinSet::new();
        for server in self.protocols.iter_mut().filter_map(|protocol| protocol.server.take()) {
            let mut stop = context.stop.clone();
            serving.spawn(async move { server.serve(async move { stop.requested().await }, GRACE).await });
        }
        let mut deadline = context.stop.clone();
        let served = async { while serving.join_next().await.is_some() {} };
        let marking = async {
            match self.marking.take() {
                Some(marking) => marking.run().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = served => {}
            () = marking => {}
            () = deadline.deadline_passed() => {
                tracing::warn!("OTLP requests are cut off by the deadline for stopping; their senders will repeat them.");
            }
        }
        Ok(())
    }
}

//! `prometheusremotewrite`: delivers metrics to any store that speaks Prometheus remote write, 1.0 or 2.0.
//!
//! Points are encoded as they arrive ([`encode`]), spread over shards by series, and sent one request per
//! shard at a time ([`shards`], [`send`]). A store that fails is asked again with growing intervals; what
//! it has not accepted stays in memory up to `remote_write_queue`'s bounds, then the pipeline waits.

mod config;
mod encode;
mod labels;
mod limits;
mod metadata;
mod metrics;
mod sample;
mod send;
mod shards;
mod table;
#[cfg(test)]
mod tests;
mod translation;
mod v2;
mod whole;

use async_trait::async_trait;
use aws::SigV4;
use config::Config;
pub(crate) use config::Dialect;
use encode::Encoder;
use limits::Guard;
use metrics::Metrics;
use net::auth::{Authenticators, ClientAuth};
use net::client::{Credentials, HttpClient};
use pipeline::AckOutcome;
use pipeline::component::{Build, BuildContext, ComponentError, Exporter, ExporterContext, Factory, Signal, Stability};
use pipeline::config::{ConfigErrors, Node};
use prometheus::remote_write::protocol::ProtocolVersion;
use send::{Sender, Size, Spoken};
use shards::{Adaptation, Shards};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use translation::Translation;

/// The factory of `prometheusremotewrite`.
pub const FACTORY: Factory = Factory {
    type_name: "prometheusremotewrite",
    aliases: &["prometheus_remote_write"],
    summary: "sends metrics to a store that speaks Prometheus remote write",
    signals: &[Signal::Metrics],
    stability: Stability::Stable,
    live_update: false,
    validate,
    build: Build::Exporter(build),
};

fn validate(node: &Node) -> Result<(), ConfigErrors> {
    validate_as(Dialect::Plain, node)
}

fn build(node: &Node, context: &BuildContext) -> Result<Box<dyn Exporter>, ComponentError> {
    build_as(Dialect::Plain, node, context)
}

/// Checks a configuration of either name.
pub(crate) fn validate_as(dialect: Dialect, node: &Node) -> Result<(), ConfigErrors> {
    Config::read(node, dialect).map(drop)
}

/// Makes the exporter under either name.
pub(crate) fn build_as(
    dialect: Dialect,
    node: &Node,
    context: &BuildContext,
) -> Result<Box<dyn Exporter>, ComponentError> {
    let config = Config::read(node, dialect).map_err(|errors| ComponentError::new(errors.to_string()))?;
    let shown = shown(&config.endpoint);
    let metrics = Arc::new(Metrics::new(&context.telemetry, &context.id.to_string(), &shown));
    Ok(Box::new(RemoteWrite {
        config,
        context: context.clone(),
        shown_endpoint: shown,
        metrics,
        sender: None,
        watching: None,
    }))
}

/// The endpoint without what may be secret in it.
fn shown(endpoint: &http::Uri) -> String {
    let scheme = endpoint.scheme_str().unwrap_or("http");
    let port = endpoint.port_u16().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{scheme}://{}{port}{}", endpoint.host().unwrap_or_default(), endpoint.path())
}

struct RemoteWrite {
    config: Config,
    context: BuildContext,
    shown_endpoint: String,
    metrics: Arc<Metrics>,
    sender: Option<Arc<Sender>>,
    /// Keeps the credentials of a signer of its own fresh.
    watching: Option<aws::Watching>,
}

#[async_trait]
impl Exporter for RemoteWrite {
    async fn start(&mut self) -> Result<(), ComponentError> {
        let mut authenticators = Authenticators::of(&self.context.shared);
        if let Some(signing) = &self.config.signing {
            let signer = SigV4::new(signing.clone())
                .map_err(|error| ComponentError::caused("requests cannot be signed", error))?;
            let signer = Arc::new(signer);
            authenticators.add_client(self.context.id.clone(), Arc::clone(&signer) as _);
            self.config.client.credentials = Credentials::Authenticator(self.context.id.clone());
            self.watching = Some(signer.watch());
        }
        let auth: Option<Arc<dyn ClientAuth>> = match &self.config.client.credentials {
            Credentials::Authenticator(id) => authenticators.client(id).ok(),
            _ => None,
        };
        let client = HttpClient::new(&self.config.client, &authenticators)
            .map_err(|error| ComponentError::caused("cannot set up the HTTP client", error))?;
        client.check_files().map_err(|error| ComponentError::caused("cannot read TLS files", error))?;
        let program = self.context.program;
        self.sender = Some(Arc::new(Sender {
            client,
            endpoint: self.config.endpoint.clone(),
            shown_endpoint: self.shown_endpoint.clone(),
            user_agent: format!("{}/{}", program.name, program.version),
            retry: self.config.retry,
            auth,
            store: self.config.store,
            metrics: Arc::clone(&self.metrics),
            spoken: Spoken::new(self.config.version),
            size: Size::default(),
            escape_names: !self.config.translation.metric_namer.strategy.escapes(),
        }));
        Ok(())
    }

    async fn run(mut self: Box<Self>, mut context: ExporterContext) -> Result<(), ComponentError> {
        let Some(sender) = self.sender.take() else {
            return Err(ComponentError::new("the exporter was run without being started"));
        };
        let mut shards = Shards::start(self.config.queue, &sender, &self.metrics);
        self.metrics.watch(shards.progress(), self.config.queue.requests);
        let linger = self.config.linger;
        let translation = Arc::new(self.config.translation);
        let metrics = Arc::clone(&self.metrics);
        let encoder =
            Encoder::new(Arc::clone(&translation), self.config.limits, metrics, Guard::new(self.config.store));
        let mut running = Running {
            encoder,
            escaped: Arc::new(translation.escaping()),
            translation,
            metadata: self.config.send_metadata.then(metadata::Metadata::default),
            adaptation: Adaptation::new(self.config.queue.shards),
            packed_bytes: self.config.limits.packed_bytes,
            sender,
        };
        running.encoder.spread_over(running.adaptation.first());
        let mut stop = context.stop.clone();
        tokio::select! {
            () = running.run(&mut context, &mut shards, linger) => {}
            () = stop.deadline_passed() => {
                running.give_up(&mut context, &mut shards).await;
                tracing::error!(
                    endpoint = %self.shown_endpoint,
                    points = self.metrics.lost_at_shutdown(),
                    "The deadline has passed before all was delivered; what was left is lost."
                );
            }
        }
        Ok(())
    }
}

struct Running {
    encoder: Encoder,
    translation: Arc<Translation>,
    /// The same with names that version 1.0 allows, for a store that does not know the version whose names are wanted.
    escaped: Arc<Translation>,
    /// Families to tell of in requests of their own (version 1.0).
    metadata: Option<metadata::Metadata>,
    adaptation: Adaptation,
    /// The most compressed bytes of a request by the configuration.
    packed_bytes: usize,
    sender: Arc<Sender>,
}

impl Running {
    async fn run(&mut self, context: &mut ExporterContext, shards: &mut Shards, linger: Duration) {
        loop {
            let due = self.encoder.opened().map(|opened| opened + linger);
            tokio::select! {
                batch = context.input.recv() => match batch {
                    Some(batch) => {
                        self.heed_the_store();
                        if let Some(metadata) = &mut self.metadata {
                            metadata.note(&batch, self.encoder.translation());
                        }
                        self.encoder.encode(batch);
                    }
                    None => break,
                },
                () = wait_until(due) => self.encoder.seal_all(),
            }
            self.hand_over(shards).await;
            self.adapt(shards);
        }
        self.encoder.seal_all();
        self.hand_over(shards).await;
        shards.drain().await;
    }

    async fn hand_over(&mut self, shards: &Shards) {
        if let Some(metadata) = &mut self.metadata
            && self.encoder.version() == ProtocolVersion::V1
        {
            for request in metadata.due(self.encoder.translation(), self.encoder.generation()) {
                shards.enqueue(request).await;
            }
        }
        // One by one, so that none is left outside of both if the deadline passes meanwhile.
        while let Some(request) = self.encoder.next_sealed() {
            shards.enqueue(request).await;
        }
    }

    /// Counts as lost all that is left: in the channel, in the encoder, and in the shards.
    async fn give_up(&mut self, context: &mut ExporterContext, shards: &mut Shards) {
        shards.abort().await;
        self.encoder.seal_all();
        while let Some(request) = self.encoder.next_sealed() {
            shards.lose(request);
        }
        while let Some(batch) = context.input.try_recv() {
            self.encoder.metrics().lost(batch.len() as u64);
            batch.acks.resolve(AckOutcome::Dropped);
        }
    }

    /// Encodes as the store is known to want it.
    fn heed_the_store(&mut self) {
        let version = self.sender.spoken.now();
        let translation = match version {
            ProtocolVersion::V1 => &self.escaped,
            ProtocolVersion::V2 => &self.translation,
        };
        self.encoder.speak(version, translation);
        self.encoder.limit_packed_bytes(self.sender.size.limit(self.packed_bytes));
    }

    /// Uses as many shards as the backlog and the store ask for.
    fn adapt(&mut self, shards: &Shards) {
        if let Some(wanted) = self.adaptation.due(self.encoder.active(), shards.progress()) {
            self.encoder.spread_over(wanted);
        }
        if self.adaptation.has_looked() {
            self.encoder.publish();
        }
    }
}

async fn wait_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

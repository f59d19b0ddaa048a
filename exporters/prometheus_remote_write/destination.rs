//! One store that the exporter writes to: from what comes, over the encoder and the shards, to the store.

use super::account::{Account, Mark};
use super::config::Config;
use super::encode::Encoder;
use super::limits::Guard;
use super::log::LogSource;
use super::metadata::Metadata;
use super::metrics::Metrics;
use super::send::{Culprits, Packing, Patience, Sender, Size, Spoken};
use super::shards::{Adaptation, Logged, Shards};
use super::translation::Translation;
use aws::SigV4;
use net::auth::{Authenticators, ClientAuth};
use net::client::{Credentials, HttpClient};
use pipeline::component::{BuildContext, ComponentError};
use pipeline::stop::Stop;
use pipeline::{AckOutcome, Input, MetricBatch};
use prometheus::remote_write::protocol::ProtocolVersion;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How long requests under way may take when a successor waits for the log: a store that is well answers within this, and
/// one that is not gets them from the successor.
const HAND_OVER: Duration = Duration::from_secs(3);

/// Records of a log that do not share a request at the start: after a crash the store may have had the first ones, and some
/// stores refuse a whole request for one sample that they have already. As many as may have been under way, at 100 ms each.
const APART: u32 = 64;

/// Where a destination's samples come from.
pub(super) enum Source {
    /// The pipeline, or its share of it.
    Channel(Input),
    /// The log.
    Log(Box<LogSource>),
}

impl Source {
    /// The next batch; `None` when nothing is to come. May be dropped at any point and called again.
    async fn next(&mut self) -> Option<(MetricBatch, Mark)> {
        match self {
            Self::Channel(input) => Some((input.recv().await?, Mark::default())),
            Self::Log(log) => log.next().await,
        }
    }

    fn account(&self) -> Option<&Arc<Account>> {
        match self {
            Self::Channel(_) => None,
            Self::Log(log) => Some(log.account()),
        }
    }

    fn logged(&self) -> Option<Logged> {
        match self {
            Self::Channel(_) => None,
            Self::Log(log) => Some(log.logged()),
        }
    }

    /// Gives up what waits here and is nowhere else, and tells how many points that were.
    fn give_up(&mut self) -> u64 {
        match self {
            Self::Channel(input) => {
                let mut points = 0;
                while let Some(batch) = input.try_recv() {
                    points += batch.len() as u64;
                    batch.acks.resolve(AckOutcome::Dropped);
                }
                points
            }
            Self::Log(log) => log.give_up(),
        }
    }
}

/// A store, with all that is set for it.
pub(super) struct Destination {
    config: Config,
    metrics: Arc<Metrics>,
    sender: Option<Arc<Sender>>,
    /// Keeps the credentials of a signer of its own fresh.
    watching: Option<aws::Watching>,
}

impl Destination {
    pub(super) fn new(config: Config, context: &BuildContext) -> Self {
        let metrics = Arc::new(Metrics::new(&context.telemetry, &context.id.to_string(), &config.name));
        Self { config, metrics, sender: None, watching: None }
    }

    /// What it is called in the log and in metrics.
    pub(super) fn name(&self) -> &str {
        &self.config.name
    }

    /// What it counts.
    pub(super) fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Sets up the client, and reads what it needs.
    pub(super) fn start(&mut self, context: &BuildContext) -> Result<(), ComponentError> {
        let mut authenticators = Authenticators::of(&context.shared);
        if let Some(signing) = &self.config.signing {
            let signer = SigV4::new(signing.clone())
                .map_err(|error| ComponentError::caused("requests cannot be signed", error))?;
            let signer = Arc::new(signer);
            authenticators.add_client(context.id.clone(), Arc::clone(&signer) as _);
            self.config.client.credentials = Credentials::Authenticator(context.id.clone());
            self.watching = Some(signer.watch());
        }
        let auth: Option<Arc<dyn ClientAuth>> = match &self.config.client.credentials {
            Credentials::Authenticator(id) => authenticators.client(id).ok(),
            _ => None,
        };
        let client = HttpClient::new(&self.config.client, &authenticators)
            .map_err(|error| ComponentError::caused("cannot set up the HTTP client", error))?;
        client.check_files().map_err(|error| ComponentError::caused("cannot read TLS files", error))?;
        let program = context.program;
        self.sender = Some(Arc::new(Sender {
            client,
            endpoint: self.config.endpoint.clone(),
            shown_endpoint: self.config.name.clone(),
            user_agent: format!("{}/{}", program.name, program.version),
            retry: self.config.retry,
            auth,
            store: self.config.store,
            metrics: Arc::clone(&self.metrics),
            spoken: Spoken::new(self.config.version),
            size: Size::default(),
            patience: Patience::default(),
            culprits: Culprits::default(),
            packing: Packing::new(self.config.encoding),
            escape_names: !self.config.translation.metric_namer.strategy.escapes(),
        }));
        Ok(())
    }

    /// Delivers what comes until nothing more does or the deadline of `stop` has passed. Returns how many points were
    /// lost because of that. `several` says that the exporter has others beside it.
    pub(super) async fn run(
        mut self,
        mut source: Source,
        mut stop: Stop,
        several: bool,
    ) -> Result<u64, ComponentError> {
        let Some(sender) = self.sender.take() else {
            return Err(ComponentError::new("the exporter was run without being started"));
        };
        let mut shards = Shards::start(self.config.queue, &sender, &self.metrics, source.account().cloned());
        self.metrics.watch(shards.progress(), self.config.queue.requests, several);
        let linger = self.config.linger;
        let translation = Arc::new(self.config.translation);
        let metrics = Arc::clone(&self.metrics);
        let encoder =
            Encoder::new(Arc::clone(&translation), self.config.limits, metrics, Guard::new(self.config.store));
        let mut running = Running {
            encoder,
            escaped: Arc::new(translation.escaping()),
            translation,
            metadata: self.config.send_metadata.then(Metadata::default),
            adaptation: Adaptation::new(self.config.queue.shards),
            packed_bytes: self.config.limits.packed_bytes,
            sender,
            account: source.account().cloned(),
            mark: Mark::default(),
            apart: if matches!(&source, Source::Log(log) if log.replays()) { APART } else { 0 },
        };
        running.encoder.spread_over(running.adaptation.first());
        let logged = running.account.is_some();
        tokio::select! {
            () = running.run(&mut source, &mut shards, linger) => return Ok(0),
            () = time_is_over(&mut stop, logged) => {}
        }
        let lost = running.give_up(&mut source, &mut shards).await;
        if lost > 0 {
            tracing::error!(
                endpoint = %self.config.name,
                points = lost,
                "The deadline has passed before all was delivered; what was left is lost."
            );
        } else if logged {
            tracing::info!(endpoint = %self.config.name, "What is not delivered yet stays in the log.");
        }
        Ok(lost)
    }
}

/// Waits until what is under way is to be given up.
async fn time_is_over(stop: &mut Stop, logged: bool) {
    let mut successor = stop.clone();
    tokio::select! {
        () = stop.deadline_passed() => {}
        () = async {
            successor.succeeded().await;
            tokio::time::sleep(HAND_OVER).await;
        }, if logged => {}
    }
}

struct Running {
    encoder: Encoder,
    translation: Arc<Translation>,
    /// The same with names that version 1.0 allows, for a store that does not know the version whose names are wanted.
    escaped: Arc<Translation>,
    /// Families to tell of in requests of their own (version 1.0).
    metadata: Option<Metadata>,
    adaptation: Adaptation,
    /// The most compressed bytes of a request by the configuration.
    packed_bytes: usize,
    sender: Arc<Sender>,
    /// Of what is read from a log.
    account: Option<Arc<Account>>,
    mark: Mark,
    /// Records of the log that are still to be kept apart.
    apart: u32,
}

impl Running {
    async fn run(&mut self, source: &mut Source, shards: &mut Shards, linger: Duration) {
        loop {
            let due = self.encoder.opened().map(|opened| opened + linger);
            tokio::select! {
                next = source.next() => match next {
                    Some((batch, mark)) => self.encode(batch, mark),
                    None => break,
                },
                () = wait_until(due) => self.encoder.seal_all(),
            }
            // A change of the shards seals requests too, and nothing else may come for long.
            self.adapt(source, shards);
            self.hand_over(shards).await;
        }
        self.encoder.seal_all();
        self.hand_over(shards).await;
        shards.drain().await;
    }

    fn encode(&mut self, batch: MetricBatch, mark: Mark) {
        self.heed_the_store();
        if let Some(metadata) = &mut self.metadata {
            metadata.note(&batch, self.encoder.translation());
        }
        if mark != self.mark {
            // What is lost at a deadline is told from what is not by requests.
            if mark.logged != self.mark.logged || self.apart > 0 {
                self.apart = self.apart.saturating_sub(1);
                self.encoder.seal_all();
            }
            self.mark = mark;
            self.encoder.mark(mark);
        }
        self.encoder.encode(batch);
    }

    async fn hand_over(&mut self, shards: &Shards) {
        // One by one, so that none is left outside of both if the deadline passes meanwhile.
        while let Some(request) = self.encoder.next_sealed() {
            shards.enqueue(request).await;
        }
        // Behind them: it is of the present generation, and would wait for those of an earlier one that wait behind it.
        if let Some(metadata) = &mut self.metadata
            && self.encoder.version() == ProtocolVersion::V1
        {
            for request in metadata.due(self.encoder.translation(), self.encoder.generation()) {
                shards.enqueue(request).await;
            }
        }
        if let Some(account) = &self.account {
            account.encoded(self.encoder.oldest_open());
        }
    }

    /// Counts as lost all that is left and in no log: where it comes from, in the encoder, and in the shards.
    async fn give_up(&mut self, source: &mut Source, shards: &mut Shards) -> u64 {
        shards.abort().await;
        self.encoder.seal_all();
        while let Some(request) = self.encoder.next_sealed() {
            shards.lose(request);
        }
        self.encoder.metrics().lost(source.give_up());
        self.encoder.metrics().lost_at_shutdown()
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
    fn adapt(&mut self, source: &Source, shards: &Shards) {
        if let Some(wanted) = self.adaptation.due(self.encoder.active(), shards.progress(), || source.logged()) {
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

//! One store that the exporter writes to: from what comes, over the encoder and the shards, to the store.

use super::account::{Account, Mark};
use super::config::Config;
use super::encode::Encoder;
use super::limits::Guard;
use super::log::LogSource;
use super::metadata::Metadata;
use super::metrics::Metrics;
use super::send::{self, Sender};
use super::shards::Shards;
use super::translation::Translation;
use aws::SigV4;
use net::auth::{Authenticators, ClientAuth};
use net::client::{Credentials, HttpClient};
use pipeline::component::{BuildContext, ComponentError};
use pipeline::stop::Stop;
use pipeline::{AckOutcome, Input, MetricBatch};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How often the number of shards is looked at.
const ADAPT_EVERY: Duration = Duration::from_secs(5);

/// How long requests under way may take when a successor waits for the log: a store that is well answers within this, and
/// one that is not gets them from the successor.
const HAND_OVER: Duration = Duration::from_secs(3);

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
            headers: send::headers(&format!("{}/{}", program.name, program.version)),
            retry: self.config.retry,
            auth,
            max_age: self.config.store.sample_age,
            metrics: Arc::clone(&self.metrics),
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
        let mut running = Running {
            encoder: Encoder::new(
                Arc::clone(&translation),
                self.config.limits,
                Arc::clone(&self.metrics),
                Guard::new(self.config.store),
            ),
            translation,
            metadata: self.config.send_metadata.then(Metadata::default),
            max_shards: self.config.queue.shards,
            calm_since: Instant::now(),
            adapted: Instant::now(),
            account: source.account().cloned(),
            mark: Mark::default(),
        };
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
    metadata: Option<Metadata>,
    max_shards: usize,
    /// Since when there is no backlog.
    calm_since: Instant,
    adapted: Instant,
    /// Of what is read from a log.
    account: Option<Arc<Account>>,
    mark: Mark,
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
            self.hand_over(shards).await;
            self.adapt(shards, matches!(source, Source::Log(log) if log.is_behind()));
        }
        self.encoder.seal_all();
        self.hand_over(shards).await;
        shards.drain().await;
    }

    fn encode(&mut self, batch: MetricBatch, mark: Mark) {
        if let Some(metadata) = &mut self.metadata {
            metadata.note(&batch, &self.translation);
        }
        if mark != self.mark {
            if mark.logged != self.mark.logged {
                // What is lost at a deadline is told from what is not by requests.
                self.encoder.seal_all();
            }
            self.mark = mark;
            self.encoder.mark(mark);
        }
        self.encoder.encode(batch);
    }

    async fn hand_over(&mut self, shards: &Shards) {
        if let Some(metadata) = &mut self.metadata {
            for request in metadata.due(&self.translation, self.encoder.generation()) {
                shards.enqueue(request).await;
            }
        }
        // One by one, so that none is left outside of both if the deadline passes meanwhile.
        while let Some(request) = self.encoder.next_sealed() {
            shards.enqueue(request).await;
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

    /// Uses more shards when requests wait although the store accepts them, fewer when none has waited for
    /// a minute.
    fn adapt(&mut self, shards: &Shards, behind: bool) {
        if self.adapted.elapsed() < ADAPT_EVERY {
            return;
        }
        self.adapted = Instant::now();
        let active = self.encoder.active();
        let progress = shards.progress();
        let backlog = behind || progress.waiting() > 2 * active;
        if backlog {
            self.calm_since = Instant::now();
        }
        if backlog && !progress.is_retrying() && active < self.max_shards {
            self.encoder.spread_over((active * 2).min(self.max_shards));
        } else if active > 1 && self.calm_since.elapsed() > Duration::from_secs(60) {
            self.encoder.spread_over(active / 2);
            self.calm_since = Instant::now();
        }
        self.encoder.publish();
    }
}

async fn wait_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

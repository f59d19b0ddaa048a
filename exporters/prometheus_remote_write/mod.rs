//! `prometheusremotewrite`: delivers metrics to stores that speak Prometheus remote write, 1.0 or 2.0.
//!
//! For each store ([`destination`]) points are encoded as they arrive ([`encode`]), spread over shards by series, and sent
//! one request per shard at a time ([`shards`], [`send`]). A store that fails is asked again with growing intervals. What
//! it has not accepted waits in memory up to `remote_write_queue`'s bounds, then the pipeline waits; or, with a `wal`,
//! on disk ([`log`]).

mod account;
mod config;
mod delta;
mod destination;
mod encode;
mod labels;
mod limits;
mod log;
mod metadata;
mod metrics;
mod native;
mod sample;
mod send;
mod shards;
mod spread;
mod table;
#[cfg(test)]
mod tests;
mod translation;
mod v2;
mod whole;

use async_trait::async_trait;
use aws::SigningSettings;
pub(crate) use config::Dialect;
use config::Settings;
use destination::{Destination, Source};
use log::{LogQueue, LogSettings};
use pipeline::channel::channel;
use pipeline::component::{Build, BuildContext, ComponentError, Exporter, ExporterContext, Factory, Signal, Stability};
use pipeline::config::{ConfigErrors, Node};
use pipeline::stop::Stop;
use pipeline::{AckOutcome, Input, Output};
use std::sync::Arc;
use tokio::task::JoinSet;
use tracing::Instrument as _;

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
    Settings::read(node, dialect).map(drop)
}

/// How the exporter signs requests by itself, without an extension.
pub(crate) fn signing_as(dialect: Dialect, node: &Node) -> Option<SigningSettings> {
    Settings::read(node, dialect).ok()?.destinations.into_iter().find_map(|config| config.signing)
}

/// Makes the exporter under either name.
pub(crate) fn build_as(
    dialect: Dialect,
    node: &Node,
    context: &BuildContext,
) -> Result<Box<dyn Exporter>, ComponentError> {
    let settings = Settings::read(node, dialect).map_err(|errors| ComponentError::new(errors.to_string()))?;
    let destinations = settings.destinations.into_iter().map(|config| Destination::new(config, context)).collect();
    Ok(Box::new(RemoteWrite { destinations, log_settings: settings.log, context: context.clone(), log: None }))
}

struct RemoteWrite {
    destinations: Vec<Destination>,
    log_settings: Option<LogSettings>,
    context: BuildContext,
    log: Option<LogQueue>,
}

#[async_trait]
impl Exporter for RemoteWrite {
    async fn start(&mut self) -> Result<(), ComponentError> {
        for destination in &mut self.destinations {
            destination.start(&self.context)?;
        }
        if let Some(settings) = &self.log_settings {
            let named = |destination: &Destination| (destination.name().to_owned(), Arc::clone(destination.metrics()));
            let destinations = self.destinations.iter().map(named).collect();
            self.log = Some(LogQueue::open(settings, &self.context, destinations).await?);
        }
        Ok(())
    }

    async fn run(mut self: Box<Self>, context: ExporterContext) -> Result<(), ComponentError> {
        let lost = match self.log.take() {
            Some(log) => run_logged(log, self.destinations, context).await?,
            None => run_in_memory(self.destinations, context).await?,
        };
        if lost > 0 { Err(ComponentError::loss(lost)) } else { Ok(()) }
    }
}

/// Runs destinations that each get everything. Returns how many points were lost at the deadline.
async fn run_in_memory(mut destinations: Vec<Destination>, context: ExporterContext) -> Result<u64, ComponentError> {
    let ExporterContext { input, mut stop } = context;
    if destinations.len() == 1
        && let Some(only) = destinations.pop()
    {
        return only.run(Source::Channel(input), stop, false).await;
    }
    let mut tasks = JoinSet::new();
    let (mut entries, mut metrics) = (Vec::new(), Vec::new());
    for destination in destinations {
        let (entry, share) = channel();
        entries.push(entry);
        metrics.push(Arc::clone(destination.metrics()));
        tasks.spawn(destination.run(Source::Channel(share), stop.clone(), true).in_current_span());
    }
    let lost = share_out(input, &Output::to(entries), &mut stop).await;
    metrics.iter().for_each(|metrics| metrics.lost(lost));
    Ok(lost + join(tasks).await?)
}

/// Gives all destinations what comes. One whose queue is full makes the others wait, since nothing is thrown away.
/// Returns how many points did not get there before the deadline.
async fn share_out(mut input: Input, output: &Output, stop: &mut Stop) -> u64 {
    let mut held = 0;
    let shared = async {
        while let Some(batch) = input.recv().await {
            held = batch.len() as u64;
            // It fails once the destinations have ended, which they do at the deadline.
            output.send(batch).await.ok();
            held = 0;
        }
    };
    tokio::select! {
        () = shared => return 0,
        () = stop.deadline_passed() => {}
    }
    while let Some(batch) = input.try_recv() {
        held += batch.len() as u64;
        batch.acks.resolve(AckOutcome::Dropped);
    }
    held
}

/// Runs destinations that read from a log. Returns how many points were lost at the deadline.
async fn run_logged(
    log: LogQueue,
    destinations: Vec<Destination>,
    context: ExporterContext,
) -> Result<u64, ComponentError> {
    let ExporterContext { input, stop } = context;
    let keeper = log.keep();
    let several = destinations.len() > 1;
    let metrics: Vec<_> = destinations.iter().map(|destination| Arc::clone(destination.metrics())).collect();
    let mut tasks = JoinSet::new();
    for (destination, source) in destinations.into_iter().zip(log.sources(&stop)) {
        tasks.spawn(destination.run(Source::Log(Box::new(source)), stop.clone(), several).in_current_span());
    }
    let lost = log.append(input, stop).await;
    metrics.iter().for_each(|metrics| metrics.lost(lost));
    let ended = join(tasks).await;
    log.close(keeper).await;
    Ok(lost + ended?)
}

/// Waits for all destinations, and adds up what they have lost.
async fn join(mut tasks: JoinSet<Result<u64, ComponentError>>) -> Result<u64, ComponentError> {
    let mut all = Ok(0);
    while let Some(ended) = tasks.join_next().await {
        let ended = ended.unwrap_or_else(|error| Err(ComponentError::caused("a destination has failed", error)));
        all = match (all, ended) {
            (Ok(all), Ok(lost)) => Ok(all + lost),
            (Err(error), _) | (_, Err(error)) => Err(error),
        };
    }
    all
}

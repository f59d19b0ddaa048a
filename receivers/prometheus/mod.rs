//! The Prometheus receiver: finds targets and scrapes them.

pub mod config;
pub mod discovery;
mod layout;
mod scrape;
pub mod target;

use async_trait::async_trait;
use config::{ReceiverConfig, ScrapeJob};
use discovery::Discovery;
use pipeline::component::{Build, BuildContext, ComponentError, Factory, Receiver, ReceiverContext, Signal, Stability};
use pipeline::config::{ConfigErrors, Node};
use prometheus::labels::Labels;
use scrape::{PoolSettings, Pools, ReceiverShared, SampleSettings};
use std::sync::Arc;
use target::{Keep, offset_seed};
use tokio::sync::watch;

/// The factory of `prometheus`.
pub const FACTORY: Factory = Factory {
    type_name: "prometheus",
    aliases: &[],
    summary: "scrapes Prometheus targets",
    signals: &[Signal::Metrics],
    stability: Stability::Stable,
    live_update: true,
    validate,
    build: Build::Receiver(build),
};

fn validate(node: &Node) -> Result<(), ConfigErrors> {
    // Jobs of `scrape_config_files` are a part of the configuration, though they stand in other files.
    ReceiverConfig::read(node, "")?.prometheus.load_jobs().map(drop)
}

fn build(node: &Node, context: &BuildContext) -> Result<Box<dyn Receiver>, ComponentError> {
    let config = ReceiverConfig::read(node, "").map_err(|errors| ComponentError::new(errors.to_string()))?;
    Ok(Box::new(PrometheusReceiver { config, context: context.clone(), jobs: Vec::new() }))
}

struct PrometheusReceiver {
    config: ReceiverConfig,
    context: BuildContext,
    jobs: Vec<Arc<ScrapeJob>>,
}

/// The jobs of a configuration, those of `scrape_config_files` among them, with all files they need there.
fn load(config: &ReceiverConfig) -> Result<Vec<Arc<ScrapeJob>>, ComponentError> {
    for warning in &config.warnings {
        tracing::warn!("{warning}.");
    }
    let jobs = config.prometheus.load_jobs().map_err(|errors| ComponentError::new(errors.to_string()))?;
    let missing: Vec<String> =
        jobs.iter().filter_map(|job| job.check_files().err()).flatten().map(|error| error.to_string()).collect();
    if missing.is_empty() { Ok(jobs) } else { Err(ComponentError::new(missing.join("; "))) }
}

fn pool_settings(config: &ReceiverConfig) -> PoolSettings {
    let external: Labels = config.prometheus.global.external_labels.clone();
    PoolSettings {
        seed: offset_seed(&external),
        samples: SampleSettings { external, trim_suffixes: config.trim_metric_suffixes },
        initial_offset: config.initial_scrape_offset,
        scrape_on_shutdown: config.scrape_on_shutdown,
    }
}

#[async_trait]
impl Receiver for PrometheusReceiver {
    async fn start(&mut self) -> Result<(), ComponentError> {
        self.jobs = load(&self.config)?;
        Ok(())
    }

    async fn run(self: Box<Self>, mut context: ReceiverContext) -> Result<(), ComponentError> {
        let program = self.context.program;
        let id = self.context.id.to_string();
        let telemetry = &self.context.telemetry;
        let user_agent = format!("{}/{}", program.name, program.version);
        let shared = ReceiverShared::new(context.output.clone(), telemetry, &id, user_agent);
        let mut pools = Pools::new(Arc::new(shared), pool_settings(&self.config), context.stop.clone());
        let (jobs, jobs_seen) = watch::channel(Arc::from(self.jobs));
        let (discovery, mut snapshots) = Discovery::new(telemetry, &id, program, Keep::Nothing);
        let discovery = tokio::spawn(discovery.run(jobs_seen, context.stop.clone()));
        loop {
            tokio::select! {
                () = context.stop.requested() => break,
                changed = snapshots.changed() => {
                    if changed.is_err() {
                        break;
                    }
                    let snapshot = snapshots.borrow_and_update().clone();
                    pools.apply(&snapshot);
                }
                Some(node) = context.updates.recv() => match ReceiverConfig::read(&node, "") {
                    Ok(config) => match load(&config) {
                        Ok(new) => {
                            pools.set_settings(pool_settings(&config));
                            jobs.send_replace(Arc::from(new));
                        }
                        Err(error) => tracing::error!(%error, "The new scrape configuration cannot be used; the old one goes on."),
                    },
                    Err(errors) => tracing::error!(%errors, "The new scrape configuration cannot be used; the old one goes on."),
                },
            }
        }
        pools.ended().await;
        drop(jobs);
        discovery.await.map_err(|error| ComponentError::caused("discovery has failed", error))
    }
}

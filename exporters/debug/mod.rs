//! The `debug` exporter: writes what arrives to the log, so that one can see what a pipeline carries.
//!
//! Its text has the shape of the Collector's, which people (and scripts) know how to read. It replaces the
//! `logging` exporter, whose name and `loglevel` key are still accepted.

mod config;
mod sampling;
#[cfg(test)]
mod tests;
mod text;
mod tree;
mod values;

use std::io::Write as _;

use async_trait::async_trait;
use pipeline::component::{Build, BuildContext, ComponentError, Exporter, ExporterContext, Factory, Signal, Stability};
use pipeline::config::{ConfigErrors, Node};
use pipeline::telemetry::Counter;
use pipeline::{AckOutcome, MetricBatch};
use tokio::time::Instant;

use self::config::Settings;
use self::sampling::Sampler;
use self::tree::Tree;

pub use self::config::{DebugConfig, Verbosity};

/// What the program's table of components lists.
pub const FACTORY: Factory = Factory {
    type_name: "debug",
    aliases: &["logging"],
    summary: "Writes telemetry to the log: counts, one line a point, or everything",
    signals: &[Signal::Metrics],
    stability: Stability::Stable,
    live_update: false,
    validate,
    build: Build::Exporter(build),
};

fn validate(node: &Node) -> Result<(), ConfigErrors> {
    DebugConfig::read(node).map(drop)
}

fn build(node: &Node, context: &BuildContext) -> Result<Box<dyn Exporter>, ComponentError> {
    let config = DebugConfig::read(node)
        .map_err(|errors| ComponentError::caused(format!("cannot build exporter {}", context.id), errors))?;
    let id = context.id.to_string();
    config.warn_of_old_names(&context.id);
    let settings = config.settings(context.id.type_name() == "logging");
    let sent = context.telemetry.counter(
        "otelcol_exporter_sent_metric_points",
        "Number of metric points successfully sent to destination.",
        &[("exporter", &id)],
    );
    Ok(Box::new(DebugExporter { id, settings, sent }))
}

struct DebugExporter {
    id: String,
    settings: Settings,
    sent: Counter,
}

#[async_trait]
impl Exporter for DebugExporter {
    async fn run(self: Box<Self>, mut context: ExporterContext) -> Result<(), ComponentError> {
        let mut sampler = Sampler::new(self.settings.sampling_initial, self.settings.sampling_thereafter);
        while let Some(batch) = context.input.recv().await {
            if sampler.admits(Instant::now()) {
                self.show(&batch);
            }
            self.sent.add(batch.len() as u64);
            batch.acks.resolve(AckOutcome::Delivered);
        }
        Ok(())
    }
}

impl DebugExporter {
    fn show(&self, batch: &MetricBatch) {
        let tree = Tree::of(batch);
        let dump = match self.settings.verbosity {
            Verbosity::Basic => String::new(),
            Verbosity::Normal => text::normal(&tree),
            Verbosity::Detailed => text::detailed(&tree),
        };
        if self.settings.use_internal_logger {
            tracing::info!(
                exporter = self.id,
                resource_metrics = tree.resource_count(),
                metrics = tree.metric_count(),
                data_points = batch.len(),
                "Metrics"
            );
            if !dump.is_empty() {
                tracing::info!(exporter = self.id, "{dump}");
            }
            return;
        }
        let summary = text::summary(&self.id, &tree, batch.len());
        // Standard output may be closed (`oxidot | head`); that must not end the service.
        let mut out = std::io::stdout().lock();
        if out.write_all(summary.as_bytes()).and_then(|()| out.write_all(dump.as_bytes())).is_err() {
            tracing::warn!(exporter = self.id, "Standard output is closed; the dump of a batch was not written.");
        }
    }
}

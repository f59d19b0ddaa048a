//! The `debug` exporter: writes what arrives to the log, so that one can see what a pipeline carries.
//!
//! Its text has the shape of the Collector's, which people (and scripts) know how to read. It replaces the
//! `logging` exporter, whose name and `loglevel` key are still accepted.

mod config;
mod messages;
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
use pipeline::{AckOutcome, Batch, MessageBatch, MetricBatch};
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
    signals: &[Signal::Metrics, Signal::Traces, Signal::Logs],
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
    let sent = [Signal::Metrics, Signal::Traces, Signal::Logs].map(|signal| {
        let name = format!("otelcol_exporter_sent_{}", signal.items());
        context.telemetry.counter(&name, "Number of items successfully sent to destination.", &[("exporter", &id)])
    });
    Ok(Box::new(DebugExporter { id, settings, sent }))
}

struct DebugExporter {
    id: String,
    settings: Settings,
    /// Of metrics, traces and logs.
    sent: [Counter; 3],
}

#[async_trait]
impl Exporter for DebugExporter {
    async fn run(self: Box<Self>, mut context: ExporterContext) -> Result<(), ComponentError> {
        let mut sampler = Sampler::new(self.settings.sampling_initial, self.settings.sampling_thereafter);
        let [metrics, traces, logs] = &self.sent;
        while let Some(batch) = context.input.recv_any().await {
            if sampler.admits(Instant::now()) {
                match &batch {
                    Batch::Metrics(batch) => self.show(batch),
                    Batch::Messages(batch) => self.show_messages(batch),
                }
            }
            let sent = match batch.signal() {
                Signal::Metrics => metrics,
                Signal::Traces => traces,
                Signal::Logs => logs,
            };
            sent.add(batch.len() as u64);
            batch.into_acks().resolve(AckOutcome::Delivered);
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
        let counts = [
            ("resource metrics", tree.resource_count()),
            ("metrics", tree.metric_count()),
            ("data points", batch.len()),
        ];
        self.print(&text::summary(&self.id, "Metrics", &counts), &dump);
    }

    fn show_messages(&self, batch: &MessageBatch) {
        let (signal, resources) = (batch.signal, messages::resource_count(&batch.body));
        let dump = match self.settings.verbosity {
            Verbosity::Basic => String::new(),
            Verbosity::Normal => messages::normal(signal, &batch.body),
            Verbosity::Detailed => messages::detailed(signal, &batch.body),
        };
        if !self.settings.use_internal_logger {
            let (title, counts) = match signal {
                Signal::Logs => ("Logs", [("resource logs", resources), ("log records", batch.items)]),
                _ => ("Traces", [("resource spans", resources), ("spans", batch.items)]),
            };
            self.print(&text::summary(&self.id, title, &counts), &dump);
            return;
        }
        match signal {
            Signal::Logs => {
                tracing::info!(exporter = self.id, resource_logs = resources, log_records = batch.items, "Logs");
            }
            _ => tracing::info!(exporter = self.id, resource_spans = resources, spans = batch.items, "Traces"),
        }
        if !dump.is_empty() {
            tracing::info!(exporter = self.id, "{dump}");
        }
    }

    fn print(&self, summary: &str, dump: &str) {
        // Standard output may be closed (`oxidot | head`); that must not end the service.
        let mut out = std::io::stdout().lock();
        if out.write_all(summary.as_bytes()).and_then(|()| out.write_all(dump.as_bytes())).is_err() {
            tracing::warn!(exporter = self.id, "Standard output is closed; the dump of a batch was not written.");
        }
    }
}

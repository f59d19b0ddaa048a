//! The `file` exporter: writes metrics, traces and logs to files, as OTLP in JSON on one line a batch, or in protobuf.
//!
//! ```yaml
//! exporters:
//!   file:
//!     path: /var/spool/otlp/out.json
//!     create_directory: true
//!     rotation: {max_megabytes: 100, max_backups: 10}
//! ```
//!
//! A batch is written as soon as it comes, in one piece, and acknowledged when the system has it. A piece that does not fit on the disk is
//! taken back, so that the file stays readable. Without `append` (and without `rotation`) what is in the file at the start is
//! cut off, as the Collector does it.
//!
//! In protobuf (`format: proto`), and with `compression: zstd`, each request comes behind its length in four bytes, the
//! highest first; the length is that of the compressed request. The receiver `otlpjsonfile` reads the JSON lines back.

mod config;
mod encode;
mod files;
mod group;
mod metrics;
mod output;
mod rotate;
#[cfg(test)]
mod tests;

use self::config::Config;
use self::files::Files;
use self::metrics::{FileMetrics, Unwritten};
use async_trait::async_trait;
use pipeline::component::{Build, BuildContext, ComponentError, Exporter, ExporterContext, Factory, Signal, Stability};
use pipeline::config::{ConfigErrors, Node};
use pipeline::{AckOutcome, Batch};

/// What the program's table of components lists.
pub const FACTORY: Factory = Factory {
    type_name: "file",
    aliases: &[],
    summary: "Writes telemetry to files as OTLP in JSON lines or protobuf",
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
    let id = context.id.to_string();
    let config =
        Config::read(node).map_err(|errors| ComponentError::caused(format!("cannot build exporter {id}"), errors))?;
    Ok(Box::new(FileExporter { id, config: Some(config), files: None, metrics: FileMetrics::new(context) }))
}

struct FileExporter {
    id: String,
    /// Until the files are opened.
    config: Option<Config>,
    files: Option<Files>,
    metrics: FileMetrics,
}

#[async_trait]
impl Exporter for FileExporter {
    async fn start(&mut self) -> Result<(), ComponentError> {
        let Some(config) = self.config.take() else { return Ok(()) };
        if config.local_time {
            tracing::warn!(exporter = self.id, "localtime is ignored: files that are put aside are named in UTC.");
        }
        let path = config.path.display().to_string();
        let opened = tokio::task::spawn_blocking(move || Files::open(config)).await;
        let opened = opened.map_err(|error| ComponentError::caused("opening a file failed", error))?;
        let hint = "create its directory, or set create_directory: true";
        let failed = |error: std::io::Error| {
            let more = if error.kind() == std::io::ErrorKind::NotFound { format!(" ({hint})") } else { String::new() };
            ComponentError::caused(format!("exporter {}: {path} cannot be written{more}", self.id), error)
        };
        self.files = Some(opened.map_err(failed)?);
        Ok(())
    }

    async fn run(mut self: Box<Self>, mut context: ExporterContext) -> Result<(), ComponentError> {
        self.start().await?;
        let Some(mut files) = self.files.take() else { return Ok(()) };
        while let Some(batch) = context.input.recv_any().await {
            files = self.write(files, batch).await?;
        }
        let id = self.id;
        let synced = tokio::task::spawn_blocking(move || files.sync()).await;
        if let Ok(Err(error)) = synced {
            tracing::warn!(exporter = id, %error, "What was written could not be forced to the disk.");
        }
        Ok(())
    }
}

impl FileExporter {
    async fn write(&self, mut files: Files, batch: Batch) -> Result<Files, ComponentError> {
        let work = tokio::task::spawn_blocking(move || {
            let written = files.write(&batch);
            (files, batch, written)
        });
        let (files, batch, written) =
            work.await.map_err(|error| ComponentError::caused("writing to a file failed", error))?;
        let signal = batch.signal();
        let mut outcome = AckOutcome::Delivered;
        for part in written {
            self.metrics.left_out(part.dropped);
            match part.result {
                Ok(()) => self.metrics.written(signal, part.items),
                Err((why, text)) => {
                    self.metrics.unwritten(signal, part.items, why);
                    let (exporter, signal, items) = (self.id.as_str(), signal.name(), part.items);
                    tracing::error!(
                        exporter,
                        signal,
                        items,
                        error = text,
                        "Telemetry cannot be written to its file; it is dropped."
                    );
                    outcome = outcome.max(match why {
                        Unwritten::Error => AckOutcome::Dropped,
                        Unwritten::Ungrouped => AckOutcome::Rejected,
                    });
                }
            }
        }
        batch.into_acks().resolve(outcome);
        Ok(files)
    }
}

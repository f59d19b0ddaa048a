//! The program's log: lines in the Collector's two forms, to the places that `service::telemetry::logs` names,
//! exchangeable while the program runs.

mod layer;
mod line;
mod output;
mod repeats;

#[cfg(test)]
mod tests;

use self::layer::{LineLayer, Threshold};
use self::output::Output;
use self::repeats::Repeats;
#[cfg(test)]
use self::repeats::Verdict;
use crate::config::{Encoding, LogLevel, LogsConfig};
use arc_swap::ArcSwap;
use parking_lot::Mutex;
use pipeline::config::{Node, Resolved, Value};
use serde_json::{Map, Value as Json};
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{Registry, reload};

/// How often causes that went silent are looked for, to log how many of their lines were left out.
const SWEEP: Duration = Duration::from_secs(10);

/// Why the log cannot be written as configured.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// A file cannot be opened.
    #[error("service::telemetry::logs::{key}: cannot open {path:?}: {cause}")]
    Open {
        /// `output_paths` or `error_output_paths`.
        key: &'static str,
        /// The path as written.
        path: String,
        /// Why.
        cause: io::Error,
    },
    /// Something else in this process logs already.
    #[error("a log is installed already")]
    Installed,
}

/// What lines look like and where they go.
struct Settings {
    encoding: Encoding,
    outputs: Vec<Output>,
    error_outputs: Vec<Output>,
    initial_fields: Map<String, Json>,
}

impl Settings {
    fn open(config: &LogsConfig) -> Result<Self, LogError> {
        let open = |key: &'static str, paths: &[String]| {
            let opened = paths
                .iter()
                .map(|path| Output::open(path).map_err(|cause| LogError::Open { key, path: path.clone(), cause }));
            opened.collect::<Result<Vec<_>, _>>()
        };
        Ok(Self {
            encoding: config.encoding,
            outputs: open("output_paths", &config.output_paths)?,
            error_outputs: open("error_output_paths", &config.error_output_paths)?,
            initial_fields: initial_fields(&config.initial_fields),
        })
    }

    fn write(&self, line: &str) {
        for output in &self.outputs {
            if let Err(error) = output.write(line) {
                let report = format!("cannot write to the log {output}: {error}\n");
                for other in &self.error_outputs {
                    // There is no third place to report to.
                    drop(other.write(&report));
                }
            }
        }
    }
}

/// What the parts of the log share.
struct Core {
    settings: ArcSwap<Settings>,
    repeats: Mutex<Repeats>,
}

impl Core {
    fn report_left_out(&self) {
        let left_out = self.repeats.lock().sweep(std::time::Instant::now());
        for (message, lines) in left_out {
            let settings = self.settings.load();
            let mut fields = settings.initial_fields.clone();
            fields.insert("repeated".into(), message.into());
            fields.insert("suppressed".into(), lines.into());
            let text = "Lines like an earlier one were left out.";
            settings.write(&line::format(settings.encoding, tracing::Level::WARN, text, fields));
        }
    }
}

/// The log of the process.
#[derive(Clone)]
pub struct Log {
    core: Arc<Core>,
    threshold: reload::Handle<Threshold, Registry>,
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Log").finish_non_exhaustive()
    }
}

impl Log {
    /// A log, and the subscriber that writes it.
    ///
    /// # Errors
    /// A file cannot be opened.
    pub fn new(config: &LogsConfig) -> Result<(Self, impl Subscriber + Send + Sync), LogError> {
        let core = Arc::new(Core {
            settings: ArcSwap::from_pointee(Settings::open(config)?),
            repeats: Mutex::new(Repeats::new(config.sampling.clone())),
        });
        let (threshold, handle) = reload::Layer::new(Threshold(threshold(config.level)));
        let subscriber = Registry::default().with(threshold).with(LineLayer::new(Arc::clone(&core)));
        Ok((Self { core, threshold: handle }, subscriber))
    }

    /// A log that everything in this process writes to from now on.
    ///
    /// # Errors
    /// A file cannot be opened, or there is a log already.
    pub fn install(config: &LogsConfig) -> Result<Self, LogError> {
        let (log, subscriber) = Self::new(config)?;
        tracing::subscriber::set_global_default(subscriber).map_err(|_| LogError::Installed)?;
        Ok(log)
    }

    /// Goes on as `config` says. Files are opened anew, so this also serves to rotate them.
    ///
    /// # Errors
    /// A file cannot be opened; then nothing has changed.
    pub fn apply(&self, config: &LogsConfig) -> Result<(), LogError> {
        self.core.settings.store(Arc::new(Settings::open(config)?));
        self.core.repeats.lock().set_sampling(config.sampling.clone());
        // Fails only if the subscriber is gone, and then there is no log to set.
        drop(self.threshold.modify(|current| *current = Threshold(threshold(config.level))));
        Ok(())
    }

    /// Logs now and then how many lines were left out of causes that have gone silent. Never returns.
    pub async fn keep_reporting(&self) {
        loop {
            tokio::time::sleep(SWEEP).await;
            self.core.report_left_out();
        }
    }
}

/// The level as tracing has it. `fatal` has no counterpart; nothing is logged at a level of its own above error.
fn threshold(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Error | LogLevel::Fatal => LevelFilter::ERROR,
    }
}

fn initial_fields(fields: &BTreeMap<String, Node>) -> Map<String, Json> {
    fields.iter().map(|(name, value)| (name.clone(), json(value))).collect()
}

fn json(node: &Node) -> Json {
    match &node.value {
        Value::Scalar(scalar) => match scalar.resolved {
            Resolved::Null => Json::Null,
            Resolved::Bool(value) => value.into(),
            Resolved::Int(value) => i64::try_from(value).map_or_else(|_| scalar.text.clone().into(), Json::from),
            Resolved::Float(value) => value.into(),
            Resolved::Text => scalar.text.clone().into(),
        },
        Value::Sequence(items) => items.iter().map(json).collect(),
        Value::Mapping(mapping) => {
            Json::Object(mapping.entries.iter().map(|entry| (entry.key.clone(), json(&entry.value))).collect())
        }
    }
}

//! `service::telemetry`: how the program reports on itself.

use std::collections::BTreeMap;

use pipeline::config::{ConfigErrors, GoDuration, Node, StringList, decode};
use serde::de;
use serde::{Deserialize, Deserializer};

use super::Warning;

/// Logs, metrics and resource attributes of the program itself.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct TelemetryConfig {
    /// What is logged, how and where.
    pub logs: LogsConfig,
    /// Which metrics are kept and where they can be scraped.
    pub metrics: MetricsConfig,
    /// Taken for compatibility; the program records no traces of itself.
    pub traces: Option<Node>,
    /// Attributes that identify this instance. A null value removes a default one.
    resource: Option<Node>,
    /// Filled from `resource`.
    #[serde(skip)]
    pub resource_attributes: BTreeMap<String, Option<String>>,
}

/// `service::telemetry::logs`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct LogsConfig {
    /// The least severe level that is logged. Default `info`.
    pub level: LogLevel,
    /// `console` (default) or `json`.
    pub encoding: Encoding,
    /// Files, `stdout` or `stderr`. Default `stderr`.
    pub output_paths: StringList,
    /// Where problems of logging itself go. Default `stderr`.
    pub error_output_paths: StringList,
    /// Thins out repeated messages.
    pub sampling: SamplingConfig,
    /// More detail for developers. Default false.
    pub development: bool,
    /// Leaves out the place in the source. Default false.
    pub disable_caller: bool,
    /// Leaves out stack traces. Default false.
    pub disable_stacktrace: bool,
    /// Fields on every line.
    pub initial_fields: BTreeMap<String, Node>,
    /// Export of the program's own logs; taken for compatibility.
    pub processors: Option<Node>,
}

impl Default for LogsConfig {
    fn default() -> Self {
        let stderr = || ["stderr"].into_iter().collect();
        Self {
            level: LogLevel::default(),
            encoding: Encoding::default(),
            output_paths: stderr(),
            error_output_paths: stderr(),
            sampling: SamplingConfig::default(),
            development: false,
            disable_caller: false,
            disable_stacktrace: false,
            initial_fields: BTreeMap::new(),
            processors: None,
        }
    }
}

/// Severity of log lines. Read in either case; `dpanic` and `panic`, which Go's loggers have besides, are `fatal`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Everything.
    Debug,
    /// Milestones and what a user may want to know.
    #[default]
    Info,
    /// What may need attention.
    Warn,
    /// What does need attention.
    Error,
    /// Only what ends the program.
    Fatal,
}

impl<'de> Deserialize<'de> for LogLevel {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match text.to_ascii_lowercase().as_str() {
            "debug" => Ok(Self::Debug),
            "info" => Ok(Self::Info),
            "warn" | "warning" => Ok(Self::Warn),
            "error" => Ok(Self::Error),
            "fatal" | "panic" | "dpanic" => Ok(Self::Fatal),
            _ => Err(de::Error::unknown_variant(&text, &["debug", "info", "warn", "error", "fatal"])),
        }
    }
}

/// How a log line is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// For people.
    #[default]
    Console,
    /// One JSON object a line.
    Json,
}

/// Of each message, the first `initial` within a `tick` are logged, then every `thereafter`-th.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct SamplingConfig {
    /// Default true.
    pub enabled: bool,
    /// Default 10s.
    pub tick: GoDuration,
    /// Default 10.
    pub initial: u32,
    /// Default 100; 0 drops all that follow.
    pub thereafter: u32,
}

impl Default for SamplingConfig {
    fn default() -> Self {
        Self { enabled: true, tick: GoDuration::from_secs(10), initial: 10, thereafter: 100 }
    }
}

/// `service::telemetry::metrics`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct MetricsConfig {
    /// How much is kept. Default `normal`.
    pub level: MetricsLevel,
    /// Listen address of old configurations (`0.0.0.0:8888`); `readers` win over it.
    pub address: Option<String>,
    /// Where metrics can be read; absent means a Prometheus endpoint on localhost:8888.
    readers: Option<Vec<Reader>>,
    /// Taken for compatibility.
    pub views: Option<Node>,
}

/// How much detail self-telemetry has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MetricsLevel {
    /// Nothing is exposed.
    None,
    /// The essential.
    Basic,
    /// The default.
    #[default]
    Normal,
    /// Everything.
    Detailed,
}

#[derive(Debug, Clone, Deserialize)]
struct Reader {
    #[serde(default)]
    pull: Option<Pull>,
    #[serde(default)]
    periodic: Option<Node>,
}

#[derive(Debug, Clone, Deserialize)]
struct Pull {
    exporter: PullExporter,
}

#[derive(Debug, Clone, Deserialize)]
struct PullExporter {
    #[serde(default, alias = "prometheus/development")]
    prometheus: pipeline::config::Section<PrometheusPull>,
}

/// A page that Prometheus can scrape.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct PrometheusPull {
    /// Where to listen. Default localhost.
    pub host: String,
    /// Default 8888.
    pub port: u16,
    /// Leave out `otel_scope_*` labels. Default true, as the Collector's own default reader has it.
    pub without_scope_info: bool,
    /// Leave out unit suffixes. Default true.
    pub without_units: bool,
    /// Leave out `_total`. Default true.
    pub without_type_suffix: bool,
    /// Resource attributes to put on every series.
    pub with_resource_constant_labels: Option<Node>,
    /// How names are translated; taken for compatibility.
    pub translation_strategy: Option<String>,
}

impl Default for PrometheusPull {
    fn default() -> Self {
        Self {
            host: "localhost".to_owned(),
            port: 8888,
            without_scope_info: true,
            without_units: true,
            without_type_suffix: true,
            with_resource_constant_labels: None,
            translation_strategy: None,
        }
    }
}

impl MetricsConfig {
    /// The pages to serve: none at level `none` or with an empty list of readers.
    pub fn pages(&self) -> Vec<PrometheusPull> {
        if self.level == MetricsLevel::None {
            return Vec::new();
        }
        match (&self.readers, &self.address) {
            (Some(readers), _) => readers.iter().filter_map(|reader| reader.page().cloned()).collect(),
            (None, Some(address)) => split_address(address)
                .map(|(host, port)| PrometheusPull { host, port, ..PrometheusPull::default() })
                .into_iter()
                .collect(),
            (None, None) => vec![PrometheusPull::default()],
        }
    }
}

impl Reader {
    fn page(&self) -> Option<&PrometheusPull> {
        self.pull.as_ref()?.exporter.prometheus.as_ref()
    }
}

/// `host:port`, where an empty host means all interfaces.
fn split_address(address: &str) -> Option<(String, u16)> {
    let (host, port) = address.rsplit_once(':')?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let host = if host.is_empty() { "0.0.0.0" } else { host };
    Some((host.to_owned(), port.parse().ok()?))
}

impl TelemetryConfig {
    /// Reads the block, which may be absent.
    ///
    /// # Errors
    /// Everything that is wrong in it.
    pub fn read(node: Option<&Node>, warnings: &mut Vec<Warning>) -> Result<Self, ConfigErrors> {
        let Some(node) = node.filter(|node| !node.is_null()) else { return Ok(Self::default()) };
        let path = "service::telemetry";
        let mut config: Self = decode(node, path)?;
        let mut errors = ConfigErrors::new();
        let mut wrong = |sub_path: &str, message: String| errors.push(node.error_at(path, sub_path, message));
        if let Some(address) = &config.metrics.address {
            if split_address(address).is_none() {
                wrong("metrics::address", format!("{address:?} is no address; write host:port, like localhost:8888"));
            }
            let advice = "address is the old form and still read; write readers: \
                          [{pull: {exporter: {prometheus: {host: localhost, port: 8888}}}}]";
            warnings.push(node.error_at(path, "metrics::address", advice));
        }
        for (index, reader) in config.metrics.readers.iter().flatten().enumerate() {
            if reader.page().is_none() {
                let what = if reader.periodic.is_some() { "a periodic reader" } else { "this reader" };
                let message = format!(
                    "reader {index}: {what} cannot be served; write pull: {{exporter: {{prometheus: {{host: localhost, port: 8888}}}}}} and scrape that page"
                );
                wrong("metrics::readers", message);
            }
        }
        if config.logs.sampling.enabled && config.logs.sampling.tick <= GoDuration::ZERO {
            wrong("logs::sampling::tick", "must be greater than zero".to_owned());
        }
        for (sub_path, given) in [
            ("traces", config.traces.as_ref().is_some_and(exports_something)),
            ("logs::processors", config.logs.processors.is_some()),
            ("metrics::views", config.metrics.views.is_some()),
        ] {
            if given {
                warnings.push(node.error_at(path, sub_path, "has no effect here"));
            }
        }
        if let Some(resource) = &config.resource {
            config.resource_attributes = errors.collect(read_resource(resource)).unwrap_or_default();
        }
        errors.into_result(config)
    }
}

fn exports_something(traces: &Node) -> bool {
    traces.get("processors").and_then(Node::as_sequence).is_some_and(|list| !list.is_empty())
}

/// A mapping of names to values, or the newer form `attributes: [{name, value}]`.
fn read_resource(node: &Node) -> Result<BTreeMap<String, Option<String>>, ConfigErrors> {
    #[derive(Deserialize)]
    struct Listed {
        attributes: Vec<Attribute>,
        #[serde(default, rename = "schema_url")]
        _schema_url: Option<String>,
    }
    #[derive(Deserialize)]
    struct Attribute {
        name: String,
        #[serde(default)]
        value: Option<String>,
        #[serde(default, rename = "type")]
        _type: Option<String>,
    }
    let path = "service::telemetry::resource";
    if node.get("attributes").is_some_and(|attributes| attributes.as_sequence().is_some()) {
        let listed: Listed = decode(node, path)?;
        return Ok(listed.attributes.into_iter().map(|attribute| (attribute.name, attribute.value)).collect());
    }
    decode(node, path)
}

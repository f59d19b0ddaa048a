//! The receiver's own keys.

use pipeline::config::{ConfigErrors, GoDuration, Node, decode};
use serde::Deserialize;
use std::time::Duration;

use super::file::{PrometheusConfig, ReadOptions};
use super::paths::PathBase;
use super::protocol::ScrapeProtocol;

/// The keys as written.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Keys {
    config: Option<Node>,
    trim_metric_suffixes: bool,
    target_allocator: Option<Node>,
    api_server: Option<Node>,
    scrape_on_shutdown: bool,
    discovery_reload_on_startup: bool,
    initial_scrape_offset: GoDuration,
    use_start_time_metric: Option<bool>,
    start_time_metric_regex: Option<String>,
    report_extra_scrape_metrics: Option<bool>,
}

/// What the receiver is told.
#[derive(Clone, Debug, PartialEq)]
pub struct ReceiverConfig {
    /// What to scrape.
    pub prometheus: PrometheusConfig,
    /// Whether units and `_total` are taken off metric names. Default false.
    pub trim_metric_suffixes: bool,
    /// Whether targets are scraped once more when the receiver stops. Default false.
    pub scrape_on_shutdown: bool,
    /// Whether the first targets found are used at once. They always are; the key is taken from configurations that
    /// have it.
    pub discovery_reload_on_startup: bool,
    /// What the first scrape of each target is put off by, beyond its own share of the interval. Default none.
    pub initial_scrape_offset: Duration,
    /// What somebody should know about the configuration although it works; for the log.
    pub warnings: Vec<String>,
}

impl ReceiverConfig {
    /// Reads the block `node` of the receiver known as `path` (`receivers::prometheus`; may be empty). Opens no file.
    ///
    /// # Errors
    /// Everything that is wrong, each with its place.
    pub fn read(node: &Node, path: &str) -> Result<Self, ConfigErrors> {
        let mut errors = ConfigErrors::new();
        let decoded = errors.collect(decode::<Keys>(node, path));
        let mut keys = decoded.unwrap_or_else(|| Keys { config: node.get("config").cloned(), ..Keys::default() });
        let mut fail = |key: &str, message: &str| errors.push(node.error_at(path, key, message));
        if keys.target_allocator.is_some() {
            let message = "target_allocator cannot be used: jobs are read from this file only; \
                           remove the key and list them under config::scrape_configs";
            fail("target_allocator", message);
        }
        if keys.api_server.as_ref().is_some_and(|api| api.get("enabled").and_then(Node::as_text) == Some("true")) {
            let message = "api_server cannot be used: this version serves no Prometheus API; remove the key";
            fail("api_server", message);
        }
        if keys.initial_scrape_offset.is_negative() {
            fail("initial_scrape_offset", "initial_scrape_offset must not be negative");
        }
        let warnings = keys.warnings();
        let config = keys.config.take().unwrap_or_else(|| Node::empty_mapping(node.span.clone()));
        let options = ReadOptions {
            paths: PathBase::WorkingDirectory,
            fallback_protocol: Some(ScrapeProtocol::PrometheusText0),
            extra_scrape_metrics: keys.report_extra_scrape_metrics.unwrap_or(false),
        };
        let config_path = if path.is_empty() { "config".to_owned() } else { format!("{path}::config") };
        let read = PrometheusConfig::read(&config, &config_path, &options);
        check_sections(&config, &config_path, &mut errors);
        let prometheus = errors.collect(read);
        let has = |key: &str| config.get(key).is_some_and(|list| list.as_sequence().is_some_and(|l| !l.is_empty()));
        if !has("scrape_configs") && !has("scrape_config_files") && keys.target_allocator.is_none() {
            errors.push(node.error_at(path, "config", "no Prometheus scrape_configs or target_allocator set"));
        }
        let Some(prometheus) = prometheus else { return Err(errors.into_result(()).err().unwrap_or_default()) };
        errors.into_result(Self {
            prometheus,
            trim_metric_suffixes: keys.trim_metric_suffixes,
            scrape_on_shutdown: keys.scrape_on_shutdown,
            discovery_reload_on_startup: keys.discovery_reload_on_startup,
            initial_scrape_offset: keys.initial_scrape_offset.to_std(),
            warnings,
        })
    }
}

/// Refuses sections that only a Prometheus server has a use for.
fn check_sections(config: &Node, path: &str, errors: &mut ConfigErrors) {
    let there = super::file::other_sections(config);
    if let Some((key, _)) = there.first() {
        let names: Vec<&str> = there.iter().map(|(_, name)| *name).collect();
        let message = format!("unsupported features:\n\t{}", names.join("\n\t"));
        errors.push(config.error_at(path, key, message));
    }
}

impl Keys {
    fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.use_start_time_metric.is_some() {
            warnings.push("use_start_time_metric has no effect any more; remove it".to_owned());
        }
        if self.start_time_metric_regex.is_some() {
            warnings.push("start_time_metric_regex has no effect any more; remove it".to_owned());
        }
        if self.report_extra_scrape_metrics.is_some() {
            warnings.push(
                "report_extra_scrape_metrics is an old spelling; write extra_scrape_metrics below config::global"
                    .to_owned(),
            );
        }
        warnings
    }
}

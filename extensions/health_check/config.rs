//! Settings of the `health_check` extension.

use std::time::Duration;

use pipeline::config::{ConfigErrors, GoDuration, Node, decode_to_check};
use serde::Deserialize;

use super::failures::PipelineCheck;

/// Where probes are expected when nothing else is said.
pub const DEFAULT_ENDPOINT: &str = "0.0.0.0:13133";

net::http_server_config! {
    /// The keys of the `health_check` extension: those of every HTTP server (default endpoint `0.0.0.0:13133`) and
    /// its own.
    #[derive(Clone, Debug, Default, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    pub struct HealthCheckConfig {
        /// The path of probes. One that ends in `/` stands for all below it. Default `/`.
        pub path: Option<String>,
        /// What is answered instead of the Collector's JSON.
        pub response_body: ResponseBodyConfig,
        /// Whether failing exporters make the service unhealthy.
        pub check_collector_pipeline: CheckPipelineConfig,
    }
}

/// Answers of one's own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ResponseBodyConfig {
    /// The body of answers with status 200. Default empty: the Collector's JSON.
    pub healthy: String,
    /// The body of answers with status 503. Default empty: the Collector's JSON.
    pub unhealthy: String,
}

/// When failing exporters make the service unhealthy. Think twice before a liveness probe looks at this: a
/// restart helps against no outage of a store, and loses what waits in memory.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CheckPipelineConfig {
    /// Whether to look at exporters at all. Default false.
    pub enabled: bool,
    /// The time over which failures are counted. Default 5m.
    pub interval: GoDuration,
    /// How many failures within the interval are still healthy. Default 5.
    pub exporter_failure_threshold: i64,
}

impl Default for CheckPipelineConfig {
    fn default() -> Self {
        Self { enabled: false, interval: GoDuration::from_secs(300), exporter_failure_threshold: 5 }
    }
}

impl CheckPipelineConfig {
    /// What to watch, if anything.
    pub(super) fn check(&self) -> Option<PipelineCheck> {
        let threshold = usize::try_from(self.exporter_failure_threshold).unwrap_or(0);
        self.enabled.then(|| PipelineCheck { interval: self.interval.to_std(), threshold })
    }
}

impl HealthCheckConfig {
    /// Reads and checks the extension's block.
    ///
    /// # Errors
    /// Everything that is wrong with it, in the Collector's words.
    pub fn read(node: &Node) -> Result<Self, ConfigErrors> {
        let (config, mut errors) = decode_to_check::<Self>(node, "")?;
        let mut check = |bad: bool, key: &str, message: &str| {
            if bad {
                errors.push(node.error_at("", key, message));
            }
        };
        let pipeline = &config.check_collector_pipeline;
        check(config.endpoint.as_deref() == Some(""), "endpoint", "bad config: endpoint must be specified");
        check(!config.path().starts_with('/'), "path", "bad config: path must start with /");
        check(
            pipeline.enabled && pipeline.interval.to_std() < Duration::from_secs(1),
            "check_collector_pipeline::interval",
            "bad config: interval must be at least 1s",
        );
        check(
            pipeline.enabled && pipeline.exporter_failure_threshold <= 0,
            "check_collector_pipeline::exporter_failure_threshold",
            "bad config: exporter_failure_threshold expects a positive number",
        );
        // Of an empty one that was said.
        let is_empty = config.endpoint.as_deref() == Some("");
        for (key, message) in
            config.http_server().problems().into_iter().filter(|(key, _)| !(is_empty && *key == "endpoint"))
        {
            errors.push(node.error_at("", key, message));
        }
        errors.into_result(config)
    }

    pub(super) fn path(&self) -> String {
        self.path.clone().filter(|path| !path.is_empty()).unwrap_or_else(|| "/".to_owned())
    }
}

//! The keys of `metricstarttime`.

use pipeline::config::{ConfigErrors, GoDuration, Node, decode};
use pipeline::temporality::StreamLimits;
use regex::Regex;
use serde::Deserialize;

/// A series takes some 100 bytes, and a histogram that travels whole several times as much.
const MAX_STREAMS: u64 = 1_000_000;

/// The metric that programs tell their start by.
const START_TIME_METRIC: &str = "process_start_time_seconds";

/// As written.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Keys {
    strategy: Option<String>,
    gc_interval: Option<GoDuration>,
    start_time_metric_regex: String,
    max_streams: Option<u64>,
}

/// How the start is found.
#[derive(Clone, Debug)]
pub(super) enum Strategy {
    /// At the first point, and at resets.
    TrueResetPoint,
    /// The first point is what later ones count from.
    SubtractInitialPoint,
    /// The source says it by a metric of such a name.
    StartTimeMetric(Regex),
}

/// Everything, checked.
#[derive(Clone, Debug)]
pub(super) struct Config {
    pub(super) strategy: Strategy,
    pub(super) limits: StreamLimits,
}

impl Config {
    /// Reads and checks the block.
    pub(super) fn read(node: &Node) -> Result<Self, ConfigErrors> {
        let keys: Keys = decode(node, "")?;
        let mut errors = ConfigErrors::new();
        let max_stale = keys.gc_interval.map_or(std::time::Duration::from_secs(600), GoDuration::to_std);
        if max_stale.is_zero() {
            errors.push(node.error_at("", "gc_interval", "gc_interval must be positive"));
        }
        let name = keys.strategy.as_deref().unwrap_or("true_reset_point");
        if !keys.start_time_metric_regex.is_empty() && name != "start_time_metric" {
            let message = "start_time_metric_regex can only be used with the start_time_metric strategy";
            errors.push(node.error_at("", "start_time_metric_regex", message));
        }
        let strategy = match name {
            "true_reset_point" => Some(Strategy::TrueResetPoint),
            "subtract_initial_point" => Some(Strategy::SubtractInitialPoint),
            "start_time_metric" => match start_time_metric(&keys.start_time_metric_regex) {
                Ok(regex) => Some(Strategy::StartTimeMetric(regex)),
                Err(error) => {
                    errors.push(node.error_at("", "start_time_metric_regex", error.to_string()));
                    None
                }
            },
            other => {
                let message = format!(
                    "{other:?} is not a valid strategy; valid are true_reset_point, subtract_initial_point and start_time_metric"
                );
                errors.push(node.error_at("", "strategy", message));
                None
            }
        };
        let max_streams = usize::try_from(keys.max_streams.unwrap_or(MAX_STREAMS)).unwrap_or(usize::MAX);
        match strategy {
            Some(strategy) => errors.into_result(Self { strategy, limits: StreamLimits { max_streams, max_stale } }),
            None => Err(errors),
        }
    }
}

fn start_time_metric(given: &str) -> Result<Regex, regex::Error> {
    match given {
        "" => Regex::new(&format!("^{START_TIME_METRIC}$")),
        given => Regex::new(given),
    }
}

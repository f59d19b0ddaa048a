//! `global`: what holds for every scrape, and the defaults of what jobs do not say.

use pipeline::config::{ConfigError, ConfigErrors, Node};
use prometheus::duration::PromDuration;
use prometheus::labels::Labels;
use prometheus::names::{EscapingScheme, ValidationScheme};
use prometheus::quote::quoted;
use prometheus::size::ByteSize;
use serde::Deserialize;
use std::path::PathBuf;

use super::expand::expand;
use super::job::Limits;
use super::partial::decode_partly;
use super::paths::PathBase;
use super::protocol::ScrapeProtocol;

const DEFAULT_INTERVAL: PromDuration = PromDuration::from_secs(60);
const DEFAULT_TIMEOUT: PromDuration = PromDuration::from_secs(10);

/// The keys of `global` as written.
#[derive(Debug, Default, Deserialize)]
#[serde(rename = "config.plain", default)]
pub(super) struct GlobalKeys {
    scrape_interval: PromDuration,
    scrape_timeout: PromDuration,
    scrape_protocols: Option<Vec<String>>,
    // These three are read so that mistakes in them are found; nothing here evaluates rules or logs queries.
    evaluation_interval: PromDuration,
    rule_query_offset: PromDuration,
    query_log_file: String,
    scrape_failure_log_file: String,
    external_labels: Option<Node>,
    body_size_limit: ByteSize,
    sample_limit: u64,
    target_limit: u64,
    label_limit: u64,
    label_name_length_limit: u64,
    label_value_length_limit: u64,
    keep_dropped_targets: u64,
    metric_name_validation_scheme: String,
    metric_name_escaping_scheme: String,
    scrape_native_histograms: bool,
    convert_classic_histograms_to_nhcb: bool,
    always_scrape_classic_histograms: bool,
    extra_scrape_metrics: Option<bool>,
}

/// What `global` says, with defaults filled in.
#[derive(Clone, Debug, PartialEq)]
pub struct GlobalConfig {
    /// How often targets are scraped.
    pub scrape_interval: PromDuration,
    /// How long a scrape may take.
    pub scrape_timeout: PromDuration,
    /// Protocols to ask for, if the file says.
    pub scrape_protocols: Option<Vec<ScrapeProtocol>>,
    /// Labels that everything sent elsewhere carries, environment variables expanded.
    pub external_labels: Labels,
    /// Limits; zero is none.
    pub limits: Limits,
    /// Which metric and label names are valid.
    pub validation: ValidationScheme,
    /// How invalid names are written.
    pub escaping: EscapingScheme,
    /// Whether to ask for native histograms.
    pub scrape_native_histograms: bool,
    /// Whether classic histograms become native ones with custom buckets.
    pub convert_classic_histograms_to_nhcb: bool,
    /// Whether classic histograms are kept beside native ones.
    pub always_scrape_classic_histograms: bool,
    /// Whether each scrape reports its limits and body size too; `None` if the file does not say.
    pub extra_scrape_metrics: Option<bool>,
    /// Where failed scrapes are written to.
    pub scrape_failure_log_file: Option<PathBuf>,
}

impl Default for GlobalConfig {
    fn default() -> Self {
        Self {
            scrape_interval: DEFAULT_INTERVAL,
            scrape_timeout: DEFAULT_TIMEOUT,
            scrape_protocols: None,
            external_labels: Labels::default(),
            limits: Limits::default(),
            validation: ValidationScheme::Utf8,
            escaping: EscapingScheme::AllowUtf8,
            scrape_native_histograms: false,
            convert_classic_histograms_to_nhcb: false,
            always_scrape_classic_histograms: false,
            extra_scrape_metrics: None,
            scrape_failure_log_file: None,
        }
    }
}

impl GlobalConfig {
    /// Reads the block `node`, known as `path`. Every problem goes to `errors`, and the default stands in.
    pub(super) fn read(node: &Node, path: &str, base: &PathBase, errors: &mut ConfigErrors) -> Self {
        let Some(keys) = decode_partly::<GlobalKeys>(node, path, errors) else {
            return Self::default();
        };
        let mut fail = |key: &str, message: String| errors.push(node.error_at(path, key, message));
        let (scrape_interval, scrape_timeout) = match intervals(keys.scrape_interval, keys.scrape_timeout) {
            Ok(both) => both,
            Err(message) => {
                fail("scrape_timeout", message);
                (DEFAULT_INTERVAL, DEFAULT_TIMEOUT)
            }
        };
        let scrape_protocols = keys.scrape_protocols.and_then(|given| match ScrapeProtocol::list(&given) {
            Ok(list) => Some(list),
            Err(error) => {
                fail("scrape_protocols", format!("{error} for global config"));
                None
            }
        });
        let validation = validation_scheme(&keys.metric_name_validation_scheme).unwrap_or_else(|message| {
            fail("metric_name_validation_scheme", message);
            None
        });
        let validation = validation.unwrap_or_default();
        let escaping = escaping_scheme(&keys.metric_name_escaping_scheme, "global").unwrap_or_else(|message| {
            fail("metric_name_escaping_scheme", message);
            None
        });
        let external_labels = match &keys.external_labels {
            Some(node) => external_labels(node, &format!("{path}::external_labels"), validation, errors),
            None => Labels::default(),
        };
        Self {
            scrape_interval,
            scrape_timeout,
            scrape_protocols,
            external_labels,
            limits: Limits {
                body_size: u64::try_from(keys.body_size_limit.0).unwrap_or(0),
                samples: keys.sample_limit,
                targets: keys.target_limit,
                labels: keys.label_limit,
                label_name_length: keys.label_name_length_limit,
                label_value_length: keys.label_value_length_limit,
                keep_dropped_targets: keys.keep_dropped_targets,
            },
            validation,
            escaping: escaping.unwrap_or_else(|| default_escaping(validation)),
            scrape_native_histograms: keys.scrape_native_histograms,
            convert_classic_histograms_to_nhcb: keys.convert_classic_histograms_to_nhcb,
            always_scrape_classic_histograms: keys.always_scrape_classic_histograms,
            extra_scrape_metrics: keys.extra_scrape_metrics,
            scrape_failure_log_file: base.join_unless_empty(&keys.scrape_failure_log_file, &node.span),
        }
    }
}

/// Interval and timeout with defaults filled in; zero is the same as not written.
fn intervals(interval: PromDuration, timeout: PromDuration) -> Result<(PromDuration, PromDuration), String> {
    let interval = if interval.is_zero() { DEFAULT_INTERVAL } else { interval };
    if timeout > interval {
        return Err("global scrape timeout greater than scrape interval".to_owned());
    }
    let timeout = if timeout.is_zero() { DEFAULT_TIMEOUT.min(interval) } else { timeout };
    Ok((interval, timeout))
}

/// The validation scheme called `name`; `None` if the file leaves it open.
pub(super) fn validation_scheme(name: &str) -> Result<Option<ValidationScheme>, String> {
    if name.is_empty() {
        return Ok(None);
    }
    name.parse().map(Some).map_err(|error: prometheus::names::SchemeError| error.to_string())
}

/// The escaping scheme called `name`; `None` if the file leaves it open. `level` is `global` or `scrape config`.
pub(super) fn escaping_scheme(name: &str, level: &str) -> Result<Option<EscapingScheme>, String> {
    if name.is_empty() {
        return Ok(None);
    }
    name.parse().map(Some).map_err(|_: prometheus::names::SchemeError| {
        format!(
            "unknown {level} name escaping method specified, must be one of 'allow-utf-8', 'underscores', 'dots', or \
             'values', got {}",
            quoted(name.as_bytes())
        )
    })
}

/// How names are written where the file leaves it open.
pub(super) fn default_escaping(validation: ValidationScheme) -> EscapingScheme {
    match validation {
        ValidationScheme::Utf8 => EscapingScheme::AllowUtf8,
        ValidationScheme::Legacy => EscapingScheme::Underscores,
    }
}

fn external_labels(node: &Node, path: &str, validation: ValidationScheme, errors: &mut ConfigErrors) -> Labels {
    let mut pairs = Vec::new();
    let Some(mapping) = node.as_mapping() else {
        if !node.is_null() {
            errors.push(ConfigError::new(node.span.clone(), path, "expected a mapping of label names to values"));
        }
        return Labels::default();
    };
    for entry in &mapping.entries {
        if !validation.is_valid_label_name(&entry.key) {
            let message = format!("{} is not a valid label name", quoted(entry.key.as_bytes()));
            errors.push(ConfigError::new(entry.key_span.clone(), path, message));
            continue;
        }
        if entry.value.as_scalar().is_none() {
            let message = "the value of a label must be a text";
            errors.push(ConfigError::new(entry.value.span.clone(), format!("{path}::{}", entry.key), message));
            continue;
        }
        let text = entry.value.as_text().unwrap_or_default();
        let (value, unknown) = expand(text, |name| std::env::var(name).ok());
        for name in unknown {
            tracing::warn!(
                label = entry.key,
                variable = name,
                "An external label uses an environment variable that is empty or not set."
            );
        }
        pairs.push((entry.key.as_str(), value));
    }
    for entry in &mapping.duplicates {
        let message = format!("mapping key {} already defined", quoted(entry.key.as_bytes()));
        errors.push(ConfigError::new(entry.key_span.clone(), path, message));
    }
    pairs.into_iter().collect()
}

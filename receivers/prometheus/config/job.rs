//! A scrape job: one entry of `scrape_configs` with everything filled in that the scrape loop needs.

use net::client::ClientSettings;
use pipeline::config::{ConfigErrors, Node};
use prometheus::names::{EscapingScheme, ValidationScheme};
use prometheus::quote::quoted;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::discovery::{self, DiscoveryConfig};
use super::global::{GlobalConfig, default_escaping, escaping_scheme, validation_scheme};
use super::http::settings_or_error;
use super::partial::{decode_partly, is_at_fault};
use super::paths::PathBase;
use super::protocol::{ScrapeProtocol, accept_header};
use super::rules::{RelabelRules, read_rules};
use super::scrape::ScrapeKeys;

/// What scrapes and targets are limited to. Zero is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of an uncompressed body; one that reaches this many fails the scrape.
    pub body_size: u64,
    /// Samples after metric relabelling.
    pub samples: u64,
    /// Targets of a job; more than these fail every scrape of the job.
    pub targets: u64,
    /// Labels of a sample.
    pub labels: u64,
    /// Bytes of a label's name.
    pub label_name_length: u64,
    /// Bytes of a label's value.
    pub label_value_length: u64,
    /// How many dropped targets are remembered for display; zero is all.
    pub keep_dropped_targets: u64,
}

/// What a job says about histograms.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Histograms {
    /// Ask for native histograms.
    pub native: bool,
    /// Keep classic histograms beside native ones.
    pub always_classic: bool,
    /// Turn classic histograms into native ones with custom buckets.
    pub classic_to_nhcb: bool,
    /// Buckets that a native histogram may have; zero is no limit.
    pub native_bucket_limit: u64,
    /// The least factor between bounds of a native histogram; zero leaves the resolution alone.
    pub native_min_bucket_factor: f64,
}

/// A scrape job. Equal jobs scrape equally, so a reload leaves a job alone that is equal to the one before.
#[derive(Clone, Debug, PartialEq)]
pub struct ScrapeJob {
    /// Its name; the label `job` unless relabelling changes it.
    pub job_name: Arc<str>,
    /// How often targets are scraped, unless a target's labels say otherwise.
    pub interval: Duration,
    /// How long a scrape may take, unless a target's labels say otherwise.
    pub timeout: Duration,
    /// The `Accept` header to send. Asks only for what this version reads.
    pub accept: String,
    /// What the configuration asks for, in order of preference.
    pub protocols: Vec<ScrapeProtocol>,
    /// How to read an answer that does not say what it is.
    pub fallback_protocol: Option<ScrapeProtocol>,
    /// Path of the URL.
    pub metrics_path: String,
    /// Scheme of the URL.
    pub scheme: String,
    /// Query parameters, sorted by name.
    pub params: Vec<(String, Vec<String>)>,
    /// Whether exposed labels win over those of the target.
    pub honor_labels: bool,
    /// Whether exposed timestamps are used.
    pub honor_timestamps: bool,
    /// Whether series with exposed timestamps are marked stale when they vanish.
    pub track_timestamps_staleness: bool,
    /// Whether compressed answers are asked for.
    pub enable_compression: bool,
    /// Limits.
    pub limits: Limits,
    /// Histograms.
    pub histograms: Histograms,
    /// Whether each scrape reports timeout, limit and body size too.
    pub extra_scrape_metrics: bool,
    /// Which metric and label names are valid.
    pub validation: ValidationScheme,
    /// How invalid names are asked for and written.
    pub escaping: EscapingScheme,
    /// Rules for targets.
    pub relabel: RelabelRules,
    /// Rules for samples.
    pub metric_relabel: RelabelRules,
    /// How targets are asked.
    pub client: ClientSettings,
    /// How targets are found.
    pub discovery: Vec<DiscoveryConfig>,
    /// Where failed scrapes are written to.
    pub scrape_failure_log_file: Option<PathBuf>,
}

/// What jobs are read with.
pub(super) struct JobContext<'a> {
    pub(super) global: &'a GlobalConfig,
    pub(super) base: &'a PathBase,
    /// What stands in for `fallback_scrape_protocol` where a job has none.
    pub(super) fallback_protocol: Option<ScrapeProtocol>,
    /// What stands in for `extra_scrape_metrics` where neither the job nor `global` says.
    pub(super) extra_scrape_metrics: bool,
}

impl ScrapeJob {
    /// Reads the entry `node`, known as `path`. Every problem goes to `errors`.
    pub(super) fn read(node: &Node, path: &str, context: &JobContext<'_>, errors: &mut ConfigErrors) -> Option<Self> {
        if node.is_null() {
            errors.push(node.error_at(path, "", "empty or null scrape config section"));
            return None;
        }
        let before = errors.len();
        let mut keys: ScrapeKeys = decode_partly(node, path, errors)?;
        keys.resolve_http_paths(context.base.directory(&node.span));
        let client = settings_or_error(keys.client_settings(true), node, path, errors);
        let discovery = discovery::read(&keys, path, context.base, errors);
        let mut problems = Problems { node, path, errors };
        // Not a second problem if the first one is that the key is misspelt.
        if keys.job_name.is_empty() && !problems.errors.suggest("job_name", before) {
            problems.add("job_name", "job_name is empty".to_owned());
        }
        let (interval, timeout) = problems.intervals(&keys, context.global);
        let names = problems.names(&keys, context.global);
        let histograms = histograms(&keys, context.global);
        let protocols = problems.protocols(&keys, context.global, histograms.native);
        let fallback_protocol = problems.fallback(&keys).or(context.fallback_protocol);
        let relabel = read_rules(&keys.relabel_configs, path, "relabel_configs", names.0, errors);
        let metric_relabel = read_rules(&keys.metric_relabel_configs, path, "metric_relabel_configs", names.0, errors);
        if errors.len() > before {
            return None;
        }
        let global = context.global;
        let readable: Vec<ScrapeProtocol> = protocols.iter().copied().filter(|p| p.is_read_here()).collect();
        Some(Self {
            job_name: keys.job_name.as_str().into(),
            interval,
            timeout,
            accept: accept_header(&readable, names.1.as_str()),
            protocols,
            fallback_protocol,
            metrics_path: keys.metrics_path.clone().unwrap_or_else(|| "/metrics".to_owned()),
            scheme: keys.scheme.clone().unwrap_or_else(|| "http".to_owned()),
            honor_labels: keys.honor_labels,
            honor_timestamps: keys.honor_timestamps.unwrap_or(true),
            track_timestamps_staleness: keys.track_timestamps_staleness,
            enable_compression: keys.enable_compression.unwrap_or(true),
            limits: limits(&keys, &global.limits),
            histograms,
            extra_scrape_metrics: keys
                .extra_scrape_metrics
                .or(global.extra_scrape_metrics)
                .unwrap_or(context.extra_scrape_metrics),
            validation: names.0,
            escaping: names.1,
            relabel: relabel?,
            metric_relabel: metric_relabel?,
            client: client?,
            discovery,
            scrape_failure_log_file: context
                .base
                .join_unless_empty(&keys.scrape_failure_log_file, &node.span)
                .or_else(|| global.scrape_failure_log_file.clone()),
            params: keys.params.into_iter().collect(),
        })
    }
}

/// Checks that concern several keys, reported at one of them.
struct Problems<'a> {
    node: &'a Node,
    path: &'a str,
    errors: &'a mut ConfigErrors,
}

impl Problems<'_> {
    fn add(&mut self, key: &str, message: String) {
        if is_at_fault(self.errors, self.path, key) {
            return;
        }
        self.errors.push(self.node.error_at(self.path, key, message));
    }

    /// What `result` holds; its error is reported at `key`.
    fn value<T: Default>(&mut self, key: &str, result: Result<T, String>) -> T {
        result.unwrap_or_else(|message| {
            self.add(key, message);
            T::default()
        })
    }

    fn intervals(&mut self, keys: &ScrapeKeys, global: &GlobalConfig) -> (Duration, Duration) {
        let interval = if keys.scrape_interval.is_zero() { global.scrape_interval } else { keys.scrape_interval };
        if keys.scrape_timeout > interval {
            let job = quoted(keys.job_name.as_bytes());
            let message = "scrape timeout greater than scrape interval for scrape config with job name";
            self.add("scrape_timeout", format!("{message} {job}"));
        }
        let timeout =
            if keys.scrape_timeout.is_zero() { global.scrape_timeout.min(interval) } else { keys.scrape_timeout };
        (interval.0, timeout.0)
    }

    fn protocols(&mut self, keys: &ScrapeKeys, global: &GlobalConfig, native: bool) -> Vec<ScrapeProtocol> {
        let Some(given) = &keys.scrape_protocols else {
            return match &global.scrape_protocols {
                Some(list) => list.clone(),
                None if native => ScrapeProtocol::DEFAULT_WITH_NATIVE_HISTOGRAMS.into(),
                None => ScrapeProtocol::DEFAULT.into(),
            };
        };
        let job = quoted(keys.job_name.as_bytes());
        let list = ScrapeProtocol::list(given);
        self.value("scrape_protocols", list.map_err(|error| format!("{error} for scrape config with job name {job}")))
    }

    fn fallback(&mut self, keys: &ScrapeKeys) -> Option<ScrapeProtocol> {
        if keys.fallback_scrape_protocol.is_empty() {
            return None;
        }
        let job = quoted(keys.job_name.as_bytes());
        let protocol = keys.fallback_scrape_protocol.parse().map(Some).map_err(|error| {
            format!("invalid fallback_scrape_protocol for scrape config with job name {job}: {error}")
        });
        self.value("fallback_scrape_protocol", protocol)
    }

    fn names(&mut self, keys: &ScrapeKeys, global: &GlobalConfig) -> (ValidationScheme, EscapingScheme) {
        let own = validation_scheme(&keys.metric_name_validation_scheme);
        let own = self.value("metric_name_validation_scheme", own);
        let validation = own.unwrap_or(global.validation);
        let escaping = escaping_scheme(&keys.metric_name_escaping_scheme, "scrape config");
        // A job that only asks for legacy names must not inherit that names stay as they are.
        let inherited = if own.is_some() { default_escaping(validation) } else { global.escaping };
        let escaping = self.value("metric_name_escaping_scheme", escaping).unwrap_or(inherited);
        if escaping == EscapingScheme::AllowUtf8 && validation != ValidationScheme::Utf8 {
            let message = "utf8 metric names requested but validation scheme is not set to UTF8";
            self.add("metric_name_escaping_scheme", message.to_owned());
        }
        (validation, escaping)
    }
}

fn histograms(keys: &ScrapeKeys, global: &GlobalConfig) -> Histograms {
    Histograms {
        native: keys.scrape_native_histograms.unwrap_or(global.scrape_native_histograms),
        always_classic: keys.always_scrape_classic_histograms.unwrap_or(global.always_scrape_classic_histograms),
        classic_to_nhcb: keys.convert_classic_histograms_to_nhcb.unwrap_or(global.convert_classic_histograms_to_nhcb),
        native_bucket_limit: keys.native_histogram_bucket_limit,
        native_min_bucket_factor: keys.native_histogram_min_bucket_factor,
    }
}

/// The job's limits; zero takes over what `global` says, so a job cannot lift a limit.
fn limits(keys: &ScrapeKeys, global: &Limits) -> Limits {
    let or = |own: u64, global: u64| if own == 0 { global } else { own };
    Limits {
        body_size: or(u64::try_from(keys.body_size_limit.0).unwrap_or(0), global.body_size),
        samples: or(keys.sample_limit, global.samples),
        targets: or(keys.target_limit, global.targets),
        labels: or(keys.label_limit, global.labels),
        label_name_length: or(keys.label_name_length_limit, global.label_name_length),
        label_value_length: or(keys.label_value_length_limit, global.label_value_length),
        keep_dropped_targets: or(keys.keep_dropped_targets, global.keep_dropped_targets),
    }
}

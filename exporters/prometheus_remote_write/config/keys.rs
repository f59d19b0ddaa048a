//! The keys, as they are written.

use super::super::limits::LimitsKey;
use super::super::log::WalKeys;
use aws::PrometheusSigV4Config;
use pipeline::config::GoDuration;
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::collections::BTreeMap;

net::collector_http_client_config! {
    /// As written.
    #[derive(Debug, Clone, Default, Deserialize)]
    #[serde(default)]
    pub(super) struct Keys {
        /// Goes in front of every metric name, joined by `_`. Default empty.
        pub(super) namespace: String,
        /// Labels for every series that does not have them. Default none.
        pub(super) external_labels: BTreeMap<String, String>,
        /// Queue and parallelism.
        pub(super) remote_write_queue: QueueKeys,
        /// Retries.
        pub(super) retry_on_failure: RetryKeys,
        /// Bytes of a request before compression. Default 3000000; 0 means the default.
        pub(super) max_batch_size_bytes: Option<i64>,
        /// Requests under way at once; overrides `remote_write_queue.num_consumers`. At least 1.
        pub(super) max_batch_request_parallelism: Option<i64>,
        /// Samples of a request. Default 10000. Ours.
        pub(super) max_samples_per_send: Option<u64>,
        /// How long samples wait for a request to fill. Default 1s; 0 sends each batch at once. Ours.
        pub(super) batch_send_deadline: Option<GoDuration>,
        /// Resource attributes as labels.
        pub(super) resource_to_telemetry_conversion: ResourceKeys,
        /// Resource attributes that become labels where a series does not have them, by name. Default none. Prometheus'
        /// `otlp.promote_resource_attributes`.
        pub(super) promote_resource_attributes: Vec<String>,
        /// Totals for deltas. Ours.
        pub(super) delta_to_cumulative: DeltaKeys,
        /// The `target_info` series.
        pub(super) target_info: EnabledKey,
        /// Leave out `otel_scope_*` labels. Default false.
        pub(super) disable_scope_info: bool,
        /// Append unit and type to names. Default true; `translation_strategy` says it better.
        pub(super) add_metric_suffixes: Option<bool>,
        /// How names are translated. Default `UnderscoreEscapingWithSuffixes`.
        pub(super) translation_strategy: Option<String>,
        /// Let names of labels begin with an underscore instead of putting `key` in front. Default: the gate
        /// `pkg.translator.prometheus.PermissiveLabelSanitization`, which is off. Ours.
        pub(super) permissive_label_sanitization: bool,
        /// Send scraped metrics under the names and labels they were scraped with, as Prometheus does,
        /// instead of those the ADOT Collector makes of them. Default false. Ours.
        pub(super) keep_scraped_names: bool,
        /// Put `otel_scope_name` on scraped series, where it names the receiver that scraped them. Default
        /// false: the ADOT Collector does it, together with its own version, which renames every series at
        /// each upgrade; labels that targets expose themselves are kept either way. Ours.
        pub(super) scraped_scope_info: bool,
        /// Send type, help and unit of families: each minute in requests of their own in version 1.0, with each series in 2.0.
        /// Default false in version 1.0, true in 2.0.
        pub(super) send_metadata: Option<bool>,
        /// Send exemplars. Default true, but for stores that do not take them (AMP).
        pub(super) send_exemplars: Option<bool>,
        /// Send native histograms. Default true; without it they are dropped and counted.
        pub(super) send_native_histograms: Option<bool>,
        /// Send histograms with explicit bounds as native ones that list their bounds, in version 2.0. Default false: as the
        /// series of a classic histogram. (Prometheus has a key of this name for OTLP.)
        pub(super) convert_histograms_to_nhcb: bool,
        /// `prometheus.WriteRequest` (1.0), which is the default, or `io.prometheus.write.v2.Request` (2.0).
        pub(super) protobuf_message: Option<String>,
        /// Sign requests for AWS, with the keys that Prometheus' `remote_write` has. Default: do not sign.
        pub(super) sigv4: Option<PrometheusSigV4Config>,
        /// The same in the words of `awsprometheusremotewrite`, and of it only.
        pub(super) aws_auth: Option<AwsAuthKeys>,
        /// What the store accepts: `amp`, `none`, or single limits. Default: `amp` for endpoints of Amazon Managed
        /// Service for Prometheus, else `none`. Ours.
        pub(super) limits: Option<LimitsKey>,
        /// The queue on disk. Default: the queue is in memory.
        pub(super) wal: Option<WalKeys>,
        /// Several stores in place of `endpoint`, each with keys of its own on top of these. Ours.
        pub(super) endpoints: Option<Vec<IgnoredAny>>,
        /// What the store is called in own metrics and in the queue on disk. Default: `endpoint`, without what may be
        /// secret in it. Ours.
        pub(super) name: Option<String>,
        /// Bytes; accepted for files of older Collectors.
        pub(super) user_agent: Option<String>,
    }
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct QueueKeys {
    pub(super) enabled: Option<bool>,
    pub(super) queue_size: Option<i64>,
    /// Most shards; as `max_shards`, under the Collector's name.
    pub(super) num_consumers: Option<i64>,
    pub(super) max_bytes: Option<u64>,
    /// Fewest shards. Default 1. This and the next ones are named as in Prometheus' `queue_config`.
    pub(super) min_shards: Option<i64>,
    /// Most shards. Default 5; at most 200.
    pub(super) max_shards: Option<i64>,
    /// The time in which a backlog is to be caught up with, by which the number of shards is chosen. Default 20s. Ours.
    pub(super) target_age: Option<GoDuration>,
    /// Samples older than this are dropped and counted. Default 0: none.
    pub(super) sample_age_limit: Option<GoDuration>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct RetryKeys {
    pub(super) enabled: Option<bool>,
    pub(super) initial_interval: Option<GoDuration>,
    pub(super) randomization_factor: Option<f64>,
    pub(super) multiplier: Option<f64>,
    pub(super) max_interval: Option<GoDuration>,
    pub(super) max_elapsed_time: Option<GoDuration>,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default)]
pub(super) struct ResourceKeys {
    pub(super) enabled: bool,
    pub(super) exclude_service_attributes: bool,
}

/// Sums and histograms of deltas, which remote write has no form for.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct DeltaKeys {
    /// Add deltas up and send totals. Default true; false drops them, as the Collector does, and counts them.
    pub(super) enabled: Option<bool>,
    /// Series that are added up at once; what goes beyond is dropped and counted. Default 1000000.
    pub(super) max_streams: Option<u64>,
    /// How long a series' total is kept without a delta. Default 1h.
    pub(super) max_stale: Option<GoDuration>,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default)]
pub(super) struct EnabledKey {
    pub(super) enabled: Option<bool>,
}

/// The `aws_auth` block of the exporter that the ADOT Collector had until 0.20.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct AwsAuthKeys {
    /// Default: the second label of the endpoint's host.
    pub(super) region: String,
    /// Default `aps`.
    pub(super) service: String,
    /// A role to assume. Default none.
    pub(super) role_arn: String,
}

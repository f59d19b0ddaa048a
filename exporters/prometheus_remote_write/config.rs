//! The keys of `prometheusremotewrite`.

use aws::{CredentialSettings, PrometheusSigV4Config, RoleSettings, SigningSettings};
use net::client::{ClientSettings, CollectorDefaults};
use pipeline::config::{ConfigErrors, GoDuration, Node, decode};
use prometheus::translate::label_set::{LabelRules, sanitize_external_labels};
use prometheus::translate::target_info::TargetInfoRules;
use prometheus::translate::{LabelNamer, MetricNamer, TranslationStrategy};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::time::Duration;

use super::encode::Limits;
use super::limits::{LimitsKey, StoreLimits};
use super::shards::QueueLimits;
use super::translation::Translation;

/// Compressed bytes that may wait in memory, unless `remote_write_queue.max_bytes` says otherwise: at
/// 25 bytes a sample some ten million samples, ten minutes of 16,000 a second.
const DEFAULT_QUEUE_BYTES: u64 = 256 << 20;

/// Samples of a request, unless `max_samples_per_send` says otherwise: some 250 kB compressed, which
/// stays far below what stores accept (AMP: 1 MB).
const DEFAULT_SAMPLES: usize = 10_000;

net::collector_http_client_config! {
    /// As written.
    #[derive(Debug, Clone, Default, Deserialize)]
    #[serde(default)]
    pub(super) struct Keys {
        /// Goes in front of every metric name, joined by `_`. Default empty.
        namespace: String,
        /// Labels for every series that does not have them. Default none.
        external_labels: BTreeMap<String, String>,
        /// Queue and parallelism.
        remote_write_queue: QueueKeys,
        /// Retries.
        retry_on_failure: RetryKeys,
        /// Bytes of a request before compression. Default 3000000; 0 means the default.
        max_batch_size_bytes: Option<i64>,
        /// Requests under way at once; overrides `remote_write_queue.num_consumers`. At least 1.
        max_batch_request_parallelism: Option<i64>,
        /// Samples of a request. Default 10000. Ours.
        max_samples_per_send: Option<u64>,
        /// How long samples wait for a request to fill. Default 1s; 0 sends each batch at once. Ours.
        batch_send_deadline: Option<GoDuration>,
        /// Resource attributes as labels.
        resource_to_telemetry_conversion: ResourceKeys,
        /// The `target_info` series.
        target_info: EnabledKey,
        /// Leave out `otel_scope_*` labels. Default false.
        disable_scope_info: bool,
        /// Append unit and type to names. Default true; `translation_strategy` says it better.
        add_metric_suffixes: Option<bool>,
        /// How names are translated. Default `UnderscoreEscapingWithSuffixes`.
        translation_strategy: Option<String>,
        /// Send scraped metrics under the names and labels they were scraped with, as Prometheus does,
        /// instead of those the ADOT Collector makes of them. Default false. Ours.
        keep_scraped_names: bool,
        /// Put `otel_scope_name` on scraped series, where it names the receiver that scraped them. Default
        /// false: the ADOT Collector does it, together with its own version, which renames every series at
        /// each upgrade; labels that targets expose themselves are kept either way. Ours.
        scraped_scope_info: bool,
        /// Send type, help and unit of families. Default false.
        send_metadata: bool,
        /// Send exemplars. Default true, but for stores that do not take them (AMP).
        send_exemplars: Option<bool>,
        /// `prometheus.WriteRequest`, which is the default.
        protobuf_message: Option<String>,
        /// Sign requests for AWS, with the keys that Prometheus' `remote_write` has. Default: do not sign.
        sigv4: Option<PrometheusSigV4Config>,
        /// The same in the words of `awsprometheusremotewrite`, and of it only.
        aws_auth: Option<AwsAuthKeys>,
        /// What the store accepts: `amp`, `none`, or single limits. Default: `amp` for endpoints of Amazon Managed
        /// Service for Prometheus, else `none`. Ours.
        limits: Option<LimitsKey>,
        /// Bytes; accepted for files of older Collectors.
        user_agent: Option<String>,
    }
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct QueueKeys {
    enabled: Option<bool>,
    queue_size: Option<i64>,
    num_consumers: Option<i64>,
    max_bytes: Option<u64>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct RetryKeys {
    enabled: Option<bool>,
    initial_interval: Option<GoDuration>,
    randomization_factor: Option<f64>,
    multiplier: Option<f64>,
    max_interval: Option<GoDuration>,
    max_elapsed_time: Option<GoDuration>,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default)]
struct ResourceKeys {
    enabled: bool,
    exclude_service_attributes: bool,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default)]
struct EnabledKey {
    enabled: Option<bool>,
}

/// The `aws_auth` block of the exporter that the ADOT Collector had until 0.20.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct AwsAuthKeys {
    /// Default: the second label of the endpoint's host.
    region: String,
    /// Default `aps`.
    service: String,
    /// A role to assume. Default none.
    role_arn: String,
}

/// Which of the exporter's two names a configuration uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// `prometheusremotewrite`.
    Plain,
    /// `awsprometheusremotewrite`, which always signs.
    Aws,
}

/// How failed requests are tried again.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Retry {
    pub(super) enabled: bool,
    pub(super) initial: Duration,
    pub(super) max: Duration,
    pub(super) multiplier: f64,
    pub(super) randomization: f64,
    /// From the first attempt of a request; zero is for ever.
    pub(super) max_elapsed: Duration,
    /// The same for requests that are refused for who sends them, or cannot be signed yet: for ever, unless the
    /// configuration says how long. Nothing is wrong with what they carry.
    pub(super) max_refused: Duration,
}

/// Everything, checked.
#[derive(Debug)]
pub(super) struct Config {
    pub(super) endpoint: http::Uri,
    pub(super) client: ClientSettings,
    pub(super) queue: QueueLimits,
    pub(super) retry: Retry,
    pub(super) limits: Limits,
    pub(super) store: StoreLimits,
    /// How requests are signed, if the exporter does so itself.
    pub(super) signing: Option<SigningSettings>,
    pub(super) linger: Duration,
    pub(super) send_metadata: bool,
    pub(super) translation: Translation,
}

/// Collects problems at keys of one block.
struct Problems<'a> {
    node: &'a Node,
    errors: ConfigErrors,
}

impl Problems<'_> {
    fn refuse(&mut self, key: &str, message: impl Into<String>) {
        self.errors.push(self.node.error_at("", key, message));
    }
}

impl Config {
    pub(super) fn read(node: &Node, dialect: Dialect) -> Result<Self, ConfigErrors> {
        let keys: Keys = decode(node, "")?;
        let mut problems = Problems { node, errors: ConfigErrors::new() };
        let endpoint = endpoint(&keys, &mut problems);
        let defaults = CollectorDefaults { timeout: Some(Duration::from_secs(5)), compression: None };
        let mut http = keys.http_client();
        match http.compression.as_deref() {
            None | Some("" | "snappy" | "none") => http.compression = None,
            Some(_) => problems.refuse("compression", "compression type must be snappy"),
        }
        let client = net::client::collector_settings(&http, &defaults);
        if let Err(error) = &client {
            problems.refuse("", error.to_string());
        }
        let queue = queue(&keys, &mut problems);
        let retry = retry(&keys, &mut problems);
        let signing = signing(&keys, dialect, endpoint.as_ref(), &mut problems);
        let amp = endpoint.as_ref().and_then(http::Uri::host).is_some_and(aws::is_amp);
        let store = keys.limits.clone().unwrap_or_default().limits(amp).unwrap_or_else(|(key, message)| {
            problems.refuse(key, message);
            StoreLimits::default()
        });
        let limits = limits(&keys, &store, &mut problems);
        let translation = translation(&keys, store.exemplars(), &mut problems);
        match keys.protobuf_message.as_deref() {
            None | Some("" | "prometheus.WriteRequest") => {}
            Some("io.prometheus.write.v2.Request") => problems.refuse(
                "protobuf_message",
                "this version sends remote write 1.0: remove the key or set prometheus.WriteRequest",
            ),
            Some(other) => problems.refuse("protobuf_message", format!("unknown protobuf message {other:?}")),
        }
        let linger = keys.batch_send_deadline.map_or(Duration::from_secs(1), GoDuration::to_std);
        match (endpoint, client, translation) {
            (Some(endpoint), Ok(client), Some(translation)) => problems.errors.into_result(Self {
                endpoint,
                client,
                queue,
                retry,
                limits,
                store,
                signing,
                linger,
                send_metadata: keys.send_metadata,
                translation,
            }),
            _ => Err(problems.errors),
        }
    }
}

fn endpoint(keys: &Keys, problems: &mut Problems<'_>) -> Option<http::Uri> {
    let Some(text) = keys.endpoint.as_deref().filter(|text| !text.is_empty()) else {
        problems.refuse("endpoint", "endpoint is missing: set it to the store's remote-write URL");
        return None;
    };
    match text.parse::<http::Uri>() {
        Ok(uri) if uri.host().is_some() && matches!(uri.scheme_str(), Some("http" | "https")) => Some(uri),
        _ => {
            problems
                .refuse("endpoint", format!("invalid endpoint: {text:?} is not a URL like https://host/api/v1/write"));
            None
        }
    }
}

/// How the exporter signs by itself.
fn signing(
    keys: &Keys,
    dialect: Dialect,
    endpoint: Option<&http::Uri>,
    problems: &mut Problems<'_>,
) -> Option<SigningSettings> {
    if keys.sigv4.is_some() && (keys.auth.is_some() || keys.aws_auth.is_some()) {
        problems.refuse("sigv4", "at most one of auth, sigv4 and aws_auth must be configured");
    }
    if let Some(sigv4) = &keys.sigv4 {
        for (key, message) in sigv4.problems() {
            problems.refuse(&format!("sigv4::{key}"), message);
        }
        return Some(sigv4.settings());
    }
    if dialect == Dialect::Plain {
        if keys.aws_auth.is_some() {
            let message = "aws_auth is a key of the exporter awsprometheusremotewrite: use that, or sigv4, or auth::authenticator with the sigv4auth extension";
            problems.refuse("aws_auth", message);
        }
        return None;
    }
    if keys.auth.is_some() {
        if keys.aws_auth.is_some() {
            problems.refuse("auth", "at most one of auth, sigv4 and aws_auth must be configured");
        }
        return None;
    }
    let given = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let auth = keys.aws_auth.clone().unwrap_or_default();
    let second_label = endpoint.and_then(http::Uri::host).filter(|host| host.parse::<std::net::IpAddr>().is_err());
    let second_label = second_label.and_then(|host| host.split('.').nth(1)).unwrap_or_default();
    let inferred = endpoint.and_then(http::Uri::host).and_then(|host| aws::infer(host).1).unwrap_or(second_label);
    let role = given(&auth.role_arn).map(|arn| RoleSettings { arn, ..RoleSettings::default() });
    Some(SigningSettings {
        region: given(&auth.region).or_else(|| given(inferred)),
        service: given(&auth.service).or_else(|| Some("aps".to_owned())),
        credentials: CredentialSettings { role, ..CredentialSettings::default() },
    })
}

fn queue(keys: &Keys, problems: &mut Problems<'_>) -> QueueLimits {
    let queue = &keys.remote_write_queue;
    let size = queue.queue_size.unwrap_or(10_000);
    if size < 0 {
        problems.refuse("remote_write_queue::queue_size", "remote write queue size can't be negative");
    }
    let enabled = queue.enabled.unwrap_or(true);
    if enabled && size == 0 {
        problems.refuse("remote_write_queue::queue_size", "a 0 size queue will drop all the data");
    }
    let consumers = queue.num_consumers.unwrap_or(5);
    if consumers < 0 {
        problems.refuse("remote_write_queue::num_consumers", "remote write consumer number can't be negative");
    }
    if keys.max_batch_request_parallelism.is_some_and(|n| n < 1) {
        problems.refuse("max_batch_request_parallelism", "max_batch_request_parallelism can't be set to below 1");
    }
    let shards = keys.max_batch_request_parallelism.unwrap_or(consumers).max(1);
    QueueLimits {
        shards: usize::try_from(shards).unwrap_or(1).min(200),
        // Without a queue a request waits for the one before it, and nothing else does.
        requests: if enabled { usize::try_from(size).unwrap_or(1).max(1) } else { 1 },
        bytes: usize::try_from(queue.max_bytes.unwrap_or(DEFAULT_QUEUE_BYTES)).unwrap_or(usize::MAX).max(1 << 20),
    }
}

fn retry(keys: &Keys, problems: &mut Problems<'_>) -> Retry {
    let retry = &keys.retry_on_failure;
    let duration = |value: Option<GoDuration>, default| value.map_or(default, GoDuration::to_std);
    let all = Retry {
        enabled: retry.enabled.unwrap_or(true),
        initial: duration(retry.initial_interval, Duration::from_millis(50)),
        max: duration(retry.max_interval, Duration::from_secs(30)),
        multiplier: retry.multiplier.unwrap_or(1.5),
        randomization: retry.randomization_factor.unwrap_or(0.5),
        max_elapsed: duration(retry.max_elapsed_time, Duration::from_secs(300)),
        max_refused: duration(retry.max_elapsed_time, Duration::ZERO),
    };
    if !(0.0..=1.0).contains(&all.randomization) {
        problems.refuse("retry_on_failure::randomization_factor", "'randomization_factor' must be within [0, 1]");
    }
    if all.multiplier.is_nan() || all.multiplier < 0.0 {
        problems.refuse("retry_on_failure::multiplier", "'multiplier' must be non-negative");
    }
    if !all.max_elapsed.is_zero() && all.max_elapsed < all.initial {
        problems.refuse(
            "retry_on_failure::max_elapsed_time",
            "'max_elapsed_time' must not be less than 'initial_interval'",
        );
    }
    all
}

fn limits(keys: &Keys, store: &StoreLimits, problems: &mut Problems<'_>) -> Limits {
    let raw = keys.max_batch_size_bytes.unwrap_or(0);
    if raw < 0 {
        problems.refuse("max_batch_size_bytes", "max_batch_byte_size must be greater than 0");
    }
    let samples = keys.max_samples_per_send.map_or(DEFAULT_SAMPLES, |n| usize::try_from(n).unwrap_or(usize::MAX));
    if samples == 0 {
        problems.refuse("max_samples_per_send", "max_samples_per_send must be greater than 0");
    }
    let raw_bytes = if raw <= 0 { 3_000_000 } else { usize::try_from(raw).unwrap_or(usize::MAX) };
    Limits { samples, raw_bytes: raw_bytes.min(1 << 30), packed_bytes: store.packed_bytes() }
}

fn translation(keys: &Keys, exemplars: bool, problems: &mut Problems<'_>) -> Option<Translation> {
    let strategy = match keys.translation_strategy.as_deref().filter(|s| !s.is_empty()).map(str::parse) {
        None => None,
        Some(Ok(strategy)) => Some(strategy),
        Some(Err(error)) => {
            problems.refuse("translation_strategy", prometheus::translate::InvalidStrategy::to_string(&error));
            None
        }
    };
    let strategy = TranslationStrategy::from_settings(strategy, keys.add_metric_suffixes.unwrap_or(true));
    if !strategy.escapes() {
        problems.refuse(
            "translation_strategy",
            format!("translation strategy {strategy} requires Prometheus Remote Write 2.0 (UTF-8 support)"),
        );
    }
    let namer = LabelNamer::remote_write(strategy);
    let labels = keys.external_labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let external_labels = match sanitize_external_labels(labels, &namer) {
        Ok(labels) => labels,
        Err(error) => {
            problems.refuse("external_labels", error.to_string());
            return None;
        }
    };
    let resource = keys.resource_to_telemetry_conversion;
    let target_info = keys.target_info.enabled.unwrap_or(true);
    Some(Translation {
        metric_namer: MetricNamer { namespace: keys.namespace.clone(), strategy },
        labels: LabelRules {
            namer: Some(namer),
            external_labels: external_labels.clone(),
            disable_scope_info: keys.disable_scope_info,
            resource_to_telemetry: resource.enabled,
            exclude_service_attributes: resource.exclude_service_attributes,
        },
        keep_scraped_names: keys.keep_scraped_names,
        scraped_scope_info: keys.scraped_scope_info,
        send_exemplars: keys.send_exemplars.unwrap_or(exemplars),
        target_info,
        target_info_rules: TargetInfoRules {
            enabled: target_info,
            namespace: keys.namespace.clone(),
            namer: LabelNamer::remote_write_v1_target_info(),
            external_labels,
        },
    })
}

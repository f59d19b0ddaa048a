//! Settings of the `prometheus` exporter.

use std::collections::BTreeMap;
use std::time::Duration;

use pipeline::config::{ConfigErrors, GoDuration, Node, decode_to_check};
use prometheus::translate::label_set::{LabelRules, sanitize_external_labels};
use prometheus::translate::target_info::TargetInfoRules;
use prometheus::translate::{LabelNamer, MetricNamer, TranslationStrategy};
use serde::Deserialize;

use super::rules::Rules;

net::http_server_config! {
    /// The keys of the `prometheus` exporter: those of every HTTP server (`endpoint` is required) and its own.
    #[derive(Clone, Debug, Default, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    pub struct PrometheusConfig {
        /// Goes in front of every metric name, joined by `_`. Default empty.
        pub namespace: String,
        /// Labels for every series that does not have them. Default none.
        pub const_labels: BTreeMap<String, String>,
        /// Print the time of each point, which lets Prometheus tell late data from current one, and makes series that
        /// are not updated go stale after five minutes only. Default false.
        pub send_timestamps: bool,
        /// For how long a series is shown after its last point. Default 5m.
        pub metric_expiration: Option<GoDuration>,
        /// Answer in OpenMetrics to those who ask for it, with exemplars. Default false.
        pub enable_open_metrics: bool,
        /// Resource attributes as labels.
        pub resource_to_telemetry_conversion: ResourceConfig,
        /// Resource attributes that become labels where a series does not have them, by name. Default none. Ours.
        pub promote_resource_attributes: Vec<String>,
        /// Append unit and type to names. Default true; `translation_strategy` says it better.
        pub add_metric_suffixes: Option<bool>,
        /// Leave out the `otel_scope_*` labels. Default false.
        pub without_scope_info: bool,
        /// How names are translated. Default `UnderscoreEscapingWithSuffixes`.
        pub translation_strategy: String,
        /// Make runs of underscores in names of labels one. Default: the gate
        /// `pkg.translator.prometheus.PermissiveLabelSanitization`, which is off. Ours.
        pub permissive_label_sanitization: bool,
        /// Show scraped metrics under the names and labels they were scraped with, instead of those the ADOT
        /// Collector makes of them. Default false. Ours.
        pub keep_scraped_names: bool,
    }
}

/// Resource attributes as labels.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ResourceConfig {
    /// Copy every resource attribute to every point, where it replaces one of the same key. Default false.
    pub enabled: bool,
    /// Leave out what is in `job` and `instance`. Default false.
    pub exclude_service_attributes: bool,
}

impl PrometheusConfig {
    /// Reads and checks the exporter's block.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn read(node: &Node) -> Result<Self, ConfigErrors> {
        let (config, mut errors) = decode_to_check::<Self>(node, "")?;
        let is_empty = config.endpoint.as_deref().unwrap_or_default().is_empty();
        for (key, message) in
            config.http_server().problems().into_iter().filter(|(key, _)| !(is_empty && *key == "endpoint"))
        {
            errors.push(node.error_at("", key, message));
        }
        if is_empty {
            errors.push(node.error_at(
                "",
                "endpoint",
                "expecting a non-blank address to run the Prometheus metrics handler, such as endpoint: 0.0.0.0:8889",
            ));
        }
        if config.expiration().is_zero() {
            errors.push(node.error_at("", "metric_expiration", "must be above zero, or nothing would be shown"));
        }
        if let Err((key, message)) = config.rules() {
            errors.push(node.error_at("", key, message));
        }
        errors.into_result(config)
    }

    /// How long a series is shown after its last point.
    pub(super) fn expiration(&self) -> Duration {
        self.metric_expiration.map_or(Duration::from_secs(300), GoDuration::to_std)
    }

    /// The rules for names and labels, or the key that is wrong and why.
    pub(super) fn rules(&self) -> Result<Rules, (&'static str, String)> {
        let strategy = match self.translation_strategy.as_str() {
            "" => None,
            text => {
                Some(text.parse::<TranslationStrategy>().map_err(|error| ("translation_strategy", error.to_string()))?)
            }
        };
        let strategy = TranslationStrategy::from_settings(strategy, self.add_metric_suffixes.unwrap_or(true));
        // The Collector keeps runs of underscores here, unlike in remote write.
        let namer = LabelNamer::prometheus_exporter(strategy);
        let namer = if self.permissive_label_sanitization { namer.permissive() } else { namer };
        let const_labels = self.const_labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let const_labels = sanitize_external_labels(const_labels, &namer)
            .map_err(|_| ("const_labels", "a label has no name, no value, or a name of underscores".to_owned()))?;
        let namespace = match self.namespace.as_str() {
            "" => String::new(),
            text => namer.build(text).map_err(|error| ("namespace", error.to_string()))?.into_owned(),
        };
        let conversion = &self.resource_to_telemetry_conversion;
        Ok(Rules {
            metric_namer: MetricNamer { namespace, strategy },
            labels: LabelRules {
                namer: Some(namer),
                external_labels: const_labels.clone(),
                disable_scope_info: self.without_scope_info,
                resource_to_telemetry: conversion.enabled,
                exclude_service_attributes: conversion.exclude_service_attributes,
                promoted: self.promote_resource_attributes.clone(),
            },
            target_info: TargetInfoRules {
                enabled: true,
                namespace: String::new(),
                namer,
                external_labels: const_labels,
            },
            keep_scraped_names: self.keep_scraped_names,
        })
    }
}

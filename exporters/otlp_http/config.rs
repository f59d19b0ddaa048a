//! The keys of `otlphttp`.

use std::time::Duration;

use http::Uri;
use net::client::{ClientSettings, CollectorDefaults, Compression, collector_settings};
use pipeline::component::Signal;
use pipeline::config::{ConfigErrors, Node, decode_to_check};
use serde::Deserialize;

use crate::sending_queue::Delivery;

net::collector_http_client_config! {
    /// As written.
    #[derive(Debug, Clone, Default, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Keys {
        /// Where traces are posted. Default: `endpoint` with `/v1/traces`.
        traces_endpoint: Option<String>,
        /// Where metrics are posted. Default: `endpoint` with `/v1/metrics`.
        metrics_endpoint: Option<String>,
        /// Where logs are posted. Default: `endpoint` with `/v1/logs`.
        logs_endpoint: Option<String>,
        /// `proto` (default) or `json`.
        encoding: Option<String>,
        /// What waits.
        sending_queue: crate::sending_queue::QueueKeys,
        /// Retries.
        retry_on_failure: crate::retry::RetryKeys,
    }
}

/// Everything, checked.
#[derive(Debug)]
pub(super) struct Config {
    /// Without compression, which the exporter does once for all attempts.
    pub(super) client: ClientSettings,
    /// Where each signal goes, if the configuration says.
    pub(super) endpoints: Vec<(Signal, Uri)>,
    pub(super) json: bool,
    pub(super) compression: Option<Compression>,
    /// The time for one attempt; none for no limit.
    pub(super) timeout: Option<Duration>,
    pub(super) delivery: Delivery,
}

impl Config {
    pub(super) fn read(node: &Node) -> Result<Self, ConfigErrors> {
        let (keys, mut errors) = decode_to_check::<Keys>(node, "")?;
        let delivery = Delivery::read(&keys.sending_queue, &keys.retry_on_failure, node, &mut errors);
        let endpoints = endpoints(&keys, node, &mut errors);
        let json = match keys.encoding.as_deref() {
            None | Some("" | "proto") => false,
            Some("json") => true,
            Some(other) => {
                let message = format!("invalid encoding type: {other}; use proto or json");
                errors.push(node.error_at("", "encoding", message));
                false
            }
        };
        let mut http = keys.http_client();
        http.compression.get_or_insert_with(|| "gzip".to_owned());
        let defaults = CollectorDefaults { timeout: Some(Duration::from_secs(30)), compression: None };
        match collector_settings(&http, &defaults) {
            Ok(mut client) => {
                let compression = client.compression.take();
                let timeout = client.timeout.take().filter(|timeout| !timeout.is_zero());
                errors.into_result(Self { client, endpoints, json, compression, timeout, delivery })
            }
            Err(error) => {
                errors.push(node.error_at("", "", error.to_string()));
                Err(errors)
            }
        }
    }
}

/// The URL of each signal.
fn endpoints(keys: &Keys, node: &Node, errors: &mut ConfigErrors) -> Vec<(Signal, Uri)> {
    let given = |key: &Option<String>| key.clone().filter(|text| !text.is_empty());
    let base = given(&keys.endpoint);
    let signals = [
        (Signal::Traces, "traces_endpoint", given(&keys.traces_endpoint)),
        (Signal::Metrics, "metrics_endpoint", given(&keys.metrics_endpoint)),
        (Signal::Logs, "logs_endpoint", given(&keys.logs_endpoint)),
    ];
    if base.is_none() && signals.iter().all(|(_, _, own)| own.is_none()) {
        let message =
            "at least one endpoint must be specified: endpoint, or metrics_endpoint, traces_endpoint, logs_endpoint";
        errors.push(node.error_at("", "endpoint", message));
    }
    let mut endpoints = Vec::new();
    let mut told = false;
    for (signal, key, own) in signals {
        let (key, text) = match (own, &base) {
            (Some(own), _) => (key, own),
            (None, Some(base)) => ("endpoint", format!("{}/v1/{}", base.trim_end_matches('/'), signal.name())),
            (None, None) => continue,
        };
        match text.parse::<Uri>() {
            Ok(uri) if uri.host().is_some() && matches!(uri.scheme_str(), Some("http" | "https")) => {
                endpoints.push((signal, uri));
            }
            // What is wrong with `endpoint` is said once.
            _ if key == "endpoint" && std::mem::replace(&mut told, true) => {}
            _ => errors.push(node.error_at("", key, format!("{key} must be a valid URL like https://host:4318"))),
        }
    }
    endpoints
}

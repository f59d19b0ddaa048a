//! The keys of Prometheus' HTTP client, which stand inline among those of scrape configurations and of discovery
//! mechanisms.

use net::client::{ClientConfigError, ClientSettings, PrometheusHttpClientConfig};
use pipeline::config::{ConfigErrors, KeyStyle, Mapping, Node, Value, decode_with};
use prometheus::duration::PromDuration;

use super::paths::PathBase;

net::prometheus_http_client_config! {
    /// The keys of `http_sd_configs`.
    #[derive(Debug, Default, serde::Deserialize)]
    #[serde(rename = "http.plain", default)]
    pub(super) struct HttpDiscoveryKeys {
        pub(super) url: String,
        pub(super) refresh_interval: PromDuration,
    }
}

/// The settings, or the error about the block `node`, known as `path`, at the key that it names first.
pub(super) fn settings_or_error(
    settings: Result<ClientSettings, ClientConfigError>,
    node: &Node,
    path: &str,
    errors: &mut ConfigErrors,
) -> Option<ClientSettings> {
    settings
        .map_err(|error| {
            let message = error.to_string();
            let written = |key: &&&str| node.get(key).is_some();
            // Messages name the keys they are about; the place of one of them is better than that of the block.
            let at = |text: &str| {
                PrometheusHttpClientConfig::HTTP_CLIENT_FIELDS
                    .iter()
                    .find(|key| text.contains(**key) && written(key))
                    .copied()
            };
            let in_tls =
                || ["cert", "key", "TLS", " ca"].iter().any(|word| message.contains(word)).then_some("tls_config");
            let key = at(&message).or_else(in_tls).unwrap_or_default();
            errors.push(node.error_at(path, key, message));
        })
        .ok()
}

/// Checks the HTTP client's keys of a block whose other keys are somebody else's.
pub(super) fn check_client(node: &Node, path: &str, base: &PathBase, errors: &mut ConfigErrors) {
    let Some(all) = node.as_mapping() else { return };
    let fields = PrometheusHttpClientConfig::HTTP_CLIENT_FIELDS;
    let mapping = Mapping {
        entries: all.entries.iter().filter(|entry| fields.contains(&entry.key.as_str())).cloned().collect(),
        duplicates: Vec::new(),
    };
    let block = Node { span: node.span.clone(), value: Value::Mapping(mapping), original: None };
    let config = decode_with::<PrometheusHttpClientConfig>(&block, path, KeyStyle::Prometheus);
    if let Some(mut config) = errors.collect(config) {
        config.resolve_http_paths(base.directory(&node.span));
        settings_or_error(config.client_settings(false), node, path, errors);
    }
}

//! Keys.

use super::super::config::{Config, Dialect};
use super::*;
use prometheus::remote_write::protocol::ProtocolVersion;
use std::time::Duration;

fn error(keys: &str) -> String {
    let yaml = format!("endpoint: http://127.0.0.1:9/api/v1/write\n{keys}");
    let node = pipeline::config::parse(&yaml, "test.yaml").unwrap();
    Config::read(&node, Dialect::Plain).unwrap_err().to_string()
}

#[test]
fn versions_are_chosen_by_their_message() {
    assert_eq!(config("").version, ProtocolVersion::V1);
    assert_eq!(config("protobuf_message: prometheus.WriteRequest").version, ProtocolVersion::V1);
    let two = config("protobuf_message: io.prometheus.write.v2.Request");
    assert_eq!((two.version, two.send_metadata), (ProtocolVersion::V2, true));
    assert!(!config("protobuf_message: io.prometheus.write.v2.Request\nsend_metadata: false").send_metadata);
    assert!(!config("").send_metadata);
    let unknown = error("protobuf_message: prometheus.WriteRequest3");
    assert!(unknown.contains("test.yaml:2:") && unknown.contains("io.prometheus.write.v2.Request"), "{unknown}");
    for keys in ["translation_strategy: NoTranslation", "convert_histograms_to_nhcb: true"] {
        assert!(error(keys).contains("protobuf_message: io.prometheus.write.v2.Request"), "{keys}");
        config(&format!("protobuf_message: io.prometheus.write.v2.Request\n{keys}"));
    }
}

#[test]
fn labels_may_begin_with_an_underscore_if_the_key_says_so() {
    for version in ["prometheus.WriteRequest", "io.prometheus.write.v2.Request"] {
        for (keys, names) in
            [("", ["__name__", "key_b", "key_x"]), ("permissive_label_sanitization: true\n", ["__name__", "_b", "_x"])]
        {
            let keys = format!("protobuf_message: {version}\n{keys}external_labels: {{_x: y}}\n");
            let mut encoder = encoder(&keys);
            let page = vec![series("m", FamilyKind::Gauge, &[("_b", "1")])];
            let sent = encode(&mut encoder, batch(&origin(Source::Otlp, &[], &[]), page, vec![point(0, 1, 1.0)]));
            let found: Vec<&str> = sent.series[0].0.iter().map(|(name, _)| name.as_str()).collect();
            assert_eq!(found, names, "{keys}");
        }
    }
}

#[test]
fn shards_have_limits_and_a_target_age() {
    let shards = |keys: &str| config(keys).queue.shards;
    let own = shards("");
    assert_eq!((own.min, own.max, own.target_age), (1, 5, Duration::from_secs(20)));
    assert_eq!(shards("remote_write_queue: {num_consumers: 9}").max, 9);
    assert_eq!(shards("remote_write_queue: {num_consumers: 9, max_shards: 7}").max, 7);
    assert_eq!(shards("remote_write_queue: {max_shards: 1000}").max, 200);
    assert_eq!(shards("max_batch_request_parallelism: 3\nremote_write_queue: {max_shards: 7}").max, 3);
    assert_eq!(shards("remote_write_queue: {min_shards: 4, target_age: 5s}").min, 4);
    let greater = error("remote_write_queue: {min_shards: 6}");
    assert!(greater.contains("min_shards must not be greater than max_shards, which is 5"), "{greater}");
    assert!(error("remote_write_queue: {min_shards: 0}").contains("min_shards must be positive"));
    assert!(error("remote_write_queue: {target_age: 10ms}").contains("at least 1s"));
}

#[test]
fn the_smaller_age_counts() {
    let store = |keys: &str| config(keys).store;
    assert_eq!(store("").sample_age, None);
    let own = store("remote_write_queue: {sample_age_limit: 10m}");
    assert_eq!((own.sample_age, own.age_reason()), (Some(Duration::from_secs(600)), "too_old"));
    let stores = store("limits: amp\nremote_write_queue: {sample_age_limit: 2h}");
    assert_eq!(
        (stores.sample_age, stores.age_reason()),
        (Some(Duration::from_secs(3600)), "greater_than_max_sample_age")
    );
    assert_eq!(store("remote_write_queue: {sample_age_limit: 0s}").sample_age, None);
}

#[test]
fn requests_may_be_limited_to_few_bytes() {
    assert_eq!(config("limits: {max_request_bytes: 32000}").store.request_bytes, Some(32_000));
    assert!(config("limits: {max_request_bytes: 32000}").limits.packed_bytes <= 30_000);
    assert!(error("limits: {max_request_bytes: 1000}").contains("at least 16384"));
}

#[test]
fn header_fields_of_the_protocol_are_reserved() {
    for name in ["Content-Type", "content-encoding", "X-Prometheus-Remote-Write-Version", "User-Agent", "Retry-Attempt"]
    {
        let refused = error(&format!("headers: {{{name}: x}}"));
        assert!(refused.contains("test.yaml:2:") && refused.contains("is a reserved header"), "{refused}");
    }
    config("headers: {Host: store.internal, X-Scope-OrgID: tenant, Authorization: Bearer x}");
}

#[test]
fn waits_are_not_negative() {
    for key in ["initial_interval", "max_interval", "max_elapsed_time"] {
        let refused = error(&format!("retry_on_failure: {{{key}: -1s}}"));
        assert!(refused.contains(&format!("'{key}' must be non-negative")), "{refused}");
    }
}

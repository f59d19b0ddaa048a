//! The keys of `wal` and `endpoints`.

use super::super::config::{Dialect, Settings};
use pipeline::config::ConfigErrors;
use std::time::Duration;

fn read(yaml: &str) -> Result<Settings, ConfigErrors> {
    Settings::read(&pipeline::config::parse(yaml, "test.yaml").unwrap(), Dialect::Plain)
}

fn refusal(yaml: &str) -> String {
    read(yaml).unwrap_err().to_string()
}

const ONE: &str = "endpoint: http://127.0.0.1:9/api/v1/write\n";

#[test]
fn with_a_log_requests_are_tried_for_ever_and_few_wait_in_memory() {
    let plain = read(ONE).unwrap();
    assert!(plain.log.is_none());
    assert_eq!(plain.destinations[0].retry.max_elapsed, Duration::from_secs(300));
    assert_eq!(plain.destinations[0].queue.requests, 10_000);
    for keys in ["wal: {}", "wal: {directory: /x, buffer_size: 300, truncate_frequency: 1m, lag_record_frequency: 15s}"]
    {
        let logged = read(&format!("{ONE}{keys}")).unwrap();
        assert!(logged.log.is_some());
        let config = &logged.destinations[0];
        assert_eq!((config.retry.max_elapsed, config.queue.requests), (Duration::ZERO, 20));
        assert!(config.queue.bytes < plain.destinations[0].queue.bytes);
    }
    let keys =
        "wal: {}\nretry_on_failure: {max_elapsed_time: 10m}\nremote_write_queue: {queue_size: 7, max_bytes: 5000000}";
    let given = read(&format!("{ONE}{keys}")).unwrap();
    let config = &given.destinations[0];
    assert_eq!((config.retry.max_elapsed, config.queue.requests), (Duration::from_secs(600), 7));
    assert_eq!(config.queue.bytes, 5_000_000);
    assert!(read(&format!("{ONE}wal:")).unwrap().log.is_none());
}

#[test]
fn what_is_wrong_with_the_log_is_told_with_its_place() {
    for (keys, words) in [
        (
            "wal: {fsync: sometimes}",
            "test.yaml:2:7: wal::fsync: unknown policy \"sometimes\": use interval, always or never",
        ),
        ("wal: {fsync_interval: 1ms}", "wal::fsync_interval: fsync_interval must be at least 100ms"),
        ("wal: {directory: a, storage: file_storage}", "wal::storage: at most one of directory and storage"),
        ("wal: {max_bytes: 5}", "wal::max_bytes: max_bytes must be at least 1048576"),
        ("wal: {segment_bytes: 5}", "wal::segment_bytes: segment_bytes must be at least 65536"),
        ("wal: {storage: \"/\"}", "wal::storage: "),
        ("wal: {directry: a}", "has invalid keys: directry; did you mean \"directory\"?"),
    ] {
        let refused = refusal(&format!("{ONE}{keys}"));
        assert!(refused.contains(words), "{words:?} is not in {refused}");
        assert_eq!(refused.lines().count(), 1, "{refused}");
    }
}

#[test]
fn endpoints_have_the_common_keys_with_their_own_on_top() {
    let yaml = "timeout: 7s\nexternal_labels: {zone: z, cluster: c}\nheaders: {a: b}\nwal: {}\nendpoints:\n\
                - endpoint: http://one/write\n\
                - {endpoint: \"http://user:secret@two:8/write?key=secret\", external_labels: {cluster: d}, timeout: 9s, keep_scraped_names: true}\n\
                - {endpoint: http://one/write, name: again, protobuf_message: prometheus.WriteRequest}\n";
    let settings = read(yaml).unwrap();
    let names: Vec<&str> = settings.destinations.iter().map(|config| config.name.as_str()).collect();
    assert_eq!(names, ["http://one/write", "http://two:8/write", "again"]);
    let timeouts: Vec<_> =
        settings.destinations.iter().map(|config| config.client.timeout.unwrap().as_secs()).collect();
    assert_eq!(timeouts, [7, 9, 7]);
    let labels = |at: usize| settings.destinations[at].translation.labels.external_labels.clone();
    let pairs = |at: usize| -> Vec<(String, String)> {
        labels(at).into_iter().map(|(n, v)| (n.to_string(), v.to_string())).collect()
    };
    assert!(pairs(0).contains(&("cluster".to_owned(), "c".to_owned())));
    assert!(
        pairs(1).contains(&("cluster".to_owned(), "d".to_owned()))
            && pairs(1).contains(&("zone".to_owned(), "z".to_owned()))
    );
    assert!(
        settings.destinations[1].translation.keep_scraped_names
            && !settings.destinations[2].translation.keep_scraped_names
    );
    assert_eq!(settings.destinations[0].retry.max_elapsed, Duration::ZERO);
}

#[test]
fn what_is_wrong_with_endpoints_is_told_once_and_with_its_place() {
    let two = "endpoints:\n- {endpoint: http://one/write}\n- {endpoint: http://two/write}\n";
    for (yaml, words) in [
        (format!("{ONE}{two}"), "test.yaml:2:1: endpoints: at most one of endpoint and endpoints"),
        ("endpoints: []".to_owned(), "endpoints: endpoints is empty"),
        (
            "endpoints:\n- {endpoint: http://one/w}\n- {endpoint: http://one/w}".to_owned(),
            "two endpoints are called \"http://one/w\"",
        ),
        (
            "endpoints:\n- {endpoint: http://one/w, wal: {}}".to_owned(),
            "test.yaml:2:28: endpoints::wal: wal belongs to the exporter as a whole",
        ),
        ("endpoints:\n- {endpoint: http://one/w, timeuot: 3s}".to_owned(), "has invalid keys: timeuot"),
        ("endpoints:\n- http://one/w".to_owned(), "each of endpoints must be a mapping"),
        ("endpoints:\n- {timeout: 3s}".to_owned(), "endpoint is missing"),
        (format!("timeuot: 3s\n{two}"), "test.yaml:1:1: has invalid keys: timeuot"),
        (format!("remote_write_queue: {{queue_size: -1}}\n{two}"), "remote write queue size can't be negative"),
    ] {
        let refused = refusal(&yaml);
        assert!(refused.contains(words), "{words:?} is not in {refused}");
        assert_eq!(refused.lines().count(), 1, "{refused}");
    }
}

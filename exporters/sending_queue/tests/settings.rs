//! The Collector's keys: defaults and refusals.

use super::super::config::{BatchSettings, Sizer};
use super::*;

#[test]
fn the_collector_s_defaults() {
    let Delivery { queue, retry } = delivery("{}").unwrap();
    let expected = QueueSettings {
        consumers: 10,
        capacity: 1000,
        sizer: Sizer::Requests,
        refuses: false,
        storage: None,
        max_bytes: None,
        max_age: None,
        batch: None,
        metadata_keys: Vec::new(),
    };
    assert_eq!((queue, retry.max_elapsed), (expected, Duration::from_secs(300)));
    let Delivery { queue, .. } = delivery("sending_queue: {batch: }").unwrap();
    let batch = BatchSettings { flush: Duration::from_millis(200), min: 8192, max: 0, bytes: false };
    assert_eq!(queue.batch, Some(batch));
    // What is on disk is kept until it is delivered, unless somebody says how long.
    let Delivery { retry, .. } = delivery("sending_queue: {storage: file_storage}").unwrap();
    assert_eq!(retry.max_elapsed, Duration::ZERO);
    let yaml = "sending_queue: {storage: file_storage}\nretry_on_failure: {max_elapsed_time: 10m}";
    assert_eq!(delivery(yaml).unwrap().retry.max_elapsed, Duration::from_secs(600));
}

#[test]
fn all_keys_are_taken() {
    let yaml = "sending_queue:\n  enabled: true\n  num_consumers: 3\n  queue_size: 5000\n  sizer: bytes\n  block_on_overflow: false\n  \
                wait_for_result: true\n  batch: {flush_timeout: 1s, min_size: 10, max_size: 20, sizer: bytes, partition: {metadata_keys: [A]}}\n\
                retry_on_failure: {enabled: true, initial_interval: 1s, randomization_factor: 0.1, multiplier: 2, max_interval: 10s, max_elapsed_time: 1h}\n";
    let Delivery { queue, retry } = delivery(yaml).unwrap();
    let batch = BatchSettings { flush: Duration::from_secs(1), min: 10, max: 20, bytes: true };
    assert_eq!((queue.consumers, queue.capacity, queue.sizer, queue.refuses), (3, 5000, Sizer::Bytes, true));
    assert_eq!((queue.batch, queue.metadata_keys), (Some(batch), vec!["a".to_owned()]));
    assert_eq!((retry.initial, retry.multiplier), (Duration::from_secs(1), 2.0));
}

#[test]
fn the_collector_s_refusals() {
    for (yaml, message) in [
        ("sending_queue: {queue_size: 0}", "`queue_size` must be positive"),
        ("sending_queue: {queue_size: -1}", "`queue_size` must be positive"),
        ("sending_queue: {num_consumers: 0}", "`num_consumers` must be positive"),
        ("sending_queue: {sizer: points}", "invalid sizer"),
        (
            "sending_queue: {storage: a, wait_for_result: true}",
            "`wait_for_result` is not supported with a persistent queue",
        ),
        ("sending_queue: {storage: a, enabled: false}", "remove one of them"),
        ("sending_queue: {max_bytes: 5000000}", "without storage there is none"),
        ("sending_queue: {max_age: 1h}", "without storage there is none"),
        ("sending_queue: {storage: a, max_bytes: 5}", "max_bytes must be at least 1048576"),
        ("sending_queue: {batch: {flush_timeout: 0s}}", "`flush_timeout` must be positive"),
        ("sending_queue: {batch: {min_size: -1}}", "`min_size` must be non-negative"),
        ("sending_queue: {batch: {max_size: -1}}", "`max_size` must be non-negative"),
        ("sending_queue: {batch: {min_size: 10, max_size: 5}}", "`max_size` must be greater or equal to `min_size`"),
        ("sending_queue: {batch: {sizer: requests}}", "`batch` supports only `items` or `bytes` sizer"),
        (
            "sending_queue: {sizer: items, queue_size: 5, batch: {}}",
            "`min_size` must be less than or equal to `queue_size`",
        ),
        (
            "sending_queue: {batch: {partition: {metadata_keys: [a, A]}}}",
            "duplicate entry in metadata_keys: \"a\" (case-insensitive)",
        ),
        ("sending_queue: {queue: 1}", "queue"),
        ("retry_on_failure: {multiplier: -1}", "retry_on_failure::multiplier"),
    ] {
        let errors = delivery(yaml).err().unwrap_or_else(|| panic!("{yaml} is taken")).to_string();
        assert!(errors.contains(message), "{yaml}: {errors}");
    }
    // Without a queue its size does not matter.
    assert!(delivery("sending_queue: {enabled: false, queue_size: 0, num_consumers: 0}").is_ok());
}

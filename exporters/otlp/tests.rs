//! Settings, and what the codes of gRPC mean.
#![expect(clippy::unwrap_used, reason = "tests")]

use net::client::grpc::GrpcStatus;
use otlp::response::{Code, Status};
use pipeline::config::parse;
use std::time::Duration;

use super::transport::refused;
use super::*;
use crate::sending_queue::Attempt;

fn read(yaml: &str) -> Result<Config, String> {
    Config::read(&parse(yaml, "test.yaml").unwrap()).map_err(|errors| errors.to_string())
}

#[test]
fn the_collector_s_defaults() {
    let config = read("endpoint: collector:4317").unwrap();
    assert_eq!(config.client.endpoint.to_string(), "collector:4317");
    assert!(config.client.tls.is_some() && config.client.compression.is_some());
    assert_eq!(
        (config.timeout, config.delivery.queue.consumers, config.delivery.queue.capacity),
        (Some(Duration::from_secs(5)), 10, 1000)
    );
    assert_eq!(config.delivery.retry.initial, Duration::from_secs(5));
    assert_eq!(read("endpoint: h:1\ntimeout: 0s").unwrap().timeout, None);
}

#[test]
fn all_keys_of_the_collector_are_taken() {
    let config = read(
        "endpoint: https://h:4317\ncompression: zstd\nkeepalive: {time: 20s, timeout: 5s, permit_without_stream: true}\n\
         read_buffer_size: 1\nwrite_buffer_size: 524288\nwait_for_ready: true\nheaders: {a: b}\nbalancer_name: pick_first\n\
         authority: x\nuser_agent: y\nauth: {authenticator: bearertokenauth}\nmiddlewares: []\ntimeout: 10s\n\
         tls: {ca_file: /ca, cert_file: /c, key_file: /k, server_name_override: n, min_version: '1.3', reload_interval: 1h}\n\
         sending_queue: {storage: file_storage/q, queue_size: 5}\nretry_on_failure: {max_elapsed_time: 0s}\n",
    )
    .unwrap();
    assert_eq!((config.timeout, config.delivery.queue.capacity), (Some(Duration::from_secs(10)), 5));
    assert_eq!(config.client.authenticator.unwrap().to_string(), "bearertokenauth");
}

#[test]
fn everything_that_is_wrong_is_said_at_once_with_its_place() {
    let error =
        read("compression: lz4\ntimeout: -1s\nsending_queue: {queue_size: 0}\nretry_on_failure: {multiplier: -1}\n")
            .unwrap_err();
    for part in [
        "requires a non-empty \"endpoint\"",
        "test.yaml:1:1: compression: ",
        "'timeout' must be non-negative",
        "sending_queue::queue_size: ",
        "retry_on_failure::multiplier: ",
    ] {
        assert!(error.contains(part), "{part} is not in {error}");
    }
    assert!(read("endpoint: h:1\nendpiont: x").unwrap_err().contains("did you mean \"endpoint\"?"));
}

/// The specification's table of codes, and how `RetryInfo` changes it.
#[test]
fn codes_mean_what_the_specification_says() {
    for code in 1..=16 {
        for delay in [None, Some(Duration::from_secs(7))] {
            let details = delay.map(|delay| Status::new(Code::Unavailable, "").retry_after(delay).to_protobuf());
            let status = GrpcStatus { details, ..GrpcStatus::new(code, "words") };
            let attempt = refused(&status);
            let retryable = matches!(code, 1 | 4 | 10 | 11 | 14 | 15) || (code == 8 && delay.is_some());
            match attempt {
                Attempt::Failed { why, pause, of_identity } => {
                    assert!(retryable && why.ends_with("desc = words") && !of_identity, "{code}: {why}");
                    assert_eq!(pause, delay);
                }
                Attempt::Rejected { reason, why } => {
                    assert!(!retryable && reason.starts_with("rejected_") && why.contains("words"), "{code}");
                }
                other => unreachable!("{code}: {other:?}"),
            }
        }
    }
    // Not for want of anything, but for length.
    for message in [
        "grpc: received message larger than max (5000000 vs. 4194304)",
        "SERVER: Received message larger than max (5000000 vs. 4194304)",
        "gRPC message exceeds maximum size 4194304: 5000000",
    ] {
        assert!(matches!(refused(&GrpcStatus::new(8, message)), Attempt::TooLarge { .. }), "{message}");
    }
    // What is asked for beyond all reason is not believed.
    let details = Status::new(Code::Unavailable, "").retry_after(Duration::from_secs(86_400)).to_protobuf();
    let status = GrpcStatus { details: Some(details), ..GrpcStatus::new(14, "") };
    assert!(
        matches!(refused(&status), Attempt::Failed { pause: Some(pause), .. } if pause == Duration::from_secs(600))
    );
}

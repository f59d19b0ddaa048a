//! Retries, fall-back, and receivers that misbehave. Each rule has a run of its own.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use super::{QUICK, Receiver, Script, Seen, V2, now_ms, take};
use crate::support::http::Reply;
use crate::support::oxidot::{Oxidot, job, scrape_and_write};
use crate::support::page::Target;
use crate::support::{free_port, wait_until};

/// The names of the tests here that stand for a rule.
pub(super) const NAMES: &[&str] = &[
    "backoff_exponential_backoff_on_retries",
    "backoff_backoff_required",
    "backoff_backoff_max_delay",
    "backoff_backoff_with_jitter",
    "batching_concurrent_requests",
    "edge_cases_empty_scrape",
    "edge_cases_zero_timestamp",
    "edge_cases_future_timestamp",
    "error_handling_handle_connection_refused",
    "error_handling_handle_timeout",
    "error_handling_handle_partial_write",
    "error_handling_handle_malformed_response",
    "error_handling_sender_continues_after_errors",
    "error_handling_handle_invalid_status_code",
    "error_handling_handle_empty_response",
    "error_handling_handle_large_error_response",
    "error_handling_network_errors",
    "error_handling_dns_resolution_failure",
    "error_handling_invalid_url_scheme",
    "fallback_fallback_on_415_unsupported_media_type",
    "fallback_retry_with_different_version",
    "fallback_fallback_header_changes",
    "fallback_accept_success_after_fallback",
    "fallback_persistent_fallback_choice",
    "fallback_no_fallback_on2xx",
    "response_ignore_response_body_on_success",
    "response_process_written_count_headers",
    "response_handle_partial_write_response",
    "response_handle_missing_written_headers",
    "response_log_error_messages_verbatim",
    "response_handle_large_error_body",
    "response_handle_204_no_content",
    "response_handle_200_ok",
    "retry_no_retry_on_400",
    "retry_no_retry_on_401",
    "retry_no_retry_on_404",
    "retry_may_retry_on_429",
    "retry_retry_on_500",
    "retry_retry_on_503",
    "retry_retry_on_502",
    "retry_retry_on_504",
    "retry_no_retry_on_413",
];

/// A service that scrapes one metric and writes it in version 2.0.
struct Scene {
    oxidot: Oxidot,
    receiver: Receiver,
    _target: Target,
}

impl Scene {
    fn start(script: Script) -> Self {
        Self::start_with(script, QUICK, |_| "test_metric 42\n".to_owned())
    }

    fn start_with(script: Script, exporter: &str, page: fn(u64) -> String) -> Self {
        let receiver = Receiver::start(script);
        let target = Target::start(page);
        let oxidot = service(&target, &receiver.url(), exporter);
        Self { oxidot, receiver, _target: target }
    }

    /// Waits until what was scraped has arrived in `count` requests that were answered well.
    fn wait_for_success(&self, count: usize) {
        wait_until(&format!("{count} deliveries"), || {
            self.oxidot.own("otelcol_exporter_prometheusremotewrite_sent_batches", &[]) >= count as f64
        });
    }
}

fn service(target: &Target, url: &str, exporter: &str) -> Oxidot {
    let exporter = format!("protobuf_message: {V2}, {exporter}");
    Oxidot::start(&scrape_and_write(&job("test", &target.address(), "300ms"), url, &exporter))
}

fn answer(status: u16, text: &str) -> Reply {
    Reply::status(status, text)
}

/// Fails always.
fn unavailable(_: usize, _: &Seen) -> Reply {
    answer(503, "Service unavailable")
}

/// Waits between the attempts for the first request, with its number of attempts.
fn waits(seen: &[Arc<Seen>]) -> Vec<Duration> {
    let Some(first) = seen.first().map(|seen| &seen.request.body) else { return Vec::new() };
    let of_one: Vec<_> = seen.iter().filter(|seen| seen.request.body == *first).collect();
    of_one.windows(2).map(|pair| pair[1].at - pair[0].at).collect()
}

/// With no chance in it, each wait is longer than the one before, up to the limit.
#[test]
fn backoff_exponential_backoff_on_retries() {
    let keys = "batch_send_deadline: 20ms, retry_on_failure: {initial_interval: 100ms, multiplier: 2, randomization_factor: 0, max_interval: 10s}";
    let scene = Scene::start_with(unavailable, keys, |_| "test_metric 42\n".to_owned());
    wait_until("five attempts", || waits(&scene.receiver.seen()).len() >= 4);
    let waits = waits(&scene.receiver.seen());
    for (number, wait) in waits.iter().enumerate() {
        // The waits of the sender and the machine's; only the lower bound is sure.
        assert!(*wait >= Duration::from_millis(100) * 2u32.pow(number as u32), "{waits:?}");
    }
    let attempts: Vec<_> = scene
        .receiver
        .seen()
        .iter()
        .take(5)
        .map(|seen| seen.request.header("retry-attempt").map(str::to_owned))
        .collect();
    assert_eq!(attempts[..3], [None, Some("1".to_owned()), Some("2".to_owned())]);
}

#[test]
fn backoff_backoff_required() {
    let scene = Scene::start(unavailable);
    wait_until("retries", || waits(&scene.receiver.seen()).len() >= 4);
    assert!(waits(&scene.receiver.seen()).iter().all(|wait| *wait >= Duration::from_millis(1)));
}

/// The own counters say how long waits are at most, whatever the machine does.
#[test]
fn backoff_backoff_max_delay() {
    let keys =
        "batch_send_deadline: 20ms, retry_on_failure: {initial_interval: 1ms, multiplier: 10, max_interval: 50ms}";
    let mut scene = Scene::start_with(|_, _| answer(502, "Bad gateway"), keys, |_| "test_metric 42\n".to_owned());
    scene.oxidot.wait_for_logs("Will retry the request after interval", 8);
    let lines = scene.oxidot.log();
    for line in lines.lines().filter(|line| line.contains("Will retry the request")) {
        let wait = line.split("interval_ms").nth(1).expect("a wait").trim_start_matches(['=', '"', ':', ' ']);
        let wait: u64 = wait.chars().take_while(char::is_ascii_digit).collect::<String>().parse().expect("a number");
        assert!(wait <= 50, "{line}");
    }
}

#[test]
fn backoff_backoff_with_jitter() {
    let keys =
        "batch_send_deadline: 20ms, retry_on_failure: {initial_interval: 200ms, multiplier: 1, max_interval: 200ms}";
    let mut scene = Scene::start_with(unavailable, keys, |_| "test_metric 42\n".to_owned());
    scene.oxidot.wait_for_logs("Will retry the request after interval", 6);
    let lines = scene.oxidot.log();
    let waits: BTreeSet<&str> = lines.lines().filter_map(|line| line.split("interval_ms").nth(1)).collect();
    assert!(waits.len() > 1, "{waits:?}");
}

/// Several shards send at once; a receiver that does not answer the first sees the others all the same.
#[test]
fn batching_concurrent_requests() {
    let keys = "batch_send_deadline: 20ms, remote_write_queue: {min_shards: 4, max_shards: 4}";
    let script: Script = |number, seen| if number == 0 { Reply::Hang } else { take(number, seen) };
    let scene = Scene::start_with(script, keys, |_| (0..50).map(|n| format!("metric_{n} 1\n")).collect());
    scene.receiver.wait_for(4);
    scene.wait_for_success(2);
}

#[test]
fn edge_cases_empty_scrape() {
    let scene = Scene::start_with(take, QUICK, |_| "# No metrics\n".to_owned());
    scene.wait_for_success(1);
    let seen = scene.receiver.seen();
    assert!(
        seen[0]
            .message
            .series
            .iter()
            .any(|series| series.label("__name__") == Some("up") && series.samples[0].value == 1.0)
    );
}

#[test]
fn edge_cases_zero_timestamp() {
    let scene = Scene::start_with(take, QUICK, |_| "test_metric 42 0\n".to_owned());
    scene.wait_for_success(1);
    let all = scene.receiver.seen();
    let mut found = all
        .iter()
        .flat_map(|seen| &seen.message.series)
        .filter(|series| series.label("__name__") == Some("test_metric"));
    assert!(found.all(|series| series.samples[0].time >= 0));
}

#[test]
fn edge_cases_future_timestamp() {
    let scene = Scene::start_with(take, QUICK, |_| format!("test_metric 42 {}\n", now_ms() + 60_000));
    scene.wait_for_success(1);
    let all = scene.receiver.seen();
    let found =
        all.iter().flat_map(|seen| &seen.message.series).find(|series| series.label("__name__") == Some("test_metric"));
    assert!(found.expect("it is sent").samples[0].time > now_ms());
}

/// Whatever the first answers are, what was scraped first arrives in the end.
fn recovers(script: Script) {
    let scene = Scene::start(script);
    scene.wait_for_success(1);
    let seen = scene.receiver.seen();
    let first = &seen[0].request.body;
    assert!(seen.iter().filter(|seen| seen.request.body == *first).count() > 1, "the first request came again");
    assert_eq!(scene.oxidot.own("otelcol_exporter_send_failed_metric_points", &[]), 0.0);
}

#[test]
fn error_handling_handle_connection_refused() {
    let port = free_port();
    let target = Target::start(|_| "test_metric 42\n".to_owned());
    let mut oxidot = service(&target, &format!("http://127.0.0.1:{port}/api/v1/write"), QUICK);
    oxidot.wait_for_logs("Will retry the request after interval", 3);
    assert_eq!(oxidot.own("otelcol_exporter_send_failed_metric_points", &[]), 0.0);
    assert!(oxidot.end().success() || oxidot.log().contains("shutdown"));
}

#[test]
fn error_handling_network_errors() {
    // Listens and never accepts beyond its backlog; nothing is ever answered.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = Target::start(|_| "test_metric 42\n".to_owned());
    let url = format!("http://127.0.0.1:{}/api/v1/write", listener.local_addr().unwrap().port());
    let mut oxidot = service(&target, &url, &format!("timeout: 200ms, {QUICK}"));
    oxidot.wait_for_logs("Will retry the request after interval", 2);
    assert_eq!(oxidot.own("otelcol_exporter_send_failed_metric_points", &[]), 0.0);
}

#[test]
fn error_handling_dns_resolution_failure() {
    let target = Target::start(|_| "test_metric 42\n".to_owned());
    let mut oxidot = service(&target, "http://no-such-host.invalid/api/v1/write", QUICK);
    let line = oxidot.wait_for_log("Will retry the request after interval");
    assert!(line.contains("no-such-host.invalid"), "{line}");
}

#[test]
fn error_handling_invalid_url_scheme() {
    let output = crate::support::oxidot::command(&[
        "validate",
        "--config",
        &format!(
            "yaml:{}",
            scrape_and_write("", "ftp://127.0.0.1/write", &format!("protobuf_message: {V2}"))
                .replace('\n', ", ")
                .trim_end_matches(", ")
        ),
    ])
    .output()
    .unwrap();
    assert!(!output.status.success());
}

#[test]
fn error_handling_handle_timeout() {
    let keys = format!("timeout: 300ms, {QUICK}");
    let script: Script = |number, seen| if number == 0 { Reply::Hang } else { take(number, seen) };
    let scene = Scene::start_with(script, &keys, |_| "test_metric 42\n".to_owned());
    scene.wait_for_success(1);
    assert_eq!(scene.oxidot.own("otelcol_exporter_send_failed_metric_points", &[]), 0.0);
}

#[test]
fn error_handling_handle_partial_write() {
    recovers(|number, seen| if number == 0 { Reply::Close } else { take(number, seen) });
}

#[test]
fn error_handling_handle_malformed_response() {
    recovers(|number, seen| match number {
        0 => Reply::Answer { status: 200, headers: vec![("Content-Length", "many".to_owned())], body: b"x".to_vec() },
        _ => take(number, seen),
    });
}

#[test]
fn error_handling_sender_continues_after_errors() {
    recovers(|number, seen| if number < 3 { answer(500, "error") } else { take(number, seen) });
}

#[test]
fn error_handling_handle_invalid_status_code() {
    let script: Script = |number, seen| {
        if number == 0 {
            answer(299, "odd")
        } else if number == 1 {
            answer(799, "odder")
        } else {
            take(number, seen)
        }
    };
    let scene = Scene::start(script);
    scene.receiver.wait_for(4);
    scene.wait_for_success(1);
}

#[test]
fn error_handling_handle_empty_response() {
    recovers(|number, seen| if number == 0 { answer(500, "") } else { take(number, seen) });
}

#[test]
fn error_handling_handle_large_error_response() {
    recovers(|number, seen| if number == 0 { answer(500, &"large ".repeat(200_000)) } else { take(number, seen) });
}

fn knows_only_version_1(number: usize, seen: &Seen) -> Reply {
    if seen.version().starts_with('2') {
        answer(415, "RW 2.0 not supported, please use RW 1.0")
    } else {
        take(number, seen)
    }
}

/// Versions of requests that came, to a receiver that does not know the second one.
fn versions_after_fallback() -> (Scene, Vec<String>) {
    let scene = Scene::start(knows_only_version_1);
    scene.wait_for_success(3);
    let versions = scene.receiver.seen().iter().map(|seen| seen.version().to_owned()).collect();
    (scene, versions)
}

#[test]
fn fallback_fallback_on_415_unsupported_media_type() {
    let (scene, versions) = versions_after_fallback();
    assert_eq!(versions[..2], ["2.0.0", "0.1.0"]);
    let seen = scene.receiver.seen();
    let names = |at: usize| -> Vec<_> { seen[at].message.series.iter().map(|series| series.labels.clone()).collect() };
    assert_eq!(names(0), names(1), "the same series come in the other version");
}

#[test]
fn fallback_retry_with_different_version() {
    let (scene, versions) = versions_after_fallback();
    assert_eq!(versions.iter().filter(|version| *version == "2.0.0").count(), 1);
    assert_eq!(scene.oxidot.own("otelcol_exporter_prometheusremotewrite_fallbacks", &[]), 1.0);
}

#[test]
fn fallback_fallback_header_changes() {
    let (scene, _) = versions_after_fallback();
    let seen = scene.receiver.seen();
    let kinds: Vec<_> =
        seen.iter().take(2).map(|seen| seen.request.header("content-type").unwrap_or_default()).collect();
    assert_eq!(kinds, ["application/x-protobuf;proto=io.prometheus.write.v2.Request", "application/x-protobuf"]);
}

#[test]
fn fallback_accept_success_after_fallback() {
    let (scene, _) = versions_after_fallback();
    assert_eq!(scene.oxidot.own("otelcol_exporter_send_failed_metric_points", &[]), 0.0);
}

#[test]
fn fallback_persistent_fallback_choice() {
    let (_scene, versions) = versions_after_fallback();
    assert!(versions.len() >= 4 && versions[1..].iter().all(|version| version == "0.1.0"), "{versions:?}");
}

#[test]
fn fallback_no_fallback_on2xx() {
    // Less than was sent, but version 2.0 for sure.
    let script: Script = |_, _| Reply::Answer {
        status: 204,
        headers: vec![("X-Prometheus-Remote-Write-Samples-Written", "1".to_owned())],
        body: Vec::new(),
    };
    let scene = Scene::start(script);
    scene.wait_for_success(3);
    assert!(scene.receiver.seen().iter().all(|seen| seen.version() == "2.0.0"));
}

#[test]
fn response_ignore_response_body_on_success() {
    let script: Script = |number, seen| match take(number, seen) {
        Reply::Answer { headers, .. } => {
            Reply::Answer { status: 200, headers, body: b"error: failed, retry please".to_vec() }
        }
        other => other,
    };
    let scene = Scene::start(script);
    scene.wait_for_success(3);
    assert_eq!(scene.oxidot.own("otelcol_exporter_prometheusremotewrite_retries", &[]), 0.0);
}

#[test]
fn response_process_written_count_headers() {
    let script: Script = |_, _| Reply::Answer {
        status: 204,
        headers: vec![("X-Prometheus-Remote-Write-Samples-Written", "2".to_owned())],
        body: Vec::new(),
    };
    let mut scene = Scene::start(script);
    scene.oxidot.wait_for_log("The store has accepted a request and says that it has not written all of it.");
    assert!(scene.oxidot.own("otelcol_exporter_dropped_metric_points", &["reason=\"not_written\""]) > 0.0);
}

#[test]
fn response_handle_partial_write_response() {
    let script: Script = |_, _| Reply::Answer {
        status: 400,
        headers: vec![("X-Prometheus-Remote-Write-Samples-Written", "2".to_owned())],
        body: b"out of order sample".to_vec(),
    };
    let scene = Scene::start(script);
    wait_until("rejections", || {
        scene.oxidot.own("otelcol_exporter_dropped_metric_points", &["reason=\"rejected_400\""]) > 0.0
    });
    assert!(scene.oxidot.own("otelcol_exporter_prometheusremotewrite_written_samples", &[]) >= 2.0);
    sent_once(&scene);
}

#[test]
fn response_handle_missing_written_headers() {
    let scene = Scene::start(|_, _| answer(400, "Bad request"));
    wait_until("rejections", || scene.oxidot.own("otelcol_exporter_send_failed_metric_points", &[]) >= 12.0);
    assert_eq!(scene.oxidot.own("otelcol_exporter_prometheusremotewrite_written_samples", &[]), 0.0);
}

#[test]
fn response_log_error_messages_verbatim() {
    let mut scene = Scene::start(|_, _| answer(400, "Err-42: something <odd> & \"quoted\" 100%"));
    let line = scene.oxidot.wait_for_log("Err-42");
    assert!(line.replace("\\\"", "\"").contains("Err-42: something <odd> & \"quoted\" 100%"), "{line}");
}

#[test]
fn response_handle_large_error_body() {
    let mut scene = Scene::start(|_, _| answer(400, &"x".repeat(1 << 20)));
    scene.receiver.wait_for(3);
    let line = scene.oxidot.wait_for_log("xxxx");
    assert!(line.len() < 4096, "{}", line.len());
}

#[test]
fn response_handle_204_no_content() {
    let scene = Scene::start(take);
    scene.wait_for_success(2);
    assert_eq!(scene.oxidot.own("otelcol_exporter_prometheusremotewrite_retries", &[]), 0.0);
}

#[test]
fn response_handle_200_ok() {
    let script: Script = |number, seen| match take(number, seen) {
        Reply::Answer { headers, body, .. } => Reply::Answer { status: 200, headers, body },
        other => other,
    };
    let scene = Scene::start(script);
    scene.wait_for_success(2);
    assert_eq!(scene.oxidot.own("otelcol_exporter_prometheusremotewrite_retries", &[]), 0.0);
}

/// No body came twice, and none is marked as a repetition.
fn sent_once(scene: &Scene) {
    let seen = scene.receiver.wait_for(3);
    let bodies: BTreeSet<_> = seen.iter().map(|seen| &seen.request.body).collect();
    assert_eq!(bodies.len(), seen.len());
    assert!(seen.iter().all(|seen| seen.request.header("retry-attempt").is_none()));
}

#[test]
fn retry_no_retry_on_400() {
    sent_once(&Scene::start(|_, _| answer(400, "Bad request")));
}

#[test]
fn retry_no_retry_on_401() {
    sent_once(&Scene::start(|_, _| answer(401, "Unauthorized")));
}

#[test]
fn retry_no_retry_on_404() {
    sent_once(&Scene::start(|_, _| answer(404, "Not found")));
}

/// What is too large is not sent again as it is, only in smaller parts.
#[test]
fn retry_no_retry_on_413() {
    sent_once(&Scene::start(|_, _| answer(413, "Payload too large")));
}

#[test]
fn retry_may_retry_on_429() {
    recovers(|number, seen| match number {
        0 => Reply::Answer {
            status: 429,
            headers: vec![("Retry-After", "1".to_owned())],
            body: b"Too many requests".to_vec(),
        },
        _ => take(number, seen),
    });
}

#[test]
fn retry_retry_on_500() {
    recovers(|number, seen| if number == 0 { answer(500, "Internal server error") } else { take(number, seen) });
}

#[test]
fn retry_retry_on_502() {
    recovers(|number, seen| if number == 0 { answer(502, "Bad gateway") } else { take(number, seen) });
}

#[test]
fn retry_retry_on_503() {
    recovers(|number, seen| if number == 0 { answer(503, "Service unavailable") } else { take(number, seen) });
}

#[test]
fn retry_retry_on_504() {
    recovers(|number, seen| if number == 0 { answer(504, "Gateway timeout") } else { take(number, seen) });
}

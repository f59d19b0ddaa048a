//! Servers that fail: what can be delivered arrives, when the server says, and what cannot is counted.

use std::time::{Duration, SystemTime};

use otlp::response::PartialSuccess;
use pipeline::component::Signal;

use super::{Sink, answer, names, ok, pass_on, post, spans};
use crate::support::http::Reply;
use crate::support::oxidot::Oxidot;
use crate::support::{free_port, wait_until};

/// Quick retries, so that seconds stand for minutes.
const QUICK: &str = "compression: none, retry_on_failure: {initial_interval: 50ms, max_interval: 200ms}";

fn service(sink: &Sink, keys: &str) -> (Oxidot, u16) {
    let port = free_port();
    let oxidot = Oxidot::start(&pass_on(
        &format!("{{http: {{endpoint: \"127.0.0.1:{port}\"}}}}"),
        "otlphttp",
        &format!("{{endpoint: \"{}\", {keys}}}", sink.url()),
    ));
    (oxidot, port)
}

fn of_spans(oxidot: &Oxidot, what: &str) -> f64 {
    oxidot.own(&format!("otelcol_exporter_{what}_spans"), &[])
}

#[test]
fn a_server_that_asks_for_a_pause_gets_it() {
    let date = || httpdate_in(3);
    let sink = Sink::start(move |n| match n {
        0 => answer(503, &[("Retry-After", "2")], b""),
        1 => answer(429, &[("Retry-After", &date())], b""),
        2 => Reply::Close,
        3 => answer(502, &[], b""),
        4 => answer(504, &[], b"no upstream"),
        _ => ok(),
    });
    let (oxidot, port) = service(&sink, QUICK);
    post(port, Signal::Traces, &spans(&["a", "b"]));
    let gaps = sink.wait_for(6, |got| {
        assert!(got.iter().all(|got| names(&got.request.body) == ["a", "b"]));
        let at: Vec<_> = got.iter().map(|got| got.at).collect();
        at.windows(2).map(|pair| pair[1] - pair[0]).collect::<Vec<_>>()
    });
    // Dates have no fractions of a second.
    assert!(gaps[0] >= Duration::from_secs(2) && gaps[1] >= Duration::from_millis(1900), "{gaps:?}");
    wait_until("the delivery to be counted", || of_spans(&oxidot, "sent") == 2.0);
    // After a connection that was kept is closed without a word, the client may try at once by itself.
    assert!(oxidot.own("otelcol_exporter_retries", &["data_type=\"traces\""]) >= 4.0);
    assert_eq!((of_spans(&oxidot, "send_failed"), of_spans(&oxidot, "dropped")), (0.0, 0.0));
}

/// The time so many seconds from now, as HTTP writes it.
fn httpdate_in(seconds: u64) -> String {
    let output = std::process::Command::new("date")
        .args(["-u", "-d", &format!("@{}", unix_seconds() + seconds), "+%a, %d %b %Y %H:%M:%S GMT"])
        .env("LC_ALL", "C")
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}

#[test]
fn what_is_rejected_is_counted_and_holds_nothing_up() {
    let partial = PartialSuccess { rejected: 1, message: "one is too old".to_owned() };
    let sink = Sink::start(move |n| match n {
        0 => answer(400, &[("Content-Type", "application/json")], br#"{"code":3,"message":"no such attribute"}"#),
        1 => answer(200, &[("Content-Type", "application/x-protobuf")], &partial.to_protobuf()),
        _ => ok(),
    });
    let (mut oxidot, port) = service(&sink, &format!("{QUICK}, sending_queue: {{num_consumers: 1}}"));
    post(port, Signal::Traces, &spans(&["a", "b"]));
    oxidot.wait_for_log("Message=no such attribute");
    post(port, Signal::Traces, &spans(&["c", "d", "e"]));
    oxidot.wait_for_log("one is too old");
    post(port, Signal::Traces, &spans(&["f"]));
    wait_until("the last delivery", || of_spans(&oxidot, "sent") == 3.0);
    assert_eq!(of_spans(&oxidot, "send_failed"), 3.0);
    let dropped = |reason: &str| oxidot.own("otelcol_exporter_dropped_spans", &[&format!("reason=\"{reason}\"")]);
    assert_eq!((dropped("rejected_400"), dropped("rejected_partially")), (2.0, 1.0));
    assert_eq!(sink.names(), ["a", "b", "c", "d", "e", "f"], "nothing is sent twice");
    assert_eq!(oxidot.own("otelcol_receiver_accepted_spans", &[]), 6.0);
}

#[test]
fn an_outage_costs_nothing_and_order_is_kept() {
    let sink = Sink::start(|_| answer(503, &[], b""));
    let port = sink.port();
    let (mut oxidot, enters) = service(&sink, QUICK);
    let metric = |n: usize| {
        let json = format!(
            r#"{{"resourceMetrics":[{{"scopeMetrics":[{{"metrics":[{{"name":"n","gauge":{{"dataPoints":[{{"timeUnixNano":"{n}","asInt":"{n}"}}]}}}}]}}]}}]}}"#
        );
        otlp::json::to_protobuf(Signal::Metrics, json.as_bytes()).unwrap()
    };
    for n in 1..=10 {
        post(enters, Signal::Metrics, &metric(n));
    }
    sink.wait_for(3, |_| ());
    // Nobody listens any more, and then somebody does.
    drop(sink);
    for n in 11..=30 {
        post(enters, Signal::Metrics, &metric(n));
    }
    oxidot.wait_for_log("connection refused");
    let sink = Sink::start_on(port, |_| ok());
    wait_until("all points", || oxidot.own("otelcol_exporter_sent_metric_points", &[]) == 30.0);
    let value = |body: &[u8]| {
        let text = otlp::json::from_protobuf(Signal::Metrics, body).unwrap();
        text.split("\"asInt\":\"").nth(1).unwrap().split('"').next().unwrap().parse::<usize>().unwrap()
    };
    let got: Vec<usize> = sink.wait_for(30, |got| got.iter().map(|got| value(&got.request.body)).collect());
    let expected: Vec<usize> = (1..=30).collect();
    assert_eq!(got, expected, "points of one resource arrive in order although ten requests may be under way");
    assert_eq!(oxidot.end().code(), Some(0));
}

#[test]
fn at_the_end_what_waits_is_delivered() {
    let sink = Sink::start(|n| if n < 3 { answer(503, &[("Retry-After", "1")], b"") } else { ok() });
    let (mut oxidot, port) = service(&sink, &format!("{QUICK}, sending_queue: {{num_consumers: 1}}"));
    for name in ["a", "b", "c", "d"] {
        post(port, Signal::Traces, &spans(&[name]));
    }
    sink.wait_for(1, |_| ());
    assert_eq!(oxidot.end().code(), Some(0));
    assert_eq!(sink.names(), ["a", "a", "a", "a", "b", "c", "d"]);
}

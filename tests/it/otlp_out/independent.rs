//! Independent servers, made of grpcio and the messages of opentelemetry-proto, read what leaves.

use std::path::{Path, PathBuf};
use std::process::Command;

use pipeline::component::Signal;
use serde_json::Value as Json;

use super::{SIGNALS, pass_on, post, rich, spans};
use crate::support::oxidot::Oxidot;
use crate::support::process::Program;
use crate::support::python::{opentelemetry, require_python};
use crate::support::{free_port, wait_for, wait_until};

struct Receiver {
    program: Program,
    grpc: u16,
    http: u16,
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it").join(name)
}

impl Receiver {
    fn start(python: &Path, replies: &[&str]) -> Self {
        let http = free_port();
        let mut command = Command::new(python);
        command.arg(script("otlp_out/receiver.py")).arg(http.to_string()).args(replies);
        let mut program = Program::start(&mut command);
        let line: Json = serde_json::from_str(&program.wait_for_line("\"port\"")).unwrap();
        Self { grpc: line["port"].as_u64().unwrap().try_into().unwrap(), program, http }
    }

    /// The requests so far.
    fn requests(&self) -> Vec<Json> {
        let lines = self.program.output();
        let requests = lines.lines().filter(|line| line.contains("\"transport\""));
        requests.map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn wait_for(&self, count: usize) -> Vec<Json> {
        wait_for(&format!("{count} requests"), || Some(self.requests()).filter(|requests| requests.len() >= count))
    }
}

/// An Oxidot with this exporter for everything that comes in by HTTP.
fn service(exporter: &str, keys: &str) -> (Oxidot, u16) {
    let port = free_port();
    let receiver =
        format!("{{http: {{endpoint: \"127.0.0.1:{port}\"}}, grpc: {{endpoint: \"127.0.0.1:{}\"}}}}", free_port());
    (Oxidot::start(&pass_on(&receiver, exporter, keys)), port)
}

fn bytes(base64: &Json) -> Vec<u8> {
    let text = base64.as_str().unwrap();
    let mut out = Vec::new();
    let digits: Vec<u32> = text
        .bytes()
        .filter_map(|byte| match byte {
            b'A'..=b'Z' => Some(byte - b'A'),
            b'a'..=b'z' => Some(byte - b'a' + 26),
            b'0'..=b'9' => Some(byte - b'0' + 52),
            b'+' => Some(62),
            b'/' => Some(63),
            _ => None,
        })
        .map(u32::from)
        .collect();
    for four in digits.chunks(4) {
        let word = four.iter().enumerate().fold(0, |word, (at, digit)| word | digit << (18 - 6 * at));
        out.extend_from_slice(&word.to_be_bytes()[1..four.len()]);
    }
    out
}

#[test]
fn everything_is_read_as_it_was_sent() {
    let python = require_python!(opentelemetry());
    let receiver = Receiver::start(&python, &[]);
    let grpc = format!("{{endpoint: \"http://127.0.0.1:{}\", headers: {{x-tenant: a}}}}", receiver.grpc);
    let http = format!("{{endpoint: \"http://127.0.0.1:{}\", headers: {{x-tenant: a}}}}", receiver.http);
    let mut count = 0;
    for (exporter, keys) in [("otlp", grpc), ("otlphttp", http)] {
        let (_oxidot, port) = service(exporter, &keys);
        for signal in SIGNALS {
            let sent = rich(signal);
            post(port, signal, &sent);
            count += 1;
            let requests = receiver.wait_for(count);
            let got = requests.last().unwrap();
            assert_eq!(got["signal"], signal.name());
            let text = |body: &[u8]| otlp::json::from_protobuf(signal, body).unwrap();
            assert_eq!(text(&bytes(&got["raw"])), text(&sent), "{exporter}");
            // As the other library understands it.
            assert_eq!(text(&bytes(&got["again"])), text(&sent), "{exporter}");
            if signal != Signal::Metrics {
                assert_eq!(bytes(&got["raw"]), sent, "{exporter}: byte for byte");
            }
            let tenant = got["metadata"]["x-tenant"].as_str().or(got["metadata"]["X-Tenant"].as_str());
            assert_eq!(tenant, Some("a"), "{}", got["metadata"]);
        }
    }
}

#[test]
fn json_is_read_as_the_specification_spells_it() {
    let python = require_python!(opentelemetry());
    let receiver = Receiver::start(&python, &[]);
    let (_oxidot, port) =
        service("otlphttp", &format!("{{endpoint: \"http://127.0.0.1:{}\", encoding: json}}", receiver.http));
    for (n, signal) in SIGNALS.into_iter().enumerate() {
        let sent = rich(signal);
        post(port, signal, &sent);
        let requests = receiver.wait_for(n + 1);
        let got = requests.last().unwrap();
        let expected: Json = serde_json::from_str(&otlp::json::from_protobuf(signal, &sent).unwrap()).unwrap();
        assert_eq!(got["json"], expected);
    }
}

#[test]
fn the_sdk_s_telemetry_passes_through_to_another_server() {
    let python = require_python!(opentelemetry());
    let receiver = Receiver::start(&python, &[]);
    for (exporter, keys, transport) in [
        ("otlp", format!("{{endpoint: \"127.0.0.1:{}\", tls: {{insecure: true}}}}", receiver.grpc), "grpc"),
        ("otlphttp", format!("{{endpoint: \"http://127.0.0.1:{}\"}}", receiver.http), "http"),
    ] {
        let (oxidot, port) = service(exporter, &keys);
        let service = format!("shop-{transport}");
        let output = Command::new(&python)
            .arg(script("otlp/sdk.py"))
            .args(["http", &format!("http://127.0.0.1:{port}"), &service])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let sent = |signal: Signal| oxidot.own(&format!("otelcol_exporter_sent_{}", signal.items()), &[]);
        wait_until("everything to be delivered", || SIGNALS.map(sent) == [6.0, 2.0, 1.0]);
        let requests = receiver.requests();
        let of = |signal: &str| -> String {
            let found = requests.iter().filter(|got| got["transport"] == transport && got["signal"] == signal);
            found.map(|got| got["text"].to_string()).collect()
        };
        for part in
            ["\"requests\"", "\"latency\"", "\"latency.exponential\"", "\"temperature\"", "startTimeUnixNano", &service]
        {
            assert!(of("metrics").contains(part), "{part} is not in {}", of("metrics"));
        }
        for part in ["\"outer\"", "\"inner\"", "parentSpanId", "\"half\"", "went wrong", &service] {
            assert!(of("traces").contains(part), "{part} is not in {}", of("traces"));
        }
        assert!(of("logs").contains("something happened") && of("logs").contains(&service));
    }
}

#[test]
fn a_grpc_server_s_failures_are_understood() {
    let python = require_python!(opentelemetry());
    let replies = [
        "UNAVAILABLE:2",
        "RESOURCE_EXHAUSTED:1",
        "DEADLINE_EXCEEDED",
        "ok",
        "RESOURCE_EXHAUSTED",
        "INVALID_ARGUMENT",
        "partial",
        "UNIMPLEMENTED",
    ];
    let receiver = Receiver::start(&python, &replies);
    let keys = format!(
        "{{endpoint: \"http://127.0.0.1:{}\", sending_queue: {{num_consumers: 1}}, retry_on_failure: {{initial_interval: 50ms, max_interval: 200ms}}}}",
        receiver.grpc
    );
    let (mut oxidot, port) = service("otlp", &keys);
    for names in [&["a", "b"][..], &["c"], &["d"], &["e", "f"], &["g"], &["h"]] {
        post(port, Signal::Traces, &spans(names));
    }
    let of = |oxidot: &Oxidot, what: &str| oxidot.own(&format!("otelcol_exporter_{what}_spans"), &[]);
    wait_until("the end of all", || of(&oxidot, "sent") + of(&oxidot, "send_failed") == 8.0);
    assert_eq!((of(&oxidot, "sent"), of(&oxidot, "send_failed")), (4.0, 4.0));
    let dropped = |reason: &str| oxidot.own("otelcol_exporter_dropped_spans", &[&format!("reason=\"{reason}\"")]);
    for reason in
        ["rejected_resource_exhausted", "rejected_invalid_argument", "rejected_partially", "rejected_unimplemented"]
    {
        assert_eq!(dropped(reason), 1.0, "{reason}");
    }
    assert_eq!(oxidot.own("otelcol_exporter_retries", &["data_type=\"traces\""]), 3.0);
    oxidot.wait_for_log("come again é");
    oxidot.wait_for_log("one is enough");
    // Every attempt carried the same.
    let requests = receiver.wait_for(9);
    assert!(requests[..4].iter().all(|got| got["raw"] == requests[0]["raw"]));
    assert_eq!(oxidot.end().code(), Some(0));
}

//! The receiver over loopback connections, by both protocols.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod ending;
mod hostile;
mod over_grpc;
mod over_http;

use std::net::SocketAddr;
use std::time::Duration;

use pipeline::channel::{Entry, channel, channel_of};
use pipeline::component::{BuildContext, Program, Receiver as _, ReceiverContext, Shared, Signal};
use pipeline::config::parse;
use pipeline::stop::StopSource;
use pipeline::telemetry::Telemetry;
use pipeline::{AckOutcome, Batch, Gate, Input, Output};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::{FACTORY, OtlpReceiver};

/// A running receiver and what came out of it.
struct Running {
    grpc: Option<SocketAddr>,
    http: Option<SocketAddr>,
    input: Input,
    telemetry: Telemetry,
    stop: StopSource,
    task: JoinHandle<()>,
    /// Kept open as long as the receiver runs.
    _updates: mpsc::Sender<pipeline::config::Node>,
}

/// Both protocols on free ports.
const BOTH: &str = "protocols: {grpc: {endpoint: '127.0.0.1:0'}, http: {endpoint: '127.0.0.1:0'}}";

impl Running {
    async fn start(settings: &str) -> Self {
        let (entry, input) = channel();
        Self::start_with(settings, Output::to(vec![entry]), input).await
    }

    async fn start_with(settings: &str, output: Output, input: Input) -> Self {
        let node = parse(settings, "t.yaml").unwrap();
        (FACTORY.validate)(&node).unwrap();
        let telemetry = Telemetry::default();
        let context = BuildContext {
            id: "otlp".parse().unwrap(),
            program: Program { name: "oxidot", version: "0" },
            telemetry: telemetry.clone(),
            shared: Shared::default(),
            signal: None,
        };
        let mut receiver = OtlpReceiver::build(&node, &context).unwrap();
        let names: Vec<_> = receiver.protocols.iter().map(|protocol| protocol.name).collect();
        let addresses = receiver.bind().await.unwrap();
        let of =
            |name: &str| names.iter().position(|known| *known == name).and_then(|at| addresses.get(at).copied()?);
        let (grpc, http) = (of("grpc"), of("http"));
        let stop = StopSource::default();
        let (updates_sender, updates) = mpsc::channel(1);
        let context = ReceiverContext { output, stop: stop.handle(), updates };
        let task = tokio::spawn(async move { Box::new(receiver).run(context).await.unwrap() });
        Self { grpc, http, input, telemetry, stop, task, _updates: updates_sender }
    }

    async fn stop(self) {
        self.stop.stop(Instant::now() + Duration::from_secs(5));
        self.task.await.unwrap();
    }

    /// Sends one HTTP request on a connection of its own; status, head and body of the answer.
    async fn send(&self, head: &str, body: &[u8]) -> (u16, String, Vec<u8>) {
        let mut connection = TcpStream::connect(self.http.unwrap()).await.unwrap();
        let head = format!("{head}\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
        connection.write_all(head.as_bytes()).await.unwrap();
        // A server that refuses early may close before it has read everything.
        drop(connection.write_all(body).await);
        answer(connection).await
    }

    async fn post(&self, path: &str, content_type: &str, body: &[u8]) -> (u16, String, String) {
        let head = format!("POST {path} HTTP/1.1\r\nContent-Type: {content_type}");
        let (status, head, body) = self.send(&head, body).await;
        (status, head, String::from_utf8_lossy(&body).into_owned())
    }
}

/// Reads an answer to the end of its connection.
async fn answer(mut connection: TcpStream) -> (u16, String, Vec<u8>) {
    let mut answer = Vec::new();
    drop(connection.read_to_end(&mut answer).await);
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
    let body = answer.split_off(end);
    let head = String::from_utf8(answer).unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), head.to_ascii_lowercase(), body)
}

/// A request of each signal with two items, in JSON.
fn json(signal: Signal) -> &'static str {
    match signal {
        Signal::Metrics => {
            r#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"m","gauge":{"dataPoints":[{"asInt":"1"},{"asInt":"2","attributes":[{"key":"a","value":{"stringValue":"b"}}]}]}}]}]}]}"#
        }
        Signal::Traces => r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"a"},{"name":"b"}]}]}]}"#,
        Signal::Logs => r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"x"}},{}]}]}]}"#,
    }
}

/// The same in protobuf.
fn protobuf(signal: Signal) -> Vec<u8> {
    otlp::json::to_protobuf(signal, json(signal).as_bytes()).unwrap()
}

const PATHS: [(Signal, &str); 3] =
    [(Signal::Metrics, "/v1/metrics"), (Signal::Traces, "/v1/traces"), (Signal::Logs, "/v1/logs")];

struct Closed;

impl Gate for Closed {
    fn admit(&self) -> Result<(), &'static str> {
        Err("data refused due to high memory usage")
    }

    fn refused(&self, _items: usize) {}
}

/// A receiver whose pipeline refuses.
async fn refusing() -> Running {
    let (entry, input) = channel();
    let gate: std::sync::Arc<dyn Gate> = std::sync::Arc::new(Closed);
    Running::start_with(BOTH, Output::to(vec![entry.with_gates(vec![gate])]), input).await
}

/// An output with channels for some signals only.
fn output_of(signals: &[Signal], entry: &Entry) -> Output {
    let output = Output::default();
    output.set(signals.iter().map(|signal| (*signal, entry.clone())));
    output
}

#[test]
fn a_protocol_has_to_be_listed() {
    for yaml in ["", "protocols: ", "protocols: {}", "acknowledge: durable"] {
        let error = (FACTORY.validate)(&parse(yaml, "t.yaml").unwrap()).unwrap_err().to_string();
        assert!(error.contains("must specify at least one protocol when using the OTLP receiver"), "{error}");
    }
    for yaml in [
        "protocols: {grpc: }",
        "protocols:\n  http:\n",
        "protocols: {grpc: {keepalive: {server_parameters: {time: 1m}}}}",
    ] {
        (FACTORY.validate)(&parse(yaml, "t.yaml").unwrap()).unwrap_or_else(|errors| panic!("{errors}"));
    }
    let error = (FACTORY.validate)(&parse("protocols: {grpc: {endpiont: x}}", "t.yaml").unwrap()).unwrap_err();
    assert!(error.to_string().contains("endpiont"), "{error}");
}

#[tokio::test]
async fn only_listed_protocols_start() {
    let running = Running::start("protocols: {http: {endpoint: '127.0.0.1:0'}}").await;
    assert!(running.grpc.is_none() && running.http.is_some());
    running.stop().await;
}

#[tokio::test]
async fn unix_sockets_are_served() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("otlp.sock");
    let yaml = format!("protocols: {{http: {{transport: unix, endpoint: '{}'}}}}", path.display());
    let mut running = Running::start(&yaml).await;
    let mut connection = tokio::net::UnixStream::connect(&path).await.unwrap();
    let body = json(Signal::Logs);
    let head = format!(
        "POST /v1/logs HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    connection.write_all(head.as_bytes()).await.unwrap();
    connection.write_all(body.as_bytes()).await.unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\n{}"), "{answer}");
    assert_eq!(running.input.recv_any().await.unwrap().len(), 2);
    running.stop().await;
}

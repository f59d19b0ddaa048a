//! The receiver over a loopback connection.

use std::net::SocketAddr;
use std::time::Duration;

use pipeline::channel::{channel, channel_of};
use pipeline::component::{BuildContext, Program, Receiver as _, ReceiverContext, Shared};
use pipeline::config::parse;
use pipeline::stop::StopSource;
use pipeline::telemetry::Telemetry;
use pipeline::{AckOutcome, Gate, Input, Output};
use prometheus::remote_write::SnappyBlockWriter;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::super::{FACTORY, RemoteWriteReceiver};
use super::floats;

/// A running receiver and what came out of it.
pub(super) struct Running {
    pub(super) address: SocketAddr,
    pub(super) input: Input,
    pub(super) telemetry: Telemetry,
    stop: StopSource,
    task: JoinHandle<()>,
    /// Kept open as long as the receiver runs.
    _updates: mpsc::Sender<pipeline::config::Node>,
}

impl Running {
    pub(super) async fn start(settings: &str) -> Self {
        let (entry, input) = channel();
        Self::start_with(settings, Output::to(vec![entry]), input).await
    }

    async fn start_with(settings: &str, output: Output, input: Input) -> Self {
        let node = parse(&format!("endpoint: 127.0.0.1:0\n{settings}"), "t.yaml").unwrap();
        (FACTORY.validate)(&node).unwrap();
        let telemetry = Telemetry::default();
        let context = BuildContext {
            id: "prometheusremotewrite".parse().unwrap(),
            program: Program { name: "oxidot", version: "0" },
            telemetry: telemetry.clone(),
            shared: Shared::default(),
            signal: None,
        };
        let mut receiver = RemoteWriteReceiver::build(&node, &context).unwrap();
        let address = receiver.bind().await.unwrap().unwrap();
        let stop = StopSource::default();
        let (updates_sender, updates) = mpsc::channel(1);
        let context = ReceiverContext { output, stop: stop.handle(), updates };
        let task = tokio::spawn(async move { Box::new(receiver).run(context).await.unwrap() });
        Self { address, input, telemetry, stop, task, _updates: updates_sender }
    }

    pub(super) async fn stop(self) {
        self.stop.stop(Instant::now() + Duration::from_secs(5));
        self.task.await.unwrap();
    }

    pub(super) fn counted(&self, name: &str) -> f64 {
        self.telemetry.total(name)
    }
}

pub(super) fn snappy(plain: &[u8]) -> Vec<u8> {
    let (mut writer, mut out) = (SnappyBlockWriter::new(), Vec::new());
    writer.put(plain);
    writer.finish(&mut out).unwrap();
    out
}

/// Sends one request on a connection of its own; status, head and body of the answer.
pub(super) async fn send(address: SocketAddr, head: &str, body: &[u8]) -> (u16, String, String) {
    let mut connection = TcpStream::connect(address).await.unwrap();
    let head = format!("{head}\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
    connection.write_all(head.as_bytes()).await.unwrap();
    // A server that refuses early may close before it has read everything.
    drop(connection.write_all(body).await);
    let mut answer = Vec::new();
    drop(connection.read_to_end(&mut answer).await);
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head.to_ascii_lowercase(), body.to_owned())
}

pub(super) const WRITE: &str =
    "POST /api/v1/write HTTP/1.1\r\nContent-Encoding: snappy\r\nContent-Type: application/x-protobuf";

fn good() -> Vec<u8> {
    snappy(&floats(&[(&[("__name__", "up"), ("job", "j")], 1.0, 1), (&[("__name__", "down"), ("job", "j")], 2.0, 1)]))
}

#[tokio::test]
async fn who_sent_a_request_goes_along_with_it() {
    for (with, expected) in [(true, Some("a")), (false, None)] {
        let mut running = Running::start(&format!("include_metadata: {with}")).await;
        let head = format!("{WRITE}\r\nX-Tenant: a");
        assert_eq!(send(running.address, &head, &good()).await.0, 204);
        let batch = running.input.recv().await.unwrap();
        let client = batch.acks.client().unwrap();
        assert!(client.address.is_some_and(|address| address.is_loopback()));
        let tenant = client.metadata("x-tenant").and_then(|values| values.first()).map(|value| &**value);
        assert_eq!(tenant, expected);
        running.stop().await;
    }
}

#[tokio::test]
async fn samples_come_out_and_are_counted() {
    let mut running = Running::start("").await;
    for path in ["/api/v1/write", "/api/v1/push", "/api/v1/write/?tenant=x"] {
        let head = WRITE.replace("/api/v1/write", path);
        assert_eq!(send(running.address, &head, &good()).await.0, 204, "{path}");
        let batch = running.input.recv().await.unwrap();
        assert_eq!((batch.len(), batch.groups().len(), batch.acks.awaited()), (2, 1, false));
    }
    assert_eq!(send(running.address, WRITE, &snappy(b"")).await.0, 204, "an empty request is no mistake");
    let points = |name: &str| format!("otelcol_receiver_{name}_metric_points");
    let labels = [("receiver", "prometheusremotewrite"), ("transport", "http")];
    assert_eq!(running.telemetry.value(&points("accepted"), &labels), Some(6.0));
    assert_eq!(running.telemetry.value(&points("refused"), &labels), Some(0.0));
    assert_eq!(running.telemetry.value(&points("failed"), &labels), Some(0.0));
    let cache = [("receiver", "prometheusremotewrite"), ("cache", "series")];
    assert_eq!(running.telemetry.value("oxidot_receiver_cache_entries", &cache), Some(2.0));
    running.stop().await;
}

/// Beyond the specification, as VictoriaMetrics' programs send it.
#[tokio::test]
async fn bodies_in_zstd_are_taken() {
    let mut running = Running::start("").await;
    let plain = floats(&[(&[("__name__", "up"), ("job", "j")], 1.0, 1)]);
    let head = WRITE.replace("snappy", "zstd");
    let post = async |body: &[u8]| send(running.address, &head, body).await;
    assert_eq!(post(&zstd::bulk::compress(&plain, 3).unwrap()).await.0, 204);
    let (status, _, text) = post(&snappy(&plain)).await;
    assert!(status == 400 && text.contains("invalid zstd data"), "{status} {text}");
    let bomb = zstd::bulk::compress(&vec![0; 65 << 20], 3).unwrap();
    let (status, _, text) = post(&bomb).await;
    assert!(status == 413 && text.contains("exceeds the limit"), "{status} {text}");
    assert_eq!(running.input.recv().await.unwrap().len(), 1);
    // What a vmagent asks before.
    let (status, _, text) = send(running.address, "GET /api/v1/write?get_vm_proto_version=1 HTTP/1.1", b"").await;
    assert_eq!((status, text.as_str()), (200, "1"));
    running.stop().await;
}

#[tokio::test]
async fn what_is_no_remote_write_is_refused_with_a_reason() {
    let running = Running::start("max_request_body_size: 2000").await;
    let v2 = WRITE.to_owned() + ";proto=io.prometheus.write.v2.Request";
    let huge = vec![0u8; 3000];
    // A block that claims 100 MiB, with as many bytes as that takes at least.
    let bomb: Vec<u8> = [0x80, 0x80, 0x80, 0x32].into_iter().chain([0; 100]).collect();
    for (head, body, status, text) in [
        (WRITE.replace("snappy", "gzip"), good(), 415, "unsupported content-encoding \"gzip\""),
        (WRITE.replace("application/x-protobuf", "text/plain"), good(), 415, "unsupported content-type \"text/plain\""),
        (v2.clone(), good(), 415, "body is a remote-write 1.0 request"),
        (v2, snappy(b"not protobuf"), 400, "malformed write request"),
        (WRITE.to_owned() + ";proto=io.prometheus.write.v3.Request", good(), 415, "unsupported content-type"),
        (WRITE.replace("/api/v1/write", "/"), good(), 404, "/api/v1/write or /api/v1/push"),
        (WRITE.replace("POST", "GET"), Vec::new(), 405, "remote write is a POST request"),
        (WRITE.to_owned(), b"not snappy".to_vec(), 400, "snappy"),
        (WRITE.to_owned(), Vec::new(), 400, "it is empty"),
        (WRITE.to_owned(), snappy(b"not protobuf"), 400, "malformed write request"),
        (WRITE.to_owned(), snappy(&[0x22, 0]), 415, "2.0"),
        (WRITE.to_owned(), bomb, 413, "more than the limit"),
        (WRITE.to_owned(), huge, 413, "too large"),
    ] {
        let (got, _, body) = send(running.address, &head, &body).await;
        assert_eq!(got, status, "{head}: {body}");
        assert!(body.contains(text), "{head}: {body}");
    }
    assert_eq!(running.counted("otelcol_receiver_accepted_metric_points"), 0.0);
    let malformed = [("receiver", "prometheusremotewrite"), ("reason", "malformed")];
    assert_eq!(running.telemetry.value("oxidot_receiver_refused_requests", &malformed), Some(7.0));
    running.stop().await;
}

#[tokio::test]
async fn the_good_part_of_a_request_is_taken_and_the_bad_part_named() {
    let mut running = Running::start("").await;
    let body = snappy(&floats(&[
        (&[("__name__", "up")], 1.0, 1),
        (&[("a", "b")], 1.0, 1),
        (&[("__name__", "x"), ("l", "1"), ("l", "1")], 1.0, 1),
    ]));
    let (status, _, text) = send(running.address, WRITE, &body).await;
    assert_eq!(status, 400);
    assert_eq!(text, "invalid labels {a=\"b\"}: label \"__name__\" is missing (2 samples are left out in all)\n");
    assert_eq!(running.input.recv().await.unwrap().len(), 1);
    assert_eq!(running.counted("otelcol_receiver_accepted_metric_points"), 1.0);
    assert_eq!(running.counted("otelcol_receiver_failed_metric_points"), 2.0);
    assert_eq!(running.counted("oxidot_receiver_dropped_items"), 2.0);
    running.stop().await;
}

#[tokio::test]
async fn durable_waits_for_the_fate_of_the_samples() {
    let mut running = Running::start("acknowledge: durable").await;
    let retry = |head: &str| head.contains("retry-after: 5");
    for (outcome, expected) in [
        (AckOutcome::Delivered, 204),
        (AckOutcome::Persisted, 204),
        (AckOutcome::Rejected, 400),
        (AckOutcome::Dropped, 503),
    ] {
        let body = good();
        let answer = tokio::spawn(send_owned(running.address, body));
        let batch = running.input.recv().await.unwrap();
        assert!(batch.acks.awaited() && !answer.is_finished());
        batch.acks.resolve(outcome);
        let (status, head, text) = answer.await.unwrap();
        assert_eq!(status, expected, "{text}");
        assert_eq!(retry(&head), expected == 503, "{head}");
    }
    running.stop().await;
}

async fn send_owned(address: SocketAddr, body: Vec<u8>) -> (u16, String, String) {
    send(address, WRITE, &body).await
}

struct Closed;

impl Gate for Closed {
    fn admit(&self) -> Result<(), &'static str> {
        Err("data refused due to high memory usage")
    }
    fn refused(&self, _points: usize) {}
}

#[tokio::test]
async fn a_sender_is_asked_to_come_again_while_the_pipeline_refuses_or_is_gone() {
    let (entry, input) = channel();
    let output = Output::to(vec![entry.with_gates(vec![std::sync::Arc::new(Closed)])]);
    let running = Running::start_with("", output.clone(), input).await;
    let (status, head, text) = send(running.address, WRITE, &good()).await;
    assert_eq!((status, text.as_str()), (503, "data refused due to high memory usage\n"));
    assert!(head.contains("retry-after: 5"), "{head}");
    let (entry, gone) = channel_of(1);
    drop(gone);
    output.set([(pipeline::component::Signal::Metrics, entry)]);
    let (status, head, text) = send(running.address, WRITE, &good()).await;
    assert_eq!((status, text.as_str()), (503, "the pipeline has stopped\n"));
    assert!(head.contains("retry-after: 5"), "{head}");
    assert_eq!(running.counted("otelcol_receiver_refused_metric_points"), 2.0);
    running.stop().await;
}

#[tokio::test]
async fn stopping_waits_for_requests_until_the_deadline() {
    let mut running = Running::start("acknowledge: durable").await;
    let answer = tokio::spawn(send_owned(running.address, good()));
    let batch = running.input.recv().await.unwrap();
    let address = running.address;
    let stopped = tokio::spawn(running.stop());
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert!(!stopped.is_finished());
    batch.acks.resolve(AckOutcome::Delivered);
    assert_eq!(answer.await.unwrap().0, 204);
    stopped.await.unwrap();
}

#[test]
fn settings_are_checked() {
    let error = |text: &str| (FACTORY.validate)(&parse(text, "t.yaml").unwrap()).unwrap_err().to_string();
    assert_eq!(
        error("acknowledge: later"),
        "t.yaml:1:14: acknowledge: \"later\" is not known: use accepted or durable"
    );
    assert!(error("endpont: x").contains("did you mean \"endpoint\"?"));
    assert!((FACTORY.validate)(&parse("", "t.yaml").unwrap()).is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever is posted, there is an answer, and the receiver goes on.
    #[test]
    fn any_bytes_get_a_status(
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
        compressed in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut running = Running::start("").await;
            let body = if compressed { snappy(&bytes) } else { bytes };
            let (status, _, text) = send(running.address, WRITE, &body).await;
            assert!([204, 400, 413, 415].contains(&status), "{status} {text}");
            while running.input.try_recv().is_some() {}
            assert_eq!(send(running.address, WRITE, &good()).await.0, 204);
            running.stop().await;
        });
    }
}

//! gRPC: calls as clients make them.

use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use http::{HeaderMap, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use otlp::response::{PartialSuccess, Status};

use super::*;

const METRICS: &str = "opentelemetry.proto.collector.metrics.v1.MetricsService";
const TRACES: &str = "opentelemetry.proto.collector.trace.v1.TraceService";
const LOGS: &str = "opentelemetry.proto.collector.logs.v1.LogsService";
pub(super) const SERVICES: [(Signal, &str); 3] =
    [(Signal::Metrics, METRICS), (Signal::Traces, TRACES), (Signal::Logs, LOGS)];

/// What came back from a call: code, text, details, and the message.
pub(super) struct Answer {
    pub(super) code: u32,
    text: String,
    headers: HeaderMap,
    message: Bytes,
}

impl Running {
    pub(super) async fn call(
        &self,
        service: &str,
        method: &str,
        fields: &[(&'static str, &str)],
        body: Bytes,
    ) -> Answer {
        let address = self.grpc.unwrap();
        let stream = TcpStream::connect(address).await.unwrap();
        let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
        let (mut sender, connection) = handshake.await.unwrap();
        let connection = tokio::spawn(connection);
        let mut request = http::Request::post(format!("http://{address}/{service}/{method}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers");
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let response = sender.send_request(request.body(Full::new(body)).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        assert_eq!(parts.status, StatusCode::OK);
        let collected = body.collect().await.unwrap();
        let mut headers = parts.headers;
        headers.extend(collected.trailers().cloned().unwrap_or_default());
        let message = collected.to_bytes();
        drop(sender);
        drop(connection.await.unwrap());
        let field = |name: &str| headers.get(name).map(|value| value.to_str().unwrap().to_owned());
        Answer {
            code: field("grpc-status").unwrap().parse().unwrap(),
            text: field("grpc-message").unwrap_or_default(),
            headers,
            message,
        }
    }
}

fn frame(compressed: u8, message: &[u8]) -> Bytes {
    let mut body = BytesMut::new();
    body.put_u8(compressed);
    body.put_u32(u32::try_from(message.len()).unwrap());
    body.put_slice(message);
    body.freeze()
}

#[tokio::test]
async fn every_signal_is_taken_plain_and_compressed() {
    let mut running = Running::start(BOTH).await;
    for (signal, service) in SERVICES {
        let plain = protobuf(signal);
        let gzip = net::decode::gzip_compress(&plain, 6);
        let zstd = zstd::stream::encode_all(plain.as_slice(), 0).unwrap();
        for (encoding, compressed, body) in [("identity", 0, &plain), ("gzip", 1, &gzip), ("zstd", 1, &zstd)] {
            let answer = running.call(service, "Export", &[("grpc-encoding", encoding)], frame(compressed, body)).await;
            assert_eq!((answer.code, answer.message), (0, frame(0, b"")), "{service}: {}", answer.text);
            let batch = running.input.recv_any().await.unwrap();
            assert_eq!((batch.signal(), batch.len()), (signal, 2));
        }
        let labels = [("receiver", "otlp"), ("transport", "grpc")];
        let name = format!("otelcol_receiver_accepted_{}", signal.items());
        assert_eq!(running.telemetry.value(&name, &labels), Some(6.0));
    }
    running.stop().await;
}

#[tokio::test]
async fn failures_have_the_codes_of_the_collector() {
    let running = Running::start("protocols: {grpc: {endpoint: '127.0.0.1:0', max_recv_msg_size_mib: 1}}").await;
    for (service, method, body, code, text) in [
        ("a.B", "C", frame(0, b""), 12, "unknown service a.B"),
        (
            TRACES,
            "Get",
            frame(0, b""),
            12,
            "unknown method Get for service opentelemetry.proto.collector.trace.v1.TraceService",
        ),
        (TRACES, "Export", frame(0, b"\x0a\x05"), 13, "grpc: error unmarshalling request: unexpected end of data"),
        (METRICS, "Export", frame(0, &[0xff; 3]), 13, "grpc: error unmarshalling request: unexpected end of data"),
        (
            LOGS,
            "Export",
            frame(0, &vec![0; (1 << 20) + 1]),
            8,
            "grpc: received message larger than max (more than 1048576)",
        ),
    ] {
        let answer = running.call(service, method, &[], body).await;
        assert_eq!((answer.code, answer.text.as_str()), (code, text), "{service}");
        assert!(answer.message.is_empty());
    }
    running.stop().await;
}

#[tokio::test]
async fn only_signals_that_a_pipeline_carries_have_a_service() {
    let (entry, input) = channel();
    let running = Running::start_with(BOTH, output_of(&[Signal::Traces], &entry), input).await;
    assert_eq!(running.call(TRACES, "Export", &[], frame(0, b"")).await.code, 0);
    assert_eq!(running.call(LOGS, "Export", &[], frame(0, b"")).await.code, 12);
    running.stop().await;
}

#[tokio::test]
async fn a_pipeline_that_refuses_says_when_to_come_again() {
    let running = refusing().await;
    let answer = running.call(METRICS, "Export", &[], frame(0, &protobuf(Signal::Metrics))).await;
    assert_eq!((answer.code, answer.text.as_str()), (14, "data refused due to high memory usage"));
    let details = answer.headers.get("grpc-status-details-bin").unwrap();
    let details = base64::Engine::decode(&base64::engine::general_purpose::STANDARD_NO_PAD, details).unwrap();
    let status = Status::from_protobuf(&details);
    assert_eq!((status.code, status.retry_delay), (14, Some(Duration::from_secs(5))));
    running.stop().await;
}

#[tokio::test]
async fn points_that_are_left_out_are_counted_in_the_answer() {
    let mut running = Running::start(BOTH).await;
    let json = r#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"m","gauge":{"dataPoints":[{"asInt":1},{}]}}]}]}]}"#;
    let body = otlp::json::to_protobuf(Signal::Metrics, json.as_bytes()).unwrap();
    let answer = running.call(METRICS, "Export", &[], frame(0, &body)).await;
    assert_eq!(answer.code, 0);
    let partial = PartialSuccess::from_protobuf(Signal::Metrics, &answer.message[5..]).unwrap().unwrap();
    assert_eq!(partial.rejected, 1);
    assert_eq!(running.input.recv().await.unwrap().len(), 1);
    running.stop().await;
}

#[tokio::test]
async fn deadlines_of_clients_are_kept() {
    // A channel that is full and that nobody reads.
    let (entry, input) = channel_of(1);
    let running = Running::start_with(BOTH, Output::to(vec![entry]), input).await;
    let body = frame(0, &protobuf(Signal::Metrics));
    assert_eq!(running.call(METRICS, "Export", &[], body.clone()).await.code, 0);
    let answer = running.call(METRICS, "Export", &[("grpc-timeout", "20m")], body).await;
    assert_eq!((answer.code, answer.text.as_str()), (4, "context deadline exceeded"));
    running.stop().await;
}

#[tokio::test]
async fn durable_answers_tell_of_delivery() {
    for (outcome, code) in
        [(AckOutcome::Delivered, 0), (AckOutcome::Persisted, 0), (AckOutcome::Rejected, 13), (AckOutcome::Dropped, 14)]
    {
        let mut running = Running::start(&format!("acknowledge: durable\n{BOTH}")).await;
        let (_, mut taken) = channel();
        std::mem::swap(&mut taken, &mut running.input);
        let settled = async { taken.recv_any().await.unwrap().into_acks().resolve(outcome) };
        let (answer, ()) =
            tokio::join!(running.call(TRACES, "Export", &[], frame(0, &protobuf(Signal::Traces))), settled);
        assert_eq!(answer.code, code, "{outcome:?}: {}", answer.text);
        running.stop().await;
    }
}

#[tokio::test]
async fn who_called_goes_along_with_what_was_sent() {
    let mut running = Running::start("protocols: {grpc: {endpoint: '127.0.0.1:0', include_metadata: true}}").await;
    let body = frame(0, &protobuf(Signal::Traces));
    assert_eq!(running.call(TRACES, "Export", &[("x-tenant", "a"), ("x-tenant", "b")], body).await.code, 0);
    let batch = running.input.recv_any().await.unwrap();
    let client = batch.acks().client().unwrap();
    assert!(client.address.is_some_and(|address| address.is_loopback()));
    assert_eq!(client.metadata("x-tenant").unwrap().join(";"), "a;b");
    running.stop().await;
}

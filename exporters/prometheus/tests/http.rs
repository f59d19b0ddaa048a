//! The exporter over a loopback connection.

use std::net::SocketAddr;

use pipeline::channel::channel;
use pipeline::component::{BuildContext, Exporter as _, ExporterContext, Program, Shared};
use pipeline::config::parse;
use pipeline::model::Source;
use pipeline::stop::Stop;
use pipeline::telemetry::Telemetry;
use pipeline::value::{Point, Value};
use pipeline::{Ack, AckOutcome, Acks, FamilyKind, MetricBatch, Output, PointGroup, SeriesTable};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::super::{FACTORY, PrometheusExporter};
use super::{origin, whole};

/// Head and body of the answer.
async fn get(address: SocketAddr, request: &str) -> (String, Vec<u8>) {
    let mut connection = TcpStream::connect(address).await.unwrap();
    let request = format!("{request}\r\nHost: x\r\nConnection: close\r\n\r\n");
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer).await.unwrap();
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    let body = answer.split_off(end + 4);
    (String::from_utf8(answer).unwrap().to_ascii_lowercase(), body)
}

#[tokio::test]
async fn pages_are_served_until_the_input_closes() {
    let node = parse("endpoint: 127.0.0.1:0\nenable_open_metrics: true\n", "t.yaml").unwrap();
    (FACTORY.validate)(&node).unwrap();
    let telemetry = Telemetry::default();
    let context = BuildContext {
        id: "prometheus/p".parse().unwrap(),
        program: Program { name: "oxidot", version: "0" },
        telemetry: telemetry.clone(),
        shared: Shared::default(),
        signal: None,
    };
    let mut exporter = PrometheusExporter::build(&node, &context).unwrap();
    let address = exporter.bind().await.unwrap().unwrap();
    let (entry, input) = channel();
    let output = Output::to(vec![entry]);
    let running =
        tokio::spawn(async move { Box::new(exporter).run(ExporterContext { input, stop: Stop::never() }).await });

    let table = SeriesTable::intern(vec![whole("m", "", FamilyKind::Gauge, &[])]);
    let point = Point { series: 0, flags: 0, time: 1, start: 0, value: Value::Int(7) };
    let unknown = Point { series: 9, ..point.clone() };
    let group = PointGroup::new(origin(Source::Otlp, &[]), table, vec![point, unknown]);
    let (ack, fate) = Ack::channel();
    output.send(MetricBatch::with_acks(vec![group], Acks::one(ack))).await.unwrap();
    assert_eq!(fate.await.unwrap(), AckOutcome::Delivered);

    let page = b"# HELP m Help of m.\n# TYPE m gauge\nm 7\n";
    let (head, body) = get(address, "GET /metrics HTTP/1.1").await;
    assert!(head.starts_with("http/1.1 200") && head.contains("content-type: text/plain; version=0.0.4"), "{head}");
    assert_eq!(body, page);
    let (head, body) = get(address, "GET /metrics HTTP/1.1\r\nAccept-Encoding: gzip").await;
    assert!(head.contains("content-encoding: gzip"), "{head}");
    let mut plain = Vec::new();
    net::decode::gunzip(&body, &mut plain, 1000).unwrap();
    assert_eq!(plain, page);
    let (head, body) = get(address, "GET /metrics HTTP/1.1\r\nAccept: application/openmetrics-text").await;
    assert!(head.contains("content-type: application/openmetrics-text; version=1.0.0"), "{head}");
    assert!(body.ends_with(b"m 7.0\n# EOF\n"));
    assert!(get(address, "GET / HTTP/1.1").await.0.starts_with("http/1.1 404"));
    assert!(get(address, "POST /metrics HTTP/1.1\r\nContent-Length: 0").await.0.starts_with("http/1.1 405"));
    assert!(get(address, "HEAD /metrics HTTP/1.1").await.1.is_empty());

    let own = [("exporter", "prometheus/p")];
    assert_eq!(telemetry.value("otelcol_exporter_sent_metric_points", &own), Some(1.0));
    assert_eq!(telemetry.value("otelcol_exporter_prometheus_series", &own), Some(1.0));
    let reason = [("exporter", "prometheus/p"), ("reason", "no_such_series")];
    assert_eq!(telemetry.value("otelcol_exporter_dropped_metric_points", &reason), Some(1.0));
    // Whether the port is free again cannot be asked: another test may have taken it. A connection says as much, once it
    // is known to be served: one that nobody has read from ends with a reset as well as with an end.
    let mut kept = TcpStream::connect(address).await.unwrap();
    kept.write_all(b"HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(kept.read_u8().await.unwrap());
    }
    assert!(head.starts_with(b"HTTP/1.1 200"), "{head:?}");
    drop(output);
    running.await.unwrap().unwrap();
    assert_eq!(kept.read(&mut [0]).await.unwrap(), 0);
}

#[test]
fn settings_are_checked() {
    let error = |text: &str| (FACTORY.validate)(&parse(text, "t.yaml").unwrap()).unwrap_err().to_string();
    assert!(error("{}").contains("expecting a non-blank address to run the Prometheus metrics handler"));
    let with = |text: &str| error(&format!("endpoint: localhost:1\n{text}\n"));
    assert_eq!(
        with("translation_strategy: Nonsense"),
        "t.yaml:2:1: translation_strategy: invalid translation_strategy: Nonsense"
    );
    assert!(with("metric_expiration: 0s").contains("must be above zero"));
    assert!(with("const_labels: {a: ''}").contains("const_labels"));
    assert!(with("namspace: x").contains("did you mean \"namespace\"?"));
    let good = "endpoint: x:1\nmetric_expiration: 180m\nadd_metric_suffixes: false\n";
    assert!((FACTORY.validate)(&parse(good, "t.yaml").unwrap()).is_ok());
}

//! What is read of exporters' blocks, whatever their type.
#![expect(clippy::unwrap_used, reason = "tests")]

use super::destination::{Destination, Payload, Signing};
use super::{DoctorOptions, examine};
use crate::service::{Graph, Pipeline, PipelineId, Slot, Vertex};
use pipeline::component::{Build, ComponentError, Factory, Signal, Stability};
use pipeline::config::{ComponentId, parse};

/// An exporter of a type that this program may not have.
const fn exporter(type_name: &'static str) -> Factory {
    Factory {
        type_name,
        aliases: &[],
        summary: "sends",
        signals: &[Signal::Metrics, Signal::Traces, Signal::Logs],
        stability: Stability::Stable,
        live_update: false,
        validate: |_| Ok(()),
        build: Build::Exporter(|_, _| Err(ComponentError::new("is not built"))),
    }
}

/// A graph with this exporter in pipelines of these signals, and the extension that signs.
fn graph(factory: Factory, block: &str, signals: &[Signal]) -> (Graph, ComponentId) {
    let id: ComponentId = factory.type_name.parse().unwrap();
    let signer: ComponentId = "sigv4auth/x".parse().unwrap();
    let mut graph = Graph::default();
    let config = parse(block, "test.yaml").unwrap();
    graph.vertices.insert(Slot::Exporter(id.clone()), Vertex { factory, config });
    let config = parse("region: eu-west-1", "test.yaml").unwrap();
    let factory = extensions::sigv4auth::FACTORY;
    graph.vertices.insert(Slot::Extension(signer), Vertex { factory, config });
    for signal in signals {
        let members = Pipeline { receivers: Vec::new(), processors: Vec::new(), exporters: vec![id.clone()] };
        graph.pipelines.insert(PipelineId { signal: *signal, name: String::new() }, members);
    }
    (graph, id)
}

fn read(factory: Factory, block: &str, signals: &[Signal]) -> Result<Option<Destination>, String> {
    let (graph, id) = graph(factory, block, signals);
    Destination::of(&graph, &id, graph.vertices.get(&Slot::Exporter(id.clone())).unwrap())
}

fn urls(destination: &Destination) -> Vec<(String, Payload)> {
    destination.targets.iter().map(|target| (target.uri.to_string(), target.payload)).collect()
}

#[test]
fn otlp_over_http_has_a_url_for_each_signal_that_a_pipeline_carries() {
    let block = "endpoint: https://monitoring.eu-west-1.amazonaws.com/\ntraces_endpoint: https://xray.eu-west-1.amazonaws.com/v1/traces\ncompression: gzip\nencoding: proto\nsending_queue: {enabled: true}\nauth: {authenticator: sigv4auth/x}\n";
    let destination = read(exporter("otlphttp"), block, &[Signal::Metrics, Signal::Traces]).unwrap().unwrap();
    assert_eq!(
        urls(&destination),
        [
            ("https://monitoring.eu-west-1.amazonaws.com/v1/metrics".to_owned(), Payload::Otlp(Signal::Metrics)),
            ("https://xray.eu-west-1.amazonaws.com/v1/traces".to_owned(), Payload::Otlp(Signal::Traces)),
        ]
    );
    let Signing::Aws { by, settings } = &destination.signing else { panic!("{destination:?}") };
    assert_eq!((by.as_str(), settings.region.as_deref()), ("extension \"sigv4auth/x\"", Some("eu-west-1")));
    assert!(!destination.client.follow_redirects && destination.client.timeout.is_some());
}

#[test]
fn otlp_over_grpc_has_an_address() {
    for (block, url) in [
        ("endpoint: store:4317", "https://store:4317/"),
        ("endpoint: store:4317\ntls: {insecure: true}", "http://store:4317/"),
        ("endpoint: http://store:4317", "http://store:4317/"),
    ] {
        let destination = read(exporter("otlp"), block, &[Signal::Metrics]).unwrap().unwrap();
        assert_eq!(urls(&destination), [(url.to_owned(), Payload::Grpc)]);
        assert_eq!(destination.signing, Signing::None);
    }
}

#[test]
fn exporters_of_any_kind_are_known_by_a_url_and_listeners_by_none() {
    let destination =
        read(exporter("other"), "endpoint: http://h/x?token=y\nown: key", &[Signal::Metrics]).unwrap().unwrap();
    assert_eq!(urls(&destination), [("http://h/x?token=y".to_owned(), Payload::Unknown)]);
    assert_eq!(destination.shown(), "http://h/x");
    for block in ["endpoint: 0.0.0.0:9464", "verbosity: basic", "~"] {
        assert!(read(exporter("other"), block, &[Signal::Metrics]).unwrap().is_none(), "{block}");
    }
    let sigv4 = "endpoint: http://h/\nsigv4: {region: eu-west-1, profile: p}";
    let destination = read(exporter("other"), sigv4, &[Signal::Metrics]).unwrap().unwrap();
    assert!(
        matches!(destination.signing, Signing::Aws { settings, .. } if settings.credentials.profile.as_deref() == Some("p"))
    );
}

#[test]
fn what_cannot_be_read_is_said() {
    let absent = "endpoint: http://h/\nauth: {authenticator: sigv4auth}";
    let error = read(exporter("other"), absent, &[Signal::Metrics]).unwrap_err();
    assert!(error.contains("list it under service::extensions"), "{error}");
    let error = read(exporter("otlphttp"), "endpoint: 'http://a b/'", &[Signal::Logs]).unwrap_err();
    assert!(error.contains("is not a URL"), "{error}");
}

#[tokio::test]
async fn a_connection_is_all_that_is_tried_of_grpc() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let block = format!("endpoint: 127.0.0.1:{port}\ntls: {{insecure: true}}");
    let (graph, _) = graph(exporter("otlp"), &block, &[Signal::Metrics]);
    // A server of HTTP/2 that is spoken to in HTTP/1.1: a preface of its own, and the end.
    let server = tokio::spawn(async move {
        use tokio::io::AsyncWriteExt as _;
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await.unwrap();
    });
    let mut out = Vec::new();
    let well = examine(&graph, DoctorOptions::default(), &mut out).await;
    let text = String::from_utf8(out).unwrap();
    assert!(well && text.contains("what the exporter sends was not tried (gRPC)"), "{text}");
    server.await.unwrap();
    let mut out = Vec::new();
    assert!(!examine(&graph, DoctorOptions::default(), &mut out).await);
    assert!(String::from_utf8(out).unwrap().contains("Nothing listens at port"));
}

/// A server that answers each request with this status, and the heads of what it was asked.
async fn answering(status: &'static str) -> (u16, tokio::task::JoinHandle<Vec<String>>) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let task = tokio::spawn(async move {
        let mut heads = Vec::new();
        for _ in 0..2 {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut bytes = Vec::new();
            while !bytes.ends_with(b"\r\n\r\n") {
                assert_ne!(stream.read_buf(&mut bytes).await.unwrap(), 0);
            }
            heads.push(String::from_utf8(bytes).unwrap());
            let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
        heads
    });
    (port, task)
}

#[tokio::test]
async fn an_empty_export_is_sent_to_each_url_of_otlp() {
    let (port, server) = answering("200 OK").await;
    let block = format!("endpoint: http://127.0.0.1:{port}");
    let (graph, _) = graph(exporter("otlphttp"), &block, &[Signal::Metrics, Signal::Logs]);
    let mut out = Vec::new();
    let well = examine(&graph, DoctorOptions::default(), &mut out).await;
    let text = String::from_utf8(out).unwrap();
    let heads = server.await.unwrap();
    assert!(well, "{text}");
    assert!(text.contains(&format!("http://127.0.0.1:{port}/v1/metrics, http://127.0.0.1:{port}/v1/logs")), "{text}");
    for (head, path) in heads.iter().zip(["/v1/metrics", "/v1/logs"]) {
        assert!(head.starts_with(&format!("POST {path} HTTP/1.1\r\n")), "{head}");
        assert!(head.contains("content-type: application/x-protobuf\r\n"), "{head}");
        assert!(text.contains(&format!("{path}: HTTP 200 OK: the store has taken an empty export")), "{text}");
    }
}

//! Settings, and what the answers of HTTP servers mean.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use net::auth::{AuthError, AuthVerdict, ClientAuth, ProvidedAuth};
use net::client::Compression;
use net::server::{Encodings, Handler, HttpServer, HttpServerSettings, Request, Response};
use otlp::response::{Code, PartialSuccess, Status};
use parking_lot::Mutex;
use pipeline::component::{Program, Shared};
use pipeline::config::{ComponentId, parse};

use super::*;
use crate::sending_queue::{Attempt, Transport};

fn read(yaml: &str) -> Result<Config, String> {
    Config::read(&parse(yaml, "test.yaml").unwrap()).map_err(|errors| errors.to_string())
}

fn urls(yaml: &str) -> Vec<String> {
    let config = read(yaml).unwrap();
    config.endpoints.iter().map(|(signal, uri)| format!("{} {uri}", signal.name())).collect()
}

#[test]
fn the_collector_s_defaults() {
    let config = read("endpoint: https://h:4318").unwrap();
    assert_eq!(
        (config.json, config.compression, config.timeout),
        (false, Some(Compression::Gzip(6)), Some(Duration::from_secs(30)))
    );
    assert_eq!((config.delivery.queue.consumers, config.delivery.queue.capacity), (10, 1000));
    assert_eq!(read("endpoint: http://h\ntimeout: 0s\ncompression: none").unwrap().timeout, None);
    assert_eq!(read("endpoint: http://h\ncompression: zstd").unwrap().compression, Some(Compression::Zstd(3)));
    assert_eq!(
        read("endpoint: http://h\ncompression_params: {level: 1}").unwrap().compression,
        Some(Compression::Gzip(1))
    );
}

#[test]
fn each_signal_has_its_url() {
    assert_eq!(
        urls("endpoint: http://h:4318"),
        ["traces http://h:4318/v1/traces", "metrics http://h:4318/v1/metrics", "logs http://h:4318/v1/logs"]
    );
    assert_eq!(urls("endpoint: http://h/otlp/")[0], "traces http://h/otlp/v1/traces");
    assert_eq!(
        urls("metrics_endpoint: https://monitoring.eu-west-1.amazonaws.com/v1/metrics"),
        ["metrics https://monitoring.eu-west-1.amazonaws.com/v1/metrics"]
    );
    let mixed = urls("endpoint: http://h\ntraces_endpoint: http://t/x?y=1");
    assert_eq!(mixed, ["traces http://t/x?y=1", "metrics http://h/v1/metrics", "logs http://h/v1/logs"]);
}

#[test]
fn everything_that_is_wrong_is_said_at_once_with_its_place() {
    for (yaml, parts) in [
        ("{}", &["at least one endpoint must be specified"][..]),
        (
            "endpoint: h:4318\nencoding: xml",
            &["endpoint must be a valid URL", "test.yaml:2:1: encoding: invalid encoding type: xml"],
        ),
        ("endpoint: http://h\nlogs_endpoint: ftp://x", &["logs_endpoint must be a valid URL"]),
        ("endpoint: http://h\ncompression: br", &["unsupported compression type \"br\""]),
        ("endpoint: http://h\ncompression_params: {level: 77}", &["unsupported parameters {Level:77}"]),
        ("endpoint: http://h\nsending_queue: {num_consumers: 0}", &["sending_queue::num_consumers: "]),
        ("endpoint: http://h\nretry_on_failure: {max_interval: -1s}", &["retry_on_failure::max_interval: "]),
        ("endpoint: http://h\nencodings: json", &["did you mean \"encoding\"?"]),
    ] {
        let error = read(yaml).unwrap_err();
        assert!(parts.iter().all(|part| error.contains(part)), "{yaml}: {error}");
    }
}

/// A server that answers everything alike, and keeps the requests.
struct Canned {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    seen: Mutex<Vec<(http::HeaderMap, Bytes)>>,
}

#[async_trait]
impl Handler for Canned {
    async fn handle(&self, request: Request) -> Response {
        self.seen.lock().push((request.headers, request.body));
        let mut response = Response::text(StatusCode::from_u16(self.status).unwrap(), self.body.clone());
        response.headers.remove(header::CONTENT_TYPE);
        for (name, value) in &self.headers {
            response.headers.insert(*name, value.parse().unwrap());
        }
        response
    }
}

/// What one attempt comes to, and what the server got.
async fn attempt(yaml: &str, canned: Canned, auth: Option<Arc<dyn ClientAuth>>) -> (Attempt, Arc<Canned>) {
    let canned = Arc::new(canned);
    let settings = HttpServerSettings {
        endpoint: "127.0.0.1:0".to_owned(),
        encodings: Encodings::raw(),
        ..HttpServerSettings::default()
    };
    let server = HttpServer::bind(settings, Arc::clone(&canned) as Arc<dyn Handler>).await.unwrap();
    let config = read(&format!("endpoint: http://{}/\n{yaml}", server.local_addr().unwrap())).unwrap();
    let serving = tokio::spawn(server.serve(std::future::pending(), Duration::ZERO));
    let shared = Shared::default();
    if let Some(auth) = &auth {
        let provided = ProvidedAuth { client: Some(Arc::clone(auth)), server: None };
        shared.provide(ComponentId::new("auth", "").unwrap(), provided);
    }
    let client = HttpClient::new(&config.client, &Authenticators::of(&shared)).unwrap();
    let program = Program { name: "oxidot", version: "1" };
    let transport = HttpTransport::new(&config, client, auth, program);
    let prepared = transport.prepare(Signal::Traces, request()).unwrap();
    assert_eq!(transport.restore(Signal::Traces, prepared.clone()).unwrap(), request());
    let attempt = transport.send(Signal::Traces, &prepared).await;
    serving.abort();
    (attempt, canned)
}

fn request() -> Bytes {
    let json = br#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"5b8efff798038103d269b633813fc60c","name":"a"}]}]}]}"#;
    otlp::json::to_protobuf(Signal::Traces, json).unwrap().into()
}

fn canned(status: u16, headers: &[(&'static str, &str)], body: impl Into<Vec<u8>>) -> Canned {
    let headers = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    Canned { status, headers, body: body.into(), seen: Mutex::default() }
}

#[tokio::test]
async fn requests_are_what_the_keys_say() {
    for (yaml, encoding, content_type) in [
        ("{}", "gzip", "application/x-protobuf"),
        ("encoding: proto\ncompression: none", "", "application/x-protobuf"),
        ("encoding: json\ncompression: zstd", "zstd", "application/json"),
        ("encoding: json\ncompression: none\nheaders: {x-tenant: a, user-agent: me}", "", "application/json"),
    ] {
        let yaml = yaml.trim_start_matches("{}");
        let (result, server) = attempt(yaml, canned(200, &[], ""), None).await;
        assert_eq!(result, Attempt::Accepted(None));
        let (headers, body) = server.seen.lock().pop().unwrap();
        let field = |name: &str| headers.get(name).map_or("", |value| value.to_str().unwrap());
        assert_eq!((field("content-encoding"), field("content-type")), (encoding, content_type));
        let plain = match encoding {
            "gzip" => {
                let mut plain = Vec::new();
                net::decode::gunzip(&body, &mut plain, 1 << 20).unwrap();
                plain
            }
            "zstd" => zstd::stream::decode_all(&*body).unwrap(),
            _ => body.to_vec(),
        };
        let protobuf = match content_type {
            "application/json" => otlp::json::to_protobuf(Signal::Traces, &plain).unwrap(),
            _ => plain,
        };
        assert_eq!(protobuf, request(), "{yaml}");
        let tenant = yaml.contains("x-tenant");
        assert_eq!((field("x-tenant"), field("user-agent")), if tenant { ("a", "me") } else { ("", "oxidot/1") });
    }
}

#[tokio::test]
async fn successes_may_be_partial() {
    let partial = PartialSuccess { rejected: 3, message: "old".to_owned() };
    let accepted = |partial: &PartialSuccess| Attempt::Accepted(Some(partial.clone()));
    let warning = PartialSuccess { rejected: 0, message: "soon".to_owned() };
    for (content_type, body, expected) in [
        ("application/x-protobuf", partial.to_protobuf(), accepted(&partial)),
        ("application/json; charset=utf-8", partial.to_json(Signal::Traces).into_bytes(), accepted(&partial)),
        ("application/json", warning.to_json(Signal::Traces).into_bytes(), accepted(&warning)),
        ("application/json", b"{}".to_vec(), Attempt::Accepted(None)),
        ("application/x-protobuf", Vec::new(), Attempt::Accepted(None)),
        // What cannot be read is no reason to send again what was taken.
        ("application/json", b"<html>".to_vec(), Attempt::Accepted(None)),
        ("text/html", vec![b'x'; 200_000], Attempt::Accepted(None)),
    ] {
        let (result, _) = attempt("", canned(200, &[("content-type", content_type)], body), None).await;
        assert_eq!(result, expected, "{content_type}");
    }
    let (result, _) = attempt("", canned(202, &[], ""), None).await;
    assert_eq!(result, Attempt::Accepted(None));
}

#[tokio::test]
async fn statuses_mean_what_the_specification_says() {
    let later = httpdate::fmt_http_date(std::time::SystemTime::now() + Duration::from_secs(100));
    for status in [400, 401, 403, 404, 405, 408, 413, 415, 422, 429, 500, 501, 502, 503, 504, 505] {
        for (asked, least, most) in [("", None, 0), ("7", Some(7), 7), (later.as_str(), Some(30), 100)] {
            let said = Status::new(Code::Unavailable, "words").to_protobuf();
            let mut headers = vec![("content-type", "application/x-protobuf")];
            headers.extend((!asked.is_empty()).then_some(("retry-after", asked)));
            let (result, _) = attempt("", canned(status, &headers, said), None).await;
            match result {
                Attempt::Failed { why, pause, of_identity: false } => {
                    assert!(matches!(status, 429 | 502 | 503 | 504), "{status}");
                    assert!(why.contains(&format!("responded with HTTP Status Code {status}, Message=words")), "{why}");
                    let pause = pause.map(|pause| pause.as_secs());
                    assert!(pause >= least && pause.unwrap_or_default() <= most, "{status} {asked}: {pause:?}");
                }
                Attempt::TooLarge { reason: "rejected_413", .. } => assert_eq!(status, 413),
                Attempt::Rejected { reason, why } => {
                    assert!(!matches!(status, 413 | 429 | 502 | 503 | 504), "{status}");
                    assert!(reason.starts_with("rejected_") && why.contains("Message=words"), "{why}");
                }
                other => unreachable!("{status}: {other:?}"),
            }
        }
    }
    let (result, _) =
        attempt("", canned(400, &[("content-type", "application/json")], r#"{"code":3,"message":"bad\nthing"}"#), None)
            .await;
    assert!(matches!(result, Attempt::Rejected { reason: "rejected_400", why } if why.ends_with("Message=bad thing")));
    let (result, _) = attempt("", canned(404, &[("content-type", "text/plain")], "nothing\nhere"), None).await;
    assert!(matches!(result, Attempt::Rejected { reason: "rejected_404", why } if why.ends_with(": nothing here")));
}

#[tokio::test]
async fn who_cannot_be_reached_in_time_may_be_later() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    // Bound, so that no other test gets the port, and nobody listens.
    let nobody = tokio::net::TcpSocket::new_v4().unwrap();
    nobody.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let (silent, nobody) = (listener.local_addr().unwrap(), (nobody.local_addr().unwrap(), nobody));
    let at = |address: std::net::SocketAddr, timeout: &str| {
        read(&format!("endpoint: http://{address}\ntimeout: {timeout}")).unwrap()
    };
    let send = |config: Config| async move {
        let client = HttpClient::new(&config.client, &Authenticators::default()).unwrap();
        let transport = HttpTransport::new(&config, client, None, Program { name: "oxidot", version: "1" });
        transport.send(Signal::Logs, &Bytes::from_static(b"x")).await
    };
    assert!(
        matches!(send(at(silent, "50ms")).await, Attempt::Failed { why, .. } if why.contains("context deadline exceeded"))
    );
    assert!(
        matches!(send(at(nobody.0, "60s")).await, Attempt::Failed { why, of_identity: false, .. } if why.contains("connection refused"))
    );
}

/// Signs with the length of what it sees, and judges refusals by the first byte of their body.
struct Signer(Mutex<usize>);

#[async_trait]
impl ClientAuth for Signer {
    async fn apply(&self, request: &mut http::request::Parts, body: &[u8]) -> Result<(), AuthError> {
        let mut attempts = self.0.lock();
        *attempts += 1;
        let value = format!("{} {}", *attempts, body.len());
        request.headers.insert("authorization", HeaderValue::from_str(&value).unwrap());
        Ok(())
    }

    fn on_response(&self, _: StatusCode, body: &[u8]) -> AuthVerdict {
        match body.first() {
            Some(b'r') => AuthVerdict::Refused,
            Some(b'e') => AuthVerdict::Retry,
            _ => AuthVerdict::Final,
        }
    }
}

#[tokio::test]
async fn an_authenticator_sees_the_exact_bytes_of_each_attempt_and_judges_refusals() {
    let cases =
        [(403, "expired", 2, true), (403, "refused", 1, true), (403, "bad", 1, false), (400, "expired", 2, true)];
    for (status, body, attempts, of_identity) in cases {
        let signer = Arc::new(Signer(Mutex::new(0)));
        let (result, server) = attempt("auth: {authenticator: auth}", canned(status, &[], body), Some(signer)).await;
        match result {
            Attempt::Failed { of_identity: true, .. } => assert!(of_identity, "{body}"),
            Attempt::Rejected { reason: "rejected_403", .. } => assert!(!of_identity, "{body}"),
            other => unreachable!("{body}: {other:?}"),
        }
        let seen = server.seen.lock();
        assert_eq!(seen.len(), attempts, "{body}");
        for (n, (headers, sent)) in seen.iter().enumerate() {
            assert_eq!(headers.get("authorization").unwrap(), &format!("{} {}", n + 1, sent.len()));
        }
    }
}

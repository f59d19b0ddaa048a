//! Frames, codes and texts of gRPC, and the calls of a client.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;

use async_trait::async_trait;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use super::*;
use crate::auth::Authenticators;
use crate::server::{GrpcServerConfig, Handler, HttpServer, HttpServerSettings};

fn frame(compressed: u8, message: &[u8]) -> Bytes {
    let mut body = BytesMut::new();
    body.put_u8(compressed);
    body.put_u32(u32::try_from(message.len()).unwrap());
    body.put_slice(message);
    body.freeze()
}

fn with_encoding(encoding: &'static str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("grpc-encoding", HeaderValue::from_static(encoding));
    headers
}

#[test]
fn messages_come_out_of_their_frames() {
    assert_eq!(message(&HeaderMap::new(), frame(0, b"abc"), 3).unwrap(), "abc");
    assert_eq!(message(&with_encoding("gzip"), frame(0, b"abc"), 3).unwrap(), "abc");
    let plain = vec![7; 5000];
    let zstd = zstd::stream::encode_all(plain.as_slice(), 0).unwrap();
    let mut snappy = Vec::new();
    std::io::copy(&mut snap::read::FrameEncoder::new(plain.as_slice()), &mut snappy).unwrap();
    for (encoding, compressed) in
        [("gzip", crate::decode::gzip_compress(&plain, 6)), ("zstd", zstd), ("snappy", snappy)]
    {
        assert_eq!(message(&with_encoding(encoding), frame(1, &compressed), 5000).unwrap(), plain, "{encoding}");
        let refused = message(&with_encoding(encoding), frame(1, &compressed), 4999).unwrap_err();
        assert_eq!(
            (refused.code, refused.message.as_str()),
            (8, "grpc: received message after decompression larger than max 4999"),
            "{encoding}"
        );
        let refused = message(&with_encoding(encoding), frame(1, b"rubbish"), 5000).unwrap_err();
        assert_eq!(refused.code, 13, "{encoding}: {refused:?}");
    }
}

#[test]
fn what_is_no_message_is_refused_in_the_words_of_grpc() {
    let none = HeaderMap::new();
    for (headers, body, code, text) in [
        (&none, frame(0, b"abcd"), 8, "grpc: received message larger than max (4 vs. 3)"),
        (&none, Bytes::new(), 13, "unexpected EOF"),
        (&none, frame(0, b"abc").slice(..6), 13, "unexpected EOF"),
        (&none, [frame(0, b"a"), frame(0, b"b")].concat().into(), 13, "a call has more than one request message"),
        (&none, frame(1, b"abc"), 13, "grpc: compressed flag set with identity or empty encoding"),
        (&none, frame(2, b"abc"), 13, "grpc: received unexpected payload format 2"),
        (&with_encoding("br"), frame(1, b"abc"), 12, "grpc: Decompressor is not installed for grpc-encoding \"br\""),
    ] {
        assert_eq!(message(headers, body, 3), Err(GrpcStatus::new(code, text)));
    }
}

#[test]
fn statuses_travel_in_header_fields() {
    let status = GrpcStatus { code: 14, message: "50% é\n".to_owned(), details: Some(vec![8, 14]) };
    let response = status.response();
    assert_eq!(response.headers.get("grpc-status").unwrap(), "14");
    assert_eq!(response.headers.get("grpc-message").unwrap(), "50%25 %C3%A9%0A");
    assert_eq!(response.headers.get("grpc-status-details-bin").unwrap(), "CA4");
    assert_eq!(GrpcStatus::unknown_service("/a.B/C").message, "unknown service a.B");
    assert_eq!(GrpcStatus::unknown_service("x").message, "malformed method name: \"x\"");
}

#[test]
fn deadlines_are_read() {
    for (text, limit) in [
        ("5S", Some(Duration::from_secs(5))),
        ("100m", Some(Duration::from_millis(100))),
        ("1H", Some(Duration::from_secs(3600))),
        ("2u", Some(Duration::from_micros(2))),
        ("5", None),
        ("S", None),
        ("5é", None),
    ] {
        let mut headers = HeaderMap::new();
        headers.insert("grpc-timeout", HeaderValue::from_bytes(text.as_bytes()).unwrap());
        assert_eq!(timeout(&headers), limit, "{text}");
    }
}

/// Answers with the message it got.
struct Echo;

#[async_trait]
impl Handler for Echo {
    async fn handle(&self, request: Request) -> Response {
        if let Some(response) = check(&request) {
            return response;
        }
        match message(&request.headers, request.body, 1000) {
            Ok(message) => reply(&message),
            Err(status) => status.response(),
        }
    }

    fn refusal(&self, _: &HeaderMap, status: StatusCode, text: String) -> Response {
        GrpcStatus::of_http(status, text, 1000).response()
    }
}

/// Status, header fields, body and trailers of one call.
async fn call(
    address: std::net::SocketAddr,
    content_type: &str,
    body: Bytes,
) -> (StatusCode, HeaderMap, Bytes, Option<HeaderMap>) {
    let stream = TcpStream::connect(address).await.unwrap();
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (mut sender, connection) = handshake.await.unwrap();
    let connection = tokio::spawn(connection);
    let request = http::Request::post(format!("http://{address}/a.B/C")).header(CONTENT_TYPE, content_type);
    let response = sender.send_request(request.body(Full::new(body)).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    let collected = body.collect().await.unwrap();
    let trailers = collected.trailers().cloned();
    drop(sender);
    connection.await.unwrap().unwrap();
    (parts.status, parts.headers, collected.to_bytes(), trailers)
}

#[tokio::test]
async fn calls_are_answered_without_tls() {
    let settings = settings_of("{}");
    assert!(settings.http2.only);
    let (address, stop, serving) = serving(HttpServerSettings { max_request_body: 1005, ..settings }).await;

    let (status, headers, body, trailers) = call(address, "application/grpc", frame(0, b"hello")).await;
    assert_eq!((status, body), (StatusCode::OK, frame(0, b"hello")));
    assert_eq!(headers.get(CONTENT_TYPE).unwrap(), "application/grpc");
    assert_eq!(trailers.unwrap().get("grpc-status").unwrap(), "0");

    let (status, headers, body, _) = call(address, "application/grpc+proto", frame(0, &[0; 2000])).await;
    assert_eq!((status, body.len(), headers.get("grpc-status").unwrap()), (StatusCode::OK, 0, &HeaderValue::from(8)));

    let (status, headers, ..) = call(address, "text/plain", frame(0, b"hello")).await;
    assert_eq!((status.as_u16(), headers.get("grpc-status").unwrap()), (415, &HeaderValue::from(3)));
    stop.send(()).unwrap();
    serving.await.unwrap();
}

/// A server of the echo with these settings, and how to end it.
async fn serving(
    settings: HttpServerSettings,
) -> (std::net::SocketAddr, oneshot::Sender<()>, tokio::task::JoinHandle<()>) {
    serving_by(settings, Arc::new(Echo)).await
}

async fn serving_by(
    settings: HttpServerSettings,
    handler: Arc<dyn Handler>,
) -> (std::net::SocketAddr, oneshot::Sender<()>, tokio::task::JoinHandle<()>) {
    let settings = HttpServerSettings { endpoint: "127.0.0.1:0".to_owned(), ..settings };
    let server = HttpServer::bind(settings, handler).await.unwrap();
    let address = server.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    (address, stop, tokio::spawn(server.serve(async { drop(stopped.await) }, Duration::from_secs(5))))
}

/// Answers with a sum of what it got, once as many calls are open as belong together.
struct Meeting(tokio::sync::Barrier);

#[async_trait]
impl Handler for Meeting {
    async fn handle(&self, request: Request) -> Response {
        let message = message(&request.headers, request.body, 4 << 20).unwrap();
        self.0.wait().await;
        reply(&sum(&message))
    }
}

fn sum(message: &[u8]) -> [u8; 8] {
    message.iter().fold(0_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(*byte))).to_be_bytes()
}

/// A connection of a client, and its socket.
async fn connected(
    address: std::net::SocketAddr,
) -> (hyper::client::conn::http2::SendRequest<Full<Bytes>>, std::net::TcpStream) {
    let stream = TcpStream::connect(address).await.unwrap().into_std().unwrap();
    let socket = stream.try_clone().unwrap();
    let stream = TcpStream::from_std(stream).unwrap();
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (sender, connection) = handshake.await.unwrap();
    tokio::spawn(async { drop(connection.await) });
    (sender, socket)
}

fn request_to(address: std::net::SocketAddr, message: &[u8]) -> http::Request<Full<Bytes>> {
    let request = http::Request::post(format!("http://{address}/a.B/C")).header(CONTENT_TYPE, "application/grpc");
    request.body(Full::new(frame(0, message))).unwrap()
}

/// Each is open while the others are read and answered, and they are larger than a frame, a stream's window and a connection's.
#[tokio::test]
async fn calls_of_one_connection_are_served_beside_each_other() {
    let sizes = [0, 100, 70_000, 1 << 20, 3 << 20];
    let meeting = Meeting(tokio::sync::Barrier::new(sizes.len()));
    let (address, stop, server) = serving_by(settings_of("{}"), Arc::new(meeting)).await;
    let (sender, _socket) = connected(address).await;
    for round in 0..2 {
        let calls = sizes.iter().map(|len| {
            let message: Vec<u8> = (0..*len).map(|at| (at * 7 / 3 + round) as u8).collect();
            let mut sender = sender.clone();
            tokio::spawn(async move {
                let response = sender.send_request(request_to(address, &message)).await.unwrap();
                (response.into_body().collect().await.unwrap().to_bytes(), frame(0, &sum(&message)))
            })
        });
        for call in calls.collect::<Vec<_>>() {
            let (answer, expected) = call.await.unwrap();
            assert_eq!(answer, expected);
        }
    }
    drop(sender);
    stop.send(()).unwrap();
    server.await.unwrap();
}

/// Never answers; tells when a call comes and when it is dropped.
struct Silent(tokio::sync::mpsc::UnboundedSender<&'static str>);

#[async_trait]
impl Handler for Silent {
    async fn handle(&self, _: Request) -> Response {
        struct Open<'a>(&'a Silent);
        impl Drop for Open<'_> {
            fn drop(&mut self) {
                self.0.0.send("dropped").unwrap();
            }
        }
        let _open = Open(self);
        self.0.send("came").unwrap();
        std::future::pending().await
    }
}

#[tokio::test]
async fn calls_end_when_they_are_given_up_or_their_connection_ends() {
    let (told, mut said) = tokio::sync::mpsc::unbounded_channel();
    let (address, stop, server) = serving_by(settings_of("{}"), Arc::new(Silent(told))).await;
    let (mut sender, socket) = connected(address).await;
    let first = sender.send_request(request_to(address, b"first"));
    let second = sender.send_request(request_to(address, b"second"));
    assert_eq!((said.recv().await, said.recv().await), (Some("came"), Some("came")));
    drop(first);
    assert_eq!(said.recv().await, Some("dropped"));
    assert!(said.is_empty());
    socket.shutdown(std::net::Shutdown::Both).unwrap();
    assert_eq!(said.recv().await, Some("dropped"));
    drop((second, sender));
    stop.send(()).unwrap();
    server.await.unwrap();
}

fn settings_of(json: &str) -> HttpServerSettings {
    let node = pipeline::config::parse(json, "test.yaml").unwrap();
    let config: GrpcServerConfig = pipeline::config::decode(&node, "grpc").unwrap();
    config.settings("", &Authenticators::default()).unwrap()
}

#[tokio::test]
async fn calls_are_answered_over_mutual_tls() {
    use crate::client::{ClientSettings, HttpClient, Request as ClientRequest};
    use crate::tls::tests::TestCa;
    use crate::tls::{ClientTlsSettings, PemSource, ServerTls, ServerTlsSettings};

    let (ca, clients) = (TestCa::new(), TestCa::new());
    let client_ca = Some(PemSource::Inline(pipeline::config::Secret::new(clients.ca_pem())));
    let tls = ServerTls::new(ServerTlsSettings { client_ca, ..ca.server_settings("localhost") }).unwrap();
    let (address, stop, server) = serving(HttpServerSettings { tls: Some(tls), ..settings_of("{}") }).await;
    let mut request =
        ClientRequest::post(format!("https://localhost:{}/a.B/C", address.port()).parse().unwrap(), frame(0, b"hi"));
    request.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    for (identity, answered) in [(Some(clients.identity("me")), true), (None, false)] {
        let tls = ClientTlsSettings { identity, ..ca.trusted() };
        let settings = ClientSettings { tls, http2: true, ..ClientSettings::default() };
        let client = HttpClient::new(&settings, &Authenticators::default()).unwrap();
        let mut body = Vec::new();
        let sent = client.send(&request, &mut body, 1000).await;
        assert_eq!((sent.is_ok(), body == frame(0, b"hi")), (answered, answered));
    }
    stop.send(()).unwrap();
    server.await.unwrap();
}

#[tokio::test]
async fn connections_end_when_they_are_old_or_idle() {
    for json in [
        r#"{"keepalive": {"server_parameters": {"max_connection_age": "50ms", "max_connection_age_grace": "50ms"}}}"#,
        r#"{"keepalive": {"server_parameters": {"max_connection_idle": "50ms"}}}"#,
    ] {
        let (address, stop, server) = serving(settings_of(json)).await;
        let stream = TcpStream::connect(address).await.unwrap();
        let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
        let (sender, connection): (hyper::client::conn::http2::SendRequest<Full<Bytes>>, _) = handshake.await.unwrap();
        // The client holds on to it; it is the server that closes.
        drop(connection.await);
        drop(sender);
        stop.send(()).unwrap();
        server.await.unwrap();
    }
}

#[test]
fn keys_are_those_of_the_collector() {
    let settings = settings_of(
        r#"{"max_recv_msg_size_mib": 16, "max_concurrent_streams": 7, "read_buffer_size": 1, "write_buffer_size": 1,
            "keepalive": {"server_parameters": {"max_connection_idle": "1m", "time": "30s", "timeout": "5s"},
            "enforcement_policy": {"min_time": "10s", "permit_without_stream": true}}, "include_metadata": true}"#,
    );
    assert_eq!((settings.max_request_body, settings.http2.max_streams), ((16 << 20) + FRAME, 7));
    assert_eq!(settings.idle_timeout, Duration::from_secs(60));
    assert_eq!(
        (settings.http2.ping_after, settings.http2.ping_timeout),
        (Some(Duration::from_secs(30)), Duration::from_secs(5))
    );
    let defaults = settings_of("{}");
    assert_eq!((defaults.max_request_body, defaults.http2.max_age), ((4 << 20) + FRAME, None));
    assert_eq!(defaults.http2.ping_after, Some(Duration::from_secs(7200)));
}

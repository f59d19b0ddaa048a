//! The server against clients on loopback.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::atomic::AtomicUsize;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

use super::*;
use crate::auth::{AuthError, Authenticators};
use crate::client::{ClientSettings, Compression, HttpClient};
use crate::decode::gzip_compress;

/// Through the decoder that reads configuration files; JSON is YAML.
fn decoded(json: &str) -> HttpServerConfig {
    let node = pipeline::config::parse(json, "test.yaml").unwrap();
    pipeline::config::decode(&node, "server").unwrap()
}

/// A server that stops with the test.
struct Running {
    address: SocketAddr,
    counters: Arc<ServerCounters>,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Running {
    async fn start(settings: HttpServerSettings, handler: impl Handler, grace: Duration) -> Self {
        let settings = HttpServerSettings { endpoint: "127.0.0.1:0".to_owned(), ..settings };
        let server = HttpServer::bind(settings, Arc::new(handler)).await.unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let (address, counters) = (server.local_addr().unwrap(), server.counters());
        let stopped = async move {
            stopped.await.ok();
        };
        let task = tokio::spawn(server.serve(stopped, grace));
        Self { address, counters, stop: Some(stop), task }
    }

    async fn echo(settings: HttpServerSettings) -> Self {
        Self::start(settings, Echo, Duration::from_secs(10)).await
    }

    /// Tells it to stop and waits until it has.
    async fn stop(mut self) {
        self.begin_stop();
        (&mut self.task).await.unwrap();
    }

    fn begin_stop(&mut self) {
        self.stop.take().unwrap().send(()).unwrap();
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends `request` on a connection of its own and reads until the server closes it.
    async fn raw(&self, request: &[u8]) -> String {
        let mut stream = self.connect().await;
        stream.write_all(request).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        String::from_utf8(answer).unwrap()
    }

    async fn post(&self, fields: &[(&'static str, &str)], body: impl Into<Bytes>) -> (StatusCode, HeaderMap, String) {
        let url = format!("http://{}/v1/metrics", self.address).parse().unwrap();
        let mut request = crate::client::Request::post(url, body);
        for (name, value) in fields {
            request.headers.insert(*name, value.parse().unwrap());
        }
        let client = HttpClient::new(&ClientSettings::default(), &Authenticators::default()).unwrap();
        let mut body = Vec::new();
        let head = client.send(&request, &mut body, 1 << 20).await.unwrap();
        (head.status, head.headers, String::from_utf8_lossy(&body).into_owned())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Answers with what it got.
struct Echo;

#[async_trait]
impl Handler for Echo {
    async fn handle(&self, request: Request) -> Response {
        let encoded = request.headers.contains_key("content-encoding");
        let who = request.identity.map(|identity| identity.subject).unwrap_or_default();
        let text = format!("{} {} {encoded} {who} ", request.method, request.uri);
        let mut body = text.into_bytes();
        body.extend_from_slice(&request.body);
        Response::text(StatusCode::OK, body)
    }
}

#[tokio::test]
async fn requests_are_served_and_the_connection_is_kept() {
    let server = Running::echo(HttpServerSettings {
        response_headers: vec![("x-a".parse().unwrap(), "b".parse().unwrap())],
        ..HttpServerSettings::default()
    })
    .await;
    let mut stream = server.connect().await;
    for _ in 0..3 {
        stream.write_all(b"POST /p?q HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc").await.unwrap();
        let (head, body) = crate::testing::read_request(&mut stream).await.unwrap();
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.contains("x-a: b\r\n"), "{head}");
        assert_eq!(body, b"POST /p?q false  abc");
    }
    drop(stream);
    server.stop().await;
}

#[tokio::test]
async fn bodies_are_decompressed_within_the_limit() {
    let limit = 100_000;
    let server = Running::echo(HttpServerSettings { max_request_body: limit, ..HttpServerSettings::default() }).await;
    let plain = "up 1\n".repeat(1000);
    for name in ["gzip", "zlib", "deflate", "snappy", "x-snappy-framed", "zstd", "lz4"] {
        let compression = Compression::parse(name, None).unwrap().unwrap();
        let compressed = compression.compress(plain.as_bytes()).unwrap();
        assert_eq!(compression.decompress(&compressed, limit).unwrap(), plain);
        assert_eq!(compression.decompress(&compressed, 100), None);
        let (status, _, body) = server.post(&[("content-encoding", name)], compressed).await;
        assert_eq!(status, StatusCode::OK, "{name}");
        assert_eq!(body, format!("POST /v1/metrics false  {plain}"), "{name}");

        let bomb = compression.compress(&vec![0; 50 << 20]).unwrap();
        let (status, _, body) = server.post(&[("content-encoding", name)], bomb).await;
        assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE, "{name}: {body}");

        let (status, _, body) = server.post(&[("content-encoding", name)], "rubbish").await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{name}: {body}");
    }
    let (status, _, body) = server.post(&[("content-encoding", "br")], "x").await;
    assert_eq!((status, body.as_str()), (StatusCode::BAD_REQUEST, "unsupported Content-Encoding: br"));
    let (status, _, body) = server.post(&[("content-encoding", "identity")], "x").await;
    assert_eq!((status, body.as_str()), (StatusCode::OK, "POST /v1/metrics true  x"));
    server.stop().await;
}

#[tokio::test]
async fn encodings_can_be_left_alone_or_restricted() {
    let raw = Running::echo(HttpServerSettings { encodings: Encodings::raw(), ..HttpServerSettings::default() }).await;
    let (_, _, body) = raw.post(&[("content-encoding", "snappy")], "as it is").await;
    assert_eq!(body, "POST /v1/metrics true  as it is");
    raw.stop().await;

    let only = Encodings::only(&["".to_owned(), "gzip".to_owned()]);
    let server = Running::echo(HttpServerSettings { encodings: only, ..HttpServerSettings::default() }).await;
    let (status, _, _) = server.post(&[("content-encoding", "gzip")], gzip_compress(b"x", 6)).await;
    assert_eq!(status, StatusCode::OK);
    let (status, _, body) = server.post(&[("content-encoding", "snappy")], "x").await;
    assert_eq!((status, body.as_str()), (StatusCode::BAD_REQUEST, "unsupported Content-Encoding: snappy"));
    server.stop().await;
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_refused() {
    let server = Running::echo(HttpServerSettings { max_request_body: 1000, ..HttpServerSettings::default() }).await;
    let (status, _, _) = server.post(&[], vec![b'x'; 1000]).await;
    assert_eq!(status, StatusCode::OK);
    let (status, _, body) = server.post(&[], vec![b'x'; 10 << 20]).await;
    assert_eq!((status.as_u16(), body.as_str()), (413, "request body too large (limit 1000 bytes)"));
    // Announced sizes are no protection: chunks are counted.
    let mut request = b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for _ in 0..3 {
        request.extend_from_slice(b"200\r\n");
        request.extend_from_slice(&[b'x'; 512]);
        request.extend_from_slice(b"\r\n");
    }
    let answer = server.raw(&request).await;
    assert!(answer.starts_with("HTTP/1.1 413 Payload Too Large\r\n"), "{answer}");
    server.stop().await;
}

struct Names;

#[async_trait]
impl ServerAuth for Names {
    async fn authenticate(&self, headers: &HeaderMap) -> Result<Identity, AuthError> {
        match headers.get("authorization").or(headers.get("token")).map(HeaderValue::as_bytes) {
            Some(b"Bearer good") => Ok(Identity { subject: "me".to_owned(), attributes: Vec::new() }),
            _ => Err(AuthError::new("missing or unknown token")),
        }
    }
}

#[tokio::test]
async fn senders_are_authenticated() {
    let mut authenticators = Authenticators::default();
    authenticators.add_server("bearertokenauth".parse().unwrap(), Arc::new(Names));
    let config = decoded(r#"{"auth":{"authenticator":"bearertokenauth","request_params":["token"]},"endpoint":"x:1"}"#);
    let server = Running::echo(config.settings("", &authenticators).unwrap()).await;
    let (status, _, body) = server.post(&[("authorization", "Bearer good")], "x").await;
    assert_eq!((status, body.as_str()), (StatusCode::OK, "POST /v1/metrics false me x"));
    let close = "HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    let answer = server.raw(format!("GET /?a=b&token=Bearer%20good {close}").as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    let answer = server.raw(format!("GET /?other=Bearer+good {close}").as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    let (status, headers, body) = server.post(&[], "x").await;
    assert_eq!((status, body.as_str()), (StatusCode::UNAUTHORIZED, "missing or unknown token"));
    assert!(headers.contains_key("www-authenticate"));
    server.stop().await;
    let error = config.settings("", &Authenticators::default()).err().unwrap().to_string();
    assert!(error.contains("failed to resolve authenticator \"bearertokenauth\""), "{error}");
}

#[tokio::test]
async fn web_pages_are_let_in_as_configured() {
    let cors = serde_json::from_str(
        r#"{"allowed_origins":["https://*.example.com"],"allowed_headers":["X-Key"],"exposed_headers":["x-b"],"max_age":7}"#,
    )
    .unwrap();
    let server = Running::echo(HttpServerSettings { cors: Some(cors), ..HttpServerSettings::default() }).await;
    let ask = |origin: &str, fields: &str| {
        format!(
            "OPTIONS /v1 HTTP/1.1\r\nHost: h\r\nConnection: close\r\nOrigin: {origin}\r\nAccess-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: {fields}\r\n\r\n"
        )
    };
    let answer = server.raw(ask("https://a.example.com", "x-key").as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
    assert!(answer.contains("access-control-allow-origin: https://a.example.com\r\n"), "{answer}");
    assert!(
        answer.contains("access-control-allow-methods: POST\r\n") && answer.contains("access-control-max-age: 7\r\n")
    );
    for (origin, fields) in [("https://example.org", "x-key"), ("https://a.example.com", "x-key, x-other")] {
        let answer = server.raw(ask(origin, fields).as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 204") && !answer.contains("access-control-allow"), "{answer}");
    }
    let (_, headers, _) = server.post(&[("origin", "https://a.example.com")], "x").await;
    assert_eq!(headers.get("access-control-allow-origin").unwrap(), "https://a.example.com");
    assert_eq!(headers.get("access-control-expose-headers").unwrap(), "x-b");
    let (_, headers, _) = server.post(&[("origin", "https://evil")], "x").await;
    assert!(!headers.contains_key("access-control-allow-origin"));
    server.stop().await;
}

/// Answers once it is told to.
struct Slow {
    begun: Arc<AtomicUsize>,
    go: Arc<Notify>,
}

#[async_trait]
impl Handler for Slow {
    async fn handle(&self, _request: Request) -> Response {
        self.begun.fetch_add(1, Ordering::SeqCst);
        self.go.notified().await;
        Response::text(StatusCode::OK, "done")
    }
}

async fn until(condition: impl Fn() -> bool) {
    while !condition() {
        tokio::task::yield_now().await;
    }
}

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n";

#[tokio::test]
async fn what_has_begun_is_finished_before_stopping() {
    let (begun, go) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let handler = Slow { begun: Arc::clone(&begun), go: Arc::clone(&go) };
    let mut server = Running::start(HttpServerSettings::default(), handler, Duration::from_secs(60)).await;
    let mut idle = server.connect().await;
    let mut busy = server.connect().await;
    busy.write_all(GET).await.unwrap();
    until(|| begun.load(Ordering::SeqCst) == 1).await;
    server.begin_stop();
    // The idle connection is closed at once. (Whether the port is free cannot be asked: another test may have it by now.)
    assert_eq!(idle.read(&mut [0; 10]).await.unwrap(), 0);
    go.notify_one();
    let mut answer = String::new();
    busy.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("done"), "{answer}");
    (&mut server.task).await.unwrap();
    assert_eq!(server.counters.cut_off_connections(), 0);
}

#[tokio::test]
async fn what_takes_too_long_to_stop_is_cut_off_and_counted() {
    let begun = Arc::new(AtomicUsize::new(0));
    let handler = Slow { begun: Arc::clone(&begun), go: Arc::default() };
    let mut server = Running::start(HttpServerSettings::default(), handler, Duration::from_millis(20)).await;
    let mut busy = server.connect().await;
    busy.write_all(GET).await.unwrap();
    until(|| begun.load(Ordering::SeqCst) == 1).await;
    server.begin_stop();
    (&mut server.task).await.unwrap();
    assert_eq!(server.counters.cut_off_connections(), 1);
    let mut answer = Vec::new();
    busy.read_to_end(&mut answer).await.ok();
    assert!(answer.is_empty());
}

#[tokio::test]
async fn connections_beyond_the_limit_are_refused_with_the_reason() {
    let server = Running::echo(HttpServerSettings { max_connections: 1, ..HttpServerSettings::default() }).await;
    let mut first = server.connect().await;
    first.write_all(GET).await.unwrap();
    crate::testing::read_request(&mut first).await.unwrap();
    let mut second = server.connect().await;
    let mut answer = String::new();
    second.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{answer}");
    assert!(answer.ends_with("too many connections (limit 1)"), "{answer}");
    assert_eq!(server.counters.refused_connections(), 1);
    server.stop().await;
}

/// How a connection under these settings ends, given what the client sends.
async fn ends(settings: HttpServerSettings, sent: &[u8]) -> String {
    let begun = Arc::new(AtomicUsize::new(0));
    let go = Arc::new(Notify::new());
    let server = Running::start(settings, Slow { begun, go: Arc::clone(&go) }, Duration::ZERO).await;
    if sent == GET {
        go.notify_one();
    }
    server.raw(sent).await
}

#[tokio::test(start_paused = true)]
async fn peers_that_take_too_long_are_dropped() {
    let limits = |settings: HttpServerSettings| HttpServerSettings {
        read_header_timeout: Duration::ZERO,
        write_timeout: Duration::ZERO,
        idle_timeout: Duration::ZERO,
        ..settings
    };
    let short = Duration::from_secs(3);
    let none = || limits(HttpServerSettings::default());
    // Nothing at all, half a head, half a body, no answer, no second request.
    let post = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nhalf";
    let busy = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nfull";
    let head = || HttpServerSettings { read_header_timeout: short, ..none() };
    let read = || HttpServerSettings { read_timeout: short, ..none() };
    let write = || HttpServerSettings { write_timeout: short, ..none() };
    let idle = || HttpServerSettings { idle_timeout: short, ..none() };
    for (settings, sent) in [
        (head(), &b""[..]),
        (head(), b"GET / HT"),
        (read(), b"GET / HT"),
        (read(), post),
        (write(), post),
        (write(), busy),
    ] {
        assert_eq!(ends(settings, sent).await, "", "{}", sent.escape_ascii());
    }
    let answer = ends(idle(), GET).await;
    assert!(answer.ends_with("done"), "{answer}");
}

#[tokio::test]
async fn addresses_that_cannot_be_had_are_named() {
    let server = Running::echo(HttpServerSettings::default()).await;
    let taken = |endpoint: String| HttpServerSettings { endpoint, ..HttpServerSettings::default() };
    for (endpoint, part) in [
        (server.address.to_string(), "address already in use; another program"),
        ("localhost".to_owned(), "missing port in address"),
        ("localhost:http".to_owned(), "invalid port in address"),
        ("::1".to_owned(), "too many colons in address; write addresses of IPv6 in brackets"),
        ("[::1]".to_owned(), "missing port in address"),
        (
            "http://localhost:4318/".to_owned(),
            "it is an address and no URL; leave out http:// and write localhost:4318",
        ),
    ] {
        let error = HttpServer::bind(taken(endpoint.clone()), Arc::new(Echo)).await.err().unwrap().to_string();
        assert!(error.starts_with(&format!("listen {endpoint}: {part}")), "{error}");
    }
    for endpoint in [":0", "localhost:0", "0.0.0.0:0"] {
        let server = HttpServer::bind(taken(endpoint.to_owned()), Arc::new(Echo)).await.unwrap();
        assert_ne!(server.local_addr().unwrap().port(), 0);
    }
    server.stop().await;
}

#[test]
fn what_is_wrong_is_known_without_listening() {
    for (json, key, part) in [
        (
            r#"{"endpoint": "localhost"}"#,
            "endpoint",
            "missing port in address; write host:port, such as localhost:4318",
        ),
        (r#"{"endpoint": ""}"#, "endpoint", "missing port"),
        (r#"{"endpoint": "localhost:70000"}"#, "endpoint", "invalid port"),
        (r#"{"endpoint": "", "transport": "unix"}"#, "endpoint", "path of the socket"),
        (r#"{"transport": "udp"}"#, "transport", "use tcp, tcp4, tcp6 or unix"),
        (r#"{"tls": {}}"#, "tls", "both certificate and key"),
        (r#"{"middlewares": [{"id": "x"}]}"#, "middlewares", "x"),
        (r#"{"response_headers": {"a b": "c"}}"#, "response_headers", "a b"),
    ] {
        let problems = decoded(json).problems();
        assert!(matches!(&problems[..], [(at, text)] if *at == key && text.contains(part)), "{json}: {problems:?}");
        if key != "response_headers" {
            let grpc: super::GrpcServerConfig = serde_json::from_str(json).unwrap();
            assert_eq!(grpc.problems(), problems, "{json}");
        }
    }
    for json in [
        "{}",
        r#"{"endpoint": ":0"}"#,
        r#"{"endpoint": "[::1]:80"}"#,
        r#"{"endpoint": "localhost:"}"#,
        r#"{"endpoint": "/run/x", "transport": "unix"}"#,
    ] {
        assert_eq!(decoded(json).problems(), [], "{json}");
    }
}

#[tokio::test]
async fn a_unix_socket_can_be_served_and_is_removed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s.sock");
    // Left behind by a program that was killed.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let config = decoded(&format!(r#"{{"endpoint":{:?},"transport":"unix"}}"#, path.display().to_string()));
    let settings = || config.settings("", &Authenticators::default()).unwrap();
    let server = HttpServer::bind(settings(), Arc::new(Echo)).await.unwrap();
    assert!(server.local_addr().is_none());
    assert!(HttpServer::bind(settings(), Arc::new(Echo)).await.is_err());
    let (stop, stopped) = oneshot::channel::<()>();
    let task = tokio::spawn(server.serve(async { stopped.await.unwrap() }, Duration::from_secs(10)));
    let client = HttpClient::new(&ClientSettings::default(), &Authenticators::default()).unwrap();
    let mut request = crate::client::Request::get("http://localhost/x".parse().unwrap());
    request.unix_socket = Some(path.clone());
    let mut body = Vec::new();
    client.send(&request, &mut body, 100).await.unwrap();
    assert_eq!(body, b"GET /x false  ");
    stop.send(()).unwrap();
    task.await.unwrap();
    assert!(!path.exists());
}

#[test]
fn the_collector_s_keys_and_defaults() {
    let settings = |json: &str| decoded(json).settings("localhost:4318", &Authenticators::default());
    let defaults = settings("{}").unwrap();
    assert_eq!(defaults.endpoint, "localhost:4318");
    assert_eq!((defaults.max_request_body, defaults.keep_alive), (20_971_520, true));
    assert_eq!((defaults.read_timeout, defaults.write_timeout), (Duration::ZERO, Duration::from_secs(30)));
    assert_eq!(defaults.idle_timeout, Duration::from_secs(60));
    let given = settings(
        r#"{"endpoint":"0.0.0.0:1","max_request_body_size":5,"keep_alives_enabled":false,"idle_timeout":"3s","write_timeout":"0s",
            "compression_algorithms":["","gzip"],"response_headers":{"x":"y"},"include_metadata":true,"cors":{"allowed_origins":["*"]}}"#,
    )
    .unwrap();
    assert_eq!((given.max_request_body, given.keep_alive, given.write_timeout), (5, false, Duration::ZERO));
    for (json, part) in [
        (r#"{"transport":"udp"}"#, "transport \"udp\" is not known"),
        (r#"{"tls":{"cert_file":"/c"}}"#, "provide both certificate and key"),
        (r#"{"tls":{}}"#, "TLS configuration must include both certificate and key"),
        (r#"{"tls":{"cert_file":"/none/c","key_file":"/none/k"}}"#, "open /none/c: no such file or directory"),
        (r#"{"middlewares":[{"id":"x"}]}"#, "failed to resolve middleware \"x\""),
        (r#"{"response_headers":{"x":"a\nb"}}"#, "response_headers: value of \"x\" cannot be sent"),
    ] {
        let error = settings(json).err().unwrap().to_string();
        assert!(error.contains(part), "{json}: {error}");
    }
}

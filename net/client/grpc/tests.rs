//! Calls to a server that speaks gRPC, and to some that do not.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::convert::Infallible;
use std::net::SocketAddr;

use async_trait::async_trait;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use parking_lot::Mutex as Lock;
use pipeline::config::{ComponentId, Secret};
use tokio::net::{TcpListener, UnixListener};
use tokio::task::JoinHandle;

use super::*;
use crate::auth::AuthError;
use crate::tls::tests::TestCa;
use crate::tls::{PemSource, ServerTls};

const PATH: &str = "/a.B/C";

/// What a server answers: status, header fields, body, trailers.
#[derive(Clone, Default)]
struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    trailers: Vec<(&'static str, String)>,
}

impl Answer {
    fn grpc(body: Vec<u8>, trailers: &[(&'static str, &str)]) -> Self {
        let owned = |(name, value): &(&'static str, &str)| (*name, (*value).to_owned());
        Self {
            status: 200,
            headers: vec![("content-type", "application/grpc+proto".to_owned())],
            body,
            trailers: trailers.iter().map(owned).collect(),
        }
    }

    fn ok(message: &[u8]) -> Self {
        Self::grpc(frame(0, message), &[("grpc-status", "0")])
    }
}

fn frame(flag: u8, message: &[u8]) -> Vec<u8> {
    let mut out = vec![flag];
    out.extend_from_slice(&u32::try_from(message.len()).unwrap().to_be_bytes());
    out.extend_from_slice(message);
    out
}

type Seen = Arc<Lock<Vec<(http::request::Parts, Vec<u8>)>>>;

/// A server on loopback.
struct Server {
    address: SocketAddr,
    seen: Seen,
    connections: Arc<Lock<usize>>,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(
    request: http::Request<Incoming>,
    seen: Seen,
    answer: Answer,
) -> http::Response<impl hyper::body::Body<Data = Bytes, Error = Infallible>> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes().to_vec();
    seen.lock().push((parts, body));
    let mut response = http::Response::builder().status(answer.status);
    for (name, value) in &answer.headers {
        response = response.header(*name, value);
    }
    let mut trailers = HeaderMap::new();
    for (name, value) in &answer.trailers {
        trailers.append(*name, value.parse().unwrap());
    }
    let mut frames = vec![Ok(Frame::data(Bytes::from(answer.body)))];
    if !trailers.is_empty() {
        frames.push(Ok(Frame::trailers(trailers)));
    }
    response.body(StreamBody::new(futures_util::stream::iter(frames))).unwrap()
}

async fn converse(
    stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    seen: Seen,
    answers: Answer,
) {
    let service = service_fn(move |request| {
        let (seen, answers) = (Arc::clone(&seen), answers.clone());
        async move { Ok::<_, Infallible>(answer(request, seen, answers).await) }
    });
    let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    builder.serve_connection(TokioIo::new(stream), service).await.ok();
}

async fn serve(answers: Answer) -> Server {
    serve_on(TcpListener::bind("127.0.0.1:0").await.unwrap(), None, answers)
}

fn serve_on(listener: TcpListener, tls: Option<Arc<ServerTls>>, answers: Answer) -> Server {
    let address = listener.local_addr().unwrap();
    let (seen, connections) = (Seen::default(), Arc::new(Lock::new(0)));
    let (keeps, counts) = (Arc::clone(&seen), Arc::clone(&connections));
    let task = tokio::spawn(async move {
        let mut running = tokio::task::JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            *counts.lock() += 1;
            let (seen, answers, tls) = (Arc::clone(&keeps), answers.clone(), tls.clone());
            running.spawn(async move {
                match tls {
                    None => converse(stream, seen, answers).await,
                    Some(tls) => {
                        let acceptor = tokio_rustls::TlsAcceptor::from(tls.config());
                        if let Ok(stream) = acceptor.accept(stream).await {
                            converse(stream, seen, answers).await;
                        }
                    }
                }
            });
        }
    });
    Server { address, seen, connections, task }
}

fn settings(json: &str) -> GrpcSettings {
    serde_json::from_str::<GrpcClientConfig>(json).unwrap().settings().unwrap()
}

fn client(json: &str) -> GrpcClient {
    GrpcClient::new(&settings(json), &Authenticators::default()).unwrap()
}

async fn call(client: &GrpcClient, message: &[u8]) -> Result<Bytes, GrpcError> {
    client.call(PATH, &client.frame(message).unwrap(), Some(Duration::from_secs(60))).await
}

#[tokio::test]
async fn messages_are_compressed_as_the_key_says() {
    let server = serve(Answer::ok(b"answer")).await;
    let plain = b"a message that is long enough to be worth it".repeat(50);
    for (key, name) in [("gzip", "gzip"), ("zstd", "zstd"), ("snappy", "snappy"), ("none", ""), ("", "")] {
        let client = client(&format!(r#"{{"endpoint":"http://{}","compression":"{key}"}}"#, server.address));
        assert_eq!(call(&client, &plain).await.unwrap(), "answer", "{key}");
        let (parts, body) = server.seen.lock().pop().unwrap();
        let field = |name: &str| parts.headers.get(name).map_or("", |value| value.to_str().unwrap()).to_owned();
        assert_eq!((parts.method.as_str(), parts.uri.path()), ("POST", PATH));
        assert_eq!(
            (field("content-type"), field("te"), field("grpc-encoding")),
            ("application/grpc".into(), "trailers".into(), name.into())
        );
        assert_eq!((body[0], field("grpc-timeout")), (u8::from(!name.is_empty()), "60000000u".into()));
        assert!(field("user-agent").starts_with("oxidot/"), "{:?}", field("user-agent"));
        // By the server's own reading.
        assert_eq!(message(&parts.headers, body.into(), 1 << 20).unwrap(), plain);
        assert_eq!(client.unframe(client.frame(&plain).unwrap(), 1 << 20).unwrap(), plain);
        assert_eq!(client.unframe(client.frame(&plain).unwrap(), plain.len() - 1), None);
        assert_eq!(call(&client, b"").await.unwrap(), "answer");
        assert_eq!(server.seen.lock().pop().unwrap().1, frame(0, b""));
    }
}

#[tokio::test]
async fn one_connection_serves_all_calls_until_it_ends() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = serve_on(listener, None, Answer::ok(b""));
    let client = client(&format!(r#"{{"endpoint":"{address}","tls":{{"insecure":true}}}}"#));
    let calls = (0..20).map(|_| call(&client, b"x"));
    assert!(futures_util::future::join_all(calls).await.iter().all(Result::is_ok));
    assert_eq!((*server.connections.lock(), server.seen.lock().len()), (1, 20));
    drop(server);
    // Nobody else gets its port meanwhile.
    let returning = loop {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        match socket.bind(address) {
            Ok(()) => break socket,
            Err(_) => tokio::time::sleep(Duration::from_millis(1)).await,
        }
    };
    // The end of the server is noticed, and its return too.
    let gone = async { while call(&client, b"x").await.is_ok() {} };
    tokio::time::timeout(Duration::from_secs(60), gone).await.unwrap();
    let error = call(&client, b"x").await.unwrap_err();
    assert!(matches!(&error, GrpcError::Transport(text) if text.contains("connection refused")), "{error}");
    let back = serve_on(returning.listen(64).unwrap(), None, Answer::ok(b""));
    assert_eq!(call(&client, b"x").await.unwrap(), "");
    assert_eq!(*back.connections.lock(), 1);
}

#[tokio::test]
async fn calls_go_to_all_addresses_that_work() {
    let (first, second) = (serve(Answer::ok(b"1")).await, serve(Answer::ok(b"2")).await);
    let (_kept, nobody) = crate::testing::nobody();
    let addresses = vec![first.address, nobody, second.address];
    for (name, spread) in [("round_robin", true), ("pick_first", false)] {
        let client = client(&format!(r#"{{"endpoint":"http://nowhere.invalid:1","balancer_name":"{name}"}}"#));
        *client.inner.balancer.addresses.lock() = Some(addresses.clone());
        let mut answers = Vec::new();
        for _ in 0..6 {
            answers.push(call(&client, b"x").await.unwrap());
        }
        let of = |answer: &str| answers.iter().filter(|got| **got == answer).count();
        assert!(if spread { of("1") >= 2 && of("2") >= 2 } else { of("1") == 6 }, "{name}: {answers:?}");
    }
    let seen = first.seen.lock()[0].0.uri.clone();
    assert_eq!(seen.authority().unwrap(), "nowhere.invalid:1");
    assert!(*first.connections.lock() <= 2 && *second.connections.lock() == 1, "a connection is used again");
}

/// An address at which connections are neither taken nor refused: one whose queue of connections is full.
async fn silent() -> (std::net::SocketAddr, Vec<tokio::net::TcpStream>, tokio::net::TcpListener) {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut filling = Vec::new();
    let connect = || tokio::time::timeout(Duration::from_millis(200), tokio::net::TcpStream::connect(address));
    while let Ok(Ok(stream)) = connect().await {
        filling.push(stream);
    }
    (address, filling, listener)
}

#[tokio::test]
async fn an_address_that_says_nothing_holds_nobody_up() {
    let server = serve(Answer::ok(b"1")).await;
    let (nothing, _filling, _listener) = silent().await;
    let client = client(r#"{"endpoint":"http://nowhere.invalid:1"}"#);
    *client.inner.balancer.addresses.lock() = Some(vec![nothing, server.address]);
    // Those after the first one know better than to wait.
    for _ in 0..10 {
        assert_eq!(call(&client, b"x").await.unwrap(), "1");
    }
    assert_eq!(*server.connections.lock(), 1);
}

#[tokio::test]
async fn an_address_that_goes_away_is_made_up_for_by_the_others() {
    let (first, second) = (serve(Answer::ok(b"1")).await, serve(Answer::ok(b"2")).await);
    let client = client(r#"{"endpoint":"http://nowhere.invalid:1"}"#);
    *client.inner.balancer.addresses.lock() = Some(vec![first.address, second.address]);
    for _ in 0..4 {
        call(&client, b"x").await.unwrap();
    }
    assert_eq!((*first.connections.lock(), *second.connections.lock()), (1, 1));
    drop(first);
    // A call that was on its way may fail; soon none does.
    let settled = async {
        let mut successes = 0;
        while successes < 6 {
            successes = if call(&client, b"x").await.is_ok_and(|answer| answer == "2") { successes + 1 } else { 0 };
        }
    };
    tokio::time::timeout(Duration::from_secs(60), settled).await.unwrap();
}

#[tokio::test]
async fn statuses_come_with_their_texts_and_details() {
    let refusal =
        [("grpc-status", "14"), ("grpc-message", "busy%20%C3%A9%25"), ("grpc-status-details-bin", "CA4SBGJ1c3k")];
    let status = |code, message: &str| GrpcStatus::new(code, message);
    let unavailable = GrpcStatus { details: Some(b"\x08\x0e\x12\x04busy".to_vec()), ..status(14, "busy é%") };
    let text = vec![("content-type", "text/html".to_owned())];
    let mut trailers_only = Answer::grpc(Vec::new(), &[]);
    trailers_only.headers.extend([("grpc-status", "8".to_owned()), ("grpc-message", "no".to_owned())]);
    for (answer, expected) in [
        (Answer::grpc(Vec::new(), &refusal), unavailable),
        (trailers_only, status(8, "no")),
        (Answer::grpc(Vec::new(), &[("grpc-status", "x")]), status(2, "")),
        (
            Answer { status: 503, headers: text.clone(), ..Answer::default() },
            status(14, "unexpected HTTP status code received from server: 503 (Service Unavailable)"),
        ),
        (
            Answer { status: 404, ..Answer::default() },
            status(12, "unexpected HTTP status code received from server: 404 (Not Found)"),
        ),
        (
            Answer { status: 200, headers: text, ..Answer::default() },
            status(2, "unexpected content-type \"text/html\": the server does not speak gRPC here"),
        ),
        (
            Answer::grpc(frame(1, b"rubbish"), &[("grpc-status", "0")]),
            status(13, "grpc: compressed flag set with identity or empty encoding"),
        ),
    ] {
        let server = serve(answer).await;
        let client = client(&format!(r#"{{"endpoint":"http://{}"}}"#, server.address));
        assert_eq!(call(&client, b"x").await.unwrap_err(), GrpcError::Status(expected));
    }
    assert_eq!(GrpcError::Status(status(14, "busy")).to_string(), "rpc error: code = Unavailable desc = busy");
}

#[tokio::test]
async fn answers_that_are_cut_short_or_too_large_are_no_answers() {
    for (answer, text) in [
        (Answer::grpc(frame(0, b"x"), &[]), "server closed the stream without sending trailers"),
        (Answer::grpc(frame(0, &vec![0; MAX_RESPONSE + 1]), &[("grpc-status", "0")]), "limit"),
    ] {
        let server = serve(answer).await;
        let client = client(&format!(r#"{{"endpoint":"http://{}"}}"#, server.address));
        let error = call(&client, b"x").await.unwrap_err();
        assert!(matches!(&error, GrpcError::Transport(_)) && error.to_string().contains(text), "{error}");
    }
}

#[tokio::test]
async fn the_time_for_a_call_ends() {
    // Accepts, and says nothing.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = client(&format!(r#"{{"endpoint":"http://{}"}}"#, listener.local_addr().unwrap()));
    let request = client.frame(b"x").unwrap();
    let error = client.call(PATH, &request, Some(Duration::from_millis(50))).await.unwrap_err();
    assert_eq!(error, GrpcError::Status(GrpcStatus::deadline_exceeded()));
}

#[tokio::test]
async fn servers_that_are_no_http2_are_told() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = client(&format!(r#"{{"endpoint":"http://{}"}}"#, listener.local_addr().unwrap()));
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        stream
    });
    let error = call(&client, b"x").await.unwrap_err();
    assert!(matches!(error, GrpcError::Transport(_)), "{error}");
    drop(server.await.unwrap());
}

#[tokio::test]
async fn fields_authority_and_name_are_sent() {
    let server = serve(Answer::ok(b"")).await;
    let client = client(&format!(
        r#"{{"endpoint":"http://{}","headers":{{"X-Tenant":"a","token-bin":"xyz"}},"authority":"other.example","user_agent":"me/1"}}"#,
        server.address
    ));
    call(&client, b"x").await.unwrap();
    let (parts, _) = server.seen.lock().pop().unwrap();
    let field = |name: &str| parts.headers.get(name).unwrap().to_str().unwrap();
    assert_eq!((field("x-tenant"), field("token-bin"), field("user-agent")), ("a", "eHl6", "me/1"));
    assert_eq!(parts.uri.authority().unwrap(), "other.example");
}

#[tokio::test]
async fn unix_sockets_are_endpoints_too() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s");
    let listener = UnixListener::bind(&path).unwrap();
    let seen = Seen::default();
    let keeps = Arc::clone(&seen);
    let task = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            converse(stream, Arc::clone(&keeps), Answer::ok(b"by file")).await;
        }
    });
    for form in ["unix:", "unix://"] {
        let client = client(&format!(r#"{{"endpoint":"{form}{}","tls":{{"insecure":true}}}}"#, path.display()));
        assert_eq!(call(&client, b"x").await.unwrap(), "by file");
    }
    assert_eq!(seen.lock()[0].0.uri.authority().unwrap(), "localhost");
    task.abort();
}

/// A server whose certificate is for `localhost`, which wants one from its clients if `strict`.
async fn secure(ca: &TestCa, strict: bool) -> Server {
    let mut settings = ca.server_settings("localhost");
    settings.client_ca = strict.then(|| PemSource::Inline(Secret::new(ca.ca_pem())));
    let tls = Arc::new(ServerTls::new(settings).unwrap());
    serve_on(TcpListener::bind("127.0.0.1:0").await.unwrap(), Some(tls), Answer::ok(b"secret"))
}

#[tokio::test]
async fn tls_and_mutual_tls() {
    let (ca, stranger) = (TestCa::new(), TestCa::new());
    let server = secure(&ca, false).await;
    let at = |host: &str, port: u16, tls: ClientTlsSettings| {
        let settings = GrpcSettings { tls: Some(tls), ..settings(&format!(r#"{{"endpoint":"{host}:{port}"}}"#)) };
        GrpcClient::new(&settings, &Authenticators::default()).unwrap()
    };
    let port = server.address.port();
    assert_eq!(call(&at("https://localhost", port, ca.trusted()), b"x").await.unwrap(), "secret");
    let named = ClientTlsSettings { server_name: Some("localhost".to_owned()), ..ca.trusted() };
    assert_eq!(call(&at("127.0.0.1", port, named), b"x").await.unwrap(), "secret");
    assert_eq!(server.seen.lock().last().unwrap().0.uri.authority().unwrap(), "localhost");
    let error = call(&at("localhost", port, stranger.trusted()), b"x").await.unwrap_err().to_string();
    assert!(error.contains("certificate signed by unknown authority"), "{error}");

    let strict = secure(&ca, true).await;
    let port = strict.address.port();
    assert!(call(&at("localhost", port, ca.trusted()), b"x").await.is_err(), "a client without a certificate");
    let own = ClientTlsSettings { identity: Some(ca.identity("client")), ..ca.trusted() };
    assert_eq!(call(&at("localhost", port, own), b"x").await.unwrap(), "secret");
    assert_eq!(strict.seen.lock().len(), 1);
}

/// Puts a field on requests.
struct Token(bool);

#[async_trait]
impl ClientAuth for Token {
    async fn apply(&self, request: &mut Parts, body: &[u8]) -> Result<(), AuthError> {
        if body.is_empty() {
            return Err(AuthError::new("no body"));
        }
        request.headers.insert("authorization", HeaderValue::from_static("Bearer t"));
        Ok(())
    }

    fn authenticates_grpc(&self) -> bool {
        self.0
    }
}

#[tokio::test]
async fn authenticators_see_every_call_if_they_can() {
    let server = serve(Answer::ok(b"")).await;
    let id = ComponentId::new("token", "").unwrap();
    let settings =
        settings(&format!(r#"{{"endpoint":"http://{}","auth":{{"authenticator":"token"}}}}"#, server.address));
    let mut authenticators = Authenticators::default();
    assert!(GrpcClient::new(&settings, &authenticators).unwrap_err().to_string().contains("authenticator not found"));
    authenticators.add_client(id.clone(), Arc::new(Token(true)));
    let client = GrpcClient::new(&settings, &authenticators).unwrap();
    call(&client, b"x").await.unwrap();
    assert_eq!(server.seen.lock().pop().unwrap().0.headers.get("authorization").unwrap(), "Bearer t");
    let mut authenticators = Authenticators::default();
    authenticators.add_client(id, Arc::new(Token(false)));
    let error = GrpcClient::new(&settings, &authenticators).unwrap_err().to_string();
    assert!(error.contains("cannot authenticate gRPC; use the otlphttp exporter"), "{error}");
}

#[test]
fn endpoints_are_read_in_all_their_forms() {
    let read = |json: &str| {
        let settings = settings(json);
        (settings.endpoint.to_string(), settings.tls.is_some())
    };
    for (json, endpoint, secure) in [
        (r#"{"endpoint":"h:4317"}"#, "h:4317", true),
        (r#"{"endpoint":"h:4317","tls":{"insecure":true}}"#, "h:4317", false),
        (r#"{"endpoint":"h:4317","tls":{"insecure":true,"ca_file":"x"}}"#, "h:4317", true),
        (r#"{"endpoint":"http://h:4317"}"#, "h:4317", false),
        (r#"{"endpoint":"http://h:4317/"}"#, "h:4317", false),
        (r#"{"endpoint":"http://h:4317","tls":{"insecure":false}}"#, "h:4317", true),
        (r#"{"endpoint":"https://h:4317","tls":{"insecure":true}}"#, "h:4317", true),
        (r#"{"endpoint":"dns:///h:4317"}"#, "h:4317", true),
        (r#"{"endpoint":"dns://1.1.1.1/h:4317"}"#, "h:4317", true),
        (r#"{"endpoint":"passthrough:///h:4317"}"#, "h:4317", true),
        (r#"{"endpoint":":4317"}"#, "localhost:4317", true),
        (r#"{"endpoint":"[::1]:4317"}"#, "[::1]:4317", true),
        (r#"{"endpoint":"unix:/run/s"}"#, "unix:/run/s", true),
        (r#"{"endpoint":"unix:///run/s","tls":{"insecure":true}}"#, "unix:/run/s", false),
    ] {
        assert_eq!(read(json), (endpoint.to_owned(), secure), "{json}");
    }
}

#[test]
fn the_collector_s_refusals() {
    for (json, key, part) in [
        ("{}", "endpoint", "requires a non-empty \"endpoint\""),
        (r#"{"endpoint":"http://"}"#, "endpoint", "requires a non-empty \"endpoint\""),
        (r#"{"endpoint":"unix:"}"#, "endpoint", "requires a non-empty \"endpoint\""),
        (r#"{"endpoint":"h"}"#, "endpoint", "missing port in address"),
        (r#"{"endpoint":"h:x"}"#, "endpoint", "invalid port \"x\""),
        (r#"{"endpoint":"h:99999"}"#, "endpoint", "invalid port \"99999\""),
        (r#"{"endpoint":"::1:4317"}"#, "endpoint", "invalid endpoint"),
        (r#"{"endpoint":"a b:1"}"#, "endpoint", "invalid endpoint"),
        (r#"{"endpoint":"http://h:1/path"}"#, "endpoint", "invalid"),
        (r#"{"endpoint":"h:1","compression":"lz4"}"#, "compression", "unsupported compression type \"lz4\""),
        (r#"{"endpoint":"h:1","balancer_name":"x"}"#, "balancer_name", "invalid balancer_name: x"),
        (r#"{"endpoint":"h:1","headers":{"a b":"c"}}"#, "headers", "name of \"a b\" cannot be sent"),
        (r#"{"endpoint":"h:1","tls":{"cert_file":"x"}}"#, "tls", "provide both certificate and key"),
        (r#"{"endpoint":"h:1","middlewares":[{"id":"x"}]}"#, "middlewares", "failed to resolve middleware"),
        (r#"{"endpoint":"h:1","user_agent":"a\nb"}"#, "user_agent", "failed to parse header value"),
    ] {
        let config: GrpcClientConfig = serde_json::from_str(json).unwrap();
        let problems = config.settings().unwrap_err();
        assert!(problems.iter().any(|(at, text)| *at == key && text.contains(part)), "{json}: {problems:?}");
    }
    assert!(serde_json::from_str::<GrpcClientConfig>(r#"{"endpiont":"h:1"}"#).is_err());
}

#[test]
fn silence_is_asked_about_as_in_grpc_go() {
    let ping = |keepalive: &str| settings(&format!(r#"{{"endpoint":"h:1"{keepalive}}}"#)).ping;
    let ten = Duration::from_secs(10);
    assert_eq!(ping(""), Http2Ping { after: ten, timeout: ten, while_idle: false });
    let given = ping(r#","keepalive":{"time":"1m","timeout":"5s","permit_without_stream":true}"#);
    assert_eq!(given, Http2Ping { after: Duration::from_secs(60), timeout: Duration::from_secs(5), while_idle: true });
    assert_eq!(ping(r#","keepalive":{"time":"1s"}"#).after, ten, "grpc-go asks no sooner");
}

#[test]
fn timeouts_have_eight_digits() {
    for (timeout, text) in [
        (Duration::from_nanos(5), "5n"),
        (Duration::from_secs(5), "5000000u"),
        (Duration::from_secs(3600), "3600000m"),
        (Duration::from_secs(1_000_000), "1000000S"),
        (Duration::from_secs(100_000_000), "1666667M"),
        (Duration::from_secs(36_000_000_000), "10000000H"),
    ] {
        assert_eq!(status::timeout_text(timeout), text, "{timeout:?}");
    }
}

//! The client against servers on loopback.
#![expect(clippy::unwrap_used, reason = "tests")]

mod configuration;
mod credentials;
mod faults;
mod proxies;
mod redirects;
mod tls;

use std::time::Duration;

use super::*;
use crate::testing::{Scripted, response};

const LIMIT: usize = 1 << 20;

fn client(settings: &ClientSettings) -> HttpClient {
    HttpClient::new(settings, &Authenticators::default()).unwrap()
}

fn plain() -> HttpClient {
    client(&ClientSettings { timeout: Some(Duration::from_secs(20)), ..ClientSettings::default() })
}

async fn get(client: &HttpClient, url: Uri) -> (ResponseHead, String) {
    let mut body = Vec::new();
    let head = client.send(&Request::get(url), &mut body, LIMIT).await.unwrap();
    (head, String::from_utf8(body).unwrap())
}

async fn fails(client: &HttpClient, request: &Request) -> RequestError {
    client.send(request, &mut Vec::new(), LIMIT).await.unwrap_err()
}

#[tokio::test]
async fn a_page_is_read_with_one_connection_for_many_requests() {
    let page = "up 1\n".repeat(2000);
    let answer = response("200 OK", "Content-Type: text/plain\r\n", &page);
    let server = Scripted::start(move |_, _, _| answer.clone()).await;
    let client = plain();
    let mut body = Vec::new();
    let request = Request::get(server.url("/metrics?x=1"));
    for _ in 0..50 {
        let head = client.send(&request, &mut body, LIMIT).await.unwrap();
        assert_eq!(head.status, StatusCode::OK);
        assert_eq!(head.headers.get("content-type").unwrap(), "text/plain");
        assert!(head.redirected_to.is_none());
        assert_eq!(body, page.as_bytes());
    }
    assert_eq!(server.connections(), 1);
    assert_eq!(client.idle_connections(), 1);
    let heads = server.heads();
    assert_eq!(heads.len(), 50);
    let host = format!("Host: {}\r\n", server.address);
    for head in heads {
        assert!(head.starts_with("GET /metrics?x=1 HTTP/1.1\r\n"), "{head}");
        assert!(head.contains(&host) && head.contains("user-agent: oxidot/"), "{head}");
        assert!(!head.to_lowercase().contains("content-length"), "{head}");
    }
}

#[tokio::test]
async fn chunked_bodies_and_bodies_until_the_end_are_read() {
    let server = Scripted::start(|_, head, _| {
        if head.contains("/chunked") {
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nup \r\n2\r\n1\n\r\n0\r\n\r\n".to_vec()
        } else {
            b"HTTP/1.0 200 OK\r\nConnection: close\r\n\r\nup 1\n".to_vec()
        }
    })
    .await;
    let client = plain();
    for _ in 0..3 {
        assert_eq!(get(&client, server.url("/chunked")).await.1, "up 1\n");
    }
    assert_eq!(server.connections(), 1);
    assert_eq!(get(&client, server.url("/until-close")).await.1, "up 1\n");
    assert_eq!(client.idle_connections(), 0);
}

#[tokio::test]
async fn a_body_is_sent_and_fields_that_frame_are_the_client_s() {
    let server = Scripted::start(|_, head, body| {
        assert!(head.starts_with("POST / HTTP/1.1\r\n"), "{head}");
        assert_eq!(head.to_lowercase().matches("content-length: 300000\r\n").count(), 1, "{head}");
        assert!(head.contains("x-a: 1\r\n") && !head.contains("transfer-encoding"), "{head}");
        response("204 No Content", "", if body.len() == 300_000 { "" } else { "short" })
    })
    .await;
    let mut request = Request::post(server.url(""), vec![7; 300_000]);
    for (name, value) in [("x-a", "1"), ("content-length", "5"), ("transfer-encoding", "chunked")] {
        request.headers.insert(name, value.parse().unwrap());
    }
    let mut body = Vec::new();
    let head = plain().send(&request, &mut body, LIMIT).await.unwrap();
    assert_eq!(head.status, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn responses_without_body_end_with_their_head() {
    let server = Scripted::start(|_, head, _| {
        if head.starts_with("HEAD") {
            b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n".to_vec()
        } else {
            b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n"
                .to_vec()
        }
    })
    .await;
    let client = plain();
    let mut body = Vec::new();
    for (method, status) in [(Method::HEAD, 200), (Method::GET, 304), (Method::HEAD, 200)] {
        let head = client.send(&Request::new(method, server.url("/")), &mut body, LIMIT).await.unwrap();
        assert_eq!((head.status.as_u16(), body.len()), (status, 0));
        assert!(head.headers.get("link").is_none());
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn bodies_are_compressed_as_configured() {
    let server = Scripted::start(|_, head, body| {
        let plain = if head.contains("content-encoding: gzip") {
            let mut plain = Vec::new();
            crate::decode::gunzip(body, &mut plain, LIMIT).unwrap();
            plain
        } else {
            body.to_vec()
        };
        response("200 OK", "", &String::from_utf8(plain).unwrap())
    })
    .await;
    let client =
        client(&ClientSettings { compression: Compression::parse("gzip", None).unwrap(), ..ClientSettings::default() });
    let mut body = Vec::new();
    let mut request = Request::post(server.url("/"), "a".repeat(5000));
    client.send(&request, &mut body, LIMIT).await.unwrap();
    assert_eq!(body, "a".repeat(5000).as_bytes());
    // What is encoded already is left alone.
    request.headers.insert("content-encoding", "snappy".parse().unwrap());
    client.send(&request, &mut body, LIMIT).await.unwrap();
    let heads = server.heads();
    assert!(heads.first().unwrap().contains("content-encoding: gzip\r\n"));
    assert!(heads.last().unwrap().contains("content-encoding: snappy\r\n"));
    assert!(heads.last().unwrap().contains("content-length: 5000\r\n"));
}

#[tokio::test]
async fn a_body_can_be_taken_piece_by_piece() {
    let server = Scripted::start(|_, _, _| {
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n".to_vec()
    })
    .await;
    let client = plain();
    for _ in 0..2 {
        let (head, mut body) = client.open(&Request::get(server.url("/watch"))).await.unwrap();
        assert_eq!(head.status, StatusCode::OK);
        let mut all = Vec::new();
        while let Some(chunk) = body.chunk().await.unwrap() {
            assert!(!chunk.is_empty());
            all.extend_from_slice(&chunk);
        }
        assert_eq!(all, b"onetwo");
        assert!(body.chunk().await.unwrap().is_none());
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_unix_socket_takes_the_place_of_the_host() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("metrics.sock");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        for _ in 0..2 {
            let (head, _) = crate::testing::read_request(&mut stream).await.unwrap();
            assert!(head.contains("Host: localhost\r\n"), "{head}");
            tokio::io::AsyncWriteExt::write_all(&mut stream, &response("200 OK", "", "up 1")).await.unwrap();
        }
    });
    let client = plain();
    let mut request = Request::get("http://localhost/metrics".parse().unwrap());
    request.unix_socket = Some(path);
    let mut body = Vec::new();
    for _ in 0..2 {
        client.send(&request, &mut body, LIMIT).await.unwrap();
        assert_eq!(body, b"up 1");
    }
    server.await.unwrap();
    request.unix_socket = Some("/nonexistent.sock".into());
    let error = fails(&client, &request).await;
    assert_eq!(error.kind(), RequestErrorKind::Connect);
    assert!(error.to_string().contains("dial unix /nonexistent.sock: connect: no such file or directory"));
}

#[tokio::test]
async fn limits_of_the_pool_hold() {
    let server = Scripted::start(|_, _, _| response("200 OK", "", "x")).await;
    let mut settings = ClientSettings::default();
    settings.pool.keep_alive = false;
    let closing = client(&settings);
    for _ in 0..3 {
        get(&closing, server.url("/")).await;
    }
    assert_eq!(server.connections(), 3);
    assert!(server.heads().iter().all(|head| head.contains("connection: close\r\n")));
    assert_eq!(closing.idle_connections(), 0);

    settings.pool.keep_alive = true;
    settings.pool.max_per_host = 1;
    let narrow = client(&settings);
    let requests = (0..20).map(|_| get(&narrow, server.url("/")));
    futures_util::future::join_all(requests).await;
    assert_eq!(server.connections(), 4);

    settings.pool.max_per_host = 0;
    settings.pool.max_idle_per_host = 2;
    let few = client(&settings);
    let requests = (0..5).map(|_| get(&few, server.url("/")));
    futures_util::future::join_all(requests).await;
    assert!(few.idle_connections() <= 2);
}

#[tokio::test(start_paused = true)]
async fn unused_connections_are_closed() {
    let server = Scripted::start(|_, _, _| response("200 OK", "", "x")).await;
    let mut settings = ClientSettings::default();
    settings.pool.idle_timeout = Duration::from_secs(60);
    let client = client(&settings);
    get(&client, server.url("/")).await;
    assert_eq!(client.idle_connections(), 1);
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert_eq!(client.idle_connections(), 0);
    get(&client, server.url("/")).await;
    assert_eq!(server.connections(), 2);
}

#[tokio::test(start_paused = true)]
async fn busy_connections_are_renewed_so_that_names_are_looked_up_again() {
    let server = Scripted::start(|_, _, _| response("200 OK", "", "x")).await;
    let mut settings = ClientSettings::default();
    settings.pool.max_age = Duration::from_secs(60);
    let client = client(&settings);
    for _ in 0..9 {
        get(&client, server.url("/")).await;
        tokio::time::sleep(Duration::from_secs(20)).await;
    }
    assert_eq!(server.connections(), 3, "three requests each");
}

#[tokio::test]
async fn of_an_answer_too_long_the_status_is_known() {
    let body = "x".repeat(100_000);
    let server = Scripted::start(move |_, _, _| response("400 Bad Request", "", &body)).await;
    let client = client(&ClientSettings::default());
    let request = Request::post(server.url("/"), "x");
    let mut answer = Vec::new();
    let head = client.send_for_status(&request, &mut answer, 1000).await.unwrap();
    assert_eq!((head.status.as_u16(), answer.len()), (400, 1000));
    assert_eq!(client.idle_connections(), 0, "the rest of it is not waited for");
    let head = client.send_for_status(&request, &mut answer, 1 << 20).await.unwrap();
    assert_eq!((head.status.as_u16(), answer.len()), (400, 100_000));
}

#[tokio::test]
async fn cookies_are_sent_back_if_wanted() {
    let server = Scripted::start(|_, _, _| response("200 OK", "Set-Cookie: node=b; Path=/\r\n", "x")).await;
    let client = client(&ClientSettings { cookies: true, ..ClientSettings::default() });
    get(&client, server.url("/")).await;
    get(&client, server.url("/")).await;
    let heads = server.heads();
    assert!(!heads.first().unwrap().contains("cookie"));
    assert!(heads.last().unwrap().contains("cookie: node=b\r\n"));
}

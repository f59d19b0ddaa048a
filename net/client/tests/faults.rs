//! What goes wrong, and how it reads.

use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use super::*;

#[tokio::test]
async fn nobody_listens() {
    let (_kept, address) = crate::testing::nobody();
    let url: Uri = format!("http://{address}/metrics").parse().unwrap();
    let error = fails(&plain(), &Request::get(url.clone())).await;
    assert_eq!(error.kind(), RequestErrorKind::ConnectRefused);
    assert!(error.is_retryable());
    assert_eq!(error.to_string(), format!("Get \"{url}\": dial tcp {address}: connect: connection refused"));
}

#[tokio::test]
async fn names_that_do_not_exist() {
    let error = fails(&plain(), &Request::get("http://no-such-host.invalid:1/".parse().unwrap())).await;
    assert_eq!(error.kind(), RequestErrorKind::Dns);
    assert!(error.to_string().contains("dial tcp: lookup no-such-host.invalid: "), "{error}");
}

#[tokio::test]
async fn urls_that_cannot_be_requested() {
    for (url, detail) in
        [("ftp://h/", "unsupported protocol scheme \"ftp\""), ("/path", "unsupported protocol scheme \"\"")]
    {
        let error = fails(&plain(), &Request::get(url.parse().unwrap())).await;
        assert_eq!((error.kind(), error.detail()), (RequestErrorKind::InvalidUrl, detail));
        assert!(!error.is_retryable());
    }
}

/// A server that sends `bytes` after a request and then neither sends nor closes.
async fn stalls_after(bytes: &'static [u8]) -> (Uri, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/slow", listener.local_addr().unwrap()).parse().unwrap();
    let task = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        crate::testing::read_request(&mut stream).await;
        stream.write_all(bytes).await.unwrap();
        std::future::pending::<()>().await;
    });
    (url, task)
}

#[tokio::test]
async fn the_timeout_covers_head_and_body() {
    for (sent, phase) in [
        (&b""[..], "awaiting headers"),
        (b"HTTP/1.1 200 OK\r\nContent-Le", "awaiting headers"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nup 1\n", "reading body"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nup 1\n\r\n", "reading body"),
    ] {
        let (url, task) = stalls_after(sent).await;
        let mut request = Request::get(url.clone());
        request.timeout = Some(Duration::from_millis(50));
        let error = fails(&plain(), &request).await;
        assert!(error.is_timeout() && error.is_retryable());
        assert_eq!(error.to_string(), format!("Get \"{url}\": context deadline exceeded (50ms passed while {phase})"));
        task.abort();
    }
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_refused_early() {
    for head in ["Content-Length: 1000000000000", "Transfer-Encoding: chunked", "X-Until: close"] {
        let server = Scripted::start(move |_, _, _| {
            let mut answer = format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n").into_bytes();
            if head.starts_with("Transfer") {
                answer.extend_from_slice(b"186a0\r\n");
            }
            answer.extend(std::iter::repeat_n(b'x', 100_000));
            answer
        })
        .await;
        let mut body = Vec::new();
        let error = plain().send(&Request::get(server.url("/")), &mut body, 50_000).await.unwrap_err();
        assert_eq!(error.kind(), RequestErrorKind::BodyTooLarge, "{head}");
        assert!(error.detail().starts_with("body size limit exceeded"), "{error}");
        assert!(!error.is_retryable());
        assert!(body.capacity() < 400_000, "{}", body.capacity());
    }
    // The limit itself is allowed.
    let server = Scripted::start(|_, _, _| response("200 OK", "", "12345")).await;
    let mut body = Vec::new();
    plain().send(&Request::get(server.url("/")), &mut body, 5).await.unwrap();
    assert!(plain().send(&Request::get(server.url("/")), &mut body, 4).await.is_err());
}

#[tokio::test]
async fn responses_that_end_early_are_errors() {
    for (answer, detail) in [
        (&b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 10\r\n\r\nup"[..], "unexpected EOF"),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nup", "unexpected EOF"),
        (b"HTTP/1.1 200 OK\r\nConnection: close", "unexpected EOF"),
        (b"", "EOF"),
    ] {
        let server = Scripted::start(move |_, _, _| answer.to_vec()).await;
        let error = fails(&plain(), &Request::get(server.url("/"))).await;
        assert_eq!((error.kind(), error.detail()), (RequestErrorKind::Reset, detail));
    }
}

#[tokio::test]
async fn what_is_not_http_is_an_error() {
    for (answer, part) in [
        (&b"SSH-2.0-OpenSSH_9.6\r\n\r\n"[..], "malformed HTTP response \"SSH-2.0-"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "bad Content-Length"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\n", "bad Content-Length"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "unsupported transfer encoding"),
        (b"HTTP/1.1 101 Switching\r\n\r\n", "protocol switch"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "invalid byte in chunk length"),
    ] {
        let server = Scripted::start(move |_, _, _| answer.to_vec()).await;
        let error = fails(&plain(), &Request::get(server.url("/"))).await;
        assert_eq!(error.kind(), RequestErrorKind::Protocol);
        assert!(error.detail().contains(part), "{error}");
    }
    let server = Scripted::start(|_, _, _| {
        let mut answer = b"HTTP/1.1 200 OK\r\n".to_vec();
        answer.extend(b"x-long: ".iter().copied().chain(std::iter::repeat_n(b'y', 1 << 20)));
        answer
    })
    .await;
    let error = fails(&plain(), &Request::get(server.url("/"))).await;
    assert!(error.detail().contains("server response headers exceeded"), "{error}");
}

#[tokio::test]
async fn a_kept_connection_that_was_closed_is_replaced() {
    // Each connection serves one request and closes without saying so: at once, or when the second request arrives.
    for closes_on_second in [false, true] {
        let server = Scripted::start(move |_, _, _| response("200 OK", "", "x")).await;
        let front = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url: Uri = format!("http://{}/", front.local_addr().unwrap()).parse().unwrap();
        let target = server.address;
        let task = tokio::spawn(async move {
            loop {
                let (mut client, _) = front.accept().await.unwrap();
                let mut upstream = tokio::net::TcpStream::connect(target).await.unwrap();
                let (head, _) = crate::testing::read_request(&mut client).await.unwrap();
                upstream.write_all(head.as_bytes()).await.unwrap();
                client.write_all(&response("200 OK", "", "x")).await.unwrap();
                if closes_on_second {
                    tokio::spawn(async move { crate::testing::read_request(&mut client).await });
                }
            }
        });
        let client = plain();
        for _ in 0..5 {
            assert_eq!(get(&client, url.clone()).await.1, "x");
        }
        if closes_on_second {
            // A POST must not be sent twice without its sender's consent.
            let mut post = Request::post(url.clone(), "a");
            let error = fails(&client, &post).await;
            assert_eq!((error.kind(), error.is_retryable()), (RequestErrorKind::Reset, true));
            post.idempotent = Some(true);
            assert_eq!(get(&client, url.clone()).await.1, "x");
            client.send(&post, &mut Vec::new(), LIMIT).await.unwrap();
        }
        task.abort();
    }
}

#[tokio::test]
async fn a_refusal_is_read_though_the_body_was_not_taken() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url: Uri = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
    let task = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = [0; 100];
        tokio::io::AsyncReadExt::read_exact(&mut stream, &mut head).await.unwrap();
        stream.write_all(&response("413 Payload Too Large", "", "too much")).await.unwrap();
        // Neither reads on nor closes: a client that writes first would wait for ever.
        std::future::pending::<()>().await;
    });
    let client = plain();
    let mut body = Vec::new();
    let request = Request::post(url, vec![0; 50 << 20]);
    let head = client.send(&request, &mut body, LIMIT).await.unwrap();
    assert_eq!((head.status.as_u16(), body.as_slice()), (413, &b"too much"[..]));
    assert_eq!(client.idle_connections(), 0);
    task.abort();
}

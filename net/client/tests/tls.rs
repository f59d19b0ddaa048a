//! HTTPS, both versions of HTTP.

use super::*;
use crate::tls::tests::TestCa;
use crate::tls::{ClientTlsSettings, PemSource};

fn trusting(tls: ClientTlsSettings, http2: bool) -> HttpClient {
    client(&ClientSettings { tls, http2, timeout: Some(Duration::from_secs(20)), ..ClientSettings::default() })
}

#[tokio::test]
async fn https_with_an_own_authority() {
    let ca = TestCa::new();
    let (address, server) = ca.https_server("localhost").await;
    let url: Uri = format!("https://localhost:{}/metrics", address.port()).parse().unwrap();
    for http2 in [false, true] {
        let client = trusting(ca.trusted(), http2);
        for _ in 0..3 {
            let (head, body) = get(&client, url.clone()).await;
            assert_eq!(body, "GET /metrics");
            let version = if http2 { "HTTP/2.0" } else { "HTTP/1.1" };
            assert_eq!(head.headers.get("x-version").unwrap(), version);
        }
        // HTTP/2 connections are shared, not kept.
        assert_eq!(client.idle_connections(), usize::from(!http2));
        let mut body = Vec::new();
        let error = client.send(&Request::get(url.clone()), &mut body, 3).await.unwrap_err();
        assert_eq!(error.kind(), RequestErrorKind::BodyTooLarge);
        let post = Request::post(url.clone(), vec![1; 200_000]);
        client.send(&post, &mut body, LIMIT).await.unwrap();
        assert_eq!(body, b"POST /metrics");
    }
    server.abort();
}

#[tokio::test]
async fn certificates_are_judged() {
    let ca = TestCa::new();
    let (address, server) = ca.https_server("right.example").await;
    let url: Uri = format!("https://127.0.0.1:{}/", address.port()).parse().unwrap();

    let error = fails(&trusting(ca.trusted(), true), &Request::get(url.clone())).await;
    assert_eq!(error.kind(), RequestErrorKind::Tls);
    assert!(error.to_string().contains("x509: certificate is not valid for 127.0.0.1"), "{error}");

    let stranger = TestCa::new();
    let named = ClientTlsSettings { server_name: Some("right.example".to_owned()), ..stranger.trusted() };
    let error = fails(&trusting(named, true), &Request::get(url.clone())).await;
    assert!(
        error.to_string().contains("tls: failed to verify certificate: x509: certificate signed by unknown authority"),
        "{error}"
    );

    let named = ClientTlsSettings { server_name: Some("right.example".to_owned()), ..ca.trusted() };
    assert_eq!(get(&trusting(named, false), url.clone()).await.1, "GET /");
    let careless = ClientTlsSettings { insecure_skip_verify: true, ..ClientTlsSettings::default() };
    assert_eq!(get(&trusting(careless, false), url.clone()).await.1, "GET /");

    let missing =
        ClientTlsSettings { ca: Some(PemSource::File("/nonexistent/ca.pem".into())), ..ClientTlsSettings::default() };
    let client = trusting(missing, false);
    assert!(client.check_files().is_err());
    let error = fails(&client, &Request::get(url)).await;
    assert_eq!(error.kind(), RequestErrorKind::Tls);
    assert!(error.to_string().contains("failed to load CA cert: open /nonexistent/ca.pem: no such file"), "{error}");
    server.abort();
}

#[tokio::test]
async fn plain_http_on_a_tls_port_and_the_other_way_round() {
    let plain_server = Scripted::start(|_, _, _| b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url: Uri = format!("https://{}/", listener.local_addr().unwrap()).parse().unwrap();
    let task = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        std::future::pending::<()>().await;
    });
    let careless = ClientTlsSettings { insecure_skip_verify: true, ..ClientTlsSettings::default() };
    let error = fails(&trusting(careless, false), &Request::get(url)).await;
    assert_eq!(error.kind(), RequestErrorKind::Tls);
    assert!(error.to_string().contains("may speak plain http"), "{error}");
    task.abort();
    drop(plain_server);
}

#[tokio::test]
async fn a_rotated_authority_is_taken_up_by_the_next_connection() {
    let (old, new) = (TestCa::new(), TestCa::new());
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ca.pem");
    std::fs::write(&path, old.ca_pem()).unwrap();
    let client =
        trusting(ClientTlsSettings { ca: Some(PemSource::File(path.clone())), ..ClientTlsSettings::default() }, false);
    let (old_address, old_server) = old.https_server("localhost").await;
    let (new_address, new_server) = new.https_server("localhost").await;
    let url = |port: u16| -> Uri { format!("https://localhost:{port}/").parse().unwrap() };
    get(&client, url(old_address.port())).await;
    assert!(client.send(&Request::get(url(new_address.port())), &mut Vec::new(), LIMIT).await.is_err());

    std::fs::write(&path, new.ca_pem()).unwrap();
    get(&client, url(new_address.port())).await;
    // The connection that was made under the old authority is not used any more.
    assert!(client.send(&Request::get(url(old_address.port())), &mut Vec::new(), LIMIT).await.is_err());

    // Rubbish does not undo what works.
    std::fs::write(&path, "half a certif").unwrap();
    get(&client, url(new_address.port())).await;
    old_server.abort();
    new_server.abort();
}

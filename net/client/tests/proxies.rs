//! Requests through a proxy.

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::tls::tests::TestCa;

fn through(proxy: &str, tls: crate::tls::ClientTlsSettings) -> HttpClient {
    client(&ClientSettings {
        proxy: ProxySettings::Url {
            url: ProxyUrl::parse(proxy).unwrap(),
            no_proxy: String::new(),
            connect_headers: vec![("x-tunnel".parse().unwrap(), pipeline::config::Secret::new("t"))],
        },
        tls,
        ..ClientSettings::default()
    })
}

#[tokio::test]
async fn plain_requests_name_the_whole_url() {
    let proxy = Scripted::start(|_, head, _| response("200 OK", "", head.lines().next().unwrap_or_default())).await;
    let client = through(&format!("http://me:s%40cret@{}", proxy.address), Default::default());
    for host in ["a.example", "b.example:81"] {
        let (_, body) = get(&client, format!("http://{host}/metrics?q").parse().unwrap()).await;
        assert_eq!(body, format!("GET http://{host}/metrics?q HTTP/1.1"));
    }
    // One connection to the proxy serves all hosts.
    assert_eq!(proxy.connections(), 1);
    let heads = proxy.heads();
    assert!(heads.iter().all(|head| head.contains("proxy-authorization: Basic bWU6c0BjcmV0\r\n")), "{heads:?}");
    assert!(heads.last().unwrap().contains("Host: b.example:81\r\n"));
}

#[test]
fn the_proxy_of_a_request_is_told_without_its_password() {
    let client = through("http://me:s%40cret@proxy.example:3128", Default::default());
    let told = |url: &'static str| client.proxy_of(&http::Uri::from_static(url));
    assert_eq!(told("https://a.example/"), Some("http://me:xxxxx@proxy.example:3128/".to_owned()));
    assert_eq!(told("ftp://a.example/"), None);
    let direct = self::client(&ClientSettings::default());
    assert_eq!(direct.proxy_of(&http::Uri::from_static("http://a.example/")), None);
}

#[tokio::test]
async fn https_goes_through_a_tunnel() {
    let ca = TestCa::new();
    let (target, server) = ca.https_server("target.example").await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = format!("http://me:pw@{}", listener.local_addr().unwrap());
    let tunnel = tokio::spawn(async move {
        let (mut client, _) = listener.accept().await.unwrap();
        let (head, _) = crate::testing::read_request(&mut client).await.unwrap();
        assert!(head.starts_with("CONNECT target.example:443 HTTP/1.1\r\nHost: target.example:443\r\n"), "{head}");
        assert!(head.contains("x-tunnel: t\r\n") && head.contains("proxy-authorization: Basic bWU6cHc=\r\n"), "{head}");
        client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.unwrap();
        let mut upstream = TcpStream::connect(target).await.unwrap();
        tokio::io::copy_bidirectional(&mut client, &mut upstream).await.ok();
    });
    let client = through(&proxy, ca.trusted());
    for _ in 0..3 {
        let (_, body) = get(&client, "https://target.example/x".parse().unwrap()).await;
        assert_eq!(body, "GET /x");
    }
    assert_eq!(client.idle_connections(), 1);
    drop(client);
    tunnel.await.unwrap();
    server.abort();
}

#[tokio::test]
async fn a_proxy_s_refusal_is_told() {
    let proxy = Scripted::start(|_, _, _| response("407 Proxy Authentication Required", "", "")).await;
    let client = through(&format!("http://u:secret@{}", proxy.address), Default::default());
    let error = fails(&client, &Request::get("https://target.example/".parse().unwrap())).await;
    assert_eq!(error.kind(), RequestErrorKind::Proxy);
    let text = error.to_string();
    assert!(text.contains("refused to connect to target.example:443: 407 Proxy Authentication Required"), "{text}");
    assert!(!text.contains("secret"), "{text}");

    let (_kept, nobody) = crate::testing::nobody();
    let client = through(&format!("http://{nobody}"), Default::default());
    let error = fails(&client, &Request::get("http://target.example/".parse().unwrap())).await;
    assert_eq!(error.kind(), RequestErrorKind::Proxy);
    assert!(error.to_string().contains("proxyconnect tcp: dial tcp"), "{error}");
}

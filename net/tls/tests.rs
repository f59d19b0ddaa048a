//! Certificates made for the tests, and a server that uses them.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::StatusCode;
use pipeline::config::Secret;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio::task::JoinHandle;

use super::*;
use crate::server::{Handler, HttpServer, HttpServerSettings, Request, Response};

/// An authority for one test.
pub(crate) struct TestCa {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl TestCa {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    pub(crate) fn ca_pem(&self) -> &str {
        &self.pem
    }

    /// A client that trusts this authority.
    pub(crate) fn trusted(&self) -> ClientTlsSettings {
        ClientTlsSettings {
            ca: Some(PemSource::Inline(Secret::new(self.pem.as_str()))),
            ..ClientTlsSettings::default()
        }
    }

    /// A certificate for a name.
    pub(crate) fn identity(&self, name: &str) -> Identity {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let cert = params.signed_by(&key, &self.issuer).unwrap();
        inline(&cert.pem(), &key.serialize_pem())
    }

    pub(crate) fn server_settings(&self, name: &str) -> ServerTlsSettings {
        server_settings(self.identity(name))
    }

    /// A server that answers with method and path, and the version of HTTP in a field.
    pub(crate) async fn https_server(&self, name: &str) -> (SocketAddr, JoinHandle<()>) {
        serve(self.server_settings(name)).await
    }
}

fn inline(cert: &str, key: &str) -> Identity {
    Identity { cert: PemSource::Inline(Secret::new(cert)), key: PemSource::Inline(Secret::new(key)) }
}

fn server_settings(identity: Identity) -> ServerTlsSettings {
    ServerTlsSettings {
        identity,
        client_ca: None,
        versions: VersionRange::default(),
        cipher_suites: Vec::new(),
        curves: Vec::new(),
        reload: Reload::OnConnect,
        http2: true,
    }
}

struct Echo;

#[async_trait]
impl Handler for Echo {
    async fn handle(&self, request: Request) -> Response {
        let mut response = Response::text(StatusCode::OK, format!("{} {}", request.method, request.uri.path()));
        let version = if request.uri.authority().is_some() { "HTTP/2.0" } else { "HTTP/1.1" };
        response.headers.insert("x-version", version.parse().unwrap());
        response
    }
}

pub(crate) async fn serve(settings: ServerTlsSettings) -> (SocketAddr, JoinHandle<()>) {
    let settings = HttpServerSettings {
        endpoint: "127.0.0.1:0".to_owned(),
        tls: Some(ServerTls::new(settings).unwrap()),
        ..HttpServerSettings::default()
    };
    let server = HttpServer::bind(settings, Arc::new(Echo)).await.unwrap();
    let address = server.local_addr().unwrap();
    (address, tokio::spawn(server.serve(std::future::pending(), Duration::ZERO)))
}

async fn fetch(tls: ClientTlsSettings, address: SocketAddr) -> Result<Vec<u8>, String> {
    let settings = crate::client::ClientSettings {
        tls,
        timeout: Some(Duration::from_secs(20)),
        ..crate::client::ClientSettings::default()
    };
    let client = crate::client::HttpClient::new(&settings, &crate::auth::Authenticators::default()).unwrap();
    let url = format!("https://localhost:{}/", address.port()).parse().unwrap();
    let mut body = Vec::new();
    match client.send(&crate::client::Request::get(url), &mut body, 1000).await {
        Ok(_) => Ok(body),
        Err(error) => Err(error.to_string()),
    }
}

#[tokio::test]
async fn clients_can_be_made_to_show_a_certificate() {
    let (ca, clients) = (TestCa::new(), TestCa::new());
    let settings = ServerTlsSettings {
        client_ca: Some(PemSource::Inline(Secret::new(clients.ca_pem()))),
        ..ca.server_settings("localhost")
    };
    let (address, server) = serve(settings).await;
    let error = fetch(ca.trusted(), address).await.unwrap_err();
    assert!(error.contains("CertificateRequired"), "{error}");
    let strange = ClientTlsSettings { identity: Some(ca.identity("me")), ..ca.trusted() };
    assert!(fetch(strange, address).await.is_err());
    let known = ClientTlsSettings { identity: Some(clients.identity("me")), ..ca.trusted() };
    assert_eq!(fetch(known, address).await.unwrap(), b"GET /");
    server.abort();
}

#[tokio::test]
async fn a_self_signed_certificate_is_trusted_when_it_is_named_itself() {
    // As `openssl req -x509` makes them: server certificate and authority in one.
    let own = |name: &str| {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
    };
    let trusting =
        |pem: &str| ClientTlsSettings { ca: Some(PemSource::Inline(Secret::new(pem))), ..ClientTlsSettings::default() };
    let (pem, key) = own("localhost");
    let (address, server) = serve(server_settings(inline(&pem, &key))).await;
    assert_eq!(fetch(trusting(&pem), address).await.unwrap(), b"GET /");
    // Another one of the same kind is not.
    let (other, _) = own("localhost");
    assert!(fetch(trusting(&other), address).await.is_err());
    server.abort();

    let (pem, key) = own("elsewhere");
    let (address, server) = serve(server_settings(inline(&pem, &key))).await;
    let error = fetch(trusting(&pem), address).await.unwrap_err();
    assert!(error.contains("certificate is not valid for localhost"), "{error}");
    server.abort();
}

#[tokio::test]
async fn versions_and_suites_are_kept_to() {
    let ca = TestCa::new();
    let old = ServerTlsSettings {
        versions: VersionRange { min: None, max: Some(TlsVersion::Tls12) },
        ..ca.server_settings("localhost")
    };
    let (address, server) = serve(old).await;
    let new_only = VersionRange { min: Some(TlsVersion::Tls13), max: None };
    assert!(fetch(ClientTlsSettings { versions: new_only, ..ca.trusted() }, address).await.is_err());
    let suite = |name: &str| ClientTlsSettings { cipher_suites: vec![name.to_owned()], ..ca.trusted() };
    assert_eq!(fetch(suite("TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"), address).await.unwrap(), b"GET /");
    // The server's key is ECDSA.
    assert!(fetch(suite("TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"), address).await.is_err());
    server.abort();
}

#[tokio::test]
async fn a_server_takes_up_a_rotated_certificate() {
    let (old, new) = (TestCa::new(), TestCa::new());
    let directory = tempfile::tempdir().unwrap();
    let (cert, key) = (directory.path().join("cert"), directory.path().join("key"));
    let write = |identity: Identity| {
        let (PemSource::Inline(cert_pem), PemSource::Inline(key_pem)) = (identity.cert, identity.key) else {
            return;
        };
        std::fs::write(&cert, cert_pem.expose()).unwrap();
        std::fs::write(&key, key_pem.expose()).unwrap();
    };
    write(old.identity("localhost"));
    let files = Identity { cert: PemSource::File(cert.clone()), key: PemSource::File(key.clone()) };
    let (address, server) = serve(server_settings(files)).await;
    assert!(fetch(old.trusted(), address).await.is_ok());
    write(new.identity("localhost"));
    assert!(fetch(old.trusted(), address).await.is_err());
    assert!(fetch(new.trusted(), address).await.is_ok());
    // A key that does not fit its certificate: the old pair stays.
    std::fs::write(&cert, "rubbish").unwrap();
    assert!(fetch(new.trusted(), address).await.is_ok());
    server.abort();
}

#[test]
fn mistakes_are_named() {
    let ca = TestCa::new();
    let mut settings = ca.server_settings("localhost");
    settings.identity.key = ca.identity("other").key;
    let error = ServerTls::new(settings).unwrap_err().to_string();
    assert!(error.contains("does not fit"), "{error}");
    let mut settings = ca.server_settings("localhost");
    settings.identity.cert = PemSource::File("/nonexistent/cert".into());
    let error = ServerTls::new(settings).unwrap_err().to_string();
    assert!(error.contains("failed to load TLS cert: open /nonexistent/cert: no such file or directory"), "{error}");
    let mut settings = ca.server_settings("localhost");
    settings.identity.key = PemSource::Inline(Secret::new("s3cret"));
    let error = ServerTls::new(settings).unwrap_err().to_string();
    assert!(error.contains("no private key in the inline text") && !error.contains("s3cret"), "{error}");
}

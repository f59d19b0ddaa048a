//! The way to the store: names, ports, proxies, time, certificates.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::{Answering, config, doctor, signed, sts, with_keys, workspace};
use crate::support::free_port;
use crate::support::http::{Reply, Server};

#[test]
fn a_name_without_an_address_a_port_without_a_listener_and_a_store_that_hangs() {
    let (sts, silent) = (sts(), Server::start(|_| Reply::Hang));
    let closing = Server::start(|_| Reply::Close);
    let refused = format!("http://127.0.0.1:{}/w", free_port());
    for (url, words) in [
        ("http://nowhere.invalid/w".to_owned(), ["lookup nowhere.invalid", "getent hosts nowhere.invalid"]),
        (refused, ["connection refused", "Nothing listens at port"]),
        (workspace(&silent), ["1s passed while awaiting headers", "Raise timeout"]),
        (workspace(&closing), ["EOF", "was opened and ended without an answer"]),
    ] {
        let config = signed(&url).replace("sigv4:", "timeout: 1s, sigv4:");
        doctor(&config, with_keys(&sts)).says(1, &words);
        doctor(&config, with_keys(&sts)).says(1, &["write FAIL no answer: "]);
    }
}

#[test]
fn a_proxy_that_refuses_is_told_from_the_store() {
    let sts = sts();
    let proxy = Server::start(|request| {
        assert_eq!(request.path, "store.example:443");
        Reply::status(403, "no")
    });
    let url = format!("http://me:hunter2@127.0.0.1:{}", proxy.port());
    let config = signed("https://store.example/workspaces/ws-1/api/v1/remote_write")
        .replace("sigv4:", &format!("proxy_url: \"{url}\", sigv4:"));
    let outcome = doctor(&config, with_keys(&sts));
    outcome.says(
        1,
        &[
            &format!("network ok through the proxy http://me:xxxxx@127.0.0.1:{}", proxy.port()),
            "refused to connect to store.example:443: 403 Forbidden",
            "does not let this through",
            "NO_PROXY=store.example",
        ],
    );
    outcome.does_not_say(&["hunter2"]);
    let nobody = config.replace(&proxy.port().to_string(), &free_port().to_string());
    doctor(&nobody, with_keys(&sts)).says(1, &["proxyconnect tcp: dial tcp", "does not let this through"]);
}

/// An endpoint of AMP, whose name a proxy takes to a stand-in: all of it but the network is as it will be.
fn amp(proxy: &Server, exporter: &str) -> String {
    let url = "http://aps-workspaces.us-east-1.amazonaws.com/workspaces/ws-1/api/v1/remote_write";
    let proxy = format!("http://127.0.0.1:{}", proxy.port());
    config(&format!("prometheusremotewrite: {{endpoint: \"{url}\", proxy_url: \"{proxy}\"{exporter}}}"), "")
}

#[test]
fn a_signature_for_another_region_than_the_endpoint_s_is_seen_before_anybody_is_asked() {
    let (sts, store) = (
        sts(),
        Answering::new(
            403,
            &[("x-amzn-RequestId", "r")],
            r#"{"message":"Credential should be scoped to a valid region, not 'eu-west-1'."}"#,
        ),
    );
    doctor(&amp(&store.server, ", sigv4: {region: eu-west-1}"), with_keys(&sts)).says(
        1,
        &[
            "signing FAIL for aps in eu-west-1 (as configured), by the exporter's sigv4 block; but the endpoint is that of aps in us-east-1",
            "Signatures for aps in eu-west-1 are not accepted by aps in us-east-1",
            "set region and service (of sigv4auth, sigv4 or aws_auth) to that",
        ],
    );
    // Without a region it is the host's.
    let store = Answering::new(200, &[("x-amzn-RequestId", "r")], "");
    doctor(&amp(&store.server, ", sigv4: {}"), with_keys(&sts)).says(
        1,
        &[
            "signing ok for aps in us-east-1 (as the endpoint's host says)",
            "Write https:// in the endpoint.",
            "write ok",
        ],
    );
}

#[test]
fn an_endpoint_of_amp_that_is_not_signed_or_not_whole_is_told() {
    let store = Answering::new(403, &[], r#"{"message":"Missing Authentication Token"}"#);
    doctor(&amp(&store.server, ""), |_| {}).says(
        1,
        &[
            "signing FAIL requests are not signed, and the endpoint takes no others",
            "define the extension sigv4auth, list it under service::extensions",
            // No such answer comes from AWS.
            "This answer has no x-amzn-RequestId: it is hardly AWS' own.",
            "requests go through http://127.0.0.1:",
        ],
    );
    let short = amp(&store.server, "").replace("/api/v1/remote_write", "/");
    doctor(&short, |_| {}).says(1, &["endpoint FAIL /workspaces/ws-1/ is not where a workspace takes writes"]);
}

#[test]
fn nothing_tells_the_region() {
    let (sts, store) = (sts(), Answering::new(200, &[], ""));
    let config = signed(&workspace(&store.server)).replace("region: eu-west-1", "");
    doctor(&config, with_keys(&sts))
        .says(1, &["signing FAIL cannot sign: no region is known", "Set region in sigv4auth"]);
    let in_environment = |command: &mut std::process::Command| {
        with_keys(&sts)(command);
        command.env("AWS_REGION", "eu-north-1");
    };
    doctor(&config, in_environment).says(0, &["for aps in eu-north-1 (as the environment or the profile says)"]);
}

/// A server with a certificate of its own, that answers all requests with 200.
struct Secure {
    port: u16,
    /// The authority that its certificate is signed by.
    authority: String,
}

impl Secure {
    fn start(name: &str, change: impl FnOnce(&mut CertificateParams)) -> Self {
        let authority_key = KeyPair::generate().unwrap();
        let mut authority = CertificateParams::new(Vec::new()).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = authority.self_signed(&authority_key).unwrap().pem();
        let issuer = Issuer::new(authority, authority_key);
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        change(&mut params);
        let certificate = params.signed_by(&key, &issuer).unwrap();
        let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        let config = Arc::new(config);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        // Ends with the process: nobody waits for it, and it holds nothing but its port.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut tls = StreamOwned::new(ServerConnection::new(Arc::clone(&config)).unwrap(), stream.unwrap());
                let mut bytes = [0; 4096];
                if tls.read(&mut bytes).is_ok_and(|len| len > 0) {
                    tls.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").ok();
                    tls.conn.send_close_notify();
                    tls.flush().ok();
                }
            }
        });
        Self { port, authority: pem }
    }

    /// A configuration that trusts this server's authority, or no more than the system does.
    fn config(&self, host: &str, trusted: bool) -> (tempfile::TempDir, String) {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("ca.pem");
        std::fs::write(&file, &self.authority).unwrap();
        let tls = if trusted { format!("tls: {{ca_file: \"{}\"}}, ", file.display()) } else { String::new() };
        let url = format!("https://{host}:{}/w", self.port);
        (directory, signed(&url).replace("sigv4:", &format!("{tls}sigv4:")))
    }
}

#[test]
fn certificates_are_told_by_what_is_wrong_with_them() {
    let sts = sts();
    let good = Secure::start("localhost", |_| {});
    let expired = Secure::start("localhost", |params| {
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2021, 1, 1);
    });
    let system = |command: &mut std::process::Command| {
        with_keys(&sts)(command);
        // The system's bundle, which a cleared environment leaves where it is, does not have the authority; an own one needs no system.
        command.env("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt");
    };
    let (_a, trusted) = good.config("localhost", true);
    doctor(&trusted, system).says(0, &["write ok HTTP 200 OK"]);
    let (_b, other_name) = good.config("127.0.0.1", true);
    doctor(&other_name, system)
        .says(1, &["certificate is not valid for 127.0.0.1", "The certificate is that of another name than 127.0.0.1"]);
    let (_c, too_old) = expired.config("localhost", true);
    doctor(&too_old, system).says(1, &["certificate has expired or is not yet valid", "date -u"]);
    let (_d, unknown) = good.config("localhost", false);
    if std::path::Path::new("/etc/ssl/certs/ca-certificates.crt").exists() {
        doctor(&unknown, system).says(
            1,
            &[
                "certificate signed by unknown authority",
                "signed by an authority that is not trusted here",
                "openssl s_client -connect localhost:",
            ],
        );
    }
    doctor(&trusted.replace("ca.pem", "absent.pem"), system).says(1, &["client FAIL", "absent.pem"]);
    // One that hangs up at what it does not understand, and one that answers it in plain text.
    let plain = Answering::new(200, &[], "");
    let spoken_to = signed(&workspace(&plain.server).replace("http:", "https:"));
    doctor(&spoken_to, system).says(1, &["write FAIL no answer: ", "the endpoint needs http:// or another port"]);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = format!("https://127.0.0.1:{}/w", listener.local_addr().unwrap().port());
    let speaking = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        // Until the other side has gone.
        stream.read_to_end(&mut Vec::new()).ok();
    });
    doctor(&signed(&url), system).says(1, &["does not speak TLS", "the endpoint needs http:// or another port"]);
    speaking.join().unwrap();
}

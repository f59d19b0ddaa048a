//! Mutual TLS between two Oxidots, by gRPC and by HTTP, with certificates that openssl has made.

use std::path::Path;
use std::process::Command;

use super::{SIGNALS, Sink, pass_on, post, rich};
use crate::support::oxidot::Oxidot;
use crate::support::{free_port, require};

/// An authority, and a certificate of it for localhost, in this directory.
fn make_certificates(directory: &Path) {
    let openssl = |arguments: &str| {
        let output = Command::new("openssl").args(arguments.split(' ')).current_dir(directory).output().unwrap();
        assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
    };
    std::fs::write(directory.join("ext"), "subjectAltName=DNS:localhost\n").unwrap();
    openssl("req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -subj /CN=authority -days 2");
    openssl("req -newkey rsa:2048 -nodes -keyout own.key -out own.csr -subj /CN=localhost");
    openssl("x509 -req -in own.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out own.pem -days 2 -extfile ext");
}

#[test]
fn both_sides_show_their_certificates() {
    require!("openssl");
    let directory = tempfile::tempdir().unwrap();
    make_certificates(directory.path());
    let file = |name: &str| directory.path().join(name).display().to_string();
    let own = format!("cert_file: \"{}\", key_file: \"{}\"", file("own.pem"), file("own.key"));
    let sink = Sink::accepting();
    let (enters, grpc, http) = (free_port(), free_port(), free_port());
    let server_tls = format!("tls: {{{own}, client_ca_file: \"{}\"}}", file("ca.pem"));
    let _second = Oxidot::start(&pass_on(
        &format!(
            "{{grpc: {{endpoint: \"127.0.0.1:{grpc}\", {server_tls}}}, http: {{endpoint: \"127.0.0.1:{http}\", {server_tls}}}}}"
        ),
        "otlphttp",
        &format!("{{endpoint: \"{}\", compression: none}}", sink.url()),
    ));
    let client_tls = format!("tls: {{{own}, ca_file: \"{}\"}}", file("ca.pem"));
    let mut count = 0;
    for (exporter, endpoint) in
        [("otlp", format!("localhost:{grpc}")), ("otlphttp", format!("https://localhost:{http}"))]
    {
        let receiver = format!("{{http: {{endpoint: \"127.0.0.1:{enters}\"}}}}");
        let mut first =
            Oxidot::start(&pass_on(&receiver, exporter, &format!("{{endpoint: \"{endpoint}\", {client_tls}}}")));
        for signal in SIGNALS {
            post(enters, signal, &rich(signal));
            count += 1;
            sink.wait_for(count, |got| assert_eq!(got.last().unwrap().signal(), Some(signal), "{exporter}"));
        }
        assert_eq!(first.end().code(), Some(0));
        // Without a certificate of its own nobody gets in.
        let bare = format!("{{endpoint: \"{endpoint}\", tls: {{ca_file: \"{}\"}}}}", file("ca.pem"));
        let mut stranger = Oxidot::start(&pass_on(&receiver, exporter, &bare));
        post(enters, SIGNALS[0], &rich(SIGNALS[0]));
        stranger.wait_for_log("Exporting failed. Will retry");
        drop(stranger);
        // A file that is missing keeps the program from starting.
        let missing = format!("{{endpoint: \"{endpoint}\", tls: {{ca_file: \"{}\"}}}}", file("nothing.pem"));
        let config = directory.path().join("missing.yaml");
        std::fs::write(&config, pass_on(&receiver, exporter, &missing)).unwrap();
        let output = crate::support::oxidot::command(&["--config", &config.to_string_lossy()])
            .args(["--config", &crate::support::oxidot::own_metrics_at(free_port())])
            .output()
            .unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && stderr.contains("nothing.pem"), "{stderr}");
    }
}

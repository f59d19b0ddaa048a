//! Exporters of OTLP, which the doctor knows by nothing but their keys.

use std::net::{Ipv4Addr, TcpListener};

use super::{Answering, doctor, sts, with_keys};
use crate::support::oxidot::command;
use crate::support::skipped;

/// Whether this program has an exporter of this type.
fn has(name: &str) -> bool {
    let output = command(&["components"]).output().unwrap();
    String::from_utf8_lossy(&output.stdout).contains(&format!("module: exporters/{name}\n"))
}

fn config(exporter: &str) -> String {
    let (id, _) = exporter.split_once(':').unwrap();
    format!(
        "receivers: {{otlp: {{protocols: {{http: }}}}}}\n\
         extensions: {{sigv4auth: {{region: eu-west-1, service: monitoring}}}}\n\
         exporters: {{{exporter}}}\n\
         service: {{extensions: [sigv4auth], pipelines: {{metrics: {{receivers: [otlp], exporters: [{id}]}}, logs: {{receivers: [otlp], exporters: [{id}]}}}}}}\n"
    )
}

#[test]
fn otlp_over_http_is_signed_for_each_of_its_urls() {
    if !has("otlphttp") {
        return skipped("otlp_over_http_is_signed_for_each_of_its_urls: there is no exporter otlphttp");
    }
    let (store, sts) = (Answering::new(200, &[], ""), sts());
    let config = config(&format!(
        "otlphttp: {{endpoint: \"http://127.0.0.1:{}\", auth: {{authenticator: sigv4auth}}}}",
        store.server.port()
    ));
    doctor(&config, with_keys(&sts)).says(
        0,
        &[
            "signing ok for monitoring in eu-west-1 (as configured), by extension \"sigv4auth\"",
            "/v1/metrics: HTTP 200 OK: the store has taken an empty export",
            "/v1/logs: HTTP 200 OK: the store has taken an empty export",
            "1 exporter, signed for AWS: all is well.",
        ],
    );
    let requests = store.requests();
    assert_eq!(requests.iter().map(|request| request.path.as_str()).collect::<Vec<_>>(), ["/v1/metrics", "/v1/logs"]);
    for request in &requests {
        assert!(request.header("authorization").unwrap().contains("/eu-west-1/monitoring/aws4_request"), "{request:?}");
        assert_eq!(request.header("content-type"), Some("application/x-protobuf"));
    }
    let refusing = Answering::new(
        403,
        &[("x-amzn-ErrorType", "AccessDeniedException")],
        r#"{"message":"User: x is not authorized to perform: cloudwatch:PutMetricData"}"#,
    );
    let config = config.replace(&store.server.port().to_string(), &refusing.server.port().to_string());
    doctor(&config, with_keys(&sts)).says(1, &["may not write here", "Allow cloudwatch:PutMetricData on *"]);
}

#[test]
fn otlp_over_grpc_is_connected_to() {
    if !has("otlp") {
        return skipped("otlp_over_grpc_is_connected_to: there is no exporter otlp");
    }
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let config = config(&format!("otlp: {{endpoint: \"127.0.0.1:{port}\", tls: {{insecure: true}}}}"));
    // What does not speak HTTP/1.1 hangs up.
    let listening = std::thread::spawn(move || drop(listener.accept().unwrap()));
    doctor(&config, |_| {}).says(0, &["a connection can be made; what the exporter sends was not tried (gRPC)"]);
    listening.join().unwrap();
    doctor(&config, |_| {}).says(1, &["Nothing listens at port"]);
}

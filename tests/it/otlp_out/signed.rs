//! Signatures on OTLP, judged by AWS' own library.

use std::collections::BTreeSet;

use pipeline::component::Signal;

use super::{SIGNALS, Sink, answer, ok, pass_on, post, rich};
use crate::aws::keys::Key;
use crate::aws::verifier::{self, Verifier};
use crate::support::free_port;
use crate::support::oxidot::Oxidot;
use crate::support::python::require_python;

/// Requests to CloudWatch and X-Ray, by way of a proxy that plays them. Each signal goes to a service of its own, which one extension
/// infers from the host; every attempt is signed anew over what is sent.
#[test]
fn requests_to_cloudwatch_and_x_ray_bear_good_signatures() {
    let python = require_python!(verifier::python());
    let (verifier, key) = (Verifier::start(&python), Key::temporary());
    let sink = Sink::start(|n| if n == 0 { answer(503, &[("Retry-After", "2")], b"") } else { ok() });
    for (encoding, compression) in [("proto", "gzip"), ("json", "none")] {
        let port = free_port();
        let of = |service: &str, signal: &str| {
            format!("{signal}_endpoint: \"http://{service}.eu-west-1.amazonaws.com/v1/{signal}\"")
        };
        let exporter = format!(
            "{{{}, {}, {}, encoding: {encoding}, compression: {compression}, proxy_url: \"{}\", headers: {{x-aws-log-group: group, x-aws-log-stream: stream}}, \
             auth: {{authenticator: sigv4auth}}, retry_on_failure: {{initial_interval: 50ms}}}}",
            of("monitoring", "metrics"),
            of("xray", "traces"),
            of("logs", "logs"),
            sink.url()
        );
        let config = pass_on(&format!("{{http: {{endpoint: \"127.0.0.1:{port}\"}}}}"), "otlphttp", &exporter);
        let config = format!(
            "extensions: {{sigv4auth: }}\n{}",
            config.replace("service: {", "service: {extensions: [sigv4auth], ")
        );
        let oxidot = Oxidot::start_with(&config, |command| {
            command.envs(key.variables()).env("AWS_EC2_METADATA_DISABLED", "true");
        });
        for signal in SIGNALS {
            post(port, signal, &rich(signal));
        }
        let sent = |signal: Signal| oxidot.own(&format!("otelcol_exporter_sent_{}", signal.items()), &[]) > 0.0;
        crate::support::wait_until("all to be delivered", || SIGNALS.into_iter().all(sent));
    }
    sink.wait_for(7, |got| {
        let mut services = Vec::new();
        let mut signatures = BTreeSet::new();
        for got in got {
            let request = &got.request;
            assert_eq!(verifier.difference(request, &key), None, "{request:?}");
            let field = request.header("authorization").unwrap();
            let scope: Vec<&str> = field.split('/').collect();
            assert_eq!(scope[2], "eu-west-1");
            assert!(field.contains(&key.id) && request.header("x-aws-log-group") == Some("group"), "{field}");
            services.push(scope[3].to_owned());
            signatures.insert(field.split("Signature=").nth(1).unwrap().to_owned());
        }
        // The attempts of the first request have signatures of their own.
        assert_eq!(signatures.len(), got.len());
        for service in ["monitoring", "xray", "logs"] {
            assert!(services.iter().filter(|known| *known == service).count() >= 2, "{services:?}");
        }
    });
}

#[test]
fn grpc_cannot_be_signed_and_the_start_says_so() {
    let config = "extensions: {sigv4auth: {region: eu-west-1, service: xray}}\n\
                  receivers: {otlp: {protocols: {grpc: {endpoint: \"127.0.0.1:0\"}}}}\n\
                  exporters: {otlp: {endpoint: \"127.0.0.1:1\", auth: {authenticator: sigv4auth}}}\n\
                  service: {extensions: [sigv4auth], pipelines: {traces: {receivers: [otlp], exporters: [otlp]}}}\n";
    let output = crate::support::oxidot::command(&["--config", &format!("yaml:{config}")])
        .args(["--config", &crate::support::oxidot::own_metrics_at(free_port())])
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && stderr.contains("cannot authenticate gRPC; use the otlphttp exporter"),
        "{stderr}"
    );
}

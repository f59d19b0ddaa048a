//! Signatures on OTLP, judged by AWS' own library.

use std::path::Path;
use std::process::{Command, Stdio};

use pipeline::component::Signal;

use super::{SIGNALS, Sink, answer, ok, pass_on, post, rich};
use crate::support::oxidot::Oxidot;
use crate::support::{free_port, python, skipped};

const KEY: (&str, &str, &str) = ("AKIDEXAMPLE", "a-secret-of-nobody", "a-token");

/// Requests to CloudWatch and X-Ray, by way of a proxy that plays them. Each signal goes to a service of its own, which one extension
/// infers from the host; every attempt is signed anew over what is sent.
#[test]
fn requests_to_cloudwatch_and_x_ray_bear_good_signatures() {
    let python = match python::botocore() {
        Ok(python) => python,
        Err(why) => return skipped(&format!("signatures cannot be judged: {why}")),
    };
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
            command
                .env("AWS_ACCESS_KEY_ID", KEY.0)
                .env("AWS_SECRET_ACCESS_KEY", KEY.1)
                .env("AWS_SESSION_TOKEN", KEY.2)
                .env("AWS_EC2_METADATA_DISABLED", "true");
        });
        for signal in SIGNALS {
            post(port, signal, &rich(signal));
        }
        let sent = |signal: Signal| oxidot.own(&format!("otelcol_exporter_sent_{}", signal.items()), &[]) > 0.0;
        crate::support::wait_until("all to be delivered", || SIGNALS.into_iter().all(sent));
    }
    let lines = sink.wait_for(7, |got| {
        let line = |got: &super::Got| {
            let headers: serde_json::Map<_, _> =
                got.request.headers.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
            let body: String = got.request.body.iter().map(|byte| format!("{byte:02x}")).collect();
            serde_json::json!({"url": got.request.path, "headers": headers, "body": body}).to_string()
        };
        got.iter().map(line).collect::<Vec<_>>()
    });
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/otlp_out/verify.py");
    let mut verify = Command::new(python)
        .arg(script)
        .args([KEY.0, KEY.1, KEY.2])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut verify.stdin.take().unwrap(), lines.join("\n").as_bytes()).unwrap();
    let output = verify.wait_with_output().unwrap();
    let verdicts = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{verdicts}");
    let of = |service: &str| verdicts.lines().filter(|line| *line == format!("good eu-west-1 {service}")).count();
    let counts = [of("monitoring"), of("xray"), of("logs")];
    assert!(counts.iter().sum::<usize>() == 7 && counts.iter().all(|count| *count >= 2), "{verdicts}");
    // The attempts of the first request have signatures of their own.
    let signature = |at: usize| lines[at].split("Signature=").nth(1).unwrap()[..64].to_owned();
    let all: std::collections::BTreeSet<String> = (0..lines.len()).map(signature).collect();
    assert_eq!(all.len(), lines.len());
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

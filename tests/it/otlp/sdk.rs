//! The OpenTelemetry SDK for Python sends by both protocols; what arrives is asked of Prometheus and read in the log.

use std::path::Path;
use std::process::Command;

use crate::support::oxidot::Oxidot;
use crate::support::prometheus::{QueryServer, prometheus};
use crate::support::python::{opentelemetry, require_python};
use crate::support::{free_port, require, wait_until};

struct Scene {
    oxidot: Oxidot,
    store: QueryServer,
    grpc: u16,
    http: u16,
}

/// Metrics to a Prometheus server, traces and logs to the log.
fn scene() -> Scene {
    let (store, grpc, http) = (prometheus(""), free_port(), free_port());
    let oxidot = Oxidot::start(&format!(
        "receivers: {{otlp: {{protocols: {{grpc: {{endpoint: \"127.0.0.1:{grpc}\"}}, http: {{endpoint: \"127.0.0.1:{http}\"}}}}}}}}\n\
         processors: {{batch: {{timeout: 100ms}}}}\n\
         exporters: {{prometheusremotewrite: {{endpoint: \"{}\", batch_send_deadline: 100ms}}, debug: {{verbosity: detailed}}}}\n\
         service: {{pipelines: {{\
           metrics: {{receivers: [otlp], processors: [batch], exporters: [prometheusremotewrite]}}, \
           traces: {{receivers: [otlp], processors: [batch], exporters: [debug]}}, \
           logs: {{receivers: [otlp], processors: [batch], exporters: [debug]}}}}}}\n",
        store.write_url()
    ));
    Scene { oxidot, store, grpc, http }
}

/// The last value of the one series that a selector stands for.
fn value(store: &QueryServer, selector: &str) -> f64 {
    let found = store.wait_for_samples(&format!("{selector}[1h]"), 1);
    assert_eq!(found.len(), 1, "{selector}: {found:?}");
    found.values().flatten().last().unwrap().1.parse().unwrap()
}

#[test]
fn everything_that_the_sdk_sends_arrives() {
    require!("prometheus", "python3");
    let python = require_python!(opentelemetry());
    let mut scene = scene();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/otlp/sdk.py");
    for (protocol, endpoint) in
        [("grpc", format!("http://127.0.0.1:{}", scene.grpc)), ("http", format!("http://127.0.0.1:{}", scene.http))]
    {
        let service = format!("shop-{protocol}");
        let output = Command::new(&python).arg(&script).args([protocol, &endpoint, &service]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let of = |name: &str, labels: &str| {
            value(&scene.store, &format!("{name}{{job=\"eu/{service}\",instance=\"i-1\"{labels}}}"))
        };
        let scope = ",otel_scope_name=\"lib\",otel_scope_version=\"1.2\"";
        assert_eq!(of("requests_total", &format!(",path=\"/a\"{scope}")), 3.0);
        assert_eq!(of("requests_total", ",path=\"/b\""), 2.0);
        assert_eq!(of("open_connections", ""), 3.0);
        assert_eq!(of("temperature_celsius", ",room=\"a\""), 21.5);
        assert_eq!(of("latency_seconds_count", ",path=\"/a\""), 3.0);
        assert_eq!(of("latency_seconds_sum", ""), 5.55);
        assert_eq!(of("latency_seconds_bucket", ",le=\"0.1\""), 1.0);
        assert_eq!(of("latency_seconds_bucket", ",le=\"+Inf\""), 3.0);
        assert_eq!(of("target_info", ",zone=\"z\""), 1.0);
        // Exponential histograms arrive as native ones, which a function has to look into.
        let native = format!("histogram_count(latency_exponential_seconds{{job=\"eu/{service}\"}})[5m:1s]");
        wait_until("the native histogram", || {
            scene.store.samples(&native).values().flatten().any(|(_, count)| count == "3")
        });
        let items = |what: &str, signal: &str| {
            scene.oxidot.own(&format!("otelcol_receiver_{what}_{signal}"), &[&format!("transport=\"{protocol}\"")])
        };
        // A counter with two series, and four instruments with one each.
        assert_eq!(items("accepted", "metric_points"), 6.0);
        assert_eq!((items("accepted", "spans"), items("accepted", "log_records")), (2.0, 1.0));
        for signal in ["metric_points", "spans", "log_records"] {
            assert_eq!((items("refused", signal), items("failed", signal)), (0.0, 0.0), "{signal}");
        }
        wait_until("the spans and the log record", || {
            let log = scene.oxidot.log();
            log.contains(&format!("service.name: Str({service})")) && log.contains("Body: Str(something happened)")
        });
    }
    for part in [
        "Name           : outer",
        "Name           : inner",
        "Kind           : Internal",
        "-> n: Int(7)",
        "-> list: Slice([\"a\",\"b\"])",
        "Status code    : Error",
        "Status message : went wrong",
        "-> Name: half",
        "SpanLink #0",
        "SeverityNumber: Warn(13)",
        "-> k: Str(v)",
        "InstrumentationScope lib 1.2",
    ] {
        scene.oxidot.wait_for_logs(part, 2);
    }
}

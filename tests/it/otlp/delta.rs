//! Clients that prefer deltas: what they send is added up on its way to a store that knows totals only.

use std::path::Path;
use std::process::Command;

use crate::support::oxidot::Oxidot;
use crate::support::prometheus::prometheus;
use crate::support::python::{opentelemetry, require_python};
use crate::support::{free_port, require, wait_until};

#[test]
fn deltas_of_the_sdk_arrive_as_totals() {
    require!("prometheus", "python3");
    let python = require_python!(opentelemetry());
    let (store, grpc) = (prometheus(""), free_port());
    let oxidot = Oxidot::start(&format!(
        "receivers: {{otlp: {{protocols: {{grpc: {{endpoint: \"127.0.0.1:{grpc}\"}}}}}}}}\n\
         exporters: {{prometheusremotewrite: {{endpoint: \"{}\", batch_send_deadline: 100ms}}}}\n\
         service: {{pipelines: {{metrics: {{receivers: [otlp], exporters: [prometheusremotewrite]}}}}}}\n",
        store.write_url()
    ));
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/otlp/delta.py");
    let endpoint = format!("http://127.0.0.1:{grpc}");
    let output = Command::new(&python).arg(&script).args([&endpoint, "shop"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // All values in the order of time: three rounds each.
    let values = |selector: &str, rounds: usize| -> Vec<f64> {
        let found = store.wait_for_samples(&format!("{selector}[1h]"), rounds);
        assert_eq!(found.len(), 1, "{selector}: {found:?}");
        found.values().flatten().map(|(_, value)| value.parse().unwrap()).collect()
    };
    assert_eq!(values("requests_total{job=\"shop\",path=\"/a\"}", 3), [1.0, 3.0, 6.0]);
    assert_eq!(values("requests_total{path=\"/b\"}", 1), [7.0]);
    assert_eq!(values("open_connections", 3), [10.0, 9.0, 8.0]);
    assert_eq!(values("latency_seconds_count", 3), [3.0, 6.0, 9.0]);
    assert_eq!(values("latency_seconds_bucket{le=\"0.1\"}", 3), [1.0, 2.0, 3.0]);
    assert_eq!(values("latency_seconds_bucket{le=\"1\"}", 3), [2.0, 4.0, 5.0]);
    assert_eq!(values("latency_seconds_bucket{le=\"+Inf\"}", 3), [3.0, 6.0, 9.0]);
    let sum = values("latency_seconds_sum", 3);
    assert!((sum.last().unwrap() - 18.15).abs() < 1e-9, "{sum:?}");
    for (function, total) in [("histogram_count", 9.0), ("histogram_sum", 18.15)] {
        let native = format!("{function}(latency_exponential_seconds{{job=\"shop\"}})[5m:1s]");
        wait_until("the native histogram", || {
            let last = |(_, value): &(f64, String)| (value.parse::<f64>().unwrap() - total).abs() < 1e-9;
            store.samples(&native).values().flatten().any(last)
        });
    }
    let dropped = oxidot.own("otelcol_exporter_dropped_metric_points", &[]);
    assert_eq!(dropped, 0.0);
}

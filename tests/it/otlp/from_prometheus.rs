//! What is scraped leaves as OTLP: pages of real programs, read on the other side by another implementation.

use std::path::Path;
use std::process::Command;

use crate::support::oxidot::{Oxidot, job};
use crate::support::process::Program;
use crate::support::prometheus::{node_exporter, prometheus};
use crate::support::python::{environment, require_python};
use crate::support::{free_port, require};

#[test]
fn families_of_real_pages_leave_whole() {
    require!("prometheus", "prometheus-node-exporter", "python3");
    let module = "opentelemetry.proto.collector.metrics.v1.metrics_service_pb2";
    let python = require_python!(environment("opentelemetry-proto", &["opentelemetry-proto"], module));
    // Prometheus' own page has histograms and summaries of many series.
    let (store, (_exporter, exporter_port)) = (prometheus(""), node_exporter());
    let addresses = [exporter_port, store.port()].map(|port| format!("127.0.0.1:{port}"));
    let port = free_port();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/otlp/from_prometheus.py");
    let mut peer = Program::start(Command::new(&python).arg(&script).arg(port.to_string()).args(addresses.each_ref()));
    peer.wait_for_line("listening");
    let targets = addresses.join("\", \"");
    let job = job("job", &targets, "1s");
    let _oxidot = Oxidot::start(&format!(
        "receivers: {{prometheus: {{config: {{scrape_configs: [{job}]}}}}}}\n\
         processors: {{batch: {{timeout: 100ms, send_batch_size: 100, send_batch_max_size: 100}}}}\n\
         exporters: {{otlphttp: {{endpoint: \"http://127.0.0.1:{port}\", compression: gzip}}}}\n\
         service: {{pipelines: {{metrics: {{receivers: [prometheus], processors: [batch], exporters: [otlphttp]}}}}}}\n"
    ));
    let status = peer.wait();
    let output = peer.output();
    assert!(status.success(), "{output}");
    let kinds = output.lines().find(|line| line.starts_with("kinds ")).unwrap();
    for kind in ["counter", "gauge", "histogram", "summary"] {
        assert!(kinds.contains(&format!("{kind}=")), "{kinds}");
    }
}

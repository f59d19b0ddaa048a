//! Remote write from a real sender into a real store, through the program.

use crate::support::oxidot::{Oxidot, job, scrape_and_write};
use crate::support::page::Target;
use crate::support::prometheus::{Labels, agent, prometheus, victoria_metrics};
use crate::support::{free_port, require, wait_until};

/// A page with a histogram, a summary, a NaN and a label that has to be escaped.
fn page(n: u64) -> String {
    format!(
        "# HELP h A histogram.\n# TYPE h histogram\nh_bucket{{le=\"0.5\"}} 1\nh_bucket{{le=\"+Inf\"}} 3\nh_sum 4.5\nh_count 3\n\
         # TYPE s summary\ns{{quantile=\"0.5\"}} 7\ns_sum 8\ns_count 9\n\
         # TYPE c_total counter\nc_total{{path=\"C:\\\\x\\\"\\n\"}} {n}\nnothing NaN\nmuch +Inf\n"
    )
}

/// The series of `{job="j"}` that the server has, with `samples` samples at least.
fn series(server: &crate::support::prometheus::QueryServer, samples: usize) -> Vec<Labels> {
    wait_until("the page", || server.samples("c_total[1h]").values().any(|points| points.len() >= samples));
    server.wait_for_samples("{job=\"j\"}[1h]", samples).into_keys().collect()
}

#[test]
fn a_prometheus_agent_writes_through_oxidot_to_a_prometheus_server() {
    require!("prometheus");
    let target = Target::start(page);
    let store = prometheus("");
    let direct = prometheus(&job("j", &target.address(), "500ms"));
    let port = free_port();
    let config = format!(
        "receivers: {{prometheusremotewrite: {{endpoint: \"127.0.0.1:{port}\"}}}}\n\
         processors: {{batch: {{timeout: 100ms}}}}\n\
         exporters: {{prometheusremotewrite: {{endpoint: \"{}\", batch_send_deadline: 100ms}}}}\n\
         service: {{pipelines: {{metrics: {{receivers: [prometheusremotewrite], processors: [batch], exporters: [prometheusremotewrite]}}}}}}\n",
        store.write_url()
    );
    let oxidot = Oxidot::start(&config);
    let agent = agent(&job("j", &target.address(), "500ms"), &format!("http://127.0.0.1:{port}/api/v1/write"));
    let (through, wanted) = (series(&store, 3), series(&direct, 3));
    assert_eq!(through, wanted);
    // The same times and values as the agent scraped: a counter that rises by one with every scrape of either.
    let points = store.samples("c_total[1h]");
    let values: Vec<f64> = points.values().flatten().map(|(_, value)| value.parse().unwrap()).collect();
    assert!(values.is_sorted_by(|a, b| a < b), "{values:?}");
    drop(agent);
    assert_eq!(oxidot.own("otelcol_exporter_dropped_metric_points", &[]), 0.0, "{}", oxidot.log());
    assert_eq!(oxidot.own("otelcol_receiver_refused_metric_points", &[]), 0.0, "{}", oxidot.log());
    assert!(!store.log().contains("out of order"), "{}", store.log());
}

#[test]
fn victoria_metrics_takes_what_is_written() {
    require!("victoria-metrics");
    let target = Target::start(page);
    let store = victoria_metrics();
    let oxidot = Oxidot::start(&scrape_and_write(
        &job("j", &target.address(), "500ms"),
        &store.write_url(),
        "batch_send_deadline: 100ms",
    ));
    let selector = "{job=\"j\",__name__=~\"h.*|s|s_.*|c_total|much|up\"}[1h]";
    wait_until("samples", || store.samples("c_total[1h]").values().any(|points| points.len() >= 3));
    let samples = store.wait_for_samples(selector, 3);
    let value = |name: &str, label: (&str, &str)| {
        let of_name =
            |labels: &&Labels| labels["__name__"] == name && labels.get(label.0).is_some_and(|v| v == label.1);
        let found: Vec<_> = samples.keys().filter(of_name).collect();
        assert_eq!(found.len(), 1, "{name} in {samples:?}");
        samples[found[0]].last().unwrap().1.clone()
    };
    let instance = target.address();
    assert_eq!(value("h_bucket", ("le", "0.5")), "1");
    assert_eq!(value("h_bucket", ("le", "+Inf")), "3");
    assert_eq!(value("h_sum", ("instance", &instance)), "4.5");
    assert_eq!(value("s", ("quantile", "0.5")), "7");
    assert_eq!(value("much", ("instance", &instance)), "+Inf");
    assert_eq!(value("up", ("instance", &instance)), "1");
    assert!(value("c_total", ("path", "C:\\x\"\n")).parse::<u64>().unwrap() >= 3);
    assert_eq!(oxidot.own("otelcol_exporter_dropped_metric_points", &[]), 0.0, "{}", oxidot.log());
}

//! Receivers that others wrote take all of it: Prometheus and VictoriaMetrics. Debian's know version 1.0 only and say nothing
//! when they are sent the other, which is the case that a sender has to notice by itself.

use super::page::everything;
use super::{QUICK, V2};
use crate::support::oxidot::{Oxidot, job, scrape_and_write};
use crate::support::page::{OPEN_METRICS, Target};
use crate::support::prometheus::{QueryServer, prometheus, victoria_metrics};
use crate::support::{free_port, require, wait_until};

/// Scrapes everything, writes it to `server`, and looks whether it is there.
fn is_taken_by(server: &QueryServer, message: &str) {
    let target = Target::start_typed(OPEN_METRICS, everything);
    let exporter = format!("protobuf_message: {message}, {QUICK}");
    let config = scrape_and_write(&job("test", &target.address(), "300ms"), &server.write_url(), &exporter);
    let mut oxidot = Oxidot::start(&config);
    for (name, series) in [("requests_total", 3), ("latency_seconds_bucket", 4), ("many", 120), ("rpc", 2), ("odd", 7)]
    {
        let found = server.wait_for_samples(&format!("{name}{{job=\"test\"}}[1h]"), 3);
        assert_eq!(found.len(), series, "{name}");
    }
    // What was written in the hour before is found under `fleeting` too, and ends.
    wait_until("the end of a series", || target.scrapes() > 6);
    assert_eq!(oxidot.own("otelcol_exporter_send_failed_metric_points", &[]), 0.0, "{}", oxidot.log());
    let fallbacks = oxidot.own("otelcol_exporter_prometheusremotewrite_fallbacks", &[]);
    assert_eq!(fallbacks, if message == V2 { 1.0 } else { 0.0 });
    assert_eq!(oxidot.end().code(), Some(0), "{}", oxidot.log());
}

#[test]
fn prometheus_takes_version_1() {
    require!("prometheus");
    is_taken_by(&prometheus(""), "prometheus.WriteRequest");
}

#[test]
fn prometheus_without_version_2_is_noticed() {
    require!("prometheus");
    is_taken_by(&prometheus(""), V2);
}

#[test]
fn victoria_metrics_takes_version_1() {
    require!("victoria-metrics");
    is_taken_by(&victoria_metrics(), "prometheus.WriteRequest");
}

#[test]
fn victoria_metrics_without_version_2_is_noticed() {
    require!("victoria-metrics");
    is_taken_by(&victoria_metrics(), V2);
}

/// From one Oxidot to the next in version 2.0, and on to Prometheus in 1.0.
#[test]
fn version_2_passes_through_a_gateway() {
    require!("prometheus");
    let server = prometheus("");
    let port = free_port();
    let gateway = Oxidot::start(&format!(
        "receivers: {{prometheusremotewrite: {{endpoint: \"127.0.0.1:{port}\"}}}}\n\
         exporters: {{prometheusremotewrite: {{endpoint: \"{}\", send_metadata: true, {QUICK}}}}}\n\
         service: {{pipelines: {{metrics: {{receivers: [prometheusremotewrite], exporters: [prometheusremotewrite]}}}}}}\n",
        server.write_url()
    ));
    let target = Target::start_typed(OPEN_METRICS, everything);
    let exporter = format!("protobuf_message: {V2}, {QUICK}");
    let url = format!("http://127.0.0.1:{port}/api/v1/write");
    let edge = Oxidot::start(&scrape_and_write(&job("test", &target.address(), "300ms"), &url, &exporter));
    for (name, series) in [("requests_total", 3), ("latency_seconds_bucket", 4), ("many", 120), ("odd", 7)] {
        let found = server.wait_for_samples(&format!("{name}{{job=\"test\"}}[1h]"), 3);
        assert_eq!(found.len(), series, "{name}");
    }
    assert!(!server.exemplars("requests_total").is_empty());
    for oxidot in [&edge, &gateway] {
        assert_eq!(oxidot.own("otelcol_exporter_send_failed_metric_points", &[]), 0.0, "{}", oxidot.log());
        assert_eq!(oxidot.own("otelcol_exporter_prometheusremotewrite_fallbacks", &[]), 0.0);
    }
    assert_eq!(gateway.own("otelcol_receiver_failed_metric_points", &[]), 0.0, "{}", gateway.log());
}

/// Stores that do not take zstd are noticed by what they say to it; our own receiver takes it.
#[test]
fn zstd_goes_to_who_takes_it_and_snappy_to_who_does_not() {
    require!("prometheus", "victoria-metrics");
    for (server, message) in [(prometheus(""), "prometheus.WriteRequest"), (victoria_metrics(), V2)] {
        let port = free_port();
        let gateway = Oxidot::start(&format!(
            "receivers: {{prometheusremotewrite: {{endpoint: \"127.0.0.1:{port}\"}}}}\n\
             exporters: {{prometheusremotewrite: {{endpoint: \"{}\", compression: zstd, protobuf_message: {message}, {QUICK}}}}}\n\
             service: {{pipelines: {{metrics: {{receivers: [prometheusremotewrite], exporters: [prometheusremotewrite]}}}}}}\n",
            server.write_url()
        ));
        let target = Target::start_typed(OPEN_METRICS, everything);
        let exporter = format!("compression: zstd, protobuf_message: {message}, {QUICK}");
        let url = format!("http://127.0.0.1:{port}/api/v1/write");
        let edge = Oxidot::start(&scrape_and_write(&job("test", &target.address(), "300ms"), &url, &exporter));
        for (name, series) in [("requests_total", 3), ("latency_seconds_bucket", 4), ("many", 120)] {
            let found = server.wait_for_samples(&format!("{name}{{job=\"test\"}}[1h]"), 3);
            assert_eq!(found.len(), series, "{name}");
        }
        for oxidot in [&edge, &gateway] {
            assert_eq!(oxidot.own("otelcol_exporter_send_failed_metric_points", &[]), 0.0, "{}", oxidot.log());
        }
        assert!(gateway.log().contains("The store does not take zstd"), "{}", gateway.log());
        assert!(!edge.log().contains("The store does not take zstd"), "{}", edge.log());
        assert_eq!(gateway.own("otelcol_receiver_failed_metric_points", &[]), 0.0, "{}", gateway.log());
    }
}

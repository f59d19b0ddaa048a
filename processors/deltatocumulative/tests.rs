#![expect(clippy::unwrap_used, reason = "tests")]

use super::FACTORY;
use crate::testing::{json, metrics, problems, process};
use pipeline::Batch;
use pipeline::component::Signal;
use serde_json::{Value, json};

/// A sum with one point.
fn sum(temporality: i32, start: i64, time: i64, value: f64) -> Value {
    json!({"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"name": "s", "sum": {"aggregationTemporality": temporality, "isMonotonic": true,
        "dataPoints": [{"startTimeUnixNano": start.to_string(), "timeUnixNano": time.to_string(), "asDouble": value}]}}]}]}]})
}

async fn run(yaml: &str, sent: Vec<Value>) -> (Vec<Value>, pipeline::telemetry::Telemetry) {
    // One reader for all, so that series are the same ones.
    let mut reader = otlp::decode::MetricsReader::default();
    let batches = sent.iter().map(|sent| {
        let body = crate::testing::request(Signal::Metrics, sent);
        pipeline::MetricBatch::new(reader.read(&body, 0).unwrap().groups)
    });
    let batches: Vec<_> = batches.collect();
    let (out, telemetry) = process(&FACTORY, yaml, Signal::Metrics, batches).await;
    let out = out.iter().map(|batch| match batch {
        Batch::Metrics(batch) => json(Signal::Metrics, &otlp::encode::metrics(batch)),
        Batch::Messages(_) => panic!("metrics"),
    });
    (out.collect(), telemetry)
}

#[tokio::test]
async fn deltas_are_added_up_and_what_cannot_be_is_counted() {
    let sent =
        vec![sum(1, 10, 20, 5.0), sum(1, 20, 30, 7.0), sum(1, 20, 30, 7.0), sum(1, 5, 40, 1.0), sum(1, 30, 40, 1.0)];
    let (out, telemetry) = run("{}", sent).await;
    let expected = [sum(2, 10, 20, 5.0), sum(2, 10, 30, 12.0), sum(2, 10, 40, 13.0)];
    let expected = expected.map(|sum| json(Signal::Metrics, &otlp::encode::metrics(&metrics(&sum))));
    assert_eq!(out, expected);
    let dropped = |reason| {
        telemetry
            .value("otelcol_processor_dropped_metric_points", &[("processor", "deltatocumulative"), ("reason", reason)])
    };
    assert_eq!(dropped("delta_out_of_order"), Some(1.0));
    assert_eq!(dropped("delta_older_start"), Some(1.0));
    let of = ("processor", "deltatocumulative");
    assert_eq!(telemetry.value("otelcol_deltatocumulative_datapoints", &[of]), Some(5.0));
    let error = telemetry.value("otelcol_deltatocumulative_datapoints", &[of, ("error", "delta.ErrOutOfOrder")]);
    assert_eq!(error, Some(1.0));
    assert_eq!(telemetry.value("otelcol_deltatocumulative_streams_tracked", &[of]), Some(1.0));
    assert_eq!(telemetry.value("otelcol_deltatocumulative_streams_max_stale", &[of]), Some(300.0));
}

#[tokio::test]
async fn streams_are_bounded() {
    let named = |name: &str| {
        let mut sum = sum(1, 10, 20, 5.0);
        sum["resourceMetrics"][0]["scopeMetrics"][0]["metrics"][0]["name"] = json!(name);
        sum
    };
    let (out, telemetry) = run("max_streams: 1", vec![named("a"), named("b")]).await;
    assert_eq!(out.len(), 1);
    let of = ("processor", "deltatocumulative");
    let limit = telemetry.value("otelcol_deltatocumulative_datapoints", &[of, ("error", "limit")]);
    assert_eq!(limit, Some(1.0));
    assert_eq!(telemetry.value("otelcol_deltatocumulative_streams_limit", &[of]), Some(1.0));
    let (out, _) = run("max_streams: 0", vec![named("a")]).await;
    assert_eq!(out.len(), 0);
}

#[tokio::test]
async fn what_is_no_delta_is_handed_on_without_a_copy() {
    let batch = metrics(&sum(2, 10, 20, 5.0));
    let shared = batch.clone();
    let (out, _) = process(&FACTORY, "{}", Signal::Metrics, [batch]).await;
    let [Batch::Metrics(out)] = out.as_slice() else { panic!("one batch of metrics") };
    assert!(std::ptr::eq(out.groups(), shared.groups()));
}

#[test]
fn configurations_are_checked() {
    assert_eq!(problems(&FACTORY, "max_stale: 0s"), ["max_stale must be a positive duration (got 0s)"]);
    assert_eq!(problems(&FACTORY, "max_streams: -1"), ["max_streams must be a positive number (got -1)"]);
    assert_eq!(problems(&FACTORY, "max_streams: 0\nmax_stale: 1h"), [""; 0]);
    assert!(FACTORY.is_called("delta_to_cumulative"));
}

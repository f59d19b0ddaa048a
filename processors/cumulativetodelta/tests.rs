#![expect(clippy::unwrap_used, reason = "tests")]

use super::FACTORY;
use super::config::Config;
use super::convert::{Converter, Outcome};
use crate::testing::{json, metrics, node, problems, process, request, shared};
use pipeline::component::Signal;
use pipeline::{Batch, MetricBatch};
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::time::Instant;

/// Nanoseconds since the Unix epoch, so many minutes after a time an hour ahead.
fn minute(minutes: i64) -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64;
    ((now / 3600 + 2) * 3600 + minutes * 60) * 1_000_000_000
}

/// A metric with one point; `data` is the point without times.
fn metric(kind: &str, start: i64, time: i64, mut data: Value) -> Value {
    data["startTimeUnixNano"] = json!(start.to_string());
    data["timeUnixNano"] = json!(time.to_string());
    let mut body = json!({"dataPoints": [data], "aggregationTemporality": 2});
    if kind == "sum" {
        body["isMonotonic"] = json!(true);
    }
    json!({"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"name": "m", kind: body}]}]}]})
}

/// Converts one request after the other.
struct Harness {
    converter: Converter,
    reader: otlp::decode::MetricsReader,
}

impl Harness {
    fn new(yaml: &str) -> Self {
        let converter = Converter::new(Config::read(&node(yaml)).unwrap());
        Self { converter, reader: otlp::decode::MetricsReader::default() }
    }

    /// What came out, and what was said of each point.
    fn convert(&mut self, sent: &Value) -> (Option<Value>, Vec<Outcome>) {
        let taken = self.reader.read(&request(Signal::Metrics, sent), 0).unwrap();
        let mut batch = MetricBatch::new(taken.groups);
        let mut outcomes = Vec::new();
        self.converter.convert(&mut batch, Instant::now(), |_, outcome| outcomes.push(outcome));
        let out = (!batch.is_empty()).then(|| json(Signal::Metrics, &otlp::encode::metrics(&batch)));
        (out, outcomes)
    }

    /// The one point that comes out.
    fn point(&mut self, kind: &str, start: i64, time: i64, data: Value) -> Result<Value, Outcome> {
        let (out, outcomes) = self.convert(&metric(kind, start, time, data));
        let out = out.ok_or_else(|| outcomes[0])?;
        let data = &out["resourceMetrics"][0]["scopeMetrics"][0]["metrics"][0][kind];
        assert_eq!(data["aggregationTemporality"], 1);
        Ok(data["dataPoints"][0].clone())
    }
}

#[test]
fn points_come_out_as_observed() {
    let Some(file) = shared("vectors/cumulativetodelta.json") else { return };
    let cases = file["cases"].as_array().unwrap();
    assert!(!cases.is_empty());
    for case in cases {
        let mut harness = Harness::new(&format!("initial_value: {}", case["initial_value"].as_str().unwrap()));
        let start = case["series_start"].as_i64().map_or(0, minute);
        for point in case["points"].as_array().unwrap() {
            let time = minute(point["t"].as_i64().unwrap());
            let out = harness.point("sum", start, time, json!({"asDouble": point["v"].as_f64().unwrap()}));
            let (value, begin) = match &out {
                Ok(out) => (out["asDouble"].as_f64(), out["startTimeUnixNano"].as_str().map(str::to_owned)),
                Err(_) => (None, None),
            };
            assert_eq!(value, point["out"].as_f64(), "{case}: {point}");
            let expected = point["out_start"].as_i64().map(|at| minute(at).to_string());
            assert_eq!(begin.filter(|begin| begin != "0"), expected, "{case}: {point}");
        }
    }
}

#[test]
fn histograms_lose_what_is_not_known_of_a_delta() {
    let mut harness = Harness::new("initial_value: drop");
    let data = |count: u64, buckets: [u64; 3], sum: f64| json!({"count": count.to_string(), "sum": sum, "bucketCounts": buckets.map(|b| b.to_string()), "explicitBounds": [1.0, 2.0], "min": 0.1, "max": 9.0});
    assert_eq!(harness.point("histogram", 1, 10, data(3, [1, 1, 1], 4.0)), Err(Outcome::Initial));
    let out = harness.point("histogram", 1, 20, data(6, [1, 3, 2], 10.0)).unwrap();
    assert_eq!(out, json!({"startTimeUnixNano": "10", "timeUnixNano": "20", "count": "3", "sum": 6.0, "bucketCounts": ["0", "2", "1"], "explicitBounds": [1.0, 2.0]}).normalised());
    // One bucket went down: counting began anew, and goes on from there.
    assert_eq!(harness.point("histogram", 1, 30, data(7, [0, 4, 3], 11.0)), Err(Outcome::Reset));
    let out = harness.point("histogram", 1, 40, data(8, [0, 5, 3], 12.0)).unwrap();
    assert_eq!(out["bucketCounts"], json!(["0", "1", "0"]));
    let other = json!({"count": "9", "bucketCounts": ["9", "0"], "explicitBounds": [1.0]});
    assert_eq!(harness.point("histogram", 1, 50, other.clone()), Err(Outcome::Buckets));
    assert_eq!(harness.point("histogram", 1, 60, other).unwrap()["count"], Value::Null);
}

/// JSON as this project writes it: zeros are left out, whole doubles have no fraction.
trait Normalised {
    fn normalised(self) -> Value;
}

impl Normalised for Value {
    fn normalised(self) -> Value {
        match self {
            Value::Number(number) => match number.as_f64() {
                Some(value) if value.fract() == 0.0 => json!(value as i64),
                _ => Value::Number(number),
            },
            Value::Array(items) => items.into_iter().map(Normalised::normalised).collect(),
            Value::Object(map) => map.into_iter().map(|(key, value)| (key, value.normalised())).collect(),
            other => other,
        }
    }
}

#[test]
fn exponential_histograms_are_compared_at_the_coarser_scale() {
    let mut harness = Harness::new("initial_value: drop");
    let data = |scale: i32, offset: i32, counts: &[u64]| {
        let counts: Vec<String> = counts.iter().map(u64::to_string).collect();
        let total: u64 = counts.iter().map(|count| count.parse::<u64>().unwrap()).sum();
        json!({"count": total.to_string(), "sum": 1.0, "scale": scale, "positive": {"offset": offset, "bucketCounts": counts}})
    };
    let kind = "exponentialHistogram";
    assert_eq!(harness.point(kind, 1, 10, data(1, 0, &[1, 1, 1, 1])), Err(Outcome::Initial));
    let out = harness.point(kind, 1, 20, data(0, 0, &[3, 2])).unwrap();
    assert_eq!(out["positive"]["bucketCounts"], json!(["1", "0"]));
    assert_eq!(out["count"], "1");
    assert_eq!(harness.point(kind, 1, 30, data(1, 0, &[9, 9])), Err(Outcome::Reset), "finer than before");
    assert!(harness.point(kind, 1, 40, data(1, 0, &[9, 10])).is_ok());
}

#[test]
fn what_cannot_be_compared_is_dropped_and_the_rest_passes() {
    let mut harness = Harness::new("initial_value: keep");
    let value = |value: f64| json!({"asDouble": value});
    assert!(harness.point("sum", 5, 10, value(3.0)).is_ok());
    assert_eq!(harness.point("sum", 5, 9, value(2.0)), Err(Outcome::OutOfOrder));
    assert_eq!(harness.point("sum", 5, 20, json!({"flags": 1})), Err(Outcome::NotRecorded));
    let nan = harness.point("sum", 5, 21, json!({"asDouble": "NaN"})).unwrap();
    assert_eq!((&nan["asDouble"], &nan["startTimeUnixNano"]), (&json!("NaN"), &json!("5")));
    // Another beginning is another stream; both are compared with themselves.
    assert_eq!(harness.point("sum", 15, 22, value(1.0)).unwrap()["asDouble"], 1);
    assert_eq!(harness.point("sum", 5, 23, value(10.0)).unwrap()["asDouble"], 7);
    assert_eq!(harness.point("sum", 15, 24, value(4.0)).unwrap()["asDouble"], 3);
    assert_eq!(harness.converter.streams(), 1);
}

#[test]
fn metrics_are_chosen_by_name_and_type() {
    let counter = metric("sum", 5, 10, json!({"asInt": "1"}));
    let converted = |yaml: &str| !Harness::new(&format!("initial_value: keep\n{yaml}")).convert(&counter).1.is_empty();
    assert!(converted(""));
    assert!(converted("include: {match_type: strict, metrics: [m]}"));
    assert!(!converted("include: {match_type: strict, metrics: [n]}"));
    assert!(converted("include: {match_type: regexp, metrics: ['^m$']}"));
    assert!(converted("include: {metric_types: [sum]}"));
    assert!(!converted("include: {metric_types: [histogram, exponentialhistogram]}"));
    assert!(!converted("include: {match_type: strict, metrics: [m], metric_types: [histogram]}"));
    assert!(!converted("exclude: {metric_types: [SUM]}"));
    assert!(!converted("exclude: {match_type: regexp, metrics: [m]}"));
}

#[tokio::test]
async fn dropped_points_are_counted_and_others_not_touched() {
    let counter = metrics(&metric("sum", 5, 10, json!({"asInt": "1"})));
    let gauge = metrics(
        &json!({"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"name": "g", "gauge": {"dataPoints": [{"timeUnixNano": "1", "asInt": "1"}]}}]}]}]}),
    );
    let (out, telemetry) = process(&FACTORY, "{}", Signal::Metrics, [counter, gauge.clone()]).await;
    let [Batch::Metrics(out)] = out.as_slice() else { panic!("one batch of metrics") };
    assert!(std::ptr::eq(out.groups(), gauge.groups()));
    let of = ("processor", "cumulativetodelta");
    let dropped = telemetry.value("otelcol_processor_dropped_metric_points", &[of, ("reason", "initial_value")]);
    assert_eq!(dropped, Some(1.0));
    let labels = [of, ("metric_type", "sum"), ("reason", "initial")];
    assert_eq!(telemetry.value("otelcol_cumulativetodelta_datapoints_dropped", &labels), Some(1.0));
    assert_eq!(telemetry.value("otelcol_cumulativetodelta_streams_tracked", &[of]), Some(1.0));
}

#[test]
fn configurations_are_checked() {
    for (yaml, expected) in [
        ("include: {metrics: [a]}", "match_type must be set if metrics are supplied"),
        ("include: {match_type: strict}", "metrics must be supplied if match_type is set"),
        (
            "include: {metric_types: [gauge]}",
            "found invalid metric type in include.metric_types: gauge. Valid values are [sum histogram exponentialhistogram]",
        ),
        ("initial_value: maybe", "unknown initial_value: maybe: use auto, keep or drop"),
    ] {
        assert_eq!(problems(&FACTORY, yaml), [expected], "{yaml}");
    }
    assert_eq!(
        problems(
            &FACTORY,
            "max_staleness: 0\ninclude: {match_type: regexp, metrics: [a], regexp: {cacheenabled: true}}"
        ),
        [""; 0]
    );
}

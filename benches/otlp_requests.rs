//! OTLP: reading metrics that were seen before, reading them for the first time, writing them, and checking traces.

use crate::harness::Bench;
use otlp::decode::MetricsReader;
use pipeline::MetricBatch;
use pipeline::component::Signal;
use std::error::Error;
use std::fmt::Write as _;

/// Points of a request.
const POINTS: usize = 1000;

pub(crate) fn run(bench: &Bench) -> Result<(), Box<dyn Error>> {
    let json = metrics()?;
    let body = otlp::json::to_protobuf(Signal::Metrics, json.as_bytes())?;
    let mut reader = MetricsReader::default();
    let batch = MetricBatch::new(reader.read(&body, 0)?.groups);
    bench.measure("otlp: read metrics that are known", POINTS, || reader.read(&body, 0).map(|taken| taken.points));
    bench.measure("otlp: read metrics that are new", POINTS, || {
        MetricsReader::default().read(&body, 0).map(|taken| taken.points)
    });
    bench.measure("otlp: write metrics", POINTS, || otlp::encode::metrics(&batch).len());
    bench.measure("otlp: metrics from JSON to protobuf", POINTS, || {
        otlp::json::to_protobuf(Signal::Metrics, json.as_bytes()).map(|body| body.len())
    });
    let spans = otlp::json::to_protobuf(Signal::Traces, traces()?.as_bytes())?;
    bench.measure("otlp: check spans", POINTS, || otlp::request::check(Signal::Traces, &spans));
    Ok(())
}

/// A hundred metrics of ten points each, with three attributes.
fn metrics() -> Result<String, std::fmt::Error> {
    let mut out = "{\"resourceMetrics\":[{\"resource\":{\"attributes\":[{\"key\":\"service.name\",\"value\":{\"stringValue\":\"shop\"}}]},\"scopeMetrics\":[{\"scope\":{\"name\":\"lib\"},\"metrics\":[".to_owned();
    for metric in 0..POINTS / 10 {
        let comma = if metric > 0 { "," } else { "" };
        write!(
            out,
            "{comma}{{\"name\":\"http.server.requests.{metric}\",\"unit\":\"1\",\"sum\":{{\"isMonotonic\":true,\"aggregationTemporality\":2,\"dataPoints\":["
        )?;
        for point in 0..10 {
            let comma = if point > 0 { "," } else { "" };
            write!(
                out,
                "{comma}{{\"startTimeUnixNano\":\"1760000000000000000\",\"timeUnixNano\":\"1760000010000000000\",\"asDouble\":{point}.5,\"attributes\":["
            )?;
            for (at, (key, value)) in
                [("http.method", "GET"), ("http.route", "/api/v1/items"), ("status", "200")].iter().enumerate()
            {
                let comma = if at > 0 { "," } else { "" };
                write!(out, "{comma}{{\"key\":\"{key}\",\"value\":{{\"stringValue\":\"{value}-{point}\"}}}}")?;
            }
            out.push_str("]}");
        }
        out.push_str("]}}");
    }
    out.push_str("]}]}]}");
    Ok(out)
}

/// As many spans, with two attributes each.
fn traces() -> Result<String, std::fmt::Error> {
    let mut out = "{\"resourceSpans\":[{\"scopeSpans\":[{\"spans\":[".to_owned();
    for span in 0..POINTS {
        let comma = if span > 0 { "," } else { "" };
        write!(
            out,
            "{comma}{{\"traceId\":\"5b8efff798038103d269b633813fc60c\",\"spanId\":\"{span:016x}\",\"name\":\"GET /items\",\"kind\":2,\
             \"startTimeUnixNano\":\"1760000000000000000\",\"endTimeUnixNano\":\"1760000000100000000\",\"attributes\":[\
             {{\"key\":\"http.method\",\"value\":{{\"stringValue\":\"GET\"}}}},{{\"key\":\"status\",\"value\":{{\"intValue\":\"200\"}}}}]}}"
        )?;
    }
    out.push_str("]}]}]}");
    Ok(out)
}

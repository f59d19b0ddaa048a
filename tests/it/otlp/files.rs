//! What comes in is what goes out: byte for byte where nothing is to be changed, and by way of files.

use std::path::Path;

use otlp::wire;
use pipeline::component::Signal;
use serde_json::{Value, json};

use crate::support::oxidot::Oxidot;
use crate::support::{free_port, http, wait_until};

const SIGNALS: [(Signal, &str); 3] =
    [(Signal::Metrics, "/v1/metrics"), (Signal::Traces, "/v1/traces"), (Signal::Logs, "/v1/logs")];

fn pipelines(receivers: &str, processors: &str, exporters: &str, name: &str) -> String {
    let of = |signal: &str| {
        format!("{signal}/{name}: {{receivers: [{receivers}], processors: [{processors}], exporters: [{exporters}]}}")
    };
    ["metrics", "traces", "logs"].map(of).join(", ")
}

/// Everything that a resource, a scope and an attribute can have.
fn described(rest: Value) -> Value {
    let attributes = json!([
        {"key": "text", "value": {"stringValue": "a \"b\"\n\u{1f600}"}},
        {"key": "bool", "value": {"boolValue": true}},
        {"key": "int", "value": {"intValue": "-9223372036854775808"}},
        {"key": "double", "value": {"doubleValue": 0.1}},
        {"key": "bytes", "value": {"bytesValue": "AP8="}},
        {"key": "list", "value": {"arrayValue": {"values": [{"intValue": "1"}, {"stringValue": "x"}]}}},
        {"key": "map", "value": {"kvlistValue": {"values": [{"key": "k", "value": {"doubleValue": 1.5}}]}}},
        {"key": "none", "value": {}}]);
    let mut described =
        json!({"resource": {"attributes": attributes, "droppedAttributesCount": 2}, "schemaUrl": "https://r"});
    for (key, value) in rest.as_object().unwrap() {
        described[key] = json!([value]);
        described[key][0]["scope"] =
            json!({"name": "lib", "version": "1", "attributes": attributes, "droppedAttributesCount": 1});
        described[key][0]["schemaUrl"] = json!("https://s");
    }
    described
}

fn metrics() -> Value {
    let point = |value: Value| {
        let mut point = json!({"attributes": [{"key": "a", "value": {"stringValue": "b"}}], "startTimeUnixNano": "1700000000000000001", "timeUnixNano": "1700000000000000002"});
        point.as_object_mut().unwrap().extend(value.as_object().unwrap().clone());
        point
    };
    let exemplar = json!([{"filteredAttributes": [{"key": "e", "value": {"intValue": "1"}}], "timeUnixNano": "5", "asDouble": 0.5, "spanId": "0102030405060708", "traceId": "0102030405060708090a0b0c0d0e0f10"}]);
    json!({"resourceMetrics": [described(json!({"scopeMetrics": {"metrics": [
        {"name": "gauge", "description": "d", "unit": "By", "gauge": {"dataPoints": [point(json!({"asDouble": "NaN"})), point(json!({"asInt": "9223372036854775807", "attributes": []}))]}},
        {"name": "sum", "sum": {"dataPoints": [point(json!({"asDouble": 1e300, "exemplars": exemplar})), point(json!({"flags": 1, "attributes": []}))], "aggregationTemporality": 1, "isMonotonic": true}},
        {"name": "histogram", "histogram": {"dataPoints": [point(json!({"count": "3", "sum": 4.5, "bucketCounts": ["1", "2"], "explicitBounds": [0.5], "min": 0.25, "max": 2.5, "exemplars": exemplar}))], "aggregationTemporality": 2}},
        {"name": "exponential", "exponentialHistogram": {"dataPoints": [point(json!({"count": "6", "sum": 1.5, "scale": -2, "zeroCount": "1", "positive": {"offset": -3, "bucketCounts": ["1", "2"]}, "negative": {"offset": 4, "bucketCounts": ["2"]}, "min": -1.5, "max": 1.5, "zeroThreshold": 0.001}))], "aggregationTemporality": 2}},
        {"name": "summary", "summary": {"dataPoints": [point(json!({"count": "2", "sum": 3.5, "quantileValues": [{"quantile": 0.5, "value": 1.5}]}))]}, "metadata": [{"key": "m", "value": {"stringValue": "v"}}]}
    ]}}))]})
}

fn traces() -> Value {
    json!({"resourceSpans": [described(json!({"scopeSpans": {"spans": [{
        "traceId": "0102030405060708090a0b0c0d0e0f10", "spanId": "0102030405060708", "traceState": "a=b", "parentSpanId": "1112131415161718",
        "flags": 257, "name": "GET /", "kind": 2, "startTimeUnixNano": "1700000000000000001", "endTimeUnixNano": "1700000000000000002",
        "attributes": [{"key": "a", "value": {"stringValue": "b"}}], "droppedAttributesCount": 1,
        "events": [{"timeUnixNano": "3", "name": "e", "attributes": [{"key": "a", "value": {"boolValue": false}}], "droppedAttributesCount": 1}],
        "droppedEventsCount": 2, "links": [{"traceId": "0102030405060708090a0b0c0d0e0f10", "spanId": "2122232425262728", "traceState": "c=d", "attributes": [], "droppedAttributesCount": 3, "flags": 1}],
        "droppedLinksCount": 3, "status": {"message": "m", "code": 2}}]}}))]})
}

fn logs() -> Value {
    json!({"resourceLogs": [described(json!({"scopeLogs": {"logRecords": [{
        "timeUnixNano": "1700000000000000001", "observedTimeUnixNano": "1700000000000000002", "severityNumber": 13, "severityText": "WARN",
        "body": {"kvlistValue": {"values": [{"key": "k", "value": {"arrayValue": {"values": []}}}]}},
        "attributes": [{"key": "a", "value": {"bytesValue": "AQI="}}], "droppedAttributesCount": 4, "flags": 1,
        "traceId": "0102030405060708090a0b0c0d0e0f10", "spanId": "0102030405060708", "eventName": "n"}]}}))]})
}

fn sent() -> [Value; 3] {
    [metrics(), traces(), logs()]
}

/// JSON without lists that are empty, which are not written.
fn compact(value: Value) -> Value {
    match value {
        Value::Array(items) => Value::Array(items.into_iter().map(compact).collect()),
        Value::Object(map) => {
            let kept = map.into_iter().filter(|(_, value)| *value != json!([]));
            Value::Object(kept.map(|(key, value)| (key, compact(value))).collect())
        }
        // Whole doubles are written without a fraction.
        Value::Number(number) => json!(number.as_f64()),
        other => other,
    }
}

fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.split_inclusive('\n')
        .filter(|line| line.ends_with('\n'))
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Lists of objects, and the keys of objects, in an order of their own: resources, scopes and attributes may come in another.
fn sorted(value: Value) -> Value {
    match value {
        Value::Array(items) => {
            let mut items: Vec<Value> = items.into_iter().map(sorted).collect();
            if items.iter().all(Value::is_object) {
                items.sort_by_key(Value::to_string);
            }
            Value::Array(items)
        }
        Value::Object(map) => {
            let mut entries: Vec<_> = map.into_iter().map(|(key, value)| (key, sorted(value))).collect();
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Object(entries.into_iter().collect())
        }
        other => other,
    }
}

#[test]
fn what_is_written_to_a_file_is_read_back_without_loss() {
    let directory = tempfile::tempdir().unwrap();
    let [first, second] = ["first.json", "second.json"].map(|name| directory.path().join(name));
    let port = free_port();
    let _oxidot = Oxidot::start(&format!(
        "receivers: {{otlp: {{protocols: {{http: {{endpoint: \"127.0.0.1:{port}\"}}}}}}, file: {{include: [\"{first}\"], start_at: beginning, poll_interval: 20ms}}}}\n\
         exporters: {{file/first: {{path: \"{first}\"}}, file/second: {{path: \"{second}\"}}}}\n\
         service: {{pipelines: {{{}, {}}}}}\n",
        pipelines("otlp", "", "file/first", "in"),
        pipelines("file", "", "file/second", "out"),
        first = first.display(),
        second = second.display(),
    ));
    let mut expected = Vec::new();
    for ((_, path), sent) in SIGNALS.into_iter().zip(sent()) {
        let answer = http::post(port, path, "application/json", sent.to_string().as_bytes()).unwrap();
        assert_eq!((answer.status, answer.body.as_str()), (200, "{}"), "{path}");
        expected.push(sorted(compact(sent)));
    }
    expected.sort_by_key(Value::to_string);
    for path in [&first, &second] {
        wait_until("the lines of all signals", || lines(path).len() == 3);
        let mut found: Vec<Value> = lines(path).into_iter().map(|line| sorted(compact(line))).collect();
        found.sort_by_key(Value::to_string);
        for (found, expected) in found.iter().zip(&expected) {
            assert_eq!(found, expected, "{}", path.display());
        }
    }
}

#[test]
fn processors_hand_on_the_bytes_of_traces_and_logs_that_nobody_asks_to_change() {
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("out");
    let port = free_port();
    let _oxidot = Oxidot::start(&format!(
        "receivers: {{otlp: {{protocols: {{http: {{endpoint: \"127.0.0.1:{port}\"}}}}}}}}\n\
         processors:\n\
         \x20 memory_limiter: {{check_interval: 1s, limit_percentage: 90}}\n\
         \x20 batch: {{timeout: 0s}}\n\
         \x20 attributes: {{actions: [{{key: absent, action: delete}}, {{key: also.absent, value: 1, action: update}}]}}\n\
         \x20 attributes/other: {{include: {{match_type: strict, resources: [{{key: text, value: other}}]}}, actions: [{{key: a, value: x, action: upsert}}]}}\n\
         \x20 resource: {{attributes: [{{key: absent, action: hash}}, {{key: bool, value: true, action: update}}]}}\n\
         exporters: {{file: {{path: \"{}\", format: proto}}}}\n\
         service: {{pipelines: {{{}}}}}\n",
        out.display(),
        pipelines("otlp", "memory_limiter, batch, attributes, attributes/other, resource", "file", "all"),
    ));
    let mut expected = Vec::new();
    for ((signal, path), sent) in SIGNALS.into_iter().zip(sent()).skip(1) {
        let mut body = otlp::json::to_protobuf(signal, sent.to_string().as_bytes()).unwrap();
        // Fields of a later version, at every level that a request has by itself.
        wire::put_message(&mut body, 1, |out| {
            wire::put_message(out, 2, |out| {
                wire::put_message(out, 2, |out| {
                    wire::put_number(out, 99, 5);
                    wire::put_bytes(out, 3, b"not in the usual order");
                });
                wire::put_bytes(out, 77, b"later");
            });
            wire::put_bytes(out, 1, &[]);
        });
        wire::put_bytes(&mut body, 1000, b"much later");
        let answer = http::post(port, path, "application/x-protobuf", &body).unwrap();
        assert_eq!(answer.status, 200, "{path}");
        let mut framed = u32::try_from(body.len()).unwrap().to_be_bytes().to_vec();
        framed.extend_from_slice(&body);
        expected.push(framed);
        let length = expected.iter().map(Vec::len).sum::<usize>();
        wait_until("the request in the file", || std::fs::metadata(&out).is_ok_and(|file| file.len() >= length as u64));
    }
    assert!(std::fs::read(&out).unwrap() == expected.concat(), "some byte differs");
}

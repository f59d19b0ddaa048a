//! JSON and protobuf are the same messages.
#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;
use proptest::prelude::*;

fn there_and_back(signal: Signal, text: &str) -> String {
    from_protobuf(signal, &to_protobuf(signal, text.as_bytes()).unwrap()).unwrap()
}

/// One log record with this text as its fields.
fn record(fields: &str) -> String {
    format!("{{\"resourceLogs\":[{{\"scopeLogs\":[{{\"logRecords\":[{{{fields}}}]}}]}}]}}")
}

#[test]
fn every_kind_of_value_comes_back() {
    let fields = "\"timeUnixNano\":\"18446744073709551615\",\"severityNumber\":9,\"severityText\":\"a\\\"\\u0001é\",\
        \"body\":{\"kvlistValue\":{\"values\":[\
        {\"key\":\"i\",\"value\":{\"intValue\":\"-9223372036854775808\"}},{\"key\":\"d\",\"value\":{\"doubleValue\":-0.5}},\
        {\"key\":\"n\",\"value\":{\"doubleValue\":\"NaN\"}},{\"key\":\"b\",\"value\":{\"boolValue\":false}},\
        {\"key\":\"y\",\"value\":{\"bytesValue\":\"AP8=\"}},{\"key\":\"a\",\"value\":{\"arrayValue\":{\"values\":[{},{\"stringValue\":\"\"}]}}}]}},\
        \"flags\":1,\"traceId\":\"5b8efff798038103d269b633813fc60c\"";
    let text = record(fields);
    assert_eq!(there_and_back(Signal::Logs, &text), text);
    let points = "{\"resourceMetrics\":[{\"scopeMetrics\":[{\"metrics\":[{\"name\":\"h\",\"exponentialHistogram\":{\"dataPoints\":[\
        {\"count\":\"3\",\"sum\":1e300,\"scale\":-2,\"positive\":{\"offset\":-5,\"bucketCounts\":[\"1\",\"2\"]},\"zeroThreshold\":\"Infinity\"}\
        ],\"aggregationTemporality\":2}}]}]}]}";
    assert_eq!(there_and_back(Signal::Metrics, points), points);
}

#[test]
fn what_senders_are_forgiven() {
    let strict = record("\"timeUnixNano\":\"5\",\"severityNumber\":9,\"body\":{\"intValue\":\"7\"},\"traceId\":\"ab\"");
    let lax = "{\"resource_logs\":[{\"scope_logs\":[{\"unknown\":[{\"x\":[1]}],\"log_records\":[{\"time_unix_nano\":5,\
        \"severity_number\":\"SEVERITY_NUMBER_INFO\",\"severityText\":null,\"body\":{\"intValue\":7.0},\"attributes\":null,\
        \"traceId\":\"AB\"}]}]}]}";
    assert_eq!(there_and_back(Signal::Logs, lax), strict);
    assert_eq!(to_protobuf(Signal::Logs, b"{}").unwrap(), b"");
}

#[test]
fn what_is_wrong_is_named() {
    for (fields, part) in [
        ("\"traceId\":\"xyz!\"", "traceId: \"xyz!\" is not hexadecimal"),
        ("\"timeUnixNano\":\"-1\"", "-1 is out of range for timeUnixNano"),
        ("\"timeUnixNano\":1.5", "an integer for timeUnixNano"),
        ("\"severityNumber\":\"LOUD\"", "severityNumber: \"LOUD\" is not known"),
        ("\"attributes\":{}", "a list for attributes"),
        ("\"body\":\"text\"", "body is no text"),
        ("\"body\":{\"bytesValue\":\"*\"}", "bytesValue: "),
        ("\"flags\":4294967296", "4294967296 is out of range for flags"),
    ] {
        let error = to_protobuf(Signal::Logs, record(fields).as_bytes()).unwrap_err().to_string();
        assert!(error.contains(part) && error.contains("line 1 column"), "{fields}: {error}");
    }
    assert!(to_protobuf(Signal::Logs, b"[]").is_err());
    assert!(to_protobuf(Signal::Logs, b"{} x").is_err());
    let deep = format!("\"body\":{}{}", "{\"arrayValue\":{\"values\":[".repeat(500), "]}}".repeat(500));
    assert!(to_protobuf(Signal::Logs, record(&deep).as_bytes()).is_err());
}

proptest! {
    #[test]
    fn any_text_is_read_without_panic(text in ".{0,200}") {
        to_protobuf(Signal::Traces, text.as_bytes()).ok();
        to_protobuf(Signal::Logs, record(&text).as_bytes()).ok();
    }

    #[test]
    fn any_bytes_are_written_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for signal in [Signal::Metrics, Signal::Traces, Signal::Logs] {
            if let Ok(text) = from_protobuf(signal, &bytes) {
                prop_assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok(), "{}", text);
            }
        }
        drop(value_text(&bytes));
    }
}

#[test]
fn the_first_known_key_tells_the_signal() {
    use super::signal_of;
    for (text, expected) in [
        (r#"{"resourceMetrics":[]}"#, Some(Signal::Metrics)),
        (r#"{"resource_spans":[]}"#, Some(Signal::Traces)),
        (r#" {"x":{"resourceSpans":[1]},"resourceLogs":[{"#, Some(Signal::Logs)),
        (r#"{}"#, None),
        (r#"{"x":1}"#, None),
    ] {
        assert_eq!(signal_of(text.as_bytes()).unwrap(), expected, "{text}");
    }
    for text in ["", "[]", "7", "{\"x\":", "{\"x\":1} y"] {
        assert!(signal_of(text.as_bytes()).is_err(), "{text}");
    }
}

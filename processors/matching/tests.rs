#![expect(clippy::unwrap_used, reason = "tests")]

use super::{MatchKeys, Matching, resource_of};
use crate::testing::{node, request};
use pipeline::Attributes;
use pipeline::component::Signal;
use serde::Deserialize;
use serde_json::json;

#[derive(Default, Deserialize)]
#[serde(default)]
struct Keys {
    include: Option<MatchKeys>,
    exclude: Option<MatchKeys>,
}

fn matching(yaml: &str) -> Result<Matching, String> {
    let node = node(yaml);
    let keys: Keys = pipeline::config::decode(&node, "").map_err(|errors| errors.to_string())?;
    Matching::new(keys.include.as_ref(), keys.exclude.as_ref(), &node).map_err(|errors| errors.to_string())
}

/// The first item of a request.
fn item(signal: Signal, item: serde_json::Value) -> Vec<u8> {
    let (resources, scopes, items) = match signal {
        Signal::Traces => ("resourceSpans", "scopeSpans", "spans"),
        _ => ("resourceLogs", "scopeLogs", "logRecords"),
    };
    let body = request(signal, &json!({resources: [{scopes: [{items: [item]}]}]}));
    let inner = |message: &[u8], field| match otlp::edit::raw_fields(message).find(|(number, ..)| *number == field) {
        Some((_, otlp::wire::Value::Bytes(bytes), _)) => bytes.to_vec(),
        _ => panic!("a message"),
    };
    inner(&inner(&inner(&body, 1), 2), 2)
}

fn meant(yaml: &str, signal: Signal, message: serde_json::Value) -> bool {
    let matching = matching(yaml).unwrap();
    let attributes = Attributes::from_pairs([("service.name", "shop"), ("host", "h1")]);
    let surroundings = matching.surroundings(&resource_of(&attributes), "lib", "1.2");
    let item = item(signal, message);
    let meant = matching.item(surroundings, signal, &item);
    assert!(!(meant && surroundings.rule_out(&matching)), "what is ruled out is not meant");
    meant
}

#[test]
fn spans_are_told_apart_by_all_that_they_have() {
    let span = || json!({"name": "GET /a", "kind": 2, "attributes": [{"key": "n", "value": {"intValue": "5"}}, {"key": "s", "value": {"stringValue": "x1"}}]});
    for (what, expected) in [
        ("match_type: strict, services: [shop]", true),
        ("match_type: strict, services: [sho]", false),
        ("match_type: regexp, services: [^sho]", true),
        ("match_type: strict, span_names: [other, GET /a]", true),
        ("match_type: strict, span_names: [GET]", false),
        ("match_type: regexp, span_names: ['^GET ']", true),
        ("match_type: strict, span_kinds: [SPAN_KIND_SERVER]", true),
        ("match_type: strict, span_kinds: [server]", true),
        ("match_type: strict, span_kinds: [SPAN_KIND_CLIENT]", false),
        ("match_type: regexp, span_kinds: ['_(SERVER|CLIENT)$']", true),
        ("match_type: strict, attributes: [{key: n, value: 5}]", true),
        ("match_type: strict, attributes: [{key: n, value: '5'}]", false),
        ("match_type: regexp, attributes: [{key: n, value: '^5$'}]", true),
        ("match_type: strict, attributes: [{key: s}]", true),
        ("match_type: strict, attributes: [{key: s}, {key: absent}]", false),
        ("match_type: strict, resources: [{key: host, value: h1}]", true),
        ("match_type: strict, resources: [{key: host, value: h2}]", false),
        ("match_type: strict, libraries: [{name: lib}]", true),
        ("match_type: strict, libraries: [{name: lib, version: '1.2'}]", true),
        ("match_type: strict, libraries: [{name: lib, version: '1.3'}]", false),
        ("match_type: strict, libraries: [{name: lib, version: ''}]", false),
        ("match_type: strict, services: [shop], span_names: [x]", false),
    ] {
        assert_eq!(meant(&format!("include: {{{what}}}"), Signal::Traces, span()), expected, "include {what}");
        assert_eq!(meant(&format!("exclude: {{{what}}}"), Signal::Traces, span()), !expected, "exclude {what}");
    }
    let both = "include: {match_type: strict, services: [shop]}\nexclude: {match_type: regexp, span_names: [GET]}";
    assert!(!meant(both, Signal::Traces, span()));
    assert!(meant(both, Signal::Traces, json!({"name": "PUT"})));
}

#[test]
fn log_records_are_told_apart_by_body_and_severity() {
    let record = || json!({"severityNumber": 9, "severityText": "Info", "body": {"stringValue": "user 12 logged in"}});
    for (what, expected) in [
        ("match_type: regexp, log_bodies: ['user \\d+']", true),
        ("match_type: strict, log_bodies: [user]", false),
        ("match_type: strict, log_severity_texts: [Info, Warn]", true),
        ("match_type: strict, log_severity_texts: [INFO]", false),
        ("match_type: strict, log_severity_number: {min: 9}", true),
        ("match_type: strict, log_severity_number: {min: INFO}", true),
        ("match_type: strict, log_severity_number: {min: info2}", false),
        ("match_type: strict, log_severity_number: {min: 13}", false),
    ] {
        assert_eq!(meant(&format!("include: {{{what}}}"), Signal::Logs, record()), expected, "{what}");
    }
    let undefined = |keys| format!("include: {{match_type: strict, log_severity_number: {{{keys}}}}}");
    assert!(!meant(&undefined("min: 1"), Signal::Logs, json!({"body": {"intValue": 1}})));
    assert!(meant(&undefined("min: 1, match_undefined: true"), Signal::Logs, json!({})));
    assert!(!meant(
        "include: {match_type: regexp, log_bodies: ['.*']}",
        Signal::Logs,
        json!({"body": {"intValue": 1}})
    ));
}

#[test]
fn metrics_are_told_apart_by_name_and_resource() {
    let attributes = Attributes::from_pairs([("env", "prod")]);
    for (what, expected) in [
        ("match_type: strict, metric_names: [a, b]", true),
        ("match_type: regexp, metric_names: ['^b']", false),
        ("match_type: strict, resources: [{key: env, value: prod}]", true),
        ("match_type: regexp, resources: [{key: env, value: dev}]", false),
    ] {
        let matching = matching(&format!("include: {{{what}}}")).unwrap();
        let surroundings = matching.surroundings(&resource_of(&attributes), "", "");
        assert_eq!(matching.metric(surroundings, "a"), expected, "{what}");
    }
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    for (yaml, expected) in [
        (
            "include: {span_names: [a]}",
            "include::match_type: unrecognized match_type: \"\", valid types are: [regexp strict]",
        ),
        (
            "include: {match_type: regexp, span_names: ['(']}",
            "include::span_names: error parsing regexp: missing closing )",
        ),
        (
            "exclude: {match_type: strict, attributes: [{value: 1}]}",
            "exclude::attributes: error creating processor. Can't have empty key",
        ),
        ("include: {match_type: strict, span_kinds: [SERVICE]}", "\"SERVICE\" is no kind of span"),
        ("include: {match_type: strict, log_severity_number: {min: LOUD}}", "\"LOUD\" is no severity"),
    ] {
        let error = matching(yaml).err().unwrap_or_default();
        assert!(error.contains(expected), "{yaml}: {error}");
    }
}

#[test]
fn properties_belong_to_signals() {
    let refusal = |yaml: &str, signal| {
        let keys: Keys =
            pipeline::config::decode(&node(&format!("include: {{match_type: strict, {yaml}}}")), "").unwrap();
        keys.include.unwrap().refusal(signal).map(|(_, text)| text)
    };
    assert_eq!(refusal("span_names: [a]", Signal::Traces), None);
    assert_eq!(refusal("span_names: [a]", Signal::Logs).unwrap(), "span_names cannot be used in a pipeline of logs");
    assert_eq!(refusal("services: [a]", Signal::Metrics).unwrap(), "services cannot be used in a pipeline of metrics");
    assert_eq!(refusal("metric_names: [a], resources: [{key: a}]", Signal::Metrics), None);
    let nothing = refusal("services: []", Signal::Metrics).unwrap();
    assert_eq!(nothing, "at least one of \"resources\", \"metric_names\" must be specified for metrics");
}

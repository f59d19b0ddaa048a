#![expect(clippy::unwrap_used, reason = "tests")]

use super::FACTORY;
use crate::testing::{group, json, messages, metrics, origin, point, problems, process, request, table};
use otlp::wire;
use pipeline::component::Signal;
use pipeline::{Acks, Batch, MessageBatch, MetricBatch};
use serde_json::json;
use std::sync::Arc;

async fn one(yaml: &str, signal: Signal, batch: impl Into<Batch>) -> Batch {
    let (mut out, _) = process(&FACTORY, yaml, signal, [batch.into()]).await;
    out.pop().unwrap()
}

async fn body(yaml: &str, batch: MessageBatch) -> bytes::Bytes {
    match one(yaml, batch.signal, batch).await {
        Batch::Messages(batch) => batch.body,
        Batch::Metrics(_) => panic!("messages"),
    }
}

const YAML: &str = "attributes:\n- {key: env, value: prod, action: upsert}\n- {key: host, action: delete}\n\
                    - {key: host.name, from_attribute: k8s.node.name, action: insert}";

fn before() -> serde_json::Value {
    json!([{"key": "k8s.node.name", "value": {"stringValue": "n1"}}, {"key": "host", "value": {"stringValue": "h"}}])
}

fn after() -> serde_json::Value {
    json!([{"key": "k8s.node.name", "value": {"stringValue": "n1"}}, {"key": "env", "value": {"stringValue": "prod"}},
        {"key": "host.name", "value": {"stringValue": "n1"}}])
}

#[tokio::test]
async fn resources_of_traces_and_logs_are_edited() {
    for (signal, resources, scopes, items) in [
        (Signal::Traces, "resourceSpans", "scopeSpans", "spans"),
        (Signal::Logs, "resourceLogs", "scopeLogs", "logRecords"),
    ] {
        let rest = json!([{items: [{"attributes": before()}]}]);
        let sent = json!({resources: [{"resource": {"attributes": before(), "droppedAttributesCount": 3}, scopes: rest, "schemaUrl": "u"}, {scopes: rest}]});
        let out = body(YAML, messages(signal, &sent)).await;
        let env = json!([{"key": "env", "value": {"stringValue": "prod"}}]);
        let expected = json!({resources: [{"resource": {"attributes": after(), "droppedAttributesCount": 3}, scopes: rest, "schemaUrl": "u"}, {"resource": {"attributes": env}, scopes: rest}]});
        assert_eq!(json(signal, &out), expected, "what has no resource gets one");
    }
}

#[tokio::test]
async fn unknown_fields_and_messages_in_parts_survive() {
    // Two parts of one resource, and fields of a later version.
    let mut sent = Vec::new();
    wire::put_message(&mut sent, 1, |out| {
        for key in ["a", "host"] {
            wire::put_message(out, 1, |out| {
                otlp::attributes::put_one(out, 1, key, pipeline::AttributeValue::Str("v"));
                wire::put_number(out, 90, 1);
            });
        }
        wire::put_bytes(out, 91, b"later");
        wire::put_message(out, 2, |out| wire::put_message(out, 2, |out| wire::put_bytes(out, 5, b"span")));
    });
    let batch = MessageBatch { signal: Signal::Traces, body: sent.into(), items: 1, acks: Acks::default() };
    let out = body(YAML, batch).await;
    let resource = otlp::view::View::of(&out).message(1);
    let keys: Vec<_> = resource.message(1).attributes(1).map(|(key, _)| key).collect();
    assert_eq!(keys, ["a", "env"]);
    assert_eq!(resource.message(1).number(90), 1);
    assert_eq!(resource.bytes(91), b"later");
    assert_eq!(resource.message(2).message(2).bytes(5), b"span");
    assert_eq!(otlp::request::check(Signal::Traces, &out), Ok(1));
}

#[tokio::test]
async fn bytes_stay_where_nothing_changes() {
    let sent =
        json!({"resourceSpans": [{"resource": {"attributes": before()}, "scopeSpans": [{"spans": [{"name": "a"}]}]}]});
    let body_before = bytes::Bytes::from(request(Signal::Traces, &sent));
    let batch = MessageBatch { signal: Signal::Traces, body: body_before.clone(), items: 1, acks: Acks::default() };
    let out = body("attributes: [{key: absent, action: delete}, {key: host, value: h, action: upsert}]", batch).await;
    assert_eq!(out.as_ptr(), body_before.as_ptr());
}

#[tokio::test]
async fn resources_of_metrics_are_decided_once_and_remembered() {
    let sent = |value| {
        json!({"resourceMetrics": [{"resource": {"attributes": before()}, "scopeMetrics": [{"metrics": [
        {"name": "m", "gauge": {"dataPoints": [{"timeUnixNano": "1", "asInt": value}]}}]}]}]})
    };
    let batch = metrics(&sent("1"));
    let out = match one(YAML, Signal::Metrics, batch).await {
        Batch::Metrics(batch) => batch,
        Batch::Messages(_) => panic!("metrics"),
    };
    let attributes = &out.groups()[0].origin.resource.attributes;
    let found: Vec<_> = attributes.iter().map(|(key, _)| key).collect();
    assert_eq!(found, ["env", "host.name", "k8s.node.name"]);

    // A scrape's target keeps its table, and nothing is copied where nothing changes.
    let (target, table) = (origin("j", "i", &[("rack", "r")]), table("resource_table", 2));
    let batch = MetricBatch::new(vec![group(&target, &table, vec![point(0, 1), point(1, 1)])]);
    let yaml = "attributes: [{key: service.name, value: renamed, action: update}]";
    let Batch::Metrics(out) = one(yaml, Signal::Metrics, batch.clone()).await else { panic!("metrics") };
    assert!(Arc::ptr_eq(&out.groups()[0].table, &table));
    assert_eq!(out.groups()[0].origin.resource.attributes.get_str("service.name"), Some("renamed"));
    assert_eq!(out.groups()[0].origin.labels.get_str("rack"), Some("r"));
    let yaml = "attributes: [{key: absent, action: delete}]";
    let Batch::Metrics(out) = one(yaml, Signal::Metrics, batch.clone()).await else { panic!("metrics") };
    assert!(std::ptr::eq(out.groups(), batch.groups()));
}

#[test]
fn configurations_are_checked() {
    assert_eq!(problems(&FACTORY, "{}"), ["missing required field \"attributes\""]);
    let all = problems(&FACTORY, "attributes: [{key: a, action: insert}, {action: delete}]");
    assert_eq!(all.len(), 2, "{all:?}");
}

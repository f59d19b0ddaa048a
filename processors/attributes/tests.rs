#![expect(clippy::unwrap_used, reason = "tests")]

use super::FACTORY;
use crate::testing::{context, group, json, messages, metrics, node, origin, point, problems, process, series, table};
use pipeline::component::{Build, BuildContext, Signal};
use pipeline::{Acks, Batch, Client, MessageBatch, MetricBatch, SeriesTable};
use serde_json::json;
use std::sync::Arc;

async fn one_metric(yaml: &str, batch: MetricBatch) -> MetricBatch {
    let (mut out, _) = process(&FACTORY, yaml, Signal::Metrics, [batch]).await;
    match out.pop().unwrap() {
        Batch::Metrics(batch) => batch,
        Batch::Messages(_) => panic!("metrics"),
    }
}

async fn one_message(yaml: &str, batch: MessageBatch) -> MessageBatch {
    let (mut out, _) = process(&FACTORY, yaml, batch.signal, [batch]).await;
    match out.pop().unwrap() {
        Batch::Messages(batch) => batch,
        Batch::Metrics(_) => panic!("messages"),
    }
}

/// The attributes of all points, those of their origin included.
fn labels(batch: &MetricBatch) -> Vec<String> {
    let of = |group: &pipeline::PointGroup, at: u32| {
        let series = group.table.get(at).unwrap();
        let all = group.origin.labels.iter().chain(&series.attributes);
        let mut all: Vec<_> =
            all.map(|(key, value)| format!("{key}={}", prometheus::translate::attribute_text(value))).collect();
        all.sort();
        format!("{}{{{}}}", series.name, all.join(","))
    };
    batch.groups().iter().flat_map(|group| group.points.iter().map(|point| of(group, point.series))).collect()
}

fn all(origin: &Arc<pipeline::Origin>, table: &Arc<SeriesTable>) -> MetricBatch {
    MetricBatch::new(vec![group(origin, table, (0..table.len() as u32).map(|at| point(at, 1)).collect())])
}

#[tokio::test]
async fn points_get_the_attributes_of_their_own_or_of_the_target() {
    let origin = origin("j", "i", &[("rack", "r1"), ("zone", "z1")]);
    let table = SeriesTable::intern(vec![
        series("attributes_a", &[("path", "/x")]),
        series("attributes_a", &[("path", "/y"), ("rack", "own")]),
        series("attributes_b", &[]),
    ]);
    let yaml = "actions:\n- {key: cluster, value: c1, action: insert}\n- {key: rack, action: hash}\n\
                - {key: zone, action: delete}\n- {key: path2, from_attribute: path, action: insert}";
    let out = one_metric(yaml, all(&origin, &table)).await;
    let hash = |text: &str| {
        use sha2::Digest as _;
        sha2::Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    let (r1, own) = (hash("r1"), hash("own"));
    let mut found = labels(&out);
    found.sort();
    assert_eq!(
        found,
        [
            format!("attributes_a{{cluster=c1,path2=/x,path=/x,rack={r1}}}"),
            format!("attributes_a{{cluster=c1,path2=/y,path=/y,rack={own}}}"),
            format!("attributes_b{{cluster=c1,rack={r1}}}"),
        ]
    );
    let of_target = out.groups().iter().find(|group| group.points.len() == 2).unwrap();
    assert_eq!(of_target.origin.labels.get_str("cluster"), Some("c1"), "kept once for the target");
    assert!(of_target.table.as_slice().iter().all(|series| series.attributes.get("cluster").is_none()));
}

#[tokio::test]
async fn metrics_that_are_not_meant_are_handed_on_without_a_copy() {
    let (origin, table) = (origin("j", "i", &[]), table("attributes_shared", 3));
    for yaml in [
        "actions: [{key: a, action: delete}]",
        "actions: [{key: a, value: b, action: insert}]\ninclude: {match_type: strict, metric_names: [x]}",
        "actions: [{key: a, value: b, action: insert}]\nexclude: {match_type: regexp, metric_names: [shared]}",
        "actions: [{key: a, value: b, action: insert}]\ninclude: {match_type: strict, resources: [{key: no}]}",
    ] {
        let batch = all(&origin, &table);
        let shared = batch.clone();
        let out = one_metric(yaml, batch).await;
        assert!(std::ptr::eq(out.groups(), shared.groups()), "{yaml}");
    }
}

#[tokio::test]
async fn some_metrics_of_a_table_can_be_meant() {
    let (origin, table) = (origin("j", "i", &[]), table("attributes_some", 3));
    let yaml = "actions: [{key: a, value: b, action: insert}]\ninclude: {match_type: strict, metric_names: [attributes_some_1]}";
    let mut found = labels(&one_metric(yaml, all(&origin, &table)).await);
    found.sort();
    assert_eq!(found, ["attributes_some_0{}", "attributes_some_1{a=b}", "attributes_some_2{}"]);
}

#[tokio::test]
async fn types_stay_what_they_are_and_exemplars_untouched() {
    let sent = json!({"resourceMetrics": [{"resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "s"}}]},
        "scopeMetrics": [{"scope": {"name": "l"}, "metrics": [{"name": "m", "unit": "s", "sum": {"dataPoints": [{
            "attributes": [{"key": "n", "value": {"intValue": "5"}}, {"key": "x", "value": {"stringValue": "y"}}],
            "timeUnixNano": "5", "asInt": "3",
            "exemplars": [{"timeUnixNano": "4", "asInt": "1", "filteredAttributes": [{"key": "x", "value": {"stringValue": "e"}}]}]
        }], "aggregationTemporality": 2, "isMonotonic": true}}]}]}]});
    let out = one_metric("actions: [{key: x, value: [1], action: update}]", metrics(&sent)).await;
    let mut expected = sent.clone();
    expected["resourceMetrics"][0]["scopeMetrics"][0]["metrics"][0]["sum"]["dataPoints"][0]["attributes"][1]["value"] =
        json!({"arrayValue": {"values": [{"intValue": "1"}]}});
    assert_eq!(json(Signal::Metrics, &otlp::encode::metrics(&out)), expected);
}

fn spans(names: &[&str]) -> serde_json::Value {
    let spans: Vec<_> = names
        .iter()
        .map(|name| json!({"traceId": "0102030405060708090a0b0c0d0e0f10", "spanId": "0102030405060708", "name": name,
            "attributes": [{"key": "user", "value": {"stringValue": "u"}}], "events": [{"name": "e", "attributes": [{"key": "user", "value": {"stringValue": "u"}}]}]}))
        .collect();
    json!({"resourceSpans": [{"resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]}, "scopeSpans": [{"scope": {"name": "lib"}, "spans": spans}]}]})
}

#[tokio::test]
async fn spans_and_log_records_are_edited_where_they_are_meant() {
    let yaml = "actions: [{key: user, action: delete}, {key: env, value: p, action: insert}]\n\
                include: {match_type: strict, span_names: [b]}";
    let sent = spans(&["a", "b"]);
    let out = one_message(yaml, messages(Signal::Traces, &sent)).await;
    let mut expected = sent;
    expected["resourceSpans"][0]["scopeSpans"][0]["spans"][1]["attributes"] =
        json!([{"key": "env", "value": {"stringValue": "p"}}]);
    assert_eq!(json(Signal::Traces, &out.body), expected);
    assert_eq!(out.items, 2);

    let logs = json!({"resourceLogs": [{"scopeLogs": [{"logRecords": [
        {"severityNumber": 17, "body": {"stringValue": "x"}}, {"severityNumber": 5, "body": {"stringValue": "y"}}]}]}]});
    let yaml = "actions: [{key: loud, value: true, action: insert}]\n\
                include: {match_type: strict, log_severity_number: {min: ERROR}}";
    let out = one_message(yaml, messages(Signal::Logs, &logs)).await;
    let mut expected = logs;
    expected["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0]["attributes"] =
        json!([{"key": "loud", "value": {"boolValue": true}}]);
    assert_eq!(json(Signal::Logs, &out.body), expected);
}

#[tokio::test]
async fn what_nobody_asks_to_change_is_handed_on_as_the_same_bytes() {
    for yaml in [
        "actions: [{key: absent, action: delete}]",
        "actions: [{key: user, value: u, action: upsert}]",
        "actions: [{key: env, value: p, action: insert}]\ninclude: {match_type: strict, services: [other]}",
        "actions: [{key: env, value: p, action: insert}]\nexclude: {match_type: strict, libraries: [{name: lib}]}",
    ] {
        let batch = messages(Signal::Traces, &spans(&["a", "b"]));
        let body = batch.body.clone();
        let out = one_message(yaml, batch).await;
        assert_eq!(out.body.as_ptr(), body.as_ptr(), "{yaml}: not even copied");
        assert_eq!(out.body, body);
    }
}

#[tokio::test]
async fn points_of_several_clients_are_told_apart() {
    let (origin, table) = (origin("j", "i", &[]), table("attributes_clients", 1));
    let of = |tenant: &str| {
        let client = Client::new(None, [("x-tenant", tenant)]);
        let mut batch = all(&origin, &table);
        batch.acks = Acks::default().from_client(Some(Arc::new(client)));
        batch
    };
    let yaml = "actions: [{key: tenant, from_context: metadata.x-tenant, action: insert}]";
    let batches = [of("a"), of("b"), of("a"), all(&origin, &table)];
    let (out, _) = process(&FACTORY, yaml, Signal::Metrics, batches).await;
    let found: Vec<_> = out
        .iter()
        .map(|batch| match batch {
            Batch::Metrics(batch) => labels(batch).concat(),
            Batch::Messages(_) => panic!("metrics"),
        })
        .collect();
    let name = "attributes_clients_0";
    let expected = ["{tenant=a}", "{tenant=b}", "{tenant=a}", "{}"].map(|labels| format!("{name}{labels}"));
    assert_eq!(found, expected);
}

proptest::proptest! {
    /// Whatever is sent, what comes out can be read if what came in could, and has as many items.
    #[test]
    fn any_bytes_are_survived(body in proptest::collection::vec(0u8..24, 0..200), logs: bool) {
        let signal = if logs { Signal::Logs } else { Signal::Traces };
        let yaml = node("actions: [{key: a, value: b, action: upsert}, {pattern: '.', action: hash}]\n\
                         exclude: {match_type: regexp, attributes: [{key: x, value: y}]}");
        let config = super::Config::read(&yaml).unwrap();
        let mut editor = super::AttributesEditor {
            actions: Arc::new(config.actions),
            matching: Arc::new(config.matching),
            wire: crate::actions::WireEditor::default(),
        };
        let edited = crate::editing::Editor::edit(&mut editor, signal, &body, None);
        if let (Ok(items), Some(edited)) = (otlp::request::check(signal, &body), edited) {
            proptest::prop_assert_eq!(otlp::request::check(signal, &edited), Ok(items));
        }
    }
}

#[test]
fn configurations_are_checked() {
    assert_eq!(problems(&FACTORY, "{}"), ["missing required field \"actions\""]);
    let both = problems(&FACTORY, "actions: [{key: a, action: x}]\ninclude: {match_type: y}");
    assert_eq!(both.len(), 2, "all at once: {both:?}");
    let Build::Processor(build) = FACTORY.build else { panic!("a processor") };
    let yaml = node("actions: [{key: a, value: b, action: insert}]\nexclude: {match_type: strict, span_names: [a]}");
    let context = BuildContext { signal: Some(Signal::Logs), ..context("attributes") };
    assert!(build(&yaml, &context).is_err());
    let found = |signal| -> Vec<(String, String)> {
        let errors = super::check_in(&yaml, signal).err();
        errors.iter().flat_map(|errors| errors.iter()).map(|e| (e.path.clone(), e.message.clone())).collect()
    };
    let expected = ("exclude::span_names".to_owned(), "span_names cannot be used in a pipeline of logs".to_owned());
    assert_eq!(found(Signal::Logs), [expected]);
    assert_eq!(found(Signal::Traces), []);
    let more = node("actions: [{key: a, action: x}]\ninclude: {match_type: strict, span_names: [a]}");
    assert!(super::check_in(&more, Signal::Logs).is_err(), "whatever else is wrong");
}

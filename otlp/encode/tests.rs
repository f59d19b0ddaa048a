//! What did not come by OTLP, written as OTLP.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;

use pipeline::{Attributes, Family, Origin, Point, PointGroup, Resource, Scope, SeriesTable, Source};

use super::*;

fn origin(source: Source, labels: &[(&str, &str)]) -> Arc<Origin> {
    let attributes = Attributes::from_pairs([("service.name", "j")]);
    let resource = Resource { attributes, ..Resource::default() };
    let scope = Scope { name: "s".into(), ..Scope::default() };
    Origin::intern(source, resource, scope, Attributes::from_pairs(labels.iter().copied()))
}

fn written(kind: FamilyKind, parts: &[(&str, Part, Value)]) -> String {
    written_from(Source::Scrape, kind, parts)
}

fn written_from(source: Source, kind: FamilyKind, parts: &[(&str, Part, Value)]) -> String {
    let family = Arc::new(Family { name: "f".into(), kind, ..Family::default() });
    let series = |(name, part, _): &(&str, Part, Value)| {
        Series::intern(Arc::clone(&family), (*name).into(), part.clone(), Attributes::default())
    };
    let table = SeriesTable::intern(parts.iter().map(series).collect());
    let point = |(at, (_, _, value)): (u32, &(&str, Part, Value))| Point {
        series: at,
        flags: 0,
        time: 5,
        start: 0,
        value: value.clone(),
    };
    let points = (0u32..).zip(parts).map(point).collect();
    let text = metrics_json(&MetricBatch::new(vec![PointGroup::new(origin(source, &[("zone", "z")]), table, points)]));
    let start = text.find("\"metrics\":").unwrap() + 10;
    text.get(start..text.len() - 5)
        .unwrap()
        .replace("{\"attributes\":[{\"key\":\"zone\",\"value\":{\"stringValue\":\"z\"}}],\"timeUnixNano\":\"5\"", "{P")
}

#[test]
fn kinds_of_prometheus_become_what_the_specification_says() {
    let one = |kind| written(kind, &[("f", Part::Whole, Value::Float(1.0))]);
    assert_eq!(one(FamilyKind::Unknown), r#"[{"name":"f","gauge":{"dataPoints":[{P,"asDouble":1}]}}]"#);
    assert_eq!(
        one(FamilyKind::COUNTER),
        r#"[{"name":"f","sum":{"dataPoints":[{P,"asDouble":1}],"aggregationTemporality":2,"isMonotonic":true}}]"#
    );
    assert_eq!(
        one(FamilyKind::Info),
        r#"[{"name":"f","sum":{"dataPoints":[{P,"asDouble":1}],"aggregationTemporality":2}}]"#
    );
}

#[test]
fn parts_that_came_by_remote_write_keep_their_names_and_labels() {
    let kind = FamilyKind::Histogram { temporality: Temporality::Cumulative };
    let parts = [("f_bucket", Part::Bucket("0.5".into()), Value::Float(1.0)), ("f_sum", Part::Sum, Value::Float(2.0))];
    let text = written_from(Source::RemoteWrite, kind, &parts);
    assert!(
        text.contains(r#"{"name":"f_bucket","sum":"#) && text.contains(r#"{"key":"le","value":{"stringValue":"0.5"}}"#),
        "{text}"
    );
    assert!(text.contains(r#"{"name":"f_sum","sum":"#), "{text}");
}

#[test]
fn staleness_is_a_flag_of_the_familys_own_kind() {
    let stale = |kind| written(kind, &[("f", Part::Whole, Value::NONE)]);
    assert_eq!(stale(FamilyKind::Gauge), r#"[{"name":"f","gauge":{"dataPoints":[{P,"flags":1}]}}]"#);
    let cumulative = Temporality::Cumulative;
    assert!(
        stale(FamilyKind::Histogram { temporality: cumulative })
            .contains(r#""histogram":{"dataPoints":[{P,"flags":1}]"#)
    );
    assert!(stale(FamilyKind::Summary).contains(r#""summary":{"dataPoints":[{P,"flags":1}]"#));
}

#[test]
fn groups_of_one_resource_are_put_together() {
    let family = Arc::new(Family { name: "g".into(), kind: FamilyKind::Gauge, ..Family::default() });
    let series = Series::intern(Arc::clone(&family), "g".into(), Part::Whole, Attributes::default());
    let table = SeriesTable::intern(vec![series]);
    let group = |labels: &[(&str, &str)]| {
        let point = Point { series: 0, flags: 0, time: 1, start: 0, value: Value::Int(1) };
        PointGroup::new(origin(Source::Otlp, labels), Arc::clone(&table), vec![point])
    };
    let batch = MetricBatch::new(vec![group(&[("a", "1")]), group(&[("a", "2")]), group(&[("a", "1")])]);
    let text = metrics_json(&batch);
    assert_eq!(text.matches("\"resource\"").count(), 1, "{text}");
    assert_eq!((text.matches("\"name\":\"g\"").count(), text.matches("asInt").count()), (1, 3), "{text}");
}

//! What rules do to series, and what becomes of families, resources and types.

use super::{batch, flat_all, relabeller};
use crate::relabel::FACTORY;
use crate::routing::Dropped;
use crate::testing::{Running, build, context, exemplar, group, origin, point, series, table};
use pipeline::{
    Ack, AckOutcome, Acks, AttributeValue, Attributes, AttributesBuilder, Family, FamilyKind, Histogram, MetricBatch,
    Origin, Part, Point, Resource, Scope, Series, SeriesTable, Source, Temporality, Value,
};
use std::sync::Arc;

/// The label sets that the rules make of `name{attributes}` of job `j`, instance `i:1` with the target label `env="prod"`.
fn relabelled(rules: &str, name: &str, attributes: &[(&str, &str)]) -> Vec<String> {
    let table = SeriesTable::intern(vec![series(name, attributes)]);
    let (out, _) = relabeller(rules).lead(batch(&origin("j", "i:1", &[("env", "prod")]), &table));
    flat_all(out.groups())
}

fn one(rules: &str, name: &str, attributes: &[(&str, &str)]) -> String {
    relabelled(rules, name, attributes).concat()
}

#[test]
fn every_action_works_on_names_attributes_and_what_the_target_has() {
    let same = r#"{__name__="m", a="x", env="prod", instance="i:1", job="j"}"#;
    let cases = [
        ("- {source_labels: [a], regex: x, action: keep}", same),
        ("- {source_labels: [a], regex: y, action: keep}", ""),
        ("- {source_labels: [__name__, job], regex: m;j, action: drop}", ""),
        ("- {source_labels: [env], regex: prod, action: drop}", ""),
        ("- {source_labels: [a], target_label: b, action: keepequal}", ""),
        ("- {source_labels: [b], target_label: c, action: dropequal}", ""),
        (
            "- {source_labels: [a], target_label: b, replacement: '<$1>'}",
            r#"{__name__="m", a="x", b="<x>", env="prod", instance="i:1", job="j"}"#,
        ),
        (
            "- {source_labels: [instance], regex: '(.*):.*', target_label: host}",
            r#"{__name__="m", a="x", env="prod", host="i", instance="i:1", job="j"}"#,
        ),
        (
            "- {source_labels: [a, env], separator: '-', target_label: env}",
            r#"{__name__="m", a="x", env="x-prod", instance="i:1", job="j"}"#,
        ),
        (
            "- {source_labels: [a], action: uppercase, target_label: a}",
            r#"{__name__="m", a="X", env="prod", instance="i:1", job="j"}"#,
        ),
        (
            "- {source_labels: [a], action: hashmod, modulus: 8, target_label: shard}",
            r#"{__name__="m", a="x", env="prod", instance="i:1", job="j", shard="6"}"#,
        ),
        (
            "- {action: labelmap, regex: '(e)nv', replacement: '${1}2'}",
            r#"{__name__="m", a="x", e2="prod", env="prod", instance="i:1", job="j"}"#,
        ),
        ("- {action: labeldrop, regex: 'env|a'}", r#"{__name__="m", instance="i:1", job="j"}"#),
        ("- {action: labeldrop, regex: 'instance|job'}", r#"{__name__="m", a="x", env="prod"}"#),
        ("- {action: labelkeep, regex: '__name__|a'}", r#"{__name__="m", a="x"}"#),
        ("- {target_label: __name__, replacement: n}", r#"{__name__="n", a="x", env="prod", instance="i:1", job="j"}"#),
        ("- {target_label: __tmp, replacement: n}", same),
    ];
    for (rule, expected) in cases {
        assert_eq!(one(rule, "m", &[("a", "x")]), expected, "{rule}");
    }
}

#[test]
fn a_series_without_a_name_is_dropped_and_counted_apart() {
    let table = SeriesTable::intern(vec![series("m", &[("a", "x")])]);
    let (out, dropped) =
        relabeller("- {action: labeldrop, regex: __name__}").lead(batch(&origin("j", "i", &[]), &table));
    assert!(out.is_empty());
    assert_eq!(dropped, Dropped { nameless: 1, ..Dropped::default() });
}

#[test]
fn job_and_instance_are_the_resource() {
    let resource = Attributes::from_pairs([
        ("service.namespace", "shop"),
        ("service.name", "cart"),
        ("service.instance.id", "a"),
        ("cloud.region", "eu"),
    ]);
    let resource = Resource { attributes: resource, ..Resource::default() };
    let from = Origin::intern(Source::Otlp, resource, Scope::default(), Attributes::default());
    let table = table("relabel_resource", 1);
    let rules = "- {source_labels: [job, __meta_resource_cloud_region], regex: '(.*)/cart;(.*)', \
                 replacement: '$1-$2', target_label: job}\n\
                 - {target_label: instance, replacement: ''}";
    let (out, _) = relabeller(rules).lead(batch(&from, &table));
    let to = &out.groups()[0].origin;
    assert_eq!(to.resource.attributes, Attributes::from_pairs([("service.name", "shop-eu"), ("cloud.region", "eu")]));
    assert_eq!(to.source, Source::Otlp);
    assert!(Arc::ptr_eq(&out.groups()[0].table, &table), "the series are what they were");
}

#[test]
fn the_scope_can_be_read() {
    let scope = Scope { name: "lib".into(), version: "7".into(), ..Scope::default() };
    let from = Origin::intern(Source::Otlp, Resource::default(), scope, Attributes::default());
    let rules = "- {source_labels: [__meta_scope_name, __meta_scope_version], target_label: lib}";
    let (out, _) = relabeller(rules).lead(batch(&from, &table("relabel_scope", 1)));
    assert_eq!(flat_all(out.groups()), [r#"{__name__="relabel_scope_0", lib="lib;7"}"#]);
}

#[test]
fn a_job_that_is_an_attribute_moves_to_the_resource_when_it_is_written() {
    let from = Origin::intern(Source::Otlp, Resource::default(), Scope::default(), Attributes::default());
    let table = SeriesTable::intern(vec![series("m", &[("job", "old")])]);
    let (out, _) = relabeller("- {target_label: job, replacement: new}").lead(batch(&from, &table));
    let group = &out.groups()[0];
    assert_eq!(group.origin.resource.attributes, Attributes::from_pairs([("service.name", "new")]));
    assert!(group.table.get(0).unwrap().attributes.is_empty());
}

#[test]
fn values_keep_their_type_unless_a_rule_changes_them() {
    let mut builder = AttributesBuilder::default();
    builder.push("port", AttributeValue::Int(80));
    builder.push("code", AttributeValue::Int(200));
    builder.push("none", AttributeValue::Empty);
    let family = Arc::new(Family { name: "m".into(), ..Family::default() });
    let typed = Series::intern(family, "m".into(), Part::Whole, builder.build());
    let table = SeriesTable::intern(vec![typed]);
    let rules = "- {source_labels: [code], regex: '(.)..', replacement: '${1}xx', target_label: code}";
    let (out, _) = relabeller(rules).lead(batch(&origin("j", "i", &[]), &table));
    let attributes = &out.groups()[0].table.get(0).unwrap().attributes;
    assert_eq!(attributes.get("port"), Some(AttributeValue::Int(80)));
    assert_eq!(attributes.get("code"), Some(AttributeValue::Str("2xx")));
    assert_eq!(attributes.get("none"), Some(AttributeValue::Empty));
}

fn histogram_parts(family: &str) -> Arc<SeriesTable> {
    let kind = FamilyKind::Histogram { temporality: Temporality::Cumulative };
    let family = Arc::new(Family { name: family.into(), unit: "s".into(), kind, ..Family::default() });
    let part = |part: Part| {
        let name = format!("{}{}", family.name, part.suffix());
        Series::intern(Arc::clone(&family), name.into(), part, Attributes::default())
    };
    let parts = [Part::Bucket("1".into()), Part::Bucket("+Inf".into()), Part::Sum, Part::Count];
    SeriesTable::intern(parts.map(part).into())
}

#[test]
fn a_family_is_renamed_with_all_its_parts() {
    let rules = "- {source_labels: [__name__], regex: 'relabel_h(.*)', replacement: 'new$1', target_label: __name__}";
    let (out, _) = relabeller(rules).lead(batch(&origin("j", "i", &[]), &histogram_parts("relabel_h")));
    let series = out.groups()[0].table.as_slice();
    let names: Vec<_> = series.iter().map(|s| &*s.name).collect();
    assert_eq!(names, ["new_bucket", "new_bucket", "new_sum", "new_count"]);
    assert!(series.iter().all(|s| Arc::ptr_eq(&s.family, &series[0].family)));
    assert_eq!((&*series[0].family.name, &*series[0].family.unit), ("new", "s"));
    assert_eq!(series[1].part, Part::Bucket("+Inf".into()));
}

#[test]
fn a_part_that_does_not_fit_any_more_leaves_its_family() {
    let rules = "- {source_labels: [__name__], regex: 'relabel_l_count', replacement: observed, target_label: __name__}\n\
                 - {source_labels: [le], regex: '1', replacement: '1.0', target_label: le}\n\
                 - {source_labels: [le], regex: '.Inf', replacement: '', target_label: le}";
    let (out, _) = relabeller(rules).lead(batch(&origin("j", "i", &[]), &histogram_parts("relabel_l")));
    let series = out.groups()[0].table.as_slice();
    assert_eq!(series[0].part, Part::Bucket("1.0".into()));
    assert_eq!(&*series[0].family.name, "relabel_l");
    for (at, name) in [(1, "relabel_l_bucket"), (3, "observed")] {
        assert_eq!((&*series[at].name, &series[at].part), (name, &Part::Whole));
        assert_eq!((&*series[at].family.name, series[at].family.kind), (name, FamilyKind::Unknown));
        assert_eq!(&*series[at].family.unit, "", "a unit would be appended to the name again");
    }
    assert_eq!(series[2].part, Part::Sum);
}

#[test]
fn a_bucket_under_another_name_keeps_its_bound_as_an_attribute() {
    let rules = "- {target_label: __name__, replacement: other}";
    let (out, _) = relabeller(rules).lead(batch(&origin("j", "i", &[]), &histogram_parts("relabel_b")));
    let bucket = &out.groups()[0].table.as_slice()[0];
    assert_eq!((&*bucket.name, &bucket.part), ("other", &Part::Whole));
    assert_eq!(bucket.attributes, Attributes::from_pairs([("le", "1")]));
}

#[test]
fn a_counter_and_a_whole_histogram_are_renamed_by_family() {
    let counter = Arc::new(Family { name: "relabel_c".into(), kind: FamilyKind::COUNTER, ..Family::default() });
    let kind = FamilyKind::Histogram { temporality: Temporality::Delta };
    let whole = Arc::new(Family { name: "relabel.w".into(), kind, ..Family::default() });
    let table = SeriesTable::intern(vec![
        Series::intern(counter, "relabel_c_total".into(), Part::Whole, Attributes::default()),
        Series::intern(whole, "relabel.w".into(), Part::Whole, Attributes::default()),
    ]);
    let histogram =
        Point { value: Value::Histogram(Box::new(Histogram { count: 3, ..Histogram::default() })), ..point(1, 1) };
    let incoming = MetricBatch::new(vec![group(&origin("j", "i", &[]), &table, vec![point(0, 0), histogram.clone()])]);
    let rules = "- {source_labels: [__name__], regex: 'relabel.(.*)', replacement: 'new_$1', target_label: __name__}";
    let (out, _) = relabeller(rules).lead(incoming);
    let group = &out.groups()[0];
    let names: Vec<_> = group.table.as_slice().iter().map(|s| (&*s.name, &*s.family.name)).collect();
    assert_eq!(names, [("new_c_total", "new_c"), ("new_w", "new_w")]);
    assert_eq!(group.points[1], histogram);
}

#[test]
fn exemplars_follow_their_points() {
    let table = SeriesTable::intern(vec![series("m", &[("a", "x")]), series("m", &[("a", "y")]), series("n", &[])]);
    let incoming = || {
        let mut group = group(&origin("j", "i", &[]), &table, vec![point(0, 0), point(1, 1), point(2, 2), point(0, 3)]);
        group.exemplars = vec![exemplar(3, 3), exemplar(1, 1), exemplar(2, 2), exemplar(9, 9)];
        MetricBatch::new(vec![group])
    };
    for rules in [
        "- {source_labels: [a], regex: y, action: drop}",
        "- {source_labels: [a], regex: y, action: drop}\n\
        - {source_labels: [a], regex: x, replacement: other, target_label: instance}",
    ] {
        let (out, dropped) = relabeller(rules).lead(incoming());
        assert_eq!((out.len(), dropped.rule), (3, 1));
        let mut found = Vec::new();
        for group in out.groups() {
            found.extend(group.exemplars.iter().map(|e| (group.points[e.point as usize].time, e.time)));
        }
        found.sort_unstable();
        assert_eq!(found, [(2, 2), (3, 3)], "{rules}");
    }
}

#[test]
fn a_point_of_a_series_that_its_table_does_not_have_is_counted() {
    let table = table("relabel_beyond", 1);
    for rules in [
        "- {target_label: a, replacement: b}\n- {source_labels: [x], action: drop, regex: x}",
        "- {source_labels: [__name__], target_label: a}",
    ] {
        let incoming = MetricBatch::new(vec![group(&origin("j", "i", &[]), &table, vec![point(0, 0), point(7, 0)])]);
        let (out, dropped) = relabeller(rules).lead(incoming);
        // Where nothing is decided by series, there is nothing to notice it by.
        assert_eq!(out.len() as u64 + dropped.unknown_series, 2, "{rules}");
    }
}

#[tokio::test]
async fn the_processor_counts_and_answers_for_what_it_drops() {
    let context = context("relabel/x");
    let yaml = "rules: [{source_labels: [__name__], regex: relabel_p_0, action: drop}]";
    let mut running = Running::start(build(&FACTORY, yaml, &context), 8);
    let (origin, table) = (origin("j", "i", &[]), table("relabel_p", 2));
    running.send(batch(&origin, &table)).await;
    assert_eq!(running.output.recv().await.unwrap().len(), 1);
    let (ack, waiter) = Ack::channel();
    let all_dropped = vec![group(&origin, &table, vec![point(0, 1)])];
    running.send(MetricBatch::with_acks(all_dropped, Acks::one(ack))).await;
    assert_eq!(waiter.await, Ok(AckOutcome::Delivered));
    assert!(running.finish().await.is_empty());
    let value = |name, labels: &[(&str, &str)]| context.telemetry.value(name, labels);
    let reason = [("processor", "relabel/x"), ("reason", "relabel_rule")];
    assert_eq!(value("otelcol_processor_dropped_metric_points", &reason), Some(2.0));
    let items = [("processor", "relabel/x"), ("otel_signal", "metrics")];
    assert_eq!(value("otelcol_processor_incoming_items", &items), Some(3.0));
    assert_eq!(value("otelcol_processor_outgoing_items", &items), Some(1.0));
    let own = [("processor", "relabel/x")];
    assert_eq!(value("otelcol_processor_relabel_evaluated_series", &own), Some(2.0));
    assert_eq!(value("otelcol_processor_relabel_cache_entries", &own), Some(1.0));
}

#[test]
fn series_that_become_one_share_a_place_and_both_pass() {
    let table = SeriesTable::intern(vec![series("m", &[("a", "x")]), series("m", &[("a", "y")]), series("n", &[])]);
    let (out, dropped) = relabeller("- {action: labeldrop, regex: a}").lead(batch(&origin("j", "i", &[]), &table));
    assert_eq!(dropped, Dropped::default());
    let group = &out.groups()[0];
    assert_eq!(group.table.len(), 2);
    assert_eq!(group.points.iter().map(|p| p.series).collect::<Vec<_>>(), [0, 0, 1]);
}

#[test]
fn a_label_copied_over_one_of_the_target_takes_its_place() {
    let rules =
        "- {action: labelmap, regex: exported_(.*), replacement: '$1'}\n- {action: labeldrop, regex: exported_.*}";
    let table = SeriesTable::intern(vec![series("m", &[("exported_env", "test")]), series("n", &[])]);
    let (out, _) = relabeller(rules).lead(batch(&origin("j", "i", &[("env", "prod")]), &table));
    let expected = [
        r#"{__name__="m", env="test", instance="i", job="j"}"#,
        r#"{__name__="n", env="prod", instance="i", job="j"}"#,
    ];
    assert_eq!(flat_all(out.groups()), expected);
    let places: Vec<_> = out.groups().iter().map(|g| g.origin.labels.get_str("env")).collect();
    assert_eq!(places, [None, Some("prod")], "no name stands on both sides");
}

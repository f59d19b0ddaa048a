//! Whatever the rules and the series: the processor does to them what Prometheus does to the plain label set.

use super::{flat, relabeller};
use crate::testing::{exemplar, group, point};
use pipeline::{
    AttributeValue, Attributes, AttributesBuilder, Family, FamilyKind, MetricBatch, Origin, Part, Resource, Scope,
    Series, SeriesTable, Source, Temporality,
};
use prometheus::labels::{Labels, LabelsBuilder, METRIC_NAME};
use prometheus::names::ValidationScheme;
use prometheus::relabel::{RelabelConfig, RelabelRules};
use proptest::prelude::*;
use proptest::sample::select;
use std::collections::BTreeSet;
use std::sync::Arc;

const NAMES: [&str; 9] = ["a", "b", "c", "job", "instance", "le", "quantile", "__x", "__meta_resource_zone"];
const VALUES: [&str; 7] = ["", "x", "y", "xy", "a", "b", "1"];

fn pairs() -> impl Strategy<Value = Attributes> {
    let value = prop_oneof![
        4 => select(&VALUES).prop_map(Some),
        1 => Just(None),
    ];
    prop::collection::vec((select(&NAMES), value), 0..4).prop_map(|pairs| {
        let mut builder = AttributesBuilder::default();
        for (name, value) in pairs {
            builder.push(name, value.map_or(AttributeValue::Int(1), AttributeValue::Str));
        }
        builder.build()
    })
}

fn an_origin() -> impl Strategy<Value = Arc<Origin>> {
    let key = select(&["service.name", "service.namespace", "service.instance.id", "zone"]);
    let resource = prop::collection::vec((key, select(&VALUES)), 0..4);
    (resource, select(&["", "lib"]), pairs()).prop_map(|(resource, scope, labels)| {
        let resource = Resource { attributes: Attributes::from_pairs(resource), ..Resource::default() };
        Origin::intern(Source::Otlp, resource, Scope { name: scope.into(), ..Scope::default() }, labels)
    })
}

fn a_series() -> impl Strategy<Value = Arc<Series>> {
    let part = select(vec![
        Part::Whole,
        Part::Bucket("1".into()),
        Part::Bucket("x".into()),
        Part::Sum,
        Part::Count,
        Part::Quantile("1".into()),
        Part::Created,
    ]);
    (select(&["m", "n", "xy"]), part, any::<bool>(), pairs()).prop_map(|(family, part, total, attributes)| {
        let more = if part == Part::Whole && total { "_total" } else { part.suffix() };
        let name = format!("{family}{more}");
        let kind = FamilyKind::Histogram { temporality: Temporality::Cumulative };
        let family = Arc::new(Family { name: family.into(), kind, ..Family::default() });
        Series::intern(family, name.into(), part, attributes)
    })
}

fn a_rule() -> impl Strategy<Value = RelabelConfig> {
    let labels = [&NAMES[..], &[METRIC_NAME, "__meta_scope_name", "d"]].concat();
    let targets = [&labels[..], &["${1}", "a$1", "__tmp"]].concat();
    let regexes =
        ["(.*)", "x", "x|y", "(.)(.*)", "", "a.*", "(.*)_(bucket|sum|total)", "m.*", ".+", "__.*|j.*|i.*|(.)", "()a|c"];
    let replacements = ["$1", "", "k", "${1}y", "$2", "m_bucket", "x", "1", "${1}b"];
    let text = |from: &[&str]| select(from.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>());
    let source = prop::collection::vec(text(&labels), 0..3);
    let (target, regex, replacement) = (text(&targets), text(&regexes), text(&replacements));
    let action = prop_oneof![
        8 => Just("replace"),
        2 => select(&["labelmap", "labeldrop", "labelkeep"]),
        1 => select(&["keep", "drop"]),
        1 => select(&["keepequal", "dropequal", "hashmod", "uppercase", "lowercase"]),
    ];
    let config =
        (source, target, regex, replacement, action).prop_map(|(source, target, regex, replacement, action)| {
            let mut config = RelabelConfig { action: Some(action.to_owned()), ..RelabelConfig::default() };
            let with_source = !matches!(action, "labelmap" | "labeldrop" | "labelkeep");
            config.source_labels = with_source.then_some(source);
            config.target_label = (with_source && !matches!(action, "keep" | "drop")).then_some(target);
            config.regex = (!matches!(action, "keepequal" | "dropequal")).then_some(regex);
            config.replacement = matches!(action, "replace" | "labelmap").then_some(replacement);
            config.modulus = (action == "hashmod").then_some(3);
            config
        });
    config.prop_filter("only valid rules", |config| config.validate(ValidationScheme::Utf8).is_ok())
}

/// What Prometheus makes of the series, written down plainly.
fn expected(rules: &RelabelRules, origin: &Origin, series: &Series) -> Option<Labels> {
    let mut labels = LabelsBuilder::new();
    labels.reset(&flat(origin, series));
    for (key, value) in &origin.resource.attributes {
        let AttributeValue::Str(value) = value else { continue };
        if !value.is_empty() {
            labels.set(&format!("__meta_resource_{}", key.replace('.', "_")), value);
        }
    }
    if !origin.scope.name.is_empty() {
        labels.set("__meta_scope_name", &origin.scope.name);
    }
    if !rules.apply(&mut labels) {
        return None;
    }
    labels.retain(|name, _| name == METRIC_NAME || !name.starts_with("__"));
    labels.get(METRIC_NAME)?;
    Some(labels.build())
}

/// Names that stand in two places of an identity, where one hides the other.
fn doubled(origin: &Origin, series: &Series) -> BTreeSet<String> {
    let identity = [("service.name", "job"), ("service.instance.id", "instance")];
    let has_value = |attributes: &Attributes, key: &str| attributes.get_str(key).is_some_and(|value| !value.is_empty());
    let of_resource =
        identity.iter().filter(|(key, _)| has_value(&origin.resource.attributes, key)).map(|(_, name)| *name);
    let mut seen = BTreeSet::new();
    let attributes = origin.labels.iter().chain(&series.attributes);
    let all =
        of_resource.chain(attributes.filter(|(_, value)| *value != AttributeValue::Str("")).map(|(name, _)| name));
    all.filter(|name| !seen.insert(*name)).map(str::to_owned).collect()
}

/// The rules as YAML.
fn yaml(rules: &[RelabelConfig]) -> String {
    let quoted = |text: &String| format!("{text:?}");
    let line = |rule: &RelabelConfig| {
        let mut keys = Vec::new();
        if let Some(labels) = &rule.source_labels {
            keys.push(format!("source_labels: [{}]", labels.iter().map(quoted).collect::<Vec<_>>().join(", ")));
        }
        for (key, value) in [
            ("target_label", &rule.target_label),
            ("regex", &rule.regex),
            ("replacement", &rule.replacement),
            ("action", &rule.action),
        ] {
            keys.extend(value.as_ref().map(|value| format!("{key}: {}", quoted(value))));
        }
        keys.extend(rule.modulus.map(|modulus| format!("modulus: {modulus}")));
        format!("- {{{}}}\n", keys.join(", "))
    };
    rules.iter().map(line).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_processor_does_what_prometheus_does(
        rules in prop::collection::vec(a_rule(), 1..4),
        origins in prop::collection::vec(an_origin(), 1..5),
        series in prop::collection::vec(a_series(), 1..8),
        runs in prop::collection::vec((any::<prop::sample::Index>(), 0..8_usize, any::<bool>()), 1..6),
    ) {
        let plain = RelabelRules::compile(&rules, ValidationScheme::Utf8).unwrap();
        let mut relabeller = relabeller(&yaml(&rules));
        for (origin, first, sweep) in runs {
            // Parts of the same list, so that tables have series in common.
            let table: Vec<_> = series.iter().cycle().skip(first).take(series.len()).cloned().collect();
            let (origin, table) = (origin.get(&origins), SeriesTable::intern(table));
            // Two points for each series, one behind the other, each with an exemplar.
            let count = table.len() as u32;
            let points = (0..2 * count).map(|i| point(i % count, i64::from(i))).collect();
            let mut incoming = group(origin, &table, points);
            incoming.exemplars = (0..2 * count).rev().map(|i| exemplar(i, i64::from(i))).collect();
            let (out, dropped) = relabeller.lead(MetricBatch::new(vec![incoming]));

            let mut arrived = vec![None; 2 * count as usize];
            for group in out.groups() {
                prop_assert!(group.points.is_sorted_by_key(|point| point.time));
                prop_assert_eq!(group.exemplars.len(), group.points.len());
                for exemplar in &group.exemplars {
                    prop_assert_eq!(group.points[exemplar.point as usize].time, exemplar.time);
                }
                for point in &group.points {
                    let new = group.table.get(point.series).unwrap();
                    let labels = flat(&group.origin, new);
                    // Exporters need not agree with this test on which of two values counts.
                    let old = table.get(point.time as u32 % count).unwrap();
                    prop_assert!(doubled(&group.origin, new).is_subset(&doubled(origin, old)), "{:?} {:?}", group.origin, new);
                    let place = &mut arrived[point.time as usize];
                    prop_assert!(place.replace(labels).is_none(), "a point came twice");
                }
            }
            for (i, labels) in arrived.iter().enumerate() {
                let wanted = expected(&plain, origin, table.get(i as u32 % count).unwrap());
                prop_assert_eq!(labels, &wanted, "point {} of {:?}", i, origin);
            }
            let gone = arrived.iter().filter(|labels| labels.is_none()).count() as u64;
            prop_assert_eq!(dropped.rule + dropped.nameless, gone);
            if sweep {
                relabeller.cache.timed_sweep();
            }
        }
    }
}

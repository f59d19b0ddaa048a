#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::Value;

use super::label_set::{
    ExternalLabelsError, Identity, LabelRules, ScopeInfo, label_set, sanitize_external_labels, with_external_labels,
};
use super::target_info::{TargetInfoRules, target_info_labels};

use super::*;
use crate::vectors::{json, rows, text};

fn flag(row: &Value, key: &str) -> bool {
    row[key].as_bool().unwrap_or_default()
}

fn kind(name: &str) -> NamedKind {
    match name {
        "gauge" => NamedKind::Gauge,
        "monotonic_counter" | "counter" => NamedKind::Counter,
        "non_monotonic_counter" => NamedKind::NonMonotonicCounter,
        "histogram" => NamedKind::Histogram,
        "exponential_histogram" => NamedKind::ExponentialHistogram,
        "summary" => NamedKind::Summary,
        "unknown" | "" => NamedKind::Unknown,
        other => panic!("metric type {other:?} in a vector is not known here"),
    }
}

fn strategy(utf8: bool, suffixes: bool) -> TranslationStrategy {
    match (utf8, suffixes) {
        (false, true) => TranslationStrategy::UnderscoreEscapingWithSuffixes,
        (false, false) => TranslationStrategy::UnderscoreEscapingWithoutSuffixes,
        (true, true) => TranslationStrategy::NoUtf8EscapingWithSuffixes,
        (true, false) => TranslationStrategy::NoTranslation,
    }
}

/// A vector's object of strings (and other scalars, as OTLP prints them).
fn map(value: &Value) -> BTreeMap<String, String> {
    let entries = value.as_object().into_iter().flatten();
    entries.map(|(key, value)| (key.clone(), value.as_str().map_or_else(|| value.to_string(), str::to_owned))).collect()
}

fn pairs(map: &BTreeMap<String, String>) -> impl Iterator<Item = (&str, &str)> + Clone {
    map.iter().map(|(key, value)| (key.as_str(), value.as_str()))
}

fn sorted_strings(map: &BTreeMap<String, String>) -> Vec<(String, String)> {
    map.clone().into_iter().collect()
}

#[test]
fn metric_names_are_those_of_otlptranslator() {
    for row in rows("vectors/otlptranslator_metric_names.json", "cases") {
        let strategy = strategy(flag(&row, "utf8_allowed"), flag(&row, "with_suffixes"));
        if let Some(named) = row["strategy"].as_str() {
            assert_eq!(named.parse(), Ok(strategy));
        }
        let namer = MetricNamer { namespace: text(&row, "namespace").to_owned(), strategy };
        let found = namer.build(text(&row, "name"), text(&row, "unit"), kind(text(&row, "type")));
        match row["expected_error"].as_str().filter(|error| !error.is_empty()) {
            Some(expected) => assert_eq!(found.unwrap_err().to_string(), expected, "{row}"),
            None => assert_eq!(found.unwrap(), text(&row, "expected_name"), "{row}"),
        }
        if let Some(expected) = row["expected_unit_name"].as_str() {
            assert_eq!(UnitNamer { utf8: !strategy.escapes() }.build(text(&row, "unit")), expected, "{row}");
        }
    }
}

#[test]
fn metric_names_of_the_older_translator_come_out_as_the_newer_one_makes_them() {
    for row in rows("vectors/contrib_legacy_metric_names.json", "cases") {
        let strategy = strategy(false, flag(&row, "with_suffixes"));
        let namer = MetricNamer { namespace: text(&row, "namespace").to_owned(), strategy };
        let found = namer.build(text(&row, "name"), text(&row, "unit"), kind(text(&row, "type")));
        match row["otlptranslator_expected"].as_str() {
            Some(expected) => assert_eq!(found.as_deref().unwrap_or_default(), expected, "{row}"),
            None => assert!(found.is_err(), "{row}"),
        }
    }
}

#[test]
fn base_names_of_the_worked_example_follow_each_strategy() {
    let Some(file) = json("vectors/prw_worked_example.json") else { return };
    for (name, expected) in file["base_names"].as_object().unwrap() {
        let namer = MetricNamer { namespace: String::new(), strategy: name.parse().unwrap() };
        let mut found = Vec::new();
        for metric in file["input"]["metrics"].as_array().unwrap() {
            // Metrics of delta temporality get no name, because they are not sent.
            if metric["sum"]["temporality"] == "delta" {
                continue;
            }
            let kind = match metric {
                _ if metric.get("gauge").is_some() => NamedKind::Gauge,
                _ if metric["sum"]["monotonic"] == true => NamedKind::Counter,
                _ if metric.get("sum").is_some() => NamedKind::NonMonotonicCounter,
                _ if metric.get("histogram").is_some() => NamedKind::Histogram,
                _ if metric.get("exponential").is_some() => NamedKind::ExponentialHistogram,
                _ => NamedKind::Summary,
            };
            found.push(namer.build(text(metric, "name"), text(metric, "unit"), kind).unwrap());
        }
        assert_eq!(Value::from(found.iter().map(AsRef::as_ref).collect::<Vec<&str>>()), *expected, "{name}");
    }
    for row in file["metadata"].as_array().unwrap() {
        let name = row[0].as_str().unwrap();
        let namer = MetricNamer::default();
        let metric = file["input"]["metrics"].as_array().unwrap().iter().find(|metric| {
            let unit = text(metric, "unit");
            [NamedKind::Histogram, NamedKind::Counter]
                .iter()
                .any(|&kind| namer.build(text(metric, "name"), unit, kind).unwrap() == name)
        });
        let unit = UnitNamer { utf8: false }.build(text(metric.unwrap(), "unit"));
        assert_eq!(unit, row[2].as_str().unwrap(), "{name}");
    }
}

#[test]
fn label_names_are_those_of_otlptranslator() {
    for row in rows("vectors/otlptranslator_label_names.json", "cases") {
        let namer = LabelNamer {
            utf8: flag(&row, "utf8_allowed"),
            underscore_sanitization: flag(&row, "underscore_label_sanitization"),
            preserve_multiple_underscores: flag(&row, "preserve_multiple_underscores"),
        };
        let found = namer.build(text(&row, "label"));
        match row["expected_error"].as_str().filter(|error| !error.is_empty()) {
            Some(expected) => assert_eq!(found.unwrap_err().to_string(), expected, "{row}"),
            None => assert_eq!(found.unwrap(), text(&row, "expected"), "{row}"),
        }
    }
}

#[test]
fn unit_tables_are_complete() {
    let Some(file) = json("vectors/unit_maps.json") else { return };
    for utf8 in [false, true] {
        let namer = UnitNamer { utf8 };
        for (code, word) in map(&file["unit_map"]) {
            assert_eq!(namer.build(&code), word);
        }
        for (code, word) in map(&file["per_unit_map"]) {
            assert_eq!(namer.build(&format!("/{code}")), format!("per_{word}"));
        }
    }
    let Some(file) = json("vectors/unit_word_to_ucum.json") else { return };
    for (word, code) in map(&file["word_to_ucum"]) {
        assert_eq!(unit_word_to_ucum(&word), code);
        assert_eq!(ucum_to_unit_word(&code), word);
    }
    for (word, code) in map(&file["per_word_to_ucum"]) {
        assert_eq!(unit_word_to_ucum(&format!("x_per_{word}")), format!("x/{code}"));
        assert_eq!(ucum_to_unit_word(&format!("x/{code}")), format!("x_per_{word}"));
    }
    for row in rows("vectors/unit_word_to_ucum.json", "cases") {
        assert_eq!(unit_word_to_ucum(text(&row, "input")), text(&row, "expected"));
    }
}

#[test]
fn ids_of_exemplars_are_read_as_observed() {
    let hex = |id: &[u8]| id.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    for row in rows("vectors/exemplar_id_decode.json", "cases") {
        let mut labels = map(&row["labels"]);
        for key in ["trace_id", "span_id"] {
            if let Some(value) = row[key].as_str() {
                labels.insert(key.to_owned(), value.to_owned());
            }
        }
        let (mut trace, mut span, mut filtered) = (None, None, BTreeMap::new());
        for (name, value) in &labels {
            for name in [name.clone(), name.to_ascii_uppercase()] {
                match exemplar_label(&name, value) {
                    ExemplarLabel::TraceId(id) => trace = Some(hex(&id)),
                    ExemplarLabel::SpanId(id) => span = Some(hex(&id)),
                    ExemplarLabel::Empty => {}
                    ExemplarLabel::Other => drop(filtered.insert(name.to_ascii_lowercase(), value.clone())),
                }
            }
        }
        assert_eq!(trace.as_deref(), row["expected_trace"].as_str(), "{row}");
        assert_eq!(span.as_deref(), row["expected_span"].as_str(), "{row}");
        assert_eq!(filtered, map(&row["filtered"]), "{row}");
    }
}

#[test]
fn label_names_of_the_older_translator_come_out_of_the_same_rules() {
    for row in rows("vectors/contrib_legacy_labels.json", "cases") {
        let underscore_sanitization = !flag(&row, "permissive_gate");
        let namer = LabelNamer { utf8: false, underscore_sanitization, preserve_multiple_underscores: true };
        match text(&row, "label") {
            // The newer translator has no name for a label without one.
            "" => assert!(namer.build("").is_err(), "{row}"),
            label => assert_eq!(namer.build(label).unwrap(), text(&row, "expected"), "{row}"),
        }
    }
    let strategy = TranslationStrategy::UnderscoreEscapingWithoutSuffixes;
    let namer = MetricNamer { namespace: String::new(), strategy };
    for row in rows("vectors/contrib_legacy_labels.json", "clean_up_string") {
        match text(&row, "expected") {
            "" => assert!(namer.build(text(&row, "input"), "", NamedKind::Gauge).is_err(), "{row}"),
            // The newer translator keeps names from beginning with a digit.
            expected if expected.starts_with(|c: char| c.is_ascii_digit()) => {
                let found = namer.build(text(&row, "input"), "", NamedKind::Gauge).unwrap();
                assert_eq!(found, format!("_{expected}"), "{row}");
            }
            expected => {
                assert_eq!(namer.build(text(&row, "input"), "", NamedKind::Gauge).unwrap(), expected, "{row}");
            }
        }
    }
}

#[test]
fn a_permissive_namer_leaves_an_underscore_in_front() {
    let strategy = TranslationStrategy::default();
    for namer in [
        LabelNamer::remote_write(strategy),
        LabelNamer::remote_write_v1_target_info(),
        LabelNamer::prometheus_exporter(strategy),
    ] {
        let namer = namer.permissive();
        for (label, name) in
            [("_test", "_test"), ("_a__b", "_a_b"), (".test", "_test"), ("0test", "key_0test"), ("__x__", "__x__")]
        {
            assert_eq!(namer.build(label).unwrap(), name, "{label} by {namer:?}");
        }
        assert!(namer.build("字").is_err());
    }
}

#[test]
fn promoted_resource_attributes_fill_gaps_only() {
    let promoted = ["cloud.region", "a", "service.name", "job", "empty"].map(str::to_owned).into();
    let rules = LabelRules { promoted, disable_scope_info: true, ..default_rules() };
    let resource = [("service.name", "api"), ("cloud.region", "eu"), ("a", "resource"), ("b", "no"), ("empty", "")];
    let attributes = [("a", "point")];
    let found = label_set(&rules, resource, &ScopeInfo::default(), attributes, [("__name__", "m")]).unwrap();
    let expected = [("__name__", "m"), ("a", "point"), ("cloud_region", "eu"), ("job", "api"), ("service_name", "api")];
    assert_eq!(found, strings(expected));
    let rules = LabelRules { promoted: vec!["____".to_owned()], ..rules };
    assert!(label_set(&rules, [("____", "v")], &ScopeInfo::default(), [], []).is_err());
}

#[test]
fn suffixes_of_scraped_names_are_trimmed() {
    for row in rows("vectors/trim_prom_suffixes.json", "cases") {
        let kind = match text(&row, "type") {
            "sum" => NamedKind::Counter,
            other => kind(other),
        };
        let found = trim_prometheus_suffixes(text(&row, "name"), kind, text(&row, "unit"));
        assert_eq!(found, text(&row, "expected"), "{row}");
    }
    assert_eq!(trim_prometheus_suffixes("_total", NamedKind::Counter, ""), "_total", "a name is never lost");
}

fn default_rules() -> LabelRules {
    LabelRules { namer: Some(LabelNamer::remote_write(TranslationStrategy::default())), ..LabelRules::default() }
}

#[test]
fn label_sets_are_those_of_the_collector() {
    for row in rows("vectors/prw_label_sets.json", "cases") {
        let rules = LabelRules { external_labels: sorted_strings(&map(&row["external_labels"])), ..default_rules() };
        let (attributes, resource) = (map(&row["attributes"]), map(&row["resource"]));
        let extras: Vec<&str> = row["extras"].as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect();
        let extras = extras.as_chunks::<2>().0.iter().map(|&[name, value]| (name, value));
        let found = label_set(&rules, pairs(&resource), &ScopeInfo::default(), pairs(&attributes), extras).unwrap();
        assert_eq!(found, sorted_strings(&map(&row["expected"])), "{row}");
    }
}

#[test]
fn labels_of_the_worked_example_come_out() {
    let Some(file) = json("vectors/prw_worked_example.json") else { return };
    let resource = map(&file["input"]["resource"]);
    let scope = map(&file["input"]["scope"]);
    let scope = ScopeInfo { name: &scope["name"], version: &scope["version"], ..ScopeInfo::default() };
    for series in file["expected_series"].as_array().unwrap() {
        let expected = map(&series["labels"]);
        if expected["__name__"] == "target_info" {
            let found = target_info_labels(&target_info_rules(), pairs(&resource), 1).unwrap().unwrap();
            assert_eq!(found, sorted_strings(&expected));
            continue;
        }
        let made = ["job", "instance", "otel_scope_name", "otel_scope_version"];
        let extras = pairs(&expected).filter(|(name, _)| !made.contains(name));
        let found = label_set(&default_rules(), pairs(&resource), &scope, [], extras).unwrap();
        assert_eq!(found, sorted_strings(&expected));
    }
}

#[test]
fn external_labels_are_checked_and_sanitized() {
    let namer = LabelNamer::remote_write(TranslationStrategy::default());
    for row in rows("vectors/external_labels.json", "cases") {
        let input = map(&row["input"]);
        let found = sanitize_external_labels(pairs(&input), &namer);
        if flag(&row, "error") {
            assert_eq!(found, Err(ExternalLabelsError::Empty), "{row}");
        } else {
            assert_eq!(found, Ok(sorted_strings(&map(&row["expected"]))), "{row}");
        }
    }
    let error = sanitize_external_labels([("字", "v")], &LabelNamer { underscore_sanitization: false, ..namer });
    assert_eq!(
        error.unwrap_err().to_string(),
        "prometheus remote write: external label cannot be used: \
         normalization for label name \"字\" resulted in invalid name \"_\""
    );
}

#[test]
fn external_labels_fill_gaps_as_in_prometheus() {
    for row in rows("vectors/remote_write_vectors.json", "external_labels") {
        let (series, external, result) = (map(&row["series"]), map(&row["external"]), map(&row["result"]));
        let found = with_external_labels(pairs(&series), pairs(&external));
        assert_eq!(found, pairs(&result).collect::<Vec<_>>(), "{row}");
    }
}

fn target_info_rules() -> TargetInfoRules {
    TargetInfoRules {
        enabled: true,
        namespace: String::new(),
        namer: LabelNamer::remote_write_v1_target_info(),
        external_labels: Vec::new(),
    }
}

#[test]
fn target_info_is_that_of_the_collector() {
    for row in rows("vectors/target_info.json", "cases") {
        let rules = TargetInfoRules {
            enabled: !flag(&row["settings"], "disable_target_info"),
            namespace: text(&row["settings"], "namespace").to_owned(),
            ..target_info_rules()
        };
        let resource = map(&row["resource"]);
        let found = target_info_labels(&rules, pairs(&resource), row["timestamp_ms"].as_i64().unwrap()).unwrap();
        let expected = (!row["expected"].is_null()).then(|| sorted_strings(&map(&row["expected"])));
        assert_eq!(found, expected, "{row}");
    }
}

#[test]
fn target_info_keeps_its_own_label_rules() {
    let rules = TargetInfoRules {
        external_labels: vec![("job".to_owned(), "no".to_owned()), ("zone".to_owned(), "z".to_owned())],
        ..target_info_rules()
    };
    let resource = [("service.name", "s"), ("a__b.c", "1"), ("_d", "2")];
    let found = target_info_labels(&rules, resource, 1).unwrap().unwrap();
    let expected = [("__name__", "target_info"), ("_d", "2"), ("a__b_c", "1"), ("job", "s"), ("zone", "z")];
    assert_eq!(found, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    assert!(target_info_labels(&rules, [("service.name", "s"), ("字", "v")], 1).is_err());
}

fn strings<const N: usize>(expected: [(&str, &str); N]) -> Vec<(String, String)> {
    expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

#[test]
fn later_steps_win_over_earlier_ones() {
    let rules = LabelRules { external_labels: strings([("a", "external"), ("e", "external")]), ..default_rules() };
    let resource =
        [("service.name", "api"), ("service.namespace", ""), ("service.instance.id", "i"), ("a", "resource")];
    let scope = ScopeInfo {
        name: "lib",
        version: "",
        schema_url: "",
        attributes: &[("name", "ignored"), ("library.kind", "x"), ("empty", "")],
    };
    let attributes = [("a", "point"), ("job", "mine"), ("otel_scope_name", "mine"), ("le", "mine"), ("zero", "")];
    let extras = [("__name__", "m"), ("le", "+Inf")];
    let found = label_set(&rules, resource, &scope, attributes, extras).unwrap();
    let expected = strings([
        ("__name__", "m"),
        ("a", "point"),
        ("e", "external"),
        ("instance", "i"),
        ("job", "/api"),
        ("le", "+Inf"),
        ("otel_scope_library_kind", "x"),
        ("otel_scope_name", "lib"),
    ]);
    assert_eq!(found, expected);

    let rules = LabelRules { resource_to_telemetry: true, disable_scope_info: true, ..rules };
    let found = label_set(&rules, resource, &scope, attributes, extras).unwrap();
    let expected = strings([
        ("__name__", "m"),
        ("a", "resource"),
        ("e", "external"),
        ("instance", "i"),
        ("job", "/api"),
        ("le", "+Inf"),
        ("otel_scope_name", "mine"),
        ("service_instance_id", "i"),
        ("service_name", "api"),
    ]);
    assert_eq!(found, expected);

    let rules = LabelRules { exclude_service_attributes: true, ..rules };
    let found = label_set(&rules, resource, &scope, attributes, extras).unwrap();
    assert!(found.iter().all(|(name, _)| !name.starts_with("service_")));
    assert!(label_set(&rules, resource, &scope, [("____", "v")], []).is_err(), "a bad key drops the point");
}

#[test]
fn scraped_names_stay_as_they_are() {
    let namer = MetricNamer { namespace: String::new(), strategy: TranslationStrategy::AsScraped };
    for name in ["foo_total_total", "6x", "_", "a.b", "ratio_seconds"] {
        assert_eq!(namer.build(name, "s", NamedKind::Counter).unwrap(), name);
    }
    let namer = MetricNamer { namespace: "ns".to_owned(), ..namer };
    assert_eq!(namer.build("a.b", "s", NamedKind::Counter).unwrap(), "ns_a.b");

    let rules = LabelRules::default();
    let found = label_set(&rules, [], &ScopeInfo::default(), [("_", "1"), ("__x", "2")], [("__name__", "6x")]);
    assert_eq!(found.unwrap(), strings([("_", "1"), ("__name__", "6x"), ("__x", "2")]));
}

#[test]
fn strategies_have_the_names_of_the_collector() {
    for name in [
        "UnderscoreEscapingWithSuffixes",
        "UnderscoreEscapingWithoutSuffixes",
        "NoUTF8EscapingWithSuffixes",
        "NoTranslation",
    ] {
        let read: TranslationStrategy = serde_json::from_value(name.into()).unwrap();
        assert_eq!(read.to_string(), name);
    }
    for wrong in ["x", "", "notranslation", "AsScraped"] {
        let error = serde_json::from_value::<TranslationStrategy>(wrong.into()).unwrap_err();
        assert_eq!(error.to_string(), format!("invalid translation_strategy: {wrong}"));
    }
    let with = TranslationStrategy::from_settings(None, true);
    let without = TranslationStrategy::from_settings(None, false);
    assert_eq!(with, TranslationStrategy::UnderscoreEscapingWithSuffixes);
    assert_eq!(without, TranslationStrategy::UnderscoreEscapingWithoutSuffixes);
    let set = TranslationStrategy::from_settings(Some(TranslationStrategy::NoTranslation), true);
    assert_eq!(set, TranslationStrategy::NoTranslation);
}

#[test]
fn errors_print_on_one_line() {
    let error = LabelNamer::remote_write(TranslationStrategy::NoTranslation).build("").unwrap_err();
    assert_eq!(error.to_string(), "label name is empty");
    let error = MetricNamer::default().build("\"\\\n\r\t\0\u{85}", "", NamedKind::Gauge).unwrap_err();
    assert_eq!(error.to_string(), r#"normalization for metric "\"\\\n\r\t\x00\u0085" resulted in empty name"#);
}

#[test]
fn identity_needs_a_name() {
    assert_eq!(Identity::of([("service.namespace", "ns")]).job(), None);
    let identity = Identity::of([("service.name", "s"), ("service.namespace", "ns"), ("service.instance.id", "")]);
    assert_eq!((identity.job().as_deref(), identity.instance()), (Some("ns/s"), None));
}

fn is_label_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn is_metric_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_' || c == ':')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b':')
}

fn any_kind() -> impl Strategy<Value = NamedKind> {
    prop_oneof![
        Just(NamedKind::Gauge),
        Just(NamedKind::Counter),
        Just(NamedKind::NonMonotonicCounter),
        Just(NamedKind::Histogram),
        Just(NamedKind::ExponentialHistogram),
        Just(NamedKind::Summary),
        Just(NamedKind::Unknown),
    ]
}

fn any_name() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z0-9_.:/ -]{0,12}", "_{0,3}[a-z0-9._]{0,6}_{0,3}", ".{0,12}"]
}

proptest! {
    #[test]
    fn escaped_label_names_are_valid_and_stay_when_translated_again(
        label in any_name(),
        underscore_sanitization in any::<bool>(),
        preserve_multiple_underscores in any::<bool>(),
    ) {
        let namer = LabelNamer { utf8: false, underscore_sanitization, preserve_multiple_underscores };
        if let Ok(name) = namer.build(&label) {
            prop_assert!(is_label_name(&name), "{name}");
            prop_assert_eq!(namer.build(&name).unwrap(), name.as_ref());
            prop_assert!(preserve_multiple_underscores || !name.trim_matches('_').contains("__"));
        } else {
            prop_assert!(!label.contains(|c: char| c.is_ascii_alphanumeric()));
        }
    }

    #[test]
    fn escaped_metric_names_are_valid_and_stay_when_translated_again(
        name in any_name(),
        kind in any_kind(),
        unit in prop_oneof![Just(""), Just("s"), Just("1"), Just("By"), Just("{x}")],
    ) {
        for suffixes in [true, false] {
            let namer = MetricNamer { namespace: String::new(), strategy: strategy(false, suffixes) };
            if let Ok(built) = namer.build(&name, unit, kind) {
                prop_assert!(is_metric_name(&built), "{built}");
                let again = namer.build(&built, unit, kind);
                prop_assert_eq!(again.unwrap(), built.as_ref());
            }
        }
    }

    #[test]
    fn any_unit_makes_a_valid_name(name in "[a-z]{1,5}", unit in any_name(), kind in any_kind()) {
        let namer = MetricNamer::default();
        let built = namer.build(&name, &unit, kind).unwrap();
        prop_assert!(is_metric_name(&built), "{built}");
        let word = UnitNamer { utf8: false }.build(&unit);
        prop_assert!(word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b':'));
        for utf8 in [TranslationStrategy::NoUtf8EscapingWithSuffixes, TranslationStrategy::NoTranslation] {
            let namer = MetricNamer { strategy: utf8, ..namer.clone() };
            prop_assert!(namer.build(&name, &unit, kind).is_ok());
        }
    }

    #[test]
    fn trimming_takes_from_the_end_only(name in any_name(), unit in any_name(), kind in any_kind()) {
        let trimmed = trim_prometheus_suffixes(&name, kind, &unit);
        prop_assert!(name.starts_with(trimmed));
        prop_assert!(name.is_empty() || !trimmed.is_empty());
    }

    #[test]
    fn label_sets_are_sorted_and_unique(
        attributes in proptest::collection::vec((any_name(), "[a-z]{0,3}"), 0..6),
        resource in proptest::collection::vec((any_name(), "[a-z]{0,3}"), 0..4),
    ) {
        let rules = LabelRules { resource_to_telemetry: true, ..default_rules() };
        let labels = label_set(
            &rules,
            resource.iter().map(|(key, value)| (key.as_str(), value.as_str())),
            &ScopeInfo::default(),
            attributes.iter().map(|(key, value)| (key.as_str(), value.as_str())),
            [("__name__", "m")],
        );
        if let Ok(labels) = labels {
            prop_assert!(labels.is_sorted_by(|before, after| before.0 < after.0));
            prop_assert!(labels.iter().all(|(name, value)| is_label_name(name) && !value.is_empty()));
        }
    }
}

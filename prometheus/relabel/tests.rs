#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod patterns;
mod yaml;

use proptest::prelude::*;
use serde_json::Value;

use super::{LabelScope, RelabelConfig, RelabelRules};
use crate::labels::{Labels, LabelsBuilder};
use crate::names::ValidationScheme;
use crate::vectors;

const FILE: &str = "vectors/relabel_vectors.json";

fn rules(configs: Value) -> RelabelRules {
    let configs: Vec<RelabelConfig> = serde_json::from_value(configs).unwrap();
    RelabelRules::compile(&configs, ValidationScheme::Utf8).unwrap()
}

fn builder<'a>(labels: impl IntoIterator<Item = (&'a str, &'a str)>) -> LabelsBuilder {
    let mut builder = LabelsBuilder::new();
    for (name, value) in labels {
        builder.insert(name, value);
    }
    builder
}

fn map(value: &Value) -> Vec<(&str, &str)> {
    value.as_object().into_iter().flatten().map(|(name, value)| (name.as_str(), value.as_str().unwrap())).collect()
}

/// Takes out the keys of a fully defaulted rule that its action refuses, as they were not written.
fn undefault(mut config: Value) -> Value {
    let rule = config.as_object_mut().unwrap();
    let defaults = [("separator", ";"), ("regex", "(.*)"), ("replacement", "$1")];
    for (key, default) in defaults {
        if rule.get(key).and_then(Value::as_str) == Some(default) {
            rule.remove(key);
        }
    }
    config
}

#[test]
fn vectors_of_cases() {
    for row in vectors::rows(FILE, "cases") {
        let scheme: ValidationScheme = vectors::text(&row, "name_validation_scheme").parse().unwrap();
        let configs = row["configs"].as_array().unwrap().iter().cloned().map(undefault).collect();
        let configs: Vec<RelabelConfig> = serde_json::from_value(Value::Array(configs)).unwrap();
        let rules = RelabelRules::compile(&configs, scheme).unwrap_or_else(|error| panic!("{error}: {row}"));
        let mut labels = builder(map(&row["input"]));
        let kept = rules.apply(&mut labels);
        assert_eq!(Some(!kept), row["dropped"].as_bool(), "{row}");
        if kept {
            let mut expected = map(&row["output"]);
            expected.sort_unstable();
            assert_eq!(labels.iter().collect::<Vec<_>>(), expected, "{row}");
        }
        assert_scopes(&rules, map(&row["input"]), &row);
    }
}

/// What a rule says it does not write stays as it was.
fn assert_scopes(rules: &RelabelRules, input: Vec<(&str, &str)>, row: &Value) {
    let mut labels = builder(input.iter().copied());
    if !rules.apply(&mut labels) {
        return;
    }
    let writes = rules.writes();
    for (name, value) in input.into_iter().filter(|(name, value)| !writes.contains(name) && !value.is_empty()) {
        assert_eq!(labels.get(name), Some(value), "{row}");
    }
}

#[test]
fn vectors_of_cases_as_written() {
    for row in vectors::rows(FILE, "cases") {
        let written = vectors::text(&row, "config_yaml");
        if written.is_empty() {
            continue;
        }
        let scheme: ValidationScheme = vectors::text(&row, "name_validation_scheme").parse().unwrap();
        let configs: Vec<RelabelConfig> = serde_json::from_value(yaml::read(written)).unwrap();
        let rules = RelabelRules::compile(&configs, scheme).unwrap_or_else(|error| panic!("{error}: {row}"));
        let mut labels = builder(map(&row["input"]));
        assert_eq!(Some(!rules.apply(&mut labels)), row["dropped"].as_bool(), "{row}");
    }
}

#[test]
fn vectors_of_validation() {
    let mut left_out = 0;
    for row in vectors::rows(FILE, "validation") {
        let expected = vectors::text(&row, "error");
        // How a file's values become texts and numbers, and null entries, are up to the reader of the file.
        if expected.starts_with("yaml: ") || expected.starts_with("empty or null") {
            left_out += 1;
            continue;
        }
        let scheme: ValidationScheme = vectors::text(&row, "name_validation_scheme").parse().unwrap();
        let configs: Vec<RelabelConfig> =
            serde_json::from_value(yaml::read(vectors::text(&row, "config_yaml"))).unwrap();
        assert!(!configs.is_empty(), "{row}");
        let error = configs.iter().find_map(|config| config.validate(scheme).err());
        assert_eq!(error.map(|error| error.to_string()).unwrap_or_default(), expected, "{row}");
    }
    vectors::report(&format!("validation: {left_out} rows left out: errors of the YAML reader"));
}

#[test]
fn vectors_of_target_templates() {
    for row in vectors::rows(FILE, "target_templates") {
        let config = RelabelConfig {
            target_label: Some(vectors::text(&row, "template").to_owned()),
            ..RelabelConfig::default()
        };
        for (scheme, key) in [(ValidationScheme::Legacy, "valid_legacy"), (ValidationScheme::Utf8, "valid_utf8")] {
            assert_eq!(Some(config.validate(scheme).is_ok()), row[key].as_bool(), "{scheme} {row}");
        }
    }
}

#[test]
fn vectors_of_the_defaults() {
    let Some(file) = vectors::json(FILE) else { return };
    let written: RelabelConfig =
        serde_json::from_value(serde_json::json!({"target_label": "b", "source_labels": ["a"]})).unwrap();
    let mut defaulted = file["defaults"].clone();
    defaulted["target_label"] = "b".into();
    defaulted["source_labels"] = serde_json::json!(["a"]);
    let defaulted: RelabelConfig = serde_json::from_value(defaulted).unwrap();
    for config in [written, defaulted] {
        let rules = RelabelRules::compile(&[config], ValidationScheme::Utf8).unwrap();
        let mut labels = builder([("a", "x\ny")]);
        assert!(rules.apply(&mut labels));
        assert_eq!(labels.get("b"), Some("x\ny"));
    }
}

#[test]
fn unknown_keys_are_refused() {
    let error = serde_json::from_str::<RelabelConfig>(r#"{"source_label": ["a"]}"#).unwrap_err();
    assert!(error.to_string().contains("unknown field `source_label`"), "{error}");
    let error = RelabelConfig { action: Some("Keeps".to_owned()), ..RelabelConfig::default() };
    assert_eq!(error.validate(ValidationScheme::Utf8).unwrap_err().to_string(), "unknown relabel action \"Keeps\"");
}

#[test]
fn empty_labels_count_as_absent() {
    let rules = rules(serde_json::json!([{"regex": "a.*", "action": "labelmap", "replacement": "b"}]));
    let mut labels = builder([("a1", ""), ("a2", "x")]);
    assert!(rules.apply(&mut labels));
    assert_eq!(labels.build(), [("a2", "x"), ("b", "x")].into_iter().collect::<Labels>());
}

#[test]
fn scopes_name_the_labels_that_matter() {
    let names = |names: &[&str]| LabelScope::of(names.iter().copied());
    let rules = rules(serde_json::json!([
        {"source_labels": ["a", "b"], "regex": "x.*", "action": "drop"},
        {"source_labels": ["c"], "target_label": "d"},
        {"source_labels": ["e"], "target_label": "f", "action": "keepequal"},
    ]));
    assert_eq!(rules.reads(), names(&["a", "b", "c", "e", "f"]));
    assert_eq!(rules.writes(), names(&["d"]));
    let map = self::rules(serde_json::json!([{"regex": "x_(.*)", "action": "labelmap"}]));
    assert_eq!((map.reads(), map.writes()), (LabelScope::All, LabelScope::All));
    let template = self::rules(serde_json::json!([{"source_labels": ["a"], "target_label": "x_$1"}]));
    assert_eq!((template.reads(), template.writes()), (names(&["a"]), LabelScope::All));
    assert!(RelabelRules::default().is_empty() && !RelabelRules::default().reads().contains("a"));
}

proptest! {
    /// A rule's outcome depends on nothing but what it says it reads.
    #[test]
    fn sets_that_agree_in_what_is_read_fare_alike(
        a in "[xyz]{0,3}", b in "[xyz]{0,3}", other in "[xyz]{0,3}", regex in "[xyz.*+?|()]{0,6}",
    ) {
        let config = RelabelConfig {
            source_labels: Some(vec!["a".to_owned(), "b".to_owned()]),
            regex: Some(regex),
            action: Some("keep".to_owned()),
            ..RelabelConfig::default()
        };
        if let Ok(rules) = RelabelRules::compile(&[config], ValidationScheme::Utf8) {
            prop_assert!(!rules.reads().contains("other"));
            let without = rules.apply(&mut builder([("a", a.as_str()), ("b", b.as_str())]));
            let with = rules.apply(&mut builder([("a", a.as_str()), ("b", b.as_str()), ("other", other.as_str())]));
            prop_assert_eq!(without, with);
        }
    }
}

//! That there is a test for each rule, by the lists of rules where these are at hand.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::{behaviour, content, labels, metadata, native, shape, version1};
use crate::support::skipped;

fn tests() -> BTreeSet<&'static str> {
    let all = [
        behaviour::NAMES,
        content::NAMES,
        labels::NAMES,
        metadata::NAMES,
        native::NAMES,
        shape::NAMES,
        version1::NAMES,
    ];
    all.concat().into_iter().collect()
}

/// `TestSampleOrdering` as `sample_ordering`.
fn snake(name: &str) -> String {
    let mut out = String::new();
    let mut before = 'A';
    for c in name.trim_start_matches("Test").chars() {
        if c.is_uppercase() && !before.is_uppercase() {
            out.push('_');
        }
        out.extend(c.to_lowercase());
        before = c;
    }
    out
}

#[test]
fn every_rule_has_a_test() {
    let root = std::env::var_os("OXIDOT_SHARED")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from);
    let mut missing = Vec::new();
    for (file, key) in [
        ("rw_compliance_v1.json", "name"),
        ("rw_compliance_v2.json", "name"),
        ("rw_sender_compliance_cases.json", "case"),
    ] {
        let path = root.join("vectors").join(file);
        let Ok(bytes) = std::fs::read(&path) else {
            return skipped(&format!("every_rule_has_a_test: {} is not there", path.display()));
        };
        let json: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        for case in json["cases"].as_array().unwrap() {
            let name = case[key].as_str().unwrap();
            let name = match case["file"].as_str() {
                None => name.to_lowercase(),
                Some(of) => {
                    let name =
                        if ["", "-"].contains(&name) { snake(case["test"].as_str().unwrap()) } else { name.to_owned() };
                    format!("{}_{name}", of.trim_end_matches("_test.go"))
                }
            };
            if !tests().contains(name.as_str()) {
                missing.push(name);
            }
        }
    }
    assert!(missing.is_empty(), "no test for {missing:#?}");
}

//! Which configurations are taken, and what is said of the others.

use super::super::FACTORY;
use crate::testing::{node, problems};

#[test]
fn nothing_is_needed() {
    assert_eq!(problems(&FACTORY, ""), [""; 0]);
    assert_eq!(problems(&FACTORY, "rules: []\nmetric_name_validation_scheme: legacy"), [""; 0]);
}

#[test]
fn all_problems_are_told_with_their_places() {
    let yaml = "rules:\n- action: frobnicate\n- {regex: '(', action: drop}\n-\n- {targetlabel: x}\n- {action: drop, regex: a}\n\
                - {action: hashmod, target_label: x}\n";
    let errors = (FACTORY.validate)(&node(yaml)).unwrap_err();
    let told: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(told.len(), 5, "{told:#?}");
    assert_eq!(told[0], "test.yaml:2:3: rules[0]: unknown relabel action \"frobnicate\"");
    assert!(told[1].starts_with("test.yaml:3:3: rules[1]: error parsing regexp: missing closing )"), "{}", told[1]);
    assert_eq!(told[2], "test.yaml:4:2: rules[2]: empty or null relabel rule");
    assert_eq!(told[3], "test.yaml:5:4: rules[3]: has invalid keys: targetlabel; did you mean \"target_label\"?");
    assert_eq!(told[4], "test.yaml:7:3: rules[5]: relabel configuration for hashmod requires non-zero modulus");
}

#[test]
fn the_scheme_decides_which_names_may_be_written() {
    let rule = "rules: [{target_label: a.b, replacement: x}]";
    assert_eq!(problems(&FACTORY, rule), [""; 0]);
    let legacy = format!("{rule}\nmetric_name_validation_scheme: legacy");
    assert_eq!(problems(&FACTORY, &legacy), ["\"a.b\" is invalid 'target_label' for replace action"]);
    assert_eq!(
        problems(&FACTORY, "metric_name_validation_scheme: ascii"),
        ["unrecognized ValidationScheme: \"ascii\""]
    );
}

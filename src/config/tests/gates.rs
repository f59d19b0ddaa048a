//! `--feature-gates`.

use super::*;

fn error(argument: &str) -> String {
    FeatureGates::parse([argument]).unwrap_err().to_string()
}

#[test]
fn gates_are_on_by_choice_or_by_stage() {
    let gates = FeatureGates::parse(["+service.AllowNoPipelines, -exporter.xray.allowDot", "ottl.some.thing"]).unwrap();
    assert!(gates.is_enabled("service.AllowNoPipelines"));
    assert!(!gates.is_enabled("exporter.xray.allowDot"));
    assert!(gates.is_enabled("ottl.some.thing"));
    assert_eq!(gates.notices().len(), 2, "{:?}", gates.notices());
    let none = FeatureGates::parse([]).unwrap();
    assert!(!none.is_enabled("service.AllowNoPipelines") && none.is_enabled("exporter.xray.allowDot"));
    assert!(!none.is_enabled("no.such.gate"));
    assert_eq!(FeatureGates::parse([""]).unwrap(), none);
    let last = FeatureGates::parse(["+service.AllowNoPipelines", "-service.AllowNoPipelines"]).unwrap();
    assert!(!last.is_enabled("service.AllowNoPipelines"));
}

#[test]
fn every_known_gate_is_accepted() {
    for known in KNOWN_GATES {
        let id = known.id.replace('*', "x");
        assert!(FeatureGates::parse([id.as_str()]).unwrap().is_enabled(&id), "{id}");
    }
    assert!(KNOWN_GATES.windows(2).all(|pair| pair[0].id < pair[1].id), "the list is printed, so it is sorted");
}

#[test]
fn stable_gates_cannot_be_switched_off() {
    assert_eq!(
        error("-confmap.unifyEnvVarExpansion"),
        "feature gate \"confmap.unifyEnvVarExpansion\" is stable, can not be disabled"
    );
    let on = FeatureGates::parse(["+confmap.unifyEnvVarExpansion"]).unwrap();
    assert!(on.notices()[0].contains("is stable and already enabled"));
}

#[test]
fn a_gate_is_what_a_key_is_that_is_not_written() {
    let gates = FeatureGates::parse(["pkg.translator.prometheus.PermissiveLabelSanitization"]).unwrap();
    assert!(gates.notices().is_empty(), "{:?}", gates.notices());
    let completed = |gates: &FeatureGates, exporter: &str, block: &str| {
        let mut node = pipeline::config::parse(block, "a.yaml").unwrap();
        gates.complete(exporter, &mut node);
        node.get("permissive_label_sanitization").map(|value| value.as_text().unwrap_or_default().to_owned())
    };
    for (exporter, block, value) in [
        ("prometheusremotewrite", "endpoint: http://x", Some("true")),
        ("awsprometheusremotewrite", "", Some("true")),
        ("prometheus", "permissive_label_sanitization: false", Some("false")),
        ("debug", "", None),
    ] {
        assert_eq!(completed(&gates, exporter, block).as_deref(), value, "{exporter} {block}");
        let none = completed(&FeatureGates::default(), exporter, block);
        assert_eq!(none.is_some(), block.starts_with("permissive"), "{exporter} {block}");
    }
}

#[test]
fn unknown_gates_name_the_closest() {
    let message = error("+exporter.prometheusremotewriteexporter.RetryOn429");
    assert!(
        message.starts_with(
            "no such feature gate \"exporter.prometheusremotewriteexporter.RetryOn429\". valid gates: [adot.exporter.* "
        ),
        "{message}"
    );
    assert!(message.ends_with("; did you mean \"exporter.prometheusremotewritexporter.RetryOn429\"?"), "{message}");
    assert!(error("retryon429").ends_with("did you mean \"exporter.prometheusremotewritexporter.RetryOn429\"?"));
    assert!(error("qqqqqqqqqqqqqqqqqqqq").ends_with("telemetry.newPipelineTelemetry]"));
    assert!(error("+").contains("name is missing"));
    assert!(error("a,,b").contains("no such feature gate \"a\""));
    assert!(error("ottl.").contains("no such feature gate"));
}

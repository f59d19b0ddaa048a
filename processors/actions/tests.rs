#![expect(clippy::unwrap_used, reason = "tests")]

use super::{Actions, AttributeSet, WireEditor};
use crate::testing::{node, shared};
use otlp::wire;
use pipeline::{AttributeValue, AttributesBuilder, Client};
use prometheus::translate::attribute_text;
use serde::Deserialize;

#[derive(Deserialize)]
struct Keys {
    actions: Vec<super::ActionKeys>,
}

fn compile(yaml: &str) -> Result<Actions, String> {
    let node = node(&format!("actions:\n{yaml}"));
    let keys: Keys = pipeline::config::decode(&node, "").map_err(|errors| errors.to_string())?;
    Actions::new(&keys.actions, &node, "actions").map_err(|errors| errors.to_string())
}

/// What actions make of some text attributes, as `key=value` in order.
fn apply_for(yaml: &str, before: &[(&str, AttributeValue<'_>)], client: Option<&Client>) -> Vec<String> {
    let actions = compile(yaml).unwrap();
    let mut set = AttributeSet::default();
    for (key, value) in before {
        set.push(key, *value);
    }
    actions.apply(&mut set, client);
    let after: Vec<String> = set.iter().map(|(key, value)| format!("{key}={}", attribute_text(value))).collect();
    let differs = !set.iter().eq(before.iter().copied());
    assert_eq!(set.is_changed(), differs, "{after:?}");
    after
}

fn apply(yaml: &str, before: &[(&str, &str)]) -> Vec<String> {
    let before: Vec<_> = before.iter().map(|(key, value)| (*key, AttributeValue::Str(value))).collect();
    apply_for(yaml, &before, None)
}

#[test]
fn values_are_set_where_the_action_says() {
    let before = &[("a", "1"), ("b", "2")][..];
    for (action, expected) in [
        ("insert", vec!["a=1", "b=2", "c=x"]),
        ("update", vec!["a=x", "b=2"]),
        ("upsert", vec!["a=x", "b=2", "c=x"]),
        ("UPSERT", vec!["a=x", "b=2", "c=x"]),
    ] {
        let yaml = format!("- {{key: a, value: x, action: {action}}}\n- {{key: c, value: x, action: {action}}}");
        assert_eq!(apply(&yaml, before), expected, "{action}");
    }
    assert_eq!(apply("- {key: c, from_attribute: b, action: insert}", before), ["a=1", "b=2", "c=2"]);
    assert_eq!(apply("- {key: c, from_attribute: no, action: upsert}", before), ["a=1", "b=2"]);
    let with_default = "- {key: c, from_attribute: no, default_value: d, action: upsert}";
    assert_eq!(apply(with_default, before), ["a=1", "b=2", "c=d"]);
    assert_eq!(apply("- {key: a, value: '1', action: upsert}", before), ["a=1", "b=2"], "no change");
}

#[test]
fn values_have_the_types_that_are_written() {
    let yaml = "- {key: i, value: 7, action: insert}\n- {key: f, value: 0.5, action: insert}\n\
                - {key: b, value: true, action: insert}\n- {key: s, value: '7', action: insert}\n\
                - {key: l, value: [1, x], action: insert}\n- {key: m, value: {k: v}, action: insert}";
    let actions = compile(yaml).unwrap();
    let mut set = AttributeSet::default();
    actions.apply(&mut set, None);
    assert_eq!(set.get("i"), Some(AttributeValue::Int(7)));
    assert_eq!(set.get("f"), Some(AttributeValue::Double(0.5)));
    assert_eq!(set.get("b"), Some(AttributeValue::Bool(true)));
    assert_eq!(set.get("s"), Some(AttributeValue::Str("7")));
    assert_eq!(set.get("l").map(attribute_text).unwrap(), "[1,\"x\"]");
    assert_eq!(set.get("m").map(attribute_text).unwrap(), "{\"k\":\"v\"}");
}

#[test]
fn keys_are_removed_by_name_and_by_pattern() {
    let before = &[("a", "1"), ("secret.x", "2"), ("b", "3"), ("other.secret", "4")][..];
    assert_eq!(apply("- {key: a, action: delete}", before), ["secret.x=2", "b=3", "other.secret=4"]);
    assert_eq!(apply("- {pattern: '^secret\\.', action: delete}", before), ["a=1", "b=3", "other.secret=4"]);
    assert_eq!(apply("- {key: a, pattern: secret, action: delete}", before), ["b=3"]);
    assert_eq!(apply("- {key: no, action: delete}", before).len(), 4);
}

#[test]
fn groups_of_a_pattern_become_attributes() {
    let yaml = "- {key: url, pattern: '^(?P<scheme>[a-z]+)://(?P<host>[^/:]+)(?::(?P<port>\\d+))?', action: extract}";
    assert_eq!(
        apply(yaml, &[("url", "http://h/x"), ("host", "old")]),
        ["url=http://h/x", "host=h", "scheme=http", "port="]
    );
    assert_eq!(apply(yaml, &[("url", "nothing")]), ["url=nothing"]);
    assert_eq!(apply_for(yaml, &[("url", AttributeValue::Int(1))], None), ["url=1"], "only text");
}

#[test]
fn values_are_converted_where_they_can_be() {
    use AttributeValue::{Bool, Double, Int, Str};
    for (to, value, expected) in [
        ("string", Int(5), Some(Str("5"))),
        ("string", Double(0.5), Some(Str("0.5"))),
        ("string", Bool(true), Some(Str("true"))),
        ("int", Str("-42"), Some(Int(-42))),
        ("int", Str("0x10"), None),
        ("int", Str("1.5"), None),
        ("int", Double(2.9), Some(Int(2))),
        ("int", Bool(true), Some(Int(1))),
        ("double", Str("1e3"), Some(Double(1000.0))),
        ("double", Str("x"), None),
        ("double", Int(3), Some(Double(3.0))),
    ] {
        let actions = compile(&format!("- {{key: a, converted_type: {to}, action: convert}}")).unwrap();
        let mut set = AttributeSet::default();
        set.push("a", value);
        actions.apply(&mut set, None);
        assert_eq!(set.get("a"), Some(expected.unwrap_or(value)), "{to} of {value:?}");
        assert_eq!(set.is_changed(), expected.is_some());
    }
}

#[test]
fn values_come_from_the_request_where_that_is_known() {
    let address = "10.0.0.7".parse().unwrap();
    let client = Client::new(Some(address), [("X-Tenant", "a"), ("x-tenant", "b")]);
    let yaml = "- {key: t, from_context: metadata.x-tenant, action: insert}\n\
                - {key: u, from_context: X-Tenant, action: insert}\n\
                - {key: v, from_context: client.address, action: insert}\n\
                - {key: w, from_context: metadata.absent, default_value: nobody, action: insert}";
    assert_eq!(apply_for(yaml, &[], Some(&client)), ["t=a;b", "u=a;b", "v=10.0.0.7", "w=nobody"]);
    assert_eq!(apply_for(yaml, &[], None), ["w=nobody"]);
}

#[test]
fn what_is_wrong_is_said_in_the_words_that_people_know() {
    for (yaml, expected) in [
        (
            "- {key: a, from_context: auth.subject, default_value: nobody, action: insert}",
            "error creating AttrProc. \"from_context\" is \"auth.subject\" at the 0-th action, and no extension here finds out who a client is, so that there would never be a value: use metadata.<header> or client.address",
        ),
        (
            "- {action: insert, value: 1}",
            "error creating AttrProc due to missing required field \"key\" at the 0-th actions",
        ),
        (
            "- {key: a, action: insert}",
            "Either field \"value\", \"from_attribute\" or \"from_context\" setting must be specified for 0-th action",
        ),
        (
            "- {key: a, value: 1, from_attribute: b, action: upsert}",
            "due to multiple value sources being set at the 0-th actions",
        ),
        ("- {action: delete}", "at least one of \"key\" and \"pattern\" have to be used"),
        ("- {key: a, value: 1, action: delete}", "Action \"delete\" does not use a value source field"),
        ("- {key: a, value: 1, pattern: x, action: insert}", "Action \"insert\" does not use the \"pattern\" field"),
        ("- {key: a, action: extract}", "missing required field \"pattern\" for action \"extract\""),
        ("- {key: a, pattern: abc, action: extract}", "contains no named matcher groups"),
        ("- {key: a, pattern: '(?P<x>a)(b)', action: extract}", "at least one unnamed matcher group"),
        ("- {key: a, pattern: '(', action: extract}", "invalid pattern"),
        ("- {key: a, action: convert}", "missing required field \"converted_type\""),
        ("- {key: a, converted_type: bool, action: convert}", "invalid value \"bool\" in field \"converted_type\""),
        (
            "- {key: ok, value: 1, action: insert}\n- {key: a, action: rename}",
            "unsupported action \"rename\" at the 1-th actions",
        ),
        ("- {key: a, valeu: 1, action: insert}", "has invalid keys: valeu; did you mean \"value\"?"),
    ] {
        let error = compile(yaml).err().unwrap_or_default();
        assert!(error.contains(expected), "{yaml}: {error}");
        assert!(error.starts_with("test.yaml:"), "{error}");
    }
}

#[test]
fn hashes_are_the_observed_ones() {
    let Some(file) = shared("vectors/attraction_hash.json") else { return };
    let actions = compile("- {key: a, action: hash}").unwrap();
    let hashed = |value: AttributeValue<'_>| {
        let mut set = AttributeSet::default();
        set.push("a", value);
        actions.apply(&mut set, None);
        attribute_text(set.get("a").unwrap()).into_owned()
    };
    let cases = file["cases"].as_array().unwrap();
    assert!(!cases.is_empty());
    for case in cases {
        let expected = case["expected"].as_str().unwrap();
        let value = &case["value"];
        let values = match case["type"].as_str().unwrap() {
            "string" => vec![AttributeValue::Str(value.as_str().unwrap())],
            "int" => vec![AttributeValue::Int(value.as_i64().unwrap())],
            "double" => vec![AttributeValue::Double(value.as_f64().unwrap())],
            "bool" => vec![AttributeValue::Bool(value.as_bool().unwrap())],
            _ => vec![AttributeValue::Bytes(&[1]), AttributeValue::Encoded(&[0x2a, 0]), AttributeValue::Empty],
        };
        for value in values {
            assert_eq!(hashed(value), expected, "{value:?}");
        }
    }
}

/// An attribute in field 9 with a field that nobody knows.
fn strange_attribute(key: &str, value: &str) -> Vec<u8> {
    let mut out = Vec::new();
    wire::put_message(&mut out, 9, |out| {
        wire::put_bytes(out, 1, key.as_bytes());
        wire::put_message(out, 2, |out| wire::put_bytes(out, 1, value.as_bytes()));
        wire::put_number(out, 77, 5);
    });
    out
}

#[test]
fn on_the_wire_only_what_is_meant_changes() {
    let mut head = Vec::new();
    wire::put_bytes(&mut head, 5, b"a name");
    wire::put_number(&mut head, 1000, 9);
    let mut unreadable = Vec::new();
    wire::put_message(&mut unreadable, 9, |out| wire::put_bytes(out, 1, &[0xff, 0xfe]));
    let (kept, changed) = (strange_attribute("kept", "1"), strange_attribute("changed", "2"));
    let mut tail = Vec::new();
    wire::put_fixed64(&mut tail, 7, 1);
    let message =
        [head.clone(), kept.clone(), unreadable.clone(), changed, strange_attribute("gone", "x"), tail.clone()]
            .concat();

    let actions = compile(
        "- {key: changed, value: 3, action: update}\n- {key: gone, action: delete}\n- {key: new, value: n, action: insert}",
    )
    .unwrap();
    let (mut editor, mut out) = (WireEditor::default(), Vec::new());
    assert!(editor.edit(&actions, None, &message, 9, &mut out));
    let mut now = Vec::new();
    wire::put_message(&mut now, 9, |out| {
        wire::put_bytes(out, 1, b"changed");
        wire::put_number(out, 77, 5);
        wire::put_message(out, 2, |out| wire::put_number(out, 3, 3));
    });
    let mut new = Vec::new();
    otlp::attributes::put_one(&mut new, 9, "new", AttributeValue::Str("n"));
    assert_eq!(out, [head, kept, unreadable, now, tail, new].concat());

    out.clear();
    let nothing = compile("- {key: absent, action: delete}").unwrap();
    assert!(!editor.edit(&nothing, None, &message, 9, &mut out));
    assert!(out.is_empty());
}

proptest::proptest! {
    /// On the wire and in a set of attributes, actions come to the same.
    #[test]
    fn the_wire_says_the_same_as_the_set(values in proptest::collection::vec(("[a-d]", "[0-9a-c]{0,3}"), 0..6), which in 0usize..7) {
        let yaml = ["- {key: a, value: x, action: insert}", "- {key: a, from_attribute: b, action: upsert}",
            "- {pattern: '[ab]', action: delete}", "- {key: c, action: hash}", "- {key: d, converted_type: int, action: convert}",
            "- {key: b, pattern: '(?P<a>.)(?P<c>.*)', action: extract}", "- {key: d, value: [1], action: update}"];
        let actions = compile(yaml[which]).unwrap();
        let mut seen = std::collections::BTreeSet::new();
        let values: Vec<_> = values.into_iter().filter(|(key, _)| seen.insert(key.clone())).collect();
        let mut message = Vec::new();
        let mut set = AttributeSet::default();
        for (key, value) in &values {
            otlp::attributes::put_one(&mut message, 1, key, AttributeValue::Str(value));
            set.push(key, AttributeValue::Str(value));
        }
        actions.apply(&mut set, None);
        let mut expected = AttributesBuilder::default();
        set.iter().for_each(|(key, value)| expected.push(key, value));
        let mut out = Vec::new();
        let changed = WireEditor::default().edit(&actions, None, &message, 1, &mut out);
        let edited = if changed { out } else { message };
        let mut found = AttributesBuilder::default();
        otlp::view::View::of(&edited).attributes(1).for_each(|(key, value)| found.push(key, value));
        proptest::prop_assert_eq!(found.build(), expected.build());
        proptest::prop_assert_eq!(changed, set.is_changed());
    }
}

//! Types, places, anchors, limits.

use super::super::{DuplicateKeys, Node, Resolved, Value, parse, parse_document, parse_value};

fn resolved(text: &str) -> Resolved {
    parse(&format!("k: {text}"), "t").unwrap().get("k").unwrap().as_scalar().unwrap().resolved
}

fn error(text: &str) -> String {
    parse(text, "t.yaml").unwrap_err().to_string()
}

#[test]
fn scalars_have_the_types_of_yaml_v3() {
    for text in ["", "~", "null", "Null", "NULL", "!!null null"] {
        assert_eq!(resolved(text), Resolved::Null, "{text}");
    }
    for (text, value) in [("true", true), ("True", true), ("TRUE", true), ("false", false), ("FALSE", false)] {
        assert_eq!(resolved(text), Resolved::Bool(value), "{text}");
    }
    for text in [
        "yes",
        "no",
        "on",
        "off",
        "y",
        "n",
        "tRUE",
        "nUll",
        "abc",
        "'5'",
        "\"true\"",
        "!!str 5",
        "1.2.3",
        "0x",
        "0b2",
        "0xg",
        "--5",
        "+-5",
        "-x",
        "+",
        ".",
        "1e",
        "1e+",
        "inf",
        "nan",
        "1s",
        "2001-01-01",
        "1:30",
        "0x-5",
        "1e999",
        "._5",
        "0.0.0.0:4317",
        "=",
        "!custom 5",
    ] {
        assert_eq!(resolved(text), Resolved::Text, "{text}");
    }
    for (text, value) in [
        ("0", 0),
        ("-0", 0),
        ("+12", 12),
        ("-12", -12),
        ("0123", 83),
        ("-017", -15),
        ("0o17", 15),
        ("0O17", 15),
        ("0x1F", 31),
        ("-0x1f", -31),
        ("0b101", 5),
        ("1_000", 1000),
        ("9223372036854775807", 9_223_372_036_854_775_807),
        ("-9223372036854775808", -9_223_372_036_854_775_808),
        ("18446744073709551615", 18_446_744_073_709_551_615),
        ("!!int 5", 5),
        ("!!int '5'", 5),
    ] {
        assert_eq!(resolved(text), Resolved::Int(value), "{text}");
    }
    for (text, value) in [
        ("1.5", 1.5),
        ("-.5", -0.5),
        (".5", 0.5),
        ("5.", 5.0),
        ("1e3", 1000.0),
        ("1.5E-2", 0.015),
        ("0128", 128.0),
        ("1_0.5", 10.5),
        ("18446744073709551616", 18_446_744_073_709_551_616.0),
        (".inf", f64::INFINITY),
        ("-.Inf", f64::NEG_INFINITY),
        (".NaN", f64::NAN),
        ("!!float 3", 3.0),
    ] {
        assert_eq!(resolved(text), Resolved::Float(value), "{text}");
    }
    assert!(error("a: !!int x").contains("cannot decode !!str `x` as a !!int"));
}

#[test]
fn every_value_knows_its_place() {
    let node = parse("a:\n  b: 1\n  é: [x,  y]\n  none:\n", "dir/t.yaml").unwrap();
    let place = |path: &str| node.at(path).unwrap().span.to_string();
    assert_eq!(place("a"), "dir/t.yaml:2:3");
    assert_eq!(place("a::b"), "dir/t.yaml:2:6");
    assert_eq!(place("a::é"), "dir/t.yaml:3:6");
    assert_eq!(node.at("a::é").unwrap().as_sequence().unwrap()[1].span.to_string(), "dir/t.yaml:3:11");
    // A value that is not written is found at its key.
    assert_eq!(place("a::none"), "dir/t.yaml:4:3");
    assert_eq!(node.as_mapping().unwrap().entry("a").unwrap().key_span.to_string(), "dir/t.yaml:1:1");
    assert!(node.at("a::b::c").is_none());
    let message = node.error_at("exporters::x", "a::b::c", "is wrong").to_string();
    assert_eq!(message, "dir/t.yaml:2:3: exporters::x::a::b::c: is wrong");
}

#[test]
fn anchors_aliases_and_merges_work() {
    let text = "base: &b {x: 1, y: 2}\nother: &o {y: 3, z: 4}\none: *b\ntwo: {<<: *b, y: 9}\n\
                three:\n  <<: [*b, *o]\n  w: 0\nquoted: {'<<': 5}\nkeys: {&k name: 1}\nalias: {*k : 2}\n";
    let node = parse(text, "t").unwrap();
    let expected = "base: {x: 1, y: 2}\nother: {y: 3, z: 4}\none: {x: 1, y: 2}\ntwo: {x: 1, y: 9}\n\
                    three: {w: 0, x: 1, y: 2, z: 4}\nquoted: {'<<': 5}\nkeys: {name: 1}\nalias: {name: 2}\n";
    assert_eq!(node, parse(expected, "t").unwrap());
    assert_eq!(node.at("two::x").unwrap().span.to_string(), "t:1:14");
    assert!(error("a: {<<: 5}").contains("map merge requires map or sequence of maps as the value"));
    assert!(error("a: &a [*a]").contains("an alias stands inside its own anchor"));
    assert!(error("a: *nope").contains("invalid YAML"));
}

#[test]
fn duplicate_keys_are_all_reported_with_both_lines() {
    let text = "a: 1\nb:\n  c: 1\n  c: 2\na: 3\na: 4\n";
    assert_eq!(
        error(text),
        "t.yaml:4:3: mapping key \"c\" already defined at line 3\n\
         t.yaml:5:1: mapping key \"a\" already defined at line 1\n\
         t.yaml:6:1: mapping key \"a\" already defined at line 1"
    );
    let kept = parse_document(text, "t.yaml", DuplicateKeys::Keep).unwrap();
    assert_eq!(kept.as_mapping().unwrap().duplicates.len(), 2);
    assert_eq!(kept.get("a").unwrap().as_text(), Some("1"));
}

#[test]
fn what_is_no_single_mapping_is_refused() {
    assert_eq!(parse("", "t").unwrap(), parse("{}", "t").unwrap());
    assert_eq!(parse("# only a comment\n", "t").unwrap(), parse("{}", "t").unwrap());
    assert_eq!(parse("\u{feff}a: 1", "t").unwrap(), parse("---\na: 1\n...\n", "t").unwrap());
    for (text, part) in [
        ("- a", "t.yaml:1:1: retrieved value (type=list) cannot be used as a Conf"),
        ("abc", "retrieved value (type=string) cannot be used as a Conf"),
        ("5", "retrieved value (type=int) cannot be used as a Conf"),
        ("a: 1\n---\nb: 2\n", "t.yaml:2:1: a second document begins here"),
        ("a: 1\n b: 2", "t.yaml:2:3: invalid YAML: "),
        ("a:\n\tb: 1", "indent with spaces, not with tabs"),
        ("a: [1, 2", "invalid YAML: "),
        ("a: 'x", "invalid YAML: "),
        ("a: x\0y", "t.yaml:1:5: invalid YAML: control characters are not allowed"),
        ("[1]: 2", "a key must be a text or a number, not a list or a mapping"),
        ("? {a: b}\n: 2", "a key must be a text or a number, not a list or a mapping"),
        (": 2", "a key must be a text or a number"),
        ("a: !!binary '%'", "!!binary value contains invalid base64 data"),
        ("a: {!!binary \"/w==\": 1}", "\"\\xff\" is not a valid label name"),
        ("a: !!binary \"/w==\"", "!!binary value \"\\xff\" is not UTF-8"),
    ] {
        let message = error(text);
        assert!(message.contains(part), "{text:?}: {message}");
    }
    assert_eq!(parse("a: !!binary aGk=", "t").unwrap().get("a").unwrap().as_text(), Some("hi"));
    assert!(matches!(parse_value("[1]", "t").unwrap().value, Value::Sequence(_)));
    assert!(parse_value("", "t").unwrap().is_null());
}

#[test]
fn hostile_documents_end_with_a_clear_error() {
    let mut laughs = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let inner = vec![format!("*a{}", level - 1); 10].join(", ");
        laughs.push_str(&format!("a{level}: &a{level} [{inner}]\n"));
    }
    assert!(error(&laughs).contains("more than 250000 values"));
    assert!(error(&format!("a: {}", "[".repeat(200))).contains("nested deeper than 100 levels"));
    assert!(error(&format!("a: {}", "[".repeat(500_000))).contains("invalid YAML"));
    let block: String = (0..5000).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
    assert!(error(&block).contains("nested deeper than 100 levels"));
    let mut chain = String::from("a0: &a0 x\n");
    for level in 1..150 {
        chain.push_str(&format!("a{level}: &a{level} [*a{}]\n", level - 1));
    }
    assert!(error(&chain).contains("nested deeper than 100 levels"));
    assert!(error(&"- a\n".repeat(300_000)).contains("more than 250000 values"));
    assert!(error(&"#".repeat(17 << 20)).contains("bytes are more than"));
}

#[test]
fn equality_ignores_places_order_and_quotes_of_text() {
    let a = parse("a: 1\nb: {x: 'text', y: ~}\n", "one").unwrap();
    let b = parse("\n\nb:\n  y:\n  x: text\na: 1\n", "two").unwrap();
    assert_eq!(a, b);
    for other in ["a: '1'\nb: {x: text, y: ~}", "a: 0x1\nb: {x: text, y: ~}", "a: 1\nb: {x: text}", "a: 1"] {
        assert_ne!(a, parse(other, "one").unwrap(), "{other}");
    }
    let list = |text: &str| -> Node { parse_value(text, "t").unwrap() };
    assert_ne!(list("[1, 2]"), list("[2, 1]"));
    assert_eq!(list("[.nan]"), list("[.nan]"));
}

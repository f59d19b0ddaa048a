//! References, escapes, bare variables, relabel templates.

use std::fs;

use pipeline::config::{Resolved, parse};
use proptest::prelude::*;

use super::super::bare::{Dollar, replace_bare};
use super::*;

const WORLD: &[(&str, &str)] = &[
    ("NUM", "0123"),
    ("TEXT", "hello"),
    ("QUOTED", "\"abc\""),
    ("BOOL", "true"),
    ("LIST", "[a, b]"),
    ("MAP", "{k: ${env:TEXT}}"),
    ("BLOCK", "x: ${env:TEXT}"),
    ("NULL", "null"),
    ("EMPTY", ""),
    ("NOT_YAML", "a: b: c"),
    ("NAME", "TEXT"),
    ("NESTED", "${env:TEXT}!"),
    ("LOOP", "${env:LOOP}"),
    ("GROW", "${env:GROW}x${env:GROW}"),
    ("DOLLARS", "a$$b$c"),
    ("REGION", "eu-west-1"),
    ("FILE_TEXT", "x\n"),
    ("group", "set"),
];

fn expand(value: &str) -> Node {
    expand_key("k", value)
}

fn expand_key(key: &str, value: &str) -> Node {
    let loaded = World::with(WORLD).read(&format!("{key}: {value}\n")).unwrap();
    loaded.root.get(key).unwrap().clone()
}

fn text(value: &str) -> String {
    expand(value).as_text().unwrap_or("<null>").to_owned()
}

fn problems(text: &str) -> String {
    World::with(WORLD).read(text).unwrap_err().to_string()
}

fn warnings(text: &str) -> Vec<String> {
    World::with(WORLD).read(text).unwrap().warnings.iter().map(ToString::to_string).collect()
}

#[test]
fn whole_references_have_a_type_and_their_text() {
    let number = expand("${env:NUM}");
    assert_eq!((number.as_scalar().unwrap().resolved, number.as_text()), (Resolved::Int(83), Some("0123")));
    assert_eq!(number.span.to_string(), "http://config.test/c.yaml:1:4");
    assert_eq!(expand("'${NUM}'").as_scalar().unwrap().resolved, Resolved::Int(83));
    assert_eq!(expand("${BOOL}").as_scalar().unwrap().resolved, Resolved::Bool(true));
    let list = expand("${env:LIST}");
    assert_eq!((list.as_sequence().unwrap().len(), list.as_text()), (2, Some("[a, b]")));
    let map = expand("${env:MAP}");
    // Inside a flow mapping the braces of a reference are no YAML, so the variable is text; then it is expanded.
    assert_eq!(map.as_text(), Some("{k: hello}"));
    let map = expand("${env:BLOCK}");
    assert_eq!((map.get("x").unwrap().as_text(), map.as_text()), (Some("hello"), Some("x: hello")));
    assert_eq!(map.get("x").unwrap().span.to_string(), "env:BLOCK:1:4");
    assert_eq!(expand("'${yaml:x: 5}'").get("x").unwrap().as_text(), Some("5"));
    let null = expand("${env:NULL}");
    assert!(null.is_null());
    assert_eq!(null.as_text(), Some("null"));
    assert!(expand("${env:EMPTY}").is_null());
}

#[test]
fn references_expand_as_text_within_text() {
    for (value, expected) in [
        ("${TEXT}", "hello"),
        ("a-${env:TEXT}-${NUM}", "a-hello-0123"),
        ("'a ${env:LIST}'", "a [a, b]"),
        ("${env:QUOTED}", "\"abc\""),
        ("${env:NOT_YAML}", "a: b: c"),
        ("${env:${env:NAME}}", "hello"),
        ("${env:NESTED}", "hello!"),
        ("${env:UNSET:-fall back}", "fall back"),
        ("${UNSET:-5}", "5"),
        ("${env:UNSET:-}", "<null>"),
        ("x${env:UNSET:-}y", "xy"),
        ("x${env:UNSET}y", "xy"),
        ("${env:TEXT:-other}", "hello"),
        ("${env:EMPTY:-other}", "<null>"),
        ("${yaml:[1]}", "[1]"),
        ("$$", "$"),
        ("$$$$", "$$"),
        ("$${env:TEXT}", "${env:TEXT}"),
        ("$$${env:TEXT}", "$hello"),
        ("$$$${env:TEXT}", "$${env:TEXT}"),
        ("${env:DOLLARS}", "a$b$c"),
        ("a}b", "a}b"),
        ("'${'", "${"),
        ("'}${TEXT}'", "}hello"),
        ("$1", "$1"),
        ("$$1", "$1"),
        ("$${1}", "${1}"),
    ] {
        assert_eq!(text(value), expected, "{value}");
    }
    assert_eq!(expand("4${env:NUM}").as_scalar().unwrap().resolved, Resolved::Int(40123));
    assert_eq!(expand("'4${env:NUM}'").as_scalar().unwrap().resolved, Resolved::Text);
    assert_eq!(expand("[x, {y: '${TEXT}'}]").as_sequence().unwrap()[1].get("y").unwrap().as_text(), Some("hello"));
}

#[test]
fn files_are_included() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    fs::write(dir.path().join("secret"), "pass$$word\r\n").unwrap();
    fs::write(dir.path().join("part.yaml"), "a: ${env:TEXT}\nb: $REGION\n").unwrap();
    fs::write(dir.path().join("bad.yaml"), "a: [1\n").unwrap();
    fs::write(dir.path().join("key.pem"), "-----BEGIN X-----\nProc-Type: 4,E\n\nab==\n-----END X-----\n").unwrap();
    fs::write(dir.path().join("self.yaml"), format!("again: ${{file:{}}}\n", path("self.yaml"))).unwrap();
    assert_eq!(text(&format!("${{file:{}}}", path("secret"))), "pass$word");
    assert!(text(&format!("${{file:{}}}", path("key.pem"))).ends_with("ab==\n-----END X-----"));
    let part = expand(&format!("${{file:{}}}", path("part.yaml")));
    assert_eq!(part, parse("a: hello\nb: eu-west-1", "t").unwrap());
    assert_eq!(part.get("a").unwrap().span.to_string(), format!("{}:1:4", path("part.yaml")));
    let bad = problems(&format!("k: ${{file:{}}}", path("bad.yaml")));
    assert!(bad.starts_with(&format!("{}:", path("bad.yaml"))) && bad.contains("invalid YAML"), "{bad}");
    let none = problems("k: ${file:/does/not/exist}");
    assert!(none.starts_with("http://config.test/c.yaml:1:4: k: unable to read the file /does/not/exist:"), "{none}");
    let endless = problems(&format!("k: ${{file:{}}}", path("self.yaml")));
    assert!(endless.contains("too many values or levels") && endless.lines().count() == 1, "{endless}");
}

#[test]
fn references_that_lead_nowhere_are_errors() {
    let all = problems(
        "a: ${1}\nb: ${foo:x}\nc: ${env:a-b}\nd: ${env:LOOP}\ne: [x, 'y${env:$X}']\nf: ${AWS::Region}\ng: ${evn:TEXT}\n\
         h: ${env:GROW}\ni: ${:x}\n",
    );
    let at = |line: u32, column: u32| format!("http://config.test/c.yaml:{line}:{column}: ");
    let lines: Vec<&str> = all.lines().collect();
    assert_eq!(lines.len(), 9, "{all}");
    for (index, (place, part)) in [
        (at(1, 4), "a: environment variable \"1\" has invalid name: must match regex ^[a-zA-Z_][a-zA-Z0-9_]*$; write $${1}"),
        (at(2, 4), "b: scheme \"foo\" is not supported for uri \"foo:x\""),
        (at(3, 4), "c: environment variable \"a-b\" has invalid name"),
        (at(4, 4), "d: too many recursive expansions"),
        (at(5, 8), "e[1]: the uri \"env:$X\" contains unsupported characters ('$')"),
        (at(6, 4), "f: scheme \"AWS\" is not supported"),
        (at(7, 4), "g: scheme \"evn\" is not supported for uri \"evn:TEXT\" (supported: env, file, http, https, yaml); did you mean \"env\"?"),
        (at(8, 4), "h: too many recursive expansions"),
        (at(9, 4), "i: invalid uri: \":x\""),
    ]
    .into_iter()
    .enumerate()
    {
        assert!(lines[index].starts_with(&place) && lines[index].contains(part), "{}", lines[index]);
    }
}

#[test]
fn unset_and_empty_variables_are_warned_about() {
    assert_eq!(
        warnings("a:\n  b: ${env:UNSET}\n  c: x${EMPTY}\n  d: ${env:UNSET:-}\n"),
        [
            "http://config.test/c.yaml:2:6: a::b: configuration references unset environment variable \"UNSET\"; \
             the value is empty. Set it, or write ${env:UNSET:-default}",
            "http://config.test/c.yaml:3:6: a::c: configuration references empty environment variable \"EMPTY\"",
        ]
    );
    // Once for an anchor, however often it is used.
    assert_eq!(warnings("a: &a [\"${env:UNSET}\"]\nb: *a\nc: *a\n").len(), 1);
}

#[test]
fn relabel_rules_keep_their_templates() {
    for (key, value, expected) in [
        ("replacement", "$1", "$1"),
        ("replacement", "${1}:9901", "${1}:9901"),
        ("replacement", "$$1:$$2", "$1:$2"),
        ("replacement", "$${1}:2020", "${1}:2020"),
        ("replacement", "$$$$1", "$$1"),
        ("replacement", "${name}", "${name}"),
        ("replacement", "${env:TEXT}/${1}", "hello/${1}"),
        ("replacement", "${1}${env:TEXT}", "${1}hello"),
        ("replacement", "${TEXT}/x", "hello/x"),
        ("replacement", "$TEXT", "$TEXT"),
        ("target_label", "__param_${1}", "__param_${1}"),
        ("target_label", "__param_$1", "__param_$1"),
        ("regex", "'(.*)${1}$'", "(.*)${1}$"),
        ("regex", "$REGION", "$REGION"),
        ("regex", "'${env:REGION}(a|b)$'", "eu-west-1(a|b)$"),
        ("regex", "a{2}$${3}", "a{2}${3}"),
        ("source_labels", "a${1}", "a${1}"),
    ] {
        assert_eq!(expand_key(key, value).as_text(), Some(expected), "{key}: {value}");
    }
    assert_eq!(expand_key("source_labels", "['${1}']").as_sequence().unwrap()[0].as_text(), Some("${1}"));
    // A group of the rule's own expression is no variable, even if one is called so.
    let rule = expand("{regex: '(?P<group>.*)', replacement: '${group}-${REGION}'}");
    assert_eq!(rule.get("replacement").unwrap().as_text(), Some("${group}-eu-west-1"));
    let other = expand("{regex: '(.*)', replacement: '${group}'}");
    assert_eq!(other.get("replacement").unwrap().as_text(), Some("set"));
}

#[test]
fn bare_variables_are_replaced_with_a_warning() {
    assert_eq!(text("$REGION"), "eu-west-1");
    assert_eq!(text("a.$REGION.b"), "a.eu-west-1.b");
    assert_eq!(text("$REGION$TEXT"), "eu-west-1hello");
    assert_eq!(text("$$REGION"), "$REGION");
    assert_eq!(text("$$$REGION"), "$eu-west-1");
    assert_eq!(text("$REGIONX"), "$REGIONX");
    assert_eq!(text("$unset_name $5 $ $-x"), "$unset_name $5 $ $-x");
    // What is in a variable stays as it is.
    assert_eq!(text("$DOLLARS"), "a$$b$c");
    assert_eq!(text("$NESTED"), "${env:TEXT}!");
    assert_eq!(text("${env:DOLLARS}$REGION"), "a$b$ceu-west-1");
    assert_eq!(expand("$NUM").as_scalar().unwrap().resolved, Resolved::Int(83));
    assert_eq!(
        warnings("auth:\n  region: $REGION\n  endpoint: $NOWHERE\n  regex: $REGION\n  other: $unset $1 $TEXT\n"),
        [
            "http://config.test/c.yaml:2:11: auth::region: \"$REGION\" was replaced by the environment variable, as \
             collectors did until 2022; write ${env:REGION}",
            "http://config.test/c.yaml:3:13: auth::endpoint: \"$NOWHERE\" was left as it is: no environment variable \
             of that name is set; write ${env:NOWHERE}",
            "http://config.test/c.yaml:4:10: auth::regex: \"$REGION\" was left as it is: a dollar sign has a meaning \
             of its own here; write ${env:REGION}",
            "http://config.test/c.yaml:5:10: auth::other: \"$TEXT\" was replaced by the environment variable, as \
             collectors did until 2022; write ${env:TEXT}",
        ]
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_panics(value in prop_oneof![any::<String>(), "[$${}:a-cTEX1\\-]{0,30}", "(\\$\\{env:TEXT\\}|\\$\\$|\\$\\{|\\}|x){0,8}"]) {
        let quoted = serde_json::to_string(&value).unwrap();
        for key in ["k", "replacement"] {
            let outcome = World::with(WORLD).read(&format!("{key}: {quoted}\n"));
            prop_assert!(outcome.is_ok() || !outcome.unwrap_err().to_string().is_empty());
        }
    }

    #[test]
    fn text_without_dollars_stays(value in "[^$\u{0}-\u{1f}\u{7f}]{0,20}") {
        let quoted = serde_json::to_string(&value).unwrap();
        let loaded = World::with(WORLD).read(&format!("k: {quoted}\n")).unwrap();
        prop_assert_eq!(&loaded.root.get("k").unwrap().as_scalar().unwrap().text, &value);
    }

    #[test]
    fn bare_replacement_without_variables_changes_nothing(value in any::<String>()) {
        prop_assert_eq!(replace_bare(&value, Dollar::Variable, &|_| None).text, None);
    }
}

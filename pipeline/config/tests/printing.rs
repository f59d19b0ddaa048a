//! Printing, redaction, and that whatever is printed reads back.

use proptest::prelude::*;

use super::super::{Mapping, Node, Redaction, Scalar, Span, Value, parse_value, to_yaml};
use crate::config::Entry;

fn printed(text: &str, redaction: Redaction) -> String {
    to_yaml(&parse_value(text, "t").unwrap(), redaction)
}

#[test]
fn yaml_is_printed_in_block_style() {
    let text = "a: {b: [1, 'two', \"0x3\", ~, {c: d, e: [f]}, [g]], h: {}, i: []}\nj: 'yes'\nk: \"x: y\"\nl: |\n  one\n  two\n\
                m: !!float 3\nnn: $1:$2\no: 'it''s'\np: http://x:4317/y\nq: ''\nr: -1\ns: '-1'\n";
    let expected = "a:\n  b:\n    - 1\n    - two\n    - \"0x3\"\n    - null\n    - c: d\n      e:\n        - f\n    -\n\
                    \x20     - g\n  h: {}\n  i: []\nj: \"yes\"\nk: \"x: y\"\nl: \"one\\ntwo\\n\"\nm: !!float \"3\"\n\
                    nn: $1:$2\no: \"it's\"\np: http://x:4317/y\nq: \"\"\nr: -1\ns: \"-1\"\n";
    assert_eq!(printed(text, Redaction::Redacted), expected);
}

#[test]
fn secrets_are_redacted() {
    let text = "password: hunter2\nbearer_token: abc\nempty_password: ''\nnull_token:\ncredentials_file: /x\n\
                api-key: 5\nauthorization: {type: Bearer, credentials: abc}\n\
                headers: {Authorization: Basic xyz, X-Scope-OrgID: '1', X-Api-Key: k}\n\
                list: [{name: authorization, value: Bearer z}, {name: other, value: fine}]\n\
                http_headers: {Authorization: {values: [v], files: [/f], secrets: [s]}, X-A: {values: [w]}}\n\
                url: https://user:pa:ss@host/path?x=a@b\nurls: ['http://u:p@h', 'http://u@h', 'x http://a:b@c y']\n\
                token_url: https://t\n";
    let expected = "password: \"[redacted]\"\nbearer_token: \"[redacted]\"\nempty_password: \"\"\nnull_token: null\n\
                    credentials_file: /x\napi-key: \"[redacted]\"\n\
                    authorization:\n  type: Bearer\n  credentials: \"[redacted]\"\n\
                    headers:\n  Authorization: \"[redacted]\"\n  X-Scope-OrgID: \"1\"\n  X-Api-Key: \"[redacted]\"\n\
                    list:\n  - name: authorization\n    value: \"[redacted]\"\n  - name: other\n    value: fine\n\
                    http_headers:\n  Authorization:\n    values:\n      - \"[redacted]\"\n    files:\n      - /f\n\
                    \x20   secrets:\n      - \"[redacted]\"\n  X-A:\n    values:\n      - w\n\
                    url: \"https://user:[redacted]@host/path?x=a@b\"\n\
                    urls:\n  - \"http://u:[redacted]@h\"\n  - http://u@h\n  - \"x http://a:[redacted]@c y\"\n\
                    token_url: https://t\n";
    assert_eq!(printed(text, Redaction::Redacted), expected);
    let open = printed(text, Redaction::Unredacted);
    for secret in ["hunter2", "Basic xyz", "pa:ss@", "Bearer z"] {
        assert!(open.contains(secret), "{secret} in {open}");
    }
}

fn span() -> Span {
    Span::whole("t")
}

fn any_node() -> impl Strategy<Value = Node> {
    let text = prop_oneof![
        any::<String>(),
        "[ -~]{0,12}",
        "[-+.0-9a-fxo_:#&*!|>'\"%@`{}\\[\\], \t\n]{0,8}",
        Just("true".to_owned()),
        Just("<<".to_owned()),
        Just("---".to_owned()),
        Just("...".to_owned()),
    ];
    let leaf = prop_oneof![
        text.clone().prop_map(Scalar::quoted),
        any::<i64>().prop_map(|int| Scalar::plain(int.to_string())),
        any::<bool>().prop_map(|flag| Scalar::plain(flag.to_string())),
        Just(Scalar::plain("")),
        Just(Scalar::plain("-.inf")),
        Just(Scalar::plain("0x1F")),
    ]
    .prop_map(|scalar| Node { span: span(), value: Value::Scalar(scalar), original: None });
    leaf.prop_recursive(5, 40, 5, move |inner| {
        let list = proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::Sequence);
        let map = proptest::collection::btree_map(text.clone(), inner, 0..5).prop_map(|entries| {
            let entries = entries.into_iter().map(|(key, value)| Entry { key, key_span: span(), value }).collect();
            Value::Mapping(Mapping { entries, duplicates: Vec::new() })
        });
        prop_oneof![list, map].prop_map(|value| Node { span: span(), value, original: None })
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_printed_reads_back_equal(node in any_node()) {
        let text = to_yaml(&node, Redaction::Unredacted);
        let again = parse_value(&text, "again");
        prop_assert_eq!(again.as_ref(), Ok(&node), "{}", text);
    }

    #[test]
    fn no_text_panics(text in prop_oneof![any::<String>(), "[-a-c:#&*!|>'\"%@`{}\\[\\], \t\n?~<=.0]{0,60}"]) {
        if let Ok(node) = parse_value(&text, "t") {
            let again = parse_value(&to_yaml(&node, Redaction::Unredacted), "t");
            prop_assert_eq!(again, Ok(node));
        }
    }
}

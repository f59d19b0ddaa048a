//! What the decoder takes, and what it says about the rest.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::super::{
    ComponentId, DuplicateKeys, GoDuration, KeyStyle, Node, Section, StringList, decode, decode_to_check, decode_with,
    parse, parse_document,
};

#[derive(Debug, Deserialize, PartialEq)]
#[serde(default)]
struct Exporter {
    endpoint: String,
    timeout: GoDuration,
    enabled: bool,
    retries: u32,
    offset: i64,
    ratio: f64,
    mode: Mode,
    labels: BTreeMap<String, String>,
    names: StringList,
    queue: Queue,
    storage: Option<ComponentId>,
    rules: Vec<Rule>,
}

impl Default for Exporter {
    fn default() -> Self {
        Self {
            endpoint: "default".to_owned(),
            timeout: GoDuration::from_secs(5),
            enabled: true,
            retries: 3,
            offset: 0,
            ratio: 0.5,
            mode: Mode::Basic,
            labels: BTreeMap::from([("a".to_owned(), "b".to_owned())]),
            names: StringList::default(),
            queue: Queue { size: 7 },
            storage: None,
            rules: Vec::new(),
        }
    }
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Mode {
    Basic,
    Detailed,
}

#[derive(Debug, Deserialize, PartialEq, Default)]
#[serde(default)]
struct Queue {
    size: usize,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(rename = "relabel.plain")]
struct Rule {
    action: String,
    #[serde(default)]
    modulus: u64,
}

fn read(text: &str) -> Exporter {
    decode(&parse(text, "t.yaml").unwrap(), "exporters::x").unwrap()
}

fn errors(text: &str) -> String {
    decode::<Exporter>(&parse(text, "t.yaml").unwrap(), "exporters::x").unwrap_err().to_string()
}

#[test]
fn null_is_as_if_absent() {
    assert_eq!(read(""), Exporter::default());
    let all = "{endpoint: , timeout: ~, enabled: , retries: , offset: , ratio: , mode: , labels: , names: , queue: , \
               storage: , rules: null}";
    assert_eq!(read(all), Exporter::default());
    let null = parse("x:", "t").unwrap();
    assert_eq!(decode::<Exporter>(null.get("x").unwrap(), "").unwrap(), Exporter::default());
}

#[test]
fn values_are_taken_as_the_collector_takes_them() {
    let exporter = read(
        "endpoint: 0123\ntimeout: 1m\nenabled: false\nretries: 1e3\noffset: -0x10\nratio: 2\nmode: detailed\n\
         labels: {n: 5, t: true, none: ~}\nnames: a,b\nqueue: {size: 1_000}\nstorage: file_storage/x\n\
         rules: [{action: keep, modulus: 8}]\n",
    );
    assert_eq!(exporter.endpoint, "0123");
    assert_eq!(exporter.timeout, GoDuration::from_secs(60));
    assert_eq!((exporter.enabled, exporter.retries, exporter.offset, exporter.ratio), (false, 1000, -16, 2.0));
    assert_eq!(exporter.mode, Mode::Detailed);
    let labels: Vec<_> = exporter.labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
    assert_eq!(labels, ["n=5", "none=", "t=true"]);
    assert_eq!(exporter.names.0, ["a", "b"]);
    assert_eq!(exporter.queue.size, 1000);
    assert_eq!(exporter.storage.unwrap().to_string(), "file_storage/x");
    assert_eq!(exporter.rules, [Rule { action: "keep".to_owned(), modulus: 8 }]);
    assert_eq!(read("names: [a, '5', 6]").names.0, ["a", "5", "6"]);
    assert_eq!(read("names: ''").names.0, [""; 0]);
    assert_eq!(read("timeout: 0").timeout, GoDuration::ZERO);
    assert_eq!(read("timeout: 2000000000").timeout, GoDuration::from_secs(2));
}

#[test]
fn all_problems_are_reported_at_once() {
    let text = "endpont: http://x\ntimeout: 10\nenabled: yes\nretries: -1\noffset: \"5\"\nratio: abc\nmode: detialed\n\
                labels: [a]\nnames: {a: b}\nqueue:\n  sise: 5\n  size: 1.5\nstorage: a b\nrules:\n\
                \x20 - modulus: 1\n  - action: keep\n    modulis: 8\n  - 5\n";
    assert_eq!(
        errors(text),
        r#"t.yaml:1:1: exporters::x: has invalid keys: endpont; did you mean "endpoint"?
t.yaml:2:10: exporters::x::timeout: missing unit in duration "10"; write 10s for seconds, or another of ns, us, ms, s, m, h
t.yaml:3:10: exporters::x::enabled: expected true or false, got the text "yes"; write true
t.yaml:4:10: exporters::x::retries: expected a non-negative integer, got the integer -1
t.yaml:5:9: exporters::x::offset: expected an integer, got the text "5"; write it without quotes
t.yaml:6:8: exporters::x::ratio: expected a number, got the text "abc"
t.yaml:7:7: exporters::x::mode: unknown value "detialed" (valid values: basic, detailed); did you mean "detailed"?
t.yaml:8:1: exporters::x::labels: expected a mapping, got a list
t.yaml:9:1: exporters::x::names: expected a list, got a mapping
t.yaml:11:3: exporters::x::queue: has invalid keys: sise; did you mean "size"?
t.yaml:12:9: exporters::x::queue::size: expected a non-negative integer, got the number 1.5
t.yaml:13:10: exporters::x::storage: in "a b" id: invalid character(s) in type "a b"
t.yaml:15:5: exporters::x::rules[0]: the key "action" is required
t.yaml:17:5: exporters::x::rules[1]: has invalid keys: modulis; did you mean "modulus"?
t.yaml:18:5: exporters::x::rules[2]: expected a mapping, got the integer 5"#
    );
}

#[test]
fn out_of_range_numbers_name_the_limits() {
    assert!(errors("retries: 4294967296").contains("4294967296 is out of range: the limits are 0 and 4294967295"));
    assert!(errors("offset: 9223372036854775808").contains("out of range"));
    assert!(errors("endpoint: [a]").contains("expected a text, got a list"));
    assert!(errors("timeout: [a]").contains("expected a duration like 10s, 500ms or 1h30m, got a list"));
    assert!(errors("names: [a, ~]").contains("exporters::x::names[1]: expected a text, got nothing (null)"));
}

#[test]
fn an_error_does_not_cause_others() {
    #[derive(Debug, Deserialize)]
    #[serde(try_from = "Pair")]
    struct Checked;
    #[derive(Debug, Deserialize)]
    struct Pair {
        must: u32,
        #[serde(default)]
        may: u32,
    }
    impl TryFrom<Pair> for Checked {
        type Error = String;
        fn try_from(pair: Pair) -> Result<Self, String> {
            if pair.may > pair.must { Ok(Self) } else { Err("may must be above must".to_owned()) }
        }
    }
    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "only its errors are looked at")]
    struct Outer {
        pair: Checked,
        other: bool,
    }
    let read = |text: &str| decode::<Outer>(&parse(text, "t").unwrap(), "").map(|_| ()).unwrap_err().to_string();
    assert_eq!(
        read("pair: {must: x}\nother: 1"),
        "t:1:14: pair::must: expected a non-negative integer, got the text \"x\"\n\
         t:2:8: other: expected true or false, got the integer 1"
    );
    let expected = "t:1:17: pair::may: expected a non-negative integer, got the text \"x\"";
    assert_eq!(read("pair: {must: 1, may: x}\nother: true").replace("1:22", "1:17"), expected);
    assert_eq!(read("pair: {must: 1}\nother: true"), "t:1:1: pair: may must be above must");
    assert_eq!(read("pair: {must: }\nother: true"), "t:1:1: pair: the key \"must\" is required");
    assert_eq!(read("other: true"), "t:1:1: the key \"pair\" is required");
}

#[test]
fn prometheus_blocks_speak_prometheus() {
    #[derive(Debug, Deserialize)]
    #[serde(rename = "config.plain")]
    #[expect(dead_code, reason = "only its errors are looked at")]
    struct Plain {
        #[serde(default)]
        scrape_configs: Vec<Scrape>,
    }
    #[derive(Debug, Deserialize)]
    #[serde(rename = "config.ScrapeConfig")]
    #[expect(dead_code, reason = "only its errors are looked at")]
    struct Scrape {
        #[serde(default)]
        sample_limit: u64,
        #[serde(default)]
        honor_labels: bool,
    }
    let text = "scrape_configs:\n- {sample_limit: -1, honor_labels: yes}\n- {sample_limt: 5, honor_labels: averylongtext}\n\
                foo: 1\nscrape_configs: []\n";
    let node = parse_document(text, "p.yml", DuplicateKeys::Keep).unwrap();
    assert_eq!(
        decode_with::<Plain>(&node, "", KeyStyle::Prometheus).map(|_| ()).unwrap_err().to_string(),
        r#"p.yml:2:18: scrape_configs[0]::sample_limit: cannot unmarshal !!int `-1` into uint
p.yml:3:4: scrape_configs[1]: field sample_limt not found in type config.ScrapeConfig; did you mean "sample_limit"?
p.yml:3:34: scrape_configs[1]::honor_labels: cannot unmarshal !!str `averylo...` into bool
p.yml:4:1: field foo not found in type config.plain
p.yml:5:1: field scrape_configs already set in type config.plain at line 1"#
    );
}

#[test]
fn nodes_and_sections_pass_through() {
    #[derive(Debug, Deserialize, Default)]
    #[serde(default)]
    struct Protocols {
        grpc: Section<Queue>,
        http: Section<Queue>,
        config: Option<Node>,
        others: BTreeMap<String, Node>,
    }
    let read = |text: &str| decode::<Protocols>(&parse(text, "t").unwrap(), "").unwrap();
    let protocols = read("grpc:\nconfig:\n  a: 0x1\nothers: {x: [1], y: }\n");
    assert_eq!(protocols.grpc.as_ref(), Some(&Queue { size: 0 }));
    assert_eq!(protocols.http.as_ref(), None);
    let config = protocols.config.unwrap();
    assert_eq!(config.get("a").unwrap().span.to_string(), "t:3:6");
    assert_eq!(protocols.others.len(), 2);
    assert!(protocols.others["y"].is_null());
    assert_eq!(read("grpc: {size: 4}").grpc, Section(Some(Queue { size: 4 })));
    let error = decode::<Protocols>(&parse("grpc: {sise: 4}", "t").unwrap(), "").unwrap_err().to_string();
    assert_eq!(error, "t:1:8: grpc: has invalid keys: sise; did you mean \"size\"?");
    // Outside a configuration file there are no positions to keep.
    assert!(serde_json::from_str::<Node>("5").is_err());
}

#[test]
fn text_from_a_variable_stays_text_for_text_fields() {
    let mut node = parse("endpoint: {a: b}\nnames: [x]\n", "t").unwrap();
    if let super::super::Value::Mapping(mapping) = &mut node.value {
        mapping.entries[0].value.original = Some("{a: b}".to_owned());
        mapping.entries[1].value.original = Some("[x]".to_owned());
    }
    let exporter: Exporter = decode(&node, "").unwrap();
    assert_eq!(exporter.endpoint, "{a: b}");
    assert_eq!(exporter.names.0, ["x"]);
}

#[test]
fn enums_may_carry_data() {
    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(rename_all = "snake_case")]
    enum Source {
        None,
        File(String),
        Fixed { size: u32 },
    }
    let read = |text: &str| {
        decode::<BTreeMap<String, Source>>(&parse(text, "t").unwrap(), "").map_err(|error| error.to_string())
    };
    let sources = read("a: none\nb: {file: x}\nc: {fixed: {size: 1}}\n").unwrap();
    assert_eq!(sources["a"], Source::None);
    assert_eq!(sources["b"], Source::File("x".to_owned()));
    assert_eq!(sources["c"], Source::Fixed { size: 1 });
    let error = read("a: {fixed: {sise: 1, size: x}}\nb: {fiel: x}\nc: {a: 1, b: 2}\n").unwrap_err();
    assert_eq!(
        error,
        "t:1:13: a::fixed: has invalid keys: sise; did you mean \"size\"?\n\
         t:1:28: a::fixed::size: expected a non-negative integer, got the text \"x\"\n\
         t:2:1: b: unknown value \"fiel\" (valid values: none, file, fixed); did you mean \"file\"?\n\
         t:3:1: c: expected a mapping with exactly one key"
    );
}

#[test]
fn checks_go_on_where_something_cannot_be_read_and_repeat_nothing() {
    #[derive(Debug, Default, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Checked {
        endpoint: String,
        timeout: Option<u32>,
        inner: Inner,
    }
    #[derive(Debug, Default, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Inner {
        size: i32,
    }
    let problems = |yaml: &str| {
        let node = parse(yaml, "a.yaml").unwrap();
        let (checked, mut errors) = decode_to_check::<Checked>(&node, "").unwrap();
        if checked.endpoint.is_empty() {
            errors.push(node.error_at("", "endpoint", "missing"));
        }
        if checked.timeout.is_none() {
            errors.push(node.error_at("", "timeout", "none"));
        }
        if checked.inner.size < 1 {
            errors.push(node.error_at("", "inner::size", "small"));
        }
        let Err(errors) = errors.into_result(()) else { return Vec::new() };
        errors.iter().map(|error| format!("{}: {}", error.path, error.message)).collect::<Vec<_>>()
    };
    assert_eq!(problems("{endpoint: x, timeout: 1, inner: {size: 1}}"), [""; 0]);
    // A key that is wrong hides nothing else, and is not wrong twice.
    assert_eq!(problems("{endpont: x, timeout: y, inner: {size: -1}}").len(), 3);
    assert_eq!(
        problems("{other: x, timeout: 1, inner: {size: 1}}"),
        ["endpoint: missing", ": has invalid keys: other"]
    );
    assert_eq!(problems("{endpoint: x, timeout: 1, inner: {size: z}}").len(), 1);
    assert_eq!(problems("{endpoint: x, timeout: 1, inner: [1]}").len(), 1);
    let both = problems("{endpoint: x, timeout: 1, inner: {size: -1, more: 2}}");
    assert_eq!(both, ["inner::size: small", "inner: has invalid keys: more"]);
}

#[test]
fn a_file_of_another_kind_does_not_flood_the_terminal() {
    let text: String = (0..1000).map(|index| format!("key{index}: x\n")).collect();
    let errors = decode::<Exporter>(&parse(&text, "t").unwrap(), "").unwrap_err();
    assert_eq!(errors.len(), 100);
}

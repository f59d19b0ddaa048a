//! Later sources over earlier ones.

use pipeline::config::{Entry, Mapping, Node, Value};

/// Puts `over` on top of `base`: mappings merge key by key, everything else is replaced, null included. With
/// `append_lists` (the gate `confmap.enableMergeAppendOption`) lists below `service` called `extensions`,
/// `receivers` or `exporters` are extended by what they do not hold yet.
pub(super) fn merge(base: &mut Node, over: Node, append_lists: bool) {
    base.merge_with(over, &|path| append_lists && is_appended(path));
}

fn is_appended(path: &[String]) -> bool {
    let keys: Vec<&str> = path.iter().map(String::as_str).collect();
    matches!(keys.as_slice(), ["service", "extensions"] | ["service", .., "receivers" | "exporters"])
}

/// Replaces keys like `a::b::c` at the top of a source by mappings within mappings, as the Collector does; that is
/// how `yaml:a::b::c: v` and `--set` name a single setting.
pub(super) fn unflatten(node: Node) -> Node {
    let Value::Mapping(mapping) = node.value else { return node };
    let mut root = Node { span: node.span, value: Value::Mapping(Mapping::default()), original: None };
    for entry in mapping.entries {
        let mut keys = entry.key.rsplit("::").map(str::to_owned);
        let Some(last) = keys.next() else { continue };
        let span = entry.key_span;
        let mut nested = Entry { key: last, key_span: span.clone(), value: entry.value };
        for key in keys {
            nested = Entry { key, key_span: span.clone(), value: single(nested) };
        }
        merge(&mut root, single(nested), false);
    }
    root
}

fn single(entry: Entry) -> Node {
    let span = entry.key_span.clone();
    let mapping = Mapping { entries: vec![entry], duplicates: Vec::new() };
    Node { span, value: Value::Mapping(mapping), original: None }
}

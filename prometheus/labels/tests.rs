use proptest::prelude::*;
use std::collections::BTreeMap;

use super::{Labels, LabelsBuilder};

#[test]
fn keeps_labels_sorted_and_unique() {
    let mut builder = LabelsBuilder::new();
    for (name, value) in [("b", "1"), ("a", "2"), ("c", "3"), ("b", "4"), ("c", "")] {
        builder.set(name, value);
    }
    assert_eq!(builder.iter().collect::<Vec<_>>(), [("a", "2"), ("b", "4")]);
    assert_eq!(builder.get("b"), Some("4"));
    assert_eq!(builder.get("c"), None);
}

#[test]
fn an_inserted_empty_value_is_visible_until_removed() {
    let mut builder = LabelsBuilder::new();
    builder.insert("a", "");
    builder.insert("b", "1");
    assert_eq!(builder.get("a"), Some(""));
    assert_eq!(builder.build(), [("b", "1")].into_iter().collect());
    builder.remove_empty();
    assert_eq!(builder.get("a"), None);
}

#[test]
fn equal_sets_are_equal_however_they_were_built() {
    let mut builder = LabelsBuilder::new();
    builder.set("b", "old");
    builder.set("a", "x");
    builder.set("b", "y");
    let other: Labels = [("a", "x"), ("b", "y")].into_iter().collect();
    assert_eq!(builder.build(), other);
    builder.reset(&other);
    assert_eq!(builder.build(), other);
}

#[test]
fn prints_as_prometheus_does() {
    let labels: Labels = [("a", "x"), ("b.c", "y\"\n")].into_iter().collect();
    assert_eq!(labels.to_string(), r#"{a="x", "b.c"="y\"\n"}"#);
    assert_eq!(Labels::default().to_string(), "{}");
}

proptest! {
    #[test]
    fn behaves_like_a_map(steps in proptest::collection::vec(("[a-d]{0,2}", "[x-z]{0,2}", 0..3u8), 0..30)) {
        let mut builder = LabelsBuilder::new();
        let mut model = BTreeMap::new();
        for (name, value, kind) in &steps {
            match kind {
                0 => {
                    builder.del(name);
                    model.remove(name);
                }
                1 => {
                    builder.insert(name, value);
                    model.insert(name.clone(), value.clone());
                }
                _ => {
                    builder.set(name, value);
                    if value.is_empty() { model.remove(name); } else { model.insert(name.clone(), value.clone()); }
                }
            }
        }
        let expected: Vec<(&str, &str)> = model.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        prop_assert_eq!(builder.iter().collect::<Vec<_>>(), expected);
        prop_assert_eq!(builder.build().len(), model.values().filter(|v| !v.is_empty()).count());
    }
}

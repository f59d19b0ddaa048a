//! The little of YAML that the rules of the vectors are written in: a list of mappings of plain, quoted and
//! `[flow, list]` values.

use serde_json::{Map, Value};

pub(super) fn read(text: &str) -> Value {
    let mut rules: Vec<Value> = Vec::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let entry = match line.strip_prefix('-') {
            Some(entry) => {
                rules.push(Value::Object(Map::new()));
                entry
            }
            None => line,
        };
        let Some((key, value)) = entry.split_once(':') else { panic!("not a mapping: {line}") };
        let rule = rules.last_mut().and_then(Value::as_object_mut);
        rule.expect("a list entry comes first").insert(key.trim().to_owned(), scalar_or_list(value.trim()));
    }
    Value::Array(rules)
}

fn scalar_or_list(text: &str) -> Value {
    match text.strip_prefix('[').and_then(|inside| inside.strip_suffix(']')) {
        Some(inside) => {
            Value::Array(inside.split(',').filter(|item| !item.is_empty()).map(|item| scalar(item.trim())).collect())
        }
        None => scalar(text),
    }
}

fn scalar(text: &str) -> Value {
    for quote in ['\'', '"'] {
        if let Some(inside) = text.strip_prefix(quote).and_then(|inside| inside.strip_suffix(quote)) {
            let doubled = [quote, quote].iter().collect::<String>();
            return Value::String(if quote == '\'' { inside.replace(&doubled, "'") } else { inside.to_owned() });
        }
    }
    match text {
        "" | "null" | "~" => Value::Null,
        _ => text.parse::<u64>().map_or_else(|_| Value::String(text.to_owned()), Value::from),
    }
}

//! `$NAME` without braces, as configurations of 2021 have it, and the keys in which a dollar sign means something
//! else.

use super::providers::is_variable_name;

/// What a dollar sign means in the values of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dollar {
    /// A reference to a variable.
    Variable,
    /// A template of a relabel rule: `$1`, `${1}`, `$name` and `${name}` stand for what the regular expression
    /// caught.
    Template,
    /// The end of a text, in a regular expression.
    Regex,
}

impl Dollar {
    /// The meaning below `key`.
    pub(super) fn below(key: &str) -> Self {
        match key {
            "replacement" | "target_label" | "source_labels" => Self::Template,
            "regex" | "regexp" | "pattern" => Self::Regex,
            _ if key.ends_with("_regex") || key.ends_with("_regexp") || key.ends_with("_pattern") => Self::Regex,
            _ => Self::Variable,
        }
    }
}

/// What became of the bare references of a text.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Replaced {
    /// The text, if it changed.
    pub(super) text: Option<String>,
    /// Variables that were replaced by their values.
    pub(super) expanded: Vec<String>,
    /// Names that look like variables and were left, for a hint.
    pub(super) left: Vec<String>,
}

/// Replaces every `$NAME` whose variable is set. The values are inserted with their dollar signs doubled, so that
/// nothing in them is expanded again. `$$NAME` is an escaped dollar sign and stays.
pub(super) fn replace_bare(text: &str, dollar: Dollar, env: &dyn Fn(&str) -> Option<String>) -> Replaced {
    let mut replaced = Replaced::default();
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find('$') {
        let (before, from) = rest.split_at(start);
        out.push_str(before);
        let run = from.find(|c| c != '$').unwrap_or(from.len());
        let (dollars, after) = from.split_at(run);
        let length = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(after.len());
        let (name, tail) = after.split_at(length);
        rest = after;
        if run % 2 == 0 || !is_variable_name(name) {
            out.push_str(dollars);
            continue;
        }
        match env(name) {
            Some(value) if dollar == Dollar::Variable => {
                out.push_str(dollars.get(1..).unwrap_or_default());
                out.push_str(&value.replace('$', "$$"));
                replaced.expanded.push(name.to_owned());
                rest = tail;
            }
            value => {
                let looks_like_variable = is_shouted(name) && (value.is_some() || dollar == Dollar::Variable);
                if looks_like_variable {
                    replaced.left.push(name.to_owned());
                }
                out.push_str(dollars);
            }
        }
    }
    out.push_str(rest);
    replaced.text = (!replaced.expanded.is_empty()).then_some(out);
    replaced
}

/// Whether a name is written as variables usually are: in capitals, and more than one.
fn is_shouted(name: &str) -> bool {
    name.len() > 1 && name.chars().all(|c| !c.is_ascii_lowercase()) && name.chars().any(|c| c.is_ascii_uppercase())
}

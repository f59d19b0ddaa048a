//! As much of the files' format as it takes to judge whether one is whole. What they mean is left to `aws-config`.

use super::Contents;

/// One line: a section's head, or a key with its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Line<'a> {
    /// `[default]`, `[profile x]`.
    Section(&'a str),
    /// `key = value`.
    Value(&'a str, &'a str),
}

/// The lines that matter. Keys of nested blocks come as they stand.
pub(crate) fn lines(text: &str) -> impl Iterator<Item = Line<'_>> {
    text.lines().filter_map(|line| {
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', ';']) {
            return None;
        }
        if let Some(head) = line.strip_prefix('[') {
            return Some(Line::Section(head.split(']').next().unwrap_or(head).trim()));
        }
        let (key, value) = line.split_once('=')?;
        Some(Line::Value(key.trim(), value.trim()))
    })
}

/// The value of `key` in a profile: that of `credentials` before that of `config`; the last one of a file counts.
pub(crate) fn value<'a>(contents: &'a Contents, profile: &str, key: &str) -> Option<&'a str> {
    let of = |text: &'a str| {
        let mut inside = false;
        let mut found = None;
        for line in lines(text) {
            match line {
                Line::Section(head) => inside = names(head, profile),
                Line::Value(name, value) if inside && name.eq_ignore_ascii_case(key) => found = Some(value),
                Line::Value(..) => {}
            }
        }
        found.filter(|value| !value.is_empty())
    };
    of(contents.credentials.text()).or_else(|| of(contents.config.text()))
}

/// Longer chains of profiles are nobody's.
const MAX_CHAIN: usize = 16;

/// The profile, and those that its keys come from by `source_profile`.
pub(crate) fn chain<'a>(contents: &'a Contents, profile: &'a str) -> Vec<&'a str> {
    let mut chain = vec![profile];
    while let Some(next) = chain.last().and_then(|last| value(contents, last, "source_profile"))
        && !chain.contains(&next)
        && chain.len() < MAX_CHAIN
    {
        chain.push(next);
    }
    chain
}

/// Whether the profile is there at all.
pub(crate) fn has_profile(contents: &Contents, profile: &str) -> bool {
    let has = |text| lines(text).any(|line| matches!(line, Line::Section(head) if names(head, profile)));
    has(contents.credentials.text()) || has(contents.config.text())
}

/// `profile x` and `x` both name the profile x.
fn names(head: &str, profile: &str) -> bool {
    let name = head.strip_prefix("profile").filter(|rest| rest.starts_with([' ', '\t'])).unwrap_or(head);
    name.trim() == profile
}

/// Whether both texts have the same sections and keys in the same order.
pub(crate) fn same_shape(one: &str, other: &str) -> bool {
    let shape = |line| match line {
        Line::Section(head) => (true, head),
        Line::Value(key, _) => (false, key),
    };
    lines(one).map(shape).eq(lines(other).map(shape))
}

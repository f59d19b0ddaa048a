//! Texts that refer to groups of a match: `$1`, `${1}`, `$name`, `$$`, as Go's `regexp.Expand` reads them.

use super::matcher::Groups;

/// A text with references to groups.
#[derive(Clone, Debug)]
pub(super) struct Template {
    parts: Vec<Part>,
}

#[derive(Clone, Debug)]
enum Part {
    Literal(Box<str>),
    /// The first of these groups that took part in the match; none of them is the empty text.
    Group(Vec<usize>),
}

impl Template {
    /// Reads a template for a pattern whose groups have these names (the first is the whole match). A reference to a
    /// group that does not exist is the empty text.
    pub(super) fn new(text: &str, group_names: &[Option<String>]) -> Self {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('$') {
            literal.push_str(before);
            if let Some(after) = after.strip_prefix('$') {
                literal.push('$');
                rest = after;
            } else if let Some((name, after)) = reference(after) {
                let groups = find_groups(name, group_names);
                if !groups.is_empty() {
                    if !literal.is_empty() {
                        parts.push(Part::Literal(std::mem::take(&mut literal).into_boxed_str()));
                    }
                    parts.push(Part::Group(groups));
                }
                rest = after;
            } else {
                literal.push('$');
                rest = after;
            }
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(Part::Literal(literal.into_boxed_str()));
        }
        Self { parts }
    }

    /// The text, if it refers to no group.
    pub(super) fn literal(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [] => Some(""),
            [Part::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// Appends the text with the groups put in.
    pub(super) fn push_expanded(&self, out: &mut String, groups: &Groups<'_>) {
        for part in &self.parts {
            match part {
                Part::Literal(text) => out.push_str(text),
                Part::Group(numbers) => {
                    out.push_str(numbers.iter().find_map(|number| groups.get(*number)).unwrap_or_default());
                }
            }
        }
    }
}

/// The name behind a `$` and what follows it; `None` if there is no well-formed name.
fn reference(text: &str) -> Option<(&str, &str)> {
    let braced = text.strip_prefix('{');
    let inside = braced.unwrap_or(text);
    let end = inside.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(inside.len());
    let (name, after) = inside.split_at(end);
    if name.is_empty() {
        return None;
    }
    match braced {
        Some(_) => after.strip_prefix('}').map(|after| (name, after)),
        None => Some((name, after)),
    }
}

fn find_groups(name: &str, group_names: &[Option<String>]) -> Vec<usize> {
    let is_number = name.bytes().all(|byte| byte.is_ascii_digit()) && (name.len() == 1 || !name.starts_with('0'));
    if is_number {
        return name.parse().ok().filter(|number| *number < group_names.len()).into_iter().collect();
    }
    let same_name = |(number, known): (usize, &Option<String>)| (known.as_deref() == Some(name)).then_some(number);
    group_names.iter().enumerate().filter_map(same_name).collect()
}

//! Environment variables in the values of `global::external_labels`, the one place where Prometheus expands them.

/// Replaces `$name` and `${name}` by what `lookup` gives for the name, as Go's `os.Expand` reads them: `$$` is a
/// dollar, a dollar before anything that is no name stays, and a brace that is never closed vanishes with its
/// dollar. Names that `lookup` does not know become nothing and are returned too, for a warning.
pub(crate) fn expand(text: &str, lookup: impl Fn(&str) -> Option<String>) -> (String, Vec<String>) {
    let mut out = String::with_capacity(text.len());
    let mut unknown = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        if after.is_empty() {
            out.push('$');
            return (out, unknown);
        }
        let (name, width) = name_at_start(after);
        match name {
            "$" => out.push('$'),
            "" if width == 0 => out.push('$'),
            "" => {}
            name => match lookup(name).filter(|value| !value.is_empty()) {
                Some(value) => out.push_str(&value),
                None => unknown.push(name.to_owned()),
            },
        }
        rest = after.get(width..).unwrap_or_default();
    }
    out.push_str(rest);
    (out, unknown)
}

/// The name that `text` begins with, and how many bytes it takes up with its braces. An empty name that takes up
/// bytes is bad syntax, to be passed over.
fn name_at_start(text: &str) -> (&str, usize) {
    let special = |c: char| matches!(c, '*' | '#' | '$' | '@' | '!' | '?' | '-' | '0'..='9');
    if let Some(inner) = text.strip_prefix('{') {
        return match inner.find('}') {
            None => ("", 1),
            Some(end) => (inner.get(..end).unwrap_or_default(), end + 2),
        };
    }
    if text.starts_with(special) {
        return (text.get(..1).unwrap_or_default(), 1);
    }
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    (text.get(..end).unwrap_or_default(), end)
}

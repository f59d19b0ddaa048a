//! The URL of a target, spelt as Go's `net/url` spells it, since the text is part of what a target's hash and the
//! order of scrapes are made of.

/// Prefix of labels that set a query parameter.
const PARAM: &str = "__param_";

/// Writes the URL that a target with the labels behind `get` is scraped at. `params` are the job's query
/// parameters; a `__param_x` label of the target, given by `param_labels` without its prefix, replaces the first
/// value of `x` and leaves the others.
pub(crate) fn target_url<'a>(
    get: impl Fn(&str) -> &'a str,
    param_labels: impl Iterator<Item = (&'a str, &'a str)>,
    params: &'a [(String, Vec<String>)],
) -> String {
    let mut url = String::with_capacity(64);
    let scheme = get("__scheme__");
    if !scheme.is_empty() {
        url.push_str(scheme);
        url.push(':');
    }
    url.push_str("//");
    let address = get("__address__");
    // A target behind a Unix socket needs no address, and HTTP needs a host.
    let address = if address.is_empty() && !get("__unix_socket__").is_empty() { "localhost" } else { address };
    escape(&mut url, address, in_host);
    let path = get("__metrics_path__");
    if !path.is_empty() && !path.starts_with('/') {
        url.push('/');
    }
    escape(&mut url, path, in_path);
    push_query(&mut url, param_labels, params);
    url
}

/// The name of the query parameter that label `name` sets, if it sets one.
pub(crate) fn param_of(name: &str) -> Option<&str> {
    name.strip_prefix(PARAM)
}

fn push_query<'a>(
    url: &mut String,
    param_labels: impl Iterator<Item = (&'a str, &'a str)>,
    params: &'a [(String, Vec<String>)],
) {
    let mut query: Vec<Parameter<'a>> =
        params.iter().map(|(key, values)| Parameter { key, first: None, values }).collect();
    for (key, value) in param_labels {
        match query.iter_mut().find(|known| known.key == key) {
            Some(known) => (known.first, known.values) = (Some(value), known.values.get(1..).unwrap_or_default()),
            None => query.push(Parameter { key, first: Some(value), values: &[] }),
        }
    }
    query.sort_by_key(|parameter| parameter.key);
    let mut separator = '?';
    for Parameter { key, first, values } in &query {
        for value in first.iter().copied().chain(values.iter().map(String::as_str)) {
            url.push(separator);
            separator = '&';
            escape_query(url, key);
            url.push('=');
            escape_query(url, value);
        }
    }
}

/// One key of the query with its values: that of the target's label, then those of the job.
struct Parameter<'a> {
    key: &'a str,
    first: Option<&'a str>,
    values: &'a [String],
}

fn escape_query(url: &mut String, text: &str) {
    for (index, part) in text.split(' ').enumerate() {
        if index > 0 {
            url.push('+');
        }
        escape(url, part, unreserved);
    }
}

/// Appends `text` with every byte that is not `allowed` written as `%XX`.
fn escape(url: &mut String, text: &str, allowed: fn(u8) -> bool) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let digit = |nibble: u8| char::from(HEX.get(usize::from(nibble)).copied().unwrap_or(b'0'));
    for byte in text.bytes() {
        if byte.is_ascii() && allowed(byte) {
            url.push(char::from(byte));
        } else {
            url.extend(['%', digit(byte >> 4), digit(byte & 15)]);
        }
    }
}

fn unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~')
}

fn in_path(byte: u8) -> bool {
    unreserved(byte) || matches!(byte, b'$' | b'&' | b'+' | b',' | b'/' | b':' | b';' | b'=' | b'@')
}

fn in_host(byte: u8) -> bool {
    unreserved(byte)
        || matches!(
            byte,
            b'!' | b'$'
                | b'&'
                | b'\''
                | b'('
                | b')'
                | b'*'
                | b'+'
                | b','
                | b';'
                | b'='
                | b':'
                | b'['
                | b']'
                | b'<'
                | b'>'
                | b'"'
        )
}

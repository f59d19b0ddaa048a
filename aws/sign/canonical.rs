//! The canonical request: the one form that a request is brought to on both sides, so that both hash the same. This is the first step of
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>; its words are quoted below.
//!
//! `aws-sigv4` does the same and derives the key along with it, so it takes no key that is remembered. Tests hold this to be equal to it.

use super::{SignError, SignOptions, Signable};
use http::{HeaderName, HeaderValue, Uri};
use std::borrow::Cow;
use std::fmt::Write as _;

/// A canonical request.
pub(super) struct Canonical {
    /// All of it.
    pub(super) text: String,
    /// The names of the fields that are signed, with `;` between them.
    pub(super) signed: String,
}

/// A field with its value as it is signed.
type Field<'a> = (HeaderName, Cow<'a, str>);

impl Canonical {
    /// Of this request with the fields that signing adds, and the hash of its body.
    ///
    /// # Errors
    /// For a URL that is not absolute, and for fields that HTTP does not allow.
    pub(super) fn of(
        request: &Signable<'_>,
        added: &[(&'static str, &str)],
        body_hash: &str,
        options: SignOptions,
    ) -> Result<Self, SignError> {
        let uri: Uri = request.uri.parse().map_err(|error| SignError(format!("its URL: {error}")))?;
        let fields = fields(request, added, &uri)?;
        let mut text = String::with_capacity(1024);
        let mut signed = String::with_capacity(64);
        text.push_str(request.method);
        text.push('\n');
        put_path(&mut text, uri.path(), options);
        text.push('\n');
        put_query(&mut text, uri.query().unwrap_or_default());
        let mut last: Option<&HeaderName> = None;
        for (name, value) in &fields {
            if last == Some(name) {
                // "Append the values of multiple headers with the same name, separated by commas."
                text.push(',');
            } else {
                signed.push_str(if last.is_some() { ";" } else { "" });
                signed.push_str(name.as_str());
                text.push('\n');
                text.push_str(name.as_str());
                text.push(':');
            }
            text.push_str(value);
            last = Some(name);
        }
        text.push_str("\n\n");
        text.push_str(&signed);
        text.push('\n');
        text.push_str(body_hash);
        Ok(Self { text, signed })
    }
}

/// "CanonicalHeaders": the request's fields, those that are added in place of any of their names, and `host`. Sorted by name; values of one
/// name stay in their order.
fn fields<'a>(
    request: &Signable<'a>,
    added: &[(&'static str, &'a str)],
    uri: &Uri,
) -> Result<Vec<Field<'a>>, SignError> {
    let mut fields: Vec<Field<'a>> = Vec::with_capacity(request.headers.len() + added.len() + 1);
    for (name, value) in request.headers {
        let known = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| SignError(format!("{name:?} is not the name of a field")))?;
        if added.iter().any(|(added, _)| known == *added) {
            continue;
        }
        HeaderValue::from_str(value).map_err(|_| SignError(format!("{known} has characters that cannot be sent")))?;
        fields.push((known, single_spaced(value)));
    }
    if !fields.iter().any(|(name, _)| name == http::header::HOST) {
        fields.push((http::header::HOST, Cow::Owned(host(uri)?.to_owned())));
    }
    fields.extend(added.iter().map(|(name, value)| (HeaderName::from_static(name), single_spaced(value))));
    fields.sort_by(|(a, _), (b, _)| a.as_str().cmp(b.as_str()));
    Ok(fields)
}

/// The host as it is sent: with the port, if that is not the scheme's own (RFC 9110, section 7.2, with 4.2.3).
fn host(uri: &Uri) -> Result<&str, SignError> {
    let authority = uri.authority().ok_or_else(|| SignError("its URL has no host".to_owned()))?;
    if let ("http", Some(80)) | ("https", Some(443)) = (uri.scheme_str().unwrap_or_default(), authority.port_u16()) {
        return Ok(authority.host());
    }
    let text = authority.as_str();
    Ok(text.rsplit_once('@').map_or(text, |(_, host)| host))
}

/// "Remove any leading and trailing spaces, and convert sequential spaces to a single space." Spaces only, as the services do it.
fn single_spaced(value: &str) -> Cow<'_, str> {
    let trimmed = value.trim_matches(' ');
    if !trimmed.contains("  ") {
        return Cow::Borrowed(trimmed);
    }
    let words: Vec<&str> = trimmed.split(' ').filter(|word| !word.is_empty()).collect();
    Cow::Owned(words.join(" "))
}

/// "CanonicalURI": the path, by RFC 3986, and encoded once more than it is sent; S3 wants neither.
fn put_path(out: &mut String, path: &str, options: SignOptions) {
    let path = if options.normalize_path { Cow::Owned(normalized(path)) } else { Cow::Borrowed(path) };
    if options.encode_path_again {
        put_encoded(out, path.as_bytes(), b"/");
    } else {
        out.push_str(&path);
    }
}

/// A path without `.` and `..` (RFC 3986, section 5.2.4) and without empty segments.
fn normalized(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut last = "";
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(kept.pop()),
            other => kept.push(other),
        }
        last = segment;
    }
    let mut text = String::with_capacity(path.len() + 1);
    for segment in &kept {
        text.push('/');
        text.push_str(segment);
    }
    // What ended in a slash or in dots was a directory, and the root is one.
    if kept.is_empty() || matches!(last, "" | "." | "..") {
        text.push('/');
    }
    text
}

/// "CanonicalQueryString": names and values encoded each, sorted as they are when encoded, `=` also where there is no value.
fn put_query(out: &mut String, query: &str) {
    let encoded = |text: &str| {
        let mut out = String::with_capacity(text.len());
        put_encoded(&mut out, &decoded(text), b"");
        out
    };
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let mut pairs: Vec<(String, String)> = pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (encoded(name), encoded(value))
        })
        .collect();
    pairs.sort();
    for (at, (name, value)) in pairs.iter().enumerate() {
        out.push_str(if at == 0 { "" } else { "&" });
        out.push_str(name);
        out.push('=');
        out.push_str(value);
    }
}

/// The bytes that a name or value in a query stands for. `+` is a space, as in forms; a `%` that begins no escape is itself.
fn decoded(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        let digit = |at: usize| after.get(at).and_then(|digit| char::from(*digit).to_digit(16));
        bytes.push(match (byte, digit(0), digit(1)) {
            (b'%', Some(high), Some(low)) => {
                rest = after.get(2..).unwrap_or_default();
                // Two digits are a byte.
                (high << 4 | low) as u8
            }
            (b'+', ..) => b' ',
            (other, ..) => other,
        });
    }
    bytes
}

/// "UriEncode": every byte but letters, digits and `-._~`, and those that are `kept`, as `%XX`.
fn put_encoded(out: &mut String, bytes: &[u8], kept: &[u8]) {
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || kept.contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            write!(out, "%{byte:02X}").unwrap_or_default();
        }
    }
}

//! Which parser a response's `Content-Type` asks for.

use super::Format;
use crate::quote::quoted;

/// The format of a response body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MediaType {
    /// A text format, for [`Parser`](super::Parser).
    Text(Format),
    /// `application/vnd.google.protobuf`: length-delimited `io.prometheus.client.MetricFamily` messages.
    Protobuf,
}

/// Why a `Content-Type` does not say how to read a body. The texts are Prometheus' own, and hold when the job has no
/// `fallback_scrape_protocol`; with one, they are warnings.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ContentTypeError {
    /// There is none.
    #[error(
        "non-compliant scrape target sending blank Content-Type and no fallback_scrape_protocol specified for target"
    )]
    Blank,
    /// It is not a media type.
    #[error("cannot parse Content-Type {} and no fallback_scrape_protocol for target", quoted(.0.as_bytes()))]
    Malformed(String),
    /// It is a media type that holds no metrics.
    #[error(
        "received unsupported Content-Type {} and no fallback_scrape_protocol specified for target",
        quoted(.0.as_bytes())
    )]
    Unsupported(String),
}

impl MediaType {
    /// Reads a `Content-Type` header. Upper and lower case are the same, parameters such as the version do not matter.
    ///
    /// # Errors
    /// If the header is empty, malformed, or names something else.
    pub fn from_content_type(header: &str) -> Result<Self, ContentTypeError> {
        if header.is_empty() {
            return Err(ContentTypeError::Blank);
        }
        let (media_type, parameters) = match header.split_once(';') {
            Some((media_type, parameters)) => (media_type, Some(parameters)),
            None => (header, None),
        };
        let media_type = media_type.trim().to_ascii_lowercase();
        let well_formed = is_media_type(&media_type) && parameters.is_none_or(are_parameters);
        if !well_formed {
            return Err(ContentTypeError::Malformed(header.to_owned()));
        }
        match media_type.as_str() {
            "application/openmetrics-text" => Ok(Self::Text(Format::OpenMetrics)),
            "text/plain" => Ok(Self::Text(Format::Text)),
            "application/vnd.google.protobuf" => Ok(Self::Protobuf),
            _ => Err(ContentTypeError::Unsupported(header.to_owned())),
        }
    }
}

fn is_token(text: &str) -> bool {
    const SPECIAL: &[u8] = b"()<>@,;:\\\"/[]?=";
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && !SPECIAL.contains(&byte))
}

fn is_media_type(text: &str) -> bool {
    match text.split_once('/') {
        Some((main, sub)) => is_token(main) && is_token(sub),
        None => is_token(text),
    }
}

/// Whether `text` is a list of `name=value`, separated by semicolons; one semicolon at the end is tolerated.
fn are_parameters(text: &str) -> bool {
    let mut rest = text.trim();
    while !rest.is_empty() {
        let Some((name, after)) = rest.split_once('=') else { return false };
        if !is_token(name.trim()) {
            return false;
        }
        let after = after.trim_start();
        let end = match after.strip_prefix('"') {
            Some(inside) => match closing_quote(inside) {
                Some(at) => at + 2,
                None => return false,
            },
            None => {
                let end = after.find(';').unwrap_or(after.len());
                if !after.get(..end).is_some_and(|value| is_token(value.trim_end())) {
                    return false;
                }
                end
            }
        };
        rest = after.get(end..).unwrap_or_default().trim_start();
        rest = match rest.strip_prefix(';') {
            Some(more) => more.trim_start(),
            None if rest.is_empty() => rest,
            None => return false,
        };
    }
    true
}

fn closing_quote(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.bytes().position(|byte| {
        let closes = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        closes
    })
}

#[cfg(test)]
mod tests {
    use super::{ContentTypeError, Format, MediaType};

    #[test]
    fn media_types_choose_the_parser() {
        for (header, expected) in [
            ("text/plain", MediaType::Text(Format::Text)),
            ("Text/Plain; version=0.0.4; charset=utf-8", MediaType::Text(Format::Text)),
            ("text/plain;version=1.0.0;escaping=allow-utf-8;", MediaType::Text(Format::Text)),
            ("application/openmetrics-text; version=\"1.0.0\"", MediaType::Text(Format::OpenMetrics)),
            ("application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily", MediaType::Protobuf),
        ] {
            assert_eq!(MediaType::from_content_type(header), Ok(expected), "{header}");
        }
    }

    #[test]
    fn other_types_are_refused_in_prometheus_words() {
        for (header, expected) in [
            ("", ContentTypeError::Blank),
            ("text/html", ContentTypeError::Unsupported("text/html".to_owned())),
            ("text/plain; version", ContentTypeError::Malformed("text/plain; version".to_owned())),
            ("a b/c", ContentTypeError::Malformed("a b/c".to_owned())),
        ] {
            assert_eq!(MediaType::from_content_type(header), Err(expected));
        }
        assert_eq!(
            ContentTypeError::Unsupported("text/html".to_owned()).to_string(),
            "received unsupported Content-Type \"text/html\" and no fallback_scrape_protocol specified for target"
        );
    }
}

//! Where a redirect leads, and what may go there.

use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, LOCATION};
use http::{HeaderMap, Method, StatusCode, Uri};

use super::error::{Failure, RequestErrorKind};

/// Go's limit.
pub(super) const MAX_REDIRECTS: usize = 10;

/// The next request of a chain of redirects.
pub(super) struct Next {
    pub(super) uri: Uri,
    pub(super) method: Method,
    /// Whether the body goes along (307 and 308).
    pub(super) keeps_body: bool,
}

/// The next request, or none if the response is not a redirect that can be followed.
pub(super) fn next(
    status: StatusCode,
    headers: &HeaderMap,
    method: &Method,
    uri: &Uri,
) -> Result<Option<Next>, Failure> {
    let keeps_body = match status.as_u16() {
        301..=303 => false,
        307 | 308 => true,
        _ => return Ok(None),
    };
    let Some(location) = headers.get(LOCATION) else {
        return Ok(None);
    };
    let bad = || {
        Failure::new(
            RequestErrorKind::Redirect,
            format!("failed to parse Location header \"{}\"", location.as_bytes().escape_ascii()),
        )
    };
    let location = std::str::from_utf8(location.as_bytes()).map_err(|_| bad())?;
    let uri = resolve(uri, location).ok_or_else(bad)?;
    let method = match *method {
        Method::GET | Method::HEAD => method.clone(),
        _ if keeps_body => method.clone(),
        _ => Method::GET,
    };
    Ok(Some(Next { uri, method, keeps_body }))
}

/// Whether credentials for `from` may be sent to `to`: the host is the same or below it, and the way is not less safe.
pub(super) fn may_carry_credentials(from: &Uri, to: &Uri) -> bool {
    let (Some(from_host), Some(to_host)) = (from.host(), to.host()) else {
        return false;
    };
    let (from_host, to_host) = (from_host.to_ascii_lowercase(), to_host.to_ascii_lowercase());
    let is_address = from_host.starts_with('[') || from_host.parse::<std::net::IpAddr>().is_ok();
    let below = !is_address && to_host.strip_suffix(&from_host).is_some_and(|front| front.ends_with('.'));
    let downgraded = from.scheme_str() == Some("https") && to.scheme_str() != Some("https");
    (from_host == to_host || below) && !downgraded
}

/// Takes away the fields that describe a body.
pub(super) fn without_body(headers: &mut HeaderMap) {
    for name in [CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE] {
        headers.remove(name);
    }
}

/// A reference as seen from `base` (RFC 3986 section 5.2).
fn resolve(base: &Uri, reference: &str) -> Option<Uri> {
    let reference = reference.split('#').next().unwrap_or_default();
    if has_scheme(reference) {
        return reference.parse().ok();
    }
    let scheme = base.scheme_str()?;
    if reference.starts_with("//") {
        return format!("{scheme}:{reference}").parse().ok();
    }
    let authority = base.authority()?.as_str();
    let (path, query) = match reference.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (reference, None),
    };
    let (path, query) = if path.is_empty() {
        (base.path().to_owned(), query.or(base.query()))
    } else if path.starts_with('/') {
        (without_dots(path), query)
    } else {
        let directory = base.path().rsplit_once('/').map_or("", |(directory, _)| directory);
        (without_dots(&format!("{directory}/{path}")), query)
    };
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    format!("{scheme}://{authority}{path}{query}").parse().ok()
}

fn has_scheme(reference: &str) -> bool {
    reference.split_once(':').is_some_and(|(scheme, _)| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
    })
}

/// The path with `.` and `..` carried out.
fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    kept.pop();
                }
                if last {
                    kept.push("");
                }
            }
            segment => kept.push(segment),
        }
    }
    format!("/{}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn references_are_resolved() {
        let base: Uri = "http://a:1/b/c/d?q".parse().unwrap();
        for (reference, expected) in [
            ("https://x/y", "https://x/y"),
            ("//x/y", "http://x/y"),
            ("/y?z=1#f", "http://a:1/y?z=1"),
            ("y", "http://a:1/b/c/y"),
            ("./y", "http://a:1/b/c/y"),
            ("../y", "http://a:1/b/y"),
            ("../../../../y", "http://a:1/y"),
            ("..", "http://a:1/b/"),
            (".", "http://a:1/b/c/"),
            ("?z", "http://a:1/b/c/d?z"),
            ("", "http://a:1/b/c/d?q"),
            ("y:z", "y:z"),
        ] {
            let resolved = resolve(&base, reference).map(|uri| uri.to_string());
            // "y:z" has a scheme and is no URL that can be requested.
            assert_eq!(resolved.as_deref().unwrap_or("y:z"), expected, "{reference:?}");
        }
    }

    #[test]
    fn credentials_stay_with_their_host() {
        for (from, to, carried) in [
            ("http://a.com/", "http://a.com:81/x", true),
            ("http://a.com/", "https://a.com/", true),
            ("https://a.com/", "http://a.com/", false),
            ("http://a.com/", "http://sub.a.com/", true),
            ("http://sub.a.com/", "http://a.com/", false),
            ("http://a.com/", "http://ba.com/", false),
            ("http://0.0.0.1/", "http://1.0.0.0.1/", false),
            ("http://A.com/", "http://a.COM/", true),
        ] {
            let carries = may_carry_credentials(&from.parse().unwrap(), &to.parse().unwrap());
            assert_eq!(carries, carried, "{from} {to}");
        }
    }
}

//! Why a request failed, in the words that people search for.

use std::fmt;
use std::io;
use std::time::Duration;

use http::{Method, Uri};

use crate::file::io_text;

/// A request that gave no response.
///
/// Prints as Go programs do, `Get "http://host:9100/metrics": dial tcp 10.0.0.1:9100: connect: connection refused`, with the password
/// of the URL replaced by `xxxxx`.
#[derive(Debug)]
pub struct RequestError {
    // Boxed: the error travels in results that are mostly fine.
    inner: Box<Inner>,
}

#[derive(Debug)]
struct Inner {
    kind: RequestErrorKind,
    method: Method,
    url: String,
    detail: String,
}

/// What went wrong, for counters and decisions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RequestErrorKind {
    /// The URL is not one that can be requested.
    InvalidUrl,
    /// The host's name could not be resolved.
    Dns,
    /// Nobody listens at the address.
    ConnectRefused,
    /// The address cannot be reached for another reason, or does not answer.
    Connect,
    /// The TLS handshake failed, or the TLS settings cannot be used (a file is missing).
    Tls,
    /// The proxy refused.
    Proxy,
    /// The time for the whole exchange is over.
    Timeout,
    /// The connection ended before the response was complete.
    Reset,
    /// What came back is not HTTP.
    Protocol,
    /// The response's body is larger than the caller allows.
    BodyTooLarge,
    /// Too many redirects, or one to a place that is not a URL.
    Redirect,
    /// The file that holds a credential cannot be read, or its content cannot be a header.
    Credentials,
    /// The authenticator failed, or the token endpoint gave no token.
    Auth,
}

impl RequestErrorKind {
    /// A short name for a metric's label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidUrl => "invalid_url",
            Self::Dns => "dns",
            Self::ConnectRefused => "connect_refused",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Proxy => "proxy",
            Self::Timeout => "timeout",
            Self::Reset => "reset",
            Self::Protocol => "protocol",
            Self::BodyTooLarge => "body_too_large",
            Self::Redirect => "redirect",
            Self::Credentials => "credentials",
            Self::Auth => "auth",
        }
    }
}

impl RequestError {
    pub(crate) fn new(method: &Method, url: &Uri, failure: Failure) -> Self {
        Self {
            inner: Box::new(Inner {
                kind: failure.kind,
                method: method.clone(),
                url: redacted(url),
                detail: failure.detail,
            }),
        }
    }

    /// What went wrong.
    #[must_use]
    pub fn kind(&self) -> RequestErrorKind {
        self.inner.kind
    }

    /// The URL that was requested last (redirects may have led away from the first), with its password replaced.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.inner.url
    }

    /// The text without method and URL, for a place that names them already.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.inner.detail
    }

    /// Whether the same request may succeed later. Everything that depends on the other side, the network or a file may;
    /// a wrong URL, a body that is too large and a loop of redirects will not.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        !matches!(
            self.inner.kind,
            RequestErrorKind::InvalidUrl | RequestErrorKind::BodyTooLarge | RequestErrorKind::Redirect
        )
    }

    /// Whether the time was over.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        self.inner.kind == RequestErrorKind::Timeout
    }
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Go writes the method as a word: Get, Post.
        let method = self.inner.method.as_str();
        let (first, rest) = method.split_at_checked(1).unwrap_or((method, ""));
        write!(f, "{first}{} {:?}: {}", rest.to_ascii_lowercase(), self.inner.url, self.inner.detail)
    }
}

impl std::error::Error for RequestError {}

/// A failure below the request, which does not know method and URL.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) kind: RequestErrorKind,
    pub(crate) detail: String,
    /// Not a byte of a response had come: on a kept connection this means that the server closed it meanwhile.
    pub(crate) before_response: bool,
}

impl Failure {
    pub(crate) fn new(kind: RequestErrorKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), before_response: false }
    }

    pub(crate) fn protocol(detail: impl Into<String>) -> Self {
        Self::new(RequestErrorKind::Protocol, detail)
    }

    pub(crate) fn too_large(limit: usize) -> Self {
        Self::new(RequestErrorKind::BodyTooLarge, format!("body size limit exceeded (limit {limit} bytes)"))
    }

    pub(crate) fn timeout(after: Duration, phase: &str) -> Self {
        Self::new(RequestErrorKind::Timeout, format!("context deadline exceeded ({after:?} passed while {phase})"))
    }

    /// An error while reading or writing on an open connection.
    pub(crate) fn on_connection(action: &str, error: &io::Error) -> Self {
        let kind = match error.kind() {
            // rustls reports a broken record this way.
            io::ErrorKind::InvalidData => RequestErrorKind::Tls,
            _ => RequestErrorKind::Reset,
        };
        let detail = match error.kind() {
            io::ErrorKind::UnexpectedEof => "unexpected EOF".to_owned(),
            _ => format!("{action}: {}", io_text(error)),
        };
        Self::new(kind, detail)
    }

    pub(crate) fn eof() -> Self {
        Self::new(RequestErrorKind::Reset, "unexpected EOF")
    }

    pub(crate) fn before_response(mut self) -> Self {
        self.before_response = true;
        self
    }
}

/// The URL with its password replaced by `xxxxx`, as Go prints it.
pub(crate) fn redacted(url: &Uri) -> String {
    let text = url.to_string();
    let Some((userinfo, _)) = url.authority().and_then(|authority| authority.as_str().rsplit_once('@')) else {
        return text;
    };
    let Some((user, _password)) = userinfo.split_once(':') else {
        return text;
    };
    text.replacen(&format!("{userinfo}@"), &format!("{user}:xxxxx@"), 1)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn a_password_is_not_printed() {
        for (url, printed) in [
            ("http://h:1/p?q=1", "http://h:1/p?q=1"),
            ("http://u:p@h/x", "http://u:xxxxx@h/x"),
            ("http://u@h/x", "http://u@h/x"),
            ("http://u:a:b@h/", "http://u:xxxxx@h/"),
        ] {
            assert_eq!(redacted(&url.parse().unwrap()), printed);
        }
    }

    #[test]
    fn it_reads_like_go() {
        let error = RequestError::new(
            &Method::GET,
            &"http://u:p@h:1/m".parse().unwrap(),
            Failure::timeout(Duration::from_secs(10), "waiting for the response"),
        );
        assert_eq!(
            error.to_string(),
            "Get \"http://u:xxxxx@h:1/m\": context deadline exceeded (10s passed while waiting for the response)"
        );
        assert!(error.is_timeout() && error.is_retryable());
    }
}

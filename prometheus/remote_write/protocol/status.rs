//! What a reply's status means to the sender.

use std::fmt;
use std::time::Duration;

/// How much of the body of an error reply is kept for the log, in bytes: what Prometheus and the
/// Collector keep. It is for people; nothing is concluded from it.
pub const MAX_ERROR_BODY: usize = 1024;

/// What to do after a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The receiver has the data.
    Success,
    /// The receiver may take the same data later.
    Recoverable,
    /// The receiver will never take this data: count it as lost.
    Permanent,
}

/// What a status code means: 2xx is success, 5xx is worth another try, and so is 429 if the sender is
/// set to; everything else is final (remote-write specification, "retries and backoff").
#[must_use]
pub const fn classify(status: u16, retry_on_429: bool) -> Outcome {
    match status {
        200..=299 => Outcome::Success,
        500..=599 => Outcome::Recoverable,
        429 if retry_on_429 => Outcome::Recoverable,
        _ => Outcome::Permanent,
    }
}

/// A reply that is not a success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusError {
    /// The status code.
    pub status: u16,
    /// Whether the same data may be sent again.
    pub recoverable: bool,
    /// How long the receiver wants to be left alone; only when recoverable.
    pub retry_after: Option<Duration>,
    /// The beginning of the body.
    pub body: String,
}

impl StatusError {
    /// The error of a reply; `None` if it is a success. `retry_after` is what
    /// [`retry_after`](super::retry_after) made of the header; of `body` the first [`MAX_ERROR_BODY`] bytes are kept.
    #[must_use]
    pub fn of_reply(status: u16, retry_on_429: bool, retry_after: Option<Duration>, body: &[u8]) -> Option<Self> {
        let recoverable = match classify(status, retry_on_429) {
            Outcome::Success => return None,
            Outcome::Recoverable => true,
            Outcome::Permanent => false,
        };
        let body = body.get(..MAX_ERROR_BODY).unwrap_or(body);
        Some(Self {
            status,
            recoverable,
            retry_after: retry_after.filter(|_| recoverable),
            body: String::from_utf8_lossy(body).into_owned(),
        })
    }
}

impl fmt::Display for StatusError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let status = self.status;
        match reason(status) {
            Some(reason) => write!(f, "server returned HTTP status {status} {reason}: {}", self.body),
            None => write!(f, "server returned HTTP status {status} status code {status}: {}", self.body),
        }
    }
}

impl std::error::Error for StatusError {}

/// The registered phrase of a status, in the wording that Prometheus' messages have.
const fn reason(status: u16) -> Option<&'static str> {
    Some(match status {
        100 => "Continue",
        101 => "Switching Protocols",
        102 => "Processing",
        103 => "Early Hints",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        305 => "Use Proxy",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Request Entity Too Large",
        414 => "Request URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Requested Range Not Satisfiable",
        417 => "Expectation Failed",
        418 => "I'm a teapot",
        421 => "Misdirected Request",
        422 => "Unprocessable Entity",
        423 => "Locked",
        424 => "Failed Dependency",
        425 => "Too Early",
        426 => "Upgrade Required",
        428 => "Precondition Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        451 => "Unavailable For Legal Reasons",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        506 => "Variant Also Negotiates",
        507 => "Insufficient Storage",
        508 => "Loop Detected",
        510 => "Not Extended",
        511 => "Network Authentication Required",
        _ => return None,
    })
}

//! One attempt to deliver a body, and what the store's answer means.

use super::super::encode::Contents;
use super::Sender;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use net::auth::AuthVerdict;
use net::client::{Request as HttpRequest, RequestError, RequestErrorKind};
use prometheus::remote_write::protocol::{
    MAX_ERROR_BODY, Outcome, ProtocolVersion, StatusError, Written, classify, retry_after,
};
use std::time::{Duration, SystemTime};
use tokio::time::Instant;

/// What is read of an answer: enough for the store's words, which are logged. However many they are, the status holds.
const ANSWER_LIMIT: usize = 64 * 1024;

/// The end of one attempt.
pub(super) enum Attempt {
    /// The store has it; version 2.0 says how much of it.
    Accepted(Option<Written>),
    /// The same may be accepted later.
    Failed {
        why: String,
        retry_after: Option<Duration>,
        /// It is not about the request, but about who sends it.
        of_identity: bool,
    },
    /// The same will never be accepted.
    Refused(Refusal),
    /// The store does not know the message.
    Unsupported(String),
}

/// A final answer that is not a success.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    /// What the store says, with its status.
    pub(super) words: String,
    /// Whether it says so of something in the request, as opposed to the request itself.
    names_a_reason: bool,
    /// Whether it says so of the request's form: how it is compressed or encoded.
    pub(super) of_form: bool,
    /// How much it has written all the same (version 2.0).
    pub(super) written: Written,
}

/// Words that are about the message as such. None of its parts would be taken either.
const ABOUT_THE_MESSAGE: [&str; 9] = [
    "snappy",
    "protobuf",
    "proto:",
    "unmarshal",
    "decod",
    "decompress",
    "content-type",
    "content type",
    "content-encoding",
];

/// Words that are about who sends.
const ABOUT_THE_SENDER: [&str; 3] = ["tenant", "org id", "orgid"];

impl Refusal {
    /// Whether parts of the request may be accepted: it is too large, or something in it is wrong. What a store of version 2.0
    /// has taken already is not sent again.
    pub(super) fn is_of_a_part(&self) -> bool {
        match self.status.as_u16() {
            413 => true,
            400 | 409 | 422 => self.names_a_reason && self.written == Written::default(),
            _ => false,
        }
    }

    /// The reason under which points are counted.
    pub(super) fn reason(&self) -> &'static str {
        match self.status.as_u16() {
            400 => "rejected_400",
            401 => "rejected_401",
            403 => "rejected_403",
            404 => "rejected_404",
            409 => "rejected_409",
            413 => "rejected_413",
            415 => "rejected_415",
            422 => "rejected_422",
            300..=399 => "rejected_redirect",
            _ => "rejected_other",
        }
    }
}

/// Whether an answer says more than its status does. What it says is not looked at any further: the specification wants words
/// to be passed on, not interpreted.
fn names_a_reason(status: StatusCode, words: &str) -> bool {
    let words = words.trim().to_ascii_lowercase();
    let phrase = status.canonical_reason().unwrap_or_default().to_ascii_lowercase();
    let bare = words.trim_start_matches(status.as_str()).trim();
    !(bare.is_empty()
        || bare.trim_end_matches(['.', '!']) == phrase
        || words.starts_with('<')
        || is_about_the_message(&words)
        || ABOUT_THE_SENDER.iter().any(|about| words.contains(about)))
}

fn is_about_the_message(words: &str) -> bool {
    let words = words.to_ascii_lowercase();
    ABOUT_THE_MESSAGE.iter().any(|about| words.contains(about))
}

/// Whether an answer is the one that senders of version 2.0 have to expect in place of 415 from stores that know 1.0 only: that they
/// cannot read it. A store that says what it has written knows 2.0.
fn cannot_read(status: StatusCode, written: Option<Written>, words: &str) -> bool {
    status == StatusCode::BAD_REQUEST && written.is_none() && is_about_the_message(words)
}

impl Sender {
    pub(super) async fn attempt(
        &self,
        request: &HttpRequest,
        version: ProtocolVersion,
        contents: &Contents,
    ) -> Attempt {
        let mut answer = Vec::new();
        let started = Instant::now();
        let result = self.client.send_for_status(request, &mut answer, ANSWER_LIMIT).await;
        self.metrics.attempt(started.elapsed().as_secs_f64());
        let head = match result {
            Ok(head) => head,
            Err(error) => return failed(&error),
        };
        let text = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
        let written = if version == ProtocolVersion::V2 { Written::from_headers(text) } else { None };
        let is_empty = contents.values() + contents.exemplars == 0;
        if head.status.is_success() {
            return match written {
                // Stores of version 1.0 that do not look at the type find nothing in the message that they know.
                None if version == ProtocolVersion::V2 && !is_empty => {
                    Attempt::Unsupported(format!("{}, and nothing is said of what was written", head.status))
                }
                written => {
                    self.spoken.understood(version);
                    Attempt::Accepted(written)
                }
            };
        }
        let words = words(&answer);
        let asked = text("retry-after").and_then(|value| retry_after(value.trim(), SystemTime::now()));
        let status = head.status.as_u16();
        let why = StatusError::of_reply(status, true, asked, words.as_bytes())
            .map_or_else(|| words.clone(), |error| error.to_string());
        if classify(status, true) == Outcome::Recoverable {
            return Attempt::Failed { why, retry_after: asked, of_identity: false };
        }
        let verdict = self.auth.as_ref().map(|auth| auth.on_response(head.status, &answer));
        if matches!(verdict, Some(AuthVerdict::Retry | AuthVerdict::Refused)) {
            return Attempt::Failed { why, retry_after: None, of_identity: true };
        }
        let unsupported = head.status == StatusCode::UNSUPPORTED_MEDIA_TYPE
            || (!self.spoken.is_understood() && cannot_read(head.status, written, &words));
        if unsupported && version == ProtocolVersion::V2 {
            return Attempt::Unsupported(why);
        }
        Attempt::Refused(Refusal {
            status: head.status,
            names_a_reason: names_a_reason(head.status, &words),
            of_form: head.status == StatusCode::UNSUPPORTED_MEDIA_TYPE || is_about_the_message(&words),
            words: why,
            written: written.unwrap_or_default(),
        })
    }
}

/// The header fields of a request.
pub(crate) fn headers(version: ProtocolVersion, user_agent: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in version.request_headers() {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if let Ok(user_agent) = HeaderValue::from_str(user_agent) {
        headers.insert(header::USER_AGENT, user_agent);
    }
    headers
}

/// Every failure to get an answer is worth another attempt: the network's, a proxy's, missing credentials.
fn failed(error: &RequestError) -> Attempt {
    let of_identity = error.kind() == RequestErrorKind::Auth;
    Attempt::Failed { why: error.to_string(), retry_after: None, of_identity }
}

/// The beginning of the store's answer, on one line.
fn words(answer: &[u8]) -> String {
    let text = String::from_utf8_lossy(answer.get(..MAX_ERROR_BODY).unwrap_or(answer));
    aws::without_request(text.trim()).replace(['\n', '\r'], " ")
}

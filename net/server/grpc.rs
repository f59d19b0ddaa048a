//! gRPC for calls of one request and one response, over the HTTP/2 that the server speaks (gRPC over HTTP2, PROTOCOL-HTTP2.md).
//! Codes and texts are those of grpc-go, which is what clients of the Collector know.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use bytes::{BufMut as _, Bytes, BytesMut};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method, StatusCode};

use super::decompress::{self, Encodings};
use super::{Request, Response};
use crate::decode::DecodeError;

/// The bytes before a message: whether it is compressed, and its length.
pub(crate) const FRAME: usize = 5;

/// What a client may compress messages with.
const ACCEPTED: &str = "gzip,zstd,snappy";

/// Codes that are given here (`google.rpc.Code`).
mod code {
    pub(super) const INVALID_ARGUMENT: u32 = 3;
    pub(super) const RESOURCE_EXHAUSTED: u32 = 8;
    pub(super) const UNIMPLEMENTED: u32 = 12;
    pub(super) const INTERNAL: u32 = 13;
    pub(super) const UNAVAILABLE: u32 = 14;
    pub(super) const UNAUTHENTICATED: u32 = 16;
    pub(super) const UNKNOWN: u32 = 2;
    pub(super) const DEADLINE_EXCEEDED: u32 = 4;
}

/// Why a call failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrpcStatus {
    /// `google.rpc.Code`.
    pub code: u32,
    /// What is wrong.
    pub message: String,
    /// The encoded `google.rpc.Status`, if there are details to it.
    pub details: Option<Vec<u8>>,
}

impl GrpcStatus {
    /// A status without details.
    #[must_use]
    pub fn new(code: u32, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), details: None }
    }

    /// That there is no such service.
    #[must_use]
    pub fn unknown_service(path: &str) -> Self {
        match path.strip_prefix('/').and_then(|path| path.rsplit_once('/')) {
            Some((service, _)) => Self::new(code::UNIMPLEMENTED, format!("unknown service {service}")),
            None => Self::new(code::UNIMPLEMENTED, format!("malformed method name: {path:?}")),
        }
    }

    /// That a known service has no such method.
    #[must_use]
    pub fn unknown_method(service: &str, method: &str) -> Self {
        Self::new(code::UNIMPLEMENTED, format!("unknown method {method} for service {service}"))
    }

    /// That a message is not what it should be.
    #[must_use]
    pub fn not_decoded(error: &dyn std::fmt::Display) -> Self {
        Self::new(code::INTERNAL, format!("grpc: error unmarshalling request: {error}"))
    }

    /// That the client's deadline has passed.
    #[must_use]
    pub fn deadline_exceeded() -> Self {
        Self::new(code::DEADLINE_EXCEEDED, "context deadline exceeded")
    }

    /// What a request's early refusal by the server is in gRPC; `max_message` is the limit of messages.
    #[must_use]
    pub fn of_http(status: StatusCode, text: String, max_message: usize) -> Self {
        match status {
            StatusCode::UNAUTHORIZED => Self::new(code::UNAUTHENTICATED, text),
            StatusCode::PAYLOAD_TOO_LARGE => Self::new(
                code::RESOURCE_EXHAUSTED,
                format!("grpc: received message larger than max (more than {max_message})"),
            ),
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::REQUEST_TIMEOUT => Self::new(code::UNAVAILABLE, text),
            StatusCode::BAD_REQUEST => Self::new(code::INTERNAL, text),
            _ => Self::new(code::UNKNOWN, text),
        }
    }

    /// The response that carries it: nothing but header fields.
    #[must_use]
    pub fn response(&self) -> Response {
        let mut response = Response::new(StatusCode::OK);
        response.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        self.put(&mut response.headers);
        response
    }

    fn put(&self, headers: &mut HeaderMap) {
        headers.insert("grpc-status", HeaderValue::from(self.code));
        if let Ok(message) = HeaderValue::from_str(&percent_encoded(&self.message)) {
            headers.insert("grpc-message", message);
        }
        if let Some(details) = &self.details
            && let Ok(details) = HeaderValue::from_str(&STANDARD_NO_PAD.encode(details))
        {
            headers.insert("grpc-status-details-bin", details);
        }
        if self.code == code::UNIMPLEMENTED {
            headers.insert("grpc-accept-encoding", HeaderValue::from_static(ACCEPTED));
        }
    }
}

/// The response of a call that succeeded.
#[must_use]
pub fn reply(message: &[u8]) -> Response {
    let mut body = BytesMut::with_capacity(FRAME + message.len());
    body.put_u8(0);
    // Replies are a few bytes.
    body.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    body.put_slice(message);
    let mut response = Response::new(StatusCode::OK);
    response.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response.headers.insert("grpc-accept-encoding", HeaderValue::from_static(ACCEPTED));
    response.body = body.freeze();
    response.trailers.insert("grpc-status", HeaderValue::from_static("0"));
    response
}

/// What is no gRPC at all gets an answer that HTTP clients understand.
#[must_use]
pub fn check(request: &Request) -> Option<Response> {
    let content_type = request.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let is_grpc = content_type
        .strip_prefix("application/grpc")
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(['+', ';']));
    let (status, refusal) = if !is_grpc {
        let text = format!("invalid gRPC request content-type {content_type:?}");
        (StatusCode::UNSUPPORTED_MEDIA_TYPE, GrpcStatus::new(code::INVALID_ARGUMENT, text))
    } else if request.method != Method::POST {
        let text = format!("Received a HEADERS frame with :method {:?} which should be POST", request.method.as_str());
        (StatusCode::METHOD_NOT_ALLOWED, GrpcStatus::new(code::INTERNAL, text))
    } else {
        return None;
    };
    let mut response = refusal.response();
    response.status = status;
    Some(response)
}

/// How long the client is going to wait; none for ever.
#[must_use]
pub fn timeout(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?;
    let (unit_at, unit) = text.char_indices().next_back()?;
    let value: u64 = text.get(..unit_at)?.parse().ok()?;
    Some(match unit {
        'H' => Duration::from_secs(value.saturating_mul(3600)),
        'M' => Duration::from_secs(value.saturating_mul(60)),
        'S' => Duration::from_secs(value),
        'm' => Duration::from_millis(value),
        'u' => Duration::from_micros(value),
        'n' => Duration::from_nanos(value),
        _ => return None,
    })
}

/// The message of a request, decompressed, of at most `max` bytes before and after.
///
/// # Errors
/// The status to answer with.
pub fn message(headers: &HeaderMap, body: Bytes, max: usize) -> Result<Bytes, GrpcStatus> {
    let Some((&[compressed, a, b, c, d], rest)) = body.split_first_chunk::<FRAME>() else {
        return Err(GrpcStatus::new(code::INTERNAL, "unexpected EOF"));
    };
    let len = u32::from_be_bytes([a, b, c, d]) as usize;
    if len > max {
        let text = format!("grpc: received message larger than max ({len} vs. {max})");
        return Err(GrpcStatus::new(code::RESOURCE_EXHAUSTED, text));
    }
    if rest.len() < len {
        return Err(GrpcStatus::new(code::INTERNAL, "unexpected EOF"));
    }
    if rest.len() > len {
        return Err(GrpcStatus::new(code::INTERNAL, "a call has more than one request message"));
    }
    let encoding = headers.get("grpc-encoding").and_then(|value| value.to_str().ok()).unwrap_or("identity");
    match (compressed, encoding) {
        (0, _) => Ok(body.slice(FRAME..)),
        (1, "identity" | "") => {
            let text = "grpc: compressed flag set with identity or empty encoding";
            Err(GrpcStatus::new(code::INTERNAL, text))
        }
        (1, encoding) => decompressed(encoding, rest, max),
        _ => Err(GrpcStatus::new(code::INTERNAL, format!("grpc: received unexpected payload format {compressed}"))),
    }
}

fn decompressed(encoding: &str, body: &[u8], max: usize) -> Result<Bytes, GrpcStatus> {
    // In gRPC snappy is the framed format.
    let name = match encoding {
        "gzip" | "zstd" => encoding,
        "snappy" => "x-snappy-framed",
        _ => {
            let text = format!("grpc: Decompressor is not installed for grpc-encoding {encoding:?}");
            return Err(GrpcStatus::new(code::UNIMPLEMENTED, text));
        }
    };
    match decompress::plain(&Encodings::all(), name, body, max) {
        Some(Ok(plain)) => Ok(plain.into()),
        Some(Err(DecodeError::LimitExceeded { limit })) => {
            let text = format!("grpc: received message after decompression larger than max {limit}");
            Err(GrpcStatus::new(code::RESOURCE_EXHAUSTED, text))
        }
        Some(Err(error)) => {
            Err(GrpcStatus::new(code::INTERNAL, format!("grpc: failed to decompress the received message: {error}")))
        }
        None => Err(GrpcStatus::new(code::INTERNAL, "grpc: failed to decompress the received message")),
    }
}

/// Text as `grpc-message` carries it: printable ASCII, everything else in percent form.
fn percent_encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' '..=b'~' if byte != b'%' => out.push(char::from(byte)),
            _ => {
                const HEX: &[u8; 16] = b"0123456789ABCDEF";
                out.push('%');
                for digit in [byte >> 4, byte & 15] {
                    out.extend(HEX.get(usize::from(digit)).map(|digit| char::from(*digit)));
                }
            }
        }
    }
    out
}

#[cfg(test)]
mod tests;

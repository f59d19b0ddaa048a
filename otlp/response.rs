//! Answers: what a server says about a request that it took, in part or not at all.

use std::time::Duration;

use pipeline::component::Signal;

use crate::json::{self, JsonError};
use crate::schema::{Kind, Message, many, one};
use crate::view::View;
use crate::wire::{DecodeError, put_bytes, put_message, put_number};

/// The codes of gRPC that OTLP has a use for (`google.rpc.Code`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Code {
    /// Everything is well.
    Ok = 0,
    /// The caller went away.
    Cancelled = 1,
    /// None of the others.
    Unknown = 2,
    /// The request is wrong, and will be again.
    InvalidArgument = 3,
    /// It took too long.
    DeadlineExceeded = 4,
    /// The caller may not do this.
    PermissionDenied = 7,
    /// Too large, or too many; worth another attempt only with [`Status::retry_delay`].
    ResourceExhausted = 8,
    /// There is no such service.
    Unimplemented = 12,
    /// The server has failed.
    Internal = 13,
    /// Worth another attempt.
    Unavailable = 14,
    /// The caller did not say who it is.
    Unauthenticated = 16,
}

impl Code {
    /// The code for an HTTP status, as the Collector's `otlp` receiver gives it.
    #[must_use]
    pub fn of_http(status: u16) -> Self {
        match status {
            400 => Self::InvalidArgument,
            401 => Self::Unauthenticated,
            403 => Self::PermissionDenied,
            404 => Self::Unimplemented,
            429 => Self::ResourceExhausted,
            502..=504 => Self::Unavailable,
            _ => Self::Unknown,
        }
    }

    /// The HTTP status for the code, as the Collector's `otlp` receiver gives it.
    #[must_use]
    pub fn http(self) -> u16 {
        match self {
            Self::Ok => 200,
            Self::Cancelled | Self::DeadlineExceeded | Self::Unavailable => 503,
            Self::ResourceExhausted => 429,
            Self::InvalidArgument => 400,
            Self::Unauthenticated => 401,
            Self::PermissionDenied => 403,
            Self::Unimplemented => 404,
            Self::Unknown | Self::Internal => 500,
        }
    }
}

/// Why a request was not taken (`google.rpc.Status`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// `google.rpc.Code`; codes that are not in [`Code`] may come from elsewhere.
    pub code: u32,
    /// What is wrong.
    pub message: String,
    /// After how long the sender may try again (`google.rpc.RetryInfo`).
    pub retry_delay: Option<Duration>,
}

/// The type of the detail that asks for a pause.
const RETRY_INFO: &str = "type.googleapis.com/google.rpc.RetryInfo";

static STATUS: Message = Message {
    name: "Status",
    fields: &[one(1, "code", Kind::Int32), one(2, "message", Kind::Text), many(3, "details", Kind::Message(&ANY))],
};
static ANY: Message = Message { name: "Any", fields: &[one(1, "@type", Kind::Text)] };

impl Status {
    /// A status of this code.
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code: code as u32, message: message.into(), retry_delay: None }
    }

    /// The same, asking for a pause.
    #[must_use]
    pub fn retry_after(self, delay: Duration) -> Self {
        Self { retry_delay: Some(delay), ..self }
    }

    /// In protobuf.
    #[must_use]
    pub fn to_protobuf(&self) -> Vec<u8> {
        let mut out = Vec::new();
        if self.code != 0 {
            put_number(&mut out, 1, u64::from(self.code));
        }
        if !self.message.is_empty() {
            put_bytes(&mut out, 2, self.message.as_bytes());
        }
        if let Some(delay) = self.retry_delay {
            put_message(&mut out, 3, |out| {
                put_bytes(out, 1, RETRY_INFO.as_bytes());
                put_message(out, 2, |out| put_message(out, 1, |out| put_duration(out, delay)));
            });
        }
        out
    }

    /// In JSON; the pause has a place only in the header field `Retry-After`.
    #[must_use]
    pub fn to_json(&self) -> String {
        let bare = Self { retry_delay: None, ..self.clone() };
        json::text(&STATUS, &bare.to_protobuf()).unwrap_or_default()
    }

    /// From protobuf; what cannot be read counts as absent.
    #[must_use]
    pub fn from_protobuf(body: &[u8]) -> Self {
        let status = View::of(body);
        let retry_info = status.messages(3).find(|detail| detail.bytes(1) == RETRY_INFO.as_bytes());
        let retry_delay = retry_info.map(|detail| {
            let delay = detail.message(2).message(1);
            Duration::new(delay.number(1), u32::try_from(delay.number(2)).unwrap_or(0).min(999_999_999))
        });
        Self {
            code: u32::try_from(status.number(1)).unwrap_or(Code::Unknown as u32),
            message: status.text(2).into_owned(),
            retry_delay,
        }
    }

    /// From JSON.
    ///
    /// # Errors
    /// For text that is no such object.
    pub fn from_json(text: &[u8]) -> Result<Self, JsonError> {
        Ok(Self::from_protobuf(&json::parse(&STATUS, text)?))
    }
}

fn put_duration(out: &mut Vec<u8>, duration: Duration) {
    if duration.as_secs() > 0 {
        put_number(out, 1, duration.as_secs());
    }
    if duration.subsec_nanos() > 0 {
        put_number(out, 2, u64::from(duration.subsec_nanos()));
    }
}

/// What was left out of a request that was taken otherwise (`Export*PartialSuccess`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartialSuccess {
    /// Data points, spans or log records that were left out.
    pub rejected: u64,
    /// Why; without any that were left out, a warning.
    pub message: String,
}

macro_rules! responses {
    ($($response:ident $partial:ident $name:literal $rejected:literal)*) => {$(
        static $partial: Message = Message {
            name: "PartialSuccess",
            fields: &[one(1, $rejected, Kind::Int64 { signed: true }), one(2, "errorMessage", Kind::Text)],
        };
        static $response: Message =
            Message { name: $name, fields: &[one(1, "partialSuccess", Kind::Message(&$partial))] };
    )*};
}

responses! {
    METRICS METRICS_PARTIAL "ExportMetricsServiceResponse" "rejectedDataPoints"
    TRACES TRACES_PARTIAL "ExportTraceServiceResponse" "rejectedSpans"
    LOGS LOGS_PARTIAL "ExportLogsServiceResponse" "rejectedLogRecords"
}

fn response(signal: Signal) -> &'static Message {
    match signal {
        Signal::Metrics => &METRICS,
        Signal::Traces => &TRACES,
        Signal::Logs => &LOGS,
    }
}

impl PartialSuccess {
    /// The response to a request of any signal, in protobuf. Nothing if nothing was left out.
    #[must_use]
    pub fn to_protobuf(&self) -> Vec<u8> {
        let mut out = Vec::new();
        if *self != Self::default() {
            put_message(&mut out, 1, |out| {
                if self.rejected > 0 {
                    put_number(out, 1, self.rejected);
                }
                if !self.message.is_empty() {
                    put_bytes(out, 2, self.message.as_bytes());
                }
            });
        }
        out
    }

    /// The response to a request in JSON.
    #[must_use]
    pub fn to_json(&self, signal: Signal) -> String {
        json::text(response(signal), &self.to_protobuf()).unwrap_or_default()
    }

    /// From a response in protobuf; none if everything was taken.
    ///
    /// # Errors
    /// If it cannot be decoded.
    pub fn from_protobuf(signal: Signal, body: &[u8]) -> Result<Option<Self>, DecodeError> {
        crate::request::check_response(response(signal), body)?;
        let Some(partial) = View::of(body).messages(1).last() else { return Ok(None) };
        let (rejected, message) =
            (partial.number(1).cast_signed().max(0).cast_unsigned(), partial.text(2).into_owned());
        Ok(Some(Self { rejected, message }).filter(|partial| *partial != Self::default()))
    }

    /// From a response in JSON.
    ///
    /// # Errors
    /// For text that is no response.
    pub fn from_json(signal: Signal, text: &[u8]) -> Result<Option<Self>, JsonError> {
        let body = json::parse(response(signal), text)?;
        Ok(Self::from_protobuf(signal, &body).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn a_status_comes_back_in_both_spellings() {
        let status = Status::new(Code::Unavailable, "busy").retry_after(Duration::from_millis(1500));
        assert_eq!(Status::from_protobuf(&status.to_protobuf()), status);
        assert_eq!(status.to_json(), r#"{"code":14,"message":"busy"}"#);
        let bare = Status { retry_delay: None, ..status };
        assert_eq!(Status::from_json(bare.to_json().as_bytes()).unwrap(), bare);
        let other = Status::from_json(br#"{"code":3,"details":[{"@type":"x","y":[1]}]}"#).unwrap();
        assert_eq!((other.code, other.retry_delay), (3, None));
        assert_eq!(Status::from_protobuf(&[0xff, 0xff]).code, 0);
    }

    #[test]
    fn partial_success_has_a_name_for_each_signal() {
        let partial = PartialSuccess { rejected: 3, message: "no".to_owned() };
        for (signal, name) in [
            (Signal::Metrics, "rejectedDataPoints"),
            (Signal::Traces, "rejectedSpans"),
            (Signal::Logs, "rejectedLogRecords"),
        ] {
            let text = partial.to_json(signal);
            assert_eq!(text, format!("{{\"partialSuccess\":{{\"{name}\":\"3\",\"errorMessage\":\"no\"}}}}"));
            assert_eq!(PartialSuccess::from_json(signal, text.as_bytes()).unwrap().as_ref(), Some(&partial));
            let body = partial.to_protobuf();
            assert_eq!(PartialSuccess::from_protobuf(signal, &body).unwrap().as_ref(), Some(&partial));
        }
        assert_eq!(
            (PartialSuccess::default().to_protobuf().len(), PartialSuccess::default().to_json(Signal::Logs)),
            (0, "{}".to_owned())
        );
        assert_eq!(PartialSuccess::from_json(Signal::Traces, b"{\"partialSuccess\":{}}").unwrap(), None);
        assert!(PartialSuccess::from_protobuf(Signal::Traces, b"<html>").is_err());
    }
}

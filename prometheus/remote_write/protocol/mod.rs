//! The HTTP exchange of remote write: headers, what replies mean, when to try again, and what a
//! receiver answers. Everything here is text and numbers; connections are others' business.

mod backoff;
mod response;
mod status;

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::de::{self, Deserialize, Deserializer};

pub use backoff::{Backoff, MAX_RETRY_AFTER, retry_after};
pub use response::Response;
pub use status::{MAX_ERROR_BODY, Outcome, StatusError, classify};

/// How the body is compressed.
pub const CONTENT_ENCODING: &str = "content-encoding";
/// What message the body is.
pub const CONTENT_TYPE: &str = "content-type";
/// The version of the protocol.
pub const VERSION: &str = "x-prometheus-remote-write-version";
/// How often this request was tried before; absent at the first time.
pub const RETRY_ATTEMPT: &str = "retry-attempt";
/// When to try again.
pub const RETRY_AFTER: &str = "retry-after";
/// Float samples written (answer, version 2.0).
pub const SAMPLES_WRITTEN: &str = "x-prometheus-remote-write-samples-written";
/// Native histograms written (answer, version 2.0).
pub const HISTOGRAMS_WRITTEN: &str = "x-prometheus-remote-write-histograms-written";
/// Exemplars written (answer, version 2.0).
pub const EXEMPLARS_WRITTEN: &str = "x-prometheus-remote-write-exemplars-written";

/// The only compression that both versions know: snappy's block format.
pub const SNAPPY: &str = "snappy";

const ZSTD: &str = "zstd";

const MEDIA_TYPE: &str = "application/x-protobuf";
const MESSAGE_V1: &str = "prometheus.WriteRequest";
const MESSAGE_V2: &str = "io.prometheus.write.v2.Request";

/// A version of remote write. In configurations it is the `protobuf_message` setting, that is the full
/// name of the message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ProtocolVersion {
    /// 1.0, message `prometheus.WriteRequest`.
    #[default]
    V1,
    /// 2.0, message `io.prometheus.write.v2.Request`.
    V2,
}

impl ProtocolVersion {
    /// The full name of the message.
    #[must_use]
    pub const fn message(self) -> &'static str {
        match self {
            Self::V1 => MESSAGE_V1,
            Self::V2 => MESSAGE_V2,
        }
    }

    /// The headers every request of this version has. `User-Agent` is up to the sender, and
    /// [`RETRY_ATTEMPT`] is added from the first repetition on.
    #[must_use]
    pub const fn request_headers(self) -> [(&'static str, &'static str); 3] {
        let (content_type, version) = match self {
            Self::V1 => (MEDIA_TYPE, "0.1.0"),
            Self::V2 => ("application/x-protobuf;proto=io.prometheus.write.v2.Request", "2.0.0"),
        };
        [(CONTENT_ENCODING, SNAPPY), (CONTENT_TYPE, content_type), (VERSION, version)]
    }

    /// The version of a request with this `Content-Type`. Without a `proto` parameter, or without the header
    /// at all, it is 1.0, as old senders have it.
    ///
    /// # Errors
    /// When it is another media type or message; to be answered with status 415.
    pub fn from_content_type(content_type: Option<&str>) -> Result<Self, UnsupportedMedia> {
        let Some(content_type) = content_type.map(str::trim).filter(|text| !text.is_empty()) else {
            return Ok(Self::V1);
        };
        let unsupported = || UnsupportedMedia::ContentType(content_type.to_owned());
        let mut parts = content_type.split(';').map(str::trim);
        if !parts.next().is_some_and(|media| media.eq_ignore_ascii_case(MEDIA_TYPE)) {
            return Err(unsupported());
        }
        let mut version = Self::V1;
        for parameter in parts.filter(|parameter| !parameter.is_empty()) {
            let (key, value) = parameter.split_once('=').ok_or_else(unsupported)?;
            if key.trim().eq_ignore_ascii_case("proto") {
                version = value.trim().trim_matches('"').parse().map_err(|_| unsupported())?;
            }
        }
        Ok(version)
    }
}

/// How a request is compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    /// Snappy's block format, which is what the specifications have.
    #[default]
    Snappy,
    /// zstd, between programs that both know it.
    Zstd,
}

impl Encoding {
    /// As `Content-Encoding` has it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Snappy => SNAPPY,
            Self::Zstd => ZSTD,
        }
    }

    /// Reads the `Content-Encoding` of a request. A request without one is taken for snappy, as senders
    /// before the specification were.
    ///
    /// # Errors
    /// When it is another one; to be answered with status 415.
    pub fn from_content_encoding(content_encoding: Option<&str>) -> Result<Self, UnsupportedMedia> {
        match content_encoding.map(str::trim) {
            None | Some("") => Ok(Self::Snappy),
            Some(encoding) if encoding.eq_ignore_ascii_case(SNAPPY) => Ok(Self::Snappy),
            Some(encoding) if encoding.eq_ignore_ascii_case(ZSTD) => Ok(Self::Zstd),
            Some(other) => Err(UnsupportedMedia::ContentEncoding(other.to_owned())),
        }
    }
}

/// Whether users may not set this header, because the protocol does (case does not matter).
#[must_use]
pub fn is_reserved_header(name: &str) -> bool {
    [CONTENT_ENCODING, CONTENT_TYPE, VERSION, RETRY_ATTEMPT, "content-length", "host", "user-agent"]
        .iter()
        .any(|reserved| reserved.eq_ignore_ascii_case(name))
}

/// A request in a form that is not remote write.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnsupportedMedia {
    /// Not protobuf, or another message.
    #[error(
        "unsupported content-type {0:?}: send application/x-protobuf with no proto parameter, \
         proto={MESSAGE_V1} or proto={MESSAGE_V2}"
    )]
    ContentType(String),
    /// Neither snappy nor zstd.
    #[error("unsupported content-encoding {0:?}: send snappy (block format)")]
    ContentEncoding(String),
}

/// A `protobuf_message` that does not exist.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown protobuf_message {0:?}: use {MESSAGE_V1} or {MESSAGE_V2}")]
pub struct UnknownMessage(
    /// What was found.
    pub String,
);

impl fmt::Display for ProtocolVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl FromStr for ProtocolVersion {
    type Err = UnknownMessage;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            MESSAGE_V1 => Ok(Self::V1),
            MESSAGE_V2 => Ok(Self::V2),
            other => Err(UnknownMessage(other.to_owned())),
        }
    }
}

impl<'de> Deserialize<'de> for ProtocolVersion {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// How much of a request was written, as a version 2.0 receiver says in its answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Float samples.
    pub samples: u64,
    /// Native histograms.
    pub histograms: u64,
    /// Exemplars.
    pub exemplars: u64,
}

impl Written {
    /// The headers that say so.
    #[must_use]
    pub const fn headers(&self) -> [(&'static str, u64); 3] {
        [(SAMPLES_WRITTEN, self.samples), (HISTOGRAMS_WRITTEN, self.histograms), (EXEMPLARS_WRITTEN, self.exemplars)]
    }

    /// Reads the headers of an answer through `header`, which looks one up by its lower-case name. A
    /// header that is missing or not a number counts as zero; `None` when none of them is a number: the receiver then
    /// did not understand version 2.0 (its specification has that treated like status 415).
    #[must_use]
    pub fn from_headers<'h>(header: impl Fn(&str) -> Option<&'h str>) -> Option<Self> {
        let count = |name| header(name).and_then(|text| text.trim().parse::<u64>().ok());
        let (samples, histograms, exemplars) =
            (count(SAMPLES_WRITTEN), count(HISTOGRAMS_WRITTEN), count(EXEMPLARS_WRITTEN));
        samples.or(histograms).or(exemplars)?;
        Some(Self {
            samples: samples.unwrap_or(0),
            histograms: histograms.unwrap_or(0),
            exemplars: exemplars.unwrap_or(0),
        })
    }
}

//! What a receiver answers.

use std::time::Duration;

use super::super::snappy::SnappyError;
use super::super::wire::{DecodeError, Rejection};
use super::{RETRY_AFTER, UnsupportedMedia};

/// An answer to a write request: a status, a text for the sender's log, and perhaps a wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Plain text; empty on success.
    pub body: String,
    /// How long the sender should wait.
    pub retry_after: Option<Duration>,
}

impl Response {
    /// All of it was taken (204).
    #[must_use]
    pub const fn written() -> Self {
        Self { status: 204, body: String::new(), retry_after: None }
    }

    /// Another encoding or message than we read (415).
    #[must_use]
    pub fn unsupported(error: &UnsupportedMedia) -> Self {
        Self::refused(415, error.to_string())
    }

    /// The body cannot be decompressed: 413 when it is too large, else 400. Neither is worth another try.
    #[must_use]
    pub fn not_decompressed(error: &SnappyError) -> Self {
        let too_large = matches!(error, SnappyError::OverLimit { .. } | SnappyError::TooLarge { .. });
        Self::refused(if too_large { 413 } else { 400 }, error.to_string())
    }

    /// The message cannot be read: 413 when there is too much of something, 415 when it is the other version's
    /// (a sender may then fall back), else 400.
    #[must_use]
    pub fn not_decoded(error: &DecodeError) -> Self {
        let status = match error {
            DecodeError::TooMany { .. } => 413,
            DecodeError::OtherVersion { .. } => 415,
            DecodeError::Malformed { .. } | DecodeError::FirstSymbolNotEmpty => 400,
        };
        Self::refused(status, error.to_string())
    }

    /// Part of the request was taken and part of it will never be (400, which keeps the sender from
    /// sending the good part again). `count` is the number of rejections; the first of them is explained.
    #[must_use]
    pub fn partly_written(first: &Rejection, count: usize) -> Self {
        let body = match count {
            0 | 1 => first.to_string(),
            _ => format!("{first} (and {} more rejections)", count - 1),
        };
        Self::refused(400, body)
    }

    /// Nothing was taken, but the same request may be later: 503, which every sender tries again, unlike
    /// 429, which version 1.0 senders may take as final.
    #[must_use]
    pub fn busy(why: &str, retry_after: Duration) -> Self {
        Self { status: 503, body: why.to_owned(), retry_after: Some(retry_after) }
    }

    /// The `Retry-After` header, in whole seconds, rounded up: zero would mean no wait.
    #[must_use]
    pub fn retry_after_header(&self) -> Option<(&'static str, u64)> {
        let wait = self.retry_after?;
        let seconds = wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0));
        Some((RETRY_AFTER, seconds.max(1)))
    }

    const fn refused(status: u16, body: String) -> Self {
        Self { status, body, retry_after: None }
    }
}

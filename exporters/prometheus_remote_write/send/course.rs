//! The way of one request: how often it was tried, and for how long.

use super::super::config::Retry;
use super::super::shards::{Retrying, Waiting};
use super::Sender;
use prometheus::remote_write::protocol::Backoff;
use std::time::Duration;
use tokio::time::Instant;

/// Attempts to deliver one request, in one piece or in several.
pub(super) struct Course<'w> {
    waiting: &'w Waiting,
    first: Instant,
    backoff: Backoff,
    retrying: Option<Retrying>,
    /// Failures of the body that is being sent.
    pub(super) failures: u32,
}

/// Why an attempt has failed.
pub(super) struct Failure<'a> {
    pub(super) why: &'a str,
    pub(super) retry_after: Option<Duration>,
    pub(super) of_identity: bool,
}

impl<'w> Course<'w> {
    pub(super) fn new(waiting: &'w Waiting, retry: &Retry) -> Self {
        Self { waiting, first: Instant::now(), backoff: retry.backoff(), retrying: None, failures: 0 }
    }

    /// Another body is sent from now on.
    pub(super) fn next_body(&mut self) {
        self.failures = 0;
    }

    /// The store has answered to the purpose.
    pub(super) fn answered(&mut self, sender: &Sender) {
        self.backoff.reset();
        if self.retrying.take().is_some() {
            tracing::info!(endpoint = %sender.shown_endpoint, attempt = self.failures + 1, "The store accepts requests again.");
        }
    }

    /// Waits before the next attempt; false if there is to be none.
    pub(super) async fn wait(&mut self, sender: &Sender, failure: &Failure<'_>) -> bool {
        self.failures += 1;
        let delay = self.backoff.next_wait_asked(failure.retry_after, random_unit);
        let limit = if failure.of_identity { sender.retry.max_refused } else { sender.retry.max_elapsed };
        if !sender.retry.enabled || (!limit.is_zero() && self.first.elapsed() + delay > limit) {
            return false;
        }
        if self.retrying.is_none() {
            self.retrying = Some(self.waiting.retrying());
        }
        tracing::warn!(
            endpoint = %sender.shown_endpoint,
            attempt = self.failures,
            error = %failure.why,
            interval_ms = delay.as_millis() as u64,
            "Exporting failed. Will retry the request after interval."
        );
        tokio::time::sleep(delay).await;
        sender.metrics.retried();
        true
    }
}

/// A number in [0, 1). The spread is all that matters, so the standard library's hash seed will do.
fn random_unit() -> f64 {
    use std::hash::{BuildHasher as _, RandomState};
    (RandomState::new().hash_one(0) >> 11) as f64 / (1u64 << 53) as f64
}

//! Delivers one request: attempts, waits between them, and what becomes of it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use pipeline::AckOutcome;
use pipeline::component::Signal;
use tokio::sync::watch;
use tokio::time::Instant;

use super::gather::{Parcel, joined};
use super::metrics::Metrics;
use super::request::{Body, Ticket};
use super::{Attempt, Transport};
use crate::retry::{Backoff, Retry, random_unit};

/// Bodies beyond this are compressed where blocking is allowed: below it takes less time than to go there.
const LARGE: usize = 64 << 10;

/// Sends requests of one signal.
#[derive(Clone)]
pub(super) struct Courier {
    pub(super) transport: Arc<dyn Transport>,
    pub(super) retry: Retry,
    pub(super) metrics: Arc<Metrics>,
    pub(super) signal: Signal,
}

/// How a delivery has ended, with what is to be settled.
pub(super) struct Delivered {
    pub(super) keys: Box<[u64]>,
    pub(super) tickets: Vec<Ticket>,
    /// None if it is to stay where it is, on disk.
    pub(super) outcome: Option<AckOutcome>,
}

impl Courier {
    /// Where requests go.
    pub(super) fn target(&self) -> &str {
        self.transport.target(self.signal).unwrap_or_default()
    }

    /// Tries until the request is accepted, rejected, or given up. Once `closing` says that the program is about to end, what is on disk
    /// is not tried again.
    pub(super) async fn deliver(self, parcel: Parcel, closing: watch::Receiver<bool>) -> Delivered {
        let items = parcel.items();
        let durable = parcel.is_durable();
        let Parcel { parts, keys, tickets } = parcel;
        // The tickets stay in this future: if it is dropped, they say what is lost.
        let outcome = match self.prepared(parts).await {
            Ok(prepared) => self.attempts(&prepared, items, durable.then_some(closing)).await,
            Err(why) => {
                tracing::error!(
                    endpoint = self.target(),
                    items,
                    error = %why,
                    "A request cannot be sent; its items are dropped."
                );
                self.metrics.failed("not_encodable", items);
                Some(AckOutcome::Rejected)
            }
        };
        Delivered { keys, tickets, outcome }
    }

    async fn prepared(&self, parts: Vec<Body>) -> Result<Bytes, String> {
        let mut raw = Vec::with_capacity(parts.len());
        for part in parts {
            match part {
                // What is ready was not put together with others.
                Body::Ready(bytes) => return Ok(bytes),
                Body::Raw(bytes) => raw.push(bytes),
            }
        }
        if raw.iter().map(Bytes::len).sum::<usize>() <= LARGE {
            return self.transport.prepare(self.signal, joined(&raw));
        }
        let (transport, signal) = (Arc::clone(&self.transport), self.signal);
        let prepared = tokio::task::spawn_blocking(move || transport.prepare(signal, joined(&raw))).await;
        prepared.map_err(|error| error.to_string())?
    }

    async fn attempts(
        &self,
        prepared: &Bytes,
        items: u64,
        mut closing: Option<watch::Receiver<bool>>,
    ) -> Option<AckOutcome> {
        let first = Instant::now();
        let mut backoff = Backoff::new(&self.retry);
        for attempt in 1u32.. {
            let (why, pause, of_identity) = match self.transport.send(self.signal, prepared).await {
                Attempt::Accepted(partial) => {
                    if attempt > 1 {
                        tracing::info!(endpoint = self.target(), attempt, "The destination accepts requests again.");
                    }
                    return Some(self.accepted(items, partial));
                }
                Attempt::Rejected { reason, why } => {
                    tracing::error!(
                        endpoint = self.target(),
                        items,
                        error = %why,
                        "Exporting failed. The destination has rejected a request for good; its items are dropped."
                    );
                    self.metrics.failed(reason, items);
                    return Some(AckOutcome::Rejected);
                }
                Attempt::Failed { why, pause, of_identity } => (why, pause, of_identity),
            };
            let delay = backoff.next(random_unit()).max(pause.unwrap_or_default());
            let limit = if of_identity { self.retry.max_refused } else { self.retry.max_elapsed };
            if !self.retry.enabled || (!limit.is_zero() && first.elapsed() + delay > limit) {
                return Some(self.given_up(items, attempt, &why));
            }
            if closing.as_ref().is_some_and(|closing| *closing.borrow()) {
                return None;
            }
            tracing::warn!(
                endpoint = self.target(),
                attempt,
                error = %why,
                interval_ms = delay.as_millis() as u64,
                "Exporting failed. Will retry the request after interval."
            );
            if !waited(delay, closing.as_mut()).await {
                return None;
            }
            self.metrics.retried();
        }
        None
    }

    fn accepted(&self, items: u64, partial: Option<otlp::response::PartialSuccess>) -> AckOutcome {
        let Some(partial) = partial else {
            self.metrics.sent(items);
            return AckOutcome::Delivered;
        };
        self.metrics.partial();
        let rejected = partial.rejected.min(items);
        self.metrics.sent(items - rejected);
        tracing::warn!(
            endpoint = self.target(),
            rejected = partial.rejected,
            items,
            message = partial.message,
            "Partial success response: the destination has left out items, or warns."
        );
        if rejected == 0 {
            return AckOutcome::Delivered;
        }
        self.metrics.failed("rejected_partially", rejected);
        AckOutcome::Rejected
    }

    fn given_up(&self, items: u64, attempts: u32, why: &str) -> AckOutcome {
        tracing::error!(
            endpoint = self.target(),
            attempts,
            items,
            error = %why,
            "Exporting failed. No more retries left; items are dropped. Raise retry_on_failure::max_elapsed_time (0 is for ever) to keep them longer."
        );
        self.metrics.failed("retries_exhausted", items);
        AckOutcome::Dropped
    }
}

/// Waits; false if the program is about to end before.
async fn waited(delay: Duration, closing: Option<&mut watch::Receiver<bool>>) -> bool {
    let Some(closing) = closing else {
        tokio::time::sleep(delay).await;
        return true;
    };
    // An error means that the lane is gone, and this with it.
    let closed = async { closing.wait_for(|closing| *closing).await.is_err() };
    tokio::select! {
        () = tokio::time::sleep(delay) => true,
        gone = closed => gone,
    }
}

//! Delivers one request: attempts, waits between them, and what becomes of it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use otlp::request;
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

/// How the attempts to send one request have ended.
enum End {
    Outcome(AckOutcome),
    /// It is to stay where it is, on disk.
    Left,
    /// It may be accepted in smaller pieces.
    TooLarge {
        reason: &'static str,
        why: String,
    },
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
            Ok(prepared) => self.deliver_all(prepared, items, durable.then_some(closing)).await,
            Err(why) => Some(self.not_encodable(items, &why)),
        };
        Delivered { keys, tickets, outcome }
    }

    fn not_encodable(&self, items: u64, why: &str) -> AckOutcome {
        tracing::error!(
            endpoint = self.target(),
            items,
            error = why,
            "A request cannot be sent; its items are dropped."
        );
        self.metrics.failed("not_encodable", items);
        AckOutcome::Rejected
    }

    /// Delivers a request, in smaller ones if it is too large. The outcome is the worst of all.
    async fn deliver_all(
        &self,
        prepared: Bytes,
        items: u64,
        mut closing: Option<watch::Receiver<bool>>,
    ) -> Option<AckOutcome> {
        let mut rest = vec![(prepared, items)];
        let mut worst = AckOutcome::Delivered;
        while let Some((prepared, items)) = rest.pop() {
            let ended = match self.attempts(&prepared, items, closing.as_mut()).await {
                End::Outcome(outcome) => outcome,
                End::Left => return None,
                End::TooLarge { reason, why } => {
                    let halves = self.halves(prepared, items).await;
                    if !halves.is_empty() {
                        tracing::warn!(
                            endpoint = self.target(),
                            items,
                            error = %why,
                            "A request is too large for the destination and is sent in halves. Set sending_queue::batch::max_size to spare the attempt."
                        );
                        // The first one is taken next.
                        rest.extend(halves.into_iter().rev());
                        continue;
                    }
                    self.rejected(items, reason, &why)
                }
            };
            worst = worst.max(ended);
        }
        Some(worst)
    }

    /// The two halves of a request, each with its items; none if it has no two halves.
    async fn halves(&self, prepared: Bytes, items: u64) -> Vec<(Bytes, u64)> {
        let (transport, signal) = (Arc::clone(&self.transport), self.signal);
        let cut = tokio::task::spawn_blocking(move || halves(&*transport, signal, prepared, items)).await;
        cut.ok().flatten().unwrap_or_default()
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

    async fn attempts(&self, prepared: &Bytes, items: u64, mut closing: Option<&mut watch::Receiver<bool>>) -> End {
        let first = Instant::now();
        let mut backoff = Backoff::new(&self.retry);
        for attempt in 1u32.. {
            let (why, pause, of_identity) = match self.transport.send(self.signal, prepared).await {
                Attempt::Accepted(partial) => {
                    if attempt > 1 {
                        tracing::info!(endpoint = self.target(), attempt, "The destination accepts requests again.");
                    }
                    return End::Outcome(self.accepted(items, partial));
                }
                Attempt::Rejected { reason, why } => return End::Outcome(self.rejected(items, reason, &why)),
                Attempt::TooLarge { reason, why } => return End::TooLarge { reason, why },
                Attempt::Failed { why, pause, of_identity } => (why, pause, of_identity),
            };
            let delay = backoff.next(random_unit()).max(pause.unwrap_or_default());
            let limit = if of_identity { self.retry.max_refused } else { self.retry.max_elapsed };
            if !self.retry.enabled || (!limit.is_zero() && first.elapsed() + delay > limit) {
                return End::Outcome(self.given_up(items, attempt, &why));
            }
            if closing.as_ref().is_some_and(|closing| *closing.borrow()) {
                return End::Left;
            }
            tracing::warn!(
                endpoint = self.target(),
                attempt,
                error = %why,
                interval_ms = delay.as_millis() as u64,
                "Exporting failed. Will retry the request after interval."
            );
            if !waited(delay, closing.as_deref_mut()).await {
                return End::Left;
            }
            self.metrics.retried();
        }
        End::Left
    }

    fn rejected(&self, items: u64, reason: &'static str, why: &str) -> AckOutcome {
        tracing::error!(
            endpoint = self.target(),
            items,
            error = why,
            "Exporting failed. The destination has rejected a request for good; its items are dropped."
        );
        self.metrics.failed(reason, items);
        AckOutcome::Rejected
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

/// See [`Courier::halves`].
fn halves(transport: &dyn Transport, signal: Signal, prepared: Bytes, items: u64) -> Option<Vec<(Bytes, u64)>> {
    let request = transport.restore(signal, prepared)?;
    let count = request::count(signal, &request);
    let half = count.div_ceil(2);
    let pieces = match signal {
        _ if count < 2 => return None,
        Signal::Metrics => request::split_points(&request, count, half),
        Signal::Traces | Signal::Logs => request::split(&request, count, 0, half),
    };
    let mut left = items;
    let mut halves = Vec::with_capacity(pieces.len());
    let last = pieces.len().saturating_sub(1);
    for (at, (piece, part)) in pieces.into_iter().enumerate() {
        let share = u128::from(items) * part as u128 / count as u128;
        let share = if at == last { left } else { u64::try_from(share).unwrap_or(left).min(left) };
        left -= share;
        halves.push((transport.prepare(signal, piece).ok()?, share));
    }
    Some(halves)
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

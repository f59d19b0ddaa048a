//! Delivers requests: attempts, waits between them, and what the store's answers mean.
//!
//! A request is sent as it was sealed. Only when the store does not take it so is it taken apart ([`parts`]): because it is
//! too large, because something in it is wrong, because the store does not know its version, or because part of it has
//! become too old. None of that costs anything before.

mod attempt;
mod budget;
mod course;
mod culprits;
mod packing;
mod parts;
mod size;
mod version;

use super::config::Retry;
use super::encode::Contents;
use super::limits::StoreLimits;
use super::metrics::Metrics;
use super::shards::Waiting;
pub(super) use attempt::headers;
use attempt::{Attempt, Refusal};
pub(super) use budget::Patience;
use bytes::Bytes;
use course::{Course, Failure};
pub(super) use culprits::Culprits;
use http::HeaderValue;
use net::auth::ClientAuth;
use net::client::{HttpClient, Request as HttpRequest};
pub(super) use packing::Packing;
use pipeline::AckOutcome;
use prometheus::remote_write::protocol::{ProtocolVersion, RETRY_ATTEMPT, Written};
pub(super) use size::Size;
use std::sync::Arc;
use std::time::SystemTime;
use tokio::time::Instant;
#[cfg(test)]
pub(super) use version::FALL_BACK_FOR;
pub(super) use version::Spoken;

/// Sends requests of one exporter to its endpoint.
pub(super) struct Sender {
    pub(super) client: HttpClient,
    pub(super) endpoint: http::Uri,
    pub(super) shown_endpoint: String,
    /// What goes into `User-Agent`.
    pub(super) user_agent: String,
    pub(super) retry: Retry,
    /// Who signs requests; knows what a refusal means.
    pub(super) auth: Option<Arc<dyn ClientAuth>>,
    pub(super) store: StoreLimits,
    pub(super) metrics: Arc<Metrics>,
    /// Which version the store understands.
    pub(super) spoken: Spoken,
    /// What it has said about sizes.
    pub(super) size: Size,
    /// Whether it accepts anything.
    pub(super) patience: Patience,
    /// Which series it was found to mind.
    pub(super) culprits: Culprits,
    /// How it gets bodies.
    pub(super) packing: Packing,
    /// Whether names are to be escaped for version 1.0.
    pub(super) escape_names: bool,
}

/// What became of a body.
enum Shipped {
    /// The store has it.
    Accepted,
    /// It will never be accepted as it is.
    Refused(Refusal),
    /// The store does not know its version.
    Unsupported(String),
    /// Some of it is older than the store accepts.
    TooOld,
    /// It was not accepted in time.
    GivenUp(String),
}

impl Sender {
    /// Tries until the request is accepted, rejected, or given up, and tells who waits for it.
    pub(super) async fn deliver(&self, waiting: Waiting) {
        let Some(request) = waiting.request() else { return };
        let started = Instant::now();
        let contents = request.contents;
        let mut course = Course::new(&waiting, &self.retry);
        let shipped = if request.version != self.spoken.now() && request.version == ProtocolVersion::V2 {
            Shipped::Unsupported("the store has said so before".to_owned())
        } else {
            self.ship(&mut course, &request.body, request.version, &contents).await
        };
        let outcome = match shipped {
            Shipped::Accepted => AckOutcome::Delivered,
            Shipped::GivenUp(why) => self.give_up(&course, &contents, &why),
            Shipped::TooOld if self.is_too_old(contents.newest_ms) => self.give_up_too_old(&contents),
            first => self.ship_parts(&mut course, request, first).await,
        };
        drop(course);
        waiting.progress().settled(&contents, started.elapsed());
        waiting.settle(outcome);
    }

    /// Tries until the body is accepted, or there is no point in trying any more.
    async fn ship(
        &self,
        course: &mut Course<'_>,
        body: &Bytes,
        version: ProtocolVersion,
        contents: &Contents,
    ) -> Shipped {
        let packed = self.packing.pack(body).await;
        let mut is_packed = packed.is_some();
        let mut http = self.post(version, packed.unwrap_or_else(|| body.clone()));
        if is_packed {
            packing::announce(&mut http.headers);
        }
        course.next_body();
        loop {
            if self.is_too_old(contents.oldest_ms) {
                return Shipped::TooOld;
            }
            let (why, retry_after, of_identity) = match self.attempt(&http, version, contents).await {
                Attempt::Accepted(written) => {
                    course.answered(self);
                    self.patience.accepted();
                    self.accepted(contents, written, http.body.len());
                    return Shipped::Accepted;
                }
                // It may be the packing that it does not know, or both.
                Attempt::Refused(Refusal { words: why, of_form: true, .. }) | Attempt::Unsupported(why)
                    if is_packed =>
                {
                    self.unpack(&why);
                    is_packed = false;
                    http = self.post(version, body.clone());
                    continue;
                }
                Attempt::Refused(refusal) => {
                    course.answered(self);
                    return Shipped::Refused(refusal);
                }
                Attempt::Unsupported(why) => return Shipped::Unsupported(why),
                Attempt::Failed { why, retry_after, of_identity } => (why, retry_after, of_identity),
            };
            if !course.wait(self, &Failure { why: &why, retry_after, of_identity }).await {
                return Shipped::GivenUp(why);
            }
            if let Ok(value) = HeaderValue::from_str(&course.failures.to_string()) {
                http.headers.insert(RETRY_ATTEMPT, value);
            }
        }
    }

    fn post(&self, version: ProtocolVersion, body: Bytes) -> HttpRequest {
        let mut http = HttpRequest::post(self.endpoint.clone(), body);
        http.headers = headers(version, &self.user_agent);
        // The store takes the same samples twice without harm, so a connection that turns out closed is
        // no reason to wait.
        http.idempotent = Some(true);
        http
    }

    #[cold]
    fn unpack(&self, why: &str) {
        if self.packing.fall_back() {
            tracing::warn!(
                endpoint = %self.shown_endpoint,
                answer = %why,
                "The store does not take zstd; it gets snappy for the next hour. Take compression: zstd away to ask no more."
            );
        }
    }

    /// Counts what the store has accepted, and what of it a store of version 2.0 has not written.
    fn accepted(&self, contents: &Contents, written: Option<Written>, bytes: usize) {
        let Some(written) = written else { return self.metrics.sent(contents, bytes) };
        let stored = Contents {
            points: contents.points.min(written.samples + written.histograms),
            samples: contents.samples.min(written.samples),
            histograms: contents.histograms.min(written.histograms),
            exemplars: contents.exemplars.min(written.exemplars),
            ..*contents
        };
        self.metrics.sent(&stored, bytes);
        let missing = contents.values() - stored.values();
        let exemplars = contents.exemplars - stored.exemplars;
        if missing + exemplars > 0 {
            self.metrics.dropped("not_written", missing);
            self.metrics.failed(missing);
            tracing::warn!(
                endpoint = %self.shown_endpoint,
                samples = contents.samples - stored.samples,
                histograms = contents.histograms - stored.histograms,
                exemplars,
                "The store has accepted a request and says that it has not written all of it."
            );
        }
    }

    /// Before which time samples are too old, in milliseconds since the Unix epoch.
    fn oldest_ms(&self) -> Option<i64> {
        let age = self.store.sample_age?;
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        i64::try_from(now.checked_sub(age)?.as_millis()).ok()
    }

    fn is_too_old(&self, time_ms: i64) -> bool {
        self.oldest_ms().is_some_and(|oldest| (1..oldest).contains(&time_ms))
    }

    /// There is no time left.
    #[cold]
    fn give_up(&self, course: &Course<'_>, contents: &Contents, why: &str) -> AckOutcome {
        tracing::error!(
            endpoint = %self.shown_endpoint,
            attempts = course.failures,
            samples = contents.samples,
            error = %why,
            "Exporting failed. No more retries left; samples are dropped. Raise retry_on_failure::max_elapsed_time (0 is for ever) to keep them longer."
        );
        self.metrics.dropped("retries_exhausted", contents.points);
        self.metrics.failed(contents.points);
        AckOutcome::Dropped
    }

    /// The store would refuse all of it by now.
    #[cold]
    fn give_up_too_old(&self, contents: &Contents) -> AckOutcome {
        let reason = self.store.age_reason();
        tracing::error!(
            endpoint = %self.shown_endpoint,
            samples = contents.samples,
            reason,
            "A request has waited so long that the store does not take its samples any more; they are dropped."
        );
        self.metrics.dropped(reason, contents.points);
        self.metrics.failed(contents.points);
        AckOutcome::Dropped
    }
}

//! Delivers one request: attempts, waits between them, and what the store's answers mean.

use super::config::Retry;
use super::encode::Contents;
use super::limits::TOO_OLD;
use super::metrics::Metrics;
use super::shards::Waiting;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use net::auth::{AuthVerdict, ClientAuth};
use net::client::{HttpClient, Request as HttpRequest, RequestError, RequestErrorKind};
use pipeline::AckOutcome;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::time::Instant;

/// What is read of an answer: enough for the store's words, which are logged.
const ANSWER_LIMIT: usize = 64 * 1024;

/// How much of the store's words is logged (the Collector and Prometheus log as much).
const LOGGED_BYTES: usize = 1024;

/// A `Retry-After` beyond this is taken as this: longer waits are more likely a mistake than a wish.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(600);

/// Sends requests of one exporter to its endpoint.
pub(super) struct Sender {
    pub(super) client: HttpClient,
    pub(super) endpoint: http::Uri,
    pub(super) shown_endpoint: String,
    pub(super) headers: HeaderMap,
    pub(super) retry: Retry,
    /// Who signs requests; knows what a refusal means.
    pub(super) auth: Option<Arc<dyn ClientAuth>>,
    /// Samples older than this are not accepted by the store.
    pub(super) max_age: Option<Duration>,
    pub(super) metrics: Arc<Metrics>,
}

/// The end of one attempt.
enum Attempt {
    Accepted,
    /// The same may be accepted later.
    Failed {
        why: String,
        retry_after: Option<Duration>,
        /// It is not about the request, but about who sends it.
        of_identity: bool,
    },
    /// The same will never be accepted.
    Rejected {
        status: StatusCode,
        words: String,
    },
}

/// The header fields of a remote-write 1.0 request.
pub(super) fn headers(user_agent: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("snappy"));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
    headers.insert("x-prometheus-remote-write-version", HeaderValue::from_static("0.1.0"));
    if let Ok(user_agent) = HeaderValue::from_str(user_agent) {
        headers.insert(header::USER_AGENT, user_agent);
    }
    headers
}

impl Sender {
    /// Tries until the request is accepted, rejected, or given up.
    pub(super) async fn deliver(&self, waiting: Waiting) {
        let Some(request) = waiting.request() else { return };
        let (contents, bytes) = (request.contents, request.body.len());
        let mut http = HttpRequest::post(self.endpoint.clone(), request.body.clone());
        http.headers = self.headers.clone();
        // The store takes the same samples twice without harm, so a connection that turns out closed is
        // no reason to wait.
        http.idempotent = Some(true);
        let first = Instant::now();
        let mut interval = self.retry.initial;
        let mut retrying = None;
        for attempt in 1u32.. {
            if self.is_too_old(contents.newest_ms) {
                return self.give_up_too_old(waiting, &contents);
            }
            let (why, retry_after, of_identity) = match self.attempt(&http).await {
                Attempt::Accepted => {
                    if retrying.is_some() {
                        tracing::info!(endpoint = %self.shown_endpoint, attempt, "The store accepts requests again.");
                    }
                    self.metrics.sent(&contents, bytes);
                    return waiting.settle(AckOutcome::Delivered);
                }
                Attempt::Rejected { status, words } => {
                    tracing::error!(
                        endpoint = %self.shown_endpoint,
                        status = status.as_u16(),
                        samples = contents.samples,
                        error = %words,
                        "The store has rejected a request for good; its samples are dropped."
                    );
                    self.metrics.dropped(rejection_reason(status), contents.points);
                    self.metrics.failed(contents.points);
                    return waiting.settle(AckOutcome::Rejected);
                }
                Attempt::Failed { why, retry_after, of_identity } => (why, retry_after, of_identity),
            };
            let delay = retry_after.unwrap_or_else(|| jittered(interval, self.retry.randomization, random_unit()));
            let limit = if of_identity { self.retry.max_refused } else { self.retry.max_elapsed };
            if !self.retry.enabled || (!limit.is_zero() && first.elapsed() + delay > limit) {
                tracing::error!(
                    endpoint = %self.shown_endpoint,
                    attempts = attempt,
                    samples = contents.samples,
                    error = %why,
                    "Exporting failed. No more retries left; samples are dropped. Raise retry_on_failure::max_elapsed_time (0 is for ever) to keep them longer."
                );
                self.metrics.dropped("retries_exhausted", contents.points);
                self.metrics.failed(contents.points);
                return waiting.settle(AckOutcome::Dropped);
            }
            if retrying.is_none() {
                retrying = Some(waiting.retrying());
            }
            tracing::warn!(
                endpoint = %self.shown_endpoint,
                attempt,
                error = %why,
                interval_ms = delay.as_millis() as u64,
                "Exporting failed. Will retry the request after interval."
            );
            tokio::time::sleep(delay).await;
            self.metrics.retried();
            interval = next_interval(interval, &self.retry);
            if let Ok(value) = HeaderValue::from_str(&attempt.to_string()) {
                http.headers.insert("retry-attempt", value);
            }
        }
    }

    fn is_too_old(&self, newest_ms: i64) -> bool {
        let Some(age) = self.max_age else { return false };
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        u128::try_from(newest_ms).is_ok_and(|newest| newest > 0 && newest + age.as_millis() < now.as_millis())
    }

    /// The store would refuse all of it by now.
    #[cold]
    fn give_up_too_old(&self, waiting: Waiting, contents: &Contents) {
        tracing::error!(
            endpoint = %self.shown_endpoint,
            samples = contents.samples,
            reason = TOO_OLD,
            "A request has waited so long that the store does not take its samples any more; they are dropped."
        );
        self.metrics.dropped(TOO_OLD, contents.points);
        self.metrics.failed(contents.points);
        waiting.settle(AckOutcome::Dropped);
    }

    async fn attempt(&self, request: &HttpRequest) -> Attempt {
        let mut answer = Vec::new();
        let started = Instant::now();
        let result = self.client.send(request, &mut answer, ANSWER_LIMIT).await;
        self.metrics.attempt(started.elapsed().as_secs_f64());
        let head = match result {
            Ok(head) => head,
            Err(error) => return failed(&error),
        };
        if head.status.is_success() {
            return Attempt::Accepted;
        }
        let words = words(&answer);
        if head.status.is_server_error() || head.status == StatusCode::TOO_MANY_REQUESTS {
            let retry_after = head.headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
            return Attempt::Failed {
                why: format!("server returned HTTP status {}: {words}", head.status),
                retry_after: retry_after.and_then(|value| parse_retry_after(value, SystemTime::now())),
                of_identity: false,
            };
        }
        let verdict = self.auth.as_ref().map(|auth| auth.on_response(head.status, &answer));
        if matches!(verdict, Some(AuthVerdict::Retry | AuthVerdict::Refused)) {
            let why = format!("server returned HTTP status {}: {words}", head.status);
            return Attempt::Failed { why, retry_after: None, of_identity: true };
        }
        Attempt::Rejected {
            status: head.status,
            words: format!("server returned HTTP status {}: {words}", head.status),
        }
    }
}

/// Every failure to get an answer is worth another attempt: the network's, a proxy's, missing credentials.
fn failed(error: &RequestError) -> Attempt {
    let of_identity = error.kind() == RequestErrorKind::Auth;
    Attempt::Failed { why: error.to_string(), retry_after: None, of_identity }
}

fn rejection_reason(status: StatusCode) -> &'static str {
    match status.as_u16() {
        400 => "rejected_400",
        401 => "rejected_401",
        403 => "rejected_403",
        404 => "rejected_404",
        413 => "rejected_413",
        415 => "rejected_415",
        422 => "rejected_422",
        300..=399 => "rejected_redirect",
        _ => "rejected_other",
    }
}

/// The beginning of the store's answer, on one line.
fn words(answer: &[u8]) -> String {
    let text = String::from_utf8_lossy(answer.get(..LOGGED_BYTES).unwrap_or(answer));
    aws::without_request(text.trim()).replace(['\n', '\r'], " ")
}

/// Seconds, or an HTTP date in the future; anything else is ignored (RFC 9110, section 10.2.3).
pub(super) fn parse_retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let delay = match value.trim().parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => httpdate::parse_http_date(value.trim()).ok()?.duration_since(now).ok()?,
    };
    (!delay.is_zero()).then_some(delay.min(MAX_RETRY_AFTER))
}

/// `interval`, up to `randomization` of it less or more.
pub(super) fn jittered(interval: Duration, randomization: f64, unit: f64) -> Duration {
    interval.mul_f64((1.0 + randomization * (2.0 * unit - 1.0)).max(0.0))
}

pub(super) fn next_interval(interval: Duration, retry: &Retry) -> Duration {
    let next = interval.as_secs_f64() * retry.multiplier;
    Duration::try_from_secs_f64(next).unwrap_or(retry.max).min(retry.max)
}

/// A number in [0, 1). The spread is all that matters, so the standard library's hash seed will do.
fn random_unit() -> f64 {
    use std::hash::{BuildHasher as _, RandomState};
    (RandomState::new().hash_one(0) >> 11) as f64 / (1u64 << 53) as f64
}

//! Scrapes one target for as long as it is there.

use super::fetch::{self, FetchError};
use super::grid::Grid;
use super::job::JobRuntime;
use super::state::{Answer, Circumstances, Page, TargetState};
use crate::prometheus::layout::{Reading, TargetIdentity};
use crate::prometheus::target::Target;
use net::client::Request;
use pipeline::stop::Stop;
use pipeline::{MetricBatch, SendError};
use prometheus::exposition::Format;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::watch;
use tokio::time::Instant;

/// A page larger than this is taken apart on a thread that may block, so that other targets are not held up.
const LARGE_PAGE: usize = 1 << 20;

/// A failing target is logged at once and then this often.
const LOG_FAILURE_EVERY: Duration = Duration::from_secs(60);

/// What a loop is to do.
#[derive(Clone, Debug)]
pub(super) struct Orders {
    pub(super) runtime: Arc<JobRuntime>,
    pub(super) target: Arc<Target>,
    /// The job has too many targets: nothing is scraped, and this is why.
    pub(super) over_limit: Option<String>,
    /// The target is gone.
    pub(super) removed: bool,
}

/// The loop of one target.
pub(super) struct TargetLoop {
    orders: watch::Receiver<Orders>,
    current: Orders,
    identity: TargetIdentity,
    state: TargetState,
    request: Option<Request>,
    stop: Stop,
    grid: Grid,
    failure_logged: Option<Instant>,
    failing: bool,
}

enum Wake {
    Tick,
    Orders,
    Stop,
}

impl TargetLoop {
    pub(super) fn new(mut orders: watch::Receiver<Orders>, stop: Stop) -> Self {
        let current = orders.borrow_and_update().clone();
        let identity = current.runtime.identity(&current.target);
        let request = request(&current);
        Self {
            orders,
            current,
            identity,
            state: TargetState::default(),
            request,
            stop,
            grid: Grid::default(),
            failure_logged: None,
            failing: false,
        }
    }

    /// Scrapes, the first time at `next`, until the target is gone or the receiver stops.
    pub(super) async fn run(mut self, mut next: Instant, scrape_on_shutdown: bool) {
        loop {
            let wake = tokio::select! {
                biased;
                () = self.stop.requested() => Wake::Stop,
                changed = self.orders.changed() => match changed {
                    Ok(()) => Wake::Orders,
                    Err(_) => Wake::Stop,
                },
                () = tokio::time::sleep_until(next) => Wake::Tick,
            };
            match wake {
                Wake::Stop => {
                    // No staleness markers: after a restart the series go on.
                    if scrape_on_shutdown && self.state.was_scraped() {
                        self.scrape(false).await;
                    }
                    return;
                }
                Wake::Orders => {
                    let interval = self.current.target.interval;
                    self.take_orders();
                    if self.current.removed {
                        return self.end(next).await;
                    }
                    if self.current.target.interval != interval {
                        next = next.min(Instant::now() + self.current.target.interval);
                        self.grid = Grid::default();
                    }
                }
                Wake::Tick => {
                    self.scrape(true).await;
                    let interval = self.current.target.interval;
                    next += interval;
                    let now = Instant::now();
                    while next <= now {
                        next += interval;
                        self.current.runtime.shared.metrics.missed_ticks.inc();
                    }
                }
            }
        }
    }

    fn take_orders(&mut self) {
        let new = self.orders.borrow_and_update().clone();
        let same_shape =
            Arc::ptr_eq(&new.runtime, &self.current.runtime) || new.runtime.shapes_samples_like(&self.current.runtime);
        let same_target = *new.target == *self.current.target;
        self.current = new;
        self.request = request(&self.current);
        if !same_shape || !same_target {
            self.identity = self.current.runtime.identity(&self.current.target);
            self.state.rules_changed();
        }
    }

    /// Makes one scrape and passes on what it gives. With `abandon`, a stop ends the wait for the answer.
    async fn scrape(&mut self, abandon: bool) {
        let started = Instant::now();
        let now_ms = self.date();
        let runtime = Arc::clone(&self.current.runtime);
        let mut stop = self.stop.clone();
        let fetched = tokio::select! {
            biased;
            () = stop.requested(), if abandon => return,
            fetched = self.fetch() => fetched,
        };
        let at = |duration: Duration| Circumstances {
            now_ms,
            duration_seconds: duration.as_secs_f64(),
            timeout_seconds: self.current.target.timeout.as_secs_f64(),
        };
        let (batch, error) = match fetched {
            Ok(fetched) => {
                let mut plain = runtime.shared.buffers.pages.take();
                let result =
                    take_apart(&fetched, &runtime, &self.identity, &mut self.state, at(started.elapsed()), &mut plain);
                runtime.shared.buffers.pages.give_back(plain);
                runtime.shared.buffers.bodies.give_back(fetched.into_buffer());
                result
            }
            Err(error) => {
                let answer = Answer::Failed { over_size: error.over_size };
                let mut reading = Reading::default();
                let elapsed = at(started.elapsed());
                let outcome =
                    self.state.scrape(&answer, &runtime.rules, &self.identity, &runtime.pool, elapsed, &mut reading);
                (outcome.batch, Some(error))
            }
        };
        runtime.shared.metrics.duration.observe(started.elapsed().as_secs_f64());
        self.note(error.as_ref());
        self.send(batch).await;
    }

    async fn fetch(&self) -> Result<fetch::Fetched, FetchError> {
        let failed = |cause, message: String| FetchError { message, cause, over_size: false };
        if let Some(reason) = &self.current.over_limit {
            return Err(failed("target_limit", reason.clone()));
        }
        let runtime = &self.current.runtime;
        let Some(request) = &self.request else {
            let message = self.current.target.uri().err().map(|error| error.to_string()).unwrap_or_default();
            return Err(failed("invalid_url", message));
        };
        fetch::fetch(&runtime.client, request, &runtime.job, &runtime.shared.buffers).await
    }

    /// The time this scrape is dated to, in milliseconds: the ideal one if the scrape is close to it.
    fn date(&mut self) -> i64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = i64::try_from(now.as_nanos()).unwrap_or(i64::MAX);
        self.grid.date(now, self.current.target.interval) / 1_000_000
    }

    fn note(&mut self, error: Option<&FetchError>) {
        let runtime = &self.current.runtime;
        let target = &self.current.target;
        let Some(error) = error else {
            if std::mem::take(&mut self.failing) {
                self.failure_logged = None;
                tracing::info!(target_url = %target.url, "The target can be scraped again.");
            }
            return;
        };
        self.failing = true;
        let metrics = &runtime.shared.metrics;
        metrics.failure(error.cause);
        if error.over_size {
            metrics.over_body_size.inc();
        }
        runtime.log_failure(target, &error.message);
        if self.failure_logged.is_none_or(|at| at.elapsed() >= LOG_FAILURE_EVERY) {
            self.failure_logged = Some(Instant::now());
            tracing::warn!(
                job = %runtime.job.job_name,
                target_url = %target.url,
                target_labels = %target.labels,
                error = %error.message,
                "Failed to scrape Prometheus endpoint"
            );
        }
    }

    async fn send(&self, batch: MetricBatch) {
        let shared = &self.current.runtime.shared;
        let points = batch.len() as u64;
        match shared.output.send(batch).await {
            Ok(()) => shared.metrics.accepted.add(points),
            Err(error) => {
                shared.metrics.refused.add(points);
                if let SendError::Refused(reason) = error {
                    tracing::warn!(
                        target_url = %self.current.target.url,
                        points,
                        reason,
                        "Scrape commit failed: the pipeline refuses data; this scrape is lost."
                    );
                }
            }
        }
    }

    /// The target is gone: marks its series stale, a while later, unless it comes back meanwhile (then it
    /// has a loop of its own, whose samples are newer).
    async fn end(mut self, next: Instant) {
        if !self.state.was_scraped() {
            return;
        }
        let interval = self.current.target.interval;
        tokio::select! {
            () = self.stop.requested() => return,
            () = tokio::time::sleep_until(next) => {}
        }
        let time_ms = self.date();
        tokio::select! {
            () = self.stop.requested() => return,
            () = tokio::time::sleep(interval + interval / 10) => {}
        }
        let runtime = Arc::clone(&self.current.runtime);
        let batch = self.state.ended(&runtime.rules, &self.identity, time_ms);
        self.send(batch).await;
    }
}

/// Decompresses and reads a page.
pub(super) fn take_apart(
    fetched: &fetch::Fetched,
    runtime: &JobRuntime,
    identity: &TargetIdentity,
    state: &mut TargetState,
    at: Circumstances,
    plain: &mut Vec<u8>,
) -> (MetricBatch, Option<FetchError>) {
    let mut reading = Reading::default();
    let mut scrape =
        |answer: &Answer<'_>| state.scrape(answer, &runtime.rules, identity, &runtime.pool, at, &mut reading);
    let page = fetched.page(&runtime.job, plain).and_then(|body| {
        // An empty page is a page, whatever it calls itself.
        let format = if body.is_empty() { Format::Text } else { fetched.format(&runtime.job)? };
        Ok(Page { body, format })
    });
    let page = match page {
        Ok(page) => page,
        Err(error) => {
            let outcome = scrape(&Answer::Failed { over_size: error.over_size });
            return (outcome.batch, Some(error));
        }
    };
    let answer = Answer::Page(page);
    let large = page.body.len() > LARGE_PAGE
        && tokio::runtime::Handle::try_current()
            .is_ok_and(|h| h.runtime_flavor() == tokio::runtime::RuntimeFlavor::MultiThread);
    let outcome = if large { tokio::task::block_in_place(|| scrape(&answer)) } else { scrape(&answer) };
    let metrics = &runtime.shared.metrics;
    metrics.duplicates.add(outcome.duplicates as u64);
    metrics.out_of_bounds.add(outcome.out_of_bounds as u64);
    if outcome.parsed {
        metrics.layouts_built.inc();
    }
    let error = outcome.error.map(|error| {
        if error == crate::prometheus::layout::PageError::SampleLimit {
            metrics.over_sample_limit.inc();
        }
        FetchError { message: error.to_string(), cause: error.cause(), over_size: false }
    });
    (outcome.batch, error)
}

fn request(orders: &Orders) -> Option<Request> {
    let mut request = Request::get(orders.target.uri().ok()?);
    let user_agent = &orders.runtime.shared.user_agent;
    request.headers = fetch::headers(&orders.runtime.job, &orders.target, user_agent);
    request.timeout = Some(orders.target.timeout);
    request.unix_socket = orders.target.unix_socket.as_deref().map(Into::into);
    Some(request)
}

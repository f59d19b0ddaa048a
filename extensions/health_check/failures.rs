//! How often exporters failed of late.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// What is allowed.
#[derive(Clone, Copy, Debug)]
pub(super) struct PipelineCheck {
    /// The time over which failures count.
    pub(super) interval: Duration,
    /// How many are allowed in it.
    pub(super) threshold: usize,
}

/// Watches a counter of failures. Each look at which it has grown is one failure: exporters count the points they
/// give up, and one push that fails may be thousands of them.
#[derive(Debug)]
pub(super) struct FailureWatch {
    check: PipelineCheck,
    last: f64,
    /// When it had grown; no more than one above the threshold are needed.
    failures: VecDeque<Instant>,
}

impl FailureWatch {
    pub(super) fn new(check: PipelineCheck) -> Self {
        Self { check, last: 0.0, failures: VecDeque::new() }
    }

    /// How often to look: each second, and more often if the interval is short.
    pub(super) fn period(&self) -> Duration {
        (self.check.interval / 20).clamp(Duration::from_millis(50), Duration::from_secs(1))
    }

    /// Takes note of the counter's value; whether there are more failures than allowed now.
    pub(super) fn observe(&mut self, now: Instant, total: f64) -> bool {
        if total > self.last {
            self.failures.push_back(now);
            if self.failures.len() > self.check.threshold + 1 {
                self.failures.pop_front();
            }
        }
        // The counter falls when an exporter is taken away by a reload.
        self.last = total;
        while self.failures.front().is_some_and(|at| now.duration_since(*at) > self.check.interval) {
            self.failures.pop_front();
        }
        self.failures.len() > self.check.threshold
    }
}

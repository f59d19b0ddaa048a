//! Answers wait a moment for each other, to be taken apart together.
//!
//! Scrapes of many targets are spread evenly over their interval, so that each finds a processor's caches full of what
//! others have done since the last one, and spends more time on waiting for memory than on its page. Pages that are taken
//! apart one after the other find code, layouts and buffers where the one before has left them, which halves their cost.
//! An answer waits as it came, compressed; its time and duration are those of the scrape.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// No answer waits longer. A fifth of what the remote-write exporter waits for a request to fill.
const LONGEST: Duration = Duration::from_millis(200);

/// So many answers are enough: more would keep more memory and gain little.
const ENOUGH: usize = 16;

/// With fewer targets there is hardly ever a second answer to wait for.
const FEW_TARGETS: usize = 8;

/// Where answers wait.
#[derive(Debug)]
pub(super) struct Gathering {
    began: Instant,
    targets: Arc<AtomicUsize>,
    waiting: AtomicUsize,
    enough: Notify,
}

/// Counts a target while it lives.
#[derive(Debug)]
pub(super) struct Present(Arc<AtomicUsize>);

impl Drop for Present {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Counts an answer while it waits.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Default for Gathering {
    fn default() -> Self {
        Self { began: Instant::now(), targets: Arc::default(), waiting: AtomicUsize::new(0), enough: Notify::new() }
    }
}

impl Gathering {
    /// Counts a target.
    pub(super) fn target(&self) -> Present {
        self.targets.fetch_add(1, Ordering::Relaxed);
        Present(Arc::clone(&self.targets))
    }

    /// Waits for other answers, a small part of `interval` at most.
    pub(super) async fn wait(&self, interval: Duration) {
        if self.targets.load(Ordering::Relaxed) < FEW_TARGETS {
            return;
        }
        let enough = self.enough.notified();
        tokio::pin!(enough);
        enough.as_mut().enable();
        let _waiting = Waiting(&self.waiting);
        if self.waiting.fetch_add(1, Ordering::Relaxed) + 1 >= ENOUGH {
            return self.enough.notify_waiters();
        }
        tokio::select! {
            () = enough => {}
            () = tokio::time::sleep_until(self.next(Instant::now(), LONGEST.min(interval / 20))) => {}
        }
    }

    /// The next of the moments, `step` apart, at which all that wait go on.
    fn next(&self, now: Instant, step: Duration) -> Instant {
        let (passed, step) = (now.saturating_duration_since(self.began).as_nanos(), step.as_nanos().max(1));
        let wait = step - passed % step;
        now + Duration::from_nanos(u64::try_from(wait).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn answers_go_on_together_and_none_waits_long() {
        let gathering = Arc::new(Gathering::default());
        let _targets: Vec<_> = (0..FEW_TARGETS).map(|_| gathering.target()).collect();
        let began = Instant::now();
        let mut all = tokio::task::JoinSet::new();
        for number in 0..5 {
            let gathering = Arc::clone(&gathering);
            all.spawn(async move {
                tokio::time::sleep(Duration::from_millis(30 * number)).await;
                gathering.wait(INTERVAL).await;
                Instant::now()
            });
        }
        let ends = all.join_all().await;
        assert!(ends.iter().all(|end| *end == ends[0] && *end - began <= LONGEST + Duration::from_millis(1)));
        assert_eq!(gathering.waiting.load(Ordering::Relaxed), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn enough_answers_do_not_wait_for_the_moment() {
        let gathering = Arc::new(Gathering::default());
        let _targets: Vec<_> = (0..FEW_TARGETS).map(|_| gathering.target()).collect();
        let began = Instant::now();
        let mut all = tokio::task::JoinSet::new();
        for _ in 0..ENOUGH {
            let gathering = Arc::clone(&gathering);
            all.spawn(async move { gathering.wait(INTERVAL).await });
        }
        all.join_all().await;
        assert_eq!(Instant::now(), began);
    }

    #[tokio::test(start_paused = true)]
    async fn a_few_targets_do_not_wait() {
        let gathering = Gathering::default();
        let began = Instant::now();
        let target = gathering.target();
        gathering.wait(INTERVAL).await;
        drop(target);
        assert_eq!((Instant::now(), gathering.targets.load(Ordering::Relaxed)), (began, 0));
    }
}

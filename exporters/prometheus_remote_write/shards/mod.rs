//! Shards: several requests under way at once, samples of a series never out of order.
//!
//! A series belongs to one shard and a shard has one request under way, so its samples leave in order.
//! When the number of shards changes, series move; requests carry the generation of the number they were
//! made for, and none is sent before all of earlier generations are done.
//!
//! What waits is bounded by requests and by bytes. When it is full, the encoder waits, and with it everything
//! upstream: nothing that was taken in is thrown away to make room.

mod desired;

pub(super) use desired::{Adaptation, Logged, ShardRange};
#[cfg(test)]
pub(super) use desired::{Behind, Rates, desired_shards, shards_for};

use super::account::Account;
use super::encode::Request;
use super::metrics::Metrics;
use super::send::Sender;
use parking_lot::Mutex;
use pipeline::AckOutcome;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tracing::Instrument as _;

/// The unit in which the memory budget is counted: semaphores count to 2^61, requests are some 100 KiB.
const BUDGET_UNIT: usize = 1024;

/// A request on its way. Dropped before it is settled, it counts as lost at shutdown, unless a log has it.
pub(super) struct Waiting {
    request: Option<Request>,
    bytes: usize,
    progress: Arc<Progress>,
    /// Its share of the memory, once there is room.
    _budget: Option<OwnedSemaphorePermit>,
}

/// Everything that waits, for order and for gauges.
pub(super) struct Progress {
    open: Mutex<BTreeMap<u64, usize>>,
    oldest_generation: watch::Sender<u64>,
    waiting: AtomicUsize,
    waiting_bytes: AtomicUsize,
    waiting_samples: AtomicU64,
    retrying: AtomicUsize,
    /// Samples and histograms that came, and that were finished with.
    incoming: AtomicU64,
    outgoing: AtomicU64,
    /// Time that shards have spent on requests.
    busy_micros: AtomicU64,
    /// The newest time that came, and that was finished with, in milliseconds since the Unix epoch.
    newest_in: AtomicI64,
    newest_out: AtomicI64,
    metrics: Arc<Metrics>,
    /// Is told which requests are under way, and which have come to their end.
    account: Option<Arc<Account>>,
}

/// The queues and tasks of all shards.
pub(super) struct Shards {
    queues: Vec<mpsc::Sender<Waiting>>,
    tasks: JoinSet<()>,
    budget: Arc<Semaphore>,
    budget_units: usize,
    progress: Arc<Progress>,
}

/// Bounds of what waits.
#[derive(Clone, Copy, Debug)]
pub(super) struct QueueLimits {
    /// How many shards.
    pub(super) shards: ShardRange,
    /// Requests that may wait, all shards together.
    pub(super) requests: usize,
    /// Bytes that may wait, all shards together.
    pub(super) bytes: usize,
}

impl Shards {
    pub(super) fn start(
        limits: QueueLimits,
        sender: &Arc<Sender>,
        metrics: &Arc<Metrics>,
        account: Option<Arc<Account>>,
    ) -> Self {
        let progress = Arc::new(Progress {
            open: Mutex::new(BTreeMap::new()),
            oldest_generation: watch::Sender::new(u64::MAX),
            waiting: AtomicUsize::new(0),
            waiting_bytes: AtomicUsize::new(0),
            waiting_samples: AtomicU64::new(0),
            retrying: AtomicUsize::new(0),
            incoming: AtomicU64::new(0),
            outgoing: AtomicU64::new(0),
            busy_micros: AtomicU64::new(0),
            newest_in: AtomicI64::new(i64::MIN),
            newest_out: AtomicI64::new(i64::MIN),
            metrics: Arc::clone(metrics),
            account,
        });
        let mut tasks = JoinSet::new();
        let per_shard = limits.requests.div_ceil(limits.shards.max.max(1)).max(1);
        let queues = (0..limits.shards.max.max(1))
            .map(|_| {
                let (queue, waiting) = mpsc::channel(per_shard);
                tasks.spawn(run_shard(waiting, Arc::clone(sender)).in_current_span());
                queue
            })
            .collect();
        let budget_units = (limits.bytes / BUDGET_UNIT).clamp(1, u32::MAX as usize);
        Self { queues, tasks, budget: Arc::new(Semaphore::new(budget_units)), budget_units, progress }
    }

    pub(super) fn progress(&self) -> &Arc<Progress> {
        &self.progress
    }

    /// Waits for room, then hands the request to its shard.
    pub(super) async fn enqueue(&self, request: Request) {
        let bytes = request.body.len();
        let units = bytes.div_ceil(BUDGET_UNIT).clamp(1, self.budget_units) as u32;
        let shard = request.shard;
        self.progress.came(&request.contents);
        let mut waiting = Waiting::new(request, Arc::clone(&self.progress));
        // Neither the semaphore nor a queue is ever closed while the shards are held.
        waiting._budget = Arc::clone(&self.budget).acquire_many_owned(units).await.ok();
        if let Some(queue) = self.queues.get(shard)
            && queue.send(waiting).await.is_err()
        {
            tracing::error!(shard, "A shard has ended while requests still come.");
        }
    }

    /// Takes no more requests and waits until all are settled.
    pub(super) async fn drain(&mut self) {
        self.queues.clear();
        while let Some(ended) = self.tasks.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "A shard has failed.");
            }
        }
    }

    /// Gives up a request that there is no time for, counting it unless a log has it.
    pub(super) fn lose(&self, request: Request) {
        drop(Waiting::new(request, Arc::clone(&self.progress)));
    }

    /// Gives up what still waits, counting it unless a log has it.
    pub(super) async fn abort(&mut self) {
        self.queues.clear();
        self.tasks.shutdown().await;
    }
}

async fn run_shard(mut queue: mpsc::Receiver<Waiting>, sender: Arc<Sender>) {
    while let Some(waiting) = queue.recv().await {
        waiting.progress.clone().turn_of(waiting.generation()).await;
        sender.deliver(waiting).await;
    }
}

impl Waiting {
    fn new(request: Request, progress: Arc<Progress>) -> Self {
        let bytes = request.body.len();
        {
            let mut open = progress.open.lock();
            *open.entry(request.generation).or_default() += 1;
            progress.publish(&open);
        }
        if let Some(account) = &progress.account {
            account.hold(request.mark);
        }
        progress.waiting.fetch_add(1, Ordering::Relaxed);
        progress.waiting_bytes.fetch_add(bytes, Ordering::Relaxed);
        progress.waiting_samples.fetch_add(request.contents.values(), Ordering::Relaxed);
        Self { request: Some(request), bytes, progress, _budget: None }
    }

    fn generation(&self) -> u64 {
        self.request.as_ref().map_or(0, |r| r.generation)
    }

    /// What it is a part of.
    pub(super) fn progress(&self) -> &Progress {
        &self.progress
    }

    /// The request, until it is settled.
    pub(super) fn request(&self) -> Option<&Request> {
        self.request.as_ref()
    }

    /// Counts a request that is being retried while the returned guard lives.
    pub(super) fn retrying(&self) -> Retrying {
        self.progress.retrying.fetch_add(1, Ordering::Relaxed);
        Retrying(Arc::clone(&self.progress))
    }

    /// The request has come to its end: tells who waits for it.
    pub(super) fn settle(mut self, outcome: AckOutcome) {
        if let Some(request) = self.request.take() {
            self.leave(&request);
            if let Some(account) = &self.progress.account {
                account.release(request.mark);
            }
            request.acks.resolve(outcome);
        }
    }

    fn leave(&self, request: &Request) {
        let progress = &self.progress;
        progress.waiting.fetch_sub(1, Ordering::Relaxed);
        progress.waiting_bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        progress.waiting_samples.fetch_sub(request.contents.values(), Ordering::Relaxed);
        let mut open = progress.open.lock();
        if let Some(left) = open.get_mut(&request.generation) {
            *left -= 1;
            if *left == 0 {
                open.remove(&request.generation);
            }
        }
        progress.publish(&open);
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(request) = self.request.take() {
            self.leave(&request);
            // What a log has is read again.
            if !request.mark.logged {
                self.progress.metrics.lost(request.contents.points);
            }
            request.acks.resolve(AckOutcome::Dropped);
        }
    }
}

/// Counts one request as being retried while it lives.
pub(super) struct Retrying(Arc<Progress>);

impl Drop for Retrying {
    fn drop(&mut self) {
        self.0.retrying.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Progress {
    fn publish(&self, open: &BTreeMap<u64, usize>) {
        let oldest = open.keys().next().copied().unwrap_or(u64::MAX);
        self.oldest_generation.send_if_modified(|current| std::mem::replace(current, oldest) != oldest);
    }

    /// Waits until every request of an earlier generation is done.
    async fn turn_of(self: Arc<Self>, generation: u64) {
        let mut oldest = self.oldest_generation.subscribe();
        if oldest.wait_for(|oldest| *oldest >= generation).await.is_err() {
            // The sender is in `self`, which this future holds: it cannot be gone.
        }
    }

    /// Requests that wait or are under way.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Their bytes.
    pub(super) fn waiting_bytes(&self) -> usize {
        self.waiting_bytes.load(Ordering::Relaxed)
    }

    /// Their samples.
    pub(super) fn waiting_samples(&self) -> u64 {
        self.waiting_samples.load(Ordering::Relaxed)
    }

    /// Whether the store fails or throttles at the moment: then more shards would not help it.
    pub(super) fn is_retrying(&self) -> bool {
        self.retrying.load(Ordering::Relaxed) > 0
    }
}

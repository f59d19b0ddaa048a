//! The task that appends: what comes in goes to the log, and to memory while the log does not take it.

use super::inbox::Inbox;
use super::metrics::LogMetrics;
use pipeline::stop::Stop;
use pipeline::{AckOutcome, Acks, Input, MetricBatch};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use wal::metrics::{AppendBatchesError, MetricWriter};
use wal::{Log, Position};

/// Points that are appended at once: enough that a record is compressed well, and a call costs little beside it.
const POINTS: usize = 32_768;

/// How long a batch waits for company before it is appended. Below the least interval of syncs that is allowed, so that
/// what this adds to what a dying machine loses is little.
pub(super) const LINGER: Duration = Duration::from_millis(100);

/// Between two attempts to append to a log that has refused.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// How long the end waits for a write that is under way when its deadline has passed.
const LAST_WRITE: Duration = Duration::from_millis(300);

/// Appends for all destinations.
pub(super) struct Front {
    log: Log,
    /// `None` while a thread of the blocking pool has it.
    writer: Option<MetricWriter>,
    inboxes: Vec<Arc<Inbox>>,
    metrics: Arc<LogMetrics>,
    /// When the log has last refused, as long as it has taken nothing since.
    refused: Option<Instant>,
    /// What has come in and is in no log or inbox yet.
    held: Vec<MetricBatch>,
    /// Who waits for it, while it is being appended; in the same order.
    awaiting: Vec<Acks>,
    appending: Option<JoinHandle<Appended>>,
    /// The end of the log before that.
    from: Position,
}

/// What comes back from the thread that has appended.
struct Appended {
    writer: MetricWriter,
    result: Result<Position, AppendBatchesError>,
    took: Duration,
}

impl Front {
    pub(super) fn new(log: &Log, inboxes: Vec<Arc<Inbox>>, metrics: Arc<LogMetrics>) -> Self {
        let writer = Some(MetricWriter::default());
        Self {
            log: log.clone(),
            writer,
            inboxes,
            metrics,
            refused: None,
            held: Vec::new(),
            awaiting: Vec::new(),
            appending: None,
            from: log.end(),
        }
    }

    /// Appends until the input closes. Returns the number of points for which there was no room and no time.
    pub(super) async fn run(mut self, mut input: Input, mut stop: Stop) -> u64 {
        let mut lost = 0;
        tokio::select! {
            () = self.append_all(&mut input) => {}
            () = stop.deadline_passed() => {
                // A write that is under way ends, unless the disk stands still.
                tokio::time::timeout(LAST_WRITE, self.appended()).await.ok();
                while let Some(batch) = input.try_recv() {
                    self.held.push(batch);
                }
                for batch in std::mem::take(&mut self.held) {
                    lost += batch.len() as u64;
                    batch.acks.resolve(AckOutcome::Dropped);
                }
            }
        }
        self.inboxes.iter().for_each(|inbox| inbox.close());
        lost
    }

    async fn append_all(&mut self, input: &mut Input) {
        while self.gather(input).await {
            self.hand_on().await;
        }
        self.hand_on().await;
    }

    /// Takes in what is to be appended at once; false when nothing more is to come.
    async fn gather(&mut self, input: &mut Input) -> bool {
        let Some(batch) = input.recv().await else { return false };
        let due = Instant::now() + LINGER;
        let (mut points, mut awaited) = (batch.len(), batch.acks.awaited());
        self.held.push(batch);
        while points < POINTS {
            let next = match input.try_recv() {
                Some(batch) => Some(batch),
                None if awaited => break,
                None => match tokio::time::timeout_at(due, input.recv()).await {
                    Ok(next) => next,
                    Err(_) => break,
                },
            };
            let Some(batch) = next else { return false };
            points += batch.len();
            awaited |= batch.acks.awaited();
            self.held.push(batch);
        }
        true
    }

    /// Brings what is held to the log, or to memory, or waits until there is room.
    async fn hand_on(&mut self) {
        while !self.held.is_empty() {
            let wait = match self.refused {
                Some(at) if at.elapsed() < TRY_AGAIN => TRY_AGAIN - at.elapsed(),
                _ => {
                    self.append().await;
                    continue;
                }
            };
            if self.inboxes.iter().all(|inbox| inbox.has_room()) {
                self.keep();
                continue;
            }
            let full = self.inboxes.iter().find(|inbox| !inbox.has_room());
            if let Some(inbox) = full {
                // Also ends when it is time to try the log again.
                tokio::time::timeout(wait, inbox.room()).await.ok();
            }
        }
    }

    /// Appends what is held. What is not in the log afterwards is still held.
    async fn append(&mut self) {
        if let Some(mut writer) = self.writer.take() {
            // Those who wait are told when it is there, and not because a copy was dropped.
            self.awaiting = self.held.iter_mut().map(|batch| std::mem::take(&mut batch.acks)).collect();
            self.from = self.log.end();
            let (log, batches) = (self.log.clone(), self.held.clone());
            self.appending = Some(tokio::task::spawn_blocking(move || {
                let started = Instant::now();
                let result = writer.append(&log, &batches);
                Appended { writer, result, took: started.elapsed() }
            }));
        }
        self.appended().await;
    }

    /// Waits for a write that is under way.
    async fn appended(&mut self) {
        let Some(appending) = &mut self.appending else { return };
        let joined = appending.await;
        self.appending = None;
        // It is not joined when the runtime ends, and this future with it.
        let Ok(Appended { writer, result, took }) = joined else { return std::future::pending().await };
        self.writer = Some(writer);
        let (from, awaiting) = (self.from, std::mem::take(&mut self.awaiting));
        match result {
            Ok(to) => {
                self.metrics.appended(took);
                self.accepted();
                awaiting.into_iter().for_each(|acks| acks.resolve(AckOutcome::Persisted));
                self.inboxes.iter().for_each(|inbox| inbox.logged(from, to, &self.held));
                self.held.clear();
            }
            Err(error) => {
                self.refuse(&error.source);
                for ((batch, acks), number) in self.held.iter_mut().zip(awaiting).zip(0..) {
                    if number < error.appended {
                        acks.resolve(AckOutcome::Persisted);
                    } else {
                        batch.acks = acks;
                    }
                }
                self.held.drain(..error.appended);
                let to = self.log.end();
                if to > from {
                    self.inboxes.iter().for_each(|inbox| inbox.logged(from, to, &[]));
                }
            }
        }
    }

    fn accepted(&mut self) {
        if self.refused.take().is_some() {
            self.metrics.falls_back(false);
            tracing::info!("The log takes samples again.");
        }
    }

    #[cold]
    fn refuse(&mut self, error: &wal::AppendError) {
        self.metrics.refused();
        if self.refused.is_none() {
            self.metrics.falls_back(true);
            tracing::error!(
                %error,
                "The log does not take samples: what comes in is kept in memory, and lost if the process is killed. It is tried again each second."
            );
        }
        self.refused = Some(Instant::now());
    }

    /// Gives what is held to all destinations directly.
    fn keep(&mut self) {
        for batch in std::mem::take(&mut self.held) {
            if let Some((last, others)) = self.inboxes.split_last() {
                for inbox in others {
                    inbox.keep(batch.clone());
                }
                last.keep(batch);
            }
        }
    }
}

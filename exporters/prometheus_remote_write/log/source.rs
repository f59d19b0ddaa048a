//! What one destination of a log sends: what it has not had, in order, from the disk or as it is at hand.

use super::super::account::{Account, Entry as Begun, Mark};
use super::super::shards::Logged;
use super::inbox::{Entry, Inbox, Taken};
use pipeline::stop::Stop;
use pipeline::{AckOutcome, MetricBatch};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use wal::metrics::MetricReader;
use wal::{Log, Position};

/// Between two attempts to read from a disk that fails.
const READ_AGAIN: Duration = Duration::from_secs(1);

/// Attempts after which what cannot be read is given up, a segment at a time: a disk that returns errors for a minute
/// does so for good.
const MOST_ATTEMPTS: u32 = 60;

/// The reading end of a log.
pub(in super::super) struct LogSource {
    log: Log,
    cursor: usize,
    reader: MetricReader,
    inbox: Arc<Inbox>,
    account: Arc<Account>,
    /// The reader is to come here before the inbox is looked at again.
    until: Position,
    /// Batches that were taken together, and up to where a destination that has one has everything.
    ready: VecDeque<(MetricBatch, Position)>,
    /// The account knows of what stands before this.
    begun: Position,
    stop: Stop,
    failures: u32,
    read_again: Option<Instant>,
    replays: bool,
}

impl LogSource {
    pub(super) fn new(log: &Log, cursor: usize, inbox: Arc<Inbox>, account: Arc<Account>, stop: Stop) -> Self {
        Self {
            reader: MetricReader::new(log, cursor),
            log: log.clone(),
            cursor,
            inbox,
            account,
            until: log.end(),
            ready: VecDeque::new(),
            begun: log.acked(cursor).unwrap_or_default(),
            stop,
            failures: 0,
            read_again: None,
            replays: log.backlog(cursor).samples > 0,
        }
    }

    /// Whether the log held something for the destination when this began.
    pub(in super::super) fn replays(&self) -> bool {
        self.replays
    }

    /// What came for the destination, and what of it waits.
    pub(in super::super) fn logged(&self) -> Logged {
        let waiting = self.log.backlog(self.cursor).samples.saturating_add(self.inbox.kept() as u64);
        Logged { arrived: self.inbox.arrived(), waiting }
    }

    /// Keeps account of what is sent.
    pub(in super::super) fn account(&self) -> &Arc<Account> {
        &self.account
    }

    /// The next batch; `None` when nothing is to come, or a successor is to read on. May be dropped at any point and
    /// called again.
    pub(in super::super) async fn next(&mut self) -> Option<(MetricBatch, Mark)> {
        loop {
            if let Some((batch, end)) = self.ready.pop_front() {
                let mark = self.begin(end, oldest_ms(&batch));
                return Some((batch, mark));
            }
            if self.stop.is_succeeded() && self.inbox.kept() == 0 {
                return None;
            }
            if let Some(read) = self.read().await {
                return Some(read);
            }
            match self.inbox.take() {
                Taken::Entry(Entry::Logged { from, to, batches }) => {
                    if batches.is_empty() || !self.reader.pass_over(from, to) {
                        self.until = to;
                        continue;
                    }
                    // Only with the last of them everything is had that was appended.
                    self.ready = batches.into_iter().map(|batch| (batch, from)).collect();
                    if let Some((_, end)) = self.ready.back_mut() {
                        *end = to;
                    }
                }
                Taken::Entry(Entry::Kept(batch)) => {
                    let oldest_ms = oldest_ms(&batch);
                    return Some((batch, self.account.begin(Begun { end: None, oldest_ms })));
                }
                Taken::Empty => {
                    let mut stop = self.stop.clone();
                    tokio::select! {
                        () = self.inbox.changed() => {}
                        () = stop.succeeded() => {}
                    }
                }
                Taken::Closed => return None,
            }
        }
    }

    /// The next batch from the disk; `None` when the reader is where it is to come.
    async fn read(&mut self) -> Option<(MetricBatch, Mark)> {
        loop {
            if let Some(at) = self.read_again {
                tokio::time::sleep_until(at).await;
                self.read_again = None;
            }
            match self.reader.next_before(self.until).await {
                Ok(Some(read)) => {
                    self.failures = 0;
                    let mark = self.begin(read.end, read.header.oldest_ms);
                    return Some((read.batch, mark));
                }
                Ok(None) => {
                    // At the end there may be something that was skipped, which nothing would follow for now.
                    if let Some(read) = self.log.read_up_to(self.cursor).filter(|read| *read > self.begun) {
                        self.begun = read;
                        self.account.pass(read);
                    }
                    return None;
                }
                Err(error) => {
                    self.failures += 1;
                    tracing::error!(%error, attempt = self.failures, "The log cannot be read; it is tried again.");
                    if self.failures >= MOST_ATTEMPTS {
                        self.failures = 0;
                        self.reader.skip_segment();
                    }
                    self.read_again = Some(Instant::now() + READ_AGAIN);
                }
            }
        }
    }

    fn begin(&mut self, end: Position, oldest_ms: i64) -> Mark {
        self.begun = self.begun.max(end);
        self.account.begin(Begun { end: Some(end), oldest_ms })
    }

    /// Gives up what only memory has, and tells how many points that were.
    pub(in super::super) fn give_up(&mut self) -> u64 {
        let mut points = 0;
        // What is at hand, the log has as well.
        while let Taken::Entry(entry) = self.inbox.take() {
            if let Entry::Kept(batch) = entry {
                points += batch.len() as u64;
                batch.acks.resolve(AckOutcome::Dropped);
            }
        }
        points
    }
}

/// About the time of the oldest point: a group is of one scrape as a rule.
fn oldest_ms(batch: &MetricBatch) -> i64 {
    let first = batch.groups().iter().filter_map(|group| group.points.first());
    first.map(|point| point.time.div_euclid(1_000_000)).min().unwrap_or(i64::MAX)
}

//! What comes to one destination beside the log: where there is more to read, and what need not be read because it is
//! at hand, or cannot be because only memory has it.

use parking_lot::Mutex;
use pipeline::MetricBatch;
use std::collections::VecDeque;
use tokio::sync::Notify;
use wal::Position;

/// Points of appended batches that are kept at hand for a destination that keeps up: twice what is appended at once, some
/// megabytes. One that does not keep up reads from the log.
const AT_HAND: usize = 65_536;

/// Appended batches that are kept at hand, however small.
const ENTRIES: usize = 256;

/// In the order of arrival.
#[derive(Debug)]
pub(super) enum Entry {
    /// The log has these records.
    Logged {
        /// Where they begin: [`wal::Log::end`] before they were appended.
        from: Position,
        /// Where they end.
        to: Position,
        /// All that they hold, if it is at hand.
        batches: Vec<MetricBatch>,
    },
    /// The log could not take this.
    Kept(MetricBatch),
}

/// The way from the task that appends to one destination.
#[derive(Debug)]
pub(super) struct Inbox {
    state: Mutex<State>,
    changed: Notify,
    room: Notify,
    /// Points that may be kept for want of a log.
    most_kept: usize,
}

#[derive(Debug, Default)]
struct State {
    entries: VecDeque<Entry>,
    at_hand: usize,
    kept: usize,
    /// Samples so far.
    arrived: u64,
    closed: bool,
}

/// What [`Inbox::take`] has found.
#[derive(Debug)]
pub(super) enum Taken {
    Entry(Entry),
    /// Nothing at the moment.
    Empty,
    /// Nothing, and nothing is to come.
    Closed,
}

impl Inbox {
    /// One that keeps up to `most_kept` points for want of a log.
    pub(super) fn new(most_kept: usize) -> Self {
        Self { state: Mutex::default(), changed: Notify::new(), room: Notify::new(), most_kept }
    }

    /// Batches were appended.
    pub(super) fn logged(&self, from: Position, to: Position, batches: &[MetricBatch]) {
        let mut state = self.state.lock();
        let points: usize = batches.iter().map(MetricBatch::len).sum();
        state.arrived += to.samples.saturating_sub(from.samples);
        let keep = state.at_hand < AT_HAND && state.entries.len() < ENTRIES;
        match state.entries.back_mut() {
            Some(Entry::Logged { to: last, batches: at_hand, .. }) if !keep && at_hand.is_empty() => *last = to,
            _ => {
                let batches = if keep { batches.to_vec() } else { Vec::new() };
                state.at_hand += if keep { points } else { 0 };
                state.entries.push_back(Entry::Logged { from, to, batches });
            }
        }
        drop(state);
        self.changed.notify_one();
    }

    /// Whether there is room for batches that the log does not take.
    pub(super) fn has_room(&self) -> bool {
        self.state.lock().kept < self.most_kept
    }

    /// Waits until there may be room again. For one task.
    pub(super) async fn room(&self) {
        self.room.notified().await;
    }

    /// The log does not take this batch.
    pub(super) fn keep(&self, batch: MetricBatch) {
        let mut state = self.state.lock();
        state.kept += batch.len();
        state.arrived += batch.len() as u64;
        state.entries.push_back(Entry::Kept(batch));
        drop(state);
        self.changed.notify_one();
    }

    /// Nothing more is to come.
    pub(super) fn close(&self) {
        self.state.lock().closed = true;
        self.changed.notify_one();
    }

    pub(super) fn take(&self) -> Taken {
        let mut state = self.state.lock();
        let Some(entry) = state.entries.pop_front() else {
            return if state.closed { Taken::Closed } else { Taken::Empty };
        };
        match &entry {
            Entry::Logged { batches, .. } => state.at_hand -= batches.iter().map(MetricBatch::len).sum::<usize>(),
            Entry::Kept(batch) => {
                state.kept -= batch.len();
                self.room.notify_one();
            }
        }
        Taken::Entry(entry)
    }

    /// Waits until there may be something to take. For one task.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Samples that came so far.
    pub(super) fn arrived(&self) -> u64 {
        self.state.lock().arrived
    }

    /// Points that only memory has.
    pub(super) fn kept(&self) -> usize {
        self.state.lock().kept
    }
}

//! Bounded channels between components.
//!
//! Backpressure is the default: a full channel makes its sender wait. A pipeline may also have gates
//! (a memory limiter's, say): while one is closed, its entry refuses instead of waiting.

use crate::batch::MetricBatch;
use arc_swap::ArcSwap;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Batches that may wait between two components. A batch has some thousands of points at most in
/// steady state, so this bounds what waits in one place to a few megabytes, while it lets a sender run
/// ahead of a receiver that is busy for a moment.
pub const CHANNEL_CAPACITY: usize = 32;

/// Decides whether a pipeline takes data at the moment.
pub trait Gate: Send + Sync {
    /// `Err` with the reason while data must be refused.
    fn admit(&self) -> Result<(), &'static str>;

    /// Counts what was refused.
    fn refused(&self, points: usize);
}

/// Why a batch was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// A gate is closed; the same data may be taken later.
    #[error("{0}")]
    Refused(&'static str),
    /// The pipeline has ended.
    #[error("the pipeline has stopped")]
    Closed,
}

/// The receiving end of a channel: what a processor or exporter reads from.
#[derive(Debug)]
pub struct Input(mpsc::Receiver<MetricBatch>);

impl Input {
    /// The next batch, or `None` when every sender is gone and nothing is left.
    pub async fn recv(&mut self) -> Option<MetricBatch> {
        self.0.recv().await
    }

    /// The next batch if one waits already.
    pub fn try_recv(&mut self) -> Option<MetricBatch> {
        self.0.try_recv().ok()
    }
}

/// The sending end of one channel, with the gates in front of it.
#[derive(Clone)]
pub struct Entry {
    sender: mpsc::Sender<MetricBatch>,
    gates: Arc<[Arc<dyn Gate>]>,
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entry").field("gates", &self.gates.len()).finish_non_exhaustive()
    }
}

impl Entry {
    /// Puts gates in front of this channel.
    pub fn with_gates(self, gates: Vec<Arc<dyn Gate>>) -> Self {
        Self { gates: gates.into(), ..self }
    }

    fn admit(&self, points: usize) -> Result<(), SendError> {
        for gate in self.gates.iter() {
            if let Err(reason) = gate.admit() {
                gate.refused(points);
                return Err(SendError::Refused(reason));
            }
        }
        Ok(())
    }

    async fn send(&self, batch: MetricBatch) -> Result<(), SendError> {
        self.admit(batch.len())?;
        self.sender.send(batch).await.map_err(|_| SendError::Closed)
    }
}

/// A channel of the usual capacity.
pub fn channel() -> (Entry, Input) {
    channel_of(CHANNEL_CAPACITY)
}

/// A channel that holds up to `capacity` batches.
pub fn channel_of(capacity: usize) -> (Entry, Input) {
    let (sender, receiver) = mpsc::channel(capacity.max(1));
    (Entry { sender, gates: Arc::from([]) }, Input(receiver))
}

/// Where a component sends its batches: any number of channels, which a reload may exchange while the
/// component runs.
#[derive(Clone, Debug, Default)]
pub struct Output(Arc<ArcSwap<Vec<Entry>>>);

impl Output {
    /// An output to these channels.
    pub fn to(entries: Vec<Entry>) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(entries)))
    }

    /// Exchanges the channels.
    pub fn set(&self, entries: Vec<Entry>) {
        self.0.store(Arc::new(entries));
    }

    /// Waits until every channel has taken the batch. To one channel it is moved, by several it is shared.
    ///
    /// # Errors
    /// The last refusal, if a channel did not take it; the others have it then.
    pub async fn send(&self, batch: MetricBatch) -> Result<(), SendError> {
        let entries = self.0.load_full();
        let Some((last, others)) = entries.split_last() else {
            batch.acks.resolve(crate::ack::AckOutcome::Delivered);
            return Ok(());
        };
        let mut result = Ok(());
        for entry in others {
            if let Err(error) = entry.send(batch.clone()).await {
                result = Err(error);
            }
        }
        last.send(batch).await.and(result)
    }

    /// Whether a batch of `points` would be refused now, without sending it: lets a receiver refuse
    /// before it has decoded anything.
    ///
    /// # Errors
    /// The reason of the first closed gate.
    pub fn admit(&self, points: usize) -> Result<(), SendError> {
        self.0.load().iter().try_for_each(|entry| entry.admit(points))
    }
}

//! Bounded channels between components.
//!
//! Backpressure is the default: a full channel makes its sender wait. A pipeline may also have gates
//! (a memory limiter's, say): while one is closed, its entry refuses instead of waiting.

use crate::batch::{Batch, MetricBatch};
use crate::component::Signal;
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

    /// Counts items that were refused.
    fn refused(&self, items: usize);
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
pub struct Input(mpsc::Receiver<Batch>);

impl Input {
    /// The next batch, or `None` when every sender is gone and nothing is left.
    pub async fn recv_any(&mut self) -> Option<Batch> {
        self.0.recv().await
    }

    /// The next batch if one waits already.
    pub fn try_recv_any(&mut self) -> Option<Batch> {
        self.0.try_recv().ok()
    }

    /// The next batch of metrics, for components that handle nothing else. A pipeline carries only signals that all its
    /// components have in their factories, so there is nothing else to come.
    pub async fn recv(&mut self) -> Option<MetricBatch> {
        loop {
            if let Some(batch) = metrics(self.recv_any().await?) {
                return Some(batch);
            }
        }
    }

    /// The next batch of metrics if one waits already.
    pub fn try_recv(&mut self) -> Option<MetricBatch> {
        loop {
            if let Some(batch) = metrics(self.try_recv_any()?) {
                return Some(batch);
            }
        }
    }
}

/// The metrics of a batch. Its acknowledgement says `dropped` if it has none.
fn metrics(batch: Batch) -> Option<MetricBatch> {
    match batch {
        Batch::Metrics(batch) => Some(batch),
        Batch::Messages(batch) => {
            tracing::error!(
                signal = batch.signal.name(),
                items = batch.items,
                "A component that handles metrics only was sent something else, which is dropped."
            );
            None
        }
    }
}

/// The sending end of one channel, with the gates in front of it.
#[derive(Clone)]
pub struct Entry {
    sender: mpsc::Sender<Batch>,
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

    fn admit(&self, items: usize) -> Result<(), SendError> {
        for gate in self.gates.iter() {
            if let Err(reason) = gate.admit() {
                gate.refused(items);
                return Err(SendError::Refused(reason));
            }
        }
        Ok(())
    }

    async fn send(&self, batch: Batch) -> Result<(), SendError> {
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

/// Where a component sends its batches: for each signal any number of channels, which a reload may exchange while
/// the component runs.
#[derive(Clone, Debug, Default)]
pub struct Output(Arc<ArcSwap<Routes>>);

/// The channels for each signal.
#[derive(Clone, Debug, Default)]
struct Routes {
    metrics: Vec<Entry>,
    traces: Vec<Entry>,
    logs: Vec<Entry>,
}

impl Routes {
    fn of(&self, signal: Signal) -> &[Entry] {
        match signal {
            Signal::Metrics => &self.metrics,
            Signal::Traces => &self.traces,
            Signal::Logs => &self.logs,
        }
    }
}

impl Output {
    /// An output to these channels, whatever is sent.
    pub fn to(entries: Vec<Entry>) -> Self {
        let routes = Routes { metrics: entries.clone(), traces: entries.clone(), logs: entries };
        Self(Arc::new(ArcSwap::from_pointee(routes)))
    }

    /// Exchanges the channels. Each takes batches of the signal beside it.
    pub fn set(&self, entries: impl IntoIterator<Item = (Signal, Entry)>) {
        let mut routes = Routes::default();
        for (signal, entry) in entries {
            match signal {
                Signal::Metrics => routes.metrics.push(entry),
                Signal::Traces => routes.traces.push(entry),
                Signal::Logs => routes.logs.push(entry),
            }
        }
        self.0.store(Arc::new(routes));
    }

    /// Whether what is of this signal goes anywhere. What does not is taken and forgotten.
    pub fn carries(&self, signal: Signal) -> bool {
        !self.0.load().of(signal).is_empty()
    }

    /// Waits until every channel of the batch's signal has taken it. To one channel it is moved, by several it is
    /// shared.
    ///
    /// # Errors
    /// The last refusal, if a channel did not take it; the others have it then.
    pub async fn send(&self, batch: impl Into<Batch>) -> Result<(), SendError> {
        let batch = batch.into();
        let routes = self.0.load_full();
        let Some((last, others)) = routes.of(batch.signal()).split_last() else {
            batch.into_acks().resolve(crate::ack::AckOutcome::Delivered);
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

    /// Whether a batch with so many items would be refused now, without sending it: lets a receiver refuse
    /// before it has decoded anything.
    ///
    /// # Errors
    /// The reason of the first closed gate.
    pub fn admit(&self, signal: Signal, items: usize) -> Result<(), SendError> {
        self.0.load().of(signal).iter().try_for_each(|entry| entry.admit(items))
    }
}

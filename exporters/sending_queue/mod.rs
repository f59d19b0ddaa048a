//! The queue in front of a destination, as the Collector's exporters have it: requests wait in memory or on disk, several are
//! under way at once, and each is tried until it is accepted, rejected for good, or given up.
//!
//! An exporter gives a [`Transport`], which makes the bytes that are sent and makes one attempt. Everything else is here:
//!
//! - Each signal has a [`lane`] of its own: a queue and its deliveries, run by one task that owns them.
//! - What waits is made ready to be sent when it comes ([`request`]), so that memory holds it compressed and nothing is encoded
//!   twice; with a `batch` block, which puts requests together before they leave ([`gather`]), or on disk ([`durable`]) it waits as protobuf.
//! - Requests begin in the order of the queue. Of metrics, one that has a resource in common with an earlier one waits for its end
//!   ([`order`]), so that the points of a series arrive in order however many consumers there are. Spans and log records have no order to keep.
//! - A full queue makes its sender wait, unless `block_on_overflow: false` says to refuse.

mod config;
mod courier;
mod durable;
mod exporter;
mod gather;
mod lane;
mod metrics;
mod order;
mod partition;
mod request;
mod store;
#[cfg(test)]
pub(crate) mod tests;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use otlp::response::PartialSuccess;
use pipeline::component::{BuildContext, ComponentError, ComponentKind, ExporterContext, Signal};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tracing::Instrument as _;
use wal::{Log, Storage};

pub(crate) use self::config::{Delivery, QueueKeys, QueueSettings};
use self::courier::Courier;
pub(crate) use self::exporter::{QueuedExporter, Settings};
use self::lane::Lane;
use self::metrics::Metrics;
use self::request::Claim;
use self::store::Store;
use crate::retry::Retry;

/// The most that [`Transport::restore`] has to make of anything: far above the length of requests, in JSON too.
pub(crate) const MAX_RESTORED: usize = 256 << 20;

/// The signals that exporters here carry.
const SIGNALS: [Signal; 3] = [Signal::Metrics, Signal::Traces, Signal::Logs];

/// Makes requests of one destination and sends them.
#[async_trait]
pub(crate) trait Transport: Send + Sync + 'static {
    /// Where a signal goes, for people; none if the configuration does not say.
    fn target(&self, signal: Signal) -> Option<&str>;

    /// The bytes to send for a request in protobuf: in the encoding of the wire, compressed.
    ///
    /// # Errors
    /// Why the request cannot be sent at all.
    fn prepare(&self, signal: Signal, request: Bytes) -> Result<Bytes, String>;

    /// The request in protobuf that [`Transport::prepare`] has made this of.
    fn restore(&self, signal: Signal, prepared: Bytes) -> Option<Bytes>;

    /// Makes one attempt to send what [`Transport::prepare`] has made.
    async fn send(&self, signal: Signal, prepared: &Bytes) -> Attempt;
}

/// The end of one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Attempt {
    /// Accepted, perhaps without some items.
    Accepted(Option<PartialSuccess>),
    /// The same may be accepted later.
    Failed {
        /// What is wrong.
        why: String,
        /// The least time that the destination wants to be left alone.
        pause: Option<Duration>,
        /// It is not about the request, but about who sends it.
        of_identity: bool,
    },
    /// The same will never be accepted.
    Rejected {
        /// For the label of a counter.
        reason: &'static str,
        /// What is wrong.
        why: String,
    },
    /// The same will never be accepted, and smaller requests may be.
    TooLarge {
        /// For the label of a counter.
        reason: &'static str,
        /// What is wrong.
        why: String,
    },
}

/// A batch on its way into the queue.
struct Arrival {
    batch: pipeline::Batch,
    claim: Claim,
}

/// The queues of an exporter, one for each signal.
pub(crate) struct SendingQueue {
    settings: Arc<QueueSettings>,
    retry: Retry,
    transport: Arc<dyn Transport>,
    context: BuildContext,
    /// The logs on disk, by signal; empty if queues are in memory.
    logs: Vec<(Signal, Log)>,
    /// Those of the lanes; they end with this.
    tasks: JoinSet<()>,
}

/// A running lane.
struct Running {
    input: mpsc::Sender<Arrival>,
    metrics: Arc<Metrics>,
}

impl SendingQueue {
    /// Takes the directories of queues on disk.
    ///
    /// # Errors
    /// If the storage extension is not there, or a log cannot be opened: somebody else has it, or the disk fails.
    pub(crate) async fn open(
        settings: QueueSettings,
        retry: Retry,
        transport: Arc<dyn Transport>,
        context: &BuildContext,
    ) -> Result<Self, ComponentError> {
        let mut logs = Vec::new();
        if let Some(id) = &settings.storage {
            let storage = context.shared.get::<Storage>(id).ok_or_else(|| {
                ComponentError::new(format!(
                    "sending_queue::storage: there is no storage extension {id}: list file_storage under service::extensions"
                ))
            })?;
            for signal in SIGNALS {
                let mut options = storage.options(ComponentKind::Exporter, &context.id, signal.name());
                options.cursors = vec![context.id.to_string()];
                (options.max_bytes, options.max_age) = (settings.max_bytes, settings.max_age);
                let opened = tokio::task::spawn_blocking(move || Log::open(options)).await;
                let log = opened
                    .map_err(|error| ComponentError::caused("the queue on disk cannot be opened", error))?
                    .map_err(|error| ComponentError::caused("the queue on disk cannot be opened", error))?;
                logs.push((signal, log));
            }
        }
        Ok(Self {
            settings: Arc::new(settings),
            retry,
            transport,
            context: context.clone(),
            logs,
            tasks: JoinSet::new(),
        })
    }

    /// Delivers until the input closes and all is delivered (or on disk), or the deadline passes; what is left then is counted.
    ///
    /// # Errors
    /// If a lane has ended with a panic.
    pub(crate) async fn run(mut self, mut context: ExporterContext) -> Result<(), ComponentError> {
        let mut lanes: [Option<Running>; 3] = [None, None, None];
        if !self.logs.is_empty() {
            // What an earlier run has left is delivered even if nothing more comes.
            for (slot, signal) in lanes.iter_mut().zip(SIGNALS) {
                *slot = Some(self.start(signal, &context));
            }
        }
        let mut stop = context.stop.clone();
        loop {
            let batch = tokio::select! {
                batch = context.input.recv_any() => batch,
                () = stop.deadline_passed() => None,
            };
            let Some(batch) = batch else { break };
            let Some(lane) = self.lane(&mut lanes, batch.signal(), &context) else { continue };
            let arrival = arrival(batch, lane);
            tokio::select! {
                // A lane that has ended has panicked, which is told below.
                sent = lane.input.send(arrival) => if sent.is_err() { break },
                () = stop.deadline_passed() => {}
            }
        }
        // What is left of the input after the deadline counts as lost.
        while let Some(batch) = context.input.try_recv_any() {
            if let Some(lane) = self.lane(&mut lanes, batch.signal(), &context) {
                drop(arrival(batch, lane));
            }
        }
        drop(lanes);
        while let Some(ended) = self.tasks.join_next().await {
            ended.map_err(|error| ComponentError::caused("a sending queue has failed", error))?;
        }
        Ok(())
    }

    /// The lane of a signal, started when it is first needed.
    fn lane<'a>(
        &mut self,
        lanes: &'a mut [Option<Running>; 3],
        signal: Signal,
        context: &ExporterContext,
    ) -> Option<&'a Running> {
        let at = SIGNALS.iter().position(|known| *known == signal)?;
        let slot = lanes.get_mut(at)?;
        Some(slot.get_or_insert_with(|| self.start(signal, context)))
    }

    fn start(&mut self, signal: Signal, context: &ExporterContext) -> Running {
        let exporter = self.context.id.to_string();
        let metrics = Metrics::new(&self.context.telemetry, &exporter, signal, self.settings.capacity);
        let metrics = Arc::new(metrics);
        // A lane has the only handle, so that the directory is free when it has ended.
        let at = self.logs.iter().position(|(of, _)| *of == signal);
        let log = at.map(|at| self.logs.swap_remove(at).1);
        let store = match log {
            Some(log) => Store::durable(log, signal, &metrics),
            None => Store::default(),
        };
        let courier = Courier {
            transport: Arc::clone(&self.transport),
            retry: self.retry,
            metrics: Arc::clone(&metrics),
            signal,
        };
        let (input, arrivals) = mpsc::channel(1);
        let lane = Lane::new(Arc::clone(&self.settings), courier, store, arrivals);
        self.tasks.spawn(lane.run(context.stop.clone()).in_current_span());
        Running { input, metrics }
    }
}

/// The batch with the claim that it leads to.
fn arrival(mut batch: pipeline::Batch, lane: &Running) -> Arrival {
    let items = batch.len() as u64;
    let acks = match &mut batch {
        pipeline::Batch::Metrics(batch) => std::mem::take(&mut batch.acks),
        pipeline::Batch::Messages(batch) => std::mem::take(&mut batch.acks),
    };
    Arrival { batch, claim: Claim::new(items, acks, &lane.metrics) }
}

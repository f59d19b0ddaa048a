//! `batch`: puts small batches together and cuts large ones, so that exporters send few and well-filled
//! requests.
//!
//! ```yaml
//! processors:
//!   batch:
//!     timeout: 200ms
//!     send_batch_size: 8192
//!     send_batch_max_size: 0
//! ```
//!
//! | Key | Default | Meaning |
//! |---|---|---|
//! | `timeout` | `200ms` | How long the first point of a batch waits for company. `0s`: nothing waits. |
//! | `send_batch_size` | `8192` | As soon as this many points are together they are sent. It is no upper limit. `0`: nothing waits. |
//! | `send_batch_max_size` | `0` | No batch is larger than this; larger ones are cut. `0`: no limit. Otherwise at least `send_batch_size`. |
//! | `metadata_keys` | `[]` | Accepted so that existing files load. Batches carry no request metadata, so points of all clients travel together; a warning says so. |
//! | `metadata_cardinality_limit` | `1000` | Accepted together with `metadata_keys`. |
//!
//! Points are counted, not samples: a whole histogram is one. Of traces and logs, spans and log records are
//! counted; they are handed on as they came, and decoded only where `send_batch_max_size` cuts them. Points of a series are never reordered. Data
//! whose sender waits for its delivery (a receiver with `acknowledge: durable`) is sent at once, together with
//! what is there already. When the pipeline stops, what is held is sent.
//!
//! A longer `timeout` makes larger requests, which costs the exporter less, and risks more at a crash: what
//! waits here is in memory only.

mod config;
mod messages;
mod metrics;
mod pending;

#[cfg(test)]
mod tests;

use self::config::Config;
use self::metrics::{BatchMetrics, Trigger};
use self::pending::Pending;
use crate::outlet::{ItemMetrics, Outlet, OutletMetrics};
use async_trait::async_trait;
use pipeline::Batch;
use pipeline::component::{
    Build, BuildContext, ComponentError, Factory, Processor, ProcessorContext, Signal, Stability,
};
use pipeline::config::Node;
use std::pin::pin;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// Describes and builds the `batch` processor.
pub const FACTORY: Factory = Factory {
    type_name: "batch",
    aliases: &[],
    summary: "puts small batches together and cuts large ones",
    signals: &[Signal::Metrics, Signal::Traces, Signal::Logs],
    stability: Stability::Stable,
    live_update: false,
    validate: |node| Config::read(node).map(drop),
    build: Build::Processor(build),
};

fn build(node: &Node, context: &BuildContext) -> Result<Box<dyn Processor>, ComponentError> {
    let config = Config::read(node).map_err(|errors| ComponentError::caused("invalid configuration", errors))?;
    if !config.metadata_keys.is_empty() {
        tracing::warn!(
            processor = %context.id,
            metadata_keys = ?config.metadata_keys.0,
            "Batches carry no request metadata: points of all clients travel together whatever metadata_keys says.",
        );
    }
    let items = ItemMetrics::new(context);
    Ok(Box::new(Batcher {
        timeout: config.timeout.to_std(),
        size: config.send_batch_size as usize,
        max_size: config.send_batch_max_size as usize,
        metrics: BatchMetrics::new(context),
        outlet: OutletMetrics::new(context, &items),
        items,
    }))
}

struct Batcher {
    timeout: Duration,
    /// Items that trigger sending.
    size: usize,
    /// Items of the largest batch; 0 for no limit.
    max_size: usize,
    metrics: BatchMetrics,
    items: ItemMetrics,
    outlet: OutletMetrics,
}

#[async_trait]
impl Processor for Batcher {
    async fn run(self: Box<Self>, context: ProcessorContext) -> Result<(), ComponentError> {
        let ProcessorContext { mut input, output } = context;
        let mut outlet = self.outlet.clone().into_outlet(output);
        let mut pending = Pending::new(self.max_size);
        let mut timer = pin!(sleep_until(Instant::now()));
        loop {
            let received = tokio::select! {
                // The timer first: under steady traffic there is always another batch.
                biased;
                () = &mut timer, if !pending.is_empty() => {
                    self.send(pending.take_all(), Trigger::Timeout, &mut outlet).await;
                    continue;
                }
                received = input.recv_any() => received,
            };
            let Some(batch) = received else { break };
            let mut starts = pending.is_empty();
            self.hold(batch, &mut pending);
            // Others that wait may be in the channel already: they share the request.
            while pending.is_awaited() && pending.len() < self.size {
                let Some(batch) = input.try_recv_any() else { break };
                self.hold(batch, &mut pending);
            }
            if let Some((batches, trigger)) = self.due(&mut pending) {
                self.send(batches, trigger, &mut outlet).await;
                starts = true;
            }
            if starts && !pending.is_empty() {
                timer.as_mut().reset(Instant::now() + self.timeout);
            }
        }
        self.send(pending.take_all(), Trigger::Timeout, &mut outlet).await;
        Ok(())
    }
}

impl Batcher {
    fn hold(&self, batch: Batch, pending: &mut Pending) {
        self.items.incoming.add(batch.len() as u64);
        pending.push(batch);
    }

    /// What is not to wait any longer.
    fn due(&self, pending: &mut Pending) -> Option<(Vec<Batch>, Trigger)> {
        if pending.is_empty() {
            None
        } else if self.timeout.is_zero() || self.size == 0 {
            Some((pending.take_all(), Trigger::Size))
        } else if pending.is_awaited() {
            let trigger = if pending.len() >= self.size { Trigger::Size } else { Trigger::Awaited };
            Some((pending.take_all(), trigger))
        } else if pending.len() >= self.size {
            Some((pending.take_while_at_least(self.size), Trigger::Size))
        } else {
            None
        }
    }

    async fn send(&self, batches: Vec<Batch>, trigger: Trigger, outlet: &mut Outlet) {
        for batch in batches {
            self.metrics.sent(batch.len(), trigger);
            outlet.send(batch).await;
        }
    }
}

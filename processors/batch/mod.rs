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
//! | `metadata_keys` | `[]` | What comes from clients with different values of these request headers is kept apart, if the receiver has `include_metadata`. |
//! | `metadata_cardinality_limit` | `1000` | So many combinations of values wait at once; what comes of further ones is sent as it came. `0`: no limit. |
//!
//! Points are counted, not samples: a whole histogram is one. Of traces and logs, spans and log records are
//! counted; they are handed on as they came, and decoded only where `send_batch_max_size` cuts them. Points of a series are never reordered. Data
//! whose sender waits for its delivery (a receiver with `acknowledge: durable`) is sent at once, together with
//! what is there already. When the pipeline stops, what is held is sent.
//!
//! A longer `timeout` makes larger requests, which costs the exporter less, and risks more at a crash: what
//! waits here is in memory only.

mod config;
mod lanes;
mod messages;
mod metrics;
mod pending;

#[cfg(test)]
mod tests;

use self::config::Config;
use self::lanes::Lanes;
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
    let items = ItemMetrics::new(context);
    Ok(Box::new(Batcher {
        timeout: config.timeout.to_std(),
        size: config.send_batch_size as usize,
        max_size: config.send_batch_max_size as usize,
        metadata_cardinality_limit: config.metadata_cardinality_limit as usize,
        metadata_keys: config.metadata_keys.0,
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
    metadata_keys: Vec<String>,
    metadata_cardinality_limit: usize,
    metrics: BatchMetrics,
    items: ItemMetrics,
    outlet: OutletMetrics,
}

#[async_trait]
impl Processor for Batcher {
    async fn run(self: Box<Self>, context: ProcessorContext) -> Result<(), ComponentError> {
        let ProcessorContext { mut input, output } = context;
        let mut outlet = self.outlet.clone().into_outlet(output);
        let mut lanes = Lanes::new(&self.metadata_keys, self.metadata_cardinality_limit, self.max_size);
        let mut timer = pin!(sleep_until(Instant::now()));
        loop {
            let due = lanes.due();
            if let Some(due) = due.filter(|due| *due != timer.deadline()) {
                timer.as_mut().reset(due);
            }
            let received = tokio::select! {
                // The timer first: under steady traffic there is always another batch.
                biased;
                () = &mut timer, if due.is_some() => {
                    self.send_due(&mut lanes, &mut outlet).await;
                    continue;
                }
                received = input.recv_any() => received,
            };
            let Some(batch) = received else { break };
            let Some(at) = self.hold(batch, &mut lanes, &mut outlet).await else { continue };
            // Others that wait may be in the channel already: they share the request.
            while lanes.get(at).is_some_and(|lane| lane.pending.is_awaited() && lane.pending.len() < self.size) {
                let Some(batch) = input.try_recv_any() else { break };
                self.hold(batch, &mut lanes, &mut outlet).await;
            }
            self.send_ready(&mut lanes, &mut outlet).await;
        }
        for lane in lanes.iter() {
            let batches = lane.pending.take_all();
            self.send(lane.signed(batches), Trigger::Timeout, &mut outlet).await;
        }
        Ok(())
    }
}

impl Batcher {
    /// Puts a batch with what waits of its clients; the place of that. One for which there is no place is sent as it is.
    async fn hold(&self, batch: Batch, lanes: &mut Lanes, outlet: &mut Outlet) -> Option<usize> {
        self.items.incoming.add(batch.len() as u64);
        let Some(at) = lanes.of(&batch) else {
            self.send(vec![batch], Trigger::Size, outlet).await;
            return None;
        };
        if let Some(lane) = lanes.get(at) {
            lane.pending.push(batch);
        }
        Some(at)
    }

    /// Sends what has waited long enough.
    async fn send_due(&self, lanes: &mut Lanes, outlet: &mut Outlet) {
        let now = Instant::now();
        for lane in lanes.iter().filter(|lane| lane.due.is_some_and(|due| due <= now)) {
            lane.due = None;
            let batches = lane.pending.take_all();
            self.send(lane.signed(batches), Trigger::Timeout, outlet).await;
        }
        self.metrics.combinations(lanes.tidy());
    }

    /// Sends what is not to wait any longer, and notes how long the rest may.
    async fn send_ready(&self, lanes: &mut Lanes, outlet: &mut Outlet) {
        for lane in lanes.iter() {
            if let Some((batches, trigger)) = self.due(&mut lane.pending) {
                self.send(lane.signed(batches), trigger, outlet).await;
                lane.due = None;
            }
            let waits = !lane.pending.is_empty();
            lane.due = waits.then(|| lane.due.unwrap_or_else(|| Instant::now() + self.timeout));
        }
        self.metrics.combinations(lanes.tidy());
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

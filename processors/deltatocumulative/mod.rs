//! `deltatocumulative`: adds up delta points of sums and histograms to cumulative ones.
//!
//! ```yaml
//! processors:
//!   deltatocumulative:
//!     max_stale: 5m
//!     max_streams: 1000000
//! ```
//!
//! | Key | Default | Meaning |
//! |---|---|---|
//! | `max_stale` | `5m` | A stream is forgotten when no point of it came for so long; what comes afterwards begins anew. |
//! | `max_streams` | `1000000` | So many streams are remembered; points of further ones are dropped and counted. `0`: none. |
//!
//! A stream is a series of one resource and scope. Its first point passes as it is. A point that covers time before the
//! stream began, or that is not newer than the one before it, is dropped and counted: adding it would count twice.
//! What is cumulative already, gauges and summaries pass untouched.

mod config;
mod metrics;
#[cfg(test)]
mod tests;

pub(crate) use self::config::MAX_STREAMS;

use self::config::Config;
use self::metrics::DeltaMetrics;
use crate::outlet::{ItemMetrics, Outlet, OutletMetrics};
use async_trait::async_trait;
use pipeline::component::{
    Build, BuildContext, ComponentError, Factory, Processor, ProcessorContext, Signal, Stability,
};
use pipeline::config::Node;
use pipeline::temporality::Accumulator;
use pipeline::{AckOutcome, MetricBatch};
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval};

/// How often streams that have ended are looked for.
const TIDY_INTERVAL: Duration = Duration::from_secs(60);

/// Describes and builds the `deltatocumulative` processor.
pub const FACTORY: Factory = Factory {
    type_name: "deltatocumulative",
    aliases: &["delta_to_cumulative"],
    summary: "adds up delta points to cumulative ones",
    signals: &[Signal::Metrics],
    stability: Stability::Stable,
    live_update: false,
    validate: |node| Config::read(node).map(drop),
    build: Build::Processor(build),
};

fn build(node: &Node, context: &BuildContext) -> Result<Box<dyn Processor>, ComponentError> {
    let config = Config::read(node).map_err(|errors| ComponentError::caused("invalid configuration", errors))?;
    let items = ItemMetrics::new(context);
    Ok(Box::new(DeltaToCumulative {
        accumulator: Accumulator::new(config.limits()),
        metrics: DeltaMetrics::new(context, config.limits()),
        outlet: OutletMetrics::new(context, &items),
        items,
    }))
}

struct DeltaToCumulative {
    accumulator: Accumulator,
    metrics: DeltaMetrics,
    items: ItemMetrics,
    outlet: OutletMetrics,
}

#[async_trait]
impl Processor for DeltaToCumulative {
    async fn run(self: Box<Self>, context: ProcessorContext) -> Result<(), ComponentError> {
        let ProcessorContext { mut input, output } = context;
        let Self { mut accumulator, metrics, items, outlet } = *self;
        let mut outlet: Outlet = outlet.into_outlet(output);
        let mut tidying = interval(TIDY_INTERVAL);
        tidying.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let received = tokio::select! {
                // The timer first: under steady traffic there is always another batch.
                biased;
                now = tidying.tick() => {
                    accumulator.tidy(now);
                    metrics.tracked(accumulator.streams());
                    continue;
                }
                received = input.recv() => received,
            };
            let Some(mut batch) = received else { return Ok(()) };
            items.incoming.add(batch.len() as u64);
            accumulate(&mut accumulator, &mut batch, &metrics);
            metrics.tracked(accumulator.streams());
            if batch.is_empty() {
                // Nothing is left to wait for.
                batch.acks.resolve(AckOutcome::Delivered);
            } else {
                outlet.send(batch).await;
            }
        }
    }
}

/// Makes the deltas of a batch cumulative. One without deltas is not touched, even if others share it.
fn accumulate(accumulator: &mut Accumulator, batch: &mut MetricBatch, metrics: &DeltaMetrics) {
    if !batch.groups().iter().any(|group| accumulator.concerns(group)) {
        return;
    }
    let now = Instant::now();
    batch.groups_mut(|groups| {
        for group in groups.iter_mut() {
            if accumulator.concerns(group) {
                let before = group.points.len();
                accumulator.accumulate(group, now, |reason, _| metrics.refused(reason));
                metrics.processed(before);
            }
        }
        groups.retain(|group| !group.points.is_empty());
    });
}

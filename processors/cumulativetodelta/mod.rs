//! `cumulativetodelta`: turns cumulative points of monotonic sums and histograms into what was added since the point before.
//!
//! ```yaml
//! processors:
//!   cumulativetodelta:
//!     include:
//!       match_type: regexp
//!       metrics: ["http_.*"]
//!       metric_types: [sum, histogram]
//!     initial_value: auto
//! ```
//!
//! | Key | Default | Meaning |
//! |---|---|---|
//! | `include`, `exclude` | all | Which metrics: `match_type` (`strict` or `regexp`) with `metrics`, and `metric_types` (`sum`, `histogram`, `exponentialhistogram`). |
//! | `max_staleness` | `1h` | A stream is forgotten when no point of it came for so long. `0`: never. |
//! | `initial_value` | `auto` | What becomes of the first point of a stream: `keep`, `drop`, or kept if counting began after this processor did (`auto`). |
//! | `max_streams` | `1000000` | So many streams are remembered; points of further ones are dropped and counted. |
//!
//! A point that is less than the one before it means that counting began anew: it is dropped, and the next one is
//! compared with it. The same happens when the bounds of a histogram change. Least and greatest observation are not known of a
//! delta and left out. Gauges, summaries and sums that are not monotonic pass untouched.

mod config;
mod convert;
mod metrics;
#[cfg(test)]
mod tests;

use self::config::Config;
use self::convert::Converter;
use self::metrics::CumulativeMetrics;
use crate::outlet::{ItemMetrics, Outlet, OutletMetrics};
use async_trait::async_trait;
use pipeline::AckOutcome;
use pipeline::component::{
    Build, BuildContext, ComponentError, Factory, Processor, ProcessorContext, Signal, Stability,
};
use pipeline::config::Node;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval};

/// How often streams that have ended are looked for.
const TIDY_INTERVAL: Duration = Duration::from_secs(60);

/// Describes and builds the `cumulativetodelta` processor.
pub const FACTORY: Factory = Factory {
    type_name: "cumulativetodelta",
    aliases: &["cumulative_to_delta"],
    summary: "turns cumulative points into deltas",
    signals: &[Signal::Metrics],
    stability: Stability::Stable,
    live_update: false,
    validate: |node| Config::read(node).map(drop),
    build: Build::Processor(build),
};

fn build(node: &Node, context: &BuildContext) -> Result<Box<dyn Processor>, ComponentError> {
    let config = Config::read(node).map_err(|errors| ComponentError::caused("invalid configuration", errors))?;
    let items = ItemMetrics::new(context);
    Ok(Box::new(CumulativeToDelta {
        converter: Converter::new(config),
        metrics: CumulativeMetrics::new(context),
        outlet: OutletMetrics::new(context, &items),
        items,
    }))
}

struct CumulativeToDelta {
    converter: Converter,
    metrics: CumulativeMetrics,
    items: ItemMetrics,
    outlet: OutletMetrics,
}

#[async_trait]
impl Processor for CumulativeToDelta {
    async fn run(self: Box<Self>, context: ProcessorContext) -> Result<(), ComponentError> {
        let ProcessorContext { mut input, output } = context;
        let Self { mut converter, metrics, items, outlet } = *self;
        let mut outlet: Outlet = outlet.into_outlet(output);
        let mut tidying = interval(TIDY_INTERVAL);
        tidying.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let received = tokio::select! {
                // The timer first: under steady traffic there is always another batch.
                biased;
                now = tidying.tick() => {
                    converter.tidy(now);
                    metrics.tracked(converter.streams());
                    continue;
                }
                received = input.recv() => received,
            };
            let Some(mut batch) = received else { return Ok(()) };
            items.incoming.add(batch.len() as u64);
            converter.convert(&mut batch, Instant::now(), |kind, outcome| metrics.count(kind, outcome));
            metrics.tracked(converter.streams());
            if batch.is_empty() {
                // Nothing is left to wait for.
                batch.acks.resolve(AckOutcome::Delivered);
            } else {
                outlet.send(batch).await;
            }
        }
    }
}

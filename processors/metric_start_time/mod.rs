//! `metricstarttime`: says since when cumulative points count, where their source does not.
//!
//! ```yaml
//! processors:
//!   metricstarttime:
//!     strategy: true_reset_point
//! ```
//!
//! | Key | Default | Meaning |
//! |---|---|---|
//! | `strategy` | `true_reset_point` | How the start is found, see below. |
//! | `gc_interval` | `10m` | A series is forgotten when no point of it came for so long. |
//! | `start_time_metric_regex` | | Names of metrics that tell the start, for the strategy `start_time_metric`. Default `process_start_time_seconds`. |
//! | `max_streams` | `1000000` | So many series are remembered; points of further ones pass as they are, and are counted. |
//!
//! - `true_reset_point`: a series counts from its first point, and after a reset from a millisecond before the point that shows it.
//! - `subtract_initial_point`: the first point is dropped, and taken off all that follow until a reset. Rates are right from the
//!   second point on, and values are smaller than the source's.
//! - `start_time_metric`: the source says itself when it was started, as a gauge in seconds.
//!
//! Concerned are monotonic sums, histograms and summaries that are cumulative, whole or in the series that Prometheus makes of them.
//! Points with a start time keep it. Scraped metrics come without one unless the page has `_created`.

mod adjust;
mod config;
#[cfg(test)]
mod tests;

use self::adjust::Adjuster;
use self::config::Config;
use crate::outlet::{ItemMetrics, Outlet, OutletMetrics, dropped};
use async_trait::async_trait;
use pipeline::AckOutcome;
use pipeline::component::{
    Build, BuildContext, ComponentError, Factory, Processor, ProcessorContext, Signal, Stability,
};
use pipeline::config::Node;
use pipeline::telemetry::{Counter, Gauge};
use tokio::time::Instant;

/// Describes and builds the `metricstarttime` processor.
pub const FACTORY: Factory = Factory {
    type_name: "metricstarttime",
    aliases: &[],
    summary: "says since when cumulative points count",
    signals: &[Signal::Metrics],
    stability: Stability::Beta,
    live_update: false,
    validate: |node| Config::read(node).map(drop),
    build: Build::Processor(build),
};

/// What the processor counts.
#[derive(Debug)]
struct Metrics {
    initial: Counter,
    unadjusted: Counter,
    streams: Gauge,
}

fn build(node: &Node, context: &BuildContext) -> Result<Box<dyn Processor>, ComponentError> {
    let config = Config::read(node).map_err(|errors| ComponentError::caused("invalid configuration", errors))?;
    let (id, telemetry) = (context.id.to_string(), &context.telemetry);
    let of = [("processor", id.as_str())];
    let metrics = Metrics {
        // As intended: the point is the reference for those that follow.
        initial: dropped(telemetry, Signal::Metrics, &id, "initial_point"),
        unadjusted: telemetry.counter(
            "otelcol_processor_metricstarttime_unadjusted_points",
            "Points that passed as they are because there are as many series as may be.",
            &of,
        ),
        streams: telemetry.gauge(
            "otelcol_processor_metricstarttime_streams",
            "Number of series that are remembered.",
            &of,
        ),
    };
    let items = ItemMetrics::new(context);
    let outlet = OutletMetrics::new(context, &items);
    Ok(Box::new(MetricStartTime { adjuster: Adjuster::new(config), metrics, items, outlet }))
}

struct MetricStartTime {
    adjuster: Adjuster,
    metrics: Metrics,
    items: ItemMetrics,
    outlet: OutletMetrics,
}

#[async_trait]
impl Processor for MetricStartTime {
    async fn run(self: Box<Self>, context: ProcessorContext) -> Result<(), ComponentError> {
        let ProcessorContext { mut input, output } = context;
        let Self { mut adjuster, metrics, items, outlet } = *self;
        let mut outlet: Outlet = outlet.into_outlet(output);
        while let Some(mut batch) = input.recv().await {
            items.incoming.add(batch.len() as u64);
            let adjusted = adjuster.adjust(&mut batch, Instant::now());
            metrics.initial.add(adjusted.initial);
            metrics.unadjusted.add(adjusted.over_limit);
            metrics.streams.set(adjuster.streams() as f64);
            if batch.is_empty() {
                batch.acks.resolve(AckOutcome::Delivered);
            } else {
                outlet.send(batch).await;
            }
        }
        Ok(())
    }
}

//! `relabel`: Prometheus' relabel rules for any metric that passes, whatever receiver it came from.
//!
//! ```yaml
//! processors:
//!   relabel:
//!     rules:
//!       - source_labels: [__name__]
//!         regex: go_.*
//!         action: drop
//!       - source_labels: [instance]
//!         regex: ([^:]+):\d+
//!         target_label: host
//! ```
//!
//! | Key | Default | Meaning |
//! |---|---|---|
//! | `rules` | `[]` | The rules, in order, with the keys, defaults, actions and regular expressions of Prometheus' `metric_relabel_configs`. |
//! | `metric_name_validation_scheme` | `utf8` | Which label names a rule may write: `utf8` or `legacy`. |
//!
//! # What rules see
//!
//! Each series is shown to the rules as one set of labels, and what they leave of it is what the series becomes:
//!
//! | Label | What it is | Where a change goes |
//! |---|---|---|
//! | `__name__` | The sample's name, as the source wrote it: `http_requests_total`, `rpc_seconds_bucket`, `http.server.duration`. | The series' name. A family is renamed with its parts: `a_bucket` to `b_bucket` makes the family `b`. A part whose new name or labels do not fit it any more (`a_bucket` to `b`, or without `le`) becomes a metric of its own of unknown type. |
//! | `le`, `quantile` | Bound of a classic bucket, or quantile of a summary. | The bucket or quantile. |
//! | `job`, `instance` | `service.namespace`/`service.name` and `service.instance.id` of the resource, as Prometheus shows them. Without those, attributes of that name. | The resource: `job` becomes `service.name` (the namespace is then gone), `instance` becomes `service.instance.id`. |
//! | any attribute | Attributes of the point, by their keys, unchanged (`http.method`, not `http_method`). Values that are not text are shown as text and keep their type unless a rule changes them. | The attribute, as text. |
//! | `__meta_resource_<key>` | Each attribute of the resource; characters other than letters, digits and `_` are `_`. | Nowhere: it is there to be read, `labelmap` included. |
//! | `__meta_scope_name`, `__meta_scope_version` | The instrumentation scope. | Nowhere. |
//!
//! An empty value is the same as no label. Labels that begin with `__`, other than `__name__`, are gone in the end.
//! A series that is left without a name is dropped. If two series become one, both pass, and the store decides; avoid it.
//!
//! A histogram that travels whole, as OTLP sends it, has one name and no `le`: rules for `_bucket` series do not match it.
//!
//! # Cost
//!
//! Rules are applied once to each series when it appears, and the outcome is remembered for as long as the
//! series lives. Where rules read only names and attributes, targets that serve the same page share
//! it. Rules that read `instance` or the resource are applied to each series of each target once. A rule that writes
//! another `instance` or `job` for each series makes as many resources, which costs memory here and in exporters.

mod config;
mod edit;
mod metrics;
mod rules;
mod verdict;
mod view;

#[cfg(test)]
mod tests;

use self::config::Config;
use self::metrics::RelabelMetrics;
use self::verdict::RelabelJudge;
use crate::outlet::{ItemMetrics, Outlet, OutletMetrics};
use crate::routing::{Router, SWEEP_INTERVAL};
use async_trait::async_trait;
use pipeline::AckOutcome;
use pipeline::component::{
    Build, BuildContext, ComponentError, Factory, Processor, ProcessorContext, Signal, Stability,
};
use pipeline::config::Node;
use tokio::time::{MissedTickBehavior, interval};

/// Describes and builds the `relabel` processor.
pub const FACTORY: Factory = Factory {
    type_name: "relabel",
    aliases: &[],
    summary: "applies Prometheus relabel rules to any metric",
    signals: &[Signal::Metrics],
    stability: Stability::Beta,
    live_update: false,
    validate: |node| Config::read(node).map(drop),
    build: Build::Processor(build),
};

fn build(node: &Node, context: &BuildContext) -> Result<Box<dyn Processor>, ComponentError> {
    let config = Config::read(node).map_err(|errors| ComponentError::caused("invalid configuration", errors))?;
    let items = ItemMetrics::new(context);
    Ok(Box::new(Relabel {
        router: Router::new(RelabelJudge::new(config.rules)),
        evaluated: 0,
        metrics: RelabelMetrics::new(context),
        outlet: OutletMetrics::new(context, &items),
        items,
    }))
}

struct Relabel {
    router: Router<RelabelJudge>,
    /// Evaluations that are counted in the metrics.
    evaluated: u64,
    metrics: RelabelMetrics,
    items: ItemMetrics,
    outlet: OutletMetrics,
}

#[async_trait]
impl Processor for Relabel {
    async fn run(self: Box<Self>, context: ProcessorContext) -> Result<(), ComponentError> {
        let ProcessorContext { mut input, output } = context;
        let Self { mut router, mut evaluated, metrics, items, outlet } = *self;
        let mut outlet: Outlet = outlet.into_outlet(output);
        let mut sweeps = interval(SWEEP_INTERVAL);
        sweeps.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let received = tokio::select! {
                // Sweeps first: under steady traffic there is always another batch.
                biased;
                _ = sweeps.tick() => {
                    router.cache.timed_sweep();
                    metrics.cache(router.cache.sizes(), 0);
                    continue;
                }
                received = input.recv() => received,
            };
            let Some(batch) = received else { return Ok(()) };
            items.incoming.add(batch.len() as u64);
            let (batch, dropped) = router.lead(batch);
            metrics.dropped(dropped);
            let total = router.cache.evaluated();
            metrics.cache(router.cache.sizes(), total - std::mem::replace(&mut evaluated, total));
            if batch.is_empty() {
                // Nothing is left to wait for.
                batch.acks.resolve(AckOutcome::Delivered);
            } else {
                outlet.send(batch).await;
            }
        }
    }
}

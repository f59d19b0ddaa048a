//! `memory_limiter`: refuses new data while the process uses too much memory, instead of being killed.
//!
//! ```yaml
//! processors:
//!   memory_limiter:
//!     check_interval: 1s
//!     limit_mib: 400
//!     spike_limit_mib: 80
//! ```
//!
//! | Key | Default | Meaning |
//! |---|---|---|
//! | `check_interval` | none, required | How often the memory is read. 1s suits most; it costs some ten microseconds. |
//! | `limit_mib` | `0` | The hard limit in MiB. One of `limit_mib` and `limit_percentage` is needed; this one goes first. |
//! | `spike_limit_mib` | a fifth of the limit | Room below the hard limit for data that is on its way already. |
//! | `limit_percentage` | `0` | The hard limit as a share of the memory there is: the control group's limit (v1 or v2, the smallest up to the root), else the machine's memory. |
//! | `spike_limit_percentage` | a fifth of the limit | The same for the room below it. |
//! | `min_gc_interval_when_soft_limited`, `min_gc_interval_when_hard_limited`, `max_gc_interval_when_soft_limited`, `max_gc_interval_when_hard_limited` | | Accepted so that existing files load; there is no garbage collector. |
//!
//! What counts is the resident memory of the process, which is what the kernel's OOM killer looks at, and not
//! some internal account of it. From the soft limit (hard limit minus spike limit) on, the *entry* of the
//! pipeline refuses data with `data refused due to high memory usage`, which receivers pass on in their
//! protocol's words so that senders try again; refused items are counted. What is inside already passes and
//! is delivered. Below the soft limit data is admitted again. Above the hard limit an error is logged in addition.
//! The limiter never ends the process.
//!
//! Its place among the processors does not matter, but put it first, where readers expect it. On systems other
//! than Linux the memory of a process cannot be read in this way: then everything is admitted and a warning says so,
//! and `limit_percentage` is an error.

mod config;
mod limiter;
mod system;

#[cfg(test)]
mod tests;

use self::config::Config;
use self::limiter::{Limiter, LimiterMetrics};
use self::system::System;
use crate::outlet::{ItemMetrics, OutletMetrics};
use async_trait::async_trait;
use pipeline::Gate;
use pipeline::component::{
    Build, BuildContext, ComponentError, Factory, Processor, ProcessorContext, Signal, Stability,
};
use pipeline::config::Node;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::MissedTickBehavior;

/// Describes and builds the `memory_limiter` processor.
pub const FACTORY: Factory = Factory {
    type_name: "memory_limiter",
    aliases: &[],
    summary: "refuses new data while the process uses too much memory",
    signals: &[Signal::Metrics, Signal::Traces, Signal::Logs],
    stability: Stability::Stable,
    live_update: false,
    validate: |node| Config::read(node).map(drop),
    build: Build::Processor(build),
};

fn build(node: &Node, context: &BuildContext) -> Result<Box<dyn Processor>, ComponentError> {
    let processor = MemoryLimiter::new(node, context, System::default())?;
    Ok(Box::new(processor))
}

struct MemoryLimiter {
    interval: Duration,
    limiter: Arc<Limiter>,
    items: ItemMetrics,
    outlet: OutletMetrics,
}

impl MemoryLimiter {
    fn new(node: &Node, context: &BuildContext, system: System) -> Result<Self, ComponentError> {
        let config = Config::read(node).map_err(|errors| ComponentError::caused("invalid configuration", errors))?;
        let limits = config.limits(&system)?;
        let items = ItemMetrics::new(context);
        tracing::info!(
            processor = %context.id,
            limit_mib = limits.hard >> 20,
            soft_limit_mib = limits.soft >> 20,
            "The memory limiter is set up.",
        );
        Ok(Self {
            interval: config.check_interval.to_std(),
            limiter: Arc::new(Limiter::new(limits, system, LimiterMetrics::new(context))),
            outlet: OutletMetrics::new(context, &items),
            items,
        })
    }
}

#[async_trait]
impl Processor for MemoryLimiter {
    fn gate(&self) -> Option<Arc<dyn Gate>> {
        Some(Arc::<Limiter>::clone(&self.limiter))
    }

    async fn run(self: Box<Self>, context: ProcessorContext) -> Result<(), ComponentError> {
        let ProcessorContext { mut input, output } = context;
        let Self { interval, limiter, items, outlet } = *self;
        let mut outlet = outlet.into_outlet(output);
        let checks = async {
            let mut ticks = tokio::time::interval(interval);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                limiter.check();
            }
        };
        let passing = async {
            while let Some(batch) = input.recv_any().await {
                let count = batch.len() as u64;
                items.incoming.add(count);
                limiter.accepted(count);
                outlet.send(batch).await;
            }
        };
        // Checks go on while a batch waits for room further down: that is when memory grows.
        tokio::select! {
            () = checks => {}
            () = passing => {}
        }
        limiter.open();
        Ok(())
    }
}

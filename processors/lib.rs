//! Processors: what changes, drops or groups telemetry on its way from receivers to exporters.
//!
//! Each module is one component and exports its `FACTORY`. What is documented at the top of a module is what
//! a user of that component needs to know: its keys, their defaults, and what they mean.

mod actions;
pub mod attributes;
pub mod batch;
pub mod cumulativetodelta;
pub mod deltatocumulative;
mod editing;
mod matching;
pub mod memory_limiter;
pub mod metric_start_time;
mod outlet;
pub mod relabel;
pub mod resource;
mod routing;

#[cfg(test)]
mod testing;

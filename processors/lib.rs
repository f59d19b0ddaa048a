//! Processors: what changes, drops or groups telemetry on its way from receivers to exporters.
//!
//! Each module is one component and exports its `FACTORY`. What is documented at the top of a module is what
//! a user of that component needs to know: its keys, their defaults, and what they mean.

pub mod batch;
pub mod memory_limiter;
pub mod metric_start_time;
mod outlet;
pub mod relabel;

#[cfg(test)]
mod testing;

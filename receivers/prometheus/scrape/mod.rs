//! Scraping: a loop per target ([`target_loop`]), the loops of all jobs ([`pools`]), and what a scrape
//! gives ([`state`]).

mod buffers;
mod fetch;
mod grid;
mod job;
mod metrics;
mod pools;
mod report;
mod state;
mod target_loop;
#[cfg(test)]
mod tests;

pub(super) use job::{ReceiverShared, SampleSettings};
pub(super) use pools::{PoolSettings, Pools};

use pipeline::Output;
use pipeline::telemetry::Telemetry;

impl ReceiverShared {
    pub(super) fn new(output: Output, telemetry: &Telemetry, receiver: &str, user_agent: String) -> Self {
        Self {
            output,
            metrics: metrics::Metrics::new(telemetry, receiver),
            buffers: buffers::Buffers::default(),
            user_agent,
        }
    }
}

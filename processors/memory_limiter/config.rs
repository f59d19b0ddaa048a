//! The keys of `memory_limiter`, and the limits they amount to.

use super::limiter::Limits;
use super::system::System;
use pipeline::component::ComponentError;
use pipeline::config::{ConfigErrors, GoDuration, Node, decode};
use serde::Deserialize;

const MIB: u64 = 1 << 20;

/// The keys of `memory_limiter`; see the module's documentation.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub(super) struct Config {
    pub(super) check_interval: GoDuration,
    limit_mib: u32,
    spike_limit_mib: u32,
    limit_percentage: u32,
    spike_limit_percentage: u32,
    min_gc_interval_when_soft_limited: GoDuration,
    min_gc_interval_when_hard_limited: GoDuration,
    max_gc_interval_when_soft_limited: GoDuration,
    max_gc_interval_when_hard_limited: GoDuration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            check_interval: GoDuration::ZERO,
            limit_mib: 0,
            spike_limit_mib: 0,
            limit_percentage: 0,
            spike_limit_percentage: 0,
            // The Collector's defaults: that one of a pair is too large for the other is an error there.
            min_gc_interval_when_soft_limited: GoDuration::from_secs(10),
            min_gc_interval_when_hard_limited: GoDuration::ZERO,
            max_gc_interval_when_soft_limited: GoDuration::from_secs(30),
            max_gc_interval_when_hard_limited: GoDuration::from_secs(30),
        }
    }
}

impl Config {
    /// Reads and checks the block. The messages are the Collector's, but all that apply are given.
    pub(super) fn read(node: &Node) -> Result<Self, ConfigErrors> {
        let config: Self = decode(node, "")?;
        let mut errors = ConfigErrors::new();
        let mut refuse = |wrong: bool, key: &str, message: &str| {
            if wrong {
                errors.push(node.error_at("", key, message));
            }
        };
        refuse(
            config.check_interval <= GoDuration::ZERO,
            "check_interval",
            "'check_interval' must be greater than zero",
        );
        refuse(
            config.min_gc_interval_when_soft_limited < config.min_gc_interval_when_hard_limited,
            "min_gc_interval_when_soft_limited",
            "'min_gc_interval_when_soft_limited' should be larger than 'min_gc_interval_when_hard_limited'",
        );
        refuse(
            config.max_gc_interval_when_soft_limited < config.max_gc_interval_when_hard_limited,
            "max_gc_interval_when_soft_limited",
            "'max_gc_interval_when_soft_limited' should be larger than 'max_gc_interval_when_hard_limited'",
        );
        refuse(
            config.limit_mib == 0 && config.limit_percentage == 0,
            "limit_mib",
            "'limit_mib' or 'limit_percentage' must be greater than zero",
        );
        let over = if config.limit_percentage > 100 { "limit_percentage" } else { "spike_limit_percentage" };
        refuse(
            config.limit_percentage > 100 || config.spike_limit_percentage > 100,
            over,
            "'limit_percentage' and 'spike_limit_percentage' must be greater than zero and less than or equal to hundred",
        );
        refuse(
            config.limit_mib > 0 && config.limit_mib <= config.spike_limit_mib,
            "spike_limit_mib",
            "'spike_limit_mib' must be smaller than 'limit_mib'",
        );
        refuse(
            config.limit_percentage > 0 && config.limit_percentage <= config.spike_limit_percentage,
            "spike_limit_percentage",
            "'spike_limit_percentage' must be smaller than 'limit_percentage'",
        );
        errors.into_result(config)
    }

    /// The limits in bytes; percentages are of the memory that `system` has for this process.
    pub(super) fn limits(&self, system: &System) -> Result<Limits, ComponentError> {
        let (hard, spike) = if self.limit_mib > 0 {
            (u64::from(self.limit_mib) * MIB, u64::from(self.spike_limit_mib) * MIB)
        } else {
            let total = system.available().map_err(|error| {
                ComponentError::caused(
                    "limit_percentage: cannot find out how much memory there is; write limit_mib instead",
                    error,
                )
            })?;
            // In two steps, so that no amount of memory overflows.
            let share = |percentage: u32| total / 100 * u64::from(percentage);
            (share(self.limit_percentage), share(self.spike_limit_percentage))
        };
        let spike = if spike == 0 { hard / 5 } else { spike };
        Ok(Limits { hard, soft: hard.saturating_sub(spike) })
    }
}

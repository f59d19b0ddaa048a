//! The keys of `deltatocumulative`.

use pipeline::config::{ConfigErrors, GoDuration, Node, decode};
use pipeline::temporality::StreamLimits;
use serde::Deserialize;

/// A stream of a sum takes some 200 bytes and one of a histogram several times as much: a million are more than a gateway
/// should have, and what a memory of one gigabyte can hold. The Collector has no limit.
pub(crate) const MAX_STREAMS: i64 = 1_000_000;

/// The keys of `deltatocumulative`; see the module's documentation.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Config {
    max_stale: GoDuration,
    max_streams: i64,
}

impl Default for Config {
    fn default() -> Self {
        Self { max_stale: GoDuration::from_secs(300), max_streams: MAX_STREAMS }
    }
}

impl Config {
    /// Reads and checks the block.
    pub(super) fn read(node: &Node) -> Result<Self, ConfigErrors> {
        let config: Self = decode(node, "")?;
        let mut errors = ConfigErrors::new();
        if config.max_stale.is_negative() || config.max_stale.to_std().is_zero() {
            let message = format!("max_stale must be a positive duration (got {})", config.max_stale);
            errors.push(node.error_at("", "max_stale", message));
        }
        if config.max_streams < 0 {
            let message = format!("max_streams must be a positive number (got {})", config.max_streams);
            errors.push(node.error_at("", "max_streams", message));
        }
        errors.into_result(config)
    }

    pub(super) fn limits(&self) -> StreamLimits {
        StreamLimits { max_streams: usize::try_from(self.max_streams).unwrap_or(0), max_stale: self.max_stale.to_std() }
    }
}

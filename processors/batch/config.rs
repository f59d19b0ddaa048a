//! The keys of `batch`.

use pipeline::config::{ConfigErrors, GoDuration, Node, StringList, decode};
use serde::Deserialize;
use std::collections::HashSet;

/// The keys of `batch`; see the module's documentation.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub(super) struct Config {
    pub(super) timeout: GoDuration,
    pub(super) send_batch_size: u32,
    pub(super) send_batch_max_size: u32,
    pub(super) metadata_keys: StringList,
    pub(super) metadata_cardinality_limit: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            timeout: GoDuration::from_millis(200),
            send_batch_size: 8192,
            send_batch_max_size: 0,
            metadata_keys: StringList::default(),
            metadata_cardinality_limit: 1000,
        }
    }
}

impl Config {
    /// Reads and checks the block. The messages are the Collector's.
    pub(super) fn read(node: &Node) -> Result<Self, ConfigErrors> {
        let config: Self = decode(node, "")?;
        let mut errors = ConfigErrors::new();
        let mut refuse = |key: &str, message: &str| errors.push(node.error_at("", key, message));
        if config.send_batch_max_size > 0 && config.send_batch_max_size < config.send_batch_size {
            refuse("send_batch_max_size", "send_batch_max_size must be greater or equal to send_batch_size");
        }
        if config.timeout.is_negative() {
            refuse("timeout", "timeout must be greater or equal to 0");
        }
        let mut seen = HashSet::new();
        for key in config.metadata_keys.iter().map(|key| key.to_ascii_lowercase()) {
            if seen.contains(&key) {
                refuse("metadata_keys", &format!("duplicate entry in metadata_keys: {key:?} (case-insensitive)"));
            }
            seen.insert(key);
        }
        errors.into_result(config)
    }
}

//! The keys of `file_storage`.

use pipeline::config::{ConfigErrors, GoDuration, Node, decode};
use serde::Deserialize;
use std::path::PathBuf;
use std::time::Duration;
use wal::{Storage, SyncPolicy};

/// Where things are kept when nothing else is said, as in the Collector.
pub const DEFAULT_DIRECTORY: &str = "/var/lib/otelcol/file_storage";

/// As the Collector has them.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FileStorageConfig {
    /// The directory, absolute or relative to the working directory. Default [`DEFAULT_DIRECTORY`].
    pub directory: String,
    /// How long a component waits for a log that another process, or its own predecessor in a reload, still has.
    /// Default 1s.
    pub timeout: GoDuration,
    /// Force every write to the disk before it counts as done. Default false: at the latest after a second.
    pub fsync: bool,
    /// Create the directory, and those above it, if it is missing. Default false.
    pub create_directory: bool,
    /// Permissions of directories that are made, in octal, less the process' umask. Default `0750`.
    pub directory_permissions: String,
    /// The Collector starts over with a new database if the old one is damaged. A damaged log is read around the damage
    /// in any case; accepted, without effect.
    pub recreate: bool,
    /// Accepted, without effect.
    pub compaction: CompactionConfig,
}

impl Default for FileStorageConfig {
    fn default() -> Self {
        Self {
            directory: DEFAULT_DIRECTORY.to_owned(),
            timeout: GoDuration::from_secs(1),
            fsync: false,
            create_directory: false,
            directory_permissions: "0750".to_owned(),
            recreate: false,
            compaction: CompactionConfig::default(),
        }
    }
}

/// When the Collector's database is compacted. A log in segments has nothing to compact.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CompactionConfig {
    /// At start. Default false.
    pub on_start: bool,
    /// While it runs. Default false.
    pub on_rebound: bool,
    /// Where to.
    pub directory: String,
    /// MiB beyond which it is needed.
    pub rebound_needed_threshold_mib: Option<i64>,
    /// MiB below which it begins.
    pub rebound_trigger_threshold_mib: Option<i64>,
    /// Size of its transactions.
    pub max_transaction_size: Option<i64>,
    /// How often to look.
    pub check_interval: Option<GoDuration>,
    /// Remove what an interrupted one has left.
    pub cleanup_on_start: bool,
}

impl CompactionConfig {
    /// Whether somebody expects it to happen.
    pub(super) fn is_asked_for(&self) -> bool {
        self.on_start || self.on_rebound
    }
}

impl FileStorageConfig {
    /// Reads and checks the extension's block.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn read(node: &Node) -> Result<Self, ConfigErrors> {
        let config: Self = decode(node, "")?;
        let mut errors = ConfigErrors::new();
        if config.directory.is_empty() {
            errors.push(node.error_at("", "directory", "directory is empty: name one, or leave the key out"));
        }
        if config.permissions().is_none() {
            let message = "directory_permissions must be octal and give permissions only, like 0750";
            errors.push(node.error_at("", "directory_permissions", message));
        }
        let compaction = &config.compaction;
        if compaction.max_transaction_size.is_some_and(|size| size < 0) {
            let message = "max transaction size for compaction cannot be less than 0";
            errors.push(node.error_at("", "compaction::max_transaction_size", message));
        }
        if compaction.on_rebound && compaction.check_interval.is_some_and(|every| every.to_std() == Duration::ZERO) {
            let message = "compaction check interval must be positive when rebound compaction is set";
            errors.push(node.error_at("", "compaction::check_interval", message));
        }
        errors.into_result(config)
    }

    fn permissions(&self) -> Option<u32> {
        u32::from_str_radix(&self.directory_permissions, 8).ok().filter(|bits| *bits <= 0o777)
    }

    /// What is offered to components.
    pub(super) fn storage(&self) -> Storage {
        Storage {
            directory: PathBuf::from(&self.directory),
            permissions: self.permissions().unwrap_or(0o750),
            timeout: self.timeout.to_std(),
            sync: if self.fsync { SyncPolicy::Always } else { SyncPolicy::default() },
        }
    }
}

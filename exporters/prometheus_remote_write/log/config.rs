//! The `wal` block.

use pipeline::config::{ComponentId, ConfigErrors, GoDuration, Node, decode};
use serde::Deserialize;
use std::path::PathBuf;
use std::time::Duration;
use wal::SyncPolicy;

/// Bytes of the log, unless `max_bytes` says otherwise: at two bytes a sample some two thousand million, six hours of
/// 100,000 a second.
const DEFAULT_BYTES: u64 = 4 << 30;

/// How often gauges are brought up to date, unless `lag_record_frequency` says otherwise.
const DEFAULT_PUBLISH: Duration = Duration::from_secs(1);

/// As written. The first four are the Collector's.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(in super::super) struct WalKeys {
    /// Where logs are kept. Default: the working directory.
    directory: Option<String>,
    /// Accepted, without effect: what is read at once follows from what the store takes.
    buffer_size: Option<i64>,
    /// Accepted, without effect: segments are deleted as soon as everybody has them.
    truncate_frequency: Option<GoDuration>,
    /// How often gauges are brought up to date. Default 1s.
    lag_record_frequency: Option<GoDuration>,
    /// A `file_storage` extension in place of `directory`. Ours.
    storage: Option<String>,
    /// Bytes of the log. Default 4 GiB. Ours.
    max_bytes: Option<u64>,
    /// Age of samples. Default: no limit but the store's. Ours.
    max_age: Option<GoDuration>,
    /// `interval`, `always` or `never`. Default `interval`, or what the extension says. Ours.
    fsync: Option<String>,
    /// With `fsync: interval`. Default 1s. Ours.
    fsync_interval: Option<GoDuration>,
    /// Bytes of a segment. Default 64 MiB. Ours.
    segment_bytes: Option<u64>,
}

/// Where the log is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) enum Place {
    Directory(PathBuf),
    Storage(ComponentId),
}

/// The block, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct LogSettings {
    pub(super) place: Place,
    pub(super) max_bytes: u64,
    pub(super) max_age: Option<Duration>,
    /// `None`: as the storage says.
    pub(super) sync: Option<SyncPolicy>,
    pub(super) segment_bytes: Option<u64>,
    pub(super) publish_every: Duration,
}

impl LogSettings {
    /// Reads the block of an exporter.
    pub(in super::super) fn read(exporter: &Node) -> Result<Option<Self>, ConfigErrors> {
        let Some(node) = exporter.get("wal").filter(|node| !node.is_null()) else { return Ok(None) };
        let keys: WalKeys = decode(node, "wal")?;
        let mut errors = ConfigErrors::new();
        let mut refuse =
            |key: &str, message: String| errors.push(exporter.error_at("", &format!("wal::{key}"), message));
        let sync = match (keys.fsync.as_deref(), keys.fsync_interval) {
            (None, None) => None,
            (None | Some("interval"), interval) => {
                let interval = interval.map_or(Duration::from_secs(1), GoDuration::to_std);
                if interval < Duration::from_millis(100) {
                    refuse(
                        "fsync_interval",
                        "fsync_interval must be at least 100ms: use fsync: always for less".into(),
                    );
                }
                Some(SyncPolicy::Every(interval))
            }
            (Some("always"), _) => Some(SyncPolicy::Always),
            (Some("never"), _) => Some(SyncPolicy::Never),
            (Some(other), _) => {
                refuse("fsync", format!("unknown policy {other:?}: use interval, always or never"));
                None
            }
        };
        let directory = keys.directory.filter(|directory| !directory.is_empty());
        let place = match (directory, keys.storage) {
            (Some(_), Some(_)) => {
                refuse("storage", "at most one of directory and storage must be configured".into());
                None
            }
            (Some(directory), None) => Some(Place::Directory(directory.into())),
            (None, None) => Some(Place::Directory(PathBuf::from("."))),
            (None, Some(id)) => match id.parse() {
                Ok(id) => Some(Place::Storage(id)),
                Err(error) => {
                    refuse("storage", format!("{error}"));
                    None
                }
            },
        };
        let max_bytes = keys.max_bytes.unwrap_or(DEFAULT_BYTES);
        if max_bytes < 1 << 20 {
            refuse("max_bytes", "max_bytes must be at least 1048576".into());
        }
        if keys.segment_bytes.is_some_and(|bytes| bytes < 64 << 10) {
            refuse("segment_bytes", "segment_bytes must be at least 65536".into());
        }
        let max_age = keys.max_age.map(GoDuration::to_std).filter(|age| !age.is_zero());
        let publish_every = keys.lag_record_frequency.map(GoDuration::to_std).filter(|every| !every.is_zero());
        let publish_every = publish_every.unwrap_or(DEFAULT_PUBLISH).max(Duration::from_millis(100));
        match place {
            Some(place) => errors.into_result(Some(Self {
                place,
                max_bytes,
                max_age,
                sync,
                segment_bytes: keys.segment_bytes,
                publish_every,
            })),
            None => Err(errors),
        }
    }
}

//! How a log behaves.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The size at which a segment is full, unless said otherwise. What is written once per segment (the definitions of
/// series) is then a small part of it, and the limit of bytes is kept in steps of this size.
pub(crate) const SEGMENT_BYTES: u64 = 64 << 20;

/// When appended records are forced to the disk, so that they survive the death of the machine. The death of the
/// process they survive in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncPolicy {
    /// Before [`crate::Log::append`] returns.
    Always,
    /// After this time at the latest.
    Every(Duration),
    /// When the kernel thinks fit: usually within half a minute.
    Never,
}

impl Default for SyncPolicy {
    /// A second: what a scrape loses at most when a machine dies is less than what the next scrape brings.
    fn default() -> Self {
        Self::Every(Duration::from_secs(1))
    }
}

/// What [`crate::Log::open`] is given.
#[derive(Clone, Debug)]
pub struct Options {
    /// The log's own directory. Nobody else may write there.
    pub directory: PathBuf,
    /// Whether to create the directory, and those above it, if it is missing. Default true.
    pub create_directory: bool,
    /// Permissions of directories that are made, less the process' umask. Default 0750: labels can be confidential.
    pub permissions: u32,
    /// How long to wait for the directory's lock, such as for a predecessor that is ending. Default 0.
    pub lock_timeout: Duration,
    /// Names of the destinations. A new one begins where the slowest of those stands that were there before, else at the
    /// oldest record that is kept; one that is not named any more is forgotten. Default none.
    pub cursors: Vec<String>,
    /// Bytes after which a segment is full. Default 64 MiB; at most an eighth of `max_bytes`.
    pub segment_bytes: u64,
    /// Bytes of all segments. Beyond it the oldest segment is dropped, and counted, whether read or not. Default none.
    pub max_bytes: Option<u64>,
    /// Age of samples. Records whose newest sample is older are dropped, and counted. Default none.
    pub max_age: Option<Duration>,
    /// When appended records are forced to the disk.
    pub sync: SyncPolicy,
    /// The time in milliseconds since the Unix epoch, which ages are reckoned from.
    pub clock: fn() -> i64,
}

impl Options {
    /// The defaults for a directory.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            create_directory: true,
            permissions: 0o750,
            lock_timeout: Duration::ZERO,
            cursors: Vec::new(),
            segment_bytes: SEGMENT_BYTES,
            max_bytes: None,
            max_age: None,
            sync: SyncPolicy::default(),
            clock: now_ms,
        }
    }

    /// The size at which a segment is full, with regard to the limit.
    pub(crate) fn segment_limit(&self) -> u64 {
        self.max_bytes.map_or(self.segment_bytes, |max| self.segment_bytes.min(max / 8)).max(1)
    }

    /// What is too old now, in milliseconds since the Unix epoch.
    pub(crate) fn age_limit(&self) -> Option<i64> {
        let age = i64::try_from(self.max_age?.as_millis()).unwrap_or(i64::MAX);
        Some((self.clock)().saturating_sub(age))
    }
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

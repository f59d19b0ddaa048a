//! The Collector's `sending_queue` keys (exporterhelper).

use std::time::Duration;

use pipeline::config::{ComponentId, ConfigErrors, GoDuration, Node, Section, StringList};
use serde::Deserialize;

use crate::retry::{Retry, RetryKeys};

/// The `sending_queue` block.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct QueueKeys {
    /// Whether requests wait at all. Default true.
    enabled: Option<bool>,
    /// Requests under way at once. Default 10.
    num_consumers: Option<i64>,
    /// What may wait or be under way, in units of `sizer`. Default 1000.
    queue_size: Option<i64>,
    /// `requests` (default), `items` or `bytes`.
    sizer: Option<String>,
    /// What happens to what comes while the queue is full: it waits (default), or is refused (`false`).
    block_on_overflow: Option<bool>,
    /// Accepted: whoever waits for an outcome gets that of the delivery in any case.
    wait_for_result: bool,
    /// The extension in whose directory the queue is kept. Default: in memory.
    storage: Option<ComponentId>,
    /// Most bytes of the queue's files; beyond it the oldest requests are dropped. Default: none but `queue_size`.
    max_bytes: Option<u64>,
    /// Requests that have waited on disk for longer are dropped. Default: never.
    max_age: Option<GoDuration>,
    /// Put requests together, and cut them, before they are sent. Default: send them as they came.
    batch: Section<BatchKeys>,
}

/// The `batch` block.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct BatchKeys {
    /// How long a request waits for company. Default 200ms.
    flush_timeout: Option<GoDuration>,
    /// What is enough to be sent at once. Default 8192.
    min_size: Option<i64>,
    /// What is sent at most. Default 0: no limit.
    max_size: Option<i64>,
    /// `items` (default) or `bytes`.
    sizer: Option<String>,
    /// What keeps requests apart.
    partition: PartitionKeys,
}

/// The `partition` block.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct PartitionKeys {
    /// Requests of clients with different values of these request headers are not put together. Default: none.
    metadata_keys: StringList,
}

/// What sizes are counted in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Sizer {
    /// Requests.
    #[default]
    Requests,
    /// Data points, spans or log records.
    Items,
    /// Bytes of protobuf.
    Bytes,
}

/// Settings of a queue, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct QueueSettings {
    pub(crate) consumers: usize,
    /// What may wait or be under way; without a queue, as many requests as there are consumers.
    pub(crate) capacity: u64,
    pub(crate) sizer: Sizer,
    /// Refuse what comes while the queue is full, instead of waiting.
    pub(crate) refuses: bool,
    pub(crate) storage: Option<ComponentId>,
    /// Of the files of a queue on disk.
    pub(crate) max_bytes: Option<u64>,
    pub(crate) max_age: Option<Duration>,
    pub(crate) batch: Option<BatchSettings>,
    /// In lowercase: what is known of clients under these keys keeps their requests apart.
    pub(crate) metadata_keys: Vec<String>,
}

/// How requests are put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BatchSettings {
    pub(crate) flush: Duration,
    pub(crate) min: u64,
    /// 0 for no limit.
    pub(crate) max: u64,
    pub(crate) bytes: bool,
}

/// More tasks than this wait for each other rather than for a server.
const MAX_CONSUMERS: usize = 1000;

/// The least limit of bytes on disk: an eighth of it, which is what goes at a time, holds some requests.
const LEAST_BYTES: u64 = 1 << 20;

impl QueueKeys {
    /// Whether the queue is kept on disk.
    pub(crate) fn is_durable(&self) -> bool {
        self.storage.is_some()
    }

    /// The settings, with what is wrong with them told to `refuse`: the key and a message.
    pub(crate) fn read(&self, mut refuse: impl FnMut(&str, &str)) -> QueueSettings {
        let enabled = self.enabled.unwrap_or(true);
        let consumers = self.num_consumers.unwrap_or(10);
        if enabled && consumers < 1 {
            refuse("num_consumers", "`num_consumers` must be positive");
        }
        let size = self.queue_size.unwrap_or(1000);
        if enabled && size < 1 {
            refuse("queue_size", "`queue_size` must be positive");
        }
        let sizer = match self.sizer.as_deref() {
            None | Some("requests") => Sizer::Requests,
            Some("items") => Sizer::Items,
            Some("bytes") => Sizer::Bytes,
            Some(_) => {
                refuse("sizer", "invalid sizer: use requests, items or bytes");
                Sizer::Requests
            }
        };
        if self.wait_for_result && self.is_durable() {
            refuse(
                "wait_for_result",
                "`wait_for_result` is not supported with a persistent queue configured with `storage`",
            );
        }
        if self.is_durable() && !enabled {
            refuse(
                "storage",
                "storage keeps the queue on disk, and enabled: false means that there is none; remove one of them",
            );
        }
        if !self.is_durable() {
            for (key, written) in [("max_bytes", self.max_bytes.is_some()), ("max_age", self.max_age.is_some())] {
                if written {
                    refuse(key, "it is about a queue on disk, and without storage there is none");
                }
            }
        }
        if self.max_bytes.is_some_and(|bytes| bytes < LEAST_BYTES) {
            refuse("max_bytes", "max_bytes must be at least 1048576");
        }
        let batch_keys = self.batch.as_ref().filter(|_| enabled);
        let batch = batch_keys.map(|keys| keys.read(&mut refuse));
        if let Some(batch) = &batch
            && (batch.bytes == (sizer == Sizer::Bytes) && sizer != Sizer::Requests)
            && i64::try_from(batch.min).is_ok_and(|min| min > size)
        {
            refuse("batch::min_size", "`min_size` must be less than or equal to `queue_size`");
        }
        let consumers = usize::try_from(consumers).unwrap_or(1).clamp(1, MAX_CONSUMERS);
        QueueSettings {
            consumers,
            capacity: if enabled { u64::try_from(size).unwrap_or(1).max(1) } else { consumers as u64 },
            sizer: if enabled { sizer } else { Sizer::Requests },
            refuses: enabled && self.block_on_overflow == Some(false),
            storage: self.storage.clone(),
            max_bytes: self.max_bytes,
            max_age: self.max_age.map(GoDuration::to_std).filter(|age| !age.is_zero()),
            batch,
            metadata_keys: batch_keys.map_or_else(Vec::new, |keys| keys.partition.read(&mut refuse)),
        }
    }
}

impl BatchKeys {
    fn read(&self, mut refuse: impl FnMut(&str, &str)) -> BatchSettings {
        let flush = self.flush_timeout.map_or(Duration::from_millis(200), GoDuration::to_std);
        if flush.is_zero() {
            refuse("batch::flush_timeout", "`flush_timeout` must be positive");
        }
        let size = |value: Option<i64>, default: i64| u64::try_from(value.unwrap_or(default));
        let bytes = match self.sizer.as_deref() {
            None | Some("items") => false,
            Some("bytes") => true,
            Some(_) => {
                refuse("batch::sizer", "`batch` supports only `items` or `bytes` sizer");
                false
            }
        };
        let min = size(self.min_size, 8192).unwrap_or_else(|_| {
            refuse("batch::min_size", "`min_size` must be non-negative");
            0
        });
        let max = size(self.max_size, 0).unwrap_or_else(|_| {
            refuse("batch::max_size", "`max_size` must be non-negative");
            0
        });
        // Whoever writes only `max_size` wants smaller requests, not an error about a default.
        let min = if self.min_size.is_none() && max > 0 { min.min(max) } else { min };
        if max > 0 && max < min {
            refuse("batch::max_size", "`max_size` must be greater or equal to `min_size`");
        }
        BatchSettings { flush, min, max, bytes }
    }
}

impl PartitionKeys {
    fn read(&self, mut refuse: impl FnMut(&str, &str)) -> Vec<String> {
        let mut keys: Vec<String> = Vec::new();
        for key in self.metadata_keys.0.iter().map(|key| key.to_ascii_lowercase()) {
            if keys.contains(&key) {
                let message = format!("duplicate entry in metadata_keys: {key:?} (case-insensitive)");
                refuse("batch::partition::metadata_keys", &message);
            }
            keys.push(key);
        }
        keys
    }
}

/// What `sending_queue` and `retry_on_failure` say together.
#[derive(Clone, Debug)]
pub(crate) struct Delivery {
    pub(crate) queue: QueueSettings,
    pub(crate) retry: Retry,
}

impl Delivery {
    /// How long a request is tried unless the configuration says so, as in the Collector.
    const MAX_ELAPSED: Duration = Duration::from_secs(300);

    /// Reads both blocks; what is wrong goes to `errors`.
    pub(crate) fn read(queue: &QueueKeys, retry: &RetryKeys, node: &Node, errors: &mut ConfigErrors) -> Self {
        // What is on disk is not given up unless somebody says when.
        let max_elapsed = if queue.is_durable() { Duration::ZERO } else { Self::MAX_ELAPSED };
        let settings = queue.read(|key, message| {
            errors.push(node.error_at("", &format!("sending_queue::{key}"), message));
        });
        let retry = retry.read(max_elapsed, |key, message| {
            errors.push(node.error_at("", &format!("retry_on_failure::{key}"), message));
        });
        Self { queue: settings, retry }
    }
}

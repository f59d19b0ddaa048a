//! Queue, retries and the size of requests.

use super::super::encode::Limits;
use super::super::limits::StoreLimits;
use super::super::shards::{QueueLimits, ShardRange};
use super::keys::Keys;
use super::{Problems, Retry};
use pipeline::config::GoDuration;
use std::time::Duration;

/// Compressed bytes that may wait in memory, unless `remote_write_queue.max_bytes` says otherwise: at
/// 25 bytes a sample some ten million samples, ten minutes of 16,000 a second.
const DEFAULT_QUEUE_BYTES: u64 = 256 << 20;

/// The same with a log, which holds what does not fit: enough that no shard has to wait for the disk.
const LOGGED_QUEUE_BYTES: u64 = 32 << 20;

/// Requests that may wait for each shard with a log, unless `queue_size` says otherwise.
const LOGGED_PER_SHARD: i64 = 4;
/// The most shards that can be asked for: each is a connection, and the buffers of a request.
const MAX_SHARDS: usize = 200;

/// In which time a backlog is caught up with, unless `target_age` says otherwise: Prometheus takes 5% of it a second.
const DEFAULT_TARGET_AGE: Duration = Duration::from_secs(20);

/// Samples of a request, unless `max_samples_per_send` says otherwise: some 250 kB compressed, which
/// stays far below what stores accept (AMP: 1 MB).
const DEFAULT_SAMPLES: usize = 10_000;

pub(super) fn queue(keys: &Keys, problems: &mut Problems<'_>) -> QueueLimits {
    let queue = &keys.remote_write_queue;
    let logged = keys.wal.is_some();
    let consumers = queue.num_consumers.unwrap_or(5);
    if consumers < 0 {
        problems.refuse("remote_write_queue::num_consumers", "remote write consumer number can't be negative");
    }
    if keys.max_batch_request_parallelism.is_some_and(|n| n < 1) {
        problems.refuse("max_batch_request_parallelism", "max_batch_request_parallelism can't be set to below 1");
    }
    let shards = shards(keys, consumers, problems);
    let in_memory = if logged { LOGGED_PER_SHARD.saturating_mul(shards.max as i64) } else { 10_000 };
    let size = queue.queue_size.unwrap_or(in_memory);
    if size < 0 {
        problems.refuse("remote_write_queue::queue_size", "remote write queue size can't be negative");
    }
    let enabled = queue.enabled.unwrap_or(true);
    if enabled && size == 0 {
        problems.refuse("remote_write_queue::queue_size", "a 0 size queue will drop all the data");
    }
    let bytes = if logged { LOGGED_QUEUE_BYTES } else { DEFAULT_QUEUE_BYTES };
    QueueLimits {
        shards,
        // Without a queue a request waits for the one before it, and nothing else does.
        requests: if enabled { usize::try_from(size).unwrap_or(1).max(1) } else { 1 },
        bytes: usize::try_from(queue.max_bytes.unwrap_or(bytes)).unwrap_or(usize::MAX).max(1 << 20),
    }
}

fn shards(keys: &Keys, consumers: i64, problems: &mut Problems<'_>) -> ShardRange {
    let queue = &keys.remote_write_queue;
    for (key, value) in [("min_shards", queue.min_shards), ("max_shards", queue.max_shards)] {
        if value.is_some_and(|n| n < 1) {
            problems
                .refuse(&format!("remote_write_queue::{key}"), format!("remote write queue {key} must be positive"));
        }
    }
    let max = keys.max_batch_request_parallelism.or(queue.max_shards).unwrap_or(consumers);
    let max = usize::try_from(max).unwrap_or(1).clamp(1, MAX_SHARDS);
    let min = usize::try_from(queue.min_shards.unwrap_or(1)).unwrap_or(1).max(1);
    if min > max {
        problems.refuse(
            "remote_write_queue::min_shards",
            format!("remote write queue min_shards must not be greater than max_shards, which is {max}"),
        );
    }
    let target_age = queue.target_age.map_or(DEFAULT_TARGET_AGE, GoDuration::to_std);
    if target_age < Duration::from_secs(1) {
        problems.refuse("remote_write_queue::target_age", "target_age must be at least 1s");
    }
    ShardRange { min: min.min(max), max, target_age }
}

pub(super) fn retry(keys: &Keys, problems: &mut Problems<'_>) -> Retry {
    let retry = &keys.retry_on_failure;
    let duration = |value: Option<GoDuration>, default| value.map_or(default, GoDuration::to_std);
    for (key, value) in [
        ("initial_interval", retry.initial_interval),
        ("max_interval", retry.max_interval),
        ("max_elapsed_time", retry.max_elapsed_time),
    ] {
        if value.is_some_and(|value| value < GoDuration::ZERO) {
            problems.refuse(&format!("retry_on_failure::{key}"), format!("'{key}' must be non-negative"));
        }
    }
    // What a log holds is given up by the log's limits, not by the patience with one request.
    let elapsed = if keys.wal.is_some() { Duration::ZERO } else { Duration::from_secs(300) };
    let all = Retry {
        enabled: retry.enabled.unwrap_or(true),
        initial: duration(retry.initial_interval, Duration::from_millis(50)),
        max: duration(retry.max_interval, Duration::from_secs(30)),
        multiplier: retry.multiplier.unwrap_or(1.5),
        randomization: retry.randomization_factor,
        max_elapsed: duration(retry.max_elapsed_time, elapsed),
        max_refused: duration(retry.max_elapsed_time, Duration::ZERO),
    };
    if all.randomization.is_some_and(|factor| !(0.0..=1.0).contains(&factor)) {
        problems.refuse("retry_on_failure::randomization_factor", "'randomization_factor' must be within [0, 1]");
    }
    if all.multiplier.is_nan() || all.multiplier < 0.0 {
        problems.refuse("retry_on_failure::multiplier", "'multiplier' must be non-negative");
    }
    if !all.max_elapsed.is_zero() && all.max_elapsed < all.initial {
        problems.refuse(
            "retry_on_failure::max_elapsed_time",
            "'max_elapsed_time' must not be less than 'initial_interval'",
        );
    }
    all
}

pub(super) fn limits(keys: &Keys, store: &StoreLimits, problems: &mut Problems<'_>) -> Limits {
    let raw = keys.max_batch_size_bytes.unwrap_or(0);
    if raw < 0 {
        problems.refuse("max_batch_size_bytes", "max_batch_byte_size must be greater than 0");
    }
    let samples = keys.max_samples_per_send.map_or(DEFAULT_SAMPLES, |n| usize::try_from(n).unwrap_or(usize::MAX));
    if samples == 0 {
        problems.refuse("max_samples_per_send", "max_samples_per_send must be greater than 0");
    }
    let raw_bytes = if raw <= 0 { 3_000_000 } else { usize::try_from(raw).unwrap_or(usize::MAX) };
    Limits { samples, raw_bytes: raw_bytes.min(1 << 30), packed_bytes: store.packed_bytes() }
}

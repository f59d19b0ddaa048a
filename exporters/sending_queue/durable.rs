//! Requests that wait on disk, in a log of their own for each signal.
//!
//! A record is a request in protobuf, with its [partition](super::partition) in front if it has one, compressed by zstd. It is acknowledged when it is delivered or given up and so are all before it, so
//! that a restart begins with the oldest that is open: what came after it and was delivered already is delivered again.
//!
//! A disk that cannot be written makes requests wait in memory behind those on disk, within the same bounds, until it can; a metric says so.

use std::collections::VecDeque;
use std::io::Read as _;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use pipeline::AckOutcome;
use pipeline::component::Signal;
use pipeline::telemetry::Gauge;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::Instant;
use wal::{AppendError, Log, Losses, Position, Read, Reader, Record};

use super::config::Sizer;
use super::metrics::Metrics;
use super::partition;
use super::request::{Body, Claim, Content, Maker, Queued, Ticket};

/// The kind of a record with a request in protobuf, compressed by zstd.
const ZSTD: u8 = 1;

/// The kind of a record with a partition and a request in protobuf, compressed by zstd.
const PARTITIONED: u8 = 2;

/// zstd's fastest level: some 500 MB/s, and half of what gzip makes of it.
const LEVEL: i32 = 1;

/// The most that a record may grow to: far more than is ever written.
const MAX_PLAIN: usize = 64 << 20;

/// How often a disk that cannot be written is tried again.
const RETRY_EVERY: Duration = Duration::from_secs(1);

/// How often gauges are published while nothing happens.
const PUBLISH_EVERY: Duration = Duration::from_secs(5);

/// Readings that fail one after the other before the rest of a segment is given up.
const MAX_READ_FAILURES: u32 = 30;

/// The one cursor of a log.
const CURSOR: usize = 0;

/// Requests on disk.
pub(super) struct Durable {
    log: Log,
    reader: Reader,
    end: watch::Receiver<Position>,
    signal: Signal,
    metrics: Arc<Metrics>,
    gauges: Gauges,
    /// A reading has begun and its result was not taken.
    reading: bool,
    read_failures: u32,
    unpacking: Option<JoinHandle<Unpacked>>,
    /// Records that were read and not acknowledged, in order.
    places: VecDeque<Place>,
    /// The number of the first of them.
    first: u64,
    /// What could not be written yet.
    overflow: VecDeque<Queued>,
    /// Size of what is in memory only, under way or not.
    overflow_used: u64,
    failing: bool,
    retry_at: Instant,
    publish_at: Instant,
    /// Losses that were counted.
    told: Losses,
    maintaining: AbortHandle,
}

/// A record that was read.
struct Place {
    end: Position,
    done: bool,
}

/// A record with its content, if it has one that can be understood.
struct Unpacked {
    read: Read,
    content: Option<Content>,
}

struct Gauges {
    bytes: Gauge,
    segments: Gauge,
    failing: Gauge,
    oldest: Gauge,
}

impl Durable {
    pub(super) fn new(log: Log, signal: Signal, metrics: &Arc<Metrics>) -> Self {
        let gauge = |name, help| metrics.gauge(name, help, signal);
        let gauges = Gauges {
            bytes: gauge("storage_bytes", "Bytes of the queue's files."),
            segments: gauge("storage_segments", "Files of the queue."),
            failing: gauge("storage_failing", "1 while the disk cannot be written and requests wait in memory."),
            oldest: gauge("queue_oldest_seconds", "Seconds since the oldest request that waits on disk came."),
        };
        let maintaining = tokio::spawn(log.clone().maintain_while_open()).abort_handle();
        let waiting = log.backlog(CURSOR);
        if waiting.records > 0 {
            tracing::info!(
                signal = signal.name(),
                requests = waiting.records,
                items = waiting.samples,
                "Requests that an earlier run has left on disk are delivered first."
            );
        }
        let now = Instant::now();
        Self {
            reader: log.reader(CURSOR),
            end: log.watch_end(),
            log,
            signal,
            metrics: Arc::clone(metrics),
            gauges,
            reading: false,
            read_failures: 0,
            unpacking: None,
            places: VecDeque::new(),
            first: 0,
            overflow: VecDeque::new(),
            overflow_used: 0,
            failing: false,
            retry_at: now,
            publish_at: now,
            told: Losses::default(),
            maintaining,
        }
    }

    /// Bytes are those on disk, where requests are compressed.
    pub(super) fn used(&self, sizer: Sizer) -> u64 {
        let waiting = self.log.backlog(CURSOR);
        let on_disk = match sizer {
            Sizer::Requests => waiting.records,
            Sizer::Items => waiting.samples,
            Sizer::Bytes => waiting.bytes,
        };
        on_disk.saturating_add(self.overflow_used)
    }

    pub(super) fn on_disk(&self) -> u64 {
        self.log.backlog(CURSOR).records
    }

    pub(super) fn is_empty(&self) -> bool {
        let reads = self.reading || self.unpacking.is_some() || self.reader.has_more();
        !reads && self.overflow.is_empty()
    }

    pub(super) fn is_at_risk(&self) -> bool {
        self.overflow_used > 0
    }

    pub(super) fn release(&mut self, size: u64) {
        self.overflow_used = self.overflow_used.saturating_sub(size);
    }

    /// Writes a request, or keeps it in memory if that is not possible.
    pub(super) async fn put(&mut self, content: Content, claim: Claim, size: u64) {
        if !self.overflow.is_empty() {
            self.keep(content, claim, size);
            return self.wake().await;
        }
        match self.append(&content, claim.items()).await {
            Ok(()) => claim.settle(AckOutcome::Persisted),
            Err(AppendError::TooLong(bytes)) => self.refuse(claim, bytes),
            Err(error) => {
                self.fail(&error);
                self.keep(content, claim, size);
            }
        }
    }

    fn keep(&mut self, content: Content, claim: Claim, size: u64) {
        self.overflow_used = self.overflow_used.saturating_add(size);
        self.overflow.push_back(Queued { content, ticket: Ticket::Memory(claim, size) });
    }

    async fn append(&self, content: &Content, items: u64) -> Result<(), AppendError> {
        let (Body::Raw(body) | Body::Ready(body)) = content.body.clone();
        let partition = content.partition.clone();
        let log = self.log.clone();
        let appended = tokio::task::spawn_blocking(move || {
            let (kind, body) = match partition {
                Some(client) => (PARTITIONED, partition::joined(&client, &body).into()),
                None => (ZSTD, body),
            };
            // zstd fails for want of memory only.
            let payload = zstd::bulk::compress(&body, LEVEL).map_err(failed_without_disk)?;
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let now_ms = i64::try_from(now.as_millis()).unwrap_or(i64::MAX);
            let record = Record {
                kind,
                samples: u32::try_from(items).unwrap_or(u32::MAX),
                // A request is as old as it has waited here.
                oldest_ms: now_ms,
                newest_ms: now_ms,
                payload: &payload,
            };
            log.append(None, &record).map(drop)
        });
        appended.await.unwrap_or_else(|error| Err(failed_without_disk(std::io::Error::other(error))))
    }

    fn refuse(&self, claim: Claim, bytes: usize) {
        tracing::error!(
            bytes,
            items = claim.items(),
            "A request is longer than the queue on disk takes; it is dropped."
        );
        self.metrics.failed("too_large", claim.items());
        claim.settle(AckOutcome::Rejected);
    }

    #[cold]
    fn fail(&mut self, error: &AppendError) {
        self.retry_at = Instant::now() + RETRY_EVERY;
        if !self.failing {
            self.failing = true;
            tracing::error!(
                %error,
                signal = self.signal.name(),
                "The queue on disk cannot be written; requests wait in memory, and a crash would lose them."
            );
        }
    }

    pub(super) fn wake_at(&self) -> Instant {
        if self.overflow.is_empty() { self.publish_at } else { self.publish_at.min(self.retry_at) }
    }

    /// Tries the disk again, and publishes how things are.
    pub(super) async fn wake(&mut self) {
        if self.retry_at <= Instant::now() {
            self.write_overflow().await;
        }
        self.publish();
    }

    async fn write_overflow(&mut self) {
        while let Some(queued) = self.overflow.pop_front() {
            let Queued { content, ticket: Ticket::Memory(claim, size) } = queued else { continue };
            match self.append(&content, claim.items()).await {
                Ok(()) => claim.settle(AckOutcome::Persisted),
                Err(AppendError::TooLong(bytes)) => self.refuse(claim, bytes),
                Err(error) => {
                    self.overflow.push_front(Queued { content, ticket: Ticket::Memory(claim, size) });
                    return self.fail(&error);
                }
            }
            self.release(size);
        }
        if std::mem::take(&mut self.failing) {
            tracing::info!(signal = self.signal.name(), "The queue on disk can be written again.");
        }
    }

    pub(super) fn publish(&mut self) {
        self.publish_at = Instant::now() + PUBLISH_EVERY;
        let (segments, bytes) = self.log.size();
        self.gauges.segments.set(segments as f64);
        self.gauges.bytes.set(bytes as f64);
        self.gauges.failing.set(f64::from(u8::from(self.failing)));
        let waiting = self.log.backlog(CURSOR);
        let oldest = waiting.oldest_ms.filter(|_| waiting.records > 0).and_then(|ms| u64::try_from(ms).ok());
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let age = oldest.map_or(Duration::ZERO, |ms| now.saturating_sub(Duration::from_millis(ms)));
        self.gauges.oldest.set(age.as_secs_f64());
        let losses = self.log.losses(CURSOR);
        // Items that could not be read back, or whose record was torn; and those that were in the way.
        let corrupt = |losses: &Losses| losses.corrupt_samples.saturating_add(losses.torn_samples);
        for (reason, now, told) in [
            ("queue_corrupt", corrupt(&losses), corrupt(&self.told)),
            ("queue_max_bytes", losses.size_samples, self.told.size_samples),
            ("queue_max_age", losses.age_samples, self.told.age_samples),
        ] {
            if now > told {
                self.metrics.failed(reason, now - told);
            }
        }
        self.told = losses;
    }

    /// The next request: of those on disk, then of those in memory, which came later.
    pub(super) async fn next(&mut self) -> Queued {
        loop {
            if let Some(unpacking) = &mut self.unpacking {
                let joined = unpacking.await;
                self.unpacking = None;
                let Ok(unpacked) = joined else { return std::future::pending().await };
                match self.taken(unpacked) {
                    Some(queued) => return queued,
                    None => continue,
                }
            }
            // Whatever is appended from here on ends the wait below.
            self.end.borrow_and_update();
            if self.reading || self.reader.has_more() {
                self.reading = true;
                let read = self.reader.next_ready().await;
                self.reading = false;
                match read {
                    Ok(read) => {
                        self.read_failures = 0;
                        let signal = self.signal;
                        self.unpacking = Some(tokio::task::spawn_blocking(move || unpacked(signal, read)));
                    }
                    Err(error) => self.unreadable(&error).await,
                }
                continue;
            }
            if let Some(queued) = self.overflow.pop_front() {
                return queued;
            }
            if self.end.changed().await.is_err() {
                // The log is held here.
                return std::future::pending().await;
            }
        }
    }

    #[cold]
    async fn unreadable(&mut self, error: &wal::ReadError) {
        tracing::error!(%error, signal = self.signal.name(), "The queue on disk cannot be read.");
        self.read_failures += 1;
        if self.read_failures >= MAX_READ_FAILURES {
            self.read_failures = 0;
            self.reader.skip_segment();
            self.publish();
        }
        tokio::time::sleep(RETRY_EVERY).await;
    }

    fn taken(&mut self, Unpacked { read, content }: Unpacked) -> Option<Queued> {
        let number = self.first + self.places.len() as u64;
        self.places.push_back(Place { end: read.end, done: content.is_none() });
        if content.is_none() {
            self.reader.lose(read.start, read.end);
            tracing::error!(signal = self.signal.name(), "A request on disk cannot be understood; it is skipped.");
            self.publish();
        }
        Some(Queued { content: content?, ticket: Ticket::Log(number, u64::from(read.header.samples)) })
    }

    /// A record has come to its end.
    pub(super) async fn done(&mut self, number: u64) {
        let at = number.checked_sub(self.first).and_then(|at| usize::try_from(at).ok());
        if let Some(place) = at.and_then(|at| self.places.get_mut(at)) {
            place.done = true;
        }
        let mut acknowledged = None;
        while let Some(place) = self.places.front().filter(|place| place.done) {
            acknowledged = Some(place.end);
            self.places.pop_front();
            self.first += 1;
        }
        let Some(position) = acknowledged else { return };
        let log = self.log.clone();
        let acked = tokio::task::spawn_blocking(move || log.ack(CURSOR, position)).await;
        if let Ok(Err(error)) = acked {
            tracing::warn!(
                %error,
                signal = self.signal.name(),
                "What is delivered cannot be noted on disk; after a restart some of it would be delivered again."
            );
        }
    }
}

impl Drop for Durable {
    fn drop(&mut self) {
        self.maintaining.abort();
    }
}

fn failed_without_disk(source: std::io::Error) -> AppendError {
    AppendError::Io { directory: String::new(), source }
}

fn unpacked(signal: Signal, read: Read) -> Unpacked {
    let plain = || plain(&read.payload).ok().filter(|plain| plain.len() <= MAX_PLAIN).map(Bytes::from);
    let parts = match read.header.kind {
        ZSTD => plain().map(|body| (None, body)),
        PARTITIONED => plain().and_then(partition::parted),
        _ => None,
    };
    let content = parts.map(|(partition, body)| Maker::recalled(signal, body, partition));
    Unpacked { read, content }
}

fn plain(payload: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut plain = Vec::new();
    let decoder = zstd::stream::read::Decoder::with_buffer(payload)?;
    decoder.take(MAX_PLAIN as u64 + 1).read_to_end(&mut plain)?;
    Ok(plain)
}

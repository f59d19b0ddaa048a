//! What comes out of the encoder.

use super::super::account::Mark;
use bytes::Bytes;
use pipeline::Acks;
use prometheus::remote_write::Counts;
use prometheus::remote_write::protocol::ProtocolVersion;

/// When a request is full.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Samples, histograms included.
    pub(crate) samples: usize,
    /// Bytes before compression.
    pub(crate) raw_bytes: usize,
    /// Bytes after compression.
    pub(crate) packed_bytes: usize,
}

/// What a request carries, for counters and for answers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Contents {
    /// Data points as the pipeline counts them.
    pub(crate) points: u64,
    /// Float samples.
    pub(crate) samples: u64,
    /// Native histograms.
    pub(crate) histograms: u64,
    /// Exemplars.
    pub(crate) exemplars: u64,
    /// Timestamp of the newest sample, in milliseconds since the Unix epoch; the smallest number if there is none.
    pub(crate) newest_ms: i64,
    /// Timestamp of the oldest sample; the largest number if there is none.
    pub(crate) oldest_ms: i64,
}

impl Default for Contents {
    fn default() -> Self {
        Self { points: 0, samples: 0, histograms: 0, exemplars: 0, newest_ms: i64::MIN, oldest_ms: i64::MAX }
    }
}

impl From<Counts> for Contents {
    fn from(counts: Counts) -> Self {
        Self {
            // Each sample and each histogram is a point of its own to the pipeline.
            points: counts.samples + counts.histograms,
            samples: counts.samples,
            histograms: counts.histograms,
            exemplars: counts.exemplars,
            newest_ms: counts.newest_ms.unwrap_or(i64::MIN),
            oldest_ms: counts.oldest_ms.unwrap_or(i64::MAX),
        }
    }
}

impl Contents {
    /// Samples and histograms together.
    #[inline]
    pub(crate) fn values(&self) -> u64 {
        self.samples + self.histograms
    }
}

/// A request that is complete: the body to POST, and who waits for it.
#[derive(Debug)]
pub(crate) struct Request {
    /// Snappy block of the message that `version` has.
    pub(crate) body: Bytes,
    /// Which message it is.
    pub(crate) version: ProtocolVersion,
    pub(crate) contents: Contents,
    pub(crate) acks: Acks,
    /// Shard it belongs to, of `generation`'s number of shards.
    pub(crate) shard: usize,
    /// Requests of one generation are all done before one of the next is sent: see [`super::super::shards`].
    pub(crate) generation: u64,
    /// What it is accounted under.
    pub(crate) mark: Mark,
}

//! The request that a shard fills.

use super::super::account::Mark;
use super::super::sample::Timestamp;
use super::super::table::Trail;
use super::super::v2::Body as BodyV2;
use super::request::{Contents, Limits};
use pipeline::Acks;
use prometheus::remote_write::protocol::ProtocolVersion;
use prometheus::remote_write::{SnappyBlockWriter, SnappyError};

/// A request that is being filled.
pub(super) struct Shard {
    pub(super) body: Body,
    pub(super) contents: Contents,
    pub(super) acks: Acks,
    /// Of the earliest sample in it, or of an earlier one.
    pub(super) mark: Mark,
}

/// Its bytes so far.
pub(super) enum Body {
    V1(Box<BodyV1>),
    V2(Box<BodyV2>),
}

/// Those of version 1.0.
#[derive(Default)]
pub(super) struct BodyV1 {
    pub(super) writer: SnappyBlockWriter,
    pub(super) trail: Trail,
}

impl Body {
    #[inline]
    fn raw_len(&self) -> usize {
        match self {
            Self::V1(body) => body.writer.raw_len(),
            Self::V2(body) => body.raw_len(),
        }
    }

    /// Bytes of the request if it was sealed now, at most.
    #[inline]
    fn packed_len(&self) -> usize {
        match self {
            Self::V1(body) => body.writer.compressed_len_bound(),
            Self::V2(body) => body.compressed_len_bound(),
        }
    }

    pub(super) fn version(&self) -> ProtocolVersion {
        match self {
            Self::V1(_) => ProtocolVersion::V1,
            Self::V2(_) => ProtocolVersion::V2,
        }
    }
}

impl Shard {
    pub(super) fn new(version: ProtocolVersion, mark: Mark) -> Self {
        let body = match version {
            ProtocolVersion::V1 => Body::V1(Box::default()),
            ProtocolVersion::V2 => Body::V2(Box::default()),
        };
        Self { body, contents: Contents::default(), acks: Acks::default(), mark }
    }

    pub(super) fn is_empty(&self) -> bool {
        match &self.body {
            Body::V1(body) => body.writer.is_empty(),
            Body::V2(body) => body.is_empty(),
        }
    }

    #[inline]
    pub(super) fn full(&self, limits: Limits) -> bool {
        self.contents.values() as usize >= limits.samples
            || self.body.raw_len() >= limits.raw_bytes
            || self.body.packed_len() >= limits.packed_bytes
    }

    /// The bytes to send; the next request begins.
    pub(super) fn finish(&mut self) -> Result<Vec<u8>, SnappyError> {
        let mut out = Vec::new();
        match &mut self.body {
            Body::V1(body) => {
                body.trail = Trail::default();
                body.writer.finish(&mut out)?;
            }
            Body::V2(body) => body.finish(&mut out)?,
        }
        Ok(out)
    }

    /// Counts float samples that were written.
    #[inline]
    pub(super) fn took_samples(&mut self, number: usize, time: &Timestamp, acks: &Acks) {
        self.contents.points += number as u64;
        self.contents.samples += number as u64;
        self.took_at(time, acks);
    }

    /// Counts a point that was written with `contents`.
    pub(super) fn took(&mut self, contents: Contents, time: &Timestamp, acks: &Acks) {
        self.contents.points += 1;
        self.contents.samples += contents.samples;
        self.contents.histograms += contents.histograms;
        self.contents.exemplars += contents.exemplars;
        self.took_at(time, acks);
    }

    #[inline]
    fn took_at(&mut self, time: &Timestamp, acks: &Acks) {
        self.contents.newest_ms = self.contents.newest_ms.max(time.millis);
        self.contents.oldest_ms = self.contents.oldest_ms.min(time.millis);
        // One share per request, however many of the batch's points are in it.
        if acks.awaited() && !self.acks.awaited() {
            self.answer(acks);
        }
    }

    #[cold]
    fn answer(&mut self, acks: &Acks) {
        self.acks = acks.clone();
    }
}

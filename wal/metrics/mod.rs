//! Batches of metrics in the records of a log, at a byte or two a sample.
//!
//! A segment says once what its records refer to by number: origins, series and tables as the pipeline has them, and for
//! each pair of origin and table a number that is known for each series (*definitions*). A record of *points* holds for
//! each group the pair, the time, one bit a point for "as known", and for the other points the distance from what is
//! known ([`number`]). The whole is compressed with snappy, which finds what repeats from target to target.
//!
//! Records of points depend on definitions only, never on each other, so a damaged one costs its own points. As a
//! damaged record of definitions would cost every later point of its series, definitions are written twice, the second
//! time with the next block. After [`define::REBASE`] groups of a pair, what is known of it is written anew, since
//! values drift away.
//!
//! The same `Arc`s come out that went in, as long as they are alive: identities are interned. Thus what an exporter
//! remembers of a series holds for what is read back as well, also across a restart.

mod block;
mod bytes;
mod define;
mod identity;
mod number;
mod read;
mod resolve;
#[cfg(test)]
mod tests;
mod whole;
mod write;

pub use read::{MetricReader, ReadBatch};
pub use write::{AppendBatchesError, MetricWriter};

/// Kind of records that define what points refer to.
pub(crate) const DEFINITIONS: u8 = 1;
/// Kind of records with points.
pub(crate) const POINTS: u8 = 2;

/// Bytes before compression after which a block is written: what is compressed and handed on at once stays in a core's
/// cache.
const BLOCK: usize = 256 << 10;

/// The longest block before compression that a reader takes. A writer ends blocks at [`BLOCK`], but for one group.
const MAX_RAW: usize = 64 << 20;

/// Points of a group that are written together; longer groups are written in pieces, which bounds blocks.
const MAX_GROUP: usize = 16_384;

/// Points of a record that a reader makes room for. A damaged count cannot ask for more memory than this.
const MAX_POINTS: usize = 1 << 20;

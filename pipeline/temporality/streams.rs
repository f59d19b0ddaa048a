//! What is remembered of series from one point to the next, within a bound.

use std::hash::Hasher as _;
use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashTable;
use tokio::time::Instant;
use xxhash_rust::xxh3::Xxh3Default;

use crate::model::{Origin, Series};

/// How many streams are remembered, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamLimits {
    /// Streams beyond this number are refused.
    pub max_streams: usize,
    /// A stream is forgotten when no point of it came for this long.
    pub max_stale: Duration,
}

/// How often idle streams are looked for; more often when there is no room.
const SWEEP_EVERY: Duration = Duration::from_secs(60);
/// How often they are looked for when there is no room for a new one.
const SWEEP_WHEN_FULL: Duration = Duration::from_secs(1);

/// There are as many streams as may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// State of streams, each the pair of an origin and a series. Both are held while the stream is remembered, so that its identity
/// stays the same even when its sender pauses.
#[derive(Debug)]
pub struct Streams<S> {
    limits: StreamLimits,
    table: HashTable<Stream<S>>,
    began: Instant,
    swept: Instant,
}

#[derive(Debug)]
struct Stream<S> {
    origin: Arc<Origin>,
    series: Arc<Series>,
    /// When a point came last, in seconds since the beginning.
    seen: u32,
    state: S,
}

impl<S> Stream<S> {
    fn hash(&self) -> u64 {
        hash(&self.origin, &self.series)
    }

    fn is(&self, origin: &Arc<Origin>, series: &Arc<Series>) -> bool {
        Arc::ptr_eq(&self.series, series) && Arc::ptr_eq(&self.origin, origin)
    }
}

impl<S> Streams<S> {
    /// No stream yet.
    #[must_use]
    pub fn new(limits: StreamLimits) -> Self {
        let now = Instant::now();
        Self { limits, table: HashTable::new(), began: now, swept: now }
    }

    /// The bounds.
    #[must_use]
    pub fn limits(&self) -> StreamLimits {
        self.limits
    }

    /// How many streams are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether none is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// The state of a stream that is remembered. A point of it counts as seen by this.
    pub fn get(&mut self, origin: &Arc<Origin>, series: &Arc<Series>, now: Instant) -> Option<&mut S> {
        let seconds = self.seconds(now);
        let stream = self.table.find_mut(hash(origin, series), |stream| stream.is(origin, series))?;
        stream.seen = seconds;
        Some(&mut stream.state)
    }

    /// Remembers a stream that is not remembered yet.
    ///
    /// # Errors
    /// When there are as many as may be, none of which is idle.
    pub fn insert(
        &mut self,
        origin: &Arc<Origin>,
        series: &Arc<Series>,
        state: S,
        now: Instant,
    ) -> Result<&mut S, Full> {
        if self.table.len() >= self.limits.max_streams {
            if now.saturating_duration_since(self.swept) >= SWEEP_WHEN_FULL {
                self.sweep(now);
            }
            if self.table.len() >= self.limits.max_streams {
                return Err(Full);
            }
        }
        let (origin, series, seen) = (Arc::clone(origin), Arc::clone(series), self.seconds(now));
        let stream = Stream { origin, series, seen, state };
        let entry = self.table.insert_unique(stream.hash(), stream, Stream::hash);
        Ok(&mut entry.into_mut().state)
    }

    /// Forgets a stream.
    pub fn remove(&mut self, origin: &Arc<Origin>, series: &Arc<Series>) -> Option<S> {
        let entry = self.table.find_entry(hash(origin, series), |stream| stream.is(origin, series)).ok()?;
        Some(entry.remove().0.state)
    }

    /// Forgets idle streams if it is time to look; how many. To be called now and then, such as with each batch.
    pub fn tidy(&mut self, now: Instant) -> usize {
        if now.saturating_duration_since(self.swept) < SWEEP_EVERY { 0 } else { self.sweep(now) }
    }

    fn sweep(&mut self, now: Instant) -> usize {
        self.swept = now;
        let before = self.table.len();
        let idle = self.limits.max_stale.as_secs().max(1);
        let now = self.seconds(now);
        self.table.retain(|stream| u64::from(now.saturating_sub(stream.seen)) < idle);
        if self.table.capacity() > 4 * self.table.len().max(64) {
            self.table.shrink_to_fit(Stream::hash);
        }
        before - self.table.len()
    }

    fn seconds(&self, now: Instant) -> u32 {
        u32::try_from(now.saturating_duration_since(self.began).as_secs()).unwrap_or(u32::MAX)
    }
}

fn hash(origin: &Origin, series: &Series) -> u64 {
    // Slots are unique among what is alive, and what a stream holds is.
    let mut hasher = Xxh3Default::default();
    hasher.write_u64(u64::from(origin.slot().id) << 32 | u64::from(series.slot().id));
    hasher.digest()
}

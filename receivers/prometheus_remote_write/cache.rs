//! Which series the encoded labels of a request stand for.
//!
//! In steady state a sender sends the same series again and again, with the same bytes. So their labels are read
//! once; from then on a 128-bit hash of the bytes leads to a place in a table that exists already. What has not
//! been seen for a few minutes is let go.
//!
//! Series are kept on pages: up to [`PAGE`] series of one origin, whose [`SeriesTable`] is the same `Arc` from
//! request to request. Pages only grow at their end, so places stay valid; a new series costs a new table of its
//! page, not of everything its sender ever sent.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use pipeline::value::Exemplar;
use pipeline::{AttributesBuilder, Origin, Series, SeriesTable};
use prometheus::remote_write::wire::{FamilyMetadata, TimeSeries};

use super::families::Families;
use super::labels::{Identity, LabelsError, identify};

/// Series on a page. Interning the table of a full page takes about 10 µs, which a request with a new series
/// pays once; one origin with a million series has a thousand of them.
const PAGE: usize = 1024;
/// After how many seconds without a sample a series is let go. More than Prometheus' look-back of five minutes
/// would gain nothing; less would forget what is scraped every few minutes.
const IDLE: u32 = 360;
/// How often idle series are looked for, in seconds: a pass over a million entries takes about 10 ms.
const SWEEP_EVERY: u32 = 60;
/// The most series that are remembered. With about 32 bytes each this is 640 MB, at a point where the series
/// themselves take several times as much. Beyond it the cache starts over, which costs time but loses nothing.
const MAX_SERIES: usize = 20_000_000;

/// For how many seconds an exemplar waits for a sample of its series; some scrape intervals.
const EXEMPLAR_WAITS: u32 = 180;
/// How many exemplars wait at most. They wait only where a sender's batch ends between them and their samples.
const MAX_WAITING: usize = 4096;

/// A 128-bit hash of encoded labels.
pub(super) type Key = u128;

/// Where a series stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Place {
    pub(super) page: u32,
    pub(super) index: u32,
}

#[derive(Clone, Copy, Debug)]
struct Remembered {
    place: Place,
    /// When it was last sent, in seconds on the caller's clock.
    seen: u32,
}

/// An exemplar that came without a sample.
#[derive(Debug)]
pub(super) struct WaitingExemplar {
    pub(super) key: Key,
    pub(super) since: u32,
    pub(super) exemplar: Exemplar,
}

/// Keys are hashes already.
#[derive(Clone, Copy, Debug, Default)]
struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u128(&mut self, key: u128) {
        self.0 = key as u64;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Some series of one origin.
#[derive(Debug)]
struct Page {
    /// `None` while the page is free.
    origin: Option<Arc<Origin>>,
    series: Vec<Arc<Series>>,
    /// `None` while `series` has grown since.
    table: Option<Arc<SeriesTable>>,
    /// How many places somebody remembers; only during a sweep.
    remembered: usize,
}

/// The cache of one receiver.
#[derive(Debug)]
pub(super) struct SeriesCache {
    places: HashMap<Key, Remembered, BuildHasherDefault<KeyHasher>>,
    pages: Vec<Page>,
    free: Vec<u32>,
    /// The page that takes new series, by the slot of the origin.
    open: HashMap<u32, u32>,
    families: Families,
    attributes: AttributesBuilder,
    swept: u32,
    seed: u64,
    max_series: usize,
    /// What came without a sample in earlier requests.
    pub(super) waiting: Vec<WaitingExemplar>,
}

impl Default for SeriesCache {
    fn default() -> Self {
        use std::hash::BuildHasher as _;
        // The seed is a secret of this process, so that nobody can prepare two label sets with one hash.
        let seed = std::hash::RandomState::new().hash_one(0u64);
        Self {
            places: HashMap::default(),
            pages: Vec::new(),
            free: Vec::new(),
            open: HashMap::new(),
            families: Families::default(),
            attributes: AttributesBuilder::default(),
            swept: 0,
            seed,
            max_series: MAX_SERIES,
            waiting: Vec::new(),
        }
    }
}

impl SeriesCache {
    /// A cache that starts over at `max_series`.
    #[cfg(test)]
    pub(super) fn with_max_series(max_series: usize) -> Self {
        Self { max_series, ..Self::default() }
    }

    /// The key of a series with these encoded labels. A histogram is another series than the floats of the same
    /// name: its family is of another kind.
    #[inline]
    pub(super) fn key(&self, labels: &[u8], histogram: bool) -> Key {
        xxhash_rust::xxh3::xxh3_128_with_seed(labels, self.seed) ^ u128::from(histogram)
    }

    /// The place of a series that has been seen before.
    #[inline]
    pub(super) fn find(&mut self, key: Key, now: u32) -> Option<Place> {
        let remembered = self.places.get_mut(&key)?;
        remembered.seen = now;
        Some(remembered.place)
    }

    /// Reads the labels of a series that has not been seen before, and remembers it.
    pub(super) fn learn(&mut self, key: Key, sent: &TimeSeries<'_>, now: u32) -> Result<Place, LabelsError> {
        let Identity { origin, series } = identify(sent, &mut self.families, &mut self.attributes)?;
        let slot = origin.slot().id;
        let open = self.open.get(&slot).copied().filter(|page| self.has_room(*page));
        let page = open.unwrap_or_else(|| {
            let page = self.new_page(Arc::clone(&origin));
            self.open.insert(slot, page);
            page
        });
        let index = self.pages.get_mut(page as usize).map_or(0, |page| {
            page.table = None;
            page.series.push(series);
            (page.series.len() - 1) as u32
        });
        let place = Place { page, index };
        self.places.insert(key, Remembered { place, seen: now });
        Ok(place)
    }

    /// The place of a known series, which does not count as seen by this.
    pub(super) fn place(&self, key: Key) -> Option<Place> {
        self.places.get(&key).map(|remembered| remembered.place)
    }

    /// Keeps an exemplar for a later request; false if it has waited too long or too many wait.
    pub(super) fn keep_waiting(&mut self, waiting: WaitingExemplar, now: u32) -> bool {
        let keep = now.saturating_sub(waiting.since) < EXEMPLAR_WAITS && self.waiting.len() < MAX_WAITING;
        if keep {
            self.waiting.push(waiting);
        }
        keep
    }

    /// Notes metadata of a family; false if there is no room for it.
    pub(super) fn describe(&mut self, metadata: &FamilyMetadata<'_>, now: u32) -> bool {
        self.families.describe(metadata, now)
    }

    /// Origin and table of a page, the table anew if series were added.
    pub(super) fn table(&mut self, page: u32) -> Option<(Arc<Origin>, Arc<SeriesTable>)> {
        let page = self.pages.get_mut(page as usize)?;
        let series = &page.series;
        let table = page.table.get_or_insert_with(|| SeriesTable::intern(series.clone()));
        Some((Arc::clone(page.origin.as_ref()?), Arc::clone(table)))
    }

    /// Lets go of what has been idle, if it is time to look. Not to be called while places are in use.
    pub(super) fn tidy(&mut self, now: u32) {
        if self.places.len() > self.max_series {
            tracing::warn!(
                series = self.places.len(),
                "More series than can be remembered are being written; the series cache starts over."
            );
            *self = Self { max_series: self.max_series, swept: now, ..Self::default() };
        }
        if now.saturating_sub(self.swept) >= SWEEP_EVERY {
            self.swept = now;
            self.sweep(now);
        }
    }

    /// Series remembered, and families known.
    pub(super) fn sizes(&self) -> (usize, usize) {
        (self.places.len(), self.families.len())
    }

    fn has_room(&self, page: u32) -> bool {
        self.pages.get(page as usize).is_some_and(|page| page.series.len() < PAGE)
    }

    fn new_page(&mut self, origin: Arc<Origin>) -> u32 {
        let page = Page { origin: Some(origin), series: Vec::new(), table: None, remembered: 0 };
        if let Some(at) = self.free.pop()
            && let Some(place) = self.pages.get_mut(at as usize)
        {
            *place = page;
            return at;
        }
        self.pages.push(page);
        (self.pages.len() - 1) as u32
    }

    fn sweep(&mut self, now: u32) {
        let before = self.places.len();
        let pages = &mut self.pages;
        pages.iter_mut().for_each(|page| page.remembered = 0);
        self.places.retain(|_, remembered| {
            let keep = now.saturating_sub(remembered.seen) < IDLE;
            if keep && let Some(page) = pages.get_mut(remembered.place.page as usize) {
                page.remembered += 1;
            }
            keep
        });
        if self.places.len() < before {
            self.close_gaps();
            if self.places.capacity() > 4 * self.places.len() {
                self.places.shrink_to_fit();
            }
        }
        self.families.sweep(now);
    }

    /// Frees pages that nobody needs, and packs those that are more than half empty: what a page holds cannot be
    /// let go one by one, since places are counted from its beginning.
    fn close_gaps(&mut self) {
        let mut packed: HashMap<u32, Vec<Arc<Series>>> = HashMap::new();
        for (at, page) in (0u32..).zip(&mut self.pages) {
            let Some(origin) = &page.origin else { continue };
            if page.remembered == 0 {
                if self.open.get(&origin.slot().id) == Some(&at) {
                    self.open.remove(&origin.slot().id);
                }
                *page = Page { origin: None, series: Vec::new(), table: None, remembered: 0 };
                self.free.push(at);
            } else if page.remembered * 2 < page.series.len() {
                packed.insert(at, Vec::with_capacity(page.remembered));
            }
        }
        if packed.is_empty() {
            return;
        }
        for remembered in self.places.values_mut() {
            let place = &mut remembered.place;
            let Some(kept) = packed.get_mut(&place.page) else { continue };
            let series = self.pages.get(place.page as usize).and_then(|page| page.series.get(place.index as usize));
            if let Some(series) = series {
                place.index = kept.len() as u32;
                kept.push(Arc::clone(series));
            }
        }
        for (at, series) in packed {
            if let Some(page) = self.pages.get_mut(at as usize) {
                page.series = series;
                page.table = None;
            }
        }
    }

    /// Pages in use.
    #[cfg(test)]
    pub(super) fn pages(&self) -> usize {
        self.pages.iter().filter(|page| page.origin.is_some()).count()
    }
}

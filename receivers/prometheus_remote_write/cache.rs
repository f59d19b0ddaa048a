//! Which series the encoded labels of a request stand for.
//!
//! In steady state a sender sends the same series again and again, with the same bytes. So their labels are read
//! once; from then on a 128-bit hash of the bytes leads to a place in a table that exists already. What has not
//! been seen for a few minutes is let go.
//!
//! Series are kept on pages: up to [`PAGE`] series of one origin, whose [`SeriesTable`] is the same `Arc` from
//! request to request. Pages only grow at their end, so places stay valid; a new series costs a new table of its
//! page, not of everything its sender ever sent.
//!
//! Senders also keep their order. The place after the last one is therefore looked at first: that is memory which
//! the processor has fetched already, while a look into the hash table costs two or three waits for memory.

use std::collections::HashMap;
use std::sync::Arc;

use hashbrown::HashTable;
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
/// The most series that are remembered. With about 35 bytes each this is 700 MB, at a point where the series
/// themselves take several times as much. Beyond it the cache starts over, which costs time but loses nothing.
const MAX_SERIES: usize = 20_000_000;

/// For how many seconds an exemplar waits for a sample of its series; some scrape intervals.
const EXEMPLAR_WAITS: u32 = 180;
/// How many exemplars wait at most. They wait only where a sender's batch ends between them and their samples.
const MAX_WAITING: usize = 4096;

/// A 128-bit hash of encoded labels.
pub(super) type Key = u128;

/// Where a series stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Place {
    pub(super) page: u32,
    pub(super) index: u32,
}

/// An exemplar that came without a sample.
#[derive(Debug)]
pub(super) struct WaitingExemplar {
    pub(super) key: Key,
    pub(super) since: u32,
    pub(super) exemplar: Exemplar,
}

/// Some series of one origin. The lists go along with each other.
#[derive(Debug, Default)]
struct Page {
    /// `None` while the page is free.
    origin: Option<Arc<Origin>>,
    series: Vec<Arc<Series>>,
    keys: Vec<Key>,
    /// When each was last sent, in seconds on the caller's clock.
    seen: Vec<u32>,
    /// `None` while `series` has grown since.
    table: Option<Arc<SeriesTable>>,
    /// How many of the series are remembered; the others have [`GONE`] for a key.
    remembered: usize,
}

/// The key of a series that was let go while its neighbours are kept. No labels have it, but for one set in 2^128.
const GONE: Key = 0;

/// The cache of one receiver.
#[derive(Debug)]
pub(super) struct SeriesCache {
    /// Places by the keys on their pages.
    places: HashTable<Place>,
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
            places: HashTable::new(),
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

    /// The place of a series that has been seen before. `expected` is where it stands if the sender keeps its order.
    #[inline]
    pub(super) fn find(&mut self, key: Key, expected: Place, now: u32) -> Option<Place> {
        let place = match self.pages.get(expected.page as usize)?.keys.get(expected.index as usize) {
            Some(there) if *there == key => expected,
            _ => self.place(key)?,
        };
        let page = self.pages.get_mut(place.page as usize)?;
        *page.seen.get_mut(place.index as usize)? = now;
        Some(place)
    }

    /// The place of a known series, which does not count as seen by this.
    pub(super) fn place(&self, key: Key) -> Option<Place> {
        let pages = &self.pages;
        self.places.find(key as u64, |place| key_at(pages, *place) == key).copied()
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
        let index = self.pages.get_mut(page as usize).map_or(0, |page| page.push(series, key, now));
        let place = Place { page, index };
        let pages = &self.pages;
        self.places.insert_unique(key as u64, place, |place| key_at(pages, *place) as u64);
        Ok(place)
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
        let page = Page { origin: Some(origin), ..Page::default() };
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
        for (number, page) in (0u32..).zip(&mut self.pages) {
            for (index, (key, seen)) in (0u32..).zip(page.keys.iter_mut().zip(&page.seen)) {
                if *key == GONE || now.saturating_sub(*seen) < IDLE {
                    continue;
                }
                if let Ok(entry) = self.places.find_entry(*key as u64, |place| *place == Place { page: number, index })
                {
                    entry.remove();
                }
                *key = GONE;
                page.remembered -= 1;
            }
        }
        if self.places.len() < before {
            self.close_gaps();
            if self.places.capacity() > 4 * self.places.len() {
                let pages = &self.pages;
                self.places.shrink_to_fit(|place| key_at(pages, *place) as u64);
            }
        }
        self.families.sweep(now);
    }

    /// Frees pages that nobody needs, and packs those that are more than half empty: what a page holds cannot be
    /// let go one by one, since places are counted from its beginning.
    fn close_gaps(&mut self) {
        for (number, page) in (0u32..).zip(&mut self.pages) {
            let Some(origin) = &page.origin else { continue };
            if page.remembered == 0 {
                if self.open.get(&origin.slot().id) == Some(&number) {
                    self.open.remove(&origin.slot().id);
                }
                *page = Page::default();
                self.free.push(number);
            } else if page.remembered * 2 < page.series.len() {
                let old = std::mem::take(page);
                page.origin = old.origin;
                let series = old.series.into_iter().zip(old.keys).zip(old.seen);
                for (index, ((series, key), seen)) in (0u32..).zip(series).filter(|(_, ((_, key), _))| *key != GONE) {
                    let before = Place { page: number, index };
                    if let Some(place) = self.places.find_mut(key as u64, |place| *place == before) {
                        place.index = page.push(series, key, seen);
                    }
                }
            }
        }
    }

    /// Pages in use.
    #[cfg(test)]
    pub(super) fn pages(&self) -> usize {
        self.pages.iter().filter(|page| page.origin.is_some()).count()
    }
}

impl Page {
    /// Adds a series at the end; its index.
    fn push(&mut self, series: Arc<Series>, key: Key, now: u32) -> u32 {
        self.table = None;
        self.series.push(series);
        self.keys.push(key);
        self.seen.push(now);
        self.remembered += 1;
        (self.series.len() - 1) as u32
    }
}

fn key_at(pages: &[Page], place: Place) -> Key {
    let page = pages.get(place.page as usize);
    page.and_then(|page| page.keys.get(place.index as usize)).copied().unwrap_or(GONE)
}

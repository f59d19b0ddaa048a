//! Places for series that a receiver has seen before.
//!
//! In steady state a sender sends the same series again and again, with the same bytes. So a receiver reads their identity
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

use crate::model::{Origin, Series, SeriesTable};

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

/// What identifies a series to its sender, hashed with the secret seed of the pages: 128 bits, so that two are never
/// taken for one.
pub type Key = u128;

/// Where a series stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Place {
    /// Which page.
    pub page: u32,
    /// Which of its series.
    pub index: u32,
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

/// All series that one receiver remembers.
#[derive(Debug)]
pub struct SeriesPages {
    /// Places by the keys on their pages.
    places: HashTable<Place>,
    pages: Vec<Page>,
    free: Vec<u32>,
    /// The page that takes new series, by the slot of the origin.
    open: HashMap<u32, u32>,
    swept: u32,
    /// After how many seconds without a sample a series is let go.
    idle: u32,
    seed: u64,
    max_series: usize,
}

impl Default for SeriesPages {
    fn default() -> Self {
        Self::with_max_series(MAX_SERIES)
    }
}

/// What [`SeriesPages::tidy`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tidied {
    /// Nothing: it is not time yet.
    Nothing,
    /// Idle series were let go.
    Swept,
    /// There were too many, so that all are forgotten and read anew.
    StartedOver,
}

impl SeriesPages {
    /// Pages that start over when there are more than `max_series`.
    pub fn with_max_series(max_series: usize) -> Self {
        use std::hash::BuildHasher as _;
        // The seed is a secret of this process, so that nobody can prepare two identities with one hash.
        let seed = std::hash::RandomState::new().hash_one(0u64);
        Self {
            places: HashTable::new(),
            pages: Vec::new(),
            free: Vec::new(),
            open: HashMap::new(),
            swept: 0,
            idle: IDLE,
            seed,
            max_series,
        }
    }

    /// Remembers series for at least so many seconds after their last sample, if that is more than usual.
    pub fn remember_for(&mut self, seconds: u32) {
        self.idle = self.idle.max(seconds);
    }

    /// What keys are to be hashed with. Another one after all were forgotten.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The place of a series that has been seen before. `expected` is where it stands if the sender keeps its order; `now`
    /// counts seconds.
    #[inline]
    pub fn find(&mut self, key: Key, expected: Place, now: u32) -> Option<Place> {
        let place = match self.pages.get(expected.page as usize)?.keys.get(expected.index as usize) {
            Some(there) if *there == key => expected,
            _ => self.place(key)?,
        };
        let page = self.pages.get_mut(place.page as usize)?;
        *page.seen.get_mut(place.index as usize)? = now;
        Some(place)
    }

    /// The place of a known series, which does not count as seen by this.
    pub fn place(&self, key: Key) -> Option<Place> {
        let pages = &self.pages;
        self.places.find(key as u64, |place| key_at(pages, *place) == key).copied()
    }

    /// Remembers a series that has not been seen before.
    pub fn insert(&mut self, key: Key, origin: &Arc<Origin>, series: Arc<Series>, now: u32) -> Place {
        let slot = origin.slot().id;
        let open = self.open.get(&slot).copied().filter(|page| self.has_room(*page));
        let page = open.unwrap_or_else(|| {
            let page = self.new_page(Arc::clone(origin));
            self.open.insert(slot, page);
            page
        });
        let index = self.pages.get_mut(page as usize).map_or(0, |page| page.push(series, key, now));
        let place = Place { page, index };
        let pages = &self.pages;
        self.places.insert_unique(key as u64, place, |place| key_at(pages, *place) as u64);
        place
    }

    /// Origin and table of a page, the table anew if series were added.
    pub fn table(&mut self, page: u32) -> Option<(Arc<Origin>, Arc<SeriesTable>)> {
        let page = self.pages.get_mut(page as usize)?;
        let series = &page.series;
        let table = page.table.get_or_insert_with(|| SeriesTable::intern(series.clone()));
        Some((Arc::clone(page.origin.as_ref()?), Arc::clone(table)))
    }

    /// How many series are on a page.
    pub fn len_of(&self, page: u32) -> usize {
        self.pages.get(page as usize).map_or(0, |page| page.series.len())
    }

    /// Series whose last sample is more than `after` seconds old by now and was not so at `before`, by page. Asked at intervals, each since the
    /// one before, this names every series once that was not sent any more.
    pub fn ended(&self, before: u32, now: u32, after: u32) -> Vec<(u32, Vec<u32>)> {
        let has_ended = |seen: u32| {
            // Seconds are cut off: one more makes sure of all of them.
            let due = seen.saturating_add(after).saturating_add(1);
            before < due && due <= now
        };
        let of_page = |(number, page): (u32, &Page)| {
            let series = (0u32..).zip(page.keys.iter().zip(&page.seen));
            let ended = series.filter(|(_, (key, seen))| **key != GONE && has_ended(**seen));
            let ended: Vec<u32> = ended.map(|(index, _)| index).collect();
            (!ended.is_empty()).then_some((number, ended))
        };
        (0u32..).zip(&self.pages).filter_map(of_page).collect()
    }

    /// Lets go of what has been idle, if it is time to look. Not to be called while places are in use.
    pub fn tidy(&mut self, now: u32) -> Tidied {
        if self.places.len() > self.max_series {
            tracing::warn!(
                series = self.places.len(),
                "More series than can be remembered are being sent; all are forgotten and read anew."
            );
            *self = Self { swept: now, ..Self::with_max_series(self.max_series) };
            return Tidied::StartedOver;
        }
        if now.saturating_sub(self.swept) < SWEEP_EVERY {
            return Tidied::Nothing;
        }
        self.swept = now;
        self.sweep(now);
        Tidied::Swept
    }

    /// Series remembered.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether none is remembered.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Pages in use.
    pub fn pages(&self) -> usize {
        self.pages.iter().filter(|page| page.origin.is_some()).count()
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
                if *key == GONE || now.saturating_sub(*seen) < self.idle {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Family, Part, Source};

    fn place(pages: &mut SeriesPages, key: Key, now: u32) -> Place {
        let origin = Origin::intern(Source::Otlp, Default::default(), Default::default(), Default::default());
        let family = Arc::new(Family { name: format!("pages_test_{key}").into(), ..Family::default() });
        let name = Arc::clone(&family.name);
        pages.insert(key, &origin, Series::intern(family, name, Part::Whole, Default::default()), now)
    }

    #[test]
    fn a_series_ends_once_and_again_after_it_came_back() {
        let mut pages = SeriesPages::default();
        let (a, b) = (place(&mut pages, 1, 0), place(&mut pages, 2, 3));
        // Not before it is surely more than the time that was given.
        assert!(pages.ended(0, 5, 5).is_empty());
        assert_eq!(pages.ended(5, 6, 5), [(a.page, vec![a.index])]);
        assert_eq!(pages.ended(6, 20, 5), [(b.page, vec![b.index])]);
        assert!(pages.ended(20, 100, 5).is_empty());
        assert_eq!(pages.find(1, b, 100), Some(a));
        assert_eq!(pages.ended(100, 200, 5), [(a.page, vec![a.index])]);
    }

    #[test]
    fn series_are_remembered_for_as_long_as_they_may_still_end() {
        let mut pages = SeriesPages::default();
        pages.remember_for(1000);
        place(&mut pages, 1, 0);
        assert_eq!((pages.tidy(900), pages.len()), (Tidied::Swept, 1));
        assert_eq!((pages.tidy(1000), pages.len()), (Tidied::Swept, 0));
    }
}

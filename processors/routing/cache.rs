//! What is remembered from batch to batch: for each pair of an origin and a table, where its points go.
//!
//! Nothing here keeps an incoming origin alive, and a table only while its origin lives and had it decided
//! last. What has ended, or was not used for a while, is found by a sweep and let go.

use super::Judge;
use super::decisions::Decisions;
use super::mapping::{Mapping, Routes};
use hashbrown::HashMap;
use hashbrown::hash_map::Entry as Place;
use pipeline::{Origin, PointGroup, SeriesTable, Slot};
use std::sync::{Arc, Weak};

/// Timed sweeps through which an entry may stay unused. With one a minute that is longer than nearly all scrape
/// intervals; what comes back later is decided anew.
const IDLE_SWEEPS: u32 = 10;

/// A sweep is made without waiting for its time when verdicts on this many series were added, and as many as
/// were left by the sweep before. Churn can make them faster than time passes, and each may hold on to a
/// series of some hundred bytes.
const MIN_GROWTH: usize = 16_384;

/// Where the points of one table at one origin go.
#[derive(Debug)]
pub(crate) struct Entry<E> {
    pub(crate) mapping: Arc<Mapping<E>>,
    /// The origin of each output; `None` if it is the incoming one.
    pub(super) origins: Box<[Option<Arc<Origin>>]>,
    pub(super) origin: Weak<Origin>,
    pub(super) table: Weak<SeriesTable>,
    /// The number of timed sweeps before it was used last.
    pub(super) used: u32,
}

impl<E> Entry<E> {
    /// Whether groups go on exactly as they came.
    #[inline]
    pub(super) fn is_unchanged(&self) -> bool {
        matches!(self.mapping.routes, Routes::Unchanged) && matches!(*self.origins, [None])
    }

    fn is_alive(&self, sweeps: u32) -> bool {
        self.origin.strong_count() > 0 && self.table.strong_count() > 0 && sweeps.wrapping_sub(self.used) <= IDLE_SWEEPS
    }
}

/// How much is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sizes {
    /// Pairs of an origin and a table.
    pub(crate) entries: usize,
    /// Origins.
    pub(crate) origins: usize,
    /// Tables with verdicts, once for all origins that look the same.
    pub(crate) mappings: usize,
    /// Ways in which origins look to the rules.
    pub(crate) projections: usize,
}

/// Remembered decisions.
#[derive(Debug)]
pub(crate) struct Cache<J: Judge> {
    entries: HashMap<(Slot, Slot), Entry<J::Edit>>,
    decisions: Decisions<J>,
    sweeps: u32,
    sweep_at: usize,
}

impl<J: Judge> Cache<J> {
    pub(crate) fn new(judge: J) -> Self {
        Self { entries: HashMap::new(), decisions: Decisions::new(judge), sweeps: 0, sweep_at: MIN_GROWTH }
    }

    /// Where the points of this group go.
    #[inline]
    pub(crate) fn entry(&mut self, group: &PointGroup) -> &Entry<J::Edit> {
        match self.entries.entry((group.origin.slot(), group.table.slot())) {
            Place::Occupied(found) => {
                let entry = found.into_mut();
                entry.used = self.sweeps;
                entry
            }
            Place::Vacant(free) => free.insert(self.decisions.decide(&group.origin, &group.table, self.sweeps)),
        }
    }

    /// Lets go of what has ended, if enough was added to make it worth a look. Between batches.
    pub(super) fn sweep_if_grown(&mut self) {
        if self.decisions.grown() >= self.sweep_at {
            self.sweep();
        }
    }

    /// Lets go of what has ended or is idle. Once a minute.
    pub(crate) fn timed_sweep(&mut self) {
        self.sweeps = self.sweeps.wrapping_add(1);
        self.sweep();
    }

    fn sweep(&mut self) {
        let sweeps = self.sweeps;
        self.entries.retain(|_, entry| entry.is_alive(sweeps));
        shrink(&mut self.entries);
        let left = self.decisions.sweep(&self.entries);
        self.sweep_at = left.max(MIN_GROWTH);
    }

    pub(crate) fn sizes(&self) -> Sizes {
        let (origins, mappings, projections) = self.decisions.sizes();
        Sizes { entries: self.entries.len(), origins, mappings, projections }
    }

    /// How many series rules were applied to so far.
    pub(crate) fn evaluated(&self) -> u64 {
        self.decisions.evaluated()
    }
}

/// Gives memory back after most of a map is gone.
pub(super) fn shrink<K: Eq + std::hash::Hash, V>(map: &mut HashMap<K, V>) {
    if map.capacity() > 64 && map.capacity() / 4 > map.len() {
        map.shrink_to(map.len() * 2);
    }
}

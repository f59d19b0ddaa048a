//! Which series the encoded labels of a request stand for: what the pages of the pipeline's
//! [`SeriesPages`] remember, and what senders say about families.

use std::sync::Arc;

use pipeline::pages::{SeriesPages, Tidied};
use pipeline::value::Exemplar;
use pipeline::{AttributesBuilder, Origin, SeriesTable};
use prometheus::remote_write::wire::{FamilyMetadata, TimeSeries};

use super::families::Families;
use super::labels::{Identity, LabelsError, identify};

pub(super) use pipeline::pages::{Key, Place};

/// For how many seconds an exemplar waits for a sample of its series; some scrape intervals.
const EXEMPLAR_WAITS: u32 = 180;
/// How many exemplars wait at most. They wait only where a sender's batch ends between them and their samples.
const MAX_WAITING: usize = 4096;

/// An exemplar that came without a sample.
#[derive(Debug)]
pub(super) struct WaitingExemplar {
    pub(super) key: Key,
    pub(super) since: u32,
    pub(super) exemplar: Exemplar,
}

/// The cache of one receiver.
#[derive(Debug, Default)]
pub(super) struct SeriesCache {
    pages: SeriesPages,
    families: Families,
    attributes: AttributesBuilder,
    /// What came without a sample in earlier requests.
    pub(super) waiting: Vec<WaitingExemplar>,
}

impl SeriesCache {
    /// A cache that starts over at `max_series`.
    #[cfg(test)]
    pub(super) fn with_max_series(max_series: usize) -> Self {
        Self { pages: SeriesPages::with_max_series(max_series), ..Self::default() }
    }

    /// The key of a series with these encoded labels. A histogram is another series than the floats of the same
    /// name: its family is of another kind.
    #[inline]
    pub(super) fn key(&self, labels: &[u8], histogram: bool) -> Key {
        xxhash_rust::xxh3::xxh3_128_with_seed(labels, self.pages.seed()) ^ u128::from(histogram)
    }

    /// The place of a series that has been seen before. `expected` is where it stands if the sender keeps its order.
    #[inline]
    pub(super) fn find(&mut self, key: Key, expected: Place, now: u32) -> Option<Place> {
        self.pages.find(key, expected, now)
    }

    /// The place of a known series, which does not count as seen by this.
    pub(super) fn place(&self, key: Key) -> Option<Place> {
        self.pages.place(key)
    }

    /// Reads the labels of a series that has not been seen before, and remembers it.
    pub(super) fn learn(&mut self, key: Key, sent: &TimeSeries<'_>, now: u32) -> Result<Place, LabelsError> {
        self.families.describe_series(sent, now);
        let Identity { origin, series } = identify(sent, &mut self.families, &mut self.attributes)?;
        Ok(self.pages.insert(key, &origin, series, now))
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
        self.pages.table(page)
    }

    /// Lets go of what has been idle, if it is time to look. Not to be called while places are in use.
    pub(super) fn tidy(&mut self, now: u32) {
        match self.pages.tidy(now) {
            Tidied::Nothing => {}
            Tidied::Swept => self.families.sweep(now),
            Tidied::StartedOver => {
                self.families = Families::default();
                self.waiting.clear();
            }
        }
    }

    /// Series remembered, and families known.
    pub(super) fn sizes(&self) -> (usize, usize) {
        (self.pages.len(), self.families.len())
    }

    /// Pages in use.
    #[cfg(test)]
    pub(super) fn pages(&self) -> usize {
        self.pages.pages()
    }
}

//! How a pair of an origin and a table is decided the first time, with as little work and memory as what is
//! known already allows.
//!
//! Verdicts depend on the table and on how the origin looks to the judge, its *projection*. Where decisions depend on
//! nothing of the origin, all have the same projection and share the verdicts.

use super::cache::{Entry, shrink};
use super::mapping::{Mapping, Previous};
use super::{Edit as _, Judge};
use hashbrown::HashMap;
use pipeline::{Origin, SeriesTable, Slot};
use std::sync::{Arc, Weak};

/// How some origins look to the judge.
#[derive(Debug)]
struct Projected<P> {
    /// Distinguishes projections for as long as the processor runs.
    id: u64,
    projection: P,
}

/// What is known of an origin.
#[derive(Debug)]
struct KnownOrigin<J: Judge> {
    origin: Weak<Origin>,
    projection: Arc<Projected<J::Projection>>,
    /// The table that was decided last for it. A target whose page changes has most of its series in the next
    /// one, too.
    last: (Arc<SeriesTable>, Arc<Mapping<J::Edit>>),
}

/// Verdicts on a table.
#[derive(Debug)]
struct KnownTable<E> {
    table: Weak<SeriesTable>,
    mapping: Weak<Mapping<E>>,
}

impl<E> KnownTable<E> {
    fn new(table: &Arc<SeriesTable>, mapping: &Arc<Mapping<E>>) -> Self {
        Self { table: Arc::downgrade(table), mapping: Arc::downgrade(mapping) }
    }

    fn is_alive(&self) -> bool {
        self.table.strong_count() > 0 && self.mapping.strong_count() > 0
    }
}

/// Asks the judge, and remembers by what the results are shared.
#[derive(Debug)]
pub(super) struct Decisions<J: Judge> {
    judge: J,
    origins: HashMap<Slot, KnownOrigin<J>>,
    projections: HashMap<J::View, Weak<Projected<J::Projection>>>,
    next_projection: u64,
    /// By projection and table.
    mappings: HashMap<(u64, Slot), KnownTable<J::Edit>>,
    /// The table that was decided last for a projection, for origins that are new in it.
    latest: HashMap<u64, KnownTable<J::Edit>>,
    /// The mapping made last for a table under any projection: routes are often the same.
    by_table: HashMap<Slot, Weak<Mapping<J::Edit>>>,
    grown: usize,
    evaluated: u64,
}

impl<J: Judge> Decisions<J> {
    pub(super) fn new(judge: J) -> Self {
        Self {
            judge,
            origins: HashMap::new(),
            projections: HashMap::new(),
            next_projection: 0,
            mappings: HashMap::new(),
            latest: HashMap::new(),
            by_table: HashMap::new(),
            grown: 0,
            evaluated: 0,
        }
    }

    /// Where points of `table` at `origin` go.
    #[cold]
    pub(super) fn decide(&mut self, origin: &Arc<Origin>, table: &Arc<SeriesTable>, sweeps: u32) -> Entry<J::Edit> {
        let projection = match self.origins.get(&origin.slot()) {
            Some(known) => Arc::clone(&known.projection),
            None => self.project(origin),
        };
        let key = (projection.id, table.slot());
        let mapping = match self.mappings.get(&key).and_then(|known| known.mapping.upgrade()) {
            Some(mapping) => mapping,
            None => {
                let mapping = self.map(origin, table, &projection);
                self.mappings.insert(key, KnownTable::new(table, &mapping));
                self.latest.insert(projection.id, KnownTable::new(table, &mapping));
                mapping
            }
        };
        self.grown += 1;
        let last = (Arc::clone(table), Arc::clone(&mapping));
        self.origins.insert(origin.slot(), KnownOrigin { origin: Arc::downgrade(origin), projection, last });
        Entry {
            origins: mapping.outputs.iter().map(|output| output.edit.apply(origin)).collect(),
            mapping,
            origin: Arc::downgrade(origin),
            table: Arc::downgrade(table),
            used: sweeps,
        }
    }

    /// The way in which an origin looks to the judge.
    fn project(&mut self, origin: &Origin) -> Arc<Projected<J::Projection>> {
        let view = self.judge.view(origin);
        if let Some(known) = self.projections.get(&view).and_then(Weak::upgrade) {
            return known;
        }
        self.next_projection += 1;
        let projection = self.judge.project(&view);
        let projection = Arc::new(Projected { id: self.next_projection, projection });
        self.projections.insert(view, Arc::downgrade(&projection));
        projection
    }

    /// Decides about the series of a table that are not known yet.
    fn map(
        &mut self,
        origin: &Origin,
        table: &Arc<SeriesTable>,
        projection: &Projected<J::Projection>,
    ) -> Arc<Mapping<J::Edit>> {
        let last = self.origins.get(&origin.slot()).map(|known| known.last.clone());
        let last = last.or_else(|| {
            let latest = self.latest.get(&projection.id)?;
            Some((latest.table.upgrade()?, latest.mapping.upgrade()?))
        });
        let previous = last.as_ref().map(|(table, mapping)| Previous { table, mapping });
        let (mut mapping, evaluated) = Mapping::new(&mut self.judge, &projection.projection, table, previous);
        self.evaluated += evaluated;
        self.grown += table.len();
        if let Some(other) = self.by_table.get(&table.slot()).and_then(Weak::upgrade) {
            mapping.routes.share(&other.routes);
        }
        let mapping = Arc::new(mapping);
        self.by_table.insert(table.slot(), Arc::downgrade(&mapping));
        mapping
    }

    /// How much was added since the last sweep, in series.
    pub(super) fn grown(&self) -> usize {
        self.grown
    }

    /// How many series were decided about so far.
    pub(super) fn evaluated(&self) -> u64 {
        self.evaluated
    }

    /// Numbers of origins, mappings and projections.
    pub(super) fn sizes(&self) -> (usize, usize, usize) {
        (self.origins.len(), self.mappings.len(), self.projections.len())
    }

    /// Lets go of what no entry uses any more. Returns how much is left, in series.
    pub(super) fn sweep(&mut self, entries: &HashMap<(Slot, Slot), Entry<J::Edit>>) -> usize {
        // The entry of the last table goes first if the table fell out of use, and takes the origin along: at
        // worst the origin's next table is decided from nothing.
        self.origins.retain(|slot, known| {
            known.origin.strong_count() > 0 && entries.contains_key(&(*slot, known.last.0.slot()))
        });
        self.mappings.retain(|_, known| known.is_alive());
        self.latest.retain(|_, known| known.is_alive());
        self.by_table.retain(|_, mapping| mapping.strong_count() > 0);
        self.projections.retain(|_, projection| projection.strong_count() > 0);
        shrink(&mut self.origins);
        shrink(&mut self.mappings);
        shrink(&mut self.latest);
        shrink(&mut self.by_table);
        shrink(&mut self.projections);
        self.grown = 0;
        let series: usize = self.mappings.values().filter_map(|known| Some(known.table.upgrade()?.len())).sum();
        series + entries.len()
    }
}

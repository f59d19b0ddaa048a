//! Labels and metadata as lists of interned strings, for origins and for the series of tables.

mod build;

use super::super::labels::{Pieces, WireOrigin, cut_points, label_pairs};
use super::super::sample::Timestamp;
use super::super::table::WireTable;
use build::{Builder, created, label_ends};
use pipeline::{Part, Point, PointGroup, Series, SeriesTable, Slot};
use prometheus::remote_write::wire::v2::Symbols;
use std::collections::HashMap;
use std::sync::{Arc, Weak};

/// Tables of one series each, by the slot of that.
type Loose = Vec<Option<(Slot, Arc<RefTable>)>>;

/// What is known of everything met so far, for version 2.0.
#[derive(Debug, Default)]
pub(crate) struct SymbolTables {
    pub(super) interned: Symbols,
    tables: HashMap<(Slot, u32, bool), Arc<RefTable>>,
    /// By slot of the origin.
    origins: Vec<Option<(Slot, Arc<RefOrigin>)>>,
    /// Series that did not come by a table, by their slot; under translated names, and under those they came with.
    loose: [Loose; 2],
    /// Tables and origins so far: tells those of a request apart.
    count: u32,
    /// Tables that were added since those that nobody needs were last let go.
    added: usize,
}

/// An origin's labels.
#[derive(Debug)]
pub(crate) struct RefOrigin {
    pub(super) number: u32,
    /// Ids of names and values, in the order of the names.
    pub(super) ids: Box<[u32]>,
}

/// The series of a table.
#[derive(Debug)]
pub(crate) struct RefTable {
    of: Weak<SeriesTable>,
    pub(super) number: u32,
    pub(super) entries: Box<[RefEntry]>,
    ids: Box<[u32]>,
    cuts: Box<[(u16, u8)]>,
    /// The most bytes that a series' own labels have in version 1.0, by which the guard measures them.
    widest: usize,
    /// By place: where in the table the series is that says when this one began; empty if there is none.
    created: Box<[u32]>,
}

/// One series.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RefEntry {
    ids: u32,
    cuts: u32,
    labels: u16,
    cuts_len: u8,
    /// Which ids differ from those of the series before, a bit for each, or [`LOOK`].
    changed: u32,
    /// Whether its values count up from a time on.
    counts: bool,
    /// Type, help and unit; `None` if they are not sent.
    pub(super) metadata: Option<RefMetadata>,
}

/// It is to be looked which ids differ.
const LOOK: u32 = 1 << 31;

/// The most labels that are compared: two bits for each are a number.
const MOST_COMPARED: u16 = 31;

/// Type, help and unit of a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RefMetadata {
    pub(super) kind: u8,
    pub(super) help: u32,
    pub(super) unit: u32,
}

/// A group of points in terms of symbols.
#[derive(Debug)]
pub(crate) struct Group {
    pub(super) table: Arc<RefTable>,
    pub(super) origin: Arc<RefOrigin>,
    /// By place: what the group says about when series began, in milliseconds since the Unix epoch; empty if nothing.
    created: Vec<i64>,
}

/// A start time in both units, kept because the points of a group have it in common.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Start {
    nanos: i64,
    millis: i64,
}

/// Where there is no series that tells a time.
const NONE: u32 = u32::MAX;

/// So many strings that nobody uses are kept at most, besides as many as are in use.
const SPARE: usize = 65_536;

/// Tables are looked through for those that nobody needs when as many were added as there were, and this many.
const FEW: usize = 16;

impl SymbolTables {
    /// Whether so much of it is out of use that it is better forgotten; what was encoded is to be sealed before.
    pub(crate) fn is_overgrown(&self) -> bool {
        if self.interned.len() < SPARE {
            return false;
        }
        let tables = self.tables.values().map(|table| table.ids.len() + 2 * table.entries.len()).sum::<usize>();
        let origins = self.origins.iter().flatten().map(|(_, origin)| origin.ids.len()).sum::<usize>();
        let loose = self.loose.iter().flatten().flatten().map(|(_, table)| table.ids.len() + 2).sum::<usize>();
        self.interned.len() > SPARE + 2 * (tables + origins + loose)
    }

    /// What `group` is in terms of symbols; its series are those of `wire`, at `origin`.
    pub(crate) fn group(
        &mut self,
        group: &PointGroup,
        wire: &WireTable,
        origin: &WireOrigin,
        keeps_names: bool,
        metadata: bool,
    ) -> Group {
        let key = (group.table.slot(), origin.signature(), keeps_names);
        let table = match self.tables.get(&key) {
            Some(known) => Arc::clone(known),
            None => self.add(key, &group.table, wire, origin, metadata),
        };
        let mut created = Vec::new();
        if !table.created.is_empty() {
            created.resize(table.entries.len(), 0);
            for point in &group.points {
                let told = group.table.get(point.series).is_some_and(|series| series.part == Part::Created);
                if let (true, pipeline::Value::Float(seconds)) = (told, &point.value)
                    && let Some(place) = created.get_mut(point.series as usize)
                {
                    *place = (seconds * 1000.0) as i64;
                }
            }
        }
        let origin = self.origin(origin.slot(), origin.bytes());
        Group { table, origin, created }
    }

    /// The same for a sample by itself; `None` if its labels belong to this pair of origin and series only.
    pub(crate) fn loose(
        &mut self,
        series: &Arc<Series>,
        labels: &Pieces<'_>,
        keeps_names: bool,
        metadata: bool,
    ) -> Option<Group> {
        let (origin_slot, origin, own, runs) = labels.parts()?;
        let slot = series.slot();
        let at = slot.id as usize;
        let known = self.loose.get(usize::from(keeps_names)).and_then(|all| all.get(at)).and_then(Option::as_ref);
        // Where the origin's labels stand depends on their names, so the cuts have to be the same.
        let same = |table: &RefTable| table.has_cuts(own, runs);
        let table = match known.filter(|(of, table)| *of == slot && same(table)) {
            Some((_, table)) => Arc::clone(table),
            None => {
                let mut build = Builder::default();
                build.add(&mut self.interned, Some((own, runs)), series, metadata);
                self.count += 1;
                let table = Arc::new(build.finish(Weak::new(), self.count, Vec::new()));
                let all = self.loose.get_mut(usize::from(keeps_names))?;
                if all.len() <= at {
                    all.resize_with(at + 1, || None);
                }
                *all.get_mut(at)? = Some((slot, Arc::clone(&table)));
                table
            }
        };
        Some(Group { table, origin: self.origin(origin_slot, origin), created: Vec::new() })
    }

    fn origin(&mut self, slot: Slot, labels: &[u8]) -> Arc<RefOrigin> {
        let at = slot.id as usize;
        if let Some(Some((of, known))) = self.origins.get(at)
            && *of == slot
        {
            return Arc::clone(known);
        }
        if self.origins.len() <= at {
            self.origins.resize_with(at + 1, || None);
        }
        self.count += 1;
        let ids = label_pairs(labels).flat_map(|(name, value)| [name, value]).map(|text| self.interned.reference(text));
        let origin = Arc::new(RefOrigin { number: self.count, ids: ids.collect() });
        if let Some(place) = self.origins.get_mut(at) {
            *place = Some((slot, Arc::clone(&origin)));
        }
        origin
    }

    #[cold]
    fn add(
        &mut self,
        key: (Slot, u32, bool),
        table: &Arc<SeriesTable>,
        wire: &WireTable,
        origin: &WireOrigin,
        metadata: bool,
    ) -> Arc<RefTable> {
        let mut build = Builder::default();
        let mut cuts = Vec::new();
        for (index, series) in (0u32..).zip(table.as_slice()) {
            cuts.clear();
            let own = wire.labels(index).filter(|own| cut_points(own, origin, &mut cuts));
            build.add(&mut self.interned, own.map(|own| (own, cuts.as_slice())), series, metadata);
        }
        self.count += 1;
        let built = Arc::new(build.finish(Arc::downgrade(table), self.count, created(table)));
        self.tables.insert(key, Arc::clone(&built));
        self.added += 1;
        if self.added >= FEW + self.tables.len() / 2 {
            self.added = 0;
            self.tables.retain(|_, table| table.of.strong_count() > 0);
        }
        built
    }
}

impl RefEntry {
    /// Whether it stands apart in its table: it has no labels here, not even a name.
    #[inline]
    pub(super) fn is_apart(&self) -> bool {
        self.labels == 0
    }

    #[inline]
    fn ids<'a>(&self, all: &'a [u32]) -> &'a [u32] {
        let (start, len) = (self.ids as usize, 2 * usize::from(self.labels));
        all.get(start..).and_then(|ids| ids.get(..len)).unwrap_or(&[])
    }

    #[inline]
    fn cuts<'a>(&self, all: &'a [(u16, u8)]) -> &'a [(u16, u8)] {
        let (start, len) = (self.cuts as usize, usize::from(self.cuts_len));
        all.get(start..).and_then(|cuts| cuts.get(..len)).unwrap_or(&[])
    }

    /// Which ids differ from those of `before`, a bit for each, if the origin's labels stand behind as many labels in both.
    fn changed(&self, before: &Self, ids: &[u32], cuts: &[(u16, u8)]) -> Option<u64> {
        if self.labels != before.labels || self.labels > MOST_COMPARED || self.cuts(cuts) != before.cuts(cuts) {
            return None;
        }
        let both = self.ids(ids).iter().zip(before.ids(ids));
        Some(both.enumerate().fold(0, |changed, (at, (a, b))| changed | u64::from(a != b) << at))
    }
}

impl RefTable {
    /// Ids of names and values of a series' own labels.
    #[inline]
    pub(super) fn ids(&self, entry: &RefEntry) -> &[u32] {
        entry.ids(&self.ids)
    }

    /// Behind how many of a series' own labels those of the origin stand, and how many of these are through then.
    #[inline]
    pub(super) fn cuts(&self, entry: &RefEntry) -> &[(u16, u8)] {
        entry.cuts(&self.cuts)
    }

    /// How many of a series' own labels are before those of the origin.
    #[inline]
    pub(super) fn lead(&self, entry: &RefEntry) -> usize {
        usize::from(self.cuts(entry).first().map_or(entry.labels, |(labels, _)| *labels))
    }

    /// Which ids of `entry`, which is the one at `index`, differ from those of the one at `before`, a bit for each, if the
    /// origin's labels stand behind as many labels in both.
    #[inline]
    pub(super) fn changed(&self, before: u32, (index, entry): (u32, &RefEntry)) -> Option<u64> {
        if entry.changed != LOOK && before.wrapping_add(1) == index {
            return Some(entry.changed.into());
        }
        entry.changed(self.entries.get(before as usize)?, &self.ids, &self.cuts)
    }

    /// Whether the one series of this table has the origin's labels at `runs`.
    fn has_cuts(&self, own: &[u8], runs: &[(u16, u8)]) -> bool {
        let place = |count: u16| usize::from(count).checked_sub(1).map_or(Some(0), |last| label_ends(own).nth(last));
        self.cuts.len() == runs.len()
            && self
                .cuts
                .iter()
                .zip(runs)
                .all(|((count, a), (cut, b))| a == b && place(*count) == Some(usize::from(*cut)))
    }
}

impl Group {
    /// The most bytes that the labels of one of its series, without those of the origin, have in version 1.0.
    #[inline]
    pub(crate) fn widest(&self) -> usize {
        self.table.widest
    }

    /// When the series of `point` began to count, in milliseconds since the Unix epoch; 0 if that is not known or does not
    /// apply.
    #[inline]
    pub(crate) fn start_ms(&self, start: &mut Start, point: &Point, time: &Timestamp) -> i64 {
        if point.start == 0 && self.created.is_empty() {
            return 0;
        }
        let place = point.series as usize;
        if !self.table.entries.get(place).is_some_and(|entry| entry.counts) {
            return 0;
        }
        if start.nanos != point.start {
            *start = Start { nanos: point.start, millis: point.start / 1_000_000 };
        }
        let told = self.table.created.get(place).and_then(|of| self.created.get(*of as usize)).copied();
        let millis = told.filter(|told| *told > 0).unwrap_or(start.millis);
        if (1..=time.millis).contains(&millis) { millis } else { 0 }
    }
}

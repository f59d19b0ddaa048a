//! Labels in wire form, worked out once per origin and once per series, and joined by copying.
//!
//! A sample's labels are those of its origin (job, instance, external labels, ...) merged by name with
//! those of its series (name, attributes, le). Both halves are kept as encoded bytes. Where the origin's
//! labels fall between the series' labels depends only on the names, so that plan is made once for all origins whose
//! labels have the same names, as targets of one job have. Joining is then a few copies, and memory is spent per
//! origin plus per series, not per pair.
//!
//! Series come by tables, and most are written by what [`super::table`] knows of a whole one. [`LabelTables::labels`] is for
//! the others: parts of what travels whole, `target_info`, and what has a label of its origin once more.

mod pieces;

use super::spread::kin_of;
use super::table::{ReadyTable, TableKey, WireTable, WireTables};
use super::translation::Translation;
use pieces::interleave;
pub(crate) use pieces::{Pieces, Runs, cut_points, first_label, label_pairs};
use pipeline::{Origin, Series, SeriesTable, Slot};
use prometheus::remote_write::wire::v1::put_label;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

/// An origin's labels in wire form.
#[derive(Debug)]
pub(super) struct WireOrigin {
    slot: Slot,
    /// Which set of label names: an index into [`LabelTables::signatures`].
    signature: u32,
    /// Which lengths its labels have, as a number.
    shape: u32,
    /// All labels, encoded, sorted by name.
    bytes: Box<[u8]>,
    /// Where each label ends in `bytes`.
    ends: Box<[u32]>,
}

impl WireOrigin {
    /// The origin's slot.
    pub(super) fn slot(&self) -> Slot {
        self.slot
    }

    /// Which set of label names it has.
    pub(super) fn signature(&self) -> u32 {
        self.signature
    }

    /// Which lengths its labels have: origins with the same number and the same set of names have the same.
    #[inline]
    pub(super) fn shape(&self) -> u32 {
        self.shape
    }

    /// All labels in wire form.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Length of all labels.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Where the first `labels` labels end.
    #[inline]
    pub(super) fn end(&self, labels: u8) -> usize {
        usize::from(labels).checked_sub(1).and_then(|last| self.ends.get(last)).map_or(0, |end| *end as usize)
    }

    /// The labels from number `first` up to number `end`.
    #[inline]
    pub(super) fn labels(&self, first: u8, end: u8) -> &[u8] {
        self.bytes.get(self.end(first)..self.end(end)).unwrap_or(&[])
    }
}

/// A series' labels in wire form.
#[derive(Debug)]
pub(super) struct WireSeries {
    slot: Slot,
    bytes: Box<[u8]>,
    plan: Plan,
    kin: u64,
}

/// How the labels of a series and of an origin interleave.
#[derive(Clone, Copy, Debug)]
enum Plan {
    /// No origin was met yet.
    Unknown,
    /// The name cannot be translated: the series is not sent.
    Unnamed(Untranslatable),
    /// For origins with this signature: copy series bytes up to `.0`, then origin labels up to the `.1`th,
    /// and so on; at the end the rest of the series. Values, and so lengths, differ from origin to origin.
    Runs { signature: u32, len: u8, runs: [(u16, u8); MAX_RUNS] },
    /// For origins with this signature a label stands on both sides, or the pieces are many: the labels
    /// are worked out for each pair.
    Pairwise { signature: u32 },
}

/// More alternations than this are worked out pairwise; scraped series have two or three.
const MAX_RUNS: usize = 4;

/// Pairs worked out one by one are remembered up to this many (each some hundred bytes), and then
/// forgotten all at once, since only odd data needs them.
const MAX_PAIRS: usize = 65_536;

/// Sets of label names, and of their lengths, are remembered up to this many; a job has one or some tens.
const MAX_NUMBERS: usize = 4096;

/// Numbers for what is equal.
#[derive(Debug, Default)]
struct Numbers<T> {
    known: HashMap<T, u32>,
    last: u32,
}

impl<T: Eq + Hash> Numbers<T> {
    /// The number of `key`. Numbers are not used again, so what was forgotten just gets a new one.
    fn of(&mut self, key: T) -> u32 {
        if self.known.len() >= MAX_NUMBERS {
            self.known.clear();
        }
        let last = &mut self.last;
        *self.known.entry(key).or_insert_with(|| {
            *last = last.wrapping_add(1);
            *last
        })
    }
}

/// The wire forms of everything met so far.
#[derive(Debug)]
pub(super) struct LabelTables {
    translation: Arc<Translation>,
    origins: Vec<Option<Arc<WireOrigin>>>,
    /// Under translated names, and under names kept as they came.
    series: [Vec<Option<WireSeries>>; 2],
    wire_tables: WireTables,
    /// Sets of label names.
    signatures: Numbers<Vec<u8>>,
    /// Lengths of label sets.
    shapes: Numbers<Vec<u32>>,
    pairs: HashMap<(Slot, Slot), Box<[u8]>>,
}

/// Why a series has no labels to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Untranslatable {
    /// Its name or the name of a label is empty or has nothing that Prometheus allows.
    BadName,
    /// The creation time of a counter or histogram: remote write 1.0 has no place for it under the
    /// names that OpenTelemetry gives, and the Collector sends none either.
    Created,
    /// It describes its target: its labels go into the `target_info` that is made for the origin.
    TargetInfo,
    /// Its values are deltas, and those are not to be added up.
    Delta,
    /// Nobody said whether its values are totals or deltas.
    NoTemporality,
    /// Its origin was not prepared; this is a defect.
    Unprepared,
}

impl Untranslatable {
    /// The reason under which the point is counted.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::BadName => "untranslatable_name",
            Self::Created => "created_series",
            Self::TargetInfo => "target_info",
            Self::Delta => "delta_temporality",
            Self::NoTemporality => "unspecified_temporality",
            Self::Unprepared => "internal_error",
        }
    }
}

impl WireSeries {
    #[cold]
    fn new(translation: &Translation, series: &Arc<Series>, keeps_names: bool) -> Self {
        let (slot, kin) = (series.slot(), kin_of(series));
        match translation.series_labels(series, keeps_names) {
            Ok(labels) => {
                let mut bytes = Vec::new();
                for (name, value) in &labels {
                    put_label(&mut bytes, name.as_bytes(), value.as_bytes());
                }
                Self { slot, bytes: bytes.into(), plan: Plan::Unknown, kin }
            }
            Err(reason) => Self { slot, bytes: Box::default(), plan: Plan::Unnamed(reason), kin },
        }
    }
}

impl LabelTables {
    pub(super) fn new(translation: Arc<Translation>) -> Self {
        Self {
            translation,
            origins: Vec::new(),
            series: [Vec::new(), Vec::new()],
            wire_tables: WireTables::default(),
            signatures: Numbers::default(),
            shapes: Numbers::default(),
            pairs: HashMap::new(),
        }
    }

    /// Series are spread over so many classes from now on.
    pub(super) fn divide(&mut self, classes: usize) {
        self.wire_tables.divide(classes);
    }

    /// How many origins and series are held; each entry is replaced when its slot gets a new holder, so
    /// both are bounded by the largest numbers that were alive at once.
    pub(super) fn sizes(&self) -> (usize, usize) {
        let apart = self.series.iter().flatten().flatten().count();
        (self.origins.iter().flatten().count(), apart + self.wire_tables.series())
    }

    /// Prepares `origin`; to be called before [`LabelTables::labels`] for points of it.
    pub(super) fn prepare(&mut self, origin: &Arc<Origin>) -> Arc<WireOrigin> {
        let slot = origin.slot();
        let index = slot.id as usize;
        if let Some(Some(known)) = self.origins.get(index)
            && known.slot == slot
        {
            return Arc::clone(known);
        }
        if self.origins.len() <= index {
            self.origins.resize_with(index + 1, || None);
        }
        let labels = self.translation.origin_labels(origin);
        let mut bytes = Vec::new();
        let mut ends = Vec::with_capacity(labels.len());
        let mut names = Vec::new();
        for (name, value) in &labels {
            put_label(&mut bytes, name.as_bytes(), value.as_bytes());
            ends.push(bytes.len() as u32);
            names.extend_from_slice(name.as_bytes());
            names.push(0xff);
        }
        let signature = self.signatures.of(names);
        let shape = self.shapes.of(ends.clone());
        let wire = Arc::new(WireOrigin { slot, signature, shape, bytes: bytes.into(), ends: ends.into() });
        if let Some(place) = self.origins.get_mut(index) {
            *place = Some(Arc::clone(&wire));
        }
        wire
    }

    /// The wire form of the series of `table` at origins like `origin`.
    #[inline]
    pub(super) fn table(&mut self, table: &Arc<SeriesTable>, origin: &WireOrigin, keeps_names: bool) -> Arc<WireTable> {
        let key = TableKey { table: table.slot(), signature: origin.signature, keeps_names };
        if let Some(known) = self.wire_tables.get(&key) {
            return known;
        }
        let translation = &self.translation;
        self.wire_tables.add(key, table, origin, |series, out| {
            for (name, value) in &translation.series_labels(series, keeps_names)? {
                put_label(out, name.as_bytes(), value.as_bytes());
            }
            Ok(())
        })
    }

    /// What [`LabelTables::table`] gives, ready to be written with samples of `sample_len` bytes; `None` when it comes for the
    /// first time.
    #[inline]
    pub(super) fn ready(
        &mut self,
        (table, wire): (&SeriesTable, &WireTable),
        origin: &WireOrigin,
        keeps_names: bool,
        sample_len: usize,
    ) -> Option<Arc<ReadyTable>> {
        let key = TableKey { table: table.slot(), signature: origin.signature, keeps_names };
        self.wire_tables.ready(key, wire, origin, sample_len)
    }

    /// The labels of `series` at `origin`, as pieces to copy one after another.
    #[inline]
    pub(super) fn labels<'a>(
        &'a mut self,
        origin: &Arc<Origin>,
        series: &Arc<Series>,
        keeps_names: bool,
    ) -> Result<Pieces<'a>, Untranslatable> {
        let table = usize::from(keeps_names);
        let slot = series.slot();
        let [translated, kept] = &self.series;
        let known = if keeps_names { kept } else { translated }.get(slot.id as usize).and_then(Option::as_ref);
        let signature = match self.origins.get(origin.slot().id as usize) {
            Some(Some(o)) => o.signature,
            _ => return Err(Untranslatable::Unprepared),
        };
        let planned = match known {
            Some(s) if s.slot == slot => match s.plan {
                Plan::Runs { signature: of, .. } => of == signature,
                _ => false,
            },
            _ => false,
        };
        if !planned && self.plan(origin, series, table)? {
            return self.pair(origin, series, table);
        }
        match (
            self.series.get(table).and_then(|t| t.get(slot.id as usize)),
            self.origins.get(origin.slot().id as usize),
        ) {
            (Some(Some(s)), Some(Some(o))) => match &s.plan {
                Plan::Runs { len, runs, .. } => Ok(Pieces {
                    of: Some(o.slot),
                    series: &s.bytes,
                    origin: &o.bytes,
                    ends: &o.ends,
                    runs: runs.get(..usize::from(*len)).unwrap_or(&[]),
                    kin: s.kin,
                }),
                _ => Err(Untranslatable::Unprepared),
            },
            _ => Err(Untranslatable::Unprepared),
        }
    }

    /// Makes the plan for this series and origins like this one; true if the pair needs its own labels.
    #[cold]
    fn plan(&mut self, origin: &Arc<Origin>, series: &Arc<Series>, table: usize) -> Result<bool, Untranslatable> {
        let slot = series.slot();
        let index = slot.id as usize;
        let Some(Some(o)) = self.origins.get(origin.slot().id as usize) else { return Err(Untranslatable::Unprepared) };
        let Some(entries) = self.series.get_mut(table) else { return Err(Untranslatable::Unprepared) };
        if entries.len() <= index {
            entries.resize_with(index + 1, || None);
        }
        let Some(entry) = entries.get_mut(index) else { return Err(Untranslatable::Unprepared) };
        let wire = match entry {
            Some(known) if known.slot == slot => known,
            stale => stale.insert(WireSeries::new(&self.translation, series, table == 1)),
        };
        match wire.plan {
            Plan::Unnamed(reason) => return Err(reason),
            Plan::Pairwise { signature } if signature == o.signature => return Ok(true),
            _ => {}
        }
        wire.plan = interleave(&wire.bytes, o).unwrap_or(Plan::Pairwise { signature: o.signature });
        Ok(matches!(wire.plan, Plan::Pairwise { .. }))
    }

    #[cold]
    fn pair<'a>(
        &'a mut self,
        origin: &Arc<Origin>,
        series: &Arc<Series>,
        table: usize,
    ) -> Result<Pieces<'a>, Untranslatable> {
        if self.pairs.len() >= MAX_PAIRS {
            self.pairs.clear();
        }
        let key = (origin.slot(), series.slot());
        if !self.pairs.contains_key(&key) {
            let labels = self.translation.all_labels(origin, series).ok_or(Untranslatable::BadName)?;
            let mut bytes = Vec::new();
            for (name, value) in &labels {
                put_label(&mut bytes, name.as_bytes(), value.as_bytes());
            }
            self.pairs.insert(key, bytes.into());
        }
        let bytes = self.pairs.get(&key).ok_or(Untranslatable::Unprepared)?;
        let known = self.series.get(table).and_then(|known| known.get(key.1.id as usize)).and_then(Option::as_ref);
        let kin = known.ok_or(Untranslatable::Unprepared)?.kin;
        Ok(Pieces { of: None, series: bytes, origin: &[], ends: &[], runs: &[], kin })
    }
}

//! Making tables of references.

use super::super::super::labels::{Runs, first_label, label_pairs};
use super::super::super::metadata::metric_type;
use super::{LOOK, NONE, RefEntry, RefMetadata, RefTable};
use pipeline::{Family, FamilyKind, Part, Series, SeriesTable};
use prometheus::remote_write::wire::v2::Symbols;
use prometheus::translate::UnitNamer;
use std::collections::HashMap;
use std::sync::{Arc, Weak};

/// For each series, the one of its family and attributes that says when it began.
pub(super) fn created(table: &SeriesTable) -> Vec<u32> {
    let tells = |series: &Arc<Series>| series.part == Part::Created;
    if !table.as_slice().iter().any(tells) {
        return Vec::new();
    }
    let identity = |series: &Arc<Series>| (Arc::clone(&series.family.name), series.attributes.clone());
    let mut by_identity = HashMap::new();
    for (index, series) in (0u32..).zip(table.as_slice()) {
        if tells(series) {
            by_identity.insert(identity(series), index);
        }
    }
    let of = |series: &Arc<Series>| by_identity.get(&identity(series)).copied().unwrap_or(NONE);
    table.as_slice().iter().map(of).collect()
}

/// A table while it is made.
#[derive(Default)]
pub(super) struct Builder {
    entries: Vec<RefEntry>,
    ids: Vec<u32>,
    cuts: Vec<(u16, u8)>,
    widest: usize,
}

impl Builder {
    /// Appends a series; `labels` are its own, encoded, and where those of the origin stand among them.
    pub(super) fn add(
        &mut self,
        interned: &mut Symbols,
        labels: Option<(&[u8], &Runs)>,
        series: &Series,
        metadata: bool,
    ) {
        let (ids, cuts) = (self.ids.len() as u32, self.cuts.len() as u32);
        let (own, runs) = labels.unwrap_or_default();
        self.widest = self.widest.max(own.len());
        let mut runs = runs.iter().peekable();
        let (mut count, mut at) = (0usize, 0usize);
        for (name, value, end) in labels_with_ends(own) {
            while let Some((_, through)) = runs.next_if(|(cut, _)| usize::from(*cut) <= at) {
                self.cuts.push((count as u16, *through));
            }
            self.ids.extend([interned.reference(name), interned.reference(value)]);
            count += 1;
            at = end;
        }
        self.cuts.extend(runs.map(|(_, through)| (count as u16, *through)));
        let mut entry = RefEntry {
            ids,
            cuts,
            labels: count as u16,
            cuts_len: (self.cuts.len() - cuts as usize) as u8,
            changed: LOOK,
            counts: counts(series),
            metadata: metadata.then(|| RefMetadata::of(&series.family, interned)),
        };
        let changed = self.entries.last().and_then(|before| entry.changed(before, &self.ids, &self.cuts));
        entry.changed = changed.and_then(|ids| u32::try_from(ids).ok()).filter(|ids| *ids < LOOK).unwrap_or(LOOK);
        self.entries.push(entry);
    }

    pub(super) fn finish(self, of: Weak<SeriesTable>, number: u32, created: Vec<u32>) -> RefTable {
        RefTable {
            of,
            number,
            entries: self.entries.into(),
            ids: self.ids.into(),
            cuts: self.cuts.into(),
            widest: self.widest,
            created: created.into(),
        }
    }
}

/// Names, values and ends of encoded labels.
fn labels_with_ends(own: &[u8]) -> impl Iterator<Item = (&[u8], &[u8], usize)> {
    let ends = label_ends(own);
    label_pairs(own).zip(ends).map(|((name, value), end)| (name, value, end))
}

/// Where each of some encoded labels ends.
pub(super) fn label_ends(own: &[u8]) -> impl Iterator<Item = usize> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let (_, size) = first_label(own.get(at..)?)?;
        at += size;
        Some(at)
    })
}

/// Whether values of this series count from a start time on, which is what version 2.0 has it for.
fn counts(series: &Series) -> bool {
    series.part != Part::Created
        && matches!(
            series.family.kind,
            FamilyKind::Sum { monotonic: true, .. }
                | FamilyKind::Histogram { .. }
                | FamilyKind::ExponentialHistogram { .. }
                | FamilyKind::Summary
        )
        && !matches!(series.part, Part::Quantile(_))
}

impl RefMetadata {
    fn of(family: &Family, interned: &mut Symbols) -> Self {
        let unit = UnitNamer { utf8: false }.build(&family.unit);
        Self {
            kind: metric_type(family) as u8,
            help: interned.reference(family.description.as_bytes()),
            unit: interned.reference(unit.as_bytes()),
        }
    }
}

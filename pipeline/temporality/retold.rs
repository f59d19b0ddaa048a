//! Tables of series whose families say another temporality.
//!
//! A table in which all deltas are cumulative has the same series at the same places, so that points keep their indices. It is
//! made once for each table and found again by its slot.

use std::collections::HashSet;
use std::sync::Arc;

use crate::intern::Slot;
use crate::model::{Family, FamilyKind, Series, SeriesTable, Temporality};

/// Temporality of the values of a family, for kinds that have one.
#[must_use]
pub fn temporality_of(kind: FamilyKind) -> Option<Temporality> {
    match kind {
        FamilyKind::Sum { temporality, .. }
        | FamilyKind::Histogram { temporality }
        | FamilyKind::ExponentialHistogram { temporality } => Some(temporality),
        _ => None,
    }
}

/// Whether values of this kind say what was added since the value before.
#[must_use]
pub fn is_delta(kind: FamilyKind) -> bool {
    temporality_of(kind) == Some(Temporality::Delta)
}

/// The kind with another temporality; kinds that have none stay what they are.
#[must_use]
pub fn with_temporality(kind: FamilyKind, temporality: Temporality) -> FamilyKind {
    match kind {
        FamilyKind::Sum { monotonic, .. } => FamilyKind::Sum { monotonic, temporality },
        FamilyKind::Histogram { .. } => FamilyKind::Histogram { temporality },
        FamilyKind::ExponentialHistogram { .. } => FamilyKind::ExponentialHistogram { temporality },
        other => other,
    }
}

/// Remembers tables and series told with another temporality, as long as the most of them that were alive at once.
#[derive(Debug)]
pub struct Retold {
    to: Temporality,
    /// By the slot of the table that came; none if it is nothing to be told anew.
    tables: Vec<Option<(Slot, Option<Arc<SeriesTable>>)>>,
    /// By the slot of the series that came: tables grow by a few series at a time.
    series: Vec<Option<(Slot, Arc<Series>)>>,
    /// One copy of each family that was made.
    families: HashSet<Arc<Family>>,
    /// When families that nothing uses are let go: when there are this many.
    families_swept_at: usize,
}

/// The least number of families for which it pays to look which are in use.
const FEW_FAMILIES: usize = 1024;

impl Retold {
    /// Tells families with this temporality.
    #[must_use]
    pub fn to(temporality: Temporality) -> Self {
        let (tables, series, families) = (Vec::new(), Vec::new(), HashSet::new());
        Self { to: temporality, tables, series, families, families_swept_at: FEW_FAMILIES }
    }

    /// The table with those families told anew that `concerned` chooses, at the same places; none if there are none in it.
    /// What is chosen must follow from the family alone.
    pub fn table(
        &mut self,
        table: &Arc<SeriesTable>,
        concerned: impl Fn(&Family) -> bool,
    ) -> Option<&Arc<SeriesTable>> {
        let slot = table.slot();
        let index = slot.id as usize;
        if self.tables.len() <= index {
            self.tables.resize_with(index + 1, || None);
        }
        let known = self.tables.get(index).and_then(Option::as_ref).is_some_and(|(of, _)| *of == slot);
        if !known {
            let told = self.tell(table, concerned);
            if let Some(place) = self.tables.get_mut(index) {
                *place = Some((slot, told));
            }
        }
        self.tables.get(index)?.as_ref()?.1.as_ref()
    }

    #[cold]
    fn tell(&mut self, table: &Arc<SeriesTable>, concerned: impl Fn(&Family) -> bool) -> Option<Arc<SeriesTable>> {
        if !table.as_slice().iter().any(|series| concerned(&series.family)) {
            return None;
        }
        let told = table.as_slice().iter().map(|series| match concerned(&series.family) {
            true => self.series(series),
            false => Arc::clone(series),
        });
        let told = SeriesTable::intern(told.collect());
        if self.families.len() >= self.families_swept_at {
            self.families.retain(|family| Arc::strong_count(family) > 1);
            self.families_swept_at = (2 * self.families.len()).max(FEW_FAMILIES);
        }
        Some(told)
    }

    fn series(&mut self, series: &Arc<Series>) -> Arc<Series> {
        let (slot, index) = (series.slot(), series.slot().id as usize);
        if let Some(Some((of, told))) = self.series.get(index)
            && *of == slot
        {
            return Arc::clone(told);
        }
        let family = self.family(&series.family);
        let (name, part) = (Arc::clone(&series.name), series.part.clone());
        let told = Series::intern(family, name, part, series.attributes.clone());
        if self.series.len() <= index {
            self.series.resize_with(index + 1, || None);
        }
        if let Some(place) = self.series.get_mut(index) {
            *place = Some((slot, Arc::clone(&told)));
        }
        told
    }

    fn family(&mut self, family: &Family) -> Arc<Family> {
        let kind = with_temporality(family.kind, self.to);
        let told = Arc::new(Family { kind, ..family.clone() });
        if let Some(known) = self.families.get(&told) {
            return Arc::clone(known);
        }
        self.families.insert(Arc::clone(&told));
        told
    }
}

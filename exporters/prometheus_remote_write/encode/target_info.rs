//! The `target_info` sample of each origin.

use super::super::sample::Timestamp;
use super::super::translation::Translation;
use super::Encoder;
use pipeline::{MetricBatch, Origin, Series, Slot};
use std::sync::Arc;

/// What is known of origins' `target_info`, by the slot of the origin.
#[derive(Default)]
pub(super) struct Infos(Vec<Option<Info>>);

/// The `target_info` of an origin.
pub(super) struct Info {
    of: Slot,
    /// What the target says of itself.
    scraped: Option<Arc<Series>>,
    series: Option<(Arc<Origin>, Arc<Series>)>,
    /// Time of the last sample sent, in nanoseconds since the Unix epoch.
    last: i64,
}

impl Infos {
    fn of(&mut self, origin: &Arc<Origin>, translation: &Translation) -> Option<&mut Info> {
        let slot = origin.slot();
        let index = slot.id as usize;
        if self.0.len() <= index {
            self.0.resize_with(index + 1, || None);
        }
        let place = self.0.get_mut(index)?;
        if place.as_ref().is_none_or(|info| info.of != slot) {
            let series = translation.target_info_of(origin, None);
            *place = Some(Info { of: slot, scraped: None, series, last: 0 });
        }
        place.as_mut()
    }
}

impl Encoder {
    /// Adds the `target_info` sample of each origin of the batch that has one, at the newest time of its
    /// points.
    pub(super) fn target_info(&mut self, batch: &MetricBatch) {
        if !self.translation.target_info {
            return;
        }
        let oldest = self.guard.oldest;
        for group in batch.groups() {
            let alive = group.points.iter().filter(|point| point.value.is_recorded());
            let Some(newest) = alive.map(|point| point.time).max() else { continue };
            let Some(info) = self.infos.of(&group.origin, &self.translation) else { continue };
            // Several groups of one origin, or one scrape split over two batches, make one sample.
            if newest <= info.last || newest < oldest {
                continue;
            }
            info.last = newest;
            let Some((origin, series)) = info.series.clone() else { continue };
            self.tables.prepare(&origin);
            self.sample(&origin, &series, (1.0, 0), &Timestamp::new(newest), &batch.acks);
        }
    }

    /// Takes the labels of a scraped `target_info` into the one that is made for its origin.
    #[cold]
    pub(super) fn note_target_info(&mut self, origin: &Arc<Origin>, series: &Arc<Series>) {
        let translation = Arc::clone(&self.translation);
        let Some(info) = self.infos.of(origin, &translation) else { return };
        if info.scraped.as_ref().is_none_or(|known| !Arc::ptr_eq(known, series)) {
            info.series = translation.target_info_of(origin, Some(series));
            info.scraped = Some(Arc::clone(series));
        }
    }
}

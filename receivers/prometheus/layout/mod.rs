//! The layout of a page: everything of a scrape that does not change from one to the next.
//!
//! Most pages keep their text and change only their numbers. A layout remembers, for each sample, all the
//! bytes between the end of the line before it and its value: comments, HELP, TYPE, series text. Reading
//! a page again compares those bytes, reads the number, and is done: no parsing, no hashing, no relabelling,
//! no allocation. The series behind each place were worked out (labels merged, relabelled, limited) when the
//! layout was made.
//!
//! Layouts are shared: targets of one job that serve the same page hold the same one. What a target holds
//! for itself is a pointer, whatever the number of its series. A page that differs from its layout is parsed
//! in full, series known from the old layout are taken over, and the difference of the two layouts is what
//! staleness markers are made of.

mod build;
mod exemplars;
mod families;
mod pool;
mod samples;

pub(super) use build::{Builder, PageError};
pub(super) use pool::LayoutPool;
pub(super) use samples::{LabelLimits, ResourceOf, SampleRules, TargetIdentity, own_origin};

use pipeline::{Exemplar, Origin, Point, SeriesTable, Value};
use prometheus::exposition::{self, Format};
use std::collections::HashSet;
use std::sync::Arc;

/// One sample line of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Length of the text from the start of the line's comments to its value.
    text_len: u32,
    /// Where in that text the series text `name{labels}` starts, and its length.
    series_start: u32,
    series_len: u32,
    /// Index of the series in the table of the place's slot, or [`DROPPED`].
    series: u32,
    mark: Mark,
}

/// Which origin and table a place belongs to, and two things about its line. Packed, since a place is read for each sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark(u32);

/// A page of 2^30 origins would be larger than any page that is read.
const TIMED: u32 = 1 << 31;
const REPEAT: u32 = 1 << 30;

impl Mark {
    fn new(slot: u32, timed: bool, repeat: bool) -> Self {
        Self(slot & !(TIMED | REPEAT) | if timed { TIMED } else { 0 } | if repeat { REPEAT } else { 0 })
    }

    fn slot(self) -> u32 {
        self.0 & !(TIMED | REPEAT)
    }

    /// Whether the line has a timestamp that is honoured.
    fn timed(self) -> bool {
        self.0 & TIMED != 0
    }

    /// Whether the series has occurred before on the page.
    fn repeat(self) -> bool {
        self.0 & REPEAT != 0
    }
}

impl Place {
    /// Slot and index of the series, unless it was dropped.
    pub(super) fn series(&self) -> Option<(usize, u32)> {
        (self.series != DROPPED).then_some((self.slot(), self.series))
    }

    /// Whether the line had a timestamp that is honoured.
    pub(super) fn is_timed(&self) -> bool {
        self.mark.timed()
    }

    /// Which origin and table.
    fn slot(&self) -> usize {
        self.mark.slot() as usize
    }
}

/// The series was dropped by relabelling.
const DROPPED: u32 = u32::MAX;

/// Series of one origin on a page.
#[derive(Clone, Debug)]
pub(super) struct SlotSeries {
    /// The origin; `None` is the target's own.
    pub(super) origin: Option<Arc<Origin>>,
    /// What [`Place::series`] indexes.
    pub(super) table: Arc<SeriesTable>,
}

/// See the module's description.
#[derive(Debug)]
pub(super) struct Layout {
    format: Option<Format>,
    text: Box<[u8]>,
    places: Box<[Place]>,
    /// What follows the last sample's line.
    tail: Box<[u8]>,
    slots: Box<[SlotSeries]>,
    /// Lines whose series relabelling kept, repeats included.
    kept: usize,
    hash: u64,
}

/// What one reading of a page gave.
#[derive(Debug, Default)]
pub(super) struct Reading {
    /// Points for each slot of the layout.
    pub(super) points: Vec<Vec<Point>>,
    /// Exemplars, with the slot of their point.
    pub(super) exemplars: Vec<(u32, Exemplar)>,
    /// Repeated series without a timestamp, which are not taken twice.
    pub(super) duplicates: usize,
    /// Samples whose timestamp is too far in the future.
    pub(super) out_of_bounds: usize,
}

/// Timestamps further in the future than this are refused (Prometheus' scrape loop: ten minutes).
const MAX_FUTURE_MS: i64 = 10 * 60 * 1000;

fn is_out_of_bounds(timestamp_ms: i64, now_ms: i64) -> bool {
    timestamp_ms > now_ms.saturating_add(MAX_FUTURE_MS)
}

/// How a page is read.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReadOptions {
    pub(super) format: Format,
    /// Time of the scrape, in milliseconds since the Unix epoch.
    pub(super) now_ms: i64,
    pub(super) honor_timestamps: bool,
}

impl Layout {
    /// The layout of no page: everything is new to it.
    pub(super) fn empty() -> Arc<Self> {
        Arc::new(Self {
            format: None,
            text: Box::default(),
            places: Box::default(),
            tail: Box::default(),
            slots: Box::default(),
            kept: 0,
            hash: 0,
        })
    }

    /// Sample lines on the page.
    pub(super) fn lines(&self) -> usize {
        self.places.len()
    }

    /// Sample lines that relabelling kept.
    pub(super) fn kept(&self) -> usize {
        self.kept
    }

    /// Series of the page, without repeats and dropped ones.
    pub(super) fn series(&self) -> usize {
        self.places.iter().filter(|p| p.series != DROPPED && !p.mark.repeat()).count()
    }

    pub(super) fn slots(&self) -> &[SlotSeries] {
        &self.slots
    }

    /// Reads a page that has this layout. `None` if it has another one, or anything about it is unusual:
    /// then the full parser decides. What `reading` holds is of no meaning then.
    pub(super) fn read(&self, body: &[u8], options: ReadOptions, reading: &mut Reading) -> Option<()> {
        if self.format != Some(options.format) {
            return None;
        }
        reading.clear(self.slots.len());
        let time = options.now_ms.saturating_mul(1_000_000);
        if let ([only], Some(points)) = (self.slots.as_ref(), reading.points.first_mut()) {
            points.reserve(only.table.len());
        }
        let mut text = self.text.as_ref();
        let mut rest = body;
        for place in &self.places {
            let (expected, later) = text.split_at_checked(place.text_len as usize)?;
            text = later;
            rest = rest.strip_prefix(expected)?;
            let value = exposition::parse_value_and_tail(rest, options.format).ok()?;
            rest = rest.get(value.consumed..)?;
            let timestamp = if options.honor_timestamps { value.timestamp_ms } else { None };
            if timestamp.is_some() != place.mark.timed() {
                return None;
            }
            if place.series == DROPPED {
                continue;
            }
            reading.take(place, value.value, timestamp, time, options.now_ms, value.exemplar.as_ref());
        }
        (text.is_empty() && rest == self.tail.as_ref()).then_some(())
    }

    /// The series text of a place, and its place in the layout's order.
    fn series_texts(&self) -> impl Iterator<Item = (&[u8], &Place)> {
        let mut at = 0usize;
        self.places.iter().map(move |place| {
            let start = at + place.series_start as usize;
            at += place.text_len as usize;
            (self.text.get(start..start + place.series_len as usize).unwrap_or(&[]), place)
        })
    }

    /// The first `alive` places that stand for a series, each series once.
    pub(super) fn alive_places(&self, alive: usize) -> impl Iterator<Item = Place> {
        self.places.iter().take(alive).filter(|p| p.series != DROPPED && !p.mark.repeat()).copied()
    }

    /// Of the first `alive` places those whose series is not in `new`.
    pub(super) fn missing_in(&self, new: &Self, alive: usize) -> Vec<Place> {
        let there = new.identities();
        self.alive_places(alive).filter(|p| self.identity(p).is_some_and(|id| !there.contains(&id))).collect()
    }

    /// How many series this layout and `other` have in common.
    pub(super) fn shared(&self, other: &Self) -> usize {
        let there = other.identities();
        self.alive_places(usize::MAX).filter(|p| self.identity(p).is_some_and(|id| there.contains(&id))).count()
    }

    /// A series by its address and that of its origin, which is null for the target's own.
    fn identity(&self, place: &Place) -> Option<(*const Origin, *const pipeline::Series)> {
        let slot = self.slots.get(place.slot())?;
        let origin = slot.origin.as_ref().map_or(std::ptr::null(), Arc::as_ptr);
        Some((origin, Arc::as_ptr(slot.table.get(place.series)?)))
    }

    fn identities(&self) -> HashSet<(*const Origin, *const pipeline::Series)> {
        self.alive_places(usize::MAX).filter_map(|p| self.identity(&p)).collect()
    }

    fn same(&self, other: &Self) -> bool {
        self.format == other.format
            && self.places == other.places
            && self.text == other.text
            && self.tail == other.tail
            && self.slots.len() == other.slots.len()
            && self.slots.iter().zip(&other.slots).all(|(a, b)| {
                Arc::ptr_eq(&a.table, &b.table)
                    && match (&a.origin, &b.origin) {
                        (None, None) => true,
                        (Some(a), Some(b)) => Arc::ptr_eq(a, b),
                        _ => false,
                    }
            })
    }
}

impl Reading {
    pub(super) fn clear(&mut self, slots: usize) {
        self.points.truncate(slots);
        self.points.iter_mut().for_each(Vec::clear);
        self.points.resize_with(slots, Vec::new);
        self.exemplars.clear();
        self.duplicates = 0;
        self.out_of_bounds = 0;
    }

    /// Takes one sample of a kept series. The usual kind is taken here, so that it costs no call.
    #[inline]
    fn take(
        &mut self,
        place: &Place,
        value: f64,
        timestamp: Option<i64>,
        scrape_time: i64,
        now_ms: i64,
        exemplar: Option<&exposition::Exemplar<'_>>,
    ) {
        if timestamp.is_some() || exemplar.is_some() || place.mark.repeat() {
            return self.take_unusual(place, value, timestamp, scrape_time, now_ms, exemplar);
        }
        let Some(points) = self.points.get_mut(place.slot()) else { return };
        let value = Value::Float(value);
        points.push(Point { series: place.series, flags: 0, time: scrape_time, start: 0, value });
    }

    /// Takes a sample with a timestamp or an exemplar, or of a series that has occurred before.
    fn take_unusual(
        &mut self,
        place: &Place,
        value: f64,
        timestamp: Option<i64>,
        scrape_time: i64,
        now_ms: i64,
        exemplar: Option<&exposition::Exemplar<'_>>,
    ) {
        let time = match timestamp {
            None if place.mark.repeat() => {
                self.duplicates += 1;
                return;
            }
            None => scrape_time,
            Some(ms) if is_out_of_bounds(ms, now_ms) => {
                self.out_of_bounds += 1;
                return;
            }
            Some(ms) => ms.saturating_mul(1_000_000),
        };
        let Some(points) = self.points.get_mut(place.slot()) else { return };
        if let Some(exemplar) = exemplar {
            self.exemplars.push((place.mark.slot(), exemplars::convert(exemplar, points.len() as u32, time)));
        }
        points.push(Point { series: place.series, flags: 0, time, start: 0, value: Value::Float(value) });
    }
}

//! One request: from its decompressed bytes to groups of points.

use std::collections::HashMap;

use pipeline::value::{Exemplar, Point};
use pipeline::{PointGroup, Value};
use prometheus::remote_write::protocol::{ProtocolVersion, Written};
use prometheus::remote_write::wire::v1::put_label;
use prometheus::remote_write::wire::{
    DecodeError, DecodeLimits, FamilyMetadata, Place as At, Rejection, Sample, TimeSeries, WriteVisitor, decode_v1,
    decode_v2,
};

use super::cache::{Key, Place, SeriesCache, WaitingExemplar};
use super::scan::{Field, Fields, samples};
use super::{exemplars, native};
use prometheus::number::STALE_NAN_BITS;

/// What a request came to.
#[derive(Debug, Default)]
pub(super) struct Taken {
    /// The points, by page.
    pub(super) groups: Vec<PointGroup>,
    /// What is in `groups`, and exemplars that wait for their sample.
    pub(super) written: Written,
    /// What was left out, and why.
    pub(super) invalid: Invalid,
    /// Metadata entries for which there was no room.
    pub(super) metadata_left_out: usize,
}

impl Taken {
    /// Float samples and histograms in `groups`.
    pub(super) fn points(&self) -> u64 {
        self.written.samples + self.written.histograms
    }
}

/// Parts of a request that break a rule.
#[derive(Debug, Default)]
pub(super) struct Invalid {
    /// Samples and histograms that are left out.
    pub(super) points: usize,
    /// Exemplars that are left out, or whose sample never came.
    pub(super) exemplars: usize,
    /// What is wrong with the first, for the answer; exemplars without a sample are no reason to refuse.
    pub(super) first: Option<String>,
}

/// Reads a request. `now` is the second on a clock that starts with the cache.
///
/// # Errors
/// When the bytes are no request of this version; nothing of it is taken then.
pub(super) fn read(
    version: ProtocolVersion,
    body: &[u8],
    limits: &DecodeLimits,
    cache: &mut SeriesCache,
    now: u32,
) -> Result<Taken, DecodeError> {
    cache.tidy(now);
    let waiting = std::mem::take(&mut cache.waiting);
    let mut reading = Reading {
        cache,
        now,
        groups: Vec::new(),
        by_page: Vec::new(),
        expected: Place::default(),
        waiting,
        encoded: Vec::new(),
        taken: Taken::default(),
    };
    let earlier = reading.waiting.len();
    match reading.all(version, body, limits) {
        Ok(()) => Ok(reading.finish()),
        Err(error) => {
            // Exemplars of earlier requests have nothing to do with it.
            reading.waiting.truncate(earlier);
            reading.cache.waiting = reading.waiting;
            Err(error)
        }
    }
}

/// A page's points while a request is being read.
#[derive(Debug)]
struct Group {
    page: u32,
    points: Vec<Point>,
    exemplars: Vec<Exemplar>,
}

struct Reading<'c> {
    cache: &'c mut SeriesCache,
    now: u32,
    /// Where the next series stands if the sender keeps its order.
    expected: Place,
    groups: Vec<Group>,
    /// Index in `groups` by page, plus one; 0 for none.
    by_page: Vec<u32>,
    /// Exemplars whose sample has not come yet, those of earlier requests included.
    waiting: Vec<WaitingExemplar>,
    /// Labels of the series that is being read, in the form that its key is made of.
    encoded: Vec<u8>,
    taken: Taken,
}

impl Reading<'_> {
    fn all(&mut self, version: ProtocolVersion, body: &[u8], limits: &DecodeLimits) -> Result<(), DecodeError> {
        if version == ProtocolVersion::V2 {
            return decode_v2(body, limits, &mut Visitor { reading: self, labels: None });
        }
        for (number, field) in Fields::of(body).enumerate() {
            let (whole, labels) = match field {
                Field::Plain { labels, encoded, .. } if self.plain(labels, encoded) => continue,
                Field::Plain { labels, whole, .. } => (whole, Some(labels)),
                Field::Other(whole) => (whole, None),
            };
            self.full(whole, labels, limits).map_err(|error| at_series(error, number))?;
        }
        Ok(())
    }

    #[inline]
    fn find(&mut self, key: Key) -> Option<Place> {
        let place = self.cache.find(key, self.expected, self.now)?;
        self.expected = Place { index: place.index + 1, ..place };
        Some(place)
    }

    /// Takes a series that is known and has float samples only. False if the full decoder has to look at it.
    #[inline]
    fn plain(&mut self, labels: &[u8], encoded: &[u8]) -> bool {
        let key = self.cache.key(labels, false);
        let Some(place) = self.find(key) else { return false };
        let group = self.group(place.page);
        let before = group.points.len();
        for sample in samples(encoded) {
            let Some(sample) = sample else {
                group.points.truncate(before);
                return false;
            };
            group.points.push(point(place, &sample));
        }
        let added = group.points.len() - before;
        self.taken.written.samples += added as u64;
        true
    }

    /// Reads one field of the request with the full decoder. `labels` are the encoded labels if they are in one
    /// piece at the series' beginning.
    fn full(&mut self, field: &[u8], labels: Option<&[u8]>, limits: &DecodeLimits) -> Result<(), DecodeError> {
        decode_v1(field, limits, &mut Visitor { reading: self, labels })
    }

    #[inline]
    fn group(&mut self, page: u32) -> &mut Group {
        let at = page as usize;
        if self.by_page.len() <= at {
            self.by_page.resize(at + 1, 0);
        }
        let entry = &mut self.by_page[at];
        if *entry == 0 {
            self.groups.push(Group { page, points: Vec::new(), exemplars: Vec::new() });
            *entry = self.groups.len() as u32;
        }
        &mut self.groups[*entry as usize - 1]
    }

    fn refuse(&mut self, points: usize, exemplars: usize, reason: impl FnOnce() -> String) {
        self.taken.invalid.points += points;
        self.taken.invalid.exemplars += exemplars;
        self.taken.invalid.first.get_or_insert_with(reason);
    }

    fn series(&mut self, sent: &TimeSeries<'_>, labels: Option<&[u8]>) {
        let key = self.key(sent, labels);
        let place = match self.find(key) {
            Some(place) => place,
            None => match self.cache.learn(key, sent, self.now) {
                Ok(place) => place,
                Err(error) => {
                    let points = sent.samples.len() + sent.histograms.len();
                    return self.refuse(points, sent.exemplars.len(), || error.to_string());
                }
            },
        };
        self.group(place.page).points.extend(sent.samples.iter().map(|sample| point(place, sample)));
        self.taken.written.samples += sent.samples.len() as u64;
        for histogram in &sent.histograms {
            match native::value(histogram) {
                Ok(value) => {
                    let time = nanos(histogram.timestamp_ms);
                    let start = nanos(histogram.start_timestamp_ms);
                    let point = Point { series: place.index, flags: 0, time, start, value };
                    self.group(place.page).points.push(point);
                    self.taken.written.histograms += 1;
                }
                Err(error) => self.refuse(1, 0, || error.to_string()),
            }
        }
        for sent in &sent.exemplars {
            match exemplars::exemplar(sent, nanos(sent.timestamp_ms)) {
                Ok(exemplar) => {
                    self.waiting.push(WaitingExemplar { key, since: self.now, exemplar });
                    self.taken.written.exemplars += 1;
                }
                Err(error) => self.refuse(0, 1, || error.to_string()),
            }
        }
    }

    fn key(&mut self, sent: &TimeSeries<'_>, labels: Option<&[u8]>) -> Key {
        let histogram = !sent.histograms.is_empty();
        if let Some(labels) = labels {
            return self.cache.key(labels, histogram);
        }
        self.encoded.clear();
        for (name, value) in &sent.labels {
            put_label(&mut self.encoded, name, value);
        }
        self.cache.key(&self.encoded, histogram)
    }

    fn finish(mut self) -> Taken {
        self.place_exemplars();
        for group in self.groups {
            if group.points.is_empty() {
                continue;
            }
            if let Some((origin, table)) = self.cache.table(group.page) {
                self.taken.groups.push(PointGroup { origin, table, points: group.points, exemplars: group.exemplars });
            }
        }
        self.taken
    }

    /// Senders write exemplars as series of their own behind the samples they belong to, and may cut a batch
    /// between the two. So those without a sample wait for the next one of their series.
    fn place_exemplars(&mut self) {
        let mut by_page: HashMap<u32, Vec<(u32, WaitingExemplar)>> = HashMap::new();
        for waiting in std::mem::take(&mut self.waiting) {
            match self.cache.place(waiting.key) {
                Some(place) => by_page.entry(place.page).or_default().push((place.index, waiting)),
                None => self.taken.invalid.exemplars += 1,
            }
        }
        for (page, exemplars) in by_page {
            let group = self.group(page);
            // The last sample of a series is the one that its exemplars come with.
            let last: HashMap<u32, u32> = group.points.iter().map(|point| point.series).zip(0..).collect();
            let mut still_waiting = Vec::new();
            for (index, waiting) in exemplars {
                match last.get(&index) {
                    Some(point) => group.exemplars.push(Exemplar { point: *point, ..waiting.exemplar }),
                    None => still_waiting.push(waiting),
                }
            }
            for waiting in still_waiting {
                if !self.cache.keep_waiting(waiting, self.now) {
                    self.taken.invalid.exemplars += 1;
                }
            }
        }
    }
}

#[inline]
fn point(place: Place, sample: &Sample) -> Point {
    let value = if sample.value.to_bits() == STALE_NAN_BITS { Value::NONE } else { Value::Float(sample.value) };
    let (time, start) = (nanos(sample.timestamp_ms), nanos(sample.start_timestamp_ms));
    Point { series: place.index, flags: 0, time, start, value }
}

/// Milliseconds as nanoseconds. What lies beyond the year 2262 becomes that year.
#[inline]
fn nanos(millis: i64) -> i64 {
    millis.saturating_mul(1_000_000)
}

struct Visitor<'r, 'c, 'l> {
    reading: &'r mut Reading<'c>,
    labels: Option<&'l [u8]>,
}

impl<'a> WriteVisitor<'a> for Visitor<'_, '_, '_> {
    fn series(&mut self, series: &TimeSeries<'a>) {
        self.reading.series(series, self.labels);
    }

    fn metadata(&mut self, metadata: FamilyMetadata<'a>) {
        if !self.reading.cache.describe(&metadata, self.reading.now) {
            self.reading.taken.metadata_left_out += 1;
        }
    }

    fn rejected(&mut self, rejection: Rejection) {
        let points = rejection.samples + rejection.histograms;
        self.reading.refuse(points, rejection.exemplars, || rejection.to_string());
    }
}

/// The decoder was given one field and calls it the first; in the request it is the one called `number`.
fn at_series(mut error: DecodeError, number: usize) -> DecodeError {
    if let DecodeError::Malformed { place, .. } | DecodeError::TooMany { place, .. } = &mut error {
        *place = At { series: place.series.map(|_| number), ..*place };
    }
    error
}

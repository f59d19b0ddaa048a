//! Metrics from the wire into the series model, without messages in between.
//!
//! What identifies a data point (resource, scope, metric, attributes) is hashed as the bytes that it is encoded in, and the
//! hash leads to a place in a table that exists already ([`pipeline::pages`]). Only what has not been seen before is
//! decoded. In steady state a number point costs the hash of its attributes, a look at one remembered hash, and the
//! reading of three numbers; nothing is allocated for it, and its attributes are not even told from each other.
//!
//! A request that cannot be decoded is an error as a whole. Data points that can be decoded but not be taken are left out
//! and counted: those with text that is not UTF-8, which no store could hold, and those without a value.

mod identity;
mod point;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::sync::Arc;

use pipeline::pages::{Key, Place, SeriesPages, Tidied};
use pipeline::value::Point;
use pipeline::{Exemplar, Origin, PointGroup, Series};
use xxhash_rust::xxh3::xxh3_128_with_seed;

use self::identity::{Families, MetricHead, Names};
use self::point::{NO_RECORDED_VALUE, RawPoint, UsualPoint};
use crate::wire::{DecodeError, Reader, Value};

/// Points that room is made for at once in a new group. More than this in one request is rare.
const MAX_RESERVED: usize = 8192;

/// Reads metrics, and remembers what it has read: one for each receiver.
#[derive(Debug, Default)]
pub struct MetricsReader {
    pages: SeriesPages,
    families: Families,
    names: Names,
    /// For each page its group in the request being read, beside the number of that request.
    by_page: Vec<(u64, u32)>,
    requests: u64,
}

/// What a request came to.
#[derive(Debug, Default)]
pub struct Taken {
    /// The points.
    pub groups: Vec<PointGroup>,
    /// How many there are.
    pub points: usize,
    /// What was left out.
    pub rejected: Rejected,
}

/// Data points that were left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rejected {
    /// How many.
    pub points: usize,
    /// What is wrong with the first.
    pub first: Option<String>,
}

impl MetricsReader {
    /// A reader that starts over at `max_series`.
    #[must_use]
    pub fn with_max_series(max_series: usize) -> Self {
        Self { pages: SeriesPages::with_max_series(max_series), ..Self::default() }
    }

    /// Reads an `ExportMetricsServiceRequest`. `now` counts seconds on a clock that starts with the reader; what is
    /// not sent for some minutes is let go.
    ///
    /// # Errors
    /// When the bytes are no such request; nothing of it is taken then.
    pub fn read(&mut self, body: &[u8], now: u32) -> Result<Taken, DecodeError> {
        match self.pages.tidy(now) {
            Tidied::Nothing => {}
            Tidied::Swept => self.families.sweep(),
            Tidied::StartedOver => self.families = Families::default(),
        }
        self.requests += 1;
        let mut reading = Reading {
            reader: self,
            now,
            expected: Place::default(),
            current: None,
            groups: Vec::new(),
            rejected: Rejected::default(),
        };
        let mut fields = Reader::new(body);
        while let Some(field) = fields.field()? {
            match field {
                (1, Value::Bytes(resource)) => reading.resource(resource)?,
                (1, _) => return Err(wrong_type("ExportMetricsServiceRequest", 1)),
                _ => {}
            }
        }
        let Reading { groups, rejected, .. } = reading;
        let groups: Vec<PointGroup> = groups.into_iter().filter_map(|group| group.finish(&mut self.pages)).collect();
        let points = groups.iter().map(|group| group.points.len()).sum();
        Ok(Taken { groups, points, rejected })
    }

    /// Remembers series for at least so many seconds, so that [`MetricsReader::ended`] can tell of them.
    pub fn remember_for(&mut self, seconds: u32) {
        self.pages.remember_for(seconds);
    }

    /// Staleness markers at `time` (nanoseconds since the Unix epoch) for series that were not sent for `after` seconds by now and
    /// had been, by the same measure, at `before`.
    pub fn ended(&mut self, (before, now): (u32, u32), after: u32, time: i64) -> Vec<PointGroup> {
        let marker = |series| Point { series, flags: 0, time, start: 0, value: pipeline::Value::NONE };
        let ended = self.pages.ended(before, now, after).into_iter();
        let group = |(page, series): (u32, Vec<u32>)| {
            let (origin, table) = self.pages.table(page)?;
            Some(PointGroup::new(origin, table, series.into_iter().map(marker).collect()))
        };
        ended.filter_map(group).collect()
    }

    /// Series and families that are remembered.
    #[must_use]
    pub fn sizes(&self) -> (usize, usize) {
        (self.pages.len(), self.families.len())
    }
}

fn wrong_type(message: &'static str, field: u32) -> DecodeError {
    DecodeError::WireType { message, field }
}

/// The key of a series by its encoded attributes; `salt` stands for all else that identifies it.
#[inline]
fn key_of(attributes: &[u8], salt: Key) -> Key {
    // Two halves of the salt, so that equal attributes of two metrics are told apart by all of its bits.
    xxh3_128_with_seed(attributes, salt as u64) ^ salt
}

/// A page's points while a request is being read.
#[derive(Debug)]
struct Group {
    page: u32,
    points: Vec<Point>,
    exemplars: Vec<Exemplar>,
}

impl Group {
    fn finish(self, pages: &mut SeriesPages) -> Option<PointGroup> {
        if self.points.is_empty() {
            return None;
        }
        let (origin, table) = pages.table(self.page)?;
        Some(PointGroup { origin, table, points: self.points, exemplars: self.exemplars })
    }
}

/// Where points come from, as encoded.
struct EncodedOrigin<'a> {
    key: Key,
    resource: Cow<'a, [u8]>,
    resource_schema_url: &'a [u8],
    scope: Cow<'a, [u8]>,
    scope_schema_url: &'a [u8],
    /// Once it was needed; `Err` if it cannot be had.
    decoded: Option<Result<Arc<Origin>, DecodeError>>,
}

struct Reading<'r> {
    reader: &'r mut MetricsReader,
    now: u32,
    /// Where the next series stands if the sender keeps its order.
    expected: Place,
    /// Page and index in `groups` of the last point's group.
    current: Option<(u32, usize)>,
    groups: Vec<Group>,
    rejected: Rejected,
}

/// The three fields that resources and scopes have alike: what describes them, and a schema URL. The second is left
/// for later.
struct Described<'a> {
    description: Cow<'a, [u8]>,
    schema_url: &'a [u8],
}

impl<'a> Described<'a> {
    fn read(message: &'a [u8], name: &'static str) -> Result<Self, DecodeError> {
        let mut described = Self { description: Cow::Borrowed(&[]), schema_url: &[] };
        let mut fields = Reader::new(message);
        while let Some(field) = fields.field()? {
            match field {
                (1, Value::Bytes(part)) if described.description.is_empty() => described.description = part.into(),
                // A message that comes in parts is all of them together.
                (1, Value::Bytes(part)) => described.description.to_mut().extend_from_slice(part),
                (2, Value::Bytes(_)) => {}
                (3, Value::Bytes(url)) => described.schema_url = url,
                (1..=3, _) => return Err(wrong_type(name, field.0)),
                _ => {}
            }
        }
        Ok(described)
    }
}

impl Reading<'_> {
    fn hash(&self, bytes: &[u8], salt: u64) -> Key {
        xxh3_128_with_seed(bytes, self.reader.pages.seed() ^ salt)
    }

    fn resource(&mut self, message: &[u8]) -> Result<(), DecodeError> {
        let Described { description: resource, schema_url } = Described::read(message, "ResourceMetrics")?;
        let resource_key = self.hash(&resource, 1) ^ self.hash(schema_url, 2);
        for scope_message in crate::request::fields(message, 2) {
            let Described { description: scope, schema_url: scope_schema_url } =
                Described::read(scope_message, "ScopeMetrics")?;
            let mut origin = EncodedOrigin {
                key: resource_key ^ self.hash(&scope, 3) ^ self.hash(scope_schema_url, 4),
                resource: Cow::Borrowed(&resource),
                resource_schema_url: schema_url,
                scope,
                scope_schema_url,
                decoded: None,
            };
            for metric in crate::request::fields(scope_message, 2) {
                self.metric(metric, &mut origin)?;
            }
        }
        Ok(())
    }

    fn metric(&mut self, message: &[u8], origin: &mut EncodedOrigin<'_>) -> Result<(), DecodeError> {
        let Some(head) = MetricHead::read(message)? else { return Ok(()) };
        let seed = self.reader.pages.seed() ^ u64::from(head.kind_bits()) << 8;
        let family_key = xxh3_128_with_seed(&head.names, seed);
        let salt = origin.key ^ family_key;
        let numbers = head.data_kind.is_number();
        for encoded in crate::request::fields(head.data, 1) {
            if !(numbers && self.usual_point(encoded, salt)) {
                self.point(encoded, (salt, family_key), &head, origin)?;
            }
        }
        Ok(())
    }

    /// Takes a point of a series that has been seen before, if it is encoded as nearly all are. Says whether it was.
    #[inline]
    fn usual_point(&mut self, encoded: &[u8], salt: Key) -> bool {
        let Some(point) = UsualPoint::read(encoded) else { return false };
        let Some(place) = self.reader.pages.find(key_of(point.rest, salt), self.expected, self.now) else {
            return false;
        };
        self.expected = Place { index: place.index + 1, ..place };
        let group = self.group(place.page);
        if let Some(group) = self.groups.get_mut(group) {
            group.points.push(Point {
                series: place.index,
                flags: 0,
                time: point.time.cast_signed(),
                start: point.start.cast_signed(),
                value: point.value,
            });
        }
        true
    }

    /// Takes any point.
    fn point(
        &mut self,
        encoded: &[u8],
        (salt, family_key): (Key, Key),
        head: &MetricHead<'_>,
        origin: &mut EncodedOrigin<'_>,
    ) -> Result<(), DecodeError> {
        let point = RawPoint::read(encoded, head.data_kind)?;
        let attributes = point.attributes(encoded);
        let key = key_of(&attributes, salt);
        let Some(value) = point.value else {
            self.reject(head, || "it has no value".to_owned());
            return Ok(());
        };
        let place = match self.reader.pages.find(key, self.expected, self.now) {
            Some(place) => place,
            None => match self.learn(key, family_key, head, &attributes, origin) {
                Ok(place) => place,
                Err(DecodeError::Utf8) => {
                    self.reject(head, || "its text is not valid UTF-8".to_owned());
                    return Ok(());
                }
                Err(error) => return Err(error),
            },
        };
        self.expected = Place { index: place.index + 1, ..place };
        let group = self.group(place.page);
        let Some(group) = self.groups.get_mut(group) else { return Ok(()) };
        if point.has_exemplars {
            let at = group.points.len() as u32;
            let read = point::exemplars(encoded, head.data_kind, at, &mut self.reader.names.attributes);
            match read {
                Ok(exemplars) => group.exemplars.extend(exemplars),
                Err(DecodeError::Utf8) => {
                    self.reject(head, || "the text of an exemplar is not valid UTF-8".to_owned());
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        group.points.push(Point {
            series: place.index,
            flags: point.flags & !NO_RECORDED_VALUE,
            time: point.time.cast_signed(),
            start: point.start.cast_signed(),
            value,
        });
        Ok(())
    }

    /// Decodes the identity of a point that has not been seen before.
    #[cold]
    fn learn(
        &mut self,
        key: Key,
        family_key: Key,
        head: &MetricHead<'_>,
        attributes: &[u8],
        origin: &mut EncodedOrigin<'_>,
    ) -> Result<Place, DecodeError> {
        let reader = &mut *self.reader;
        let EncodedOrigin { resource, resource_schema_url, scope, scope_schema_url, decoded, .. } = origin;
        let origin = decoded
            .get_or_insert_with(|| reader.names.origin((resource, resource_schema_url), (scope, scope_schema_url)))
            .clone()?;
        let family = reader.families.get(family_key, head, &mut reader.names)?;
        let attributes =
            crate::attributes::collect(attributes, head.data_kind.attributes(), &mut reader.names.attributes)?;
        let name = Arc::clone(&family.name);
        let series = Series::intern(family, name, pipeline::Part::Whole, attributes);
        Ok(reader.pages.insert(key, &origin, series, self.now))
    }

    /// The index of the group of a page.
    #[inline]
    fn group(&mut self, page: u32) -> usize {
        match self.current {
            Some((current, at)) if current == page => at,
            _ => self.find_group(page),
        }
    }

    fn find_group(&mut self, page: u32) -> usize {
        let reader = &mut *self.reader;
        if reader.by_page.len() <= page as usize {
            reader.by_page.resize(page as usize + 1, (0, 0));
        }
        let at = match reader.by_page.get_mut(page as usize) {
            Some((request, at)) if *request == reader.requests => *at as usize,
            Some(entry) => {
                *entry = (reader.requests, self.groups.len() as u32);
                let points = Vec::with_capacity(reader.pages.len_of(page).min(MAX_RESERVED));
                self.groups.push(Group { page, points, exemplars: Vec::new() });
                self.groups.len() - 1
            }
            None => self.groups.len(),
        };
        self.current = Some((page, at));
        at
    }

    #[cold]
    fn reject(&mut self, head: &MetricHead<'_>, why: impl FnOnce() -> String) {
        self.rejected.points += 1;
        self.rejected
            .first
            .get_or_insert_with(|| format!("a data point of metric {:?} is left out: {}", head.name(), why()));
    }
}

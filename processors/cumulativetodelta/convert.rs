//! The way from cumulative points to deltas, and what has to be remembered on it.

use super::config::{Config, InitialValue, MetricType};
use pipeline::temporality::{NotComparable, Retold, Streams, difference};
use pipeline::{MetricBatch, Part, Point, PointGroup, Series, Temporality, Value};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::time::Instant;

/// How many beginnings of one stream are told apart. Several processes that write one series (which they should not) begin
/// at different times, and each is compared with itself; a restart leaves one behind.
const MAX_STARTS: usize = 8;

/// What became of a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is a delta now.
    Converted,
    /// It is the first of its stream, and dropped.
    Initial,
    /// Counting began anew, and it is dropped.
    Reset,
    /// The bounds of its buckets changed, and it is dropped.
    Buckets,
    /// It is older than the point before it, and dropped.
    OutOfOrder,
    /// It is a gap, which deltas do not have.
    NotRecorded,
    /// Its stream would be one too many.
    Limit,
}

/// A cumulative point.
#[derive(Clone, Debug)]
struct Previous {
    start: i64,
    time: i64,
    value: Value,
}

/// What is remembered of a stream: the last point since each of its beginnings.
#[derive(Debug)]
struct Stream {
    latest: Previous,
    /// Hardly ever any.
    others: Vec<Previous>,
}

/// Converts batches.
#[derive(Debug)]
pub(super) struct Converter {
    config: Config,
    streams: Streams<Stream>,
    tables: Retold,
    /// When the processor began, in nanoseconds since the Unix epoch.
    began: i64,
}

impl Converter {
    pub(super) fn new(config: Config) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let began = i64::try_from(now.as_nanos()).unwrap_or(i64::MAX);
        Self { streams: Streams::new(config.limits), config, tables: Retold::to(Temporality::Delta), began }
    }

    /// How many streams are remembered.
    pub(super) fn streams(&self) -> usize {
        self.streams.len()
    }

    /// Forgets what has ended, if it is time to look.
    pub(super) fn tidy(&mut self, now: Instant) {
        self.streams.tidy(now);
    }

    /// Converts what is to be converted, and says what became of each point of that. A batch without such points is not touched, even
    /// if others share it.
    pub(super) fn convert(
        &mut self,
        batch: &mut MetricBatch,
        now: Instant,
        mut count: impl FnMut(MetricType, Outcome),
    ) {
        let Self { config, tables, .. } = self;
        if !batch.groups().iter().any(|group| tables.table(&group.table, |family| config.concerns(family)).is_some()) {
            return;
        }
        batch.groups_mut(|groups| {
            groups.iter_mut().for_each(|group| self.convert_group(group, now, &mut count));
            groups.retain(|group| !group.points.is_empty());
        });
    }

    fn convert_group(&mut self, group: &mut PointGroup, now: Instant, count: &mut impl FnMut(MetricType, Outcome)) {
        let Self { config, streams, tables, began } = self;
        let Some(retold) = tables.table(&group.table, |family| config.concerns(family)) else { return };
        let table = std::mem::replace(&mut group.table, Arc::clone(retold));
        let origin = Arc::clone(&group.origin);
        let initial = First { rule: config.initial_value, began: *began };
        group.retain_mut(|point| {
            let Some(series) = table.get(point.series).filter(|series| config.concerns(&series.family)) else {
                return true;
            };
            let Some(kind) = MetricType::of(&series.family).filter(|_| is_counted(series, point)) else { return true };
            let outcome = match &point.value {
                Value::NoRecordedValue(_) => Outcome::NotRecorded,
                _ => match streams.get(&origin, series, now) {
                    Some(stream) => stream.next(point, initial),
                    None => {
                        let latest = Previous::of(point);
                        let stream = Stream { latest, others: Vec::new() };
                        match streams.insert(&origin, series, stream, now) {
                            Ok(_) => initial.decide(point),
                            Err(_) => Outcome::Limit,
                        }
                    }
                },
            };
            count(kind, outcome);
            outcome == Outcome::Converted
        });
    }
}

/// Whether a point counts something. The time of creation, which travels as a series of its own, does not, and what is no number
/// has no difference to anything.
fn is_counted(series: &Series, point: &Point) -> bool {
    series.part != Part::Created && !matches!(point.value, Value::Float(value) if value.is_nan())
}

/// What is done with the first point of a stream.
#[derive(Clone, Copy, Debug)]
struct First {
    rule: InitialValue,
    began: i64,
}

impl First {
    fn decide(self, point: &mut Point) -> Outcome {
        match self.rule {
            InitialValue::Drop => Outcome::Initial,
            // Since when its value counts is not known to be since the point before.
            InitialValue::Keep => {
                point.start = 0;
                without_extremes(&mut point.value);
                Outcome::Converted
            }
            InitialValue::Auto if point.start < self.began || point.start == point.time => Outcome::Initial,
            InitialValue::Auto => {
                without_extremes(&mut point.value);
                Outcome::Converted
            }
        }
    }
}

fn without_extremes(value: &mut Value) {
    let (min, max) = match value {
        Value::Histogram(histogram) => (&mut histogram.min, &mut histogram.max),
        Value::ExponentialHistogram(histogram) => (&mut histogram.min, &mut histogram.max),
        Value::FloatHistogram(histogram) => (&mut histogram.min, &mut histogram.max),
        Value::FloatExponentialHistogram(histogram) => (&mut histogram.min, &mut histogram.max),
        _ => return,
    };
    (*min, *max) = (None, None);
}

impl Previous {
    fn of(point: &Point) -> Self {
        Self { start: point.start, time: point.time, value: point.value.clone() }
    }
}

impl Stream {
    /// Puts the delta to the point before in the place of a point.
    fn next(&mut self, point: &mut Point, first: First) -> Outcome {
        if self.latest.start != point.start {
            let before = Previous::of(point);
            match self.others.iter().position(|other| other.start == point.start) {
                Some(at) => {
                    self.others.get_mut(at).into_iter().for_each(|other| std::mem::swap(other, &mut self.latest))
                }
                None => {
                    if self.others.len() + 1 >= MAX_STARTS {
                        self.others.remove(0);
                    }
                    self.others.push(std::mem::replace(&mut self.latest, before));
                    return first.decide(point);
                }
            }
        }
        let before = &mut self.latest;
        if point.time < before.time {
            return Outcome::OutOfOrder;
        }
        let outcome = match difference(&before.value, &point.value) {
            Ok(delta) => {
                point.start = before.time;
                before.value = std::mem::replace(&mut point.value, delta);
                before.time = point.time;
                return Outcome::Converted;
            }
            Err(NotComparable::Reset) => Outcome::Reset,
            Err(NotComparable::Buckets) => Outcome::Buckets,
        };
        // What comes next is compared with this one.
        *before = Previous::of(point);
        outcome
    }
}

//! Delta points of a batch made cumulative.

use tokio::time::Instant;

use crate::batch::PointGroup;
use crate::model::{Family, Temporality};
use crate::value::{Point, Value};

use super::add::add;
use super::retold::{Retold, is_delta};
use super::streams::{StreamLimits, Streams};

/// Why a delta point was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refused {
    /// It covers time before the stream began: the end of an older stream that came late.
    OlderStart,
    /// It is not newer than the point before it, or that point once more.
    OutOfOrder,
    /// There are as many streams as may be, and this would be a new one.
    Limit,
    /// Its value is infinite or no number, and would stay in all values to come.
    NotFinite,
}

impl Refused {
    /// The reason under which the point is counted.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OlderStart => "delta_older_start",
            Self::OutOfOrder => "delta_out_of_order",
            Self::Limit => "delta_streams_limit",
            Self::NotFinite => "delta_not_finite",
        }
    }
}

/// The sum of all deltas of a stream.
#[derive(Debug)]
struct Total {
    /// Where the first delta began, in nanoseconds since the Unix epoch; 0 if it was not said.
    start: i64,
    /// Where the last delta ended.
    time: i64,
    value: Value,
}

/// Adds up the deltas of each stream.
#[derive(Debug)]
pub struct Accumulator {
    streams: Streams<Total>,
    tables: Retold,
}

impl Accumulator {
    /// Nothing added up so far.
    #[must_use]
    pub fn new(limits: StreamLimits) -> Self {
        Self { streams: Streams::new(limits), tables: Retold::to(Temporality::Cumulative) }
    }

    /// How many streams are being added up.
    #[must_use]
    pub fn streams(&self) -> usize {
        self.streams.len()
    }

    /// Whether there may be a delta among these points. Costs a look at the table.
    pub fn concerns(&mut self, group: &PointGroup) -> bool {
        self.tables.table(&group.table, delta).is_some()
    }

    /// Makes the delta points of a group cumulative, in their places. Those that are refused are taken out, after `refused`
    /// was told of each. Values that are not recorded stay what they are.
    pub fn accumulate(&mut self, group: &mut PointGroup, now: Instant, mut refused: impl FnMut(Refused, &Point)) {
        let Some(cumulative) = self.tables.table(&group.table, delta) else { return };
        let table = std::mem::replace(&mut group.table, std::sync::Arc::clone(cumulative));
        let origin = std::sync::Arc::clone(&group.origin);
        let streams = &mut self.streams;
        group.retain_mut(|point| {
            let Some(series) = table.get(point.series).filter(|series| delta(&series.family)) else {
                return true;
            };
            if !point.value.is_recorded() {
                return true;
            }
            let outcome = match streams.get(&origin, series, now) {
                Some(total) => total.take(point),
                None => Total::first(point).and_then(|total| {
                    streams.insert(&origin, series, total, now).map(drop).map_err(|_| Refused::Limit)
                }),
            };
            outcome.map_err(|reason| refused(reason, point)).is_ok()
        });
    }

    /// Forgets streams that have been idle for long, if it is time to look; how many.
    pub fn tidy(&mut self, now: Instant) -> usize {
        self.streams.tidy(now)
    }
}

fn delta(family: &Family) -> bool {
    is_delta(family.kind)
}

impl Total {
    /// The first delta of a stream is its first total.
    fn first(point: &Point) -> Result<Self, Refused> {
        finite(&point.value)?;
        Ok(Self { start: point.start, time: point.time, value: point.value.clone() })
    }

    /// Adds a delta, and puts the total in its place.
    fn take(&mut self, point: &mut Point) -> Result<(), Refused> {
        if point.start < self.start {
            return Err(Refused::OlderStart);
        }
        if point.time <= self.time {
            return Err(Refused::OutOfOrder);
        }
        finite(&point.value)?;
        if add(&mut self.value, &point.value) == super::Added::Replaced {
            // Counting begins anew, which a later start tells those who read it.
            self.start = point.start;
        }
        self.time = point.time;
        point.start = self.start;
        point.value.clone_from(&self.value);
        Ok(())
    }
}

fn finite(value: &Value) -> Result<(), Refused> {
    match value {
        Value::Float(value) if !value.is_finite() => Err(Refused::NotFinite),
        _ => Ok(()),
    }
}

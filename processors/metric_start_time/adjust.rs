//! The start times of points, by what came before them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use pipeline::temporality::{Streams, difference, temporality_of};
use pipeline::value::{Point, Summary, Value};
use pipeline::{Family, FamilyKind, MetricBatch, Origin, Part, PointGroup, Series, Slot, Temporality};
use tokio::time::Instant;

use super::config::{Config, Strategy};

/// A reset lies between two points; the start is put so much before the second, which the first is never after.
const BEFORE_RESET: i64 = 1_000_000;

/// What is known of a series.
#[derive(Debug, Default)]
struct Stream {
    /// Since when it counts, in nanoseconds since the Unix epoch.
    start: i64,
    /// The value of the last point, as it came.
    last: Option<Value>,
    /// What is taken off, with `subtract_initial_point`.
    reference: Option<Value>,
}

/// What was done to a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Adjusted {
    /// First points that were dropped.
    pub(super) initial: u64,
    /// Points that passed as they are for want of room.
    pub(super) over_limit: u64,
}

/// Adjusts the points of one processor.
#[derive(Debug)]
pub(super) struct Adjuster {
    strategy: Strategy,
    streams: Streams<Stream>,
    told: Told,
}

/// Starts that sources have told, by the slot of the origin: as long as the most origins that were alive at once.
#[derive(Debug)]
struct Told {
    starts: Vec<Option<(Slot, i64)>>,
    /// When this program began, which is what is taken where nothing was told.
    own: i64,
    /// Whether a series tells the start, by its slot.
    tells: HashMap<Slot, bool>,
    warned: bool,
}

/// Verdicts on names; worked out anew beyond this number.
const MAX_NAMES: usize = 65_536;

impl Adjuster {
    pub(super) fn new(config: Config) -> Self {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let own = i64::try_from(now.as_nanos()).unwrap_or(i64::MAX);
        let told = Told { starts: Vec::new(), own, tells: HashMap::new(), warned: false };
        Self { strategy: config.strategy, streams: Streams::new(config.limits), told }
    }

    /// How many series are remembered.
    pub(super) fn streams(&self) -> usize {
        self.streams.len()
    }

    /// Gives the points of a batch their start times.
    pub(super) fn adjust(&mut self, batch: &mut MetricBatch, now: Instant) -> Adjusted {
        let mut adjusted = Adjusted::default();
        self.streams.tidy(now);
        if let Strategy::StartTimeMetric(names) = &self.strategy {
            for group in batch.groups() {
                self.told.note(group, names);
            }
        }
        batch.groups_mut(|groups| {
            for group in groups.iter_mut() {
                self.group(group, now, &mut adjusted);
            }
            groups.retain(|group| !group.points.is_empty());
        });
        adjusted
    }

    fn group(&mut self, group: &mut PointGroup, now: Instant, adjusted: &mut Adjusted) {
        let (origin, table) = (Arc::clone(&group.origin), Arc::clone(&group.table));
        group.retain_mut(|point| {
            let Some(series) = table.get(point.series) else { return true };
            // A start that was given is right; that of a point's own time says nothing.
            if !accumulates(&series.family, &series.part) || (point.start != 0 && point.start != point.time) {
                return true;
            }
            let subtract = match self.strategy {
                Strategy::StartTimeMetric(_) => {
                    point.start = self.told.of(&origin);
                    return true;
                }
                Strategy::SubtractInitialPoint => true,
                Strategy::TrueResetPoint => false,
            };
            if let Some(stream) = self.streams.get(&origin, series, now) {
                stream.later(point, subtract);
                return true;
            }
            let (stream, keep) = Stream::first(point, subtract);
            if self.streams.insert(&origin, series, stream, now).is_err() {
                adjusted.over_limit += 1;
                return true;
            }
            if keep {
                point.start = point.time;
            }
            adjusted.initial += u64::from(!keep);
            keep
        });
    }
}

/// Whether values of such a part grow from a start on.
fn accumulates(family: &Family, part: &Part) -> bool {
    let cumulative = temporality_of(family.kind) == Some(Temporality::Cumulative);
    match family.kind {
        FamilyKind::Sum { monotonic, .. } => cumulative && monotonic && *part == Part::Whole,
        FamilyKind::Summary => !matches!(part, Part::Quantile(_) | Part::Created),
        FamilyKind::Histogram { .. } | FamilyKind::ExponentialHistogram { .. } => cumulative && *part != Part::Created,
        _ => false,
    }
}

impl Stream {
    /// The stream that a first point begins, and whether the point is kept.
    fn first(point: &Point, subtract: bool) -> (Self, bool) {
        let value = point.value.is_recorded().then(|| point.value.clone());
        let reference = value.clone().filter(|_| subtract);
        let keep = reference.is_none();
        (Self { start: point.time, last: value, reference }, keep)
    }

    /// Adjusts a later point.
    fn later(&mut self, point: &mut Point, subtract: bool) {
        if !point.value.is_recorded() {
            point.start = self.start;
            return;
        }
        let adjusted = match (&self.last, &self.reference) {
            (Some(last), _) if is_reset(last, &point.value) => None,
            (_, Some(reference)) if subtract => without(reference, &point.value),
            _ => Some(point.value.clone()),
        };
        // The point's own value is remembered, and what is left of it goes on.
        let value = match adjusted {
            Some(value) => value,
            None => {
                self.start = point.time.saturating_sub(BEFORE_RESET);
                self.reference = None;
                point.value.clone()
            }
        };
        self.last = Some(std::mem::replace(&mut point.value, value));
        point.start = self.start;
    }
}

/// Whether counting began anew between two values.
fn is_reset(before: &Value, after: &Value) -> bool {
    let less =
        |before: Option<f64>, after: Option<f64>| before.zip(after).is_some_and(|(before, after)| after < before);
    match (before, after) {
        (Value::Int(a), Value::Int(b)) => b < a,
        (Value::Float(a), Value::Float(b)) => b < a,
        (Value::Int(a), Value::Float(b)) => *b < *a as f64,
        (Value::Float(a), Value::Int(b)) => (*b as f64) < *a,
        (Value::Histogram(a), Value::Histogram(b)) => b.count < a.count || less(a.sum, b.sum),
        (Value::ExponentialHistogram(a), Value::ExponentialHistogram(b)) => b.count < a.count || less(a.sum, b.sum),
        (Value::FloatHistogram(a), Value::FloatHistogram(b)) => b.count < a.count || less(a.sum, b.sum),
        (Value::FloatExponentialHistogram(a), Value::FloatExponentialHistogram(b)) => {
            b.count < a.count || less(a.sum, b.sum)
        }
        (Value::Summary(a), Value::Summary(b)) => b.count < a.count || b.sum < a.sum,
        // Another kind of value is another beginning.
        _ => true,
    }
}

/// A value without what was there at the beginning; none if that is no part of it.
fn without(reference: &Value, value: &Value) -> Option<Value> {
    match (reference, value) {
        (Value::Summary(a), Value::Summary(b)) => Some(Value::Summary(Box::new(Summary {
            count: b.count.checked_sub(a.count)?,
            sum: b.sum - a.sum,
            quantiles: b.quantiles.clone(),
        }))),
        _ => difference(reference, value).ok(),
    }
}

impl Told {
    /// Takes note of the starts that points of a group tell.
    fn note(&mut self, group: &PointGroup, names: &regex::Regex) {
        for point in &group.points {
            let Some(series) = group.table.get(point.series) else { continue };
            if !self.tells(series, names) {
                continue;
            }
            let seconds = match point.value {
                Value::Float(seconds) => seconds,
                Value::Int(seconds) => seconds as f64,
                _ => continue,
            };
            let index = group.origin.slot().id as usize;
            if self.starts.len() <= index {
                self.starts.resize(index + 1, None);
            }
            if let Some(place) = self.starts.get_mut(index) {
                *place = Some((group.origin.slot(), (seconds * 1e9) as i64));
            }
        }
    }

    fn tells(&mut self, series: &Series, names: &regex::Regex) -> bool {
        if self.tells.len() >= MAX_NAMES {
            self.tells.clear();
        }
        let verdict = || {
            let kind = series.family.kind;
            matches!(kind, FamilyKind::Gauge | FamilyKind::Sum { .. } | FamilyKind::Unknown)
                && names.is_match(&series.family.name)
        };
        *self.tells.entry(series.slot()).or_insert_with(verdict)
    }

    /// Since when series of an origin count.
    fn of(&mut self, origin: &Origin) -> i64 {
        let told = self.starts.get(origin.slot().id as usize).copied().flatten();
        if let Some((_, start)) = told.filter(|(of, _)| *of == origin.slot()) {
            return start;
        }
        if !std::mem::replace(&mut self.warned, true) {
            tracing::warn!(
                "A source does not tell when it was started; its series count from the start of this program. Is the metric that start_time_metric_regex names among its metrics?"
            );
        }
        self.own
    }
}

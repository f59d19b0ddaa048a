//! What a new point makes of the value before it.

use pipeline::FamilyKind;
use pipeline::temporality::{add, is_delta};
use pipeline::value::{Count, ExponentialHistogram, Histogram, Point, Value};

use super::rules::Reason;

/// The value that a series is shown with.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Current {
    pub(super) value: Value,
    /// In nanoseconds since the Unix epoch.
    pub(super) time: i64,
}

impl Current {
    /// The value of a series' first point.
    pub(super) fn first(point: Point) -> Self {
        Self { value: shown(point.value), time: point.time }
    }

    /// Takes in the next point.
    ///
    /// Cumulative values replace what was there. Deltas that follow on the stored value without a gap are added
    /// to it; after a gap they start anew, which readers see as a counter reset.
    pub(super) fn update(&mut self, kind: FamilyKind, point: Point) -> Result<(), Reason> {
        if point.time < self.time {
            return Err("older_than_shown");
        }
        if !is_delta(kind) {
            *self = Self::first(point);
            return Ok(());
        }
        if point.time == self.time {
            // Not an update, but the same points once more.
            return Err("delta_repeated");
        }
        let follows = point.start == self.time;
        let sum = matches!(kind, FamilyKind::Sum { .. });
        if !follows && !sum && point.start < self.time {
            return Err("delta_misaligned");
        }
        let new = shown(point.value);
        if follows {
            // What cannot be added, such as histograms of other bounds, begins anew.
            add(&mut self.value, &new);
        } else {
            self.value = new;
        }
        self.time = point.time;
        Ok(())
    }
}

/// The part of a value that the text formats can show: of exponential histograms count and sum.
fn shown(value: Value) -> Value {
    match value {
        Value::ExponentialHistogram(h) => Value::Histogram(Box::new(unbucketed(&h))),
        Value::FloatExponentialHistogram(h) => Value::FloatHistogram(Box::new(unbucketed(&h))),
        other => other,
    }
}

fn unbucketed<N: Count>(h: &ExponentialHistogram<N>) -> Histogram<N> {
    Histogram { count: h.count, sum: h.sum, min: h.min, max: h.max, reset: h.reset, ..Histogram::default() }
}

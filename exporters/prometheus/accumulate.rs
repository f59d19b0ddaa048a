//! What a new point makes of the value before it.

use pipeline::value::{Histogram, Point, Value};
use pipeline::{FamilyKind, Temporality};

use super::rules::Reason;

/// The value that a series is shown with.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Current {
    pub(super) value: Value,
    /// In nanoseconds since the Unix epoch.
    pub(super) time: i64,
}

/// Where a point counts from: only deltas need to know.
fn is_delta(kind: FamilyKind) -> bool {
    matches!(
        kind,
        FamilyKind::Sum { temporality: Temporality::Delta, .. }
            | FamilyKind::Histogram { temporality: Temporality::Delta }
            | FamilyKind::ExponentialHistogram { temporality: Temporality::Delta }
    )
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
        let added = if follows { added(&self.value, &new) } else { None };
        *self = Self { value: added.unwrap_or(new), time: point.time };
        Ok(())
    }
}

/// The part of a value that the text formats can show: of exponential histograms count and sum.
fn shown(value: Value) -> Value {
    match value {
        Value::ExponentialHistogram(h) => Value::Histogram(Box::new(Histogram {
            count: h.count,
            sum: h.sum,
            min: h.min,
            max: h.max,
            bounds: Box::default(),
            bucket_counts: Box::default(),
        })),
        other => other,
    }
}

/// The sum of two values, if they can be added.
fn added(old: &Value, new: &Value) -> Option<Value> {
    Some(match (old, new) {
        (Value::Int(a), Value::Int(b)) => Value::Int(a.saturating_add(*b)),
        (Value::Int(a), Value::Float(b)) | (Value::Float(b), Value::Int(a)) => Value::Float(*a as f64 + b),
        (Value::Float(a), Value::Float(b)) => Value::Float(a + b),
        (Value::Histogram(a), Value::Histogram(b)) => {
            if a.bounds != b.bounds || a.bucket_counts.len() != b.bucket_counts.len() {
                return None;
            }
            let counts = a.bucket_counts.iter().zip(&b.bucket_counts);
            let both = |f: fn(f64, f64) -> f64, a: Option<f64>, b: Option<f64>| a.zip(b).map(|(a, b)| f(a, b));
            Value::Histogram(Box::new(Histogram {
                count: a.count.saturating_add(b.count),
                sum: both(|a, b| a + b, a.sum, b.sum),
                min: both(f64::min, a.min, b.min),
                max: both(f64::max, a.max, b.max),
                bounds: a.bounds.clone(),
                bucket_counts: counts.map(|(a, b)| a.saturating_add(*b)).collect(),
            }))
        }
        _ => return None,
    })
}

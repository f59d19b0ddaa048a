//! What a delta makes of the value before it.

use crate::value::{Count, ExponentialHistogram, Histogram, Value};

use super::exponential;

/// What [`add`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Added {
    /// The value covers both now.
    Both,
    /// The two cannot be added (other bounds, another kind of value), so that it begins anew with the new one.
    Replaced,
}

/// Adds a delta to a value.
///
/// Histograms add if their bounds are the same; sum, least and greatest observation are known of the result if they are known
/// of both. Exponential histograms go to the coarser scale and the wider zero bucket of both.
pub fn add(to: &mut Value, delta: &Value) -> Added {
    match (&mut *to, delta) {
        (Value::Int(a), Value::Int(b)) => {
            // Beyond the range of integers, the value goes on as a double.
            match a.checked_add(*b) {
                Some(sum) => *a = sum,
                None => *to = Value::Float(*a as f64 + *b as f64),
            }
        }
        (Value::Int(a), Value::Float(b)) => *to = Value::Float(*a as f64 + b),
        (Value::Float(a), Value::Int(b)) => *a += *b as f64,
        (Value::Float(a), Value::Float(b)) => *a += b,
        (Value::Histogram(a), Value::Histogram(b)) if a.bounds == b.bounds => histogram(a, b),
        (Value::ExponentialHistogram(a), Value::ExponentialHistogram(b)) => exponential_histogram(a, b),
        (Value::FloatHistogram(a), Value::FloatHistogram(b)) if a.bounds == b.bounds => histogram(a, b),
        (Value::FloatExponentialHistogram(a), Value::FloatExponentialHistogram(b)) => exponential_histogram(a, b),
        _ => {
            to.clone_from(delta);
            return Added::Replaced;
        }
    }
    Added::Both
}

fn histogram<N: Count>(a: &mut Histogram<N>, b: &Histogram<N>) {
    a.count = a.count.plus(b.count);
    a.sum = both(|a, b| a + b, a.sum, b.sum);
    a.min = both(f64::min, a.min, b.min);
    a.max = both(f64::max, a.max, b.max);
    if b.bucket_counts.len() > a.bucket_counts.len() {
        let mut longer = b.bucket_counts.clone();
        add_counts(&mut longer, &a.bucket_counts);
        a.bucket_counts = longer;
    } else {
        add_counts(&mut a.bucket_counts, &b.bucket_counts);
    }
}

fn add_counts<N: Count>(to: &mut [N], counts: &[N]) {
    for (sum, count) in to.iter_mut().zip(counts) {
        *sum = sum.plus(*count);
    }
}

fn exponential_histogram<N: Count>(a: &mut ExponentialHistogram<N>, b: &ExponentialHistogram<N>) {
    let mut b = b.clone();
    exponential::align(a, &mut b);
    exponential::merge(&mut a.positive, &b.positive);
    exponential::merge(&mut a.negative, &b.negative);
    a.count = a.count.plus(b.count);
    a.zero_count = a.zero_count.plus(b.zero_count);
    a.sum = both(|a, b| a + b, a.sum, b.sum);
    a.min = both(f64::min, a.min, b.min);
    a.max = both(f64::max, a.max, b.max);
}

fn both(f: fn(f64, f64) -> f64, a: Option<f64>, b: Option<f64>) -> Option<f64> {
    a.zip(b).map(|(a, b)| f(a, b))
}

//! What was added between two cumulative values.

use crate::value::{Count, ExponentialBuckets, ExponentialHistogram, Histogram, ResetHint, Value};

use super::exponential;

/// Why two values have no difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotComparable {
    /// The later value is less, as a whole or in one bucket: counting began anew.
    Reset,
    /// The bounds of the buckets differ, or the kind of value.
    Buckets,
}

/// The delta between a cumulative value and the one before it. Least and greatest observation of a delta are not known.
///
/// # Errors
/// When the earlier value is no part of the later one.
pub fn difference(before: &Value, after: &Value) -> Result<Value, NotComparable> {
    Ok(match (before, after) {
        (Value::Int(a), Value::Int(b)) if b < a => return Err(NotComparable::Reset),
        (Value::Int(a), Value::Int(b)) => match b.checked_sub(*a) {
            Some(delta) => Value::Int(delta),
            None => Value::Float(*b as f64 - *a as f64),
        },
        (Value::Float(a), Value::Float(b)) => float(*a, *b)?,
        (Value::Int(a), Value::Float(b)) => float(*a as f64, *b)?,
        (Value::Float(a), Value::Int(b)) => float(*a, *b as f64)?,
        (Value::Histogram(a), Value::Histogram(b)) => Value::Histogram(Box::new(histogram(a, b)?)),
        (Value::ExponentialHistogram(a), Value::ExponentialHistogram(b)) => {
            Value::ExponentialHistogram(Box::new(exponential_histogram(a, b)?))
        }
        (Value::FloatHistogram(a), Value::FloatHistogram(b)) => Value::FloatHistogram(Box::new(histogram(a, b)?)),
        (Value::FloatExponentialHistogram(a), Value::FloatExponentialHistogram(b)) => {
            Value::FloatExponentialHistogram(Box::new(exponential_histogram(a, b)?))
        }
        _ => return Err(NotComparable::Buckets),
    })
}

fn float(before: f64, after: f64) -> Result<Value, NotComparable> {
    // What is no number is neither less nor the same.
    if after < before { Err(NotComparable::Reset) } else { Ok(Value::Float(after - before)) }
}

fn histogram<N: Count>(before: &Histogram<N>, after: &Histogram<N>) -> Result<Histogram<N>, NotComparable> {
    if before.bounds != after.bounds || before.bucket_counts.len() != after.bucket_counts.len() {
        return Err(NotComparable::Buckets);
    }
    let counts = before.bucket_counts.iter().zip(&after.bucket_counts);
    Ok(Histogram {
        count: less(before.count, after.count)?,
        sum: before.sum.zip(after.sum).map(|(before, after)| after - before),
        min: None,
        max: None,
        reset: ResetHint::Unknown,
        bounds: after.bounds.clone(),
        bucket_counts: counts.map(|(before, after)| less(*before, *after)).collect::<Result<_, _>>()?,
    })
}

fn exponential_histogram<N: Count>(
    before: &ExponentialHistogram<N>,
    after: &ExponentialHistogram<N>,
) -> Result<ExponentialHistogram<N>, NotComparable> {
    // A histogram of one stream only ever gets coarser; finer means that it is another one.
    if after.scale > before.scale || after.zero_threshold < before.zero_threshold || after.count < before.count {
        return Err(NotComparable::Reset);
    }
    let (mut before, mut after) = (before.clone(), after.clone());
    exponential::coarsen(&mut before, after.scale);
    exponential::align_zero(&mut before, &mut after);
    Ok(ExponentialHistogram {
        count: less(before.count, after.count)?,
        sum: before.sum.zip(after.sum).map(|(before, after)| after - before),
        min: None,
        max: None,
        reset: ResetHint::Unknown,
        scale: after.scale,
        zero_count: less(before.zero_count, after.zero_count)?,
        zero_threshold: after.zero_threshold,
        positive: buckets(&before.positive, after.positive)?,
        negative: buckets(&before.negative, after.negative)?,
    })
}

fn buckets<N: Count>(
    before: &ExponentialBuckets<N>,
    mut after: ExponentialBuckets<N>,
) -> Result<ExponentialBuckets<N>, NotComparable> {
    for (index, count) in exponential::indexed(before).filter(|(_, count)| !count.is_zero()) {
        let place = usize::try_from(index - i64::from(after.offset)).ok().and_then(|at| after.counts.get_mut(at));
        let place = place.ok_or(NotComparable::Reset)?;
        *place = less(count, *place)?;
    }
    Ok(after)
}

fn less<N: Count>(before: N, after: N) -> Result<N, NotComparable> {
    after.minus(before).ok_or(NotComparable::Reset)
}

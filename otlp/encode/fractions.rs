//! Histograms whose counts are fractions, in whole numbers.
//!
//! OTLP counts in whole numbers. Rounding each bucket by itself would make nothing of a histogram of many small fractions, such as a
//! rate. So what is rounded is how many there are up to each bucket, which keeps the total and is off by less than one anywhere.

use pipeline::value::ExponentialBuckets;
use pipeline::{ExponentialHistogram, Histogram, Value};

/// Counts up to here are told apart as doubles.
const MOST: f64 = 9_007_199_254_740_992.0;

/// Whole numbers for the fractions of a value. None for values that have no fractions; an error if there is no telling how many
/// observations there were.
pub(super) fn rounded(value: &Value) -> Result<Option<Value>, Undefined> {
    Ok(match value {
        Value::FloatHistogram(histogram) => Some(Value::Histogram(Box::new(explicit(histogram)?))),
        Value::FloatExponentialHistogram(histogram) => {
            Some(Value::ExponentialHistogram(Box::new(exponential(histogram)?)))
        }
        _ => None,
    })
}

/// Counts are infinite, or no numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Undefined;

/// What has been counted so far, and the whole number next to it.
#[derive(Default)]
struct Running {
    exact: f64,
    whole: u64,
}

impl Running {
    /// The whole number for the next bucket.
    fn next(&mut self, count: f64) -> Result<u64, Undefined> {
        self.exact += count;
        if !(0.0..=MOST).contains(&self.exact) {
            return Err(Undefined);
        }
        let before = std::mem::replace(&mut self.whole, self.exact.round() as u64);
        Ok(self.whole.saturating_sub(before))
    }

    /// The total that goes with the buckets, unless there are observations in none of them.
    fn total(&self, count: f64) -> Result<u64, Undefined> {
        if !(0.0..=MOST).contains(&count) {
            return Err(Undefined);
        }
        let apart = (count - self.exact).abs() >= 1.0;
        Ok(if apart { count.round() as u64 } else { self.whole })
    }
}

fn explicit(of: &Histogram<f64>) -> Result<Histogram, Undefined> {
    let mut running = Running::default();
    let bucket_counts = of.bucket_counts.iter().map(|count| running.next(*count)).collect::<Result<_, _>>()?;
    let (sum, min, max, reset, bounds) = (of.sum, of.min, of.max, of.reset, of.bounds.clone());
    Ok(Histogram { count: running.total(of.count)?, sum, min, max, reset, bounds, bucket_counts })
}

fn exponential(of: &ExponentialHistogram<f64>) -> Result<ExponentialHistogram, Undefined> {
    let mut running = Running::default();
    // From the least observation to the greatest.
    let mut negative =
        of.negative.counts.iter().rev().map(|count| running.next(*count)).collect::<Result<Box<_>, _>>()?;
    negative.reverse();
    let zero_count = running.next(of.zero_count)?;
    let positive = of.positive.counts.iter().map(|count| running.next(*count)).collect::<Result<_, _>>()?;
    let (sum, min, max, reset) = (of.sum, of.min, of.max, of.reset);
    let (scale, zero_threshold) = (of.scale, of.zero_threshold);
    let positive = ExponentialBuckets { offset: of.positive.offset, counts: positive };
    let negative = ExponentialBuckets { offset: of.negative.offset, counts: negative };
    let count = running.total(of.count)?;
    Ok(ExponentialHistogram { count, sum, min, max, reset, scale, zero_count, zero_threshold, positive, negative })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn side(offset: i32, counts: &[f64]) -> ExponentialBuckets<f64> {
        ExponentialBuckets { offset, counts: counts.into() }
    }

    #[test]
    fn totals_are_kept_and_buckets_are_off_by_less_than_one() {
        let float = ExponentialHistogram {
            count: 3.1,
            sum: Some(1.5),
            scale: 2,
            zero_count: 0.4,
            zero_threshold: 0.001,
            positive: side(-3, &[0.4, 0.0, 0.4, 0.4]),
            negative: side(7, &[0.3, 1.2]),
            ..ExponentialHistogram::default()
        };
        let value = Value::FloatExponentialHistogram(Box::new(float.clone()));
        let Value::ExponentialHistogram(whole) = rounded(&value).unwrap().unwrap() else { unreachable!() };
        assert_eq!((whole.count, whole.zero_count, whole.scale), (3, 0, 2));
        assert_eq!((&*whole.negative.counts, &*whole.positive.counts), (&[1, 1][..], &[0, 0, 1, 0][..]));
        assert_eq!((whole.negative.offset, whole.positive.offset), (7, -3));
        let all = whole.negative.counts.iter().chain(&whole.positive.counts).sum::<u64>() + whole.zero_count;
        assert_eq!(all, whole.count, "receivers of OTLP check it");

        // Observations that are no numbers are in no bucket.
        let more = ExponentialHistogram { count: 7.4, ..float.clone() };
        let value = Value::FloatExponentialHistogram(Box::new(more));
        let Value::ExponentialHistogram(whole) = rounded(&value).unwrap().unwrap() else { unreachable!() };
        assert_eq!(whole.count, 7);

        for count in [f64::NAN, f64::INFINITY, 1e300] {
            let odd = ExponentialHistogram { positive: side(0, &[1.0, count]), ..float.clone() };
            assert_eq!(rounded(&Value::FloatExponentialHistogram(Box::new(odd))), Err(Undefined));
        }
        assert_eq!(rounded(&Value::Float(0.5)), Ok(None));
    }

    #[test]
    fn listed_bounds_stay() {
        let float = Histogram {
            count: 2.0,
            sum: Some(3.0),
            bounds: [1.0, 2.0].into(),
            bucket_counts: [0.5, 0.75, 0.75].into(),
            ..Histogram::default()
        };
        let value = Value::FloatHistogram(Box::new(float));
        let Value::Histogram(whole) = rounded(&value).unwrap().unwrap() else { unreachable!() };
        assert_eq!((whole.count, &*whole.bounds, &*whole.bucket_counts), (2, &[1.0, 2.0][..], &[1, 0, 1][..]));
    }
}

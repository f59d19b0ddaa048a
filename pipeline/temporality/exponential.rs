//! Exponential histograms at other scales and with other zero buckets, so that two of them can be taken together.
//!
//! The bucket with index `i` holds what is above `base^i` and at most `base^(i+1)`, where the base is `2^(2^-scale)`. One
//! scale less joins the buckets `2i` and `2i+1`, which is a shift of indices to the right.

use crate::value::{Count, ExponentialBuckets, ExponentialHistogram};

/// Buckets on a side that a sum of histograms may have; with more, it goes to a coarser scale. What the SDKs of OpenTelemetry
/// and the Collector use.
pub const MAX_BUCKETS: usize = 160;

/// A shift by more would not fit the type that indices are shifted in, and none is left by then.
const MAX_SHIFT: u32 = 63;

/// Joins buckets until the scale is less by `by`.
pub fn downscale<N: Count>(buckets: &mut ExponentialBuckets<N>, by: u32) {
    if by == 0 {
        return;
    }
    let by = by.min(MAX_SHIFT);
    let Some(last) = last_index(buckets) else {
        buckets.offset = index(i64::from(buckets.offset) >> by);
        return;
    };
    let first = i64::from(buckets.offset) >> by;
    let mut counts = vec![N::default(); usize::try_from((last >> by) - first + 1).unwrap_or(0)];
    for (index, count) in indexed(buckets) {
        let place = usize::try_from((index >> by) - first).ok().and_then(|at| counts.get_mut(at));
        if let Some(place) = place {
            *place = place.plus(count);
        }
    }
    *buckets = ExponentialBuckets { offset: index(first), counts: counts.into() };
}

/// Brings both sides of a histogram to a scale, if that is coarser than what it has.
pub fn coarsen<N: Count>(histogram: &mut ExponentialHistogram<N>, scale: i32) {
    let by = i64::from(histogram.scale) - i64::from(scale);
    let Ok(by) = u32::try_from(by) else { return };
    downscale(&mut histogram.positive, by);
    downscale(&mut histogram.negative, by);
    histogram.scale = scale;
}

/// Adds buckets of the same scale, after [`align`] has seen to it that they are few. Empty buckets at either end are left away if both have some.
pub(super) fn merge<N: Count>(into: &mut ExponentialBuckets<N>, other: &ExponentialBuckets<N>) {
    if other.counts.is_empty() {
        return;
    }
    if into.counts.is_empty() {
        *into = other.clone();
        return;
    }
    let Some((first, last)) = joined(populated(into), populated(other)) else { return };
    let mut counts = vec![N::default(); usize::try_from(last - first + 1).unwrap_or(0)];
    for (index, count) in indexed(into).chain(indexed(other)) {
        let place = usize::try_from(index - first).ok().and_then(|at| counts.get_mut(at));
        if let Some(place) = place {
            *place = place.plus(count);
        }
    }
    *into = ExponentialBuckets { offset: index(first), counts: counts.into() };
}

/// Widens the zero bucket up to `threshold`, or to the end of the populated bucket that this falls into: observations of one
/// bucket cannot be told apart. A narrower threshold than there is changes nothing, and returns false.
pub fn widen_zero<N: Count>(histogram: &mut ExponentialHistogram<N>, threshold: f64) -> bool {
    if threshold <= histogram.zero_threshold || !threshold.is_finite() {
        return threshold == histogram.zero_threshold;
    }
    let scale = histogram.scale;
    let last = index_of(threshold, scale);
    let inside = upper_bound(last, scale) <= threshold;
    let populated =
        |side: &ExponentialBuckets<N>| indexed(side).any(|(index, count)| index == last && !count.is_zero());
    let partly = !inside && (populated(&histogram.positive) || populated(&histogram.negative));
    histogram.zero_threshold = if partly { upper_bound(last, scale) } else { threshold };
    for side in [&mut histogram.positive, &mut histogram.negative] {
        // A bucket that is neither inside nor populated stays, or goes: nothing is in it.
        let (mut absorbed, mut kept) = (N::default(), Vec::with_capacity(side.counts.len()));
        let mut offset = None;
        for (index, count) in indexed(side) {
            if index <= last {
                absorbed = absorbed.plus(count);
            } else {
                offset.get_or_insert(index);
                kept.push(count);
            }
        }
        histogram.zero_count = histogram.zero_count.plus(absorbed);
        *side = ExponentialBuckets { offset: index(offset.unwrap_or_default()), counts: kept.into() };
    }
    true
}

/// Brings two histograms to one scale and one zero bucket: the coarser scale, or a coarser one still if their sum would have
/// more than [`MAX_BUCKETS`] on a side, and the wider zero bucket.
pub fn align<N: Count>(a: &mut ExponentialHistogram<N>, b: &mut ExponentialHistogram<N>) {
    let scale = a.scale.min(b.scale);
    coarsen(a, scale);
    coarsen(b, scale);
    let positive = excess(joined(populated(&a.positive), populated(&b.positive)));
    let negative = excess(joined(populated(&a.negative), populated(&b.negative)));
    let by = i32::try_from(positive.max(negative)).unwrap_or_default();
    coarsen(a, scale.saturating_sub(by));
    coarsen(b, scale.saturating_sub(by));
    align_zero(a, b);
}

/// Brings two histograms of one scale to one zero bucket. Widening one may take a bucket more than was asked for, which the
/// other has to follow; each step takes one, so that it comes to an end.
pub fn align_zero<N: Count>(a: &mut ExponentialHistogram<N>, b: &mut ExponentialHistogram<N>) {
    let wider = |a: &ExponentialHistogram<N>, b: &ExponentialHistogram<N>| a.zero_threshold < b.zero_threshold;
    while a.zero_threshold != b.zero_threshold {
        let widened = if wider(a, b) {
            widen_zero(a, b.zero_threshold)
        } else if wider(b, a) {
            widen_zero(b, a.zero_threshold)
        } else {
            false
        };
        if !widened {
            // Thresholds that are no numbers; the one has no meaning that the other could take.
            return;
        }
    }
}

/// By how many scales buckets from the first to the last index are to be joined to be few enough.
fn excess(range: Option<(i64, i64)>) -> u32 {
    let Some((mut first, mut last)) = range else { return 0 };
    let mut by = 0;
    while last - first >= MAX_BUCKETS as i64 {
        (first, last) = (first >> 1, last >> 1);
        by += 1;
    }
    by
}

/// The upper bound of the bucket with this index.
#[must_use]
pub fn upper_bound(index: i64, scale: i32) -> f64 {
    (index.saturating_add(1) as f64 * (-f64::from(scale)).exp2()).exp2()
}

/// The index of the bucket that a positive value falls into.
#[must_use]
pub fn index_of(value: f64, scale: i32) -> i64 {
    let guess = ((value.log2() * f64::from(scale).exp2()).ceil() as i64).saturating_sub(1);
    // The logarithm of a bound may be off by the last bit.
    if upper_bound(guess, scale) < value {
        guess.saturating_add(1)
    } else if upper_bound(guess.saturating_sub(1), scale) >= value {
        guess.saturating_sub(1)
    } else {
        guess
    }
}

/// Buckets with their indices.
pub fn indexed<N: Count>(buckets: &ExponentialBuckets<N>) -> impl Iterator<Item = (i64, N)> {
    (i64::from(buckets.offset)..).zip(buckets.counts.iter().copied())
}

fn last_index<N>(buckets: &ExponentialBuckets<N>) -> Option<i64> {
    let last = buckets.counts.len().checked_sub(1)?;
    Some(i64::from(buckets.offset) + i64::try_from(last).ok()?)
}

/// The first and the last index of a bucket that is not empty.
fn populated<N: Count>(buckets: &ExponentialBuckets<N>) -> Option<(i64, i64)> {
    let mut full = indexed(buckets).filter(|(_, count)| !count.is_zero()).map(|(index, _)| index);
    let first = full.next()?;
    Some((first, full.last().unwrap_or(first)))
}

fn joined(a: Option<(i64, i64)>, b: Option<(i64, i64)>) -> Option<(i64, i64)> {
    match (a, b) {
        (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.max(b.1))),
        (one, other) => one.or(other),
    }
}

/// An index as the type that holds it; what is out of its range was so when it came.
fn index(index: i64) -> i32 {
    i32::try_from(index).unwrap_or(if index < 0 { i32::MIN } else { i32::MAX })
}

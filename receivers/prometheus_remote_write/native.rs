//! Native histograms from the wire, as the pipeline's values.

use pipeline::Value;
use pipeline::value::{ExponentialBuckets, ExponentialHistogram, Histogram};
use prometheus::remote_write::wire::{Buckets, HistogramCount, NativeHistogram};

use prometheus::number::STALE_NAN_BITS;

/// The schema of histograms whose bounds are listed.
const CUSTOM_BOUNDS: i32 = -53;
/// The exponential schemas that Prometheus defines.
const EXPONENTIAL: std::ops::RangeInclusive<i32> = -4..=8;
/// The most buckets on one side once gaps are filled: gaps cost nothing on the wire, but a place each in OTLP's
/// form. Prometheus keeps its histograms to a few hundred; 16,384 places are 128 KiB.
const MAX_BUCKETS: usize = 16_384;

/// Why a native histogram cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NativeError {
    #[error("native histogram has schema {0}; known are -4 to 8 and -53")]
    Schema(i32),
    #[error("native histogram has spans for {spans} buckets and {counts} counts")]
    Spans { spans: u64, counts: usize },
    #[error("native histogram spreads over more than {MAX_BUCKETS} buckets")]
    TooWide,
    #[error("native histogram has a negative or undefined count")]
    Count,
    #[error("native histogram with custom bounds has a bucket beyond its {0} bounds")]
    BeyondBounds(usize),
    #[error("native histogram's custom bounds do not ascend")]
    Unsorted,
}

/// The value of a histogram sample. Counts of float histograms are rounded, since the pipeline's are integers.
pub(super) fn value(native: &NativeHistogram) -> Result<Value, NativeError> {
    if native.sum.to_bits() == STALE_NAN_BITS {
        return Ok(Value::NONE);
    }
    let count = count(native.count)?;
    if native.schema == CUSTOM_BOUNDS {
        return custom(native, count);
    }
    if !EXPONENTIAL.contains(&native.schema) {
        return Err(NativeError::Schema(native.schema));
    }
    Ok(Value::ExponentialHistogram(Box::new(ExponentialHistogram {
        count,
        sum: Some(native.sum),
        min: None,
        max: None,
        scale: native.schema,
        zero_count: self::count(native.zero_count)?,
        zero_threshold: native.zero_threshold,
        positive: exponential_side(&native.positive)?,
        negative: exponential_side(&native.negative)?,
    })))
}

/// Whether the histogram's bounds are listed, so that it is an explicit histogram in OTLP's terms.
pub(super) fn has_custom_bounds(native: &NativeHistogram) -> bool {
    native.schema == CUSTOM_BOUNDS
}

fn custom(native: &NativeHistogram, count: u64) -> Result<Value, NativeError> {
    let bounds = &native.custom_values;
    if !bounds.iter().zip(bounds.iter().skip(1)).all(|(low, high)| low < high) {
        return Err(NativeError::Unsorted);
    }
    // A last bound of +Inf is the bound that OTLP leaves out.
    let finite = bounds.strip_suffix(&[f64::INFINITY]).unwrap_or(bounds);
    let mut counts = vec![0; finite.len() + 1];
    for (index, n) in placed(&native.positive)? {
        let place = usize::try_from(index).ok().and_then(|index| counts.get_mut(index));
        *place.ok_or(NativeError::BeyondBounds(finite.len()))? = n;
    }
    Ok(Value::Histogram(Box::new(Histogram {
        count,
        sum: Some(native.sum),
        min: None,
        max: None,
        bounds: finite.into(),
        bucket_counts: counts.into_boxed_slice(),
    })))
}

fn exponential_side(buckets: &Buckets) -> Result<ExponentialBuckets, NativeError> {
    let placed = placed(buckets)?;
    let (Some((first, _)), Some((last, _))) = (placed.first(), placed.last()) else {
        return Ok(ExponentialBuckets::default());
    };
    let width = usize::try_from(last - first).unwrap_or(usize::MAX).saturating_add(1);
    if width > MAX_BUCKETS {
        return Err(NativeError::TooWide);
    }
    let mut counts = vec![0; width];
    for (index, n) in &placed {
        if let Some(place) = usize::try_from(index - first).ok().and_then(|at| counts.get_mut(at)) {
            *place = *n;
        }
    }
    // Prometheus counts a bucket by its upper bound, OTLP by its lower one.
    let offset = i32::try_from(first - 1).map_err(|_| NativeError::TooWide)?;
    Ok(ExponentialBuckets { offset, counts: counts.into_boxed_slice() })
}

/// Index and count of every bucket of one side, in order.
fn placed(buckets: &Buckets) -> Result<Vec<(i64, u64)>, NativeError> {
    let counts = counts(buckets)?;
    let spans = buckets.spans.iter().map(|span| u64::from(span.length)).sum::<u64>();
    if spans != counts.len() as u64 {
        return Err(NativeError::Spans { spans, counts: counts.len() });
    }
    let mut placed = Vec::with_capacity(counts.len());
    let (mut index, mut rest) = (0i64, counts.into_iter());
    for (at, span) in buckets.spans.iter().enumerate() {
        if at > 0 && span.offset < 0 {
            return Err(NativeError::Spans { spans, counts: placed.len() });
        }
        index += i64::from(span.offset);
        for n in rest.by_ref().take(span.length as usize) {
            placed.push((index, n));
            index += 1;
        }
    }
    Ok(placed)
}

fn counts(buckets: &Buckets) -> Result<Vec<u64>, NativeError> {
    if !buckets.counts.is_empty() {
        return buckets.counts.iter().map(|n| count(Some(HistogramCount::Float(*n)))).collect();
    }
    let mut running = 0i64;
    let mut absolute = |delta: &i64| {
        running = running.checked_add(*delta).ok_or(NativeError::Count)?;
        u64::try_from(running).map_err(|_| NativeError::Count)
    };
    buckets.deltas.iter().map(&mut absolute).collect()
}

fn count(count: Option<HistogramCount>) -> Result<u64, NativeError> {
    match count {
        None => Ok(0),
        Some(HistogramCount::Int(n)) => Ok(n),
        Some(HistogramCount::Float(n)) if n >= 0.0 => Ok(n.round() as u64),
        Some(HistogramCount::Float(_)) => Err(NativeError::Count),
    }
}

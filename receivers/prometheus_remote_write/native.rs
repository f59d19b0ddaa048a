//! Native histograms from the wire, as the pipeline's values.

use pipeline::Value;
use pipeline::value::{self, Count, ExponentialBuckets, ExponentialHistogram, Histogram};
use prometheus::remote_write::wire::{Buckets, HistogramCount, NativeHistogram, ResetHint};

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
    #[error("native histogram has a negative count")]
    Count,
    #[error("native histogram has a whole number of observations, but fractions in its zero bucket")]
    Mixed,
    #[error("native histogram with custom bounds has a bucket beyond its {0} bounds")]
    BeyondBounds(usize),
    #[error("native histogram's custom bounds do not ascend")]
    Unsorted,
}

/// How the wire has counts of one kind.
trait WireCount: Count {
    /// A count that stands by itself; 0 if there is none.
    fn of(count: Option<HistogramCount>) -> Result<Self, NativeError>;

    /// The count of each bucket.
    fn of_buckets(buckets: &Buckets) -> Result<Vec<Self>, NativeError>;
}

impl WireCount for u64 {
    fn of(count: Option<HistogramCount>) -> Result<Self, NativeError> {
        match count {
            None => Ok(0),
            Some(HistogramCount::Int(count)) => Ok(count),
            Some(HistogramCount::Float(_)) => Err(NativeError::Mixed),
        }
    }

    fn of_buckets(buckets: &Buckets) -> Result<Vec<Self>, NativeError> {
        let mut running = 0i64;
        let mut absolute = |delta: &i64| {
            running = running.checked_add(*delta).ok_or(NativeError::Count)?;
            Self::try_from(running).map_err(|_| NativeError::Count)
        };
        buckets.deltas.iter().map(&mut absolute).collect()
    }
}

/// As in Prometheus, a count that is no number is one that a store takes.
impl WireCount for f64 {
    fn of(count: Option<HistogramCount>) -> Result<Self, NativeError> {
        match count {
            None => Ok(0.0),
            Some(HistogramCount::Float(count)) if count < 0.0 => Err(NativeError::Count),
            Some(HistogramCount::Float(count)) => Ok(count),
            Some(HistogramCount::Int(count)) => Ok(count as Self),
        }
    }

    fn of_buckets(buckets: &Buckets) -> Result<Vec<Self>, NativeError> {
        if buckets.counts.iter().any(|count| *count < 0.0) {
            return Err(NativeError::Count);
        }
        Ok(buckets.counts.clone())
    }
}

/// The value of a histogram sample. As in Prometheus, the total says whether counts are integers or fractions.
pub(super) fn value(native: &NativeHistogram) -> Result<Value, NativeError> {
    if native.sum.to_bits() == STALE_NAN_BITS {
        return Ok(Value::NONE);
    }
    let custom = has_custom_bounds(native);
    if !custom && !EXPONENTIAL.contains(&native.schema) {
        return Err(NativeError::Schema(native.schema));
    }
    Ok(match (native.count, custom) {
        (Some(HistogramCount::Float(_)), false) => Value::FloatExponentialHistogram(Box::new(exponential(native)?)),
        (Some(HistogramCount::Float(_)), true) => Value::FloatHistogram(Box::new(explicit(native)?)),
        (_, false) => Value::ExponentialHistogram(Box::new(exponential(native)?)),
        (_, true) => Value::Histogram(Box::new(explicit(native)?)),
    })
}

fn reset(native: &NativeHistogram) -> value::ResetHint {
    match native.reset_hint {
        ResetHint::Yes => value::ResetHint::Reset,
        ResetHint::Gauge => value::ResetHint::Gauge,
        ResetHint::Unknown | ResetHint::No => value::ResetHint::Unknown,
    }
}

/// Whether the histogram's bounds are listed, so that it is an explicit histogram in OTLP's terms.
pub(super) fn has_custom_bounds(native: &NativeHistogram) -> bool {
    native.schema == CUSTOM_BOUNDS
}

fn exponential<N: WireCount>(native: &NativeHistogram) -> Result<ExponentialHistogram<N>, NativeError> {
    Ok(ExponentialHistogram {
        count: N::of(native.count)?,
        sum: Some(native.sum),
        min: None,
        max: None,
        reset: reset(native),
        scale: native.schema,
        zero_count: N::of(native.zero_count)?,
        zero_threshold: native.zero_threshold,
        positive: exponential_side(&native.positive)?,
        negative: exponential_side(&native.negative)?,
    })
}

fn explicit<N: WireCount>(native: &NativeHistogram) -> Result<Histogram<N>, NativeError> {
    let bounds = &native.custom_values;
    if !bounds.iter().zip(bounds.iter().skip(1)).all(|(low, high)| low < high) {
        return Err(NativeError::Unsorted);
    }
    // A last bound of +Inf is the bound that OTLP leaves out.
    let finite = bounds.strip_suffix(&[f64::INFINITY]).unwrap_or(bounds);
    let mut counts = vec![N::default(); finite.len() + 1];
    for (index, n) in placed(&native.positive)? {
        let place = usize::try_from(index).ok().and_then(|index| counts.get_mut(index));
        *place.ok_or(NativeError::BeyondBounds(finite.len()))? = n;
    }
    Ok(Histogram {
        count: N::of(native.count)?,
        sum: Some(native.sum),
        min: None,
        max: None,
        reset: reset(native),
        bounds: finite.into(),
        bucket_counts: counts.into_boxed_slice(),
    })
}

fn exponential_side<N: WireCount>(buckets: &Buckets) -> Result<ExponentialBuckets<N>, NativeError> {
    let placed = placed(buckets)?;
    let (Some((first, _)), Some((last, _))) = (placed.first(), placed.last()) else {
        return Ok(ExponentialBuckets::default());
    };
    let width = usize::try_from(last - first).unwrap_or(usize::MAX).saturating_add(1);
    if width > MAX_BUCKETS {
        return Err(NativeError::TooWide);
    }
    let mut counts = vec![N::default(); width];
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
fn placed<N: WireCount>(buckets: &Buckets) -> Result<Vec<(i64, N)>, NativeError> {
    let counts = N::of_buckets(buckets)?;
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

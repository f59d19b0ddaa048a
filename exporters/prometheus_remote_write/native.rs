//! Histograms of the pipeline as native ones of remote write.

use pipeline::value::{self, Count, ExponentialBuckets};
use pipeline::{ExponentialHistogram, Histogram, Source};
use prometheus::number::{NORMAL_NAN_BITS, STALE_NAN_BITS};
use prometheus::remote_write::wire::{BucketSpan, Buckets, CUSTOM_BUCKETS, HistogramCount, NativeHistogram, ResetHint};

/// The smallest scale of native histograms, which is also the smallest that can be reached by merging.
const MIN_SCHEMA: i32 = -4;
/// The largest scale of native histograms; finer ones are merged down to it.
const MAX_SCHEMA: i32 = 8;
/// Zero threshold where a sender of OTLP gave none (OpenTelemetry specification, Prometheus compatibility).
const DEFAULT_ZERO_THRESHOLD: f64 = 1e-128;

/// A count as it is sent. The buckets of integer histograms are differences, those of float ones are what they are.
pub(super) trait SentCount: Count {
    /// Whether counts are fractions.
    const FRACTIONS: bool;

    /// The count by itself.
    fn wire(self) -> HistogramCount;

    /// Appends the count of a bucket; `previous` is that of the bucket before.
    fn append(self, previous: &mut Self, to: &mut Buckets);
}

impl SentCount for u64 {
    const FRACTIONS: bool = false;

    fn wire(self) -> HistogramCount {
        HistogramCount::Int(self)
    }

    fn append(self, previous: &mut Self, to: &mut Buckets) {
        let signed = |count: Self| i64::try_from(count).unwrap_or(i64::MAX);
        to.deltas.push(signed(self) - signed(*previous));
        *previous = self;
    }
}

impl SentCount for f64 {
    const FRACTIONS: bool = true;

    fn wire(self) -> HistogramCount {
        HistogramCount::Float(self)
    }

    fn append(self, _previous: &mut Self, to: &mut Buckets) {
        to.counts.push(self);
    }
}

/// A sum as it is sent: one that is no number must not be taken for the mark of the histogram's end.
fn sum(sum: Option<f64>) -> f64 {
    let sum = sum.unwrap_or_default();
    if sum.to_bits() == STALE_NAN_BITS { f64::from_bits(NORMAL_NAN_BITS) } else { sum }
}

fn reset_hint(reset: value::ResetHint) -> ResetHint {
    match reset {
        value::ResetHint::Unknown => ResetHint::Unknown,
        value::ResetHint::Reset => ResetHint::Yes,
        value::ResetHint::Gauge => ResetHint::Gauge,
    }
}

/// A histogram with explicit bounds as a native one that lists them.
pub(super) fn listed<N: SentCount>(histogram: &Histogram<N>) -> NativeHistogram {
    NativeHistogram {
        count: Some(histogram.count.wire()),
        sum: sum(histogram.sum),
        schema: CUSTOM_BUCKETS,
        zero_count: Some(N::default().wire()),
        positive: layout((0..).zip(histogram.bucket_counts.iter().copied())),
        reset_hint: reset_hint(histogram.reset),
        custom_values: histogram.bounds.to_vec(),
        ..NativeHistogram::default()
    }
}

/// An exponential histogram as a native one, or why it cannot be one.
pub(super) fn native<N: SentCount>(
    histogram: &ExponentialHistogram<N>,
    source: Source,
) -> Result<NativeHistogram, &'static str> {
    if histogram.scale < MIN_SCHEMA {
        return Err("exponential_scale_too_small");
    }
    let shift = (histogram.scale - MAX_SCHEMA).max(0);
    let unset = histogram.zero_threshold == 0.0 && source == Source::Otlp;
    Ok(NativeHistogram {
        count: Some(histogram.count.wire()),
        sum: sum(histogram.sum),
        schema: histogram.scale.min(MAX_SCHEMA),
        zero_threshold: if unset { DEFAULT_ZERO_THRESHOLD } else { histogram.zero_threshold },
        zero_count: Some(histogram.zero_count.wire()),
        negative: buckets(&histogram.negative, shift),
        positive: buckets(&histogram.positive, shift),
        reset_hint: reset_hint(histogram.reset),
        ..NativeHistogram::default()
    })
}

/// Lays out exponential buckets: those that the coarser scale joins are merged first.
pub(super) fn buckets<N: SentCount>(from: &ExponentialBuckets<N>, shift: i32) -> Buckets {
    let shift = shift.clamp(0, 31);
    let mut merged: Vec<(i64, N)> = Vec::new();
    for (i, count) in from.counts.iter().enumerate() {
        // Prometheus counts a bucket by its upper bound, OTLP by its lower one.
        let index = ((i64::from(from.offset) + i as i64) >> shift) + 1;
        match merged.last_mut() {
            Some((last, sum)) if *last == index => *sum = sum.plus(*count),
            _ => merged.push((index, *count)),
        }
    }
    layout(merged.into_iter())
}

/// Lays out buckets as spans, in the order of their indices: gaps of up to two empty buckets are written out and longer ones start
/// a new span.
fn layout<N: SentCount>(all: impl Iterator<Item = (i64, N)>) -> Buckets {
    let mut out = Buckets::default();
    // The index behind the last bucket, and its count.
    let (mut next, mut previous) = (0i64, N::default());
    for (index, count) in all.filter(|(_, count)| !count.is_zero()) {
        let gap = index - next;
        if gap <= 2 && !out.spans.is_empty() {
            for _ in 0..gap {
                N::default().append(&mut previous, &mut out);
            }
            if let Some(span) = out.spans.last_mut() {
                span.length += gap as u32 + 1;
            }
        } else {
            out.spans.push(BucketSpan { offset: gap as i32, length: 1 });
        }
        count.append(&mut previous, &mut out);
        next = index + 1;
    }
    out
}

//! Native histograms: one message type that both versions of remote write share, except that only
//! version 2.0 has a start timestamp.

use super::encode::{
    LENGTH_DELIMITED, put_double_field, put_message_field, put_tag, put_varint, put_varint_field, varint_len, zigzag,
};

/// The schema of histograms whose bounds are listed.
pub const CUSTOM_BUCKETS: i32 = -53;

/// A count of observations: integers for histograms that count events, floats for histograms that are
/// results of arithmetic.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum HistogramCount {
    /// A whole number of observations.
    Int(u64),
    /// A fractional number of observations.
    Float(f64),
}

impl HistogramCount {
    /// The count as a number.
    #[must_use]
    pub fn as_f64(self) -> f64 {
        match self {
            Self::Int(count) => count as f64,
            Self::Float(count) => count,
        }
    }
}

/// Whether a counter reset lies between this histogram and the one before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ResetHint {
    /// The reader has to find out.
    #[default]
    Unknown = 0,
    /// The first histogram after a reset.
    Yes = 1,
    /// No reset since the one before.
    No = 2,
    /// A gauge histogram: the question does not arise.
    Gauge = 3,
}

impl ResetHint {
    /// The hint with this number; numbers that are not defined are [`ResetHint::Unknown`].
    #[must_use]
    pub const fn from_number(number: u64) -> Self {
        match number {
            1 => Self::Yes,
            2 => Self::No,
            3 => Self::Gauge,
            _ => Self::Unknown,
        }
    }
}

/// A run of consecutive buckets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct BucketSpan {
    /// Gap to the end of the span before, or the index of the first bucket for the first span.
    pub offset: i32,
    /// Number of buckets in the run.
    pub length: u32,
}

/// The buckets of one sign.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Buckets {
    /// Where the buckets are.
    pub spans: Vec<BucketSpan>,
    /// For integer histograms: each bucket's count as the difference from the bucket before (the first
    /// from zero).
    pub deltas: Vec<i64>,
    /// For float histograms: each bucket's count.
    pub counts: Vec<f64>,
}

impl Buckets {
    /// Index and count of each bucket, in order. Buckets for which there is no count are left out.
    pub fn absolute(&self) -> impl Iterator<Item = (i64, f64)> {
        let (mut next, mut running) = (0i64, 0i64);
        let indices = self.spans.iter().flat_map(move |span| {
            let first = next + i64::from(span.offset);
            next = first + i64::from(span.length);
            first..next
        });
        let deltas = self.deltas.iter().map(move |delta| {
            running = running.saturating_add(*delta);
            running as f64
        });
        indices.zip(self.counts.iter().copied().chain(deltas))
    }
}

/// A native histogram sample.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NativeHistogram {
    /// Number of observations; `None` when the sender set neither form.
    pub count: Option<HistogramCount>,
    /// Sum of observations. A stale marker here marks the whole histogram stale.
    pub sum: f64,
    /// Resolution: -4 to 8 for exponential buckets, -53 for custom ones.
    pub schema: i32,
    /// Half the breadth of the zero bucket.
    pub zero_threshold: f64,
    /// Observations in the zero bucket; `None` when the sender set neither form.
    pub zero_count: Option<HistogramCount>,
    /// Buckets of negative observations.
    pub negative: Buckets,
    /// Buckets of positive observations, or all buckets of schema -53.
    pub positive: Buckets,
    /// What is known about counter resets.
    pub reset_hint: ResetHint,
    /// Milliseconds since the Unix epoch.
    pub timestamp_ms: i64,
    /// Upper bounds of the buckets of schema -53, without `+Inf`.
    pub custom_values: Vec<f64>,
    /// When counting started, in milliseconds since the Unix epoch; 0 is "not known". Version 2.0 only.
    pub start_timestamp_ms: i64,
}

/// Appends the fields of a version 1.0 histogram in the order of their numbers.
pub(super) fn put_histogram_body(out: &mut Vec<u8>, histogram: &NativeHistogram) {
    put_count(out, [1, 2], histogram.count);
    put_nonzero_double(out, 3, histogram.sum);
    put_nonzero(out, 4, zigzag(histogram.schema.into()));
    put_nonzero_double(out, 5, histogram.zero_threshold);
    put_count(out, [6, 7], histogram.zero_count);
    put_buckets(out, [8, 9, 10], &histogram.negative);
    put_buckets(out, [11, 12, 13], &histogram.positive);
    put_nonzero(out, 14, histogram.reset_hint as u64);
    put_nonzero(out, 15, histogram.timestamp_ms.cast_unsigned());
    put_packed_doubles(out, 16, &histogram.custom_values);
}

/// Appends the field that only version 2.0 has; its number is the last one.
pub(super) fn put_start_timestamp(out: &mut Vec<u8>, histogram: &NativeHistogram) {
    put_nonzero(out, 17, histogram.start_timestamp_ms.cast_unsigned());
}

fn put_count(out: &mut Vec<u8>, [int, float]: [u32; 2], count: Option<HistogramCount>) {
    match count {
        Some(HistogramCount::Int(count)) => put_varint_field(out, int, count),
        Some(HistogramCount::Float(count)) => put_double_field(out, float, count),
        None => {}
    }
}

fn put_buckets(out: &mut Vec<u8>, [spans, deltas, counts]: [u32; 3], buckets: &Buckets) {
    for span in &buckets.spans {
        put_message_field(out, spans, |out| {
            put_nonzero(out, 1, zigzag(span.offset.into()));
            put_nonzero(out, 2, span.length.into());
        });
    }
    if !buckets.deltas.is_empty() {
        let len: usize = buckets.deltas.iter().map(|&delta| varint_len(zigzag(delta))).sum();
        put_tag(out, deltas, LENGTH_DELIMITED);
        put_varint(out, len as u64);
        for &delta in &buckets.deltas {
            put_varint(out, zigzag(delta));
        }
    }
    put_packed_doubles(out, counts, &buckets.counts);
}

fn put_packed_doubles(out: &mut Vec<u8>, field: u32, values: &[f64]) {
    if values.is_empty() {
        return;
    }
    put_tag(out, field, LENGTH_DELIMITED);
    put_varint(out, values.len() as u64 * 8);
    for value in values {
        out.extend_from_slice(&value.to_le_bytes());
    }
}

fn put_nonzero(out: &mut Vec<u8>, field: u32, value: u64) {
    if value != 0 {
        put_varint_field(out, field, value);
    }
}

fn put_nonzero_double(out: &mut Vec<u8>, field: u32, value: f64) {
    if value.to_bits() != 0 {
        put_double_field(out, field, value);
    }
}

//! Points and their values.

use crate::attributes::Attributes;
use std::fmt;

/// Samples are many, and most are numbers: whatever is larger than one is boxed.
const _: () = assert!(size_of::<Value>() == 16 && size_of::<Point>() == 40);

/// One measurement of one series.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// Index of the series in the table of the [`crate::PointGroup`] that holds the point.
    pub series: u32,
    /// OTLP `DataPointFlags` as received, without the no-recorded-value bit, which [`Value`] expresses.
    pub flags: u32,
    /// When it was measured, in nanoseconds since the Unix epoch.
    pub time: i64,
    /// Since when a cumulative value counts, in nanoseconds since the Unix epoch; 0 if unknown.
    pub start: i64,
    /// The value.
    pub value: Value,
}

/// The value of a point.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A double.
    Float(f64),
    /// An integer.
    Int(i64),
    /// A whole histogram with explicit bounds.
    Histogram(Box<Histogram>),
    /// A whole exponential histogram.
    ExponentialHistogram(Box<ExponentialHistogram>),
    /// A whole histogram with explicit bounds whose counts are fractions, which only Prometheus has.
    FloatHistogram(Box<Histogram<f64>>),
    /// A whole exponential histogram whose counts are fractions, which only Prometheus has.
    FloatExponentialHistogram(Box<ExponentialHistogram<f64>>),
    /// A whole summary.
    Summary(Box<Summary>),
    /// The series ended or has a gap here: OTLP's no-recorded-value flag, Prometheus' stale marker. A point of OTLP may have its other
    /// fields filled all the same (the bounds of a histogram, say): they are kept here, since they are to be passed on, and are no
    /// measurement. `None` if there is nothing in them.
    NoRecordedValue(Option<Box<Value>>),
}

impl Value {
    /// That there is no value, and nothing else.
    pub const NONE: Self = Self::NoRecordedValue(None);

    /// Whether something was measured.
    #[inline]
    #[must_use]
    pub fn is_recorded(&self) -> bool {
        !matches!(self, Self::NoRecordedValue(_))
    }
}

/// A number of observations: whole where they were counted, a fraction where it is a result of arithmetic.
pub trait Count: Copy + fmt::Debug + fmt::Display + Default + PartialEq + PartialOrd + Send + Sync + 'static {
    /// Both together; whole numbers stay at their largest.
    #[must_use]
    fn plus(self, other: Self) -> Self;

    /// What is left without `other`; none if that is more.
    #[must_use]
    fn minus(self, other: Self) -> Option<Self>;

    /// As a double.
    #[must_use]
    fn as_f64(self) -> f64;

    /// Whether there are none. What is no number is not nothing.
    #[must_use]
    fn is_zero(self) -> bool {
        self == Self::default()
    }
}

impl Count for u64 {
    fn plus(self, other: Self) -> Self {
        self.saturating_add(other)
    }

    fn minus(self, other: Self) -> Option<Self> {
        self.checked_sub(other)
    }

    fn as_f64(self) -> f64 {
        self as f64
    }
}

impl Count for f64 {
    fn plus(self, other: Self) -> Self {
        self + other
    }

    fn minus(self, other: Self) -> Option<Self> {
        // What is no number is not more than anything.
        if other > self { None } else { Some(self - other) }
    }

    fn as_f64(self) -> f64 {
        self
    }
}

/// What is known of a histogram beside the one before it (`ResetHint` of remote write). That there was no reset is not
/// among it: it would be untrue once a histogram in between is left out on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ResetHint {
    /// Readers have to find out whether counting began anew.
    #[default]
    Unknown,
    /// Counting began anew.
    Reset,
    /// The counts go up and down.
    Gauge,
}

/// A histogram with explicit bounds.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Histogram<N = u64> {
    /// Number of observations.
    pub count: N,
    /// Sum of observations, where known.
    pub sum: Option<f64>,
    /// Smallest observation, where known.
    pub min: Option<f64>,
    /// Largest observation, where known.
    pub max: Option<f64>,
    /// Whether counting began anew.
    pub reset: ResetHint,
    /// Upper bounds, ascending, without +Inf.
    pub bounds: Box<[f64]>,
    /// Observations per bucket (not cumulative); one more than `bounds`, or none.
    pub bucket_counts: Box<[N]>,
}

/// One side of an exponential histogram.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct ExponentialBuckets<N = u64> {
    /// Index of the first bucket.
    pub offset: i32,
    /// Observations per bucket.
    pub counts: Box<[N]>,
}

/// A histogram with exponential bounds.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct ExponentialHistogram<N = u64> {
    /// Number of observations.
    pub count: N,
    /// Sum of observations, where known.
    pub sum: Option<f64>,
    /// Smallest observation, where known.
    pub min: Option<f64>,
    /// Largest observation, where known.
    pub max: Option<f64>,
    /// Whether counting began anew.
    pub reset: ResetHint,
    /// Resolution: the base is 2^(2^-scale).
    pub scale: i32,
    /// Observations within `zero_threshold` of zero.
    pub zero_count: N,
    /// Width of the zero bucket.
    pub zero_threshold: f64,
    /// Buckets above zero.
    pub positive: ExponentialBuckets<N>,
    /// Buckets below zero.
    pub negative: ExponentialBuckets<N>,
}

/// A summary.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Summary {
    /// Number of observations.
    pub count: u64,
    /// Sum of observations.
    pub sum: f64,
    /// Pairs of quantile and value.
    pub quantiles: Box<[(f64, f64)]>,
}

/// An example of what a point counts.
#[derive(Clone, Debug, PartialEq)]
pub struct Exemplar {
    /// Index, in the group, of the point it belongs to.
    pub point: u32,
    /// When it was observed, in nanoseconds since the Unix epoch.
    pub time: i64,
    /// The observed value.
    pub value: ExemplarValue,
    /// Trace id; empty or 16 bytes.
    pub trace_id: Box<[u8]>,
    /// Span id; empty or 8 bytes.
    pub span_id: Box<[u8]>,
    /// Attributes that are not on the point.
    pub attributes: Attributes,
}

/// The observed value of an exemplar.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ExemplarValue {
    /// A double.
    Float(f64),
    /// An integer.
    Int(i64),
}

impl ExemplarValue {
    /// The value as a double.
    pub fn as_f64(self) -> f64 {
        match self {
            Self::Float(f) => f,
            Self::Int(i) => i as f64,
        }
    }
}

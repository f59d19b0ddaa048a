//! Writing the pieces of a remote-write 1.0 `WriteRequest`.
//!
//! A `WriteRequest` is nothing but its fields one after the other, so a request is built by appending
//! pieces, and it may be cut between any two of them. Fields with their default value are left out, as
//! Prometheus does, except inside a `oneof`, where presence has a meaning.

use super::encode::{
    LENGTH_DELIMITED, MAX_VARINT_LEN, bytes_field_len, put_bytes_field, put_double_field, put_message_field, put_tag,
    put_varint, put_varint_field, varint_len,
};
use super::histogram::{NativeHistogram, put_histogram_body};

const REQUEST_TIMESERIES: u32 = 1;
const REQUEST_METADATA: u32 = 3;
const SERIES_LABELS: u32 = 1;
const SERIES_EXEMPLARS: u32 = 3;
const SERIES_HISTOGRAMS: u32 = 4;

/// Tag of `WriteRequest.timeseries`.
const TIMESERIES_TAG: u8 = 0x0a;
/// Tag of `TimeSeries.samples`.
const SAMPLES_TAG: u8 = 0x12;
/// Tag of `Sample.value`.
const VALUE_TAG: u8 = 0x09;
/// Tag of `Sample.timestamp`.
const TIMESTAMP_TAG: u8 = 0x10;

/// Tag, value tag and value of a sample; what is left out when the value is positive zero.
const VALUE_LEN: usize = 9;
/// Tag and longest varint of a timestamp.
const TIMESTAMP_LEN: usize = 1 + MAX_VARINT_LEN;
/// Tag and length of a sample (its body is at most 20 bytes, so its length is one byte).
const SAMPLE_HEADER_LEN: usize = 2;

/// The type of a metric in the numbering that both versions of remote write share. Version 1.0 calls
/// zero `UNKNOWN`, version 2.0 `METRIC_TYPE_UNSPECIFIED`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum MetricType {
    /// Not known, or a number that this version of the protocol does not define.
    #[default]
    Unknown = 0,
    /// A counter.
    Counter = 1,
    /// A gauge.
    Gauge = 2,
    /// A classic or native histogram.
    Histogram = 3,
    /// A histogram of current values.
    GaugeHistogram = 4,
    /// A summary.
    Summary = 5,
    /// An info metric.
    Info = 6,
    /// A state set.
    StateSet = 7,
}

impl MetricType {
    /// The type with this number; numbers that are not defined are [`MetricType::Unknown`], as
    /// protobuf's open enumerations ask for.
    #[must_use]
    pub const fn from_number(number: u64) -> Self {
        match number {
            1 => Self::Counter,
            2 => Self::Gauge,
            3 => Self::Histogram,
            4 => Self::GaugeHistogram,
            5 => Self::Summary,
            6 => Self::Info,
            7 => Self::StateSet,
            _ => Self::Unknown,
        }
    }
}

/// The timestamp field of a sample, encoded once for all samples that share it (those of one scrape).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimestampField {
    bytes: [u8; TIMESTAMP_LEN],
    len: u8,
}

impl TimestampField {
    /// Encodes a timestamp in milliseconds since the Unix epoch.
    #[inline]
    #[must_use]
    pub fn new(timestamp_ms: i64) -> Self {
        let mut bytes = [0; TIMESTAMP_LEN];
        if timestamp_ms == 0 {
            return Self { bytes, len: 0 };
        }
        let mut rest = timestamp_ms.cast_unsigned();
        let len = 1 + varint_len(rest);
        bytes[0] = TIMESTAMP_TAG;
        for byte in &mut bytes[1..len] {
            *byte = (rest & 0x7f) as u8 | 0x80;
            rest >>= 7;
        }
        bytes[len - 1] &= 0x7f;
        Self { bytes, len: len as u8 }
    }
}

/// Appends one label in the form [`put_float_series`] and [`put_series`] expect. Labels are to be
/// sorted by name, with `__name__` among them (remote-write 1.0 specification).
#[inline]
pub fn put_label(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    let len = label_body_len(name, value);
    put_tag(out, SERIES_LABELS, LENGTH_DELIMITED);
    put_varint(out, len as u64);
    put_label_body(out, name, value);
}

#[inline]
fn label_body_len(name: &[u8], value: &[u8]) -> usize {
    let part = |bytes: &[u8]| if bytes.is_empty() { 0 } else { bytes_field_len(1, bytes.len()) };
    part(name) + part(value)
}

#[inline]
fn put_label_body(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    if !name.is_empty() {
        put_bytes_field(out, 1, name);
    }
    if !value.is_empty() {
        put_bytes_field(out, 2, value);
    }
}

/// Appends a `TimeSeries` with one float sample to a `WriteRequest`: the sender's hot path.
///
/// `labels` are all labels of the series as [`put_label`] wrote them.
#[inline]
pub fn put_float_series(out: &mut Vec<u8>, labels: &[u8], value: f64, timestamp: &TimestampField) {
    let (sample, sample_len) = sample_bytes(value, timestamp);
    out.push(TIMESERIES_TAG);
    put_varint(out, (labels.len() + sample_len) as u64);
    out.extend_from_slice(labels);
    put_fixed(out, &sample, sample_len);
}

/// Appends one sample to the body of a `TimeSeries`.
#[inline]
pub fn put_sample(out: &mut Vec<u8>, value: f64, timestamp: &TimestampField) {
    let (sample, sample_len) = sample_bytes(value, timestamp);
    put_fixed(out, &sample, sample_len);
}

/// Appends a `TimeSeries` to a `WriteRequest`: `labels` as [`put_label`] wrote them, then whatever
/// `body` appends with [`put_sample`], [`put_exemplar`] and [`put_histogram`].
#[inline]
pub fn put_series(out: &mut Vec<u8>, labels: &[u8], body: impl FnOnce(&mut Vec<u8>)) {
    put_message_field(out, REQUEST_TIMESERIES, |out| {
        out.extend_from_slice(labels);
        body(out);
    });
}

/// Appends an exemplar to the body of a `TimeSeries`; the timestamp is in milliseconds.
#[inline]
pub fn put_exemplar<'a>(
    out: &mut Vec<u8>,
    labels: impl IntoIterator<Item = (&'a [u8], &'a [u8])>,
    value: f64,
    timestamp_ms: i64,
) {
    put_message_field(out, SERIES_EXEMPLARS, |out| {
        for (name, label_value) in labels {
            put_label(out, name, label_value);
        }
        if value.to_bits() != 0 {
            put_double_field(out, 2, value);
        }
        if timestamp_ms != 0 {
            put_varint_field(out, 3, timestamp_ms.cast_unsigned());
        }
    });
}

/// Appends a native histogram to the body of a `TimeSeries`. Version 1.0 has no start timestamps: that
/// of the histogram is not written.
pub fn put_histogram(out: &mut Vec<u8>, histogram: &NativeHistogram) {
    put_message_field(out, SERIES_HISTOGRAMS, |out| put_histogram_body(out, histogram));
}

/// Appends the metadata of one metric family to a `WriteRequest`.
pub fn put_metadata(out: &mut Vec<u8>, kind: MetricType, family: &[u8], help: &[u8], unit: &[u8]) {
    put_message_field(out, REQUEST_METADATA, |out| {
        if kind != MetricType::Unknown {
            put_varint_field(out, 1, kind as u64);
        }
        for (field, bytes) in [(2, family), (4, help), (5, unit)] {
            if !bytes.is_empty() {
                put_bytes_field(out, field, bytes);
            }
        }
    });
}

/// Room for a sample with its header, however long its parts are.
const SAMPLE_ROOM: usize = SAMPLE_HEADER_LEN + VALUE_LEN + TIMESTAMP_LEN;

/// A sample with its tag and length. Built on the stack and copied at its full, constant size: that is
/// a pair of register moves instead of a call to `memcpy` with a length.
#[inline]
fn sample_bytes(value: f64, timestamp: &TimestampField) -> ([u8; SAMPLE_ROOM], usize) {
    let mut bytes = [0; SAMPLE_ROOM];
    let bits = value.to_bits();
    // Negative zero has a bit set and is written: leaving it out would turn it into positive zero.
    let value_len = if bits == 0 { 0 } else { VALUE_LEN };
    let body_len = value_len + usize::from(timestamp.len);
    bytes[0] = SAMPLES_TAG;
    bytes[1] = body_len as u8;
    bytes[2] = VALUE_TAG;
    bytes[3..11].copy_from_slice(&bits.to_le_bytes());
    let at = SAMPLE_HEADER_LEN + value_len;
    bytes[at..at + TIMESTAMP_LEN].copy_from_slice(&timestamp.bytes);
    (bytes, SAMPLE_HEADER_LEN + body_len)
}

#[inline]
fn put_fixed(out: &mut Vec<u8>, bytes: &[u8; SAMPLE_ROOM], len: usize) {
    let end = out.len() + len;
    out.extend_from_slice(bytes);
    out.truncate(end);
}

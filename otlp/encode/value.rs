//! Data points.

use pipeline::value::{ExemplarValue, ExponentialBuckets};
use pipeline::{Exemplar, Point, Value};

use super::{Data, put_count};
use crate::attributes;
use crate::wire::{BYTES, close, open, put_bytes, put_fixed64, put_message, put_number, put_tag, put_varint};

/// `DataPointFlags.DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK`.
const NO_RECORDED_VALUE: u32 = 1;

/// Appends the fields of a point, in the order of their numbers. `attributes` writes the attributes to a field.
pub(super) fn put(
    data: Data,
    point: &Point,
    exemplars: &[&Exemplar],
    attributes: impl Fn(&mut Vec<u8>, u32),
    out: &mut Vec<u8>,
) {
    let (flags, value) = match &point.value {
        Value::NoRecordedValue(held) => (point.flags | NO_RECORDED_VALUE, held.as_deref()),
        value => (point.flags, Some(value)),
    };
    if let Data::ExponentialHistogram(_) = data {
        attributes(out, 1);
    }
    put_word(out, 2, point.start.cast_unsigned());
    put_word(out, 3, point.time.cast_unsigned());
    match data {
        Data::Gauge | Data::Sum { .. } => {
            if let Some(Value::Float(value)) = value {
                put_fixed64(out, 4, value.to_bits());
            }
            put_exemplars(out, 5, exemplars);
            if let Some(Value::Int(value)) = value {
                put_fixed64(out, 6, value.cast_unsigned());
            }
            attributes(out, 7);
            put_count(out, 8, flags);
        }
        Data::Histogram(_) => {
            put_histogram(value, exemplars, out);
            attributes(out, 9);
            put_count(out, 10, flags);
            if let Some(Value::Histogram(h)) = value {
                put_optional(out, 11, h.min);
                put_optional(out, 12, h.max);
            }
        }
        Data::ExponentialHistogram(_) => put_exponential_histogram(value, flags, exemplars, out),
        Data::Summary => {
            if let Some(Value::Summary(s)) = value {
                put_word(out, 4, s.count);
                put_word(out, 5, s.sum.to_bits());
                for (quantile, value) in &s.quantiles {
                    put_message(out, 6, |out| {
                        put_word(out, 1, quantile.to_bits());
                        put_word(out, 2, value.to_bits());
                    });
                }
            }
            attributes(out, 7);
            put_count(out, 8, flags);
        }
    }
}

fn put_histogram(value: Option<&Value>, exemplars: &[&Exemplar], out: &mut Vec<u8>) {
    if let Some(Value::Histogram(h)) = value {
        put_word(out, 4, h.count);
        put_optional(out, 5, h.sum);
        put_words(out, 6, h.bucket_counts.iter().copied());
        put_words(out, 7, h.bounds.iter().map(|bound| bound.to_bits()));
    }
    put_exemplars(out, 8, exemplars);
}

fn put_exponential_histogram(value: Option<&Value>, flags: u32, exemplars: &[&Exemplar], out: &mut Vec<u8>) {
    let Some(Value::ExponentialHistogram(h)) = value else {
        put_count(out, 10, flags);
        put_exemplars(out, 11, exemplars);
        return;
    };
    put_word(out, 4, h.count);
    put_optional(out, 5, h.sum);
    if h.scale != 0 {
        put_number(out, 6, zigzag(h.scale));
    }
    put_word(out, 7, h.zero_count);
    for (field, buckets) in [(8, &h.positive), (9, &h.negative)] {
        if *buckets != ExponentialBuckets::default() {
            put_message(out, field, |out| put_buckets(out, buckets));
        }
    }
    put_count(out, 10, flags);
    put_exemplars(out, 11, exemplars);
    put_optional(out, 12, h.min);
    put_optional(out, 13, h.max);
    put_word(out, 14, h.zero_threshold.to_bits());
}

fn put_buckets(out: &mut Vec<u8>, buckets: &ExponentialBuckets) {
    if buckets.offset != 0 {
        put_number(out, 1, zigzag(buckets.offset));
    }
    if !buckets.counts.is_empty() {
        put_tag(out, 2, BYTES);
        let start = open(out);
        for count in &buckets.counts {
            put_varint(out, *count);
        }
        close(out, start);
    }
}

fn put_exemplars(out: &mut Vec<u8>, field: u32, exemplars: &[&Exemplar]) {
    for exemplar in exemplars {
        put_message(out, field, |out| {
            put_word(out, 2, exemplar.time.cast_unsigned());
            if let ExemplarValue::Float(value) = exemplar.value {
                put_fixed64(out, 3, value.to_bits());
            }
            for (field, id) in [(4, &exemplar.span_id), (5, &exemplar.trace_id)] {
                if !id.is_empty() {
                    put_bytes(out, field, id);
                }
            }
            if let ExemplarValue::Int(value) = exemplar.value {
                put_fixed64(out, 6, value.cast_unsigned());
            }
            attributes::put(out, 7, &exemplar.attributes);
        });
    }
}

/// A number of eight bytes, unless it is 0 (for doubles, the positive one).
fn put_word(out: &mut Vec<u8>, field: u32, word: u64) {
    if word != 0 {
        put_fixed64(out, field, word);
    }
}

/// A double whose absence means something.
fn put_optional(out: &mut Vec<u8>, field: u32, value: Option<f64>) {
    if let Some(value) = value {
        put_fixed64(out, field, value.to_bits());
    }
}

fn put_words(out: &mut Vec<u8>, field: u32, words: impl ExactSizeIterator<Item = u64>) {
    if words.len() > 0 {
        put_tag(out, field, BYTES);
        put_varint(out, words.len() as u64 * 8);
        words.for_each(|word| out.extend_from_slice(&word.to_le_bytes()));
    }
}

fn zigzag(number: i32) -> u64 {
    u64::from(((number << 1) ^ (number >> 31)).cast_unsigned())
}

//! How single values are written.

use std::fmt::{self, Write as _};

use pipeline::AttributeValue;
use pipeline::value::{Count, ExponentialBuckets, ExponentialHistogram, Histogram, Value};

/// An attribute value with its type around it, as the detailed dump has it: `Str(x)`.
pub(super) struct Typed<'a>(pub(super) AttributeValue<'a>);

impl fmt::Display for Typed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            AttributeValue::Str(text) => write!(f, "Str({text})"),
            AttributeValue::Bool(value) => write!(f, "Bool({value})"),
            AttributeValue::Int(value) => write!(f, "Int({value})"),
            AttributeValue::Double(value) => write!(f, "Double({value})"),
            AttributeValue::Bytes(bytes) => write!(f, "Bytes({} bytes)", bytes.len()),
            // A list's field number is 5, a map's is 6.
            AttributeValue::Encoded(bytes) if bytes.first() == Some(&0x2a) => {
                write!(f, "Slice({})", otlp::json::value_text(bytes))
            }
            AttributeValue::Encoded(bytes) => write!(f, "Map({})", otlp::json::value_text(bytes)),
            AttributeValue::Empty => f.write_str("Empty()"),
        }
    }
}

/// An attribute value by itself, as the normal dump has it.
pub(super) fn bare(value: AttributeValue<'_>) -> String {
    match value {
        AttributeValue::Str(text) => text.to_owned(),
        AttributeValue::Bool(value) => value.to_string(),
        AttributeValue::Int(value) => value.to_string(),
        AttributeValue::Double(value) => value.to_string(),
        AttributeValue::Encoded(value) => otlp::json::value_text(value),
        other => Typed(other).to_string(),
    }
}

/// Appends formatted text.
pub(super) fn put(out: &mut String, text: fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _infallible = out.write_fmt(text);
}

/// The value on one line.
pub(super) fn put_normal_value(out: &mut String, value: &Value) {
    match value {
        Value::Float(value) => put(out, format_args!("{value}")),
        Value::Int(value) => put(out, format_args!("{value}")),
        Value::NoRecordedValue(held) => {
            out.push_str("no recorded value");
            if let Some(held) = held {
                out.push(' ');
                put_normal_value(out, held);
            }
        }
        Value::Histogram(h) => put_normal_histogram(out, h),
        Value::FloatHistogram(h) => put_normal_histogram(out, h),
        Value::ExponentialHistogram(h) => put_normal_exponential(out, h),
        Value::FloatExponentialHistogram(h) => put_normal_exponential(out, h),
        Value::Summary(s) => {
            put(out, format_args!("count={} sum={:.6}", s.count, s.sum));
            for (quantile, value) in &s.quantiles {
                put(out, format_args!(" q{quantile}={value}"));
            }
        }
    }
}

fn put_normal_histogram<N: Count>(out: &mut String, h: &Histogram<N>) {
    put_heading(out, h.count, h.sum, h.min, h.max);
    let bounds = h.bounds.iter().map(Some).chain(std::iter::repeat(None));
    for (count, bound) in h.bucket_counts.iter().zip(bounds) {
        match bound {
            Some(bound) => put(out, format_args!(" le{bound}={count}")),
            None => put(out, format_args!(" {count}")),
        }
    }
}

fn put_normal_exponential<N: Count>(out: &mut String, h: &ExponentialHistogram<N>) {
    put_heading(out, h.count, h.sum, h.min, h.max);
    each_bucket(h, |low, high, count| put(out, format_args!(" ({low:.6},{high:.6}]={count}")));
}

fn put_heading(out: &mut String, count: impl Count, sum: Option<f64>, min: Option<f64>, max: Option<f64>) {
    put(out, format_args!("count={count}"));
    for (name, value) in [("sum", sum), ("min", min), ("max", max)] {
        if let Some(value) = value {
            put(out, format_args!(" {name}={value}"));
        }
    }
}

/// The value on lines of its own.
pub(super) fn put_detailed_value(out: &mut String, value: &Value) {
    match value {
        Value::Float(value) => put(out, format_args!("Value: {value:.6}\n")),
        Value::Int(value) => put(out, format_args!("Value: {value}\n")),
        Value::NoRecordedValue(held) => {
            out.push_str("Value: none (no recorded value)\n");
            if let Some(held) = held {
                put_detailed_value(out, held);
            }
        }
        Value::Histogram(h) => put_detailed_histogram(out, h),
        Value::FloatHistogram(h) => put_detailed_histogram(out, h),
        Value::ExponentialHistogram(h) => put_detailed_exponential(out, h),
        Value::FloatExponentialHistogram(h) => put_detailed_exponential(out, h),
        Value::Summary(s) => {
            put(out, format_args!("Count: {}\nSum: {:.6}\n", s.count, s.sum));
            for (at, (quantile, value)) in s.quantiles.iter().enumerate() {
                put(out, format_args!("QuantileValue #{at}: Quantile {quantile:.6}, Value {value:.6}\n"));
            }
        }
    }
}

fn put_detailed_histogram<N: Count>(out: &mut String, h: &Histogram<N>) {
    put_facts(out, h.count, h.sum, h.min, h.max);
    for (at, bound) in h.bounds.iter().enumerate() {
        put(out, format_args!("ExplicitBounds #{at}: {bound:.6}\n"));
    }
    for (at, count) in h.bucket_counts.iter().enumerate() {
        put(out, format_args!("Buckets #{at}, Count: {count}\n"));
    }
}

fn put_detailed_exponential<N: Count>(out: &mut String, h: &ExponentialHistogram<N>) {
    put_facts(out, h.count, h.sum, h.min, h.max);
    put(out, format_args!("Scale: {}\n", h.scale));
    each_bucket(h, |low, high, count| {
        put(out, format_args!("Bucket ({low:.6}, {high:.6}], Count: {count}\n"));
    });
}

fn put_facts(out: &mut String, count: impl Count, sum: Option<f64>, min: Option<f64>, max: Option<f64>) {
    put(out, format_args!("Count: {count}\n"));
    for (name, value) in [("Sum", sum), ("Min", min), ("Max", max)] {
        if let Some(value) = value {
            put(out, format_args!("{name}: {value:.6}\n"));
        }
    }
}

/// Calls `each` with the bounds and the count of every bucket that is not empty, from the lowest up.
fn each_bucket<N: Count>(h: &ExponentialHistogram<N>, mut each: impl FnMut(f64, f64, N)) {
    // OTLP: a bucket at index i ends at base^(i+1), where base is 2^(2^-scale).
    let bound = |buckets: &ExponentialBuckets<N>, at: usize| {
        let index = f64::from(buckets.offset) + at as f64;
        (index * f64::from(-h.scale).exp2()).exp2()
    };
    let filled = |buckets: &ExponentialBuckets<N>| -> Vec<(usize, N)> {
        buckets.counts.iter().copied().enumerate().filter(|(_, count)| !count.is_zero()).collect()
    };
    for (at, count) in filled(&h.negative).into_iter().rev() {
        each(-bound(&h.negative, at + 1), -bound(&h.negative, at), count);
    }
    if !h.zero_count.is_zero() {
        each(-h.zero_threshold, h.zero_threshold, h.zero_count);
    }
    for (at, count) in filled(&h.positive) {
        each(bound(&h.positive, at), bound(&h.positive, at + 1), count);
    }
}

/// A time in nanoseconds since the Unix epoch, as Go prints times: `2020-02-11 20:26:12.000000321 +0000 UTC`.
pub(super) fn timestamp(nanos: i64) -> String {
    let (seconds, fraction) = (nanos.div_euclid(1_000_000_000), nanos.rem_euclid(1_000_000_000));
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = civil_from_days(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let mut text = format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}");
    if fraction != 0 {
        put(&mut text, format_args!(".{fraction:09}"));
        text.truncate(text.trim_end_matches('0').len());
    }
    text.push_str(" +0000 UTC");
    text
}

/// The date of a number of days since 1970-01-01 in the proleptic Gregorian calendar.
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    // Years are counted from 1 March, so that the leap day is the last of its year; an era is 400 years.
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

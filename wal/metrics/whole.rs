//! Values that are more than a number, and exemplars, in bytes, and back. They are rare beside numbers, and written
//! plainly.

use super::bytes::{Input, put, put_double, put_signed, put_slice};
use super::identity::{attributes, put_attributes};
use pipeline::value::{ExemplarValue, ExponentialBuckets};
use pipeline::{Exemplar, ExponentialHistogram, Histogram, Summary};

/// Which of three optional numbers are there, and those.
fn put_optional(out: &mut Vec<u8>, numbers: [Option<f64>; 3]) {
    let mut present = 0;
    for (bit, number) in numbers.iter().enumerate() {
        present |= u8::from(number.is_some()) << bit;
    }
    out.push(present);
    for number in numbers.into_iter().flatten() {
        put_double(out, number);
    }
}

fn optional(input: &mut Input<'_>) -> Option<[Option<f64>; 3]> {
    let present = input.byte()?;
    let mut numbers = [None; 3];
    for (bit, number) in numbers.iter_mut().enumerate() {
        if present & (1 << bit) != 0 {
            *number = Some(input.double()?);
        }
    }
    Some(numbers)
}

fn put_counts(out: &mut Vec<u8>, counts: &[u64]) {
    put(out, counts.len() as u64);
    for count in counts {
        put(out, *count);
    }
}

fn counts(input: &mut Input<'_>) -> Option<Box<[u64]>> {
    (0..input.count(1)?).map(|_| input.number()).collect()
}

pub(super) fn put_histogram(out: &mut Vec<u8>, value: &Histogram) {
    put(out, value.count);
    put_optional(out, [value.sum, value.min, value.max]);
    put(out, value.bounds.len() as u64);
    for bound in &value.bounds {
        put_double(out, *bound);
    }
    put_counts(out, &value.bucket_counts);
}

pub(super) fn histogram(input: &mut Input<'_>) -> Option<Histogram> {
    let count = input.number()?;
    let [sum, min, max] = optional(input)?;
    let bounds = (0..input.count(8)?).map(|_| input.double()).collect::<Option<_>>()?;
    Some(Histogram { count, sum, min, max, bounds, bucket_counts: counts(input)? })
}

pub(super) fn put_exponential(out: &mut Vec<u8>, value: &ExponentialHistogram) {
    put(out, value.count);
    put_optional(out, [value.sum, value.min, value.max]);
    put_signed(out, value.scale.into());
    put(out, value.zero_count);
    put_double(out, value.zero_threshold);
    for side in [&value.positive, &value.negative] {
        put_signed(out, side.offset.into());
        put_counts(out, &side.counts);
    }
}

pub(super) fn exponential(input: &mut Input<'_>) -> Option<ExponentialHistogram> {
    let count = input.number()?;
    let [sum, min, max] = optional(input)?;
    let scale = i32::try_from(input.signed()?).ok()?;
    let (zero_count, zero_threshold) = (input.number()?, input.double()?);
    let mut side = || {
        let offset = i32::try_from(input.signed()?).ok()?;
        Some(ExponentialBuckets { offset, counts: counts(input)? })
    };
    let (positive, negative) = (side()?, side()?);
    Some(ExponentialHistogram { count, sum, min, max, scale, zero_count, zero_threshold, positive, negative })
}

pub(super) fn put_summary(out: &mut Vec<u8>, value: &Summary) {
    put(out, value.count);
    put_double(out, value.sum);
    put(out, value.quantiles.len() as u64);
    for (quantile, number) in &value.quantiles {
        put_double(out, *quantile);
        put_double(out, *number);
    }
}

pub(super) fn summary(input: &mut Input<'_>) -> Option<Summary> {
    let (count, sum) = (input.number()?, input.double()?);
    let quantiles = (0..input.count(16)?).map(|_| Some((input.double()?, input.double()?))).collect::<Option<_>>()?;
    Some(Summary { count, sum, quantiles })
}

pub(super) fn put_exemplar(out: &mut Vec<u8>, exemplar: &Exemplar, point: u32) {
    put(out, point.into());
    put_signed(out, exemplar.time);
    match exemplar.value {
        ExemplarValue::Float(number) => {
            out.push(0);
            put_double(out, number);
        }
        ExemplarValue::Int(number) => {
            out.push(1);
            put_signed(out, number);
        }
    }
    put_slice(out, &exemplar.trace_id);
    put_slice(out, &exemplar.span_id);
    put_attributes(out, &exemplar.attributes);
}

pub(super) fn exemplar(input: &mut Input<'_>) -> Option<Exemplar> {
    let (point, time) = (input.small()?, input.signed()?);
    let value = match input.byte()? {
        0 => ExemplarValue::Float(input.double()?),
        1 => ExemplarValue::Int(input.signed()?),
        _ => return None,
    };
    let (trace_id, span_id) = (input.slice()?.into(), input.slice()?.into());
    Some(Exemplar { point, time, value, trace_id, span_id, attributes: attributes(input)? })
}

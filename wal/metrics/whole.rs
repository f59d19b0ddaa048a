//! Values that are more than a number, and exemplars, in bytes, and back. They are rare beside numbers, and written
//! plainly.

use super::bytes::{Input, put, put_double, put_signed, put_slice};
use super::identity::{attributes, put_attributes};
use pipeline::value::{Count, ExemplarValue, ExponentialBuckets, ResetHint};
use pipeline::{Exemplar, ExponentialHistogram, Histogram, Summary};

/// A count in bytes.
pub(super) trait WrittenCount: Count {
    fn put(self, out: &mut Vec<u8>);
    fn read(input: &mut Input<'_>) -> Option<Self>;
}

impl WrittenCount for u64 {
    fn put(self, out: &mut Vec<u8>) {
        put(out, self);
    }

    fn read(input: &mut Input<'_>) -> Option<Self> {
        input.number()
    }
}

/// Doubles that are whole, as those of sums are, take the bytes of an integer, with a bit below that says so.
impl WrittenCount for f64 {
    fn put(self, out: &mut Vec<u8>) {
        let whole = self as u64;
        if whole < MOST_WHOLE && (whole as f64).to_bits() == self.to_bits() {
            return put(out, whole << 1);
        }
        put(out, 1);
        put_double(out, self);
    }

    fn read(input: &mut Input<'_>) -> Option<Self> {
        match input.number()? {
            1 => input.double(),
            odd if odd & 1 == 1 => None,
            whole => Some((whole >> 1) as f64),
        }
    }
}

/// Integers below this are exact as doubles.
const MOST_WHOLE: u64 = 1 << 53;

/// Which of three optional numbers are there, above those bits the hint, and the numbers.
fn put_optional(out: &mut Vec<u8>, numbers: [Option<f64>; 3], reset: ResetHint) {
    let mut present = match reset {
        ResetHint::Unknown => 0,
        ResetHint::Reset => 1 << 3,
        ResetHint::Gauge => 2 << 3,
    };
    for (bit, number) in numbers.iter().enumerate() {
        present |= u8::from(number.is_some()) << bit;
    }
    out.push(present);
    for number in numbers.into_iter().flatten() {
        put_double(out, number);
    }
}

fn optional(input: &mut Input<'_>) -> Option<([Option<f64>; 3], ResetHint)> {
    let present = input.byte()?;
    let reset = match present >> 3 {
        0 => ResetHint::Unknown,
        1 => ResetHint::Reset,
        2 => ResetHint::Gauge,
        _ => return None,
    };
    let mut numbers = [None; 3];
    for (bit, number) in numbers.iter_mut().enumerate() {
        if present & (1 << bit) != 0 {
            *number = Some(input.double()?);
        }
    }
    Some((numbers, reset))
}

fn put_counts<N: WrittenCount>(out: &mut Vec<u8>, counts: &[N]) {
    put(out, counts.len() as u64);
    for count in counts {
        count.put(out);
    }
}

fn counts<N: WrittenCount>(input: &mut Input<'_>) -> Option<Box<[N]>> {
    (0..input.count(1)?).map(|_| N::read(input)).collect()
}

pub(super) fn put_histogram<N: WrittenCount>(out: &mut Vec<u8>, value: &Histogram<N>) {
    value.count.put(out);
    put_optional(out, [value.sum, value.min, value.max], value.reset);
    put(out, value.bounds.len() as u64);
    for bound in &value.bounds {
        put_double(out, *bound);
    }
    put_counts(out, &value.bucket_counts);
}

pub(super) fn histogram<N: WrittenCount>(input: &mut Input<'_>) -> Option<Histogram<N>> {
    let count = N::read(input)?;
    let ([sum, min, max], reset) = optional(input)?;
    let bounds = (0..input.count(8)?).map(|_| input.double()).collect::<Option<_>>()?;
    Some(Histogram { count, sum, min, max, reset, bounds, bucket_counts: counts(input)? })
}

pub(super) fn put_exponential<N: WrittenCount>(out: &mut Vec<u8>, value: &ExponentialHistogram<N>) {
    value.count.put(out);
    put_optional(out, [value.sum, value.min, value.max], value.reset);
    put_signed(out, value.scale.into());
    value.zero_count.put(out);
    put_double(out, value.zero_threshold);
    for side in [&value.positive, &value.negative] {
        put_signed(out, side.offset.into());
        put_counts(out, &side.counts);
    }
}

pub(super) fn exponential<N: WrittenCount>(input: &mut Input<'_>) -> Option<ExponentialHistogram<N>> {
    let count = N::read(input)?;
    let ([sum, min, max], reset) = optional(input)?;
    let scale = i32::try_from(input.signed()?).ok()?;
    let (zero_count, zero_threshold) = (N::read(input)?, input.double()?);
    let mut side = || {
        let offset = i32::try_from(input.signed()?).ok()?;
        Some(ExponentialBuckets { offset, counts: counts(input)? })
    };
    let (positive, negative) = (side()?, side()?);
    Some(ExponentialHistogram { count, sum, min, max, reset, scale, zero_count, zero_threshold, positive, negative })
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

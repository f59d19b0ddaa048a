//! Reading native histograms, which both versions share.

use super::decode::{AtPlace, DecodeError, DecodeLimits, Place, push_within};
use super::histogram::{BucketSpan, Buckets, HistogramCount, NativeHistogram, ResetHint};
use super::read::{Field, Reader, WireError, unzigzag};

pub(super) fn read_histogram(
    mut reader: Reader<'_>,
    limits: &DecodeLimits,
    place: Place,
) -> Result<NativeHistogram, DecodeError> {
    let mut histogram = NativeHistogram::default();
    while let Some(field) = reader.next().at(place)? {
        match field.number {
            8..=10 => read_buckets(field, 8, &mut histogram.negative, limits, place)?,
            11..=13 => read_buckets(field, 11, &mut histogram.positive, limits, place)?,
            16 => read_doubles(field, &mut histogram.custom_values, limits, "custom bounds", place)?,
            _ => read_scalar(field, &mut histogram).at(place)?,
        }
    }
    Ok(histogram)
}

fn read_scalar(field: Field<'_>, histogram: &mut NativeHistogram) -> Result<(), WireError> {
    match field.number {
        1 => histogram.count = Some(HistogramCount::Int(field.varint()?)),
        2 => histogram.count = Some(HistogramCount::Float(field.double()?)),
        3 => histogram.sum = field.double()?,
        4 => histogram.schema = field.sint32()?,
        5 => histogram.zero_threshold = field.double()?,
        6 => histogram.zero_count = Some(HistogramCount::Int(field.varint()?)),
        7 => histogram.zero_count = Some(HistogramCount::Float(field.double()?)),
        14 => histogram.reset_hint = ResetHint::from_number(field.varint()?),
        15 => histogram.timestamp_ms = field.int64()?,
        // Version 2.0 only; `decode_v1` forgets it again.
        17 => histogram.start_timestamp_ms = field.int64()?,
        _ => {}
    }
    Ok(())
}

/// Spans, deltas and counts of one sign have three consecutive numbers from `first`.
fn read_buckets(
    field: Field<'_>,
    first: u32,
    buckets: &mut Buckets,
    limits: &DecodeLimits,
    place: Place,
) -> Result<(), DecodeError> {
    match field.number - first {
        0 => {
            let span = field.message().and_then(read_span).at(place)?;
            push_within(&mut buckets.spans, span, limits.buckets, "spans", place)
        }
        1 => {
            let fits = field.append_varints(&mut buckets.deltas, limits.buckets, |delta| Ok(unzigzag(delta)));
            within(fits.at(place)?, limits, "buckets", place)
        }
        _ => read_doubles(field, &mut buckets.counts, limits, "buckets", place),
    }
}

fn read_doubles(
    field: Field<'_>,
    list: &mut Vec<f64>,
    limits: &DecodeLimits,
    what: &'static str,
    place: Place,
) -> Result<(), DecodeError> {
    within(field.append_doubles(list, limits.buckets).at(place)?, limits, what, place)
}

fn within(fits: bool, limits: &DecodeLimits, what: &'static str, place: Place) -> Result<(), DecodeError> {
    if fits { Ok(()) } else { Err(DecodeError::TooMany { place, what, limit: limits.buckets }) }
}

fn read_span(mut reader: Reader<'_>) -> Result<BucketSpan, WireError> {
    let mut span = BucketSpan::default();
    while let Some(field) = reader.next()? {
        match field.number {
            1 => span.offset = field.sint32()?,
            2 => span.length = field.uint32()?,
            _ => {}
        }
    }
    Ok(span)
}

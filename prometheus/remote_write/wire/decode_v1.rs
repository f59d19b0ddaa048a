//! Reading remote write 1.0.

use super::decode::{
    AtPlace, DecodeError, DecodeLimits, Exemplar, FamilyMetadata, LabelBytes, Place, Sample, TimeSeries, WriteVisitor,
    push_within,
};
use super::histogram_read::read_histogram;
use super::read::{Reader, WireError};
use super::v1::MetricType;

/// Reads a `prometheus.WriteRequest` (after snappy) and visits its series and metadata in order.
///
/// Labels are handed on as sent: version 1.0 receivers differ in what they forgive, so checking them
/// ([`TimeSeries::check_labels`], [`TimeSeries::labels_utf8`]) is left to the visitor, and
/// [`WriteVisitor::rejected`] is never called.
///
/// # Errors
/// When the body is not such a message or is over the limits. What was visited before has been visited.
pub fn decode_v1<'a>(
    body: &'a [u8],
    limits: &DecodeLimits,
    visitor: &mut impl WriteVisitor<'a>,
) -> Result<(), DecodeError> {
    let request = Place { series: None, message: "request" };
    let mut reader = Reader::new(body);
    let mut series = TimeSeries::default();
    let (mut seen_series, mut seen_metadata) = (0_usize, 0_usize);
    while let Some(field) = reader.next().at(request)? {
        match field.number {
            1 => {
                if seen_series >= limits.series {
                    return Err(DecodeError::TooMany { place: request, what: "time series", limit: limits.series });
                }
                let place = Place { series: Some(seen_series), message: "series" };
                read_series(field.message().at(place)?, limits, place, &mut series)?;
                visitor.series(&series);
                seen_series += 1;
            }
            3 => {
                if seen_metadata >= limits.metadata {
                    return Err(DecodeError::TooMany { place: request, what: "metadata", limit: limits.metadata });
                }
                let place = Place { series: None, message: "metadata" };
                visitor.metadata(field.message().and_then(read_metadata).at(place)?);
                seen_metadata += 1;
            }
            // Symbols and series of version 2.0. Skipping them would lose the whole request in silence.
            4 | 5 => return Err(DecodeError::OtherVersion { found: "2.0", announced: "1.0" }),
            _ => {}
        }
    }
    Ok(())
}

fn read_series<'a>(
    mut reader: Reader<'a>,
    limits: &DecodeLimits,
    place: Place,
    series: &mut TimeSeries<'a>,
) -> Result<(), DecodeError> {
    series.clear();
    let at = |message| Place { message, ..place };
    while let Some(field) = reader.next().at(place)? {
        match field.number {
            1 => {
                let label = field.message().and_then(read_label).at(at("label"))?;
                push_within(&mut series.labels, label, limits.labels, "labels", place)?;
            }
            2 => {
                let mut sample = field.message().and_then(read_sample).at(at("sample"))?;
                sample.start_timestamp_ms = 0;
                push_within(&mut series.samples, sample, limits.samples, "samples", place)?;
            }
            3 => {
                let exemplar = read_exemplar(field.message().at(at("exemplar"))?, limits, at("exemplar"))?;
                push_within(&mut series.exemplars, exemplar, limits.exemplars, "exemplars", place)?;
            }
            4 => {
                let mut histogram = read_histogram(field.message().at(at("histogram"))?, limits, at("histogram"))?;
                histogram.start_timestamp_ms = 0;
                push_within(&mut series.histograms, histogram, limits.histograms, "histograms", place)?;
            }
            _ => {}
        }
    }
    Ok(())
}

fn read_label(mut reader: Reader<'_>) -> Result<LabelBytes<'_>, WireError> {
    let mut label: LabelBytes<'_> = (&[], &[]);
    while let Some(field) = reader.next()? {
        match field.number {
            1 => label.0 = field.bytes()?,
            2 => label.1 = field.bytes()?,
            _ => {}
        }
    }
    Ok(label)
}

/// A sample of either version. Field 3 is of version 2.0 only; [`decode_v1`] forgets it again.
pub(super) fn read_sample(mut reader: Reader<'_>) -> Result<Sample, WireError> {
    let mut sample = Sample::default();
    while let Some(field) = reader.next()? {
        match field.number {
            1 => sample.value = field.double()?,
            2 => sample.timestamp_ms = field.int64()?,
            3 => sample.start_timestamp_ms = field.int64()?,
            _ => {}
        }
    }
    Ok(sample)
}

fn read_exemplar<'a>(mut reader: Reader<'a>, limits: &DecodeLimits, place: Place) -> Result<Exemplar<'a>, DecodeError> {
    let mut exemplar = Exemplar::default();
    while let Some(field) = reader.next().at(place)? {
        match field.number {
            1 => {
                let label = field.message().and_then(read_label).at(place)?;
                push_within(&mut exemplar.labels, label, limits.labels, "labels", place)?;
            }
            2 => exemplar.value = field.double().at(place)?,
            3 => exemplar.timestamp_ms = field.int64().at(place)?,
            _ => {}
        }
    }
    Ok(exemplar)
}

fn read_metadata(mut reader: Reader<'_>) -> Result<FamilyMetadata<'_>, WireError> {
    let mut metadata = FamilyMetadata::default();
    while let Some(field) = reader.next()? {
        match field.number {
            1 => metadata.kind = MetricType::from_number(field.varint()?),
            2 => metadata.family = field.bytes()?,
            4 => metadata.help = field.bytes()?,
            5 => metadata.unit = field.bytes()?,
            _ => {}
        }
    }
    Ok(metadata)
}

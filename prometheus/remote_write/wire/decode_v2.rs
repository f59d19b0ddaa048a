//! Reading remote write 2.0.

use super::decode::{
    AtPlace, DecodeError, DecodeLimits, Exemplar, LabelBytes, Place, Rejection, SeriesError, SeriesMetadata,
    TimeSeries, WriteVisitor, push_within,
};
use super::decode_v1::read_sample;
use super::histogram_read::read_histogram;
use super::read::{Field, Reader, WireError, to_uint32};
use super::v1::MetricType;

/// Reads an `io.prometheus.write.v2.Request` (after snappy) and visits its series in order.
///
/// Every series visited has sorted, unique labels without empty names or values, and values in order
/// of time: samples or histograms, not both. A series that breaks a rule is reported to
/// [`WriteVisitor::rejected`] and the next one is read; of an exemplar or metadata with a bad reference only that
/// part is left out. Series of exemplars alone are accepted: Prometheus sends exemplars that way.
///
/// # Errors
/// When the body is not such a message, its symbols do not begin with the empty string, or it is over
/// the limits. What was visited before has been visited.
pub fn decode_v2<'a>(
    body: &'a [u8],
    limits: &DecodeLimits,
    visitor: &mut impl WriteVisitor<'a>,
) -> Result<(), DecodeError> {
    let request = Place { series: None, message: "request" };
    // Protobuf does not promise an order of fields, so all symbols are read before any series.
    let symbols = read_symbols(body, limits, request)?;
    let mut scratch = Scratch { symbols: &symbols, references: Vec::new(), series: TimeSeries::default() };
    let mut reader = Reader::new(body);
    let mut seen = 0;
    while let Some(field) = reader.next().at(request)? {
        if field.number != 5 {
            continue;
        }
        if seen >= limits.series {
            return Err(DecodeError::TooMany { place: request, what: "time series", limit: limits.series });
        }
        let place = Place { series: Some(seen), message: "series" };
        let labels = scratch.read_series(field.message().at(place)?, limits, place, seen, visitor)?;
        let series = &scratch.series;
        match labels.and_then(|()| check(series)) {
            Ok(()) => visitor.series(series),
            Err(error) => visitor.rejected(Rejection {
                series: seen,
                samples: series.samples.len(),
                histograms: series.histograms.len(),
                exemplars: series.exemplars.len(),
                error,
            }),
        }
        seen += 1;
    }
    Ok(())
}

fn read_symbols<'a>(body: &'a [u8], limits: &DecodeLimits, place: Place) -> Result<Vec<&'a [u8]>, DecodeError> {
    let mut symbols = Vec::new();
    let mut any_series = false;
    let mut reader = Reader::new(body);
    while let Some(field) = reader.next().at(place)? {
        match field.number {
            // Reserved because version 1.0 has its series and metadata there.
            1..=3 => return Err(DecodeError::OtherVersion { found: "1.0", announced: "2.0" }),
            4 => push_within(&mut symbols, field.bytes().at(place)?, limits.symbols, "symbols", place)?,
            5 => any_series = true,
            _ => {}
        }
    }
    match symbols.first() {
        Some(first) if !first.is_empty() => Err(DecodeError::FirstSymbolNotEmpty),
        None if any_series => Err(DecodeError::FirstSymbolNotEmpty),
        _ => Ok(symbols),
    }
}

/// The rules of the specification that concern one series.
fn check(series: &TimeSeries<'_>) -> Result<(), SeriesError> {
    series.check_labels()?;
    match (series.samples.is_empty(), series.histograms.is_empty()) {
        (false, false) => return Err(SeriesError::MixedValues),
        (true, true) if series.exemplars.is_empty() => return Err(SeriesError::NoValues),
        _ => {}
    }
    series.check_order()
}

struct Scratch<'a, 's> {
    symbols: &'s [&'a [u8]],
    references: Vec<u32>,
    series: TimeSeries<'a>,
}

impl<'a> Scratch<'a, '_> {
    /// Reads a series to its end even if its labels are bad, so that what is lost can be counted. The
    /// inner result is that of the labels.
    fn read_series(
        &mut self,
        mut reader: Reader<'a>,
        limits: &DecodeLimits,
        place: Place,
        index: usize,
        visitor: &mut impl WriteVisitor<'a>,
    ) -> Result<Result<(), SeriesError>, DecodeError> {
        self.series.clear();
        self.references.clear();
        let mut metadata = RawMetadata::default();
        let mut lost = |exemplars, error| {
            visitor.rejected(Rejection { series: index, samples: 0, histograms: 0, exemplars, error });
        };
        let at = |message| Place { message, ..place };
        while let Some(field) = reader.next().at(place)? {
            match field.number {
                1 => read_references(field, &mut self.references, limits, place)?,
                2 => {
                    let sample = field.message().and_then(read_sample).at(at("sample"))?;
                    push_within(&mut self.series.samples, sample, limits.samples, "samples", place)?;
                }
                3 => {
                    let histogram = read_histogram(field.message().at(at("histogram"))?, limits, at("histogram"))?;
                    push_within(&mut self.series.histograms, histogram, limits.histograms, "histograms", place)?;
                }
                4 => match self.read_exemplar(field.message().at(at("exemplar"))?, limits, at("exemplar"))? {
                    Ok(exemplar) => {
                        push_within(&mut self.series.exemplars, exemplar, limits.exemplars, "exemplars", place)?;
                    }
                    Err(error) => lost(1, error),
                },
                5 => metadata.read(field.message().at(at("metadata"))?).at(at("metadata"))?,
                _ => {}
            }
        }
        match metadata.resolve(self.symbols) {
            Ok(metadata) => self.series.metadata = metadata,
            Err(error) => lost(0, error),
        }
        Ok(resolve_labels("series", self.symbols, &self.references, &mut self.series.labels))
    }

    fn read_exemplar(
        &self,
        mut reader: Reader<'a>,
        limits: &DecodeLimits,
        place: Place,
    ) -> Result<Result<Exemplar<'a>, SeriesError>, DecodeError> {
        let mut exemplar = Exemplar::default();
        let mut references = Vec::new();
        while let Some(field) = reader.next().at(place)? {
            match field.number {
                1 => read_references(field, &mut references, limits, place)?,
                2 => exemplar.value = field.double().at(place)?,
                3 => exemplar.timestamp_ms = field.int64().at(place)?,
                _ => {}
            }
        }
        Ok(resolve_labels("exemplar", self.symbols, &references, &mut exemplar.labels).map(|()| exemplar))
    }
}

fn read_references(
    field: Field<'_>,
    references: &mut Vec<u32>,
    limits: &DecodeLimits,
    place: Place,
) -> Result<(), DecodeError> {
    let limit = limits.labels.saturating_mul(2);
    let fits = field.append_varints(references, limit, |reference| to_uint32(field.number, reference)).at(place)?;
    if fits { Ok(()) } else { Err(DecodeError::TooMany { place, what: "labels", limit: limits.labels }) }
}

fn resolve_labels<'a>(
    owner: &'static str,
    symbols: &[&'a [u8]],
    references: &[u32],
    labels: &mut Vec<LabelBytes<'a>>,
) -> Result<(), SeriesError> {
    let (pairs, odd) = references.as_chunks::<2>();
    if !odd.is_empty() {
        return Err(SeriesError::OddReferences { owner, len: references.len() });
    }
    for &[name, value] in pairs {
        labels.push((symbol(owner, symbols, name)?, symbol(owner, symbols, value)?));
    }
    Ok(())
}

fn symbol<'a>(owner: &'static str, symbols: &[&'a [u8]], reference: u32) -> Result<&'a [u8], SeriesError> {
    symbols.get(reference as usize).copied().ok_or(SeriesError::ReferenceOutOfRange {
        owner,
        reference,
        symbols: symbols.len(),
    })
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct RawMetadata {
    kind: MetricType,
    help: u32,
    unit: u32,
}

impl RawMetadata {
    /// Fields of a message that is given twice are merged, as protobuf defines.
    fn read(&mut self, mut reader: Reader<'_>) -> Result<(), WireError> {
        while let Some(field) = reader.next()? {
            match field.number {
                1 => self.kind = MetricType::from_number(field.varint()?),
                3 => self.help = field.uint32()?,
                4 => self.unit = field.uint32()?,
                _ => {}
            }
        }
        Ok(())
    }

    /// A message without any field set says nothing, and is what Prometheus sends for "no metadata".
    fn resolve<'a>(self, symbols: &[&'a [u8]]) -> Result<Option<SeriesMetadata<'a>>, SeriesError> {
        if self == Self::default() {
            return Ok(None);
        }
        Ok(Some(SeriesMetadata {
            kind: self.kind,
            help: symbol("help", symbols, self.help)?,
            unit: symbol("unit", symbols, self.unit)?,
        }))
    }
}

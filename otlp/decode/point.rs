//! Data points.

use std::borrow::Cow;

use pipeline::value::{ExemplarValue, ExponentialBuckets, ExponentialHistogram, Histogram, Summary};
use pipeline::{AttributesBuilder, Exemplar, Value};

use super::identity::DataKind;
use super::wrong_type;
use crate::attributes::collect;
use crate::json::unzigzag;
use crate::wire::{DecodeError, Reader, Value as Wire};

/// `DataPointFlags.DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK`.
pub(super) const NO_RECORDED_VALUE: u32 = 1;

/// A point whose attributes are still encoded.
#[derive(Debug, Default)]
pub(super) struct RawPoint {
    pub(super) start: u64,
    pub(super) time: u64,
    pub(super) flags: u32,
    /// None if there is none.
    pub(super) value: Option<Value>,
    pub(super) has_exemplars: bool,
    /// From where to where the attributes stand, tags included.
    attributes: (usize, usize),
    /// Whether other fields stand between them.
    scattered: bool,
    attributes_field: u32,
}

/// A number point as nearly all are encoded: in the order of the fields' numbers, without flags and exemplars.
#[derive(Debug)]
pub(super) struct UsualPoint<'a> {
    pub(super) start: u64,
    pub(super) time: u64,
    pub(super) value: Value,
    /// What follows: the attributes if it is a usual point indeed. Whoever has seen these bytes as attributes before knows that
    /// it is, and need not read them again.
    pub(super) rest: &'a [u8],
}

impl<'a> UsualPoint<'a> {
    /// Reads a point up to its attributes; none if it does not begin as usual.
    #[inline(always)]
    pub(super) fn read(message: &'a [u8]) -> Option<Self> {
        // Each of these fields is a tag and eight bytes.
        let (start, message) = match message.split_first_chunk::<9>()? {
            (&[0x11, ref start @ ..], rest) => (u64::from_le_bytes(*start), rest),
            _ => (0, message),
        };
        let (&[0x19, ref time @ ..], message) = message.split_first_chunk::<9>()? else { return None };
        let (&[tag, ref word @ ..], rest) = message.split_first_chunk::<9>()?;
        let word = u64::from_le_bytes(*word);
        let value = match tag {
            0x21 => Value::Float(f64::from_bits(word)),
            0x31 => Value::Int(word.cast_signed()),
            _ => return None,
        };
        Some(Self { start, time: u64::from_le_bytes(*time), value, rest })
    }
}

impl RawPoint {
    /// Reads a point.
    #[inline]
    pub(super) fn read(message: &[u8], kind: DataKind) -> Result<Self, DecodeError> {
        let mut point = Self { attributes_field: kind.attributes(), ..Self::default() };
        match kind {
            DataKind::Gauge | DataKind::Sum => point.number(message)?,
            DataKind::Histogram => point.histogram(message)?,
            DataKind::ExponentialHistogram => point.exponential_histogram(message)?,
            DataKind::Summary => point.summary(message)?,
        }
        if point.flags & NO_RECORDED_VALUE != 0 {
            let held = point.value.take().filter(|held| !is_empty(held));
            point.value = Some(Value::NoRecordedValue(held.map(Box::new)));
        }
        Ok(point)
    }

    /// The encoded attributes, with their tags.
    #[inline]
    pub(super) fn attributes<'a>(&self, message: &'a [u8]) -> Cow<'a, [u8]> {
        if self.scattered {
            return Cow::Owned(gathered(message, self.attributes_field));
        }
        Cow::Borrowed(message.get(self.attributes.0..self.attributes.1).unwrap_or_default())
    }

    /// Notes that an attribute stands there.
    #[inline]
    fn attribute(&mut self, from: usize, to: usize) {
        if self.attributes.1 == 0 {
            self.attributes = (from, to);
        } else if self.attributes.1 == from {
            self.attributes.1 = to;
        } else {
            self.scattered = true;
        }
    }

    #[inline]
    fn number(&mut self, message: &[u8]) -> Result<(), DecodeError> {
        let mut fields = Reader::new(message);
        // The tags of well-formed points fit a byte each; everything else is left to the general way.
        while let Some(tag) = fields.peek() {
            let from = message.len() - fields.rest().len();
            match tag {
                0x11 | 0x19 | 0x21 | 0x31 => {
                    fields.skip_byte();
                    let word = fields.fixed64()?;
                    match tag {
                        0x11 => self.start = word,
                        0x19 => self.time = word,
                        0x21 => self.value = Some(Value::Float(f64::from_bits(word))),
                        _ => self.value = Some(Value::Int(word.cast_signed())),
                    }
                }
                0x3a => {
                    fields.skip_byte();
                    fields.bytes()?;
                    self.attribute(from, message.len() - fields.rest().len());
                }
                _ => self.rare_number_field(&mut fields)?,
            }
        }
        Ok(())
    }

    fn rare_number_field(&mut self, fields: &mut Reader<'_>) -> Result<(), DecodeError> {
        match fields.field()? {
            Some((5, Wire::Bytes(_))) => self.has_exemplars = true,
            Some((8, Wire::Varint(flags))) => self.flags = flags as u32,
            Some((number @ 2..=8, _)) => return Err(wrong_type("NumberDataPoint", number)),
            _ => {}
        }
        Ok(())
    }

    fn histogram(&mut self, message: &[u8]) -> Result<(), DecodeError> {
        let mut h = Histogram::default();
        let (mut bounds, mut counts) = (Words::default(), Words::default());
        let mut fields = Reader::new(message);
        loop {
            let from = message.len() - fields.rest().len();
            let Some((number, value)) = fields.field()? else { break };
            match (number, value) {
                (2, Wire::Fixed64(time)) => self.start = time,
                (3, Wire::Fixed64(time)) => self.time = time,
                (4, Wire::Fixed64(count)) => h.count = count,
                (5, Wire::Fixed64(bits)) => h.sum = Some(f64::from_bits(bits)),
                (6, value) => counts.fixed(value, ("HistogramDataPoint", number))?,
                (7, value) => bounds.fixed(value, ("HistogramDataPoint", number))?,
                (8, Wire::Bytes(_)) => self.has_exemplars = true,
                (9, Wire::Bytes(_)) => self.attribute(from, message.len() - fields.rest().len()),
                (10, Wire::Varint(flags)) => self.flags = flags as u32,
                (11, Wire::Fixed64(bits)) => h.min = Some(f64::from_bits(bits)),
                (12, Wire::Fixed64(bits)) => h.max = Some(f64::from_bits(bits)),
                (2..=12, _) => return Err(wrong_type("HistogramDataPoint", number)),
                _ => {}
            }
        }
        h.bounds = bounds.0.into_iter().map(f64::from_bits).collect();
        h.bucket_counts = counts.0.into();
        self.value = Some(Value::Histogram(Box::new(h)));
        Ok(())
    }

    fn exponential_histogram(&mut self, message: &[u8]) -> Result<(), DecodeError> {
        let mut h = ExponentialHistogram::default();
        let mut fields = Reader::new(message);
        loop {
            let from = message.len() - fields.rest().len();
            let Some((number, value)) = fields.field()? else { break };
            match (number, value) {
                (1, Wire::Bytes(_)) => self.attribute(from, message.len() - fields.rest().len()),
                (2, Wire::Fixed64(time)) => self.start = time,
                (3, Wire::Fixed64(time)) => self.time = time,
                (4, Wire::Fixed64(count)) => h.count = count,
                (5, Wire::Fixed64(bits)) => h.sum = Some(f64::from_bits(bits)),
                (6, Wire::Varint(scale)) => h.scale = unzigzag(scale),
                (7, Wire::Fixed64(count)) => h.zero_count = count,
                (8, Wire::Bytes(encoded)) => h.positive = buckets(encoded)?,
                (9, Wire::Bytes(encoded)) => h.negative = buckets(encoded)?,
                (10, Wire::Varint(flags)) => self.flags = flags as u32,
                (11, Wire::Bytes(_)) => self.has_exemplars = true,
                (12, Wire::Fixed64(bits)) => h.min = Some(f64::from_bits(bits)),
                (13, Wire::Fixed64(bits)) => h.max = Some(f64::from_bits(bits)),
                (14, Wire::Fixed64(bits)) => h.zero_threshold = f64::from_bits(bits),
                (1..=14, _) => return Err(wrong_type("ExponentialHistogramDataPoint", number)),
                _ => {}
            }
        }
        self.value = Some(Value::ExponentialHistogram(Box::new(h)));
        Ok(())
    }

    fn summary(&mut self, message: &[u8]) -> Result<(), DecodeError> {
        let mut s = Summary::default();
        let mut quantiles = Vec::new();
        let mut fields = Reader::new(message);
        loop {
            let from = message.len() - fields.rest().len();
            let Some((number, value)) = fields.field()? else { break };
            match (number, value) {
                (2, Wire::Fixed64(time)) => self.start = time,
                (3, Wire::Fixed64(time)) => self.time = time,
                (4, Wire::Fixed64(count)) => s.count = count,
                (5, Wire::Fixed64(bits)) => s.sum = f64::from_bits(bits),
                (6, Wire::Bytes(encoded)) => quantiles.push(quantile(encoded)?),
                (7, Wire::Bytes(_)) => self.attribute(from, message.len() - fields.rest().len()),
                (8, Wire::Varint(flags)) => self.flags = flags as u32,
                (2..=8, _) => return Err(wrong_type("SummaryDataPoint", number)),
                _ => {}
            }
        }
        s.quantiles = quantiles.into();
        self.value = Some(Value::Summary(Box::new(s)));
        Ok(())
    }
}

/// Whether a message says no more than that it is there. A number says what it is by being there.
#[cold]
fn is_empty(value: &Value) -> bool {
    // Negative zeros are equal to the default, and are written.
    match value {
        Value::Histogram(h) => **h == Histogram::default(),
        Value::ExponentialHistogram(h) => h.zero_threshold.to_bits() == 0 && **h == ExponentialHistogram::default(),
        Value::Summary(s) => s.sum.to_bits() == 0 && **s == Summary::default(),
        Value::Float(_) | Value::Int(_) | Value::NoRecordedValue(_) => false,
        // No message of OTLP says either.
        Value::FloatHistogram(_) | Value::FloatExponentialHistogram(_) => false,
    }
}

/// All fields of this number, with their tags, one behind the other.
fn gathered(message: &[u8], wanted: u32) -> Vec<u8> {
    let mut out = Vec::new();
    let mut fields = Reader::new(message);
    loop {
        let rest = fields.rest();
        match fields.field() {
            Ok(Some((number, _))) if number == wanted => {
                out.extend_from_slice(rest.get(..rest.len() - fields.rest().len()).unwrap_or_default());
            }
            Ok(Some(_)) => {}
            _ => return out,
        }
    }
}

/// A repeated field of numbers, which may come packed or one by one.
#[derive(Default)]
struct Words(Vec<u64>);

impl Words {
    fn fixed(&mut self, value: Wire<'_>, (message, field): (&'static str, u32)) -> Result<(), DecodeError> {
        match value {
            Wire::Fixed64(word) => self.0.push(word),
            Wire::Bytes(packed) => {
                let (words, rest) = packed.as_chunks::<8>();
                if !rest.is_empty() {
                    return Err(DecodeError::Truncated);
                }
                self.0.reserve_exact(words.len());
                self.0.extend(words.iter().map(|word| u64::from_le_bytes(*word)));
            }
            _ => return Err(wrong_type(message, field)),
        }
        Ok(())
    }

    fn varints(&mut self, value: Wire<'_>, (message, field): (&'static str, u32)) -> Result<(), DecodeError> {
        match value {
            Wire::Varint(word) => self.0.push(word),
            Wire::Bytes(packed) => {
                let mut reader = Reader::new(packed);
                while !reader.is_empty() {
                    self.0.push(reader.varint()?);
                }
            }
            _ => return Err(wrong_type(message, field)),
        }
        Ok(())
    }
}

fn buckets(message: &[u8]) -> Result<ExponentialBuckets, DecodeError> {
    let (mut offset, mut counts) = (0, Words::default());
    let mut fields = Reader::new(message);
    while let Some((number, value)) = fields.field()? {
        match (number, value) {
            (1, Wire::Varint(zigzag)) => offset = unzigzag(zigzag),
            (1, _) => return Err(wrong_type("Buckets", 1)),
            (2, value) => counts.varints(value, ("Buckets", 2))?,
            _ => {}
        }
    }
    Ok(ExponentialBuckets { offset, counts: counts.0.into() })
}

fn quantile(message: &[u8]) -> Result<(f64, f64), DecodeError> {
    let (mut quantile, mut at) = (0.0, 0.0);
    let mut fields = Reader::new(message);
    while let Some((number, value)) = fields.field()? {
        match (number, value) {
            (1, Wire::Fixed64(bits)) => quantile = f64::from_bits(bits),
            (2, Wire::Fixed64(bits)) => at = f64::from_bits(bits),
            (1 | 2, _) => return Err(wrong_type("ValueAtQuantile", number)),
            _ => {}
        }
    }
    Ok((quantile, at))
}

/// The exemplars of a point, which is number `point` of its group.
#[cold]
pub(super) fn exemplars(
    message: &[u8],
    kind: DataKind,
    point: u32,
    builder: &mut AttributesBuilder,
) -> Result<Vec<Exemplar>, DecodeError> {
    let field = match kind {
        DataKind::Gauge | DataKind::Sum => 5,
        DataKind::Histogram => 8,
        DataKind::ExponentialHistogram => 11,
        DataKind::Summary => return Ok(Vec::new()),
    };
    crate::request::fields(message, field).map(|encoded| exemplar(encoded, point, builder)).collect()
}

fn exemplar(message: &[u8], point: u32, builder: &mut AttributesBuilder) -> Result<Exemplar, DecodeError> {
    let mut exemplar = Exemplar {
        point,
        time: 0,
        value: ExemplarValue::Float(0.0),
        trace_id: Box::default(),
        span_id: Box::default(),
        attributes: collect(message, 7, builder)?,
    };
    let mut fields = Reader::new(message);
    while let Some((number, value)) = fields.field()? {
        match (number, value) {
            (2, Wire::Fixed64(time)) => exemplar.time = time.cast_signed(),
            (3, Wire::Fixed64(bits)) => exemplar.value = ExemplarValue::Float(f64::from_bits(bits)),
            (4, Wire::Bytes(id)) => exemplar.span_id = id.into(),
            (5, Wire::Bytes(id)) => exemplar.trace_id = id.into(),
            (6, Wire::Fixed64(int)) => exemplar.value = ExemplarValue::Int(int.cast_signed()),
            (2..=6, _) => return Err(wrong_type("Exemplar", number)),
            _ => {}
        }
    }
    Ok(exemplar)
}

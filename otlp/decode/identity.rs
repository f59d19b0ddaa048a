//! What identifies a data point: read once, then remembered.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use pipeline::pages::Key;
use pipeline::{AttributesBuilder, Family, FamilyKind, Origin, Resource, Scope, Source, Temporality};

use super::wrong_type;
use crate::attributes::{collect, text};
use crate::wire::{self, DecodeError, Reader, Value};

/// The type of a metric's data, by the number of its field in `Metric`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DataKind {
    Gauge,
    Sum,
    Histogram,
    ExponentialHistogram,
    Summary,
}

impl DataKind {
    fn of_field(number: u32) -> Option<Self> {
        Some(match number {
            5 => Self::Gauge,
            7 => Self::Sum,
            9 => Self::Histogram,
            10 => Self::ExponentialHistogram,
            11 => Self::Summary,
            _ => return None,
        })
    }

    /// Whether its points are single numbers.
    #[inline]
    pub(super) fn is_number(self) -> bool {
        matches!(self, Self::Gauge | Self::Sum)
    }

    /// The number of the field of a point that holds its attributes.
    #[inline]
    pub(super) fn attributes(self) -> u32 {
        match self {
            Self::Gauge | Self::Sum | Self::Summary => 7,
            Self::Histogram => 9,
            Self::ExponentialHistogram => 1,
        }
    }
}

/// What all points of a metric have in common.
#[derive(Debug)]
pub(super) struct MetricHead<'a> {
    /// The encoded fields that name and describe it.
    pub(super) names: Cow<'a, [u8]>,
    pub(super) data_kind: DataKind,
    /// The encoded `Sum`, `Gauge` or the like.
    pub(super) data: &'a [u8],
    temporality: u64,
    monotonic: bool,
}

impl<'a> MetricHead<'a> {
    /// Reads all of a metric but its points; none if it has no data that is known.
    pub(super) fn read(message: &'a [u8]) -> Result<Option<Self>, DecodeError> {
        let mut fields = Reader::new(message);
        // In the usual order the fields before the data are all that there is to know.
        let (mut before, mut after, mut data) = (0, Vec::new(), None);
        loop {
            let rest = fields.rest();
            let Some((number, value)) = fields.field()? else { break };
            let encoded = rest.get(..rest.len() - fields.rest().len()).unwrap_or_default();
            match (DataKind::of_field(number), value) {
                (Some(kind), Value::Bytes(bytes)) => data = Some((kind, bytes)),
                (None, Value::Bytes(_)) if matches!(number, 1..=3 | 12) => match data.is_none() && after.is_empty() {
                    true if before == message.len() - rest.len() => before += encoded.len(),
                    _ => after.extend_from_slice(encoded),
                },
                (Some(_), _) => return Err(wrong_type("Metric", number)),
                (None, _) if matches!(number, 1..=3 | 12) => return Err(wrong_type("Metric", number)),
                (None, _) => {}
            }
        }
        let Some((data_kind, data)) = data else { return Ok(None) };
        let first = message.get(..before).unwrap_or_default();
        let names = if after.is_empty() { Cow::Borrowed(first) } else { Cow::Owned([first, &after].concat()) };
        let mut head = Self { names, data_kind, data, temporality: 0, monotonic: false };
        let mut fields = Reader::new(data);
        let point = crate::request::one_byte_tag(1);
        loop {
            while fields.peek() == point {
                fields.skip_byte();
                fields.bytes()?;
            }
            let Some((number, value)) = fields.field()? else { break };
            match (number, value) {
                (1, Value::Bytes(_)) => {}
                (2, Value::Varint(temporality)) => head.temporality = temporality,
                (3, Value::Varint(monotonic)) => head.monotonic = monotonic != 0,
                (1, _) => return Err(wrong_type("Metric.data", 1)),
                (2 | 3, _) if head.has_temporality() => return Err(wrong_type("Metric.data", number)),
                _ => {}
            }
        }
        Ok(Some(head))
    }

    fn has_temporality(&self) -> bool {
        matches!(self.data_kind, DataKind::Sum | DataKind::Histogram | DataKind::ExponentialHistogram)
    }

    /// What tells metrics of one name but of different kinds apart.
    pub(super) fn kind_bits(&self) -> u32 {
        let temporality = self.temporality.min(3) as u32;
        self.data_kind.attributes() | (self.data_kind as u32) << 8 | temporality << 16 | u32::from(self.monotonic) << 24
    }

    /// The name, for messages.
    pub(super) fn name(&self) -> String {
        String::from_utf8_lossy(crate::request::fields(&self.names, 1).last().unwrap_or_default()).into_owned()
    }

    /// Whether a sum is of the kind that types of Prometheus become.
    fn is_state(&self, temporality: Temporality) -> bool {
        !self.monotonic && temporality == Temporality::Cumulative
    }

    fn family(&self, names: &mut Names) -> Result<Family, DecodeError> {
        let part = |number| text(crate::request::fields(&self.names, number).last().unwrap_or_default());
        let temporality = match self.temporality {
            1 => Temporality::Delta,
            2 => Temporality::Cumulative,
            _ => Temporality::Unspecified,
        };
        let metadata = collect(&self.names, 12, &mut names.attributes)?;
        // Where OTLP has no type of its own, the metadata keeps what Prometheus calls it.
        let kind = match (self.data_kind, metadata.get_str("prometheus.type")) {
            (DataKind::Gauge, Some("unknown")) => FamilyKind::Unknown,
            (DataKind::Gauge, _) => FamilyKind::Gauge,
            (DataKind::Sum, Some("info")) if self.is_state(temporality) => FamilyKind::Info,
            (DataKind::Sum, Some("stateset")) if self.is_state(temporality) => FamilyKind::StateSet,
            (DataKind::Sum, _) => FamilyKind::Sum { monotonic: self.monotonic, temporality },
            (DataKind::Histogram, _) => FamilyKind::Histogram { temporality },
            (DataKind::ExponentialHistogram, _) => FamilyKind::ExponentialHistogram { temporality },
            (DataKind::Summary, _) => FamilyKind::Summary,
        };
        Ok(Family { name: part(1)?.into(), description: part(2)?.into(), unit: part(3)?.into(), kind, metadata })
    }
}

/// Families by the hash of what describes them: one shared copy of each.
#[derive(Debug, Default)]
pub(super) struct Families(HashMap<Key, Arc<Family>>);

impl Families {
    pub(super) fn get(
        &mut self,
        key: Key,
        head: &MetricHead<'_>,
        names: &mut Names,
    ) -> Result<Arc<Family>, DecodeError> {
        if let Some(family) = self.0.get(&key) {
            return Ok(Arc::clone(family));
        }
        let family = Arc::new(head.family(names)?);
        self.0.insert(key, Arc::clone(&family));
        Ok(family)
    }

    /// Lets go of families that no series uses.
    pub(super) fn sweep(&mut self) {
        self.0.retain(|_, family| Arc::strong_count(family) > 1);
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

/// Decodes names and attributes.
#[derive(Debug, Default)]
pub(super) struct Names {
    pub(super) attributes: AttributesBuilder,
}

impl Names {
    /// The origin of a resource and a scope, each with its schema URL.
    pub(super) fn origin(
        &mut self,
        (resource, resource_schema_url): (&[u8], &[u8]),
        (scope, scope_schema_url): (&[u8], &[u8]),
    ) -> Result<Arc<Origin>, DecodeError> {
        let resource = self.resource(resource, resource_schema_url)?;
        let scope = self.scope(scope, scope_schema_url)?;
        Ok(Origin::intern(Source::Otlp, resource, scope, Default::default()))
    }

    fn resource(&mut self, message: &[u8], schema_url: &[u8]) -> Result<Resource, DecodeError> {
        let (mut dropped_attributes, mut entity_refs) = (0, Vec::new());
        let mut fields = Reader::new(message);
        while let Some(field) = fields.field()? {
            match field {
                (2, Value::Varint(count)) => dropped_attributes = count as u32,
                (3, Value::Bytes(entity)) => wire::put_bytes(&mut entity_refs, 3, entity),
                (2 | 3, _) => return Err(wrong_type("Resource", field.0)),
                _ => {}
            }
        }
        Ok(Resource {
            attributes: collect(message, 1, &mut self.attributes)?,
            schema_url: text(schema_url)?.into(),
            dropped_attributes,
            entity_refs: entity_refs.into(),
        })
    }

    fn scope(&mut self, message: &[u8], schema_url: &[u8]) -> Result<Scope, DecodeError> {
        let (mut name, mut version, mut dropped_attributes) = ("", "", 0);
        let mut fields = Reader::new(message);
        while let Some(field) = fields.field()? {
            match field {
                (1, Value::Bytes(bytes)) => name = text(bytes)?,
                (2, Value::Bytes(bytes)) => version = text(bytes)?,
                (4, Value::Varint(count)) => dropped_attributes = count as u32,
                (1 | 2 | 4, _) => return Err(wrong_type("InstrumentationScope", field.0)),
                _ => {}
            }
        }
        Ok(Scope {
            name: name.into(),
            version: version.into(),
            attributes: collect(message, 3, &mut self.attributes)?,
            schema_url: text(schema_url)?.into(),
            dropped_attributes,
        })
    }
}

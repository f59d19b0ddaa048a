//! Origins, series and tables in bytes, and back.

use super::bytes::{Input, put, put_double, put_signed, put_slice};
use pipeline::{
    AttributeValue, Attributes, AttributesBuilder, Family, FamilyKind, Origin, Part, Resource, Scope, Series, Source,
    Temporality,
};
use std::sync::Arc;

pub(super) fn put_attributes(out: &mut Vec<u8>, attributes: &Attributes) {
    put(out, attributes.len() as u64);
    for (key, value) in attributes {
        put_slice(out, key.as_bytes());
        match value {
            AttributeValue::Str(text) => put_tagged(out, 0, text.as_bytes()),
            AttributeValue::Bytes(bytes) => put_tagged(out, 1, bytes),
            AttributeValue::Encoded(bytes) => put_tagged(out, 2, bytes),
            AttributeValue::Bool(value) => out.extend_from_slice(&[3, u8::from(value)]),
            AttributeValue::Int(number) => {
                out.push(4);
                put_signed(out, number);
            }
            AttributeValue::Double(number) => {
                out.push(5);
                put_double(out, number);
            }
            AttributeValue::Empty => out.push(6),
        }
    }
}

fn put_tagged(out: &mut Vec<u8>, tag: u8, bytes: &[u8]) {
    out.push(tag);
    put_slice(out, bytes);
}

pub(super) fn attributes(input: &mut Input<'_>) -> Option<Attributes> {
    let mut builder = AttributesBuilder::default();
    for _ in 0..input.count(2)? {
        let key = input.text()?;
        let value = match input.byte()? {
            0 => AttributeValue::Str(input.text()?),
            1 => AttributeValue::Bytes(input.slice()?),
            2 => AttributeValue::Encoded(input.slice()?),
            3 => AttributeValue::Bool(input.byte()? != 0),
            4 => AttributeValue::Int(input.signed()?),
            5 => AttributeValue::Double(input.double()?),
            6 => AttributeValue::Empty,
            _ => return None,
        };
        builder.push(key, value);
    }
    Some(builder.build())
}

pub(super) fn put_family(out: &mut Vec<u8>, family: &Family) {
    for text in [&family.name, &family.description, &family.unit] {
        put_slice(out, text.as_bytes());
    }
    let (kind, monotonic, temporality) = match family.kind {
        FamilyKind::Unknown => (0, false, Temporality::Unspecified),
        FamilyKind::Gauge => (1, false, Temporality::Unspecified),
        FamilyKind::Sum { monotonic, temporality } => (2, monotonic, temporality),
        FamilyKind::Histogram { temporality } => (3, false, temporality),
        FamilyKind::ExponentialHistogram { temporality } => (4, false, temporality),
        FamilyKind::Summary => (5, false, Temporality::Unspecified),
        FamilyKind::Info => (6, false, Temporality::Unspecified),
        FamilyKind::StateSet => (7, false, Temporality::Unspecified),
        FamilyKind::GaugeHistogram => (8, false, Temporality::Unspecified),
    };
    let temporality = match temporality {
        Temporality::Unspecified => 0,
        Temporality::Delta => 1,
        Temporality::Cumulative => 2,
    };
    out.extend_from_slice(&[kind, u8::from(monotonic), temporality]);
    put_attributes(out, &family.metadata);
}

pub(super) fn family(input: &mut Input<'_>) -> Option<Family> {
    let (name, description, unit) = (input.text()?.into(), input.text()?.into(), input.text()?.into());
    let (kind, monotonic) = (input.byte()?, input.byte()? != 0);
    let temporality = match input.byte()? {
        0 => Temporality::Unspecified,
        1 => Temporality::Delta,
        2 => Temporality::Cumulative,
        _ => return None,
    };
    let kind = match kind {
        0 => FamilyKind::Unknown,
        1 => FamilyKind::Gauge,
        2 => FamilyKind::Sum { monotonic, temporality },
        3 => FamilyKind::Histogram { temporality },
        4 => FamilyKind::ExponentialHistogram { temporality },
        5 => FamilyKind::Summary,
        6 => FamilyKind::Info,
        7 => FamilyKind::StateSet,
        8 => FamilyKind::GaugeHistogram,
        _ => return None,
    };
    Some(Family { name, description, unit, kind, metadata: attributes(input)? })
}

/// A series without its family, whose number the caller writes.
pub(super) fn put_series(out: &mut Vec<u8>, series: &Series) {
    put_slice(out, series.name.as_bytes());
    let (part, label) = match &series.part {
        Part::Whole => (0, None),
        Part::Bucket(le) => (1, Some(le)),
        Part::Sum => (2, None),
        Part::Count => (3, None),
        Part::Quantile(quantile) => (4, Some(quantile)),
        Part::Created => (5, None),
    };
    out.push(part);
    if let Some(label) = label {
        put_slice(out, label.as_bytes());
    }
    put_attributes(out, &series.attributes);
}

pub(super) fn series(input: &mut Input<'_>, family: Arc<Family>) -> Option<Arc<Series>> {
    let name = input.text()?.into();
    let part = match input.byte()? {
        0 => Part::Whole,
        1 => Part::Bucket(input.text()?.into()),
        2 => Part::Sum,
        3 => Part::Count,
        4 => Part::Quantile(input.text()?.into()),
        5 => Part::Created,
        _ => return None,
    };
    Some(Series::intern(family, name, part, attributes(input)?))
}

pub(super) fn put_origin(out: &mut Vec<u8>, origin: &Origin) {
    out.push(match origin.source {
        Source::Otlp => 0,
        Source::Scrape => 1,
        Source::RemoteWrite => 2,
    });
    let (resource, scope) = (&origin.resource, &origin.scope);
    put_attributes(out, &resource.attributes);
    put_slice(out, resource.schema_url.as_bytes());
    put(out, resource.dropped_attributes.into());
    put_slice(out, &resource.entity_refs);
    put_slice(out, scope.name.as_bytes());
    put_slice(out, scope.version.as_bytes());
    put_attributes(out, &scope.attributes);
    put_slice(out, scope.schema_url.as_bytes());
    put(out, scope.dropped_attributes.into());
    put_attributes(out, &origin.labels);
}

pub(super) fn origin(input: &mut Input<'_>) -> Option<Arc<Origin>> {
    let source = match input.byte()? {
        0 => Source::Otlp,
        1 => Source::Scrape,
        2 => Source::RemoteWrite,
        _ => return None,
    };
    let resource = Resource {
        attributes: attributes(input)?,
        schema_url: input.text()?.into(),
        dropped_attributes: input.small()?,
        entity_refs: input.slice()?.into(),
    };
    let scope = Scope {
        name: input.text()?.into(),
        version: input.text()?.into(),
        attributes: attributes(input)?,
        schema_url: input.text()?.into(),
        dropped_attributes: input.small()?,
    };
    Some(Origin::intern(source, resource, scope, attributes(input)?))
}

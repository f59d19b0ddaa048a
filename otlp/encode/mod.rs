//! Metrics from the series model to the wire.
//!
//! Points are grouped by resource, scope and metric, each in the order in which it first occurs; points of one metric keep
//! their order. Everything that [`crate::decode`] reads is written.
//!
//! Points that travel whole (OTLP, native histograms) are what they were. What came from Prometheus is written as the
//! OpenTelemetry specification maps it, series by series: unknown types are gauges, info and stateset metrics sums that are
//! not monotonic. The parts of a classic histogram or summary should have been put together before; those that come
//! here flat are written under their own names, so that nothing is lost.

#[cfg(test)]
mod tests;
mod value;

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use bytes::Bytes;
use pipeline::{
    AttributeValue, Exemplar, Family, FamilyKind, MetricBatch, Origin, Part, Point, PointGroup, Resource, Scope,
    Series, Temporality, Value,
};

use crate::attributes;
use crate::wire::{close, open, put_bytes, put_message, put_number, put_tag};

/// A batch as an `ExportMetricsServiceRequest`.
#[must_use]
pub fn metrics(batch: &MetricBatch) -> Bytes {
    let tree = Tree::of(batch);
    // A point with some attributes of its own takes about 100 bytes.
    let mut out = Vec::with_capacity(batch.len().saturating_mul(100).min(16 << 20));
    for resource in &tree.resources {
        put_message(&mut out, 1, |out| resource.put(out));
    }
    out.into()
}

/// A batch as OTLP/JSON.
#[must_use]
pub fn metrics_json(batch: &MetricBatch) -> String {
    // What was just encoded can be decoded.
    crate::json::from_protobuf(pipeline::component::Signal::Metrics, &metrics(batch)).unwrap_or_default()
}

/// The data of a metric: the kinds of OTLP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Data {
    Gauge,
    Sum { monotonic: bool, temporality: Temporality },
    Histogram(Temporality),
    ExponentialHistogram(Temporality),
    Summary,
}

impl Data {
    /// What a point of a series is written as. The value decides where the family's type does not fit it.
    fn of(series: &Series, value: &Value) -> Self {
        let cumulative = Temporality::Cumulative;
        let number = match (series.family.kind, &series.part) {
            (_, Part::Bucket(_) | Part::Count | Part::Sum) => Self::Sum { monotonic: true, temporality: cumulative },
            (FamilyKind::Sum { monotonic, temporality }, Part::Whole) => Self::Sum { monotonic, temporality },
            (FamilyKind::Info | FamilyKind::StateSet, _) => Self::Sum { monotonic: false, temporality: cumulative },
            _ => Self::Gauge,
        };
        let temporality = match series.family.kind {
            FamilyKind::Sum { temporality, .. }
            | FamilyKind::Histogram { temporality }
            | FamilyKind::ExponentialHistogram { temporality } => temporality,
            _ => cumulative,
        };
        match (value, series.family.kind) {
            (Value::Histogram(_), _) => Self::Histogram(temporality),
            (Value::ExponentialHistogram(_), _) => Self::ExponentialHistogram(temporality),
            (Value::Summary(_), _) => Self::Summary,
            (Value::NoRecordedValue, kind) if series.part == Part::Whole => match kind {
                FamilyKind::Histogram { .. } => Self::Histogram(temporality),
                FamilyKind::ExponentialHistogram { .. } | FamilyKind::GaugeHistogram => {
                    Self::ExponentialHistogram(temporality)
                }
                FamilyKind::Summary => Self::Summary,
                _ => number,
            },
            (Value::Float(_) | Value::Int(_) | Value::NoRecordedValue, _) => number,
        }
    }

    /// The field of `Metric`.
    fn field(self) -> u32 {
        match self {
            Self::Gauge => 5,
            Self::Sum { .. } => 7,
            Self::Histogram(_) => 9,
            Self::ExponentialHistogram(_) => 10,
            Self::Summary => 11,
        }
    }
}

/// A batch in the order of OTLP; everything is borrowed from it.
struct Tree<'a> {
    resources: Vec<ResourceNode<'a>>,
}

struct ResourceNode<'a> {
    resource: &'a Resource,
    scopes: Vec<ScopeNode<'a>>,
}

struct ScopeNode<'a> {
    scope: &'a Scope,
    metrics: Vec<MetricNode<'a>>,
}

struct MetricNode<'a> {
    name: &'a str,
    family: &'a Family,
    data: Data,
    points: Vec<PointNode<'a>>,
}

struct PointNode<'a> {
    origin: &'a Origin,
    series: &'a Series,
    point: &'a Point,
    exemplars: Vec<&'a Exemplar>,
}

/// Where things stand that were met before.
#[derive(Default)]
struct Places<'a> {
    origins: HashMap<*const Origin, (usize, usize)>,
    resources: HashMap<&'a Resource, usize>,
    scopes: HashMap<(usize, &'a Scope), usize>,
    metrics: HashMap<MetricKey<'a>, usize>,
}

/// Place of the scope, name, family and kind.
type MetricKey<'a> = ((usize, usize), &'a str, *const Family, Data);

impl<'a> Tree<'a> {
    fn of(batch: &'a MetricBatch) -> Self {
        let mut tree = Self { resources: Vec::new() };
        let mut places = Places::default();
        for group in batch.groups() {
            tree.add(group, &mut places);
        }
        tree
    }

    fn add(&mut self, group: &'a PointGroup, places: &mut Places<'a>) {
        let at = self.place(&group.origin, places);
        let Some(scope) = self.resources.get_mut(at.0).and_then(|resource| resource.scopes.get_mut(at.1)) else {
            return;
        };
        let mut exemplars: HashMap<u32, Vec<&Exemplar>> = HashMap::new();
        for exemplar in &group.exemplars {
            exemplars.entry(exemplar.point).or_default().push(exemplar);
        }
        let mut last: Option<(MetricKey<'a>, usize)> = None;
        for (number, point) in (0u32..).zip(&group.points) {
            let Some(series) = group.table.get(point.series) else { continue };
            let name = if series.part == Part::Whole { &*series.family.name } else { &*series.name };
            let key = (at, name, std::sync::Arc::as_ptr(&series.family), Data::of(series, &point.value));
            let metric = match last {
                Some((known, metric)) if known == key => metric,
                _ => *places.metrics.entry(key).or_insert_with(|| {
                    let points = Vec::new();
                    scope.metrics.push(MetricNode { name, family: &series.family, data: key.3, points });
                    scope.metrics.len() - 1
                }),
            };
            last = Some((key, metric));
            if let Some(metric) = scope.metrics.get_mut(metric) {
                let exemplars = exemplars.remove(&number).unwrap_or_default();
                metric.points.push(PointNode { origin: &group.origin, series, point, exemplars });
            }
        }
    }

    /// The place of an origin's resource and scope.
    fn place(&mut self, origin: &'a Origin, places: &mut Places<'a>) -> (usize, usize) {
        let known = match places.origins.entry(std::ptr::from_ref(origin)) {
            Entry::Occupied(known) => return *known.get(),
            Entry::Vacant(new) => new,
        };
        let at = *places.resources.entry(&origin.resource).or_insert_with(|| {
            self.resources.push(ResourceNode { resource: &origin.resource, scopes: Vec::new() });
            self.resources.len() - 1
        });
        let scopes = self.resources.get_mut(at).map(|resource| &mut resource.scopes);
        let scope = *places.scopes.entry((at, &origin.scope)).or_insert_with(|| {
            let Some(scopes) = scopes else { return 0 };
            scopes.push(ScopeNode { scope: &origin.scope, metrics: Vec::new() });
            scopes.len() - 1
        });
        *known.insert((at, scope))
    }
}

impl ResourceNode<'_> {
    fn put(&self, out: &mut Vec<u8>) {
        put_message(out, 1, |out| {
            attributes::put(out, 1, &self.resource.attributes);
            put_count(out, 2, self.resource.dropped_attributes);
            out.extend_from_slice(&self.resource.entity_refs);
        });
        for scope in &self.scopes {
            put_message(out, 2, |out| scope.put(out));
        }
        put_text(out, 3, &self.resource.schema_url);
    }
}

impl ScopeNode<'_> {
    fn put(&self, out: &mut Vec<u8>) {
        put_message(out, 1, |out| {
            put_text(out, 1, &self.scope.name);
            put_text(out, 2, &self.scope.version);
            attributes::put(out, 3, &self.scope.attributes);
            put_count(out, 4, self.scope.dropped_attributes);
        });
        for metric in &self.metrics {
            put_message(out, 2, |out| metric.put(out));
        }
        put_text(out, 3, &self.scope.schema_url);
    }
}

impl MetricNode<'_> {
    fn put(&self, out: &mut Vec<u8>) {
        put_text(out, 1, self.name);
        put_text(out, 2, &self.family.description);
        put_text(out, 3, &self.family.unit);
        put_tag(out, self.data.field(), crate::wire::BYTES);
        let start = open(out);
        for point in &self.points {
            put_message(out, 1, |out| point.put(self.data, out));
        }
        match self.data {
            Data::Sum { monotonic, temporality } => {
                put_temporality(out, temporality);
                put_count(out, 3, u32::from(monotonic));
            }
            Data::Histogram(temporality) | Data::ExponentialHistogram(temporality) => put_temporality(out, temporality),
            Data::Gauge | Data::Summary => {}
        }
        close(out, start);
        attributes::put(out, 12, &self.family.metadata);
    }
}

impl PointNode<'_> {
    fn put(&self, data: Data, out: &mut Vec<u8>) {
        let attributes = |out: &mut Vec<u8>, field| {
            let part = self.series.part.label().map(|(key, value)| (key, AttributeValue::Str(value)));
            attributes::put(out, field, self.series.attributes.iter().chain(&self.origin.labels).chain(part));
        };
        value::put(data, self.point, &self.exemplars, attributes, out);
    }
}

fn put_temporality(out: &mut Vec<u8>, temporality: Temporality) {
    let number = match temporality {
        Temporality::Unspecified => 0,
        Temporality::Delta => 1,
        Temporality::Cumulative => 2,
    };
    put_count(out, 2, number);
}

/// Text, if there is some.
fn put_text(out: &mut Vec<u8>, field: u32, text: &str) {
    if !text.is_empty() {
        put_bytes(out, field, text.as_bytes());
    }
}

/// A number, unless it is 0.
fn put_count(out: &mut Vec<u8>, field: u32, count: u32) {
    if count > 0 {
        put_number(out, field, u64::from(count));
    }
}

//! Metrics from the series model to the wire.
//!
//! Points are grouped by resource, scope and metric, each in the order in which it first occurs; points of one metric keep
//! their order. Everything that [`crate::decode`] reads is written.
//!
//! Points that travel whole (OTLP, native histograms) are what they were. What came from Prometheus is written as the
//! OpenTelemetry specification maps it (Prometheus and OpenMetrics compatibility), with the Collector's receiver where that
//! leaves a choice:
//!
//! - unknown types are gauges, info and stateset metrics sums that are not monotonic;
//! - scraped histograms and summaries are put together ([`classic`]), those without a count dropped; by remote write their series
//!   may come in different requests, so that they are written under their own names and nothing is lost;
//! - `_created` is the start time of its counter, histogram or summary;
//! - `target_info` is attributes of the resource ([`targets`]), and `otel_scope_*` labels are the scope ([`scopes`]);
//! - gauge histograms, which OTLP does not have, are dropped;
//! - counts that are fractions are rounded ([`fractions`]), since OTLP has whole numbers only;
//! - a staleness marker is the flag that says that there is no value.

mod classic;
mod fractions;
mod scopes;
mod targets;
#[cfg(test)]
mod tests;
mod tree;
mod value;

use bytes::Bytes;
use pipeline::{FamilyKind, MetricBatch, Part, Series, Temporality, Value};

use self::targets::Targets;
use self::tree::{Builder, MetricNode, PointNode, ResourceNode, ScopeNode, Tree};
use crate::attributes;
use crate::wire::{close, open, put_bytes, put_message, put_number, put_tag};

/// A batch as an `ExportMetricsServiceRequest`. [`MetricsEncoder`] also says what was dropped, and remembers what targets say of
/// themselves.
#[must_use]
pub fn metrics(batch: &MetricBatch) -> Bytes {
    MetricsEncoder::default().encode(batch).body
}

/// A batch as OTLP/JSON.
#[must_use]
pub fn metrics_json(batch: &MetricBatch) -> String {
    // What was just encoded can be decoded.
    crate::json::from_protobuf(pipeline::component::Signal::Metrics, &metrics(batch)).unwrap_or_default()
}

/// Writes the batches of one pipeline. Attributes that a target has told by `target_info` stay with it in later batches.
#[derive(Debug, Default)]
pub struct MetricsEncoder {
    targets: Targets,
}

/// What a batch came to.
#[derive(Debug)]
pub struct Encoded {
    /// An `ExportMetricsServiceRequest`; empty if nothing is left of the batch.
    pub body: Bytes,
    /// Data points in it, of which a histogram is one.
    pub data_points: usize,
    /// What OTLP has no place for.
    pub dropped: Dropped,
}

/// Samples of Prometheus that cannot be OTLP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Of histograms and summaries without a count.
    pub incomplete: u64,
    /// Of buckets without a bound, quantiles without one, and histograms whose counts are no numbers.
    pub malformed: u64,
    /// Of gauge histograms.
    pub gauge_histograms: u64,
}

impl Dropped {
    /// Reasons, as they are counted under, and samples.
    #[must_use]
    pub fn by_reason(&self) -> [(&'static str, u64); 3] {
        [
            ("incomplete_family", self.incomplete),
            ("malformed_family", self.malformed),
            ("gauge_histogram", self.gauge_histograms),
        ]
    }
}

impl MetricsEncoder {
    /// Writes a batch.
    pub fn encode(&mut self, batch: &MetricBatch) -> Encoded {
        for group in batch.groups() {
            self.targets.note(group);
        }
        let tree: Tree<'_> = Builder::build(batch, &self.targets);
        // A point with some attributes of its own takes about 100 bytes.
        let mut out = Vec::with_capacity(batch.len().saturating_mul(100).min(16 << 20));
        for resource in &tree.resources {
            put_message(&mut out, 1, |out| resource.put(out));
        }
        let scopes = tree.resources.iter().flat_map(|resource| &resource.scopes);
        let data_points = scopes.flat_map(|scope| &scope.metrics).map(|metric| metric.points.len()).sum();
        Encoded { body: out.into(), data_points, dropped: tree.dropped }
    }
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
            (Value::Histogram(_) | Value::FloatHistogram(_), _) => Self::Histogram(temporality),
            (Value::ExponentialHistogram(_) | Value::FloatExponentialHistogram(_), _) => {
                Self::ExponentialHistogram(temporality)
            }
            (Value::Summary(_), _) => Self::Summary,
            (Value::NoRecordedValue(_), kind) if series.part == Part::Whole => match kind {
                FamilyKind::Histogram { .. } => Self::Histogram(temporality),
                FamilyKind::ExponentialHistogram { .. } | FamilyKind::GaugeHistogram => {
                    Self::ExponentialHistogram(temporality)
                }
                FamilyKind::Summary => Self::Summary,
                _ => number,
            },
            (Value::Float(_) | Value::Int(_) | Value::NoRecordedValue(_), _) => number,
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
        let Some(point) = self.point() else { return };
        let attributes = |out: &mut Vec<u8>, field| attributes::put(out, field, self.attributes());
        value::put(data, point, &self.exemplars, attributes, out);
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

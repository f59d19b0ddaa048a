#![expect(clippy::unwrap_used, reason = "tests")]

use super::config::{self, Config};
use super::encode::{Encoder, Request};
use super::limits;
use super::metrics::Metrics;
use super::sample::STALE;
use super::translation::Translation;
use pipeline::telemetry::Telemetry;
use pipeline::{
    Attributes, Family, FamilyKind, MetricBatch, Origin, Part, Point, PointGroup, Resource, Scope, Series, SeriesTable,
    Source, Value,
};
use prometheus::remote_write::protocol::ProtocolVersion;
use prometheus::remote_write::snappy::decode_block;
use prometheus::remote_write::wire::{
    DecodeLimits, FamilyMetadata, Rejection, TimeSeries, WriteVisitor, decode_v1, decode_v2,
};
use std::collections::BTreeMap;
use std::sync::Arc;

mod delivery;
mod deltas;
mod durable;
mod encoding;
mod natives;
mod observed;
mod parts;
mod settings;
mod sharding;
mod version2;
mod wire;

/// Labels in the order sent.
type LabelPairs = Vec<(String, String)>;
/// Milliseconds and values.
type Samples = Vec<(i64, f64)>;

/// What a store reads from a request.
#[derive(Debug, Default)]
pub(super) struct Received {
    pub(super) series: Vec<(LabelPairs, Samples)>,
    pub(super) histograms: usize,
    pub(super) exemplars: usize,
    pub(super) metadata: Vec<String>,
}

impl<'a> WriteVisitor<'a> for Received {
    fn series(&mut self, series: &TimeSeries<'a>) {
        let labels: Vec<_> =
            series.labels_utf8().map(|label| label.map(|(n, v)| (n.to_owned(), v.to_owned())).unwrap()).collect();
        assert!(labels.is_sorted_by(|a, b| a.0 < b.0), "labels are sorted and unique: {labels:?}");
        let samples = series.samples.iter().map(|s| (s.timestamp_ms, s.value)).collect();
        self.histograms += series.histograms.len();
        self.exemplars += series.exemplars.len();
        self.series.push((labels, samples));
    }

    fn metadata(&mut self, metadata: FamilyMetadata<'a>) {
        self.metadata.push(String::from_utf8_lossy(metadata.family).into_owned());
    }

    fn rejected(&mut self, rejection: Rejection) {
        panic!("a store would reject {rejection:?}");
    }
}

pub(super) fn received(requests: &[Request]) -> Received {
    let mut all = Received::default();
    for request in requests {
        let mut raw = Vec::new();
        decode_block(&request.body, 1 << 30, &mut raw).unwrap();
        match request.version {
            ProtocolVersion::V1 => decode_v1(&raw, &DecodeLimits::default(), &mut all).unwrap(),
            ProtocolVersion::V2 => decode_v2(&raw, &DecodeLimits::default(), &mut all).unwrap(),
        }
    }
    all
}

pub(super) fn config(keys: &str) -> Config {
    let yaml = format!("endpoint: http://127.0.0.1:9/api/v1/write\n{keys}");
    Config::read(&pipeline::config::parse(&yaml, "test.yaml").unwrap(), config::Dialect::Plain).unwrap()
}

pub(super) fn encoder(keys: &str) -> Encoder {
    let config = config(keys);
    let metrics = Arc::new(Metrics::new(&Telemetry::default(), "prometheusremotewrite", "test"));
    let translation = Arc::new(config.translation);
    let mut encoder = Encoder::new(Arc::clone(&translation), config.limits, metrics, limits::Guard::new(config.store));
    encoder.speak(config.version, &translation);
    encoder
}

pub(super) fn encode(encoder: &mut Encoder, batch: MetricBatch) -> Received {
    encoder.encode(batch);
    encoder.seal_all();
    let requests: Vec<_> = std::iter::from_fn(|| encoder.next_sealed()).collect();
    received(&requests)
}

pub(super) fn origin(source: Source, resource: &[(&str, &str)], labels: &[(&str, &str)]) -> Arc<Origin> {
    let resource = Resource { attributes: Attributes::from_pairs(resource.iter().copied()), ..Resource::default() };
    Origin::intern(source, resource, Scope::default(), Attributes::from_pairs(labels.iter().copied()))
}

pub(super) fn series(name: &str, kind: FamilyKind, attributes: &[(&str, &str)]) -> Arc<Series> {
    let family = Family { name: name.into(), kind, ..Family::default() };
    Series::intern(Arc::new(family), name.into(), Part::Whole, Attributes::from_pairs(attributes.iter().copied()))
}

pub(super) fn point(series: u32, millis: i64, value: f64) -> Point {
    Point { series, flags: 0, time: millis * 1_000_000, start: 0, value: Value::Float(value) }
}

pub(super) fn batch(origin: &Arc<Origin>, series: Vec<Arc<Series>>, points: Vec<Point>) -> MetricBatch {
    MetricBatch::new(vec![PointGroup::new(Arc::clone(origin), SeriesTable::intern(series), points)])
}

pub(super) fn labels(of: &[(String, String)]) -> BTreeMap<&str, &str> {
    of.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect()
}

pub(super) fn is_stale(value: f64) -> bool {
    value.to_bits() == STALE.to_bits()
}

pub(super) fn translation(keys: &str) -> Translation {
    config(keys).translation
}

#![expect(clippy::unwrap_used, reason = "tests")]

mod behaviour;
mod configuration;
mod model;
mod remembering;
mod values;

use super::config::Config;
use super::verdict::RelabelJudge;
use crate::routing::Router;
use crate::testing::{group, node, point};
use pipeline::{MetricBatch, Origin, PointGroup, Series, SeriesTable};
use prometheus::labels::{Labels, LabelsBuilder, METRIC_NAME};
use std::sync::Arc;

/// A relabeller with these rules, written as YAML list items.
fn relabeller(rules: &str) -> Router<RelabelJudge> {
    let yaml = format!("rules:\n{rules}");
    Router::new(RelabelJudge::new(Config::read(&node(&yaml)).unwrap().rules))
}

/// A batch with one point for each series of a table.
fn batch(origin: &Arc<Origin>, table: &Arc<SeriesTable>) -> MetricBatch {
    MetricBatch::new(vec![group(origin, table, (0..table.len() as u32).map(|i| point(i, i64::from(i))).collect())])
}

/// The series as Prometheus would see it: one label set.
fn flat(origin: &Origin, series: &Series) -> Labels {
    let mut labels = LabelsBuilder::new();
    for (name, value) in origin.labels.iter().chain(&series.attributes) {
        let value = prometheus::translate::attribute_text(value);
        if !value.is_empty() {
            labels.set(name, &value);
        }
    }
    let resource = &origin.resource.attributes;
    if let Some(name) = resource.get_str("service.name").filter(|name| !name.is_empty()) {
        let namespace =
            resource.get_str("service.namespace").map_or(String::new(), |namespace| format!("{namespace}/"));
        labels.set("job", &format!("{namespace}{name}"));
    }
    if let Some(instance) = resource.get_str("service.instance.id").filter(|instance| !instance.is_empty()) {
        labels.set("instance", instance);
    }
    if let Some((name, value)) = series.part.label() {
        labels.set(name, value);
    }
    labels.set(METRIC_NAME, &series.name);
    labels.build()
}

/// The label sets of all points of a batch.
fn flat_all(groups: &[PointGroup]) -> Vec<String> {
    groups
        .iter()
        .flat_map(|g| g.points.iter().map(|p| flat(&g.origin, g.table.get(p.series).unwrap()).to_string()))
        .collect()
}

//! The points of a batch in the order of OTLP: resource, scope, metric, data point.

use std::collections::HashMap;

use pipeline::value::{Exemplar, Point};
use pipeline::{Family, MetricBatch, Origin, PointGroup, Resource, Scope, Series};

/// A batch as a tree; everything is borrowed from it.
pub(super) struct Tree<'a> {
    pub(super) resources: Vec<ResourceNode<'a>>,
}

pub(super) struct ResourceNode<'a> {
    pub(super) resource: &'a Resource,
    pub(super) scopes: Vec<ScopeNode<'a>>,
}

pub(super) struct ScopeNode<'a> {
    pub(super) scope: &'a Scope,
    pub(super) metrics: Vec<MetricNode<'a>>,
}

pub(super) struct MetricNode<'a> {
    pub(super) family: &'a Family,
    pub(super) points: Vec<PointNode<'a>>,
}

pub(super) struct PointNode<'a> {
    pub(super) origin: &'a Origin,
    pub(super) series: &'a Series,
    pub(super) point: &'a Point,
    pub(super) exemplars: Vec<&'a Exemplar>,
}

#[derive(Default)]
struct Places<'a> {
    resources: HashMap<&'a Resource, usize>,
    scopes: HashMap<(usize, &'a Scope), usize>,
    metrics: HashMap<(usize, usize, &'a Family), usize>,
}

impl<'a> Tree<'a> {
    /// The tree of a batch; everything is in the order in which it first occurs.
    pub(super) fn of(batch: &'a MetricBatch) -> Self {
        let mut tree = Self { resources: Vec::new() };
        let mut places = Places::default();
        for group in batch.groups() {
            tree.add(group, &mut places);
        }
        tree
    }

    pub(super) fn resource_count(&self) -> usize {
        self.resources.len()
    }

    pub(super) fn metric_count(&self) -> usize {
        self.resources.iter().flat_map(|r| &r.scopes).map(|s| s.metrics.len()).sum()
    }

    fn add(&mut self, group: &'a PointGroup, places: &mut Places<'a>) {
        let mut exemplars: HashMap<u32, Vec<&Exemplar>> = HashMap::new();
        for exemplar in &group.exemplars {
            exemplars.entry(exemplar.point).or_default().push(exemplar);
        }
        let origin: &Origin = &group.origin;
        let resource_at = *places.resources.entry(&origin.resource).or_insert_with(|| {
            self.resources.push(ResourceNode { resource: &origin.resource, scopes: Vec::new() });
            self.resources.len() - 1
        });
        let Some(resource) = self.resources.get_mut(resource_at) else { return };
        let scope_at = *places.scopes.entry((resource_at, &origin.scope)).or_insert_with(|| {
            resource.scopes.push(ScopeNode { scope: &origin.scope, metrics: Vec::new() });
            resource.scopes.len() - 1
        });
        let Some(scope) = resource.scopes.get_mut(scope_at) else { return };
        for (index, point) in (0u32..).zip(&group.points) {
            let Some(series) = group.table.get(point.series) else { continue };
            let family: &Family = &series.family;
            let metric_at = *places.metrics.entry((resource_at, scope_at, family)).or_insert_with(|| {
                scope.metrics.push(MetricNode { family, points: Vec::new() });
                scope.metrics.len() - 1
            });
            if let Some(metric) = scope.metrics.get_mut(metric_at) {
                let exemplars = exemplars.remove(&index).unwrap_or_default();
                metric.points.push(PointNode { origin, series, point, exemplars });
            }
        }
    }
}

//! A batch in the order of OTLP: resources, scopes, metrics, points, each in the order in which it first occurs.

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use pipeline::value::ResetHint;
use pipeline::{
    AttributeValue, Attributes, Exemplar, Family, FamilyKind, MetricBatch, Origin, Part, Point, PointGroup, Resource,
    Scope, Series, Source, Temporality, Value,
};

use super::classic::{Assembly, Key, nanoseconds};
use super::fractions::rounded;
use super::targets::{TARGET_INFO, Targets};
use super::{Data, Dropped, fractions, scopes};

/// Everything is borrowed from the batch, but for points that were put together.
pub(super) struct Tree<'a> {
    pub(super) resources: Vec<ResourceNode<'a>>,
    pub(super) dropped: Dropped,
}

pub(super) struct ResourceNode<'a> {
    pub(super) resource: &'a Resource,
    pub(super) scopes: Vec<ScopeNode<'a>>,
}

pub(super) struct ScopeNode<'a> {
    pub(super) scope: Cow<'a, Scope>,
    pub(super) metrics: Vec<MetricNode<'a>>,
}

pub(super) struct MetricNode<'a> {
    pub(super) name: &'a str,
    pub(super) family: &'a Family,
    /// What tells families apart, however many copies there are of one.
    family_number: usize,
    pub(super) data: Data,
    pub(super) points: Vec<PointNode<'a>>,
}

pub(super) struct PointNode<'a> {
    origin: &'a Origin,
    series: &'a Series,
    /// Whether labels that describe the scope are to be left out.
    scoped: bool,
    body: Body<'a>,
    pub(super) exemplars: Vec<&'a Exemplar>,
}

enum Body<'a> {
    /// As it came.
    Kept(&'a Point),
    /// Made here, without the label that its first sample had.
    Made(Box<Point>),
    /// To be put together when all of the batch was seen.
    Instance(usize),
}

impl<'a> Body<'a> {
    /// The body of a point that is none without counts that are numbers.
    fn of(point: &'a Point) -> Result<Self, fractions::Undefined> {
        Ok(match rounded(&point.value)? {
            None => Self::Kept(point),
            Some(value) => Self::Made(Box::new(Point { value, ..*point })),
        })
    }
}

/// Whether a histogram is one whose counts go up and down.
fn is_gauge(value: &Value) -> bool {
    let reset = match value {
        Value::Histogram(histogram) => histogram.reset,
        Value::ExponentialHistogram(histogram) => histogram.reset,
        Value::FloatHistogram(histogram) => histogram.reset,
        Value::FloatExponentialHistogram(histogram) => histogram.reset,
        _ => ResetHint::Unknown,
    };
    reset == ResetHint::Gauge
}

impl<'a> PointNode<'a> {
    /// The point; none is left without one when the tree is finished.
    pub(super) fn point(&self) -> Option<&Point> {
        match &self.body {
            Body::Kept(point) => Some(point),
            Body::Made(point) => Some(point),
            Body::Instance(_) => None,
        }
    }

    pub(super) fn attributes(&self) -> impl Iterator<Item = (&str, AttributeValue<'_>)> {
        let part = match self.body {
            Body::Kept(_) => self.series.part.label().map(|(key, value)| (key, AttributeValue::Str(value))),
            _ => None,
        };
        let all = self.series.attributes.iter().chain(&self.origin.labels).chain(part);
        all.filter(|(key, _)| !(self.scoped && scopes::is_of_scope(key)))
    }
}

/// The place of a scope: that of its resource, and its own.
type ScopePlace = (usize, usize);

/// What makes a metric: its scope, its family, its name if that is not the family's, and the kind of its data.
type MetricKey<'a> = (ScopePlace, usize, Option<&'a str>, Data);

/// Where things stand that were met before.
#[derive(Default)]
struct Places<'a> {
    origins: HashMap<*const Origin, ScopePlace>,
    resources: HashMap<&'a Resource, usize>,
    scopes: HashMap<(usize, Scope), usize>,
    labelled: HashMap<(*const Origin, *const Series), ScopePlace>,
    metrics: HashMap<MetricKey<'a>, usize>,
    /// Families by address, and by what they are.
    families: (HashMap<*const Family, usize>, HashMap<&'a Family, usize>),
    /// The family asked for last, since points of one come one after the other.
    last_family: Option<(*const Family, usize)>,
}

/// Makes the tree.
pub(super) struct Builder<'a> {
    targets: &'a Targets,
    tree: Tree<'a>,
    places: Places<'a>,
    assembly: Assembly<'a>,
    /// Since when counters count.
    created: HashMap<Key<'a>, i64>,
    last: Option<(MetricKey<'a>, usize)>,
}

/// What becomes of a sample of Prometheus.
enum Role {
    /// It is a point.
    Point,
    /// It is a part of one.
    Part,
    /// It says since when a counter counts.
    Created,
    /// It is an attribute of the resource.
    TargetInfo,
    /// It says nothing without the label that it lacks.
    Malformed,
    /// It is of a type that OTLP does not have.
    GaugeHistogram,
}

impl Role {
    fn of(origin: &Origin, series: &Series, value: &Value) -> Self {
        let kind = series.family.kind;
        if origin.source == Source::Otlp {
            return Self::Point;
        }
        if series.name.len() == TARGET_INFO.len() && &*series.name == TARGET_INFO {
            return Self::TargetInfo;
        }
        if kind == FamilyKind::GaugeHistogram || is_gauge(value) {
            return Self::GaugeHistogram;
        }
        // The parts of what came by remote write may be spread over requests, as senders spread series.
        if origin.source != Source::Scrape {
            return Self::Point;
        }
        let classic = matches!(kind, FamilyKind::Histogram { .. } | FamilyKind::Summary);
        match series.part {
            Part::Created if !classic => Self::Created,
            Part::Whole if !classic => Self::Point,
            Part::Whole => match value {
                Value::Float(_) | Value::Int(_) => Self::Malformed,
                Value::NoRecordedValue(_) if series.name.ends_with("_bucket") => Self::Malformed,
                _ => Self::Point,
            },
            _ => Self::Part,
        }
    }
}

impl<'a> Builder<'a> {
    pub(super) fn build(batch: &'a MetricBatch, targets: &'a Targets) -> Tree<'a> {
        let mut builder = Self {
            targets,
            tree: Tree { resources: Vec::new(), dropped: Dropped::default() },
            places: Places::default(),
            assembly: Assembly::default(),
            created: HashMap::new(),
            last: None,
        };
        for group in batch.groups() {
            builder.group(group);
        }
        builder.finish()
    }

    fn group(&mut self, group: &'a PointGroup) {
        let origin = &*group.origin;
        let own_place = self.origin(origin);
        let may_be_labelled = scopes::may_be_labelled(origin);
        let labelled_origin = may_be_labelled && scopes::are_labelled(&origin.labels);
        let mut exemplars: HashMap<u32, Vec<&Exemplar>> = HashMap::new();
        for exemplar in &group.exemplars {
            exemplars.entry(exemplar.point).or_default().push(exemplar);
        }
        for (number, point) in (0u32..).zip(&group.points) {
            let Some(series) = group.table.get(point.series) else { continue };
            let role = Role::of(origin, series, &point.value);
            match role {
                Role::Point | Role::Part | Role::Created => {}
                Role::TargetInfo => continue,
                Role::Malformed => {
                    self.tree.dropped.malformed += u64::from(point.value.is_recorded());
                    continue;
                }
                Role::GaugeHistogram => {
                    self.tree.dropped.gauge_histograms += u64::from(point.value.is_recorded());
                    continue;
                }
            }
            let scoped = labelled_origin || (may_be_labelled && scopes::are_labelled(&series.attributes));
            let place = if scoped { self.labelled(origin, series) } else { own_place };
            let exemplars = if exemplars.is_empty() { None } else { exemplars.remove(&number) };
            let exemplars = exemplars.unwrap_or_default();
            let family = self.family(&series.family);
            let key: Key<'a> = (std::ptr::from_ref(origin), family, &series.attributes, point.time);
            match role {
                Role::Point => {
                    let own_name = (series.part != Part::Whole).then_some(&*series.name);
                    let key = (place, family, own_name, Data::of(series, &point.value));
                    let Ok(body) = Body::of(point) else {
                        self.tree.dropped.malformed += 1;
                        continue;
                    };
                    self.point(key, series, PointNode { origin, series, scoped, body, exemplars });
                }
                Role::Created => {
                    if let Value::Float(seconds) = point.value {
                        self.created.insert(key, nanoseconds(seconds));
                    }
                }
                _ => match self.assembly.add(key, series, point, exemplars) {
                    Ok((_, false)) => {}
                    Ok((at, true)) => {
                        let summary = series.family.kind == FamilyKind::Summary;
                        let data = if summary { Data::Summary } else { Data::Histogram(Temporality::Cumulative) };
                        let body = Body::Instance(at);
                        let node = PointNode { origin, series, scoped, body, exemplars: Vec::new() };
                        self.point((place, family, None, data), series, node);
                    }
                    Err(_) => self.tree.dropped.malformed += 1,
                },
            }
        }
    }

    /// Adds a point to its metric.
    fn point(&mut self, key: MetricKey<'a>, series: &'a Series, node: PointNode<'a>) {
        let ((resource, scope), family_number, own_name, data) = key;
        let scope = self.tree.resources.get_mut(resource).and_then(|resource| resource.scopes.get_mut(scope));
        let Some(scope) = scope else { return };
        let at = match self.last {
            Some((known, at)) if known == key => at,
            _ => *self.places.metrics.entry(key).or_insert_with(|| {
                let (family, points) = (&*series.family, Vec::new());
                let name = own_name.unwrap_or(&family.name);
                scope.metrics.push(MetricNode { name, family, family_number, data, points });
                scope.metrics.len() - 1
            }),
        };
        self.last = Some((key, at));
        if let Some(metric) = scope.metrics.get_mut(at) {
            metric.points.push(node);
        }
    }

    /// The number of a family.
    fn family(&mut self, family: &'a Arc<Family>) -> usize {
        let address = Arc::as_ptr(family);
        if let Some((last, number)) = self.places.last_family
            && last == address
        {
            return number;
        }
        let (by_address, by_content) = &mut self.places.families;
        let number = *by_address.entry(address).or_insert_with(|| {
            let next = by_content.len();
            *by_content.entry(family).or_insert(next)
        });
        self.places.last_family = Some((address, number));
        number
    }

    /// The place of an origin's own scope.
    fn origin(&mut self, origin: &'a Origin) -> ScopePlace {
        if let Some(known) = self.places.origins.get(&std::ptr::from_ref(origin)) {
            return *known;
        }
        let resource = self.resource(origin);
        let place = self.scope(resource, Cow::Borrowed(scopes::unlabelled(origin)));
        self.places.origins.insert(std::ptr::from_ref(origin), place);
        place
    }

    /// The place of the scope that a series' labels describe.
    fn labelled(&mut self, origin: &'a Origin, series: &'a Series) -> ScopePlace {
        let key = (std::ptr::from_ref(origin), std::ptr::from_ref(series));
        if let Some(known) = self.places.labelled.get(&key) {
            return *known;
        }
        let scope = scopes::labelled(series.attributes.iter().chain(&origin.labels));
        let resource = self.resource(origin);
        let place = self.scope(resource, Cow::Owned(scope));
        self.places.labelled.insert(key, place);
        place
    }

    fn resource(&mut self, origin: &'a Origin) -> usize {
        let resource = self.targets.resource(origin);
        let resources = &mut self.tree.resources;
        match self.places.resources.entry(resource) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(new) => {
                resources.push(ResourceNode { resource, scopes: Vec::new() });
                *new.insert(resources.len() - 1)
            }
        }
    }

    fn scope(&mut self, resource: usize, scope: Cow<'a, Scope>) -> ScopePlace {
        let Some(node) = self.tree.resources.get_mut(resource) else { return (resource, 0) };
        let at = *self.places.scopes.entry((resource, scope.as_ref().clone())).or_insert_with(|| {
            node.scopes.push(ScopeNode { scope, metrics: Vec::new() });
            node.scopes.len() - 1
        });
        (resource, at)
    }

    /// Puts points together, gives counters their start, and takes out what is empty.
    fn finish(mut self) -> Tree<'a> {
        let scopes = self.tree.resources.iter_mut().flat_map(|resource| &mut resource.scopes);
        for metric in scopes.flat_map(|scope| &mut scope.metrics) {
            match metric.data {
                Data::Histogram(_) | Data::Summary => metric.finish(&mut self.assembly, &mut self.tree.dropped),
                Data::Sum { monotonic: true, .. } if !self.created.is_empty() => metric.start(&self.created),
                _ => {}
            }
        }
        for resource in &mut self.tree.resources {
            for scope in &mut resource.scopes {
                scope.metrics.retain(|metric| !metric.points.is_empty());
            }
            resource.scopes.retain(|scope| !scope.metrics.is_empty());
        }
        self.tree.resources.retain(|resource| !resource.scopes.is_empty());
        self.tree
    }
}

impl<'a> MetricNode<'a> {
    fn finish(&mut self, assembly: &mut Assembly<'a>, dropped: &mut Dropped) {
        self.points.retain_mut(|node| {
            let Body::Instance(at) = node.body else { return true };
            match assembly.finish(at) {
                Ok((point, exemplars)) => {
                    node.body = Body::Made(Box::new(point));
                    node.exemplars = exemplars;
                    true
                }
                Err(samples) => {
                    dropped.incomplete += samples;
                    false
                }
            }
        });
    }

    fn start(&mut self, created: &HashMap<Key<'a>, i64>) {
        for node in &mut self.points {
            let Body::Kept(point) = node.body else { continue };
            let attributes: &Attributes = &node.series.attributes;
            let key = (std::ptr::from_ref(node.origin), self.family_number, attributes, point.time);
            if let Some(start) = created.get(&key)
                && point.start == 0
            {
                node.body = Body::Made(Box::new(Point { start: *start, ..point.clone() }));
            }
        }
    }
}

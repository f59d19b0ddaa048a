//! Tests of the `prometheus` exporter.
#![expect(clippy::unwrap_used, reason = "tests")]

mod http;
mod pages;
mod values;

use std::sync::Arc;
use std::time::Duration;

use pipeline::config::parse;
use pipeline::model::Source;
use pipeline::value::{Point, Value};
use pipeline::{
    Attributes, Family, FamilyKind, MetricBatch, Origin, Part, PointGroup, Resource, Scope, Series, SeriesTable,
};
use tokio::time::Instant;

use super::config::PrometheusConfig;
use super::page::PageForm;
use super::store::{Store, Taken};

const TEXT: PageForm = PageForm { open_metrics: false, utf8: false, timestamps: false };
const OPEN_METRICS: PageForm = PageForm { open_metrics: true, utf8: false, timestamps: false };

/// A store and the time in it.
struct Shop {
    store: Store,
    now: Instant,
}

impl Shop {
    fn new(settings: &str) -> Self {
        let node = parse(&format!("endpoint: localhost:0\n{settings}"), "t.yaml").unwrap();
        let config = PrometheusConfig::read(&node).unwrap();
        let store = Store::new(config.rules().unwrap(), config.expiration(), config.enable_open_metrics);
        Self { store, now: Instant::now() }
    }

    fn take(&mut self, origin: &Arc<Origin>, points: Vec<(Arc<Series>, i64, Value)>) -> Taken {
        let points = points.into_iter().map(|(series, time, value)| (series, 0, time, value)).collect();
        self.take_spans(origin, points)
    }

    /// Takes points with their start and end in seconds.
    fn take_spans(&mut self, origin: &Arc<Origin>, points: Vec<(Arc<Series>, i64, i64, Value)>) -> Taken {
        let table = SeriesTable::intern(points.iter().map(|(series, ..)| Arc::clone(series)).collect());
        let second = 1_000_000_000;
        let points = (0..).zip(points).map(|(at, (_, start, time, value))| Point {
            series: at,
            flags: 0,
            time: time * second,
            start: start * second,
            value,
        });
        let group = PointGroup::new(Arc::clone(origin), table, points.collect());
        self.store.take(MetricBatch::new(vec![group]), self.now)
    }

    fn pass(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
        self.store.expire(self.now);
    }

    fn page(&mut self, form: PageForm) -> String {
        self.store.page(form).text
    }
}

fn origin(source: Source, resource: &[(&str, &str)]) -> Arc<Origin> {
    let attributes = Attributes::from_pairs(resource.iter().copied());
    let resource = Resource { attributes, ..Resource::default() };
    Origin::intern(source, resource, Scope::default(), Attributes::default())
}

fn family(name: &str, unit: &str, kind: FamilyKind) -> Arc<Family> {
    Arc::new(Family {
        name: name.into(),
        description: format!("Help of {name}.").into(),
        unit: unit.into(),
        kind,
        metadata: Attributes::default(),
    })
}

fn part(family: &Arc<Family>, name: &str, part: Part, attributes: &[(&str, &str)]) -> Arc<Series> {
    Series::intern(Arc::clone(family), name.into(), part, Attributes::from_pairs(attributes.iter().copied()))
}

fn whole(name: &str, unit: &str, kind: FamilyKind, attributes: &[(&str, &str)]) -> Arc<Series> {
    part(&family(name, unit, kind), name, Part::Whole, attributes)
}

/// Reasons and numbers of dropped points.
fn dropped(taken: &Taken) -> Vec<(&str, u64)> {
    let mut dropped: Vec<(&str, u64)> = taken.dropped.iter().map(|(reason, points)| (*reason, *points)).collect();
    dropped.sort_unstable();
    dropped
}

/// The lines of a page that are no comments.
fn samples(page: &str) -> Vec<&str> {
    page.lines().filter(|line| !line.starts_with('#')).collect()
}

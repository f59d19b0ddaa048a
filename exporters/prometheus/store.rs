//! The last value of every series, and what is known of its name and labels.
//!
//! A series is the pair of origin and [`Series`], found by two small ids without touching any text. Names and labels are
//! made into text when a pair is first met: once for an origin, once for a series whichever origins have it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use pipeline::value::{Exemplar, Point, Value};
use pipeline::{Family, MetricBatch, Origin, PointGroup, Series};
use tokio::time::Instant;

use super::accumulate::Current;
use super::families::Families;
use super::rules::{BAD_NAME, Exposed, Reason, Rules, TARGET_INFO, TargetInfo};
use super::text::LabelText;

/// Everything that a scrape shows.
#[derive(Debug)]
pub(super) struct Store {
    pub(super) rules: Rules,
    expiration: Duration,
    keep_exemplars: bool,
    /// By the slots of origins, which cannot be given to others while they are held here.
    pub(super) origins: HashMap<u32, OriginEntry>,
    /// By the slots of series, and whether names are kept.
    pub(super) shapes: HashMap<(u32, bool), Shape>,
    pub(super) families: Families,
    /// Whether [`Shape::rank`] has to be worked out anew.
    pub(super) unranked: bool,
    /// Which series tells the attributes of a target (job and instance).
    targets: HashMap<(String, String), TargetInfo>,
}

/// An origin and its series.
#[derive(Debug)]
pub(super) struct OriginEntry {
    pub(super) origin: Arc<Origin>,
    pub(super) labels: LabelText,
    pub(super) keeps_names: bool,
    /// A label's name cannot be translated: nothing of this origin is shown.
    untranslatable: bool,
    target_info: Option<TargetInfo>,
    pub(super) series: HashMap<u32, Entry>,
}

/// One series of one origin.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) current: Current,
    pub(super) exemplars: Box<[Exemplar]>,
    updated: Instant,
    /// All labels, where one of the series has the name of one of the origin.
    pub(super) own_labels: Option<Box<LabelText>>,
    /// Why it is not shown.
    pub(super) refused: Option<Reason>,
}

/// What is shown of a series at any origin.
#[derive(Debug)]
pub(super) struct Shape {
    pub(super) series: Arc<Series>,
    pub(super) labels: LabelText,
    pub(super) shown: Result<Exposed, Reason>,
    /// Place in the order of labels and parts.
    pub(super) rank: u32,
    users: usize,
}

/// What became of the points of a batch.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Taken {
    /// Points that are shown now, or ended their series.
    pub(super) shown: u64,
    /// Points that are not, by reason.
    pub(super) dropped: HashMap<Reason, u64>,
}

impl Taken {
    fn note(&mut self, result: Result<(), Reason>) {
        match result {
            Ok(()) => self.shown += 1,
            Err(reason) => *self.dropped.entry(reason).or_default() += 1,
        }
    }
}

impl Store {
    pub(super) fn new(rules: Rules, expiration: Duration, keep_exemplars: bool) -> Self {
        Self {
            rules,
            expiration,
            keep_exemplars,
            origins: HashMap::new(),
            shapes: HashMap::new(),
            families: Families::default(),
            unranked: false,
            targets: HashMap::new(),
        }
    }

    /// How many series are held.
    pub(super) fn len(&self) -> usize {
        self.origins.values().map(|origin| origin.series.len()).sum()
    }

    /// Takes in a batch that arrived at `now`.
    pub(super) fn take(&mut self, batch: MetricBatch, now: Instant) -> Taken {
        let mut taken = Taken::default();
        let (groups, acks) = batch.into_parts();
        for group in groups {
            self.take_group(group, now, &mut taken);
        }
        acks.resolve(pipeline::AckOutcome::Delivered);
        taken
    }

    fn take_group(&mut self, group: PointGroup, now: Instant, taken: &mut Taken) {
        let PointGroup { origin, table, points, exemplars } = group;
        let mut exemplars = by_point(if self.keep_exemplars { exemplars } else { Vec::new() });
        let latest = points.iter().map(|point| point.time).max();
        for (at, point) in (0u32..).zip(points) {
            let Some(series) = table.get(point.series) else {
                taken.note(Err("no_such_series"));
                continue;
            };
            let exemplars = if exemplars.is_empty() { None } else { exemplars.remove(&at) };
            taken.note(self.point(&origin, series, point, exemplars.unwrap_or_default(), now));
        }
        let info = self.origins.get(&origin.slot().id).and_then(|entry| entry.target_info.clone());
        if let (Some(info), Some(time)) = (info, latest) {
            self.show_target(info, time, now);
        }
    }

    fn point(
        &mut self,
        origin: &Arc<Origin>,
        series: &Arc<Series>,
        point: Point,
        exemplars: Vec<Exemplar>,
        now: Instant,
    ) -> Result<(), Reason> {
        let id = series.slot().id;
        let known = self.origins.get_mut(&origin.slot().id).and_then(|origin| origin.series.get_mut(&id));
        let Some(entry) = known else {
            return match point.value.is_recorded() {
                true => self.first(origin, series, point, exemplars, now),
                false => Ok(()),
            };
        };
        if let Some(reason) = entry.refused {
            // Not updated, so that it expires and is judged anew.
            return if reason == TARGET_INFO { Ok(()) } else { Err(reason) };
        }
        if !point.value.is_recorded() {
            if point.time >= entry.current.time {
                self.remove(origin.slot().id, id);
            }
            return Ok(());
        }
        entry.current.update(series.family.kind, point)?;
        entry.updated = now;
        if !exemplars.is_empty() {
            entry.exemplars = exemplars.into();
        }
        Ok(())
    }

    /// The first point of a series at an origin.
    #[cold]
    fn first(
        &mut self,
        origin: &Arc<Origin>,
        series: &Arc<Series>,
        point: Point,
        exemplars: Vec<Exemplar>,
        now: Instant,
    ) -> Result<(), Reason> {
        let rules = &self.rules;
        let entry = self.origins.entry(origin.slot().id).or_insert_with(|| OriginEntry::new(rules, origin));
        let keeps = entry.keeps_names;
        self.unranked = true;
        let shape = self.shapes.entry((series.slot().id, keeps)).or_insert_with(|| Shape::new(rules, series, keeps));
        let mut refused = shape.claim(&mut self.families, rules, keeps).err();
        if entry.untranslatable {
            refused = Some(BAD_NAME);
        }
        let mut own_labels = None;
        if refused.is_none() && shape.labels.overlaps(&entry.labels) {
            match rules.labels(origin, &series.attributes) {
                Some(labels) => own_labels = Some(Box::new(LabelText::of(&labels))),
                None => refused = Some(BAD_NAME),
            }
        }
        if refused == Some(TARGET_INFO) {
            entry.target_info = rules.target_info_of(origin, Some(series));
        }
        let current = Current::first(point);
        let exemplars = exemplars.into();
        entry.series.insert(series.slot().id, Entry { current, exemplars, updated: now, own_labels, refused });
        match refused {
            Some(TARGET_INFO) | None => Ok(()),
            Some(reason) => Err(reason),
        }
    }

    /// Shows what is known of a target: one series for each, the last one that was heard of.
    fn show_target(&mut self, info: TargetInfo, time: i64, now: Instant) {
        let before = self.targets.get(&info.target).map(|before| Arc::clone(&before.series));
        if before.as_ref().is_none_or(|before| !Arc::ptr_eq(before, &info.series)) {
            if let Some(before) = before {
                self.remove(info.origin.slot().id, before.slot().id);
            }
            self.targets.insert(info.target.clone(), info.clone());
        }
        let point = Point { series: 0, flags: 0, time, start: 0, value: Value::Float(1.0) };
        // It can only be refused for being older than what is shown, which says the same.
        let _older = self.point(&info.origin, &info.series, point, Vec::new(), now);
    }

    /// Lets go of what was not updated for the time of expiration.
    pub(super) fn expire(&mut self, now: Instant) {
        let mut gone = Vec::new();
        for (origin, entry) in &self.origins {
            let old = |entry: &Entry| now.duration_since(entry.updated) > self.expiration;
            gone.extend(entry.series.iter().filter(|(_, entry)| old(entry)).map(|(series, _)| (*origin, *series)));
        }
        for (origin, series) in gone {
            self.remove(origin, series);
        }
        let origins = &self.origins;
        self.targets.retain(|_, info| {
            let entry = origins.get(&info.origin.slot().id);
            entry.is_some_and(|entry| entry.series.contains_key(&info.series.slot().id))
        });
    }

    fn remove(&mut self, origin_id: u32, series_id: u32) {
        let Some(origin) = self.origins.get_mut(&origin_id) else { return };
        if origin.series.remove(&series_id).is_none() {
            return;
        }
        let key = (series_id, origin.keeps_names);
        if origin.series.is_empty() {
            self.origins.remove(&origin_id);
        }
        if let Some(shape) = self.shapes.get_mut(&key) {
            shape.users -= 1;
            if shape.users == 0 {
                if let Ok(shown) = &shape.shown {
                    self.families.release(&shown.family);
                }
                self.shapes.remove(&key);
            }
        }
    }
}

impl OriginEntry {
    fn new(rules: &Rules, origin: &Arc<Origin>) -> Self {
        let labels = rules.origin_labels(origin);
        Self {
            origin: Arc::clone(origin),
            untranslatable: labels.is_none(),
            labels: LabelText::of(&labels.unwrap_or_default()),
            keeps_names: rules.keeps_names(origin.source),
            target_info: rules.target_info_of(origin, None),
            series: HashMap::new(),
        }
    }
}

impl Shape {
    fn new(rules: &Rules, series: &Arc<Series>, keeps: bool) -> Self {
        let labels = rules.series_labels(series, keeps);
        Self {
            series: Arc::clone(series),
            // `claim` fills this in.
            shown: Err(if labels.is_some() { "unclaimed" } else { BAD_NAME }),
            labels: LabelText::of(&labels.unwrap_or_default()),
            rank: 0,
            users: 0,
        }
    }

    /// Takes note of one more user; the family, unless it is of another type, is used from the first one on.
    fn claim(&mut self, families: &mut Families, rules: &Rules, keeps: bool) -> Result<(), Reason> {
        self.users += 1;
        if self.shown.is_ok() {
            return Ok(());
        }
        if self.shown == Err(BAD_NAME) {
            return Err(BAD_NAME);
        }
        let family: &Family = &self.series.family;
        self.shown = rules.exposed(&self.series, keeps).and_then(|exposed| {
            families.claim(&exposed, &family.description, &family.unit)?;
            Ok(exposed)
        });
        self.shown.as_ref().map(drop).map_err(|reason| *reason)
    }
}

fn by_point(exemplars: Vec<Exemplar>) -> HashMap<u32, Vec<Exemplar>> {
    let mut by_point: HashMap<u32, Vec<Exemplar>> = HashMap::new();
    for exemplar in exemplars {
        by_point.entry(exemplar.point).or_default().push(exemplar);
    }
    by_point
}

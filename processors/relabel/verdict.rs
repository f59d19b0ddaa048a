//! What the rules make of one series: dropped, or which series at which origin it becomes.

use super::edit::OriginEdit;
use super::rules::Rules;
use super::view::OriginLabels;
use crate::routing::{DropReason, Judge, Verdict};
use hashbrown::HashMap;
use pipeline::{AttributeValue, AttributesBuilder, Family, FamilyKind, Origin, Part, Series};
use prometheus::labels::{Labels, LabelsBuilder, METRIC_NAME};
use prometheus::translate::label_set::{INSTANCE, JOB};
use std::sync::Arc;

/// Origins that look the same to the rules.
#[derive(Debug)]
pub(super) struct Projection {
    /// What the rules see of these origins.
    pub(super) labels: OriginLabels,
    /// What the rules make of that alone, without any series. A label that comes out for a series just as it
    /// comes out here is owed to the origin, and is kept there, once for all series.
    base: Labels,
}

impl Projection {
    pub(super) fn new(labels: OriginLabels, rules: &Rules) -> Self {
        let mut base = LabelsBuilder::new();
        labels.fill(&mut base, None);
        rules.rewrite(&mut base);
        Self { base: base.build(), labels }
    }
}

/// The rules as what decides about series.
#[derive(Debug)]
pub(super) struct RelabelJudge {
    rules: Rules,
    evaluator: Evaluator,
}

impl RelabelJudge {
    pub(super) fn new(rules: Rules) -> Self {
        Self { rules, evaluator: Evaluator::default() }
    }
}

impl Judge for RelabelJudge {
    type View = OriginLabels;
    type Projection = Projection;
    type Edit = OriginEdit;

    fn view(&self, origin: &Origin) -> OriginLabels {
        OriginLabels::of(origin, |name| self.rules.touch(name))
    }

    fn project(&self, view: &OriginLabels) -> Projection {
        Projection::new(view.clone(), &self.rules)
    }

    fn judge(&mut self, projection: &Projection, series: &Series) -> Verdict<OriginEdit> {
        self.evaluator.evaluate(&self.rules, projection, series)
    }

    fn finish_table(&mut self) {
        self.evaluator.families = Families::default();
    }
}

/// Applies rules to series. Holds what it needs again for the next one.
#[derive(Debug, Default)]
struct Evaluator {
    before: LabelsBuilder,
    after: LabelsBuilder,
    attributes: AttributesBuilder,
    families: Families,
    same_origin: Arc<OriginEdit>,
}

impl Evaluator {
    /// Applies the rules to `series` at an origin that looks like `projection`.
    fn evaluate(&mut self, rules: &Rules, projection: &Projection, series: &Series) -> Verdict<OriginEdit> {
        let Self { before, after, attributes, families, same_origin } = self;
        projection.labels.fill(before, Some(series));
        after.clone_from(before);
        if !rules.apply(after) {
            return Verdict::Drop(DropReason::Rule);
        }
        after.retain(|name, _| name == METRIC_NAME || !name.starts_with("__"));
        let Some(name) = after.get(METRIC_NAME) else {
            return Verdict::Drop(DropReason::Nameless);
        };
        let name: Arc<str> = if *name == *series.name { Arc::clone(&series.name) } else { name.into() };
        let label = series.part.label().and_then(|(label, _)| after.get(label));
        let (family, part) = families.place(series, &name, label);
        let diff = Diff {
            before,
            after,
            projection,
            part_label: part.label().map(|(name, _)| name),
            // A label that stood for a part becomes an attribute when the series leaves its family.
            freed_label: series.part.label().map(|(name, _)| name).filter(|_| part.label().is_none()),
        };
        let removed = diff.keep_attributes(series, attributes);
        let mut edit = OriginEdit::default();
        let added = diff.place_changes(attributes, &mut edit);
        diff.note_removals(&mut edit);

        let attributes = attributes.build();
        let edit = if edit == **same_origin { Arc::clone(same_origin) } else { Arc::new(edit.sorted()) };
        let same = !removed
            && !added
            && Arc::ptr_eq(&name, &series.name)
            && Arc::ptr_eq(&family, &series.family)
            && part == series.part;
        let series = (!same).then(|| Series::intern(family, name, part, attributes));
        Verdict::Keep { edit, series }
    }
}

/// What the rules changed.
struct Diff<'a> {
    before: &'a LabelsBuilder,
    after: &'a LabelsBuilder,
    projection: &'a Projection,
    /// The label that is the series' part, hence no attribute.
    part_label: Option<&'static str>,
    /// The label that was, and is one now.
    freed_label: Option<&'static str>,
}

impl Diff<'_> {
    /// Keeps those attributes that no rule changed, with their types. Says whether some are gone.
    fn keep_attributes(&self, series: &Series, attributes: &mut AttributesBuilder) -> bool {
        let mut gone = false;
        for (name, value) in &series.attributes {
            let is_label = name.starts_with("__") || Some(name) == self.part_label || Some(name) == self.freed_label;
            if is_label || self.before.get(name) != self.after.get(name) {
                gone = true;
            } else {
                attributes.push(name, value);
            }
        }
        gone
    }

    /// Puts each new or changed label where it belongs. Says whether the series has got some.
    fn place_changes(&self, attributes: &mut AttributesBuilder, edit: &mut OriginEdit) -> bool {
        let under = &self.projection.labels.under;
        let mut added = false;
        for (name, value) in self.after.iter().filter(|(name, _)| *name != METRIC_NAME) {
            if Some(name) == self.freed_label {
                attributes.push(name, AttributeValue::Str(value));
                added = true;
                if under.get(name).is_some() {
                    edit.remove(name);
                }
            } else if Some(name) == self.part_label || self.before.get(name) == Some(value) {
                continue;
            } else if matches!(name, JOB | INSTANCE) {
                edit.set(name, value);
                if under.get(name).is_some() {
                    edit.remove(name);
                }
            } else if self.projection.base.get(name) != Some(value) {
                attributes.push(name, AttributeValue::Str(value));
                added = true;
                // The series' own value must not meet another one of the origin.
                if under.get(name).is_some() {
                    edit.remove(name);
                }
            } else if under.get(name) != Some(value) {
                edit.set(name, value);
            }
        }
        added
    }

    /// Takes from the origin what the rules removed.
    fn note_removals(&self, edit: &mut OriginEdit) {
        let OriginLabels { under, over } = &self.projection.labels;
        for (name, _) in self.before.iter().filter(|(name, _)| self.after.get(name).is_none()) {
            if over.get(name).is_some() {
                edit.remove_from_resource(name);
            }
            if under.get(name).is_some() {
                edit.remove(name);
            }
        }
    }
}

/// The families made so far, so that all parts of one get the same.
#[derive(Debug, Default)]
struct Families(HashMap<(Arc<Family>, Arc<str>, bool), Arc<Family>>);

impl Families {
    /// Family and part of `series` now that its name is `name` and the label of its part has the value `label`.
    ///
    /// A series whose new name does not fit its part (a bucket without `_bucket` or without `le`) leaves its
    /// family and is one of its own, of unknown type: nothing else could be said of it that is true.
    fn place(&mut self, series: &Series, name: &Arc<str>, label: Option<&str>) -> (Arc<Family>, Part) {
        let part = match (&series.part, label) {
            (Part::Bucket(_), Some(le)) => Part::Bucket(le.into()),
            (Part::Quantile(_), Some(quantile)) => Part::Quantile(quantile.into()),
            (Part::Bucket(_) | Part::Quantile(_), None) => return (self.alone(series, name), Part::Whole),
            (other, _) => other.clone(),
        };
        if *name == series.name {
            return (Arc::clone(&series.family), part);
        }
        // What the sample's name has more than the family's: `_bucket`, or `_total` of an OpenMetrics counter.
        let more = match series.name.strip_prefix(&*series.family.name) {
            Some(more) if !series.family.name.is_empty() => more,
            _ => part.suffix(),
        };
        match name.strip_suffix(more).filter(|rest| !rest.is_empty()) {
            None if part == Part::Whole => (self.renamed(series, Arc::clone(name)), part),
            Some(rest) => (self.renamed(series, rest.into()), part),
            None => (self.alone(series, name), Part::Whole),
        }
    }

    fn renamed(&mut self, series: &Series, name: Arc<str>) -> Arc<Family> {
        let key = (Arc::clone(&series.family), name, false);
        let new = |(family, name, _): &(Arc<Family>, Arc<str>, bool)| {
            Arc::new(Family { name: Arc::clone(name), ..Family::clone(family) })
        };
        Arc::clone(self.0.entry(key).or_insert_with_key(new))
    }

    fn alone(&mut self, series: &Series, name: &Arc<str>) -> Arc<Family> {
        let key = (Arc::clone(&series.family), Arc::clone(name), true);
        let new = |(family, name, _): &(Arc<Family>, Arc<str>, bool)| {
            let description = Arc::clone(&family.description);
            Arc::new(Family { name: Arc::clone(name), description, kind: FamilyKind::Unknown, ..Family::default() })
        };
        Arc::clone(self.0.entry(key).or_insert_with_key(new))
    }
}

//! What becomes of the attributes of a series.

use crate::actions::{Actions, AttributeSet, State, same};
use crate::matching::{Matching, Surroundings, resource_of};
use crate::routing::{Edit, Judge, Verdict};
use pipeline::{AttributeValue, Attributes, AttributesBuilder, Client, Origin, Series};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Decides about the series of one client.
#[derive(Debug)]
pub(super) struct AttributesJudge {
    actions: Arc<Actions>,
    matching: Arc<Matching>,
    client: Option<Arc<Client>>,
    attributes: AttributesBuilder,
    nothing: Arc<LabelEdit>,
}

/// What matters of an origin.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct View {
    /// Its labels that the actions concern.
    labels: Attributes,
    surroundings: Surroundings,
}

/// What is worked out once for all origins with one view.
#[derive(Debug)]
pub(super) struct Projection {
    view: View,
    /// What the actions make of the labels alone. What comes out for a series just as it comes out here is owed to
    /// the origin, and is kept there, once for all series.
    base: Attributes,
}

/// Changes of the labels that all points of an origin have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct LabelEdit {
    set: Attributes,
    removed: BTreeSet<Box<str>>,
}

impl AttributesJudge {
    pub(super) fn new(actions: Arc<Actions>, matching: Arc<Matching>, client: Option<Arc<Client>>) -> Self {
        Self { actions, matching, client, attributes: AttributesBuilder::default(), nothing: Arc::default() }
    }

    fn unchanged(&self) -> Verdict<LabelEdit> {
        Verdict::Keep { edit: Arc::clone(&self.nothing), series: None }
    }
}

impl Judge for AttributesJudge {
    type View = View;
    type Projection = Projection;
    type Edit = LabelEdit;

    fn view(&self, origin: &Origin) -> View {
        let scope = &origin.scope;
        let resource = resource_of(&origin.resource.attributes);
        let surroundings = self.matching.surroundings(&resource, &scope.name, &scope.version);
        let mut labels = AttributesBuilder::default();
        for (key, value) in origin.labels.iter().filter(|(key, _)| self.actions.concerns(key)) {
            labels.push(key, value);
        }
        View { labels: labels.build(), surroundings }
    }

    fn project(&self, view: &View) -> Projection {
        let mut set = AttributeSet::default();
        for (key, value) in &view.labels {
            set.push(key, value);
        }
        self.actions.apply(&mut set, self.client.as_deref());
        let mut base = AttributesBuilder::default();
        for (key, value) in set.iter() {
            base.push(key, value);
        }
        Projection { view: view.clone(), base: base.build() }
    }

    fn judge(&mut self, projection: &Projection, series: &Series) -> Verdict<LabelEdit> {
        if !self.matching.metric(projection.view.surroundings, &series.family.name) {
            return self.unchanged();
        }
        let labels = &projection.view.labels;
        let mut set = AttributeSet::default();
        for (key, value) in &series.attributes {
            set.push(key, value);
        }
        let own = set.entries().len();
        for (key, value) in labels.iter().filter(|(key, _)| series.attributes.get(key).is_none()) {
            set.push(key, value);
        }
        self.actions.apply(&mut set, self.client.as_deref());
        if !set.is_changed() {
            return self.unchanged();
        }
        let mut edit = LabelEdit::default();
        let mut owed = AttributesBuilder::default();
        for (at, entry) in set.entries().iter().enumerate() {
            let key = &*entry.key;
            match &entry.state {
                State::Kept(value) if at < own => self.attributes.push(key, *value),
                State::Kept(_) | State::Opaque => {}
                State::Deleted => edit.remove(labels, key),
                State::Set(value) => {
                    let value = value.as_value();
                    match (is(&projection.base, key, value), is(labels, key, value)) {
                        (true, true) => {}
                        (true, false) => owed.push(key, value),
                        (false, _) => {
                            self.attributes.push(key, value);
                            // The series' own value must not meet another one of the origin.
                            edit.remove(labels, key);
                        }
                    }
                }
            }
        }
        edit.set = owed.build();
        let edit = if edit == *self.nothing { Arc::clone(&self.nothing) } else { Arc::new(edit) };
        let attributes = self.attributes.build();
        let same = attributes == series.attributes;
        let new = || {
            let (family, name) = (Arc::clone(&series.family), Arc::clone(&series.name));
            Series::intern(family, name, series.part.clone(), attributes)
        };
        Verdict::Keep { edit, series: (!same).then(new) }
    }
}

fn is(attributes: &Attributes, key: &str, value: AttributeValue<'_>) -> bool {
    attributes.get(key).is_some_and(|known| same(known, value))
}

impl LabelEdit {
    /// Takes a label away, if it is there.
    fn remove(&mut self, labels: &Attributes, key: &str) {
        if labels.get(key).is_some() {
            self.removed.insert(key.into());
        }
    }
}

impl Edit for LabelEdit {
    fn apply(&self, origin: &Arc<Origin>) -> Option<Arc<Origin>> {
        if *self == Self::default() {
            return None;
        }
        let mut labels = AttributesBuilder::default();
        for (key, value) in origin.labels.iter().filter(|(key, _)| !self.removed.contains(*key)) {
            labels.push(key, value);
        }
        // The last value of a key wins.
        for (key, value) in &self.set {
            labels.push(key, value);
        }
        let edited = Origin::intern(origin.source, origin.resource.clone(), origin.scope.clone(), labels.build());
        (!Arc::ptr_eq(&edited, origin)).then_some(edited)
    }
}

//! What becomes of the resource of an origin.

use crate::actions::{Actions, AttributeSet};
use crate::routing::{Edit, Judge, Verdict};
use pipeline::{Attributes, AttributesBuilder, Client, Origin, Resource, Series};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Decides about the origins of one client.
#[derive(Debug)]
pub(super) struct ResourceJudge {
    pub(super) actions: Arc<Actions>,
    pub(super) client: Option<Arc<Client>>,
}

/// Changes of a resource's attributes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct ResourceEdit {
    set: Attributes,
    removed: BTreeSet<Box<str>>,
}

impl Judge for ResourceJudge {
    /// The attributes that the actions concern.
    type View = Attributes;
    type Projection = Arc<ResourceEdit>;
    type Edit = ResourceEdit;

    fn view(&self, origin: &Origin) -> Attributes {
        let mut concerned = AttributesBuilder::default();
        for (key, value) in origin.resource.attributes.iter().filter(|(key, _)| self.actions.concerns(key)) {
            concerned.push(key, value);
        }
        concerned.build()
    }

    fn project(&self, view: &Attributes) -> Arc<ResourceEdit> {
        let mut set = AttributeSet::default();
        for (key, value) in view {
            set.push(key, value);
        }
        self.actions.apply(&mut set, self.client.as_deref());
        let mut after = AttributesBuilder::default();
        for (key, value) in set.iter() {
            after.push(key, value);
        }
        let after = after.build();
        let mut changed = AttributesBuilder::default();
        for (key, value) in after.iter().filter(|(key, value)| view.get(key) != Some(*value)) {
            changed.push(key, value);
        }
        let removed = view.iter().map(|(key, _)| key).filter(|key| after.get(key).is_none());
        let removed = removed.map(Into::into).collect();
        Arc::new(ResourceEdit { set: changed.build(), removed })
    }

    fn judge(&mut self, projection: &Arc<ResourceEdit>, _series: &Series) -> Verdict<ResourceEdit> {
        Verdict::Keep { edit: Arc::clone(projection), series: None }
    }
}

impl Edit for ResourceEdit {
    fn apply(&self, origin: &Arc<Origin>) -> Option<Arc<Origin>> {
        if *self == Self::default() {
            return None;
        }
        let mut attributes = AttributesBuilder::default();
        for (key, value) in origin.resource.attributes.iter().filter(|(key, _)| !self.removed.contains(*key)) {
            attributes.push(key, value);
        }
        // The last value of a key wins.
        for (key, value) in &self.set {
            attributes.push(key, value);
        }
        let resource = Resource { attributes: attributes.build(), ..origin.resource.clone() };
        let edited = Origin::intern(origin.source, resource, origin.scope.clone(), origin.labels.clone());
        (!Arc::ptr_eq(&edited, origin)).then_some(edited)
    }
}

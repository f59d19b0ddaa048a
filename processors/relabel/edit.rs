//! Changes to an origin: what rules did to the labels that all series of a target share.

use crate::routing::Edit;
use pipeline::{AttributeValue, Attributes, AttributesBuilder, Origin, Resource};
use prometheus::translate::label_set::{INSTANCE, JOB};
use std::sync::Arc;

/// What becomes of a label: a new value, or none.
type Change = Option<Box<str>>;

/// The difference between two origins.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct OriginEdit {
    /// The label `job`, which is the resource's service name.
    job: Option<Change>,
    /// The label `instance`, which is the resource's service instance id.
    instance: Option<Change>,
    /// Labels of the origin.
    labels: Vec<(Box<str>, Change)>,
}

impl OriginEdit {
    /// Gives the label `name` the value `value`; `job` and `instance` become the resource's.
    pub(super) fn set(&mut self, name: &str, value: &str) {
        match name {
            JOB => self.job = Some(Some(value.into())),
            INSTANCE => self.instance = Some(Some(value.into())),
            _ => self.change(name, Some(value)),
        }
    }

    /// Takes `job` or `instance` from the resource.
    pub(super) fn remove_from_resource(&mut self, name: &str) {
        match name {
            JOB => self.job = Some(None),
            INSTANCE => self.instance = Some(None),
            _ => {}
        }
    }

    /// Takes the label `name` away from the origin's labels.
    pub(super) fn remove(&mut self, name: &str) {
        self.change(name, None);
    }

    fn change(&mut self, name: &str, value: Option<&str>) {
        self.labels.retain(|(known, _)| **known != *name);
        self.labels.push((name.into(), value.map(Into::into)));
    }

    /// Puts the changes in an order that does not depend on how they came about.
    pub(super) fn sorted(mut self) -> Self {
        self.labels.sort();
        self
    }

    fn relabelled(&self, labels: &Attributes) -> Attributes {
        let mut builder = AttributesBuilder::default();
        let changed = |name: &str| self.labels.iter().any(|(known, _)| **known == *name);
        for (name, value) in labels.iter().filter(|(name, _)| !changed(name)) {
            builder.push(name, value);
        }
        for (name, value) in &self.labels {
            if let Some(value) = value {
                builder.push(name, AttributeValue::Str(value));
            }
        }
        builder.build()
    }

    fn identified(&self, resource: &Attributes) -> Attributes {
        let mut builder = AttributesBuilder::default();
        // The namespace is a part of `job`, of which the new name is all.
        let replaced = |key: &str| match key {
            "service.name" | "service.namespace" => self.job.is_some(),
            "service.instance.id" => self.instance.is_some(),
            _ => false,
        };
        for (key, value) in resource.iter().filter(|(key, _)| !replaced(key)) {
            builder.push(key, value);
        }
        for (key, change) in [("service.name", &self.job), ("service.instance.id", &self.instance)] {
            if let Some(Some(value)) = change {
                builder.push(key, AttributeValue::Str(value));
            }
        }
        builder.build()
    }
}

impl Edit for OriginEdit {
    fn apply(&self, origin: &Arc<Origin>) -> Option<Arc<Origin>> {
        if *self == Self::default() {
            return None;
        }
        let labels = if self.labels.is_empty() { origin.labels.clone() } else { self.relabelled(&origin.labels) };
        let resource = Resource { attributes: self.identified(&origin.resource.attributes), ..origin.resource.clone() };
        let edited = Origin::intern(origin.source, resource, origin.scope.clone(), labels);
        (!Arc::ptr_eq(&edited, origin)).then_some(edited)
    }
}

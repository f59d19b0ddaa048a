//! What the rules see: one plain label set for a series at an origin.
//!
//! The origin's share is cut down to the labels that some rule could read or change. Origins that then look
//! the same are treated the same, so that a thousand targets cost one set of decisions unless the rules tell
//! them apart.

use super::rules::Touch;
use pipeline::{Origin, Series};
use prometheus::labels::{BUCKET_LABEL, Labels, LabelsBuilder, METRIC_NAME, QUANTILE_LABEL};
use prometheus::names::sanitize_label_part;
use prometheus::translate::attribute_text;
use prometheus::translate::label_set::{INSTANCE, Identity, JOB};

/// What the names of resource attributes begin with.
pub(super) const RESOURCE_PREFIX: &str = "__meta_resource_";
/// The label of the instrumentation scope's name.
pub(super) const SCOPE_NAME: &str = "__meta_scope_name";
/// The label of the instrumentation scope's version.
pub(super) const SCOPE_VERSION: &str = "__meta_scope_version";

/// Stands for the value of a label that rules may write but never read. No rule can write this value, so that it is
/// there afterwards exactly if the label was left alone.
const UNREAD: &str = "\u{0}unread";

/// The labels that an origin contributes to its series, as far as rules are concerned.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct OriginLabels {
    /// Labels of the origin. An attribute of the series with the same name hides them.
    pub(super) under: Labels,
    /// `job`, `instance`, and what is there to be read only. They hide attributes of the series.
    pub(super) over: Labels,
}

impl OriginLabels {
    /// The labels of `origin`, as far as `touch` says that they matter.
    pub(super) fn of(origin: &Origin, touch: impl Fn(&str) -> Touch) -> Self {
        let mut labels = LabelsBuilder::new();
        let mut offer = |name: &str, value: &str| {
            if !value.is_empty() {
                match touch(name) {
                    Touch::Not => {}
                    Touch::Written => labels.set(name, UNREAD),
                    Touch::Read => labels.set(name, value),
                }
            }
        };
        let resource: Vec<_> =
            origin.resource.attributes.iter().map(|(key, value)| (key, attribute_text(value))).collect();
        for (key, value) in &resource {
            offer(&format!("{RESOURCE_PREFIX}{}", sanitize_label_part(key)), value);
        }
        offer(SCOPE_NAME, &origin.scope.name);
        offer(SCOPE_VERSION, &origin.scope.version);
        let identity = Identity::of(resource.iter().map(|(key, value)| (*key, value.as_ref())));
        offer(JOB, &identity.job().unwrap_or_default());
        offer(INSTANCE, identity.instance().unwrap_or_default());
        let over = labels.build();

        labels.clear();
        for (name, value) in origin.labels.iter().filter(|(name, _)| *name != METRIC_NAME) {
            let value = attribute_text(value);
            match touch(name) {
                _ if value.is_empty() => {}
                // These may have to go even if no rule mentions them: private ones in the end, and those that a
                // part's own label hides when it becomes an attribute.
                Touch::Not if name.starts_with("__") || matches!(name, BUCKET_LABEL | QUANTILE_LABEL) => {
                    labels.set(name, UNREAD);
                }
                Touch::Not => {}
                Touch::Written => labels.set(name, UNREAD),
                Touch::Read => labels.set(name, &value),
            }
        }
        Self { under: labels.build(), over }
    }

    /// Replaces what is in `labels` with the labels of `series` at this origin, or with this origin's alone.
    pub(super) fn fill(&self, labels: &mut LabelsBuilder, series: Option<&Series>) {
        labels.reset(&self.under);
        if let Some(series) = series {
            for (name, value) in &series.attributes {
                let value = attribute_text(value);
                // An empty value is no label, and hides none.
                if !value.is_empty() {
                    labels.set(name, &value);
                }
            }
        }
        for (name, value) in self.over.iter() {
            labels.set(name, value);
        }
        if let Some(series) = series {
            if let Some((name, value)) = series.part.label() {
                labels.set(name, value);
            }
            labels.set(METRIC_NAME, &series.name);
        }
    }
}

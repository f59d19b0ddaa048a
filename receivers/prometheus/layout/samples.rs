//! From the labels a target exposes to the series that is sent: label conflicts, metric relabelling,
//! limits, and the split in origin and series. Runs once per series, not once per sample.

use super::build::PageError;
use super::families::Families;
use pipeline::{Attributes, Origin, Resource, Scope, Series, Source};
use prometheus::labels::{Labels, LabelsBuilder};
use prometheus::names::ValidationScheme;
use prometheus::relabel::RelabelRules;
use std::sync::Arc;

/// Limits on the labels of a sample; 0 is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct LabelLimits {
    pub(in super::super) count: usize,
    pub(in super::super) name_length: usize,
    pub(in super::super) value_length: usize,
}

/// How a job treats what its targets expose.
#[derive(Clone, Debug)]
pub(in super::super) struct SampleRules {
    pub(in super::super) honor_labels: bool,
    pub(in super::super) relabel: RelabelRules,
    pub(in super::super) limits: LabelLimits,
    /// Samples that may remain after relabelling; 0 is no limit.
    pub(in super::super) sample_limit: usize,
    pub(in super::super) validation: ValidationScheme,
    /// Whether units and `_total` are taken off family names.
    pub(in super::super) trim_suffixes: bool,
    /// Labels set on every sample at the end, over whatever is there.
    pub(in super::super) external: Labels,
}

/// Makes the resource of a job and instance that is not the target's own: `(job, instance)`.
pub(in super::super) type ResourceOf = Box<dyn Fn(&str, &str) -> Resource + Send + Sync>;

/// What a target adds to its samples.
pub(in super::super) struct TargetIdentity {
    /// Labels of the target, without those that start with `__`.
    pub(in super::super) labels: Labels,
    /// The origin of its samples.
    pub(in super::super) origin: Arc<Origin>,
    /// Targets of the same class turn the same exposed labels into the same series.
    pub(in super::super) class: u64,
    pub(in super::super) resource_of: ResourceOf,
}

impl std::fmt::Debug for TargetIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TargetIdentity").field("labels", &self.labels).finish_non_exhaustive()
    }
}

/// What becomes of a series.
#[derive(Clone, Debug)]
pub(super) enum Verdict {
    /// Relabelling dropped it.
    Dropped,
    /// It is this series, of this origin (`None`: the target's own).
    Kept { origin: Option<Arc<Origin>>, series: Arc<Series> },
}

/// Name of the scope that scraped series are in, which is the Collector's, since the label
/// `otel_scope_name` has it. No version: it would rename every series at each upgrade.
pub(in super::super) const SCOPE_NAME: &str =
    "github.com/open-telemetry/opentelemetry-collector-contrib/receiver/prometheusreceiver";

/// The origin of a target's samples.
pub(in super::super) fn own_origin(rules: &SampleRules, labels: &Labels, resource: Resource) -> Arc<Origin> {
    let extra = labels.iter().filter(|(name, _)| *name != "job" && *name != "instance");
    let labels = Attributes::from_pairs(extra.chain(rules.external.iter()));
    Origin::intern(Source::Scrape, resource, scope(), labels)
}

fn scope() -> Scope {
    Scope { name: SCOPE_NAME.into(), ..Scope::default() }
}

impl SampleRules {
    /// Turns exposed labels (with `__name__`) into a verdict; `labels` is used up.
    pub(super) fn decide(
        &self,
        target: &TargetIdentity,
        labels: &mut LabelsBuilder,
        families: &mut Families,
    ) -> Result<Verdict, PageError> {
        self.merge(&target.labels, labels);
        if !self.relabel.apply(labels) {
            return Ok(Verdict::Dropped);
        }
        labels.remove_empty();
        if labels.is_empty() {
            return Ok(Verdict::Dropped);
        }
        self.check(labels)?;
        for (name, value) in self.external.iter() {
            labels.set(name, value);
        }
        Ok(self.split(target, labels, families))
    }

    /// Adds the target's labels; which side wins a conflict is `honor_labels`' to say.
    fn merge(&self, target: &Labels, labels: &mut LabelsBuilder) {
        if self.honor_labels {
            for (name, value) in target.iter() {
                // An exposed empty label counts as there, and vanishes afterwards with the target's.
                if labels.get(name).is_none() {
                    labels.set(name, value);
                }
            }
            labels.remove_empty();
            return;
        }
        labels.remove_empty();
        let mut conflicts: Vec<(String, String)> = target
            .iter()
            .filter_map(|(name, _)| labels.get(name).map(|value| (name.to_owned(), value.to_owned())))
            .collect();
        conflicts.sort_by_key(|(name, _)| name.len());
        for (name, value) in target.iter() {
            labels.set(name, value);
        }
        for (name, value) in conflicts {
            let mut renamed = format!("exported_{name}");
            while labels.get(&renamed).is_some() {
                renamed.insert_str(0, "exported_");
            }
            labels.set(&renamed, &value);
        }
    }

    fn check(&self, labels: &LabelsBuilder) -> Result<(), PageError> {
        let shown = || prometheus::labels::display(labels.iter());
        let Some(metric) = labels.get("__name__") else {
            return Err(PageError::Series("missing metric name (__name__ label)".to_owned()));
        };
        let valid = self.validation.is_valid_metric_name(metric)
            && labels.iter().all(|(name, _)| self.validation.is_valid_label_name(name));
        if !valid {
            return Err(PageError::Series(format!("invalid metric name or label names: {}", shown())));
        }
        if let Some(name) = labels.repeated() {
            return Err(PageError::Series(format!(
                "label name \"{name}\" is not unique: invalid sample ({})",
                shown()
            )));
        }
        let LabelLimits { count, name_length, value_length } = self.limits;
        if count > 0 && labels.len() > count {
            return Err(PageError::Series(format!(
                "label_limit exceeded (metric: {}, number of labels: {}, limit: {count})",
                cut(metric),
                labels.len()
            )));
        }
        if name_length == 0 && value_length == 0 {
            return Ok(());
        }
        for (name, value) in labels.iter() {
            if name_length > 0 && name.len() > name_length {
                return Err(PageError::Series(format!(
                    "label_name_length_limit exceeded (metric: {}, label name: {}, length: {}, limit: {name_length})",
                    cut(metric),
                    cut(name),
                    name.len()
                )));
            }
            if value_length > 0 && value.len() > value_length {
                return Err(PageError::Series(format!(
                    "label_value_length_limit exceeded (metric: {}, label name: {}, value: {}, length: {}, limit: {value_length})",
                    cut(metric),
                    cut(name),
                    prometheus::quote::quoted(cut(value).as_bytes()),
                    value.len()
                )));
            }
        }
        Ok(())
    }

    fn split(&self, target: &TargetIdentity, labels: &LabelsBuilder, families: &mut Families) -> Verdict {
        let name = labels.get("__name__").unwrap_or_default();
        let (le, quantile) = (labels.get("le"), labels.get("quantile"));
        let (family, part) = families.resolve(name, le, quantile);
        let part_label = part.label().map(|(label, _)| label);
        let scoped = labels.iter().any(|(label, _)| label.starts_with("otel_scope_"));
        let own = !scoped && target.labels.iter().all(|(label, value)| labels.get(label) == Some(value));
        let of_origin = |label: &str, value: &str| {
            self.external.get(label).is_some()
                || (label != "job" && label != "instance" && target.labels.get(label) == Some(value))
        };
        let attributes = Attributes::from_pairs(labels.iter().filter(|(label, value)| {
            !matches!(*label, "__name__" | "job" | "instance") && Some(*label) != part_label && !of_origin(label, value)
        }));
        let origin = (!own).then(|| {
            let (job, instance) = (labels.get("job").unwrap_or_default(), labels.get("instance").unwrap_or_default());
            let resource = (target.resource_of)(job, instance);
            let scope = if scoped { Scope::default() } else { scope() };
            let shared = labels.iter().filter(|(label, value)| of_origin(label, value));
            Origin::intern(Source::Scrape, resource, scope, Attributes::from_pairs(shared))
        });
        Verdict::Kept { origin, series: Series::intern(family, name.into(), part, attributes) }
    }
}

/// The first 50 bytes, as Prometheus cuts names in these messages, at a character's boundary.
fn cut(text: &str) -> &str {
    let mut end = text.len().min(50);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or(text)
}

//! The complete label set of a series made from an OTLP data point.
//!
//! This is the plain statement of the rules, which the exporter's faster way is tested against. It
//! takes text only, so that it depends on no data model: values that are not strings come as OTLP's
//! `AsString` prints them.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::label_name::LabelNamer;
use super::strategy::NameError;

const SERVICE_NAME: &str = "service.name";
const SERVICE_NAMESPACE: &str = "service.namespace";
const SERVICE_INSTANCE_ID: &str = "service.instance.id";

/// The label that the target's job goes to.
pub const JOB: &str = "job";
/// The label that the target's instance goes to.
pub const INSTANCE: &str = "instance";
/// What the labels of an instrumentation scope begin with.
pub const SCOPE_PREFIX: &str = "otel_scope_";

/// Whether a resource attribute identifies the service, and is thus in `job` and `instance`.
#[must_use]
pub fn is_identifying(key: &str) -> bool {
    matches!(key, SERVICE_NAME | SERVICE_NAMESPACE | SERVICE_INSTANCE_ID)
}

/// The settings of an exporter that decide over labels.
#[derive(Clone, Debug, Default)]
pub struct LabelRules {
    /// Makes label names of attribute keys; `None` keeps keys as they are (scraped metrics).
    pub namer: Option<LabelNamer>,
    /// Labels for every series that does not have them, as [`sanitize_external_labels`] returns them.
    pub external_labels: Vec<(String, String)>,
    /// Leave out the labels of the instrumentation scope.
    pub disable_scope_info: bool,
    /// Put resource attributes on every data point, where they replace attributes of the same key.
    pub resource_to_telemetry: bool,
    /// Of those, leave out the ones that [`is_identifying`] names.
    pub exclude_service_attributes: bool,
    /// Resource attributes by name that become labels of every series that does not have them (Prometheus'
    /// `promote_resource_attributes`).
    pub promoted: Vec<String>,
}

/// The instrumentation scope that a data point belongs to.
#[derive(Clone, Copy, Debug, Default)]
pub struct ScopeInfo<'a> {
    /// Name, or empty.
    pub name: &'a str,
    /// Version, or empty.
    pub version: &'a str,
    /// Schema URL, or empty. The Collector's exporter does not write it; leave it empty to do the same.
    pub schema_url: &'a str,
    /// Attributes; `name`, `version` and `schema_url` among them are ignored.
    pub attributes: &'a [(&'a str, &'a str)],
}

/// The labels of a series, sorted by name. `extras` (`__name__`, `le`, `quantile`) win over everything,
/// then the scope, then `job` and `instance`, then the point's attributes; promoted resource
/// attributes and external labels only fill gaps.
///
/// Attributes whose keys become the same name are joined by `;` in the order of their keys.
///
/// # Errors
/// When a key cannot become a label name; the data point is then to be dropped.
pub fn label_set<'a>(
    rules: &LabelRules,
    resource: impl IntoIterator<Item = (&'a str, &'a str)> + Clone,
    scope: &ScopeInfo<'a>,
    attributes: impl IntoIterator<Item = (&'a str, &'a str)>,
    extras: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Result<Vec<(String, String)>, NameError> {
    let mut point: BTreeMap<&str, &str> = attributes.into_iter().collect();
    if rules.resource_to_telemetry {
        let copied = resource.clone().into_iter();
        point.extend(copied.filter(|(key, _)| !(rules.exclude_service_attributes && is_identifying(key))));
    }
    let mut labels = LabelMap { namer: rules.namer, map: BTreeMap::new() };
    labels.join_attributes(point)?;
    if !rules.promoted.is_empty() {
        labels.promote(&rules.promoted, resource.clone())?;
    }
    labels.identify(&Identity::of(resource));
    labels.fill_gaps(&rules.external_labels);
    if !rules.disable_scope_info {
        labels.scope(scope)?;
    }
    for (name, value) in extras {
        let name = if is_internal(name) { Cow::Borrowed(name) } else { labels.name(name)? };
        labels.set(&name, value);
    }
    Ok(labels.into_sorted())
}

/// Adds external labels to a series whose labels are sorted by name. A label of the series wins unless
/// its value is empty, which is the same as not having it. The result is sorted.
#[must_use]
pub fn with_external_labels<'a>(
    labels: impl IntoIterator<Item = (&'a str, &'a str)>,
    external: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Vec<(&'a str, &'a str)> {
    let mut merged: BTreeMap<&str, &str> = external.into_iter().collect();
    merged.extend(labels.into_iter().filter(|(_, value)| !value.is_empty()));
    merged.into_iter().collect()
}

/// Why external labels cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExternalLabelsError {
    /// A name or a value is missing.
    #[error("prometheus remote write: external labels configuration contains an empty key or value")]
    Empty,
    /// A name cannot become a label name.
    #[error("prometheus remote write: external label cannot be used: {0}")]
    Name(#[from] NameError),
}

/// The `external_labels` of the configuration with label names made of their keys, sorted. Where two
/// keys become the same name, the one that sorts last wins.
///
/// # Errors
/// When a key or a value is empty, or a key cannot become a label name.
pub fn sanitize_external_labels<'a>(
    labels: impl IntoIterator<Item = (&'a str, &'a str)>,
    namer: &LabelNamer,
) -> Result<Vec<(String, String)>, ExternalLabelsError> {
    let by_key: BTreeMap<&str, &str> = labels.into_iter().collect();
    let mut sanitized = BTreeMap::new();
    for (key, value) in by_key {
        if key.is_empty() || value.is_empty() {
            return Err(ExternalLabelsError::Empty);
        }
        sanitized.insert(namer.build(key)?.into_owned(), value.to_owned());
    }
    Ok(sanitized.into_iter().collect())
}

/// What `job` and `instance` are made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Identity<'a> {
    /// `service.name`, or empty.
    pub service_name: &'a str,
    /// `service.namespace`, which counts when it is there, even if it is empty.
    pub service_namespace: Option<&'a str>,
    /// `service.instance.id`, or empty.
    pub service_instance_id: &'a str,
}

impl<'a> Identity<'a> {
    /// The identity among the attributes of a resource.
    pub fn of(resource: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut identity = Self::default();
        for (key, value) in resource {
            match key {
                SERVICE_NAME => identity.service_name = value,
                SERVICE_NAMESPACE => identity.service_namespace = Some(value),
                SERVICE_INSTANCE_ID => identity.service_instance_id = value,
                _ => {}
            }
        }
        identity
    }

    /// The value of the `job` label, if there is a service name. An empty namespace gives `/name`, as it does
    /// in the Collector.
    #[must_use]
    pub fn job(&self) -> Option<Cow<'a, str>> {
        if self.service_name.is_empty() {
            return None;
        }
        Some(match self.service_namespace {
            Some(namespace) => Cow::Owned(format!("{namespace}/{}", self.service_name)),
            None => Cow::Borrowed(self.service_name),
        })
    }

    /// The value of the `instance` label, if there is one.
    #[must_use]
    pub fn instance(&self) -> Option<&'a str> {
        Some(self.service_instance_id).filter(|id| !id.is_empty())
    }
}

/// Labels under construction. The steps are public to this module's siblings only, because their order
/// is the rule.
pub(super) struct LabelMap {
    pub(super) namer: Option<LabelNamer>,
    pub(super) map: BTreeMap<String, String>,
}

impl LabelMap {
    fn name<'n>(&self, key: &'n str) -> Result<Cow<'n, str>, NameError> {
        match &self.namer {
            Some(namer) => namer.build(key),
            None => Ok(Cow::Borrowed(key)),
        }
    }

    pub(super) fn set(&mut self, name: &str, value: &str) {
        self.map.insert(name.to_owned(), value.to_owned());
    }

    /// Adds attributes in the order of their keys.
    pub(super) fn join_attributes(&mut self, sorted: BTreeMap<&str, &str>) -> Result<(), NameError> {
        for (key, value) in sorted.into_iter().filter(|(_, value)| !value.is_empty()) {
            let name = self.name(key)?;
            match self.map.get_mut(name.as_ref()) {
                Some(joined) if joined == value => {}
                Some(joined) => {
                    joined.push(';');
                    joined.push_str(value);
                }
                None => self.set(&name, value),
            }
        }
        Ok(())
    }

    /// Adds those attributes of a resource that are to be promoted, where there is no label of that name.
    fn promote<'a>(
        &mut self,
        promoted: &[String],
        resource: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<(), NameError> {
        for (key, value) in resource {
            if value.is_empty() || !promoted.iter().any(|name| name == key) {
                continue;
            }
            let name = self.name(key)?.into_owned();
            self.map.entry(name).or_insert_with(|| value.to_owned());
        }
        Ok(())
    }

    pub(super) fn identify(&mut self, identity: &Identity<'_>) {
        if let Some(job) = identity.job() {
            self.set(JOB, &job);
        }
        if let Some(instance) = identity.instance() {
            self.set(INSTANCE, instance);
        }
    }

    pub(super) fn fill_gaps(&mut self, external_labels: &[(String, String)]) {
        for (name, value) in external_labels {
            if !self.map.contains_key(name) {
                self.set(name, value);
            }
        }
    }

    fn scope(&mut self, scope: &ScopeInfo<'_>) -> Result<(), NameError> {
        let own = [("name", scope.name), ("version", scope.version), ("schema_url", scope.schema_url)];
        for (key, value) in own.into_iter().filter(|(_, value)| !value.is_empty()) {
            self.set(&format!("{SCOPE_PREFIX}{key}"), value);
        }
        for &(key, value) in scope.attributes {
            if value.is_empty() || own.iter().any(|&(reserved, _)| reserved == key) {
                continue;
            }
            let prefixed = format!("{SCOPE_PREFIX}{key}");
            let name = self.name(&prefixed)?.into_owned();
            self.set(&name, value);
        }
        Ok(())
    }

    pub(super) fn into_sorted(self) -> Vec<(String, String)> {
        self.map.into_iter().collect()
    }
}

/// Names like `__name__` belong to Prometheus and are never translated.
fn is_internal(name: &str) -> bool {
    name.len() > 4 && name.starts_with("__") && name.ends_with("__")
}

//! The `target_info` series, which carries a resource's attributes so that queries can join them.

use std::collections::BTreeMap;

use super::label_name::LabelNamer;
use super::label_set::{Identity, LabelMap, is_identifying};
use super::strategy::NameError;

/// The settings of an exporter that decide over `target_info`.
#[derive(Clone, Debug)]
pub struct TargetInfoRules {
    /// Whether it is sent at all.
    pub enabled: bool,
    /// Goes in front of the name, joined by `_`; empty for none.
    pub namespace: String,
    /// Makes label names of attribute keys.
    pub namer: LabelNamer,
    /// Labels where the resource has none of that name, as
    /// [`sanitize_external_labels`](super::label_set::sanitize_external_labels) returns them.
    pub external_labels: Vec<(String, String)>,
}

impl TargetInfoRules {
    /// The name of the series.
    #[must_use]
    pub fn name(&self) -> String {
        if self.namespace.is_empty() { "target_info".to_owned() } else { format!("{}_target_info", self.namespace) }
    }
}

/// The sorted labels, `__name__` among them, of the `target_info` series of a resource, whose value is 1
/// at `latest_timestamp_ms`, the latest of the resource's data points.
///
/// `None` when there is nothing to say: it is disabled, the resource has no points with a timestamp (0),
/// no attribute besides the identifying ones, or neither job nor instance.
///
/// # Errors
/// When an attribute's key cannot become a label name; the series is then to be left out.
pub fn target_info_labels<'a>(
    rules: &TargetInfoRules,
    resource: impl IntoIterator<Item = (&'a str, &'a str)>,
    latest_timestamp_ms: i64,
) -> Result<Option<Vec<(String, String)>>, NameError> {
    let attributes: BTreeMap<&str, &str> = resource.into_iter().collect();
    let identity = Identity::of(attributes.iter().map(|(&key, &value)| (key, value)));
    let described: BTreeMap<&str, &str> = attributes.into_iter().filter(|(key, _)| !is_identifying(key)).collect();
    let identified = identity.job().is_some() || identity.instance().is_some();
    if !rules.enabled || latest_timestamp_ms == 0 || described.is_empty() || !identified {
        return Ok(None);
    }
    let mut labels = LabelMap { namer: Some(rules.namer), map: BTreeMap::new() };
    labels.join_attributes(described)?;
    labels.identify(&identity);
    labels.fill_gaps(&rules.external_labels);
    labels.set("__name__", &rules.name());
    Ok(Some(labels.into_sorted()))
}

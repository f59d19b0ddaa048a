//! Target groups: what discovery finds, before a job makes targets of it.

use prometheus::labels::Labels;
use prometheus::quote::quoted;
use serde::de::{self, Deserialize, Deserializer};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The label that holds a target's address.
pub const ADDRESS: &str = "__address__";

/// Targets that were found together. A group replaces the one of the same source that was found before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetGroup {
    /// What tells the group from the others of its discovery: a list place, a file and place, a URL and place.
    pub source: Arc<str>,
    /// Each target's own labels; most have [`ADDRESS`] only.
    pub targets: Vec<Labels>,
    /// Labels that all targets have which do not have them themselves.
    pub labels: Labels,
}

/// One group as files, HTTP endpoints and `static_configs` spell it.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(
    default,
    deny_unknown_fields,
    rename = "struct { Targets []string \"yaml:\\\"targets\\\"\"; Labels model.LabelSet \"yaml:\\\"labels\\\"\" }"
)]
pub(crate) struct GroupText {
    targets: Vec<String>,
    labels: BTreeMap<LabelName, String>,
}

/// The key of a label, which must be valid as one.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct LabelName(String);

impl<'de> Deserialize<'de> for LabelName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        // Any text but none is a name; those that Prometheus calls legacy names are too few for discovery.
        if name.is_empty() {
            return Err(de::Error::custom(format!("{} is not a valid label name", quoted(name.as_bytes()))));
        }
        Ok(Self(name))
    }
}

impl GroupText {
    /// The addresses of the targets.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = &str> {
        self.targets.iter().map(String::as_str)
    }

    /// The group, with the labels in `added` set on all its targets.
    pub(crate) fn into_group(self, source: impl Into<Arc<str>>, added: &[(&str, &str)]) -> TargetGroup {
        let own = self.labels.iter().map(|(name, value)| (name.0.as_str(), value.as_str()));
        TargetGroup {
            source: source.into(),
            targets: self.targets.iter().map(|address| [(ADDRESS, address)].into_iter().collect()).collect(),
            labels: own.chain(added.iter().copied()).collect(),
        }
    }
}

//! The keys of `attributes`.

use crate::actions::{ActionKeys, Actions};
use crate::matching::{MatchKeys, Matching};
use pipeline::component::Signal;
use pipeline::config::{ConfigErrors, Node, decode};
use serde::Deserialize;

/// The keys as they are written; see the module's documentation.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Keys {
    actions: Vec<ActionKeys>,
    include: Option<MatchKeys>,
    exclude: Option<MatchKeys>,
}

/// Checked and compiled.
#[derive(Debug)]
pub(super) struct Config {
    keys: Keys,
    pub(super) actions: Actions,
    pub(super) matching: Matching,
}

impl Config {
    /// Reads and checks the block. What depends on the pipeline's signal is said by [`Config::refusal`].
    pub(super) fn read(node: &Node) -> Result<Self, ConfigErrors> {
        let keys: Keys = decode(node, "")?;
        let mut errors = ConfigErrors::new();
        if keys.actions.is_empty() {
            errors.push(node.error_at("", "actions", "missing required field \"actions\""));
        }
        let actions = errors.collect(Actions::new(&keys.actions, node, "actions"));
        let matching = errors.collect(Matching::new(keys.include.as_ref(), keys.exclude.as_ref(), node));
        match (actions, matching) {
            (Some(actions), Some(matching)) => errors.into_result(Self { keys, actions, matching }),
            _ => Err(errors),
        }
    }

    /// Why this cannot be used in a pipeline of this signal: a property that its items do not have.
    pub(super) fn refusal(&self, signal: Signal) -> Option<String> {
        [("include", &self.keys.include), ("exclude", &self.keys.exclude)]
            .into_iter()
            .find_map(|(name, keys)| Some(format!("{name}: {}", keys.as_ref()?.refusal(signal)?)))
    }
}

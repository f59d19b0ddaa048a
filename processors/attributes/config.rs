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
    pub(super) actions: Actions,
    pub(super) matching: Matching,
}

impl Config {
    /// Reads and checks the block. What depends on the pipeline's signal is said by [`check_in`].
    pub(super) fn read(node: &Node) -> Result<Self, ConfigErrors> {
        let keys: Keys = decode(node, "")?;
        let mut errors = ConfigErrors::new();
        if keys.actions.is_empty() {
            errors.push(node.error_at("", "actions", "missing required field \"actions\""));
        }
        let actions = errors.collect(Actions::new(&keys.actions, node, "actions"));
        let matching = errors.collect(Matching::new(keys.include.as_ref(), keys.exclude.as_ref(), node));
        match (actions, matching) {
            (Some(actions), Some(matching)) => errors.into_result(Self { actions, matching }),
            _ => Err(errors),
        }
    }
}

/// Checks whether a block can be used in a pipeline of this signal, whatever else is wrong with it.
///
/// # Errors
/// A property in `include` or `exclude` that the signal's items do not have.
pub(super) fn check_in(node: &Node, signal: Signal) -> Result<(), ConfigErrors> {
    decode::<Keys>(node, "").map_or(Ok(()), |keys| keys.check(node, signal))
}

impl Keys {
    /// Whether this can be used in a pipeline of this signal: whether its items have the properties that are looked at.
    ///
    /// # Errors
    /// One for each of `include` and `exclude`, at the key in `node`, from which this was read.
    fn check(&self, node: &Node, signal: Signal) -> Result<(), ConfigErrors> {
        let mut errors = ConfigErrors::new();
        for (name, keys) in [("include", &self.include), ("exclude", &self.exclude)] {
            if let Some((key, text)) = keys.as_ref().and_then(|keys| keys.refusal(signal)) {
                let path = if key.is_empty() { name.to_owned() } else { format!("{name}::{key}") };
                errors.push(node.error_at("", &path, text));
            }
        }
        errors.into_result(())
    }
}

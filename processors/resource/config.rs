//! The keys of `resource`.

use crate::actions::{ActionKeys, Actions};
use pipeline::config::{ConfigErrors, Node, decode};
use serde::Deserialize;

/// The keys as they are written.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Keys {
    attributes: Vec<ActionKeys>,
}

/// Checked and compiled.
#[derive(Debug)]
pub(super) struct Config {
    pub(super) actions: Actions,
}

impl Config {
    pub(super) fn read(node: &Node) -> Result<Self, ConfigErrors> {
        let keys: Keys = decode(node, "")?;
        if keys.attributes.is_empty() {
            return Err(node.error_at("", "attributes", "missing required field \"attributes\"").into());
        }
        Ok(Self { actions: Actions::new(&keys.attributes, node, "attributes")? })
    }
}

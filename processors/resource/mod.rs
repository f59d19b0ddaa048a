//! `resource`: changes the attributes of the resource that telemetry comes from.
//!
//! ```yaml
//! processors:
//!   resource:
//!     attributes:
//!       - {key: deployment.environment.name, value: production, action: upsert}
//!       - {key: host.name, from_attribute: k8s.node.name, action: insert}
//! ```
//!
//! | Key | Meaning |
//! |---|---|
//! | `attributes` | What is done, in order: the actions of the `attributes` processor. |
//!
//! Of scraped metrics the resource has `service.name` and `service.instance.id`, which are `job` and `instance`, and what
//! `target_info` says. What becomes of a resource is decided once and remembered; traces and logs are edited as the bytes
//! that they are.

mod config;
mod judge;
#[cfg(test)]
mod tests;

use self::config::Config;
use self::judge::ResourceJudge;
use crate::actions::{Actions, Owned, WireEditor};
use crate::editing::{Editing, Editor};
use otlp::edit::{exchange, exchange_whole};
use pipeline::Client;
use pipeline::component::{Build, BuildContext, ComponentError, Factory, Processor, Signal, Stability};
use pipeline::config::Node;
use std::sync::Arc;

/// Describes and builds the `resource` processor.
pub const FACTORY: Factory = Factory {
    type_name: "resource",
    aliases: &[],
    summary: "inserts, changes and removes attributes of resources",
    signals: &[Signal::Metrics, Signal::Traces, Signal::Logs],
    stability: Stability::Stable,
    live_update: false,
    validate: |node| Config::read(node).map(drop),
    build: Build::Processor(build),
};

fn build(node: &Node, context: &BuildContext) -> Result<Box<dyn Processor>, ComponentError> {
    let config = Config::read(node).map_err(|errors| ComponentError::caused("invalid configuration", errors))?;
    let editor = ResourceEditor { actions: Arc::new(config.actions), wire: WireEditor::default() };
    Ok(Box::new(Editing::new(editor, context)))
}

struct ResourceEditor {
    actions: Arc<Actions>,
    wire: WireEditor,
}

impl Editor for ResourceEditor {
    type Judge = ResourceJudge;

    fn context_of(&self, client: Option<&Client>) -> Vec<Option<Owned>> {
        self.actions.context_of(client)
    }

    fn judge(&self, client: Option<&Arc<Client>>) -> ResourceJudge {
        ResourceJudge { actions: Arc::clone(&self.actions), client: client.cloned() }
    }

    fn edit(&mut self, _signal: Signal, request: &[u8], client: Option<&Client>) -> Option<Vec<u8>> {
        let Self { actions, wire } = self;
        let mut out = Vec::new();
        let changed = exchange(request, 1, &mut out, |message, out| {
            exchange_whole(message, 1, out, |resource, out| wire.edit(actions, client, resource, 1, out))
        });
        changed.then_some(out)
    }
}

//! `attributes`: changes the attributes of data points, spans and log records.
//!
//! ```yaml
//! processors:
//!   attributes:
//!     include:
//!       match_type: regexp
//!       span_names: ["^GET .*"]
//!     actions:
//!       - {key: environment, value: production, action: insert}
//!       - {key: user.email, action: hash}
//!       - {pattern: "^secret\\.", action: delete}
//! ```
//!
//! | Key | Meaning |
//! |---|---|
//! | `actions` | What is done, in order: `insert`, `update`, `upsert`, `delete`, `hash`, `extract`, `convert`. |
//! | `include` | Only what matches is changed. |
//! | `exclude` | What matches is not changed, even if `include` matches. |
//!
//! Of metrics the attributes of data points are meant, not those of exemplars. What becomes of a series is decided once, when it appears,
//! and remembered. The bound of a classic bucket (`le`) and the quantile of a summary are no attributes. If two series become
//! one, both pass, and the store decides.
//!
//! Traces and logs are edited as the bytes that they are: what no action changes is handed on as it came, unknown fields included.

mod config;
mod judge;
mod messages;
#[cfg(test)]
mod tests;

use self::config::Config;
use self::judge::AttributesJudge;
use crate::actions::{Actions, Owned, WireEditor};
use crate::editing::{Editing, Editor};
use crate::matching::Matching;
use crate::outlet::signal;
use pipeline::Client;
use pipeline::component::{Build, BuildContext, ComponentError, Factory, Processor, Signal, Stability};
use pipeline::config::{ConfigErrors, Node};
use std::sync::Arc;

/// Describes and builds the `attributes` processor.
pub const FACTORY: Factory = Factory {
    type_name: "attributes",
    aliases: &[],
    summary: "inserts, changes and removes attributes of data points, spans and log records",
    signals: &[Signal::Metrics, Signal::Traces, Signal::Logs],
    stability: Stability::Stable,
    live_update: false,
    validate: |node| Config::read(node).map(drop),
    build: Build::Processor(build),
};

/// Checks what depends on the signal of the pipeline that a block is used in; its other mistakes are not repeated.
///
/// # Errors
/// A property in `include` or `exclude` that the signal's items do not have.
pub fn check_in(node: &Node, signal: Signal) -> Result<(), ConfigErrors> {
    config::check_in(node, signal)
}

fn build(node: &Node, context: &BuildContext) -> Result<Box<dyn Processor>, ComponentError> {
    let invalid = |errors| ComponentError::caused("invalid configuration", errors);
    let config = Config::read(node).map_err(invalid)?;
    config::check_in(node, signal(context)).map_err(invalid)?;
    let editor = AttributesEditor {
        actions: Arc::new(config.actions),
        matching: Arc::new(config.matching),
        wire: WireEditor::default(),
    };
    Ok(Box::new(Editing::new(editor, context)))
}

/// What is to be done, and to what.
struct AttributesEditor {
    actions: Arc<Actions>,
    matching: Arc<Matching>,
    wire: WireEditor,
}

impl Editor for AttributesEditor {
    type Judge = AttributesJudge;

    fn context_of(&self, client: Option<&Client>) -> Vec<Option<Owned>> {
        self.actions.context_of(client)
    }

    fn judge(&self, client: Option<&Arc<Client>>) -> AttributesJudge {
        AttributesJudge::new(Arc::clone(&self.actions), Arc::clone(&self.matching), client.cloned())
    }

    fn edit(&mut self, signal: Signal, request: &[u8], client: Option<&Client>) -> Option<Vec<u8>> {
        messages::edit(self, signal, request, client)
    }
}

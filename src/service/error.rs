//! Why a service could not be made, started, or go on. The wording is the Collector's, since that is what users
//! search for.

use super::graph::Slot;
use pipeline::component::{ComponentError, ComponentKind, Signal};

/// What ends a service, or refuses a reload.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// A component's configuration is valid and still it could not be made.
    #[error("{}", create_message(.slot, *.signal, .cause))]
    Create {
        /// Which one.
        slot: Slot,
        /// The signal of the first pipeline that uses it.
        signal: Option<Signal>,
        /// Why.
        cause: ComponentError,
    },
    /// A component could not bind, open or connect.
    #[error("{}", start_message(.slot, .cause))]
    Start {
        /// Which one.
        slot: Slot,
        /// Why.
        cause: ComponentError,
    },
    /// A running component gave up.
    #[error("{slot}: {cause}")]
    Failed {
        /// Which one.
        slot: Slot,
        /// Why.
        cause: ComponentError,
    },
    /// It was asked to stop, did so, and not all could be delivered in time. What is in a log on disk is not lost.
    #[error("not all could be delivered before the end: at least {items} items are lost")]
    Lost {
        /// How many, as far as that is known.
        items: u64,
    },
    /// A running receiver does not take configurations from its queue.
    #[error("{slot}: does not take its new configuration: {waiting} earlier ones wait")]
    UpdateNotTaken {
        /// Which one.
        slot: Slot,
        /// How many it has not taken.
        waiting: usize,
    },
}

fn create_message(slot: &Slot, signal: Option<Signal>, cause: &ComponentError) -> String {
    let id = slot.id().map(ToString::to_string).unwrap_or_default();
    match (slot.kind(), signal) {
        (ComponentKind::Extension, _) => {
            format!("failed to build extensions: failed to create extension \"{id}\": {cause}")
        }
        (kind, signal) => {
            let signal = signal.map_or("metrics", Signal::name);
            let place = match slot {
                Slot::Processor(pipeline, _) => format!(", in pipeline \"{pipeline}\""),
                _ => String::new(),
            };
            format!(
                "failed to build pipelines: failed to create \"{id}\" {} for data type \"{signal}\"{place}: {cause}",
                kind.name()
            )
        }
    }
}

fn start_message(slot: &Slot, cause: &ComponentError) -> String {
    match slot {
        Slot::OwnMetrics => format!("failed to start the metrics endpoint: {cause}"),
        Slot::Extension(_) => format!("failed to start extensions: failed to start {slot}: {cause}"),
        _ => format!("cannot start pipelines: failed to start {slot}: {cause}"),
    }
}

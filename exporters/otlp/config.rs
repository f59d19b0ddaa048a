//! The keys of `otlp`.

use std::time::Duration;

use net::client::grpc::GrpcSettings;
use pipeline::config::{ConfigErrors, GoDuration, Node, decode_to_check};
use serde::Deserialize;

use crate::sending_queue::Delivery;

net::grpc_client_config! {
    /// As written.
    #[derive(Debug, Clone, Default, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Keys {
        /// The time for one attempt. Default 5s; 0 for no limit.
        timeout: Option<GoDuration>,
        /// What waits.
        sending_queue: crate::sending_queue::QueueKeys,
        /// Retries.
        retry_on_failure: crate::retry::RetryKeys,
    }
}

/// Everything, checked.
#[derive(Debug)]
pub(super) struct Config {
    pub(super) client: GrpcSettings,
    /// None for no limit.
    pub(super) timeout: Option<Duration>,
    pub(super) delivery: Delivery,
}

impl Config {
    pub(super) fn read(node: &Node) -> Result<Self, ConfigErrors> {
        let (keys, mut errors) = decode_to_check::<Keys>(node, "")?;
        let delivery = Delivery::read(&keys.sending_queue, &keys.retry_on_failure, node, &mut errors);
        let client = keys.grpc_client().settings();
        let timeout = keys.timeout.unwrap_or(GoDuration::from_secs(5));
        if timeout < GoDuration::ZERO {
            errors.push(node.error_at("", "timeout", "'timeout' must be non-negative"));
        }
        match client {
            Ok(client) => errors.into_result(Self {
                client,
                timeout: Some(timeout.to_std()).filter(|timeout| !timeout.is_zero()),
                delivery,
            }),
            Err(problems) => {
                for (key, message) in problems {
                    errors.push(node.error_at("", key, message));
                }
                Err(errors)
            }
        }
    }
}

//! `awsprometheusremotewrite`: the exporter under the name and with the `aws_auth` block that the ADOT Collector had until its
//! version 0.20, and that configurations of that time still use. It is `prometheusremotewrite` that always signs.

use crate::prometheus_remote_write::{Dialect, build_as, signing_as, validate_as};
use aws::SigningSettings;
use pipeline::component::{Build, BuildContext, ComponentError, Exporter, Factory, Signal, Stability};
use pipeline::config::{ConfigErrors, Node};

/// The factory of `awsprometheusremotewrite`.
pub const FACTORY: Factory = Factory {
    type_name: "awsprometheusremotewrite",
    aliases: &[],
    summary: "sends metrics to Amazon Managed Service for Prometheus, signed",
    signals: &[Signal::Metrics],
    stability: Stability::Stable,
    live_update: false,
    validate,
    build: Build::Exporter(build),
};

/// How an exporter of this type signs by itself, for whoever looks at a configuration without running it; none if it does not.
#[must_use]
pub fn signing(type_name: &str, node: &Node) -> Option<SigningSettings> {
    (type_name == FACTORY.type_name).then(|| signing_as(Dialect::Aws, node)).flatten()
}

fn validate(node: &Node) -> Result<(), ConfigErrors> {
    validate_as(Dialect::Aws, node)
}

fn build(node: &Node, context: &BuildContext) -> Result<Box<dyn Exporter>, ComponentError> {
    build_as(Dialect::Aws, node, context)
}

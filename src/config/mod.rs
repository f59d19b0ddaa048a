//! The program's configuration, from the command line to a checked description of the service.
//!
//! Three steps, each of which reports all of its problems at once:
//! 1. [`load`] reads every source that the command line names, merges them and replaces `${...}` references;
//! 2. [`ServiceConfig::read`] takes the result apart into components and pipelines and checks that they fit;
//! 3. each component's factory checks its own block, called from step 2.
//!
//! What a user should change but need not is collected as warnings, for the caller to log.

mod authenticators;
mod bare;
mod expand;
mod gates;
mod load;
mod merge;
mod pipelines;
mod print;
mod providers;
mod service;
mod telemetry;

#[cfg(test)]
mod tests;

pub use self::gates::{FeatureGates, GateError, KNOWN_GATES, KnownGate, Stage};
pub use self::load::{ConfigArgs, DefaultConfig, Loaded, load};
pub use self::print::{Format, print_config};
pub use self::providers::{HttpAnswer, Providers, UriReader};
pub use self::service::{Component, ComponentType, ComponentTypes, Components, Pipeline, PipelineId, ServiceConfig};
pub use self::telemetry::{
    Encoding, LogLevel, LogsConfig, MetricsConfig, MetricsLevel, PrometheusPull, SamplingConfig, TelemetryConfig,
};

/// A problem that does not keep the service from starting: same form as an error, with place and key path.
pub type Warning = pipeline::config::ConfigError;

//! The configuration of the Prometheus receiver: its own keys, and below `config` a whole Prometheus configuration.
//!
//! Reading opens no file but those that `scrape_config_files` names, and those only in
//! [`PrometheusConfig::load_jobs`]. Error texts are those of Prometheus and of the Collector's receiver.

mod check;
mod discovery;
mod expand;
mod file;
mod global;
mod http;
mod job;
mod partial;
mod paths;
mod protocol;
mod receiver;
mod rules;
mod scrape;
mod sections;

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) mod vectors;

pub use self::check::FileCheckError;
pub use self::discovery::{DiscoveryConfig, FileDiscovery, HttpDiscovery};
pub use self::file::{PrometheusConfig, ReadOptions, ScrapeConfigPattern};
pub use self::global::GlobalConfig;
pub use self::job::{Histograms, Limits, ScrapeJob};
pub use self::paths::PathBase;
pub use self::protocol::{ProtocolError, ScrapeProtocol, accept_header};
pub use self::receiver::ReceiverConfig;
pub use self::rules::RelabelRules;

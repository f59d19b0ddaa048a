//! The Prometheus receiver: finds targets and scrapes them.

pub mod config;
pub mod discovery;
pub mod target;

//! placeholder
pub mod prometheus;
pub mod prometheus_remote_write;

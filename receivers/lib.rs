//! Receivers: where telemetry comes in. One module per component; each offers its factory.

mod acknowledge;
mod client;
pub mod otlp;
pub mod otlp_json_file;
mod otlp_requests;
pub mod prometheus;
pub mod prometheus_remote_write;

pub use acknowledge::Acknowledge;

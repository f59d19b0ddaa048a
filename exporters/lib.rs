//! Exporters: where telemetry goes. One module per component; each offers its factory.

pub mod aws_prometheus_remote_write;
pub mod debug;
pub mod file;
pub mod otlp;
pub mod otlp_http;
pub mod prometheus;
pub mod prometheus_remote_write;
mod retry;
mod sending_queue;

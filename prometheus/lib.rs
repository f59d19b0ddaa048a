//! The Prometheus side of Oxidot.

pub mod remote_write;
pub mod translate;

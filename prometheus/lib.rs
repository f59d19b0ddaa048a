//! What Prometheus defines, as a library: the exposition formats, labels and their hashes, relabelling,
//! durations and sizes as configuration files write them, names and their escaping, the translation between
//! OTLP and Prometheus, and the remote-write messages.
//!
//! Nothing here does I/O. Everything that reads outside data returns an error instead of panicking, and error
//! texts are those a Prometheus server prints for the same input, so that existing alerts and runbooks keep working.

pub mod duration;
pub mod exposition;
pub mod hash;
pub mod labels;
pub mod names;
pub mod number;
pub mod quote;
pub mod relabel;
pub mod remote_write;
pub mod size;
pub mod translate;

#[cfg(test)]
mod vectors;

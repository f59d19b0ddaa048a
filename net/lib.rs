//! HTTP and TLS, client and server, as all components share them, with the settings of both dialects: the Collector's (`confighttp`,
//! `configtls`) and Prometheus' (`tls_config`, `authorization`, …).
//!
//! What a thousand mostly idle connections cost decides the shape of this crate: a kept client connection is a file
//! descriptor and a few words, and a request runs in its caller's task.

#![forbid(unsafe_code)]

pub mod auth;
pub mod client;
pub mod decode;
pub mod file;
pub mod server;
pub mod tls;

/// Types that the macros of this crate need to name.
#[doc(hidden)]
pub mod reexport {
    pub use pipeline::config::{GoDuration, Secret, StringList};
}

#[cfg(test)]
mod testing;

//! The protobuf wire format of remote write, written and read without a schema compiler.
//!
//! The sender's hot path copies labels that were encoded once ([`v1::put_label`]) behind a length
//! prefix and adds one sample ([`v1::put_float_series`]); generated message types would rebuild both
//! for every sample. Field numbers are those of `prometheus.WriteRequest` and
//! `io.prometheus.write.v2.Request`.

pub mod encode;
pub mod histogram;
pub mod v1;

#[cfg(test)]
mod tests;

pub use histogram::{BucketSpan, Buckets, HistogramCount, NativeHistogram, ResetHint};
pub use v1::{MetricType, TimestampField};

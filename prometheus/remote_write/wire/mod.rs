//! The protobuf wire format of remote write, written and read without a schema compiler.
//!
//! The sender's hot path copies labels that were encoded once ([`v1::put_label`]) behind a length
//! prefix and adds one sample ([`v1::put_float_series`]); generated message types would rebuild both
//! for every sample. Field numbers are those of `prometheus.WriteRequest` and
//! `io.prometheus.write.v2.Request`.

mod decode;
mod decode_v1;
mod decode_v2;
pub mod encode;
mod histogram;
mod histogram_read;
mod read;
pub mod v1;
pub mod v2;

#[cfg(test)]
mod decode_tests;
#[cfg(test)]
mod tests;

pub use decode::{
    DecodeError, DecodeLimits, Exemplar, FamilyMetadata, LabelBytes, Place, Rejection, Sample, SeriesError,
    SeriesMetadata, TimeSeries, WriteVisitor,
};
pub use decode_v1::decode_v1;
pub use decode_v2::decode_v2;
pub use histogram::{BucketSpan, Buckets, CUSTOM_BUCKETS, HistogramCount, NativeHistogram, ResetHint};
pub use read::WireError;
pub use v1::{MetricType, TimestampField};

//! Delta and cumulative values: the arithmetic between them, and the state that it needs.
//!
//! Stores like Prometheus know cumulative values only, while statsd and some clients of OpenTelemetry send what was added since
//! the point before. [`Accumulator`] makes the one of the other for the groups of a batch; [`add`] and [`difference`] are what it
//! and its opposite do to single values; [`Streams`] is the bounded memory of what came before; [`Retold`] gives tables of
//! series whose families say the other temporality. Exponential histograms need the most care, see [`exponential`].

mod accumulate;
mod add;
mod difference;
pub mod exponential;
mod retold;
mod streams;
#[cfg(test)]
mod tests;

pub use accumulate::{Accumulator, Refused};
pub use add::{Added, add};
pub use difference::{NotComparable, difference};
pub use retold::{Retold, is_delta, temporality_of, with_temporality};
pub use streams::{Full, StreamLimits, Streams};

//! The vocabulary every Oxidot component speaks: the series model, batches, acknowledgement, bounded
//! channels, component traits, configuration values and self-telemetry.
//!
//! Invariants of this crate: it knows no protocol and does no I/O, and no other crate of the workspace
//! stands below it. The one idea everything rests on is in [`model`]: a series' identity is worked out
//! once, not once per sample.

pub mod ack;
pub mod attributes;
pub mod batch;
pub mod channel;
pub mod client;
pub mod component;
pub mod config;
mod intern;
pub mod model;
pub mod pages;
pub mod stop;
pub mod telemetry;
pub mod temporality;
pub mod value;

pub use ack::{Ack, AckOutcome, Acks};
pub use attributes::{AttributeValue, Attributes, AttributesBuilder};
pub use batch::{Batch, MessageBatch, MetricBatch, PointGroup};
pub use channel::{Gate, Input, Output, SendError};
pub use client::Client;
pub use intern::Slot;
pub use model::{Family, FamilyKind, Origin, Part, Resource, Scope, Series, SeriesTable, Source, Temporality};
pub use value::{Exemplar, ExponentialHistogram, Histogram, Point, Summary, Value};

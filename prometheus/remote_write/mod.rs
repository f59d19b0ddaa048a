//! Prometheus remote write: the protobuf wire of versions 1.0 and 2.0, the snappy block around it, and
//! the rules of the HTTP exchange. Nothing in here does I/O.

mod batch;
pub mod protocol;
pub mod snappy;
pub mod wire;

pub use batch::{Batch, Counts, Names};
pub use snappy::{SnappyBlockWriter, SnappyError};

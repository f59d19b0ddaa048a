//! What OTLP defines: its messages in protobuf and JSON, read and written.
//!
//! Metrics are read straight from the wire into the series model ([`decode`]) and written from it ([`encode`]). Traces and
//! logs stay the bytes they are ([`request`] checks, counts, and cuts them; [`edit`] changes parts of them). JSON is the same messages in another
//! spelling, so [`json`] turns one into the other and knows no signal.
//!
//! The messages are few and change seldom; they are described once, in a table, from which the JSON forms and
//! the checks follow. There is no generated code.

#![forbid(unsafe_code)]

pub mod attributes;
pub mod decode;
pub mod edit;
pub mod encode;
pub mod json;
pub mod request;
pub mod response;
mod schema;
pub mod view;
pub mod wire;

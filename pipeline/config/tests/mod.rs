//! Tests of the configuration language.
#![expect(clippy::unwrap_used, reason = "tests")]

mod decoding;
mod parsing;
mod printing;
mod values;

//! OTLP/JSON: the same messages in another spelling (OTLP specification, "JSON Protobuf Encoding").
//!
//! It is protobuf's JSON but for these: trace and span ids are hexadecimal, enums are numbers, and fields that are not
//! known are ignored. What senders are forgiven: enums by name, names with underscores, 64-bit integers as numbers, and
//! null for anything.

mod read;
#[cfg(test)]
mod tests;
mod write;

use pipeline::component::Signal;

pub(crate) use self::write::unzigzag;
pub use self::write::value_text;
use crate::request::message;
use crate::schema;
use crate::wire::DecodeError;

/// Why text is no OTLP/JSON.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct JsonError(#[from] serde_json::Error);

/// A request in protobuf, from its JSON.
///
/// # Errors
/// For text that is no JSON, and values that are not of their field's type, with the place in the text.
pub fn to_protobuf(signal: Signal, text: &[u8]) -> Result<Vec<u8>, JsonError> {
    // Protobuf is about half as long as JSON.
    let mut out = Vec::with_capacity(text.len() / 2);
    read::message(message(signal), text, &mut out)?;
    Ok(out)
}

/// A request in JSON, from its protobuf. On one line, without spaces.
///
/// # Errors
/// If the bytes are no request.
pub fn from_protobuf(signal: Signal, body: &[u8]) -> Result<String, DecodeError> {
    let mut out = String::with_capacity(body.len() * 2);
    write::message(message(signal), body, &mut out)?;
    Ok(out)
}

/// The signal of a request in JSON, by its first key that is known. `None` for a request without any, such as `{}`.
///
/// # Errors
/// For text that is no object.
pub fn signal_of(text: &[u8]) -> Result<Option<Signal>, JsonError> {
    read::signal_of(text)
}

/// A message of a known type in protobuf, from its JSON.
///
/// # Errors
/// As [`to_protobuf`].
pub(crate) fn parse(message: &'static schema::Message, text: &[u8]) -> Result<Vec<u8>, JsonError> {
    let mut out = Vec::new();
    read::message(message, text, &mut out)?;
    Ok(out)
}

/// The JSON of an encoded message of a known type.
pub(crate) fn text(message: &'static schema::Message, body: &[u8]) -> Result<String, DecodeError> {
    let mut out = String::new();
    write::message(message, body, &mut out)?;
    Ok(out)
}

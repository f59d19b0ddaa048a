//! Attributes between their encoding and the model.

use pipeline::{AttributeValue, Attributes, AttributesBuilder};

use crate::wire::{self, DecodeError, Reader, Value};

/// A `KeyValue`.
///
/// # Errors
/// If it cannot be decoded, or its text is not UTF-8.
pub fn key_value(message: &[u8]) -> Result<(&str, AttributeValue<'_>), DecodeError> {
    let (mut key, mut any) = ("", AttributeValue::Empty);
    let mut reader = Reader::new(message);
    while let Some((number, field)) = reader.field()? {
        match (number, field) {
            (1, Value::Bytes(bytes)) => key = text(bytes)?,
            (2, Value::Bytes(bytes)) => any = value(bytes)?,
            (1 | 2, _) => return Err(DecodeError::WireType { message: "KeyValue", field: number }),
            _ => {}
        }
    }
    Ok((key, any))
}

/// An `AnyValue`. Lists and maps stay encoded.
///
/// # Errors
/// If it cannot be decoded, or its text is not UTF-8.
pub fn value(message: &[u8]) -> Result<AttributeValue<'_>, DecodeError> {
    let mut result = AttributeValue::Empty;
    let mut reader = Reader::new(message);
    while let Some((number, field)) = reader.field()? {
        result = match (number, field) {
            (1, Value::Bytes(bytes)) => AttributeValue::Str(text(bytes)?),
            (2, Value::Varint(bool)) => AttributeValue::Bool(bool != 0),
            (3, Value::Varint(int)) => AttributeValue::Int(int.cast_signed()),
            (4, Value::Fixed64(bits)) => AttributeValue::Double(f64::from_bits(bits)),
            (5 | 6, Value::Bytes(_)) => AttributeValue::Encoded(message),
            (7, Value::Bytes(bytes)) => AttributeValue::Bytes(bytes),
            (1..=7, _) => return Err(DecodeError::WireType { message: "AnyValue", field: number }),
            _ => continue,
        };
    }
    if let AttributeValue::Encoded(message) = result {
        crate::request::check_value(message)?;
    }
    Ok(result)
}

/// The attributes that a repeated field of a message holds, one `KeyValue` each.
///
/// # Errors
/// If one cannot be decoded, or its text is not UTF-8.
pub(crate) fn collect(message: &[u8], field: u32, builder: &mut AttributesBuilder) -> Result<Attributes, DecodeError> {
    let pushed = push_all(message, field, builder);
    // In any case, so that nothing is left in the builder for whoever has it next.
    let attributes = builder.build();
    pushed.map(|()| attributes)
}

fn push_all(message: &[u8], field: u32, builder: &mut AttributesBuilder) -> Result<(), DecodeError> {
    let mut reader = Reader::new(message);
    while let Some((number, value)) = reader.field()? {
        if number != field {
            continue;
        }
        let Value::Bytes(bytes) = value else {
            return Err(DecodeError::WireType { message: "attributes", field });
        };
        let (key, value) = key_value(bytes)?;
        builder.push(key, value);
    }
    Ok(())
}

/// Text, which protobuf wants to be UTF-8.
pub(crate) fn text(bytes: &[u8]) -> Result<&str, DecodeError> {
    std::str::from_utf8(bytes).map_err(|_| DecodeError::Utf8)
}

/// Appends attributes as `KeyValue`s in field `field`.
pub(crate) fn put<'a>(
    out: &mut Vec<u8>,
    field: u32,
    attributes: impl IntoIterator<Item = (&'a str, AttributeValue<'a>)>,
) {
    for (key, value) in attributes {
        put_one(out, field, key, value);
    }
}

/// Appends an attribute as a `KeyValue` in field `field`.
pub fn put_one(out: &mut Vec<u8>, field: u32, key: &str, value: AttributeValue<'_>) {
    wire::put_message(out, field, |out| {
        wire::put_bytes(out, 1, key.as_bytes());
        wire::put_message(out, 2, |out| put_value(out, value));
    });
}

/// Appends the contents of an `AnyValue`.
pub fn put_value(out: &mut Vec<u8>, value: AttributeValue<'_>) {
    match value {
        AttributeValue::Str(text) => wire::put_bytes(out, 1, text.as_bytes()),
        AttributeValue::Bool(value) => wire::put_number(out, 2, u64::from(value)),
        AttributeValue::Int(value) => wire::put_number(out, 3, value.cast_unsigned()),
        AttributeValue::Double(value) => wire::put_fixed64(out, 4, value.to_bits()),
        AttributeValue::Bytes(bytes) => wire::put_bytes(out, 7, bytes),
        AttributeValue::Encoded(message) => out.extend_from_slice(message),
        AttributeValue::Empty => {}
    }
}

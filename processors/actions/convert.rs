//! Values turned into others.

use super::Type;
use super::set::Owned;
use pipeline::AttributeValue;
use sha2::{Digest as _, Sha256};

/// The SHA-256 of a value in hexadecimal, as the Collector's `hash` action has it: numbers as eight bytes, the lowest
/// first, a boolean as one byte. What is neither text, number nor boolean becomes empty text.
pub(super) fn hash(value: AttributeValue<'_>) -> Owned {
    let digest = match value {
        AttributeValue::Str(text) => Sha256::digest(text.as_bytes()),
        AttributeValue::Bool(value) => Sha256::digest([u8::from(value)]),
        AttributeValue::Int(value) => Sha256::digest(value.to_le_bytes()),
        AttributeValue::Double(value) => Sha256::digest(value.to_bits().to_le_bytes()),
        AttributeValue::Bytes(_) | AttributeValue::Encoded(_) | AttributeValue::Empty => return Owned::Str("".into()),
    };
    Owned::Str(digest.iter().flat_map(|byte| [byte >> 4, byte & 15]).map(digit).collect())
}

fn digit(value: u8) -> char {
    char::from_digit(u32::from(value), 16).unwrap_or_default()
}

/// The value as another type; `None` if it cannot be one, and stays.
pub(super) fn convert(value: AttributeValue<'_>, to: Type) -> Option<Owned> {
    use AttributeValue::{Bool, Double, Int, Str};
    match (to, value) {
        (Type::String, value) => Some(Owned::Str(prometheus::translate::attribute_text(value).into())),
        (Type::Int, Str(text)) => text.parse().ok().map(Owned::Int),
        // Towards zero, as Go does it.
        (Type::Int, Double(value)) => Some(Owned::Int(value as i64)),
        (Type::Int, Bool(value)) => Some(Owned::Int(value.into())),
        (Type::Double, Str(text)) => prometheus::number::parse_label_float(text).map(Owned::Double),
        (Type::Double, Int(value)) => Some(Owned::Double(value as f64)),
        (Type::Double, Bool(value)) => Some(Owned::Double(u8::from(value).into())),
        _ => None,
    }
}

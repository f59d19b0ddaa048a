//! Messages looked into without being decoded, for those who show them: what cannot be read counts as absent.

use pipeline::AttributeValue;

use crate::attributes;
use crate::wire::{Reader, Value};

/// A message.
#[derive(Clone, Copy, Debug)]
pub struct View<'a>(&'a [u8]);

impl<'a> View<'a> {
    /// Looks into an encoded message.
    #[must_use]
    pub fn of(message: &'a [u8]) -> Self {
        Self(message)
    }

    /// All values of a field, as far as they can be read.
    fn values(self, number: u32) -> impl Iterator<Item = Value<'a>> {
        let mut reader = Reader::new(self.0);
        std::iter::from_fn(move || {
            loop {
                let (found, value) = reader.field().ok()??;
                if found == number {
                    return Some(value);
                }
            }
        })
    }

    /// The bytes of a field; empty if it is absent.
    #[must_use]
    pub fn bytes(self, number: u32) -> &'a [u8] {
        let bytes =
            self.values(number).filter_map(|value| if let Value::Bytes(bytes) = value { Some(bytes) } else { None });
        bytes.last().unwrap_or_default()
    }

    /// The text of a field; empty if it is absent.
    #[must_use]
    pub fn text(self, number: u32) -> std::borrow::Cow<'a, str> {
        String::from_utf8_lossy(self.bytes(number))
    }

    /// The number in a field; 0 if it is absent.
    #[must_use]
    pub fn number(self, number: u32) -> u64 {
        let numbers = self.values(number).filter_map(|value| match value {
            Value::Varint(value) | Value::Fixed64(value) => Some(value),
            Value::Fixed32(value) => Some(u64::from(value)),
            Value::Bytes(_) => None,
        });
        numbers.last().unwrap_or_default()
    }

    /// The message in a field; an empty one if it is absent.
    #[must_use]
    pub fn message(self, number: u32) -> View<'a> {
        View(self.bytes(number))
    }

    /// The messages in a repeated field.
    pub fn messages(self, number: u32) -> impl Iterator<Item = View<'a>> {
        crate::request::fields(self.0, number).map(View)
    }

    /// The attributes in a repeated field.
    pub fn attributes(self, number: u32) -> impl Iterator<Item = (&'a str, AttributeValue<'a>)> {
        crate::request::fields(self.0, number).filter_map(|message| attributes::key_value(message).ok())
    }

    /// This message as an `AnyValue`.
    #[must_use]
    pub fn value(self) -> AttributeValue<'a> {
        attributes::value(self.0).unwrap_or(AttributeValue::Empty)
    }
}

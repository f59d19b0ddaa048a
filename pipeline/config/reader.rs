//! The serde `Deserializer` over a [`Node`]: which value a field of which type takes.

use serde::de::{Deserializer, Visitor};
use serde::forward_to_deserialize_any;

use super::access::{EnumReader, MapReader, SequenceReader, StructReader};
use super::decode::{Context, DecodeError, KeyStyle, Place};
use super::fields::{LIST_TOKEN, NODE_TOKEN, SECTION_TOKEN, hand_over};
use super::node::{Node, Scalar, Span, Value};
use super::resolve::Resolved;

/// Integers up to here are exact as floats; `1e3` may stand for 1000, but nothing larger than this.
const EXACT_FLOAT: f64 = 9_007_199_254_740_992.0;

/// Where a value stands, which decides what null means there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slot {
    Root,
    /// A struct's field: null is as if the key were not written.
    Field,
    /// A map's value: null is the type's empty value.
    MapValue,
    /// A list's item: null is an empty block, but no text or number.
    Item,
}

/// Reads one value.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a, 'n> {
    pub(super) context: &'a Context,
    pub(super) node: &'n Node,
    pub(super) key_span: Option<&'n Span>,
    pub(super) place: &'a Place<'a>,
    pub(super) slot: Slot,
}

impl<'n> Reader<'_, 'n> {
    /// Refuses null where it stands for an absent key.
    fn present(&self) -> Result<(), DecodeError> {
        if self.slot == Slot::Field && self.node.is_null() && self.text().is_none() {
            return Err(DecodeError::null());
        }
        Ok(())
    }

    /// What a field that wants text gets.
    fn text(&self) -> Option<&'n str> {
        self.node.as_text()
    }

    fn scalar(&self, expected: &str, go_type: &str) -> Result<&'n Scalar, DecodeError> {
        if self.slot == Slot::Field && self.node.is_null() {
            return Err(DecodeError::null());
        }
        self.node.as_scalar().ok_or_else(|| self.mismatch(expected, go_type))
    }

    /// The value is of another type than `expected`, which Go calls `go_type`.
    fn mismatch(&self, expected: &str, go_type: &str) -> DecodeError {
        if self.context.style == KeyStyle::Prometheus {
            let given = match &self.node.value {
                Value::Mapping(_) => "!!map".to_owned(),
                Value::Sequence(_) => "!!seq".to_owned(),
                Value::Scalar(scalar) => {
                    let shown = match scalar.text.char_indices().nth(7) {
                        Some((cut, _)) if scalar.text.len() > 10 => {
                            format!("{}...", scalar.text.get(..cut).unwrap_or_default())
                        }
                        _ => scalar.text.clone(),
                    };
                    format!("{} `{shown}`", scalar.resolved.tag())
                }
            };
            return DecodeError::new(format!("cannot unmarshal {given} into {go_type}"));
        }
        DecodeError::new(format!("expected {expected}, got {}", self.node.describe()))
    }

    fn integer(&self, min: i128, max: i128, go_type: &str) -> Result<i128, DecodeError> {
        let expected = if min == 0 { "a non-negative integer" } else { "an integer" };
        let scalar = self.scalar(expected, go_type)?;
        let value = match scalar.resolved {
            Resolved::Int(value) => Some(value),
            #[expect(clippy::cast_possible_truncation, reason = "whole, and within the exact range")]
            Resolved::Float(value) if value.fract() == 0.0 && value.abs() <= EXACT_FLOAT => Some(value as i128),
            _ => None,
        };
        match value {
            Some(value) if (min..=max).contains(&value) => Ok(value),
            Some(value) if self.context.style == KeyStyle::Collector && (value >= 0 || min < 0) => {
                Err(DecodeError::new(format!("{value} is out of range: the limits are {min} and {max}")))
            }
            _ => Err(self.without_quotes(self.mismatch(expected, go_type), scalar)),
        }
    }

    fn signed(&self, min: i64, max: i64, go_type: &str) -> Result<i64, DecodeError> {
        let value = self.integer(i128::from(min), i128::from(max), go_type)?;
        i64::try_from(value).map_err(|_| self.mismatch("an integer", go_type))
    }

    fn unsigned(&self, max: u64, go_type: &str) -> Result<u64, DecodeError> {
        let value = self.integer(0, i128::from(max), go_type)?;
        u64::try_from(value).map_err(|_| self.mismatch("a non-negative integer", go_type))
    }

    #[expect(clippy::cast_precision_loss, reason = "a float was asked for")]
    fn float(&self) -> Result<f64, DecodeError> {
        let scalar = self.scalar("a number", "float64")?;
        match scalar.resolved {
            Resolved::Float(value) => Ok(value),
            Resolved::Int(value) => Ok(value as f64),
            _ => Err(self.without_quotes(self.mismatch("a number", "float64"), scalar)),
        }
    }

    /// Adds the remedy where only the quotes are wrong.
    fn without_quotes(&self, error: DecodeError, scalar: &Scalar) -> DecodeError {
        let bare = Scalar::plain(scalar.text.as_str()).resolved;
        let in_the_way = !scalar.plain && matches!(bare, Resolved::Int(_) | Resolved::Float(_) | Resolved::Bool(_));
        if !in_the_way || self.context.style == KeyStyle::Prometheus {
            return error;
        }
        DecodeError::new(format!("{error}; write it without quotes"))
    }

    fn boolean(&self) -> Result<bool, DecodeError> {
        let scalar = self.scalar("true or false", "bool")?;
        if let Resolved::Bool(value) = scalar.resolved {
            return Ok(value);
        }
        let error = self.mismatch("true or false", "bool");
        let meant = match scalar.text.as_str() {
            "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => true,
            "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => false,
            _ => return Err(self.without_quotes(error, scalar)),
        };
        match self.context.style {
            KeyStyle::Prometheus if scalar.resolved == Resolved::Text => Ok(meant),
            _ => Err(DecodeError::new(format!("{error}; write {meant}"))),
        }
    }
}

macro_rules! integers {
    ($($method:ident $range:ident $visit:ident $go_type:literal ($($limit:expr),+);)+) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
            visitor.$visit(self.$range($($limit,)+ $go_type)?)
        })+
    };
}

impl<'de> Deserializer<'de> for Reader<'_, '_> {
    type Error = DecodeError;

    integers! {
        deserialize_i8 signed visit_i64 "int8" (i64::from(i8::MIN), i64::from(i8::MAX));
        deserialize_i16 signed visit_i64 "int16" (i64::from(i16::MIN), i64::from(i16::MAX));
        deserialize_i32 signed visit_i64 "int32" (i64::from(i32::MIN), i64::from(i32::MAX));
        deserialize_i64 signed visit_i64 "int" (i64::MIN, i64::MAX);
        deserialize_u8 unsigned visit_u64 "uint8" (u64::from(u8::MAX));
        deserialize_u16 unsigned visit_u64 "uint16" (u64::from(u16::MAX));
        deserialize_u32 unsigned visit_u64 "uint32" (u64::from(u32::MAX));
        deserialize_u64 unsigned visit_u64 "uint" (u64::MAX);
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        let scalar = match &self.node.value {
            Value::Mapping(_) => return self.deserialize_map(visitor),
            Value::Sequence(_) => return self.deserialize_seq(visitor),
            Value::Scalar(scalar) => scalar,
        };
        match scalar.resolved {
            Resolved::Null if self.slot == Slot::Field => Err(DecodeError::null()),
            Resolved::Null => visitor.visit_unit(),
            Resolved::Bool(value) => visitor.visit_bool(value),
            Resolved::Float(value) => visitor.visit_f64(value),
            Resolved::Text => visitor.visit_str(&scalar.text),
            Resolved::Int(value) => match (i64::try_from(value), u64::try_from(value)) {
                (Ok(value), _) => visitor.visit_i64(value),
                (_, Ok(value)) => visitor.visit_u64(value),
                _ => Err(self.mismatch("an integer", "int")),
            },
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_bool(self.boolean()?)
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_f64(self.float()?)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_f64(self.float()?)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.present()?;
        match self.text() {
            Some(text) => visitor.visit_str(text),
            None if self.slot == Slot::MapValue && self.node.is_null() => visitor.visit_str(""),
            None => Err(self.mismatch("a text", "string")),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.present()?;
        if self.node.is_null() && self.text().is_none() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        match name {
            NODE_TOKEN => {
                hand_over(self.node);
                visitor.visit_unit()
            }
            SECTION_TOKEN => visitor.visit_newtype_struct(Self { slot: Slot::Root, ..self }),
            LIST_TOKEN => {
                self.present()?;
                match self.text().filter(|_| self.node.as_sequence().is_none()) {
                    Some(text) if self.node.as_scalar().is_some() => visitor.visit_str(text),
                    _ => self.deserialize_seq(visitor),
                }
            }
            _ => visitor.visit_newtype_struct(self),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match &self.node.value {
            Value::Sequence(items) => visitor.visit_seq(SequenceReader::new(self, items)),
            Value::Scalar(scalar) if scalar.resolved == Resolved::Null => {
                self.present()?;
                visitor.visit_seq(SequenceReader::new(self, &[]))
            }
            _ => Err(self.mismatch("a list", "a list")),
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _len: usize, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _len: usize,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match &self.node.value {
            Value::Mapping(mapping) => visitor.visit_map(MapReader::new(self, mapping)),
            Value::Scalar(scalar) if scalar.resolved == Resolved::Null => {
                self.present()?;
                visitor.visit_map(MapReader::new(self, &super::Mapping::default()))
            }
            _ => Err(self.mismatch("a mapping", "a map")),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        match &self.node.value {
            Value::Mapping(mapping) => visitor.visit_map(StructReader::new(self, mapping, name, fields)),
            Value::Scalar(scalar) if scalar.resolved == Resolved::Null => {
                self.present()?;
                visitor.visit_map(StructReader::new(self, &super::Mapping::default(), name, fields))
            }
            _ => Err(self.mismatch("a mapping", name)),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.present()?;
        match (&self.node.value, self.text()) {
            (Value::Mapping(mapping), _) => match mapping.entries.as_slice() {
                [entry] => visitor.visit_enum(EnumReader { reader: self, entry }),
                _ => Err(DecodeError::new("expected a mapping with exactly one key")),
            },
            (_, Some(text)) => visitor.visit_enum(serde::de::value::StrDeserializer::new(text)),
            _ => Err(self.mismatch("a text", "string")),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! { i128 u128 bytes byte_buf unit unit_struct }
}

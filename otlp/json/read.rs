//! JSON to protobuf, value by value, without a tree in between.

use std::fmt;

use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use pipeline::component::Signal;

use crate::schema::{Field, Kind, Message};
use crate::wire;

const FORGIVING: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);

/// Appends the message that `text` is.
pub(super) fn message(message: &'static Message, text: &[u8], out: &mut Vec<u8>) -> Result<(), serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    MessageSeed { message, out }.deserialize(&mut deserializer)?;
    deserializer.end()
}

/// Reads an object as the fields of a message.
struct MessageSeed<'o> {
    message: &'static Message,
    out: &'o mut Vec<u8>,
}

impl<'de> DeserializeSeed<'de> for MessageSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for MessageSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object for {}", self.message.name)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(field) = map.next_key_seed(NameSeed(self.message))? {
            match field {
                Some(field) => map.next_value_seed(FieldSeed { field, out: self.out })?,
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

/// Reads a key as a field, if it is known.
struct NameSeed(&'static Message);

impl<'de> DeserializeSeed<'de> for NameSeed {
    type Value = Option<&'static Field>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for NameSeed {
    type Value = Option<&'static Field>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field name")
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.named(name))
    }
}

/// Reads all values of a field; null stands for none.
struct FieldSeed<'o> {
    field: &'static Field,
    out: &'o mut Vec<u8>,
}

impl<'de> DeserializeSeed<'de> for FieldSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for FieldSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.field.repeated {
            return write!(f, "a list for {}", self.field.name);
        }
        expected(self.field, f)
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        match (self.field.kind, self.field.repeated) {
            (Kind::Message(message), false) => self.element().object(message, map),
            _ => Err(de::Error::invalid_type(de::Unexpected::Map, &self)),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        if !self.field.repeated {
            return Err(de::Error::invalid_type(de::Unexpected::Seq, &self));
        }
        let kind = self.field.kind;
        if kind.wire_type() == wire::BYTES {
            while list.next_element_seed(Element { field: self.field, tagged: true, out: self.out })?.is_some() {}
            return Ok(());
        }
        // Numbers are packed, as protobuf has them since version 3.
        wire::put_tag(self.out, self.field.number, wire::BYTES);
        let start = wire::open(self.out);
        while list.next_element_seed(Element { field: self.field, tagged: false, out: self.out })?.is_some() {}
        wire::close(self.out, start);
        Ok(())
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<(), E> {
        self.single()?.visit_bool(value)
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<(), E> {
        self.single()?.visit_u64(value)
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<(), E> {
        self.single()?.visit_i64(value)
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<(), E> {
        self.single()?.visit_f64(value)
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<(), E> {
        self.single()?.visit_str(value)
    }
}

impl<'o> FieldSeed<'o> {
    fn element(self) -> Element<'o> {
        Element { field: self.field, tagged: true, out: self.out }
    }

    /// The value of a field that has one.
    fn single<E: de::Error>(self) -> Result<Element<'o>, E> {
        match self.field.repeated {
            true => Err(E::custom(format_args!("expected a list for {}", self.field.name))),
            false => Ok(self.element()),
        }
    }
}

/// Reads one value of a field.
struct Element<'o> {
    field: &'static Field,
    /// Whether it is written with its tag, and not packed.
    tagged: bool,
    out: &'o mut Vec<u8>,
}

impl Element<'_> {
    fn tag(&mut self) {
        if self.tagged {
            wire::put_tag(self.out, self.field.number, self.field.kind.wire_type());
        }
    }

    fn bytes(mut self, bytes: &[u8]) {
        self.tag();
        wire::put_varint(self.out, bytes.len() as u64);
        self.out.extend_from_slice(bytes);
    }

    fn double(mut self, value: f64) {
        self.tag();
        self.out.extend_from_slice(&value.to_bits().to_le_bytes());
    }

    /// Writes an integer if the field's type has it.
    fn integer<E: de::Error>(mut self, value: i128) -> Result<(), E> {
        let range = match self.field.kind {
            Kind::Int64 { signed: true } | Kind::Fixed64 { signed: true } => {
                i128::from(i64::MIN)..=i128::from(i64::MAX)
            }
            Kind::Int64 { signed: false } | Kind::Fixed64 { signed: false } => 0..=i128::from(u64::MAX),
            Kind::Int32 | Kind::Fixed32 => 0..=i128::from(u32::MAX),
            Kind::Sint32 | Kind::Enum(_) => i128::from(i32::MIN)..=i128::from(i32::MAX),
            Kind::Double => {
                self.double(value as f64);
                return Ok(());
            }
            _ => return Err(E::custom(format_args!("{} takes no number", self.field.name))),
        };
        if !range.contains(&value) {
            return Err(E::custom(format_args!("{value} is out of range for {}", self.field.name)));
        }
        let word = (value as i64).cast_unsigned();
        self.tag();
        match self.field.kind {
            Kind::Fixed64 { .. } => self.out.extend_from_slice(&word.to_le_bytes()),
            Kind::Fixed32 => self.out.extend_from_slice(&(word as u32).to_le_bytes()),
            Kind::Sint32 => {
                let value = value as i32;
                wire::put_varint(self.out, u64::from(((value << 1) ^ (value >> 31)).cast_unsigned()));
            }
            _ => wire::put_varint(self.out, word),
        }
        Ok(())
    }

    fn object<'de, A: MapAccess<'de>>(mut self, message: &'static Message, map: A) -> Result<(), A::Error> {
        self.tag();
        let start = wire::open(self.out);
        MessageSeed { message, out: self.out }.visit_map(map)?;
        wire::close(self.out, start);
        Ok(())
    }

    fn text<E: de::Error>(self, text: &str) -> Result<(), E> {
        let name = self.field.name;
        match self.field.kind {
            Kind::Text => self.bytes(text.as_bytes()),
            Kind::Id => {
                let id = hex(text).ok_or_else(|| E::custom(format_args!("{name}: {text:?} is not hexadecimal")))?;
                self.bytes(&id);
            }
            Kind::Bytes => {
                let alphabet = if text.contains(['-', '_']) { &URL_SAFE } else { &STANDARD };
                let decoded = GeneralPurpose::new(alphabet, FORGIVING).decode(text);
                self.bytes(&decoded.map_err(|error| E::custom(format_args!("{name}: {error}")))?);
            }
            Kind::Double => {
                let value = match text {
                    "NaN" => f64::NAN,
                    "Infinity" => f64::INFINITY,
                    "-Infinity" => f64::NEG_INFINITY,
                    text => text.parse().map_err(|_| E::custom(format_args!("{name}: {text:?} is no number")))?,
                };
                self.double(value);
            }
            Kind::Enum(names) => {
                let number = names.iter().position(|known| *known == text).and_then(|at| i128::try_from(at).ok());
                let number = number.or_else(|| text.parse().ok());
                let number = number.ok_or_else(|| E::custom(format_args!("{name}: {text:?} is not known")))?;
                return self.integer(number);
            }
            Kind::Bool | Kind::Message(_) => return Err(E::custom(format_args!("{name} is no text"))),
            _ => {
                let number = text.parse().map_err(|_| E::custom(format_args!("{name}: {text:?} is no integer")))?;
                return self.integer(number);
            }
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Element<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Element<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        expected(self.field, f)
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        match self.field.kind {
            // An element of a list cannot be left out without moving the others; it is an empty message.
            Kind::Message(_) => {
                self.bytes(&[]);
                Ok(())
            }
            _ => Err(E::custom(format_args!("{} has a list with null in it", self.field.name))),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        match self.field.kind {
            Kind::Message(message) => self.object(message, map),
            _ => Err(de::Error::invalid_type(de::Unexpected::Map, &self)),
        }
    }

    fn visit_bool<E: de::Error>(mut self, value: bool) -> Result<(), E> {
        let Kind::Bool = self.field.kind else {
            return Err(E::invalid_type(de::Unexpected::Bool(value), &self));
        };
        self.tag();
        self.out.push(u8::from(value));
        Ok(())
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<(), E> {
        self.integer(i128::from(value))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<(), E> {
        self.integer(i128::from(value))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<(), E> {
        match self.field.kind {
            Kind::Double => {
                self.double(value);
                Ok(())
            }
            // `1e3` is a whole number too, and exact below 2^53.
            _ if value.fract() == 0.0 && value.abs() <= 9_007_199_254_740_992.0 => self.integer(value as i128),
            _ => Err(E::invalid_type(de::Unexpected::Float(value), &self)),
        }
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<(), E> {
        self.text(value)
    }
}

/// Says what one value of a field is to be.
fn expected(field: &Field, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let name = field.name;
    match field.kind {
        Kind::Message(_) => write!(f, "an object for {name}"),
        Kind::Text => write!(f, "text for {name}"),
        Kind::Bytes => write!(f, "base64 text for {name}"),
        Kind::Id => write!(f, "hexadecimal text for {name}"),
        Kind::Bool => write!(f, "true or false for {name}"),
        Kind::Double => write!(f, "a number for {name}"),
        Kind::Enum(_) => write!(f, "the number of an enum value for {name}"),
        Kind::Int32 | Kind::Int64 { .. } | Kind::Sint32 | Kind::Fixed32 | Kind::Fixed64 { .. } => {
            write!(f, "an integer for {name}")
        }
    }
}

/// The bytes of hexadecimal digits.
fn hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    if !text.len().is_multiple_of(2) {
        return None;
    }
    let (pairs, _) = text.as_bytes().as_chunks::<2>();
    pairs.iter().map(|[high, low]| u8::try_from(digit(high)? << 4 | digit(low)?).ok()).collect()
}

/// The signal whose key comes first in an object.
pub(super) fn signal_of(text: &[u8]) -> Result<Option<Signal>, super::JsonError> {
    struct KeysVisitor<'f>(&'f mut Option<Signal>);

    impl<'de> Visitor<'de> for KeysVisitor<'_> {
        type Value = ();

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object with resourceMetrics, resourceSpans or resourceLogs")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
            while let Some(key) = map.next_key::<std::borrow::Cow<'_, str>>()? {
                let signals = [Signal::Metrics, Signal::Traces, Signal::Logs];
                *self.0 = signals.into_iter().find(|signal| super::message(*signal).named(&key).is_some());
                if self.0.is_some() {
                    // What comes now is read by who reads the signal.
                    return Err(de::Error::custom("found"));
                }
                map.next_value::<IgnoredAny>()?;
            }
            Ok(())
        }
    }

    let mut found = None;
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let read = deserializer.deserialize_map(KeysVisitor(&mut found)).and_then(|()| deserializer.end());
    match read {
        Err(error) if found.is_none() => Err(error.into()),
        _ => Ok(found),
    }
}

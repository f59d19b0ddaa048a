//! Protobuf to JSON: what is there is written, in the order of the schema.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::request::wire_type;
use crate::schema::{ANY_VALUE, Field, Kind, Message};
use crate::wire::{self, DecodeError, MAX_DEPTH, Reader, Value};

/// Appends a message as an object.
pub(super) fn message(message: &'static Message, body: &[u8], out: &mut String) -> Result<(), DecodeError> {
    put_message(message, body, out, MAX_DEPTH)
}

/// The JSON of an encoded `AnyValue` by itself: `["a",1]` for a list of two. For people to read.
#[must_use]
pub fn value_text(value: &[u8]) -> String {
    let mut out = String::new();
    // What cannot be read is shown as far as it goes.
    put_bare(value, &mut out, MAX_DEPTH).ok();
    out
}

fn put_message(message: &'static Message, body: &[u8], out: &mut String, depth: usize) -> Result<(), DecodeError> {
    let depth = depth.checked_sub(1).ok_or(DecodeError::TooDeep)?;
    let mut present = 0u32;
    let mut reader = Reader::new(body);
    while let Some((number, _)) = reader.field()? {
        if let Some(at) = message.fields.iter().position(|field| field.number == number) {
            present |= 1 << at;
        }
    }
    out.push('{');
    let mut first = true;
    for (at, field) in message.fields.iter().enumerate() {
        if present & (1 << at) == 0 {
            continue;
        }
        if !std::mem::take(&mut first) {
            out.push(',');
        }
        put(out, format_args!("\"{}\":", field.name));
        put_field(message, field, body, out, depth)?;
    }
    out.push('}');
    Ok(())
}

/// Appends all values of a field that is there.
fn put_field(
    message: &'static Message,
    field: &'static Field,
    body: &[u8],
    out: &mut String,
    depth: usize,
) -> Result<(), DecodeError> {
    let mut reader = Reader::new(body);
    let mut values = std::iter::from_fn(|| {
        loop {
            match reader.field().ok()?? {
                (number, value) if number == field.number => return Some(value),
                _ => {}
            }
        }
    });
    if !field.repeated {
        return match (values.by_ref().last(), field.kind) {
            (Some(Value::Bytes(_)), Kind::Message(_)) => {
                // A message that comes in parts is all of them together.
                let parts: Vec<&[u8]> = crate::request::fields(body, field.number).collect();
                put_value(message, field, Value::Bytes(&parts.concat()), out, depth)
            }
            (Some(value), _) => put_value(message, field, value, out, depth),
            (None, _) => {
                out.push_str("null");
                Ok(())
            }
        };
    }
    out.push('[');
    let mut first = true;
    let mut comma = |out: &mut String| {
        if !std::mem::take(&mut first) {
            out.push(',');
        }
    };
    let packed_type = field.kind.wire_type();
    for value in values {
        match value {
            Value::Bytes(packed) if packed_type != wire::BYTES => {
                let mut reader = Reader::new(packed);
                while !reader.is_empty() {
                    let value = match packed_type {
                        wire::VARINT => Value::Varint(reader.varint()?),
                        wire::FIXED32 => Value::Fixed32(reader.fixed32()?),
                        _ => Value::Fixed64(reader.fixed64()?),
                    };
                    comma(out);
                    put_value(message, field, value, out, depth)?;
                }
            }
            value => {
                comma(out);
                put_value(message, field, value, out, depth)?;
            }
        }
    }
    out.push(']');
    Ok(())
}

fn put_value(
    message: &'static Message,
    field: &'static Field,
    value: Value<'_>,
    out: &mut String,
    depth: usize,
) -> Result<(), DecodeError> {
    if wire_type(value) != field.kind.wire_type() {
        return Err(DecodeError::WireType { message: message.name, field: field.number });
    }
    match (field.kind, value) {
        (Kind::Message(inner), Value::Bytes(bytes)) => put_message(inner, bytes, out, depth)?,
        (Kind::Text, Value::Bytes(bytes)) => put_text(out, &String::from_utf8_lossy(bytes)),
        (Kind::Bytes, Value::Bytes(bytes)) => put(out, format_args!("\"{}\"", STANDARD.encode(bytes))),
        (Kind::Id, Value::Bytes(bytes)) => {
            out.push('"');
            for byte in bytes {
                put(out, format_args!("{byte:02x}"));
            }
            out.push('"');
        }
        (Kind::Bool, Value::Varint(bool)) => out.push_str(if bool != 0 { "true" } else { "false" }),
        (Kind::Int32, Value::Varint(number)) => put(out, format_args!("{}", number as u32)),
        (Kind::Enum(_), Value::Varint(number)) => put(out, format_args!("{}", number as i32)),
        (Kind::Sint32, Value::Varint(number)) => put(out, format_args!("{}", unzigzag(number))),
        (Kind::Fixed32, Value::Fixed32(number)) => put(out, format_args!("{number}")),
        (Kind::Double, Value::Fixed64(bits)) => put_double(out, f64::from_bits(bits)),
        (Kind::Int64 { signed } | Kind::Fixed64 { signed }, Value::Varint(word) | Value::Fixed64(word)) => match signed
        {
            true => put(out, format_args!("\"{}\"", word.cast_signed())),
            false => put(out, format_args!("\"{word}\"")),
        },
        _ => out.push_str("null"),
    }
    Ok(())
}

/// Appends an `AnyValue` as the JSON value that it is.
fn put_bare(value: &[u8], out: &mut String, depth: usize) -> Result<(), DecodeError> {
    let depth = depth.checked_sub(1).ok_or(DecodeError::TooDeep)?;
    let Some((number, value)) = Reader::new(value).field()? else {
        out.push_str("null");
        return Ok(());
    };
    match (number, value) {
        (3, Value::Varint(int)) => put(out, format_args!("{}", int.cast_signed())),
        (5, Value::Bytes(list)) => {
            out.push('[');
            for (at, element) in crate::request::fields(list, 1).enumerate() {
                out.push_str(if at > 0 { "," } else { "" });
                put_bare(element, out, depth)?;
            }
            out.push(']');
        }
        (6, Value::Bytes(map)) => {
            out.push('{');
            for (at, entry) in crate::request::fields(map, 1).enumerate() {
                out.push_str(if at > 0 { "," } else { "" });
                put_text(out, &String::from_utf8_lossy(crate::request::fields(entry, 1).last().unwrap_or_default()));
                out.push(':');
                put_bare(crate::request::fields(entry, 2).last().unwrap_or_default(), out, depth)?;
            }
            out.push('}');
        }
        (number, value) => match ANY_VALUE.field(number) {
            Some(field) => put_value(&ANY_VALUE, field, value, out, depth)?,
            None => out.push_str("null"),
        },
    }
    Ok(())
}

/// The number that zigzag encoding stands for.
pub(crate) fn unzigzag(number: u64) -> i32 {
    let number = number as u32;
    (number >> 1).cast_signed() ^ -(number & 1).cast_signed()
}

fn put_double(out: &mut String, value: f64) {
    if value.is_nan() {
        out.push_str("\"NaN\"");
    } else if value.is_infinite() {
        out.push_str(if value > 0.0 { "\"Infinity\"" } else { "\"-Infinity\"" });
    } else {
        let mut buffer = ryu::Buffer::new();
        let text = buffer.format_finite(value);
        out.push_str(text.strip_suffix(".0").unwrap_or(text));
    }
}

fn put_text(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if u32::from(c) < 0x20 => put(out, format_args!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
}

fn put(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _infallible = out.write_fmt(text);
}

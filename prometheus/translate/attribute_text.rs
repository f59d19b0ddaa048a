//! The text of attribute values, as the Collector's `AsString` gives it: what a value is as a label.

use pipeline::{AttributeValue, Attributes};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Lists within lists beyond this are shown as `null`; nothing real is nested so deep, and each level takes stack.
const MAX_DEPTH: u32 = 64;

/// The text of a value. Bytes are base64, lists and maps JSON with sorted keys; no value is the empty text.
pub fn attribute_text(value: AttributeValue<'_>) -> Cow<'_, str> {
    match value {
        AttributeValue::Str(text) => Cow::Borrowed(text),
        AttributeValue::Bool(value) => Cow::Borrowed(if value { "true" } else { "false" }),
        AttributeValue::Int(value) => Cow::Owned(value.to_string()),
        AttributeValue::Double(value) => Cow::Owned(number(value)),
        AttributeValue::Bytes(bytes) => Cow::Owned(base64(bytes)),
        AttributeValue::Encoded(message) => {
            let mut out = String::new();
            put_any(&mut out, message, 0);
            Cow::Owned(out)
        }
        AttributeValue::Empty => Cow::Borrowed(""),
    }
}

/// All attributes as text.
pub fn attribute_texts(attributes: &Attributes) -> Vec<(String, String)> {
    attributes.iter().map(|(key, value)| (key.to_owned(), attribute_text(value).into_owned())).collect()
}

/// Names and values of texts, as the rules for labels take them.
pub fn text_pairs(texts: &[(String, String)]) -> impl Iterator<Item = (&str, &str)> + Clone {
    texts.iter().map(|(key, value)| (key.as_str(), value.as_str()))
}

/// A double as JavaScript writes it, which is JSON's form.
fn number(value: f64) -> String {
    if !value.is_finite() {
        return crate::number::format_go_float(value);
    }
    if value == 0.0 || (1e-6..1e21).contains(&value.abs()) {
        return value.to_string();
    }
    let text = format!("{value:e}");
    if text.contains("e-") { text } else { text.replace('e', "e+") }
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let letter = LETTERS.get((bits >> (18 - 6 * place)) as usize & 63).copied().unwrap_or(b'=');
            out.push(if place <= chunk.len() { char::from(letter) } else { '=' });
        }
    }
    out
}

/// The fields of a protobuf message. What is damaged ends the message.
struct Fields<'a>(&'a [u8]);

enum Field<'a> {
    Varint(u64),
    Fixed64([u8; 8]),
    Bytes(&'a [u8]),
}

impl<'a> Fields<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(count)?;
        self.0 = tail;
        Some(head)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = *self.take(1)?.first()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = (u64, Field<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let key = self.varint()?;
        let field = match key & 7 {
            0 => Field::Varint(self.varint()?),
            1 => Field::Fixed64(self.take(8)?.try_into().ok()?),
            2 => {
                let length = self.varint()?;
                Field::Bytes(self.take(usize::try_from(length).ok()?)?)
            }
            _ => return None,
        };
        Some((key >> 3, field))
    }
}

/// Appends an `opentelemetry.proto.common.v1.AnyValue` as JSON.
fn put_any(out: &mut String, message: &[u8], depth: u32) {
    let value = if depth < MAX_DEPTH { Fields(message).last() } else { None };
    match value {
        Some((1, Field::Bytes(text))) => put_quoted(out, &String::from_utf8_lossy(text)),
        Some((2, Field::Varint(value))) => out.push_str(if value == 0 { "false" } else { "true" }),
        Some((3, Field::Varint(value))) => out.push_str(&value.cast_signed().to_string()),
        Some((4, Field::Fixed64(bytes))) => out.push_str(&number(f64::from_le_bytes(bytes))),
        Some((5, Field::Bytes(list))) => put_list(out, list, depth),
        Some((6, Field::Bytes(map))) => put_map(out, map, depth),
        Some((7, Field::Bytes(bytes))) => put_quoted(out, &base64(bytes)),
        _ => out.push_str("null"),
    }
}

fn put_list(out: &mut String, list: &[u8], depth: u32) {
    out.push('[');
    for (at, (_, field)) in Fields(list).enumerate() {
        if at > 0 {
            out.push(',');
        }
        if let Field::Bytes(value) = field {
            put_any(out, value, depth + 1);
        }
    }
    out.push(']');
}

fn put_map(out: &mut String, map: &[u8], depth: u32) {
    let mut entries = BTreeMap::new();
    for (_, field) in Fields(map) {
        let Field::Bytes(entry) = field else { continue };
        let (mut key, mut value): (&[u8], &[u8]) = (&[], &[]);
        for field in Fields(entry) {
            match field {
                (1, Field::Bytes(text)) => key = text,
                (2, Field::Bytes(message)) => value = message,
                _ => {}
            }
        }
        entries.insert(key, value);
    }
    out.push('{');
    for (at, (key, value)) in entries.into_iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        put_quoted(out, &String::from_utf8_lossy(key));
        out.push(':');
        put_any(out, value, depth + 1);
    }
    out.push('}');
}

/// A JSON text as Go writes it, which also escapes what HTML or JavaScript could stumble over.
fn put_quoted(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..='\u{1f}' => {
                out.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

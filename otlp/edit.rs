//! Parts of a message exchanged, with everything around them kept as it is: unknown fields, the order of fields, and
//! however their sender encoded them.

use std::borrow::Cow;

use crate::wire::{self, Reader, Value};

/// Exchanges the messages in field `number`: `edit` is given each and appends what is to take its place, and says
/// whether anything is. Appends all of `message` to `out` if something was exchanged; otherwise appends nothing and
/// returns false.
///
/// What follows a place that cannot be read stays as it is.
pub fn exchange(
    message: &[u8],
    number: u32,
    out: &mut Vec<u8>,
    mut edit: impl FnMut(&[u8], &mut Vec<u8>) -> bool,
) -> bool {
    let mut reader = Reader::new(message);
    let mut part = Vec::new();
    // How much of `message` is in `out`.
    let mut copied = 0;
    loop {
        let before = message.len() - reader.rest().len();
        match reader.field() {
            Ok(Some((found, Value::Bytes(value)))) if found == number => {
                part.clear();
                if edit(value, &mut part) {
                    out.extend_from_slice(message.get(copied..before).unwrap_or_default());
                    wire::put_bytes(out, number, &part);
                    copied = message.len() - reader.rest().len();
                }
            }
            Ok(Some(_)) => {}
            Ok(None) | Err(_) => break,
        }
    }
    if copied > 0 {
        out.extend_from_slice(message.get(copied..).unwrap_or_default());
    }
    copied > 0
}

/// The same for the one message in field `number`, which is an empty one if it is absent. If it comes in parts, it is
/// exchanged as a whole.
pub fn exchange_whole(
    message: &[u8],
    number: u32,
    out: &mut Vec<u8>,
    edit: impl FnOnce(&[u8], &mut Vec<u8>) -> bool,
) -> bool {
    let parts: Vec<&[u8]> = crate::request::fields(message, number).collect();
    let whole = match parts.as_slice() {
        [] => Cow::Borrowed(&[][..]),
        [part] => Cow::Borrowed(*part),
        parts => Cow::Owned(parts.concat()),
    };
    let mut edited = Vec::new();
    if !edit(&whole, &mut edited) {
        return false;
    }
    wire::put_bytes(out, number, &edited);
    let mut read = 0;
    for (found, value, bytes) in raw_fields(message) {
        read += bytes.len();
        if found != number || !matches!(value, Value::Bytes(_)) {
            out.extend_from_slice(bytes);
        }
    }
    out.extend_from_slice(message.get(read..).unwrap_or_default());
    true
}

/// The fields of a message one after the other: number, value, and all of its bytes, as far as they can be read.
pub fn raw_fields(message: &[u8]) -> impl Iterator<Item = (u32, Value<'_>, &[u8])> {
    let mut reader = Reader::new(message);
    std::iter::from_fn(move || {
        let before = reader.rest();
        let (number, value) = reader.field().ok()??;
        let bytes = before.get(..before.len() - reader.rest().len())?;
        Some((number, value, bytes))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_exchanged_changes() {
        let mut message = Vec::new();
        wire::put_number(&mut message, 200, 7);
        for part in [&b"a"[..], b"b", b"c"] {
            wire::put_bytes(&mut message, 2, part);
        }
        // A number in more bytes than it takes, which some encoders write.
        message.extend_from_slice(&[0x08, 0x81, 0x00]);
        let mut out = Vec::new();
        assert!(!exchange(&message, 2, &mut out, |_, _| false));
        assert!(out.is_empty());
        assert!(exchange(&message, 2, &mut out, |part, out| {
            out.extend_from_slice(b"longer");
            part == b"b"
        }));
        let mut expected = Vec::new();
        wire::put_number(&mut expected, 200, 7);
        for part in [&b"a"[..], b"longer", b"c"] {
            wire::put_bytes(&mut expected, 2, part);
        }
        expected.extend_from_slice(&[0x08, 0x81, 0x00]);
        assert_eq!(out, expected);
        assert_eq!(raw_fields(&message).map(|(_, _, bytes)| bytes).collect::<Vec<_>>().concat(), message);
    }
}

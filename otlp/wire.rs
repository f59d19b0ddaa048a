//! The encoding of protobuf: what is read here is never trusted, and reading never allocates.

/// Why bytes are not the message that they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// A message ends within a field.
    #[error("unexpected end of data")]
    Truncated,
    /// A number has more than ten bytes, or more than 64 bits.
    #[error("invalid varint")]
    Varint,
    /// A field number of 0, or a wire type that does not exist or is out of use.
    #[error("illegal tag {0}")]
    Tag(u64),
    /// A field is not encoded as its type is.
    #[error("wrong wire type for field {field} of {message}")]
    WireType {
        /// The message's name.
        message: &'static str,
        /// The field's number.
        field: u32,
    },
    /// Values are nested more deeply than anybody needs.
    #[error("nested more than {MAX_DEPTH} levels deep")]
    TooDeep,
    /// Text is not UTF-8.
    #[error("text is not valid UTF-8")]
    Utf8,
}

/// How deeply messages may be nested: the limit of protobuf's own parsers. Every level costs a stack frame.
pub const MAX_DEPTH: usize = 100;

/// The value of a field, as far as the encoding tells.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// Wire type 0.
    Varint(u64),
    /// Wire type 1.
    Fixed64(u64),
    /// Wire type 2.
    Bytes(&'a [u8]),
    /// Wire type 5.
    Fixed32(u32),
}

/// The fields of a message one after the other.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Reads a message.
    #[inline]
    #[must_use]
    pub fn new(message: &'a [u8]) -> Self {
        Self(message)
    }

    /// What has not been read yet.
    #[inline]
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.0
    }

    /// Whether everything has been read.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next byte, which is a whole tag if it belongs to one of the first fifteen fields.
    #[inline]
    #[must_use]
    pub(crate) fn peek(&self) -> Option<u8> {
        self.0.first().copied()
    }

    /// Leaves out the next byte.
    #[inline]
    pub(crate) fn skip_byte(&mut self) {
        self.0 = self.0.get(1..).unwrap_or_default();
    }

    /// A number in the base-128 encoding.
    ///
    /// # Errors
    /// If the bytes end before the number does, or it is too long.
    #[inline]
    pub fn varint(&mut self) -> Result<u64, DecodeError> {
        // Most numbers are lengths, and those of messages with some text in them take two bytes.
        match *self.0 {
            [first, ref rest @ ..] if first < 0x80 => {
                self.0 = rest;
                Ok(u64::from(first))
            }
            [first, second, ref rest @ ..] if second < 0x80 => {
                self.0 = rest;
                Ok(u64::from(first & 0x7f) | u64::from(second) << 7)
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Result<u64, DecodeError> {
        let mut value = 0u64;
        let mut shift = 0u32;
        for (at, &byte) in self.0.iter().enumerate().take(10) {
            value |= u64::from(byte & 0x7f).wrapping_shl(shift);
            if byte < 0x80 {
                if shift == 63 && byte > 1 {
                    return Err(DecodeError::Varint);
                }
                self.0 = self.0.get(at + 1..).unwrap_or_default();
                return Ok(value);
            }
            shift += 7;
        }
        Err(if self.0.len() < 10 { DecodeError::Truncated } else { DecodeError::Varint })
    }

    /// So many bytes.
    ///
    /// # Errors
    /// If there are fewer.
    #[inline]
    pub fn take(&mut self, len: usize) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or(DecodeError::Truncated)?;
        self.0 = rest;
        Ok(taken)
    }

    /// Bytes with their length before them.
    ///
    /// # Errors
    /// If there are fewer.
    #[inline]
    pub fn bytes(&mut self) -> Result<&'a [u8], DecodeError> {
        let len = self.varint()?;
        self.take(usize::try_from(len).map_err(|_| DecodeError::Truncated)?)
    }

    /// Eight bytes, the lowest first.
    ///
    /// # Errors
    /// If there are fewer.
    #[inline]
    pub fn fixed64(&mut self) -> Result<u64, DecodeError> {
        let (word, rest) = self.0.split_first_chunk::<8>().ok_or(DecodeError::Truncated)?;
        self.0 = rest;
        Ok(u64::from_le_bytes(*word))
    }

    /// Four bytes, the lowest first.
    ///
    /// # Errors
    /// If there are fewer.
    #[inline]
    pub fn fixed32(&mut self) -> Result<u32, DecodeError> {
        let (word, rest) = self.0.split_first_chunk::<4>().ok_or(DecodeError::Truncated)?;
        self.0 = rest;
        Ok(u32::from_le_bytes(*word))
    }

    /// The number and value of the next field, if there is one.
    ///
    /// # Errors
    /// If what follows is no field.
    #[inline]
    pub fn field(&mut self) -> Result<Option<(u32, Value<'a>)>, DecodeError> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let number = u32::try_from(tag >> 3).ok().filter(|number| (1..=MAX_FIELD).contains(number));
        let number = number.ok_or(DecodeError::Tag(tag))?;
        let value = match tag & 7 {
            0 => Value::Varint(self.varint()?),
            1 => Value::Fixed64(self.fixed64()?),
            2 => Value::Bytes(self.bytes()?),
            5 => Value::Fixed32(self.fixed32()?),
            // Groups went out of use before OTLP came into being.
            _ => return Err(DecodeError::Tag(tag)),
        };
        Ok(Some((number, value)))
    }
}

/// The highest field number that protobuf has.
const MAX_FIELD: u32 = (1 << 29) - 1;

/// How numbers are written behind tags, for packed fields.
pub const VARINT: u8 = 0;
/// Wire type of eight bytes.
pub const FIXED64: u8 = 1;
/// Wire type of bytes with a length.
pub const BYTES: u8 = 2;
/// Wire type of four bytes.
pub const FIXED32: u8 = 5;

/// Appends a number.
#[inline]
pub fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a field's number and wire type.
#[inline]
pub fn put_tag(out: &mut Vec<u8>, field: u32, wire_type: u8) {
    put_varint(out, u64::from(field) << 3 | u64::from(wire_type));
}

/// Appends a field of bytes, text, or an encoded message.
pub fn put_bytes(out: &mut Vec<u8>, field: u32, value: &[u8]) {
    put_tag(out, field, BYTES);
    put_varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

/// Appends a number as eight bytes.
pub fn put_fixed64(out: &mut Vec<u8>, field: u32, value: u64) {
    put_tag(out, field, FIXED64);
    out.extend_from_slice(&value.to_le_bytes());
}

/// Appends a number.
pub fn put_number(out: &mut Vec<u8>, field: u32, value: u64) {
    put_tag(out, field, VARINT);
    put_varint(out, value);
}

/// Appends a message whose fields `fill` writes.
pub fn put_message(out: &mut Vec<u8>, field: u32, fill: impl FnOnce(&mut Vec<u8>)) {
    put_tag(out, field, BYTES);
    let at = open(out);
    fill(out);
    close(out, at);
}

/// Leaves room for the length of what follows; [`close`] takes the result.
pub(crate) fn open(out: &mut Vec<u8>) -> usize {
    out.push(0);
    out.len()
}

/// Fills in the length of what was written since [`open`]. Most messages are shorter than 128 bytes; those that
/// are not are moved.
pub(crate) fn close(out: &mut Vec<u8>, start: usize) {
    let len = out.len() - start;
    if len < 0x80 {
        if let Some(byte) = out.get_mut(start - 1) {
            *byte = len as u8;
        }
        return;
    }
    let extra = varint_len(len as u64) - 1;
    out.resize(start + len + extra, 0);
    out.copy_within(start..start + len, start + extra);
    let mut rest = len;
    for byte in out.iter_mut().skip(start - 1).take(extra) {
        *byte = (rest & 0x7f) as u8 | 0x80;
        rest >>= 7;
    }
    if let Some(last) = out.get_mut(start - 1 + extra) {
        *last = rest as u8;
    }
}

/// The length of a number.
fn varint_len(value: u64) -> usize {
    (70 - (value | 1).leading_zeros() as usize).div_euclid(7)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// As the encoding is described, a byte at a time.
    fn described(bytes: &[u8]) -> Result<(u64, usize), DecodeError> {
        let mut value = 0_u128;
        for (at, byte) in bytes.iter().enumerate().take(10) {
            value |= u128::from(byte & 0x7f) << (7 * at);
            if byte & 0x80 == 0 {
                return u64::try_from(value).map(|value| (value, at + 1)).map_err(|_| DecodeError::Varint);
            }
        }
        Err(if bytes.len() < 10 { DecodeError::Truncated } else { DecodeError::Varint })
    }

    proptest! {
        #[test]
        fn numbers_are_read_as_described(
            bytes in prop::collection::vec(prop_oneof![any::<u8>(), 0x80..=0xff_u8, Just(1)], 0..12),
        ) {
            let mut reader = Reader::new(&bytes);
            let read = reader.varint().map(|value| (value, bytes.len() - reader.rest().len()));
            prop_assert_eq!(read, described(&bytes));
        }
    }
}

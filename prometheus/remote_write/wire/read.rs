//! Reading protobuf from bytes that anybody may have sent: every length is checked, nothing panics,
//! nothing is copied.

use super::encode::{FIXED64, LENGTH_DELIMITED, VARINT};

const START_GROUP: u8 = 3;
const END_GROUP: u8 = 4;
const FIXED32: u8 = 5;

/// The largest field number that protobuf allows.
const MAX_FIELD: u64 = (1 << 29) - 1;

/// Groups are obsolete and none of our messages has one; deeper nesting than this is an attack.
const MAX_GROUP_DEPTH: usize = 32;

/// What is wrong with the bytes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The message ends inside a field.
    #[error("it ends in the middle of a field")]
    Truncated,
    /// A varint has more than ten bytes or more than 64 bits.
    #[error("a varint is longer than 64 bits")]
    VarintTooLong,
    /// A field number of zero, or one above protobuf's maximum.
    #[error("field number {0} is not allowed")]
    FieldNumber(u64),
    /// A wire type that protobuf does not define.
    #[error("field {field} has the undefined wire type {wire_type}")]
    UndefinedWireType {
        /// Number of the field.
        field: u32,
        /// The three bits found.
        wire_type: u8,
    },
    /// A known field has a wire type that its type does not allow.
    #[error("field {field} does not have the wire type that the protocol defines for it")]
    WrongWireType {
        /// Number of the field.
        field: u32,
    },
    /// A number does not fit the 32 bits of its field.
    #[error("field {field} holds {value}, which is more than 32 bits allow")]
    Over32Bits {
        /// Number of the field.
        field: u32,
        /// The number found.
        value: u64,
    },
    /// A packed list of doubles is not a multiple of eight bytes long.
    #[error("packed field {field} has {len} bytes, which is not a multiple of eight")]
    PackedLength {
        /// Number of the field.
        field: u32,
        /// Length found.
        len: usize,
    },
    /// Groups end that did not start, do not end, or are nested too deeply.
    #[error("groups are not balanced or nested too deeply")]
    Group,
}

/// One field as it stands on the wire.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field<'a> {
    pub(super) number: u32,
    value: FieldValue<'a>,
}

#[derive(Clone, Copy, Debug)]
enum FieldValue<'a> {
    Varint(u64),
    Fixed64(u64),
    Fixed32,
    Bytes(&'a [u8]),
}

impl<'a> Field<'a> {
    pub(super) fn varint(self) -> Result<u64, WireError> {
        match self.value {
            FieldValue::Varint(value) => Ok(value),
            _ => Err(self.wrong_wire_type()),
        }
    }

    /// A `uint32`. Protobuf lets readers cut longer numbers off; a reference that was cut off would
    /// name the wrong string, so it is refused.
    pub(super) fn uint32(self) -> Result<u32, WireError> {
        to_uint32(self.number, self.varint()?)
    }

    pub(super) fn int64(self) -> Result<i64, WireError> {
        self.varint().map(u64::cast_signed)
    }

    pub(super) fn sint32(self) -> Result<i32, WireError> {
        let value = self.uint32()?;
        Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }

    pub(super) fn double(self) -> Result<f64, WireError> {
        match self.value {
            FieldValue::Fixed64(bits) => Ok(f64::from_bits(bits)),
            _ => Err(self.wrong_wire_type()),
        }
    }

    pub(super) fn bytes(self) -> Result<&'a [u8], WireError> {
        match self.value {
            FieldValue::Bytes(bytes) => Ok(bytes),
            _ => Err(self.wrong_wire_type()),
        }
    }

    pub(super) fn message(self) -> Result<Reader<'a>, WireError> {
        self.bytes().map(Reader::new)
    }

    /// Appends the numbers of a repeated varint field, packed or not; `false` when the list would
    /// become longer than `limit`.
    pub(super) fn append_varints<T>(
        self,
        list: &mut Vec<T>,
        limit: usize,
        convert: impl Fn(u64) -> Result<T, WireError>,
    ) -> Result<bool, WireError> {
        match self.value {
            FieldValue::Varint(value) => Ok(push_below(list, convert(value)?, limit)),
            FieldValue::Bytes(bytes) => {
                let mut packed = Reader::new(bytes);
                while !packed.rest.is_empty() {
                    let item = convert(packed.varint()?)?;
                    if !push_below(list, item, limit) {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            _ => Err(self.wrong_wire_type()),
        }
    }

    /// Appends the numbers of a repeated double field, packed or not; `false` when the list would
    /// become longer than `limit`.
    pub(super) fn append_doubles(self, list: &mut Vec<f64>, limit: usize) -> Result<bool, WireError> {
        match self.value {
            FieldValue::Fixed64(bits) => Ok(push_below(list, f64::from_bits(bits), limit)),
            FieldValue::Bytes(bytes) => {
                let (doubles, rest) = bytes.as_chunks::<8>();
                if !rest.is_empty() {
                    return Err(WireError::PackedLength { field: self.number, len: bytes.len() });
                }
                if doubles.len() > limit.saturating_sub(list.len()) {
                    return Ok(false);
                }
                list.extend(doubles.iter().map(|&bits| f64::from_le_bytes(bits)));
                Ok(true)
            }
            _ => Err(self.wrong_wire_type()),
        }
    }

    fn wrong_wire_type(self) -> WireError {
        WireError::WrongWireType { field: self.number }
    }
}

fn push_below<T>(list: &mut Vec<T>, item: T, limit: usize) -> bool {
    let fits = list.len() < limit;
    if fits {
        list.push(item);
    }
    fits
}

pub(super) fn to_uint32(field: u32, value: u64) -> Result<u32, WireError> {
    u32::try_from(value).map_err(|_| WireError::Over32Bits { field, value })
}

/// The number whose zigzag form is `value`.
pub(super) const fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}

/// The fields of one message, in order.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) const fn new(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    /// The next field, or `None` at the end. Groups are skipped.
    #[inline]
    pub(super) fn next(&mut self) -> Result<Option<Field<'a>>, WireError> {
        while !self.rest.is_empty() {
            let (number, wire_type) = self.tag()?;
            match wire_type {
                START_GROUP => self.skip_group(number)?,
                END_GROUP => return Err(WireError::Group),
                _ => return Ok(Some(Field { number, value: self.value(number, wire_type)? })),
            }
        }
        Ok(None)
    }

    #[inline]
    fn tag(&mut self) -> Result<(u32, u8), WireError> {
        let tag = self.varint()?;
        let number = tag >> 3;
        if number == 0 || number > MAX_FIELD {
            return Err(WireError::FieldNumber(number));
        }
        Ok((number as u32, (tag & 7) as u8))
    }

    #[inline]
    fn value(&mut self, field: u32, wire_type: u8) -> Result<FieldValue<'a>, WireError> {
        Ok(match wire_type {
            VARINT => FieldValue::Varint(self.varint()?),
            FIXED64 => {
                let (&bytes, rest) = self.rest.split_first_chunk().ok_or(WireError::Truncated)?;
                self.rest = rest;
                FieldValue::Fixed64(u64::from_le_bytes(bytes))
            }
            LENGTH_DELIMITED => {
                let len = usize::try_from(self.varint()?).map_err(|_| WireError::Truncated)?;
                FieldValue::Bytes(self.take(len)?)
            }
            FIXED32 => {
                self.take(4)?;
                FieldValue::Fixed32
            }
            _ => return Err(WireError::UndefinedWireType { field, wire_type }),
        })
    }

    #[inline]
    fn take(&mut self, len: usize) -> Result<&'a [u8], WireError> {
        let (bytes, rest) = self.rest.split_at_checked(len).ok_or(WireError::Truncated)?;
        self.rest = rest;
        Ok(bytes)
    }

    /// Longer forms than needed are allowed, as in every protobuf reader; more than 64 bits are not.
    #[inline]
    fn varint(&mut self) -> Result<u64, WireError> {
        if let [first, rest @ ..] = self.rest
            && *first < 0x80
        {
            self.rest = rest;
            return Ok(u64::from(*first));
        }
        self.long_varint()
    }

    fn long_varint(&mut self) -> Result<u64, WireError> {
        let mut value = 0_u64;
        for (index, &byte) in self.rest.iter().enumerate() {
            let bits = u64::from(byte & 0x7f);
            if index == 9 && byte > 1 {
                return Err(WireError::VarintTooLong);
            }
            value |= bits << (7 * index);
            if byte < 0x80 {
                self.rest = self.rest.get(index + 1..).unwrap_or_default();
                return Ok(value);
            }
        }
        Err(WireError::Truncated)
    }

    fn skip_group(&mut self, number: u32) -> Result<(), WireError> {
        let mut open = vec![number];
        while let Some(&innermost) = open.last() {
            if self.rest.is_empty() {
                return Err(WireError::Truncated);
            }
            let (field, wire_type) = self.tag()?;
            match wire_type {
                START_GROUP if open.len() < MAX_GROUP_DEPTH => open.push(field),
                START_GROUP => return Err(WireError::Group),
                END_GROUP if field == innermost => {
                    open.pop();
                }
                END_GROUP => return Err(WireError::Group),
                _ => {
                    self.value(field, wire_type)?;
                }
            }
        }
        Ok(())
    }
}

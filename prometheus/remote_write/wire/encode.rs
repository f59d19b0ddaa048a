//! Writing protobuf: varints, tags, lengths. Everything is appended to a `Vec<u8>` that the caller
//! keeps and reuses, so that writing allocates nothing once the buffer has grown.

/// Wire type of a varint.
pub const VARINT: u8 = 0;
/// Wire type of eight little-endian bytes.
pub const FIXED64: u8 = 1;
/// Wire type of a length-prefixed field.
pub const LENGTH_DELIMITED: u8 = 2;

/// The most bytes a 64-bit varint takes.
pub const MAX_VARINT_LEN: usize = 10;

/// The number of bytes that `value` takes as a varint, 1 to 10.
#[inline]
#[must_use]
pub const fn varint_len(value: u64) -> usize {
    // Seven bits a byte; 9/64 stands for 1/7, which is exact for every bit count up to 64.
    ((64 - (value | 1).leading_zeros() as usize) * 9 + 64) / 64
}

/// Appends `value` as a varint.
#[inline]
pub fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(low_seven_bits(value) | 0x80);
        value >>= 7;
    }
    out.push(low_seven_bits(value));
}

/// The zigzag form of a `sint64` (and, by sign extension, of a `sint32`).
#[inline]
#[must_use]
pub const fn zigzag(value: i64) -> u64 {
    (value.cast_unsigned() << 1) ^ (value >> 63).cast_unsigned()
}

/// Appends the tag of `field` with a wire type such as [`VARINT`].
#[inline]
pub fn put_tag(out: &mut Vec<u8>, field: u32, wire_type: u8) {
    put_varint(out, (u64::from(field) << 3) | u64::from(wire_type));
}

/// Appends a varint field, also when it is zero: leaving out defaults is the caller's choice.
#[inline]
pub fn put_varint_field(out: &mut Vec<u8>, field: u32, value: u64) {
    put_tag(out, field, VARINT);
    put_varint(out, value);
}

/// Appends a double field, also when it is zero.
#[inline]
pub fn put_double_field(out: &mut Vec<u8>, field: u32, value: f64) {
    put_tag(out, field, FIXED64);
    out.extend_from_slice(&value.to_le_bytes());
}

/// Appends a field of bytes (string, bytes, or a message that is already encoded).
#[inline]
pub fn put_bytes_field(out: &mut Vec<u8>, field: u32, bytes: &[u8]) {
    put_tag(out, field, LENGTH_DELIMITED);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// The size of a field of `len` bytes with its tag and length.
#[inline]
#[must_use]
pub const fn bytes_field_len(field: u32, len: usize) -> usize {
    varint_len((field as u64) << 3) + varint_len(len as u64) + len
}

/// Appends a message field whose body is written by `body`, for messages whose size is not known
/// before. One byte is set aside for the length; a body of 128 bytes or more is moved to make room.
#[inline]
pub fn put_message_field(out: &mut Vec<u8>, field: u32, body: impl FnOnce(&mut Vec<u8>)) {
    put_tag(out, field, LENGTH_DELIMITED);
    let prefix = out.len();
    out.push(0);
    body(out);
    let start = prefix + 1;
    let len = out.len() - start;
    let extra = varint_len(len as u64) - 1;
    if extra > 0 {
        out.resize(out.len() + extra, 0);
        out.copy_within(start..start + len, start + extra);
    }
    write_varint_at(&mut out[prefix..prefix + 1 + extra], len as u64);
}

/// Writes `value` into `place`, which is exactly as long as the varint.
#[inline]
fn write_varint_at(place: &mut [u8], mut value: u64) {
    let last = place.len() - 1;
    for (index, byte) in place.iter_mut().enumerate() {
        *byte = low_seven_bits(value) | if index < last { 0x80 } else { 0 };
        value >>= 7;
    }
}

#[inline]
fn low_seven_bits(value: u64) -> u8 {
    (value & 0x7f) as u8
}

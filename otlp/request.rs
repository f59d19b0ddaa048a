//! Requests as bytes: checked, counted, and cut, without being decoded.
//!
//! Traces and logs are laid out alike: resources with the same three fields, scopes with the same three fields, items.
//! Several requests one after the other are one request, so putting them together is copying.

use bytes::Bytes;
use pipeline::component::Signal;

use crate::schema::{self, Kind, Message};
use crate::wire::{self, DecodeError, MAX_DEPTH, Reader, Value};

/// Field 2 of a resource's message holds its scopes, and of a scope's message its items.
const CHILDREN: u32 = 2;

/// The message type of a request.
pub(crate) fn message(signal: Signal) -> &'static Message {
    match signal {
        Signal::Metrics => &schema::METRICS,
        Signal::Traces => &schema::TRACES,
        Signal::Logs => &schema::LOGS,
    }
}

/// Checks that all of a request can be decoded, and counts its data points, spans or log records.
///
/// # Errors
/// The first thing that is wrong.
pub fn check(signal: Signal, body: &[u8]) -> Result<usize, DecodeError> {
    check_message(message(signal), body, MAX_DEPTH)?;
    Ok(count(signal, body))
}

/// The number of data points, spans or log records of a request that was checked.
#[must_use]
pub fn count(signal: Signal, body: &[u8]) -> usize {
    let scopes = fields(body, 1).flat_map(|resource| fields(resource, CHILDREN));
    match signal {
        Signal::Traces | Signal::Logs => scopes.map(|scope| fields(scope, CHILDREN).count()).sum(),
        Signal::Metrics => scopes.flat_map(|scope| fields(scope, CHILDREN)).map(points_of).sum(),
    }
}

/// The data points of a metric, whatever its type.
fn points_of(metric: &[u8]) -> usize {
    [5, 7, 9, 10, 11].iter().flat_map(|data| fields(metric, *data)).map(|data| fields(data, 1).count()).sum()
}

/// The values of a field that holds messages; nothing more after something that cannot be read.
#[inline]
pub(crate) fn fields(message: &[u8], number: u32) -> impl Iterator<Item = &[u8]> {
    let mut reader = Reader::new(message);
    let tag = one_byte_tag(number);
    std::iter::from_fn(move || {
        loop {
            if tag.is_some() && reader.peek() == tag {
                reader.skip_byte();
                return reader.bytes().ok();
            }
            match reader.field().ok()?? {
                (found, Value::Bytes(value)) if found == number => return Some(value),
                _ => {}
            }
        }
    })
}

/// Checks that all of a message can be decoded.
pub(crate) fn check_response(message: &'static Message, body: &[u8]) -> Result<(), DecodeError> {
    check_message(message, body, MAX_DEPTH)
}

/// Checks that all of an `AnyValue` can be decoded.
pub(crate) fn check_value(value: &[u8]) -> Result<(), DecodeError> {
    check_message(&schema::ANY_VALUE, value, MAX_DEPTH)
}

/// The tag of a field that holds bytes, if it fits one byte.
#[inline]
pub(crate) fn one_byte_tag(number: u32) -> Option<u8> {
    u8::try_from(number << 3 | u32::from(wire::BYTES)).ok().filter(|tag| *tag < 0x80)
}

fn check_message(message: &'static Message, bytes: &[u8], depth: usize) -> Result<(), DecodeError> {
    let depth = depth.checked_sub(1).ok_or(DecodeError::TooDeep)?;
    let mut reader = Reader::new(bytes);
    while let Some((number, value)) = reader.field()? {
        let Some(field) = message.field(number) else { continue };
        match (field.kind, value) {
            (Kind::Message(inner), Value::Bytes(bytes)) => check_message(inner, bytes, depth)?,
            (Kind::Text | Kind::Bytes | Kind::Id, Value::Bytes(_)) => {}
            (kind, Value::Bytes(packed)) if field.repeated && kind.wire_type() != wire::BYTES => {
                check_packed(kind.wire_type(), packed)?;
            }
            (kind, value) if kind.wire_type() == wire_type(value) && kind.wire_type() != wire::BYTES => {}
            _ => return Err(DecodeError::WireType { message: message.name, field: number }),
        }
    }
    Ok(())
}

fn check_packed(wire_type: u8, packed: &[u8]) -> Result<(), DecodeError> {
    let mut reader = Reader::new(packed);
    while !reader.is_empty() {
        match wire_type {
            wire::VARINT => drop(reader.varint()?),
            wire::FIXED32 => drop(reader.fixed32()?),
            _ => drop(reader.fixed64()?),
        }
    }
    Ok(())
}

pub(crate) fn wire_type(value: Value<'_>) -> u8 {
    match value {
        Value::Varint(_) => wire::VARINT,
        Value::Fixed64(_) => wire::FIXED64,
        Value::Bytes(_) => wire::BYTES,
        Value::Fixed32(_) => wire::FIXED32,
    }
}

/// Cuts a request of traces or logs into pieces of `first` items (none if 0), then `max` each, then the rest. Each comes
/// with its number of items. Resource and scope are repeated in each piece that has some of their items; those without
/// any item come with the next one that has.
///
/// A request of at most `first` items comes back as it is.
#[must_use]
pub fn split(body: &Bytes, items: usize, first: usize, max: usize) -> Vec<(Bytes, usize)> {
    let max = max.max(1);
    let first = if first == 0 { max } else { first };
    if items <= first {
        return vec![(body.clone(), items)];
    }
    let mut pieces = Pieces { done: Vec::new(), out: Vec::new(), items: 0, limit: first, max };
    for resource in fields(body, 1) {
        pieces.resource(resource);
    }
    if !pieces.out.is_empty() {
        pieces.cut();
    }
    pieces.done
}

/// A request being cut.
struct Pieces {
    done: Vec<(Bytes, usize)>,
    out: Vec<u8>,
    items: usize,
    /// Items of the piece in the making.
    limit: usize,
    max: usize,
}

impl Pieces {
    fn cut(&mut self) {
        self.done.push((std::mem::take(&mut self.out).into(), self.items));
        self.items = 0;
        self.limit = self.max;
    }

    /// Adds a resource, in as many pieces as it takes.
    fn resource(&mut self, resource: &[u8]) {
        let head = without_children(resource);
        let mut message = head.clone();
        for scope in fields(resource, CHILDREN) {
            let scope_head = without_children(scope);
            let mut scope_message = scope_head.clone();
            for item in fields(scope, CHILDREN) {
                if self.items == self.limit {
                    wire::put_bytes(&mut message, CHILDREN, &scope_message);
                    wire::put_bytes(&mut self.out, 1, &message);
                    self.cut();
                    message.clone_from(&head);
                    scope_message.clone_from(&scope_head);
                }
                wire::put_bytes(&mut scope_message, CHILDREN, item);
                self.items += 1;
            }
            wire::put_bytes(&mut message, CHILDREN, &scope_message);
        }
        wire::put_bytes(&mut self.out, 1, &message);
    }
}

/// Everything of a message but its field 2.
fn without_children(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut reader = Reader::new(message);
    loop {
        let before = reader.rest();
        match reader.field() {
            Ok(Some((CHILDREN, _))) => {}
            Ok(Some(_)) => {
                out.extend_from_slice(before.get(..before.len() - reader.rest().len()).unwrap_or_default());
            }
            _ => return out,
        }
    }
}

mod points;
#[cfg(test)]
mod tests;

pub use self::points::split_points;

//! Attribute sets in one allocation.
//!
//! Millions of series may be alive, and each has a handful of attributes. A set is therefore one boxed
//! byte string (entries sorted by key, length-prefixed), which costs 16 bytes plus the text itself.

use std::fmt;

/// A value of an attribute, borrowed from its set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum AttributeValue<'a> {
    /// Text; the only kind that Prometheus labels have.
    Str(&'a str),
    /// A boolean.
    Bool(bool),
    /// A signed integer.
    Int(i64),
    /// A double.
    Double(f64),
    /// Raw bytes.
    Bytes(&'a [u8]),
    /// An array or key-value list, kept as the encoded `opentelemetry.proto.common.v1.AnyValue` it came as.
    Encoded(&'a [u8]),
    /// A key without a value.
    Empty,
}

/// An immutable set of attributes, sorted by key, each key once.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Attributes(Box<[u8]>);

/// Collects attributes in any order; the last value given for a key wins.
#[derive(Default, Debug)]
pub struct AttributesBuilder {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    start: usize,
    key: usize,
    value: usize,
    end: usize,
}

const STR: u8 = 0;
const BOOL: u8 = 1;
const INT: u8 = 2;
const DOUBLE: u8 = 3;
const BYTES: u8 = 4;
const ENCODED: u8 = 5;
const EMPTY: u8 = 6;

impl Attributes {
    /// The set of the given text attributes.
    pub fn from_pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut builder = AttributesBuilder::default();
        for (key, value) in pairs {
            builder.push(key, AttributeValue::Str(value));
        }
        builder.build()
    }

    /// Whether the set has no attribute.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The attributes in ascending order of their keys' bytes.
    pub fn iter(&self) -> Iter<'_> {
        Iter { rest: &self.0 }
    }

    /// The value of `key`.
    pub fn get(&self, key: &str) -> Option<AttributeValue<'_>> {
        self.iter().find(|(k, _)| *k == key).map(|(_, v)| v)
    }

    /// The value of `key` if it is text.
    pub fn get_str(&self, key: &str) -> Option<&str> {
        match self.get(key) {
            Some(AttributeValue::Str(s)) => Some(s),
            _ => None,
        }
    }

    /// How many attributes there are.
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Feeds the contents to a hash function; equal sets feed equal bytes.
    pub(crate) fn hash_into(&self, mut update: impl FnMut(&[u8])) {
        update(&self.0);
    }

    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        self.0.len()
    }
}

impl fmt::Debug for Attributes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<'a> IntoIterator for &'a Attributes {
    type Item = (&'a str, AttributeValue<'a>);
    type IntoIter = Iter<'a>;
    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

/// Iterates over an [`Attributes`] in key order.
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    rest: &'a [u8],
}

impl<'a> Iter<'a> {
    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.rest.split_at_checked(n)?;
        self.rest = tail;
        Some(head)
    }

    fn len(&mut self) -> Option<usize> {
        let mut value = 0usize;
        let mut shift = 0u32;
        loop {
            let byte = *self.take(1)?.first()?;
            value |= usize::from(byte & 0x7f).checked_shl(shift)?;
            if byte & 0x80 == 0 {
                return Some(value);
            }
            shift += 7;
        }
    }

    fn slice(&mut self) -> Option<&'a [u8]> {
        let n = self.len()?;
        self.take(n)
    }

    fn word(&mut self) -> Option<[u8; 8]> {
        self.take(8)?.try_into().ok()
    }
}

impl<'a> Iterator for Iter<'a> {
    type Item = (&'a str, AttributeValue<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        // The bytes were written by the builder from `&str`s, so none of these steps fails.
        let key = std::str::from_utf8(self.slice()?).ok()?;
        let tag = *self.take(1)?.first()?;
        let value = match tag {
            STR => AttributeValue::Str(std::str::from_utf8(self.slice()?).ok()?),
            BOOL => AttributeValue::Bool(*self.take(1)?.first()? != 0),
            INT => AttributeValue::Int(i64::from_le_bytes(self.word()?)),
            DOUBLE => AttributeValue::Double(f64::from_le_bytes(self.word()?)),
            BYTES => AttributeValue::Bytes(self.slice()?),
            ENCODED => AttributeValue::Encoded(self.slice()?),
            _ => AttributeValue::Empty,
        };
        Some((key, value))
    }
}

impl AttributesBuilder {
    /// Adds an attribute, or replaces the one of that key.
    pub fn push(&mut self, key: &str, value: AttributeValue<'_>) {
        let start = self.bytes.len();
        put_len(&mut self.bytes, key.len());
        let key_at = self.bytes.len();
        self.bytes.extend_from_slice(key.as_bytes());
        let value_at = self.bytes.len();
        match value {
            AttributeValue::Str(s) => self.put_slice(STR, s.as_bytes()),
            AttributeValue::Bytes(b) => self.put_slice(BYTES, b),
            AttributeValue::Encoded(b) => self.put_slice(ENCODED, b),
            AttributeValue::Bool(b) => self.bytes.extend_from_slice(&[BOOL, u8::from(b)]),
            AttributeValue::Int(i) => self.put_word(INT, i.to_le_bytes()),
            AttributeValue::Double(d) => self.put_word(DOUBLE, d.to_le_bytes()),
            AttributeValue::Empty => self.bytes.push(EMPTY),
        }
        self.entries.push(Entry { start, key: key_at, value: value_at, end: self.bytes.len() });
    }

    /// The set collected so far; the builder is empty afterwards and keeps its allocations.
    pub fn build(&mut self) -> Attributes {
        let bytes = &self.bytes;
        let key = |e: &Entry| bytes.get(e.key..e.value).unwrap_or_default();
        if !self.entries.is_sorted_by(|a, b| key(a) < key(b)) {
            // A stable sort keeps the order in which one key was given; the last one is to win.
            self.entries.sort_by(|a, b| key(a).cmp(key(b)));
            let mut kept: Vec<Entry> = Vec::with_capacity(self.entries.len());
            for entry in self.entries.drain(..) {
                match kept.last_mut() {
                    Some(last) if key(last) == key(&entry) => *last = entry,
                    _ => kept.push(entry),
                }
            }
            self.entries = kept;
        }
        let total = self.entries.iter().map(|e| e.end - e.start).sum();
        let mut out = Vec::with_capacity(total);
        for e in &self.entries {
            out.extend_from_slice(bytes.get(e.start..e.end).unwrap_or_default());
        }
        self.bytes.clear();
        self.entries.clear();
        Attributes(out.into_boxed_slice())
    }

    fn put_slice(&mut self, tag: u8, value: &[u8]) {
        self.bytes.push(tag);
        put_len(&mut self.bytes, value.len());
        self.bytes.extend_from_slice(value);
    }

    fn put_word(&mut self, tag: u8, word: [u8; 8]) {
        self.bytes.push(tag);
        self.bytes.extend_from_slice(&word);
    }
}

fn put_len(out: &mut Vec<u8>, mut n: usize) {
    while n >= 0x80 {
        out.push((n & 0x7f) as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sorted_unique_and_last_wins() {
        let set = Attributes::from_pairs([("b", "1"), ("a", "2"), ("b", "3")]);
        assert_eq!(set.iter().collect::<Vec<_>>(), [("a", AttributeValue::Str("2")), ("b", AttributeValue::Str("3"))]);
        assert_eq!(set.get_str("b"), Some("3"));
        assert_eq!(set.len(), 2);
    }

    #[test]
    fn every_kind_of_value_comes_back() {
        let values = [
            AttributeValue::Str(""),
            AttributeValue::Bool(true),
            AttributeValue::Int(-5),
            AttributeValue::Double(0.5),
            AttributeValue::Bytes(&[0, 255]),
            AttributeValue::Encoded(&[1; 300]),
            AttributeValue::Empty,
        ];
        let mut builder = AttributesBuilder::default();
        for (i, v) in values.iter().enumerate() {
            builder.push(&format!("k{i}"), *v);
        }
        let set = builder.build();
        assert!(set.iter().map(|(_, v)| v).eq(values));
        assert!(builder.build().is_empty());
    }
}

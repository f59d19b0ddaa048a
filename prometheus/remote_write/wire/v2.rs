//! Writing the pieces of a remote-write 2.0 `Request`: [`Symbols`] first or last, and one series after
//! the other.

use std::hash::BuildHasher as _;

use hashbrown::{DefaultHashBuilder, HashTable};

use super::encode::{
    LENGTH_DELIMITED, put_bytes_field, put_double_field, put_message_field, put_tag, put_varint, put_varint_field,
    varint_len,
};
use super::histogram::{NativeHistogram, put_histogram_body, put_start_timestamp};
use super::v1::MetricType;

const REQUEST_SYMBOLS: u32 = 4;
const REQUEST_TIMESERIES: u32 = 5;
const LABELS_REFS: u32 = 1;
const SERIES_SAMPLES: u32 = 2;
const SERIES_HISTOGRAMS: u32 = 3;
const SERIES_EXEMPLARS: u32 = 4;
const SERIES_METADATA: u32 = 5;

/// The strings of one request, each once; the empty string is number 0, as the specification demands.
///
/// References are 32 bits wide; a request would be over every receiver's limit long before that.
#[derive(Debug)]
pub struct Symbols {
    text: Vec<u8>,
    /// End of each symbol in `text`; each begins where the one before ends.
    ends: Vec<usize>,
    numbers: HashTable<u32>,
    hasher: DefaultHashBuilder,
}

impl Default for Symbols {
    fn default() -> Self {
        Self::new()
    }
}

impl Symbols {
    /// A table that holds the empty string.
    #[must_use]
    pub fn new() -> Self {
        Self { text: Vec::new(), ends: vec![0], numbers: HashTable::new(), hasher: DefaultHashBuilder::default() }
    }

    /// The reference of `symbol`, which is added if it is new.
    pub fn reference(&mut self, symbol: &[u8]) -> u32 {
        if symbol.is_empty() {
            return 0;
        }
        let hash = self.hasher.hash_one(symbol);
        let (text, ends) = (&self.text, &self.ends);
        if let Some(&number) = self.numbers.find(hash, |&number| symbol_at(text, ends, number) == symbol) {
            return number;
        }
        let number = self.ends.len() as u32;
        self.text.extend_from_slice(symbol);
        self.ends.push(self.text.len());
        let (text, ends, hasher) = (&self.text, &self.ends, &self.hasher);
        self.numbers.insert_unique(hash, number, |&number| hasher.hash_one(symbol_at(text, ends, number)));
        number
    }

    /// The reference of `symbol`, if it is there.
    #[must_use]
    pub fn find(&self, symbol: &[u8]) -> Option<u32> {
        if symbol.is_empty() {
            return Some(0);
        }
        let hash = self.hasher.hash_one(symbol);
        self.numbers.find(hash, |&number| symbol_at(&self.text, &self.ends, number) == symbol).copied()
    }

    /// The symbol with this reference; empty if there is none.
    #[must_use]
    pub fn get(&self, reference: u32) -> &[u8] {
        symbol_at(&self.text, &self.ends, reference)
    }

    /// Number of symbols, with the empty one.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is nothing but the empty string.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.len() == 1
    }

    /// The size of what [`Symbols::put`] appends, at most: six bytes for each symbol besides its text.
    #[must_use]
    pub fn encoded_len_bound(&self) -> usize {
        self.text.len() + 6 * self.ends.len()
    }

    /// Appends all symbols to a `Request`.
    pub fn put(&self, out: &mut Vec<u8>) {
        for number in 0..self.ends.len() {
            put_bytes_field(out, REQUEST_SYMBOLS, symbol_at(&self.text, &self.ends, number as u32));
        }
    }

    /// Forgets all symbols but the empty one; keeps the memory.
    pub fn clear(&mut self) {
        self.text.clear();
        self.ends.truncate(1);
        self.numbers.clear();
    }
}

fn symbol_at<'t>(text: &'t [u8], ends: &[usize], number: u32) -> &'t [u8] {
    let number = number as usize;
    let start = number.checked_sub(1).and_then(|before| ends.get(before)).copied().unwrap_or(0);
    let end = ends.get(number).copied().unwrap_or(start);
    text.get(start..end).unwrap_or_default()
}

/// Appends one symbol to a `Request`.
#[inline]
pub fn put_symbol(out: &mut Vec<u8>, symbol: &[u8]) {
    put_bytes_field(out, REQUEST_SYMBOLS, symbol);
}

/// Appends a `TimeSeries` to a `Request`: the references of its labels (name, value, name, value, in
/// the order of the names), then whatever `body` appends with the other functions of this module.
#[inline]
pub fn put_series(out: &mut Vec<u8>, labels: &[u32], body: impl FnOnce(&mut Vec<u8>)) {
    put_message_field(out, REQUEST_TIMESERIES, |out| {
        put_references(out, labels);
        body(out);
    });
}

/// Appends a sample to the body of a `TimeSeries`. Times are milliseconds since the Unix epoch; a start
/// of 0 is "not known".
#[inline]
pub fn put_sample(out: &mut Vec<u8>, value: f64, timestamp_ms: i64, start_timestamp_ms: i64) {
    put_message_field(out, SERIES_SAMPLES, |out| {
        if value.to_bits() != 0 {
            put_double_field(out, 1, value);
        }
        put_nonzero(out, 2, timestamp_ms.cast_unsigned());
        put_nonzero(out, 3, start_timestamp_ms.cast_unsigned());
    });
}

/// Appends a native histogram to the body of a `TimeSeries`.
pub fn put_histogram(out: &mut Vec<u8>, histogram: &NativeHistogram) {
    put_message_field(out, SERIES_HISTOGRAMS, |out| {
        put_histogram_body(out, histogram);
        put_start_timestamp(out, histogram);
    });
}

/// Appends an exemplar to the body of a `TimeSeries`; `labels` as for [`put_series`].
pub fn put_exemplar(out: &mut Vec<u8>, labels: &[u32], value: f64, timestamp_ms: i64) {
    put_message_field(out, SERIES_EXEMPLARS, |out| {
        put_references(out, labels);
        if value.to_bits() != 0 {
            put_double_field(out, 2, value);
        }
        put_nonzero(out, 3, timestamp_ms.cast_unsigned());
    });
}

/// Appends metadata to the body of a `TimeSeries`; `help` and `unit` are references.
#[inline]
pub fn put_metadata(out: &mut Vec<u8>, kind: MetricType, help: u32, unit: u32) {
    put_message_field(out, SERIES_METADATA, |out| {
        put_nonzero(out, 1, kind as u64);
        put_nonzero(out, 3, help.into());
        put_nonzero(out, 4, unit.into());
    });
}

fn put_references(out: &mut Vec<u8>, references: &[u32]) {
    if references.is_empty() {
        return;
    }
    let len: usize = references.iter().map(|&reference| varint_len(reference.into())).sum();
    put_tag(out, LABELS_REFS, LENGTH_DELIMITED);
    put_varint(out, len as u64);
    for &reference in references {
        put_varint(out, reference.into());
    }
}

#[inline]
fn put_nonzero(out: &mut Vec<u8>, field: u32, value: u64) {
    if value != 0 {
        put_varint_field(out, field, value);
    }
}

//! The symbols of one request.

use prometheus::remote_write::SnappyBlockWriter;
use prometheus::remote_write::wire::encode::put_varint;
use prometheus::remote_write::wire::v2::{Symbols, put_symbol};
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// Which number each string has, and the strings themselves, compressed as they come.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    /// By id of an interned string.
    by_id: hashbrown::HashMap<u32, u32, BuildHasherDefault<Spread>>,
    /// Strings that are not interned, since they do not come again: trace ids and the like.
    others: HashMap<Box<[u8]>, u32>,
    /// Ids and numbers that were asked for last, by the id: those of a page come again and again.
    recent: Vec<(u32, u32)>,
    count: u32,
    pub(super) writer: SnappyBlockWriter,
}

/// About as many as a page has strings that change from series to series; 8 KiB.
const RECENT: usize = 1024;

/// Ids are small and dense; all that is needed is that their bits are spread.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u32(u32::from(*byte));
        }
    }

    #[inline]
    fn write_u32(&mut self, id: u32) {
        self.0 = (self.0 ^ u64::from(id)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 ^= self.0 >> 32;
    }
}

impl Numbers {
    /// The number of the interned string `id`.
    #[inline]
    pub(super) fn of(&mut self, interned: &Symbols, id: u32) -> u32 {
        match self.recent.get(id as usize % RECENT) {
            // Where nothing was asked for, there is the empty string, which has the number 0 always.
            Some((known, number)) if *known == id => *number,
            _ => self.look(interned, id),
        }
    }

    #[inline(never)]
    fn look(&mut self, interned: &Symbols, id: u32) -> u32 {
        if id == 0 {
            return 0;
        }
        let number = match self.by_id.get(&id) {
            Some(number) => *number,
            None => self.first(interned, id),
        };
        self.recent.resize(RECENT, (0, 0));
        if let Some(place) = self.recent.get_mut(id as usize % RECENT) {
            *place = (id, number);
        }
        number
    }

    fn first(&mut self, interned: &Symbols, id: u32) -> u32 {
        let text = interned.get(id);
        let number = match self.others.get(text) {
            Some(number) => *number,
            None => self.add(text),
        };
        self.by_id.insert(id, number);
        number
    }

    /// How many strings have numbers.
    #[inline]
    pub(super) fn count(&self) -> u32 {
        self.count
    }

    /// The number of any string.
    pub(super) fn of_text(&mut self, interned: &Symbols, text: &[u8]) -> u32 {
        if let Some(id) = interned.find(text) {
            return self.of(interned, id);
        }
        if let Some(number) = self.others.get(text) {
            return *number;
        }
        let number = self.add(text);
        self.others.insert(text.into(), number);
        number
    }

    fn add(&mut self, text: &[u8]) -> u32 {
        if self.count == 0 {
            // The specification wants the empty string to be the first.
            self.writer.write(|out| put_symbol(out, b""));
            self.count = 1;
        }
        self.writer.write(|out| put_symbol(out, text));
        self.count += 1;
        self.count - 1
    }

    /// Appends the reference to the interned string `id`.
    #[inline]
    pub(super) fn put(&mut self, interned: &Symbols, id: u32, out: &mut Vec<u8>) {
        put_varint(out, self.of(interned, id).into());
    }

    /// Forgets everything but the memory, after the symbols were written.
    pub(super) fn clear(&mut self) {
        self.by_id.clear();
        self.others.clear();
        self.recent.clear();
        self.count = 0;
    }
}

//! Writing a series that differs in some of its references from the one before in its table.
//!
//! This is what goes on nearly all the time: pages bring the same series in the same order, and which references of each differ
//! from those of the one before is known of the table. Nothing else is looked up.

use super::super::super::sample::Timestamp;
use super::super::tables::{Group, RefEntry, SymbolTables};
use super::Body;
use super::last::{End, Patch};

/// More references that change are as well spelled out.
const MOST: usize = 8;

impl Body {
    /// Writes the series at `index` of the table if it follows one of that table and origin, and has references of the same
    /// lengths; says whether.
    #[inline]
    pub(super) fn follow(
        &mut self,
        tables: &SymbolTables,
        group: &Group,
        (index, entry): (u32, &RefEntry),
        bits: u64,
        time: &Timestamp,
    ) -> bool {
        let table = &*group.table;
        if !self.last.is_of(table.number, group.origin.number) {
            return false;
        }
        let Some(mut changed) = table.changed(self.last.index, (index, entry)) else { return false };
        let ids = table.ids(entry);
        let mut patches = [Patch::default(); MOST];
        let mut count = 0;
        while changed != 0 {
            let at = changed.trailing_zeros() as usize;
            changed &= changed - 1;
            let (Some(id), Some(spot), Some(patch)) = (ids.get(at), self.last.spots.get(at), patches.get_mut(count))
            else {
                return false;
            };
            let (bytes, len) = varint(self.numbers.of(&tables.interned, *id));
            if len != u16::from(spot.len) {
                return false;
            }
            *patch = Patch { at: spot.at, len, bytes };
            count += 1;
        }
        let patches = patches.get(..count).unwrap_or(&[]);
        let times = time.stamp().len() + self.start.len();
        let other = self.last.head.other(times, self.about.len());
        let is_noted = self.last.is_noted_before(self.about.of);
        let head = other.as_ref().unwrap_or(&self.last.head);
        let known = if is_noted { self.find((table.number, index), head) } else { None };
        let end = End { bits, time, start: &self.start, about: &self.about, known };
        let mut out = self.series.elements();
        let at = out.position();
        let mut done = 0;
        match known {
            Some(known) if out.continues(known as usize) => {
                // The metadata was copied just now from where this series stands behind it. It goes on with what no origin
                // changes.
                done = self.last.lead(table.lead(entry));
                out.copy(known as usize, head.len() + done);
            }
            _ => self.last.put_head(&mut out, head),
        }
        self.last.put_patched(&mut out, patches, done);
        self.last.put_end(&mut out, head, &end);
        drop(out);
        self.last.patch(patches);
        self.last.set((table.number, index, group.origin.number), at, other, &end);
        if is_noted {
            self.note((table.number, index));
        }
        true
    }
}

/// A number as it is written, the first byte being the lowest, and how many bytes that is; 0 if they are more than four.
#[inline]
fn varint(number: u32) -> (u32, u16) {
    match number {
        0..0x80 => (number, 1),
        0x80..0x4000 => (number & 0x7f | 0x80 | number >> 7 << 8, 2),
        0x4000..0x1000_0000 => {
            let (mut bytes, mut len, mut rest) = (0, 0, number);
            while rest >= 0x80 {
                bytes |= (rest & 0x7f | 0x80) << (8 * len);
                rest >>= 7;
                len += 1;
            }
            (bytes | rest << (8 * len), len as u16 + 1)
        }
        _ => (0, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus::remote_write::wire::encode::put_varint;

    #[test]
    fn numbers_are_written_as_elsewhere() {
        for number in [0, 1, 0x7f, 0x80, 0x3fff, 0x4000, 0x1f_ffff, 0x20_0000, 0x0fff_ffff] {
            let mut expected = Vec::new();
            put_varint(&mut expected, number.into());
            let (bytes, len) = varint(number);
            assert_eq!(bytes.to_le_bytes()[..usize::from(len)], expected);
        }
        assert_eq!(varint(u32::MAX), (0, 0));
    }
}

//! What a segment's records refer to by number: the writing side.

use super::bytes::{put, put_signed};
use super::identity::{put_family, put_origin, put_series};
use super::number::{Known, UNKNOWN};
use pipeline::{Family, Origin, Point, PointGroup, SeriesTable, Slot};
use std::collections::HashMap;
use std::sync::Arc;

pub(super) const FAMILY: u8 = 1;
pub(super) const SERIES: u8 = 2;
pub(super) const ORIGIN: u8 = 3;
pub(super) const TABLE: u8 = 4;
pub(super) const PAIR: u8 = 5;
pub(super) const KNOWN: u8 = 6;

/// After so many groups of a pair, what is known of its series is written anew. Values drift away from what is known,
/// which costs a byte in a sample after some tens of steps; to write them anew costs some six bytes.
pub(super) const REBASE: u32 = 24;

/// Numbers that are known at once, 9 bytes each in writer and reader. Beyond it, series that come new are written
/// without: that takes three bytes more for a sample, and bounds memory.
pub(super) const MAX_KNOWN: usize = 8 << 20;

/// Bytes of definitions after which the next ones go to another record: a page of a million series has some hundred
/// megabytes of them, and records end at 16.
const PIECE: usize = if cfg!(test) { 2_000 } else { 1 << 20 };

/// Everything that was defined in a segment.
#[derive(Debug, Default)]
pub(super) struct Definitions {
    families: HashMap<usize, (u32, Arc<Family>)>,
    series: HashMap<Slot, u32>,
    origins: HashMap<Slot, u32>,
    tables: HashMap<Slot, u32>,
    pairs: HashMap<(Slot, Slot), Pair>,
    next_pair: u32,
    known: usize,
    /// Definitions that are not written yet.
    open: Vec<u8>,
    /// The same, in pieces that are long enough for records of their own.
    closed: Vec<Vec<u8>>,
}

/// What is known of an origin's series.
#[derive(Debug, Default)]
pub(super) struct Pair {
    pub(super) number: u32,
    groups: u32,
    /// By index in the table.
    forms: Vec<u8>,
    numbers: Vec<i64>,
    starts: Vec<i64>,
}

impl Pair {
    /// What is known of the series at `index`.
    #[inline]
    pub(super) fn known(&self, index: u32) -> Known {
        match (self.forms.get(index as usize), self.numbers.get(index as usize)) {
            (Some(form), Some(number)) => Known { form: *form, number: *number },
            _ => Known::NONE,
        }
    }

    /// The start time that is known of the series at `index`.
    #[inline]
    pub(super) fn start(&self, index: u32) -> i64 {
        self.starts.get(index as usize).copied().unwrap_or(0)
    }
}

impl Definitions {
    /// What is not written yet, in the order in which it is to be written, as the contents of one record each.
    pub(super) fn take_unwritten(&mut self) -> Vec<Vec<u8>> {
        let mut pieces = std::mem::take(&mut self.closed);
        if !self.open.is_empty() {
            pieces.push(std::mem::take(&mut self.open));
        }
        pieces
    }

    /// The pair of a group, with all that is to be known for `points` of it.
    pub(super) fn pair(&mut self, group: &PointGroup, points: &[Point]) -> &Pair {
        let key = (group.origin.slot(), group.table.slot());
        let mut pair = match self.pairs.remove(&key) {
            Some(pair) if pair.groups < REBASE => pair,
            former => {
                let replaced = former.as_ref().map_or(0, |former| u64::from(former.number) + 1);
                self.known -= former.map_or(0, |former| former.forms.len());
                let (origin, table) = (self.origin(&group.origin), self.table(&group.table));
                let number = self.next_pair;
                self.next_pair += 1;
                self.open.push(PAIR);
                for number in [number, origin, table] {
                    put(&mut self.open, number.into());
                }
                put(&mut self.open, replaced);
                Pair { number, ..Pair::default() }
            }
        };
        pair.groups += 1;
        self.learn(&mut pair, points);
        self.pairs.entry(key).or_insert(pair)
    }

    /// Defines what is not known yet of series of these points.
    fn learn(&mut self, pair: &mut Pair, points: &[Point]) {
        let is_new =
            |pair: &Pair, point: &&Point| pair.forms.get(point.series as usize).is_none_or(|form| *form == UNKNOWN);
        let mut new = points.iter().filter(|point| is_new(pair, point)).peekable();
        if new.peek().is_none() {
            return;
        }
        let entries: Vec<(u32, Known, i64)> = new
            .map(|point| (point.series, Known::of(&point.value), point.start))
            .filter(|new| new.1.form != UNKNOWN)
            .collect();
        let Some(most) = entries.iter().map(|entry| entry.0 as usize + 1).max() else { return };
        let grown = most.saturating_sub(pair.forms.len());
        if self.known + grown > MAX_KNOWN {
            return;
        }
        self.known += grown;
        if grown > 0 {
            pair.forms.resize(most, UNKNOWN);
            pair.numbers.resize(most, 0);
        }
        // Most sources know no start times; then there is nothing to keep.
        if entries.iter().any(|entry| entry.2 != 0) {
            pair.starts.resize(pair.forms.len(), 0);
        }
        let out = &mut self.open;
        out.push(KNOWN);
        put(out, pair.number.into());
        put(out, entries.len() as u64);
        let (mut next, mut last_start) = (0i64, 0);
        for (index, known, start) in entries {
            put_signed(out, i64::from(index) - next);
            next = i64::from(index) + 1;
            out.push(known.form);
            put_signed(out, known.number);
            put_signed(out, start.wrapping_sub(last_start));
            last_start = start;
            let at = index as usize;
            if let (Some(form), Some(number)) = (pair.forms.get_mut(at), pair.numbers.get_mut(at)) {
                (*form, *number) = (known.form, known.number);
            }
            if let Some(place) = pair.starts.get_mut(at) {
                *place = start;
            }
        }
    }

    fn origin(&mut self, origin: &Arc<Origin>) -> u32 {
        let next = self.origins.len() as u32;
        *self.origins.entry(origin.slot()).or_insert_with(|| {
            self.open.push(ORIGIN);
            put(&mut self.open, next.into());
            put_origin(&mut self.open, origin);
            next
        })
    }

    fn table(&mut self, table: &Arc<SeriesTable>) -> u32 {
        if let Some(number) = self.tables.get(&table.slot()) {
            return *number;
        }
        let numbers: Vec<u32> = table.as_slice().iter().map(|series| self.series(series)).collect();
        let number = self.tables.len() as u32;
        self.tables.insert(table.slot(), number);
        self.open.push(TABLE);
        put(&mut self.open, number.into());
        put(&mut self.open, numbers.len() as u64);
        let mut expected = 0i64;
        for number in numbers {
            put_signed(&mut self.open, i64::from(number) - expected);
            expected = i64::from(number) + 1;
        }
        number
    }

    fn series(&mut self, series: &Arc<pipeline::Series>) -> u32 {
        if let Some(number) = self.series.get(&series.slot()) {
            return *number;
        }
        if self.open.len() >= PIECE {
            self.closed.push(std::mem::take(&mut self.open));
        }
        let family = self.family(&series.family);
        let number = self.series.len() as u32;
        self.series.insert(series.slot(), number);
        self.open.push(SERIES);
        put(&mut self.open, number.into());
        put(&mut self.open, family.into());
        put_series(&mut self.open, series);
        number
    }

    /// Families are no interned things; they are known by their address, which holding them keeps from being reused.
    fn family(&mut self, family: &Arc<Family>) -> u32 {
        let next = self.families.len() as u32;
        let open = &mut self.open;
        let define = || {
            open.push(FAMILY);
            put(open, next.into());
            put_family(open, family);
            (next, Arc::clone(family))
        };
        self.families.entry(Arc::as_ptr(family).addr()).or_insert_with(define).0
    }
}

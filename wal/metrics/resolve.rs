//! What a segment's records refer to by number: the reading side.

use super::bytes::Input;
use super::define::{FAMILY, KNOWN, MAX_KNOWN, ORIGIN, PAIR, SERIES, TABLE};
use super::identity;
use super::number::{Known, UNKNOWN};
use pipeline::{Family, Origin, Series, SeriesTable};
use std::collections::HashMap;
use std::sync::Arc;

/// Everything that was defined in a segment so far. Numbers that are missing were in damaged records.
#[derive(Debug, Default)]
pub(super) struct Resolved {
    families: HashMap<u32, Arc<Family>>,
    series: HashMap<u32, Arc<Series>>,
    origins: HashMap<u32, Arc<Origin>>,
    tables: HashMap<u32, Arc<SeriesTable>>,
    pairs: HashMap<u32, KnownPair>,
    known: usize,
}

/// What is known of an origin's series.
#[derive(Debug)]
pub(super) struct KnownPair {
    pub(super) origin: Arc<Origin>,
    pub(super) table: Arc<SeriesTable>,
    /// The pair that this one takes the place of.
    replaces: Option<u32>,
    forms: Vec<u8>,
    numbers: Vec<i64>,
    starts: Vec<i64>,
}

impl KnownPair {
    #[inline]
    pub(super) fn known(&self, index: u32) -> Known {
        match (self.forms.get(index as usize), self.numbers.get(index as usize)) {
            (Some(form), Some(number)) => Known { form: *form, number: *number },
            _ => Known::NONE,
        }
    }

    #[inline]
    pub(super) fn start(&self, index: u32) -> i64 {
        self.starts.get(index as usize).copied().unwrap_or(0)
    }
}

impl Resolved {
    /// Takes in a record of definitions. What is defined already stays: definitions are written twice.
    ///
    /// What refers to something unknown is left out. `None` if the record is none of ours; what came before the damage
    /// is taken in then.
    pub(super) fn define(&mut self, mut input: Input<'_>) -> Option<()> {
        let input = &mut input;
        while !input.is_empty() {
            let kind = input.byte()?;
            let number = input.small()?;
            match kind {
                FAMILY => {
                    let family = identity::family(input)?;
                    self.families.entry(number).or_insert_with(|| Arc::new(family));
                }
                SERIES => {
                    let family = self.families.get(&input.small()?).cloned();
                    let known = family.is_some();
                    let series = identity::series(input, family.unwrap_or_default())?;
                    if known {
                        self.series.entry(number).or_insert(series);
                    }
                }
                ORIGIN => {
                    let origin = identity::origin(input)?;
                    self.origins.entry(number).or_insert(origin);
                }
                TABLE => self.table(number, input)?,
                PAIR => self.pair(number, input)?,
                KNOWN => self.learn(number, input)?,
                _ => return None,
            }
        }
        Some(())
    }

    fn table(&mut self, number: u32, input: &mut Input<'_>) -> Option<()> {
        let len = input.count(1)?;
        let mut series = Vec::with_capacity(len);
        let mut expected = 0i64;
        for _ in 0..len {
            let at = expected.checked_add(input.signed()?)?;
            expected = at.checked_add(1)?;
            series.extend(self.series.get(&u32::try_from(at).ok()?).cloned());
        }
        // A table with a gap would give points to other series.
        if series.len() == len && !self.tables.contains_key(&number) {
            self.tables.insert(number, SeriesTable::intern(series));
        }
        Some(())
    }

    fn pair(&mut self, number: u32, input: &mut Input<'_>) -> Option<()> {
        let (origin, table) = (input.small()?, input.small()?);
        let replaces = u32::try_from(input.number()?).ok()?.checked_sub(1);
        if let (Some(origin), Some(table)) = (self.origins.get(&origin), self.tables.get(&table)) {
            self.pairs.entry(number).or_insert_with(|| KnownPair {
                origin: Arc::clone(origin),
                table: Arc::clone(table),
                replaces,
                forms: Vec::new(),
                numbers: Vec::new(),
                starts: Vec::new(),
            });
        }
        Some(())
    }

    fn learn(&mut self, number: u32, input: &mut Input<'_>) -> Option<()> {
        let mut pair = self.pairs.get_mut(&number);
        let (mut expected, mut last_start) = (0i64, 0i64);
        for _ in 0..input.count(4)? {
            let at = expected.checked_add(input.signed()?)?;
            expected = at.checked_add(1)?;
            let (form, number) = (input.byte()?, input.signed()?);
            last_start = last_start.wrapping_add(input.signed()?);
            let Some(pair) = &mut pair else { continue };
            let index = usize::try_from(at).ok().filter(|index| *index < pair.table.len())?;
            if index >= pair.forms.len() {
                let grown = index + 1 - pair.forms.len();
                if self.known + grown > MAX_KNOWN {
                    return None;
                }
                self.known += grown;
                pair.forms.resize(index + 1, UNKNOWN);
                pair.numbers.resize(index + 1, 0);
            }
            if last_start != 0 && pair.starts.len() < pair.forms.len() {
                pair.starts.resize(pair.forms.len(), 0);
            }
            if let (Some(place), Some(known)) = (pair.forms.get_mut(index), pair.numbers.get_mut(index)) {
                (*place, *known) = (form, number);
            }
            if let Some(start) = pair.starts.get_mut(index) {
                *start = last_start;
            }
        }
        Some(())
    }

    /// The pair of this number. The one that it replaces is not needed any more.
    pub(super) fn pair_in_use(&mut self, number: u32) -> Option<&KnownPair> {
        let replaced = self.pairs.get_mut(&number)?.replaces.take();
        if let Some(replaced) = replaced.filter(|replaced| *replaced != number)
            && let Some(gone) = self.pairs.remove(&replaced)
        {
            self.known = self.known.saturating_sub(gone.forms.len());
        }
        self.pairs.get(&number)
    }
}

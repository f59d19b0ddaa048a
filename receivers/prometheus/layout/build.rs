//! Makes the layout of a page that has none yet: full parse, labels, relabelling, limits.

use super::families::Families;
use super::samples::{SampleRules, TargetIdentity, Verdict};
use super::{DROPPED, Layout, Mark, Place, ReadOptions, Reading, SlotSeries, is_out_of_bounds};
use hashbrown::HashTable;
use pipeline::{Origin, Series, SeriesTable};
use prometheus::exposition::{Entry, ParseError, Parser, Sample};
use prometheus::labels::LabelsBuilder;
use std::collections::HashMap;
use std::sync::Arc;
use xxhash_rust::xxh3::{Xxh3Default, xxh3_64};

/// Why a page is refused as a whole.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(in super::super) enum PageError {
    /// A line is malformed.
    #[error("line {line}, column {column}: {error}")]
    Syntax {
        /// Line of the page, from 1.
        line: usize,
        /// Column, in bytes from 1.
        column: usize,
        /// What the parser says.
        error: ParseError,
    },
    /// A series has no name, an invalid name, or is over a limit; the text says which and where.
    #[error("{0}")]
    Series(String),
    /// More samples than `sample_limit` remain after relabelling.
    #[error("sample limit exceeded")]
    SampleLimit,
}

impl PageError {
    /// For the counter of failed scrapes.
    pub(in super::super) fn cause(&self) -> &'static str {
        match self {
            Self::Syntax { .. } => "syntax",
            Self::Series(_) => "invalid_series",
            Self::SampleLimit => "sample_limit",
        }
    }
}

/// What a full parse gave.
#[derive(Debug)]
pub(in super::super) struct Built {
    /// The page's layout. After an error: of what was seen before it, followed by what the old layout had
    /// besides.
    pub(in super::super) layout: Layout,
    /// Places of the layout that were seen on this page.
    pub(in super::super) seen: usize,
    /// Sample lines.
    pub(in super::super) scraped: usize,
    /// Sample lines that relabelling kept.
    pub(in super::super) kept: usize,
    /// Series that the old layout did not have.
    pub(in super::super) added: usize,
    /// Places of the old layout, up to the number given, whose series is not on this page.
    pub(in super::super) gone: Vec<Place>,
    pub(in super::super) error: Option<PageError>,
}

/// Builds layouts of one target's pages.
pub(in super::super) struct Builder<'a> {
    /// The layout that the target has had so far.
    pub(in super::super) old: &'a Layout,
    /// Its places that were alive at the last scrape: the first so many.
    pub(in super::super) alive: usize,
    pub(in super::super) rules: &'a SampleRules,
    pub(in super::super) target: &'a TargetIdentity,
}

/// Series by origin. A page has one origin, unless labels that it honours say otherwise: a federated page or a push gateway
/// may have thousands.
#[derive(Default)]
struct Slots {
    slots: Vec<Slot>,
    /// By origin; the target's own is null.
    by_origin: HashMap<*const Origin, u32>,
}

#[derive(Default)]
struct Slot {
    origin: Option<Arc<Origin>>,
    series: Vec<Arc<Series>>,
    index: HashMap<*const Series, u32>,
}

impl Slots {
    /// The slot and index of a series, and whether it was there already.
    fn place(&mut self, origin: Option<&Arc<Origin>>, series: &Arc<Series>) -> (u32, u32, bool) {
        let next = self.slots.len() as u32;
        let at = *self.by_origin.entry(pointer(origin)).or_insert(next);
        if at == next {
            self.slots.push(Slot { origin: origin.cloned(), ..Slot::default() });
        }
        let Some(slot) = self.slots.get_mut(at as usize) else { return (0, DROPPED, false) };
        let next = slot.series.len() as u32;
        let known = *slot.index.entry(Arc::as_ptr(series)).or_insert(next);
        if known == next {
            slot.series.push(Arc::clone(series));
        }
        (at, known, known != next)
    }

    fn has(&self, origin: Option<&Arc<Origin>>, series: &Arc<Series>) -> bool {
        let slot = self.by_origin.get(&pointer(origin)).and_then(|at| self.slots.get(*at as usize));
        slot.is_some_and(|slot| slot.index.contains_key(&Arc::as_ptr(series)))
    }
}

fn pointer(origin: Option<&Arc<Origin>>) -> *const Origin {
    origin.map_or(std::ptr::null(), Arc::as_ptr)
}

/// The old layout's places by their series text.
struct OldTexts<'a> {
    places: Vec<(&'a [u8], &'a Place)>,
    by_text: HashTable<(u64, u32)>,
    seen: Vec<bool>,
}

impl<'a> OldTexts<'a> {
    fn of(old: &'a Layout) -> Self {
        let places: Vec<_> = old.series_texts().collect();
        let mut by_text = HashTable::with_capacity(places.len());
        for (i, (text, _)) in places.iter().enumerate() {
            let hash = xxh3_64(text);
            // Of a text that stands twice the first is the one that is not a repeat.
            if by_text.find(hash, |(h, at)| *h == hash && texts_equal(&places, *at, text)).is_none() {
                by_text.insert_unique(hash, (hash, i as u32), |(h, _)| *h);
            }
        }
        Self { seen: vec![false; places.len()], places, by_text }
    }

    fn find(&self, text: &[u8]) -> Option<(usize, &'a Place)> {
        let hash = xxh3_64(text);
        let (_, at) = self.by_text.find(hash, |(h, at)| *h == hash && texts_equal(&self.places, *at, text))?;
        Some((*at as usize, self.places.get(*at as usize)?.1))
    }
}

fn texts_equal(places: &[(&[u8], &Place)], at: u32, text: &[u8]) -> bool {
    places.get(at as usize).is_some_and(|(known, _)| *known == text)
}

/// The state of one build.
struct Page<'a> {
    builder: &'a Builder<'a>,
    options: ReadOptions,
    body: &'a [u8],
    families: Families,
    old: OldTexts<'a>,
    slots: Slots,
    places: Vec<Place>,
    text: Vec<u8>,
    /// End of the last sample's line.
    line_end: usize,
    labels: LabelsBuilder,
    scraped: usize,
    kept: usize,
    added: usize,
    /// Samples that count towards `sample_limit`.
    appended: usize,
    over_limit: bool,
}

impl Builder<'_> {
    /// Parses `body` in full. Points go to `reading`, and are of no meaning if there is an error.
    pub(in super::super) fn build(&self, body: &[u8], options: ReadOptions, reading: &mut Reading) -> Built {
        reading.clear(0);
        let mut page = Page {
            builder: self,
            options,
            body,
            families: Families::new(self.rules.trim_suffixes),
            old: OldTexts::of(self.old),
            slots: Slots::default(),
            places: Vec::with_capacity(self.old.places.len()),
            text: Vec::with_capacity(self.old.text.len()),
            line_end: 0,
            labels: LabelsBuilder::new(),
            scraped: 0,
            kept: 0,
            added: 0,
            appended: 0,
            over_limit: false,
        };
        let error = page.parse(reading).err().or_else(|| page.over_limit.then_some(PageError::SampleLimit));
        page.finish(error)
    }
}

impl Page<'_> {
    fn parse(&mut self, reading: &mut Reading) -> Result<(), PageError> {
        let mut parser = Parser::new(self.options.format, self.body);
        loop {
            let entry = parser.next().map_err(|error| PageError::Syntax {
                line: error.line(),
                column: error.column(),
                error,
            })?;
            match entry {
                None => return Ok(()),
                Some(Entry::Type { family, kind }) => self.families.set_kind(&family, kind),
                Some(Entry::Help { family, text }) => self.families.set_help(&family, &text),
                Some(Entry::Unit { family, unit }) => self.families.set_unit(&family, &unit),
                Some(Entry::Comment(_)) => {}
                Some(Entry::Sample(sample)) => self.sample(&parser, &sample, reading)?,
            }
        }
    }

    fn sample(&mut self, parser: &Parser<'_>, sample: &Sample<'_>, reading: &mut Reading) -> Result<(), PageError> {
        self.scraped += 1;
        let timestamp = if self.options.honor_timestamps { sample.timestamp_ms } else { None };
        let known = self.known(sample.series);
        let (verdict, new) = match known {
            Some((at, verdict)) => {
                if let Some(seen) = self.old.seen.get_mut(at) {
                    *seen = true;
                }
                (verdict, false)
            }
            None => {
                parser.labels(&mut self.labels).map_err(|error| PageError::Syntax {
                    line: error.line(),
                    column: error.column(),
                    error,
                })?;
                let verdict = self.builder.rules.decide(self.builder.target, &mut self.labels, &mut self.families)?;
                (verdict, true)
            }
        };
        let (slot, series, repeat) = match &verdict {
            Verdict::Dropped => (0, DROPPED, false),
            Verdict::Kept { origin, series } => {
                self.kept += 1;
                let place = self.slots.place(origin.as_ref(), series);
                if !place.2 || timestamp.is_some() {
                    self.appended += 1;
                    let limit = self.builder.rules.sample_limit;
                    if limit > 0 && self.appended > limit {
                        self.over_limit = true;
                        return Ok(());
                    }
                }
                let refused = timestamp.is_some_and(|ms| is_out_of_bounds(ms, self.options.now_ms));
                if new && !place.2 && !refused {
                    self.added += 1;
                }
                place
            }
        };
        let before = self.body.get(self.line_end..sample.value_start).unwrap_or(&[]);
        let place = Place {
            text_len: before.len() as u32,
            series_start: (sample.series_start - self.line_end) as u32,
            series_len: sample.series.len() as u32,
            series,
            mark: Mark::new(slot, timestamp.is_some(), repeat),
        };
        self.text.extend_from_slice(before);
        self.line_end = sample.line_end;
        self.places.push(place);
        if series != DROPPED {
            if reading.points.len() < self.slots.slots.len() {
                reading.points.resize_with(self.slots.slots.len(), Vec::new);
            }
            let now = self.options.now_ms;
            reading.take(&place, sample.value, timestamp, now.saturating_mul(1_000_000), now, sample.exemplar.as_ref());
        }
        Ok(())
    }

    /// What the old layout knows of a series text, unless the page now says other things of its family.
    fn known(&mut self, text: &[u8]) -> Option<(usize, Verdict)> {
        let (at, place) = self.old.find(text)?;
        if place.series == DROPPED {
            return Some((at, Verdict::Dropped));
        }
        let slot = self.builder.old.slots.get(place.slot())?;
        let series = slot.table.get(place.series)?;
        if !self.families.still(&series.name, &series.family) {
            return None;
        }
        Some((at, Verdict::Kept { origin: slot.origin.clone(), series: Arc::clone(series) }))
    }

    fn finish(mut self, error: Option<PageError>) -> Built {
        let seen = self.places.len();
        let tail: Box<[u8]> = self.body.get(self.line_end..).unwrap_or(&[]).into();
        let gone = self.gone();
        let failed = error.is_some();
        if failed {
            self.keep_unseen();
        }
        let slots = self.slots.slots.into_iter();
        let slots: Box<[SlotSeries]> =
            slots.map(|slot| SlotSeries { origin: slot.origin, table: SeriesTable::intern(slot.series) }).collect();
        let mut hasher = Xxh3Default::new();
        hasher.update(&self.text);
        hasher.update(&tail);
        for slot in &slots {
            hasher.update(&slot.table.slot().generation.to_le_bytes());
        }
        let layout = Layout {
            // A failed page is never read by its layout: it only remembers which series were there.
            format: (!failed).then_some(self.options.format),
            text: self.text.into_boxed_slice(),
            kept: self.places.iter().filter(|p| p.series != DROPPED).count(),
            places: self.places.into_boxed_slice(),
            tail,
            slots,
            hash: hasher.digest(),
        };
        Built { layout, seen, scraped: self.scraped, kept: self.kept, added: self.added, gone, error }
    }

    /// Places of the old layout that were alive and whose series is not on this page.
    fn gone(&self) -> Vec<Place> {
        let alive = self.old.places.iter().zip(&self.old.seen).take(self.builder.alive);
        alive
            .filter(|((_, place), seen)| !**seen && place.series != DROPPED && !place.mark.repeat())
            .filter(|((_, place), _)| {
                self.builder.old.slots.get(place.slot()).is_some_and(|slot| {
                    slot.table.get(place.series).is_some_and(|series| !self.slots.has(slot.origin.as_ref(), series))
                })
            })
            .map(|((_, place), _)| **place)
            .collect()
    }

    /// After a failure the old series stay known, behind those that were seen.
    fn keep_unseen(&mut self) {
        for i in 0..self.old.places.len() {
            let Some((text, place)) = self.old.places.get(i).copied() else { continue };
            if self.old.seen.get(i).copied().unwrap_or(true) {
                continue;
            }
            let (slot, series, repeat) = if place.series == DROPPED {
                (0, DROPPED, false)
            } else {
                let Some(slot) = self.builder.old.slots.get(place.slot()) else { continue };
                let Some(series) = slot.table.get(place.series) else { continue };
                self.slots.place(slot.origin.as_ref(), series)
            };
            self.text.extend_from_slice(text);
            let (text_len, series_start) = (text.len() as u32, 0);
            let mark = Mark::new(slot, place.mark.timed(), repeat);
            self.places.push(Place { text_len, series_start, series, mark, ..*place });
        }
    }
}

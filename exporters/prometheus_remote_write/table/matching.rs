//! Which bytes of a label set stand in one of the label sets before it.

use super::Step;

/// How many series back is searched. The positions of that many are at hand when samples are written.
pub(super) const REACH: usize = 64;

/// Shorter repetitions are not worth a step: a reference takes two or three bytes, and ends a literal.
const SHORTEST: usize = 6;

/// Bytes that are hashed to find a repetition.
const SEED: usize = 4;

/// Label sets are numbered with 32 bits; before those are used up, everything is forgotten. One table does not have as many again.
const MAX_COUNT: usize = 1 << 31;

/// Places that hashes lead to: more than the bytes of the series in reach.
const HASH_BITS: u32 = 13;

/// Where in a label set the labels of its origin stand.
#[derive(Clone, Debug, Default)]
struct Known {
    start: usize,
    end: usize,
    /// Bytes of the series' own before them, and how many labels of the origin are through then.
    cuts: Vec<(u16, u8)>,
}

/// Finds repetitions in one label set after the other.
#[derive(Debug)]
pub(super) struct Matcher {
    /// The steps of all label sets so far, one after the other.
    pub(super) steps: Vec<Step>,
    /// The last [`REACH`] label sets, by their number modulo that.
    known: Vec<Known>,
    /// Label sets so far, those of other tables among them.
    count: usize,
    /// The first of this table and class: those before it stand in another text, or go to another shard.
    first: usize,
    /// By hash: number of the label set plus one, and position in the text.
    places: Vec<(u32, u32)>,
}

impl Default for Matcher {
    fn default() -> Self {
        Self {
            steps: Vec::new(),
            known: vec![Known::default(); REACH],
            count: 0,
            first: 0,
            places: vec![(0, 0); 1 << HASH_BITS],
        }
    }
}

impl Known {
    /// How many labels of the origin stand before byte `at` of the text, and where the next ones stand.
    fn around(&self, at: usize) -> (u8, usize) {
        let own = at - self.start;
        let mut labels = 0;
        for (cut, through) in &self.cuts {
            if usize::from(*cut) > own {
                return (labels, self.start + usize::from(*cut));
            }
            labels = *through;
        }
        (labels, self.end)
    }

    /// Where the origin's labels from `first` to `end` stand in one piece: the bytes of the series' own before them.
    fn piece(&self, first: u8, end: u8) -> Option<u16> {
        let mut before = 0;
        for (cut, through) in &self.cuts {
            if before <= first && end <= *through {
                return Some(*cut);
            }
            before = *through;
        }
        None
    }
}

impl Matcher {
    /// Begins another table. The steps of the last one are to be taken before.
    pub(super) fn begin(&mut self) {
        if self.count >= MAX_COUNT {
            *self = Self::default();
        }
        self.steps.clear();
        self.part();
    }

    /// Label sets so far are not repeated from now on.
    pub(super) fn part(&mut self) {
        self.first = self.count;
    }

    /// Appends the steps of the label set that stands in `text` from `start` to `end`, with the origin's labels at `cuts`.
    pub(super) fn add(&mut self, text: &[u8], (start, end): (usize, usize), cuts: &[(u16, u8)]) {
        let at = self.count % REACH;
        if let Some(known) = self.known.get_mut(at) {
            known.start = start;
            known.end = end;
            known.cuts.clear();
            known.cuts.extend_from_slice(cuts);
        }
        let (mut from, mut first) = (start, 0);
        for (cut, through) in cuts {
            let cut = start + usize::from(*cut);
            self.own(text, from, cut);
            self.origin(first, *through);
            (from, first) = (cut, *through);
        }
        self.own(text, from, end);
        self.count += 1;
    }

    /// A piece of the series' own labels.
    fn own(&mut self, text: &[u8], start: usize, end: usize) {
        let (mut at, mut literal) = (start, start);
        while at + SHORTEST <= end {
            let found = self.find(text, at, end);
            self.remember(text, at);
            match found {
                Some((len, step)) => {
                    self.literal(at - literal);
                    self.steps.push(step);
                    // Later label sets look nearby first, so what is repeated here counts as standing here.
                    for skipped in at + 1..at + len {
                        self.remember(text, skipped);
                    }
                    at += len;
                    literal = at;
                }
                None => at += 1,
            }
        }
        self.literal(end - literal);
    }

    fn literal(&mut self, len: usize) {
        if len > 0 {
            self.steps.push(Step::Literal { len: len as u16 });
        }
    }

    /// What the bytes at `at`, which end at `end`, repeat.
    fn find(&self, text: &[u8], at: usize, end: usize) -> Option<(usize, Step)> {
        let (number, place) = *self.places.get(hash(text, at)?)?;
        let number = (number as usize).checked_sub(1).filter(|number| *number >= self.first)?;
        let back = self.count.checked_sub(number).filter(|back| (1..REACH).contains(back))?;
        let known = self.known.get(number % REACH)?;
        let place = place as usize;
        let (labels, source_end) = known.around(place);
        let source = text.get(place..source_end)?;
        let len = text.get(at..end)?.iter().zip(source).take_while(|(a, b)| a == b).count();
        if len < SHORTEST {
            return None;
        }
        let from = (place - known.start) as u16;
        Some((len, Step::Copy { back: back as u8, labels, from, len: len as u16 }))
    }

    fn remember(&mut self, text: &[u8], at: usize) {
        if let Some(hash) = hash(text, at)
            && let Some(place) = self.places.get_mut(hash)
        {
            *place = (self.count as u32 + 1, at as u32);
        }
    }

    /// A run of the origin's labels.
    fn origin(&mut self, first: u8, end: u8) {
        let found = (1..REACH.min(self.count - self.first + 1)).find_map(|back| {
            let known = self.known.get((self.count - back) % REACH)?;
            Some((back as u8, known.piece(first, end)?))
        });
        let (back, from) = found.unwrap_or((0, 0));
        self.steps.push(Step::Origin { back, first, end, from });
    }
}

fn hash(text: &[u8], at: usize) -> Option<usize> {
    let seed: [u8; SEED] = text.get(at..at + SEED)?.try_into().ok()?;
    Some((u32::from_le_bytes(seed).wrapping_mul(0x1e35_a7bd) >> (32 - HASH_BITS)) as usize)
}

//! Labels of a sample as pieces of what is known of its origin and of its series.

use super::{MAX_RUNS, Plan, WireOrigin};
use pipeline::Slot;

/// Labels as pieces of two byte strings.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pieces<'a> {
    /// The origin, unless the labels were worked out for this pair.
    pub(super) of: Option<Slot>,
    pub(super) series: &'a [u8],
    pub(super) origin: &'a [u8],
    pub(super) ends: &'a [u32],
    pub(super) runs: &'a [(u16, u8)],
    /// What decides about the shard of the series.
    pub(super) kin: u64,
}

/// How own labels and those of the origin interleave: up to which byte the former come next, and up to which label the latter
/// then.
pub(crate) type Runs = [(u16, u8)];

impl<'a> Pieces<'a> {
    /// The origin and its labels, the series' own, and where the former stand among the latter (see [`cut_points`]); `None`
    /// if the labels were worked out for this pair.
    pub(crate) fn parts(&self) -> Option<(Slot, &'a [u8], &'a [u8], &'a Runs)> {
        Some((self.of?, self.origin, self.series, self.runs))
    }

    /// What decides about the shard of the series ([`super::super::spread::kin_of`]).
    #[inline]
    pub(crate) fn kin(&self) -> u64 {
        self.kin
    }

    /// Length of all labels in wire form.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.series.len() + self.origin.len()
    }

    /// Appends all labels.
    #[inline]
    pub(crate) fn append_to(&self, out: &mut Vec<u8>) {
        let (mut in_series, mut in_origin) = (0, 0);
        for (series_end, labels) in self.runs {
            let series_end = usize::from(*series_end);
            let origin_end = self.ends.get(usize::from(*labels).wrapping_sub(1)).map_or(0, |end| *end as usize);
            out.extend_from_slice(self.series.get(in_series..series_end).unwrap_or(&[]));
            out.extend_from_slice(self.origin.get(in_origin..origin_end).unwrap_or(&[]));
            (in_series, in_origin) = (series_end, origin_end);
        }
        out.extend_from_slice(self.series.get(in_series..).unwrap_or(&[]));
    }
}

/// The plan for these two, or `None` if a name stands on both sides or the plan does not fit.
pub(super) fn interleave(series: &[u8], origin: &WireOrigin) -> Option<Plan> {
    let mut cuts = Vec::new();
    let mut runs = [(0, 0); MAX_RUNS];
    if !cut_points(series, origin, &mut cuts) {
        return None;
    }
    runs.get_mut(..cuts.len())?.copy_from_slice(&cuts);
    Some(Plan::Runs { signature: origin.signature, len: cuts.len() as u8, runs })
}

/// Where labels of `origin` stand among those of a series: behind how many bytes of these, and how many labels of the
/// origin are through then. False if a name stands on both sides or the numbers are too large.
pub(crate) fn cut_points(series: &[u8], origin: &WireOrigin, cuts: &mut Vec<(u16, u8)>) -> bool {
    find_cuts(series, origin, cuts).is_some()
}

fn find_cuts(series: &[u8], origin: &WireOrigin, cuts: &mut Vec<(u16, u8)>) -> Option<()> {
    let (mut rest, mut at) = (series, 0usize);
    let mut origin_start = 0usize;
    for (i, end) in origin.ends.iter().enumerate() {
        let end = *end as usize;
        let (name, _) = first_label(origin.bytes.get(origin_start..end)?)?;
        while let Some((next, size)) = first_label(rest) {
            match next.cmp(name) {
                std::cmp::Ordering::Less => {
                    at += size;
                    rest = rest.get(size..)?;
                }
                std::cmp::Ordering::Equal => return None,
                std::cmp::Ordering::Greater => break,
            }
        }
        let cut = (u16::try_from(at).ok()?, u8::try_from(i + 1).ok()?);
        match cuts.last_mut() {
            Some(last) if last.0 == cut.0 => *last = cut,
            _ => cuts.push(cut),
        }
        origin_start = end;
    }
    Some(())
}

/// Names and values of encoded labels.
pub(crate) fn label_pairs(mut bytes: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    std::iter::from_fn(move || {
        let (label, rest) = field(bytes)?;
        bytes = rest;
        let (name, rest) = field(label)?;
        Some((name, field(rest).map_or(&[] as &[u8], |(value, _)| value)))
    })
}

/// The content of a length-delimited field with a short tag, and what follows it.
fn field(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, head) = length(bytes.get(1..)?)?;
    bytes.get(1 + head..)?.split_at_checked(len)
}

/// The name of the first encoded label and the size of that label, both as [`put_label`] wrote them.
pub(crate) fn first_label(bytes: &[u8]) -> Option<(&[u8], usize)> {
    let (body_len, head) = length(bytes.get(1..)?)?;
    let body = bytes.get(1 + head..1 + head + body_len)?;
    let (name_len, name_head) = length(body.get(1..)?)?;
    Some((body.get(1 + name_head..1 + name_head + name_len)?, 1 + head + body_len))
}

fn length(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut value = 0usize;
    for (i, byte) in bytes.iter().enumerate().take(5) {
        value |= usize::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            return Some((value, i + 1));
        }
    }
    None
}

//! Items that wait for company, and how they are put together and cut.

use super::messages;
use pipeline::{AckOutcome, Acks, Batch, Exemplar, MetricBatch, Part, PointGroup, Source};
use std::sync::Arc;

/// Groups of up to this many points become part of an adjacent one of the same series. To move the points of larger
/// ones would cost more than a group too many does further on.
const MERGED: usize = 128;

/// The batches that wait to be sent as one. They stay as they came until they are taken, so that one that
/// came alone and fits leaves untouched, without a copy even if others share it.
#[derive(Debug, Default)]
pub(super) struct Pending {
    batches: Vec<Batch>,
    items: usize,
    awaited: bool,
    /// Items of the largest batch that may leave.
    max: usize,
}

impl Pending {
    /// Nothing waits; no batch that leaves is larger than `max_size`, where 0 stands for no limit.
    pub(super) fn new(max_size: usize) -> Self {
        // Exemplars know their points by 32-bit indexes.
        let max = if max_size == 0 { u32::MAX as usize } else { max_size };
        Self { max, ..Self::default() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    /// Number of items.
    pub(super) fn len(&self) -> usize {
        self.items
    }

    /// Whether somebody waits for the delivery of a part.
    pub(super) fn is_awaited(&self) -> bool {
        self.awaited
    }

    /// Takes a batch. Of one without items there is nothing left to deliver.
    pub(super) fn push(&mut self, batch: Batch) {
        if batch.is_empty() {
            batch.into_acks().resolve(AckOutcome::Delivered);
            return;
        }
        self.items += batch.len();
        self.awaited |= batch.acks().awaited();
        self.batches.push(batch);
    }

    /// Everything, in batches of at most the largest size.
    pub(super) fn take_all(&mut self) -> Vec<Batch> {
        self.take_while_at_least(1)
    }

    /// Batches of the largest size until fewer than `least` items are left, which stay.
    pub(super) fn take_while_at_least(&mut self, least: usize) -> Vec<Batch> {
        let waiting = std::mem::take(&mut self.batches);
        self.items = 0;
        self.awaited = false;
        if waiting.len() == 1 && waiting.first().is_some_and(|batch| batch.len() <= self.max) {
            return waiting;
        }
        let mut taken = cut(waiting, self.max);
        // Pieces are full but for the last, so that only this one can be too small to go.
        if taken.last().is_some_and(|last| last.len() < least)
            && let Some(last) = taken.pop()
        {
            self.push(last);
        }
        taken
    }
}

/// A batch in the making.
#[derive(Default)]
struct Piece {
    groups: Vec<PointGroup>,
    points: usize,
    acks: Acks,
}

impl Piece {
    /// Adds a group; a small one that continues the last group becomes part of it. Points are moved, never copied.
    fn push(&mut self, mut group: PointGroup) {
        self.points += group.points.len();
        let Some(last) = self.groups.last_mut() else {
            self.groups.push(group);
            return;
        };
        let continues = Arc::ptr_eq(&last.origin, &group.origin) && Arc::ptr_eq(&last.table, &group.table);
        if !continues || group.points.len() > MERGED {
            self.groups.push(group);
            return;
        }
        // A piece holds no more points than an index can tell apart.
        let before = last.points.len() as u32;
        last.points.append(&mut group.points);
        last.exemplars.extend(group.exemplars.into_iter().map(|exemplar| shifted(exemplar, before)));
    }

    fn finish(self) -> MetricBatch {
        MetricBatch::with_acks(self.groups, self.acks)
    }
}

fn shifted(exemplar: Exemplar, by: u32) -> Exemplar {
    Exemplar { point: exemplar.point.saturating_add(by), ..exemplar }
}

/// Puts all batches together and cuts them into pieces of `max` items; the last may be smaller. Whoever waits
/// for a batch waits for those pieces only that hold some of its items.
fn cut(batches: Vec<Batch>, max: usize) -> Vec<Batch> {
    // A pipeline carries one signal, so that one of these is empty.
    let (mut metrics, mut messages) = (Vec::new(), Vec::new());
    for batch in batches {
        match batch {
            Batch::Metrics(batch) => metrics.push(batch),
            Batch::Messages(batch) => messages.push(batch),
        }
    }
    let metrics = cut_metrics(metrics, max).into_iter().map(Batch::from);
    metrics.chain(messages::cut(messages, max).into_iter().map(Batch::from)).collect()
}

fn cut_metrics(batches: Vec<MetricBatch>, max: usize) -> Vec<MetricBatch> {
    let mut done = Vec::new();
    let mut piece = Piece::default();
    for batch in batches {
        let (groups, acks) = batch.into_parts();
        let mut in_piece = false;
        for group in groups {
            let lengths = cut_lengths(&group, max.saturating_sub(piece.points), max);
            for (number, part) in split(group, &lengths).into_iter().enumerate() {
                if (number > 0 || part.points.is_empty()) && piece.points > 0 {
                    done.push(std::mem::take(&mut piece).finish());
                    in_piece = false;
                }
                if part.points.is_empty() {
                    continue;
                }
                if !in_piece {
                    piece.acks.merge(acks.clone());
                    in_piece = true;
                }
                piece.push(part);
            }
        }
        // The pieces' shares say what became of the points; this one has none left.
        acks.resolve(AckOutcome::Delivered);
    }
    if piece.points > 0 {
        done.push(piece.finish());
    }
    done
}

/// Where a group is cut: how many points still go to the piece in the making, of which `room` is left, and how many to each of
/// those after it.
///
/// The samples of one scraped histogram or summary are not torn apart, since those who need it whole could not put it together
/// again; a piece ends before it, and one that is larger than a piece makes the piece larger. Where points travel whole, as
/// OTLP has them, each is one point.
fn cut_lengths(group: &PointGroup, room: usize, max: usize) -> Vec<usize> {
    let len = group.points.len();
    let mut lengths = Vec::new();
    let (mut start, mut room) = (0, room);
    while len - start > room {
        let mut end = start + room;
        if end > 0 && room > 0 {
            end = (start + 1..=end).rev().find(|at| !together(group, *at)).unwrap_or(start);
        }
        if end == start && (room == max || !lengths.is_empty()) {
            // It does not fit an empty piece either.
            end = (start + max + 1..len).find(|at| !together(group, *at)).unwrap_or(len);
        }
        lengths.push(end - start);
        (start, room) = (end, max);
    }
    if start < len {
        lengths.push(len - start);
    }
    lengths
}

/// Whether the point at `at` belongs to the same histogram or summary as the one before it.
fn together(group: &PointGroup, at: usize) -> bool {
    if group.origin.source != Source::Scrape {
        return false;
    }
    let (Some(before), Some(point)) = (at.checked_sub(1).and_then(|at| group.points.get(at)), group.points.get(at))
    else {
        return false;
    };
    let (Some(a), Some(b)) = (group.table.get(before.series), group.table.get(point.series)) else { return false };
    a.part != Part::Whole
        && b.part != Part::Whole
        && before.time == point.time
        && a.attributes == b.attributes
        && (Arc::ptr_eq(&a.family, &b.family) || a.family == b.family)
}

/// Cuts a group into parts of these lengths.
fn split(mut group: PointGroup, lengths: &[usize]) -> Vec<PointGroup> {
    if lengths.len() == 1 {
        return vec![group];
    }
    // From the back, so that every point is moved once however many parts there are.
    let mut out = Vec::with_capacity(lengths.len());
    let mut start = group.points.len();
    for length in lengths.iter().rev() {
        start = start.saturating_sub(*length);
        let points = group.points.split_off(start);
        let own = group.exemplars.extract_if(.., |exemplar| exemplar.point as usize >= start);
        let exemplars = own.map(|exemplar| Exemplar { point: exemplar.point - start as u32, ..exemplar }).collect();
        let (origin, table) = (Arc::clone(&group.origin), Arc::clone(&group.table));
        out.push(PointGroup { origin, table, points, exemplars });
    }
    out.reverse();
    out
}

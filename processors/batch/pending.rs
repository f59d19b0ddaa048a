//! Items that wait for company, and how they are put together and cut.

use super::messages;
use pipeline::{AckOutcome, Acks, Batch, Exemplar, MetricBatch, PointGroup};
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
            for part in split(group, max - piece.points, max) {
                if piece.points == max {
                    done.push(std::mem::take(&mut piece).finish());
                    in_piece = false;
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

/// Cuts a group into parts: `first` points (none if 0), then `max` each, then the rest.
fn split(mut group: PointGroup, first: usize, max: usize) -> Vec<PointGroup> {
    if group.points.is_empty() {
        return Vec::new();
    }
    let first = if first == 0 { max } else { first };
    if group.points.len() <= first {
        return vec![group];
    }
    let parts = 1 + (group.points.len() - first).div_ceil(max);
    let mut exemplars = vec![Vec::new(); parts];
    for mut exemplar in std::mem::take(&mut group.exemplars) {
        let at = exemplar.point as usize;
        let part = if at < first { 0 } else { 1 + (at - first) / max };
        if part > 0 {
            exemplar.point = ((at - first) % max) as u32;
        }
        if let Some(list) = exemplars.get_mut(part) {
            list.push(exemplar);
        }
    }
    // From the back, so that every point is moved once however many parts there are.
    let mut out = Vec::with_capacity(parts);
    for part in (0..parts).rev() {
        let points = match part {
            0 => std::mem::take(&mut group.points),
            _ => group.points.split_off(first + (part - 1) * max),
        };
        out.push(PointGroup {
            origin: Arc::clone(&group.origin),
            table: Arc::clone(&group.table),
            points,
            exemplars: exemplars.pop().unwrap_or_default(),
        });
    }
    out.reverse();
    out
}

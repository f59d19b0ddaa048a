//! Leading points along their routes: in steady state all the work there is.

use super::DropReason;
use super::cache::Entry;
use super::mapping::{Mapping, Route, Routes, one_place, place_of};
use pipeline::{Exemplar, Origin, Point, PointGroup, SeriesTable};
use std::sync::Arc;

/// Origin and table of an output; `None` stands for those that came in.
type Target<'a> = (Option<&'a Arc<Origin>>, Option<&'a Arc<SeriesTable>>);

/// Stands for a point that is gone, where exemplars look for theirs.
const GONE: (u32, u32) = (u32::MAX, u32::MAX);

/// Points that were dropped, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Dropped {
    pub(crate) rule: u64,
    pub(crate) nameless: u64,
    pub(crate) unknown_series: u64,
}

impl Dropped {
    #[inline]
    fn add(&mut self, reason: DropReason) {
        match reason {
            DropReason::Rule => self.rule += 1,
            DropReason::Nameless => self.nameless += 1,
            DropReason::UnknownSeries => self.unknown_series += 1,
        }
    }
}

/// Leads a group's points to where they go, and adds the groups that come of it to `out`. Points keep their
/// order; they are moved within the group's own memory as long as there is one output.
pub(super) fn lead<E>(group: PointGroup, entry: &Entry<E>, out: &mut Vec<PointGroup>, dropped: &mut Dropped) {
    let Mapping { routes, outputs } = &*entry.mapping;
    let target = |output: u32| -> Option<Target<'_>> {
        let at = output as usize;
        Some((entry.origins.get(at)?.as_ref(), outputs.get(at)?.table.as_ref()))
    };
    let before = out.len();
    match routes {
        Routes::Unchanged => out.push(group),
        Routes::One(routes) => out.push(lead_to_one(group, routes, dropped)),
        Routes::Many(routes) => return lead_to_many(group, routes, target, out, dropped),
    }
    if out.last().is_some_and(|group| group.points.is_empty()) {
        out.truncate(before);
    } else if let (Some(group), Some(target)) = (out.last_mut(), target(0)) {
        redirect(group, target);
    }
}

fn redirect(group: &mut PointGroup, (origin, table): Target<'_>) {
    if let Some(origin) = origin {
        group.origin = Arc::clone(origin);
    }
    if let Some(table) = table {
        group.table = Arc::clone(table);
    }
}

fn lead_to_one(mut group: PointGroup, routes: &[u32], dropped: &mut Dropped) -> PointGroup {
    if !group.exemplars.is_empty() {
        // Before any point moves.
        let mut kept = 0;
        let places: Vec<_> = group
            .points
            .iter()
            .map(|point| {
                let stays = one_place(routes, point.series).is_ok();
                kept += u32::from(stays);
                if stays { (0, kept - 1) } else { GONE }
            })
            .collect();
        group.exemplars.retain_mut(|exemplar| move_exemplar(exemplar, &places).is_some());
    }
    let before = group.points.len();
    group.points.retain_mut(|point| match one_place(routes, point.series) {
        Ok(index) => {
            point.series = index;
            true
        }
        Err(reason) => {
            dropped.add(reason);
            false
        }
    });
    if group.points.len() < before / 4 {
        // What is left may wait in a batch; the room of what is gone should not.
        group.points.shrink_to_fit();
    }
    group
}

fn lead_to_many<'a>(
    group: PointGroup,
    routes: &[Route],
    target: impl Fn(u32) -> Option<Target<'a>>,
    out: &mut Vec<PointGroup>,
    dropped: &mut Dropped,
) {
    let PointGroup { origin, table, points, exemplars } = group;
    let first = out.len();
    // How many points each output gets, so that its group is allocated once.
    let mut counts: Vec<usize> = Vec::new();
    for (output, _) in points.iter().filter_map(|point| place_of(routes, point.series).ok()) {
        if counts.len() <= output as usize {
            counts.resize(output as usize + 1, 0);
        }
        if let Some(count) = counts.get_mut(output as usize) {
            *count += 1;
        }
    }
    // Which group of `out` an output has got, counted from `first`.
    let mut groups: Vec<Option<u32>> = vec![None; counts.len()];
    let mut places: Vec<(u32, u32)> = Vec::with_capacity(if exemplars.is_empty() { 0 } else { points.len() });
    let mut deliver = |mut point: Point, out: &mut Vec<PointGroup>| -> Result<(u32, u32), DropReason> {
        let (output, index) = place_of(routes, point.series)?;
        let place = groups.get_mut(output as usize).ok_or(DropReason::UnknownSeries)?;
        let at = match *place {
            Some(at) => at,
            None => {
                let points = Vec::with_capacity(counts.get(output as usize).copied().unwrap_or(0));
                let mut new = PointGroup::new(Arc::clone(&origin), Arc::clone(&table), points);
                redirect(&mut new, target(output).ok_or(DropReason::UnknownSeries)?);
                out.push(new);
                *place.insert((out.len() - first - 1) as u32)
            }
        };
        let group = out.get_mut(first + at as usize).ok_or(DropReason::UnknownSeries)?;
        point.series = index;
        group.points.push(point);
        Ok((at, (group.points.len() - 1) as u32))
    };
    for point in points {
        let delivered = deliver(point, out);
        if let Err(reason) = delivered {
            dropped.add(reason);
        }
        if !exemplars.is_empty() {
            places.push(delivered.unwrap_or(GONE));
        }
    }
    for mut exemplar in exemplars {
        if let Some(at) = move_exemplar(&mut exemplar, &places)
            && let Some(group) = out.get_mut(first + at as usize)
        {
            group.exemplars.push(exemplar);
        }
    }
}

/// Leads an exemplar to its point's new place and says in which group that is; `None` if the point is gone.
fn move_exemplar(exemplar: &mut Exemplar, places: &[(u32, u32)]) -> Option<u32> {
    let (group, point) = *places.get(exemplar.point as usize).filter(|place| **place != GONE)?;
    exemplar.point = point;
    Some(group)
}

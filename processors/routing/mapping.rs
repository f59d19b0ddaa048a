//! Verdicts on a whole table, in the form in which points are led along them.

use super::{DropReason, Judge, Verdict};
use hashbrown::HashMap;
use pipeline::{Series, SeriesTable};
use std::sync::Arc;

/// Places in a table from here on are none: they say why a series is dropped.
const DROPPED: u32 = u32::MAX - 2;

/// Where points of a series go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    /// Which output.
    pub(super) output: u32,
    /// Which place in that output's table, or a code.
    index: u32,
}

impl Route {
    fn drop(reason: DropReason) -> Self {
        Self { output: 0, index: drop_code(reason) }
    }
}

fn drop_code(reason: DropReason) -> u32 {
    DROPPED
        + match reason {
            DropReason::Rule => 0,
            DropReason::Nameless => 1,
            DropReason::UnknownSeries => 2,
        }
}

/// The place in a table that a stored index stands for, or why there is none.
#[inline]
fn place(index: u32) -> Result<u32, DropReason> {
    match index.checked_sub(DROPPED) {
        None => Ok(index),
        Some(0) => Err(DropReason::Rule),
        Some(1) => Err(DropReason::Nameless),
        Some(_) => Err(DropReason::UnknownSeries),
    }
}

/// Routes by place in the incoming table. The less changes, the less is stored.
#[derive(Clone, Debug)]
pub(crate) enum Routes {
    /// All series go on as they are, to one output.
    Unchanged,
    /// Places in the table of the one output.
    One(Arc<[u32]>),
    /// Several outputs.
    Many(Arc<[Route]>),
}

/// One group that comes out of a group that goes in.
#[derive(Debug)]
pub(crate) struct OutputTable<E> {
    /// From the incoming origin to the outgoing one.
    pub(super) edit: Arc<E>,
    /// The outgoing table; `None` if it is the incoming one, which is not held so that it can end.
    pub(super) table: Option<Arc<SeriesTable>>,
}

/// What becomes of all series of a table.
#[derive(Debug)]
pub(crate) struct Mapping<E> {
    pub(crate) routes: Routes,
    pub(super) outputs: Box<[OutputTable<E>]>,
}

impl Routes {
    /// Whether both are stored once.
    #[cfg(test)]
    pub(crate) fn is_same_allocation(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Unchanged, Self::Unchanged) => true,
            (Self::One(a), Self::One(b)) => Arc::ptr_eq(a, b),
            (Self::Many(a), Self::Many(b)) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }

    /// Takes the allocation of `other` if both say the same.
    pub(super) fn share(&mut self, other: &Self) {
        match (&mut *self, other) {
            (Self::One(a), Self::One(b)) if a == b => *a = Arc::clone(b),
            (Self::Many(a), Self::Many(b)) if a == b => *a = Arc::clone(b),
            _ => {}
        }
    }
}

/// In a list of the routes of one output.
#[inline]
pub(super) fn one_place(routes: &[u32], series: u32) -> Result<u32, DropReason> {
    routes.get(series as usize).map_or(Err(DropReason::UnknownSeries), |index| place(*index))
}

/// In a list of routes to several outputs: the output, and the place in its table.
#[inline]
pub(super) fn place_of(routes: &[Route], series: u32) -> Result<(u32, u32), DropReason> {
    let route = routes.get(series as usize).ok_or(DropReason::UnknownSeries)?;
    place(route.index).map(|index| (route.output, index))
}

/// Verdicts on a table that this one may have much in common with.
#[derive(Debug)]
pub(super) struct Previous<'a, E> {
    pub(super) table: &'a SeriesTable,
    pub(super) mapping: &'a Mapping<E>,
}

impl<E> Previous<'_, E> {
    fn verdict(&self, at: u32) -> Verdict<E> {
        let (output, index) = match &self.mapping.routes {
            Routes::Unchanged => (0, Ok(at)),
            Routes::One(routes) => (0, one_place(routes, at)),
            Routes::Many(routes) => match place_of(routes, at) {
                Ok((output, index)) => (output, Ok(index)),
                Err(reason) => (0, Err(reason)),
            },
        };
        match (index, self.mapping.outputs.get(output as usize)) {
            (Ok(index), Some(OutputTable { edit, table })) => {
                let series = table.as_ref().and_then(|table| table.get(index)).cloned();
                // A series that did not change is the same one in the outgoing table.
                let series = series.filter(|new| self.table.get(at).is_none_or(|old| !Arc::ptr_eq(old, new)));
                Verdict::Keep { edit: Arc::clone(edit), series }
            }
            (Err(reason), _) => Verdict::Drop(reason),
            (Ok(_), None) => Verdict::Drop(DropReason::UnknownSeries),
        }
    }
}

/// Finds verdicts on series that another table had too.
struct Known<'a, E> {
    previous: Option<Previous<'a, E>>,
    /// Where the other table has its series; made when the places alone do not lead to them.
    places: Option<HashMap<*const Series, u32>>,
}

impl<E> Known<'_, E> {
    fn find(&mut self, at: usize, series: &Arc<Series>) -> Option<Verdict<E>> {
        let previous = self.previous.as_ref()?;
        let same_place = previous.table.as_slice().get(at).is_some_and(|known| Arc::ptr_eq(known, series));
        if same_place {
            return Some(previous.verdict(at as u32));
        }
        let places = self.places.get_or_insert_with(|| {
            previous.table.as_slice().iter().zip(0..).map(|(series, at)| (Arc::as_ptr(series), at)).collect()
        });
        places.get(&Arc::as_ptr(series)).map(|at| previous.verdict(*at))
    }
}

/// An output while it is put together.
struct Draft<E> {
    edit: Arc<E>,
    series: Vec<Arc<Series>>,
    places: HashMap<*const Series, u32>,
    /// Whether no series of this output differs from the incoming one.
    same: bool,
}

impl<E: Eq + std::hash::Hash> Mapping<E> {
    /// Decides about all series of `table`, but for those whose verdict `previous` knows. The second value is the
    /// number of series that were decided about.
    pub(super) fn new<J: Judge<Edit = E>>(
        judge: &mut J,
        projection: &J::Projection,
        table: &SeriesTable,
        previous: Option<Previous<'_, E>>,
    ) -> (Self, u64) {
        let mut known = Known { previous, places: None };
        let mut evaluated = 0;
        let mut drafts: Vec<Draft<E>> = Vec::new();
        let mut by_edit: HashMap<Arc<E>, u32> = HashMap::new();
        let mut routes = Vec::with_capacity(table.len());
        for (at, series) in table.as_slice().iter().enumerate() {
            let verdict = known.find(at, series).unwrap_or_else(|| {
                evaluated += 1;
                judge.judge(projection, series)
            });
            let (edit, new) = match verdict {
                Verdict::Drop(reason) => {
                    routes.push(Route::drop(reason));
                    continue;
                }
                Verdict::Keep { edit, series } => (edit, series),
            };
            let output = *by_edit.entry(Arc::clone(&edit)).or_insert_with(|| {
                drafts.push(Draft { edit, series: Vec::new(), places: HashMap::new(), same: true });
                (drafts.len() - 1) as u32
            });
            let Some(draft) = drafts.get_mut(output as usize) else { continue };
            draft.same &= new.is_none();
            let new = new.unwrap_or_else(|| Arc::clone(series));
            // Two series may have become one.
            let index = *draft.places.entry(Arc::as_ptr(&new)).or_insert_with(|| {
                draft.series.push(new);
                (draft.series.len() - 1) as u32
            });
            routes.push(Route { output, index });
        }
        judge.finish_table();
        (Self::assemble(routes, drafts), evaluated)
    }

    fn assemble(mut routes: Vec<Route>, drafts: Vec<Draft<E>>) -> Self {
        let drops = routes.iter().any(|route| place(route.index).is_err());
        let unchanged = !drops && drafts.len() == 1 && drafts.iter().all(|draft| draft.same);
        if drafts.iter().any(|draft| draft.same) {
            // An output with nothing but incoming series needs no table of its own: places stay what they were.
            for (route, at) in routes.iter_mut().zip(0..) {
                let same = drafts.get(route.output as usize).is_some_and(|draft| draft.same);
                if same && place(route.index).is_ok() {
                    route.index = at;
                }
            }
        }
        let routes = if unchanged {
            Routes::Unchanged
        } else if drafts.len() <= 1 {
            Routes::One(routes.iter().map(|route| route.index).collect())
        } else {
            Routes::Many(routes.into())
        };
        let outputs = drafts.into_iter().map(|draft| OutputTable {
            edit: draft.edit,
            table: (!draft.same).then(|| SeriesTable::intern(draft.series)),
        });
        Self { routes, outputs: outputs.collect() }
    }
}

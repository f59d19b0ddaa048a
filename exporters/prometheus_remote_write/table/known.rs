//! The tables that are known.

use super::super::labels::{Untranslatable, WireOrigin};
use super::matching::Matcher;
use super::{ReadyTable, WireTable};
use pipeline::{Series, SeriesTable, Slot};
use prometheus::remote_write::SnappyBlockWriter;
use std::collections::HashMap;
use std::sync::Arc;

/// What a wire form belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct TableKey {
    /// The table.
    pub(crate) table: Slot,
    /// Which names the origin's labels have.
    pub(crate) signature: u32,
    /// Whether names stay as they came.
    pub(crate) keeps_names: bool,
}

/// Wire forms by what they belong to.
///
/// Tables come and go with the pages of targets. When one line of a page is new, its table is new, and nearly all of its
/// series are known from the one before: their labels are copied from there instead of being translated again.
#[derive(Debug)]
pub(crate) struct WireTables {
    /// Of how many classes the series of tables that are asked for are.
    classes: usize,
    by_key: HashMap<TableKey, Arc<WireTable>>,
    /// By lengths of the origin's labels; `None` for those that were met once.
    ready: HashMap<(TableKey, u32), Option<Arc<ReadyTable>>>,
    scratch: SnappyBlockWriter,
    /// By id of a series: where its labels stand.
    homes: Vec<Home>,
    /// Kept for its memory, some 64 KiB.
    matcher: Option<Matcher>,
    /// How many were added since those that nobody needs were last let go.
    added: usize,
}

/// Where the labels of a series stand.
#[derive(Clone, Debug, Default)]
struct Home {
    of: Slot,
    table: Option<TableKey>,
    index: u32,
}

/// Tables are looked through for those that nobody needs when as many were added as there were, and this many.
const FEW: usize = 16;

/// Tables stand ready for so many shapes of origins, on average, and some more. A job whose targets serve one page has as many
/// shapes as lengths of label values occur together; a page of its own that each target has, comes in one shape.
const SHAPES: usize = 4;
const MORE_SHAPES: usize = 256;

impl Default for WireTables {
    fn default() -> Self {
        Self {
            classes: 1,
            by_key: HashMap::new(),
            ready: HashMap::new(),
            scratch: SnappyBlockWriter::default(),
            homes: Vec::new(),
            matcher: None,
            added: 0,
        }
    }
}

impl WireTables {
    /// Series are of so many classes from now on. Tables are made anew as they are asked for, from the labels that they have.
    pub(crate) fn divide(&mut self, classes: usize) {
        if self.classes != classes {
            self.classes = classes;
            self.ready.clear();
        }
    }

    /// The wire form under this key.
    #[inline]
    pub(crate) fn get(&self, key: &TableKey) -> Option<Arc<WireTable>> {
        self.by_key.get(key).filter(|table| table.classes == self.classes).cloned()
    }

    /// Series in all of them.
    pub(crate) fn series(&self) -> usize {
        self.by_key.values().map(|table| table.len()).sum()
    }

    /// Makes the wire form of `table`; `translate` appends the labels of a series that is not known.
    pub(crate) fn add(
        &mut self,
        key: TableKey,
        table: &Arc<SeriesTable>,
        origin: &WireOrigin,
        translate: impl Fn(&Series, &mut Vec<u8>) -> Result<(), Untranslatable>,
    ) -> Arc<WireTable> {
        let mut matcher = self.matcher.take().unwrap_or_default();
        let wire = WireTable::new(table, origin, self.classes, &mut matcher, |series, out| {
            match self.known(series, key.keeps_names) {
                Some(labels) => {
                    out.extend_from_slice(labels);
                    Ok(())
                }
                None => translate(series, out),
            }
        });
        self.matcher = Some(matcher);
        let wire = Arc::new(wire);
        self.settle(key, table);
        self.by_key.insert(key, Arc::clone(&wire));
        self.added += 1;
        if self.added >= FEW + self.by_key.len() / 2 {
            self.added = 0;
            self.by_key.retain(|_, table| table.is_alive());
            let by_key = &self.by_key;
            self.ready.retain(|(key, _), _| by_key.contains_key(key));
        }
        wire
    }

    /// `table` as it stands ready for origins like `origin`, with samples of `sample_len` bytes, from the second time on.
    #[inline]
    pub(crate) fn ready(
        &mut self,
        key: TableKey,
        table: &WireTable,
        origin: &WireOrigin,
        sample_len: usize,
    ) -> Option<Arc<ReadyTable>> {
        match self.ready.get_mut(&(key, origin.shape())) {
            Some(Some(ready)) => Some(Arc::clone(ready)),
            Some(first) => {
                let ready = Arc::new(ReadyTable::new(table, origin, sample_len, &mut self.scratch));
                Some(Arc::clone(first.insert(ready)))
            }
            None => {
                if self.ready.len() < SHAPES * self.by_key.len() + MORE_SHAPES {
                    self.ready.insert((key, origin.shape()), None);
                }
                None
            }
        }
    }

    /// Labels of `series` from another table.
    fn known(&self, series: &Series, keeps_names: bool) -> Option<&[u8]> {
        let slot = series.slot();
        let home = self.homes.get(slot.id as usize).filter(|home| home.of == slot)?;
        let key = home.table.filter(|key| key.keeps_names == keeps_names)?;
        self.by_key.get(&key)?.labels(home.index)
    }

    /// Notes that the labels of the series of `table` stand in it.
    fn settle(&mut self, key: TableKey, table: &SeriesTable) {
        for (index, series) in table.as_slice().iter().enumerate() {
            let slot = series.slot();
            let at = slot.id as usize;
            if self.homes.len() <= at {
                self.homes.resize(at + 1, Home::default());
            }
            if let Some(home) = self.homes.get_mut(at) {
                *home = Home { of: slot, table: Some(key), index: index as u32 };
            }
        }
    }
}

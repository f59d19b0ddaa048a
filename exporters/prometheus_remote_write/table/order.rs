//! Points by the class of their series.

use super::WireTable;
use pipeline::Point;

/// The points of a group, class by class, in each as they come: what goes to one shard is so written at a stretch.
#[derive(Debug, Default)]
pub(crate) struct Order {
    /// Indices of points.
    points: Vec<u32>,
    /// Where each class ends in that.
    ends: Vec<u32>,
}

impl Order {
    /// Takes in `points`, whose series are those of `table`.
    pub(crate) fn sort(&mut self, points: &[Point], table: &WireTable) {
        let class_of = |point: &Point| table.entry(point.series).map_or(0, |entry| usize::from(entry.class()));
        self.ends.clear();
        self.ends.resize(table.classes.max(1), 0);
        for point in points {
            if let Some(count) = self.ends.get_mut(class_of(point)) {
                *count += 1;
            }
        }
        let mut begin = 0;
        for end in &mut self.ends {
            begin += std::mem::replace(end, begin);
        }
        // Each begins where its end is to be.
        self.points.clear();
        self.points.resize(points.len(), 0);
        for (index, point) in points.iter().enumerate() {
            if let Some(end) = self.ends.get_mut(class_of(point)) {
                if let Some(place) = self.points.get_mut(*end as usize) {
                    *place = index as u32;
                }
                *end += 1;
            }
        }
    }

    /// The index of the point that is the `at`th.
    #[inline]
    pub(crate) fn get(&self, at: usize) -> Option<usize> {
        self.points.get(at).map(|index| *index as usize)
    }

    /// The class of the `at`th point, and what is left of it from there on.
    #[inline]
    pub(crate) fn rest(&self, at: usize) -> (u8, &[u32]) {
        let class = self.ends.partition_point(|end| *end as usize <= at);
        let end = self.ends.get(class).map_or(at, |end| *end as usize);
        (class as u8, self.points.get(at..end).unwrap_or(&[]))
    }
}

//! Requests of metrics, cut between data points.

use bytes::Bytes;

use super::{CHILDREN, fields, without_children};
use crate::wire::{self, Reader, Value};

/// The fields of `Metric` that hold its data; there is one of them.
const DATA: [u32; 5] = [5, 7, 9, 10, 11];

/// Field 1 of a metric's data holds its points.
const POINTS: u32 = 1;

/// Cuts a request of metrics into pieces of `max` data points, then the rest. Each comes with its number of points. Resource, scope, and
/// what a metric says beside its points are repeated in each piece that has some of them.
///
/// A request of at most `max` points comes back as it is.
#[must_use]
pub fn split_points(body: &Bytes, points: usize, max: usize) -> Vec<(Bytes, usize)> {
    let max = max.max(1);
    if points <= max {
        return vec![(body.clone(), points)];
    }
    let mut pieces = Pieces { max, ..Pieces::default() };
    for resource in fields(body, 1) {
        pieces.begin_resource(resource);
        for scope in fields(resource, CHILDREN) {
            pieces.begin_scope(scope);
            for metric in fields(scope, CHILDREN) {
                pieces.metric(metric);
            }
            pieces.end_scope();
        }
        pieces.end_resource();
    }
    if !pieces.out.is_empty() {
        pieces.cut();
    }
    pieces.done
}

/// A request being cut.
#[derive(Default)]
struct Pieces {
    done: Vec<(Bytes, usize)>,
    /// The piece in the making, as far as its resources are complete.
    out: Vec<u8>,
    points: usize,
    max: usize,
    /// The resource and the scope that are being written, and what they begin with.
    resource: Vec<u8>,
    resource_head: Vec<u8>,
    scope: Vec<u8>,
    scope_head: Vec<u8>,
}

impl Pieces {
    fn begin_resource(&mut self, resource: &[u8]) {
        self.resource_head = without_children(resource);
        self.resource.clone_from(&self.resource_head);
    }

    fn begin_scope(&mut self, scope: &[u8]) {
        self.scope_head = without_children(scope);
        self.scope.clone_from(&self.scope_head);
    }

    fn end_scope(&mut self) {
        wire::put_bytes(&mut self.resource, CHILDREN, &self.scope);
    }

    fn end_resource(&mut self) {
        wire::put_bytes(&mut self.out, 1, &self.resource);
    }

    fn cut(&mut self) {
        self.done.push((std::mem::take(&mut self.out).into(), self.points));
        self.points = 0;
    }

    /// Completes the piece in the making, in the middle of a scope, and begins the next one with the same.
    fn go_on(&mut self) {
        self.end_scope();
        self.end_resource();
        self.cut();
        self.resource.clone_from(&self.resource_head);
        self.scope.clone_from(&self.scope_head);
    }

    fn metric(&mut self, metric: &[u8]) {
        let Some((number, data)) = data_of(metric) else {
            return wire::put_bytes(&mut self.scope, CHILDREN, metric);
        };
        let points = fields(data, POINTS).count();
        if self.points.saturating_add(points) <= self.max {
            self.points += points;
            return wire::put_bytes(&mut self.scope, CHILDREN, metric);
        }
        let (before, after) = around(metric, number);
        let data_head = without(data, POINTS);
        let mut part = Vec::new();
        let mut written = 0;
        for point in fields(data, POINTS) {
            if self.points == self.max {
                self.put_metric(&mut part, &mut written, (number, &before, &data_head, &after));
                self.go_on();
            }
            wire::put_bytes(&mut part, POINTS, point);
            written += 1;
            self.points += 1;
        }
        self.put_metric(&mut part, &mut written, (number, &before, &data_head, &after));
    }

    /// Writes a metric with the points in `part`, if there are any, and empties it.
    fn put_metric(&mut self, part: &mut Vec<u8>, written: &mut usize, frame: (u32, &[u8], &[u8], &[u8])) {
        let (number, before, data_head, after) = frame;
        if std::mem::take(written) > 0 {
            part.extend_from_slice(data_head);
            wire::put_message(&mut self.scope, CHILDREN, |out| {
                out.extend_from_slice(before);
                wire::put_bytes(out, number, part);
                out.extend_from_slice(after);
            });
        }
        part.clear();
    }
}

/// The data of a metric and its field; of several the last one, which counts.
fn data_of(metric: &[u8]) -> Option<(u32, &[u8])> {
    let mut found = None;
    let mut reader = Reader::new(metric);
    while let Ok(Some((number, value))) = reader.field() {
        if let Value::Bytes(data) = value
            && DATA.contains(&number)
        {
            found = Some((number, data));
        }
    }
    found
}

/// What a metric has before and behind its data.
fn around(metric: &[u8], data: u32) -> (Vec<u8>, Vec<u8>) {
    let (mut before, mut after) = (Vec::new(), Vec::new());
    each(metric, |number, field| match number {
        number if DATA.contains(&number) => {}
        number if number < data => before.extend_from_slice(field),
        _ => after.extend_from_slice(field),
    });
    (before, after)
}

/// Everything of a message but one of its fields.
fn without(message: &[u8], field: u32) -> Vec<u8> {
    let mut out = Vec::new();
    each(message, |number, bytes| {
        if number != field {
            out.extend_from_slice(bytes);
        }
    });
    out
}

/// Passes each field of a message with its tag to `take`.
fn each(message: &[u8], mut take: impl FnMut(u32, &[u8])) {
    let mut reader = Reader::new(message);
    loop {
        let before = reader.rest();
        let Ok(Some((number, _))) = reader.field() else { return };
        take(number, before.get(..before.len() - reader.rest().len()).unwrap_or_default());
    }
}

//! Batches taken apart by an attribute of their resources.

use pipeline::component::Signal;
use pipeline::{Acks, AttributeValue, Batch, MessageBatch, MetricBatch, PointGroup};
use std::borrow::Cow;

/// A part of a batch, and the value of its resources' attribute; none if they do not have it.
pub(super) type Part = (Option<String>, Batch);

/// The parts of a batch in the order of first occurrence.
pub(super) fn by_attribute(batch: &Batch, attribute: &str) -> Vec<Part> {
    match batch {
        Batch::Metrics(batch) => metrics(batch, attribute),
        Batch::Messages(batch) => messages(batch.signal, &batch.body, attribute),
    }
}

fn text(value: Option<AttributeValue<'_>>) -> Option<Cow<'_, str>> {
    value.map(prometheus::translate::attribute_text)
}

fn metrics(batch: &MetricBatch, attribute: &str) -> Vec<Part> {
    let mut parts: Vec<(Option<String>, Vec<PointGroup>)> = Vec::new();
    for group in batch.groups() {
        let value = text(group.origin.resource.attributes.get(attribute));
        match parts.iter_mut().find(|(known, _)| known.as_deref() == value.as_deref()) {
            Some((_, groups)) => groups.push(group.clone()),
            None => parts.push((value.map(Cow::into_owned), vec![group.clone()])),
        }
    }
    parts.into_iter().map(|(value, groups)| (value, MetricBatch::new(groups).into())).collect()
}

fn messages(signal: Signal, body: &[u8], attribute: &str) -> Vec<Part> {
    let mut parts: Vec<(Option<String>, Vec<u8>)> = Vec::new();
    for (number, value, bytes) in otlp::edit::raw_fields(body) {
        let otlp::wire::Value::Bytes(resource) = value else { continue };
        if number != 1 {
            continue;
        }
        let described = otlp::view::View::of(resource).message(1);
        let value = text(described.attributes(1).find(|(key, _)| *key == attribute).map(|(_, value)| value));
        match parts.iter_mut().find(|(known, _)| known.as_deref() == value.as_deref()) {
            Some((_, request)) => request.extend_from_slice(bytes),
            None => parts.push((value.map(Cow::into_owned), bytes.to_vec())),
        }
    }
    let part = |(value, request): (Option<String>, Vec<u8>)| {
        let items = otlp::request::count(signal, &request);
        (value, MessageBatch { signal, body: request.into(), items, acks: Acks::default() }.into())
    };
    parts.into_iter().map(part).collect()
}

/// A value as a part of a path that stays below what comes before it: without steps upwards.
pub(super) fn segment(value: &str) -> String {
    let mut steps: Vec<&str> = Vec::new();
    for step in value.split('/') {
        match step {
            "" | "." => {}
            ".." => drop(steps.pop()),
            step => steps.push(step),
        }
    }
    // A zero byte ends a name, as far as the system is concerned.
    steps.join("/").replace('\0', "")
}

#[cfg(test)]
mod tests {
    use super::segment;

    #[test]
    fn values_lead_nowhere_else() {
        for (value, expected) in
            [("a", "a"), ("a/b", "a/b"), ("../../etc/x", "etc/x"), ("a/../../b", "b"), ("/a//./b/", "a/b"), ("..", "")]
        {
            assert_eq!(segment(value), expected, "{value}");
        }
    }
}

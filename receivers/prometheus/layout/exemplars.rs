//! Exemplars as the model has them.

use pipeline::value::ExemplarValue;
use pipeline::{Attributes, Exemplar};
use prometheus::exposition;
use prometheus::labels::LabelsBuilder;

/// The exemplar of the point at index `point`, measured at `time` nanoseconds.
pub(super) fn convert(exemplar: &exposition::Exemplar<'_>, point: u32, time: i64) -> Exemplar {
    let mut labels = LabelsBuilder::new();
    exemplar.labels(&mut labels);
    let trace_id = labels.get("trace_id").and_then(|text| hex(text, 16));
    let span_id = labels.get("span_id").and_then(|text| hex(text, 8));
    let is_id = |name: &str| match name {
        "trace_id" => trace_id.is_some(),
        "span_id" => span_id.is_some(),
        _ => false,
    };
    let others = labels.iter().filter(|(name, _)| !is_id(name));
    let attributes = Attributes::from_pairs(others);
    Exemplar {
        point,
        time: exemplar.timestamp_ms.map_or(time, |ms| ms.saturating_mul(1_000_000)),
        value: ExemplarValue::Float(exemplar.value),
        trace_id: trace_id.unwrap_or_default(),
        span_id: span_id.unwrap_or_default(),
        attributes,
    }
}

/// An id of `len` bytes written in lower-case hexadecimal digits; anything else stays text, so that it
/// leaves as it came.
fn hex(text: &str, len: usize) -> Option<Box<[u8]>> {
    let lower = text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    if text.len() != 2 * len || !lower {
        return None;
    }
    (0..len).map(|i| u8::from_str_radix(text.get(2 * i..2 * i + 2)?, 16).ok()).collect()
}

//! Exemplars as the model has them.

use pipeline::value::ExemplarValue;
use pipeline::{AttributeValue, AttributesBuilder, Exemplar};
use prometheus::exposition;
use prometheus::labels::LabelsBuilder;
use prometheus::translate::{ExemplarLabel, exemplar_label};

/// The exemplar of the point at index `point`, measured at `time` nanoseconds.
pub(super) fn convert(exemplar: &exposition::Exemplar<'_>, point: u32, time: i64) -> Exemplar {
    let mut labels = LabelsBuilder::new();
    exemplar.labels(&mut labels);
    let (mut trace_id, mut span_id): (Box<[u8]>, Box<[u8]>) = Default::default();
    let mut attributes = AttributesBuilder::default();
    for (name, value) in labels.iter() {
        match exemplar_label(name, value) {
            ExemplarLabel::TraceId(id) => trace_id = id,
            ExemplarLabel::SpanId(id) => span_id = id,
            ExemplarLabel::Empty => {}
            ExemplarLabel::Other => attributes.push(name, AttributeValue::Str(value)),
        }
    }
    Exemplar {
        point,
        time: exemplar.timestamp_ms.map_or(time, |ms| ms.saturating_mul(1_000_000)),
        value: ExemplarValue::Float(exemplar.value),
        trace_id,
        span_id,
        attributes: attributes.build(),
    }
}

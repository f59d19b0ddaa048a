//! Exemplars from the wire.

use pipeline::value::{Exemplar, ExemplarValue};
use pipeline::{AttributeValue, AttributesBuilder};
use prometheus::remote_write::wire::{self, SeriesError};
use prometheus::translate::{ExemplarLabel, exemplar_label};

/// The exemplar as the pipeline has it, its point not set yet.
///
/// Labels that are ids become ids ([`exemplar_label`]); everything else is kept as it is.
pub(super) fn exemplar(sent: &wire::Exemplar<'_>, time: i64) -> Result<Exemplar, SeriesError> {
    let mut attributes = AttributesBuilder::default();
    let (mut trace_id, mut span_id): (Box<[u8]>, Box<[u8]>) = Default::default();
    for (name, value) in &sent.labels {
        let (Ok(name), Ok(value)) = (std::str::from_utf8(name), std::str::from_utf8(value)) else {
            return Err(SeriesError::NotUtf8 { name: String::from_utf8_lossy(name).into_owned() });
        };
        match exemplar_label(name, value) {
            ExemplarLabel::TraceId(id) => trace_id = id,
            ExemplarLabel::SpanId(id) => span_id = id,
            ExemplarLabel::Empty => {}
            ExemplarLabel::Other => attributes.push(name, AttributeValue::Str(value)),
        }
    }
    let value = ExemplarValue::Float(sent.value);
    Ok(Exemplar { point: 0, time, value, trace_id, span_id, attributes: attributes.build() })
}

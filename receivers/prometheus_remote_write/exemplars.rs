//! Exemplars from the wire.

use pipeline::value::{Exemplar, ExemplarValue};
use pipeline::{AttributeValue, AttributesBuilder};
use prometheus::remote_write::wire::{self, SeriesError};

/// The exemplar as the pipeline has it, its point not set yet.
///
/// `trace_id` and `span_id` (in any case) become ids if they are hexadecimal: too short ones are filled with zeros
/// from the left, too long ones lose their end, as the Collector does it. Everything else is kept as it is.
pub(super) fn exemplar(sent: &wire::Exemplar<'_>, time: i64) -> Result<Exemplar, SeriesError> {
    let mut attributes = AttributesBuilder::default();
    let (mut trace_id, mut span_id): (Box<[u8]>, Box<[u8]>) = Default::default();
    for (name, value) in &sent.labels {
        let (Ok(name), Ok(value)) = (std::str::from_utf8(name), std::str::from_utf8(value)) else {
            return Err(SeriesError::NotUtf8 { name: String::from_utf8_lossy(name).into_owned() });
        };
        let id = if name.eq_ignore_ascii_case("trace_id") {
            Some((&mut trace_id, 16))
        } else if name.eq_ignore_ascii_case("span_id") {
            Some((&mut span_id, 8))
        } else {
            None
        };
        match id.and_then(|(place, len)| Some((place, id_of(value, len)?))) {
            Some((place, id)) => *place = id,
            None if value.is_empty() => {}
            None => attributes.push(name, AttributeValue::Str(value)),
        }
    }
    let value = ExemplarValue::Float(sent.value);
    Ok(Exemplar { point: 0, time, value, trace_id, span_id, attributes: attributes.build() })
}

fn id_of(text: &str, len: usize) -> Option<Box<[u8]>> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.is_empty() || !rest.is_empty() {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let bytes: Option<Vec<u8>> =
        pairs.iter().map(|[high, low]| u8::try_from(digit(*high)? * 16 + digit(*low)?).ok()).collect();
    let mut bytes = bytes?;
    bytes.truncate(len);
    let mut id = vec![0; len - bytes.len()];
    id.append(&mut bytes);
    Some(id.into_boxed_slice())
}

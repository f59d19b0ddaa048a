//! Ids of traces and spans in labels of exemplars.

/// What a label of an exemplar says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExemplarLabel {
    /// The id of a trace, of 16 bytes.
    TraceId(Box<[u8]>),
    /// The id of a span, of 8 bytes.
    SpanId(Box<[u8]>),
    /// Nothing: it has no value.
    Empty,
    /// Something else, which stays a label.
    Other,
}

/// Length of the id of a trace.
const TRACE_ID: usize = 16;
/// Length of the id of a span.
const SPAN_ID: usize = 8;

/// Reads a label of an exemplar as the Collector's receivers do: `trace_id` and `span_id`, in any case, are ids if they are
/// hexadecimal. Too short ones are filled with zeros from the left, too long ones lose their end.
#[must_use]
pub fn exemplar_label(name: &str, value: &str) -> ExemplarLabel {
    if value.is_empty() {
        return ExemplarLabel::Empty;
    }
    let id = if name.eq_ignore_ascii_case("trace_id") {
        id(value, TRACE_ID).map(ExemplarLabel::TraceId)
    } else if name.eq_ignore_ascii_case("span_id") {
        id(value, SPAN_ID).map(ExemplarLabel::SpanId)
    } else {
        None
    };
    id.unwrap_or(ExemplarLabel::Other)
}

fn id(text: &str, len: usize) -> Option<Box<[u8]>> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let byte = |[high, low]: &[u8; 2]| u8::try_from(digit(*high)? * 16 + digit(*low)?).ok();
    // All of it has to be hexadecimal, including what is cut off.
    let bytes: Vec<u8> = pairs.iter().map(byte).collect::<Option<_>>()?;
    let mut id = vec![0; len.saturating_sub(bytes.len())];
    id.extend(bytes.into_iter().take(len));
    Some(id.into_boxed_slice())
}

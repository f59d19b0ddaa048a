//! The messages of OTLP 1.x (opentelemetry-proto), as a table: what the JSON forms and the checks go by.
//!
//! Numbers and types are those of the `.proto` files; names are those of JSON. Fields that are not here are unknown
//! ones, which protobuf hands on and JSON leaves out.

use crate::wire;

/// A message type.
#[derive(Debug)]
pub(crate) struct Message {
    /// Its name, for errors.
    pub(crate) name: &'static str,
    /// Its fields.
    pub(crate) fields: &'static [Field],
}

/// A field of a message.
#[derive(Debug)]
pub(crate) struct Field {
    /// Its number on the wire.
    pub(crate) number: u32,
    /// Its name in JSON; in the `.proto` file it is the same with underscores.
    pub(crate) name: &'static str,
    /// What it holds.
    pub(crate) kind: Kind,
    /// Whether there may be any number of values.
    pub(crate) repeated: bool,
}

/// What a field holds.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Message(&'static Message),
    Text,
    /// Base64 in JSON.
    Bytes,
    /// Trace and span ids: bytes that are hexadecimal in JSON.
    Id,
    Bool,
    /// `uint32` and `int32`: numbers in JSON.
    Int32,
    /// `int64` and `uint64`: text in JSON.
    Int64 {
        signed: bool,
    },
    /// `sint32`: zigzag on the wire.
    Sint32,
    Fixed32,
    /// Text in JSON.
    Fixed64 {
        signed: bool,
    },
    Double,
    /// A number in JSON; the names of the values are understood too.
    Enum(&'static [&'static str]),
}

impl Kind {
    /// How one value is written on the wire.
    pub(crate) fn wire_type(self) -> u8 {
        match self {
            Self::Message(_) | Self::Text | Self::Bytes | Self::Id => wire::BYTES,
            Self::Bool | Self::Int32 | Self::Int64 { .. } | Self::Sint32 | Self::Enum(_) => wire::VARINT,
            Self::Fixed32 => wire::FIXED32,
            Self::Fixed64 { .. } | Self::Double => wire::FIXED64,
        }
    }
}

impl Message {
    /// The field of this number, if it is known.
    #[inline]
    pub(crate) fn field(&self, number: u32) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.number == number)
    }

    /// The field that JSON calls `name`, in either spelling.
    pub(crate) fn named(&self, name: &str) -> Option<&'static Field> {
        let exact = self.fields.iter().find(|field| field.name == name);
        exact.or_else(|| self.fields.iter().find(|field| name.contains('_') && is_snake_of(name, field.name)))
    }
}

/// Whether `snake` is `camel` with underscores: `start_time_unix_nano` and `startTimeUnixNano`.
fn is_snake_of(snake: &str, camel: &str) -> bool {
    let mut snake = snake.bytes();
    camel.bytes().all(|byte| match byte.is_ascii_uppercase() {
        true => snake.next() == Some(b'_') && snake.next() == Some(byte.to_ascii_lowercase()),
        false => snake.next() == Some(byte),
    }) && snake.next().is_none()
}

pub(crate) const fn one(number: u32, name: &'static str, kind: Kind) -> Field {
    Field { number, name, kind, repeated: false }
}

pub(crate) const fn many(number: u32, name: &'static str, kind: Kind) -> Field {
    Field { number, name, kind, repeated: true }
}

const TIME: Kind = Kind::Fixed64 { signed: false };
const COUNT: Kind = Kind::Fixed64 { signed: false };

const TEMPORALITY: Kind = Kind::Enum(&[
    "AGGREGATION_TEMPORALITY_UNSPECIFIED",
    "AGGREGATION_TEMPORALITY_DELTA",
    "AGGREGATION_TEMPORALITY_CUMULATIVE",
]);
const SPAN_KIND: Kind = Kind::Enum(&[
    "SPAN_KIND_UNSPECIFIED",
    "SPAN_KIND_INTERNAL",
    "SPAN_KIND_SERVER",
    "SPAN_KIND_CLIENT",
    "SPAN_KIND_PRODUCER",
    "SPAN_KIND_CONSUMER",
]);
const STATUS_CODE: Kind = Kind::Enum(&["STATUS_CODE_UNSET", "STATUS_CODE_OK", "STATUS_CODE_ERROR"]);
const SEVERITY: Kind = Kind::Enum(&[
    "SEVERITY_NUMBER_UNSPECIFIED",
    "SEVERITY_NUMBER_TRACE",
    "SEVERITY_NUMBER_TRACE2",
    "SEVERITY_NUMBER_TRACE3",
    "SEVERITY_NUMBER_TRACE4",
    "SEVERITY_NUMBER_DEBUG",
    "SEVERITY_NUMBER_DEBUG2",
    "SEVERITY_NUMBER_DEBUG3",
    "SEVERITY_NUMBER_DEBUG4",
    "SEVERITY_NUMBER_INFO",
    "SEVERITY_NUMBER_INFO2",
    "SEVERITY_NUMBER_INFO3",
    "SEVERITY_NUMBER_INFO4",
    "SEVERITY_NUMBER_WARN",
    "SEVERITY_NUMBER_WARN2",
    "SEVERITY_NUMBER_WARN3",
    "SEVERITY_NUMBER_WARN4",
    "SEVERITY_NUMBER_ERROR",
    "SEVERITY_NUMBER_ERROR2",
    "SEVERITY_NUMBER_ERROR3",
    "SEVERITY_NUMBER_ERROR4",
    "SEVERITY_NUMBER_FATAL",
    "SEVERITY_NUMBER_FATAL2",
    "SEVERITY_NUMBER_FATAL3",
    "SEVERITY_NUMBER_FATAL4",
]);

macro_rules! messages {
    ($($(#[$doc:meta])* $name:ident = $title:literal { $($field:expr),* $(,)? })*) => {
        $($(#[$doc])* pub(crate) static $name: Message = Message { name: $title, fields: &[$($field),*] };)*
    };
}

messages! {
    ANY_VALUE = "AnyValue" {
        one(1, "stringValue", Kind::Text),
        one(2, "boolValue", Kind::Bool),
        one(3, "intValue", Kind::Int64 { signed: true }),
        one(4, "doubleValue", Kind::Double),
        one(5, "arrayValue", Kind::Message(&ARRAY_VALUE)),
        one(6, "kvlistValue", Kind::Message(&KEY_VALUE_LIST)),
        one(7, "bytesValue", Kind::Bytes),
    }
    ARRAY_VALUE = "ArrayValue" { many(1, "values", Kind::Message(&ANY_VALUE)) }
    KEY_VALUE_LIST = "KeyValueList" { many(1, "values", Kind::Message(&KEY_VALUE)) }
    KEY_VALUE = "KeyValue" { one(1, "key", Kind::Text), one(2, "value", Kind::Message(&ANY_VALUE)) }
    ENTITY_REF = "EntityRef" {
        one(1, "schemaUrl", Kind::Text),
        one(2, "type", Kind::Text),
        many(3, "idKeys", Kind::Text),
        many(4, "descriptionKeys", Kind::Text),
    }
    RESOURCE = "Resource" {
        many(1, "attributes", Kind::Message(&KEY_VALUE)),
        one(2, "droppedAttributesCount", Kind::Int32),
        many(3, "entityRefs", Kind::Message(&ENTITY_REF)),
    }
    SCOPE = "InstrumentationScope" {
        one(1, "name", Kind::Text),
        one(2, "version", Kind::Text),
        many(3, "attributes", Kind::Message(&KEY_VALUE)),
        one(4, "droppedAttributesCount", Kind::Int32),
    }

    METRICS = "ExportMetricsServiceRequest" { many(1, "resourceMetrics", Kind::Message(&RESOURCE_METRICS)) }
    RESOURCE_METRICS = "ResourceMetrics" {
        one(1, "resource", Kind::Message(&RESOURCE)),
        many(2, "scopeMetrics", Kind::Message(&SCOPE_METRICS)),
        one(3, "schemaUrl", Kind::Text),
    }
    SCOPE_METRICS = "ScopeMetrics" {
        one(1, "scope", Kind::Message(&SCOPE)),
        many(2, "metrics", Kind::Message(&METRIC)),
        one(3, "schemaUrl", Kind::Text),
    }
    METRIC = "Metric" {
        one(1, "name", Kind::Text),
        one(2, "description", Kind::Text),
        one(3, "unit", Kind::Text),
        one(5, "gauge", Kind::Message(&GAUGE)),
        one(7, "sum", Kind::Message(&SUM)),
        one(9, "histogram", Kind::Message(&HISTOGRAM)),
        one(10, "exponentialHistogram", Kind::Message(&EXPONENTIAL_HISTOGRAM)),
        one(11, "summary", Kind::Message(&SUMMARY)),
        many(12, "metadata", Kind::Message(&KEY_VALUE)),
    }
    GAUGE = "Gauge" { many(1, "dataPoints", Kind::Message(&NUMBER_POINT)) }
    SUM = "Sum" {
        many(1, "dataPoints", Kind::Message(&NUMBER_POINT)),
        one(2, "aggregationTemporality", TEMPORALITY),
        one(3, "isMonotonic", Kind::Bool),
    }
    HISTOGRAM = "Histogram" {
        many(1, "dataPoints", Kind::Message(&HISTOGRAM_POINT)),
        one(2, "aggregationTemporality", TEMPORALITY),
    }
    EXPONENTIAL_HISTOGRAM = "ExponentialHistogram" {
        many(1, "dataPoints", Kind::Message(&EXPONENTIAL_POINT)),
        one(2, "aggregationTemporality", TEMPORALITY),
    }
    SUMMARY = "Summary" { many(1, "dataPoints", Kind::Message(&SUMMARY_POINT)) }
    NUMBER_POINT = "NumberDataPoint" {
        many(7, "attributes", Kind::Message(&KEY_VALUE)),
        one(2, "startTimeUnixNano", TIME),
        one(3, "timeUnixNano", TIME),
        one(4, "asDouble", Kind::Double),
        one(6, "asInt", Kind::Fixed64 { signed: true }),
        many(5, "exemplars", Kind::Message(&EXEMPLAR)),
        one(8, "flags", Kind::Int32),
    }
    HISTOGRAM_POINT = "HistogramDataPoint" {
        many(9, "attributes", Kind::Message(&KEY_VALUE)),
        one(2, "startTimeUnixNano", TIME),
        one(3, "timeUnixNano", TIME),
        one(4, "count", COUNT),
        one(5, "sum", Kind::Double),
        many(6, "bucketCounts", COUNT),
        many(7, "explicitBounds", Kind::Double),
        many(8, "exemplars", Kind::Message(&EXEMPLAR)),
        one(10, "flags", Kind::Int32),
        one(11, "min", Kind::Double),
        one(12, "max", Kind::Double),
    }
    EXPONENTIAL_POINT = "ExponentialHistogramDataPoint" {
        many(1, "attributes", Kind::Message(&KEY_VALUE)),
        one(2, "startTimeUnixNano", TIME),
        one(3, "timeUnixNano", TIME),
        one(4, "count", COUNT),
        one(5, "sum", Kind::Double),
        one(6, "scale", Kind::Sint32),
        one(7, "zeroCount", COUNT),
        one(8, "positive", Kind::Message(&BUCKETS)),
        one(9, "negative", Kind::Message(&BUCKETS)),
        one(10, "flags", Kind::Int32),
        many(11, "exemplars", Kind::Message(&EXEMPLAR)),
        one(12, "min", Kind::Double),
        one(13, "max", Kind::Double),
        one(14, "zeroThreshold", Kind::Double),
    }
    BUCKETS = "Buckets" { one(1, "offset", Kind::Sint32), many(2, "bucketCounts", Kind::Int64 { signed: false }) }
    SUMMARY_POINT = "SummaryDataPoint" {
        many(7, "attributes", Kind::Message(&KEY_VALUE)),
        one(2, "startTimeUnixNano", TIME),
        one(3, "timeUnixNano", TIME),
        one(4, "count", COUNT),
        one(5, "sum", Kind::Double),
        many(6, "quantileValues", Kind::Message(&VALUE_AT_QUANTILE)),
        one(8, "flags", Kind::Int32),
    }
    VALUE_AT_QUANTILE = "ValueAtQuantile" { one(1, "quantile", Kind::Double), one(2, "value", Kind::Double) }
    EXEMPLAR = "Exemplar" {
        many(7, "filteredAttributes", Kind::Message(&KEY_VALUE)),
        one(2, "timeUnixNano", TIME),
        one(3, "asDouble", Kind::Double),
        one(6, "asInt", Kind::Fixed64 { signed: true }),
        one(4, "spanId", Kind::Id),
        one(5, "traceId", Kind::Id),
    }

    TRACES = "ExportTraceServiceRequest" { many(1, "resourceSpans", Kind::Message(&RESOURCE_SPANS)) }
    RESOURCE_SPANS = "ResourceSpans" {
        one(1, "resource", Kind::Message(&RESOURCE)),
        many(2, "scopeSpans", Kind::Message(&SCOPE_SPANS)),
        one(3, "schemaUrl", Kind::Text),
    }
    SCOPE_SPANS = "ScopeSpans" {
        one(1, "scope", Kind::Message(&SCOPE)),
        many(2, "spans", Kind::Message(&SPAN)),
        one(3, "schemaUrl", Kind::Text),
    }
    SPAN = "Span" {
        one(1, "traceId", Kind::Id),
        one(2, "spanId", Kind::Id),
        one(3, "traceState", Kind::Text),
        one(4, "parentSpanId", Kind::Id),
        one(16, "flags", Kind::Fixed32),
        one(5, "name", Kind::Text),
        one(6, "kind", SPAN_KIND),
        one(7, "startTimeUnixNano", TIME),
        one(8, "endTimeUnixNano", TIME),
        many(9, "attributes", Kind::Message(&KEY_VALUE)),
        one(10, "droppedAttributesCount", Kind::Int32),
        many(11, "events", Kind::Message(&EVENT)),
        one(12, "droppedEventsCount", Kind::Int32),
        many(13, "links", Kind::Message(&LINK)),
        one(14, "droppedLinksCount", Kind::Int32),
        one(15, "status", Kind::Message(&SPAN_STATUS)),
    }
    EVENT = "Event" {
        one(1, "timeUnixNano", TIME),
        one(2, "name", Kind::Text),
        many(3, "attributes", Kind::Message(&KEY_VALUE)),
        one(4, "droppedAttributesCount", Kind::Int32),
    }
    LINK = "Link" {
        one(1, "traceId", Kind::Id),
        one(2, "spanId", Kind::Id),
        one(3, "traceState", Kind::Text),
        many(4, "attributes", Kind::Message(&KEY_VALUE)),
        one(5, "droppedAttributesCount", Kind::Int32),
        one(6, "flags", Kind::Fixed32),
    }
    SPAN_STATUS = "Status" { one(2, "message", Kind::Text), one(3, "code", STATUS_CODE) }

    LOGS = "ExportLogsServiceRequest" { many(1, "resourceLogs", Kind::Message(&RESOURCE_LOGS)) }
    RESOURCE_LOGS = "ResourceLogs" {
        one(1, "resource", Kind::Message(&RESOURCE)),
        many(2, "scopeLogs", Kind::Message(&SCOPE_LOGS)),
        one(3, "schemaUrl", Kind::Text),
    }
    SCOPE_LOGS = "ScopeLogs" {
        one(1, "scope", Kind::Message(&SCOPE)),
        many(2, "logRecords", Kind::Message(&LOG_RECORD)),
        one(3, "schemaUrl", Kind::Text),
    }
    LOG_RECORD = "LogRecord" {
        one(1, "timeUnixNano", TIME),
        one(11, "observedTimeUnixNano", TIME),
        one(2, "severityNumber", SEVERITY),
        one(3, "severityText", Kind::Text),
        one(5, "body", Kind::Message(&ANY_VALUE)),
        many(6, "attributes", Kind::Message(&KEY_VALUE)),
        one(7, "droppedAttributesCount", Kind::Int32),
        one(8, "flags", Kind::Fixed32),
        one(9, "traceId", Kind::Id),
        one(10, "spanId", Kind::Id),
        one(12, "eventName", Kind::Text),
    }
}

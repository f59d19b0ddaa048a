//! The text of a batch: the summary line, one line a point, or everything.

use std::fmt::Write as _;

use pipeline::value::{Exemplar, ExemplarValue, Point, Value};
use pipeline::{AttributeValue, Family, FamilyKind, Scope, Series, Temporality};

use super::tree::{MetricNode, PointNode, Tree};
use super::values::{Typed, bare, put, put_detailed_value, put_normal_value, timestamp};

/// The summary line for standard output: a title and the fields that the log line has.
pub(super) fn summary(id: &str, title: &str, counts: &[(&str, usize)]) -> String {
    let mut fields = format!("{{\"exporter\": {id:?}");
    for (name, count) in counts {
        put(&mut fields, format_args!(", \"{name}\": {count}"));
    }
    format!("{}\tinfo\t{title}\t{fields}}}\n", timestamp(now_nanos()))
}

/// One line a point, below a line for each resource and scope.
pub(super) fn normal(tree: &Tree<'_>) -> String {
    let mut out = String::new();
    for (at, resource) in tree.resources.iter().enumerate() {
        put(&mut out, format_args!("ResourceMetrics #{at}"));
        if !resource.resource.schema_url.is_empty() {
            put(&mut out, format_args!(" [{}]", resource.resource.schema_url));
        }
        put_inline(&mut out, resource.resource.attributes.iter());
        out.push('\n');
        for (at, scope) in resource.scopes.iter().enumerate() {
            put(&mut out, format_args!("ScopeMetrics #{at}"));
            put_scope_inline(&mut out, scope.scope);
            out.push('\n');
            for point in scope.metrics.iter().flat_map(|metric| &metric.points) {
                put_normal_point(&mut out, point);
            }
        }
    }
    out
}

/// Everything there is to know, on many lines.
pub(super) fn detailed(tree: &Tree<'_>) -> String {
    let mut out = String::new();
    for (at, resource) in tree.resources.iter().enumerate() {
        put(&mut out, format_args!("ResourceMetrics #{at}\n"));
        put(&mut out, format_args!("Resource SchemaURL: {}\n", resource.resource.schema_url));
        put_attributes(&mut out, "Resource attributes", resource.resource.attributes.iter());
        for (at, scope) in resource.scopes.iter().enumerate() {
            put(&mut out, format_args!("ScopeMetrics #{at}\n"));
            put(&mut out, format_args!("ScopeMetrics SchemaURL: {}\n", scope.scope.schema_url));
            put(&mut out, format_args!("InstrumentationScope {} {}\n", scope.scope.name, scope.scope.version));
            put_attributes(&mut out, "InstrumentationScope attributes", scope.scope.attributes.iter());
            for (at, metric) in scope.metrics.iter().enumerate() {
                put_metric(&mut out, at, metric);
            }
        }
    }
    out
}

pub(super) fn put_inline<'a>(out: &mut String, attributes: impl Iterator<Item = (&'a str, AttributeValue<'a>)>) {
    for (key, value) in attributes {
        put(out, format_args!(" {key}={}", bare(value)));
    }
}

fn put_scope_inline(out: &mut String, scope: &Scope) {
    if !scope.name.is_empty() {
        put(out, format_args!(" {}", scope.name));
    }
    if !scope.version.is_empty() {
        put(out, format_args!("@{}", scope.version));
    }
    if !scope.schema_url.is_empty() {
        put(out, format_args!(" [{}]", scope.schema_url));
    }
    put_inline(out, scope.attributes.iter());
}

fn put_normal_point(out: &mut String, node: &PointNode<'_>) {
    put(out, format_args!("{}{{", shown_name(node.series)));
    for (index, (key, value)) in attributes(node).enumerate() {
        put(out, format_args!("{}{key}={}", if index == 0 { "" } else { "," }, bare(value)));
    }
    out.push_str("} ");
    put_normal_value(out, &node.point.value);
    out.push('\n');
}

/// A flat part is shown under its own name, a whole point under its family's.
fn shown_name(series: &Series) -> &str {
    if series.part == pipeline::Part::Whole { &series.family.name } else { &series.name }
}

/// All attributes of a point: its own, its origin's, and the label of its part.
fn attributes<'a>(node: &PointNode<'a>) -> impl Iterator<Item = (&'a str, AttributeValue<'a>)> {
    let (series, origin) = (node.series, node.origin);
    let part = series.part.label().map(|(key, value)| (key, AttributeValue::Str(value)));
    series.attributes.iter().chain(&origin.labels).chain(part)
}

pub(super) fn put_attributes<'a>(
    out: &mut String,
    title: &str,
    attributes: impl Iterator<Item = (&'a str, AttributeValue<'a>)>,
) {
    let mut attributes = attributes.peekable();
    if attributes.peek().is_some() {
        put(out, format_args!("{title}:\n"));
    }
    for (key, value) in attributes {
        put(out, format_args!("     -> {key}: {}\n", Typed(value)));
    }
}

fn put_metric(out: &mut String, at: usize, metric: &MetricNode<'_>) {
    let family = metric.family;
    put(out, format_args!("Metric #{at}\nDescriptor:\n     -> Name: {}\n", family.name));
    put(out, format_args!("     -> Description: {}\n     -> Unit: {}\n", family.description, family.unit));
    put_kind(out, family);
    if !family.metadata.is_empty() {
        put_attributes(out, "     -> Metadata", family.metadata.iter());
    }
    for (at, point) in metric.points.iter().enumerate() {
        put_detailed_point(out, at, point);
    }
}

fn put_kind(out: &mut String, family: &Family) {
    let (name, temporality) = match family.kind {
        FamilyKind::Unknown => ("Unknown", None),
        FamilyKind::Gauge => ("Gauge", None),
        FamilyKind::Sum { temporality, .. } => ("Sum", Some(temporality)),
        FamilyKind::Histogram { temporality } => ("Histogram", Some(temporality)),
        FamilyKind::ExponentialHistogram { temporality } => ("ExponentialHistogram", Some(temporality)),
        FamilyKind::Summary => ("Summary", None),
        FamilyKind::Info => ("Info", None),
        FamilyKind::StateSet => ("StateSet", None),
        FamilyKind::GaugeHistogram => ("GaugeHistogram", None),
    };
    put(out, format_args!("     -> DataType: {name}\n"));
    if let FamilyKind::Sum { monotonic, .. } = family.kind {
        put(out, format_args!("     -> IsMonotonic: {monotonic}\n"));
    }
    if let Some(temporality) = temporality {
        let temporality = match temporality {
            Temporality::Unspecified => "Unspecified",
            Temporality::Delta => "Delta",
            Temporality::Cumulative => "Cumulative",
        };
        put(out, format_args!("     -> AggregationTemporality: {temporality}\n"));
    }
}

fn put_detailed_point(out: &mut String, at: usize, node: &PointNode<'_>) {
    put(out, format_args!("{} #{at}\n", point_title(node.point)));
    if *node.series.name != *node.series.family.name {
        put(out, format_args!("Sample name: {}\n", node.series.name));
    }
    put_attributes(out, "Data point attributes", attributes(node));
    put(out, format_args!("StartTimestamp: {}\n", timestamp(node.point.start)));
    put(out, format_args!("Timestamp: {}\n", timestamp(node.point.time)));
    if node.point.flags != 0 {
        put(out, format_args!("Flags: {}\n", node.point.flags));
    }
    put_detailed_value(out, &node.point.value);
    if !node.exemplars.is_empty() {
        out.push_str("Exemplars:\n");
    }
    for (at, exemplar) in node.exemplars.iter().enumerate() {
        put_exemplar(out, at, exemplar);
    }
}

fn point_title(point: &Point) -> &'static str {
    let value = match &point.value {
        Value::NoRecordedValue(Some(held)) => held,
        value => value,
    };
    match value {
        Value::Float(_) | Value::Int(_) | Value::NoRecordedValue(_) => "NumberDataPoints",
        Value::Histogram(_) | Value::FloatHistogram(_) => "HistogramDataPoints",
        Value::ExponentialHistogram(_) | Value::FloatExponentialHistogram(_) => "ExponentialHistogramDataPoints",
        Value::Summary(_) => "SummaryDataPoints",
    }
}

fn put_exemplar(out: &mut String, at: usize, exemplar: &Exemplar) {
    put(out, format_args!("Exemplar #{at}\n     -> Trace ID: "));
    put_hex(out, &exemplar.trace_id);
    out.push_str("\n     -> Span ID: ");
    put_hex(out, &exemplar.span_id);
    put(out, format_args!("\n     -> Timestamp: {}\n", timestamp(exemplar.time)));
    match exemplar.value {
        ExemplarValue::Float(value) => put(out, format_args!("     -> Value: {value:.6}\n")),
        ExemplarValue::Int(value) => put(out, format_args!("     -> Value: {value}\n")),
    }
    put_attributes(out, "     -> FilteredAttributes", exemplar.attributes.iter());
}

pub(super) fn put_hex(out: &mut String, bytes: &[u8]) {
    for byte in bytes {
        // Writing to a String cannot fail.
        let _infallible = write!(out, "{byte:02x}");
    }
}

fn now_nanos() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

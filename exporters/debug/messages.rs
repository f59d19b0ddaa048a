//! The text of traces and logs, in the shape of the Collector's.

use otlp::view::View;
use pipeline::component::Signal;

use super::text::{put_attributes, put_hex, put_inline};
use super::values::{Typed, bare, put, timestamp};

/// Resources of a request.
pub(super) fn resource_count(body: &[u8]) -> usize {
    View::of(body).messages(1).count()
}

/// What a signal's parts are called.
struct Words {
    resource: &'static str,
    resource_inline: &'static str,
    scope: &'static str,
    scope_inline: &'static str,
}

fn words(signal: Signal) -> Words {
    match signal {
        Signal::Logs => Words {
            resource: "ResourceLog",
            resource_inline: "ResourceLog",
            scope: "ScopeLogs",
            scope_inline: "ScopeLog",
        },
        Signal::Traces | Signal::Metrics => Words {
            resource: "ResourceSpans",
            resource_inline: "ResourceTraces",
            scope: "ScopeSpans",
            scope_inline: "ScopeTraces",
        },
    }
}

/// One line an item, below a line for each resource and scope.
pub(super) fn normal(signal: Signal, body: &[u8]) -> String {
    let mut out = String::new();
    let Words { resource_inline, scope_inline, .. } = words(signal);
    for (at, resource) in View::of(body).messages(1).enumerate() {
        put(&mut out, format_args!("{resource_inline} #{at}"));
        put_schema_url(&mut out, resource);
        put_inline(&mut out, resource.message(1).attributes(1));
        out.push('\n');
        for (at, group) in resource.messages(2).enumerate() {
            put(&mut out, format_args!("{scope_inline} #{at}"));
            put_schema_url(&mut out, group);
            let scope = group.message(1);
            for (field, before) in [(1, ' '), (2, '@')] {
                if !scope.bytes(field).is_empty() {
                    put(&mut out, format_args!("{before}{}", scope.text(field)));
                }
            }
            put_inline(&mut out, scope.attributes(3));
            out.push('\n');
            for item in group.messages(2) {
                match signal {
                    Signal::Logs => put_normal_log(&mut out, item),
                    Signal::Traces | Signal::Metrics => put_normal_span(&mut out, item),
                }
            }
        }
    }
    out
}

fn put_schema_url(out: &mut String, message: View<'_>) {
    if !message.bytes(3).is_empty() {
        put(out, format_args!(" [{}]", message.text(3)));
    }
}

fn put_normal_span(out: &mut String, span: View<'_>) {
    put(out, format_args!("{} ", span.text(5)));
    put_hex(out, span.bytes(1));
    out.push(' ');
    put_hex(out, span.bytes(2));
    put_inline(out, span.attributes(9));
    out.push('\n');
}

fn put_normal_log(out: &mut String, log: View<'_>) {
    out.push_str(&bare(log.message(5).value()));
    put_inline(out, log.attributes(6));
    out.push('\n');
}

/// Everything there is to know, on many lines.
pub(super) fn detailed(signal: Signal, body: &[u8]) -> String {
    let mut out = String::new();
    let words = words(signal);
    for (at, resource) in View::of(body).messages(1).enumerate() {
        put(&mut out, format_args!("{} #{at}\nResource SchemaURL: {}\n", words.resource, resource.text(3)));
        put_attributes(&mut out, "Resource attributes", resource.message(1).attributes(1));
        for (at, group) in resource.messages(2).enumerate() {
            let (name, scope) = (words.scope, group.message(1));
            put(&mut out, format_args!("{name} #{at}\n{name} SchemaURL: {}\n", group.text(3)));
            put(&mut out, format_args!("InstrumentationScope {} {}\n", scope.text(1), scope.text(2)));
            put_attributes(&mut out, "InstrumentationScope attributes", scope.attributes(3));
            for (at, item) in group.messages(2).enumerate() {
                match signal {
                    Signal::Logs => put_log(&mut out, at, item),
                    Signal::Traces | Signal::Metrics => put_span(&mut out, at, item),
                }
            }
        }
    }
    out
}

fn put_span(out: &mut String, at: usize, span: View<'_>) {
    put(out, format_args!("Span #{at}\n"));
    for (title, field) in [("Trace ID       : ", 1), ("Parent ID      : ", 4), ("ID             : ", 2)] {
        put_id(out, &format!("    {title}"), span.bytes(field));
    }
    let status = span.message(15);
    put(out, format_args!("    Name           : {}\n    Kind           : {}\n", span.text(5), kind(span.number(6))));
    if !span.bytes(3).is_empty() {
        put(out, format_args!("    TraceState     : {}\n", span.text(3)));
    }
    put(out, format_args!("    Start time     : {}\n", time(span.number(7))));
    put(out, format_args!("    End time       : {}\n", time(span.number(8))));
    put(out, format_args!("    Status code    : {}\n", status_code(status.number(3))));
    put(out, format_args!("    Status message : {}\n", status.text(2)));
    for (title, field) in [("Attributes", 10), ("Events", 12), ("Links", 14)] {
        if span.number(field) > 0 {
            put(out, format_args!("    Dropped{title}Count: {}\n", span.number(field)));
        }
    }
    put_attributes(out, "Attributes", span.attributes(9));
    if span.messages(11).next().is_some() {
        out.push_str("Events:\n");
    }
    for (at, event) in span.messages(11).enumerate() {
        put(out, format_args!("SpanEvent #{at}\n     -> Name: {}\n", event.text(2)));
        put(out, format_args!("     -> Timestamp: {}\n", time(event.number(1))));
        put(out, format_args!("     -> DroppedAttributesCount: {}\n", event.number(4)));
        put_attributes(out, "     -> Attributes:", event.attributes(3));
    }
    if span.messages(13).next().is_some() {
        out.push_str("Links:\n");
    }
    for (at, link) in span.messages(13).enumerate() {
        put(out, format_args!("SpanLink #{at}\n"));
        put_id(out, "     -> Trace ID: ", link.bytes(1));
        put_id(out, "     -> ID: ", link.bytes(2));
        put(out, format_args!("     -> TraceState: {}\n", link.text(3)));
        put(out, format_args!("     -> DroppedAttributesCount: {}\n", link.number(5)));
        put_attributes(out, "     -> Attributes:", link.attributes(4));
    }
}

fn put_log(out: &mut String, at: usize, log: View<'_>) {
    put(out, format_args!("LogRecord #{at}\nObservedTimestamp: {}\n", time(log.number(11))));
    put(out, format_args!("Timestamp: {}\n", time(log.number(1))));
    put(out, format_args!("SeverityText: {}\nSeverityNumber: {}\n", log.text(3), severity(log.number(2))));
    if !log.bytes(12).is_empty() {
        put(out, format_args!("EventName: {}\n", log.text(12)));
    }
    put(out, format_args!("Body: {}\n", Typed(log.message(5).value())));
    put_attributes(out, "Attributes", log.attributes(6));
    if log.number(7) > 0 {
        put(out, format_args!("DroppedAttributesCount: {}\n", log.number(7)));
    }
    put_id(out, "Trace ID: ", log.bytes(9));
    put_id(out, "Span ID: ", log.bytes(10));
    put(out, format_args!("Flags: {}\n", log.number(8)));
}

fn put_id(out: &mut String, title: &str, id: &[u8]) {
    out.push_str(title);
    put_hex(out, id);
    out.push('\n');
}

fn time(nanos: u64) -> String {
    timestamp(nanos.cast_signed())
}

fn kind(number: u64) -> &'static str {
    match number {
        0 => "Unspecified",
        1 => "Internal",
        2 => "Server",
        3 => "Client",
        4 => "Producer",
        5 => "Consumer",
        _ => "",
    }
}

fn status_code(number: u64) -> &'static str {
    match number {
        0 => "Unset",
        1 => "Ok",
        2 => "Error",
        _ => "",
    }
}

/// The name that the log data model has for a number, with the number.
fn severity(number: u64) -> String {
    let names = ["Trace", "Debug", "Info", "Warn", "Error", "Fatal"];
    let place = number.checked_sub(1).and_then(|at| usize::try_from(at / 4).ok());
    match place.and_then(|place| names.get(place)) {
        Some(name) => match (number - 1) % 4 {
            0 => format!("{name}({number})"),
            more => format!("{name}{}({number})", more + 1),
        },
        None => format!("Unspecified({number})"),
    }
}

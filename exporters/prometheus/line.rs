//! One line of a page.

use pipeline::value::Exemplar;
use prometheus::number::{format_openmetrics_float, push_go_float};

use super::page::PageForm;
use super::text::{is_quoted, push_quoted, put};
use prometheus::translate::attribute_text;

/// The most characters that the labels of an exemplar may have together (OpenMetrics 1.0, exemplars).
const MAX_EXEMPLAR: usize = 128;

/// What the lines of one series have in common.
pub(super) struct Line<'a> {
    pub(super) out: &'a mut String,
    pub(super) form: PageForm,
    /// The labels, in text form.
    pub(super) labels: [&'a str; 2],
    /// When the point was measured, in nanoseconds, if that is shown.
    pub(super) time: Option<i64>,
    pub(super) exemplars: &'a [Exemplar],
}

/// What differs.
pub(super) struct Sample<'a> {
    /// `le` or `quantile`.
    pub(super) part: Option<(&'static str, &'a str)>,
    pub(super) value: f64,
    pub(super) exemplar: Option<&'a Exemplar>,
}

impl Line<'_> {
    /// Appends a line.
    pub(super) fn put(&mut self, name: &str, sample: &Sample<'_>) {
        let out = &mut *self.out;
        let quoted = is_quoted(name);
        if !quoted {
            out.push_str(name);
        }
        let mut separator = '{';
        if quoted {
            out.push('{');
            push_quoted(out, name);
            separator = ',';
        }
        for labels in self.labels.into_iter().filter(|labels| !labels.is_empty()) {
            out.push(separator);
            out.push_str(labels);
            separator = ',';
        }
        if let Some((label, value)) = sample.part {
            out.push(separator);
            put(out, format_args!("{label}=\"{value}\""));
            separator = ',';
        }
        if separator == ',' {
            out.push('}');
        }
        out.push(' ');
        push_value(out, sample.value, self.form);
        if let Some(time) = self.time {
            out.push(' ');
            push_time(out, time, self.form);
        }
        if self.form.open_metrics
            && let Some(exemplar) = sample.exemplar
        {
            put_exemplar(out, exemplar);
        }
        out.push('\n');
    }
}

fn push_value(out: &mut String, value: f64, form: PageForm) {
    if form.open_metrics {
        out.push_str(&format_openmetrics_float(value));
    } else {
        push_go_float(out, value);
    }
}

/// Milliseconds in the text format, seconds in OpenMetrics.
fn push_time(out: &mut String, nanos: i64, form: PageForm) {
    let millis = nanos.div_euclid(1_000_000);
    if form.open_metrics {
        let sign = if millis < 0 { "-" } else { "" };
        let millis = millis.unsigned_abs();
        put(out, format_args!("{sign}{}.{:03}", millis / 1000, millis % 1000));
    } else {
        put(out, format_args!("{millis}"));
    }
}

fn put_exemplar(out: &mut String, exemplar: &Exemplar) {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let mut labels: Vec<(String, String)> = Vec::new();
    for (name, id) in [("trace_id", &exemplar.trace_id), ("span_id", &exemplar.span_id)] {
        if !id.is_empty() {
            labels.push((name.to_owned(), hex(id)));
        }
    }
    let attributes =
        exemplar.attributes.iter().map(|(key, value)| (super::text::legacy(key), attribute_text(value).into_owned()));
    let with_attributes: Vec<_> = labels.iter().cloned().chain(attributes).collect();
    let length: usize = with_attributes.iter().map(|(name, value)| name.chars().count() + value.chars().count()).sum();
    if length <= MAX_EXEMPLAR {
        labels = with_attributes;
    }
    out.push_str(" # {");
    for (at, (name, value)) in labels.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        out.push_str(name);
        out.push('=');
        push_quoted(out, value);
    }
    put(out, format_args!("}} {} ", format_openmetrics_float(exemplar.value.as_f64())));
    push_time(out, exemplar.time, PageForm { open_metrics: true, utf8: false, timestamps: true });
}

//! The page that a scrape gets.

use std::borrow::Cow;
use std::collections::HashMap;
use std::time::Instant as Clock;

use pipeline::value::{Count, Histogram, Summary, Value};
use prometheus::number::{format_openmetrics_float, push_go_float};

use super::families::Shown;
use super::line::{Line, Sample};
use super::page::PageForm;
use super::rules::{Exposed, Kind};
use super::store::{Entry, OriginEntry, Shape, Store};
use super::text::{escaped, is_quoted, label_hash, legacy_metric, push_escaped, push_quoted, put};

/// A page and what was noticed while making it.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) text: String,
    /// Series left out because another one, updated later, has the same name and labels.
    pub(super) duplicates: usize,
    /// How long it took.
    pub(super) seconds: f64,
}

/// One series, and its place on the page.
struct Row<'a> {
    /// Ranks of family, origin and series; what is one family or one histogram stands together.
    place: (u32, u32, u32),
    origin: &'a OriginEntry,
    entry: &'a Entry,
    shape: &'a Shape,
    shown: &'a Exposed,
}

impl Row<'_> {
    /// Equal for series that a reader cannot tell apart.
    fn identity(&self) -> u128 {
        let labels = match &self.entry.own_labels {
            Some(own) => own.hash,
            None => self.origin.labels.hash.wrapping_add(self.shape.labels.hash),
        };
        let part = match &self.shown.part_label {
            Some((label, value, _)) => label_hash(label, value),
            None => label_hash(self.shown.suffix, ""),
        };
        labels.wrapping_add(part)
    }
}

impl Store {
    /// Everything that is shown, in the form asked for.
    pub(super) fn page(&mut self, form: PageForm) -> Page {
        let started = Clock::now();
        self.rank_shapes();
        let mut rows = self.rows();
        rows.sort_unstable_by_key(|row| row.place);
        let mut page = Page { text: String::with_capacity(rows.len() * 100 + 64), duplicates: 0, seconds: 0.0 };
        for family in rows.chunk_by(|a, b| a.place.0 == b.place.0) {
            let Some(first) = family.first() else { continue };
            if let Some(shown) = self.families.get(&first.shown.family) {
                self.family(family, shown, form, &mut page);
            }
        }
        if form.open_metrics {
            page.text.push_str("# EOF\n");
        }
        page.seconds = started.elapsed().as_secs_f64();
        page
    }

    fn rows(&self) -> Vec<Row<'_>> {
        let families: HashMap<&str, u32> = self.families.names().into_iter().zip(0..).collect();
        let mut origins: Vec<(&u32, &OriginEntry)> = self.origins.iter().collect();
        origins.sort_unstable_by(|(_, a), (_, b)| a.labels.text.cmp(&b.labels.text));
        let mut rows = Vec::with_capacity(self.len());
        for (rank, (_, origin)) in (0u32..).zip(origins) {
            for (series, entry) in origin.series.iter().filter(|(_, entry)| entry.refused.is_none()) {
                let Some(shape) = self.shapes.get(&(*series, origin.keeps_names)) else { continue };
                let Ok(shown) = &shape.shown else { continue };
                let Some(family) = families.get(shown.family.as_str()) else { continue };
                rows.push(Row { place: (*family, rank, shape.rank), origin, entry, shape, shown });
            }
        }
        rows
    }

    /// Puts series in the order of their labels, and the parts of one histogram or summary in theirs.
    fn rank_shapes(&mut self) {
        if !self.unranked {
            return;
        }
        self.unranked = false;
        let mut shapes: Vec<&mut Shape> = self.shapes.values_mut().collect();
        let part = |shape: &Shape| {
            let Ok(shown) = &shape.shown else { return (0, 0.0) };
            let order = match shown.suffix {
                "" | "_bucket" => 0,
                "_sum" => 1,
                "_count" => 2,
                _ => 3,
            };
            let bound = shown.part_label.as_ref().and_then(|(_, text, number)| number.or_else(|| text.parse().ok()));
            (order, bound.unwrap_or(0.0))
        };
        shapes.sort_by(|a, b| {
            let ((order_a, bound_a), (order_b, bound_b)) = (part(a), part(b));
            a.labels.text.cmp(&b.labels.text).then(order_a.cmp(&order_b)).then(bound_a.total_cmp(&bound_b))
        });
        for (rank, shape) in (0..).zip(shapes) {
            shape.rank = rank;
        }
    }

    fn family(&self, rows: &[Row<'_>], shown: &Shown, form: PageForm, page: &mut Page) {
        let mut newest: HashMap<u128, usize> = HashMap::with_capacity(rows.len());
        for (at, row) in rows.iter().enumerate() {
            let kept = newest.entry(row.identity()).or_insert(at);
            if rows.get(*kept).is_some_and(|kept| kept.entry.current.time < row.entry.current.time) {
                *kept = at;
            }
        }
        page.duplicates += rows.len() - newest.len();
        let shown_rows = || {
            let newest = &newest;
            rows.iter().enumerate().filter(move |(at, row)| newest.get(&row.identity()) == Some(at)).map(|(_, row)| row)
        };
        let Some(first) = rows.first() else { return };
        let family = &first.shown.family;
        let out = &mut page.text;
        put_header(out, family, shown, form);
        // The text format knows no creation times: there they are a family of their own.
        let apart = |row: &&Row<'_>| !form.open_metrics && row.shown.suffix == "_created";
        for row in shown_rows().filter(|row| !apart(row)) {
            self.row(out, row, shown.kind, form);
        }
        for (at, row) in shown_rows().filter(apart).enumerate() {
            if at == 0 {
                put(out, format_args!("# TYPE {} gauge\n", sample_name(row.shown, form)));
            }
            self.row(out, row, Kind::Gauge, form);
        }
    }

    fn row(&self, out: &mut String, row: &Row<'_>, kind: Kind, form: PageForm) {
        let labels = self.labels(row, form);
        let [first, second] = &labels;
        let time = form.timestamps.then_some(row.entry.current.time);
        let mut line = Line { out, form, labels: [first, second], time, exemplars: &row.entry.exemplars };
        let name = sample_name(row.shown, form);
        match &row.entry.current.value {
            Value::Float(value) => put_number(&mut line, row, kind, &name, *value),
            Value::Int(value) => put_number(&mut line, row, kind, &name, *value as f64),
            Value::Histogram(histogram) => put_histogram(&mut line, kind, &name, histogram),
            Value::FloatHistogram(histogram) => put_histogram(&mut line, kind, &name, histogram),
            Value::Summary(summary) => put_summary(&mut line, &name, summary),
            // None of these is ever stored.
            Value::ExponentialHistogram(_) | Value::FloatExponentialHistogram(_) | Value::NoRecordedValue(_) => {}
        }
    }

    /// The labels of a row as one or two pieces of text.
    fn labels<'r>(&self, row: &Row<'r>, form: PageForm) -> [Cow<'r, str>; 2] {
        let own = row.entry.own_labels.as_deref();
        let quoted = own.map_or(row.shape.labels.quoted || row.origin.labels.quoted, |own| own.quoted);
        if quoted && !form.utf8 {
            let all = self.rules.labels(&row.origin.origin, &row.shape.series.attributes).unwrap_or_default();
            return [Cow::Owned(escaped(&all)), Cow::Borrowed("")];
        }
        match own {
            Some(own) => [Cow::Borrowed(&own.text), Cow::Borrowed("")],
            None => [Cow::Borrowed(&row.shape.labels.text), Cow::Borrowed(&row.origin.labels.text)],
        }
    }
}

fn put_header(out: &mut String, family: &str, shown: &Shown, form: PageForm) {
    let (name, kind) = match (form.open_metrics, shown.kind) {
        (false, kind) => (family, text_type(kind)),
        // OpenMetrics names these families without the suffix of their samples, which have to have it.
        (true, Kind::Counter) => family.strip_suffix("_total").map_or((family, "unknown"), |name| (name, "counter")),
        (true, Kind::Info) => family.strip_suffix("_info").map_or((family, "gauge"), |name| (name, "info")),
        (true, Kind::StateSet) => (family, "stateset"),
        (true, Kind::Untyped) => (family, "unknown"),
        (true, Kind::GaugeHistogram) => (family, "gaugehistogram"),
        (true, kind) => (family, text_type(kind)),
    };
    let name = family_name(name, form);
    if !shown.help.is_empty() {
        put(out, format_args!("# HELP {name} "));
        push_escaped(out, &shown.help, form.open_metrics);
        out.push('\n');
    }
    put(out, format_args!("# TYPE {name} {kind}\n"));
    if form.open_metrics
        && let Some(unit) = shown.unit_word(family.strip_suffix("_total").unwrap_or(family))
    {
        put(out, format_args!("# UNIT {name} {unit}\n"));
    }
}

fn text_type(kind: Kind) -> &'static str {
    match kind {
        Kind::Untyped => "untyped",
        Kind::Gauge | Kind::Info | Kind::StateSet => "gauge",
        Kind::Counter => "counter",
        // The text format has no type of its own for those whose counts go down again.
        Kind::Histogram | Kind::GaugeHistogram => "histogram",
        Kind::Summary => "summary",
    }
}

/// A family's name as it stands in comments.
fn family_name(name: &str, form: PageForm) -> String {
    if !is_quoted(name) {
        return name.to_owned();
    }
    if !form.utf8 {
        return legacy_metric(name);
    }
    let mut quoted = String::new();
    push_quoted(&mut quoted, name);
    quoted
}

/// The name of a series' samples.
fn sample_name(shown: &Exposed, form: PageForm) -> String {
    let base = match shown.suffix {
        "_created" => shown.family.strip_suffix("_total").unwrap_or(&shown.family),
        _ => &shown.family,
    };
    let name = format!("{base}{}", shown.suffix);
    if form.utf8 || !is_quoted(&name) { name } else { legacy_metric(&name) }
}

fn put_number(line: &mut Line<'_>, row: &Row<'_>, kind: Kind, name: &str, value: f64) {
    let part = row.shown.part_label.as_ref().map(|(label, text, number)| match number {
        Some(number) if line.form.open_metrics => (*label, format_openmetrics_float(*number)),
        _ => (*label, text.to_string()),
    });
    // OpenMetrics allows exemplars on counters and buckets only.
    let exemplar = match (kind, row.shown.suffix) {
        (Kind::Counter, "") | (Kind::Histogram, "_bucket") => line.exemplars.last(),
        _ => None,
    };
    line.put(name, &Sample { part: part.as_ref().map(|(label, text)| (*label, text.as_str())), value, exemplar });
}

fn put_histogram<N: Count>(line: &mut Line<'_>, kind: Kind, name: &str, histogram: &Histogram<N>) {
    let gauge = line.form.open_metrics && kind == Kind::GaugeHistogram;
    let [sum_suffix, count_suffix] = if gauge { ["_gsum", "_gcount"] } else { ["_sum", "_count"] };
    let exemplars = line.exemplars;
    let bucket_name = format!("{name}_bucket");
    let mut below = f64::NEG_INFINITY;
    let mut count = N::default();
    let finite = histogram.bounds.iter().copied().zip(histogram.bucket_counts.iter().copied());
    // The last bucket counts everything, whatever the others say.
    for (bound, cumulative) in finite
        .map(|(bound, in_bucket)| {
            count = count.plus(in_bucket);
            (bound, count)
        })
        .chain([(f64::INFINITY, histogram.count)])
    {
        let le = if line.form.open_metrics { format_openmetrics_float(bound) } else { go_float(bound) };
        let exemplar = exemplars.iter().rfind(|exemplar| {
            let value = exemplar.value.as_f64();
            value > below && value <= bound
        });
        line.put(&bucket_name, &Sample { part: Some(("le", &le)), value: cumulative.as_f64(), exemplar });
        below = bound;
    }
    if let Some(sum) = histogram.sum {
        line.put(&format!("{name}{sum_suffix}"), &Sample { part: None, value: sum, exemplar: None });
    }
    line.put(&format!("{name}{count_suffix}"), &Sample { part: None, value: histogram.count.as_f64(), exemplar: None });
}

fn put_summary(line: &mut Line<'_>, name: &str, summary: &Summary) {
    for (quantile, value) in &summary.quantiles {
        let text = if line.form.open_metrics { format_openmetrics_float(*quantile) } else { go_float(*quantile) };
        line.put(name, &Sample { part: Some(("quantile", &text)), value: *value, exemplar: None });
    }
    line.put(&format!("{name}_sum"), &Sample { part: None, value: summary.sum, exemplar: None });
    line.put(&format!("{name}_count"), &Sample { part: None, value: summary.count as f64, exemplar: None });
}

fn go_float(value: f64) -> String {
    let mut text = String::new();
    push_go_float(&mut text, value);
    text
}

//! Oxidot's own metrics: counters, gauges and histograms, rendered as Prometheus text.
//!
//! Names and labels are the OpenTelemetry Collector's, which has counters without `_total` on its default
//! endpoint; a library that follows OpenMetrics adds the suffix, hence this small registry.

use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A count that only grows.
#[derive(Clone, Debug, Default)]
pub struct Counter(Arc<AtomicU64>);

impl Counter {
    /// Adds `n`.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// Adds one.
    pub fn inc(&self) {
        self.add(1);
    }

    /// The count so far.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A value that goes up and down.
#[derive(Clone, Debug, Default)]
pub struct Gauge(Arc<AtomicU64>);

impl Gauge {
    /// Sets the value.
    pub fn set(&self, value: f64) {
        self.0.store(value.to_bits(), Ordering::Relaxed);
    }

    /// Adds `delta`, which may be negative.
    pub fn add(&self, delta: f64) {
        // The closure always gives a value, so the update cannot fail.
        let add = |bits| Some((f64::from_bits(bits) + delta).to_bits());
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add).ok();
    }

    /// The value.
    pub fn get(&self) -> f64 {
        f64::from_bits(self.0.load(Ordering::Relaxed))
    }
}

#[derive(Debug)]
struct HistogramCells {
    bounds: Box<[f64]>,
    buckets: Box<[AtomicU64]>,
    sum: Gauge,
}

/// A distribution in fixed buckets.
#[derive(Clone, Debug)]
pub struct Distribution(Arc<HistogramCells>);

impl Distribution {
    fn new(bounds: &[f64]) -> Self {
        Self(Arc::new(HistogramCells {
            bounds: bounds.into(),
            buckets: (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect(),
            sum: Gauge::default(),
        }))
    }

    /// Counts one observation.
    pub fn observe(&self, value: f64) {
        let at = self.0.bounds.partition_point(|bound| *bound < value);
        if let Some(bucket) = self.0.buckets.get(at) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        self.0.sum.add(value);
    }
}

#[derive(Clone)]
enum Cell {
    Counter(Counter),
    Gauge(Gauge),
    Distribution(Distribution),
    /// Read when rendered.
    Read(Arc<dyn Fn() -> f64 + Send + Sync>),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
}

struct Metric {
    help: &'static str,
    kind: Kind,
    cells: BTreeMap<String, Cell>,
}

/// Name, help, kind, and the cells with their labels.
type Snapshot = (String, &'static str, Kind, Vec<(String, Cell)>);

/// All metrics of the process. Clones share them.
#[derive(Clone, Default)]
pub struct Telemetry(Arc<Mutex<BTreeMap<String, Metric>>>);

impl std::fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Telemetry").finish_non_exhaustive()
    }
}

/// Labels of a metric, in the order in which they are to be printed.
pub type Labels<'a> = &'a [(&'a str, &'a str)];

impl Telemetry {
    /// The counter of this name and these labels; made on first use.
    pub fn counter(&self, name: &str, help: &'static str, labels: Labels<'_>) -> Counter {
        match self.cell(name, help, Kind::Counter, labels, || Cell::Counter(Counter::default())) {
            Cell::Counter(c) => c,
            _ => Counter::default(),
        }
    }

    /// The gauge of this name and these labels; made on first use.
    pub fn gauge(&self, name: &str, help: &'static str, labels: Labels<'_>) -> Gauge {
        match self.cell(name, help, Kind::Gauge, labels, || Cell::Gauge(Gauge::default())) {
            Cell::Gauge(g) => g,
            _ => Gauge::default(),
        }
    }

    /// The distribution of this name and these labels; made on first use. Bounds ascend, without +Inf.
    pub fn distribution(&self, name: &str, help: &'static str, bounds: &[f64], labels: Labels<'_>) -> Distribution {
        let new = || Cell::Distribution(Distribution::new(bounds));
        match self.cell(name, help, Kind::Histogram, labels, new) {
            Cell::Distribution(d) => d,
            _ => Distribution::new(bounds),
        }
    }

    /// A gauge whose value is read whenever the metrics are rendered. Replaces an earlier one.
    pub fn read_gauge(
        &self,
        name: &str,
        help: &'static str,
        labels: Labels<'_>,
        read: impl Fn() -> f64 + Send + Sync + 'static,
    ) {
        self.set_cell(name, help, Kind::Gauge, labels, Cell::Read(Arc::new(read)));
    }

    /// A counter whose value is read whenever the metrics are rendered. Replaces an earlier one.
    pub fn read_counter(
        &self,
        name: &str,
        help: &'static str,
        labels: Labels<'_>,
        read: impl Fn() -> f64 + Send + Sync + 'static,
    ) {
        self.set_cell(name, help, Kind::Counter, labels, Cell::Read(Arc::new(read)));
    }

    /// Forgets every metric that has the label `name="value"`: its component is gone.
    pub fn forget(&self, name: &str, value: &str) {
        let wanted = render_labels(&[(name, value)]);
        let mut metrics = self.0.lock();
        for metric in metrics.values_mut() {
            metric.cells.retain(|labels, _| !split_labels(labels).any(|label| label == wanted));
        }
        metrics.retain(|_, metric| !metric.cells.is_empty());
    }

    fn cell(&self, name: &str, help: &'static str, kind: Kind, labels: Labels<'_>, new: impl FnOnce() -> Cell) -> Cell {
        let mut metrics = self.0.lock();
        let metric = metrics.entry(name.to_owned()).or_insert_with(|| Metric { help, kind, cells: BTreeMap::new() });
        debug_assert!(metric.kind == kind, "one name, one kind");
        metric.cells.entry(render_labels(labels)).or_insert_with(new).clone()
    }

    fn set_cell(&self, name: &str, help: &'static str, kind: Kind, labels: Labels<'_>, cell: Cell) {
        let mut metrics = self.0.lock();
        let metric = metrics.entry(name.to_owned()).or_insert_with(|| Metric { help, kind, cells: BTreeMap::new() });
        metric.cells.insert(render_labels(labels), cell);
    }

    /// The value of one counter or gauge, for tests and for the status line.
    pub fn value(&self, name: &str, labels: Labels<'_>) -> Option<f64> {
        let cell = self.0.lock().get(name)?.cells.get(&render_labels(labels)).cloned();
        Some(match cell? {
            Cell::Counter(c) => c.get() as f64,
            Cell::Gauge(g) => g.get(),
            Cell::Read(read) => read(),
            Cell::Distribution(_) => return None,
        })
    }

    /// The sum of a counter or gauge over all its label sets.
    pub fn total(&self, name: &str) -> f64 {
        let cells: Vec<Cell> = match self.0.lock().get(name) {
            Some(metric) => metric.cells.values().cloned().collect(),
            None => return 0.0,
        };
        let of = |cell: Cell| match cell {
            Cell::Counter(c) => c.get() as f64,
            Cell::Gauge(g) => g.get(),
            Cell::Read(read) => read(),
            Cell::Distribution(_) => 0.0,
        };
        cells.into_iter().map(of).sum()
    }

    /// Everything as Prometheus text 0.0.4.
    pub fn render(&self) -> String {
        // Values are read outside the lock, since a reader may itself ask for a metric.
        let snapshot: Vec<Snapshot> = self
            .0
            .lock()
            .iter()
            .map(|(name, m)| {
                let cells = m.cells.iter().map(|(l, c)| (l.clone(), c.clone())).collect();
                (name.clone(), m.help, m.kind, cells)
            })
            .collect();
        let mut out = String::with_capacity(16 * 1024);
        for (name, help, kind, cells) in snapshot {
            let kind = match kind {
                Kind::Counter => "counter",
                Kind::Gauge => "gauge",
                Kind::Histogram => "histogram",
            };
            put(&mut out, format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
            for (labels, cell) in cells {
                render_cell(&mut out, &name, &labels, &cell);
            }
        }
        out
    }
}

fn render_cell(out: &mut String, name: &str, labels: &str, cell: &Cell) {
    let braced = |extra: &str| match (labels.is_empty(), extra.is_empty()) {
        (true, true) => String::new(),
        (false, true) => format!("{{{labels}}}"),
        (true, false) => format!("{{{extra}}}"),
        (false, false) => format!("{{{labels},{extra}}}"),
    };
    match cell {
        Cell::Counter(c) => put(out, format_args!("{name}{} {}\n", braced(""), c.get())),
        Cell::Gauge(g) => put(out, format_args!("{name}{} {}\n", braced(""), number(g.get()))),
        Cell::Read(read) => put(out, format_args!("{name}{} {}\n", braced(""), number(read()))),
        Cell::Distribution(d) => {
            let mut seen = 0;
            let bounds = d.0.bounds.iter().map(|b| number(*b)).chain(["+Inf".to_owned()]);
            for (bucket, bound) in d.0.buckets.iter().zip(bounds) {
                seen += bucket.load(Ordering::Relaxed);
                put(out, format_args!("{name}_bucket{} {seen}\n", braced(&format!("le=\"{bound}\""))));
            }
            put(out, format_args!("{name}_sum{} {}\n", braced(""), number(d.0.sum.get())));
            put(out, format_args!("{name}_count{} {seen}\n", braced("")));
        }
    }
}

fn put(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    out.write_fmt(text).ok();
}

fn number(value: f64) -> String {
    if value.is_infinite() { if value > 0.0 { "+Inf".into() } else { "-Inf".into() } } else { value.to_string() }
}

fn render_labels(labels: Labels<'_>) -> String {
    let mut out = String::new();
    for (name, value) in labels {
        if !out.is_empty() {
            out.push(',');
        }
        out.push_str(name);
        out.push_str("=\"");
        for c in value.chars() {
            match c {
                '\\' => out.push_str("\\\\"),
                '"' => out.push_str("\\\""),
                '\n' => out.push_str("\\n"),
                c => out.push(c),
            }
        }
        out.push('"');
    }
    out
}

/// Splits rendered labels at the commas between them; a comma within a value is followed by no `name="`.
fn split_labels(labels: &str) -> impl Iterator<Item = &str> {
    let mut rest = labels;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (label, tail) = rest
            .split_once("\",")
            .map_or((rest, ""), |(head, tail)| (rest.get(..head.len() + 1).unwrap_or(head), tail));
        rest = tail;
        Some(label)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renders_what_prometheus_reads() {
        let t = Telemetry::default();
        t.counter("a", "A.", &[("x", "q\"\\\n")]).add(2);
        t.gauge("b", "B.", &[]).set(1.5);
        let d = t.distribution("c", "C.", &[1.0, 5.0], &[("y", "z")]);
        d.observe(1.0);
        d.observe(7.0);
        t.read_gauge("d", "D.", &[], || 3.0);
        assert_eq!(
            t.render(),
            "# HELP a A.\n# TYPE a counter\na{x=\"q\\\"\\\\\\n\"} 2\n# HELP b B.\n# TYPE b gauge\nb 1.5\n\
             # HELP c C.\n# TYPE c histogram\nc_bucket{y=\"z\",le=\"1\"} 1\nc_bucket{y=\"z\",le=\"5\"} 1\n\
             c_bucket{y=\"z\",le=\"+Inf\"} 2\nc_sum{y=\"z\"} 8\nc_count{y=\"z\"} 2\n# HELP d D.\n# TYPE d gauge\nd 3\n"
        );
    }

    #[test]
    fn a_gone_component_takes_its_metrics_along() {
        let t = Telemetry::default();
        t.counter("a", "A.", &[("exporter", "x"), ("r", "1,\"")]).inc();
        t.counter("a", "A.", &[("exporter", "y")]).inc();
        t.forget("exporter", "x");
        assert_eq!(t.value("a", &[("exporter", "x"), ("r", "1,\"")]), None);
        assert_eq!(t.total("a"), 1.0);
    }
}

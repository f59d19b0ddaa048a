//! Histograms and summaries that travel whole, in the form remote write has for them: explicit bounds and
//! summaries become one series per part, exponential histograms become native ones.

use pipeline::value::Count;
use pipeline::{Exemplar, FamilyKind, Histogram, Origin, Part, Series, Slot, Summary, Value};
use prometheus::number::format_shortest_decimal;
use prometheus::remote_write::wire::{self, NativeHistogram};
use prometheus::translate::attribute_text;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::native::{SentCount, listed, native};
use super::sample::STALE;

/// What a whole value is sent as.
#[derive(Debug)]
pub(super) enum Parts {
    /// Float samples.
    Samples(PartSamples),
    /// One native histogram.
    Native(Box<NativeHistogram>),
    /// Nothing, for this reason.
    Unsendable(&'static str),
}

/// What whole values were split into, by series and by where they come from, so that their parts are worked out once, and a later
/// staleness marker reaches each of them.
#[derive(Debug, Default)]
pub(super) struct SplitSeries {
    /// By the slots of origin and series.
    shapes: HashMap<(Slot, Slot), Arc<Shape>>,
    /// The last shape of a series at any origin, which others are likely to have as well.
    shared: HashMap<Slot, Arc<Shape>>,
    /// Whose last value was a native histogram with fractions, by the slots of origin and series. A marker is of the same kind, so
    /// that a store does not take it for another beginning.
    fractions: HashSet<(Slot, Slot)>,
    /// Room for values, used again and again.
    values: Vec<f64>,
}

/// The parts of a whole value, each with what it is sent as.
#[derive(Debug)]
pub(super) struct PartSamples {
    shape: Arc<Shape>,
    values: Vec<f64>,
}

impl PartSamples {
    /// In the order in which they are sent.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Arc<Series>, f64)> {
        self.shape.parts.iter().zip(self.values.iter().copied())
    }
}

/// The parts of a histogram or summary.
#[derive(Debug)]
struct Shape {
    /// Whether the first part is the sum.
    has_sum: bool,
    /// Upper bounds, or quantiles.
    steps: Box<[f64]>,
    /// In the order in which they are sent: sum, count, and one for each bound or quantile; of histograms the bucket of all at the end.
    parts: Box<[Arc<Series>]>,
}

/// Shapes that are remembered; past this number they are forgotten together, and only markers for series that have ended
/// meanwhile are missed. Each has about 15 parts, and takes some 200 bytes where it is not shared.
const MAX_SHAPES: usize = 100_000;

/// Whether a value of this series is one float sample.
pub(super) fn is_flat(series: &Series) -> bool {
    !matches!(
        (series.family.kind, &series.part),
        (
            FamilyKind::Histogram { .. }
                | FamilyKind::ExponentialHistogram { .. }
                | FamilyKind::GaugeHistogram
                | FamilyKind::Summary,
            Part::Whole
        )
    ) || *series.name != *series.family.name
}

impl SplitSeries {
    /// What `value` of `series` at `origin` is sent as; histograms with listed bounds as native ones if `lists_bounds`.
    pub(super) fn parts(&mut self, from: &Origin, series: &Arc<Series>, value: &Value, lists_bounds: bool) -> Parts {
        let origin = from.slot();
        match value {
            Value::Histogram(histogram) => self.explicit(origin, series, histogram, lists_bounds),
            Value::FloatHistogram(histogram) => self.explicit(origin, series, histogram, lists_bounds),
            Value::Summary(summary) => {
                let quantiles = summary.quantiles.iter().map(|(quantile, _)| *quantile);
                let shape = self.shape(origin, series, true, quantiles);
                self.samples(shape, summary_values(summary))
            }
            Value::ExponentialHistogram(histogram) => {
                self.is_native::<u64>(origin, series);
                native(histogram, from.source).map_or_else(Parts::Unsendable, |native| Parts::Native(Box::new(native)))
            }
            Value::FloatExponentialHistogram(histogram) => {
                self.is_native::<f64>(origin, series);
                native(histogram, from.source).map_or_else(Parts::Unsendable, |native| Parts::Native(Box::new(native)))
            }
            Value::NoRecordedValue(held) => self.stale(origin, series, lists_bounds, held.as_deref()),
            Value::Float(_) | Value::Int(_) => Parts::Unsendable("invalid_value"),
        }
    }

    fn explicit<N: SentCount>(
        &mut self,
        origin: Slot,
        series: &Arc<Series>,
        histogram: &Histogram<N>,
        lists_bounds: bool,
    ) -> Parts {
        if lists_bounds && !histogram.bucket_counts.is_empty() {
            self.is_native::<N>(origin, series);
            return Parts::Native(Box::new(listed(histogram)));
        }
        let counted = histogram.bounds.len().min(histogram.bucket_counts.len());
        let bounds = histogram.bounds.get(..counted).unwrap_or_default();
        let shape = self.shape(origin, series, histogram.sum.is_some(), bounds.iter().copied());
        self.samples(shape, histogram_values(histogram))
    }

    /// A later marker is one for the whole histogram, and of its kind.
    fn is_native<N: SentCount>(&mut self, origin: Slot, series: &Arc<Series>) {
        let key = (origin, series.slot());
        self.shapes.remove(&key);
        if !N::FRACTIONS {
            self.fractions.remove(&key);
            return;
        }
        if self.fractions.len() >= MAX_SHAPES && !self.fractions.contains(&key) {
            self.fractions.clear();
        }
        self.fractions.insert(key);
    }

    fn shape(
        &mut self,
        origin: Slot,
        series: &Arc<Series>,
        has_sum: bool,
        steps: impl ExactSizeIterator<Item = f64> + Clone,
    ) -> Arc<Shape> {
        let key = (origin, series.slot());
        let fits = |shape: &&Arc<Shape>| {
            shape.has_sum == has_sum
                && shape.steps.len() == steps.len()
                && shape.steps.iter().zip(steps.clone()).all(|(a, b)| a.to_bits() == b.to_bits())
        };
        if let Some(known) = self.shapes.get(&key).filter(fits) {
            return Arc::clone(known);
        }
        if self.shapes.len() >= MAX_SHAPES {
            self.shapes.clear();
            self.shared.clear();
        }
        let shape = match self.shared.get(&series.slot()).filter(fits) {
            Some(shared) => Arc::clone(shared),
            None => Arc::new(Shape::new(series, has_sum, steps.collect())),
        };
        self.shared.insert(series.slot(), Arc::clone(&shape));
        self.shapes.insert(key, Arc::clone(&shape));
        shape
    }

    /// Markers for each part that was sent before, and for those that the fields beside the flag name.
    fn stale(&mut self, origin: Slot, series: &Arc<Series>, lists_bounds: bool, held: Option<&Value>) -> Parts {
        let key = (origin, series.slot());
        let (shape, fractions) = (self.shapes.remove(&key), self.fractions.remove(&key));
        let whole = match series.family.kind {
            FamilyKind::ExponentialHistogram { .. } | FamilyKind::GaugeHistogram => shape.is_none(),
            FamilyKind::Summary => false,
            _ => fractions || (lists_bounds && shape.is_none()),
        };
        if whole {
            let count = if fractions { f64::default().wire() } else { u64::default().wire() };
            return Parts::Native(Box::new(NativeHistogram {
                count: Some(count),
                sum: STALE,
                ..NativeHistogram::default()
            }));
        }
        let shape = match (shape, held.and_then(steps_of)) {
            (Some(known), None) => known,
            (Some(known), Some((has_sum, mut steps))) => {
                steps.retain(|step| known.steps.iter().all(|known| known.to_bits() != step.to_bits()));
                match steps.is_empty() && has_sum <= known.has_sum {
                    true => known,
                    false => Arc::new(Shape::new(
                        series,
                        has_sum || known.has_sum,
                        known.steps.iter().copied().chain(steps).collect(),
                    )),
                }
            }
            (None, Some((has_sum, steps))) => Arc::new(Shape::new(series, has_sum, steps.into())),
            // Of what is not known at all, there are the parts that all have.
            (None, None) => Arc::new(Shape::new(series, true, Box::default())),
        };
        let markers = std::iter::repeat_n(STALE, shape.parts.len());
        self.samples(shape, markers)
    }

    fn samples(&mut self, shape: Arc<Shape>, values: impl Iterator<Item = f64>) -> Parts {
        let mut room = std::mem::take(&mut self.values);
        room.clear();
        room.extend(values);
        Parts::Samples(PartSamples { shape, values: room })
    }

    /// Takes back what was sent.
    pub(super) fn done(&mut self, samples: PartSamples) {
        self.values = samples.values;
    }
}

/// Whether there is a sum, and the bounds or quantiles that a value has counts for.
fn steps_of(value: &Value) -> Option<(bool, Vec<f64>)> {
    match value {
        Value::Histogram(histogram) => {
            let counted = histogram.bounds.iter().copied().zip(&histogram.bucket_counts).map(|(bound, _)| bound);
            Some((histogram.sum.is_some(), counted.collect()))
        }
        Value::Summary(summary) => Some((true, summary.quantiles.iter().map(|(quantile, _)| *quantile).collect())),
        _ => None,
    }
}

impl Shape {
    #[cold]
    fn new(series: &Arc<Series>, has_sum: bool, steps: Box<[f64]>) -> Self {
        let summary = series.family.kind == FamilyKind::Summary;
        let step = |step: &f64| {
            let text = format_shortest_decimal(*step).into();
            if summary { Part::Quantile(text) } else { Part::Bucket(text) }
        };
        let all = (!summary).then(|| Part::Bucket("+Inf".into()));
        let parts = has_sum.then_some(Part::Sum).into_iter().chain([Part::Count]);
        let parts = parts.chain(steps.iter().map(step)).chain(all);
        let parts = parts.map(|part| {
            let name = format!("{}{}", series.name, part.suffix());
            Series::intern(Arc::clone(&series.family), name.into(), part, series.attributes.clone())
        });
        Self { has_sum, parts: parts.collect(), steps }
    }
}

/// Values in the order of [`Shape::parts`]. Counts of buckets are cumulative in Prometheus.
fn histogram_values<N: Count>(histogram: &Histogram<N>) -> impl Iterator<Item = f64> {
    let counted = histogram.bounds.iter().zip(&histogram.bucket_counts);
    let cumulative = counted.scan(N::default(), |sum, (_, count)| {
        *sum = sum.plus(*count);
        Some(sum.as_f64())
    });
    let all = histogram.count.as_f64();
    histogram.sum.into_iter().chain([all]).chain(cumulative).chain([all])
}

fn summary_values(summary: &Summary) -> impl Iterator<Item = f64> {
    [summary.sum, summary.count as f64].into_iter().chain(summary.quantiles.iter().map(|(_, value)| *value))
}

/// The exemplars that belong to a bucket, which is the first whose bound is not below their value. Buckets come in order;
/// `below` is the bound of the one before.
pub(super) fn exemplars_of<'a>(part: &Part, below: &mut Option<f64>, all: &[&'a Exemplar]) -> Vec<&'a Exemplar> {
    let Part::Bucket(bound) = part else { return Vec::new() };
    let bound = bound.parse().unwrap_or(f64::INFINITY);
    let below = below.replace(bound);
    let belongs = |exemplar: &&Exemplar| {
        let value = exemplar.value.as_f64();
        value <= bound && below.is_none_or(|below| value > below)
    };
    all.iter().copied().filter(belongs).collect()
}

/// Labels of an exemplar longer than this, names and values together in characters, are cut down to its
/// ids (OpenMetrics 1.0).
const MAX_EXEMPLAR_CHARS: usize = 128;

/// Appends an exemplar to a time series of version 1.0.
pub(super) fn append_exemplar(out: &mut Vec<u8>, exemplar: &Exemplar) {
    let labels = exemplar_labels(exemplar);
    let labels = labels.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
    wire::v1::put_exemplar(out, labels, exemplar.value.as_f64(), exemplar.time / 1_000_000);
}

/// The labels of an exemplar: its ids, and the others if there is room for all of them.
pub(super) fn exemplar_labels(exemplar: &Exemplar) -> Vec<(String, String)> {
    let mut labels: Vec<(String, String)> = Vec::new();
    for (name, id) in [("trace_id", &exemplar.trace_id), ("span_id", &exemplar.span_id)] {
        if !id.is_empty() {
            labels.push((name.to_owned(), id.iter().map(|byte| format!("{byte:02x}")).collect()));
        }
    }
    let others: Vec<(String, String)> = exemplar
        .attributes
        .iter()
        .filter(|(name, _)| labels.iter().all(|(known, _)| known != name))
        .map(|(name, value)| (name.to_owned(), attribute_text(value).into_owned()))
        .collect();
    let chars = |(name, value): &(String, String)| name.chars().count() + value.chars().count();
    if labels.iter().chain(&others).map(chars).sum::<usize>() <= MAX_EXEMPLAR_CHARS {
        labels.extend(others);
    }
    labels
}

//! Histograms and summaries that travel whole, in the form remote write has for them: explicit bounds and
//! summaries become one series per part, exponential histograms become native ones.

use pipeline::value::ExponentialBuckets;
use pipeline::{Exemplar, ExponentialHistogram, FamilyKind, Histogram, Part, Series, Slot, Summary, Value};
use prometheus::number::format_shortest_decimal;
use prometheus::remote_write::wire::{self, BucketSpan, Buckets, CUSTOM_BUCKETS, HistogramCount, NativeHistogram};
use prometheus::translate::attribute_text;
use std::collections::HashMap;
use std::sync::Arc;

use super::sample::STALE;

/// What a whole value is sent as.
#[derive(Debug)]
pub(super) enum Parts {
    /// Float samples of these series.
    Samples(Vec<(Arc<Series>, f64)>),
    /// One native histogram.
    Native(Box<NativeHistogram>),
    /// Nothing, for this reason.
    Unsendable(&'static str),
}

/// The smallest scale of native histograms, which is also the smallest that can be reached by merging.
const MIN_SCHEMA: i32 = -4;
/// The largest scale of native histograms; finer ones are merged down to it.
const MAX_SCHEMA: i32 = 8;
/// Zero threshold where the sender gave none (OpenTelemetry specification, Prometheus compatibility).
const DEFAULT_ZERO_THRESHOLD: f64 = 1e-128;

/// The series that whole values were split into, so that a later staleness marker reaches each of them.
#[derive(Debug, Default)]
pub(super) struct SplitSeries(HashMap<Slot, Vec<Arc<Series>>>);

/// Series whose parts are remembered; past this number they are forgotten together, and only markers for
/// series that have ended meanwhile are missed.
const MAX_SPLIT: usize = 100_000;

/// Whether a value of this series is one float sample.
pub(super) fn is_flat(series: &Series) -> bool {
    !matches!(
        (series.family.kind, &series.part),
        (FamilyKind::Histogram { .. } | FamilyKind::ExponentialHistogram { .. } | FamilyKind::Summary, Part::Whole)
    ) || *series.name != *series.family.name
}

impl SplitSeries {
    /// What `value` of `series` is sent as; histograms with listed bounds as native ones if `lists_bounds`.
    pub(super) fn parts(&mut self, series: &Arc<Series>, value: &Value, lists_bounds: bool) -> Parts {
        let samples = match value {
            Value::Histogram(histogram) if lists_bounds && !histogram.bucket_counts.is_empty() => {
                // A later marker is one for the whole of it.
                self.0.remove(&series.slot());
                return listed(histogram);
            }
            Value::Histogram(histogram) => histogram_samples(series, histogram),
            Value::Summary(summary) => summary_samples(series, summary),
            Value::ExponentialHistogram(histogram) => return native(histogram),
            Value::NoRecordedValue => return self.stale(series, lists_bounds),
            Value::Float(_) | Value::Int(_) => return Parts::Unsendable("invalid_value"),
        };
        let known = self.0.get(&series.slot());
        let same = |known: &Vec<Arc<Series>>| {
            known.len() == samples.len() && known.iter().zip(&samples).all(|(a, (b, _))| Arc::ptr_eq(a, b))
        };
        if !known.is_some_and(same) {
            if self.0.len() >= MAX_SPLIT {
                self.0.clear();
            }
            self.0.insert(series.slot(), samples.iter().map(|(s, _)| Arc::clone(s)).collect());
        }
        Parts::Samples(samples)
    }

    fn stale(&mut self, series: &Arc<Series>, lists_bounds: bool) -> Parts {
        let lists_bounds = lists_bounds && !matches!(series.family.kind, FamilyKind::Summary);
        let whole = matches!(series.family.kind, FamilyKind::ExponentialHistogram { .. });
        if whole || (lists_bounds && !self.0.contains_key(&series.slot())) {
            let stale =
                NativeHistogram { count: Some(HistogramCount::Int(0)), sum: STALE, ..NativeHistogram::default() };
            return Parts::Native(Box::new(stale));
        }
        let parts = self.0.remove(&series.slot()).unwrap_or_default();
        Parts::Samples(parts.into_iter().map(|part| (part, STALE)).collect())
    }
}

fn part(series: &Arc<Series>, part: Part) -> Arc<Series> {
    let name = format!("{}{}", series.name, part.suffix());
    Series::intern(Arc::clone(&series.family), name.into(), part, series.attributes.clone())
}

fn histogram_samples(series: &Arc<Series>, histogram: &Histogram) -> Vec<(Arc<Series>, f64)> {
    let mut samples = Vec::with_capacity(histogram.bounds.len() + 3);
    if let Some(sum) = histogram.sum {
        samples.push((part(series, Part::Sum), sum));
    }
    samples.push((part(series, Part::Count), histogram.count as f64));
    let mut cumulative = 0u64;
    for (bound, count) in histogram.bounds.iter().zip(&histogram.bucket_counts) {
        cumulative = cumulative.saturating_add(*count);
        samples.push((part(series, Part::Bucket(format_shortest_decimal(*bound).into())), cumulative as f64));
    }
    samples.push((part(series, Part::Bucket("+Inf".into())), histogram.count as f64));
    samples
}

fn summary_samples(series: &Arc<Series>, summary: &Summary) -> Vec<(Arc<Series>, f64)> {
    let mut samples = vec![(part(series, Part::Sum), summary.sum), (part(series, Part::Count), summary.count as f64)];
    for (quantile, value) in &summary.quantiles {
        samples.push((part(series, Part::Quantile(format_shortest_decimal(*quantile).into())), *value));
    }
    samples
}

/// A histogram with explicit bounds as a native one that lists them.
fn listed(histogram: &Histogram) -> Parts {
    let mut positive = Buckets::default();
    let (mut next, mut previous) = (0i64, 0i64);
    for (index, count) in (0i64..).zip(&histogram.bucket_counts).filter(|(_, count)| **count != 0) {
        append_bucket(&mut positive, &mut next, &mut previous, (index, i64::try_from(*count).unwrap_or(i64::MAX)));
    }
    Parts::Native(Box::new(NativeHistogram {
        count: Some(HistogramCount::Int(histogram.count)),
        sum: histogram.sum.unwrap_or_default(),
        schema: CUSTOM_BUCKETS,
        zero_count: Some(HistogramCount::Int(0)),
        positive,
        custom_values: histogram.bounds.to_vec(),
        ..NativeHistogram::default()
    }))
}

fn native(histogram: &ExponentialHistogram) -> Parts {
    if histogram.scale < MIN_SCHEMA {
        return Parts::Unsendable("exponential_scale_too_small");
    }
    let shift = (histogram.scale - MAX_SCHEMA).max(0);
    let threshold = if histogram.zero_threshold == 0.0 { DEFAULT_ZERO_THRESHOLD } else { histogram.zero_threshold };
    Parts::Native(Box::new(NativeHistogram {
        count: Some(HistogramCount::Int(histogram.count)),
        sum: histogram.sum.unwrap_or_default(),
        schema: histogram.scale.min(MAX_SCHEMA),
        zero_threshold: threshold,
        zero_count: Some(HistogramCount::Int(histogram.zero_count)),
        negative: buckets(&histogram.negative, shift),
        positive: buckets(&histogram.positive, shift),
        ..NativeHistogram::default()
    }))
}

/// Lays out exponential buckets as spans and deltas: buckets that the coarser scale joins are merged first,
/// then gaps of up to two empty buckets are written out and longer ones start a new span.
fn buckets(from: &ExponentialBuckets, shift: i32) -> Buckets {
    let shift = shift.clamp(0, 31);
    let mut merged: Vec<(i64, i64)> = Vec::new();
    for (i, count) in from.counts.iter().enumerate() {
        let index = ((i64::from(from.offset) + i as i64) >> shift) + 1;
        let count = i64::try_from(*count).unwrap_or(i64::MAX);
        match merged.last_mut() {
            Some((last, sum)) if *last == index => *sum = sum.saturating_add(count),
            _ => merged.push((index, count)),
        }
    }
    let mut out = Buckets::default();
    let (mut next, mut previous) = (0i64, 0i64);
    for bucket in merged.into_iter().filter(|(_, count)| *count != 0) {
        append_bucket(&mut out, &mut next, &mut previous, bucket);
    }
    out
}

/// Appends a bucket: gaps of up to two empty ones are written out, longer ones start a new span. `next` is the index behind
/// the last bucket, `previous` its count.
fn append_bucket(out: &mut Buckets, next: &mut i64, previous: &mut i64, (index, count): (i64, i64)) {
    let gap = index - *next;
    match out.spans.last_mut() {
        Some(span) if gap <= 2 => {
            for _ in 0..gap {
                out.deltas.push(-*previous);
                *previous = 0;
            }
            span.length += gap as u32 + 1;
        }
        _ => out.spans.push(BucketSpan { offset: gap as i32, length: 1 }),
    }
    out.deltas.push(count - *previous);
    (*next, *previous) = (index + 1, count);
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

//! Classic histograms and summaries put together: Prometheus has a series for each bucket, quantile, sum and count, OTLP one
//! point for all of them.
//!
//! Series belong together that have the same origin, family and attributes, and whose samples have the same time. Senders and
//! scrapes list them one after the other, so that nearly all find their place by a look at the one before.

use std::collections::HashMap;

use pipeline::value::{Histogram, Summary};
use pipeline::{Attributes, Exemplar, FamilyKind, Origin, Part, Point, Series, Value};

/// `DataPointFlags.DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK`.
const NO_RECORDED_VALUE: u32 = 1;

/// What samples have in common that are one point: origin, number of the family, attributes, time.
pub(super) type Key<'a> = (*const Origin, usize, &'a Attributes, i64);

/// The samples of all histograms and summaries of a batch.
#[derive(Debug, Default)]
pub(super) struct Assembly<'a> {
    instances: Vec<Instance<'a>>,
    places: HashMap<Key<'a>, usize>,
    last: Option<(Key<'a>, usize)>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Number {
    Value(f64),
    /// The series ended here.
    Stale,
}

#[derive(Debug)]
struct Instance<'a> {
    summary: bool,
    time: i64,
    start: i64,
    flags: u32,
    count: Option<Number>,
    sum: Option<Number>,
    /// Upper bounds or quantiles.
    steps: Vec<(f64, Number)>,
    exemplars: Vec<&'a Exemplar>,
    /// Samples with a value.
    values: u64,
}

/// Why a sample is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

impl<'a> Assembly<'a> {
    /// Adds a sample to the point that it belongs to; which one, and whether it is new.
    pub(super) fn add(
        &mut self,
        key: Key<'a>,
        series: &'a Series,
        point: &Point,
        exemplars: Vec<&'a Exemplar>,
    ) -> Result<(usize, bool), Malformed> {
        let number = match point.value {
            Value::Float(value) => Number::Value(value),
            Value::Int(value) => Number::Value(value as f64),
            Value::NoRecordedValue(_) => Number::Stale,
            _ => return Err(Malformed),
        };
        let step = match series.part.label() {
            Some((_, text)) => Some(text.parse::<f64>().ok().filter(|step| !step.is_nan()).ok_or(Malformed)?),
            None => None,
        };
        let (at, new) = self.place(key, series.family.kind == FamilyKind::Summary);
        let Some(instance) = self.instances.get_mut(at) else { return Err(Malformed) };
        match (&series.part, step) {
            (Part::Count, _) => {
                instance.count = Some(number);
                // What the page says of it (`_created`) has precedence.
                if instance.start == 0 {
                    instance.start = point.start;
                }
            }
            (Part::Sum, _) => instance.sum = Some(number),
            (Part::Created, _) => {
                if let Number::Value(seconds) = number {
                    instance.start = nanoseconds(seconds);
                }
                return Ok((at, new));
            }
            (_, Some(step)) => instance.steps.push((step, number)),
            (_, None) => return Err(Malformed),
        }
        instance.flags |= point.flags;
        instance.values += u64::from(number != Number::Stale);
        instance.exemplars.extend(exemplars);
        Ok((at, new))
    }

    fn place(&mut self, key: Key<'a>, summary: bool) -> (usize, bool) {
        if let Some((last, at)) = self.last
            && last == key
        {
            return (at, false);
        }
        let next = self.instances.len();
        let at = *self.places.entry(key).or_insert(next);
        self.last = Some((key, at));
        if at == next {
            self.instances.push(Instance {
                summary,
                time: key.3,
                start: 0,
                flags: 0,
                count: None,
                sum: None,
                steps: Vec::new(),
                exemplars: Vec::new(),
                values: 0,
            });
        }
        (at, at == next)
    }

    /// Takes out a point that is complete; the number of its samples if it is not.
    pub(super) fn finish(&mut self, at: usize) -> Result<(Point, Vec<&'a Exemplar>), u64> {
        let instance = self.instances.get_mut(at).ok_or(0u64)?;
        let exemplars = std::mem::take(&mut instance.exemplars);
        instance.point().map(|point| (point, exemplars)).ok_or(instance.values)
    }
}

impl Instance<'_> {
    /// None without a count, which the specification asks for.
    fn point(&mut self) -> Option<Point> {
        let count = self.count?;
        let stale = count == Number::Stale;
        if !stale {
            // A bucket or quantile that ended while the others went on.
            self.steps.retain(|(_, number)| *number != Number::Stale);
        }
        self.steps.sort_by(|a, b| a.0.total_cmp(&b.0));
        self.steps.dedup_by(|later, earlier| later.0 == earlier.0);
        let value = match self.summary {
            true => Value::Summary(Box::new(self.summary(count))),
            false => Value::Histogram(Box::new(self.histogram(count))),
        };
        let flags = if stale { self.flags | NO_RECORDED_VALUE } else { self.flags };
        Some(Point { series: 0, flags, time: self.time, start: self.start, value })
    }

    fn summary(&self, count: Number) -> Summary {
        let quantile = |(quantile, number): &(f64, Number)| (*quantile, number.or_zero());
        let sum = self.sum.map_or(0.0, Number::or_zero);
        Summary { count: whole(count.or_zero()), sum, quantiles: self.steps.iter().map(quantile).collect() }
    }

    /// Counts of buckets are cumulative in Prometheus, and each bucket's own in OTLP. The last bucket is what is left of the
    /// whole.
    fn histogram(&self, count: Number) -> Histogram {
        let finite = self.steps.iter().filter(|(bound, _)| *bound != f64::INFINITY);
        let (mut bounds, mut bucket_counts, mut below) = (Vec::new(), Vec::new(), 0.0);
        for (bound, number) in finite {
            let cumulative = number.or_zero();
            bounds.push(*bound);
            bucket_counts.push(whole(cumulative - below));
            below = cumulative;
        }
        bucket_counts.push(whole(count.or_zero() - below));
        let sum = match (count, self.sum) {
            (Number::Value(_), Some(Number::Value(sum))) => Some(sum),
            _ => None,
        };
        Histogram {
            count: whole(count.or_zero()),
            sum,
            min: None,
            max: None,
            reset: Default::default(),
            bounds: bounds.into(),
            bucket_counts: bucket_counts.into(),
        }
    }
}

impl Number {
    fn or_zero(self) -> f64 {
        match self {
            Self::Value(value) => value,
            Self::Stale => 0.0,
        }
    }
}

/// A number of observations; less than none, or no number, is none.
fn whole(number: f64) -> u64 {
    number as u64
}

/// Seconds since the Unix epoch in nanoseconds.
pub(super) fn nanoseconds(seconds: f64) -> i64 {
    // In two steps: the whole in nanoseconds has more digits than a double.
    let (whole, part) = (seconds.trunc(), seconds.fract());
    (whole as i64).saturating_mul(1_000_000_000).saturating_add((part * 1e9).round() as i64)
}

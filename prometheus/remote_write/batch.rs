//! A request taken apart, so that a part of it can be sent by itself, or all of it in the other version.
//!
//! Senders need this when a receiver does not take a request as it is: because it is too large (413), because something
//! in it is wrong (400), or because the receiver does not know its version (415). None of this is for the hot path.

use std::borrow::Cow;
use std::ops::Range;

use super::protocol::ProtocolVersion;
use super::wire::{
    CUSTOM_BUCKETS, DecodeError, DecodeLimits, FamilyMetadata, LabelBytes, NativeHistogram, Rejection, TimeSeries,
    TimestampField, WriteVisitor, decode_v1, decode_v2, v1, v2,
};
use crate::labels::{BUCKET_LABEL, METRIC_NAME};
use crate::number::{STALE_NAN_BITS, format_shortest_decimal};

/// The content of a request.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch<'a> {
    /// Series in the order sent.
    pub series: Vec<TimeSeries<'a>>,
    /// Metadata of families (version 1.0).
    pub metadata: Vec<FamilyMetadata<'a>>,
    /// Samples, histograms and exemplars that cannot be read; a request of one's own has none.
    pub unreadable: usize,
}

/// What becomes of names that version 1.0 does not allow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Names {
    /// They are sent as they are; current stores take them.
    #[default]
    AsTheyAre,
    /// What is not allowed becomes `_`. Of labels that become one, the first stays.
    Legacy,
}

/// Name and value of a label as they are written.
type WrittenLabel<'t> = (Cow<'t, [u8]>, Cow<'t, [u8]>);

impl Names {
    fn apply<'t>(self, labels: &[LabelBytes<'t>]) -> Vec<WrittenLabel<'t>> {
        let mut all: Vec<_> = labels
            .iter()
            .map(|&(name, value)| match self {
                Self::AsTheyAre => (Cow::Borrowed(name), Cow::Borrowed(value)),
                Self::Legacy if name == METRIC_NAME.as_bytes() => (Cow::Borrowed(name), legacy(value, true)),
                Self::Legacy => (legacy(name, false), Cow::Borrowed(value)),
            })
            .collect();
        if self == Self::Legacy {
            all.sort_by(|(a, _), (b, _)| a.cmp(b));
            all.dedup_by(|(later, _), (first, _)| later == first);
        }
        all
    }
}

/// A name with `_` for each character that is not allowed; colons are in names of metrics.
fn legacy(name: &[u8], colons: bool) -> Cow<'_, [u8]> {
    let allowed = |at: usize, c: u8| {
        c.is_ascii_alphabetic() || c == b'_' || (colons && c == b':') || (at > 0 && c.is_ascii_digit())
    };
    if name.iter().enumerate().all(|(at, c)| allowed(at, *c)) {
        return Cow::Borrowed(name);
    }
    let mut out = Vec::with_capacity(name.len() + 1);
    if name.first().is_some_and(u8::is_ascii_digit) {
        out.push(b'_');
    }
    for c in String::from_utf8_lossy(name).chars() {
        let c = u8::try_from(c).unwrap_or(b'_');
        out.push(if allowed(out.len(), c) { c } else { b'_' });
    }
    Cow::Owned(out)
}

/// How many of each a request carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Float samples.
    pub samples: u64,
    /// Native histograms.
    pub histograms: u64,
    /// Exemplars.
    pub exemplars: u64,
    /// The oldest time of a sample or histogram, in milliseconds since the Unix epoch; `None` if there is none.
    pub oldest_ms: Option<i64>,
    /// The newest.
    pub newest_ms: Option<i64>,
}

impl<'a> Batch<'a> {
    /// Takes a decompressed request apart.
    ///
    /// # Errors
    /// When it is none of this version.
    pub fn decode(version: ProtocolVersion, body: &'a [u8]) -> Result<Self, DecodeError> {
        // A request of one's own is bounded by its size.
        let limits = DecodeLimits {
            series: usize::MAX,
            metadata: usize::MAX,
            symbols: usize::MAX,
            labels: usize::MAX,
            samples: usize::MAX,
            histograms: usize::MAX,
            exemplars: usize::MAX,
            buckets: usize::MAX,
        };
        let mut batch = Self::default();
        match version {
            ProtocolVersion::V1 => decode_v1(body, &limits, &mut batch)?,
            ProtocolVersion::V2 => decode_v2(body, &limits, &mut batch)?,
        }
        Ok(batch)
    }

    /// Number of series and families.
    #[must_use]
    pub fn len(&self) -> usize {
        self.series.len() + self.metadata.len()
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Leaves out samples and histograms before `oldest_ms` (milliseconds since the Unix epoch), and exemplars whose samples
    /// go; the number of samples and histograms left out. Series keep their places.
    pub fn drop_before(&mut self, oldest_ms: i64) -> u64 {
        let mut dropped = 0;
        for series in &mut self.series {
            let before = series.samples.len() + series.histograms.len();
            series.samples.retain(|sample| sample.timestamp_ms >= oldest_ms);
            series.histograms.retain(|histogram| histogram.timestamp_ms >= oldest_ms);
            let after = series.samples.len() + series.histograms.len();
            if before > 0 && after == 0 {
                series.exemplars.clear();
            }
            dropped += (before - after) as u64;
        }
        dropped
    }

    /// What the series in `range` carry. Numbers behind the series stand for families.
    #[must_use]
    pub fn counts(&self, range: Range<usize>) -> Counts {
        let mut counts = Counts::default();
        for series in self.series_in(range) {
            counts.samples += series.samples.len() as u64;
            counts.histograms += series.histograms.len() as u64;
            counts.exemplars += series.exemplars.len() as u64;
            let times = series.samples.iter().map(|sample| sample.timestamp_ms);
            for time in times.chain(series.histograms.iter().map(|histogram| histogram.timestamp_ms)) {
                counts.oldest_ms = Some(counts.oldest_ms.map_or(time, |oldest| oldest.min(time)));
                counts.newest_ms = Some(counts.newest_ms.map_or(time, |newest| newest.max(time)));
            }
        }
        counts
    }

    /// Appends a request of `version` with the series in `range`, those left out that have nothing to say any more. Numbers
    /// behind the series stand for families, which version 2.0 has no place for.
    ///
    /// In version 1.0 histograms with listed bounds become classic ones, since its receivers need not know them.
    pub fn encode(&self, version: ProtocolVersion, names: Names, range: Range<usize>, out: &mut Vec<u8>) {
        let families = range.start.max(self.series.len())..range.end.max(self.series.len());
        let wanted = self.series_in(range).iter().filter(|series| {
            !(series.samples.is_empty() && series.histograms.is_empty() && series.exemplars.is_empty())
        });
        match version {
            ProtocolVersion::V1 => {
                wanted.for_each(|series| put_v1(out, names, series));
                let families = families.start - self.series.len()..families.end - self.series.len();
                for family in self.metadata.get(families).unwrap_or_default() {
                    v1::put_metadata(out, family.kind, family.family, family.help, family.unit);
                }
            }
            ProtocolVersion::V2 => {
                let mut symbols = v2::Symbols::new();
                let mut series = Vec::new();
                wanted.for_each(|one| put_v2(&mut series, &mut symbols, one));
                symbols.put(out);
                out.append(&mut series);
            }
        }
    }

    fn series_in(&self, range: Range<usize>) -> &[TimeSeries<'a>] {
        let end = range.end.min(self.series.len());
        self.series.get(range.start.min(end)..end).unwrap_or_default()
    }
}

impl<'a> WriteVisitor<'a> for Batch<'a> {
    fn series(&mut self, series: &TimeSeries<'a>) {
        self.series.push(series.clone());
    }

    fn metadata(&mut self, metadata: FamilyMetadata<'a>) {
        self.metadata.push(metadata);
    }

    fn rejected(&mut self, rejection: Rejection) {
        self.unreadable += rejection.samples + rejection.histograms + rejection.exemplars;
    }
}

fn put_v1(out: &mut Vec<u8>, names: Names, series: &TimeSeries<'_>) {
    let pairs = names.apply(&series.labels);
    let mut labels = Vec::new();
    for (name, value) in &pairs {
        v1::put_label(&mut labels, name, value);
    }
    let (listed, natives): (Vec<_>, Vec<_>) = series.histograms.iter().partition(|h| h.schema == CUSTOM_BUCKETS);
    if !series.samples.is_empty() || !natives.is_empty() || (listed.is_empty() && !series.exemplars.is_empty()) {
        v1::put_series(out, &labels, |out| {
            for sample in &series.samples {
                v1::put_sample(out, sample.value, &TimestampField::new(sample.timestamp_ms));
            }
            for exemplar in &series.exemplars {
                v1::put_exemplar(out, exemplar.labels.iter().copied(), exemplar.value, exemplar.timestamp_ms);
            }
            for histogram in natives {
                v1::put_histogram(out, histogram);
            }
        });
    }
    for histogram in listed {
        put_classic(out, &pairs, histogram);
    }
}

fn put_v2(out: &mut Vec<u8>, symbols: &mut v2::Symbols, series: &TimeSeries<'_>) {
    let references = |symbols: &mut v2::Symbols, labels: &[LabelBytes<'_>]| -> Vec<u32> {
        labels.iter().flat_map(|(name, value)| [*name, *value]).map(|text| symbols.reference(text)).collect()
    };
    let labels = references(symbols, &series.labels);
    v2::put_series(out, &labels, |out| {
        for sample in &series.samples {
            v2::put_sample(out, sample.value, sample.timestamp_ms, sample.start_timestamp_ms);
        }
        for histogram in &series.histograms {
            v2::put_histogram(out, histogram);
        }
        for exemplar in &series.exemplars {
            let labels = references(symbols, &exemplar.labels);
            v2::put_exemplar(out, &labels, exemplar.value, exemplar.timestamp_ms);
        }
        if let Some(metadata) = &series.metadata {
            let (help, unit) = (symbols.reference(metadata.help), symbols.reference(metadata.unit));
            v2::put_metadata(out, metadata.kind, help, unit);
        }
    });
}

/// A histogram with listed bounds as the series that a classic histogram has.
fn put_classic(out: &mut Vec<u8>, labels: &[WrittenLabel<'_>], histogram: &NativeHistogram) {
    let time = TimestampField::new(histogram.timestamp_ms);
    let stale = histogram.sum.to_bits() == STALE_NAN_BITS;
    let mut put = |suffix: &str, le: Option<&str>, value: f64| {
        let mut own = Vec::new();
        let mut le = le;
        for (name, text) in labels {
            if le.is_some() && **name > *BUCKET_LABEL.as_bytes() {
                v1::put_label(&mut own, BUCKET_LABEL.as_bytes(), le.take().unwrap_or_default().as_bytes());
            }
            if **name == *METRIC_NAME.as_bytes() {
                v1::put_label(&mut own, name, &[text.as_ref(), suffix.as_bytes()].concat());
            } else if **name != *BUCKET_LABEL.as_bytes() {
                v1::put_label(&mut own, name, text);
            }
        }
        if let Some(le) = le {
            v1::put_label(&mut own, BUCKET_LABEL.as_bytes(), le.as_bytes());
        }
        let value = if stale { f64::from_bits(STALE_NAN_BITS) } else { value };
        v1::put_float_series(out, &own, value, &time);
    };
    let count = histogram.count.map_or(0.0, |count| count.as_f64());
    put("_sum", None, histogram.sum);
    put("_count", None, count);
    let mut cumulative = 0.0;
    let mut counts = histogram.positive.absolute().peekable();
    for (index, bound) in (0i64..).zip(&histogram.custom_values) {
        while let Some((_, n)) = counts.next_if(|(at, _)| *at <= index) {
            cumulative += n;
        }
        if bound.is_finite() {
            put("_bucket", Some(&format_shortest_decimal(*bound)), cumulative);
        }
    }
    put("_bucket", Some("+Inf"), count);
}

#[cfg(test)]
mod tests;

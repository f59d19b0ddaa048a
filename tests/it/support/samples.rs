//! Samples as a store keeps them: by series, in the order in which they arrived.

use std::collections::{BTreeMap, BTreeSet};

use prometheus::remote_write::wire::{DecodeLimits, FamilyMetadata, Rejection, TimeSeries, WriteVisitor, decode_v1};

/// Prometheus' staleness marker: a NaN of these bits.
pub(crate) const STALE: u64 = 0x7ff0_0000_0000_0002;

/// A sample: milliseconds since the Unix epoch, and the value's bits.
pub(crate) type Sample = (i64, u64);

/// Labels as text, `{name="value",...}` sorted by name, with `__name__` among them.
pub(crate) type Series = String;

/// Samples by series.
#[derive(Clone, Debug, Default)]
pub(crate) struct Samples(pub(crate) BTreeMap<Series, Vec<Sample>>);

impl Samples {
    /// The content of a remote-write 1.0 request.
    pub(crate) fn of_request(body: &[u8]) -> Self {
        // Another implementation than the sender's.
        let raw = snap::raw::Decoder::new().decompress_vec(body).expect("the body is a snappy block");
        let mut samples = Self::default();
        decode_v1(&raw, &DecodeLimits::default(), &mut samples).expect("the body is a write request");
        samples
    }

    /// Adds what arrived later.
    pub(crate) fn append(&mut self, later: &Self) {
        for (series, samples) in &later.0 {
            self.0.entry(series.clone()).or_default().extend_from_slice(samples);
        }
    }

    /// Number of samples.
    pub(crate) fn len(&self) -> usize {
        self.0.values().map(Vec::len).sum()
    }

    /// The series whose labels contain all of `parts`, as `name="value"`.
    pub(crate) fn with<'a>(&'a self, parts: &'a [&str]) -> impl Iterator<Item = (&'a Series, &'a Vec<Sample>)> {
        self.0.iter().filter(|(series, _)| parts.iter().all(|part| series.contains(part)))
    }

    /// The samples of the one series whose labels contain all of `parts`.
    pub(crate) fn of(&self, parts: &[&str]) -> Vec<Sample> {
        let mut found = self.with(parts);
        let first = found.next().map(|(_, samples)| samples.clone()).unwrap_or_default();
        assert!(found.next().is_none(), "{parts:?} stands for several series");
        first
    }

    /// Number of staleness markers.
    pub(crate) fn stale_markers(&self) -> usize {
        self.0.values().flatten().filter(|(_, bits)| *bits == STALE).count()
    }

    /// Fails unless every series' timestamps ascend in the order of arrival. Samples that come again are only right
    /// where `repeated` has them: requests that the store had taken although their sender could not know.
    pub(crate) fn assert_in_order(&self, repeated: &Self) {
        for (series, samples) in &self.0 {
            let mut known = BTreeSet::new();
            let mut newest = i64::MIN;
            let may_repeat: BTreeSet<Sample> = repeated.0.get(series).into_iter().flatten().copied().collect();
            for sample in samples {
                if !known.insert(*sample) {
                    assert!(may_repeat.contains(sample), "{series} came twice at {}", sample.0);
                    continue;
                }
                assert!(sample.0 > newest, "{series}: {} came after {newest}", sample.0);
                newest = sample.0;
            }
        }
    }

    /// Fails unless every series' timestamps ascend in the order of first arrival. What came already may come again at
    /// any time, as it does after a crash.
    pub(crate) fn assert_in_order_of_first_arrival(&self) {
        for (series, samples) in &self.0 {
            let mut known = BTreeSet::new();
            let mut newest = i64::MIN;
            for sample in samples.iter().filter(|sample| known.insert(**sample)) {
                assert!(sample.0 > newest, "{series}: {} came for the first time after {newest}", sample.0);
                newest = sample.0;
            }
        }
    }

    /// Number of samples when each is counted once.
    pub(crate) fn distinct(&self) -> usize {
        self.0.values().map(|samples| samples.iter().collect::<BTreeSet<_>>().len()).sum()
    }
}

/// A remote-write 1.0 request of one series for each of `values`, all at one time, as its body.
pub(crate) fn write_request(name: &str, time_ms: i64, values: &[f64]) -> Vec<u8> {
    let mut request = Vec::new();
    for (i, value) in values.iter().enumerate() {
        let mut series = Vec::new();
        for (name, text) in [("__name__", name), ("i", &i.to_string())] {
            let mut label = Vec::new();
            field(&mut label, 1, name.as_bytes());
            field(&mut label, 2, text.as_bytes());
            field(&mut series, 1, &label);
        }
        let mut sample = vec![9];
        sample.extend_from_slice(&value.to_le_bytes());
        sample.push(16);
        varint(&mut sample, time_ms as u64);
        field(&mut series, 2, &sample);
        field(&mut request, 1, &series);
    }
    snap::raw::Encoder::new().compress_vec(&request).expect("it is short enough")
}

fn field(out: &mut Vec<u8>, number: u8, bytes: &[u8]) {
    out.push(number << 3 | 2);
    varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

impl<'a> WriteVisitor<'a> for Samples {
    fn series(&mut self, series: &TimeSeries<'a>) {
        let labels: Vec<(&str, &str)> = series.labels_utf8().map(|label| label.expect("labels are text")).collect();
        assert!(labels.is_sorted_by(|a, b| a.0 < b.0), "labels are sorted and unique: {labels:?}");
        let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
        let samples = series.samples.iter().map(|sample| (sample.timestamp_ms, sample.value.to_bits()));
        self.0.entry(format!("{{{}}}", labels.join(","))).or_default().extend(samples);
    }

    fn metadata(&mut self, _: FamilyMetadata<'a>) {}

    fn rejected(&mut self, rejection: Rejection) {
        panic!("a store would reject {rejection:?}");
    }
}

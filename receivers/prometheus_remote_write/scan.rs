//! A first look at a remote-write 1.0 request that touches only what steady state needs: where the labels of a
//! series stand, and its float samples.
//!
//! Everything else in a request (exemplars, native histograms, metadata, labels that are not in one piece) is
//! left to the full decoder of the `prometheus` crate, which is handed the bytes of just that field: a request
//! is nothing but its fields one after the other, so a field by itself is a request too.

use prometheus::remote_write::wire::Sample;

/// Field 1, length-delimited: `WriteRequest.timeseries` and `TimeSeries.labels`.
const SERIES_OR_LABEL: u8 = 0x0a;
/// Field 2, length-delimited: `TimeSeries.samples`.
const SAMPLE: u8 = 0x12;
/// Field 1, eight bytes: `Sample.value`.
const SAMPLE_VALUE: u8 = 0x09;
/// Field 2, varint: `Sample.timestamp`.
const SAMPLE_TIMESTAMP: u8 = 0x10;

/// The bytes not yet looked at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bytes<'a>(&'a [u8]);

/// One field of a request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Field<'a> {
    /// A series, in the order every sender writes it: first labels, then float samples, then nothing.
    Plain {
        /// The encoded labels, tags and lengths included: what identifies the series.
        labels: &'a [u8],
        /// The encoded samples, to be read with [`samples`].
        encoded: &'a [u8],
        /// The field complete with tag and length.
        whole: &'a [u8],
    },
    /// Anything else, complete with tag and length; for the full decoder.
    Other(&'a [u8]),
}

/// The fields of a request. What cannot be told apart any more comes last as one [`Field::Other`], in which the
/// full decoder finds and names the mistake.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    pub(super) fn of(body: &'a [u8]) -> Self {
        Self(body)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    #[inline]
    fn next(&mut self) -> Option<Field<'a>> {
        if self.0.is_empty() {
            return None;
        }
        let mut bytes = Bytes(self.0);
        let Some((is_series, message)) = bytes.top_level() else {
            return Some(Field::Other(std::mem::take(&mut self.0)));
        };
        let whole = self.0.get(..self.0.len() - bytes.0.len()).unwrap_or_default();
        self.0 = bytes.0;
        if is_series && let Some((labels, encoded)) = plain(message) {
            return Some(Field::Plain { labels, encoded, whole });
        }
        Some(Field::Other(whole))
    }
}

/// Labels and samples of a series' message if it is nothing else.
#[inline]
fn plain(message: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut bytes = Bytes(message);
    while bytes.0.first() == Some(&SERIES_OR_LABEL) {
        bytes.take(1)?;
        bytes.message()?;
    }
    let parts = message.split_at_checked(message.len() - bytes.0.len())?;
    while !bytes.0.is_empty() {
        if *bytes.take(1)?.first()? != SAMPLE {
            return None;
        }
        bytes.message()?;
    }
    Some(parts)
}

/// Reads encoded samples one by one and stops after the first that is not as senders write it, for which `None` is
/// given: the full decoder has to look at that series.
pub(super) fn samples(encoded: &[u8]) -> impl Iterator<Item = Option<Sample>> {
    let mut bytes = Bytes(encoded);
    std::iter::from_fn(move || {
        if bytes.0.is_empty() {
            return None;
        }
        let sample = bytes.sample();
        if sample.is_none() {
            bytes = Bytes(&[]);
        }
        Some(sample)
    })
}

impl<'a> Bytes<'a> {
    #[inline]
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    /// A varint of any value; longer than ten bytes it is not one.
    #[inline]
    fn varint(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..70).step_by(7) {
            let (&byte, rest) = self.0.split_first()?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift.min(63);
            if byte < 0x80 {
                return (shift < 63 || byte <= 1).then_some(value);
            }
        }
        None
    }

    #[inline]
    fn message(&mut self) -> Option<&'a [u8]> {
        let len = usize::try_from(self.varint()?).ok()?;
        self.take(len)
    }

    /// The next length-delimited field: whether it is a series, and its content.
    #[inline]
    fn top_level(&mut self) -> Option<(bool, &'a [u8])> {
        let tag = *self.take(1)?.first()?;
        // One-byte tags of wire type 2. All fields of a request are of this kind.
        if tag & 0x87 != 2 || tag < 8 {
            return None;
        }
        Some((tag == SERIES_OR_LABEL, self.message()?))
    }

    #[inline]
    fn sample(&mut self) -> Option<Sample> {
        if *self.take(1)?.first()? != SAMPLE {
            return None;
        }
        let mut fields = Bytes(self.message()?);
        let mut sample = Sample::default();
        while let Some((&tag, rest)) = fields.0.split_first() {
            fields.0 = rest;
            match tag {
                SAMPLE_VALUE => sample.value = f64::from_le_bytes(fields.take(8)?.try_into().ok()?),
                SAMPLE_TIMESTAMP => sample.timestamp_ms = fields.varint()?.cast_signed(),
                _ => return None,
            }
        }
        Some(sample)
    }
}

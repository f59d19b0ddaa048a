//! What a remote-write request holds, and what can be wrong with it: the types that [`decode_v1`] and
//! [`decode_v2`] hand to a [`WriteVisitor`].
//!
//! A request that is not protobuf, or is larger than the limits, is refused as a whole. What is wrong with one series
//! only concerns that series: it is reported as a [`Rejection`] and the rest is visited, so that a
//! receiver can write what is good and answer 400 with the counts (a "partial write").
//!
//! [`decode_v1`]: super::decode_v1
//! [`decode_v2`]: super::decode_v2

use std::str;

use super::histogram::NativeHistogram;
use super::read::WireError;
use super::v1::MetricType;

/// One label as it stands on the wire; not checked to be UTF-8.
pub type LabelBytes<'a> = (&'a [u8], &'a [u8]);

/// One float sample.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sample {
    /// The value; the stale marker is a NaN with its own bits.
    pub value: f64,
    /// Milliseconds since the Unix epoch.
    pub timestamp_ms: i64,
    /// When counting started, in milliseconds since the Unix epoch; 0 is "not known". Version 2.0 only.
    pub start_timestamp_ms: i64,
}

/// One exemplar.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Exemplar<'a> {
    /// Its own labels, such as `trace_id`.
    pub labels: Vec<LabelBytes<'a>>,
    /// The value observed.
    pub value: f64,
    /// Milliseconds since the Unix epoch.
    pub timestamp_ms: i64,
}

/// Metadata of one series; version 2.0 only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SeriesMetadata<'a> {
    /// Type of the metric.
    pub kind: MetricType,
    /// Help text, or empty.
    pub help: &'a [u8],
    /// Unit, or empty.
    pub unit: &'a [u8],
}

/// Metadata of one metric family; version 1.0 only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FamilyMetadata<'a> {
    /// Type of the metric.
    pub kind: MetricType,
    /// Name of the family.
    pub family: &'a [u8],
    /// Help text, or empty.
    pub help: &'a [u8],
    /// Unit, or empty.
    pub unit: &'a [u8],
}

/// One series of a request. The decoder reuses it for the next one: take out what is to be kept.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TimeSeries<'a> {
    /// Labels in the order sent.
    pub labels: Vec<LabelBytes<'a>>,
    /// Float samples in the order sent.
    pub samples: Vec<Sample>,
    /// Exemplars in the order sent.
    pub exemplars: Vec<Exemplar<'a>>,
    /// Native histograms in the order sent.
    pub histograms: Vec<NativeHistogram>,
    /// Metadata; `None` in version 1.0 and when the sender gave none.
    pub metadata: Option<SeriesMetadata<'a>>,
}

/// Receives the content of a request in the order sent.
pub trait WriteVisitor<'a> {
    /// A series that passed the checks of its protocol version.
    fn series(&mut self, series: &TimeSeries<'a>);
    /// Metadata of a family (version 1.0).
    fn metadata(&mut self, metadata: FamilyMetadata<'a>);
    /// Something that has to be left out. To be counted and answered, never ignored.
    fn rejected(&mut self, rejection: Rejection);
}

/// A series, or a part of one, that breaks a rule of the specification.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("time series {series}: {error}")]
pub struct Rejection {
    /// Position of the series in the request, from zero.
    pub series: usize,
    /// Float samples that are left out.
    pub samples: usize,
    /// Histograms that are left out.
    pub histograms: usize,
    /// Exemplars that are left out.
    pub exemplars: usize,
    /// The rule.
    #[source]
    pub error: SeriesError,
}

/// A rule of the specification that a series breaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SeriesError {
    /// References come in pairs of name and value.
    #[error("{owner} has {len} references, which do not make pairs of name and value")]
    OddReferences {
        /// "series" or "exemplar".
        owner: &'static str,
        /// Number of references.
        len: usize,
    },
    /// A reference points behind the end of the symbols.
    #[error("{owner} references symbol {reference}, but the request has {symbols} symbols")]
    ReferenceOutOfRange {
        /// What the reference is for.
        owner: &'static str,
        /// The reference.
        reference: u32,
        /// Number of symbols.
        symbols: usize,
    },
    /// A series without labels.
    #[error("it has no labels")]
    NoLabels,
    /// A label without a name.
    #[error("a label has an empty name")]
    EmptyLabelName,
    /// A label without a value.
    #[error("label {name:?} has an empty value")]
    EmptyLabelValue {
        /// Name of the label.
        name: String,
    },
    /// Two labels of one name.
    #[error("label {name:?} occurs more than once")]
    DuplicateLabel {
        /// Name of the label.
        name: String,
    },
    /// Labels have to be sorted by name.
    #[error("labels are not sorted: {name:?} comes too late")]
    UnsortedLabels {
        /// Name of the first label that is out of place.
        name: String,
    },
    /// A name or value that is not UTF-8.
    #[error("label {name:?} is not valid UTF-8")]
    NotUtf8 {
        /// Name of the label, with replacement characters.
        name: String,
    },
    /// A series that says nothing.
    #[error("it has neither samples nor histograms")]
    NoValues,
    /// One series is either of floats or of histograms.
    #[error("it has both samples and histograms")]
    MixedValues,
    /// Values of a series have to be in the order of their timestamps.
    #[error("timestamp {timestamp_ms} comes after {before_ms}")]
    OutOfOrder {
        /// The timestamp out of place, in milliseconds.
        timestamp_ms: i64,
        /// The one before it.
        before_ms: i64,
    },
}

/// How much of each thing a request may hold. Together with the limit on the size of the body these
/// bound the memory that one request can take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeLimits {
    /// Series in a request. Default 1,000,000; senders batch 2,000 to 50,000.
    pub series: usize,
    /// Family metadata entries in a request. Default 100,000.
    pub metadata: usize,
    /// Symbols in a request. Default 1,000,000, which take 16 MB besides their text.
    pub symbols: usize,
    /// Labels on a series or an exemplar. Default 1,024; stores commonly allow 30 to 200.
    pub labels: usize,
    /// Float samples in a series. Default 100,000: one day at one sample a second.
    pub samples: usize,
    /// Histograms in a series. Default 10,000.
    pub histograms: usize,
    /// Exemplars in a series. Default 10,000.
    pub exemplars: usize,
    /// Spans, buckets or custom bounds of one sign of a histogram. Default 65,536; Prometheus' own
    /// histograms keep to some hundreds.
    pub buckets: usize,
}

impl Default for DecodeLimits {
    fn default() -> Self {
        Self {
            series: 1_000_000,
            metadata: 100_000,
            symbols: 1_000_000,
            labels: 1_024,
            samples: 100_000,
            histograms: 10_000,
            exemplars: 10_000,
            buckets: 65_536,
        }
    }
}

/// Why a request was refused as a whole. The sender must not send it again unchanged (status 400).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes are not the message they should be.
    #[error("malformed write request, {place}: {error}")]
    Malformed {
        /// Where in the request.
        place: Place,
        /// What is wrong there.
        #[source]
        error: WireError,
    },
    /// More of something than the limit allows.
    #[error("write request over the limit, {place}: more than {limit} {what}")]
    TooMany {
        /// Where in the request.
        place: Place,
        /// Of what there is too much.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// The body belongs to the other version of the protocol.
    #[error("body is a remote-write {found} request, but its Content-Type announces {announced}")]
    OtherVersion {
        /// The version whose fields were found.
        found: &'static str,
        /// The version that was to be decoded.
        announced: &'static str,
    },
    /// Version 2.0 wants the empty string as the first symbol.
    #[error("symbols of a remote-write 2.0 request must begin with the empty string")]
    FirstSymbolNotEmpty,
}

/// A place in a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Position of the series, from zero.
    pub series: Option<usize>,
    /// Name of the message.
    pub message: &'static str,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.series {
            Some(series) => write!(f, "time series {series}, {}", self.message),
            None => f.write_str(self.message),
        }
    }
}

impl<'a> TimeSeries<'a> {
    pub(super) fn clear(&mut self) {
        self.labels.clear();
        self.samples.clear();
        self.exemplars.clear();
        self.histograms.clear();
        self.metadata = None;
    }

    /// The labels as text, each checked to be UTF-8.
    ///
    /// # Errors
    /// [`SeriesError::NotUtf8`] in place of each label that is not.
    pub fn labels_utf8(&self) -> impl Iterator<Item = Result<(&'a str, &'a str), SeriesError>> + '_ {
        self.labels.iter().map(|&(name, value)| match (str::from_utf8(name), str::from_utf8(value)) {
            (Ok(name), Ok(value)) => Ok((name, value)),
            _ => Err(SeriesError::NotUtf8 { name: lossy(name) }),
        })
    }

    /// Checks what both versions ask of labels: there are some, sorted by name, each name once, no
    /// name and no value empty. [`decode_v2`](super::decode_v2) has done so already; a receiver of version 1.0 may be lenient.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn check_labels(&self) -> Result<(), SeriesError> {
        if self.labels.is_empty() {
            return Err(SeriesError::NoLabels);
        }
        let mut before: Option<&[u8]> = None;
        for &(name, value) in &self.labels {
            if name.is_empty() {
                return Err(SeriesError::EmptyLabelName);
            }
            if value.is_empty() {
                return Err(SeriesError::EmptyLabelValue { name: lossy(name) });
            }
            match before.map(|before| before.cmp(name)) {
                Some(std::cmp::Ordering::Equal) => return Err(SeriesError::DuplicateLabel { name: lossy(name) }),
                Some(std::cmp::Ordering::Greater) => return Err(SeriesError::UnsortedLabels { name: lossy(name) }),
                _ => before = Some(name),
            }
        }
        Ok(())
    }

    /// Checks that samples, and histograms, are in the order of their timestamps (equal ones are for
    /// the store to judge).
    ///
    /// # Errors
    /// [`SeriesError::OutOfOrder`] for the first that is not.
    pub fn check_order(&self) -> Result<(), SeriesError> {
        let in_order = |times: &mut dyn Iterator<Item = i64>| {
            let mut before_ms = i64::MIN;
            for timestamp_ms in times {
                if timestamp_ms < before_ms {
                    return Err(SeriesError::OutOfOrder { timestamp_ms, before_ms });
                }
                before_ms = timestamp_ms;
            }
            Ok(())
        };
        in_order(&mut self.samples.iter().map(|sample| sample.timestamp_ms))?;
        in_order(&mut self.histograms.iter().map(|histogram| histogram.timestamp_ms))
    }
}

fn lossy(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}

/// Adds to a list unless its limit is reached.
pub(super) fn push_within<T>(
    list: &mut Vec<T>,
    item: T,
    limit: usize,
    what: &'static str,
    place: Place,
) -> Result<(), DecodeError> {
    if list.len() >= limit {
        return Err(DecodeError::TooMany { place, what, limit });
    }
    list.push(item);
    Ok(())
}

/// Says where a [`WireError`] was met.
pub(super) trait AtPlace<T> {
    fn at(self, place: Place) -> Result<T, DecodeError>;
}

impl<T> AtPlace<T> for Result<T, WireError> {
    #[inline]
    fn at(self, place: Place) -> Result<T, DecodeError> {
        self.map_err(|error| DecodeError::Malformed { place, error })
    }
}

//! The series model: identity once, samples for ever.
//!
//! In steady state the same series arrive again and again and only numbers change. The identity of a
//! series is therefore split in two interned parts, so that memory is spent on what differs:
//!
//! - [`Origin`]: where points come from. Resource, scope, and the labels that all series of a target
//!   share. A scrape target or an OTLP client has one.
//! - [`Series`]: what is measured there. Family, sample name, part in a classic family, attributes. A
//!   thousand targets that serve the same page share one `Series` for each line of it.
//!
//! A full identity is the pair of both. Points do not point at series one by one: they come in groups
//! ([`crate::PointGroup`]) of one origin and one [`SeriesTable`], and hold an index into that table, so that moving a
//! point touches no reference count.

use crate::attributes::Attributes;
use crate::intern::{Interned, Pool, Slot};
use std::hash::Hasher as _;
use std::sync::Arc;
use xxhash_rust::xxh3::Xxh3Default;

/// How values of a sum or histogram relate to earlier ones (OTLP `AggregationTemporality`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Temporality {
    /// Not said.
    #[default]
    Unspecified,
    /// Each value covers the time since the point before it.
    Delta,
    /// Each value covers the time since the start time.
    Cumulative,
}

/// The kind of a metric family: the union of what OTLP and Prometheus distinguish.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum FamilyKind {
    /// No type is known; OTLP has it as a gauge marked `unknown`.
    #[default]
    Unknown,
    /// A value that goes up and down.
    Gauge,
    /// A sum; a monotonic cumulative one is Prometheus' counter.
    Sum {
        /// Whether it only grows, resets aside.
        monotonic: bool,
        /// Delta or cumulative.
        temporality: Temporality,
    },
    /// Explicit bounds.
    Histogram {
        /// Delta or cumulative.
        temporality: Temporality,
    },
    /// Exponential bounds: Prometheus' native histogram.
    ExponentialHistogram {
        /// Delta or cumulative.
        temporality: Temporality,
    },
    /// Quantiles computed at the source.
    Summary,
    /// OpenMetrics `info`.
    Info,
    /// OpenMetrics `stateset`.
    StateSet,
    /// OpenMetrics `gaugehistogram`.
    GaugeHistogram,
}

impl FamilyKind {
    /// Prometheus' counter: a cumulative monotonic sum.
    pub const COUNTER: Self = Self::Sum { monotonic: true, temporality: Temporality::Cumulative };
}

/// A metric family: what OTLP calls a metric.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct Family {
    /// Name, as the source gave it.
    pub name: Arc<str>,
    /// Help text.
    pub description: Arc<str>,
    /// Unit in UCUM form, as OTLP has it.
    pub unit: Arc<str>,
    /// Type.
    pub kind: FamilyKind,
    /// OTLP `Metric.metadata`.
    pub metadata: Attributes,
}

/// The part that a series plays in its family, when a classic histogram or summary travels flat.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub enum Part {
    /// The series is its own family member: gauge, sum, or a histogram that travels whole.
    #[default]
    Whole,
    /// A cumulative bucket; the text of its `le` label.
    Bucket(Box<str>),
    /// The sum of observations.
    Sum,
    /// The number of observations.
    Count,
    /// A quantile; the text of its `quantile` label.
    Quantile(Box<str>),
    /// The creation time as a series of its own.
    Created,
}

impl Part {
    /// The label that this part stands for: `("le", …)` or `("quantile", …)`.
    pub fn label(&self) -> Option<(&'static str, &str)> {
        match self {
            Self::Bucket(le) => Some(("le", le)),
            Self::Quantile(q) => Some(("quantile", q)),
            _ => None,
        }
    }

    /// What is appended to a translated family name to name this part's series.
    pub fn suffix(&self) -> &'static str {
        match self {
            Self::Whole | Self::Quantile(_) => "",
            Self::Bucket(_) => "_bucket",
            Self::Sum => "_sum",
            Self::Count => "_count",
            Self::Created => "_created",
        }
    }
}

/// The entity that produced telemetry (OTLP `Resource`).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct Resource {
    /// Its attributes.
    pub attributes: Attributes,
    /// Schema URL of `ResourceMetrics`.
    pub schema_url: Arc<str>,
    /// Attributes that the sender dropped.
    pub dropped_attributes: u32,
    /// OTLP's `Resource.entity_refs`, encoded as they came: nothing here has a use for their contents.
    pub entity_refs: Box<[u8]>,
}

/// The instrumentation scope (OTLP `InstrumentationScope`).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct Scope {
    /// Name.
    pub name: Arc<str>,
    /// Version.
    pub version: Arc<str>,
    /// Its attributes.
    pub attributes: Attributes,
    /// Schema URL of `ScopeMetrics`.
    pub schema_url: Arc<str>,
    /// Attributes that the sender dropped.
    pub dropped_attributes: u32,
}

/// Which protocol points came by, hence whose naming rules their names follow already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Source {
    /// OTLP, or anything else that speaks OpenTelemetry's names.
    #[default]
    Otlp,
    /// A Prometheus scrape.
    Scrape,
    /// Prometheus remote write.
    RemoteWrite,
}

/// Where points come from: one half of a series' identity. Interned; compare with [`Arc::ptr_eq`].
#[derive(Debug, Default)]
pub struct Origin {
    slot: Slot,
    hash: u64,
    /// Which protocol the points came by.
    pub source: Source,
    /// Resource; `job` and `instance` are its `service.name` and `service.instance.id`.
    pub resource: Resource,
    /// Scope.
    pub scope: Scope,
    /// Attributes that every point of this origin has, such as the further labels of a scrape target.
    pub labels: Attributes,
}

impl Origin {
    /// The interned origin of these parts.
    pub fn intern(source: Source, resource: Resource, scope: Scope, labels: Attributes) -> Arc<Self> {
        let mut hasher = StableHasher::default();
        hash_attributes(&mut hasher, &resource.attributes);
        hasher.str(&resource.schema_url);
        hasher.str(&scope.name);
        hasher.str(&scope.version);
        hash_attributes(&mut hasher, &scope.attributes);
        hash_attributes(&mut hasher, &labels);
        let hash = hasher.finish();
        Self::pool().intern(Self { slot: Slot::default(), hash, source, resource, scope, labels })
    }

    /// Dense id for side tables; check its generation before believing an entry.
    pub fn slot(&self) -> Slot {
        self.slot
    }

    /// A hash of the contents, the same in every process.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// How many origins are alive in this process.
    pub fn alive() -> usize {
        Self::pool().len()
    }
}

/// What is measured: the other half of a series' identity. Interned; compare with [`Arc::ptr_eq`].
#[derive(Debug)]
pub struct Series {
    slot: Slot,
    hash: u64,
    /// The family it belongs to.
    pub family: Arc<Family>,
    /// The name of the sample as the source wrote it, with the suffix of its part.
    pub name: Arc<str>,
    /// Its part in the family.
    pub part: Part,
    /// Attributes of its own, without those of the origin and without the label of its part.
    pub attributes: Attributes,
}

impl Series {
    /// The interned series of these parts.
    pub fn intern(family: Arc<Family>, name: Arc<str>, part: Part, attributes: Attributes) -> Arc<Self> {
        let mut hasher = StableHasher::default();
        hasher.str(&name);
        if let Some((label, value)) = part.label() {
            hasher.str(label);
            hasher.str(value);
        }
        hash_attributes(&mut hasher, &attributes);
        let hash = hasher.finish();
        Self::pool().intern(Self { slot: Slot::default(), hash, family, name, part, attributes })
    }

    /// Dense id for side tables; check its generation before believing an entry.
    pub fn slot(&self) -> Slot {
        self.slot
    }

    /// A hash of name, part and attributes, the same in every process.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// How many series are alive in this process, counted once however many origins share them.
    pub fn alive() -> usize {
        Self::pool().len()
    }
}

/// A list of series that points index. Interned, so that a thousand targets with one page hold one table.
#[derive(Debug)]
pub struct SeriesTable {
    slot: Slot,
    hash: u64,
    series: Box<[Arc<Series>]>,
}

impl SeriesTable {
    /// The interned table of these series, in this order.
    pub fn intern(series: Vec<Arc<Series>>) -> Arc<Self> {
        let mut hasher = StableHasher::default();
        for s in &series {
            hasher.0.write_u64(s.hash);
        }
        let hash = hasher.finish();
        Self::pool().intern(Self { slot: Slot::default(), hash, series: series.into_boxed_slice() })
    }

    /// Dense id for side tables; check its generation before believing an entry.
    pub fn slot(&self) -> Slot {
        self.slot
    }

    /// The series at `index`.
    #[inline]
    pub fn get(&self, index: u32) -> Option<&Arc<Series>> {
        self.series.get(index as usize)
    }

    /// All series.
    pub fn as_slice(&self) -> &[Arc<Series>] {
        &self.series
    }

    /// How many series there are.
    pub fn len(&self) -> usize {
        self.series.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.series.is_empty()
    }
}

#[derive(Default)]
struct StableHasher(Xxh3Default);

impl StableHasher {
    fn str(&mut self, s: &str) {
        self.0.update(s.as_bytes());
        self.0.update(&[0xff]);
    }

    fn finish(&self) -> u64 {
        self.0.digest()
    }
}

fn hash_attributes(hasher: &mut StableHasher, attributes: &Attributes) {
    attributes.hash_into(|bytes| hasher.0.update(bytes));
    hasher.0.update(&[0xfe]);
}

macro_rules! interned {
    ($type:ty, $pool:ident, |$a:ident, $b:ident| $same:expr) => {
        static $pool: Pool<$type> = Pool::new();

        impl Interned for $type {
            fn pool() -> &'static Pool<Self> {
                &$pool
            }
            fn hash(&self) -> u64 {
                self.hash
            }
            fn same(&self, other: &Self) -> bool {
                let ($a, $b) = (self, other);
                $same
            }
            fn slot(&mut self) -> &mut Slot {
                &mut self.slot
            }
        }

        impl Drop for $type {
            fn drop(&mut self) {
                $pool.remove(self.hash, self.slot, self);
            }
        }
    };
}

interned!(Origin, ORIGINS, |a, b| a.source == b.source
    && a.resource == b.resource
    && a.scope == b.scope
    && a.labels == b.labels);
interned!(Series, SERIES, |a, b| a.name == b.name
    && a.part == b.part
    && a.attributes == b.attributes
    && (Arc::ptr_eq(&a.family, &b.family) || a.family == b.family));
interned!(SeriesTable, TABLES, |a, b| a.series.len() == b.series.len()
    && a.series.iter().zip(&b.series).all(|(x, y)| Arc::ptr_eq(x, y)));

#[cfg(test)]
mod tests {
    use super::*;

    fn series(name: &str, attributes: &[(&str, &str)]) -> Arc<Series> {
        let family = Arc::new(Family { name: name.into(), ..Family::default() });
        Series::intern(family, name.into(), Part::Whole, Attributes::from_pairs(attributes.iter().copied()))
    }

    #[test]
    fn equal_series_are_one_and_gone_ones_give_their_id_back() {
        let a = series("model_test_a", &[("x", "1")]);
        let same = series("model_test_a", &[("x", "1")]);
        assert!(Arc::ptr_eq(&a, &same));
        let other = series("model_test_a", &[("x", "2")]);
        assert!(!Arc::ptr_eq(&a, &other));
        assert_ne!(a.slot().id, other.slot().id);
        let before = a.slot();
        drop((a, same));
        let again = series("model_test_a", &[("x", "1")]);
        assert_ne!(again.slot().generation, before.generation);
    }

    #[test]
    fn tables_are_shared_by_content() {
        let all = vec![series("model_test_t", &[("x", "1")]), series("model_test_t", &[("x", "2")])];
        let a = SeriesTable::intern(all.clone());
        let b = SeriesTable::intern(all);
        assert!(Arc::ptr_eq(&a, &b));
        assert_eq!(a.len(), 2);
        assert!(a.get(2).is_none());
    }

    #[test]
    fn interning_from_many_threads_never_deadlocks_and_leaves_nothing() {
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for i in 0..2000 {
                        let s = series("model_test_race", &[("x", &(i % 7).to_string())]);
                        assert_eq!(s.attributes.len(), 1);
                    }
                });
            }
        });
        assert!((0..7).all(|i| Arc::strong_count(&series("model_test_race", &[("x", &i.to_string())])) == 1));
    }
}

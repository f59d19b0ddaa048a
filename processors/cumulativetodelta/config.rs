//! The keys of `cumulativetodelta`.

use crate::deltatocumulative::MAX_STREAMS;
use crate::matching::{MatchType, RegexpKeys, Texts, compile_texts};
use pipeline::config::{ConfigErrors, GoDuration, Node, StringList, decode};
use pipeline::temporality::StreamLimits;
use pipeline::{Family, FamilyKind, Temporality};
use serde::Deserialize;
use std::time::Duration;

/// The keys as they are written; see the module's documentation.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Keys {
    include: Option<ChoiceKeys>,
    exclude: Option<ChoiceKeys>,
    max_staleness: GoDuration,
    initial_value: String,
    max_streams: i64,
}

impl Default for Keys {
    fn default() -> Self {
        Self {
            include: None,
            exclude: None,
            max_staleness: GoDuration::from_secs(3600),
            initial_value: "auto".to_owned(),
            max_streams: MAX_STREAMS,
        }
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ChoiceKeys {
    match_type: String,
    #[serde(rename = "regexp")]
    _regexp: RegexpKeys,
    metrics: StringList,
    metric_types: StringList,
}

/// What becomes of the first point of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InitialValue {
    /// Kept if counting began after the processor did, so that all of it is new.
    Auto,
    /// Kept.
    Keep,
    /// Dropped.
    Drop,
}

/// The types of metrics that are converted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MetricType {
    Sum,
    Histogram,
    ExponentialHistogram,
}

impl MetricType {
    pub(super) const ALL: [Self; 3] = [Self::Sum, Self::Histogram, Self::ExponentialHistogram];

    /// As configurations and metrics have it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Sum => "sum",
            Self::Histogram => "histogram",
            Self::ExponentialHistogram => "exponentialhistogram",
        }
    }

    /// The type of a family whose points can be converted.
    pub(super) fn of(family: &Family) -> Option<Self> {
        const CUMULATIVE: Temporality = Temporality::Cumulative;
        match family.kind {
            FamilyKind::Sum { monotonic: true, temporality: CUMULATIVE } => Some(Self::Sum),
            FamilyKind::Histogram { temporality: CUMULATIVE } => Some(Self::Histogram),
            FamilyKind::ExponentialHistogram { temporality: CUMULATIVE } => Some(Self::ExponentialHistogram),
            _ => None,
        }
    }
}

/// Some metrics, by name and type. What is not given chooses all.
#[derive(Debug)]
struct Choice {
    names: Option<Texts>,
    types: Vec<MetricType>,
}

/// Checked and compiled.
#[derive(Debug)]
pub(super) struct Config {
    include: Option<Choice>,
    exclude: Option<Choice>,
    pub(super) initial_value: InitialValue,
    pub(super) limits: StreamLimits,
}

impl Config {
    /// Reads and checks the block.
    pub(super) fn read(node: &Node) -> Result<Self, ConfigErrors> {
        let keys: Keys = decode(node, "")?;
        let mut errors = ConfigErrors::new();
        let include = keys.include.and_then(|keys| errors.collect(keys.compile("include", node)));
        let exclude = keys.exclude.and_then(|keys| errors.collect(keys.compile("exclude", node)));
        let initial_value = match keys.initial_value.as_str() {
            "auto" => InitialValue::Auto,
            "keep" => InitialValue::Keep,
            "drop" => InitialValue::Drop,
            other => {
                let message = format!("unknown initial_value: {other}: use auto, keep or drop");
                errors.push(node.error_at("", "initial_value", message));
                InitialValue::Auto
            }
        };
        if keys.max_staleness.is_negative() {
            errors.push(node.error_at("", "max_staleness", "max_staleness must not be negative"));
        }
        if keys.max_streams < 0 {
            errors.push(node.error_at("", "max_streams", "max_streams must not be negative"));
        }
        let max_stale = match keys.max_staleness.to_std() {
            Duration::ZERO => Duration::MAX,
            other => other,
        };
        let limits = StreamLimits { max_streams: usize::try_from(keys.max_streams).unwrap_or(0), max_stale };
        errors.into_result(Self { include, exclude, initial_value, limits })
    }

    /// Whether points of this family are to be converted.
    pub(super) fn concerns(&self, family: &Family) -> bool {
        let Some(kind) = MetricType::of(family) else { return false };
        let named = |choice: &Choice| choice.names.as_ref().map(|names| names.matches(&family.name));
        let typed = |choice: &Choice| (!choice.types.is_empty()).then(|| choice.types.contains(&kind));
        let included = |choice: &Choice| {
            named(choice).is_none_or(|matches| matches) && typed(choice).is_none_or(|matches| matches)
        };
        let excluded = |choice: &Choice| named(choice) == Some(true) || typed(choice) == Some(true);
        self.include.as_ref().is_none_or(included) && !self.exclude.as_ref().is_some_and(excluded)
    }
}

impl ChoiceKeys {
    fn compile(&self, name: &str, node: &Node) -> Result<Choice, ConfigErrors> {
        let mut errors = ConfigErrors::new();
        let mut failed =
            |key: &str, message: String| errors.push(node.error_at("", &format!("{name}::{key}"), message));
        let names = match (self.match_type.as_str(), self.metrics.is_empty()) {
            ("", true) => None,
            ("", false) => {
                failed("metrics", "match_type must be set if metrics are supplied".to_owned());
                None
            }
            (_, true) => {
                failed("match_type", "metrics must be supplied if match_type is set".to_owned());
                None
            }
            (given, false) => match MatchType::named(given) {
                Some(match_type) => {
                    compile_texts(match_type, &self.metrics).map_err(|message| failed("metrics", message)).ok()
                }
                None => {
                    failed(
                        "match_type",
                        format!("unrecognized match_type: {given:?}, valid types are: [regexp strict]"),
                    );
                    None
                }
            },
        };
        let mut types = Vec::new();
        for given in self.metric_types.iter() {
            match MetricType::ALL.iter().find(|known| known.name() == given.to_lowercase()) {
                Some(known) => types.push(*known),
                None => {
                    let valid = MetricType::ALL.map(MetricType::name).join(" ");
                    failed(
                        "metric_types",
                        format!(
                            "found invalid metric type in {name}.metric_types: {given}. Valid values are [{valid}]"
                        ),
                    );
                }
            }
        }
        errors.into_result(Choice { names, types })
    }
}

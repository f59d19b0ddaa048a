//! The labels of a target: what discovery found, filled up with what the job says, relabelled, and checked.

use prometheus::duration::{DurationError, PromDuration};
use prometheus::labels::{Labels, LabelsBuilder};
use prometheus::quote::quoted;
use std::time::Duration;

use crate::prometheus::config::ScrapeJob;
use crate::prometheus::discovery::{ADDRESS, TargetGroup};

const INTERVAL: &str = "__scrape_interval__";
const TIMEOUT: &str = "__scrape_timeout__";
const TO_NHCB: &str = "__convert_classic_histograms_to_nhcb__";
const ALWAYS_CLASSIC: &str = "__always_scrape_classic_histograms__";
const NATIVE: &str = "__scrape_native_histograms__";
const META_PREFIX: &str = "__meta_";
const INSTANCE: &str = "instance";

/// Why the labels of a target cannot be used. The wording is Prometheus'.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LabelError {
    /// `__address__` is missing or was removed by relabelling.
    #[error("no address")]
    NoAddress,
    /// An address is a host and a port, not a URL.
    #[error("{} is not a valid hostname", quoted(.0.as_bytes()))]
    BadAddress(String),
    /// `__scrape_interval__` or `__scrape_timeout__` is no duration.
    #[error("error parsing scrape {0}: {1}")]
    BadDuration(&'static str, DurationError),
    /// `__scrape_interval__` or `__scrape_timeout__` is zero.
    #[error("scrape {0} cannot be 0")]
    ZeroDuration(&'static str),
    /// `__scrape_timeout__` is larger than `__scrape_interval__`.
    #[error("scrape timeout cannot be greater than scrape interval ({} > {})", quoted(.0.as_bytes()), quoted(.1.as_bytes()))]
    TimeoutTooLong(String, String),
    /// One of the labels that switch something on is neither true nor false.
    #[error("error parsing {0}: strconv.ParseBool: parsing {value}: invalid syntax", value = quoted(.1.as_bytes()))]
    BadBool(&'static str, String),
}

/// What a target's labels say about its scrapes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    pub(super) interval: Duration,
    pub(super) timeout: Duration,
    pub(super) native_histograms: bool,
    pub(super) always_classic_histograms: bool,
    pub(super) classic_histograms_to_nhcb: bool,
}

/// The labels that a job gives to targets which do not have them. Worked out once per job, not once per target.
pub(super) struct Defaults(Vec<(String, String)>);

impl Defaults {
    pub(super) fn new(job: &ScrapeJob) -> Self {
        let pair = |name: &str, value: String| (name.to_owned(), value);
        let mut all = vec![
            pair("job", job.job_name.to_string()),
            pair(INTERVAL, PromDuration(job.interval).to_string()),
            pair(TIMEOUT, PromDuration(job.timeout).to_string()),
            pair("__metrics_path__", job.metrics_path.clone()),
            pair("__scheme__", job.scheme.clone()),
            pair(TO_NHCB, job.histograms.classic_to_nhcb.to_string()),
            pair(ALWAYS_CLASSIC, job.histograms.always_classic.to_string()),
            pair(NATIVE, job.histograms.native.to_string()),
        ];
        for (name, values) in &job.params {
            all.extend(values.first().map(|first| (format!("__param_{name}"), first.clone())));
        }
        Self(all)
    }
}

/// Fills `builder` with the labels of a target before relabelling.
pub(super) fn discovered(builder: &mut LabelsBuilder, own: &Labels, group: &TargetGroup, defaults: &Defaults) {
    builder.reset(own);
    for (name, value) in group.labels.iter() {
        if own.get(name).is_none() {
            builder.set(name, value);
        }
    }
    for (name, value) in &defaults.0 {
        if builder.get(name).unwrap_or_default().is_empty() {
            builder.set(name, value);
        }
    }
}

/// Checks the labels that relabelling left and brings them into their final form: without what discovery noted, and
/// with an instance.
pub(super) fn finish(builder: &mut LabelsBuilder) -> Result<Settings, LabelError> {
    let get = |name: &str| builder.get(name).unwrap_or_default();
    let address = get(ADDRESS);
    if address.is_empty() {
        return Err(LabelError::NoAddress);
    }
    if address.contains('/') {
        return Err(LabelError::BadAddress(address.to_owned()));
    }
    let duration = |name: &str, what: &'static str| {
        let duration: PromDuration = get(name).parse().map_err(|error| LabelError::BadDuration(what, error))?;
        if duration.is_zero() { Err(LabelError::ZeroDuration(what)) } else { Ok(duration.0) }
    };
    let interval = duration(INTERVAL, "interval")?;
    let timeout = duration(TIMEOUT, "timeout")?;
    if timeout > interval {
        return Err(LabelError::TimeoutTooLong(get(TIMEOUT).to_owned(), get(INTERVAL).to_owned()));
    }
    let flag = |name: &str, what: &'static str| {
        let text = get(name);
        parse_bool(text).ok_or_else(|| LabelError::BadBool(what, text.to_owned()))
    };
    let settings = Settings {
        interval,
        timeout,
        classic_histograms_to_nhcb: flag(TO_NHCB, "convert classic histograms to NHCB")?,
        always_classic_histograms: flag(ALWAYS_CLASSIC, "always scrape classic histograms")?,
        native_histograms: flag(NATIVE, "scrape native histograms")?,
    };
    if get(INSTANCE).is_empty() {
        let address = address.to_owned();
        builder.set(INSTANCE, &address);
    }
    builder.retain(|name, _| !name.starts_with(META_PREFIX));
    Ok(settings)
}

/// What Go's `strconv.ParseBool` takes.
fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

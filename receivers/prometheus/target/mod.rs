//! Targets: what a job makes of the groups that discovery finds.
//!
//! [`TargetSet::build`] turns groups into targets; [`TargetSet::diff`] says what changed against an earlier set, so
//! that loops of targets that stay go on undisturbed. A target keeps what scraping needs and no more: of the labels it
//! was discovered with only what its resource takes from them, unless asked to keep them all.

mod labels;
mod resource;
mod set;
mod url;

#[cfg(test)]
mod tests;

pub use self::labels::LabelError;
pub use self::resource::{KUBERNETES_PREFIX, resource_attributes};
pub use self::set::{Keep, TargetDiff, TargetFailure, TargetLimitExceeded, TargetSet};

use pipeline::Attributes;
use prometheus::hash::{self, target_hash};
use prometheus::labels::Labels;
use std::path::Path;
use std::time::Duration;

use self::labels::Settings;
use self::url::{param_of, target_url};

/// Phases are multiples of this, or of the interval's fiftieth if that is less, so that some targets are due at once where there
/// are hundreds. Most of a scrape's cost is what comes before it: a processor that has to wake up, and code and tables that are
/// in no cache any more. Eight targets that share this cost half as much as eight that come apart.
const MAX_PHASE_STEP: Duration = Duration::from_millis(100);
/// The fewest phases of an interval: a fiftieth of all targets is little enough at once.
const PHASE_STEPS: u32 = 50;

/// One thing to scrape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The labels that its samples carry: those that do not begin with `__`.
    pub labels: Labels,
    /// Where it is scraped, as Prometheus spells it. [`uri`](Self::uri) is the same, ready to be requested.
    pub url: Box<str>,
    /// What it is known by: equal for equal labels (all that relabelling left) and URL.
    pub hash: u64,
    /// How often it is scraped.
    pub interval: Duration,
    /// How long a scrape may take.
    pub timeout: Duration,
    /// The Unix socket it is reached through.
    pub unix_socket: Option<Box<Path>>,
    /// Whether native histograms are asked for.
    pub native_histograms: bool,
    /// Whether classic histograms are kept beside native ones.
    pub always_classic_histograms: bool,
    /// Whether classic histograms become native ones with custom buckets.
    pub classic_histograms_to_nhcb: bool,
    /// The resource attributes that OpenTelemetry gives it.
    pub resource: Attributes,
    /// All labels it was discovered with, if they were asked to be kept.
    pub discovered: Option<Labels>,
}

/// The URL of a target cannot be requested; its scrapes fail.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid target URL {url:?}: {reason}")]
pub struct InvalidUrl {
    /// The URL.
    pub url: String,
    /// What is wrong with it.
    pub reason: String,
}

impl Target {
    /// The URL in parsed form. Made when it is asked for, since ten thousand of them would be held for nothing.
    ///
    /// # Errors
    /// For an address or scheme that no URL can have. Prometheus notices at each scrape, too, and not before.
    pub fn uri(&self) -> Result<http::Uri, InvalidUrl> {
        self.url.parse().map_err(|error: http::uri::InvalidUri| InvalidUrl {
            url: self.url.clone().into(),
            reason: error.to_string(),
        })
    }

    /// How long after `now` (nanoseconds of Unix time) the first scrape is due, with the process' [`offset_seed`]. The phases of
    /// all targets are spread over the interval as Prometheus spreads them, in steps.
    pub fn first_scrape_delay(&self, now: u64, seed: u64) -> Duration {
        let nanos = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let interval = nanos(self.interval);
        let phase = hash::scrape_phase(interval, self.hash, seed);
        let step = nanos(MAX_PHASE_STEP.min(self.interval / PHASE_STEPS)).max(1);
        Duration::from_nanos(hash::first_scrape_delay(now, interval, phase - phase % step))
    }

    /// Makes a target of labels that relabelling let pass. `discovered` are the labels before it.
    fn new(labels: &Labels, settings: Settings, params: &[(String, Vec<String>)], discovered: &Labels) -> Self {
        let get = |name: &str| labels.get(name).unwrap_or_default();
        let param_labels = labels.iter().filter_map(|(name, value)| Some((param_of(name)?, value)));
        let url = target_url(get, param_labels, params);
        let socket = get("__unix_socket__");
        Self {
            hash: target_hash(labels.iter(), &url),
            labels: labels.iter().filter(|(name, _)| !name.starts_with("__")).collect(),
            url: url.into_boxed_str(),
            interval: settings.interval,
            timeout: settings.timeout,
            unix_socket: (!socket.is_empty()).then(|| Path::new(socket).into()),
            native_histograms: settings.native_histograms,
            always_classic_histograms: settings.always_classic_histograms,
            classic_histograms_to_nhcb: settings.classic_histograms_to_nhcb,
            resource: resource_attributes(get("job"), get("instance"), discovered),
            discovered: None,
        }
    }
}

/// The number that sets this process' scrapes apart from those of its replicas: made of the host's name and the
/// external labels, so that it is the same after a restart.
pub fn offset_seed(external_labels: &Labels) -> u64 {
    hash::offset_seed(&host_name(), external_labels)
}

/// The host's name as the kernel has it.
fn host_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map(|name| name.trim().to_owned())
        .or_else(|_| std::env::var("HOSTNAME"))
        .unwrap_or_default()
}

//! What all targets of a job share while they are scraped.

use super::buffers::Buffers;
use super::metrics::Metrics;
use super::state::JobRules;
use crate::prometheus::config::ScrapeJob;
use crate::prometheus::layout::{LabelLimits, LayoutPool, ResourceOf, SampleRules, TargetIdentity, own_origin};
use crate::prometheus::target::{Target, resource_attributes};
use net::client::{ClientConfigError, HttpClient};
use parking_lot::Mutex;
use pipeline::{AttributeValue, Attributes, AttributesBuilder, Output, Resource};
use prometheus::labels::{Labels, LabelsBuilder};
use prometheus::relabel::RelabelRules;
use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::io::Write as _;
use std::sync::Arc;

/// What all jobs of a receiver share.
#[derive(Debug)]
pub(in super::super) struct ReceiverShared {
    pub(super) output: Output,
    pub(super) metrics: Metrics,
    pub(super) buffers: Buffers,
    pub(super) user_agent: String,
}

/// A job that is being scraped.
#[derive(Debug)]
pub(super) struct JobRuntime {
    pub(super) job: Arc<ScrapeJob>,
    pub(super) rules: JobRules,
    pub(super) client: HttpClient,
    pub(super) pool: LayoutPool,
    pub(super) shared: Arc<ReceiverShared>,
    failure_log: Option<Mutex<std::fs::File>>,
}

/// Receiver-wide settings that shape samples.
#[derive(Clone, Debug, PartialEq)]
pub(in super::super) struct SampleSettings {
    pub(in super::super) external: Labels,
    pub(in super::super) trim_suffixes: bool,
}

impl JobRuntime {
    pub(super) fn new(
        job: &Arc<ScrapeJob>,
        settings: &SampleSettings,
        client: HttpClient,
        shared: &Arc<ReceiverShared>,
    ) -> Self {
        let limit = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
        let failure_log = job.scrape_failure_log_file.as_ref().and_then(|path| {
            std::fs::OpenOptions::new()
                .create(true)
                .append(true)
                .open(path)
                .inspect_err(|error| {
                    tracing::error!(file = %path.display(), %error, "The scrape failure log cannot be opened.");
                })
                .ok()
        });
        Self {
            rules: JobRules {
                samples: SampleRules {
                    honor_labels: job.honor_labels,
                    relabel: job.metric_relabel.compiled().clone(),
                    limits: LabelLimits {
                        count: limit(job.limits.labels),
                        name_length: limit(job.limits.label_name_length),
                        value_length: limit(job.limits.label_value_length),
                    },
                    sample_limit: limit(job.limits.samples),
                    validation: job.validation,
                    trim_suffixes: settings.trim_suffixes,
                    external: settings.external.clone(),
                },
                honor_timestamps: job.honor_timestamps,
                track_timestamps_staleness: job.track_timestamps_staleness,
                extra_scrape_metrics: job.extra_scrape_metrics,
            },
            job: Arc::clone(job),
            client,
            pool: LayoutPool::default(),
            shared: Arc::clone(shared),
            failure_log: failure_log.map(Mutex::new),
        }
    }

    /// A client for the job's targets.
    pub(super) fn client(job: &ScrapeJob) -> Result<HttpClient, ClientConfigError> {
        HttpClient::new(&job.client, &net::auth::Authenticators::default())
    }

    /// Whether samples come out of this job as they come out of `other`.
    pub(super) fn shapes_samples_like(&self, other: &Self) -> bool {
        let (a, b) = (&self.job, &other.job);
        a.metric_relabel == b.metric_relabel
            && a.honor_labels == b.honor_labels
            && a.honor_timestamps == b.honor_timestamps
            && a.limits == b.limits
            && a.validation == b.validation
            && self.rules.samples.external == other.rules.samples.external
            && self.rules.samples.trim_suffixes == other.rules.samples.trim_suffixes
    }

    /// What the target adds to its samples.
    pub(super) fn identity(&self, target: &Target) -> TargetIdentity {
        let resource = Resource { attributes: target.resource.clone(), ..Resource::default() };
        let rules = &self.rules.samples;
        TargetIdentity {
            origin: own_origin(rules, &target.labels, without_empty(&resource)),
            labels: target.labels.clone(),
            class: class(rules, &target.labels),
            resource_of: resource_of(target),
        }
    }

    /// Writes a failed scrape to `scrape_failure_log_file`: one JSON object a line.
    pub(super) fn log_failure(&self, target: &Target, message: &str) {
        let Some(file) = &self.failure_log else { return };
        let seconds = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let line = serde_json::json!({
            "time": seconds.as_secs_f64(),
            "level": "ERROR",
            "msg": message,
            "job_name": &*self.job.job_name,
            "target": &*target.url,
        });
        if let Err(error) = writeln!(file.lock(), "{line}") {
            tracing::warn!(%error, "The scrape failure log cannot be written.");
        }
    }
}

/// A resource without `service.name` or `service.instance.id` where relabelling took job or instance away.
fn without_empty(resource: &Resource) -> Resource {
    let mut attributes = AttributesBuilder::default();
    for (key, value) in &resource.attributes {
        let identifies = matches!(key, "service.name" | "service.instance.id");
        if !(identifies && value == AttributeValue::Str("")) {
            attributes.push(key, value);
        }
    }
    Resource { attributes: attributes.build(), ..resource.clone() }
}

/// Resources for series that say another job or instance than their target's.
fn resource_of(target: &Target) -> ResourceOf {
    let own = target.resource.clone();
    Box::new(move |job, instance| {
        let mut discovered = LabelsBuilder::new();
        discovered.set("__scheme__", own.get_str("url.scheme").unwrap_or_default());
        let mut attributes = AttributesBuilder::default();
        for (key, value) in own.iter().filter(|(key, _)| key.starts_with("k8s.")) {
            attributes.push(key, value);
        }
        let identifying: Attributes = resource_attributes(job, instance, &discovered.build());
        for (key, value) in &identifying {
            attributes.push(key, value);
        }
        without_empty(&Resource { attributes: attributes.build(), ..Resource::default() })
    })
}

/// Targets of the same class make the same series of the same page: by the names of their labels, and by
/// their values where rules or limits can see those.
fn class(rules: &SampleRules, labels: &Labels) -> u64 {
    let sees = |relabel: &RelabelRules| {
        let (reads, writes) = (relabel.reads(), relabel.writes());
        labels.iter().any(|(name, _)| reads.contains(name) || writes.contains(name))
    };
    let values = rules.honor_labels || rules.limits.value_length > 0 || sees(&rules.relabel);
    let mut hasher = DefaultHasher::new();
    for (name, value) in labels.iter() {
        name.hash(&mut hasher);
        if values {
            value.hash(&mut hasher);
        }
    }
    hasher.finish()
}

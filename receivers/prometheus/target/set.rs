//! All targets of a job, and how one set differs from another.

use prometheus::labels::{Labels, LabelsBuilder};
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use super::Target;
use super::labels::{Defaults, LabelError, discovered, finish};
use crate::prometheus::config::ScrapeJob;
use crate::prometheus::discovery::TargetGroup;

/// How many failures are described; the others are counted. They mostly have one cause.
const MAX_FAILURES: usize = 20;

/// What is kept of discovery for people to look at. Scraping needs none of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keep {
    /// Nothing.
    #[default]
    Nothing,
    /// The discovered labels of targets, and those of dropped targets up to the job's `keep_dropped_targets`.
    Discovered,
}

/// The targets of a job.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TargetSet {
    /// The targets in ascending order of their hashes, each once.
    targets: Vec<Arc<Target>>,
    /// How many targets relabelling dropped.
    pub dropped: usize,
    /// The discovered labels of dropped targets, as far as they are kept.
    pub dropped_labels: Vec<Labels>,
    /// How many targets cannot be used.
    pub failed: usize,
    /// What is wrong with the first of them.
    pub failures: Vec<TargetFailure>,
    /// If there are more targets than the job may have: then every scrape of the job fails with this error.
    pub over_limit: Option<TargetLimitExceeded>,
}

/// A target that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetFailure {
    /// The group it is in.
    pub source: Arc<str>,
    /// Its place in the group, from 0.
    pub index: usize,
    /// What is wrong.
    pub error: LabelError,
}

impl fmt::Display for TargetFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "instance {} in group {}: {}", self.index, self.source, self.error)
    }
}

/// A job has more targets than its `target_limit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("target_limit exceeded (number of targets: {targets}, limit: {limit})")]
pub struct TargetLimitExceeded {
    /// How many there are.
    pub targets: usize,
    /// How many there may be.
    pub limit: u64,
}

/// How a set of targets differs from an earlier one.
#[derive(Clone, Debug, Default)]
pub struct TargetDiff {
    /// Targets of both, as they were and as they are now: equal in all that scraping depends on but for what the
    /// hash leaves out, which is the resource.
    pub kept: Vec<(Arc<Target>, Arc<Target>)>,
    /// Targets that are new.
    pub added: Vec<Arc<Target>>,
    /// Targets that are gone.
    pub removed: Vec<Arc<Target>>,
}

impl TargetSet {
    /// Makes the targets of `job` from what discovery found for it.
    pub fn build<'a>(job: &ScrapeJob, groups: impl IntoIterator<Item = &'a Arc<TargetGroup>>, keep: Keep) -> Self {
        let defaults = Defaults::new(job);
        let mut set = Self::default();
        let mut seen = HashSet::new();
        let mut builder = LabelsBuilder::new();
        for group in groups {
            for (index, own) in group.targets.iter().enumerate() {
                discovered(&mut builder, own, group, &defaults);
                let before = builder.build();
                if !job.relabel.apply(&mut builder) {
                    set.drop_target(before, job, keep);
                    continue;
                }
                let settings = match finish(&mut builder) {
                    Ok(settings) => settings,
                    Err(error) => {
                        set.fail(TargetFailure { source: Arc::clone(&group.source), index, error });
                        continue;
                    }
                };
                let mut target = Target::new(&builder.build(), settings, &job.params, &before);
                if target.labels.is_empty() {
                    set.drop_target(before, job, keep);
                } else if seen.insert(target.hash) {
                    target.discovered = (keep == Keep::Discovered).then_some(before);
                    set.targets.push(Arc::new(target));
                }
            }
        }
        set.targets.sort_unstable_by_key(|target| target.hash);
        let (targets, limit) = (set.targets.len(), job.limits.targets);
        set.over_limit = (limit > 0 && targets as u64 > limit).then_some(TargetLimitExceeded { targets, limit });
        set
    }

    /// The targets in ascending order of their hashes, each once.
    pub fn targets(&self) -> &[Arc<Target>] {
        &self.targets
    }

    /// What changed from `old` to this set. Targets are matched by their hashes.
    pub fn diff(&self, old: &Self) -> TargetDiff {
        let mut diff = TargetDiff::default();
        let mut before = old.targets.iter().peekable();
        for target in &self.targets {
            while let Some(gone) = before.next_if(|earlier| earlier.hash < target.hash) {
                diff.removed.push(Arc::clone(gone));
            }
            match before.next_if(|earlier| earlier.hash == target.hash) {
                Some(earlier) => diff.kept.push((Arc::clone(earlier), Arc::clone(target))),
                None => diff.added.push(Arc::clone(target)),
            }
        }
        diff.removed.extend(before.map(Arc::clone));
        diff
    }

    fn drop_target(&mut self, labels: Labels, job: &ScrapeJob, keep: Keep) {
        self.dropped += 1;
        let limit = job.limits.keep_dropped_targets;
        if keep == Keep::Discovered && (limit == 0 || (self.dropped_labels.len() as u64) < limit) {
            self.dropped_labels.push(labels);
        }
    }

    fn fail(&mut self, failure: TargetFailure) {
        self.failed += 1;
        if self.failures.len() < MAX_FAILURES {
            self.failures.push(failure);
        }
    }
}

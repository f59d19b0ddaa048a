//! Running discoverers, gathering what they find, and making targets of it.

use pipeline::component::Program;
use pipeline::stop::Stop;
use pipeline::telemetry::Telemetry;
use std::collections::HashMap;
use std::future::pending;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::{Notify, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;

use super::file::FileDiscoverer;
use super::http::HttpDiscoverer;
use super::metrics::DiscoveryMetrics;
use super::provider::{Discoverer, Groups, Publisher};
use crate::prometheus::config::{DiscoveryConfig, HttpDiscovery, ScrapeJob};
use crate::prometheus::target::{Keep, TargetSet};
use tracing::Instrument as _;

/// The pause after an update that nothing came before for a while.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause between updates while changes keep coming; Prometheus' own.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// A job and its targets.
#[derive(Clone, Debug)]
pub struct JobTargets {
    /// The job.
    pub job: Arc<ScrapeJob>,
    /// Its targets. The same `Arc` as in the snapshot before if nothing changed for this job.
    pub targets: Arc<TargetSet>,
}

/// All jobs, in the order of the configuration.
pub type Snapshot = Arc<[JobTargets]>;

/// Finds the targets of all jobs of a receiver.
#[derive(Debug)]
pub struct Discovery {
    metrics: DiscoveryMetrics,
    user_agent: String,
    keep: Keep,
    snapshots: watch::Sender<Snapshot>,
    changed: Arc<Notify>,
    providers: Vec<Provider>,
    tasks: JoinSet<()>,
    jobs: Vec<Job>,
}

/// One discoverer, which all jobs with its setting share.
#[derive(Debug)]
struct Provider {
    config: DiscoveryConfig,
    groups: watch::Receiver<Option<Groups>>,
    task: AbortHandle,
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A job, what was found for it last, and the targets that were made of it.
#[derive(Debug)]
struct Job {
    job: Arc<ScrapeJob>,
    groups: Vec<Groups>,
    targets: Arc<TargetSet>,
}

impl Discovery {
    /// Discovery for the receiver called `receiver`, and where its snapshots can be read. The first is empty.
    pub fn new(
        telemetry: &Telemetry,
        receiver: &str,
        program: Program,
        keep: Keep,
    ) -> (Self, watch::Receiver<Snapshot>) {
        let (snapshots, latest) = watch::channel(Snapshot::from([]));
        let discovery = Self {
            metrics: DiscoveryMetrics::new(telemetry, receiver),
            user_agent: format!("{}/{}", program.name, program.version),
            keep,
            snapshots,
            changed: Arc::new(Notify::new()),
            providers: Vec::new(),
            tasks: JoinSet::new(),
            jobs: Vec::new(),
        };
        (discovery, latest)
    }

    /// Runs until told to stop. `jobs` are the jobs to find targets for; a change of them takes effect at once, and
    /// discoverers whose settings stay go on undisturbed.
    pub async fn run(mut self, mut jobs: watch::Receiver<Arc<[Arc<ScrapeJob>]>>, mut stop: Stop) {
        self.take_jobs(&jobs.borrow_and_update().clone());
        self.push(true);
        let mut pause = FIRST_PAUSE;
        let mut last = Instant::now();
        let mut waiting = false;
        let changed = Arc::clone(&self.changed);
        loop {
            let due = async { if waiting { tokio::time::sleep_until(last + pause).await } else { pending().await } };
            tokio::select! {
                () = stop.requested() => break,
                new = jobs.changed() => match new {
                    Ok(()) => {
                        self.take_jobs(&jobs.borrow_and_update().clone());
                        self.push(true);
                        waiting = false;
                        last = Instant::now();
                    }
                    // Nobody is left who could change the jobs.
                    Err(_) => {
                        stop.requested().await;
                        break;
                    }
                },
                () = changed.notified(), if !waiting => {
                    if last.elapsed() < pause {
                        self.metrics.delayed_updates.inc();
                        waiting = true;
                    } else {
                        // After a quiet time the next change is passed on at once, and the pauses begin anew.
                        pause = FIRST_PAUSE;
                        self.push(false);
                        last = Instant::now();
                    }
                }
                () = due => {
                    waiting = false;
                    self.push(false);
                    last = Instant::now();
                    pause = longer(pause);
                }
                Some(ended) = self.tasks.join_next() => report(ended),
            }
        }
        self.providers.clear();
        self.tasks.shutdown().await;
    }

    /// Runs what `jobs` need and nothing else.
    fn take_jobs(&mut self, jobs: &[Arc<ScrapeJob>]) {
        let needed = |config: &DiscoveryConfig| jobs.iter().any(|job| job.discovery.contains(config));
        self.providers.retain(|provider| needed(&provider.config));
        let mut failed = 0_u32;
        for config in jobs.iter().flat_map(|job| &job.discovery) {
            if !self.providers.iter().any(|provider| provider.config == *config)
                && let Err(error) = self.start(config)
            {
                failed += 1;
                tracing::error!(mechanism = config.mechanism(), error, "A discovery mechanism cannot be run.");
            }
        }
        self.metrics.failed_configs.set(f64::from(failed));
        let mut before: HashMap<Arc<str>, Job> =
            self.jobs.drain(..).map(|job| (Arc::clone(&job.job.job_name), job)).collect();
        self.jobs = jobs
            .iter()
            .map(|job| match before.remove(&job.job_name) {
                // An equal job keeps its targets as they are; one that changed gets new ones of the same groups
                // until its discoverers have found others.
                Some(known) if known.job == *job => known,
                Some(known) => Job::new(job, known.groups, self.keep),
                None => Job::new(job, Vec::new(), self.keep),
            })
            .collect();
        for gone in before.keys() {
            self.metrics.discovered_targets(gone).set(0.0);
        }
    }

    fn start(&mut self, config: &DiscoveryConfig) -> Result<(), String> {
        let discoverer: Box<dyn Discoverer> = match config {
            DiscoveryConfig::Static(_) => return Ok(()),
            DiscoveryConfig::File(file) => Box::new(FileDiscoverer {
                config: file.clone(),
                metrics: self.metrics.files(),
                refresh: self.metrics.refresh("file"),
            }),
            DiscoveryConfig::Http(http) => Box::new(HttpDiscoverer::new(
                HttpDiscovery::clone(http),
                &self.user_agent,
                self.metrics.http_failures(),
                self.metrics.refresh("http"),
            )?),
        };
        let received = self.metrics.received_updates.clone();
        let (publisher, groups) = Publisher::new(Arc::clone(&self.changed), received);
        let task = self.tasks.spawn(discoverer.run(publisher).in_current_span());
        self.providers.push(Provider { config: config.clone(), groups, task });
        Ok(())
    }

    /// Hands out what is known by now, if it differs from before or the jobs do.
    fn push(&mut self, jobs_changed: bool) {
        let mut differs = jobs_changed;
        for job in &mut self.jobs {
            let Some(groups) = gather(&self.providers, job) else { continue };
            let same = groups.len() == job.groups.len()
                && groups.iter().zip(&job.groups).all(|(new, old)| Arc::ptr_eq(new, old));
            if same {
                continue;
            }
            differs = true;
            *job = Job::new(&job.job, groups, self.keep);
            let found: usize = job.groups.iter().flat_map(|groups| groups.iter()).map(|g| g.targets.len()).sum();
            self.metrics.discovered_targets(&job.job.job_name).set(found as f64);
            job.report(&self.metrics);
        }
        if !differs {
            return;
        }
        let snapshot: Snapshot = self
            .jobs
            .iter()
            .map(|job| JobTargets { job: Arc::clone(&job.job), targets: Arc::clone(&job.targets) })
            .collect();
        self.metrics.updates.inc();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.metrics.last_update.set(now.as_secs_f64());
        drop(self.snapshots.send_replace(snapshot));
    }
}

/// All groups found for a job, by mechanism. `None` while a mechanism has not ended its first attempt and the job has
/// targets from before: they are better than a part of the new ones.
fn gather(providers: &[Provider], job: &Job) -> Option<Vec<Groups>> {
    let mut all = Vec::with_capacity(job.job.discovery.len());
    let mut complete = true;
    for config in &job.job.discovery {
        if let DiscoveryConfig::Static(groups) = config {
            all.push(Arc::clone(groups));
            continue;
        }
        let provider = providers.iter().find(|provider| provider.config == *config);
        match provider.map(|provider| provider.groups.borrow().clone()) {
            Some(Some(groups)) => all.push(groups),
            Some(None) => complete = false,
            None => {}
        }
    }
    (complete || job.groups.is_empty()).then_some(all)
}

/// The pause after one that was waited for: half as long again.
fn longer(pause: Duration) -> Duration {
    pause.saturating_mul(3).checked_div(2).map_or(LONGEST_PAUSE, |longer| longer.min(LONGEST_PAUSE))
}

fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "A discovery mechanism failed; its targets stay as they are until the next reload.");
    }
}

impl Job {
    fn new(job: &Arc<ScrapeJob>, groups: Vec<Groups>, keep: Keep) -> Self {
        let targets = TargetSet::build(job, groups.iter().flat_map(|groups| groups.iter()), keep);
        Self { job: Arc::clone(job), groups, targets: Arc::new(targets) }
    }

    /// Logs and counts targets that cannot be used.
    fn report(&self, metrics: &DiscoveryMetrics) {
        let name = &self.job.job_name;
        if self.targets.failed > 0 {
            metrics.sync_failed(name).add(self.targets.failed as u64);
        }
        for failure in &self.targets.failures {
            tracing::error!(job = %name, error = %failure, "A target cannot be used.");
        }
        if let Some(error) = self.targets.over_limit {
            tracing::error!(job = %name, %error, "A job has too many targets; all its scrapes fail.");
        }
    }
}

//! Runs a loop for each target of each job, and keeps them to what discovery and configuration say.

use super::job::{JobRuntime, ReceiverShared, SampleSettings};
use super::target_loop::{Orders, TargetLoop};
use crate::prometheus::config::ScrapeJob;
use crate::prometheus::discovery::{JobTargets, Snapshot};
use crate::prometheus::target::{Target, TargetSet};
use pipeline::stop::Stop;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::Instrument as _;

/// How the receiver scrapes, whatever the job.
#[derive(Clone, Debug)]
pub(in super::super) struct PoolSettings {
    pub(in super::super) samples: SampleSettings,
    /// Sets this process' phases apart from those of its replicas.
    pub(in super::super) seed: u64,
    pub(in super::super) initial_offset: Duration,
    pub(in super::super) scrape_on_shutdown: bool,
}

/// One job and the loops of its targets.
struct Pool {
    runtime: Arc<JobRuntime>,
    targets: Arc<TargetSet>,
    loops: HashMap<u64, watch::Sender<Orders>>,
}

/// One moment on both clocks, for all targets that are started at a time: those of one phase are due at the same moment then.
#[derive(Clone, Copy)]
struct Now {
    unix_nanos: u64,
    instant: Instant,
}

impl Now {
    fn read() -> Self {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { unix_nanos: u64::try_from(unix.as_nanos()).unwrap_or(u64::MAX), instant: Instant::now() }
    }
}

/// All jobs of a receiver.
pub(in super::super) struct Pools {
    shared: Arc<ReceiverShared>,
    settings: PoolSettings,
    pools: HashMap<Arc<str>, Pool>,
    tasks: JoinSet<()>,
    stop: Stop,
}

impl Pools {
    pub(in super::super) fn new(shared: Arc<ReceiverShared>, settings: PoolSettings, stop: Stop) -> Self {
        Self { shared, settings, pools: HashMap::new(), tasks: JoinSet::new(), stop }
    }

    /// Other settings for all jobs; they take effect with the next snapshot.
    pub(in super::super) fn set_settings(&mut self, settings: PoolSettings) {
        self.settings = settings;
    }

    /// Starts, changes and ends loops so that they are what `snapshot` says.
    pub(in super::super) fn apply(&mut self, snapshot: &Snapshot) {
        while let Some(ended) = self.tasks.try_join_next() {
            if let Err(error) = ended {
                tracing::error!(%error, "A scrape loop has failed.");
            }
        }
        let wanted: HashMap<&Arc<str>, &JobTargets> = snapshot.iter().map(|job| (&job.job.job_name, job)).collect();
        self.pools.retain(|name, pool| {
            let stays = wanted.contains_key(name);
            if !stays {
                pool.loops.values().for_each(remove);
            }
            stays
        });
        let now = Now::read();
        for job in snapshot.iter() {
            self.apply_job(job, now);
        }
        let targets: usize = self.pools.values().map(|pool| pool.loops.len()).sum();
        self.shared.metrics.targets.set(targets as f64);
    }

    fn apply_job(&mut self, new: &JobTargets, now: Now) {
        let name = &new.job.job_name;
        let old = self.pools.get(name);
        let unchanged_job = old.is_some_and(|pool| {
            *pool.runtime.job == *new.job
                && pool.runtime.rules.samples.external == self.settings.samples.external
                && pool.runtime.rules.samples.trim_suffixes == self.settings.samples.trim_suffixes
        });
        if unchanged_job && old.is_some_and(|pool| Arc::ptr_eq(&pool.targets, &new.targets)) {
            return;
        }
        let Some(runtime) = (match old {
            Some(pool) if unchanged_job => Some(Arc::clone(&pool.runtime)),
            _ => self.runtime(&new.job),
        }) else {
            return;
        };
        let over_limit = new.targets.over_limit.as_ref().map(ToString::to_string);
        let mut loops = self.pools.remove(name).map(|pool| pool.loops).unwrap_or_default();
        let mut kept = HashMap::with_capacity(new.targets.targets().len());
        for target in new.targets.targets() {
            let orders = Orders {
                runtime: Arc::clone(&runtime),
                target: Arc::clone(target),
                over_limit: over_limit.clone(),
                removed: false,
            };
            let sender = match loops.remove(&target.hash) {
                Some(sender) => {
                    sender.send_replace(orders);
                    sender
                }
                None => self.start(target, orders, now),
            };
            kept.insert(target.hash, sender);
        }
        loops.values().for_each(remove);
        let pool = Pool { runtime, targets: Arc::clone(&new.targets), loops: kept };
        self.pools.insert(Arc::clone(name), pool);
    }

    fn runtime(&self, job: &Arc<ScrapeJob>) -> Option<Arc<JobRuntime>> {
        match JobRuntime::client(job) {
            Ok(client) => Some(Arc::new(JobRuntime::new(job, &self.settings.samples, client, &self.shared))),
            Err(error) => {
                tracing::error!(job = %job.job_name, %error, "The job cannot be scraped.");
                None
            }
        }
    }

    fn start(&mut self, target: &Target, orders: Orders, now: Now) -> watch::Sender<Orders> {
        let delay = target.first_scrape_delay(now.unix_nanos, self.settings.seed) + self.settings.initial_offset;
        let (sender, receiver) = watch::channel(orders);
        let target_loop = TargetLoop::new(receiver, self.stop.clone());
        let first = now.instant + delay;
        self.tasks.spawn(target_loop.run(first, self.settings.scrape_on_shutdown).in_current_span());
        sender
    }

    /// Waits until all loops have ended, which they do when the receiver stops.
    pub(in super::super) async fn ended(mut self) {
        while let Some(ended) = self.tasks.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "A scrape loop has failed.");
            }
        }
    }
}

/// Tells a loop that its target is gone.
fn remove(orders: &watch::Sender<Orders>) {
    orders.send_modify(|orders| orders.removed = true);
}

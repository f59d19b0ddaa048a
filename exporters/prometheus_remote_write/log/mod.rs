//! The queue on disk: one log for all destinations, a cursor for each.
//!
//! What comes in is appended by one task ([`front`]), and whoever waits for it is told that it is persisted. Each
//! destination reads what it has not had ([`source`]) into the same encoder and shards that there are without a log, and
//! its cursor follows what has come to its end there ([`super::account`]). A destination that keeps up is given what was
//! appended as it is, so that nothing is read back in quiet times; one that does not reads the disk, and holds no more
//! in memory after an hour than after a minute.
//!
//! While the log takes nothing (the disk is full, or fails), batches go to the destinations through memory, in their
//! place in the order ([`inbox`]).

mod config;
mod front;
mod inbox;
mod metrics;
mod source;

pub(super) use config::{LogSettings, WalKeys};
pub(super) use source::LogSource;

use super::account::Account;
use super::metrics::Metrics;
use config::Place;
use front::Front;
use inbox::Inbox;
use metrics::{Lag, LogMetrics, publish};
use pipeline::component::{BuildContext, ComponentError, ComponentKind};
use pipeline::stop::Stop;
use pipeline::{Input, Point};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::task::JoinSet;
use tracing::Instrument as _;
use wal::{Log, Options, Storage, SyncPolicy};

/// Bytes of batches that may wait in memory while the log takes nothing: minutes, in which somebody may make room.
const KEPT_BYTES: usize = 256 << 20;

/// How long the end waits for threads that still read.
const LAST_READ: Duration = Duration::from_millis(300);

/// Tells others of this process that a log is open, so that nobody waits for its lock in vain: a successor is tried before
/// its predecessor has ended.
struct InUse {
    directory: PathBuf,
    holder: Weak<()>,
}

/// A log that is open, and whoever it is for.
pub(super) struct LogQueue {
    log: Log,
    /// What [`InUse`] looks at.
    holder: Arc<()>,
    metrics: Arc<LogMetrics>,
    publish_every: Duration,
    destinations: Vec<(Arc<Metrics>, Arc<Account>, Arc<Inbox>)>,
}

impl LogQueue {
    /// Opens the log of an exporter. A destination is known by its name.
    pub(super) async fn open(
        settings: &LogSettings,
        context: &BuildContext,
        destinations: Vec<(String, Arc<Metrics>)>,
    ) -> Result<Self, ComponentError> {
        let mut options = match &settings.place {
            Place::Directory(directory) => {
                // As the extension has them, but for the time to wait.
                let storage = Storage {
                    directory: directory.clone(),
                    permissions: Options::new(Path::new("")).permissions,
                    timeout: Duration::ZERO,
                    sync: SyncPolicy::default(),
                };
                storage.options(ComponentKind::Exporter, &context.id, "")
            }
            Place::Storage(id) => match context.shared.get::<Storage>(id) {
                Some(storage) => storage.options(ComponentKind::Exporter, &context.id, ""),
                None => {
                    return Err(ComponentError::new(format!(
                        "wal::storage names {id}, which is no storage that runs: define the extension and list it under service::extensions"
                    )));
                }
            },
        };
        options.sync = settings.sync.unwrap_or(options.sync);
        options.segment_bytes = settings.segment_bytes.unwrap_or(options.segment_bytes);
        options.max_bytes = Some(settings.max_bytes);
        options.max_age = settings.max_age;
        options.cursors = destinations.iter().map(|(name, _)| name.clone()).collect();
        let directory = options.directory.display().to_string();
        let in_use = context.shared.get::<InUse>(&context.id);
        if in_use.is_some_and(|other| other.directory == options.directory && other.holder.strong_count() > 0) {
            return Err(ComponentError::new(format!(
                "failed to open WAL: the log in {directory} is in use by the predecessor"
            )));
        }
        let holder = Arc::new(());
        let here = InUse { directory: options.directory.clone(), holder: Arc::downgrade(&holder) };
        let opened = tokio::task::spawn_blocking(move || Log::open(options)).await;
        let log = match opened {
            Ok(Ok(log)) => log,
            Ok(Err(error)) => return Err(ComponentError::caused("failed to open WAL", error)),
            Err(error) => return Err(ComponentError::caused("failed to open WAL", error)),
        };
        context.shared.provide(context.id.clone(), here);
        let metrics = Arc::new(LogMetrics::new(&context.telemetry, &context.id.to_string()));
        metrics.opened(&log, &context.telemetry, &context.id.to_string());
        for (cursor, (name, _)) in destinations.iter().enumerate() {
            let backlog = log.backlog(cursor);
            if backlog.samples > 0 {
                tracing::info!(
                    directory,
                    endpoint = name,
                    samples = backlog.samples,
                    bytes = backlog.bytes,
                    "The log holds samples that were not delivered yet; they are sent first."
                );
            }
        }
        let most_kept = KEPT_BYTES / size_of::<Point>();
        let with_inbox = |(_, metrics)| (metrics, Arc::default(), Arc::new(Inbox::new(most_kept)));
        let destinations = destinations.into_iter().map(with_inbox).collect();
        Ok(Self { log, holder, metrics, publish_every: settings.publish_every, destinations })
    }

    /// What each destination reads, in the order of destinations.
    pub(super) fn sources(&self, stop: &Stop) -> Vec<LogSource> {
        let source = |(cursor, (_, account, inbox)): (usize, &(_, Arc<Account>, Arc<Inbox>))| {
            LogSource::new(&self.log, cursor, Arc::clone(inbox), Arc::clone(account), stop.clone())
        };
        self.destinations.iter().enumerate().map(source).collect()
    }

    /// Starts what runs beside the destinations: following with the cursors, syncing, reporting.
    pub(super) fn keep(&self) -> Keeper {
        let mut tasks = JoinSet::new();
        let mut lags = Vec::new();
        for (cursor, (metrics, account, inbox)) in self.destinations.iter().enumerate() {
            tasks.spawn(follow(self.log.clone(), cursor, Arc::clone(account)).in_current_span());
            lags.push(Lag::new(&self.log, cursor, Arc::clone(metrics), Arc::clone(account), Arc::clone(inbox)));
        }
        let lags: Arc<[Lag]> = lags.into();
        tasks.spawn(self.log.clone().maintain_while_open().in_current_span());
        let (log, metrics, reported, every) =
            (self.log.clone(), Arc::clone(&self.metrics), Arc::clone(&lags), self.publish_every);
        tasks.spawn(async move {
            loop {
                publish(&log, &metrics, &reported);
                tokio::time::sleep(every).await;
            }
        });
        Keeper { tasks, lags }
    }

    /// Appends what comes in until the input closes. Returns how many points were lost at the deadline.
    pub(super) async fn append(&self, input: Input, stop: Stop) -> u64 {
        let inboxes = self.destinations.iter().map(|(_, _, inbox)| Arc::clone(inbox)).collect();
        Front::new(&self.log, inboxes, Arc::clone(&self.metrics)).run(input, stop).await
    }

    /// Notes how far everybody has come, and gives the directory free. All destinations have ended.
    pub(super) async fn close(self, mut keeper: Keeper) {
        keeper.tasks.shutdown().await;
        let Self { log, holder, metrics, destinations, .. } = self;
        let closed = tokio::task::spawn_blocking(move || {
            for (cursor, (_, account, _)) in destinations.iter().enumerate() {
                commit(&log, cursor, account);
            }
            publish(&log, &metrics, &keeper.lags);
            let closed = log.close(LAST_READ);
            drop(holder);
            closed
        });
        if let Ok(Err(error)) = closed.await {
            tracing::error!(%error, "The log could not be synced to the disk at the end.");
        }
    }
}

/// What runs beside the destinations of a log.
pub(super) struct Keeper {
    tasks: JoinSet<()>,
    lags: Arc<[Lag]>,
}

/// Has a cursor follow what comes to its end.
async fn follow(log: Log, cursor: usize, account: Arc<Account>) {
    loop {
        account.moved().await;
        let (log, account) = (log.clone(), Arc::clone(&account));
        if tokio::task::spawn_blocking(move || commit(&log, cursor, &account)).await.is_err() {
            // The runtime is ending.
            return;
        }
    }
}

fn commit(log: &Log, cursor: usize, account: &Account) {
    let Some(position) = account.reached() else { return };
    if let Err(error) = log.ack(cursor, position) {
        tracing::warn!(%error, "How far a destination has come cannot be written; after a restart, samples may be sent again.");
    }
}

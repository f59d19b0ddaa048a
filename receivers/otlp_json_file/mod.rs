//! The file receiver: reads OTLP requests from files that have one in JSON on each line, as the `file` exporter writes them.
//!
//! ```yaml
//! receivers:
//!   otlpjsonfile:
//!     include: [/var/spool/otlp/*.json]
//!     exclude: [/var/spool/otlp/private-*.json]
//!     start_at: beginning
//!     storage: file_storage
//! ```
//!
//! Files are looked for and read every `poll_interval`. A file is read while it grows; when it is renamed, to its end under its new
//! name; when it is cut off, from its beginning. With a `storage` extension it is kept there how far each file has been
//! delivered, and reading goes on from there after a restart: what was under way then comes twice rather than never.
//!
//! A line that is no request is counted, reported with its file and number, and left out. While the pipeline refuses data,
//! reading waits.

mod config;
mod deliver;
mod mark;
mod metrics;
mod offsets;
mod progress;
mod tail;
mod tails;
#[cfg(test)]
mod tests;

use async_trait::async_trait;
use pipeline::Output;
use pipeline::component::{Build, BuildContext, ComponentError, Factory, Receiver, ReceiverContext, Signal, Stability};
use pipeline::config::{ConfigErrors, Node};
use pipeline::stop::Stop;
use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval, sleep};
use wal::Storage;

use self::config::Config;
use self::metrics::FileMetrics;
use self::offsets::Offsets;
use self::progress::Progress;
use self::tails::{Look, Tails};
use crate::otlp_requests::RequestReader;

/// How often it is looked whether something was delivered, while that is waited for.
const SETTLE_EVERY: Duration = Duration::from_millis(20);
/// How long the end waits for what is under way to be delivered. What is not is read again after a restart.
const SETTLE_AT_END: Duration = Duration::from_secs(5);

/// What the program's table of components lists.
pub const FACTORY: Factory = Factory {
    type_name: "otlpjsonfile",
    aliases: &["otlp_json_file", "file"],
    summary: "Reads OTLP requests in JSON from the lines of files",
    signals: &[Signal::Metrics, Signal::Traces, Signal::Logs],
    stability: Stability::Stable,
    live_update: false,
    validate,
    build: Build::Receiver(build),
};

fn validate(node: &Node) -> Result<(), ConfigErrors> {
    Config::read(node).map(drop)
}

fn build(node: &Node, context: &BuildContext) -> Result<Box<dyn Receiver>, ComponentError> {
    FileReceiver::build(node, context).map(|receiver| Box::new(receiver) as _)
}

struct FileReceiver {
    id: String,
    config: Config,
    requests: Arc<RequestReader>,
    metrics: FileMetrics,
    offsets: Option<Offsets>,
    progress: Progress,
    /// Whether something has happened since it was kept how far files were delivered.
    changed: bool,
}

impl FileReceiver {
    fn build(node: &Node, context: &BuildContext) -> Result<Self, ComponentError> {
        let id = context.id.to_string();
        let config = Config::read(node)
            .map_err(|errors| ComponentError::caused(format!("receiver {id}: invalid configuration"), errors))?;
        let offsets = match &config.storage {
            None => None,
            Some(storage) => {
                let found = context.shared.get::<Storage>(storage).ok_or_else(|| {
                    ComponentError::new(format!(
                        "receiver {id}: there is no storage extension {storage}: configure it and list it in service::extensions"
                    ))
                })?;
                Some(Offsets::new(&found, &context.id))
            }
        };
        Ok(Self {
            requests: Arc::new(RequestReader::new(&context.telemetry, &id)),
            metrics: FileMetrics::new(&context.telemetry, &id),
            id,
            config,
            offsets,
            progress: Progress::default(),
            changed: true,
        })
    }
}

#[async_trait]
impl Receiver for FileReceiver {
    async fn run(mut self: Box<Self>, context: ReceiverContext) -> Result<(), ComponentError> {
        let ReceiverContext { output, mut stop, .. } = context;
        let mut tails = Tails::new(self.config.clone(), self.load().await?);
        let mut polls = interval(self.config.poll_interval);
        polls.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut more = false;
        while !stop.is_requested() {
            if !more {
                tokio::select! {
                    biased;
                    () = stop.requested() => break,
                    _ = polls.tick() => {}
                }
            }
            (tails, more) = self.poll(tails, &output, &mut stop).await?;
            tails = self.keep(tails, false).await?;
        }
        self.settle().await;
        self.keep(tails, true).await?;
        Ok(())
    }
}

/// Does something that may block, where blocking is allowed.
async fn blocking<T: Send + 'static, R: Send + 'static>(
    mut value: T,
    work: impl FnOnce(&mut T) -> R + Send + 'static,
) -> Result<(T, R), ComponentError> {
    let done = tokio::task::spawn_blocking(move || {
        let result = work(&mut value);
        (value, result)
    });
    done.await.map_err(|error| ComponentError::caused("reading files failed", error))
}

/// Whether the beginning of a line is all of a request.
fn is_whole(text: &[u8]) -> bool {
    text.first() == Some(&b'{') && serde_json::from_slice::<serde::de::IgnoredAny>(text).is_ok()
}

impl FileReceiver {
    /// What was kept before.
    async fn load(&mut self) -> Result<Vec<tails::Remembered>, ComponentError> {
        let Some(offsets) = self.offsets.take() else { return Ok(Vec::new()) };
        let (offsets, loaded) = blocking(offsets, Offsets::load).await?;
        let loaded = loaded.map_err(|error| {
            let path = offsets.path().display();
            ComponentError::caused(format!("receiver {}: {path} cannot be read: repair or remove it", self.id), error)
        })?;
        self.offsets = Some(offsets);
        Ok(loaded)
    }

    /// Keeps how far files were delivered.
    async fn keep(&mut self, tails: Tails, stopping: bool) -> Result<Tails, ComponentError> {
        self.progress.advance(stopping);
        if !self.changed {
            return Ok(tails);
        }
        let Some(offsets) = self.offsets.take() else { return Ok(tails) };
        self.changed = self.progress.in_flight() > 0;
        let progress = std::mem::take(&mut self.progress);
        let ((offsets, tails, progress), saved) = blocking((offsets, tails, progress), |(offsets, tails, progress)| {
            offsets.save(tails.remembered(|tail| progress.mark(tail)))
        })
        .await?;
        if let Err(error) = saved {
            self.changed = true;
            let path = offsets.path().display();
            tracing::error!(receiver = self.id, %path, %error, "How far files were read cannot be kept; after a restart they are read again.");
        }
        (self.offsets, self.progress) = (Some(offsets), progress);
        Ok(tails)
    }

    /// Looks for files and gives each a turn. Says whether there is more to be read at once.
    async fn poll(&mut self, tails: Tails, output: &Output, stop: &mut Stop) -> Result<(Tails, bool), ComponentError> {
        let (mut tails, look) = blocking(tails, Tails::look).await?;
        self.report(look);
        self.metrics.open.set(tails.open.len() as f64);
        let mut more = false;
        for at in 0..tails.open.len() {
            let Some(tail) = tails.open.get(at) else { break };
            if self.offsets.is_some() {
                self.progress.begin(tail);
            }
            let (path, file) = (tail.path.clone(), tail.identity);
            let (back, (read, found)) = blocking(tails, move |tails| {
                let mut found = VecDeque::new();
                (tails.read(at, &mut found, is_whole), found)
            })
            .await?;
            tails = back;
            match read {
                Ok(some) => more |= some,
                Err(trouble) => self.complain(&trouble.path, &trouble.what),
            }
            self.changed |= !found.is_empty();
            for line in found {
                if !self.take(&path, file, line, output, stop).await? {
                    return Ok((tails, false));
                }
            }
        }
        let progress = &self.progress;
        self.changed |= tails.open.iter().any(|tail| tail.gone);
        for (path, line, bytes) in tails.close_gone(|tail| progress.is_settled(tail)) {
            self.unfinished(&path, line, bytes);
        }
        self.progress.retain(|file| tails.open.iter().any(|tail| tail.identity == file));
        Ok((tails, more))
    }

    /// Waits for a while until what is under way has been delivered.
    async fn settle(&mut self) {
        let deadline = tokio::time::Instant::now() + SETTLE_AT_END;
        self.progress.advance(true);
        while self.progress.in_flight() > 0 && tokio::time::Instant::now() < deadline {
            sleep(SETTLE_EVERY).await;
            self.progress.advance(true);
        }
    }

    fn report(&mut self, look: Look) {
        for trouble in look.troubles {
            self.complain(&trouble.path, &trouble.what);
        }
        for (path, line, bytes) in look.unfinished {
            self.unfinished(&path, line, bytes);
        }
        self.changed |= !look.restarted.is_empty();
        look.restarted.into_iter().for_each(|file| self.progress.restart(file));
        if look.left_out > 0 {
            tracing::warn!(
                receiver = self.id,
                files = look.left_out,
                "More files than max_concurrent_files; these are read once others are gone."
            );
        }
    }

    fn complain(&self, path: &Path, error: &str) {
        let path = path.display();
        tracing::warn!(receiver = self.id, file = %path, error, "A file cannot be read; it is tried again.");
    }

    fn malformed(&self, path: &Path, line: u64, why: &str) {
        self.metrics.requests.malformed_requests.inc();
        let path = path.display();
        tracing::warn!(receiver = self.id, file = %path, line, error = why, "A line is no OTLP request and is left out.");
    }

    fn unfinished(&self, path: &Path, line: u64, bytes: usize) {
        self.malformed(path, line, &format!("its end never came; {bytes} bytes of it were there"));
    }
}

//! `file_sd_configs`: targets that stand in files.

use async_trait::async_trait;
use pipeline::config::{KeyStyle, Node, decode_with, parse_value};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::Instant;

use super::group::{GroupText, TargetGroup};
use super::metrics::{FileMetrics, RefreshMetrics};
use super::provider::{Discoverer, Groups, Publisher};
use super::watch::Directories;
use crate::prometheus::config::FileDiscovery;

/// How large a file may be: room for half a million addresses. A larger one was put there by mistake.
const MAX_FILE: u64 = 64 << 20;

/// Reads files when they change, and all of them from time to time.
pub(super) struct FileDiscoverer {
    pub(super) config: FileDiscovery,
    pub(super) metrics: FileMetrics,
    pub(super) refresh: RefreshMetrics,
}

/// Why a file gives no targets.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FileError {
    /// It cannot be opened or read.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// It is larger than anything sensible.
    #[error("the file has more than {MAX_FILE} bytes")]
    TooLarge,
    /// It is not JSON or not a list of groups.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    /// It is not YAML or not a list of groups.
    #[error("{0}")]
    Yaml(#[from] pipeline::config::ConfigErrors),
    /// The document is not a list.
    #[error("expected a list of target groups")]
    NotAList,
    /// A group is null.
    #[error("nil target group item found at index {0}")]
    NullGroup(usize),
}

/// What was found in files; a file that cannot be read keeps what it had.
#[derive(Default)]
struct Known(BTreeMap<PathBuf, Vec<Arc<TargetGroup>>>);

#[async_trait]
impl Discoverer for FileDiscoverer {
    async fn run(self: Box<Self>, publisher: Publisher) {
        let Self { config, metrics, refresh } = *self;
        let mut directories = Directories::new(&config.patterns, |error| {
            metrics.watcher_errors.inc();
            tracing::warn!(%error, "Files with targets cannot be watched; changes are noticed at the refresh interval only.");
        });
        let mut known = Known::default();
        loop {
            directories.refresh(|directory, error| {
                metrics.watcher_errors.inc();
                tracing::warn!(directory = %directory.display(), %error, "A directory with target files cannot be watched.");
            });
            let started = Instant::now();
            let (patterns, counters) = (config.patterns.clone(), metrics.clone());
            // Files may lie on a slow or dead network file system.
            let scan = tokio::task::spawn_blocking(move || {
                let failed = known.scan(&patterns, &counters);
                (known, failed)
            });
            let Ok((scanned, failed)) = scan.await else { return };
            known = scanned;
            metrics.scan_took(started.elapsed());
            refresh.took(started.elapsed());
            if failed {
                refresh.failures.inc();
            }
            publisher.publish(known.groups());
            tokio::select! {
                () = directories.changed() => {}
                () = tokio::time::sleep(config.refresh_interval) => {}
            }
        }
    }
}

impl Known {
    /// Reads all files. True if one of them could not be read.
    fn scan(&mut self, patterns: &[PathBuf], metrics: &FileMetrics) -> bool {
        let mut found: BTreeMap<PathBuf, Vec<Arc<TargetGroup>>> = BTreeMap::new();
        let mut failed = false;
        for path in patterns.iter().flat_map(|pattern| matching(pattern)) {
            if found.contains_key(&path) {
                continue;
            }
            let groups = match read_groups(&path) {
                Ok((groups, modified)) => {
                    metrics.modified(&path.to_string_lossy()).set(seconds(modified));
                    groups
                }
                Err(error) => {
                    failed = true;
                    metrics.read_errors.inc();
                    tracing::warn!(file = %path.display(), %error, "A file with targets cannot be read; its targets stay as they were.");
                    self.0.remove(&path).unwrap_or_default()
                }
            };
            found.insert(path, groups);
        }
        for gone in self.0.keys().filter(|path| !found.contains_key(*path)) {
            metrics.modified(&gone.to_string_lossy()).set(0.0);
        }
        self.0 = found;
        failed
    }

    fn groups(&self) -> Groups {
        self.0.values().flatten().map(Arc::clone).collect()
    }
}

fn seconds(modified: Option<SystemTime>) -> f64 {
    let since = modified.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    since.unwrap_or(Duration::ZERO).as_secs_f64()
}

/// The files that match a pattern, sorted.
fn matching(pattern: &Path) -> Vec<PathBuf> {
    // Patterns were checked when the configuration was read. A directory that cannot be listed has no files.
    glob::glob(&pattern.to_string_lossy()).into_iter().flatten().flatten().collect()
}

/// The groups of a file, and when it was modified.
///
/// # Errors
/// The file cannot be read or is not a list of groups.
pub(crate) fn read_groups(path: &Path) -> Result<(Vec<Arc<TargetGroup>>, Option<SystemTime>), FileError> {
    let file = File::open(path)?;
    let modified = file.metadata().and_then(|metadata| metadata.modified()).ok();
    let mut text = String::new();
    file.take(MAX_FILE + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_FILE {
        return Err(FileError::TooLarge);
    }
    let name = path.to_string_lossy();
    let is_json = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
    let groups = if is_json { json_groups(text.as_bytes())? } else { yaml_groups(&text, &name)? };
    let groups = groups
        .into_iter()
        .enumerate()
        .map(|(index, group)| Arc::new(group.into_group(format!("{name}:{index}"), &[("__meta_filepath", &name)])));
    Ok((groups.collect(), modified))
}

/// Groups as JSON. Shared with discovery over HTTP.
pub(super) fn json_groups(text: &[u8]) -> Result<Vec<GroupText>, FileError> {
    let groups: Option<Vec<Option<GroupText>>> = serde_json::from_slice(text)?;
    let groups = groups.unwrap_or_default().into_iter().enumerate();
    groups.map(|(index, group)| group.ok_or(FileError::NullGroup(index))).collect()
}

fn yaml_groups(text: &str, name: &str) -> Result<Vec<GroupText>, FileError> {
    let root: Node = parse_value(text, name)?;
    if root.is_null() {
        return Ok(Vec::new());
    }
    let groups = root.as_sequence().ok_or(FileError::NotAList)?;
    let read = |(index, node): (usize, &Node)| {
        if node.is_null() {
            return Err(FileError::NullGroup(index));
        }
        Ok(decode_with(node, &format!("[{index}]"), KeyStyle::Prometheus)?)
    };
    groups.iter().enumerate().map(read).collect()
}

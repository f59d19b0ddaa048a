//! The shared files: `~/.aws/credentials` and `~/.aws/config`, or wherever the environment says.
//!
//! Others write them while we read. The SSM agent truncates the file and writes it anew in place, without a lock; others rename a
//! new one over it, or swap a link. So what is read becomes what is used only when it looks whole and has stayed the
//! same for a while ([`settle`]); until then what was used before stays in force. Key, secret and token are always those of one reading.

mod ini;
pub(crate) mod settle;
#[cfg(test)]
mod tests;
mod watch;

use parking_lot::Mutex;
use settle::{Settler, Verdict};
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};
use tokio::time::Instant;

pub(crate) use watch::Watch;

/// How often files are looked at although no watch has told of a change. A look is one `stat` a file.
const POLL: Duration = Duration::from_secs(1);
/// After this many looks files are read although nothing seems to have changed: two writes within one tick of the file
/// system's clock look like one.
const READ_EVERY: u64 = 10;
/// Files of people with hundreds of accounts have some ten kilobytes.
const MAX_BYTES: u64 = 1 << 20;

/// What one file was when it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Content {
    /// There is none.
    #[default]
    Absent,
    /// It is there and cannot be read, and why.
    Unreadable(String),
    /// Its text.
    Text(String),
}

impl Content {
    /// Its text, if it could be read.
    pub(crate) fn text(&self) -> &str {
        if let Self::Text(text) = self { text } else { "" }
    }
}

/// Both files, read one right after the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// `credentials`.
    pub credentials: Content,
    /// `config`.
    pub config: Content,
}

/// What tells one state of a file from another without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    len: u64,
    file: u64,
}

/// The shared files of one profile.
#[derive(Debug)]
pub struct SharedFiles {
    credentials: PathBuf,
    config: PathBuf,
    profile: String,
    state: Mutex<State>,
    generation: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    looks: u64,
    stamps: Option<[Option<Stamp>; 2]>,
    settler: Settler,
    /// What kept the last reading from being used; said once.
    told: Option<&'static str>,
}

/// A state of the files that is in use.
#[derive(Clone, Debug)]
pub struct Generation {
    /// Counts from 1; another number means other contents.
    pub number: u64,
    /// What is in them.
    pub contents: Arc<Contents>,
}

impl SharedFiles {
    /// The files that the environment names (`AWS_SHARED_CREDENTIALS_FILE`, `AWS_CONFIG_FILE`), else those in the home directory of
    /// this process' user; `profile`, or the one that `AWS_PROFILE` names, or `default`.
    #[must_use]
    pub fn of_environment(profile: Option<&str>) -> Self {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let path = |name: &str, file: &str| {
            variable(name).map_or_else(|| in_home(&format!("~/.aws/{file}")), |path| in_home(&path))
        };
        let profile = profile.map(str::to_owned).or_else(|| variable("AWS_PROFILE"));
        Self::new(
            path("AWS_SHARED_CREDENTIALS_FILE", "credentials"),
            path("AWS_CONFIG_FILE", "config"),
            profile.unwrap_or_else(|| "default".to_owned()),
        )
    }

    /// These files and this profile. Reads nothing yet.
    #[must_use]
    pub fn new(credentials: PathBuf, config: PathBuf, profile: String) -> Self {
        Self { credentials, config, profile, state: Mutex::default(), generation: AtomicU64::new(0) }
    }

    /// The profile that credentials are taken from.
    #[must_use]
    pub fn profile(&self) -> &str {
        &self.profile
    }

    /// The path of `credentials`.
    #[must_use]
    pub fn credentials_path(&self) -> &Path {
        &self.credentials
    }

    /// The path of `config`.
    #[must_use]
    pub fn config_path(&self) -> &Path {
        &self.config
    }

    /// The number of the generation in use; 0 before the first one.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// What is in use, if anything was read yet.
    #[must_use]
    pub fn current(&self) -> Option<Generation> {
        let state = self.state.lock();
        let contents = state.settler.accepted()?;
        Some(Generation { number: self.number(), contents: Arc::clone(contents) })
    }

    /// Looks at the files, and takes up what is new and whole. Returns when to look again.
    ///
    /// Reads two small files; blocks no longer than that.
    pub fn look(&self) -> Duration {
        let mut state = self.state.lock();
        let stamps = [stamp(&self.credentials), stamp(&self.config)];
        let read_anyway = state.looks.is_multiple_of(READ_EVERY);
        state.looks += 1;
        if state.stamps.as_ref() == Some(&stamps) && !state.settler.is_unsettled() && !read_anyway {
            return POLL;
        }
        let contents = Contents { credentials: read(&self.credentials), config: read(&self.config) };
        let age = age(&stamps);
        state.stamps = Some(stamps);
        match state.settler.observe(contents, &self.profile, Instant::now(), age) {
            Verdict::Same => POLL,
            Verdict::Accepted => {
                state.told = None;
                self.generation.fetch_add(1, Ordering::AcqRel);
                POLL
            }
            Verdict::Waiting { again, doubt } => {
                if doubt.is_some() && state.told != doubt && state.settler.accepted().is_some() {
                    state.told = doubt;
                    tracing::debug!(
                        file = %self.credentials.display(),
                        profile = %self.profile,
                        doubt,
                        "The shared files have changed and are not whole yet; credentials stay as they were."
                    );
                }
                again.min(POLL)
            }
        }
    }

    /// A store has refused the credentials in use.
    pub(crate) fn refused(&self) {
        self.state.lock().settler.refused();
    }

    /// A value of the profile as it is in use, such as `region` or `role_arn`. Reads the files if nobody has done so yet.
    #[must_use]
    pub fn value(&self, key: &str) -> Option<String> {
        if self.number() == 0 {
            self.look();
        }
        let generation = self.current()?;
        ini::value(&generation.contents, &self.profile, key).map(str::to_owned)
    }

    /// Waits until it is known what is in the files, if somebody is just writing them; at most as long as settling takes.
    pub async fn settled(&self) -> Option<Generation> {
        let started = Instant::now();
        loop {
            let again = self.look();
            let current = self.current();
            if current.is_some() || started.elapsed() > settle::UNFINISHED + settle::DOUBTFUL {
                return current;
            }
            tokio::time::sleep(again).await;
        }
    }
}

/// `~` is the home directory, as in `~/.aws/config`.
fn in_home(path: &str) -> PathBuf {
    match path.strip_prefix("~/") {
        // Falls back on the system's list of users: services of systemd have no HOME.
        Some(rest) => std::env::home_dir().unwrap_or_else(|| PathBuf::from("/")).join(rest),
        None => PathBuf::from(path),
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    use std::os::unix::fs::MetadataExt as _;
    let metadata = fs::metadata(path).ok()?;
    Some(Stamp { modified: metadata.modified().ok(), len: metadata.len(), file: metadata.ino() })
}

/// How long ago the younger of both files was written; none if that is not known or in the future.
fn age(stamps: &[Option<Stamp>; 2]) -> Option<Duration> {
    let modified = stamps.iter().flatten().map(|stamp| stamp.modified).max();
    match modified {
        None => Some(Duration::MAX),
        Some(modified) => SystemTime::now().duration_since(modified?).ok(),
    }
}

/// Reads a file in one go.
fn read(path: &Path) -> Content {
    let text = fs::File::open(path).and_then(|file| {
        let mut text = String::new();
        file.take(MAX_BYTES + 1).read_to_string(&mut text).map(|_| text)
    });
    match text {
        Ok(text) if text.len() as u64 > MAX_BYTES => Content::Unreadable("it has more than 1 MiB".to_owned()),
        Ok(text) => Content::Text(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Content::Absent,
        Err(error) => Content::Unreadable(error.to_string()),
    }
}

//! Credentials that are always fresh: refreshed before they expire, when a source has newer ones, and when a store refuses them.

use crate::credentials::{CredentialSource, Identity, LoadError};
use crate::shared_files::{SharedFiles, Watch};
use arc_swap::ArcSwapOption;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// How long before their expiry credentials are renewed, if they live long enough.
const AHEAD: Duration = Duration::from_secs(300);
/// Credentials without expiry are asked for again after this time: their source may have others by now.
const WITHOUT_EXPIRY: Duration = Duration::from_secs(900);
/// No source takes longer to answer or fail, but for commands that wait for somebody. IMDS is tried four times.
const LOAD_TIMEOUT: Duration = Duration::from_secs(60);
/// The time between attempts of a source that fails: doubled from the first to the last.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// Refused credentials are asked for again at most once in this time, however many requests were refused.
const REFUSAL_PAUSE: Duration = Duration::from_secs(1);
/// What is said to have failed when no provider can be named.
const SOURCE: &str = "the credential source";
/// How often a lasting failure is told again.
const TELL_AGAIN: Duration = Duration::from_secs(300);

/// Keeps the credentials of one source. [`CredentialCache::keep_fresh`] does so in the background; without it they are renewed when a request finds
/// them expired.
pub struct CredentialCache {
    source: Arc<dyn CredentialSource>,
    files: Option<Arc<SharedFiles>>,
    current: ArcSwapOption<Identity>,
    /// One load at a time; whoever comes meanwhile shares its result. A load goes on when who has begun it gives up waiting.
    loading: tokio::sync::Mutex<Option<Loading>>,
    state: Mutex<State>,
    /// A store has refused what is in use since it was loaded.
    refused: AtomicBool,
    wake: Notify,
}

type Loading = JoinHandle<Result<Identity, LoadError>>;

#[derive(Debug, Default)]
struct State {
    loaded: Option<Instant>,
    renew_at: Option<Instant>,
    failure: Option<Failure>,
    /// The key that a store has refused, and when it did so first.
    refused: Option<(String, Instant)>,
    /// The generation of shared files that was loaded last.
    generation: u64,
    told: Option<(LoadError, Instant)>,
}

#[derive(Debug, Clone)]
struct Failure {
    error: LoadError,
    again: Instant,
    pause: Duration,
}

impl CredentialCache {
    /// Of `source`, which depends on `files` if these are given.
    #[must_use]
    pub fn new(source: Arc<dyn CredentialSource>, files: Option<Arc<SharedFiles>>) -> Self {
        Self {
            source,
            files,
            current: ArcSwapOption::empty(),
            loading: tokio::sync::Mutex::new(None),
            state: Mutex::default(),
            refused: AtomicBool::new(false),
            wake: Notify::new(),
        }
    }

    /// The identity to sign with. Returns at once while there is one that is good; else waits for the source.
    ///
    /// # Errors
    /// When the source has none, or had none a moment ago.
    pub async fn identity(&self) -> Result<Arc<Identity>, LoadError> {
        if let Some(identity) = self.usable()
            && !self.refused.load(Ordering::Acquire)
        {
            return Ok(identity);
        }
        self.renew(false).await
    }

    /// What is in use, whether it is good or not.
    #[must_use]
    pub fn last(&self) -> Option<Arc<Identity>> {
        self.current.load_full()
    }

    /// Why the source has none, if it had none when it was asked last.
    pub(crate) fn last_failure(&self) -> Option<LoadError> {
        self.state.lock().failure.as_ref().map(|failure| failure.error.clone())
    }

    /// A store has refused the credentials as expired or unknown: the next [`CredentialCache::identity`] asks the source first.
    /// True if it has done so before, and the source had the same key again since then.
    pub fn refused(&self) -> bool {
        if let Some(files) = &self.files {
            files.refused();
        }
        let last = self.current.load_full();
        let (recently, again) = {
            let mut state = self.state.lock();
            let recently = state.loaded.is_some_and(|loaded| loaded.elapsed() < REFUSAL_PAUSE);
            let key = last.as_deref().map_or("", Identity::access_key_id);
            let known = state.refused.as_ref().filter(|(refused, _)| refused == key).map(|(_, since)| *since);
            let again = known.is_some_and(|since| state.loaded.is_some_and(|loaded| loaded > since));
            if known.is_none() {
                state.refused = Some((key.to_owned(), Instant::now()));
            }
            (recently, again)
        };
        // Those that were loaded a moment ago are not those that the refused request was signed with.
        if !recently {
            self.refused.store(true, Ordering::Release);
            self.wake.notify_one();
        }
        again
    }

    /// Asks the source at once, also while it is held to be failing.
    pub(crate) fn hurry(&self) {
        if let Some(failure) = &mut self.state.lock().failure {
            failure.again = Instant::now();
        }
        self.wake.notify_one();
    }

    fn usable(&self) -> Option<Arc<Identity>> {
        self.current.load_full().filter(|identity| identity.is_usable(SystemTime::now()))
    }

    /// Loads, unless somebody else did so meanwhile, or the source has failed a moment ago.
    async fn renew(&self, due: bool) -> Result<Arc<Identity>, LoadError> {
        let asked = Instant::now();
        let mut loading = self.loading.lock().await;
        let (loaded, failure) = {
            let state = self.state.lock();
            (state.loaded, state.failure.clone())
        };
        if loaded.is_some_and(|loaded| loaded >= asked)
            && let Some(identity) = self.usable()
        {
            return Ok(identity);
        }
        if let Some(failure) = failure.filter(|failure| Instant::now() < failure.again) {
            return self.usable().ok_or(failure.error);
        }
        if !due && !self.refused.load(Ordering::Acquire) && self.usable().is_some() {
            return self.usable().ok_or_else(LoadError::default);
        }
        self.load(&mut loading).await
    }

    async fn load(&self, loading: &mut Option<Loading>) -> Result<Arc<Identity>, LoadError> {
        if let Some(files) = &self.files {
            files.settled().await;
            self.state.lock().generation = files.number();
        }
        self.refused.store(false, Ordering::Release);
        let task = loading.get_or_insert_with(|| tokio::spawn(bounded(Arc::clone(&self.source))));
        let result = task.await;
        *loading = None;
        let result = result.unwrap_or_else(|error| Err(LoadError::of(SOURCE, error.to_string())));
        match result.and_then(unexpired) {
            Ok(identity) => Ok(self.adopt(identity)),
            Err(error) => {
                self.failed(&error);
                self.usable().ok_or(error)
            }
        }
    }

    fn adopt(&self, identity: Identity) -> Arc<Identity> {
        let identity = Arc::new(identity);
        let former = self.current.swap(Some(Arc::clone(&identity)));
        let now = Instant::now();
        let mut state = self.state.lock();
        state.loaded = Some(now);
        state.renew_at = Some(now + renewal(identity.expires(), SystemTime::now(), random_unit()));
        let failed = state.failure.take().is_some();
        state.told = None;
        drop(state);
        match former {
            None => tracing::info!(
                provider = %identity.provider,
                access_key_id = %identity.access_key_id(),
                role = identity.role.as_deref(),
                expires = identity.expires().map(seconds_left),
                "AWS credentials are there; requests are signed with them."
            ),
            Some(former) if former.access_key_id() != identity.access_key_id() => tracing::info!(
                provider = %identity.provider,
                access_key_id = %identity.access_key_id(),
                former_access_key_id = %former.access_key_id(),
                role = identity.role.as_deref(),
                expires = identity.expires().map(seconds_left),
                "AWS credentials were rotated."
            ),
            Some(_) if failed => tracing::info!(
                provider = %identity.provider,
                access_key_id = %identity.access_key_id(),
                "The source of AWS credentials answers again."
            ),
            Some(_) => {}
        }
        identity
    }

    fn failed(&self, error: &LoadError) {
        let now = Instant::now();
        let mut state = self.state.lock();
        let pause = state.failure.as_ref().map_or(BACKOFF.0, |failure| (failure.pause * 2).min(BACKOFF.1));
        let again = now + pause.mul_f64(0.75 + 0.5 * random_unit());
        state.failure = Some(Failure { error: error.clone(), again, pause });
        let known = state.told.as_ref().is_some_and(|(told, at)| told == error && at.elapsed() < TELL_AGAIN);
        if known {
            return;
        }
        state.told = Some((error.clone(), now));
        drop(state);
        match self.usable() {
            Some(identity) => tracing::warn!(
                %error,
                access_key_id = %identity.access_key_id(),
                expires = identity.expires().map(seconds_left),
                "AWS credentials cannot be renewed; those in use stay as long as they are good."
            ),
            None => tracing::warn!(%error, "There are no AWS credentials; requests wait for them."),
        }
    }

    /// Renews credentials ahead of their expiry and whenever shared files change. Never returns.
    pub async fn keep_fresh(&self) {
        let mut watch = self.files.as_deref().map(Watch::of);
        loop {
            let mut pause = Duration::from_secs(60);
            if let Some(files) = &self.files {
                if let Some(watch) = &mut watch {
                    watch.refresh();
                }
                pause = files.look();
                let known = self.state.lock().generation;
                if files.number() != known {
                    // A failure of the former contents says nothing of the new ones.
                    self.state.lock().failure = None;
                    self.renew_now().await;
                    continue;
                }
            }
            if self.refused.load(Ordering::Acquire) || self.is_due() {
                self.renew_now().await;
            }
            let pause = pause.min(self.until_due()).max(Duration::from_millis(10));
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.wake.notified() => {}
                () = changed(watch.as_ref()) => {}
            }
        }
    }

    async fn renew_now(&self) {
        // A failure is told by `failed`, and tried again when it is due.
        drop(self.renew(true).await);
    }

    fn is_due(&self) -> bool {
        self.until_due().is_zero()
    }

    /// The time until the source is to be asked.
    fn until_due(&self) -> Duration {
        let state = self.state.lock();
        let due = match (&state.failure, state.renew_at) {
            (Some(failure), _) => failure.again,
            (None, Some(at)) => at,
            (None, None) => return Duration::ZERO,
        };
        due.saturating_duration_since(Instant::now())
    }
}

/// Asks the source, for as long as one may have to wait for it.
async fn bounded(source: Arc<dyn CredentialSource>) -> Result<Identity, LoadError> {
    match tokio::time::timeout(LOAD_TIMEOUT, source.load()).await {
        Ok(result) => result,
        Err(_) => Err(LoadError::of(SOURCE, format!("no answer within {LOAD_TIMEOUT:?}"))),
    }
}

/// What has expired already is as good as nothing: asking again at once would not make it newer.
fn unexpired(identity: Identity) -> Result<Identity, LoadError> {
    let now = SystemTime::now();
    if identity.is_usable(now) {
        return Ok(identity);
    }
    let ago = identity.expires().and_then(|expires| now.duration_since(expires).ok()).unwrap_or_default();
    let reason =
        format!("gives credentials that expired {} s ago (access key {})", ago.as_secs(), identity.access_key_id());
    Err(LoadError::of(identity.provider, reason))
}

async fn changed(watch: Option<&Watch>) {
    match watch {
        Some(watch) => watch.changed().await,
        None => std::future::pending().await,
    }
}

/// How long credentials are used before they are renewed: until five minutes before their expiry, or for half of their life if that
/// is short, and up to a tenth less so that not all programs come at once.
fn renewal(expires: Option<SystemTime>, now: SystemTime, unit: f64) -> Duration {
    let Some(expires) = expires else { return WITHOUT_EXPIRY };
    let left = expires.duration_since(now).unwrap_or_default();
    let ahead = AHEAD.min(left / 2);
    (left - ahead).mul_f64(1.0 - 0.1 * unit).max(Duration::from_millis(100))
}

/// The time left, for a log line.
fn seconds_left(expires: SystemTime) -> String {
    let left = expires.duration_since(SystemTime::now()).unwrap_or_default();
    format!("in {} s", left.as_secs())
}

/// A number in [0, 1). The spread is all that matters, so the standard library's hash seed will do.
fn random_unit() -> f64 {
    use std::hash::{BuildHasher as _, RandomState};
    (RandomState::new().hash_one(0) >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests;

//! Connections that are kept for the next request.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::http2::Http2Sender;
use super::stream::Stream;

/// How often kept connections are looked through for those that are too old or were closed by the server. Their
/// descriptors would otherwise stay open when a target vanishes.
const SWEEP_EVERY: Duration = Duration::from_secs(30);

/// How many connections are kept, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolLimits {
    /// Kept connections in all; 0 for no limit.
    pub max_idle: usize,
    /// Kept connections for each host; 0 keeps none.
    pub max_idle_per_host: usize,
    /// Connections to each host, in use or kept; 0 for no limit. A request beyond it waits.
    pub max_per_host: usize,
    /// The time after which an unused connection is closed; zero for never.
    pub idle_timeout: Duration,
    /// Whether connections are kept at all.
    pub keep_alive: bool,
    /// The time after which a connection is not used for another request, however busy it is, so that the host's name is
    /// looked up again; zero for never.
    pub max_age: Duration,
}

/// The kept connections of one client.
pub(super) struct Pool {
    limits: PoolLimits,
    inner: Mutex<Inner>,
    weak: Weak<Pool>,
    since: Instant,
}

#[derive(Default)]
struct Inner {
    hosts: HashMap<Box<str>, Host>,
    idle: usize,
    sweeper: Option<tokio::task::AbortHandle>,
}

#[derive(Default)]
struct Host {
    /// The one used last is at the end and is taken first, so that the others can age.
    idle: Vec<Idle>,
    http2: Option<Shared>,
    permits: Option<Arc<Semaphore>>,
}

struct Idle {
    stream: Stream,
    since: Instant,
    /// The certificates that were in force when the connection was made.
    tls_version: u64,
}

struct Shared {
    sender: Http2Sender,
    used: Instant,
    tls_version: u64,
}

/// A connection from the pool.
pub(super) enum Kept {
    Http1(Stream),
    Http2(Http2Sender),
}

impl Pool {
    pub(super) fn new(limits: PoolLimits) -> Arc<Self> {
        Arc::new_cyclic(|weak| Self { limits, inner: Mutex::default(), weak: weak.clone(), since: Instant::now() })
    }

    /// A number that connections have to have in common with a request: it changes with the certificates, and each time that
    /// the greatest age has passed. What is made in one such time is not used in the next.
    pub(super) fn generation(&self, tls_version: u64) -> u64 {
        let age = self.limits.max_age.as_micros();
        let times = self.since.elapsed().as_micros().checked_div(age).unwrap_or(0);
        tls_version.wrapping_add((times as u64) << 32)
    }

    /// Waits until another connection to the host is allowed.
    pub(super) async fn permit(&self, key: &str) -> Option<OwnedSemaphorePermit> {
        if self.limits.max_per_host == 0 {
            return None;
        }
        let semaphore = {
            let mut inner = self.inner.lock();
            let host = inner.hosts.entry(key.into()).or_default();
            let permits = self.limits.max_per_host.min(Semaphore::MAX_PERMITS);
            Arc::clone(host.permits.get_or_insert_with(|| Arc::new(Semaphore::new(permits))))
        };
        semaphore.acquire_owned().await.ok()
    }

    /// A kept connection that is still usable.
    pub(super) fn take(&self, key: &str, tls_version: u64) -> Option<Kept> {
        let mut inner = self.inner.lock();
        let inner = &mut *inner;
        let host = inner.hosts.get_mut(key)?;
        if let Some(shared) = &mut host.http2 {
            if shared.sender.is_usable() && shared.tls_version == tls_version {
                shared.used = Instant::now();
                return Some(Kept::Http2(shared.sender.clone()));
            }
            host.http2 = None;
        }
        while let Some(mut idle) = host.idle.pop() {
            inner.idle -= 1;
            if idle.tls_version == tls_version
                && !self.is_too_old(idle.since, Instant::now())
                && !idle.stream.is_spent()
            {
                return Some(Kept::Http1(idle.stream));
            }
        }
        None
    }

    /// Keeps a connection whose response has been read to its end.
    pub(super) fn put(&self, key: &str, stream: Stream, tls_version: u64) {
        if !self.limits.keep_alive {
            return;
        }
        let mut inner = self.inner.lock();
        if self.limits.max_idle != 0 && inner.idle >= self.limits.max_idle {
            return;
        }
        let idle = Idle { stream, since: Instant::now(), tls_version };
        match inner.hosts.get_mut(key) {
            Some(host) if host.idle.len() >= self.limits.max_idle_per_host => return,
            Some(host) if host.idle.capacity() == 0 => {
                // Most hosts have one connection; a vector would start with room for four.
                host.idle.reserve_exact(1);
                host.idle.push(idle);
            }
            Some(host) => host.idle.push(idle),
            None if self.limits.max_idle_per_host == 0 => return,
            None => {
                let host = Host { idle: vec![idle], ..Host::default() };
                inner.hosts.insert(key.into(), host);
            }
        }
        inner.idle += 1;
        self.ensure_sweeper(&mut inner);
    }

    /// Keeps an HTTP/2 connection, which serves many requests at once.
    pub(super) fn share(&self, key: &str, sender: Http2Sender, tls_version: u64) {
        if !self.limits.keep_alive {
            return;
        }
        let mut inner = self.inner.lock();
        let host = inner.hosts.entry(key.into()).or_default();
        host.http2 = Some(Shared { sender, used: Instant::now(), tls_version });
        self.ensure_sweeper(&mut inner);
    }

    /// The number of kept HTTP/1.1 connections.
    pub(super) fn idle(&self) -> usize {
        self.inner.lock().idle
    }

    fn is_too_old(&self, since: Instant, now: Instant) -> bool {
        !self.limits.idle_timeout.is_zero() && now.saturating_duration_since(since) >= self.limits.idle_timeout
    }

    /// Starts the task that closes what is not needed any more. It ends with the last connection, or with the pool.
    fn ensure_sweeper(&self, inner: &mut Inner) {
        if inner.sweeper.as_ref().is_some_and(|sweeper| !sweeper.is_finished()) {
            return;
        }
        let pool = self.weak.clone();
        let every = match self.limits.idle_timeout {
            Duration::ZERO => SWEEP_EVERY,
            timeout => timeout.clamp(Duration::from_secs(1), SWEEP_EVERY),
        };
        let sweeper = tokio::spawn(async move {
            loop {
                tokio::time::sleep(every).await;
                let Some(pool) = pool.upgrade() else { return };
                if pool.sweep() {
                    return;
                }
            }
        });
        inner.sweeper = Some(sweeper.abort_handle());
    }

    /// Closes what is too old or ended; says whether nothing is left.
    fn sweep(&self) -> bool {
        let mut inner = self.inner.lock();
        let inner = &mut *inner;
        let now = Instant::now();
        let mut idle = 0;
        inner.hosts.retain(|_, host| {
            host.idle.retain_mut(|kept| !self.is_too_old(kept.since, now) && !kept.stream.is_spent());
            idle += host.idle.len();
            host.http2 =
                host.http2.take().filter(|shared| shared.sender.is_usable() && !self.is_too_old(shared.used, now));
            let waited_for = host.permits.as_ref().is_some_and(|permits| Arc::strong_count(permits) > 1);
            !host.idle.is_empty() || host.http2.is_some() || waited_for
        });
        inner.idle = idle;
        if inner.hosts.is_empty() {
            inner.hosts.shrink_to_fit();
            inner.sweeper = None;
        }
        inner.hosts.is_empty()
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        if let Some(sweeper) = self.inner.get_mut().sweeper.take() {
            sweeper.abort();
        }
    }
}

//! Requests that come from the operating system.

use super::{Request, Requests};
use std::io;

/// SIGTERM and SIGINT ask to stop, SIGHUP to reload.
#[derive(Debug)]
pub struct OsSignals {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    hang_up: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl OsSignals {
    /// Takes over the signals from now on.
    ///
    /// # Errors
    /// The operating system refuses to register the handlers.
    pub fn listen() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }
}

#[cfg(unix)]
impl Requests for OsSignals {
    async fn next(&mut self) -> Request {
        tokio::select! {
            Some(()) = self.terminate.recv() => Request::Stop,
            Some(()) = self.interrupt.recv() => Request::Stop,
            Some(()) = self.hang_up.recv() => Request::Reload,
            else => std::future::pending().await,
        }
    }
}

#[cfg(not(unix))]
impl OsSignals {
    /// Takes over Ctrl-C from now on.
    ///
    /// # Errors
    /// None on this platform.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {})
    }
}

#[cfg(not(unix))]
impl Requests for OsSignals {
    async fn next(&mut self) -> Request {
        match tokio::signal::ctrl_c().await {
            Ok(()) => Request::Stop,
            Err(_) => std::future::pending().await,
        }
    }
}

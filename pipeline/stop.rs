//! Stopping: receivers are told to stop; everything behind them ends when its input closes; a deadline
//! bounds how long ends may take.

use tokio::sync::watch;
use tokio::time::Instant;

/// The stages of an orderly end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Running,
    /// Take in nothing more; be done by then.
    Stopping(Instant),
}

/// Held by whoever decides when to stop.
#[derive(Debug)]
pub struct StopSource(watch::Sender<Stage>);

/// Tells a task when to stop and how long it may take.
#[derive(Clone, Debug)]
pub struct Stop(watch::Receiver<Stage>);

impl Default for StopSource {
    fn default() -> Self {
        Self(watch::Sender::new(Stage::Running))
    }
}

impl StopSource {
    /// A handle for a task.
    pub fn handle(&self) -> Stop {
        Stop(self.0.subscribe())
    }

    /// Tells all holders to stop and to be done by `deadline`. A second call can only bring the deadline
    /// forward.
    pub fn stop(&self, deadline: Instant) {
        self.0.send_if_modified(|stage| {
            let sooner = match *stage {
                Stage::Running => true,
                Stage::Stopping(current) => deadline < current,
            };
            if sooner {
                *stage = Stage::Stopping(deadline);
            }
            sooner
        });
    }
}

impl Stop {
    /// A handle that never stops, for tests and one-off tools.
    pub fn never() -> Self {
        let source = StopSource::default();
        let handle = source.handle();
        // The sender must outlive the handle, or waiting on it would return at once.
        std::mem::forget(source);
        handle
    }

    /// Waits until a stop is requested (or its source is gone).
    pub async fn requested(&mut self) {
        if self.0.wait_for(|stage| *stage != Stage::Running).await.is_err() {
            // The service that held the source is gone: nothing is left to run for.
        }
    }

    /// Whether a stop has been requested.
    pub fn is_requested(&self) -> bool {
        *self.0.borrow() != Stage::Running
    }

    /// Waits until the deadline of a requested stop has passed.
    pub async fn deadline_passed(&mut self) {
        loop {
            let stage = *self.0.borrow_and_update();
            match stage {
                Stage::Running => {
                    if self.0.changed().await.is_err() {
                        return;
                    }
                }
                Stage::Stopping(deadline) => {
                    tokio::select! {
                        () = tokio::time::sleep_until(deadline) => return,
                        changed = self.0.changed() => if changed.is_err() {
                            tokio::time::sleep_until(deadline).await;
                            return;
                        },
                    }
                }
            }
        }
    }
}

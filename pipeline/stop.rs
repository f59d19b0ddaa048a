//! Stopping: receivers are told to stop; everything behind them ends when its input closes; a deadline
//! bounds how long ends may take.

use tokio::sync::watch;
use tokio::time::Instant;

/// The stages of an orderly end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Running,
    /// Take in nothing more; be done by then.
    Stopping {
        deadline: Instant,
        /// Another instance with the same identity waits to take over.
        succeeded: bool,
    },
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
        self.end(deadline, false);
    }

    /// The same, and that a successor waits: what outlives the instance is better left to it than finished.
    pub fn hand_over(&self, deadline: Instant) {
        self.end(deadline, true);
    }

    fn end(&self, deadline: Instant, succeeded: bool) {
        self.0.send_if_modified(|stage| {
            let sooner = match *stage {
                Stage::Running => Some(Stage::Stopping { deadline, succeeded }),
                Stage::Stopping { deadline: current, succeeded } => {
                    (deadline < current).then_some(Stage::Stopping { deadline, succeeded })
                }
            };
            if let Some(sooner) = sooner {
                *stage = sooner;
            }
            sooner.is_some()
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

    /// Whether a successor waits to take over.
    pub fn is_succeeded(&self) -> bool {
        matches!(*self.0.borrow(), Stage::Stopping { succeeded: true, .. })
    }

    /// Waits until a successor waits to take over. Never returns if none ever does.
    pub async fn succeeded(&mut self) {
        let waits = |stage: &Stage| matches!(stage, Stage::Stopping { succeeded: true, .. });
        if self.0.wait_for(waits).await.is_err() {
            std::future::pending().await
        }
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
                Stage::Stopping { deadline, .. } => {
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

//! The gate that closes while memory is short.

use super::system::System;
use crate::outlet::{LogThrottle, signal};
use parking_lot::Mutex;
use pipeline::Gate;
use pipeline::component::BuildContext;
use pipeline::telemetry::Counter;
use std::sync::atomic::{AtomicBool, Ordering};

/// What senders are told; the Collector's words.
const REFUSAL: &str = "data refused due to high memory usage";

/// Limits of the resident memory, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limits {
    pub(super) hard: u64,
    pub(super) soft: u64,
}

/// What the limiter counts, under the Collector's names.
#[derive(Debug)]
pub(super) struct LimiterMetrics {
    id: String,
    accepted: Counter,
    refused: Counter,
}

impl LimiterMetrics {
    pub(super) fn new(context: &BuildContext) -> Self {
        let id = context.id.to_string();
        let counter = |what: &str, help| {
            let name = format!("otelcol_processor_memory_limiter_{what}_{}", signal(context).items());
            context.telemetry.counter(&name, help, &[("processor", &id)])
        };
        Self {
            accepted: counter("accepted", "Number of items that passed the memory limiter."),
            refused: counter("refused", "Number of items that were refused because memory was short."),
            id,
        }
    }
}

/// Refuses at the pipeline's entry while the process has more memory than it should.
#[derive(Debug)]
pub(super) struct Limiter {
    limits: Limits,
    system: System,
    metrics: LimiterMetrics,
    refusing: AtomicBool,
    hard_log: Mutex<LogThrottle>,
    unreadable: AtomicBool,
}

impl Limiter {
    pub(super) fn new(limits: Limits, system: System, metrics: LimiterMetrics) -> Self {
        Self {
            limits,
            system,
            metrics,
            refusing: AtomicBool::new(false),
            hard_log: Mutex::default(),
            unreadable: AtomicBool::new(false),
        }
    }

    /// Reads the memory and opens or closes the gate.
    pub(super) fn check(&self) {
        let processor = self.metrics.id.as_str();
        let resident = match self.system.resident() {
            Ok(bytes) => bytes,
            Err(error) => {
                if !self.unreadable.swap(true, Ordering::Relaxed) {
                    tracing::warn!(
                        processor,
                        %error,
                        "The memory of this process cannot be read; all data is admitted until it can.",
                    );
                }
                self.open();
                return;
            }
        };
        self.unreadable.store(false, Ordering::Relaxed);
        let Limits { hard, soft } = self.limits;
        let (resident_mib, soft_limit_mib, limit_mib) = (resident >> 20, soft >> 20, hard >> 20);
        let short = resident >= soft;
        if self.refusing.swap(short, Ordering::Relaxed) != short {
            if short {
                tracing::warn!(
                    processor,
                    resident_mib,
                    soft_limit_mib,
                    limit_mib,
                    "Memory usage is above the soft limit; new data is refused until it falls.",
                );
            } else {
                tracing::info!(
                    processor,
                    resident_mib,
                    soft_limit_mib,
                    "Memory usage is back below the soft limit; new data is admitted again.",
                );
            }
        }
        if resident >= hard
            && let Some(suppressed) = self.hard_log.lock().admit()
        {
            tracing::error!(
                processor,
                resident_mib,
                limit_mib,
                suppressed,
                "Memory usage is above the hard limit; give the process more memory or less data.",
            );
        }
    }

    /// Admits data again, whatever the memory.
    pub(super) fn open(&self) {
        self.refusing.store(false, Ordering::Relaxed);
    }

    /// Counts what passed.
    pub(super) fn accepted(&self, points: u64) {
        self.metrics.accepted.add(points);
    }
}

impl Gate for Limiter {
    fn admit(&self) -> Result<(), &'static str> {
        if self.refusing.load(Ordering::Relaxed) { Err(REFUSAL) } else { Ok(()) }
    }

    fn refused(&self, points: usize) {
        self.metrics.refused.add(points as u64);
    }
}

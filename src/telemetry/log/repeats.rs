//! Limits what one cause may write: at three in the morning ten lines that say it are worth more than a million.

use crate::config::SamplingConfig;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Causes remembered at once. Texts that differ each time are causes of their own; beyond this number new ones
/// are written without being counted, until old ones have gone silent.
const MAX_CAUSES: usize = 1024;

/// Beyond the initial lines, one in this time is written in any case.
const AT_LEAST_EVERY: Duration = Duration::from_secs(1);

/// One text from one place in the source, logged by one component.
struct Cause {
    message: String,
    tick_began: Instant,
    in_tick: u64,
    last_written: Instant,
    last_seen: Instant,
    left_out: u64,
}

/// What becomes of a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Write it, and say how many like it were left out before.
    Write {
        /// How many.
        left_out: u64,
    },
    /// Leave it out; it is counted.
    LeaveOut,
}

/// Counts lines by cause.
pub(super) struct Repeats {
    sampling: SamplingConfig,
    causes: HashMap<u64, Cause>,
}

impl Repeats {
    pub(super) fn new(sampling: SamplingConfig) -> Self {
        Self { sampling, causes: HashMap::new() }
    }

    pub(super) fn set_sampling(&mut self, sampling: SamplingConfig) {
        self.sampling = sampling;
    }

    /// Decides about a line of the cause with this hash.
    pub(super) fn judge(&mut self, cause: u64, message: &str, now: Instant) -> Verdict {
        if !self.sampling.enabled {
            return Verdict::Write { left_out: 0 };
        }
        let tick = self.sampling.tick.to_std();
        if self.causes.len() >= MAX_CAUSES && !self.causes.contains_key(&cause) {
            self.causes.retain(|_, cause| cause.left_out > 0 || now.duration_since(cause.last_seen) < tick);
            if self.causes.len() >= MAX_CAUSES {
                return Verdict::Write { left_out: 0 };
            }
        }
        let cause = self.causes.entry(cause).or_insert_with(|| Cause {
            message: message.to_owned(),
            tick_began: now,
            in_tick: 0,
            last_written: now,
            last_seen: now,
            left_out: 0,
        });
        cause.last_seen = now;
        if now.duration_since(cause.tick_began) >= tick {
            cause.tick_began = now;
            cause.in_tick = 0;
        }
        cause.in_tick += 1;
        let beyond = cause.in_tick.saturating_sub(u64::from(self.sampling.initial));
        let sampled =
            beyond == 0 || (self.sampling.thereafter > 0 && beyond % u64::from(self.sampling.thereafter) == 0);
        if sampled || now.duration_since(cause.last_written) >= AT_LEAST_EVERY {
            cause.last_written = now;
            return Verdict::Write { left_out: std::mem::take(&mut cause.left_out) };
        }
        cause.left_out += 1;
        Verdict::LeaveOut
    }

    /// Forgets causes that went silent, and gives the text and number of lines left out of each that has any.
    pub(super) fn sweep(&mut self, now: Instant) -> Vec<(String, u64)> {
        let silent = self.sampling.tick.to_std().max(AT_LEAST_EVERY);
        let gone = self.causes.extract_if(|_, cause| now.duration_since(cause.last_seen) >= silent);
        gone.filter(|(_, cause)| cause.left_out > 0).map(|(_, cause)| (cause.message, cause.left_out)).collect()
    }
}

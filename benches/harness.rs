//! Measures how long something takes, for each sample of it.

use std::hint::black_box;
use std::io::Write as _;
use std::time::{Duration, Instant};

/// How long each round takes at least. Shorter ones measure the clock.
const ROUND: Duration = Duration::from_millis(200);
/// The fastest round is the one that the machine disturbed least.
const ROUNDS: usize = 7;

/// Runs what the command line asks for.
pub(crate) struct Bench {
    /// Only what has this in its name; empty for all.
    filter: String,
}

impl Bench {
    /// Reads the command line: a part of a name, and flags of `cargo bench`, which mean nothing here.
    pub(crate) fn from_arguments() -> Self {
        let filter = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or_default();
        Self { filter }
    }

    /// Measures `run`, which treats `samples` of them, and prints nanoseconds for each.
    pub(crate) fn measure<R>(&self, name: &str, samples: usize, mut run: impl FnMut() -> R) {
        if !name.contains(&self.filter) {
            return;
        }
        let mut runs = 1_u32;
        while time(runs, &mut run) < ROUND {
            runs = runs.saturating_mul(2);
        }
        let mut rounds: Vec<Duration> = (0..ROUNDS).map(|_| time(runs, &mut run)).collect();
        rounds.sort();
        let each = |round: Option<&Duration>| {
            round.map_or(f64::NAN, |round| round.as_secs_f64() * 1e9 / f64::from(runs) / samples as f64)
        };
        let (best, median) = (each(rounds.first()), each(rounds.get(ROUNDS / 2)));
        // Whoever has closed the pipe has seen enough.
        drop(writeln!(std::io::stdout(), "{name:<44} {best:>8.1} ns/sample   median {median:>8.1}"));
    }
}

fn time<R>(runs: u32, run: &mut impl FnMut() -> R) -> Duration {
    let start = Instant::now();
    for _ in 0..runs {
        black_box(run());
    }
    start.elapsed()
}

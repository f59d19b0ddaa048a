//! Delivery under faults that a seed decides.
//!
//! A seed says how stores behave (they accept, throttle, fail, refuse single samples or large requests, hang, reset
//! connections, accept and do not say so; each for a while), how the exporter is set, and what happens to the program
//! meanwhile: it is killed, ended, its disk is full, its files are damaged. The checker ([`ledger`]) knows every sample that
//! was offered and every one that a store has accepted, in order.
//!
//! There are two layers. [`simulation`] runs the exporter itself, with its log, in a process and a time of the test's own, so
//! that hours pass in seconds: hundreds of seeds. [`program`] runs the built program, and kills it for good: a few seeds.
//!
//! | Variable | What it says | Default |
//! |---|---|---|
//! | `OXIDOT_FAULT_SEEDS` | seeds of the simulation | 240 |
//! | `OXIDOT_FAULT_PROGRAM_SEEDS` | seeds of the program | 5 |
//! | `OXIDOT_FAULT_SECONDS` | for how long samples are offered to the program | 4 |
//! | `OXIDOT_FAULT_SEED` | the one seed to run, in place of all of them | |
//! | `OXIDOT_FAULT_LOG` | if set, the simulation prints what the exporter logs | |

mod damage;
mod ledger;
mod program;
mod random;
mod simulation;
mod store;
mod weather;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::support::note;
use ledger::Tally;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}

/// Runs seeds, some at a time, and adds up what they saw. Fails with the seeds that have failed, and how to run each again.
fn run_seeds(layer: &str, count: u64, at_once: usize, run: impl Fn(u64) -> Result<Tally, String> + Sync) -> (u64, Tally) {
    if std::env::var_os("OXIDOT_FAULT_LOG").is_some() {
        tracing_subscriber::fmt().with_writer(std::io::stderr).try_init().ok();
    }
    let seeds: Vec<u64> = number("OXIDOT_FAULT_SEED").map_or_else(|| (0..count).collect(), |seed| vec![seed]);
    let (next, tally, failed) = (AtomicU64::new(0), Mutex::new(Tally::default()), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..at_once {
            scope.spawn(|| {
                while let Some(seed) = seeds.get(next.fetch_add(1, Ordering::Relaxed) as usize) {
                    let ended = catch_unwind(AssertUnwindSafe(|| run(*seed)));
                    match ended {
                        Ok(Ok(seen)) => tally.lock().unwrap().add(&seen),
                        Ok(Err(why)) => {
                            note(&format!(
                                "seed {seed} has failed: {why}\nto run it again: OXIDOT_FAULT_SEED={seed} cargo test --test it faults::{layer}"
                            ));
                            failed.lock().unwrap().push(*seed);
                        }
                        Err(_) => {
                            note(&format!(
                                "seed {seed} has panicked; to run it again: OXIDOT_FAULT_SEED={seed} cargo test --test it faults::{layer}"
                            ));
                            failed.lock().unwrap().push(*seed);
                        }
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "seeds {failed:?} of {} have failed", seeds.len());
    (seeds.len() as u64, tally.into_inner().unwrap())
}

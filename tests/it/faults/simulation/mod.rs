//! The exporter itself, with its encoder, shards, sender and log, in a time of the test's own.
//!
//! The clock is tokio's, and paused: it goes on when there is nothing to do. Stores listen on loopback. A kill is the end of
//! all tasks at whatever they wait for, without a flush: what was written is the kernel's, as when a process is killed.
//! Threads that are within a write finish it, as the kernel does.

mod plan;
mod serve;
mod world;

use std::time::Duration;

use super::ledger::Tally;
use super::random::Random;
use super::{number, run_seeds};
use crate::durable::disk::SmallDisk;
use crate::support::{note, skipped};
use plan::{Face, Plan};
use world::World;

/// More than the worst weather can take, in the test's own time.
const LONGEST: Duration = Duration::from_secs(6 * 3600);

fn run(seed: u64) -> Result<Tally, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let ended = runtime.block_on(async {
        // The clock does not leap over what takes the network a moment.
        let ticks = tokio::spawn(async {
            loop {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
        let ended = tokio::time::timeout(LONGEST, live(Plan::draw(seed))).await;
        ticks.abort();
        ended.unwrap_or_else(|_| Err("it does not come to an end".to_owned()))
    });
    runtime.shutdown_timeout(Duration::from_secs(10));
    ended
}

/// One seed, from its first sample to the last word on all of them.
async fn live(plan: Plan) -> Result<Tally, String> {
    let disk = match plan.face {
        Face::FullDisk => SmallDisk::mount(),
        _ => None,
    };
    let mut random = Random::new(plan.seed, 1);
    let mut world = World::begin(plan, disk).await?;
    for _ in 0..world.plan.steps {
        world.offer().await;
        tokio::time::sleep(Duration::from_millis(random.below(world.plan.pause_ms) + 1)).await;
        if random.one_in(world.plan.events) {
            event(&mut world, &mut random).await?;
        }
    }
    world.finish().await
}

async fn event(world: &mut World, random: &mut Random) -> Result<(), String> {
    match (world.plan.face, random.below(10)) {
        (Face::Damage, 0..=4) => return world.damage().await,
        (Face::FullDisk, 0..=6) => world.fill_disk(),
        _ if !world.plan.logged || random.one_in(3) => {
            // Without a log, what there is no time for is lost.
            let most = if world.plan.logged || random.one_in(4) { 25_000 } else { 400_000 };
            let deadline = if random.one_in(4) { 0 } else { random.below(most) };
            world.end(Duration::from_millis(deadline)).await;
            world.start().await?;
        }
        _ => {
            // At any moment, not only between two batches.
            tokio::time::sleep(Duration::from_millis(random.below(400))).await;
            world.kill().await;
            world.start().await?;
        }
    }
    Ok(())
}

#[test]
fn simulation() {
    if SmallDisk::mount().is_none() {
        skipped("faults::simulation, full disks: a file system cannot be mounted here");
    }
    let at_once = std::thread::available_parallelism().map_or(2, |n| n.get().min(8));
    let (seeds, seen) = run_seeds("simulation", number("OXIDOT_FAULT_SEEDS").unwrap_or(240), at_once, run);
    note(&format!("faults::simulation: {seeds} seeds; {seen}"));
    if seeds >= 200 {
        for what in ["culprits", "damaged", "delivered again", "dropped", "ends", "kills"] {
            assert!(seen.get(what) > 0, "no seed came to {what}: {seen}");
        }
        for status in ["answers 200", "answers 400", "answers 413", "answers 415", "answers 429", "answers 500", "answers 503", "no answers"] {
            assert!(seen.get(status) > 0, "no seed came to {status}: {seen}");
        }
    }
}

//! A machine that dies at any step, and loses of what was not forced to its disk whatever it likes: writes, lengths and names, each on its own.

use super::*;
use crate::disk::steps::{self, Step};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;

/// What a disk holds for good, and what it was told and may forget.
#[derive(Clone, Debug, Default)]
struct Disk {
    names: BTreeMap<PathBuf, u64>,
    contents: HashMap<u64, Vec<u8>>,
    /// Names that came and went, in order.
    open_names: Vec<Step>,
    /// Writes and lengths of each file, in order.
    open_contents: BTreeMap<u64, Vec<Step>>,
}

/// A change of a file's bytes, with as many of them as got there.
fn change(bytes: &mut Vec<u8>, step: &Step, kept: usize) {
    match step {
        Step::Written(_, at, written) => {
            let (at, written) = (*at as usize, &written[..kept.min(written.len())]);
            let end = at + written.len();
            bytes.resize(bytes.len().max(end), 0);
            bytes[at..end].copy_from_slice(written);
        }
        Step::Resized(_, len) => bytes.resize(*len as usize, 0),
        _ => {}
    }
}

fn rename(names: &mut BTreeMap<PathBuf, u64>, step: &Step) {
    match step {
        Step::Named(path, id) => drop(names.insert(path.clone(), *id)),
        Step::Removed(path) => drop(names.remove(path)),
        _ => {}
    }
}

impl Disk {
    /// What is in a directory after a start of the machine.
    fn of(directory: &Path) -> Self {
        let mut disk = Self::default();
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let id = steps::id(&std::fs::File::open(&path).unwrap());
            disk.contents.insert(id, std::fs::read(&path).unwrap());
            disk.names.insert(path, id);
        }
        disk
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Named(..) | Step::Removed(_) => self.open_names.push(step.clone()),
            Step::NamesSynced => {
                for step in std::mem::take(&mut self.open_names) {
                    rename(&mut self.names, &step);
                }
            }
            Step::Written(id, ..) | Step::Resized(id, _) => {
                self.open_contents.entry(*id).or_default().push(step.clone());
            }
            Step::Synced(id) => {
                for step in self.open_contents.remove(id).unwrap_or_default() {
                    change(self.contents.entry(*id).or_default(), &step, usize::MAX);
                }
            }
        }
    }

    /// What is found after the power was gone: which of the open steps got to the disk, the dice say.
    fn after_power_loss(&self, dice: &mut Dice, into: &Path) {
        let mut names = self.names.clone();
        let fate = dice.fate();
        for (at, step) in self.open_names.iter().enumerate() {
            if fate.keeps(at, self.open_names.len(), dice) {
                rename(&mut names, step);
            }
        }
        for (path, id) in names {
            let mut bytes = self.contents.get(&id).cloned().unwrap_or_default();
            let open = self.open_contents.get(&id).map_or(&[][..], Vec::as_slice);
            let fate = dice.fate();
            for (at, step) in open.iter().enumerate() {
                if fate.keeps(at, open.len(), dice) {
                    // The last one may be torn.
                    let kept = if at + 1 == open.len() && dice.below(3) == 0 { dice.below(100) } else { usize::MAX };
                    change(&mut bytes, step, kept);
                }
            }
            std::fs::write(into.join(path.file_name().unwrap()), bytes).unwrap();
        }
    }
}

/// Which of some open steps got to the disk.
enum Fate {
    None,
    All,
    /// Those before a step.
    Beginning(usize),
    /// Each on its own.
    Some,
}

impl Fate {
    fn keeps(&self, at: usize, of: usize, dice: &mut Dice) -> bool {
        match self {
            Self::None => false,
            Self::All => true,
            Self::Beginning(end) => at < end % (of + 1),
            Self::Some => dice.below(2) == 0,
        }
    }
}

struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % limit as u64) as usize
    }

    fn fate(&mut self) -> Fate {
        match self.below(4) {
            0 => Fate::None,
            1 => Fate::All,
            2 => Fate::Beginning(self.below(1000)),
            _ => Fate::Some,
        }
    }
}

/// What was known to be on the disk (nothing, if it is left to the kernel), or delivered, once so many steps were made.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    steps: usize,
    /// Records that were appended, or begun to be.
    appended: usize,
    /// Records that were said to be on the disk.
    promised: usize,
    /// Records that each destination has acknowledged, or begun to.
    acked: [usize; 2],
    /// Those of which that was said to be on the disk.
    had: [usize; 2],
}

/// A payload that says which record it is of.
fn payload(number: usize) -> Vec<u8> {
    let mut payload = number.to_le_bytes().to_vec();
    payload.extend((0..number * 37 % 150).map(|n| (n * number) as u8));
    payload
}

fn options_with(directory: &Path, sync: SyncPolicy) -> Options {
    Options { sync, ..options(directory) }
}

/// Works with a log, and says what was known at each step.
fn work(log: &Log, sync: SyncPolicy, dice: &mut Dice, begin: Known) -> Vec<Known> {
    let mut readers = [log.reader(0), log.reader(1)];
    let mut given = [Vec::new(), Vec::new()];
    let mut known = begin;
    let mut all = vec![known];
    for _ in 0..60 {
        // What is begun may be there from here on; what is promised is so when the call has returned.
        let mut begun = known;
        match dice.below(10) {
            0..=5 => {
                begun.appended += 1;
                all.push(Known { steps: steps::count(), ..begun });
                append(log, &payload(known.appended));
                known.appended += 1;
                if sync == SyncPolicy::Always {
                    known.promised = known.appended;
                }
            }
            6 | 7 => {
                let cursor = dice.below(2);
                for _ in 0..dice.below(8) {
                    given[cursor].extend(readers[cursor].next_now().unwrap().map(|read| read.end));
                }
                let Some(position) = given[cursor].last().copied() else { continue };
                begun.acked[cursor] = begun.acked[cursor].max(position.record as usize);
                all.push(Known { steps: steps::count(), ..begun });
                log.ack(cursor, position).unwrap();
                known.acked = begun.acked;
            }
            way => {
                let maintained = if way == 8 { log.sync() } else { log.maintain() };
                maintained.unwrap();
                if sync != SyncPolicy::Never {
                    (known.promised, known.had) = (known.appended, known.acked);
                }
            }
        }
        all.push(Known { steps: steps::count(), ..known });
    }
    all
}

/// Opens what is left and looks whether everything is there that was promised.
fn check(directory: &Path, sync: SyncPolicy, known: &Known, told: &str) {
    let log = Log::open(options_with(directory, sync)).unwrap_or_else(|error| panic!("{told}: {error}"));
    let next = log.end().record as usize;
    for cursor in 0..2 {
        let mut seen = BTreeSet::new();
        let mut last = None;
        for read in read_all(&mut log.reader(cursor)) {
            let number = read.header.number as usize;
            assert_eq!(&*read.payload, payload(number), "{told}: record {number}");
            assert!(
                last.is_none_or(|last| last < number) && number < known.appended,
                "{told}: {number} after {last:?}"
            );
            last = Some(number);
            seen.insert(number);
        }
        for number in known.acked[cursor]..known.promised {
            assert!(seen.contains(&number), "{told}: destination {cursor} misses record {number}");
        }
        if sync != SyncPolicy::Never {
            // What it has had does not come again, and does not count as lost.
            let stood = log.acked(cursor).unwrap().record as usize;
            assert!(stood >= known.had[cursor], "{told}: destination {cursor} stands at {stood}");
            let lost = log.losses(cursor).corrupt_records as usize;
            assert!(lost <= known.appended - known.promised, "{told}: {lost} records count as lost");
        }
    }
    // It goes on from there.
    append(&log, &payload(next));
    log.sync().unwrap();
    drop(log);
    let log = Log::open(options_with(directory, sync)).unwrap();
    let last = read_all(&mut log.reader(0)).pop().unwrap();
    assert_eq!((last.header.number as usize, last.payload.to_vec()), (next, payload(next)), "{told}");
}

/// How the machine dies for the first time; the second time, it is while the log is opened.
fn die(sync: SyncPolicy, seed: u64) {
    let mut dice = Dice(seed);
    let directory = scratch();
    let mut known = Known::default();
    if seed % 2 == 1 {
        // There is a log already, and the second destination is new.
        let log = Log::open(Options { cursors: vec!["a".to_owned()], ..options_with(directory.path(), sync) }).unwrap();
        known.appended = 5 + dice.below(20);
        for number in 0..known.appended {
            append(&log, &payload(number));
        }
        let had = dice.below(known.appended);
        let read = read_all(&mut log.reader(0));
        log.ack(0, read[had].start).unwrap();
        log.sync().unwrap();
        known.acked = [had; 2];
        if sync != SyncPolicy::Never {
            (known.promised, known.had) = (known.appended, [had; 2]);
        }
    }
    let mut disk = Disk::of(directory.path());
    steps::begin();
    let log = Log::open(options_with(directory.path(), sync)).unwrap();
    let all = work(&log, sync, &mut dice, known);
    let made = steps::end();
    drop(log);
    for steps_made in 0..=made.len() {
        if let Some(step) = steps_made.checked_sub(1).and_then(|at| made.get(at)) {
            disk.take(step);
        }
        let known = all.iter().rev().find(|known| known.steps <= steps_made).copied().unwrap_or_default();
        let told =
            format!("seed {seed}, {sync:?}, step {steps_made} {:?}, {known:?}", made.get(steps_made.wrapping_sub(1)));
        let left = scratch();
        disk.after_power_loss(&mut dice, left.path());
        // Once more, at some step of the recovery.
        let mut again = Disk::of(left.path());
        steps::begin();
        let opened = Log::open(options_with(left.path(), sync)).map(drop);
        let recovery = steps::end();
        opened.unwrap_or_else(|error| panic!("{told}: {error}"));
        for step in recovery.iter().take(dice.below(recovery.len() + 1)) {
            again.take(step);
        }
        let twice = scratch();
        again.after_power_loss(&mut dice, twice.path());
        check(twice.path(), sync, &known, &format!("{told}, twice"));
        check(left.path(), sync, &known, &told);
    }
}

#[test]
fn what_was_promised_is_there_whenever_the_machine_dies() {
    let seeds = super::fuzz_seconds().map_or(4, |seconds| seconds * 4);
    for seed in 0..seeds {
        die(SyncPolicy::Always, seed);
        die(SyncPolicy::Every(std::time::Duration::from_secs(1)), seed);
        die(SyncPolicy::Never, seed);
    }
}

//! Random appends, reads, acknowledgements, crashes, full disks and flipped bytes, against a list of records.

use super::*;
use crate::{Losses, OpenError};
use proptest::prelude::*;
use std::fs::OpenOptions;

#[derive(Clone, Debug)]
enum Step {
    Append {
        fill: u8,
        len: usize,
    },
    Read {
        cursor: usize,
        records: usize,
    },
    Ack {
        cursor: usize,
        back: usize,
    },
    Maintain,
    /// The process is killed: all that was appended is there.
    Kill,
    /// The machine dies: of the last segment, what follows the last sync may be there in part.
    PowerLoss {
        kept: f64,
        garbage: u8,
    },
    /// A byte of the disk goes bad while the program is down.
    Flip {
        at: f64,
        with: u8,
    },
    /// The disk takes so many more bytes.
    Full(u64),
    Room,
}

fn step() -> impl Strategy<Value = Step> {
    let cursor = 0..2usize;
    prop_oneof![
        10 => (any::<u8>(), 0..300usize).prop_map(|(fill, len)| Step::Append { fill, len }),
        4 => (cursor.clone(), 0..6usize).prop_map(|(cursor, records)| Step::Read { cursor, records }),
        3 => (cursor, 0..4usize).prop_map(|(cursor, back)| Step::Ack { cursor, back }),
        1 => Just(Step::Maintain),
        1 => Just(Step::Kill),
        1 => (0.0..1.0f64, any::<u8>()).prop_map(|(kept, garbage)| Step::PowerLoss { kept, garbage }),
        1 => (0.0..1.0f64, 1..=255u8).prop_map(|(at, with)| Step::Flip { at, with }),
        1 => (0..400u64).prop_map(Step::Full),
        1 => Just(Step::Room),
    ]
}

/// A record as the model knows it.
#[derive(Clone, Debug)]
struct Known {
    payload: Vec<u8>,
    /// Segment, and where in its file.
    segment: u64,
    bytes: std::ops::Range<u64>,
    whole: bool,
}

struct Model {
    directory: tempfile::TempDir,
    log: Option<Log>,
    readers: Vec<Reader>,
    records: Vec<Known>,
    /// Places behind what each reader has been given since it was opened, and the number of the next record for it.
    given: Vec<Vec<Position>>,
    next: [usize; 2],
    acked: [usize; 2],
    /// Losses that are to be counted since the log was opened.
    lost: [(u64, u64); 2],
    /// Records, and their samples, that were cut off when the log was opened: no more are to be counted as torn. Whether each is,
    /// depends on its header.
    torn: [(u64, u64); 2],
    /// Records that a sync has covered.
    synced: usize,
}

impl Model {
    fn new() -> Self {
        let directory = scratch();
        let mut model = Self {
            directory,
            log: None,
            readers: Vec::new(),
            records: Vec::new(),
            given: Vec::new(),
            next: [0; 2],
            acked: [0; 2],
            lost: [(0, 0); 2],
            torn: [(0, 0); 2],
            synced: 0,
        };
        model.open();
        model
    }

    fn log(&self) -> &Log {
        self.log.as_ref().unwrap()
    }

    fn close(&mut self) {
        self.torn = [(0, 0); 2];
        self.readers.clear();
        self.log = None;
    }

    /// Opens a log of which no segment is left: numbers go on behind the furthest cursor, and what the other one has not
    /// had is lost to it.
    fn open_empty(&mut self, before: Vec<Known>, stood: [usize; 2]) {
        let end = stood[0].max(stood[1]);
        self.records = before;
        self.records.truncate(end);
        self.synced = end;
        self.acked = [end; 2];
        self.open();
        for (lost, from) in self.lost.iter_mut().zip(stood) {
            let gone = &self.records[from..];
            *lost = (gone.len() as u64, gone.iter().map(|record| record.payload.len() as u64).sum());
        }
    }

    fn open(&mut self) {
        let log = Log::open(options(self.directory.path())).unwrap();
        assert!(matches!(Log::open(options(self.directory.path())), Err(OpenError::Locked { .. })));
        self.readers = vec![log.reader(0), log.reader(1)];
        self.log = Some(log);
        self.given = vec![Vec::new(), Vec::new()];
        self.next = self.acked;
        self.lost = [(0, 0); 2];
    }

    fn run(&mut self, step: Step) {
        match step {
            Step::Append { fill, len } => self.append((0..len).map(|n| fill.wrapping_add(n as u8)).collect()),
            Step::Read { cursor, records } => (0..records).for_each(|_| self.read(cursor)),
            Step::Ack { cursor, back } => self.ack(cursor, back),
            Step::Maintain => {
                self.log().maintain().unwrap();
                self.log().sync().unwrap();
                self.synced = self.records.len();
            }
            Step::Kill => {
                self.close();
                self.cut_damaged_tail();
                self.open();
            }
            Step::PowerLoss { kept, garbage } => self.power_loss(kept, garbage),
            Step::Flip { at, with } => self.flip(at, with),
            Step::Full(room) => self.log().leave_room(Some(room)),
            Step::Room => self.log().leave_room(None),
        }
        self.check();
    }

    fn append(&mut self, payload: Vec<u8>) {
        let Ok(end) = self.log().append(None, &record(&payload)) else { return };
        let total = 56 + payload.len() as u64;
        let bytes = end.offset - total..end.offset;
        self.records.push(Known { payload, segment: end.segment, bytes, whole: true });
        assert_eq!(end.record, self.records.len() as u64);
    }

    fn read(&mut self, cursor: usize) {
        let read = self.readers[cursor].next_now().unwrap();
        while let Some(damaged) = self.records.get(self.next[cursor]).filter(|record| !record.whole) {
            self.lost[cursor].0 += 1;
            self.lost[cursor].1 += damaged.payload.len() as u64;
            self.next[cursor] += 1;
        }
        let expected = self.records.get(self.next[cursor]);
        assert_eq!(read.as_ref().map(|read| read.payload.to_vec()), expected.map(|known| known.payload.clone()));
        if let Some(read) = read {
            assert_eq!(read.header.number, self.next[cursor] as u64);
            self.next[cursor] += 1;
            self.given[cursor].push(read.end);
        }
    }

    /// Acknowledges all but the last `back` records that were read.
    fn ack(&mut self, cursor: usize, back: usize) {
        let given = &self.given[cursor];
        let Some(position) = given.len().checked_sub(1 + back).map(|at| given[at]) else { return };
        self.log().ack(cursor, position).unwrap();
        self.acked[cursor] = self.acked[cursor].max(position.record as usize);
    }

    /// The last segment with a header.
    fn last_segment(&self) -> Option<(PathBuf, u64)> {
        let mut files = segment_files(self.directory.path()).into_iter().rev();
        let whole = |path: &PathBuf| {
            let mut file = std::fs::File::open(path).unwrap();
            crate::segment::header(&mut file).unwrap().is_some()
        };
        let path = files.find(whole)?;
        let number = u64::from_str_radix(path.file_stem()?.to_str()?, 16).unwrap();
        Some((path, number))
    }

    /// At the end of the log, damaged records are taken for a torn tail.
    fn cut_damaged_tail(&mut self) {
        let Some((_, segment)) = self.last_segment() else { return };
        while self.records.last().is_some_and(|record| record.segment == segment && !record.whole) {
            self.forget_last();
        }
    }

    fn forget_last(&mut self) {
        let Some(cut) = self.records.pop() else { return };
        let len = self.records.len();
        for (torn, _) in self.torn.iter_mut().zip(self.acked).filter(|(_, acked)| *acked <= len) {
            torn.0 += 1;
            torn.1 += cut.payload.len() as u64;
        }
        self.acked = self.acked.map(|acked| acked.min(len));
        self.synced = self.synced.min(len);
    }

    fn power_loss(&mut self, kept: f64, garbage: u8) {
        self.close();
        let (before, stood) = (self.records.clone(), self.acked);
        if let Some((path, segment)) = self.last_segment() {
            let len = std::fs::metadata(&path).unwrap().len();
            let safe = self.records[..self.synced].iter().filter(|record| record.segment == segment);
            let safe = safe.map(|record| record.bytes.end).max().unwrap_or(0);
            let end = safe + ((len - safe.min(len)) as f64 * kept) as u64;
            let file = OpenOptions::new().write(true).open(&path).unwrap();
            file.set_len(end).unwrap();
            if garbage > 128 {
                // The file has grown, but what it was to hold did not get there.
                file.set_len(end + u64::from(garbage)).unwrap();
            }
            while self.records.last().is_some_and(|record| record.segment == segment && record.bytes.end > end) {
                self.forget_last();
            }
            self.cut_damaged_tail();
        }
        if self.last_segment().is_none() { self.open_empty(before, stood) } else { self.open() }
    }

    fn flip(&mut self, at: f64, with: u8) {
        self.close();
        let files = segment_files(self.directory.path());
        let total: u64 = files.iter().map(|file| std::fs::metadata(file).unwrap().len()).sum();
        let mut at = (total as f64 * at) as u64;
        for path in files {
            let mut bytes = std::fs::read(&path).unwrap();
            if at >= bytes.len() as u64 {
                at -= bytes.len() as u64;
                continue;
            }
            let number = u64::from_str_radix(path.file_stem().unwrap().to_str().unwrap(), 16).unwrap();
            let hit = self.records.iter_mut().find(|record| record.segment == number && record.bytes.contains(&at));
            // A second flip of a byte would heal it, which is not what this is about.
            if hit.as_ref().is_none_or(|record| record.whole) && at >= 48 {
                bytes[at as usize] ^= with;
                std::fs::write(&path, bytes).unwrap();
                if let Some(record) = hit {
                    record.whole = false;
                }
            }
            break;
        }
        self.cut_damaged_tail();
        self.open();
    }

    fn check(&self) {
        let log = self.log();
        assert_eq!(log.end().record, self.records.len() as u64);
        let samples: usize = self.records.iter().map(|record| record.payload.len()).sum();
        assert_eq!(log.end().samples, samples as u64);
        for cursor in 0..2 {
            let losses = log.losses(cursor);
            let (records, samples) = self.torn[cursor];
            assert!(losses.torn_records <= records && losses.torn_samples <= samples, "{losses:?} {:?}", self.torn);
            let expected = Losses {
                torn_records: losses.torn_records,
                torn_samples: losses.torn_samples,
                corrupt_records: self.lost[cursor].0,
                corrupt_samples: self.lost[cursor].1,
                ..Losses::default()
            };
            assert_eq!(losses, expected);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn the_log_is_what_the_model_says(steps in proptest::collection::vec(step(), 1..120)) {
        let mut model = Model::new();
        for step in steps {
            model.run(step);
        }
        for cursor in 0..2 {
            while model.next[cursor] < model.records.len() {
                model.read(cursor);
            }
        }
        model.check();
    }
}

/// As many as fit into a run of all tests; `OXIDOT_FUZZ_SECONDS` asks for more.
fn cases() -> u32 {
    super::damage::fuzz_seconds().map_or(150, |seconds| u32::try_from(seconds * 100).unwrap_or(u32::MAX))
}

//! How far what was read from a file has been delivered.

use super::mark::Mark;
use super::tail::Tail;
use pipeline::AckOutcome;
use std::collections::{HashMap, VecDeque};
use tokio::sync::oneshot;
use tokio::sync::oneshot::error::TryRecvError;

/// A line that was handed on, or left out.
#[derive(Debug)]
struct Line {
    end: u64,
    number: u64,
    /// None for one that there is nothing to deliver of.
    fate: Option<oneshot::Receiver<AckOutcome>>,
}

/// One file.
#[derive(Debug, Default)]
struct OfFile {
    /// Where the first line begins that is not delivered, and how many come before it; none while nothing was handed on.
    delivered: Option<(u64, u64)>,
    in_flight: VecDeque<Line>,
    /// What comes next was not delivered because of the service's end, and is to be read again after it.
    stuck: bool,
}

/// All files, by device and inode.
#[derive(Debug, Default)]
pub(super) struct Progress {
    files: HashMap<(u64, u64), OfFile>,
}

impl Progress {
    /// Notes a line in the order of the file, from `number` lines before it.
    pub(super) fn push(
        &mut self,
        file: (u64, u64),
        end: u64,
        number: u64,
        fate: Option<oneshot::Receiver<AckOutcome>>,
    ) {
        self.files.entry(file).or_default().in_flight.push_back(Line { end, number, fate });
    }

    /// Notes where reading begins.
    pub(super) fn begin(&mut self, tail: &Tail) {
        let mark = tail.mark();
        self.files.entry(tail.identity).or_default().delivered.get_or_insert((mark.offset, mark.lines));
    }

    /// A file begins anew.
    pub(super) fn restart(&mut self, file: (u64, u64)) {
        self.files.insert(file, OfFile { delivered: Some((0, 0)), ..OfFile::default() });
    }

    /// What comes next of a file was given up because the service ends.
    pub(super) fn stick(&mut self, file: (u64, u64)) {
        self.files.entry(file).or_default().stuck = true;
    }

    /// Takes note of what was delivered by now. While the service ends, what was not delivered counts as not read.
    pub(super) fn advance(&mut self, stopping: bool) {
        for file in self.files.values_mut() {
            while let Some(line) = file.in_flight.front_mut().filter(|_| !file.stuck) {
                let outcome = match line.fate.as_mut().map(oneshot::Receiver::try_recv) {
                    None => AckOutcome::Delivered,
                    Some(Ok(outcome)) => outcome,
                    Some(Err(TryRecvError::Closed)) => AckOutcome::Dropped,
                    Some(Err(TryRecvError::Empty)) => break,
                };
                if stopping && outcome == AckOutcome::Dropped {
                    file.stuck = true;
                    break;
                }
                file.delivered = Some((line.end, line.number));
                file.in_flight.pop_front();
            }
        }
    }

    /// Lines whose fate is not known.
    pub(super) fn in_flight(&self) -> usize {
        self.files.values().filter(|file| !file.stuck).map(|file| file.in_flight.len()).sum()
    }

    /// Whether everything of a file has been delivered.
    pub(super) fn is_settled(&self, tail: &Tail) -> bool {
        self.files.get(&tail.identity).is_none_or(|file| file.in_flight.is_empty() && !file.stuck)
    }

    /// Forgets files that are not open.
    pub(super) fn retain(&mut self, is_open: impl Fn((u64, u64)) -> bool) {
        self.files.retain(|file, _| is_open(*file));
    }

    /// How far a file was delivered.
    pub(super) fn mark(&self, tail: &Tail) -> Mark {
        match self.files.get(&tail.identity) {
            Some(OfFile { delivered: Some((offset, lines)), .. }) if *offset != tail.mark().offset => {
                // What cannot be read now is read from its beginning after a restart, which is too much and not too little.
                tail.mark_at(*offset, *lines).unwrap_or_default()
            }
            _ => tail.mark(),
        }
    }
}

//! All files that are being read, and those that were.

use super::config::Config;
use super::mark::Mark;
use super::tail::{Found, Tail};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Files that are gone, or not read any more, and would be known again: as many as rotation leaves behind in a long time.
const MAX_REMEMBERED: usize = 4096;

/// How far a file has been taken care of, to be kept across a restart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Remembered {
    pub(super) path: PathBuf,
    pub(super) mark: Mark,
}

/// Something that went wrong with a file, which is looked at again with the next poll.
#[derive(Debug)]
pub(super) struct Trouble {
    pub(super) path: PathBuf,
    pub(super) what: String,
}

/// The files.
#[derive(Debug)]
pub(super) struct Tails {
    config: Config,
    pub(super) open: Vec<Tail>,
    /// Files that ended, those of the run before included; the newest last.
    ended: VecDeque<Remembered>,
    /// Whether the files that are there at the start have been looked at.
    started: bool,
}

/// What a look at the directories came to.
#[derive(Debug, Default)]
pub(super) struct Look {
    pub(super) troubles: Vec<Trouble>,
    /// Files that are not read because there are too many.
    pub(super) left_out: usize,
    /// Where lines were never finished since the file was cut off: its name, the line, and its bytes.
    pub(super) unfinished: Vec<(PathBuf, u64, usize)>,
    /// Files that were cut off and begin anew.
    pub(super) restarted: Vec<(u64, u64)>,
}

impl Tails {
    pub(super) fn new(mut config: Config, remembered: Vec<Remembered>) -> Self {
        // After a restart, what is not known has come in the meantime.
        config.from_beginning |= !remembered.is_empty();
        Self { config, open: Vec::new(), ended: remembered.into(), started: false }
    }

    /// Looks for files: opens new ones, notices those that were moved or cut off. Blocks.
    pub(super) fn look(&mut self) -> Look {
        let mut look = Look::default();
        self.open.iter_mut().for_each(|tail| tail.gone = true);
        let first = !std::mem::replace(&mut self.started, true);
        for path in self.config.files() {
            let Ok(metadata) = fs::metadata(&path) else { continue };
            let identity = (metadata.dev(), metadata.ino());
            if let Some(tail) = self.open.iter_mut().find(|tail| tail.identity == identity) {
                tail.gone = false;
                tail.path.clone_from(&path);
                let (lines, unfinished, mark) = (tail.lines, tail.unfinished(), tail.mark());
                match tail.notice_truncation() {
                    Ok(true) => {
                        look.restarted.push(identity);
                        // A copy may have been made of it before.
                        self.ended.push_back(Remembered { path: path.clone(), mark });
                        if unfinished > 0 {
                            look.unfinished.push((path, lines + 1, unfinished));
                        }
                    }
                    Ok(false) => {}
                    Err(error) => look.troubles.push(Trouble { path, what: error.to_string() }),
                }
            } else if self.open.len() >= self.config.max_files {
                look.left_out += 1;
            } else if metadata.is_file() && metadata.len() > 0 || first && metadata.is_file() {
                match self.begin(&path, first) {
                    Ok(tail) => self.open.push(tail),
                    Err(error) => look.troubles.push(Trouble { path, what: error.to_string() }),
                }
            }
        }
        look
    }

    /// Opens a file that is new under its name: at the place where reading it has stopped, if it is an old one.
    fn begin(&self, path: &Path, first: bool) -> std::io::Result<Tail> {
        let mut tail = Tail::open(path)?;
        // A file that is copied away before it is cut off is read already, too.
        let open = self.open.iter().map(Tail::mark);
        let known = self.ended.iter().map(|ended| ended.mark).chain(open).filter(|mark| mark.offset > 0);
        let mut best: Option<Mark> = None;
        for mark in known {
            if best.is_none_or(|best| best.offset < mark.offset) && tail.is_marked_by(&mark)? {
                best = Some(mark);
            }
        }
        match best {
            Some(mark) => tail.resume(&mark),
            None if first && !self.config.from_beginning => tail.skip_to_end()?,
            None => {}
        }
        Ok(tail)
    }

    /// Lets go of files that have no name any more, were read to their ends and are `settled`. Says where a line was left
    /// unfinished.
    pub(super) fn close_gone(&mut self, settled: impl Fn(&Tail) -> bool) -> Vec<(PathBuf, u64, usize)> {
        let mut unfinished = Vec::new();
        let mut closed = Vec::new();
        self.open.retain(|tail| {
            if !(tail.gone && tail.is_at_end() && settled(tail)) {
                return true;
            }
            if tail.unfinished() > 0 {
                unfinished.push((tail.path.clone(), tail.lines + 1, tail.unfinished()));
            }
            closed.push(Remembered { path: tail.path.clone(), mark: tail.mark() });
            false
        });
        self.ended.extend(closed);
        while self.ended.len() > MAX_REMEMBERED {
            self.ended.pop_front();
        }
        unfinished
    }

    /// Reads some lines of the file at a place in the list. Says whether there may be more. Blocks.
    pub(super) fn read(
        &mut self,
        at: usize,
        found: &mut VecDeque<Found>,
        is_whole: impl FnOnce(&[u8]) -> bool,
    ) -> Result<bool, Trouble> {
        let max_line = self.config.max_line;
        let Some(tail) = self.open.get_mut(at) else { return Ok(false) };
        let before = tail.unfinished();
        let more =
            tail.read(max_line, found).map_err(|error| Trouble { path: tail.path.clone(), what: error.to_string() })?;
        // Nothing came since the last look: perhaps nothing is to come.
        if !more && found.is_empty() && (tail.gone || before > 0 && before == tail.unfinished()) {
            found.extend(tail.finish_last(is_whole));
        }
        Ok(more)
    }

    /// What is to be kept across a restart: how far each file was delivered.
    pub(super) fn remembered(&self, delivered: impl Fn(&Tail) -> Mark) -> Vec<Remembered> {
        let open = self.open.iter().map(|tail| Remembered { path: tail.path.clone(), mark: delivered(tail) });
        let open: Vec<Remembered> = open.filter(|remembered| remembered.mark.offset > 0).collect();
        let ended = self.ended.iter().filter(|ended| open.iter().all(|open| open.mark != ended.mark));
        ended.cloned().chain(open.iter().cloned()).collect()
    }
}

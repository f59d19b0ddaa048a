//! Where requests go: one file, or one for each value of an attribute.

use super::config::{Config, GroupBy};
use super::encode::{Encoded, Requests};
use super::group;
use super::metrics::Unwritten;
use super::output::OutputFile;
use otlp::encode::{Dropped, MetricsEncoder};
use pipeline::Batch;
use std::io;
use std::path::{Path, PathBuf};

/// The files.
#[derive(Debug)]
pub(super) struct Files {
    config: Config,
    /// The one that was written last comes last.
    open: Vec<(PathBuf, OutputFile)>,
    /// Remembers what targets say of themselves.
    encoder: MetricsEncoder,
}

/// What became of a part of a batch.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) items: usize,
    /// What OTLP has no place for, beside the items.
    pub(super) dropped: Dropped,
    pub(super) result: Result<(), (Unwritten, String)>,
}

impl Files {
    /// Opens the file, if there is one.
    ///
    /// # Errors
    /// If the system refuses.
    pub(super) fn open(config: Config) -> io::Result<Self> {
        let mut open = Vec::new();
        if config.group_by.is_none() {
            let file = OutputFile::open(&config.path, &config, config.append)?;
            open.push((config.path.clone(), file));
        }
        Ok(Self { config, open, encoder: MetricsEncoder::default() })
    }

    /// Writes a batch. Blocks.
    pub(super) fn write(&mut self, batch: &Batch) -> Vec<Written> {
        let Some(group_by) = self.config.group_by.clone() else {
            let path = self.config.path.clone();
            return vec![self.write_part(&path, batch)];
        };
        let parts = group::by_attribute(batch, &group_by.attribute);
        let mut written = Vec::with_capacity(parts.len());
        for (value, part) in parts {
            written.push(match value {
                Some(value) => self.write_part(&path_of(&group_by, &value), &part),
                None => {
                    let why = format!("a resource has no attribute {:?}, which says where it goes", group_by.attribute);
                    let result = Err((Unwritten::Ungrouped, why));
                    Written { items: part.len(), dropped: Dropped::default(), result }
                }
            });
        }
        written
    }

    fn write_part(&mut self, path: &Path, part: &Batch) -> Written {
        let Encoded { requests, items, dropped } = Encoded::of(part, &mut self.encoder);
        let result = requests.map_or(Ok(()), |requests| self.write_requests(path, &requests));
        let result = result.map_err(|error| (Unwritten::Error, format!("{}: {error}", path.display())));
        Written { items, dropped, result }
    }

    /// Writes requests; if that fails, once more to a file that is opened anew: somebody may have taken the old one away.
    fn write_requests(&mut self, path: &Path, requests: &Requests) -> io::Result<()> {
        let framed = requests.framed(self.config.format, self.config.zstd)?;
        self.file(path).and_then(|file| file.write(&framed)).or_else(|_| {
            self.open.retain(|(known, _)| known != path);
            self.file(path)?.write(&framed)
        })
    }

    /// The file at a path, opened if it is not open. What this exporter has written is never cut off.
    fn file(&mut self, path: &Path) -> io::Result<&mut OutputFile> {
        let known = match self.open.iter().position(|(known, _)| known == path) {
            Some(at) => self.open.remove(at),
            None => {
                let most = self.config.group_by.as_ref().map_or(1, |group_by| group_by.max_open_files);
                if self.open.len() >= most {
                    self.open.remove(0);
                }
                (path.to_owned(), OutputFile::open(path, &self.config, true)?)
            }
        };
        self.open.push(known);
        let last = self.open.last_mut().map(|(_, file)| file);
        last.ok_or_else(|| io::Error::other("the file was closed"))
    }

    /// Forces what was written to the disk. Blocks.
    ///
    /// # Errors
    /// The first refusal.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.open.iter().try_for_each(|(_, file)| file.sync())
    }
}

/// The path with the value of the attribute in the place of the star.
fn path_of(group_by: &GroupBy, value: &str) -> PathBuf {
    let (before, after) = &group_by.around;
    PathBuf::from(format!("{before}{}{after}", group::segment(value)))
}

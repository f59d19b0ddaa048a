//! All that changes the files of a log, lock and directories apart. What a machine leaves behind that dies depends on the order in which
//! things were written and forced to the disk; so each step is made here, where tests see it, and nowhere else.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

/// Makes a file that is not there, to be written.
pub(crate) fn create_new(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().write(true).create_new(true).open(path)?;
    #[cfg(test)]
    steps::note(steps::Step::Named(path.to_owned(), steps::id(&file)));
    Ok(file)
}

/// Opens a file to be read and written; makes it if it is not there.
pub(crate) fn open_or_create(path: &Path) -> io::Result<File> {
    #[cfg(test)]
    let is_new = !path.exists();
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
    #[cfg(test)]
    if is_new {
        steps::note(steps::Step::Named(path.to_owned(), steps::id(&file)));
    }
    Ok(file)
}

/// Writes all bytes where the file stands.
pub(crate) fn write_all(mut file: &File, bytes: &[u8]) -> io::Result<()> {
    #[cfg(test)]
    steps::note(steps::Step::Written(steps::id(file), steps::place(file), bytes.to_vec()));
    file.write_all(bytes)
}

/// Makes a file as long as this.
pub(crate) fn set_len(file: &File, len: u64) -> io::Result<()> {
    #[cfg(test)]
    steps::note(steps::Step::Resized(steps::id(file), len));
    file.set_len(len)
}

/// Forces what a file holds, and how long it is, to the disk.
pub(crate) fn sync(file: &File) -> io::Result<()> {
    file.sync_data()?;
    #[cfg(test)]
    steps::note(steps::Step::Synced(steps::id(file)));
    Ok(())
}

/// Forces names in the directory to the disk: a file that was created or removed.
pub(crate) fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()?;
    #[cfg(test)]
    steps::note(steps::Step::NamesSynced);
    Ok(())
}

/// Removes a file.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    std::fs::remove_file(path)?;
    #[cfg(test)]
    steps::note(steps::Step::Removed(path.to_owned()));
    Ok(())
}

/// What a thread has done, for tests.
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
pub(crate) mod steps {
    use std::cell::RefCell;
    use std::fs::File;
    use std::io::Seek as _;
    use std::os::unix::fs::MetadataExt as _;
    use std::path::PathBuf;

    /// A step. Files are told apart by their inodes.
    #[derive(Clone, Debug)]
    pub(crate) enum Step {
        Named(PathBuf, u64),
        Removed(PathBuf),
        NamesSynced,
        Written(u64, u64, Vec<u8>),
        Resized(u64, u64),
        Synced(u64),
    }

    thread_local! {
        static STEPS: RefCell<Option<Vec<Step>>> = const { RefCell::new(None) };
    }

    /// From now on the steps of this thread are noted.
    pub(crate) fn begin() {
        STEPS.set(Some(Vec::new()));
    }

    /// How many there were.
    pub(crate) fn count() -> usize {
        STEPS.with_borrow(|steps| steps.as_ref().map_or(0, Vec::len))
    }

    /// Those since [`begin`]; no more are noted.
    pub(crate) fn end() -> Vec<Step> {
        STEPS.take().unwrap_or_default()
    }

    pub(super) fn note(step: Step) {
        STEPS.with_borrow_mut(|steps| steps.iter_mut().for_each(|steps| steps.push(step.clone())));
    }

    /// The inode of a file.
    pub(crate) fn id(file: &File) -> u64 {
        file.metadata().unwrap().ino()
    }

    pub(super) fn place(mut file: &File) -> u64 {
        file.stream_position().unwrap()
    }
}

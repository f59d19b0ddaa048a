//! What the operating system says about memory: how much the process has, and how much it may have.
//!
//! Everything is read from Linux's pseudo files below a root that tests replace. `status` is read rather than
//! the shorter `statm`, which counts in pages whose size no file tells.

use std::io;
use std::path::{Path, PathBuf};

/// No file read here is longer: `status` and `meminfo` have a few kilobytes, `cgroup` a line per hierarchy.
const MAX_FILE: u64 = 64 * 1024;

/// Where the pseudo files are.
#[derive(Debug, Clone)]
pub(super) struct System {
    root: PathBuf,
}

impl Default for System {
    fn default() -> Self {
        Self { root: PathBuf::from("/") }
    }
}

impl System {
    /// The pseudo files of another root.
    #[cfg(test)]
    pub(super) fn at(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// Resident memory of this process, in bytes.
    pub(super) fn resident(&self) -> io::Result<u64> {
        self.kilobytes("proc/self/status", "VmRSS:")
    }

    /// The memory that this process may have, in bytes: the smallest limit of its control group and the groups
    /// around it, and no more than the machine has.
    pub(super) fn available(&self) -> io::Result<u64> {
        let machine = self.kilobytes("proc/meminfo", "MemTotal:")?;
        Ok(self.group_limit().map_or(machine, |limit| limit.min(machine)))
    }

    /// The smallest limit among the process' control groups. `None` if there is none.
    fn group_limit(&self) -> Option<u64> {
        let groups = self.read("proc/self/cgroup").ok()?;
        // Lines are `hierarchy:controllers:path`; version 2 has hierarchy 0 and names no controllers.
        let limits = groups.lines().filter_map(|line| {
            let mut fields = line.splitn(3, ':');
            let (hierarchy, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
            if hierarchy == "0" && controllers.is_empty() {
                return self.smallest("sys/fs/cgroup", path, "memory.max");
            }
            let is_memory = controllers.split(',').any(|controller| controller == "memory");
            is_memory.then(|| self.smallest("sys/fs/cgroup/memory", path, "memory.limit_in_bytes")).flatten()
        });
        limits.min()
    }

    /// The smallest number that a file called `name` has in the group `path` or in one around it. A container
    /// often sees its own group as the root but is told its path on the host, which then does not exist.
    fn smallest(&self, mount: &str, path: &str, name: &str) -> Option<u64> {
        let mount = Path::new(mount);
        let group = Path::new(path.trim_start_matches('/'));
        let limit = |group: &Path| self.read(mount.join(group).join(name)).ok()?.trim().parse().ok();
        // `max` means no limit and is no number. Version 1 writes a number no machine has.
        group.ancestors().filter_map(limit).min()
    }

    /// The value in bytes of the line that begins with `key` and counts in kB.
    fn kilobytes(&self, path: &str, key: &str) -> io::Result<u64> {
        let text = self.read(path)?;
        let number = text.lines().find_map(|line| line.strip_prefix(key)?.split_whitespace().next()?.parse().ok());
        let missing = || io::Error::new(io::ErrorKind::InvalidData, format!("/{path} has no line {key}"));
        number.map(|kilobytes: u64| kilobytes.saturating_mul(1024)).ok_or_else(missing)
    }

    fn read(&self, path: impl AsRef<Path>) -> io::Result<String> {
        use io::Read as _;
        let path = self.root.join(path);
        let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        let mut text = String::new();
        std::fs::File::open(&path).map_err(named)?.take(MAX_FILE).read_to_string(&mut text).map_err(named)?;
        Ok(text)
    }
}

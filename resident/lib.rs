//! Gives pages of the program's own file, and of the libraries that it is linked with, back to the system.
//!
//! A start touches most of a program: reading configuration, building components, setting up TLS. The kernel maps what is
//! touched in pieces of 64 KiB and never takes it back while there is memory, so that code which ran once counts
//! towards a container's resident memory for ever: 8.6 of 13.6 MB of an idle sidecar. Given back, a page stays in the
//! page cache, and what still runs is mapped again within microseconds, without reading from the disk.
//!
//! This is the one place in the project with `unsafe` code: there is no safe interface to `madvise`.

use std::io;

/// Gives back every page that is mapped from the program's own file or from a library of C, and was never changed. Returns their
/// size in bytes as it was before. Takes about a millisecond; does nothing on systems other than Linux.
///
/// # Errors
/// If the kernel does not tell what is mapped, or refuses.
pub fn release_program() -> io::Result<u64> {
    #[cfg(target_os = "linux")]
    return linux::release_program();
    #[cfg(not(target_os = "linux"))]
    Ok(0)
}

#[cfg(target_os = "linux")]
mod linux {
    use std::io;
    use std::os::unix::fs::MetadataExt as _;

    /// What the program is linked with, where it is not linked statically: the beginnings of names of files. Only what a program
    /// is linked with stays mapped until its process ends; a library that was loaded later may go.
    const LINKED: [&str; 4] = ["libc.so", "libm.so", "libgcc_s.so", "ld-linux"];

    /// A range of addresses as `/proc/self/smaps` describes it.
    #[derive(Debug, Default, PartialEq, Eq)]
    pub(super) struct Mapping {
        pub(super) start: usize,
        pub(super) end: usize,
        writable: bool,
        private: bool,
        inode: u64,
        /// The file's name without its directories.
        name: String,
        resident_kib: u64,
        /// Pages that differ from the file.
        changed_kib: Option<u64>,
    }

    pub(super) fn release_program() -> io::Result<u64> {
        let program = std::fs::metadata("/proc/self/exe")?.ino();
        let mappings = parse(&std::fs::read_to_string("/proc/self/smaps")?);
        let mut released = 0;
        for mapping in mappings.iter().filter(|mapping| mapping.may_be_released(program)) {
            release(mapping)?;
            released += mapping.resident_kib * 1024;
        }
        Ok(released)
    }

    impl Mapping {
        /// Whether all of it is an unchanged part of the file `program` or of a library that it is linked with, and can never be
        /// anything else: these are mapped until the process ends, and what cannot be written to does not change. (What
        /// the dynamic linker has changed before it made it read-only, counts as changed.)
        pub(super) fn may_be_released(&self, program: u64) -> bool {
            let is_ours = self.inode == program || LINKED.iter().any(|name| self.name.starts_with(name));
            let unchanged = self.changed_kib == Some(0);
            is_ours && self.private && !self.writable && unchanged && self.start < self.end
        }
    }

    /// Takes `/proc/self/smaps` apart; lines of other forms are passed over. Format: proc_pid_smaps(5).
    pub(super) fn parse(smaps: &str) -> Vec<Mapping> {
        let mut mappings: Vec<Mapping> = Vec::new();
        for line in smaps.lines() {
            let mut words = line.split_ascii_whitespace();
            let Some(first) = words.next() else { continue };
            if let Some(key) = first.strip_suffix(':') {
                let kib = words.next().and_then(|word| word.parse().ok());
                match (key, mappings.last_mut()) {
                    ("Rss", Some(mapping)) => mapping.resident_kib = kib.unwrap_or(0),
                    ("Anonymous", Some(mapping)) => mapping.changed_kib = kib,
                    _ => {}
                }
            } else if let Some(mapping) = head(first, words) {
                mappings.push(mapping);
            }
        }
        mappings
    }

    /// `start-end permissions offset device inode path`.
    fn head<'a>(range: &str, mut words: impl Iterator<Item = &'a str>) -> Option<Mapping> {
        let (start, end) = range.split_once('-')?;
        let permissions = words.next()?;
        let inode = words.nth(2)?;
        let path = words.next().unwrap_or_default();
        Some(Mapping {
            start: usize::from_str_radix(start, 16).ok()?,
            end: usize::from_str_radix(end, 16).ok()?,
            writable: permissions.contains('w'),
            private: permissions.ends_with('p'),
            inode: inode.parse().ok()?,
            name: path.rsplit('/').next().unwrap_or_default().to_owned(),
            ..Mapping::default()
        })
    }

    #[expect(unsafe_code, reason = "there is no safe interface to madvise")]
    fn release(mapping: &Mapping) -> io::Result<()> {
        // SAFETY: MADV_DONTNEED makes later reads of the range see the file's contents. `may_be_released` has made sure that
        // this is what they see now: the range is a private mapping of the program's file or of a library that it is linked with,
        // which cannot be unmapped or replaced while the program runs; no page of it differs from the file, and none can come
        // to, as it is not writable. So no memory that Rust knows of changes its value.
        let result = unsafe {
            libc::madvise(mapping.start as *mut libc::c_void, mapping.end - mapping.start, libc::MADV_DONTNEED)
        };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    const SMAPS: &str = "\
55d0c0000000-55d0c0100000 r--p 00000000 fe:00 77 /usr/bin/a program
Size:               1024 kB
Rss:                 700 kB
Anonymous:             0 kB
VmFlags: rd mr mw me
55d0c0100000-55d0c0900000 r-xp 00100000 fe:00 77 /usr/bin/a program
Rss:                5000 kB
Anonymous:             0 kB
55d0c0900000-55d0c0a00000 r--p 00900000 fe:00 77 /usr/bin/a program
Rss:                 400 kB
Anonymous:           400 kB
55d0c0a00000-55d0c0a10000 rw-p 00a00000 fe:00 77 /usr/bin/a program
Rss:                  40 kB
Anonymous:             0 kB
7f0000000000-7f0000200000 rw-p 00000000 00:00 0
Rss:                2048 kB
Anonymous:          2048 kB
7f0000200000-7f0000300000 r-xp 00000000 fe:00 99 /usr/lib/libc.so.6
Rss:                 900 kB
Anonymous:             0 kB
Anonymous:             0 kB
7f0000300000-7f0000400000 r-xp 00000000 fe:00 98 /usr/lib/libnss_files.so.2
Rss:                 900 kB
Anonymous:             0 kB
7f0000400000-7f0000500000 r--p 00000000 fe:00 77 /usr/bin/a program
Rss:                 900 kB
";

    #[test]
    fn only_unchanged_read_only_pages_of_the_program_and_what_it_is_linked_with_are_given_back() {
        let mappings = linux::parse(SMAPS);
        assert_eq!(mappings.len(), 8);
        let released: Vec<_> = mappings.iter().filter(|m| m.may_be_released(77)).map(|m| m.start).collect();
        // Not what was relocated, is writable, was loaded later, or of which it is not said whether it was changed.
        assert_eq!(released, [0x55d0_c000_0000, 0x55d0_c010_0000, 0x7f00_0020_0000]);
        assert!(linux::parse("no mapping\n12-zz r-xp\n: x\n").is_empty());
    }

    #[test]
    fn the_program_goes_on_afterwards() {
        let text = std::fs::read_to_string("/proc/self/smaps").unwrap();
        assert!(release_program().unwrap() > 0, "{text}");
        // Code, constants and relocated tables are all still there.
        let table: [fn(&str) -> String; 2] = [str::to_uppercase, str::to_lowercase];
        assert_eq!(table.map(|f| f("Abc")), ["ABC", "abc"]);
        assert!(release_program().is_ok());
    }
}

//! What a storage extension offers to the components that keep something on disk: where their logs go.

use crate::options::{Options, SyncPolicy};
use pipeline::component::ComponentKind;
use pipeline::config::ComponentId;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

/// Settings for logs below one directory. An extension offers it under its id in
/// [`pipeline::component::Shared`]; each component that uses it gets a directory of its own there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Storage {
    /// The directory of all.
    pub directory: PathBuf,
    /// Permissions of directories that are made, less the process' umask.
    pub permissions: u32,
    /// How long to wait for a log that somebody else has.
    pub timeout: Duration,
    /// When what is written is forced to the disk.
    pub sync: SyncPolicy,
}

impl Storage {
    /// The settings of a component's log. `purpose` tells several logs of a component apart; empty if it has one.
    ///
    /// The log's directory is called as the Collector calls a component's file: `exporter_otlphttp_east_metrics`.
    pub fn options(&self, kind: ComponentKind, id: &ComponentId, purpose: &str) -> Options {
        let mut name = format!("{}_{}_{}", kind.name(), plain(id.type_name()), plain(id.name()));
        if !purpose.is_empty() {
            name.push('_');
            name.push_str(&plain(purpose));
        }
        Options {
            create_directory: true,
            permissions: self.permissions,
            lock_timeout: self.timeout,
            sync: self.sync,
            ..Options::new(self.directory.join(name))
        }
    }
}

/// Text as a part of a file name: what is not a letter, digit, dot, hyphen or underscore is written as `~` and its
/// number, as the Collector does it.
fn plain(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        if c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_') {
            out.push(c);
        } else {
            // Writing to a string does not fail.
            write!(out, "~{:04X}", u32::from(c)).ok();
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn components_get_directories_of_their_own() {
        let storage = Storage {
            directory: "/s".into(),
            permissions: 0o700,
            timeout: Duration::from_secs(3),
            sync: SyncPolicy::Always,
        };
        let of = |name: &str, purpose: &str| {
            let id = ComponentId::new("otlphttp", name).unwrap();
            storage.options(ComponentKind::Exporter, &id, purpose)
        };
        assert_eq!(of("", "metrics").directory, PathBuf::from("/s/exporter_otlphttp__metrics"));
        let odd = of("logs/a:b", "");
        assert_eq!(odd.directory, PathBuf::from("/s/exporter_otlphttp_logs~002Fa~003Ab"));
        assert_eq!((odd.permissions, odd.lock_timeout, odd.sync), (0o700, Duration::from_secs(3), SyncPolicy::Always));
    }
}

//! What relative paths in a configuration are relative to.

use pipeline::config::Span;
use std::path::{Path, PathBuf};

/// What relative paths are relative to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PathBase {
    /// The working directory, as in the Collector, whose receiver hands the block to Prometheus' loader as text.
    #[default]
    WorkingDirectory,
    /// The directory of the file that a path is written in, as in Prometheus.
    FileDirectory,
}

impl PathBase {
    /// What paths written at `span` are relative to. Empty for the working directory.
    pub(super) fn directory<'a>(&self, span: &'a Span) -> &'a Path {
        match self {
            Self::WorkingDirectory => Path::new(""),
            Self::FileDirectory => Path::new(span.source.as_ref()).parent().unwrap_or(Path::new("")),
        }
    }

    /// `path`, written at `span`, as it can be opened. An absolute path stays as it is.
    pub(super) fn join(&self, path: &str, span: &Span) -> PathBuf {
        self.directory(span).join(path)
    }

    /// [`join`](Self::join), and nothing for nothing.
    pub(super) fn join_unless_empty(&self, path: &str, span: &Span) -> Option<PathBuf> {
        (!path.is_empty()).then(|| self.join(path, span))
    }
}

/// Whether a path has stars in its last element only, as Prometheus wants it wherever it takes patterns.
pub(super) fn is_glob_in_last_element(path: &str) -> bool {
    path.split_once('*').is_none_or(|(_, after)| !after.contains('/'))
}

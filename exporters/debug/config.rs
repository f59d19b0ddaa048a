//! Settings of the `debug` exporter.

use std::fmt;

use pipeline::config::{ComponentId, ConfigErrors, Node, decode_to_check};
use serde::{Deserialize, Deserializer, de};

/// How much is written of each batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verbosity {
    /// How many points there are.
    Basic,
    /// One line a point.
    Normal,
    /// Everything, on many lines.
    Detailed,
}

impl Verbosity {
    /// As written in configurations.
    pub fn name(self) -> &'static str {
        match self {
            Self::Basic => "basic",
            Self::Normal => "normal",
            Self::Detailed => "detailed",
        }
    }
}

impl<'de> Deserialize<'de> for Verbosity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameVisitor;
        impl de::Visitor<'_> for NameVisitor {
            type Value = Verbosity;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("basic, normal or detailed")
            }

            // The Collector does not care about case here, and files make use of it.
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Verbosity, E> {
                let all = [Verbosity::Basic, Verbosity::Normal, Verbosity::Detailed];
                all.into_iter().find(|level| level.name().eq_ignore_ascii_case(text)).ok_or_else(|| {
                    E::custom(format!("verbosity level {text:?} is not supported: use basic, normal or detailed"))
                })
            }
        }
        deserializer.deserialize_str(NameVisitor)
    }
}

/// The keys of the `debug` exporter.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DebugConfig {
    /// How much is written: `basic` (default; under the old name `logging` it is `normal`), `normal` or
    /// `detailed`.
    pub verbosity: Option<Verbosity>,
    /// How many batches of a second are written before sampling begins; default 2.
    pub sampling_initial: Option<u64>,
    /// After those, every n-th batch of the second is written. 1 (default) writes all, 0 none. Under the old
    /// name `logging` the default is 500.
    pub sampling_thereafter: Option<u64>,
    /// Whether to write through the service's own log (default) or straight to standard output. Choose `false`
    /// to see the dump when the log's level hides it.
    pub use_internal_logger: Option<bool>,
    /// What `logging` called its verbosity: `debug` is `detailed`, `info` is `normal`, everything else `basic`.
    pub loglevel: Option<String>,
}

/// The settings with all defaults in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Settings {
    pub(super) verbosity: Verbosity,
    pub(super) sampling_initial: u64,
    pub(super) sampling_thereafter: u64,
    pub(super) use_internal_logger: bool,
}

impl DebugConfig {
    /// Reads and checks the exporter's block.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn read(node: &Node) -> Result<Self, ConfigErrors> {
        let (config, mut errors) = decode_to_check::<Self>(node, "")?;
        if config.verbosity.is_some() && config.loglevel.is_some() {
            errors.push(node.error_at(
                "",
                "loglevel",
                "'loglevel' and 'verbosity' are incompatible: keep 'verbosity' and remove 'loglevel'",
            ));
        }
        if let Some(level) = &config.loglevel
            && !["debug", "info", "warn", "warning", "error"].iter().any(|known| known.eq_ignore_ascii_case(level))
        {
            errors.push(node.error_at("", "loglevel", format!("unrecognized level {level:?}: use 'verbosity'")));
        }
        errors.into_result(config)
    }

    /// The settings, with the defaults of `logging` if `as_logging`.
    pub(super) fn settings(&self, as_logging: bool) -> Settings {
        let from_level = self.loglevel.as_deref().map(|level| match level.to_ascii_lowercase().as_str() {
            "debug" => Verbosity::Detailed,
            "info" => Verbosity::Normal,
            _ => Verbosity::Basic,
        });
        let default = if as_logging { Verbosity::Normal } else { Verbosity::Basic };
        Settings {
            verbosity: self.verbosity.or(from_level).unwrap_or(default),
            sampling_initial: self.sampling_initial.unwrap_or(2),
            sampling_thereafter: self.sampling_thereafter.unwrap_or(if as_logging { 500 } else { 1 }),
            use_internal_logger: self.use_internal_logger.unwrap_or(true),
        }
    }

    /// Says in the log what to write instead of names that are kept for old files only.
    pub(super) fn warn_of_old_names(&self, id: &ComponentId) {
        if id.type_name() == "logging" {
            tracing::warn!(exporter = %id, "The exporter \"logging\" is called \"debug\" today; rename it.");
        }
        if self.loglevel.is_some() {
            let verbosity = self.settings(false).verbosity.name();
            tracing::warn!(exporter = %id, "The key \"loglevel\" is out of use; write \"verbosity: {verbosity}\".");
        }
    }
}

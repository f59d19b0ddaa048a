//! From command line arguments to one tree: sources are read, merged and expanded.

use std::collections::HashSet;

use pipeline::config::{ConfigError, ConfigErrors, Node, Span, parse};

use super::Warning;
use super::expand::expand;
use super::gates::FeatureGates;
use super::merge::{merge, unflatten};
use super::providers::{Location, Providers, Retrieved};

/// The variable that, when set, is the whole configuration, as in the ADOT Collector.
const CONTENT_VARIABLE: &str = "AOT_CONFIG_CONTENT";

/// What the command line says about configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConfigArgs {
    /// `--config` arguments in order; later ones win.
    pub uris: Vec<String>,
    /// `--set` arguments (`a.b.c=v`) in order; they win over all files.
    pub sets: Vec<String>,
}

/// What to run when the command line names no configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DefaultConfig {
    /// What it is called in positions.
    pub name: &'static str,
    /// Its YAML text.
    pub text: &'static str,
}

/// The configuration as one tree.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// All sources merged, with references replaced.
    pub root: Node,
    /// What the user should know; to be logged.
    pub warnings: Vec<Warning>,
    /// Whether nothing was named and the default was taken.
    pub is_default: bool,
}

/// Reads all sources, merges them in order, and replaces references. `AOT_CONFIG_CONTENT` overrides everything;
/// without any `--config` the default is taken, and `--set` applies to it.
///
/// # Errors
/// Sources that cannot be read, invalid YAML, and references that lead nowhere; all of them.
pub fn load(
    args: &ConfigArgs,
    default: Option<DefaultConfig>,
    gates: &FeatureGates,
    providers: &Providers<'_>,
) -> Result<Loaded, ConfigErrors> {
    let mut errors = ConfigErrors::new();
    let mut warnings = Vec::new();
    let mut sources = Vec::new();
    let content = (providers.env)(CONTENT_VARIABLE);
    let is_default = content.as_deref().unwrap_or_default().is_empty() && args.uris.is_empty();
    match content {
        Some(text) if !text.is_empty() => {
            let name = format!("env:{CONTENT_VARIABLE}");
            if !args.uris.is_empty() || !args.sets.is_empty() {
                let message = format!("{CONTENT_VARIABLE} is set, so --config and --set are ignored");
                warnings.push(ConfigError::new(Span::whole(&name), "", message));
            }
            sources.push((name, text));
        }
        content => {
            if content.is_some() {
                let message = format!("{CONTENT_VARIABLE} is set to nothing and ignored");
                warnings.push(ConfigError::new(Span::whole(&format!("env:{CONTENT_VARIABLE}")), "", message));
            }
            match (args.uris.is_empty(), default) {
                (true, Some(default)) => sources.push((default.name.to_owned(), default.text.to_owned())),
                (true, None) => {
                    let message = "no URIs: give a configuration with --config FILE";
                    errors.push(ConfigError::new(Span::whole("--config"), "", message));
                }
                (false, _) => read_uris(&args.uris, providers, &mut sources, &mut errors),
            }
            read_sets(&args.sets, &mut sources, &mut errors);
        }
    }
    let append = gates.is_enabled("confmap.enableMergeAppendOption");
    let mut root = Node::empty_mapping(Span::whole(sources.first().map_or("--config", |(name, _)| name)));
    let mut first = true;
    for (name, text) in &sources {
        if let Some(node) = errors.collect(parse(text, name)) {
            let node = unflatten(node);
            if first {
                root = node
            } else {
                merge(&mut root, node, append)
            }
            first = false;
        }
    }
    if !errors.is_empty() {
        return errors.into_result(Loaded { root, warnings, is_default });
    }
    let root = expand(root, providers, &mut warnings, &mut errors);
    drop_repeated(&mut warnings);
    errors.into_result(Loaded { root, warnings, is_default })
}

fn read_uris(
    uris: &[String],
    providers: &Providers<'_>,
    sources: &mut Vec<(String, String)>,
    errors: &mut ConfigErrors,
) {
    for uri in uris {
        let location = match Location::from_argument(uri) {
            Ok(location) => location,
            Err(message) => {
                errors.push(ConfigError::new(Span::whole("--config"), "", message));
                continue;
            }
        };
        let name = location.source_name();
        match location.retrieve(providers) {
            Ok(Retrieved::Text(text)) => sources.push((name, text)),
            Ok(Retrieved::Unset(variable)) => {
                let message = format!("environment variable {variable:?} is not set");
                errors.push(ConfigError::new(Span::whole(&name), "", message));
            }
            Ok(Retrieved::Empty(variable)) => {
                let message = format!("environment variable {variable:?} is empty");
                errors.push(ConfigError::new(Span::whole(&name), "", message));
            }
            Err(message) => errors.push(ConfigError::new(Span::whole(&name), "", message)),
        }
    }
}

/// `--set a.b.c=v` is the source `a::b::c: v`.
fn read_sets(sets: &[String], sources: &mut Vec<(String, String)>, errors: &mut ConfigErrors) {
    for set in sets {
        match set.split_once('=') {
            Some((key, value)) if !key.trim().is_empty() => {
                let key = key.trim();
                sources.push((format!("--set {key}"), format!("{}: {}", key.replace('.', "::"), value.trim())));
            }
            Some(_) => {
                let message = "invalid value for flag -set: nothing stands before the equal sign";
                errors.push(ConfigError::new(Span::whole("--set"), "", message));
            }
            None => {
                let message = format!(
                    "invalid value {set:?} for flag -set: missing equal sign; write --set exporters.debug.verbosity=normal"
                );
                errors.push(ConfigError::new(Span::whole("--set"), "", message));
            }
        }
    }
}

/// What an anchor holds is expanded at each alias; one warning is enough.
fn drop_repeated(warnings: &mut Vec<Warning>) {
    let mut seen = HashSet::new();
    warnings.retain(|warning| seen.insert((warning.span.clone(), warning.message.clone())));
}

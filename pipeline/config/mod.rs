//! Configuration as every component reads it: YAML with positions, and a strict decoder over it.
//!
//! Text becomes a [`Node`] (see [`parse`]), in which every value still knows the file, line and column it was
//! written at. A component's configuration struct is an ordinary serde struct, read with [`decode`], which
//! reports *all* problems of a block at once, each with its place, its key path and, where a name is close to a
//! known one, a suggestion. Nothing here reads files or the environment.
//!
//! ```
//! # use pipeline::config::{decode, parse, GoDuration};
//! #[derive(serde::Deserialize, Default)]
//! #[serde(default)]
//! struct Batch { timeout: GoDuration, send_batch_size: u32 }
//!
//! let node = parse("timeout: 10s\nsend_batch_sise: 5\n", "demo.yaml")?;
//! let errors = decode::<Batch>(&node, "processors::batch").err().map(|e| e.to_string());
//! assert_eq!(
//!     errors.as_deref(),
//!     Some("demo.yaml:2:1: processors::batch: has invalid keys: send_batch_sise; did you mean \"send_batch_size\"?"),
//! );
//! # Ok::<(), pipeline::config::ConfigErrors>(())
//! ```

mod access;
mod decode;
mod duration;
mod error;
mod fields;
mod id;
mod merge;
mod node;
mod parse;
mod print;
mod reader;
mod resolve;
mod secret;

#[cfg(test)]
mod tests;

pub use self::decode::{KeyStyle, decode, decode_to_check, decode_with};
pub use self::duration::{DurationError, GoDuration};
pub use self::error::{ConfigError, ConfigErrors, suggest};
pub use self::fields::{Section, StringList};
pub use self::id::{ComponentId, IdError};
pub use self::node::{Entry, Mapping, Node, Scalar, Span, Value};
pub use self::parse::{DuplicateKeys, MAX_DEPTH, MAX_NODES, parse, parse_document, parse_value};
pub use self::print::{Redaction, entry_is_secret, is_secret_key, shown_text, to_yaml};
pub use self::resolve::Resolved;
pub use self::secret::Secret;

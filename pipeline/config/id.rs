//! The names of component instances: `type` or `type/name`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, de};

/// The longest type name, in characters; the Collector's limit.
const MAX_TYPE: usize = 63;
/// The longest instance name, in bytes; the Collector's limit.
const MAX_NAME: usize = 1024;

/// A component's id: its type, and a name where a file has several of one type (`otlp`, `batch/metrics`).
/// The text is what metrics carry as `receiver=`, `exporter=` and so on, so the type stays as spelt by the user,
/// even where the file uses an old spelling.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ComponentId {
    type_name: String,
    name: String,
}

/// Why a text is no component id. The wording is the Collector's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Nothing there.
    #[error("id must not be empty")]
    Empty,
    /// `/name`.
    #[error("in {0:?} id: the part before / should not be empty")]
    EmptyType(String),
    /// `type/`.
    #[error("in {0:?} id: the part after / should not be empty")]
    EmptyName(String),
    /// A type is a letter followed by at most 62 letters, digits and underscores.
    #[error("in {id:?} id: invalid character(s) in type {type_name:?}")]
    BadType {
        /// The whole id.
        id: String,
        /// The part before the slash.
        type_name: String,
    },
    /// A name holds no spaces, control characters or symbols.
    #[error("in {id:?} id: invalid character(s) in name {name:?}")]
    BadName {
        /// The whole id.
        id: String,
        /// The part after the slash.
        name: String,
    },
    /// A name has at most 1024 bytes.
    #[error("in {id:?} id: name is longer than 1024 characters ({length} characters)")]
    LongName {
        /// The first characters of the id.
        id: String,
        /// The name's length in bytes.
        length: usize,
    },
}

impl ComponentId {
    /// An id from its parts; an empty `name` stands for none.
    ///
    /// # Errors
    /// As for parsing `type/name`.
    pub fn new(type_name: &str, name: &str) -> Result<Self, IdError> {
        if name.is_empty() { type_name.parse() } else { format!("{type_name}/{name}").parse() }
    }

    /// The part before the slash, as the user spelt it.
    pub fn type_name(&self) -> &str {
        &self.type_name
    }

    /// The part after the slash; empty if there is none.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for ComponentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.type_name)?;
        if !self.name.is_empty() {
            write!(f, "/{}", self.name)?;
        }
        Ok(())
    }
}

impl FromStr for ComponentId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let (type_name, name) = match text.split_once('/') {
            Some((type_name, name)) => (type_name.trim(), Some(name.trim())),
            None => (text.trim(), None),
        };
        let id = || text.to_owned();
        if type_name.is_empty() {
            return Err(if name.is_none() { IdError::Empty } else { IdError::EmptyType(id()) });
        }
        match name {
            Some("") => return Err(IdError::EmptyName(id())),
            Some(name) if name.len() > MAX_NAME => {
                return Err(IdError::LongName { id: text.chars().take(40).collect(), length: name.len() });
            }
            Some(name) if !name.chars().all(allowed_in_name) => {
                return Err(IdError::BadName { id: id(), name: name.to_owned() });
            }
            _ => {}
        }
        let letters_follow = type_name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if type_name.len() > MAX_TYPE || !letters_follow || !type_name.starts_with(|c: char| c.is_ascii_alphabetic()) {
            return Err(IdError::BadType { id: id(), type_name: type_name.to_owned() });
        }
        Ok(Self { type_name: type_name.to_owned(), name: name.unwrap_or_default().to_owned() })
    }
}

/// Whether a name may contain `c`: letters, digits, marks and punctuation of any script, but no separators,
/// control characters or symbols (Unicode's general categories Z, C and S). Outside ASCII the blocks that hold
/// symbols and invisible characters are listed rather than single characters.
fn allowed_in_name(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_graphic() && !matches!(c, '$' | '+' | '<' | '=' | '>' | '^' | '`' | '|' | '~');
    }
    if c.is_alphanumeric() {
        return true;
    }
    let symbol_or_invisible = c.is_whitespace()
        || c.is_control()
        || matches!(c,
            '\u{a2}'..='\u{a6}' | '\u{a8}' | '\u{a9}' | '\u{ac}'..='\u{b1}' | '\u{b4}' | '\u{b8}' | '\u{d7}' | '\u{f7}'
            | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2044}' | '\u{2052}' | '\u{2060}'..='\u{206f}'
            | '\u{20a0}'..='\u{20cf}' | '\u{2100}'..='\u{2bff}' | '\u{e000}'..='\u{f8ff}' | '\u{feff}'
            | '\u{fff9}'..='\u{fffd}' | '\u{1f000}'..='\u{1faff}' | '\u{e0000}'..='\u{10ffff}');
    !symbol_or_invisible
}

impl<'de> Deserialize<'de> for ComponentId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

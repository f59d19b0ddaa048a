//! Where configuration text comes from: `file:`, `env:`, `yaml:`, `http:` and `https:`.

use std::fs;

use pipeline::config::{shown_text, suggest};

/// The schemes that can be read, for messages and suggestions.
const SCHEMES: &[&str] = &["env", "file", "http", "https", "yaml"];

/// What an HTTP server answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpAnswer {
    /// The status code; only 200 is taken.
    pub status: u16,
    /// The body as text.
    pub body: String,
}

/// Gets configuration over HTTP. The program's HTTP client stands behind it; it follows redirects, obeys proxy
/// variables, and limits time and size. Called where blocking is allowed.
pub trait UriReader {
    /// One GET of `uri`, which begins with `http:` or `https:`.
    ///
    /// # Errors
    /// No answer came; the text says why, in one line.
    fn get(&self, uri: &str) -> Result<HttpAnswer, String>;
}

/// Everything outside the program that configuration is read from, so that tests can stand in for it.
#[derive(Clone, Copy)]
pub struct Providers<'a> {
    /// Looks up an environment variable; `std::env::var` in the program.
    pub env: &'a dyn Fn(&str) -> Option<String>,
    /// Gets `http:` and `https:` resources.
    pub http: &'a dyn UriReader,
}

/// A source named on the command line or in a `${...}` reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Location {
    File(String),
    Env { name: String, default: Option<String> },
    Yaml(String),
    Http(String),
}

/// Text that was read, or why not.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Retrieved {
    Text(String),
    /// The environment variable is not set.
    Unset(String),
    /// It is set to nothing.
    Empty(String),
}

impl Location {
    /// Reads a `--config` argument. Without a scheme it is a file; so is `C:\...`.
    pub(super) fn from_argument(uri: &str) -> Result<Self, String> {
        let drive = uri.as_bytes().first().is_some_and(u8::is_ascii_alphabetic) && uri.as_bytes().get(1) == Some(&b':');
        if drive || !uri.contains(':') {
            return Ok(Self::File(uri.to_owned()));
        }
        match split_scheme(uri) {
            Some((scheme, value)) => Self::new(scheme, value).unwrap_or_else(|| {
                let hint = closest(scheme);
                Err(format!("unsupported scheme on URI {:?} (supported: {}){hint}", shown_text(uri, false), known()))
            }),
            None => Err(format!("invalid uri: {:?}", shown_text(uri, false))),
        }
    }

    /// Reads what stands between `${` and `}`. Without a scheme it is an environment variable; `NAME:-default`
    /// is understood as well.
    pub(super) fn from_reference(text: &str) -> Result<Self, String> {
        if text.contains('$') {
            return Err(format!("the uri {text:?} contains unsupported characters ('$')"));
        }
        let has_default = text.split_once(":-").is_some_and(|(name, _)| is_variable_name(name));
        if !text.contains(':') || has_default {
            return Self::env(text);
        }
        let unsupported = |scheme: &str| {
            format!(
                "scheme {scheme:?} is not supported for uri {text:?} (supported: {}){}; write $${{{text}}} for a literal ${{{text}}}",
                known(),
                closest(scheme)
            )
        };
        match split_scheme(text) {
            Some((scheme, value)) => Self::new(scheme, value).unwrap_or_else(|| Err(unsupported(scheme))),
            None => Err(format!("invalid uri: {text:?}; write $${{{text}}} for a literal ${{{text}}}")),
        }
    }

    fn new(scheme: &str, value: &str) -> Option<Result<Self, String>> {
        Some(match scheme {
            "file" => Ok(Self::File(value.to_owned())),
            "env" => Self::env(value),
            "yaml" => Ok(Self::Yaml(value.to_owned())),
            "http" | "https" => Ok(Self::Http(format!("{scheme}:{value}"))),
            "s3" => Err(format!(
                "s3 is not among the sources on URI \"s3:{value}\": copy the object to a file before the start, or give a presigned https: URL of it"
            )),
            _ => return None,
        })
    }

    fn env(value: &str) -> Result<Self, String> {
        let (name, default) = match value.split_once(":-") {
            Some((name, default)) => (name, Some(default.to_owned())),
            None => (value, None),
        };
        if !is_variable_name(name) {
            return Err(format!(
                "environment variable {name:?} has invalid name: must match regex ^[a-zA-Z_][a-zA-Z0-9_]*$; write $${{{value}}} for a literal ${{{value}}}"
            ));
        }
        Ok(Self::Env { name: name.to_owned(), default })
    }

    /// What the source is called in positions. Values and passwords are no part of it.
    pub(super) fn source_name(&self) -> String {
        match self {
            Self::File(path) => path.clone(),
            Self::Env { name, .. } => format!("env:{name}"),
            Self::Yaml(_) => "yaml:".to_owned(),
            Self::Http(uri) => shown_text(uri, false),
        }
    }

    /// Whether it is a document that somebody wrote, as opposed to a variable's value.
    pub(super) fn is_document(&self) -> bool {
        matches!(self, Self::File(_) | Self::Http(_))
    }

    /// Reads the source.
    pub(super) fn retrieve(&self, providers: &Providers<'_>) -> Result<Retrieved, String> {
        match self {
            Self::Yaml(text) => Ok(Retrieved::Text(text.clone())),
            Self::File(path) => match fs::read(path) {
                Ok(bytes) => match String::from_utf8(bytes) {
                    Ok(text) => Ok(Retrieved::Text(text)),
                    Err(_) => Err(format!("unable to read the file {path}: it is not UTF-8 text")),
                },
                Err(error) => Err(format!("unable to read the file {path}: {error}")),
            },
            Self::Env { name, default } => Ok(match ((providers.env)(name), default) {
                (Some(text), _) if text.is_empty() => Retrieved::Empty(name.clone()),
                (Some(text), _) => Retrieved::Text(text),
                (None, Some(default)) => Retrieved::Text(default.clone()),
                (None, None) => Retrieved::Unset(name.clone()),
            }),
            Self::Http(uri) => {
                let shown = shown_text(uri, false);
                match providers.http.get(uri) {
                    Ok(HttpAnswer { status: 200, body }) => Ok(Retrieved::Text(body)),
                    Ok(answer) => {
                        Err(format!("failed to load resource from uri {shown:?}. status code: {}", answer.status))
                    }
                    Err(error) => Err(format!("unable to download the file via HTTP GET for uri {shown:?}: {error}")),
                }
            }
        }
    }
}

/// `scheme:value`; a scheme has at least two characters.
fn split_scheme(uri: &str) -> Option<(&str, &str)> {
    let (scheme, value) = uri.split_once(':')?;
    let letters = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '.' | '-');
    let valid =
        scheme.len() > 1 && scheme.starts_with(|c: char| c.is_ascii_alphabetic()) && scheme.chars().all(letters);
    valid.then_some((scheme, value))
}

/// Whether an environment variable may be called so.
pub(super) fn is_variable_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn known() -> String {
    SCHEMES.join(", ")
}

fn closest(scheme: &str) -> String {
    suggest(scheme, SCHEMES.iter().copied()).map_or_else(String::new, |name| format!("; did you mean {name:?}?"))
}

//! [`Node`] back to YAML text, with secrets taken out.

use super::node::{Mapping, Node, Scalar, Value};
use super::resolve::{Resolved, resolve_plain};

/// Whether secrets are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Redaction {
    /// Values of keys that name a secret, and passwords within URLs, print as `[redacted]`.
    #[default]
    Redacted,
    /// Everything is printed.
    Unredacted,
}

const REDACTED: &str = "[redacted]";

/// Keys whose values are secrets; compared in lower case with `-` as `_`. Those that end in one of
/// [`SECRET_ENDINGS`] are secret too.
const SECRET_KEYS: &[&str] = &[
    "access_key",
    "api_key",
    "apikey",
    "auth_token",
    "authorization",
    "bearer_token",
    "client_secret",
    "cookie",
    "credentials",
    "key_pem",
    "passphrase",
    "password",
    "private_key",
    "proxy_authorization",
    "secret",
    "secret_access_key",
    "secret_key",
    "secrets",
    "security_token",
    "session_token",
    "set_cookie",
    "shared_key",
    "token",
];

const SECRET_ENDINGS: &[&str] =
    &["_api_key", "_credentials", "_passphrase", "_password", "_private_key", "_secret", "_secret_key", "_token"];

/// Whether a key's value is a secret, judged by its name. Names of files that hold secrets are none.
pub fn is_secret_key(key: &str) -> bool {
    let key = key.to_ascii_lowercase().replace('-', "_");
    SECRET_KEYS.contains(&key.as_str()) || SECRET_ENDINGS.iter().any(|ending| key.ends_with(ending))
}

/// The value as YAML in block style. What it prints unredacted reads back as an equal value.
pub fn to_yaml(node: &Node, redaction: Redaction) -> String {
    let mut printer = Printer { out: String::new(), redact: redaction == Redaction::Redacted };
    match &node.value {
        Value::Scalar(scalar) => printer.scalar(scalar, false),
        Value::Sequence(items) if items.is_empty() => printer.out.push_str("[]"),
        Value::Mapping(mapping) if mapping.entries.is_empty() => printer.out.push_str("{}"),
        Value::Sequence(items) => printer.sequence(items, 0, false),
        Value::Mapping(mapping) => printer.mapping(mapping, 0, false, false),
    }
    if !printer.out.ends_with('\n') {
        printer.out.push('\n');
    }
    printer.out
}

/// The text of a scalar as it may be shown: `[redacted]` below a secret key, else with passwords taken out of URLs.
pub fn shown_text(text: &str, secret: bool) -> String {
    if secret && !text.is_empty() { REDACTED.to_owned() } else { without_url_passwords(text) }
}

/// Whether the scalars directly below a mapping's `key` are secret. `in_secret` says that the mapping itself
/// stands below a secret key, as in `http_headers: {authorization: {values: [...]}}`.
pub fn entry_is_secret(mapping: &Mapping, key: &str, in_secret: bool) -> bool {
    if is_secret_key(key) {
        return true;
    }
    // A header may also be written as {name: Authorization, value: ...}.
    let named_secret = || mapping.get("name").and_then(Node::as_text).is_some_and(is_secret_key);
    matches!(key, "value" | "values") && (in_secret || named_secret())
}

struct Printer {
    out: String,
    redact: bool,
}

impl Printer {
    /// `inline` says that the first line is already indented, after a list's dash.
    fn mapping(&mut self, mapping: &Mapping, indent: usize, inline: bool, in_secret: bool) {
        for (index, entry) in mapping.entries.iter().enumerate() {
            if index > 0 || !inline {
                self.indent(indent);
            }
            self.text(&entry.key);
            self.out.push(':');
            let secret = entry_is_secret(mapping, &entry.key, in_secret);
            self.below(&entry.value, indent, secret);
        }
    }

    fn sequence(&mut self, items: &[Node], indent: usize, secret: bool) {
        for item in items {
            self.indent(indent);
            self.out.push('-');
            match &item.value {
                Value::Mapping(mapping) if !mapping.entries.is_empty() => {
                    self.out.push(' ');
                    self.mapping(mapping, indent + 2, true, secret);
                }
                _ => self.below(item, indent, secret),
            }
        }
    }

    /// Writes the value after a key or a dash, up to the end of its last line.
    fn below(&mut self, node: &Node, indent: usize, secret: bool) {
        match &node.value {
            Value::Mapping(mapping) if mapping.entries.is_empty() => self.out.push_str(" {}\n"),
            Value::Sequence(items) if items.is_empty() => self.out.push_str(" []\n"),
            Value::Mapping(mapping) => {
                self.out.push('\n');
                self.mapping(mapping, indent + 2, false, secret);
            }
            Value::Sequence(items) => {
                self.out.push('\n');
                self.sequence(items, indent + 2, secret);
            }
            Value::Scalar(scalar) => {
                self.out.push(' ');
                self.scalar(scalar, secret);
                self.out.push('\n');
            }
        }
    }

    fn indent(&mut self, indent: usize) {
        self.out.extend(std::iter::repeat_n(' ', indent));
    }

    fn scalar(&mut self, scalar: &Scalar, secret: bool) {
        if self.redact && secret && scalar.resolved != Resolved::Null && !scalar.text.is_empty() {
            self.text(REDACTED);
            return;
        }
        match scalar.resolved {
            Resolved::Null => self.out.push_str("null"),
            Resolved::Text if self.redact => self.text(&without_url_passwords(&scalar.text)),
            Resolved::Text => self.text(&scalar.text),
            resolved if resolve_plain(&scalar.text) == resolved => self.out.push_str(&scalar.text),
            // Only a tag made it what it is.
            resolved => {
                self.out.push_str(resolved.tag());
                self.out.push(' ');
                self.quoted(&scalar.text);
            }
        }
    }

    /// Text, in quotes where it would otherwise read as something else.
    fn text(&mut self, text: &str) {
        let safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '/' | '.' | '-' | '+' | '$' | '(' | ')');
        let plain = text.starts_with(|c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '/' | '$' | '('))
            && !text.ends_with([' ', ':'])
            && text.chars().all(|c| safe(c) || matches!(c, ' ' | ':' | '=' | '@' | '*' | ';' | '?' | '^' | '|'))
            && !text.contains(": ")
            && resolve_plain(text) == Resolved::Text
            // Readers of YAML 1.1 take these for booleans.
            && !matches!(text.to_ascii_lowercase().as_str(), "y" | "n" | "yes" | "no" | "on" | "off");
        if plain {
            self.out.push_str(text);
        } else {
            self.quoted(text);
        }
    }

    fn quoted(&mut self, text: &str) {
        self.out.push('"');
        for c in text.chars() {
            match c {
                '"' => self.out.push_str("\\\""),
                '\\' => self.out.push_str("\\\\"),
                '\n' => self.out.push_str("\\n"),
                '\t' => self.out.push_str("\\t"),
                '\r' => self.out.push_str("\\r"),
                // What other readers take for line breaks or refuse.
                c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}') => {
                    self.out.push_str(&format!("\\u{:04x}", u32::from(c)));
                }
                c => self.out.push(c),
            }
        }
        self.out.push('"');
    }
}

/// Takes the password out of every `scheme://user:password@host` in `text`.
fn without_url_passwords(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("://") {
        out.push_str(before);
        out.push_str("://");
        let end = after.find(|c: char| matches!(c, '/' | '?' | '#') || c.is_whitespace()).unwrap_or(after.len());
        let (authority, tail) = after.split_at(end);
        match authority.rsplit_once('@').and_then(|(user, host)| user.split_once(':').map(|(name, _)| (name, host))) {
            Some((name, host)) => {
                out.push_str(&format!("{name}:{REDACTED}@{host}"));
            }
            None => out.push_str(authority),
        }
        rest = tail;
    }
    out.push_str(rest);
    out
}

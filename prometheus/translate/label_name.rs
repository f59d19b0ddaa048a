//! Label names.

use std::borrow::Cow;

use super::strategy::{NameError, TranslationStrategy, only_underscores};

/// Makes Prometheus label names of attribute keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LabelNamer {
    /// Keep all of UTF-8; the other two options then mean nothing.
    pub utf8: bool,
    /// Put `key` in front of names that begin with a single underscore: names that begin with one are
    /// private by convention.
    pub underscore_sanitization: bool,
    /// Keep runs of underscores, which are otherwise made one.
    pub preserve_multiple_underscores: bool,
}

impl LabelNamer {
    /// For labels of data points and external labels in remote write.
    #[must_use]
    pub const fn remote_write(strategy: TranslationStrategy) -> Self {
        Self { utf8: !strategy.escapes(), underscore_sanitization: true, preserve_multiple_underscores: false }
    }

    /// For labels of `target_info` in remote write 1.0, which are more permissive than all others.
    #[must_use]
    pub const fn remote_write_v1_target_info() -> Self {
        Self { utf8: false, underscore_sanitization: false, preserve_multiple_underscores: true }
    }

    /// For the exporter that is scraped.
    #[must_use]
    pub const fn prometheus_exporter(strategy: TranslationStrategy) -> Self {
        Self { utf8: !strategy.escapes(), underscore_sanitization: false, preserve_multiple_underscores: true }
    }

    /// The same as the Collector's gate `pkg.translator.prometheus.PermissiveLabelSanitization` makes it: names may begin with an
    /// underscore. Runs of underscores become one everywhere then.
    #[must_use]
    pub const fn permissive(self) -> Self {
        Self { underscore_sanitization: false, preserve_multiple_underscores: false, ..self }
    }

    /// The label name for an attribute key.
    ///
    /// # Errors
    /// When `label` is empty, or nothing but underscores would be left of it.
    pub fn build<'l>(&self, label: &'l str) -> Result<Cow<'l, str>, NameError> {
        if label.is_empty() {
            return Err(NameError::EmptyLabel);
        }
        if self.utf8 {
            return if only_underscores(label) {
                Err(NameError::UnderscoresOnly { name: label.to_owned() })
            } else {
                Ok(Cow::Borrowed(label))
            };
        }
        if self.is_plain(label) {
            return Ok(Cow::Borrowed(label));
        }
        let mut name = self.sanitized(label);
        if name.starts_with(|c: char| c.is_ascii_digit()) {
            name.insert_str(0, "key_");
        } else if self.underscore_sanitization && name.starts_with('_') && !name.starts_with("__") {
            name.insert_str(0, "key");
        }
        if only_underscores(&name) {
            return Err(NameError::InvalidLabel { name: label.to_owned(), result: name });
        }
        Ok(Cow::Owned(name))
    }

    /// Whether a label is obviously right as it is, as nearly all are. Names with special beginnings
    /// are left to the rules.
    fn is_plain(&self, label: &str) -> bool {
        label.starts_with(|c: char| c.is_ascii_alphabetic())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            && (self.preserve_multiple_underscores || !label.contains("__"))
    }

    fn sanitized(&self, label: &str) -> String {
        if self.preserve_multiple_underscores {
            return label.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        }
        // Both pairs of underscores of a reserved name stay, so it has to be long enough to have two.
        let reserved = label.strip_prefix("__").and_then(|rest| rest.strip_suffix("__"));
        let mut name = String::with_capacity(label.len() + "key_".len());
        if reserved.is_some() {
            name.push_str("__");
        }
        push_collapsed(&mut name, reserved.unwrap_or(label), |c| c.is_ascii_alphanumeric());
        if reserved.is_some() {
            name.push_str("__");
        }
        name
    }
}

/// Appends `text` with every run of characters that are not kept as one underscore.
pub(super) fn push_collapsed(out: &mut String, text: &str, keep: impl Fn(char) -> bool) {
    let mut in_run = false;
    for c in text.chars() {
        let kept = keep(c);
        if kept {
            out.push(c);
        } else if !in_run {
            out.push('_');
        }
        in_run = !kept;
    }
}

//! One compiled rule.

use md5::{Digest, Md5};

use super::LabelScope;
use super::case::{push_lower, push_upper};
use super::config::{Action, Checked, RelabelError};
use super::matcher::Matcher;
use super::template::Template;
use crate::labels::LabelsBuilder;
use crate::names::ValidationScheme;

/// A rule that is ready to be applied.
#[derive(Clone, Debug)]
pub struct RelabelRule {
    action: Action,
    source_labels: Vec<Box<str>>,
    separator: Box<str>,
    matcher: Matcher,
    /// The target label, and, if it refers to groups, how to make its name.
    target_label: Box<str>,
    target: Template,
    replacement: Template,
    modulus: u64,
    scheme: ValidationScheme,
}

impl RelabelRule {
    pub(super) fn new(rule: &Checked<'_>, scheme: ValidationScheme) -> Result<Self, RelabelError> {
        let matcher = Matcher::new(rule.regex)?;
        Ok(Self {
            action: rule.action,
            source_labels: rule.source_labels.iter().map(|name| name.as_str().into()).collect(),
            separator: rule.separator.into(),
            target_label: rule.target_label.into(),
            target: Template::new(rule.target_label, matcher.group_names()),
            replacement: Template::new(rule.replacement, matcher.group_names()),
            matcher,
            modulus: rule.modulus,
            scheme,
        })
    }

    /// What the rule does.
    #[must_use]
    pub fn action(&self) -> Action {
        self.action
    }

    /// Applies the rule; false if it drops the set.
    pub(super) fn apply(&self, labels: &mut LabelsBuilder) -> bool {
        match self.action {
            Action::LabelMap => self.map_labels(labels),
            Action::LabelDrop => labels.retain(|name, _| !self.matcher.is_match(name)),
            Action::LabelKeep => labels.retain(|name, _| self.matcher.is_match(name)),
            _ => return self.apply_to_source(labels),
        }
        true
    }

    fn apply_to_source(&self, labels: &mut LabelsBuilder) -> bool {
        // The buffers are taken out of the builder so that its labels can be read while they are written to.
        let mut buffers = labels.take_buffers();
        buffers.clear();
        let source = match self.source_labels.as_slice() {
            [] => "",
            [name] => labels.get(name).unwrap_or_default(),
            [first, rest @ ..] => {
                buffers.source.push_str(labels.get(first).unwrap_or_default());
                for name in rest {
                    buffers.source.push_str(&self.separator);
                    buffers.source.push_str(labels.get(name).unwrap_or_default());
                }
                &buffers.source
            }
        };
        let mut kept = true;
        match self.action {
            Action::Keep => kept = self.matcher.is_match(source),
            Action::Drop => kept = !self.matcher.is_match(source),
            Action::KeepEqual => kept = labels.get(&self.target_label).unwrap_or_default() == source,
            Action::DropEqual => kept = labels.get(&self.target_label).unwrap_or_default() != source,
            Action::Replace => {
                if self.expand(source, &mut buffers.name, &mut buffers.value) {
                    labels.set(&buffers.name, &buffers.value);
                }
            }
            Action::Lowercase => {
                push_lower(&mut buffers.value, source);
                labels.set(&self.target_label, &buffers.value);
            }
            Action::Uppercase => {
                push_upper(&mut buffers.value, source);
                labels.set(&self.target_label, &buffers.value);
            }
            Action::HashMod => {
                let remainder = hash(source).checked_rem(self.modulus).unwrap_or(0);
                labels.set(&self.target_label, itoa::Buffer::new().format(remainder));
            }
            Action::LabelMap | Action::LabelDrop | Action::LabelKeep => {}
        }
        labels.put_buffers(buffers);
        kept
    }

    /// Makes the target's name and its value; false if the pattern does not match or the name is invalid.
    fn expand(&self, source: &str, name: &mut String, value: &mut String) -> bool {
        if let (Some(target), Some(replacement)) = (self.target.literal(), self.replacement.literal()) {
            if !self.matcher.is_match(source) {
                return false;
            }
            name.push_str(target);
            value.push_str(replacement);
        } else {
            let Some(groups) = self.matcher.groups(source) else { return false };
            self.target.push_expanded(name, &groups);
            self.replacement.push_expanded(value, &groups);
        }
        self.scheme.is_valid_label_name(name)
    }

    /// Copies labels to new names; sees the labels as they were before. The new names are not checked.
    fn map_labels(&self, labels: &mut LabelsBuilder) {
        let mut copies = Vec::new();
        for (name, value) in labels.iter() {
            if let Some(groups) = self.matcher.groups(name) {
                let mut new_name = String::new();
                self.replacement.push_expanded(&mut new_name, &groups);
                copies.push((new_name, value.to_owned()));
            }
        }
        for (name, value) in copies {
            labels.set(&name, &value);
        }
    }

    /// The labels that the rule looks at.
    pub(super) fn reads(&self) -> LabelScope {
        let sources = LabelScope::of(self.source_labels.iter().map(|name| &**name));
        match self.action {
            Action::LabelMap | Action::LabelDrop | Action::LabelKeep => LabelScope::All,
            Action::KeepEqual | Action::DropEqual => sources.and(LabelScope::of([&*self.target_label])),
            _ => sources,
        }
    }

    /// The labels that the rule may set or remove.
    pub(super) fn writes(&self) -> LabelScope {
        match self.action {
            Action::Keep | Action::Drop | Action::KeepEqual | Action::DropEqual => LabelScope::default(),
            Action::LabelMap | Action::LabelDrop | Action::LabelKeep => LabelScope::All,
            Action::Replace => self.target.literal().map_or(LabelScope::All, |target| LabelScope::of([target])),
            Action::HashMod | Action::Lowercase | Action::Uppercase => LabelScope::of([&*self.target_label]),
        }
    }
}

/// The last eight bytes of the MD5 sum, as Prometheus has it since its first version.
fn hash(text: &str) -> u64 {
    let sum: [u8; 16] = Md5::digest(text.as_bytes()).into();
    // The low half of the sum read as one big-endian number.
    (u128::from_be_bytes(sum) & u128::from(u64::MAX)) as u64
}

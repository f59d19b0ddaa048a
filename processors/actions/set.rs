//! Attributes while they are edited.

use pipeline::AttributeValue;
use std::borrow::Cow;

/// A value of its own.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Owned {
    Str(Box<str>),
    Bool(bool),
    Int(i64),
    Double(f64),
    Bytes(Box<[u8]>),
    Encoded(Box<[u8]>),
    Empty,
}

impl Owned {
    pub(crate) fn of(value: AttributeValue<'_>) -> Self {
        match value {
            AttributeValue::Str(text) => Self::Str(text.into()),
            AttributeValue::Bool(value) => Self::Bool(value),
            AttributeValue::Int(value) => Self::Int(value),
            AttributeValue::Double(value) => Self::Double(value),
            AttributeValue::Bytes(bytes) => Self::Bytes(bytes.into()),
            AttributeValue::Encoded(message) => Self::Encoded(message.into()),
            AttributeValue::Empty => Self::Empty,
        }
    }

    pub(crate) fn as_value(&self) -> AttributeValue<'_> {
        match self {
            Self::Str(text) => AttributeValue::Str(text),
            Self::Bool(value) => AttributeValue::Bool(*value),
            Self::Int(value) => AttributeValue::Int(*value),
            Self::Double(value) => AttributeValue::Double(*value),
            Self::Bytes(bytes) => AttributeValue::Bytes(bytes),
            Self::Encoded(message) => AttributeValue::Encoded(message),
            Self::Empty => AttributeValue::Empty,
        }
    }
}

/// Whether two values are the same: doubles by their bits, so that a NaN is itself.
pub(crate) fn same(a: AttributeValue<'_>, b: AttributeValue<'_>) -> bool {
    match (a, b) {
        (AttributeValue::Double(a), AttributeValue::Double(b)) => a.to_bits() == b.to_bits(),
        (a, b) => a == b,
    }
}

/// What has become of an attribute.
#[derive(Clone, Debug)]
pub(crate) enum State<'a> {
    /// It is what it was.
    Kept(AttributeValue<'a>),
    /// It is new, or has a new value.
    Set(Owned),
    /// It is gone.
    Deleted,
    /// It cannot be read, and stays.
    Opaque,
}

#[derive(Clone, Debug)]
pub(crate) struct Entry<'a> {
    pub(crate) key: Cow<'a, str>,
    pub(crate) state: State<'a>,
}

/// The attributes of one thing. Those that were there keep their places; new ones come behind them.
#[derive(Clone, Debug, Default)]
pub(crate) struct AttributeSet<'a> {
    entries: Vec<Entry<'a>>,
    changed: bool,
}

impl<'a> AttributeSet<'a> {
    /// An empty set, in the memory of another.
    pub(crate) fn reusing(other: AttributeSet<'_>) -> Self {
        let mut entries = other.entries;
        entries.clear();
        // Nothing is left, so nothing is converted; the allocation is all that is handed over.
        let anew = |_| Entry { key: Cow::Borrowed(""), state: State::Opaque };
        Self { entries: entries.into_iter().map(anew).collect(), changed: false }
    }

    /// Adds an attribute that is there.
    pub(crate) fn push(&mut self, key: &'a str, value: AttributeValue<'a>) {
        self.entries.push(Entry { key: Cow::Borrowed(key), state: State::Kept(value) });
    }

    /// Adds something that cannot be read.
    pub(crate) fn push_opaque(&mut self) {
        self.entries.push(Entry { key: Cow::Borrowed(""), state: State::Opaque });
    }

    /// Whether anything differs from what was pushed.
    pub(crate) fn is_changed(&self) -> bool {
        self.changed
    }

    pub(crate) fn entries(&self) -> &[Entry<'a>] {
        &self.entries
    }

    /// The attributes as they are now.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, AttributeValue<'_>)> {
        self.entries.iter().filter_map(|entry| Some((&*entry.key, value_of(&entry.state)?)))
    }

    pub(crate) fn get(&self, key: &str) -> Option<AttributeValue<'_>> {
        self.iter().find(|(known, _)| *known == key).map(|(_, value)| value)
    }

    pub(crate) fn contains(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// Gives `key` the value, whether it is there or not.
    pub(crate) fn set(&mut self, key: &str, value: Owned) {
        let there = self.entries.iter_mut().find(|entry| *entry.key == *key && value_of(&entry.state).is_some());
        match there {
            Some(entry) => {
                let old = value_of(&entry.state);
                if !old.is_some_and(|old| same(old, value.as_value())) {
                    entry.state = State::Set(value);
                    self.changed = true;
                }
            }
            None => {
                self.entries.push(Entry { key: Cow::Owned(key.to_owned()), state: State::Set(value) });
                self.changed = true;
            }
        }
    }

    /// Deletes all attributes whose key is `wanted`.
    pub(crate) fn delete(&mut self, wanted: impl Fn(&str) -> bool) {
        for entry in &mut self.entries {
            if value_of(&entry.state).is_some() && wanted(&entry.key) {
                entry.state = State::Deleted;
                self.changed = true;
            }
        }
    }

    /// Exchanges the values of all attributes whose key is `wanted`, where `change` gives another.
    pub(crate) fn change(
        &mut self,
        wanted: impl Fn(&str) -> bool,
        change: impl Fn(AttributeValue<'_>) -> Option<Owned>,
    ) {
        for entry in &mut self.entries {
            let Some(old) = value_of(&entry.state).filter(|_| wanted(&entry.key)) else { continue };
            if let Some(new) = change(old).filter(|new| !same(old, new.as_value())) {
                entry.state = State::Set(new);
                self.changed = true;
            }
        }
    }
}

fn value_of<'s>(state: &'s State<'_>) -> Option<AttributeValue<'s>> {
    match state {
        State::Kept(value) => Some(*value),
        State::Set(value) => Some(value.as_value()),
        State::Deleted | State::Opaque => None,
    }
}

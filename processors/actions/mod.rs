//! What the `attributes` and `resource` processors do with attributes: the Collector's actions.

mod config;
mod convert;
mod set;
#[cfg(test)]
mod tests;
mod wire;

pub(crate) use self::config::{ActionKeys, owned};
pub(crate) use self::set::{AttributeSet, Owned, State, same};
pub(crate) use self::wire::WireEditor;

use pipeline::Client;
use regex::Regex;

/// Actions in their order.
#[derive(Debug)]
pub(crate) struct Actions {
    all: Box<[Action]>,
}

#[derive(Debug)]
struct Action {
    key: Box<str>,
    /// Further keys that are meant.
    pattern: Option<Regex>,
    what: What,
}

/// What is done with the attributes that are meant.
#[derive(Debug)]
enum What {
    /// Set if absent.
    Insert(Source),
    /// Set if present.
    Update(Source),
    /// Set.
    Upsert(Source),
    /// Removed.
    Delete,
    /// Replaced by their hash.
    Hash,
    /// Each named group of the pattern becomes an attribute.
    Extract(Regex, Box<[Box<str>]>),
    /// Turned into another type.
    Convert(Type),
}

/// Where a value comes from.
#[derive(Debug)]
struct Source {
    from: From,
    /// What is taken if there is none.
    default: Option<Owned>,
}

#[derive(Debug)]
enum From {
    Value(Owned),
    Attribute(Box<str>),
    Context(ContextKey),
}

/// What is known about the request by which something came in.
#[derive(Clone, Debug, PartialEq, Eq)]
enum ContextKey {
    /// `metadata.<key>`, in lowercase.
    Metadata(Box<str>),
    /// `client.address`.
    Address,
}

/// Types that values can be turned into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Type {
    String,
    Int,
    Double,
}

impl Actions {
    /// Does everything, in order. `client` is who sent what has the attributes, where that is known.
    pub(crate) fn apply(&self, set: &mut AttributeSet<'_>, client: Option<&Client>) {
        for action in &self.all {
            action.apply(set, client);
        }
    }

    /// As much of `client` as the actions read; equal if they treat two of them alike.
    pub(crate) fn context_of(&self, client: Option<&Client>) -> Vec<Option<Owned>> {
        self.context_keys().map(|key| key.value(client)).collect()
    }

    fn context_keys(&self) -> impl Iterator<Item = &ContextKey> {
        self.all.iter().filter_map(|action| match &action.what {
            What::Insert(source) | What::Update(source) | What::Upsert(source) => match &source.from {
                From::Context(key) => Some(key),
                From::Value(_) | From::Attribute(_) => None,
            },
            What::Delete | What::Hash | What::Extract(..) | What::Convert(_) => None,
        })
    }

    /// Whether the outcome may depend on the attribute `key`, or change it.
    pub(crate) fn concerns(&self, key: &str) -> bool {
        self.all.iter().any(|action| {
            *action.key == *key
                || action.pattern.as_ref().is_some_and(|pattern| pattern.is_match(key))
                || match &action.what {
                    What::Insert(source) | What::Update(source) | What::Upsert(source) => {
                        matches!(&source.from, From::Attribute(from) if **from == *key)
                    }
                    What::Extract(_, names) => names.iter().any(|name| **name == *key),
                    What::Delete | What::Hash | What::Convert(_) => false,
                }
        })
    }
}

impl Action {
    fn means(&self, key: &str) -> bool {
        (!self.key.is_empty() && *self.key == *key)
            || self.pattern.as_ref().is_some_and(|pattern| pattern.is_match(key))
    }

    fn apply(&self, set: &mut AttributeSet<'_>, client: Option<&Client>) {
        match &self.what {
            What::Insert(source) => {
                if !set.contains(&self.key)
                    && let Some(value) = source.value(set, client)
                {
                    set.set(&self.key, value);
                }
            }
            What::Update(source) => {
                if set.contains(&self.key)
                    && let Some(value) = source.value(set, client)
                {
                    set.set(&self.key, value);
                }
            }
            What::Upsert(source) => {
                if let Some(value) = source.value(set, client) {
                    set.set(&self.key, value);
                }
            }
            What::Delete => set.delete(|key| self.means(key)),
            What::Hash => set.change(|key| self.means(key), |value| Some(convert::hash(value))),
            What::Extract(pattern, names) => self.extract(pattern, names, set),
            What::Convert(to) => set.change(|key| *key == *self.key, |value| convert::convert(value, *to)),
        }
    }

    fn extract(&self, pattern: &Regex, names: &[Box<str>], set: &mut AttributeSet<'_>) {
        let Some(pipeline::AttributeValue::Str(text)) = set.get(&self.key) else { return };
        let Some(captures) = pattern.captures(text) else { return };
        let values: Vec<Owned> = (1..=names.len())
            .map(|at| Owned::Str(captures.get(at).map_or("", |group| group.as_str()).into()))
            .collect();
        for (name, value) in names.iter().zip(values) {
            set.set(name, value);
        }
    }
}

impl Source {
    fn value(&self, set: &AttributeSet<'_>, client: Option<&Client>) -> Option<Owned> {
        let value = match &self.from {
            From::Value(value) => Some(value.clone()),
            From::Attribute(key) => set.get(key).map(Owned::of),
            From::Context(key) => key.value(client),
        };
        value.or_else(|| self.default.clone())
    }
}

impl ContextKey {
    /// The value; several of one key are joined by `;`, as in the Collector.
    fn value(&self, client: Option<&Client>) -> Option<Owned> {
        match self {
            Self::Metadata(key) => client?.metadata(key).map(|values| Owned::Str(values.join(";").into())),
            Self::Address => client?.address.map(|address| Owned::Str(address.to_string().into())),
        }
    }
}

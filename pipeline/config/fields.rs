//! Field types for what plain serde types cannot say.

use std::cell::RefCell;
use std::fmt;

use serde::de::{self, Deserialize, Deserializer, SeqAccess, Visitor};

use super::node::Node;

/// Names under which these types ask the decoder for something special.
pub(super) const NODE_TOKEN: &str = "$oxidot::Node";
/// See [`NODE_TOKEN`].
pub(super) const LIST_TOKEN: &str = "$oxidot::StringList";
/// See [`NODE_TOKEN`].
pub(super) const SECTION_TOKEN: &str = "$oxidot::Section";

thread_local! {
    /// How a whole [`Node`] passes through serde, whose data model has no place for positions: the decoder leaves
    /// it here and the visitor, called next on the same thread, takes it.
    static NODE_SLOT: RefCell<Option<Node>> = const { RefCell::new(None) };
}

/// Leaves `node` for the [`Node`] visitor that is called next.
pub(super) fn hand_over(node: &Node) {
    NODE_SLOT.with_borrow_mut(|slot| *slot = Some(node.clone()));
}

impl<'de> Deserialize<'de> for Node {
    /// A field of this type takes the value as it stands, to be decoded later. Only
    /// [`decode`](super::decode()) can fill it.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NodeVisitor;
        impl Visitor<'_> for NodeVisitor {
            type Value = Node;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a configuration value")
            }

            fn visit_unit<E: de::Error>(self) -> Result<Node, E> {
                NODE_SLOT
                    .with_borrow_mut(Option::take)
                    .ok_or_else(|| E::custom("a value with positions can only be read from a configuration file"))
            }
        }
        deserializer.deserialize_newtype_struct(NODE_TOKEN, NodeVisitor)
    }
}

/// A list of texts that may also be written as one text with commas (`a,b`), as the Collector allows for every
/// list of texts. An empty text is an empty list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StringList(pub Vec<String>);

impl std::ops::Deref for StringList {
    type Target = Vec<String>;

    fn deref(&self) -> &Vec<String> {
        &self.0
    }
}

impl<T: Into<String>> FromIterator<T> for StringList {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        Self(items.into_iter().map(Into::into).collect())
    }
}

impl<'de> Deserialize<'de> for StringList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ListVisitor;
        impl<'de> Visitor<'de> for ListVisitor {
            type Value = StringList;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of texts")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<StringList, E> {
                if text.is_empty() {
                    return Ok(StringList::default());
                }
                Ok(text.split(',').collect())
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<StringList, A::Error> {
                let mut list = Vec::new();
                while let Some(item) = items.next_element()? {
                    list.push(item);
                }
                Ok(StringList(list))
            }
        }
        deserializer.deserialize_newtype_struct(LIST_TOKEN, ListVisitor)
    }
}

/// A block whose mere presence switches something on, as `grpc:` does below `protocols:`. Unlike an `Option`, it
/// is present when its key is written with nothing after it, with all its defaults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section<T>(pub Option<T>);

impl<T> Default for Section<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T> Section<T> {
    /// The block, if its key was written.
    pub fn as_ref(&self) -> Option<&T> {
        self.0.as_ref()
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Section<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct SectionVisitor<T>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for SectionVisitor<T> {
            type Value = Section<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a block")
            }

            fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Section<T>, D::Error> {
                T::deserialize(deserializer).map(|block| Section(Some(block)))
            }
        }
        deserializer.deserialize_newtype_struct(SECTION_TOKEN, SectionVisitor(std::marker::PhantomData))
    }
}

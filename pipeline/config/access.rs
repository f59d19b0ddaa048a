//! Walking lists, maps, structs and enums for the [`Reader`].

use serde::de::value::StrDeserializer;
use serde::de::{DeserializeSeed, EnumAccess, MapAccess, SeqAccess, VariantAccess, Visitor};
use serde::de::{Deserializer, IntoDeserializer};

use super::decode::{DecodeError, Place, Step};
use super::node::{Entry, Mapping, Node};
use super::reader::{Reader, Slot};

/// Reads what stands below `parent` at `step`, and says so in its errors.
fn read_part<'de, 'n, S: DeserializeSeed<'de>>(
    parent: &Reader<'_, '_>,
    step: Step<'_>,
    node: &'n Node,
    entry: Option<&'n Entry>,
    slot: Slot,
    seed: S,
) -> Result<S::Value, DecodeError> {
    let place = Place { parent: Some(parent.place), step };
    let reader =
        Reader { context: parent.context, node, key_span: entry.map(|entry| &entry.key_span), place: &place, slot };
    seed.deserialize(reader).map_err(|error| error.located(&reader))
}

/// The items of a list.
pub(super) struct SequenceReader<'a, 'n> {
    reader: Reader<'a, 'n>,
    items: &'n [Node],
    next: usize,
}

impl<'a, 'n> SequenceReader<'a, 'n> {
    pub(super) fn new(reader: Reader<'a, 'n>, items: &'n [Node]) -> Self {
        Self { reader, items, next: 0 }
    }
}

impl<'de> SeqAccess<'de> for SequenceReader<'_, '_> {
    type Error = DecodeError;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, DecodeError> {
        while let Some(item) = self.items.get(self.next) {
            let index = self.next;
            self.next += 1;
            if !self.reader.context.skips(item) {
                return read_part(&self.reader, Step::Index(index), item, None, Slot::Item, seed).map(Some);
            }
        }
        Ok(None)
    }
}

/// The keys and values of a map, whose keys are data.
pub(super) struct MapReader<'a, 'n> {
    reader: Reader<'a, 'n>,
    entries: std::slice::Iter<'n, Entry>,
    current: Option<&'n Entry>,
}

impl<'a, 'n> MapReader<'a, 'n> {
    pub(super) fn new(reader: Reader<'a, 'n>, mapping: &'n Mapping) -> Self {
        reader.context.duplicate_keys(mapping, reader.place, "");
        Self { reader, entries: mapping.entries.iter(), current: None }
    }
}

impl<'de> MapAccess<'de> for MapReader<'_, '_> {
    type Error = DecodeError;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, DecodeError> {
        let context = self.reader.context;
        let Some(entry) = self.entries.find(|entry| !context.skips(&entry.value)) else { return Ok(None) };
        self.current = Some(entry);
        let key = IntoDeserializer::<DecodeError>::into_deserializer(entry.key.as_str());
        seed.deserialize(key).map(Some).map_err(|error| {
            let place = Place { parent: Some(self.reader.place), step: Step::Key(&entry.key) };
            error.located_at_key(&place, entry)
        })
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, DecodeError> {
        let Some(entry) = self.current.take() else {
            return Err(DecodeError::new("a value was asked for before its key"));
        };
        read_part(&self.reader, Step::Key(&entry.key), &entry.value, Some(entry), Slot::MapValue, seed)
    }
}

/// The fields of a struct, whose keys are known.
pub(super) struct StructReader<'a, 'n> {
    reader: Reader<'a, 'n>,
    entries: std::slice::Iter<'n, Entry>,
    current: Option<&'n Entry>,
    type_name: &'static str,
    fields: &'static [&'static str],
}

impl<'a, 'n> StructReader<'a, 'n> {
    pub(super) fn new(
        reader: Reader<'a, 'n>,
        mapping: &'n Mapping,
        type_name: &'static str,
        fields: &'static [&'static str],
    ) -> Self {
        reader.context.duplicate_keys(mapping, reader.place, type_name);
        Self { reader, entries: mapping.entries.iter(), current: None, type_name, fields }
    }
}

impl<'de> MapAccess<'de> for StructReader<'_, '_> {
    type Error = DecodeError;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, DecodeError> {
        for entry in self.entries.by_ref() {
            let context = self.reader.context;
            if !self.fields.contains(&entry.key.as_str()) {
                context.unknown_key(entry, self.reader.place, self.type_name, self.fields);
            } else if !context.skips(&entry.value) {
                self.current = Some(entry);
                return seed.deserialize(StrDeserializer::new(&entry.key)).map(Some);
            }
        }
        Ok(None)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, DecodeError> {
        let Some(entry) = self.current.take() else {
            return Err(DecodeError::new("a value was asked for before its key"));
        };
        read_part(&self.reader, Step::Key(&entry.key), &entry.value, Some(entry), Slot::Field, seed)
    }
}

/// An enum written as a mapping of one key, the variant's name.
pub(super) struct EnumReader<'a, 'n> {
    pub(super) reader: Reader<'a, 'n>,
    pub(super) entry: &'n Entry,
}

impl<'de, 'a, 'n> EnumAccess<'de> for EnumReader<'a, 'n> {
    type Error = DecodeError;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), DecodeError> {
        let key = IntoDeserializer::<DecodeError>::into_deserializer(self.entry.key.as_str());
        Ok((seed.deserialize(key)?, self))
    }
}

impl<'de> VariantAccess<'de> for EnumReader<'_, '_> {
    type Error = DecodeError;

    fn unit_variant(self) -> Result<(), DecodeError> {
        if self.entry.value.is_null() { Ok(()) } else { Err(DecodeError::new("expected nothing after this key")) }
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, DecodeError> {
        self.inner(|reader| seed.deserialize(reader))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _len: usize, visitor: V) -> Result<V::Value, DecodeError> {
        self.inner(|reader| reader.deserialize_seq(visitor))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.inner(|reader| reader.deserialize_struct("", fields, visitor))
    }
}

impl EnumReader<'_, '_> {
    fn inner<T>(&self, read: impl FnOnce(Reader<'_, '_>) -> Result<T, DecodeError>) -> Result<T, DecodeError> {
        // An enum cannot do without its content: it is left out as a whole, which is not an error of its own.
        if self.reader.context.skips(&self.entry.value) {
            return Err(DecodeError::new("the content could not be read"));
        }
        let place = Place { parent: Some(self.reader.place), step: Step::Key(&self.entry.key) };
        let reader = Reader {
            context: self.reader.context,
            node: &self.entry.value,
            key_span: Some(&self.entry.key_span),
            place: &place,
            slot: Slot::Root,
        };
        read(reader).map_err(|error| error.located(&reader))
    }
}

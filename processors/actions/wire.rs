//! Actions on the attributes of an encoded message.

use super::Actions;
use super::set::{AttributeSet, State};
use otlp::wire::Value;
use otlp::{attributes, edit, wire};
use pipeline::Client;

/// Applies actions to messages. Holds what it needs again for the next one.
#[derive(Debug, Default)]
pub(crate) struct WireEditor {
    spare: AttributeSet<'static>,
}

impl WireEditor {
    /// Applies `actions` to the attributes in field `field` of `message`. Appends the whole message with them to `out` if
    /// that changes something; otherwise appends nothing and returns false.
    pub(crate) fn edit(
        &mut self,
        actions: &Actions,
        client: Option<&Client>,
        message: &[u8],
        field: u32,
        out: &mut Vec<u8>,
    ) -> bool {
        let mut set = AttributeSet::reusing(std::mem::take(&mut self.spare));
        for encoded in attributes_of(message, field) {
            match attributes::key_value(encoded) {
                Ok((key, value)) => set.push(key, value),
                Err(_) => set.push_opaque(),
            }
        }
        actions.apply(&mut set, client);
        let changed = set.is_changed();
        if changed {
            write(&set, message, field, out);
        }
        self.spare = AttributeSet::reusing(set);
        changed
    }
}

fn attributes_of(message: &[u8], field: u32) -> impl Iterator<Item = &[u8]> {
    edit::raw_fields(message).filter_map(move |(number, value, _)| match value {
        Value::Bytes(bytes) if number == field => Some(bytes),
        _ => None,
    })
}

/// Everything but the attributes as it was; those at their places, new ones at the end.
fn write(set: &AttributeSet<'_>, message: &[u8], field: u32, out: &mut Vec<u8>) {
    let mut entries = set.entries().iter();
    let mut read = 0;
    for (number, value, bytes) in edit::raw_fields(message) {
        read += bytes.len();
        let old = match value {
            Value::Bytes(old) if number == field => old,
            _ => {
                out.extend_from_slice(bytes);
                continue;
            }
        };
        match entries.next().map(|entry| &entry.state) {
            Some(State::Kept(_) | State::Opaque) | None => out.extend_from_slice(bytes),
            Some(State::Deleted) => {}
            Some(State::Set(value)) => wire::put_message(out, field, |out| {
                // The attribute may have fields that are not known here.
                for (_, _, bytes) in edit::raw_fields(old).filter(|(number, ..)| *number != 2) {
                    out.extend_from_slice(bytes);
                }
                wire::put_message(out, 2, |out| attributes::put_value(out, value.as_value()));
            }),
        }
    }
    for entry in entries {
        if let State::Set(value) = &entry.state {
            attributes::put_one(out, field, &entry.key, value.as_value());
        }
    }
    // What cannot be read stays as it is.
    out.extend_from_slice(message.get(read..).unwrap_or_default());
}

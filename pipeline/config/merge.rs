//! Later values over earlier ones.

use super::node::{Node, Value};

impl Node {
    /// Puts `over` on top of this: mappings merge key by key, everything else is replaced, null included.
    pub fn merge(&mut self, over: Node) {
        self.merge_with(over, &|_| false);
    }

    /// The same, but lists for whose path `appended` holds are extended by what they do not hold yet.
    pub fn merge_with(&mut self, over: Node, appended: &dyn Fn(&[String]) -> bool) {
        merge_at(self, over, appended, &mut Vec::new());
    }
}

fn merge_at(base: &mut Node, over: Node, appended: &dyn Fn(&[String]) -> bool, path: &mut Vec<String>) {
    match (&mut base.value, over.value) {
        (Value::Mapping(base), Value::Mapping(over)) => {
            for entry in over.entries {
                match base.entries.iter_mut().find(|known| known.key == entry.key) {
                    Some(known) => {
                        known.key_span = entry.key_span;
                        path.push(entry.key);
                        merge_at(&mut known.value, entry.value, appended, path);
                        path.pop();
                    }
                    None => base.entries.push(entry),
                }
            }
        }
        (Value::Sequence(base), Value::Sequence(over)) if appended(path) => {
            for item in over {
                if !base.contains(&item) {
                    base.push(item);
                }
            }
        }
        (_, value) => {
            *base = Node { span: over.span, value, original: over.original };
        }
    }
}

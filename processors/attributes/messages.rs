//! The attributes of spans and log records, on the wire.

use super::AttributesEditor;
use otlp::edit::exchange;
use otlp::view::View;
use pipeline::Client;
use pipeline::component::Signal;

/// The changed request; `None` if nothing of it changes.
pub(super) fn edit(
    editor: &mut AttributesEditor,
    signal: Signal,
    request: &[u8],
    client: Option<&Client>,
) -> Option<Vec<u8>> {
    let AttributesEditor { actions, matching, wire } = editor;
    let field = match signal {
        Signal::Traces => 9,
        Signal::Logs => 6,
        Signal::Metrics => return None,
    };
    let mut out = Vec::new();
    let changed = exchange(request, 1, &mut out, |resource, out| {
        exchange(resource, 2, out, |scope, out| {
            let surroundings = (!matching.is_everything()).then(|| {
                let described = View::of(scope).message(1);
                let resource = View::of(resource).message(1);
                let attribute =
                    |wanted: &str| resource.attributes(1).find(|(key, _)| *key == wanted).map(|(_, value)| value);
                matching.surroundings(&attribute, &described.text(1), &described.text(2))
            });
            if surroundings.is_some_and(|surroundings| surroundings.rule_out(matching)) {
                return false;
            }
            exchange(scope, 2, out, |item, out| {
                surroundings.is_none_or(|surroundings| matching.item(surroundings, signal, item))
                    && wire.edit(actions, client, item, field, out)
            })
        })
    });
    changed.then_some(out)
}

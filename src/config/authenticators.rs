//! Whether the authenticators that components name are there.

use super::service::{Component, Pipeline, ServiceConfig, entries};
use pipeline::component::ComponentKind;
use pipeline::config::{ComponentId, ConfigError, ConfigErrors, Node};

/// Reports `auth::authenticator` settings of components that run, where no such extension runs.
pub(super) fn check_authenticators(config: &ServiceConfig, errors: &mut ConfigErrors) {
    let used = |kind, of: fn(&Pipeline) -> &[ComponentId]| {
        let runs = move |id: &ComponentId| config.pipelines.iter().any(|pipeline| of(pipeline).contains(id));
        config.components(kind).values().filter(move |component| runs(&component.id))
    };
    let receivers = used(ComponentKind::Receiver, |pipeline| &pipeline.receivers);
    let exporters = used(ComponentKind::Exporter, |pipeline| &pipeline.exporters);
    let extensions = config.extensions.values().filter(|extension| config.enabled_extensions.contains(&extension.id));
    let sections = [
        ("receivers", receivers.collect::<Vec<_>>()),
        ("exporters", exporters.collect()),
        ("extensions", extensions.collect()),
    ];
    for (section, components) in sections {
        for Component { id, body, .. } in components {
            check(body, &format!("{section}::{id}"), config, errors);
        }
    }
}

fn check(node: &Node, path: &str, config: &ServiceConfig, errors: &mut ConfigErrors) {
    for entry in entries(node) {
        let path = format!("{path}::{}", entry.key);
        let name = entry.value.get("authenticator").filter(|_| entry.key == "auth");
        if let Some((name, text)) = name.and_then(|name| Some((name, name.as_text()?))) {
            let runs = text.parse().is_ok_and(|id: ComponentId| config.enabled_extensions.contains(&id));
            if !runs && !text.is_empty() {
                let message = format!(
                    "failed to resolve authenticator {text:?}: authenticator not found; list it under service::extensions"
                );
                let known: Vec<String> = config.enabled_extensions.iter().map(ComponentId::to_string).collect();
                let error = ConfigError::new(name.span.clone(), format!("{path}::authenticator"), message);
                errors.push(error.suggesting(text, known.iter().map(String::as_str)));
            }
        }
        check(&entry.value, &path, config, errors);
    }
    for (at, item) in node.as_sequence().unwrap_or_default().iter().enumerate() {
        check(item, &format!("{path}[{at}]"), config, errors);
    }
}

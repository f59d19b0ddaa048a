//! Scopes in labels: `otel_scope_*` is how Prometheus' formats carry what OTLP has as the instrumentation scope.

use std::sync::LazyLock;

use pipeline::{AttributeValue, Attributes, AttributesBuilder, Origin, Scope, Source};

/// What labels begin with that describe the scope.
const PREFIX: &str = "otel_scope_";

/// The scope of what came by remote write and names none: who made OTLP of it, under the name that the Collector's receiver has.
static TRANSLATOR: LazyLock<Scope> = LazyLock::new(|| Scope {
    name: "github.com/open-telemetry/opentelemetry-collector-contrib/receiver/prometheusremotewritereceiver".into(),
    ..Scope::default()
});

/// Whether series of this origin may say their scope by labels. A scraped series that does is in an origin without a scope.
pub(super) fn may_be_labelled(origin: &Origin) -> bool {
    origin.source != Source::Otlp && origin.scope == Scope::default()
}

/// Whether some of these labels describe a scope.
pub(super) fn are_labelled(attributes: &Attributes) -> bool {
    // Keys ascend.
    attributes.iter().map(|(key, _)| key).find(|key| *key >= PREFIX).is_some_and(|key| key.starts_with(PREFIX))
}

/// Whether a label describes the scope, and is hence no attribute of its points.
pub(super) fn is_of_scope(key: &str) -> bool {
    key.starts_with(PREFIX)
}

/// The scope of series of an origin whose labels do not say it.
pub(super) fn unlabelled(origin: &Origin) -> &Scope {
    if may_be_labelled(origin) { &TRANSLATOR } else { &origin.scope }
}

/// The scope that labels describe.
pub(super) fn labelled<'a>(labels: impl IntoIterator<Item = (&'a str, AttributeValue<'a>)>) -> Scope {
    let mut scope = Scope::default();
    let mut attributes = AttributesBuilder::default();
    for (key, value) in labels {
        let Some(key) = key.strip_prefix(PREFIX) else { continue };
        match (key, value) {
            ("name", AttributeValue::Str(text)) => scope.name = text.into(),
            ("version", AttributeValue::Str(text)) => scope.version = text.into(),
            ("schema_url", AttributeValue::Str(text)) => scope.schema_url = text.into(),
            _ => attributes.push(key, value),
        }
    }
    scope.attributes = attributes.build();
    scope
}

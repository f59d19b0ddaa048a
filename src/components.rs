//! What is in this binary: the one table of components. A new component is one line here.

use crate::config::{ComponentType, ComponentTypes};
use pipeline::component::{ComponentKind, Factory, Signal, Stability};
use pipeline::config::{ConfigErrors, Node};

#[cfg(test)]
mod corpus;
#[cfg(test)]
mod tests;

/// Every component of the program.
pub const TABLE: &[Factory] = &[
    receivers::otlp::FACTORY,
    receivers::otlp_json_file::FACTORY,
    receivers::prometheus::FACTORY,
    receivers::prometheus_remote_write::FACTORY,
    processors::attributes::FACTORY,
    processors::batch::FACTORY,
    processors::cumulativetodelta::FACTORY,
    processors::deltatocumulative::FACTORY,
    processors::memory_limiter::FACTORY,
    processors::metric_start_time::FACTORY,
    processors::relabel::FACTORY,
    processors::resource::FACTORY,
    connectors::forward::FACTORY,
    exporters::aws_prometheus_remote_write::FACTORY,
    exporters::debug::FACTORY,
    exporters::file::FACTORY,
    exporters::otlp::FACTORY,
    exporters::otlp_http::FACTORY,
    exporters::prometheus::FACTORY,
    exporters::prometheus_remote_write::FACTORY,
    extensions::file_storage::FACTORY,
    extensions::health_check::FACTORY,
    extensions::sigv4auth::FACTORY,
];

/// Checks of what depends on the signal of the pipeline that a component is used in, by kind and type.
const IN_PIPELINES: &[(ComponentKind, &str, SignalCheck)] =
    &[(ComponentKind::Processor, processors::attributes::FACTORY.type_name, processors::attributes::check_in)];

type SignalCheck = fn(&Node, Signal) -> Result<(), ConfigErrors>;

/// A table of components to look things up in: the program's, or one of a test.
#[derive(Clone, Copy, Debug)]
pub struct Components(&'static [Factory]);

impl Default for Components {
    /// The program's own.
    fn default() -> Self {
        Self(TABLE)
    }
}

impl Components {
    /// A table of these factories.
    pub const fn new(factories: &'static [Factory]) -> Self {
        Self(factories)
    }

    /// All of them.
    pub fn all(self) -> &'static [Factory] {
        self.0
    }

    /// All of one kind, in the order of the table.
    pub fn of_kind(self, kind: ComponentKind) -> impl Iterator<Item = &'static Factory> {
        self.0.iter().filter(move |factory| factory.kind() == kind)
    }

    /// The component of this kind that configurations call `name`.
    pub fn find(self, kind: ComponentKind, name: &str) -> Option<&'static Factory> {
        self.of_kind(kind).find(|factory| factory.is_called(name))
    }

    /// What `oxidot components` prints: YAML in the form of the Collector's command.
    pub fn describe(self, version: &str) -> String {
        let mut out = format!(
            "buildinfo:\n    command: oxidot\n    description: Oxidot, a metrics collector\n    version: {version}\n"
        );
        let kinds = [
            (ComponentKind::Receiver, "receivers"),
            (ComponentKind::Processor, "processors"),
            (ComponentKind::Exporter, "exporters"),
            (ComponentKind::Connector, "connectors"),
            (ComponentKind::Extension, "extensions"),
        ];
        for (kind, title) in kinds {
            let mut factories: Vec<_> = self.of_kind(kind).collect();
            factories.sort_by_key(|factory| factory.type_name);
            out.push_str(title);
            out.push_str(if factories.is_empty() { ": []\n" } else { ":\n" });
            for factory in factories {
                describe(&mut out, title, factory);
            }
        }
        out
    }
}

impl ComponentTypes for Components {
    fn resolve(&self, kind: ComponentKind, type_name: &str) -> Option<ComponentType> {
        let factory = self.find(kind, type_name)?;
        Some(ComponentType { canonical: factory.type_name, signals: factory.signals })
    }

    fn names(&self, kind: ComponentKind) -> Vec<&'static str> {
        let mut names: Vec<_> = self
            .of_kind(kind)
            .flat_map(|factory| std::iter::once(&factory.type_name).chain(factory.aliases))
            .copied()
            .collect();
        names.sort_unstable();
        names
    }

    fn validate(&self, kind: ComponentKind, canonical: &str, body: &Node) -> Result<(), ConfigErrors> {
        self.find(kind, canonical).map_or(Ok(()), |factory| (factory.validate)(body))
    }

    fn validate_in(
        &self,
        kind: ComponentKind,
        canonical: &str,
        body: &Node,
        signal: Signal,
    ) -> Result<(), ConfigErrors> {
        let check = IN_PIPELINES.iter().find(|(of, name, _)| (*of, *name) == (kind, canonical));
        check.map_or(Ok(()), |(.., check)| check(body, signal))
    }
}

/// One entry of the list.
fn describe(out: &mut String, title: &str, factory: &Factory) {
    let stability = match factory.stability {
        Stability::Beta => "Beta",
        Stability::Stable => "Stable",
    };
    let mut line = |text: std::fmt::Arguments<'_>| out.push_str(&format!("{text}\n"));
    line(format_args!("    - name: {}", factory.type_name));
    line(format_args!("      summary: {:?}", factory.summary));
    line(format_args!("      module: {title}/{}", factory.type_name));
    if !factory.aliases.is_empty() {
        line(format_args!("      aliases: [{}]", factory.aliases.join(", ")));
    }
    line(format_args!("      stability:"));
    if factory.kind() == ComponentKind::Extension {
        line(format_args!("        extension: {stability}"));
    }
    for signal in [Signal::Logs, Signal::Metrics, Signal::Traces] {
        if factory.signals.contains(&signal) {
            line(format_args!("        {}: {stability}", signal.name()));
        }
    }
}

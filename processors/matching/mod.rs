//! Which telemetry a processor is to touch: the Collector's `include` and `exclude`.

mod config;
mod logs;
mod spans;
#[cfg(test)]
mod tests;
mod values;

pub(crate) use self::config::{MatchKeys, MatchType, RegexpKeys, compile_texts};
pub(crate) use self::values::Texts;

use self::logs::LogMatcher;
use self::spans::SpanMatcher;
use self::values::{AttributeMatcher, ScopeMatcher};
use pipeline::component::Signal;
use pipeline::config::{ConfigErrors, Node};
use pipeline::{AttributeValue, Attributes};

/// `include` and `exclude` together.
#[derive(Debug, Default)]
pub(crate) struct Matching {
    include: Option<Matcher>,
    exclude: Option<Matcher>,
}

/// One of the two. Everything that is given has to match.
#[derive(Debug)]
struct Matcher {
    /// Of the resource's `service.name`.
    services: Option<Texts>,
    resources: Vec<AttributeMatcher>,
    scopes: Option<Vec<ScopeMatcher>>,
    metric_names: Option<Texts>,
    spans: SpanMatcher,
    logs: LogMatcher,
    /// Of the span or log record.
    attributes: Vec<AttributeMatcher>,
}

/// What a resource and scope say about the things in them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Surroundings {
    /// Whether they fit `include`.
    include: bool,
    /// Whether they fit `exclude`.
    exclude: bool,
}

impl Surroundings {
    /// Whether nothing in them can be meant, whatever it is.
    pub(crate) fn rule_out(self, matching: &Matching) -> bool {
        !self.include || self.exclude && matching.exclude.as_ref().is_some_and(|exclude| !exclude.looks_at_items())
    }
}

impl Matching {
    /// Checks and compiles what is asked for; `node` is the block of the processor.
    pub(crate) fn new(
        include: Option<&MatchKeys>,
        exclude: Option<&MatchKeys>,
        node: &Node,
    ) -> Result<Self, ConfigErrors> {
        let mut errors = ConfigErrors::new();
        let mut compile = |keys: Option<&MatchKeys>, name| match keys.map(|keys| keys.compile(name, node)) {
            Some(compiled) => errors.collect(compiled),
            None => None,
        };
        let matching = Self { include: compile(include, "include"), exclude: compile(exclude, "exclude") };
        errors.into_result(matching)
    }

    /// Whether everything is meant.
    pub(crate) fn is_everything(&self) -> bool {
        self.include.is_none() && self.exclude.is_none()
    }

    /// What resource and scope decide.
    pub(crate) fn surroundings<'a, A>(&self, resource: &A, scope_name: &str, scope_version: &str) -> Surroundings
    where
        A: Fn(&str) -> Option<AttributeValue<'a>>,
    {
        let fits = |matcher: &Matcher| matcher.fits_surroundings(resource, scope_name, scope_version);
        Surroundings {
            include: self.include.as_ref().is_none_or(fits),
            exclude: self.exclude.as_ref().is_some_and(fits),
        }
    }

    /// Whether a metric of this name is meant.
    pub(crate) fn metric(&self, surroundings: Surroundings, name: &str) -> bool {
        self.decide(surroundings, |matcher| matcher.metric_names.as_ref().is_none_or(|names| names.matches(name)))
    }

    /// Whether an encoded span or log record is meant.
    pub(crate) fn item(&self, surroundings: Surroundings, signal: Signal, message: &[u8]) -> bool {
        self.decide(surroundings, |matcher| match signal {
            Signal::Traces => matcher.spans.matches(message) && matcher.attributes_match(message, spans::ATTRIBUTES),
            Signal::Logs => matcher.logs.matches(message) && matcher.attributes_match(message, logs::ATTRIBUTES),
            Signal::Metrics => false,
        })
    }

    fn decide(&self, surroundings: Surroundings, matches: impl Fn(&Matcher) -> bool) -> bool {
        let included = self.include.as_ref().is_none_or(|matcher| surroundings.include && matches(matcher));
        included && !self.exclude.as_ref().is_some_and(|matcher| surroundings.exclude && matches(matcher))
    }
}

impl Matcher {
    fn fits_surroundings<'a, A>(&self, resource: &A, scope_name: &str, scope_version: &str) -> bool
    where
        A: Fn(&str) -> Option<AttributeValue<'a>>,
    {
        let service = |names: &Texts| match resource("service.name") {
            Some(AttributeValue::Str(name)) => names.matches(name),
            _ => false,
        };
        self.services.as_ref().is_none_or(service)
            && self.resources.iter().all(|wanted| wanted.matches(resource(&wanted.key)))
            && self
                .scopes
                .as_ref()
                .is_none_or(|scopes| scopes.iter().any(|scope| scope.matches(scope_name, scope_version)))
    }

    fn attributes_match(&self, message: &[u8], field: u32) -> bool {
        let view = otlp::view::View::of(message);
        self.attributes
            .iter()
            .all(|wanted| wanted.matches(view.attributes(field).find(|(key, _)| *key == wanted.key).map(|(_, v)| v)))
    }

    /// Whether it depends on more than resource and scope.
    fn looks_at_items(&self) -> bool {
        self.metric_names.is_some()
            || !self.attributes.is_empty()
            || self.spans.looks_at_items()
            || self.logs.looks_at_items()
    }
}

/// Reads the attributes of a resource.
pub(crate) fn resource_of<'a>(attributes: &'a Attributes) -> impl Fn(&str) -> Option<AttributeValue<'a>> {
    move |key| attributes.get(key)
}

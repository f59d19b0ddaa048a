//! The keys of `include` and `exclude`.

use super::Matcher;
use super::logs::{LogMatcher, Severity};
use super::spans::{KINDS, SpanMatcher};
use super::values::{AttributeMatcher, ScopeMatcher, Texts, Wanted};
use crate::actions::owned;
use pipeline::component::Signal;
use pipeline::config::{ConfigErrors, Node, StringList};
use prometheus::relabel::go_regex;
use regex::Regex;
use serde::Deserialize;

/// `include` or `exclude` as it is written.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct MatchKeys {
    match_type: String,
    regexp: RegexpKeys,
    services: StringList,
    resources: Vec<AttributeKeys>,
    libraries: Vec<ScopeKeys>,
    attributes: Vec<AttributeKeys>,
    metric_names: StringList,
    span_names: StringList,
    span_kinds: StringList,
    log_bodies: StringList,
    log_severity_texts: StringList,
    log_severity_number: Option<SeverityKeys>,
}

/// How the Collector remembers what matched. Matching is not worth remembering here; accepted, without effect.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RegexpKeys {
    #[serde(rename = "cacheenabled")]
    _cacheenabled: bool,
    #[serde(rename = "cachemaxnumentries")]
    _cachemaxnumentries: i64,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct AttributeKeys {
    key: String,
    value: Option<Node>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ScopeKeys {
    name: String,
    version: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct SeverityKeys {
    min: String,
    match_undefined: bool,
}

/// How texts are compared.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum MatchType {
    Strict,
    Regexp,
}

impl MatchType {
    /// By its name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        match name {
            "strict" => Some(Self::Strict),
            "regexp" => Some(Self::Regexp),
            _ => None,
        }
    }
}

impl MatchKeys {
    /// Why this cannot be used in a pipeline of this signal: the key at fault, which is empty for all of it, and what is wrong.
    pub(crate) fn refusal(&self, signal: Signal) -> Option<(&'static str, String)> {
        let given: [(&'static str, bool, &[Signal]); 10] = {
            use Signal::{Logs, Metrics, Traces};
            [
                ("services", !self.services.is_empty(), &[Traces]),
                ("resources", !self.resources.is_empty(), &[Metrics, Traces, Logs]),
                ("libraries", !self.libraries.is_empty(), &[Traces, Logs]),
                ("attributes", !self.attributes.is_empty(), &[Traces, Logs]),
                ("metric_names", !self.metric_names.is_empty(), &[Metrics]),
                ("span_names", !self.span_names.is_empty(), &[Traces]),
                ("span_kinds", !self.span_kinds.is_empty(), &[Traces]),
                ("log_bodies", !self.log_bodies.is_empty(), &[Logs]),
                ("log_severity_texts", !self.log_severity_texts.is_empty(), &[Logs]),
                ("log_severity_number", self.log_severity_number.is_some(), &[Logs]),
            ]
        };
        let misplaced = given.iter().find(|(_, given, signals)| *given && !signals.contains(&signal));
        if let Some((name, ..)) = misplaced {
            return Some((name, format!("{name} cannot be used in a pipeline of {}", signal.name())));
        }
        if given.iter().any(|(_, given, _)| *given) {
            return None;
        }
        let names: Vec<String> = given
            .iter()
            .filter(|(_, _, signals)| signals.contains(&signal))
            .map(|(name, ..)| format!("{name:?}"))
            .collect();
        Some(("", format!("at least one of {} must be specified for {}", names.join(", "), signal.name())))
    }

    /// Compiles what stands under `name` in `node`.
    pub(super) fn compile(&self, name: &str, node: &Node) -> Result<Matcher, ConfigErrors> {
        let Some(match_type) = MatchType::named(&self.match_type) else {
            let message = format!("unrecognized match_type: {:?}, valid types are: [regexp strict]", self.match_type);
            return Err(node.error_at("", &format!("{name}::match_type"), message).into());
        };
        let mut errors = ConfigErrors::new();
        let mut failed =
            |key: &str, message: String| errors.push(node.error_at("", &format!("{name}::{key}"), message));
        let mut texts = |key: &str, given: &[String]| -> Option<Texts> {
            if given.is_empty() {
                return None;
            }
            compile_texts(match_type, given).map_err(|message| failed(key, message)).ok()
        };
        let services = texts("services", &self.services);
        let metric_names = texts("metric_names", &self.metric_names);
        let span_names = texts("span_names", &self.span_names);
        let kinds: Vec<String> = self.span_kinds.iter().map(|kind| full_kind(kind)).collect();
        let span_kinds = texts("span_kinds", &kinds);
        let bodies = texts("log_bodies", &self.log_bodies);
        let severity_texts = texts("log_severity_texts", &self.log_severity_texts);
        if match_type == MatchType::Strict
            && let Some(kind) = kinds.iter().find(|kind| !KINDS.contains(&kind.as_str()))
        {
            failed("span_kinds", format!("{kind:?} is no kind of span: use one of {}", KINDS.join(", ")));
        }
        let mut attributes = |key: &str, given: &[AttributeKeys]| -> Vec<AttributeMatcher> {
            given
                .iter()
                .filter_map(|keys| keys.compile(match_type).map_err(|message| failed(key, message)).ok())
                .collect()
        };
        let resources = attributes("resources", &self.resources);
        let item_attributes = attributes("attributes", &self.attributes);
        let scopes: Vec<ScopeMatcher> = self
            .libraries
            .iter()
            .filter_map(|keys| keys.compile(match_type).map_err(|message| failed("libraries", message)).ok())
            .collect();
        let severity = self
            .log_severity_number
            .as_ref()
            .and_then(|keys| keys.compile().map_err(|message| failed("log_severity_number", message)).ok());
        errors.into_result(Matcher {
            services,
            resources,
            scopes: (!self.libraries.is_empty()).then_some(scopes),
            metric_names,
            spans: SpanMatcher { names: span_names, kinds: span_kinds },
            logs: LogMatcher { bodies, severity_texts, severity },
            attributes: item_attributes,
        })
    }
}

/// The names of kinds as OTLP writes them; configurations also have them without the prefix.
fn full_kind(kind: &str) -> String {
    let upper = format!("SPAN_KIND_{}", kind.to_ascii_uppercase());
    if KINDS.contains(&upper.as_str()) { upper } else { kind.to_owned() }
}

/// Texts to compare with.
pub(crate) fn compile_texts(match_type: MatchType, texts: &[String]) -> Result<Texts, String> {
    Ok(match match_type {
        MatchType::Strict => Texts::Strict(texts.into()),
        MatchType::Regexp => Texts::Regexp(texts.iter().map(|text| compile(text)).collect::<Result<_, _>>()?),
    })
}

fn compile(pattern: &str) -> Result<Regex, String> {
    go_regex(pattern).map(|(regex, _)| regex).map_err(|error| error.to_string())
}

impl AttributeKeys {
    fn compile(&self, match_type: MatchType) -> Result<AttributeMatcher, String> {
        if self.key.is_empty() {
            return Err("error creating processor. Can't have empty key in the list of attributes".to_owned());
        }
        let value = match (&self.value, match_type) {
            (None, _) => Wanted::Anything,
            (Some(node), _) if node.is_null() => Wanted::Anything,
            (Some(node), MatchType::Strict) => Wanted::Strict(owned(node)?),
            (Some(node), MatchType::Regexp) => match node.as_text() {
                Some(pattern) => Wanted::Regexp(compile(pattern)?),
                None => return Err(format!("the value of {:?} must be a text to be a pattern", self.key)),
            },
        };
        Ok(AttributeMatcher { key: self.key.clone(), value })
    }
}

impl ScopeKeys {
    fn compile(&self, match_type: MatchType) -> Result<ScopeMatcher, String> {
        let one = |text: &String| compile_texts(match_type, std::slice::from_ref(text));
        Ok(ScopeMatcher { name: one(&self.name)?, version: self.version.as_ref().map(one).transpose()? })
    }
}

impl SeverityKeys {
    /// The numbers of OTLP, or the names that the Collector has for them: `INFO`, `WARN2`.
    fn compile(&self) -> Result<Severity, String> {
        const NAMES: [&str; 6] = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"];
        let upper = self.min.to_ascii_uppercase();
        let name = upper.strip_prefix("SEVERITY_NUMBER_").unwrap_or(&upper);
        let named = NAMES.iter().zip(0u64..).find_map(|(known, at)| {
            let step = match name.strip_prefix(known)? {
                "" => 1,
                step => step.parse().ok().filter(|step| (2..=4).contains(step))?,
            };
            Some(at * 4 + step)
        });
        let number = || self.min.parse().ok().filter(|number| (1..=24).contains(number));
        match named.or_else(number) {
            Some(min) => Ok(Severity { min, match_undefined: self.match_undefined }),
            None => Err(format!("{:?} is no severity: use a number from 1 to 24, or a name such as INFO", self.min)),
        }
    }
}

//! Translation between the names of OTLP and those of Prometheus.
//!
//! Names of series must be the same as those the OpenTelemetry Collector makes, letter for letter:
//! dashboards and alerts are written against them. The rules are those of `otlptranslator` (names,
//! units, labels) and of the Collector's remote-write translator ([`label_set`], [`target_info`]).

mod attribute_text;
mod exemplar_id;
mod label_name;
pub mod label_set;
mod metric_name;
mod strategy;
pub mod target_info;
mod unit;

#[cfg(test)]
mod tests;

pub use attribute_text::{attribute_text, attribute_texts, text_pairs};
pub use exemplar_id::{ExemplarLabel, exemplar_label};
pub use label_name::LabelNamer;
pub use metric_name::{MetricNamer, NamedKind, trim_prometheus_suffixes};
pub use strategy::{InvalidStrategy, NameError, TranslationStrategy};
pub use unit::{UnitNamer, ucum_to_unit_word, unit_word_to_ucum};

//! From tracing's events to lines.

use super::repeats::Verdict;
use super::{Core, line};
use serde_json::{Map, Value as Json};
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Instant;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

/// Whose lines are logged at any level. What the libraries below them find worth a debug line is of no use to
/// somebody who looks for a fault in a pipeline.
const OWN: [&str; 9] =
    ["oxidot", "pipeline", "prometheus", "net", "aws", "receivers", "processors", "exporters", "extensions"];

/// Lets through what is of this level or more severe.
pub(super) struct Threshold(pub(super) LevelFilter);

impl Threshold {
    fn passes(&self, metadata: &Metadata<'_>) -> bool {
        let krate = metadata.target().split("::").next().unwrap_or_default();
        let own = OWN.contains(&krate);
        *metadata.level() <= self.0 && (own || *metadata.level() <= Level::WARN)
    }
}

impl<S: Subscriber> Layer<S> for Threshold {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.passes(metadata) { Interest::always() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        self.passes(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.0)
    }
}

/// Writes a line for each event, with the fields of the spans around it.
pub(super) struct LineLayer {
    core: Arc<Core>,
}

impl LineLayer {
    pub(super) fn new(core: Arc<Core>) -> Self {
        Self { core }
    }
}

/// Message and fields of an event or span.
#[derive(Default)]
struct Fields {
    message: String,
    fields: Map<String, Json>,
}

impl Fields {
    fn put(&mut self, field: &Field, value: impl Into<Json>) {
        self.fields.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            value.clone_into(&mut self.message);
        } else {
            self.put(field, value);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for LineLayer {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        span.extensions_mut().insert(fields);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(fields) = span.extensions_mut().get_mut::<Fields>() {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Map::new();
        for span in context.event_scope(event).into_iter().flat_map(|scope| scope.from_root()) {
            if let Some(of_span) = span.extensions().get::<Fields>() {
                fields.extend(of_span.fields.clone());
            }
        }
        let mut of_event = Fields::default();
        event.record(&mut of_event);
        let metadata = event.metadata();
        if *metadata.level() <= Level::WARN {
            let mut hasher = DefaultHasher::new();
            (metadata.callsite(), &of_event.message).hash(&mut hasher);
            for (name, value) in &fields {
                (name, value.as_str()).hash(&mut hasher);
            }
            let cause = hasher.finish();
            match self.core.repeats.lock().judge(cause, &of_event.message, Instant::now()) {
                Verdict::LeaveOut => return,
                Verdict::Write { left_out: 0 } => {}
                Verdict::Write { left_out } => {
                    of_event.fields.insert("suppressed".into(), left_out.into());
                }
            }
        }
        let settings = self.core.settings.load();
        let mut all = settings.initial_fields.clone();
        all.extend(fields);
        all.extend(of_event.fields);
        settings.write(&line::format(settings.encoding, *metadata.level(), &of_event.message, all));
    }
}

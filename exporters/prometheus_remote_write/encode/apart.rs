//! What does not come by a table: series whose labels are worked out one by one, exemplars, and values that travel whole.

use super::super::labels::Untranslatable;
use super::super::sample::{Timestamp, append_sample, append_sample_body, sent_value};
use super::super::spread::{class_of, shard_of, turn_of};
use super::super::translation::unsendable;
use super::super::{v2, whole};
use super::{Body, Contents, Encoder};
use pipeline::{Acks, Exemplar, FamilyKind, Origin, Part, Point, PointGroup, Series};
use prometheus::remote_write::protocol::ProtocolVersion;
use prometheus::remote_write::wire::NativeHistogram;
use prometheus::remote_write::wire::v1::{put_histogram, put_series};
use std::sync::Arc;

/// The body of a time series that is more than one sample.
enum Message<'a> {
    /// A sample, when its series began to count (in milliseconds since the Unix epoch, 0 if unknown), and its exemplars.
    WithExemplars(f64, i64, &'a [&'a Exemplar]),
    /// A native histogram and its exemplars.
    Native(&'a NativeHistogram, &'a [&'a Exemplar]),
}

/// Whether a series is a gauge to OTLP, which has unknown types as gauges.
fn is_gauge(series: &Series) -> bool {
    series.part == Part::Whole && matches!(series.family.kind, FamilyKind::Gauge | FamilyKind::Unknown)
}

impl Encoder {
    /// Appends one float sample; `start_ms` is when its series began to count.
    #[inline]
    pub(super) fn sample(
        &mut self,
        origin: &Arc<Origin>,
        series: &Arc<Series>,
        (value, start_ms): (f64, i64),
        time: &Timestamp,
        acks: &Acks,
    ) {
        let keeps_names = self.translation.keeps_names(origin.source);
        let labels = match self.tables.labels(origin, series, keeps_names) {
            Ok(labels) => labels,
            Err(Untranslatable::TargetInfo) => return self.note_target_info(origin, series),
            // Version 2.0 says it with the samples that it is about.
            Err(Untranslatable::Created) if self.version == ProtocolVersion::V2 => return,
            Err(reason) => return self.metrics.dropped(reason.as_str(), 1),
        };
        if labels.len() >= self.guard.wide && self.guard.refuses(&self.metrics, &labels) {
            return;
        }
        let at = shard_of(class_of(labels.kin(), self.active), turn_of(origin, self.active), self.active);
        let Some(shard) = self.shards.get_mut(at) else { return };
        match &mut shard.body {
            Body::V1(body) => body.writer.write(|out| append_sample(out, &labels, value, time)),
            Body::V2(body) => {
                let metadata = self.translation.send_metadata;
                match self.symbols.loose(series, &labels, keeps_names, metadata) {
                    Some(group) => body.write(&self.symbols, &group, 0, sent_value(value), time, start_ms),
                    None => {
                        let mut bytes = Vec::with_capacity(labels.len());
                        labels.append_to(&mut bytes);
                        let message = v2::Message::Sample { value: sent_value(value), start_ms, exemplars: &[] };
                        let metadata = metadata.then_some(&*series.family);
                        body.message(&self.symbols, &bytes, metadata, &message, time);
                    }
                }
            }
        }
        shard.took_samples(1, time, acks);
        if shard.full(self.limits) {
            self.seal(at);
        }
    }

    #[cold]
    pub(super) fn with_exemplars(
        &mut self,
        origin: &Arc<Origin>,
        series: &Arc<Series>,
        (value, start_ms): (f64, i64),
        time: &Timestamp,
        acks: &Acks,
        own: &[&Exemplar],
    ) {
        let mut own = own;
        // As the OpenTelemetry specification has it, and the Collector in this version.
        if self.version == ProtocolVersion::V1 && is_gauge(series) && !self.translation.keeps_names(origin.source) {
            if self.translation.send_exemplars {
                self.metrics.dropped_exemplars("gauge", own.len() as u64);
            }
            own = &[];
        }
        if !self.translation.send_exemplars || own.is_empty() {
            return self.sample(origin, series, (value, start_ms), time, acks);
        }
        let contents = Contents { samples: 1, exemplars: own.len() as u64, ..Contents::default() };
        self.message(origin, series, time, acks, contents, &Message::WithExemplars(value, start_ms, own));
    }

    /// Appends a time series whose body is more than one sample.
    fn message(
        &mut self,
        origin: &Arc<Origin>,
        series: &Arc<Series>,
        time: &Timestamp,
        acks: &Acks,
        contents: Contents,
        message: &Message<'_>,
    ) {
        let keeps_names = self.translation.keeps_names(origin.source);
        let labels = match self.tables.labels(origin, series, keeps_names) {
            Ok(labels) => labels,
            Err(reason) => return self.metrics.dropped(reason.as_str(), 1),
        };
        if labels.len() >= self.guard.wide && self.guard.refuses(&self.metrics, &labels) {
            return;
        }
        let mut bytes = Vec::with_capacity(labels.len() + 64);
        labels.append_to(&mut bytes);
        let at = shard_of(class_of(labels.kin(), self.active), turn_of(origin, self.active), self.active);
        let Some(shard) = self.shards.get_mut(at) else { return };
        match &mut shard.body {
            Body::V1(body) => body.writer.write(|out| {
                put_series(out, &bytes, |out| match message {
                    Message::WithExemplars(value, _, exemplars) => {
                        append_sample_body(out, *value, time);
                        exemplars.iter().for_each(|exemplar| whole::append_exemplar(out, exemplar));
                    }
                    Message::Native(native, exemplars) => {
                        exemplars.iter().for_each(|exemplar| whole::append_exemplar(out, exemplar));
                        put_histogram(out, native);
                    }
                });
            }),
            Body::V2(body) => {
                let metadata = self.translation.send_metadata.then_some(&*series.family);
                let message = match message {
                    Message::WithExemplars(value, start_ms, exemplars) => {
                        v2::Message::Sample { value: sent_value(*value), start_ms: *start_ms, exemplars }
                    }
                    Message::Native(native, exemplars) => v2::Message::Histogram { native, exemplars },
                };
                body.message(&self.symbols, &bytes, metadata, &message, time);
            }
        }
        shard.took(contents, time, acks);
        if shard.full(self.limits) {
            self.seal(at);
        }
    }

    /// Sends a histogram or summary that travels whole in the form that remote write has for it.
    #[cold]
    pub(super) fn whole(
        &mut self,
        group: &PointGroup,
        point: &Point,
        series: &Arc<Series>,
        time: &Timestamp,
        acks: &Acks,
        exemplars: &[&Exemplar],
    ) {
        if let Some(reason) = unsendable(series).filter(|_| !self.translation.keeps_names(group.origin.source)) {
            return self.metrics.dropped(reason.as_str(), 1);
        }
        let exemplars = if self.translation.send_exemplars { exemplars } else { &[] };
        let lists_bounds = self.version == ProtocolVersion::V2
            && self.guard.takes_listed_bounds()
            && (self.translation.listed_bounds || group.origin.source == pipeline::Source::RemoteWrite);
        let start_ms = if point.start > 0 && point.start <= point.time { point.start / 1_000_000 } else { 0 };
        match self.split.parts(&group.origin, series, &point.value, lists_bounds) {
            whole::Parts::Samples(samples) => {
                let mut below = None;
                for (part, value) in samples.iter() {
                    if exemplars.is_empty() {
                        self.sample(&group.origin, part, (value, start_ms), time, acks);
                        continue;
                    }
                    let own = whole::exemplars_of(&part.part, &mut below, exemplars);
                    self.with_exemplars(&group.origin, part, (value, start_ms), time, acks, &own);
                }
                self.split.done(samples);
            }
            whole::Parts::Native(_) if !self.translation.send_native_histograms => {
                self.metrics.dropped("native_histograms_off", 1);
            }
            whole::Parts::Native(mut native) => {
                native.timestamp_ms = time.millis;
                native.start_timestamp_ms = start_ms;
                let contents = Contents { histograms: 1, exemplars: exemplars.len() as u64, ..Contents::default() };
                self.message(&group.origin, series, time, acks, contents, &Message::Native(&native, exemplars));
            }
            whole::Parts::Unsendable(reason) => self.metrics.dropped(reason, 1),
        }
    }
}

//! Type, help and unit of families, sent now and then in requests of their own (remote write 1.0 has no
//! place for them beside the samples).

use super::account::Mark;
use super::encode::{Contents, Request};
use super::translation::Translation;
use pipeline::{Acks, Family, FamilyKind, MetricBatch, SeriesTable, Slot};
use prometheus::remote_write::SnappyBlockWriter;
use prometheus::remote_write::protocol::ProtocolVersion;
use prometheus::remote_write::wire::MetricType;
use prometheus::remote_write::wire::v1::put_metadata;
use prometheus::translate::UnitNamer;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::time::Instant;

/// How often all metadata is sent (Prometheus' `metadata_config.send_interval`).
const SEND_EVERY: Duration = Duration::from_secs(60);

/// Families of one request (Prometheus' `metadata_config.max_samples_per_send`).
const MAX_PER_REQUEST: usize = 2000;

/// Tables between two sweeps of those that are gone.
const SWEEP_AT: usize = 4096;

/// The families of living series tables.
#[derive(Default)]
pub(super) struct Metadata {
    /// By slot; whether names are sent as they came.
    tables: HashMap<Slot, (Weak<SeriesTable>, bool)>,
    sent: Option<Instant>,
}

impl Metadata {
    /// Notes the families of a batch.
    pub(super) fn note(&mut self, batch: &MetricBatch, translation: &Translation) {
        for group in batch.groups() {
            let entry = || (Arc::downgrade(&group.table), translation.keeps_names(group.origin.source));
            self.tables.entry(group.table.slot()).or_insert_with(entry);
        }
        if self.tables.len() > SWEEP_AT {
            self.tables.retain(|_, (weak, _)| weak.strong_count() > 0);
        }
    }

    /// The requests to send now, if it is time.
    pub(super) fn due(&mut self, translation: &Translation, generation: u64) -> Vec<Request> {
        if self.sent.is_some_and(|sent| sent.elapsed() < SEND_EVERY) || self.tables.is_empty() {
            return Vec::new();
        }
        self.sent = Some(Instant::now());
        self.tables.retain(|_, (weak, _)| weak.strong_count() > 0);
        let mut seen = HashSet::new();
        let mut requests = Vec::new();
        let mut writer = SnappyBlockWriter::new();
        let mut families = 0usize;
        let tables: Vec<_> = self.tables.values().filter_map(|(weak, kept)| Some((weak.upgrade()?, *kept))).collect();
        for (series, kept) in tables.iter().flat_map(|(table, kept)| table.as_slice().iter().map(move |s| (s, *kept))) {
            let family = &series.family;
            let Some(name) = translation.family_name(family, kept) else { continue };
            if !seen.insert(name.clone()) {
                continue;
            }
            let unit = UnitNamer { utf8: false }.build(&family.unit);
            writer.write(|out| {
                put_metadata(out, metric_type(family), name.as_bytes(), family.description.as_bytes(), unit.as_bytes());
            });
            families += 1;
            if families == MAX_PER_REQUEST {
                requests.extend(seal(&mut writer, generation));
                families = 0;
            }
        }
        if families > 0 {
            requests.extend(seal(&mut writer, generation));
        }
        requests
    }
}

fn seal(writer: &mut SnappyBlockWriter, generation: u64) -> Option<Request> {
    let mut body = Vec::new();
    writer.finish(&mut body).ok()?;
    Some(Request {
        body: body.into(),
        version: ProtocolVersion::V1,
        contents: Contents::default(),
        acks: Acks::default(),
        shard: 0,
        generation,
        mark: Mark::default(),
    })
}

/// The type that Prometheus has for a family.
pub(super) fn metric_type(family: &Family) -> MetricType {
    match family.kind {
        FamilyKind::Unknown => MetricType::Unknown,
        FamilyKind::Gauge => MetricType::Gauge,
        FamilyKind::Sum { monotonic: true, .. } => MetricType::Counter,
        FamilyKind::Sum { .. } => MetricType::Gauge,
        FamilyKind::Histogram { .. } | FamilyKind::ExponentialHistogram { .. } => MetricType::Histogram,
        FamilyKind::Summary => MetricType::Summary,
        FamilyKind::Info => MetricType::Info,
        FamilyKind::StateSet => MetricType::StateSet,
        FamilyKind::GaugeHistogram => MetricType::GaugeHistogram,
    }
}

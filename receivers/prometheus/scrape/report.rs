//! The series that a scrape reports about itself.

use pipeline::{Attributes, Family, FamilyKind, Part, Point, Series, SeriesTable, Value};
use std::sync::{Arc, LazyLock};

/// What a scrape reports.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Report {
    pub(super) up: bool,
    pub(super) duration_seconds: f64,
    pub(super) scraped: usize,
    pub(super) kept: usize,
    pub(super) added: usize,
    /// Only with `extra_scrape_metrics`.
    pub(super) extra: Option<ExtraReport>,
}

/// The further series of `extra_scrape_metrics`.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ExtraReport {
    pub(super) timeout_seconds: f64,
    pub(super) sample_limit: f64,
    /// -1 when the body was over its limit.
    pub(super) body_size_bytes: f64,
}

/// Name, unit and help, which are those of the Collector's receiver.
const SERIES: [(&str, &str, &str); 8] = [
    ("up", "", "The scraping was successful"),
    ("scrape_duration_seconds", "s", "Duration of the scrape"),
    ("scrape_samples_scraped", "", "The number of samples the target exposed"),
    (
        "scrape_samples_post_metric_relabeling",
        "",
        "The number of samples remaining after metric relabeling was applied",
    ),
    ("scrape_series_added", "", "The approximate number of new series in this scrape"),
    ("scrape_timeout_seconds", "s", "The configured scrape timeout for a target"),
    (
        "scrape_sample_limit",
        "",
        "The configured sample limit for a target. Returns zero if there is no limit configured",
    ),
    ("scrape_body_size_bytes", "By", "The uncompressed size of the most recent scrape response, if successful"),
];

/// Series of every report; the rest come with `extra_scrape_metrics`.
const ALWAYS: usize = 5;

static TABLE: LazyLock<Arc<SeriesTable>> = LazyLock::new(|| {
    let series = SERIES.map(|(name, unit, help)| {
        let family = Family {
            name: name.into(),
            description: help.into(),
            unit: unit.into(),
            kind: FamilyKind::Gauge,
            metadata: Attributes::from_pairs([("prometheus.type", "gauge")]),
        };
        Series::intern(Arc::new(family), name.into(), Part::Whole, Attributes::default())
    });
    SeriesTable::intern(series.to_vec())
});

/// The table that report points index.
pub(super) fn table() -> Arc<SeriesTable> {
    Arc::clone(&TABLE)
}

impl Report {
    /// The report as points at `time` nanoseconds.
    pub(super) fn points(&self, time: i64) -> Vec<Point> {
        let mut values = vec![
            f64::from(u8::from(self.up)),
            self.duration_seconds,
            self.scraped as f64,
            self.kept as f64,
            self.added as f64,
        ];
        if let Some(extra) = self.extra {
            values.extend([extra.timeout_seconds, extra.sample_limit, extra.body_size_bytes]);
        }
        let values = values.into_iter().map(Value::Float);
        (0u32..).zip(values).map(|(series, value)| Point { series, flags: 0, time, start: 0, value }).collect()
    }
}

/// Staleness markers for all series of a report.
pub(super) fn stale_points(time: i64, extra: bool) -> Vec<Point> {
    let len = if extra { SERIES.len() } else { ALWAYS };
    let stale = |series| Point { series, flags: 0, time, start: 0, value: Value::NONE };
    (0u32..).take(len).map(stale).collect()
}

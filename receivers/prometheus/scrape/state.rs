//! What a target's scrapes leave behind from one to the next, and what each of them gives: samples,
//! staleness markers, report. No I/O: the loop brings the answer, this says what to send.

use super::report::{self, ExtraReport, Report};
use crate::prometheus::layout::{
    Builder, Layout, LayoutPool, PageError, Place, ReadOptions, Reading, SampleRules, SlotSeries, TargetIdentity,
};
use pipeline::{MetricBatch, Point, PointGroup, Value};
use prometheus::exposition::Format;
use std::sync::Arc;

/// A page as it came, uncompressed.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Page<'a> {
    pub(in super::super) body: &'a [u8],
    pub(in super::super) format: Format,
}

/// What a scrape's answer was, before its page is looked at.
pub(in super::super) enum Answer<'a> {
    /// A body, possibly empty.
    Page(Page<'a>),
    /// Nothing that can be read. `over_size` says that the body was over its limit.
    Failed { over_size: bool },
}

/// Settings of a job that a scrape needs.
#[derive(Debug)]
pub(in super::super) struct JobRules {
    pub(in super::super) samples: SampleRules,
    pub(in super::super) honor_timestamps: bool,
    pub(in super::super) track_timestamps_staleness: bool,
    pub(in super::super) extra_scrape_metrics: bool,
}

/// One scrape's circumstances.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Circumstances {
    /// Start of the scrape, in milliseconds since the Unix epoch: the time of all it gives.
    pub(in super::super) now_ms: i64,
    /// How long it took up to here, in seconds.
    pub(in super::super) duration_seconds: f64,
    pub(in super::super) timeout_seconds: f64,
}

/// What a scrape came to.
#[derive(Debug)]
pub(in super::super) struct Outcome {
    pub(in super::super) batch: MetricBatch,
    pub(in super::super) error: Option<PageError>,
    pub(in super::super) duplicates: usize,
    pub(in super::super) out_of_bounds: usize,
    /// Whether the page was parsed in full.
    pub(in super::super) parsed: bool,
}

/// See the module's description.
#[derive(Debug)]
pub(in super::super) struct TargetState {
    layout: Arc<Layout>,
    /// The first so many places of the layout were on the last page.
    alive: usize,
    scraped: bool,
    /// The job's rules have changed since: what the layout says of its series' fate holds no more.
    outdated: bool,
}

impl Default for TargetState {
    fn default() -> Self {
        Self { layout: Layout::empty(), alive: 0, scraped: false, outdated: false }
    }
}

/// What reading a page gave besides points.
#[derive(Default)]
struct Counts {
    scraped: usize,
    kept: usize,
    added: usize,
    stale: Vec<PointGroup>,
    error: Option<PageError>,
    parsed: bool,
}

impl TargetState {
    /// Takes in one answer.
    pub(in super::super) fn scrape(
        &mut self,
        answer: &Answer<'_>,
        job: &JobRules,
        target: &TargetIdentity,
        pool: &LayoutPool,
        at: Circumstances,
        reading: &mut Reading,
    ) -> Outcome {
        self.scraped = true;
        let counts = match answer {
            Answer::Page(page) if !page.body.is_empty() => self.page(*page, job, target, pool, at, reading),
            Answer::Page(_) | Answer::Failed { .. } => {
                reading.clear(0);
                Counts { stale: self.all_stale(job, target, at.now_ms), ..Counts::default() }
            }
        };
        let up = counts.error.is_none() && matches!(answer, Answer::Page(_));
        let mut groups = Vec::with_capacity(reading.points.len() + counts.stale.len() + 1);
        if counts.error.is_none() {
            self.take_points(target, reading, &mut groups);
        }
        groups.extend(counts.stale);
        let extra = job.extra_scrape_metrics.then(|| ExtraReport {
            timeout_seconds: at.timeout_seconds,
            sample_limit: job.samples.sample_limit as f64,
            body_size_bytes: match answer {
                Answer::Page(page) => page.body.len() as f64,
                Answer::Failed { over_size: true } => -1.0,
                Answer::Failed { over_size: false } => 0.0,
            },
        });
        let report = Report {
            up,
            duration_seconds: at.duration_seconds,
            scraped: counts.scraped,
            kept: counts.kept,
            added: counts.added,
            extra,
        };
        let points = report.points(at.now_ms.saturating_mul(1_000_000));
        groups.push(PointGroup::new(Arc::clone(&target.origin), report::table(), points));
        Outcome {
            batch: MetricBatch::new(groups),
            error: counts.error,
            parsed: counts.parsed,
            duplicates: reading.duplicates,
            out_of_bounds: reading.out_of_bounds,
        }
    }

    /// Whether both targets hold the same layout, for tests.
    #[cfg(test)]
    pub(in super::super) fn shares_layout_with(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.layout, &other.layout)
    }

    /// Whether anything was ever sent of this target.
    pub(in super::super) fn was_scraped(&self) -> bool {
        self.scraped
    }

    /// The job's rules have changed: the next page is worked out anew, and series that do not come out of it
    /// again are marked stale then.
    pub(in super::super) fn rules_changed(&mut self) {
        self.outdated = true;
    }

    /// Markers for everything this target has sent, as of `time_ms`: it is gone for good. None if it was
    /// never scraped.
    pub(in super::super) fn ended(&mut self, job: &JobRules, target: &TargetIdentity, time_ms: i64) -> MetricBatch {
        if !self.scraped {
            return MetricBatch::default();
        }
        let mut groups = self.all_stale(job, target, time_ms);
        let points = report::stale_points(time_ms.saturating_mul(1_000_000), job.extra_scrape_metrics);
        groups.push(PointGroup::new(Arc::clone(&target.origin), report::table(), points));
        MetricBatch::new(groups)
    }

    fn page(
        &mut self,
        page: Page<'_>,
        job: &JobRules,
        target: &TargetIdentity,
        pool: &LayoutPool,
        at: Circumstances,
        reading: &mut Reading,
    ) -> Counts {
        let options = ReadOptions { format: page.format, now_ms: at.now_ms, honor_timestamps: job.honor_timestamps };
        if self.outdated {
            return self.page_anew(page, job, target, pool, options, reading);
        }
        if self.layout.read(page.body, options, reading).is_some() {
            self.alive = self.layout.lines();
            return Counts { scraped: self.layout.lines(), kept: self.layout.kept(), ..Counts::default() };
        }
        if let Some(layout) = pool.adopt(target.class, page.body, options, reading) {
            let stale = self.stale_against(&layout, job, target, at.now_ms);
            let added = layout.series().saturating_sub(layout.shared(&self.layout));
            self.layout = layout;
            self.alive = self.layout.lines();
            let (scraped, kept) = (self.layout.lines(), self.layout.kept());
            return Counts { scraped, kept, added, stale, ..Counts::default() };
        }
        let builder = Builder { old: &self.layout, alive: self.alive, rules: &job.samples, target };
        let built = builder.build(page.body, options, reading);
        let stale = stale_groups(&self.layout, &built.gone, job, target, at.now_ms);
        self.alive = built.seen;
        self.layout =
            if built.error.is_some() { Arc::new(built.layout) } else { pool.share(target.class, built.layout) };
        let (scraped, kept, added) = (built.scraped, built.kept, built.added);
        Counts { scraped, kept, added, stale, error: built.error, parsed: true }
    }

    /// Reads a page without regard to what the layout knows, and compares what comes out with it.
    fn page_anew(
        &mut self,
        page: Page<'_>,
        job: &JobRules,
        target: &TargetIdentity,
        pool: &LayoutPool,
        options: ReadOptions,
        reading: &mut Reading,
    ) -> Counts {
        let builder = Builder { old: &Layout::empty(), alive: 0, rules: &job.samples, target };
        let built = builder.build(page.body, options, reading);
        let (scraped, kept, added) = (built.scraped, built.kept, built.added);
        let counts = Counts { scraped, kept, added, parsed: true, ..Counts::default() };
        if let Some(error) = built.error {
            let stale = self.all_stale(job, target, options.now_ms);
            return Counts { stale, error: Some(error), ..counts };
        }
        let stale = self.stale_against(&built.layout, job, target, options.now_ms);
        self.alive = built.seen;
        self.layout = pool.share(target.class, built.layout);
        self.outdated = false;
        Counts { stale, ..counts }
    }

    /// Moves the points of a reading into groups.
    fn take_points(&self, target: &TargetIdentity, reading: &mut Reading, groups: &mut Vec<PointGroup>) {
        let slots = self.layout.slots();
        let mut places = vec![None; slots.len()];
        for (i, (slot, points)) in slots.iter().zip(&mut reading.points).enumerate() {
            if points.is_empty() {
                continue;
            }
            let origin = slot.origin.as_ref().unwrap_or(&target.origin);
            if let Some(place) = places.get_mut(i) {
                *place = Some(groups.len());
            }
            let points = std::mem::take(points);
            groups.push(PointGroup::new(Arc::clone(origin), Arc::clone(&slot.table), points));
        }
        for (slot, exemplar) in reading.exemplars.drain(..) {
            let place = places.get(slot as usize).copied().flatten();
            if let Some(group) = place.and_then(|at| groups.get_mut(at)) {
                group.exemplars.push(exemplar);
            }
        }
    }

    fn all_stale(&mut self, job: &JobRules, target: &TargetIdentity, now_ms: i64) -> Vec<PointGroup> {
        let gone: Vec<_> = self.layout.alive_places(self.alive).collect();
        self.alive = 0;
        stale_groups(&self.layout, &gone, job, target, now_ms)
    }

    fn stale_against(&self, new: &Layout, job: &JobRules, target: &TargetIdentity, now_ms: i64) -> Vec<PointGroup> {
        let gone = self.layout.missing_in(new, self.alive);
        stale_groups(&self.layout, &gone, job, target, now_ms)
    }
}

/// Staleness markers for places of `layout`.
fn stale_groups(
    layout: &Layout,
    gone: &[Place],
    job: &JobRules,
    target: &TargetIdentity,
    now_ms: i64,
) -> Vec<PointGroup> {
    let time = now_ms.saturating_mul(1_000_000);
    let mut points: Vec<Vec<Point>> = vec![Vec::new(); layout.slots().len()];
    for place in gone.iter().filter(|p| !p.is_timed() || job.track_timestamps_staleness) {
        if let Some((slot, series)) = place.series()
            && let Some(points) = points.get_mut(slot)
        {
            points.push(Point { series, flags: 0, time, start: 0, value: Value::NONE });
        }
    }
    let group = |(slot, points): (&SlotSeries, Vec<Point>)| {
        let origin = slot.origin.as_ref().unwrap_or(&target.origin);
        (!points.is_empty()).then(|| PointGroup::new(Arc::clone(origin), Arc::clone(&slot.table), points))
    };
    layout.slots().iter().zip(points).filter_map(group).collect()
}

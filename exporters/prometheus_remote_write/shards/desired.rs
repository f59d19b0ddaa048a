//! How many shards are needed, by Prometheus' calculation.
//!
//! Prometheus takes what waits for what has come in the time by which the newest sample that was sent is behind. So it is here
//! without a log; a log knows it to the sample.

use super::super::encode::Contents;
use super::Progress;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::Instant;

/// How often the number of shards is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Weight of the latest interval in the averages.
const WEIGHT: f64 = 0.3;

/// Changes by less than this part of the number are not worth a barrier.
const TOLERANCE: f64 = 0.3;

/// While data is older than this when it is sent, no shard is given up.
const BEHIND: f64 = 10.0;

/// How many shards there may be, and how far behind they may fall.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct ShardRange {
    /// Fewest shards.
    pub(crate) min: usize,
    /// Most shards.
    pub(crate) max: usize,
    /// The time in which a backlog is to be sent.
    pub(crate) target_age: Duration,
}

/// Samples a second, averaged.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Rates {
    /// That came.
    pub(crate) incoming: f64,
    /// That were delivered.
    pub(crate) outgoing: f64,
    /// That were given up.
    pub(crate) dropped: f64,
    /// Seconds that shards have spent on delivery, each second.
    pub(crate) busy: f64,
}

/// What waits.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Behind {
    /// Samples.
    pub(crate) samples: f64,
    /// How long it takes to deliver them, or how much older they are than what comes.
    pub(crate) seconds: f64,
}

/// What a log knows of the samples of one destination.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Logged {
    /// Samples that came since the start.
    pub(crate) arrived: u64,
    /// Samples that are not delivered, those under way among them.
    pub(crate) waiting: u64,
}

/// The number of shards that deliver what comes, and `delay` seconds of it within the target age.
pub(crate) fn desired_shards(now: usize, rates: &Rates, delay: f64, range: &ShardRange) -> usize {
    let behind = Behind { samples: delay * rates.incoming * rates.kept(), seconds: delay };
    shards_for(now, rates, behind, range)
}

/// The number of shards that deliver what comes, and what waits within the target age.
pub(crate) fn shards_for(now: usize, rates: &Rates, behind: Behind, range: &ShardRange) -> usize {
    if rates.outgoing <= 0.0 {
        return now;
    }
    let catch_up = behind.samples / range.target_age.as_secs_f64().max(1.0);
    let desired = (rates.busy / rates.outgoing * (rates.incoming * rates.kept() + catch_up)).ceil();
    let tolerated = now as f64 * (1.0 - TOLERANCE)..=now as f64 * (1.0 + TOLERANCE);
    if tolerated.contains(&desired) {
        return now;
    }
    let desired = desired as usize;
    if desired < now && behind.seconds > BEHIND {
        return now;
    }
    desired.clamp(range.min, range.max.max(range.min))
}

/// Looks at the progress now and then, and says how many shards there should be.
#[derive(Debug)]
pub(crate) struct Adaptation {
    range: ShardRange,
    looked: Instant,
    seen: Totals,
    rates: Option<Rates>,
    news: bool,
}

/// Counters since the start.
#[derive(Clone, Copy, Debug, Default)]
struct Totals {
    incoming: u64,
    outgoing: u64,
    busy: u64,
}

impl Adaptation {
    pub(crate) fn new(range: ShardRange) -> Self {
        Self { range, looked: Instant::now(), seen: Totals::default(), rates: None, news: true }
    }

    /// The fewest shards, with which to begin.
    pub(crate) fn first(&self) -> usize {
        self.range.min.max(1)
    }

    /// Whether there was a look since the last time that this was asked.
    pub(crate) fn has_looked(&mut self) -> bool {
        std::mem::take(&mut self.news)
    }

    /// The number of shards to go over to, if it is time to look and the `active` ones are not right. A destination of a log
    /// is told by `logged` what that has for it: queues in memory hold a few seconds of a backlog of hours.
    pub(crate) fn due(
        &mut self,
        active: usize,
        progress: &Progress,
        logged: impl FnOnce() -> Option<Logged>,
    ) -> Option<usize> {
        let elapsed = self.looked.elapsed();
        if elapsed < LOOK_EVERY {
            return None;
        }
        self.looked = Instant::now();
        self.news = true;
        let logged = logged();
        let totals = Totals {
            incoming: logged.map_or_else(|| progress.incoming.load(Ordering::Relaxed), |logged| logged.arrived),
            outgoing: progress.outgoing.load(Ordering::Relaxed),
            busy: progress.busy_micros.load(Ordering::Relaxed),
        };
        let before = std::mem::replace(&mut self.seen, totals);
        let per_second = |now: u64, before: u64| now.saturating_sub(before) as f64 / elapsed.as_secs_f64();
        let latest = Rates {
            incoming: per_second(totals.incoming, before.incoming),
            outgoing: per_second(totals.outgoing, before.outgoing),
            dropped: 0.0,
            busy: per_second(totals.busy, before.busy) / 1e6,
        };
        let rates = match self.rates {
            Some(rates) => rates.towards(&latest),
            None => latest,
        };
        self.rates = Some(rates);
        // Nothing is learnt from a store that fails, and more shards would not help it.
        if latest.outgoing == 0.0 || progress.is_retrying() {
            return None;
        }
        let mut wanted = match logged {
            Some(Logged { waiting, .. }) => {
                let samples = waiting as f64;
                shards_for(active, &rates, Behind { samples, seconds: samples / rates.outgoing }, &self.range)
            }
            None => desired_shards(active, &rates, progress.delay_seconds(), &self.range),
        };
        // Full queues hold back what comes, so that its rate says nothing; that they are full does.
        if progress.waiting() > 2 * active && wanted <= active {
            wanted = (active * 2).min(self.range.max);
        }
        (wanted != active).then_some(wanted)
    }
}

impl Rates {
    /// Which part of what came is delivered.
    fn kept(&self) -> f64 {
        if self.outgoing > 0.0 { self.outgoing / (self.outgoing + self.dropped) } else { 0.0 }
    }

    fn towards(&self, latest: &Self) -> Self {
        let mix = |old: f64, new: f64| old + WEIGHT * (new - old);
        Self {
            incoming: mix(self.incoming, latest.incoming),
            outgoing: mix(self.outgoing, latest.outgoing),
            dropped: mix(self.dropped, latest.dropped),
            busy: mix(self.busy, latest.busy),
        }
    }
}

impl Progress {
    /// Notes a request that came.
    pub(super) fn came(&self, contents: &Contents) {
        self.incoming.fetch_add(contents.values(), Ordering::Relaxed);
        self.newest_in.fetch_max(contents.newest_ms, Ordering::Relaxed);
    }

    /// Notes a request that a shard has finished with after `busy`.
    pub(crate) fn settled(&self, contents: &Contents, busy: Duration) {
        self.outgoing.fetch_add(contents.values(), Ordering::Relaxed);
        self.newest_out.fetch_max(contents.newest_ms, Ordering::Relaxed);
        self.busy_micros.fetch_add(busy.as_micros() as u64, Ordering::Relaxed);
    }

    /// How far the newest sample that was sent is behind the newest that came, in seconds.
    pub(crate) fn delay_seconds(&self) -> f64 {
        let (newest, sent) = (self.newest_in.load(Ordering::Relaxed), self.newest_out.load(Ordering::Relaxed));
        if newest == i64::MIN || sent == i64::MIN { 0.0 } else { (newest.saturating_sub(sent)).max(0) as f64 / 1000.0 }
    }
}

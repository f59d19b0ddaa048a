//! Series that are not sent any more.
//!
//! In OTLP a series ends without a word, and stores go on showing its last value for some minutes. With `mark_stale_after` the
//! receiver sends a staleness marker for each series of which no point came for so long: OTLP's no-recorded-value flag, which
//! every exporter has a form for. What the receiver remembers of series anyway is all that it takes.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use pipeline::MetricBatch;
use pipeline::component::{BuildContext, Signal};
use pipeline::telemetry::Counter;

use super::intake::Intake;

/// How often series are looked at, as a part of the time after which they are marked: markers come at most so much later.
const PARTS: u32 = 10;
/// A pass over a million series takes about 10 ms, so that more often would be felt, and less often seen.
const OFTEN: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(30);

/// Marks what has ended.
#[derive(Debug)]
pub(super) struct StaleMarking {
    after: u32,
    every: Duration,
    intake: Arc<Intake>,
    markers: Counter,
    /// Until when markers were sent, on the reader's clock.
    marked: u32,
}

impl StaleMarking {
    pub(super) fn new(after: Duration, intake: &Arc<Intake>, context: &BuildContext) -> Self {
        let every = (after / PARTS).clamp(*OFTEN.start(), *OFTEN.end());
        let seconds = |duration: Duration| u32::try_from(duration.as_secs()).unwrap_or(u32::MAX);
        // Some passes may come late, or find that the pipeline takes nothing.
        intake.reader().remember_for(seconds(after.saturating_add(10 * *OFTEN.end())));
        Self {
            after: seconds(after),
            every,
            intake: Arc::clone(intake),
            markers: context.telemetry.counter(
                "oxidot_receiver_staleness_markers",
                "Staleness markers sent for series that were not received any more.",
                &[("receiver", &context.id.to_string())],
            ),
            marked: 0,
        }
    }

    /// Marks what ends until the receiver does.
    pub(super) async fn run(mut self) {
        let mut passes = tokio::time::interval(self.every);
        passes.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            passes.tick().await;
            self.pass().await;
        }
    }

    async fn pass(&mut self) {
        let Some(output) = self.intake.output() else { return };
        if output.admit(Signal::Metrics, 0).is_err() {
            return;
        }
        let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let time = i64::try_from(time.as_nanos()).unwrap_or(i64::MAX);
        let (ended, now) = self.intake.reader().ended(self.marked, self.after, time);
        let batch = MetricBatch::new(ended);
        let markers = batch.len() as u64;
        // What the pipeline does not take now is marked with the next pass.
        if markers == 0 || output.send(batch).await.is_ok() {
            self.markers.add(markers);
            self.marked = now;
        }
    }
}

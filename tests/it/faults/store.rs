//! A store that behaves as the weather is, and remembers what it has accepted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use prometheus::remote_write::protocol::{EXEMPLARS_WRITTEN, HISTOGRAMS_WRITTEN, SAMPLES_WRITTEN};
use prometheus::remote_write::wire::{
    DecodeLimits, FamilyMetadata, Rejection, TimeSeries, WriteVisitor, decode_v1, decode_v2,
};

use super::ledger::{Arrival, Culprits};
use super::random::Random;
use super::weather::{Forecast, Weather};

/// The name of offered series; which one it is says the label `i`, and which of its samples the whole part of the value.
pub(super) const OFFERED: &str = "offered";

/// What is done with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Act {
    Answer { status: u16, headers: Vec<(&'static str, String)>, body: String },
    Close,
    Hang,
}

/// A store.
#[derive(Debug)]
pub(super) struct Store {
    forecast: Forecast,
    random: Random,
    culprits: Culprits,
    /// Answers 415 to remote write 2.0.
    only_version_1: bool,
    /// Of refused requests of version 2.0, takes what is right in some.
    takes_parts: bool,
    /// The number of the sender's present life; requests of earlier ones that are still on their way are not looked at.
    life: Arc<AtomicU64>,
    pub(super) arrivals: Vec<Arrival>,
    /// Samples in requests that were answered as accepted.
    pub(super) said: u64,
    /// Culprits in refusals after which nothing more is to come of them.
    pub(super) refused: u64,
    /// Scrapes that have failed, as the series `up` says.
    pub(super) failed_scrapes: u64,
    /// Requests by status; 0 for those that got no answer.
    pub(super) answers: std::collections::BTreeMap<u16, u64>,
}

/// What is in a request.
#[derive(Debug, Default)]
struct Content {
    /// Series and number of the sample; `None` for what is not of ours.
    samples: Vec<Option<(u32, u64)>>,
    failed_scrapes: u64,
}

impl<'a> WriteVisitor<'a> for Content {
    fn series(&mut self, series: &TimeSeries<'a>) {
        let labels: Vec<(&str, &str)> = series.labels_utf8().map(|label| label.expect("labels are text")).collect();
        assert!(labels.is_sorted_by(|a, b| a.0 < b.0), "labels are sorted and unique: {labels:?}");
        let label = |name| labels.iter().find(|(n, _)| *n == name).map(|(_, value)| *value);
        let own = if label("__name__") == Some(OFFERED) { label("i").and_then(|i| i.parse().ok()) } else { None };
        if label("__name__") == Some("up") {
            self.failed_scrapes += series.samples.iter().filter(|sample| sample.value == 0.0).count() as u64;
        }
        // Markers of staleness are not of ours either.
        let own = |value: f64| own.filter(|_| !value.is_nan()).map(|series| (series, value as u64));
        self.samples.extend(series.samples.iter().map(|sample| own(sample.value)));
    }

    fn metadata(&mut self, _: FamilyMetadata<'a>) {}

    fn rejected(&mut self, rejection: Rejection) {
        panic!("a store would reject {rejection:?}");
    }
}

impl Store {
    pub(super) fn new(seed: u64, sequence: u64, period_ms: u64, culprits: Culprits, life: Arc<AtomicU64>) -> Self {
        let mut random = Random::new(seed, sequence);
        let forecast = Forecast::new(Random::new(seed, sequence + 1), period_ms);
        let (only_version_1, takes_parts) = (random.one_in(5), random.one_in(3));
        Self {
            forecast,
            random,
            culprits,
            only_version_1,
            takes_parts,
            life,
            arrivals: Vec::new(),
            said: 0,
            refused: 0,
            failed_scrapes: 0,
            answers: Default::default(),
        }
    }

    pub(super) fn force(&mut self, weather: Option<Weather>) {
        self.forecast.force(weather);
    }

    /// Whether connections are reset now, without their requests being read.
    pub(super) fn resets(&mut self, elapsed: Duration) -> bool {
        self.forecast.at(elapsed) == Weather::Resets
    }

    /// Samples that were accepted and not acknowledged.
    pub(super) fn unsaid(&self) -> u64 {
        self.arrivals.iter().filter(|arrival| !arrival.said).count() as u64
    }

    /// Takes a request and says what to do with it. `path` ends with the number of the sender's life.
    pub(super) fn judge(&mut self, path: &str, content_type: &str, body: &[u8], elapsed: Duration) -> Act {
        let act = self.decide(path, content_type, body, elapsed);
        let status = if let Act::Answer { status, .. } = &act { *status } else { 0 };
        *self.answers.entry(status).or_default() += 1;
        act
    }

    fn decide(&mut self, path: &str, content_type: &str, body: &[u8], elapsed: Duration) -> Act {
        let life = path.rsplit('=').next().and_then(|life| life.parse().ok()).unwrap_or(0);
        if life != self.life.load(Ordering::SeqCst) {
            return Act::Close;
        }
        let version_2 = content_type.contains("io.prometheus.write.v2.Request");
        if version_2 && self.only_version_1 {
            return answer(415, "only prometheus.WriteRequest is understood here");
        }
        // Another implementation than the sender's.
        let raw = snap::raw::Decoder::new().decompress_vec(body).expect("the body is a snappy block");
        let mut content = Content::default();
        let decode = if version_2 { decode_v2 } else { decode_v1 };
        decode(&raw, &DecodeLimits::default(), &mut content).expect("the body is a write request");
        match self.forecast.at(elapsed) {
            Weather::Fair | Weather::Changeable => self.take(content, life, version_2, None),
            Weather::Throttled => answer(429, "slow down"),
            Weather::ThrottledSeconds => later(429, self.random.between(0..=4).to_string()),
            Weather::ThrottledDate => {
                let when = SystemTime::now() + Duration::from_secs(self.random.between(0..=4));
                later(429, httpdate::fmt_http_date(when))
            }
            Weather::Broken => answer(500, "something is broken"),
            Weather::Unavailable if self.random.one_in(2) => later(503, self.random.between(0..=3).to_string()),
            Weather::Unavailable => answer(503, "down"),
            Weather::Small(most) if body.len() > most => answer(413, "request too large"),
            Weather::Small(_) => self.take(content, life, version_2, None),
            Weather::Hangs => Act::Hang,
            Weather::Resets => Act::Close,
            Weather::AcceptsAndResets => self.take(content, life, version_2, Some(Act::Close)),
            Weather::AcceptsAndHangs => self.take(content, life, version_2, Some(Act::Hang)),
            Weather::AcceptsAndFails => self.take(content, life, version_2, Some(answer(503, "it was taken all the same"))),
        }
    }

    /// Takes what is right in a request; `instead` is what the sender gets in place of the answer.
    fn take(&mut self, content: Content, life: u64, version_2: bool, instead: Option<Act>) -> Act {
        let is_culprit = |sample: &Option<(u32, u64)>| sample.is_some_and(|(series, n)| self.culprits.has(series, n));
        let culprits = content.samples.iter().filter(|sample| is_culprit(sample)).count() as u64;
        let written = content.samples.len() as u64 - culprits;
        let in_part = version_2 && self.takes_parts && written > 0 && instead.is_none();
        let example = content.samples.iter().find(|sample| is_culprit(sample)).copied().flatten();
        if let Some((series, n)) = example
            && !in_part
        {
            // The last word on it if it is alone.
            self.refused += if written == 0 && culprits == 1 { 1 } else { 0 };
            return answer(400, &format!("out of order sample for series {OFFERED}{{i=\"{series}\"}}: {n}"));
        }
        let said = instead.is_none();
        for (series, n) in content.samples.iter().flatten().copied() {
            if !self.culprits.has(series, n) {
                self.arrivals.push(Arrival { series, n, life, said });
            }
        }
        self.failed_scrapes += content.failed_scrapes;
        self.said += if said { written } else { 0 };
        if let Some(instead) = instead {
            return instead;
        }
        let mut headers = Vec::new();
        if version_2 {
            headers.push((SAMPLES_WRITTEN, written.to_string()));
            headers.push((HISTOGRAMS_WRITTEN, "0".to_owned()));
            headers.push((EXEMPLARS_WRITTEN, "0".to_owned()));
        }
        match example {
            Some((series, n)) => {
                self.refused += culprits;
                let body = format!("out of order sample for series {OFFERED}{{i=\"{series}\"}}: {n}; the rest was written");
                Act::Answer { status: 400, headers, body }
            }
            None => Act::Answer { status: self.random.pick(&[200, 204]), headers, body: String::new() },
        }
    }
}

fn answer(status: u16, body: &str) -> Act {
    Act::Answer { status, headers: Vec::new(), body: body.to_owned() }
}

fn later(status: u16, when: String) -> Act {
    Act::Answer { status, headers: vec![("Retry-After", when)], body: "later".to_owned() }
}

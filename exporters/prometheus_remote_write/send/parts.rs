//! A request that the store does not take as it is, delivered in parts.
//!
//! Parts are cut in two until they are accepted, from the first to the last, so that what belongs to one series stays in
//! order. A request that is too large is cut so down to one series if need be. One with something wrong in it is cut until the
//! culprits stand alone, within a budget ([`super::budget`]): a store that refuses everything must not be asked ten thousand times. Once a sample
//! was refused, later ones of its series most likely will be too, so they are set aside and sent last, and in later requests all of
//! that series ([`super::culprits`]): what the store minds of one series does not use up the budget of the others.

use super::super::encode::{Contents, Request};
use super::budget::Budget;
use super::culprits::Known;
use super::{Course, Refusal, Sender, Shipped};
use bytes::Bytes;
use pipeline::AckOutcome;
use prometheus::remote_write::protocol::ProtocolVersion;
use prometheus::remote_write::snappy::{MAX_RAW_LEN, decode_block};
use prometheus::remote_write::wire::TimeSeries;
use prometheus::remote_write::{Batch, Names, SnappyBlockWriter, SnappyError};
use std::ops::Range;

/// How many culprits of one refusal are named in the log.
const NAMED: usize = 5;

/// How much of a culprit's labels is logged, in bytes.
const SHOWN: usize = 400;

/// The parts of a request.
struct Parts<'a> {
    batch: Batch<'a>,
    version: ProtocolVersion,
    names: Names,
    /// What is still to be sent, the first at the end.
    todo: Vec<Range<usize>>,
    budget: Budget,
    /// From this place on stand series of which a sample was refused.
    aside: usize,
    outcome: AckOutcome,
}

impl Parts<'_> {
    fn contents(&self, range: &Range<usize>) -> Contents {
        self.batch.counts(range.clone()).into()
    }

    /// The part as a body.
    fn body(&self, range: &Range<usize>) -> Result<Bytes, SnappyError> {
        let mut writer = SnappyBlockWriter::new();
        writer.write(|out| self.batch.encode(self.version, self.names, range.clone(), out));
        let mut body = Vec::new();
        writer.finish(&mut body)?;
        Ok(body.into())
    }

    /// Cuts a part that was refused in two, if that promises anything.
    fn cut(&mut self, range: &Range<usize>, refusal: &Refusal) -> bool {
        let may_cut = match refusal.status.as_u16() {
            413 => self.budget.may_halve(range.len()),
            _ => refusal.is_of_a_part() && self.budget.may_search(range.len()),
        };
        if !may_cut {
            return false;
        }
        let middle = range.start + range.len() / 2;
        self.todo.push(middle..range.end);
        self.todo.push(range.start..middle);
        true
    }

    /// Puts the series that are `known` to be refused behind all others; false if there are none, or no others.
    fn put_last(&mut self, known: &Known) -> bool {
        let (end, len) = (self.batch.series.len(), self.batch.len());
        let count = self.batch.series.iter().filter(|series| known.has(&series.labels)).count();
        if count == 0 || count == end {
            return false;
        }
        self.batch.series.sort_by_cached_key(|series| known.has(&series.labels));
        self.aside = end - count;
        // Metadata stands behind all series.
        self.todo = vec![self.aside..end, end..len, 0..self.aside];
        self.todo.retain(|range| !range.is_empty());
        true
    }

    /// Those that were set aside and are in this part.
    fn set_aside_in(&self, range: &Range<usize>) -> &[TimeSeries<'_>] {
        let end = range.end.min(self.batch.series.len());
        self.batch.series.get(range.start.max(self.aside).min(end)..end).unwrap_or(&[])
    }

    /// Moves what is still to be sent of the series at `culprit`, which was refused, behind everything else.
    fn set_aside(&mut self, culprit: usize) {
        let (from, end) = (culprit + 1, self.batch.series.len());
        let Some(labels) = self.batch.series.get(culprit).map(|series| series.labels.clone()) else { return };
        let Some(rest) = self.batch.series.get_mut(from..).filter(|_| culprit < self.aside) else { return };
        // For each place, how many of it stand before.
        let mut before = vec![0];
        before.extend(rest.iter().scan(0, |count, series| {
            *count += usize::from(series.labels == labels);
            Some(*count)
        }));
        let count = before.last().copied().unwrap_or_default();
        if count == 0 {
            return;
        }
        rest.sort_by_cached_key(|series| series.labels == labels);
        self.aside = self.aside.min(end) - count;
        let moved = |place: usize| {
            let before = place.min(end).checked_sub(from).and_then(|at| before.get(at));
            place.min(end) - before.copied().unwrap_or_default()
        };
        let mut todo = Vec::with_capacity(2 * self.todo.len() + 1);
        todo.push(end - count..end);
        for range in self.todo.drain(..) {
            // Metadata stands behind all series, and stays there.
            todo.push(range.start.max(end)..range.end.max(end));
            todo.push(moved(range.start)..moved(range.end));
        }
        todo.retain(|range| !range.is_empty());
        self.todo = todo;
    }

    /// Notes that not all was delivered.
    fn worsen(&mut self, outcome: AckOutcome) {
        if self.outcome != AckOutcome::Dropped {
            self.outcome = outcome;
        }
    }
}

impl Sender {
    /// Delivers a request in parts; `first` is what became of it as a whole.
    #[cold]
    pub(super) async fn ship_parts(&self, course: &mut Course<'_>, request: &Request, first: Shipped) -> AckOutcome {
        if let Shipped::Refused(refusal) = &first
            && !refusal.is_of_a_part()
        {
            self.refused(refusal, &request.contents, &[]);
            return AckOutcome::Rejected;
        }
        let mut plain = Vec::new();
        let decoded = decode_block(&request.body, MAX_RAW_LEN, &mut plain).map_err(|error| error.to_string());
        let decoded = decoded.and_then(|()| Batch::decode(request.version, &plain).map_err(|error| error.to_string()));
        let batch = match decoded {
            Ok(batch) => batch,
            Err(error) => {
                tracing::error!(endpoint = %self.shown_endpoint, %error, "A request of our own cannot be read; it is dropped.");
                self.metrics.dropped("internal_error", request.contents.points);
                self.metrics.failed(request.contents.points);
                return AckOutcome::Rejected;
            }
        };
        self.metrics.taken_apart();
        let all = 0..batch.len();
        let mut parts = Parts {
            budget: self.patience.budget(all.len()),
            batch,
            version: request.version,
            names: Names::AsTheyAre,
            todo: vec![all],
            aside: usize::MAX,
            outcome: AckOutcome::Delivered,
        };
        let of_content = matches!(&first, Shipped::Refused(refusal) if refusal.status.as_u16() != 413);
        let mut known = Some((first, request.body.len()));
        if of_content && self.culprits.known().is_some_and(|culprits| parts.put_last(&culprits)) {
            // It is not what was refused any more.
            known = None;
        }
        while let Some(range) = parts.todo.pop() {
            let (shipped, bytes) = match known.take() {
                Some(known) => known,
                None => match self.ship_part(course, &mut parts, &range).await {
                    Some(shipped) => shipped,
                    None => continue,
                },
            };
            if !self.react(course, &mut parts, range, shipped, bytes) {
                break;
            }
        }
        if parts.outcome == AckOutcome::Rejected && !parts.budget.has_accepted() {
            self.patience.refused_all();
        }
        parts.outcome
    }

    /// Sends one part; `None` if nothing is in it that can be sent.
    async fn ship_part(
        &self,
        course: &mut Course<'_>,
        parts: &mut Parts<'_>,
        range: &Range<usize>,
    ) -> Option<(Shipped, usize)> {
        let contents = parts.contents(range);
        let families = range.end > parts.batch.series.len();
        if contents.values() + contents.exemplars == 0 && !families {
            return None;
        }
        match parts.body(range) {
            Ok(body) => Some((self.ship(course, &body, parts.version, &contents).await, body.len())),
            Err(error) => {
                tracing::error!(endpoint = %self.shown_endpoint, %error, "A part of a request could not be compressed; it is dropped.");
                self.metrics.dropped("encoding_failed", contents.points);
                self.metrics.failed(contents.points);
                parts.worsen(AckOutcome::Rejected);
                None
            }
        }
    }

    /// What follows from the end of a part; false if the rest is not to be sent.
    fn react(
        &self,
        course: &Course<'_>,
        parts: &mut Parts<'_>,
        range: Range<usize>,
        shipped: Shipped,
        bytes: usize,
    ) -> bool {
        match shipped {
            Shipped::Accepted => {
                parts.budget.accepted();
                parts.set_aside_in(&range).iter().for_each(|series| self.culprits.forget(&series.labels));
            }
            Shipped::Unsupported(why) => {
                if self.spoken.fall_back() {
                    tracing::warn!(
                        endpoint = %self.shown_endpoint,
                        answer = %why,
                        "The store does not know remote write 2.0; it gets 1.0 for the next hour. Set protobuf_message: prometheus.WriteRequest to ask no more."
                    );
                    self.metrics.fell_back();
                }
                parts.version = ProtocolVersion::V1;
                parts.names = if self.escape_names { Names::Legacy } else { Names::AsTheyAre };
                parts.todo.push(range);
            }
            Shipped::TooOld => {
                let dropped = self.oldest_ms().map_or(0, |oldest| parts.batch.drop_before(oldest));
                self.metrics.dropped(self.store.age_reason(), dropped);
                self.metrics.failed(dropped);
                tracing::warn!(
                    endpoint = %self.shown_endpoint,
                    samples = dropped,
                    reason = self.store.age_reason(),
                    "Samples have waited so long that they are older than is accepted; they are dropped, the rest of their request is sent."
                );
                parts.worsen(AckOutcome::Dropped);
                parts.todo.push(range);
            }
            Shipped::GivenUp(why) => {
                let mut left = parts.contents(&range);
                for range in parts.todo.drain(..) {
                    let more: Contents = parts.batch.counts(range).into();
                    left.points += more.points;
                    left.samples += more.samples;
                }
                parts.outcome = self.give_up(course, &left, &why);
                return false;
            }
            Shipped::Refused(refusal) => {
                if refusal.status.as_u16() == 413 {
                    self.size.refused(bytes);
                }
                if !parts.cut(&range, &refusal) {
                    let contents = parts.contents(&range);
                    self.refused(&refusal, &contents, parts.batch.series.get(range.clone()).unwrap_or(&[]));
                    parts.worsen(AckOutcome::Rejected);
                    if range.len() == 1 && refusal.status.as_u16() != 413 {
                        if let Some(series) = parts.batch.series.get(range.start) {
                            self.culprits.note(&series.labels);
                        }
                        parts.set_aside(range.start);
                    }
                }
            }
        }
        true
    }

    /// Counts and tells of what is refused for good.
    fn refused(&self, refusal: &Refusal, contents: &Contents, culprits: &[TimeSeries<'_>]) {
        let written = refusal.written.samples + refusal.written.histograms;
        let lost = contents.points.saturating_sub(written);
        let reason = self.store.reason_of(&refusal.words).unwrap_or_else(|| refusal.reason());
        self.metrics.dropped(reason, lost);
        self.metrics.failed(lost);
        if written > 0 {
            self.metrics.partly_sent(contents.points - lost, &refusal.written);
        }
        let mut shown: Vec<String> = culprits.iter().take(NAMED).map(show).collect();
        if culprits.len() > NAMED {
            shown.push(format!("and {} more", culprits.len() - NAMED));
        }
        tracing::error!(
            endpoint = %self.shown_endpoint,
            status = refusal.status.as_u16(),
            reason,
            samples = lost,
            error = %refusal.words,
            series = shown.join(", "),
            "Exporting failed. The store rejects samples for good; they are dropped."
        );
    }
}

/// A series as people write it, shortened.
fn show(series: &TimeSeries<'_>) -> String {
    let labels: Vec<_> = series
        .labels
        .iter()
        .map(|(name, value)| (String::from_utf8_lossy(name), String::from_utf8_lossy(value)))
        .collect();
    let mut text = prometheus::labels::display(labels.iter().map(|(name, value)| (name.as_ref(), value.as_ref())));
    if text.len() > SHOWN {
        let end = (0..=SHOWN).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    let time = series.samples.first().map(|sample| sample.timestamp_ms);
    match time.or(series.histograms.first().map(|histogram| histogram.timestamp_ms)) {
        Some(time) => format!("{text}@{time}"),
        None => text,
    }
}

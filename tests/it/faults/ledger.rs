//! What was offered, what arrived, and whether the one follows from the other.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use pipeline::AckOutcome;

use super::random::mix;

/// Samples that a store refuses for what they are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Culprits {
    pub(super) seed: u64,
    /// One in so many is one; 0 for none.
    pub(super) one_in: u64,
    /// A series of which every sample is one.
    pub(super) series: Option<u32>,
}

impl Culprits {
    pub(super) fn has(&self, series: u32, n: u64) -> bool {
        let drawn = mix(self.seed ^ mix(u64::from(series) << 32 | n));
        self.series == Some(series) || (self.one_in > 0 && drawn.is_multiple_of(self.one_in))
    }
}

/// A sample that a store has accepted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival {
    pub(super) series: u32,
    pub(super) n: u64,
    /// The number of the sender's life, from 1.
    pub(super) life: u64,
    /// Whether the sender was told.
    pub(super) said: bool,
}

/// What the one who offered a sample knows of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// What became of its batch.
    Known(AckOutcome),
    /// The program was killed, or did not answer, before that was known.
    Unknown,
    /// It is lost to damage that was done to the log, and was weighed already.
    Damaged,
}

/// All that was offered.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// By series and number, ascending.
    offered: BTreeMap<u32, BTreeMap<u64, Fate>>,
}

/// What the checker may not hold against the exporter.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Excuses {
    /// A part was in memory only, and is not replayed.
    pub(super) gaps_in_replay: bool,
}

/// What was seen, summed up.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally(pub(super) BTreeMap<&'static str, u64>);

impl Tally {
    pub(super) fn count(&mut self, what: &'static str, n: u64) {
        *self.0.entry(what).or_default() += n;
    }

    pub(super) fn get(&self, what: &str) -> u64 {
        self.0.get(what).copied().unwrap_or(0)
    }

    pub(super) fn add(&mut self, other: &Self) {
        for (what, n) in &other.0 {
            self.count(what, *n);
        }
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let all: Vec<String> = self.0.iter().map(|(what, n)| format!("{n} {what}")).collect();
        out.write_str(&all.join(", "))
    }
}

impl Ledger {
    pub(super) fn offer(&mut self, series: u32, n: u64, fate: Fate) {
        self.offered.entry(series).or_default().insert(n, fate);
    }

    /// Numbers of a series' samples up to `last`.
    pub(super) fn numbers(&self, series: u32, last: u64) -> impl DoubleEndedIterator<Item = u64> {
        self.offered.get(&series).into_iter().flat_map(move |samples| samples.range(..=last).map(|(n, _)| *n))
    }

    pub(super) fn len(&self) -> u64 {
        self.offered.values().map(|samples| samples.len() as u64).sum()
    }

    /// Culprits of which the exporter is known to have had the chance to learn.
    pub(super) fn culprits(&self, culprits: &Culprits) -> u64 {
        let known = |fate: &Fate| matches!(fate, Fate::Known(outcome) if *outcome != AckOutcome::Dropped);
        let of = |(series, samples): (&u32, &BTreeMap<u64, Fate>)| {
            samples.iter().filter(|(n, fate)| culprits.has(*series, **n) && known(fate)).count() as u64
        };
        self.offered.iter().map(of).sum()
    }

    /// Culprits, whatever is known of them.
    pub(super) fn all_culprits(&self, culprits: &Culprits) -> u64 {
        let of = |(series, samples): (&u32, &BTreeMap<u64, Fate>)| {
            samples.keys().filter(|n| culprits.has(*series, **n)).count() as u64
        };
        self.offered.iter().map(of).sum()
    }

    /// Samples from `first` to `last` that have not arrived and are no culprits.
    pub(super) fn missing_of(&self, arrivals: &[Arrival], culprits: &Culprits, first: u64, last: u64) -> Vec<(u32, u64)> {
        let arrived: HashSet<(u32, u64)> = arrivals.iter().map(|arrival| (arrival.series, arrival.n)).collect();
        let mut missing = Vec::new();
        for (series, samples) in &self.offered {
            let of = samples.range(first..=last).map(|(n, _)| (*series, *n));
            missing.extend(of.filter(|one| !culprits.has(one.0, one.1) && !arrived.contains(one)));
        }
        missing
    }

    /// Checks what has arrived at one store: nothing that was acknowledged is missing, every series is in order, and what
    /// came twice had a reason to. Returns what was seen.
    pub(super) fn check(&self, arrivals: &[Arrival], culprits: &Culprits, excuses: &Excuses) -> Result<Tally, String> {
        let mut by_series: BTreeMap<u32, Vec<&Arrival>> = BTreeMap::new();
        for arrival in arrivals {
            by_series.entry(arrival.series).or_default().push(arrival);
        }
        let mut tally = Tally::default();
        for (series, arrivals) in &by_series {
            let Some(offered) = self.offered.get(series) else { return Err(format!("series {series} was not offered")) };
            if let Some(stranger) = arrivals.iter().find(|arrival| !offered.contains_key(&arrival.n)) {
                return Err(format!("{} of series {series} was not offered", stranger.n));
            }
            tally.add(&in_order(arrivals, excuses).map_err(|why| format!("series {series}: {why}"))?);
        }
        for (series, offered) in &self.offered {
            let none = Vec::new();
            let arrived: BTreeSet<u64> = by_series.get(series).unwrap_or(&none).iter().map(|arrival| arrival.n).collect();
            for (n, fate) in offered {
                if arrived.contains(n) {
                    tally.count("delivered", 1);
                    continue;
                }
                if culprits.has(*series, *n) {
                    tally.count("culprits", 1);
                    continue;
                }
                match fate {
                    Fate::Damaged => tally.count("damaged", 1),
                    Fate::Unknown => tally.count("lost unacknowledged", 1),
                    Fate::Known(AckOutcome::Dropped) => tally.count("dropped", 1),
                    Fate::Known(outcome) => {
                        return Err(format!("{n} of series {series} is lost, although its batch was {outcome:?}"));
                    }
                }
            }
        }
        Ok(tally)
    }
}

/// Checks the arrivals of one series.
fn in_order(arrivals: &[&Arrival], excuses: &Excuses) -> Result<Tally, String> {
    let delivered: BTreeSet<u64> = arrivals.iter().map(|arrival| arrival.n).collect();
    // The life in which each came first, and whether its sender could not know in the present one.
    let mut first: BTreeMap<u64, u64> = BTreeMap::new();
    let mut unsaid: HashSet<(u64, u64)> = HashSet::new();
    let mut newest = 0;
    let mut in_life: (u64, u64) = (0, 0);
    let mut tally = Tally::default();
    for Arrival { n, life, said, .. } in arrivals {
        let again = first.get(n).copied();
        if in_life.0 != *life {
            in_life = (*life, 0);
        }
        match again {
            None if *n < newest => return Err(format!("{n} came for the first time after {newest}, in life {life}")),
            None => newest = *n,
            Some(before) if before < *life || unsaid.contains(&(*life, *n)) => tally.count("delivered again", 1),
            Some(_) => return Err(format!("{n} came twice in life {life}, although its sender knew that it was accepted")),
        }
        if *n <= in_life.1 && !unsaid.contains(&(*life, *n)) {
            return Err(format!("{n} came after {} within life {life}", in_life.1));
        }
        // A replay goes back, and then leaves nothing out.
        if in_life.1 > 0 && *n > in_life.1 && !excuses.gaps_in_replay {
            let between = delivered.range(in_life.1 + 1..*n).next();
            if let Some(left_out) = between {
                return Err(format!("{left_out} was left out between {} and {n} in life {life}", in_life.1));
            }
        }
        in_life.1 = in_life.1.max(*n);
        first.entry(*n).or_insert(*life);
        if *said {
            unsaid.remove(&(*life, *n));
        } else {
            unsaid.insert((*life, *n));
        }
    }
    Ok(tally)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Arrivals of one series, as number and life; a negative number for one that was not said.
    fn check(offered: u64, arrivals: &[(i64, u64)]) -> Result<Tally, String> {
        let mut ledger = Ledger::default();
        (1..=offered).for_each(|n| ledger.offer(7, n, Fate::Known(AckOutcome::Persisted)));
        let arrival = |(n, life): &(i64, u64)| Arrival { series: 7, n: n.unsigned_abs(), life: *life, said: *n > 0 };
        let arrivals: Vec<Arrival> = arrivals.iter().map(arrival).collect();
        ledger.check(&arrivals, &Culprits { seed: 0, one_in: 0, series: None }, &Excuses::default())
    }

    #[test]
    fn the_checker_sees_what_is_wrong() {
        assert!(check(3, &[(1, 1), (2, 1), (3, 1)]).is_ok());
        assert!(check(3, &[(1, 1), (3, 1)]).unwrap_err().contains("2 of series 7 is lost"));
        assert!(check(3, &[(1, 1), (3, 1), (2, 1)]).unwrap_err().contains("left out"));
        assert!(check(2, &[(2, 1), (1, 1)]).unwrap_err().contains("for the first time after"));
        assert!(check(2, &[(1, 1), (1, 1), (2, 1)]).unwrap_err().contains("came twice"));
        assert!(check(2, &[(-1, 1), (1, 1), (2, 1)]).is_ok());
        assert!(check(2, &[(1, 1), (2, 1), (2, 2)]).is_ok());
        assert!(check(3, &[(1, 1), (2, 1), (3, 1), (1, 2), (3, 2)]).unwrap_err().contains("left out"));
        assert!(check(3, &[(1, 1), (2, 1), (3, 1), (2, 2), (1, 2)]).unwrap_err().contains("within life 2"));
        assert!(check(1, &[(1, 1), (2, 1)]).unwrap_err().contains("not offered"));
    }
}

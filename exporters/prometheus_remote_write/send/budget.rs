//! How many times a store may be asked to find out what it minds of a request.
//!
//! Each refusal that is followed by a cut takes one from a budget. The first half of it may be spent on cuts down to single
//! samples. In the second half, the less is left the larger a part must be to be cut: so what stands in the rest of the request is
//! told from what is wrong in it to the last, if only in larger pieces, whatever was found before. What is not cut is given up as
//! a whole, and counted.
//!
//! A store that refuses everything is asked little: as long as it has accepted nothing since a request of which it took
//! nothing, the budget is small. The first part that it does accept makes it the full one.

use std::sync::atomic::{AtomicBool, Ordering};

/// The cuts of one request. Half of them find seven culprits among ten thousand samples, each of which takes fourteen. With the two
/// parts that each cut makes, a request is never sent in more than 401 pieces.
const FULL: u32 = 200;

/// The cuts of a request to a store that does not accept anything: one culprit and the next.
const LEAST: u32 = 28;

/// How many refusals for size in a row, with no other answer in between, mean that no part is small enough: more than it takes
/// to get from a full request to one sample and the next.
const TOO_LARGE_IN_A_ROW: u32 = 32;

/// Whether a store accepts anything at all.
#[derive(Debug, Default)]
pub(crate) struct Patience(AtomicBool);

impl Patience {
    /// The store has accepted something.
    pub(super) fn accepted(&self) {
        if !self.0.load(Ordering::Relaxed) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    /// The store has accepted no part of a request.
    pub(super) fn refused_all(&self) {
        self.0.store(false, Ordering::Relaxed);
    }

    /// What may be spent on a request of so many parts.
    pub(super) fn budget(&self, parts: usize) -> Budget {
        let whole = if self.0.load(Ordering::Relaxed) { FULL } else { LEAST };
        Budget { whole, left: whole, parts, too_large: 0, accepted: false }
    }
}

/// What may be spent on one request.
#[derive(Debug)]
pub(super) struct Budget {
    whole: u32,
    left: u32,
    /// How many series and families the request has.
    parts: usize,
    too_large: u32,
    accepted: bool,
}

impl Budget {
    /// A part was accepted.
    pub(super) fn accepted(&mut self) {
        self.too_large = 0;
        if !self.accepted {
            self.accepted = true;
            self.left += FULL - self.whole;
            self.whole = FULL;
        }
    }

    /// Whether a part was.
    pub(super) fn has_accepted(&self) -> bool {
        self.accepted
    }

    /// Whether a part of `len` that was refused for what is in it is cut.
    pub(super) fn may_search(&mut self, len: usize) -> bool {
        self.too_large = 0;
        if len < 2 || len < self.least() || self.left == 0 {
            return false;
        }
        self.left -= 1;
        true
    }

    /// Whether a part of `len` that was refused as too large is cut.
    pub(super) fn may_halve(&mut self, len: usize) -> bool {
        self.too_large += 1;
        len >= 2 && self.too_large <= TOO_LARGE_IN_A_ROW
    }

    /// The smallest part that is worth a cut.
    fn least(&self) -> usize {
        let half = self.whole / 2;
        if self.left > half {
            return 2;
        }
        let halvings = usize::BITS - self.parts.leading_zeros();
        self.parts >> (self.left * halvings / half.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Searches a request in which `is_bad` says what is refused, as parts are searched. Returns how many pieces were sent and how
    /// many good samples were given up.
    fn search(patience: &Patience, len: usize, is_bad: impl Fn(usize) -> bool) -> (usize, usize) {
        let mut budget = patience.budget(len);
        let (mut sent, mut given_up, mut todo) = (0, 0, std::iter::once(0..len).collect::<Vec<_>>());
        while let Some(range) = todo.pop() {
            sent += 1;
            if !range.clone().any(&is_bad) {
                budget.accepted();
                patience.accepted();
            } else if budget.may_search(range.len()) {
                let middle = range.start + range.len() / 2;
                todo.extend([middle..range.end, range.start..middle]);
            } else {
                given_up += range.filter(|at| !is_bad(*at)).count();
            }
        }
        if !budget.has_accepted() {
            patience.refused_all();
        }
        (sent, given_up)
    }

    #[test]
    fn single_culprits_cost_nobody_else_anything() {
        for culprits in [1, 2, 5, 7] {
            let patience = Patience::default();
            for round in 0..20 {
                let bad: Vec<usize> = (0..culprits).map(|n: usize| (n * 7919 + round * 104_729) % 10_000).collect();
                let (sent, given_up) = search(&patience, 10_000, |at| bad.contains(&at));
                assert_eq!(given_up, 0, "{bad:?}");
                assert!(sent < 30 * culprits, "{sent}");
            }
        }
    }

    #[test]
    fn what_stands_behind_many_culprits_is_delivered() {
        let patience = Patience::default();
        patience.accepted();
        // All series of one target are refused, wherever they stand.
        for start in [0, 1000, 4990, 9000] {
            let (sent, given_up) = search(&patience, 10_000, |at| (start..start + 1000).contains(&at));
            assert!(given_up < 300 && sent <= 401, "{start}: {given_up} {sent}");
        }
        // The first quarter is full of single ones.
        let (sent, given_up) = search(&patience, 10_000, |at| at < 2500 && at % 50 == 0);
        assert!(given_up < 2600 && sent <= 401, "{given_up} {sent}");
    }

    #[test]
    fn a_store_that_refuses_everything_is_asked_less_and_less() {
        let patience = Patience::default();
        patience.accepted();
        let costs: Vec<usize> = (0..3).map(|_| search(&patience, 10_000, |_| true).0).collect();
        assert!(costs[0] <= 401 && costs[1..].iter().all(|cost| *cost <= 57), "{costs:?}");
        // It comes to its senses, but for the first sample.
        assert_eq!(search(&patience, 10_000, |at| at == 0).1, 0);
        assert_eq!(search(&patience, 10_000, |at| at % 1700 == 3).1, 0);
    }

    #[test]
    fn halving_ends_where_no_size_is_small_enough() {
        let mut budget = Patience::default().budget(1 << 20);
        assert_eq!((0..100).filter(|_| budget.may_halve(1000)).count(), TOO_LARGE_IN_A_ROW as usize);
        budget.accepted();
        assert!(budget.may_halve(2) && !budget.may_halve(1));
    }
}

//! The ideal times of a target's scrapes.

use std::time::Duration;

/// A scrape that begins this close to its ideal time is dated to that: even distances compress better in stores. Prometheus' value.
const TOLERANCE: Duration = Duration::from_millis(2);

/// So many scrapes in a row off the grid mean that the wall clock was set, and begin a new one.
const LOST: u32 = 8;

/// Times an interval apart, in nanoseconds since the Unix epoch.
#[derive(Debug, Default)]
pub(super) struct Grid {
    last: Option<i64>,
    off: u32,
}

impl Grid {
    /// The time of a scrape that begins `now`: that of the grid if it is close to it. A late scrape has its own time, and
    /// leaves the grid where it is.
    pub(super) fn date(&mut self, now: i64, interval: Duration) -> i64 {
        let tolerance = TOLERANCE.min(interval / 100).as_nanos() as u64;
        let step = i64::try_from(interval.as_nanos()).unwrap_or(i64::MAX).max(1);
        let Some(last) = self.last.filter(|_| self.off < LOST) else {
            *self = Self { last: Some(now), off: 0 };
            return now;
        };
        // The nearest time of the grid: scrapes may have been missed.
        let steps = now.saturating_sub(last).saturating_add(step / 2).div_euclid(step);
        let ideal = last.saturating_add(steps.saturating_mul(step));
        self.last = Some(ideal);
        if now.abs_diff(ideal) <= tolerance {
            self.off = 0;
            return ideal;
        }
        self.off += 1;
        now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: i64 = 1_000_000;
    const INTERVAL: Duration = Duration::from_secs(1);

    #[test]
    fn a_late_scrape_leaves_the_grid_where_it_is() {
        let mut grid = Grid::default();
        let times = [
            (100, 100),
            (1101, 1100),
            (2099, 2100),
            (3150, 3150),
            (4100, 4100),
            (7101, 7100),
            (8103, 8103),
            (9102, 9100),
        ];
        for (now, dated) in times {
            assert_eq!(grid.date(now * MS, INTERVAL), dated * MS, "{now}");
        }
    }

    #[test]
    fn a_clock_that_was_set_begins_a_new_grid() {
        let mut grid = Grid::default();
        assert_eq!(grid.date(0, INTERVAL), 0);
        for scrape in 0..8 {
            let now = (1400 + scrape * 1000) * MS;
            assert_eq!(grid.date(now, INTERVAL), now);
        }
        assert_eq!(grid.date(9401 * MS, INTERVAL), 9401 * MS);
        assert_eq!(grid.date(10_402 * MS, INTERVAL), 10_401 * MS);
    }
}

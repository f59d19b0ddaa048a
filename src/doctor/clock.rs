//! How far this machine's clock is from the other side's, by the `Date` of its answer (RFC 9110, section 6.6.1).

use super::report::Mark;
use http::HeaderMap;
use http::header::DATE;
use std::time::SystemTime;

/// Signatures are good for five minutes before and after their time.
const TOLERATED: i64 = 300;
/// Clocks that are kept by NTP differ by less than this.
const KEPT: i64 = 60;
/// `Date` has whole seconds, and an answer takes a moment.
const EXACT: i64 = 5;

/// Seconds by which the other clock is ahead of this one, and what it said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Skew {
    pub(super) seconds: i64,
    pub(super) date: String,
}

impl Skew {
    /// From the fields of an answer that came at `now`.
    pub(super) fn of(headers: &HeaderMap, now: SystemTime) -> Option<Self> {
        let date = headers.get(DATE)?.to_str().ok()?.trim();
        let there = httpdate::parse_http_date(date).ok()?;
        let seconds = match there.duration_since(now) {
            Ok(ahead) => i64::try_from(ahead.as_secs()).ok()?,
            Err(error) => -i64::try_from(error.duration().as_secs()).ok()?,
        };
        Some(Self { seconds, date: date.to_owned() })
    }

    /// Whether signatures made here are refused there.
    pub(super) fn is_too_much(&self) -> bool {
        self.seconds.abs() >= TOLERATED
    }

    /// How it is marked; only signatures depend on it.
    pub(super) fn mark(&self, signed: bool) -> Mark {
        match self.seconds.abs() {
            seconds if seconds >= TOLERATED && signed => Mark::Fail,
            seconds if seconds >= KEPT => Mark::Note,
            _ => Mark::Ok,
        }
    }

    /// In words.
    pub(super) fn text(&self) -> String {
        let seconds = self.seconds.abs();
        match self.seconds {
            _ if seconds <= EXACT => "this machine's is that of the store".to_owned(),
            1.. => format!("this machine's is {seconds} s behind that of the store, which says {}", self.date),
            _ => format!("this machine's is {seconds} s ahead of that of the store, which says {}", self.date),
        }
    }

    /// What to do about it.
    pub(super) fn advice(&self) -> Option<String> {
        self.is_too_much().then(|| {
            format!(
                "Set this machine's clock, which is {} s {}, and keep it right (chrony or systemd-timesyncd; on EC2 the server 169.254.169.123): AWS refuses signatures that are off by five minutes. In a virtual machine or container it is the host's clock.",
                self.seconds.abs(),
                if self.seconds > 0 { "behind" } else { "ahead" }
            )
        })
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use std::time::Duration;

    fn skew(seconds: i64) -> Skew {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let there = SystemTime::UNIX_EPOCH + Duration::from_secs((1_800_000_000 + seconds) as u64);
        let headers = HeaderMap::from_iter([(DATE, httpdate::fmt_http_date(there).parse().unwrap())]);
        Skew::of(&headers, now).unwrap()
    }

    #[test]
    fn it_is_measured_in_both_directions() {
        for (seconds, mark, words) in [
            (0, Mark::Ok, "that of the store"),
            (-4, Mark::Ok, "that of the store"),
            (30, Mark::Ok, "30 s behind"),
            (-90, Mark::Note, "90 s ahead"),
            (299, Mark::Note, "299 s behind"),
            (300, Mark::Fail, "300 s behind"),
            (-86_400, Mark::Fail, "86400 s ahead"),
        ] {
            let skew = skew(seconds);
            assert_eq!((skew.seconds, skew.mark(true)), (seconds, mark));
            assert!(skew.text().contains(words), "{}", skew.text());
            assert_eq!(skew.advice().is_some(), mark == Mark::Fail);
        }
        assert_eq!(skew(900).mark(false), Mark::Note);
    }

    #[test]
    fn an_answer_without_a_date_tells_nothing() {
        assert_eq!(Skew::of(&HeaderMap::new(), SystemTime::now()), None);
        let odd = HeaderMap::from_iter([(DATE, "yesterday".parse().unwrap())]);
        assert_eq!(Skew::of(&odd, SystemTime::now()), None);
    }
}

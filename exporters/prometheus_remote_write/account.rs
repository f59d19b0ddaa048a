//! From deliveries to positions: up to where a destination has what it read from a log.
//!
//! What is encoded is numbered in the order in which it comes. Its samples spread over shards and share requests with
//! those before and after, so a request says only which number is the earliest in it ([`Mark`]). Everything before the
//! earliest number of all requests under way, and of what is not a request yet, has come to its end.

use parking_lot::Mutex;
use std::collections::{BTreeMap, VecDeque};
use tokio::sync::Notify;
use wal::Position;

/// What a request's samples are accounted under.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    /// The earliest number in it; 0 if nobody keeps account.
    pub(crate) number: u64,
    /// Whether the log has what is not delivered of it.
    pub(crate) logged: bool,
}

/// Something that is about to be encoded.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    /// The place behind it in the log; `None` for what only memory has.
    pub(super) end: Option<Position>,
    /// Timestamp of its oldest sample, in milliseconds since the Unix epoch.
    pub(super) oldest_ms: i64,
}

/// Keeps account for one destination.
#[derive(Debug, Default)]
pub(super) struct Account {
    state: Mutex<State>,
    moved: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// What has not come to its end, with its number; ascending.
    entries: VecDeque<(u64, Entry)>,
    last: u64,
    /// Requests under way by their earliest number.
    held: BTreeMap<u64, usize>,
    /// What has a smaller number is not in the encoder any more.
    encoding: u64,
    /// Up to where everything has come to its end.
    reached: Option<Position>,
}

impl Account {
    /// Takes note of what is encoded next.
    pub(super) fn begin(&self, entry: Entry) -> Mark {
        let mut state = self.state.lock();
        state.last += 1;
        let number = state.last;
        state.entries.push_back((number, entry));
        state.encoding = state.encoding.max(1);
        Mark { number, logged: entry.end.is_some() }
    }

    /// Up to `end` there is nothing to encode.
    pub(super) fn pass(&self, end: Position) {
        let mut state = self.state.lock();
        // At the beginning nothing has been encoded at all.
        let nothing_open = state.encoding > state.last || state.last == 0;
        state.last += 1;
        let number = state.last;
        state.entries.push_back((number, Entry { end: Some(end), oldest_ms: i64::MAX }));
        if nothing_open {
            state.encoding = number + 1;
        }
        self.settle(&mut state);
    }

    /// A request is under way.
    pub(super) fn hold(&self, mark: Mark) {
        if mark.number > 0 {
            *self.state.lock().held.entry(mark.number).or_default() += 1;
        }
    }

    /// A request has come to its end: delivered, or given up for a reason that would be the same next time.
    pub(super) fn release(&self, mark: Mark) {
        if mark.number == 0 {
            return;
        }
        let mut state = self.state.lock();
        if let Some(count) = state.held.get_mut(&mark.number) {
            *count -= 1;
            if *count == 0 {
                state.held.remove(&mark.number);
            }
        }
        self.settle(&mut state);
    }

    /// The encoder holds nothing from before `oldest`, or nothing at all; every request that it gave is held.
    pub(super) fn encoded(&self, oldest: Option<u64>) {
        let mut state = self.state.lock();
        state.encoding = oldest.unwrap_or(state.last + 1).max(state.encoding);
        self.settle(&mut state);
    }

    fn settle(&self, state: &mut State) {
        let under_way = state.held.keys().next().copied().unwrap_or(u64::MAX);
        let first = under_way.min(state.encoding);
        let mut moved = false;
        while let Some((_, entry)) = state.entries.front().copied().filter(|(number, _)| *number < first) {
            state.entries.pop_front();
            if entry.end.is_some() {
                state.reached = entry.end;
                moved = true;
            }
        }
        if moved {
            self.moved.notify_one();
        }
    }

    /// Waits until more has come to its end than was known here before. For one task.
    pub(super) async fn moved(&self) {
        self.moved.notified().await;
    }

    /// Up to where everything has come to its end, if anything has.
    pub(super) fn reached(&self) -> Option<Position> {
        self.state.lock().reached
    }

    /// Timestamp of the oldest sample that was read and has not come to its end, in milliseconds since the Unix epoch.
    pub(super) fn oldest_ms(&self) -> Option<i64> {
        self.state.lock().entries.front().map(|(_, entry)| entry.oldest_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(record: u64) -> Position {
        Position { record, ..Position::default() }
    }

    fn begin(account: &Account, record: u64) -> Mark {
        account.begin(Entry { end: Some(position(record)), oldest_ms: record as i64 })
    }

    #[test]
    fn a_position_is_reached_when_nothing_before_it_is_under_way() {
        let account = Account::default();
        let first = begin(&account, 1);
        // Two shards have parts of the first; the block of one goes on with the second.
        account.hold(first);
        account.encoded(Some(first.number));
        let second = begin(&account, 2);
        account.hold(first);
        account.encoded(Some(second.number));
        account.release(first);
        assert_eq!((account.reached(), account.oldest_ms()), (None, Some(1)));
        account.release(first);
        assert_eq!((account.reached(), account.oldest_ms()), (Some(position(1)), Some(2)));
        account.hold(second);
        account.encoded(None);
        assert_eq!(account.reached(), Some(position(1)));
        account.release(second);
        assert_eq!((account.reached(), account.oldest_ms()), (Some(position(2)), None));
    }

    #[test]
    fn what_gives_no_request_is_passed_once_the_encoder_is_done_with_it() {
        let account = Account::default();
        begin(&account, 1);
        assert_eq!(account.reached(), None);
        account.encoded(None);
        assert_eq!(account.reached(), Some(position(1)));
    }

    #[test]
    fn what_is_passed_waits_for_what_is_before_it_and_for_nothing_else() {
        let account = Account::default();
        account.pass(position(0));
        assert_eq!(account.reached(), Some(position(0)));
        let account = Account::default();
        let first = begin(&account, 1);
        account.pass(position(2));
        account.hold(first);
        assert_eq!(account.reached(), None);
        account.encoded(None);
        account.release(first);
        assert_eq!(account.reached(), Some(position(2)));
        account.pass(position(3));
        assert_eq!((account.reached(), account.oldest_ms()), (Some(position(3)), None));
    }

    #[test]
    fn what_only_memory_has_moves_nothing_and_holds_up_what_follows() {
        let account = Account::default();
        begin(&account, 1);
        account.encoded(None);
        let kept = account.begin(Entry { end: None, oldest_ms: 7 });
        account.hold(kept);
        begin(&account, 2);
        account.encoded(None);
        assert_eq!((account.reached(), account.oldest_ms()), (Some(position(1)), Some(7)));
        account.release(kept);
        assert_eq!(account.reached(), Some(position(2)));
    }
}

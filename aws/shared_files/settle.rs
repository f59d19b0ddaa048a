//! When a reading of the shared files is to be trusted.
//!
//! A file that is truncated and written again in place can be met in any state: empty, ended in the middle of a token, new at
//! its beginning and old behind that. Nothing in the format tells. Three things do: what belongs together (key, secret and
//! token change together, and a temporary key has a token), what the file looked like before, and time.

use super::ini;
use super::{Content, Contents};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// A reading that cannot have been caught half-written: as the one before in all but the values, each of them new to its end.
pub(crate) const SURE: Duration = Duration::from_millis(200);
/// A reading that may be all there is to come. Longer than a writer may pause: one that dawdles for a second between two
/// writes is as slow as has been met.
pub(crate) const DOUBTFUL: Duration = Duration::from_millis(1250);
/// A reading whose last line has no end, which may be a token cut in two; also the longest that anything complete has to wait
/// while a store refuses what is in use. Several times what a writer pauses, since a busy machine makes a second long.
pub(crate) const UNFINISHED: Duration = Duration::from_secs(5);
/// A reading that lacks what was there before: somebody removed credentials, or is about to write them.
pub(crate) const SUSPICIOUS: Duration = Duration::from_secs(30);

/// Values of temporary credentials have no end in common; this many characters are no accident.
const COMMON_END: usize = 8;

/// Said of a reading that [`is_cut`].
const CUT: &str = "the last line has no end";

/// Makes generations out of readings.
#[derive(Debug, Default)]
pub(crate) struct Settler {
    accepted: Option<Arc<Contents>>,
    candidate: Option<Candidate>,
    /// A store has refused what is in use.
    refused: bool,
}

#[derive(Debug)]
struct Candidate {
    contents: Contents,
    since: Instant,
}

/// What becomes of a reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is what is in use.
    Same,
    /// It is in use from now on.
    Accepted,
    /// It has to stay as it is until then.
    Waiting {
        /// When to read again.
        again: Duration,
        /// What is wrong with it, if it is more than young.
        doubt: Option<&'static str>,
    },
}

impl Settler {
    /// What is in use.
    pub(crate) fn accepted(&self) -> Option<&Arc<Contents>> {
        self.accepted.as_ref()
    }

    /// Whether the last reading is neither in use nor given up.
    pub(crate) fn is_unsettled(&self) -> bool {
        self.candidate.is_some() || self.accepted.is_none()
    }

    /// A store has refused what is in use: there is less to lose by taking up what looks odd and complete.
    pub(crate) fn refused(&mut self) {
        self.refused = true;
    }

    /// Judges a reading made `now` of files that were written `age` ago.
    pub(crate) fn observe(
        &mut self,
        contents: Contents,
        profile: &str,
        now: Instant,
        age: Option<Duration>,
    ) -> Verdict {
        if self.accepted.as_deref() == Some(&contents) {
            self.candidate = None;
            return Verdict::Same;
        }
        let (needs, doubt) = match self.accepted.as_deref() {
            None => judge_first(&contents, profile),
            Some(before) => judge(before, &contents, profile),
        };
        let needs = if self.refused && is_complete(&contents, profile) { needs.min(UNFINISHED) } else { needs };
        let since = match &self.candidate {
            Some(candidate) if candidate.contents == contents => candidate.since,
            _ => now,
        };
        // At the start the clock of the files is all there is to go by. It is of no use afterwards: a file that was renamed or
        // linked to may be old and new at once.
        let old_enough = self.accepted.is_none() && age.is_some_and(|age| age >= needs.max(DOUBTFUL));
        let waited = now.saturating_duration_since(since);
        if waited >= needs || old_enough {
            self.accepted = Some(Arc::new(contents));
            self.candidate = None;
            self.refused = false;
            return Verdict::Accepted;
        }
        self.candidate = Some(Candidate { contents, since });
        Verdict::Waiting { again: needs.saturating_sub(waited).max(Duration::from_millis(20)), doubt }
    }
}

/// The three values that belong together.
struct Keys<'a> {
    id: Option<&'a str>,
    secret: Option<&'a str>,
    token: Option<&'a str>,
}

impl<'a> Keys<'a> {
    fn of(contents: &'a Contents, profile: &str) -> Self {
        let value = |key| ini::value(contents, profile, key);
        Self {
            id: value("aws_access_key_id"),
            secret: value("aws_secret_access_key"),
            token: value("aws_session_token"),
        }
    }

    fn any(&self) -> bool {
        self.id.is_some() || self.secret.is_some() || self.token.is_some()
    }

    /// What cannot be all of it.
    fn lack(&self) -> Option<&'static str> {
        match (self.id, self.secret, self.token) {
            (None, None, None) => None,
            (None, ..) => Some("the access key id is missing"),
            (_, None, _) => Some("the secret is missing"),
            // Ids of temporary keys begin like this (IAM, "unique identifiers").
            (Some(id), _, None) if id.starts_with("ASIA") => Some("the token of a temporary key is missing"),
            _ => None,
        }
    }
}

/// Whether there are keys, and none of those that belong together is missing.
fn is_complete(contents: &Contents, profile: &str) -> bool {
    let keys: Vec<Keys<'_>> =
        ini::chain(contents, profile).into_iter().map(|profile| Keys::of(contents, profile)).collect();
    keys.iter().any(Keys::any) && keys.iter().all(|keys| keys.lack().is_none())
}

/// Whether the last line of a file may be cut in two.
fn is_cut(contents: &Contents) -> bool {
    [&contents.credentials, &contents.config]
        .into_iter()
        .map(Content::text)
        .any(|text| !text.is_empty() && !text.ends_with('\n'))
}

/// The first reading after the start.
fn judge_first(contents: &Contents, profile: &str) -> (Duration, Option<&'static str>) {
    if *contents == Contents::default() {
        return (Duration::ZERO, None);
    }
    if is_cut(contents) {
        return (UNFINISHED, Some(CUT));
    }
    let doubt = ini::chain(contents, profile).into_iter().find_map(|profile| Keys::of(contents, profile).lack());
    (DOUBTFUL, doubt)
}

/// How long `after` has to stay as it is before it takes the place of `before`, and why that long. Profiles that the profile's
/// keys come from count like itself.
fn judge(before: &Contents, after: &Contents, profile: &str) -> (Duration, Option<&'static str>) {
    for (was, is) in [(&before.credentials, &after.credentials), (&before.config, &after.config)] {
        if matches!(was, Content::Text(_)) && !matches!(is, Content::Text(_)) {
            return (SUSPICIOUS, Some("a file is gone or cannot be read"));
        }
    }
    let mut profiles = ini::chain(before, profile);
    for other in ini::chain(after, profile) {
        if !profiles.contains(&other) {
            profiles.push(other);
        }
    }
    let doubt = profiles.iter().find_map(|profile| suspicion(before, after, profile));
    if doubt.is_some() {
        return (SUSPICIOUS, doubt);
    }
    if is_cut(after) {
        return (UNFINISHED, Some(CUT));
    }
    let shape_stays = ini::same_shape(before.credentials.text(), after.credentials.text())
        && ini::same_shape(before.config.text(), after.config.text());
    let ends_stay = before.credentials.text().ends_with('\n') && after.credentials.text().ends_with('\n');
    let with_keys = || profiles.iter().filter(|profile| Keys::of(before, profile).any());
    let all_new = with_keys().next().is_some() && with_keys().all(|profile| is_all_new(before, after, profile));
    if shape_stays && ends_stay && all_new { (SURE, None) } else { (DOUBTFUL, None) }
}

/// What looks as if a profile had been caught half-written.
fn suspicion(before: &Contents, after: &Contents, profile: &str) -> Option<&'static str> {
    let (old, new) = (Keys::of(before, profile), Keys::of(after, profile));
    if let Some(lack) = new.lack() {
        return Some(lack);
    }
    if ini::has_profile(before, profile) && !ini::has_profile(after, profile) {
        return Some("the profile is gone");
    }
    if old.any() && !new.any() {
        return Some("the profile has no keys any more");
    }
    if old.token.is_some() && new.token.is_none() {
        return Some("the token is gone");
    }
    let both = || pairs(&old, &new);
    let mixed = both().any(|(was, is)| was == is) && both().any(|(was, is)| was != is);
    mixed.then_some("key, secret and token are not of one generation")
}

/// Whether nothing of a profile's former values is left, not even at their ends.
fn is_all_new(before: &Contents, after: &Contents, profile: &str) -> bool {
    let (old, new) = (Keys::of(before, profile), Keys::of(after, profile));
    pairs(&old, &new).all(|(was, is)| was != is && !end_alike(was, is))
}

/// What is there before and after.
fn pairs<'a>(old: &Keys<'a>, new: &Keys<'a>) -> impl Iterator<Item = (&'a str, &'a str)> {
    [(old.id, new.id), (old.secret, new.secret), (old.token, new.token)]
        .into_iter()
        .filter_map(|(was, is)| Some((was?, is?)))
}

/// Whether the end of a value may still be the former one's.
fn end_alike(was: &str, is: &str) -> bool {
    let common = was.bytes().rev().zip(is.bytes().rev()).take_while(|(a, b)| a == b).count();
    common >= COMMON_END
}

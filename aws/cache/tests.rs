#![expect(clippy::unwrap_used, reason = "tests")]

use super::{AHEAD, BACKOFF, CredentialCache, REFUSAL_PAUSE, WITHOUT_EXPIRY, renewal};
use crate::credentials::{CredentialSource, Identity, LoadError};
use async_trait::async_trait;
use aws_credential_types::Credentials;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

const HOUR: Duration = Duration::from_secs(3600);

/// Gives what it was told to, one after the other; the last of it for ever.
#[derive(Default)]
struct Scripted {
    answers: Mutex<VecDeque<Result<Identity, LoadError>>>,
    loads: AtomicUsize,
    takes: Duration,
}

#[async_trait]
impl CredentialSource for Scripted {
    async fn load(&self) -> Result<Identity, LoadError> {
        self.loads.fetch_add(1, Ordering::SeqCst);
        tokio::time::sleep(self.takes).await;
        let mut answers = self.answers.lock();
        match answers.len() {
            1 => answers[0].clone(),
            _ => answers.pop_front().unwrap(),
        }
    }
}

fn key(id: &str, expires: Option<SystemTime>) -> Result<Identity, LoadError> {
    Ok(Identity::new(Credentials::new(id, "secret", None, expires, "test"), "test"))
}

fn failure() -> Result<Identity, LoadError> {
    Err(LoadError::of("test", "is away"))
}

fn cache(answers: impl IntoIterator<Item = Result<Identity, LoadError>>) -> (Arc<CredentialCache>, Arc<Scripted>) {
    taking(Duration::from_millis(10), answers)
}

fn taking(
    takes: Duration,
    answers: impl IntoIterator<Item = Result<Identity, LoadError>>,
) -> (Arc<CredentialCache>, Arc<Scripted>) {
    let answers = Mutex::new(answers.into_iter().collect());
    let source = Arc::new(Scripted { answers, takes, ..Scripted::default() });
    (Arc::new(CredentialCache::new(Arc::clone(&source) as _, None)), source)
}

async fn id(cache: &CredentialCache) -> String {
    cache.identity().await.unwrap().access_key_id().to_owned()
}

/// Keeps the cache fresh until the test ends.
fn keep_fresh(cache: &Arc<CredentialCache>) -> tokio::task::JoinHandle<()> {
    let cache = Arc::clone(cache);
    tokio::spawn(async move { cache.keep_fresh().await })
}

#[tokio::test(start_paused = true)]
async fn many_requests_at_once_ask_the_source_once() {
    let (cache, source) = cache([key("A", None)]);
    let requests: Vec<_> = (0..50)
        .map(|_| {
            let cache = Arc::clone(&cache);
            tokio::spawn(async move { id(&cache).await })
        })
        .collect();
    for request in requests {
        assert_eq!(request.await.unwrap(), "A");
    }
    assert_eq!(source.loads.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn credentials_are_renewed_ahead_of_their_expiry_without_a_request_waiting() {
    let now = SystemTime::now();
    let (cache, source) = cache([key("A", Some(now + HOUR)), key("B", Some(now + 2 * HOUR))]);
    let _fresh = keep_fresh(&cache);
    assert_eq!(id(&cache).await, "A");
    // Not before a tenth less than what is left until five minutes before the end.
    tokio::time::sleep((HOUR - AHEAD).mul_f64(0.89)).await;
    assert_eq!(id(&cache).await, "A");
    assert_eq!(source.loads.load(Ordering::SeqCst), 1);
    tokio::time::sleep((HOUR - AHEAD).mul_f64(0.12)).await;
    assert_eq!(id(&cache).await, "B");
    assert_eq!(source.loads.load(Ordering::SeqCst), 2);
}

#[test]
fn the_time_of_renewal_follows_from_what_is_left() {
    let now = SystemTime::now();
    let after = |left: u64, unit| renewal(Some(now + Duration::from_secs(left)), now, unit);
    assert_eq!(after(3600, 0.0), Duration::from_secs(3300));
    assert_eq!(after(3600, 1.0), Duration::from_secs(2970));
    // Half of a short life.
    assert_eq!(after(600, 0.0), Duration::from_secs(300));
    assert_eq!(after(60, 0.0), Duration::from_secs(30));
    assert!(!after(0, 0.0).is_zero());
    assert_eq!(renewal(None, now, 0.5), WITHOUT_EXPIRY);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_fails_leaves_what_is_good_in_use_and_is_asked_ever_more_slowly() {
    let expires = SystemTime::now() + HOUR;
    let (cache, source) = cache([key("A", Some(expires)), failure()]);
    let _fresh = keep_fresh(&cache);
    assert_eq!(id(&cache).await, "A");
    tokio::time::sleep(HOUR).await;
    // The clock of the system does not follow that of the test: nothing has expired.
    assert_eq!(id(&cache).await, "A");
    let loads = source.loads.load(Ordering::SeqCst);
    // Five minutes at up to a minute each, and the first doublings.
    assert!((4..30).contains(&loads), "{loads} loads");
    assert!(cache.last_failure().is_some());
}

#[tokio::test(start_paused = true)]
async fn requests_without_credentials_do_not_hammer_a_source_that_fails() {
    let (cache, source) = cache([failure(), failure(), key("A", None)]);
    for _ in 0..10 {
        assert_eq!(cache.identity().await.unwrap_err(), failure().unwrap_err());
    }
    assert_eq!(source.loads.load(Ordering::SeqCst), 1);
    tokio::time::sleep(BACKOFF.0 * 2).await;
    assert!(cache.identity().await.is_err());
    tokio::time::sleep(BACKOFF.0 * 4).await;
    assert_eq!(id(&cache).await, "A");
    assert_eq!(cache.last_failure(), None);
}

#[tokio::test(start_paused = true)]
async fn credentials_that_have_expired_already_are_none() {
    let past = SystemTime::now() - Duration::from_secs(100);
    let (cache, source) = cache([key("A", Some(past))]);
    let error = cache.identity().await.unwrap_err().to_string();
    assert!(error.contains("test: gives credentials that expired 100 s ago (access key A)"), "{error}");
    let _fresh = keep_fresh(&cache);
    tokio::time::sleep(Duration::from_secs(600)).await;
    let loads = source.loads.load(Ordering::SeqCst);
    assert!(loads < 30, "{loads} loads in ten minutes");
}

#[tokio::test(start_paused = true)]
async fn those_of_an_instance_are_used_beyond_their_expiry() {
    let past = SystemTime::now() - Duration::from_secs(100);
    let mut old = key("A", Some(past)).unwrap();
    old.outlives_expiry = true;
    let (cache, _) = cache([Ok(old), failure()]);
    assert_eq!(id(&cache).await, "A");
    cache.refused();
    assert_eq!(id(&cache).await, "A");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_makes_the_next_request_ask_the_source() {
    let (cache, source) = cache([key("A", None), key("B", None)]);
    assert_eq!(id(&cache).await, "A");
    // What was refused a moment after loading was signed with what was before.
    assert!(!cache.refused());
    assert_eq!(id(&cache).await, "A");
    tokio::time::sleep(REFUSAL_PAUSE * 2).await;
    assert!(!cache.refused());
    assert_eq!(id(&cache).await, "B");
    assert_eq!(source.loads.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_has_nothing_newer_after_a_refusal_is_known() {
    let (cache, _) = cache([key("A", None), key("A", None), key("B", None)]);
    id(&cache).await;
    tokio::time::sleep(REFUSAL_PAUSE * 2).await;
    assert!(!cache.refused(), "it may have newer ones");
    assert_eq!(id(&cache).await, "A");
    tokio::time::sleep(REFUSAL_PAUSE * 2).await;
    assert!(cache.refused(), "it had the same again");
    assert_eq!(id(&cache).await, "B");
    tokio::time::sleep(REFUSAL_PAUSE * 2).await;
    assert!(!cache.refused(), "another key was never refused");
}

#[tokio::test(start_paused = true)]
async fn a_source_that_does_not_answer_fails_after_a_minute() {
    let (cache, _) = taking(HOUR, [key("A", None)]);
    let error = cache.identity().await.unwrap_err().to_string();
    assert!(error.contains("no answer within 60s"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_load_goes_on_when_who_has_begun_it_waits_no_longer() {
    let (cache, source) = taking(Duration::from_secs(5), [key("A", None)]);
    for _ in 0..2 {
        assert!(tokio::time::timeout(Duration::from_secs(2), cache.identity()).await.is_err());
    }
    assert_eq!(id(&cache).await, "A");
    assert_eq!(source.loads.load(Ordering::SeqCst), 1);
}

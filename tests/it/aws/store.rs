//! A store that takes what is signed as AWS wants it, and refuses everything else in AWS' words.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::keys::{Keyring, Standing};
use super::verifier::Verifier;
use crate::support::http::{self, Reply, Request, Server};
use crate::support::samples::Samples;

/// The region that the store is in.
pub(crate) const REGION: &str = "eu-west-1";
/// The path of a workspace.
pub(crate) const PATH: &str = "/workspaces/ws-00000000-1111-2222-3333-444444444444/api/v1/remote_write";

pub(crate) const EXPIRED: &str = "The security token included in the request is expired";
pub(crate) const INVALID: &str = "The security token included in the request is invalid.";

/// A request as the store saw it.
#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    /// The id of the key that it is signed with; empty without a signature.
    pub(crate) key: String,
    /// `x-amz-date`.
    pub(crate) date: String,
    pub(crate) signature: String,
    /// The body, and its size.
    pub(crate) body: (u64, usize),
    pub(crate) status: u16,
    /// The words of a refusal.
    pub(crate) words: String,
}

#[derive(Default)]
pub(crate) struct Known {
    pub(crate) accepted: Samples,
    pub(crate) attempts: Vec<Attempt>,
    /// Requests that no correct sender makes: badly signed, or with keys that nobody was given.
    pub(crate) bad: Vec<String>,
}

/// What the store does with a request that is signed well: `None` takes it.
type Judge = Box<dyn FnMut(&Request, &Samples) -> Option<Reply> + Send>;

struct Shared {
    keys: Keyring,
    verifier: Verifier,
    known: Mutex<Known>,
    judge: Mutex<Judge>,
    /// A port of a Prometheus that gets what is accepted.
    behind: Option<u16>,
}

/// A running store; gone when dropped.
pub(crate) struct AwsStore {
    server: Server,
    shared: Arc<Shared>,
}

impl AwsStore {
    pub(crate) fn start(python: &Path) -> Self {
        Self::start_before(python, None)
    }

    /// A store that keeps what it takes in a Prometheus on this port.
    pub(crate) fn start_before(python: &Path, behind: Option<u16>) -> Self {
        let shared = Arc::new(Shared {
            keys: Keyring::default(),
            verifier: Verifier::start(python),
            known: Mutex::default(),
            judge: Mutex::new(Box::new(|_, _| None)),
            behind,
        });
        let handle = Arc::clone(&shared);
        Self { server: Server::start(move |request| handle.take(&request)), shared }
    }

    /// Decides by this about requests that are signed well.
    pub(crate) fn judge(&self, judge: impl FnMut(&Request, &Samples) -> Option<Reply> + Send + 'static) {
        *self.shared.judge.lock().unwrap() = Box::new(judge);
    }

    pub(crate) fn port(&self) -> u16 {
        self.server.port()
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}{PATH}", self.port())
    }

    pub(crate) fn keys(&self) -> &Keyring {
        &self.shared.keys
    }

    pub(crate) fn know<T>(&self, look: impl FnOnce(&Known) -> T) -> T {
        look(&self.shared.known.lock().unwrap())
    }

    pub(crate) fn accepted(&self) -> Samples {
        self.know(|known| known.accepted.clone())
    }

    /// The ids of the keys that accepted requests were signed with.
    pub(crate) fn signers(&self) -> BTreeSet<String> {
        self.know(|known| {
            known.attempts.iter().filter(|attempt| attempt.status == 200).map(|attempt| attempt.key.clone()).collect()
        })
    }

    /// Number of requests that were refused.
    pub(crate) fn refusals(&self) -> usize {
        self.know(|known| known.attempts.iter().filter(|attempt| attempt.status != 200).count())
    }

    /// Fails if anything came that no correct sender sends.
    pub(crate) fn assert_nothing_bad(&self) {
        self.know(|known| assert!(known.bad.is_empty(), "{:#?}", known.bad));
    }
}

impl Shared {
    fn take(&self, request: &Request) -> Reply {
        let samples = Samples::of_request(&request.body);
        let (reply, bad) = match self.refusal(request) {
            Some((words, bad)) => (refuse(&words), bad),
            None => match (self.judge.lock().unwrap())(request, &samples) {
                Some(reply) => (reply, None),
                None => (Reply::status(200, ""), None),
            },
        };
        let authorization = request.header("authorization").unwrap_or_default();
        let text = |name| request.header(name).unwrap_or_default().to_owned();
        let (status, words) = match &reply {
            Reply::Answer { status, body, .. } => (*status, String::from_utf8_lossy(body).into_owned()),
            Reply::Close | Reply::Hang => (0, String::new()),
        };
        let attempt = Attempt {
            key: between(authorization, "Credential=", "/").to_owned(),
            date: text("x-amz-date"),
            signature: between(authorization, "Signature=", ",").to_owned(),
            body: (hash(&request.body), request.body.len()),
            status,
            words,
        };
        if status == 200
            && let Some(port) = self.behind
        {
            let headers: Vec<(String, String)> =
                request.headers.iter().filter(|(name, _)| name != "content-length").cloned().collect();
            let answer = http::send(port, "POST", "/api/v1/write", &headers, &request.body).unwrap();
            assert!(answer.status < 300, "{answer:?}");
        }
        let mut known = self.known.lock().unwrap();
        known.attempts.push(attempt);
        known.bad.extend(bad);
        if status == 200 {
            known.accepted.append(&samples);
        }
        reply
    }

    /// Why the request is refused for who has sent it, and what is wrong if no correct sender sends such a thing.
    fn refusal(&self, request: &Request) -> Option<(String, Option<String>)> {
        let bad = |words: &str, what: String| Some((words.to_owned(), Some(what)));
        let Some(authorization) = request.header("authorization") else {
            return bad("Missing Authentication Token", "no signature".to_owned());
        };
        let credential: Vec<&str> = between(authorization, "Credential=", ",").split('/').collect();
        let [id, _, region, service, _] = credential[..] else {
            return bad(INVALID, format!("the scope is {credential:?}"));
        };
        let Some((key, standing)) = self.keys.find(id) else {
            return bad(INVALID, format!("{id} is the key of nobody"));
        };
        let token = request.header("x-amz-security-token");
        if token != key.token.as_deref() {
            return bad(INVALID, format!("{token:?} is not the token of {id}"));
        }
        if let Some(difference) = self.verifier.difference(request, &key) {
            let words = "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.";
            return bad(words, difference);
        }
        if standing == Standing::Revoked {
            return Some((EXPIRED.to_owned(), None));
        }
        if region != REGION {
            return Some((format!("Credential should be scoped to a valid region, not '{region}'. "), None));
        }
        if service != "aps" {
            return Some(("Credential should be scoped to correct service: 'aps'. ".to_owned(), None));
        }
        let date = request.header("x-amz-date").unwrap_or_default();
        if !is_now(date) {
            return Some((format!("Signature expired: {date} is now earlier than the last five minutes"), None));
        }
        None
    }
}

/// 403 as AMP answers it.
fn refuse(words: &str) -> Reply {
    let headers = vec![("x-amzn-ErrorType", "AccessDeniedException".to_owned())];
    let body = serde_json::json!({ "message": words }).to_string().into_bytes();
    Reply::Answer { status: 403, headers, body }
}

/// Whether an `x-amz-date` is within five minutes of now.
fn is_now(date: &str) -> bool {
    let now = SystemTime::now();
    let basic = |time| super::keys::rfc3339(time).replace(['-', ':'], "");
    let five = Duration::from_secs(300);
    date.len() == 16 && *basic(now - five) <= *date && *date <= *basic(now + five)
}

/// The text behind `start` and before `end`.
pub(crate) fn between<'a>(text: &'a str, start: &str, end: &str) -> &'a str {
    let rest = text.split_once(start).map_or("", |(_, rest)| rest);
    rest.split_once(end).map_or(rest, |(found, _)| found)
}

fn hash(bytes: &[u8]) -> u64 {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}

/// Milliseconds since the Unix epoch.
pub(crate) fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64
}

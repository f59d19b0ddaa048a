//! A remote-write store that answers as the test says, and keeps what it accepts.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use super::http::{Reply, Request, Server};
use super::samples::Samples;

/// What the store does with a request.
#[derive(Clone, Debug)]
pub(crate) enum Verdict {
    /// Takes it and says so, with this status.
    Accept(u16),
    /// Takes it and says so, but does not keep it, nor the attempt.
    AcceptForgotten,
    /// Takes it, and closes the connection before the sender learns of it.
    AcceptUnsaid,
    /// Answers something else.
    Refuse { status: u16, headers: Vec<(&'static str, String)>, text: &'static str },
    /// Closes the connection without a word.
    Close,
    /// Says nothing until the sender gives up.
    Hang,
}

impl Verdict {
    /// A refusal with this status and text.
    pub(crate) fn refuse(status: u16, text: &'static str) -> Self {
        Self::Refuse { status, headers: Vec::new(), text }
    }
}

/// An attempt to deliver, as the store saw it.
#[derive(Debug, Clone)]
pub(crate) struct Attempt {
    pub(crate) at: Instant,
    /// The `Retry-Attempt` header.
    pub(crate) retry: Option<String>,
    /// A number that is the same for the same body.
    pub(crate) body: u64,
}

/// What the store knows.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// What it has accepted, in the order of arrival.
    pub(crate) accepted: Samples,
    /// What of that it has not acknowledged.
    pub(crate) unsaid: Samples,
    /// What it has refused with a status that is final.
    pub(crate) rejected: Samples,
    pub(crate) attempts: Vec<Attempt>,
    /// The most requests that were under way at once.
    pub(crate) most_at_once: usize,
    under_way: usize,
}

/// Decides by the number of requests that came before, and by what is in this one.
type Script = Box<dyn FnMut(usize, &[u8]) -> Verdict + Send>;

/// A running store; gone when dropped.
pub(crate) struct Store {
    server: Server,
    known: Arc<Mutex<Known>>,
    script: Arc<Mutex<Script>>,
}

impl Store {
    /// A store that decides by `script`.
    pub(crate) fn start(script: impl FnMut(usize) -> Verdict + Send + 'static) -> Self {
        Self::start_slow(std::time::Duration::ZERO, script)
    }

    /// A store that takes all.
    pub(crate) fn accepting() -> Self {
        Self::start(|_| Verdict::Accept(204))
    }

    /// A store that takes all and keeps nothing.
    pub(crate) fn forgetful() -> Self {
        Self::start(|_| Verdict::AcceptForgotten)
    }

    /// A store that needs `work` for each request, of which it can do several at once.
    pub(crate) fn start_slow(
        work: std::time::Duration,
        mut script: impl FnMut(usize) -> Verdict + Send + 'static,
    ) -> Self {
        Self::run(work, Box::new(move |number, _| script(number)))
    }

    /// A store that looks at the body of a request before it decides.
    pub(crate) fn start_judging(script: impl FnMut(usize, &[u8]) -> Verdict + Send + 'static) -> Self {
        Self::run(std::time::Duration::ZERO, Box::new(script))
    }

    fn run(work: std::time::Duration, script: Script) -> Self {
        let known = Arc::new(Mutex::new(Known::default()));
        let script: Arc<Mutex<Script>> = Arc::new(Mutex::new(script));
        let (kept, decides) = (Arc::clone(&known), Arc::clone(&script));
        let server = Server::start(move |request| {
            {
                let mut known = kept.lock().unwrap();
                known.under_way += 1;
                known.most_at_once = known.most_at_once.max(known.under_way);
            }
            std::thread::sleep(work);
            let reply = take(&request, &mut kept.lock().unwrap(), &mut decides.lock().unwrap());
            kept.lock().unwrap().under_way -= 1;
            reply
        });
        Self { server, known, script }
    }

    /// Decides by another script from now on.
    pub(crate) fn change(&self, mut script: impl FnMut(usize) -> Verdict + Send + 'static) {
        *self.script.lock().unwrap() = Box::new(move |number, _| script(number));
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/api/v1/write", self.server.port())
    }

    /// Looks at what the store knows.
    pub(crate) fn know<T>(&self, look: impl FnOnce(&Known) -> T) -> T {
        look(&self.known.lock().unwrap())
    }

    /// All that was accepted.
    pub(crate) fn accepted(&self) -> Samples {
        self.know(|known| known.accepted.clone())
    }
}

fn take(request: &Request, known: &mut Known, script: &mut Script) -> Reply {
    assert_eq!(request.header("content-encoding"), Some("snappy"));
    assert_eq!(request.header("content-type"), Some("application/x-protobuf"));
    assert_eq!(request.header("x-prometheus-remote-write-version"), Some("0.1.0"));
    assert!(request.header("user-agent").is_some_and(|agent| agent.starts_with("oxidot/")), "{request:?}");
    let samples = Samples::of_request(&request.body);
    let verdict = script(known.attempts.len(), &request.body);
    let attempt = Attempt {
        at: Instant::now(),
        retry: request.header("retry-attempt").map(str::to_owned),
        body: hash(&request.body),
    };
    if !matches!(verdict, Verdict::AcceptForgotten) {
        known.attempts.push(attempt);
    }
    match verdict {
        Verdict::Accept(status) => {
            known.accepted.append(&samples);
            Reply::status(status, "")
        }
        Verdict::AcceptForgotten => Reply::status(204, ""),
        Verdict::AcceptUnsaid => {
            known.accepted.append(&samples);
            known.unsaid.append(&samples);
            Reply::Close
        }
        Verdict::Refuse { status, headers, text } => {
            if status < 500 && status != 429 {
                known.rejected.append(&samples);
            }
            Reply::Answer { status, headers, body: text.as_bytes().to_vec() }
        }
        Verdict::Close => Reply::Close,
        Verdict::Hang => Reply::Hang,
    }
}

fn hash(bytes: &[u8]) -> u64 {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}

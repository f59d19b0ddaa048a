//! What stands in for the services that give credentials to containers and instances.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::keys::Keyring;
use crate::support::http::{Reply, Request, Server};

/// How the service is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Mood {
    Well,
    /// Answers 500.
    Failing,
    /// Does not answer: what a container sees of IMDS if it is one hop too far away.
    Silent,
    /// An instance without a role.
    WithoutRole,
}

const MOODS: [Mood; 4] = [Mood::Well, Mood::Failing, Mood::Silent, Mood::WithoutRole];

/// What both kinds of services know.
struct Inner {
    given: Keyring,
    lifetime: Duration,
    mood: AtomicU8,
    answers: AtomicU64,
    bad: Mutex<Vec<String>>,
}

/// A running service.
pub(crate) struct Metadata {
    server: Server,
    inner: Arc<Inner>,
}

impl Metadata {
    /// The endpoint of containers, on a free port or at an address: of ECS if there is no token file, else of EKS. What it gives
    /// out is added to `given`, and lives for `lifetime`.
    pub(crate) fn container(
        given: &Keyring,
        lifetime: Duration,
        address: Option<SocketAddr>,
        token_file: Option<PathBuf>,
    ) -> Self {
        Self::serve(given, lifetime, address, move |inner, request| {
            let authorization = request.header("authorization").map(str::to_owned);
            let token = token_file.as_ref().map(|file| std::fs::read_to_string(file).unwrap());
            if authorization != token {
                inner.bad.lock().unwrap().push(format!("{authorization:?} is not the token {token:?}"));
                return Reply::status(401, "{\"code\":\"AccessDenied\",\"message\":\"the token is not valid\"}");
            }
            match request.path.as_str() {
                "/v2/credentials/11111111-2222-3333-4444-555555555555" | "/v1/credentials" => inner.give(),
                _ => Reply::status(404, "no such path"),
            }
        })
    }

    /// IMDSv2.
    pub(crate) fn instance(given: &Keyring, lifetime: Duration, address: Option<SocketAddr>) -> Self {
        const TOKEN: &str = "the-token-of-this-session";
        Self::serve(given, lifetime, address, |inner, request| {
            let silent = inner.mood() == Mood::Silent;
            if request.method == "PUT" && request.path == "/latest/api/token" {
                if request.header("x-aws-ec2-metadata-token-ttl-seconds").is_none() {
                    inner.bad.lock().unwrap().push("no time to live is asked for".to_owned());
                    return Reply::status(400, "");
                }
                // Of a hop limit of 1 only this answer suffers.
                if silent {
                    return Reply::Hang;
                }
                let headers = vec![("x-aws-ec2-metadata-token-ttl-seconds", "21600".to_owned())];
                return Reply::Answer { status: 200, headers, body: TOKEN.as_bytes().to_vec() };
            }
            if request.header("x-aws-ec2-metadata-token") != Some(TOKEN) {
                inner.bad.lock().unwrap().push(format!("{} without the session's token", request.path));
                return Reply::status(401, "");
            }
            match (request.path.as_str(), inner.mood()) {
                (_, Mood::WithoutRole) => Reply::status(404, "not found"),
                ("/latest/meta-data/iam/security-credentials/", _) => Reply::status(200, "the-role"),
                ("/latest/meta-data/iam/security-credentials/the-role", _) => inner.give(),
                _ => Reply::status(404, "not found"),
            }
        })
    }

    fn serve(
        given: &Keyring,
        lifetime: Duration,
        address: Option<SocketAddr>,
        answer: impl Fn(&Inner, &Request) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let inner = Arc::new(Inner {
            given: given.clone(),
            lifetime,
            mood: AtomicU8::new(Mood::Well as u8),
            answers: AtomicU64::new(0),
            bad: Mutex::default(),
        });
        let handle = Arc::clone(&inner);
        let handle = move |request: Request| answer(&handle, &request);
        let server = match address {
            Some(address) => Server::start_at(address, handle),
            None => Server::start(handle),
        };
        Self { server, inner }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.server.port())
    }

    pub(crate) fn set(&self, mood: Mood) {
        self.inner.mood.store(mood as u8, Ordering::SeqCst);
    }

    /// Credentials that were given out.
    pub(crate) fn answers(&self) -> u64 {
        self.inner.answers.load(Ordering::SeqCst)
    }

    pub(crate) fn assert_nothing_bad(&self) {
        let bad = self.inner.bad.lock().unwrap();
        assert!(bad.is_empty(), "{bad:#?}");
    }
}

impl Inner {
    fn mood(&self) -> Mood {
        MOODS[usize::from(self.mood.load(Ordering::SeqCst))]
    }

    fn give(&self) -> Reply {
        match self.mood() {
            Mood::Failing => return Reply::status(500, "{\"code\":\"InternalError\",\"message\":\"try again later\"}"),
            Mood::Silent => return Reply::Hang,
            Mood::Well | Mood::WithoutRole => {}
        }
        self.answers.fetch_add(1, Ordering::SeqCst);
        let key = self.given.issue(self.lifetime);
        let headers = vec![("Content-Type", "application/json".to_owned())];
        Reply::Answer { status: 200, headers, body: key.json("Token").into_bytes() }
    }
}

//! `oxidot doctor` against stand-ins on loopback for everything that can go wrong: what it says and how it ends.

mod answers;
mod credentials;
mod moto;
mod network;
mod otlp;
mod stores;

use std::process::Command;
use std::sync::{Arc, Mutex};

use crate::support::http::{Reply, Request, Server};
use crate::support::oxidot::command;

/// A key that says that it is temporary, and what must never be printed.
const KEY: &str = "ASIAEXAMPLEOFNOBODY1";
const SECRET: &str = "the-secret-of-nobody/+x";
const TOKEN: &str = "the-session-token-of-nobody==";

/// The account and the role that the stand-in of STS knows.
const ACCOUNT: &str = "111122223333";
const ROLE: &str = "arn:aws:sts::111122223333:assumed-role/collector/i-0abc";

/// How a run ended.
#[derive(Debug)]
struct Outcome {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Outcome {
    /// Fails unless it ended with this code and said all of these.
    #[track_caller]
    fn says(&self, code: i32, texts: &[&str]) {
        // Advice is broken into lines that are indented.
        let flat = self.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        for text in texts {
            assert!(flat.contains(text), "{text:?} is not in what it printed:\n{}\n{}", self.stdout, self.stderr);
        }
        assert_eq!(self.code, Some(code), "{}\n{}", self.stdout, self.stderr);
        for secret in [SECRET, TOKEN] {
            assert!(!self.stdout.contains(secret) && !self.stderr.contains(secret), "{}", self.stdout);
        }
    }

    /// Fails if it said any of these.
    #[track_caller]
    fn does_not_say(&self, texts: &[&str]) {
        for text in texts {
            assert!(!self.stdout.contains(text), "{text:?} is in what it printed:\n{}", self.stdout);
        }
    }
}

/// A pipeline with this exporter, and what else the file has.
fn config(exporter: &str, rest: &str) -> String {
    let (id, _) = exporter.split_once(':').unwrap();
    format!(
        "receivers: {{prometheus: {{config: {{scrape_configs: [{{job_name: j, static_configs: [{{targets: ['127.0.0.1:9']}}]}}]}}}}}}\n\
         exporters: {{{exporter}}}\n{rest}\n\
         service: {{{}pipelines: {{metrics: {{receivers: [prometheus], exporters: [{id}]}}}}}}\n",
        if rest.contains("extensions:") { "extensions: [sigv4auth], " } else { "" }
    )
}

/// An exporter that signs for AMP in a region.
fn signed(url: &str) -> String {
    config(&format!("prometheusremotewrite: {{endpoint: \"{url}\", sigv4: {{region: eu-west-1}}}}"), "")
}

/// Where a workspace takes writes, on loopback.
fn workspace(server: &Server) -> String {
    format!("http://127.0.0.1:{}/workspaces/ws-1/api/v1/remote_write", server.port())
}

/// Runs `oxidot doctor` in an environment that has nothing but what `change` gives it, so that no credentials of this machine are found.
fn doctor(config: &str, change: impl FnOnce(&mut Command)) -> Outcome {
    let home = tempfile::tempdir().unwrap();
    let mut command = command(&["doctor", "--config", &format!("yaml:{config}")]);
    command.env_clear().env("HOME", home.path()).env("AWS_EC2_METADATA_DISABLED", "true");
    change(&mut command);
    let output = command.output().unwrap();
    Outcome {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Keys in the environment, and an STS that knows them.
fn with_keys(sts: &Server) -> impl FnOnce(&mut Command) {
    let sts = format!("http://127.0.0.1:{}", sts.port());
    move |command| {
        command
            .env("AWS_ACCESS_KEY_ID", KEY)
            .env("AWS_SECRET_ACCESS_KEY", SECRET)
            .env("AWS_SESSION_TOKEN", TOKEN)
            .env("AWS_ENDPOINT_URL_STS", sts);
    }
}

/// An STS that says who one is, and gives a role's keys to whoever asks.
fn sts() -> Server {
    Server::start(|request| {
        let body = String::from_utf8_lossy(&request.body).into_owned();
        if body.contains("Action=AssumeRole") {
            return Reply::status(
                200,
                &format!(
                    "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult><Credentials><AccessKeyId>ASIAOFTHEROLE1234567</AccessKeyId><SecretAccessKey>{SECRET}</SecretAccessKey><SessionToken>{TOKEN}</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration></Credentials><AssumedRoleUser><AssumedRoleId>x:y</AssumedRoleId><Arn>{ROLE}</Arn></AssumedRoleUser></AssumeRoleResult></AssumeRoleResponse>"
                ),
            );
        }
        assert!(body.contains("Action=GetCallerIdentity"), "{body}");
        let authorization = request.header("authorization").unwrap_or_default();
        assert!(authorization.contains("/sts/aws4_request"), "{authorization}");
        Reply::status(
            200,
            &format!(
                "<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>{ROLE}</Arn><UserId>x</UserId><Account>{ACCOUNT}</Account></GetCallerIdentityResult></GetCallerIdentityResponse>"
            ),
        )
    })
}

/// A store that answers all requests alike, and what it was asked.
struct Answering {
    server: Server,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Answering {
    fn new(status: u16, headers: &[(&'static str, &str)], body: &str) -> Self {
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        let body = body.as_bytes().to_vec();
        let server = Server::start(move |request| {
            seen.lock().unwrap().push(request);
            Reply::Answer { status, headers: headers.clone(), body: body.clone() }
        });
        Self { server, requests }
    }

    /// The requests so far.
    fn requests(&self) -> Vec<Request> {
        std::mem::take(&mut self.requests.lock().unwrap())
    }
}

#[test]
fn a_configuration_that_is_not_valid_ends_it_with_2_and_the_words_of_validate() {
    let broken = signed("http://127.0.0.1:9/").replace("sigv4", "sigv5");
    let outcome = doctor(&broken, |_| {});
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(2), ""));
    let validated = command(&["validate", "--config", &format!("yaml:{broken}")]).output().unwrap();
    assert_eq!(outcome.stderr, String::from_utf8_lossy(&validated.stderr));
    assert!(outcome.stderr.contains("sigv5"), "{}", outcome.stderr);
    let nothing = command(&["doctor"]).env_clear().output().unwrap();
    assert_eq!(nothing.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&nothing.stderr).contains("give a configuration with --config FILE"));
}

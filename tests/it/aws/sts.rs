//! STS: moto's, behind a door that checks signatures and tells the store which keys were given out.

use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::keys::{Key, Keyring, Standing, rfc3339};
use super::store::between;
use super::verifier::Verifier;
use crate::support::http::{self, Reply, Request, Server};
use crate::support::process::Program;
use crate::support::{free_port, wait_until};

/// A call that was answered.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// The id of the key that it is signed with; empty without a signature.
    pub(crate) caller: String,
    /// The region that it is signed for.
    pub(crate) region: String,
    parameters: Vec<(String, String)>,
}

impl Call {
    /// A parameter; empty if it is not there.
    pub(crate) fn parameter(&self, name: &str) -> &str {
        self.parameters.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }
}

#[derive(Default)]
struct Known {
    calls: Vec<Call>,
    bad: Vec<String>,
}

/// Whether a token of a web identity is good.
type TokenCheck = Box<dyn Fn(&str) -> bool + Send + Sync>;

struct Door {
    moto: u16,
    callers: Keyring,
    given: Keyring,
    lifetime: Duration,
    verifier: Verifier,
    token_is_good: TokenCheck,
    known: Mutex<Known>,
}

pub(crate) struct Sts {
    server: Server,
    door: Arc<Door>,
    _moto: Program,
}

impl Sts {
    /// What it gives out is added to `given`, and lives for `lifetime`.
    pub(crate) fn start(python: &Path, given: &Keyring, lifetime: Duration) -> Self {
        Self::start_checking(python, given, lifetime, |_| true)
    }

    /// The same; tokens of web identities have to be good.
    pub(crate) fn start_checking(
        python: &Path,
        given: &Keyring,
        lifetime: Duration,
        token_is_good: impl Fn(&str) -> bool + Send + Sync + 'static,
    ) -> Self {
        let port = free_port();
        let mut command = Command::new(python);
        command.args(["-c", "from moto.server import main; main()", "-H", "127.0.0.1", "-p", &port.to_string()]);
        let mut moto = Program::start(&mut command);
        // Its first answer takes seconds, of which nobody else should know.
        let form = "application/x-www-form-urlencoded";
        let hello = b"Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fr&RoleSessionName=s&WebIdentityToken=t";
        wait_until("moto", || {
            moto.assert_running();
            http::post(port, "/", form, hello).is_some_and(|answer| answer.status == 200)
        });
        let door = Arc::new(Door {
            moto: port,
            callers: Keyring::default(),
            given: given.clone(),
            lifetime,
            verifier: Verifier::start(python),
            token_is_good: Box::new(token_is_good),
            known: Mutex::default(),
        });
        let handle = Arc::clone(&door);
        Self { server: Server::start(move |request| handle.take(&request)), door, _moto: moto }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.server.port())
    }

    /// Who may call.
    pub(crate) fn callers(&self) -> &Keyring {
        &self.door.callers
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        self.door.known.lock().unwrap().calls.clone()
    }

    pub(crate) fn assert_nothing_bad(&self) {
        let bad = &self.door.known.lock().unwrap().bad;
        assert!(bad.is_empty(), "{bad:#?}");
    }
}

impl Door {
    fn take(&self, request: &Request) -> Reply {
        let authorization = request.header("authorization").unwrap_or_default();
        let scope: Vec<&str> = between(authorization, "Credential=", ",").split('/').collect();
        let call = Call {
            caller: scope.first().copied().unwrap_or_default().to_owned(),
            region: scope.get(2).copied().unwrap_or_default().to_owned(),
            parameters: parameters(&request.body),
        };
        if let Err((code, words)) = self.check(request, &call) {
            return refuse(code, words);
        }
        let headers: Vec<(String, String)> =
            request.headers.iter().filter(|(name, _)| name != "content-length").cloned().collect();
        let answer = http::send(self.moto, "POST", "/", &headers, &request.body).unwrap();
        let field = |name: &str| between(&answer.body, &format!("<{name}>"), "</").trim().to_owned();
        let mut body = answer.body.clone();
        if answer.status == 200 && !field("AccessKeyId").is_empty() {
            let living = Key::living(self.lifetime);
            let key = Key {
                id: field("AccessKeyId"),
                secret: field("SecretAccessKey"),
                token: Some(field("SessionToken")),
                expires: living.expires,
            };
            body = body.replace(&field("Expiration"), &rfc3339(key.expires.unwrap()));
            self.given.add(&key);
        }
        let mut known = self.known.lock().unwrap();
        if answer.status != 200 {
            known.bad.push(format!("moto answers {}: {}", answer.status, answer.body));
        }
        known.calls.push(call);
        let headers = vec![("Content-Type", "text/xml".to_owned())];
        Reply::Answer { status: answer.status, headers, body: body.into_bytes() }
    }

    fn check(&self, request: &Request, call: &Call) -> Result<(), (&'static str, &'static str)> {
        if call.parameter("Action") == "AssumeRoleWithWebIdentity" {
            return match (self.token_is_good)(call.parameter("WebIdentityToken")) {
                true => Ok(()),
                false => {
                    Err(("ExpiredTokenException", "Token expired: current date/time must be before the expiration"))
                }
            };
        }
        // Roles may assume roles.
        let Some((key, standing)) = self.callers.find(&call.caller).or_else(|| self.given.find(&call.caller)) else {
            return Err(("InvalidClientTokenId", "The security token included in the request is invalid."));
        };
        if let Some(difference) = self.verifier.difference(request, &key) {
            self.known.lock().unwrap().bad.push(difference);
            return Err(("SignatureDoesNotMatch", "The request signature we calculated does not match"));
        }
        match standing {
            Standing::Good => Ok(()),
            Standing::Revoked => Err(("ExpiredToken", "The security token included in the request is expired")),
        }
    }
}

fn refuse(code: &str, words: &str) -> Reply {
    let body = format!(
        "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type><Code>{code}</Code><Message>{words}</Message></Error><RequestId>0</RequestId></ErrorResponse>"
    );
    let status = if code == "InvalidClientTokenId" { 403 } else { 400 };
    Reply::Answer { status, headers: vec![("Content-Type", "text/xml".to_owned())], body: body.into_bytes() }
}

/// The parameters of a form.
fn parameters(body: &[u8]) -> Vec<(String, String)> {
    let text = String::from_utf8_lossy(body);
    text.split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (decoded(name), decoded(value)))
        .collect()
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let mut digit = || char::from(rest.next().unwrap()).to_digit(16).unwrap() as u8;
                bytes.push(digit() << 4 | digit());
            }
            byte => bytes.push(byte),
        }
    }
    String::from_utf8(bytes).unwrap()
}

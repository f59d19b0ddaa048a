//! botocore's code as a judge of signatures.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Mutex;

use serde_json::json;

use super::keys::Key;
use crate::support::http::Request;
use crate::support::python::environment;

/// An interpreter that has botocore and moto's server, or why there is none.
pub(crate) fn python() -> Result<PathBuf, String> {
    environment("aws", &["botocore", "moto", "flask", "flask-cors"], "botocore.auth, moto.server")
}

/// A running interpreter that checks one request at a time.
pub(crate) struct Verifier {
    pipes: Mutex<(ChildStdin, BufReader<ChildStdout>)>,
    child: Child,
}

impl Verifier {
    pub(crate) fn start(python: &Path) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/aws/verifier.py");
        let mut command = Command::new(python);
        command.arg(script).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let pipes = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Self { pipes: Mutex::new(pipes), child }
    }

    /// What differs between the request and one that is signed with `key`; none if it is.
    pub(crate) fn difference(&self, request: &Request, key: &Key) -> Option<String> {
        let host = request.header("host").unwrap();
        // Proxies get the whole URL.
        let url = match request.path.starts_with("http://") {
            true => request.path.clone(),
            false => format!("http://{host}{}", request.path),
        };
        let question = json!({
            "method": request.method, "url": url, "headers": request.headers, "body": base64(&request.body),
            "secret": key.secret, "token": key.token,
        });
        let mut pipes = self.pipes.lock().unwrap();
        writeln!(pipes.0, "{question}").unwrap();
        let mut answer = String::new();
        pipes.1.read_line(&mut answer).unwrap();
        assert!(answer.ends_with('\n'), "the verifier has ended");
        Some(answer.trim_end().to_owned()).filter(|answer| !answer.is_empty())
    }
}

impl Drop for Verifier {
    fn drop(&mut self) {
        // Fails if it has ended.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let letter = ALPHABET[(bits >> (18 - 6 * place) & 63) as usize];
            text.push(if place <= chunk.len() { char::from(letter) } else { '=' });
        }
    }
    text
}

//! Servers for this crate's tests: loopback, a free port, gone with the test.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// An address at which nobody listens, for as long as the socket lives. (One that was free a moment ago may be another test's.)
pub(crate) fn nobody() -> (tokio::net::TcpSocket, SocketAddr) {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

/// A server that answers each request with the bytes that its script gives.
pub(crate) struct Scripted {
    pub(crate) address: SocketAddr,
    /// The heads of the requests that came, each with the number of its connection.
    pub(crate) requests: Arc<Mutex<Vec<(usize, String)>>>,
    task: JoinHandle<()>,
}

impl Scripted {
    /// `script` gets the connection's number and the request's head and body. An empty answer closes the connection,
    /// and so does one that says `Connection: close`.
    pub(crate) async fn start(script: impl Fn(usize, &str, &[u8]) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        let script = Arc::new(script);
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            for number in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                let (script, seen) = (Arc::clone(&script), Arc::clone(&seen));
                connections.spawn(async move { converse(stream, number, &*script, &seen).await });
            }
        });
        Self { address, requests, task }
    }

    pub(crate) fn url(&self, path: &str) -> http::Uri {
        format!("http://{}{path}", self.address).parse().unwrap()
    }

    pub(crate) fn heads(&self) -> Vec<String> {
        self.requests.lock().iter().map(|(_, head)| head.clone()).collect()
    }

    pub(crate) fn connections(&self) -> usize {
        self.requests.lock().iter().map(|(number, _)| number + 1).max().unwrap_or(0)
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn converse(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    number: usize,
    script: &(impl Fn(usize, &str, &[u8]) -> Vec<u8> + ?Sized),
    seen: &Mutex<Vec<(usize, String)>>,
) {
    while let Some((head, body)) = read_request(&mut stream).await {
        seen.lock().push((number, head.clone()));
        let answer = script(number, &head, &body);
        if answer.is_empty() || stream.write_all(&answer).await.is_err() {
            return;
        }
        if String::from_utf8_lossy(&answer).contains("Connection: close") {
            return;
        }
    }
}

/// Reads a head and the body that it announces.
pub(crate) async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> Option<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8_lossy(bytes.get(..end)?).into_owned();
    let len = head
        .lines()
        .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse().ok())
        .unwrap_or(0);
    while bytes.len() < end + len {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    Some((head, bytes.get(end..)?.to_vec()))
}

/// A complete response.
pub(crate) fn response(status: &str, fields: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\n{fields}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

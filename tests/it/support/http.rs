//! As much HTTP/1.1 as tests need, over plain threads: a request, and a server that can misbehave.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// How long a request of a test may take.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Status and body of an answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

/// Asks for `path` on loopback; `None` if nobody answers in full.
pub(crate) fn get(port: u16, path: &str) -> Option<Answer> {
    // HTTP/1.0, so that the answer ends with the connection and is not chunked.
    exchange(port, format!("GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n").as_bytes())
}

/// Posts to `path` on loopback; `None` if nobody answers in full.
pub(crate) fn post(port: u16, path: &str, content_type: &str, body: &[u8]) -> Option<Answer> {
    let head = format!(
        "POST {path} HTTP/1.0\r\nHost: 127.0.0.1\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    exchange(port, &[head.as_bytes(), body].concat())
}

/// Writes a remote-write 1.0 request to `/api/v1/write` on loopback; `None` if nobody answers in full.
pub(crate) fn post_write(port: u16, body: &[u8]) -> Option<Answer> {
    let head = format!(
        "POST /api/v1/write HTTP/1.0\r\nHost: 127.0.0.1\r\nContent-Type: application/x-protobuf\r\n\
         Content-Encoding: snappy\r\nX-Prometheus-Remote-Write-Version: 0.1.0\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    exchange(port, &[head.as_bytes(), body].concat())
}

/// Sends a request with these fields to loopback; `None` if nobody answers in full.
pub(crate) fn send(port: u16, method: &str, path: &str, headers: &[(String, String)], body: &[u8]) -> Option<Answer> {
    let mut head = format!("{method} {path} HTTP/1.0\r\nContent-Length: {}\r\n", body.len());
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    exchange(port, &[head.as_bytes(), body].concat())
}

fn exchange(port: u16, request: &[u8]) -> Option<Answer> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()?;
    stream.set_read_timeout(Some(TIMEOUT)).ok()?;
    stream.write_all(request).ok()?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some(Answer { status, body: body.to_owned() })
}

/// The text with everything but letters and digits written as `%xx`, for queries.
pub(crate) fn escape(text: &str) -> String {
    text.bytes()
        .map(|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") })
        .collect()
}

/// A request as it came.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    /// Lower-case names.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// Reads the next request of a connection; `None` when there is none.
    fn read(reader: &mut BufReader<TcpStream>) -> Option<Self> {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|n| *n > 0)?;
        let mut words = line.split(' ');
        let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
        let mut headers = Vec::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok().filter(|n| *n > 0)?;
            let Some((name, value)) = line.split_once(':') else { break };
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let mut request = Self { method, path, headers, body: Vec::new() };
        let len: u64 = request.header("content-length").map_or(0, |len| len.parse().unwrap());
        reader.take(len).read_to_end(&mut request.body).ok().filter(|n| *n as u64 == len)?;
        Some(request)
    }
}

/// What a server does with a request.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// Answers.
    Answer { status: u16, headers: Vec<(&'static str, String)>, body: Vec<u8> },
    /// Closes the connection without a word.
    Close,
    /// Keeps the connection open and says nothing until the other side gives up.
    Hang,
}

impl Reply {
    /// An answer of this status and text.
    pub(crate) fn status(status: u16, text: &str) -> Self {
        Self::Answer { status, headers: Vec::new(), body: text.as_bytes().to_vec() }
    }
}

/// A server on loopback with a thread for each connection. Gone when dropped, connections included.
pub(crate) struct Server {
    address: SocketAddr,
    stopping: Arc<AtomicBool>,
    accepting: Option<JoinHandle<()>>,
}

impl Server {
    /// Serves on a free port, which nobody else gets after it either: a test may stop the server and say that nobody is there.
    pub(crate) fn start(handle: impl Fn(Request) -> Reply + Send + Sync + 'static) -> Self {
        Self::on(super::free_listener(), handle)
    }

    /// Serves on this port again, after an earlier server was dropped.
    pub(crate) fn start_on(port: u16, handle: impl Fn(Request) -> Reply + Send + Sync + 'static) -> Self {
        let bind = || TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok();
        Self::on(super::wait_for("the port to be free again", bind), handle)
    }

    /// Serves at an address that programs expect it at.
    pub(crate) fn start_at(address: SocketAddr, handle: impl Fn(Request) -> Reply + Send + Sync + 'static) -> Self {
        Self::on(TcpListener::bind(address).unwrap(), handle)
    }

    fn on(listener: TcpListener, handle: impl Fn(Request) -> Reply + Send + Sync + 'static) -> Self {
        let address = listener.local_addr().unwrap();
        let stopping = Arc::new(AtomicBool::new(false));
        let (stop, handle) = (Arc::clone(&stopping), Arc::new(handle));
        let accepting = std::thread::spawn(move || {
            let mut connections: Vec<(TcpStream, JoinHandle<()>)> = Vec::new();
            for stream in listener.incoming() {
                if stop.load(Ordering::Acquire) {
                    break;
                }
                connections.retain(|(_, thread)| !thread.is_finished());
                let Ok(stream) = stream else { continue };
                let Ok(copy) = stream.try_clone() else { continue };
                let handle = Arc::clone(&handle);
                connections.push((copy, std::thread::spawn(move || converse(stream, &*handle))));
            }
            drop(listener);
            for (stream, thread) in connections {
                // It may be closed already.
                stream.shutdown(Shutdown::Both).ok();
                thread.join().ok();
            }
        });
        Self { address, stopping, accepting: Some(accepting) }
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Release);
        // Wakes up the thread that accepts.
        TcpStream::connect(self.address).ok();
        if let Some(thread) = self.accepting.take() {
            thread.join().ok();
        }
    }
}

fn converse(stream: TcpStream, handle: &(impl Fn(Request) -> Reply + ?Sized)) {
    let Ok(mut writer) = stream.try_clone() else { return };
    let mut reader = BufReader::new(stream);
    while let Some(request) = Request::read(&mut reader) {
        match handle(request) {
            Reply::Answer { status, headers, body } => {
                let mut head = format!("HTTP/1.1 {status} Status\r\n");
                for (name, value) in headers {
                    head.push_str(&format!("{name}: {value}\r\n"));
                }
                if status != 204 {
                    head.push_str(&format!("Content-Length: {}\r\n", body.len()));
                }
                head.push_str("\r\n");
                let bytes = [head.as_bytes(), &body].concat();
                if writer.write_all(&bytes).is_err() {
                    return;
                }
            }
            Reply::Close => break,
            Reply::Hang => {
                // Ends when the other side closes, or this server is dropped.
                while reader.read(&mut [0; 1024]).is_ok_and(|n| n > 0) {}
                break;
            }
        }
    }
    // The server keeps a copy of the connection, which would hold it open.
    writer.shutdown(Shutdown::Both).ok();
}

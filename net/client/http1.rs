//! HTTP/1.1 on one connection (RFC 9112): a request out, a response in.
//!
//! Own code instead of a general client because of what a thousand mostly idle connections cost: here a kept
//! connection has no task, no channel and no buffer. Request and response run in the caller's task, and the
//! response is read straight into the caller's buffer, so that a page of 10 KiB takes one write and one read.

use std::future::Future;
use std::io::{self, IoSlice, Write};
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use bytes::{BufMut, Bytes};
use http::header::{CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, Version};
use tokio::io::{AsyncReadExt, AsyncWrite};

use super::error::Failure;
use super::exchange::DEFAULT_USER_AGENT;
use super::framing::{BodyDecoder, Chunk, Framing};
use super::stream::Stream;

/// Room offered to each read. Most pages of a small exporter fit with their head; larger ones grow from here.
const READ_ROOM: usize = 16 << 10;
/// The longest head of a response. Servers' own limits for requests are 8 to 64 KiB.
const MAX_HEAD: usize = 256 << 10;
/// Fields in a head. More than any server sends.
const MAX_FIELDS: usize = 128;

/// Status and fields of a response, and how its body is framed.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) decoder: BodyDecoder,
    pub(crate) keep_alive: bool,
}

/// What goes into a request's head beside its fields.
pub(crate) struct RequestLine<'a> {
    pub(crate) method: &'a Method,
    pub(crate) uri: &'a Uri,
    /// Through a proxy without a tunnel the whole URL is sent.
    pub(crate) absolute: bool,
    /// Sent with `Connection: close`.
    pub(crate) close: bool,
}

/// Writes the request's head. Fields that frame the message are ours; the caller's are ignored.
pub(crate) fn encode_head(line: &RequestLine<'_>, headers: &HeaderMap, body_len: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(512);
    out.extend_from_slice(line.method.as_str().as_bytes());
    out.push(b' ');
    let authority = host_of(line.uri);
    if line.absolute {
        out.extend_from_slice(line.uri.scheme_str().unwrap_or("http").as_bytes());
        out.extend_from_slice(b"://");
        out.extend_from_slice(authority.as_bytes());
    }
    match line.uri.path_and_query().map(|path| path.as_str()) {
        None | Some("") => out.push(b'/'),
        Some(path) if path.starts_with('?') => {
            out.push(b'/');
            out.extend_from_slice(path.as_bytes());
        }
        Some(path) => out.extend_from_slice(path.as_bytes()),
    }
    out.extend_from_slice(b" HTTP/1.1\r\nHost: ");
    match headers.get(HOST) {
        Some(host) => out.extend_from_slice(host.as_bytes()),
        None => out.extend_from_slice(authority.as_bytes()),
    }
    out.extend_from_slice(b"\r\n");
    for (name, value) in headers {
        if !frames_message(name) {
            out.extend_from_slice(name.as_str().as_bytes());
            out.extend_from_slice(b": ");
            out.extend_from_slice(value.as_bytes());
            out.extend_from_slice(b"\r\n");
        }
    }
    if !headers.contains_key(USER_AGENT) {
        out.extend_from_slice(b"user-agent: ");
        out.extend_from_slice(DEFAULT_USER_AGENT.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    if body_len > 0 || matches!(*line.method, Method::POST | Method::PUT | Method::PATCH) {
        // Writing to a Vec cannot fail.
        write!(out, "content-length: {body_len}\r\n").ok();
    }
    if line.close {
        out.extend_from_slice(b"connection: close\r\n");
    }
    out.extend_from_slice(b"\r\n");
    out
}

/// Sends the request and reads the response's head into `buffer`, which holds the beginning of the body afterwards.
///
/// Reading begins while the request is still being written, since a server may refuse a large body before it has it all.
pub(crate) async fn exchange(
    stream: &mut Stream,
    method: &Method,
    head: &[u8],
    body: &[u8],
    buffer: &mut Vec<u8>,
) -> Result<Head, Failure> {
    buffer.clear();
    let mut outgoing = Outgoing { head, body, flushed: false, error: None };
    loop {
        let read = std::future::poll_fn(|cx| poll_exchange(stream, &mut outgoing, buffer, cx)).await;
        match read {
            Ok(0) => return Err(outgoing.ended(buffer)),
            Ok(_) => {}
            Err(error) => return Err(outgoing.failed(&error, buffer)),
        }
        // Interim responses (100, 103) are skipped.
        while let Some((mut head, len)) = parse_head(buffer, method)? {
            buffer.drain(..len);
            if head.status.is_informational() {
                continue;
            }
            head.keep_alive &= outgoing.flushed;
            head.decoder.decode(buffer)?;
            return Ok(head);
        }
        if buffer.len() > MAX_HEAD {
            return Err(Failure::protocol(format!("server response headers exceeded {MAX_HEAD} bytes; aborted")));
        }
    }
}

/// Reads more of the body into `buffer`; `decoder` says when it is complete. At most `limit` bytes are kept.
pub(crate) async fn read_body(
    stream: &mut Stream,
    decoder: &mut BodyDecoder,
    buffer: &mut Vec<u8>,
    limit: usize,
) -> Result<(), Failure> {
    if buffer.len() > limit || announced_beyond(decoder, buffer.len(), limit) {
        return Err(Failure::too_large(limit));
    }
    if decoder.is_done() {
        return Ok(());
    }
    let announced = decoder.announced().map_or(0, |announced| usize::try_from(announced).unwrap_or(usize::MAX));
    // The announced length is a hint: room grows with what has really come, at most fourfold at a time.
    let room = announced.min(buffer.len().saturating_mul(3)).max(READ_ROOM);
    let most = if decoder.ends_with_announced() { announced } else { usize::MAX };
    buffer.reserve(room.min(most));
    let read = stream.read_buf(&mut buffer.limit(most)).await;
    match read {
        Ok(0) => return decoder.end(),
        Ok(_) => decoder.decode(buffer)?,
        // Servers that end a body by closing often forget TLS' own goodbye.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return decoder.end(),
        Err(error) => return Err(Failure::on_connection("read", &error)),
    }
    if buffer.len() > limit || announced_beyond(decoder, buffer.len(), limit) {
        return Err(Failure::too_large(limit));
    }
    Ok(())
}

/// The host and port of a URL without user and password.
pub(crate) fn host_of(uri: &Uri) -> &str {
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    authority.rsplit_once('@').map_or(authority, |(_, host)| host)
}

/// The part of a request that is still to be written.
struct Outgoing<'a> {
    head: &'a [u8],
    body: &'a [u8],
    flushed: bool,
    error: Option<io::Error>,
}

impl Outgoing<'_> {
    fn poll(&mut self, stream: &mut Stream, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !(self.head.is_empty() && self.body.is_empty()) {
            let stream = Pin::new(&mut *stream);
            let written = if self.body.is_empty() {
                stream.poll_write(cx, self.head)
            } else {
                stream.poll_write_vectored(cx, &[IoSlice::new(self.head), IoSlice::new(self.body)])
            };
            let written = std::task::ready!(written)?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            let from_head = written.min(self.head.len());
            self.head = self.head.get(from_head..).unwrap_or_default();
            self.body = self.body.get(written - from_head..).unwrap_or_default();
        }
        std::task::ready!(Pin::new(stream).poll_flush(cx))?;
        self.flushed = true;
        Poll::Ready(Ok(()))
    }

    /// The connection was closed without a complete head.
    fn ended(&self, buffer: &[u8]) -> Failure {
        match (&self.error, buffer.is_empty()) {
            (Some(error), true) => Failure::on_connection("write", error).before_response(),
            (None, true) => Failure::new(super::RequestErrorKind::Reset, "EOF").before_response(),
            (_, false) => Failure::eof(),
        }
    }

    fn failed(&self, error: &io::Error, buffer: &[u8]) -> Failure {
        let failure = match &self.error {
            Some(error) => Failure::on_connection("write", error),
            None => Failure::on_connection("read", error),
        };
        if buffer.is_empty() { failure.before_response() } else { failure }
    }
}

/// Writes as much as can be written and reads as soon as there is something to read.
fn poll_exchange(
    stream: &mut Stream,
    outgoing: &mut Outgoing<'_>,
    buffer: &mut Vec<u8>,
    cx: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    if !outgoing.flushed
        && outgoing.error.is_none()
        && let Poll::Ready(Err(error)) = outgoing.poll(stream, cx)
    {
        // The server may have answered before it closed: what it said is worth more than "broken pipe".
        outgoing.error = Some(error);
    }
    if buffer.capacity() - buffer.len() < READ_ROOM / 4 {
        buffer.reserve(READ_ROOM);
    }
    // A future that keeps nothing between polls.
    pin!(stream.read_buf(buffer)).poll(cx)
}

/// Parses a head at the beginning of `buffer`; `None` if it is not complete yet. Also gives its length in bytes.
fn parse_head(buffer: &[u8], method: &Method) -> Result<Option<(Head, usize)>, Failure> {
    // Not initialized: these are four KiB, of which a head needs a few hundred bytes.
    let mut fields = [const { MaybeUninit::uninit() }; MAX_FIELDS];
    let mut response = httparse::Response::new(&mut []);
    let malformed = |reason: &dyn std::fmt::Display| {
        let shown: String = buffer.iter().take(40).flat_map(|byte| byte.escape_ascii()).map(char::from).collect();
        Failure::protocol(format!("malformed HTTP response \"{shown}\": {reason}"))
    };
    let parser = httparse::ParserConfig::default();
    let len = match parser.parse_response_with_uninit_headers(&mut response, buffer, &mut fields) {
        Ok(httparse::Status::Complete(len)) => len,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(error) => return Err(malformed(&error)),
    };
    let status = StatusCode::from_u16(response.code.unwrap_or_default()).map_err(|error| malformed(&error))?;
    if status == StatusCode::SWITCHING_PROTOCOLS {
        return Err(malformed(&"protocol switch that was not asked for"));
    }
    let version = match response.version {
        Some(0) => Version::HTTP_10,
        _ => Version::HTTP_11,
    };
    // One copy of the head that all values share.
    let shared = Bytes::copy_from_slice(buffer.get(..len).unwrap_or_default());
    let mut headers = HeaderMap::with_capacity(response.headers.len());
    for field in response.headers.iter() {
        let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(|e| malformed(&e))?;
        let start = (field.value.as_ptr() as usize).wrapping_sub(buffer.as_ptr() as usize);
        let value = match shared.get(start..start.saturating_add(field.value.len())) {
            Some(_) => shared.slice(start..start + field.value.len()),
            None => Bytes::copy_from_slice(field.value),
        };
        let value = HeaderValue::from_maybe_shared(value).map_err(|e| malformed(&e))?;
        headers.append(name, value);
    }
    let framing = framing(method, status, &headers)?;
    let head =
        Head { status, keep_alive: keeps_alive(version, &headers), headers, decoder: BodyDecoder::new(framing, 0) };
    Ok(Some((head, len)))
}

fn framing(method: &Method, status: StatusCode, headers: &HeaderMap) -> Result<Framing, Failure> {
    // After a successful CONNECT the connection belongs to somebody else.
    let tunnel = *method == Method::CONNECT && status.is_success();
    if *method == Method::HEAD
        || tunnel
        || status.is_informational()
        || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
    {
        return Ok(Framing::Length(0));
    }
    if let Some(coding) = headers.get(TRANSFER_ENCODING) {
        return match coding.as_bytes() {
            coding if coding.eq_ignore_ascii_case(b"chunked") => {
                Ok(Framing::Chunked(Chunk::Size { value: 0, digits: 0 }))
            }
            coding => Err(Failure::protocol(format!("unsupported transfer encoding \"{}\"", coding.escape_ascii()))),
        };
    }
    let mut length = None;
    for value in headers.get_all(CONTENT_LENGTH) {
        let parsed = value
            .to_str()
            .ok()
            .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))
            .and_then(|text| text.parse::<u64>().ok());
        match (parsed, length) {
            (Some(this), None) => length = Some(this),
            (Some(this), Some(other)) if this == other => {}
            _ => {
                return Err(Failure::protocol(format!("bad Content-Length \"{}\"", value.as_bytes().escape_ascii())));
            }
        }
    }
    Ok(length.map_or(Framing::UntilClose, Framing::Length))
}

fn keeps_alive(version: Version, headers: &HeaderMap) -> bool {
    let says = |word: &str| {
        headers.get_all(CONNECTION).iter().any(|value| {
            value.to_str().is_ok_and(|value| value.split(',').any(|token| token.trim().eq_ignore_ascii_case(word)))
        })
    };
    match version {
        Version::HTTP_10 => says("keep-alive"),
        _ => !says("close"),
    }
}

fn frames_message(name: &HeaderName) -> bool {
    *name == HOST || *name == CONTENT_LENGTH || *name == TRANSFER_ENCODING || *name == CONNECTION
}

fn announced_beyond(decoder: &BodyDecoder, have: usize, limit: usize) -> bool {
    decoder.announced().is_some_and(|announced| announced > (limit.saturating_sub(have)) as u64)
}

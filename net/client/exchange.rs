//! One request from start to end: connections, authentication, redirects.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_ENCODING, COOKIE, HOST, PROXY_AUTHORIZATION, TRANSFER_ENCODING, USER_AGENT,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use http_body_util::Full;

use super::body::{Connection, Home, MAX_SIDE_BODY, ResponseBody, Source};
use super::credentials::{Signer, authorize};
use super::dial::{Route, proxy_authorization, tls_failure};
use super::error::{Failure, RequestError, RequestErrorKind};
use super::http1::{self, RequestLine};
use super::http2;
use super::pool::Kept;
use super::redirect;
use super::stream::Stream;
use super::{Inner, Request, ResponseHead};
use crate::auth::AuthVerdict;

/// Sent when a request names no other.
pub(super) const DEFAULT_USER_AGENT: &str = concat!("oxidot/", env!("CARGO_PKG_VERSION"));

/// What a request is waiting for, for the message of a timeout.
#[derive(Debug, Clone, Copy)]
#[repr(u8)]
pub(super) enum Phase {
    Connecting,
    AwaitingHeaders,
    ReadingBody,
    Authenticating,
}

impl Phase {
    pub(super) fn text(phase: u8) -> &'static str {
        match phase {
            1 => "awaiting headers",
            2 => "reading body",
            3 => "waiting for credentials",
            _ => "connecting",
        }
    }

    /// The failure of an exchange that took longer than `timeout`. An authenticator that does not answer in time has failed:
    /// nothing was sent, and the server is not to blame.
    pub(super) fn timed_out(phase: u8, timeout: Duration) -> Failure {
        let mut failure = Failure::timeout(timeout, Self::text(phase));
        if phase == Self::Authenticating as u8 {
            failure.kind = RequestErrorKind::Auth;
        }
        failure
    }
}

/// A request with the redirects it leads to.
pub(super) struct Chain<'a> {
    client: &'a Inner,
    request: &'a Request,
    phase: &'a AtomicU8,
    method: Method,
    uri: Uri,
    redirects: usize,
    /// False once a redirect led to a strange host; stays false for the rest of the chain.
    carries_credentials: bool,
    keeps_body: bool,
}

impl<'a> Chain<'a> {
    pub(super) fn new(client: &'a Inner, request: &'a Request, phase: &'a AtomicU8) -> Self {
        Self {
            client,
            request,
            phase,
            method: request.method.clone(),
            uri: request.uri.clone(),
            redirects: 0,
            carries_credentials: true,
            keeps_body: true,
        }
    }

    pub(super) fn error(&self, failure: Failure) -> RequestError {
        RequestError::new(&self.method, &self.uri, failure)
    }

    pub(super) async fn send(&mut self, body: &mut Vec<u8>, limit: usize) -> Result<ResponseHead, Failure> {
        let (head, mut source) = self.run(body).await?;
        self.enter(Phase::ReadingBody);
        while source.read(body, limit).await? {}
        // An authenticator may have had the body read already, with another limit.
        if body.len() > limit { Err(Failure::too_large(limit)) } else { Ok(head) }
    }

    pub(super) async fn send_for_status(&mut self, body: &mut Vec<u8>, limit: usize) -> Result<ResponseHead, Failure> {
        let (head, mut source) = self.run(body).await?;
        self.enter(Phase::ReadingBody);
        while body.len() < limit && source.read(body, usize::MAX).await? {}
        body.truncate(limit);
        Ok(head)
    }

    pub(super) async fn open(&mut self) -> Result<(ResponseHead, ResponseBody), Failure> {
        let mut buffer = Vec::new();
        let (head, source) = self.run(&mut buffer).await?;
        let body = ResponseBody::new(source, buffer, self.method.clone(), self.uri.clone());
        Ok((head, body))
    }

    async fn run(&mut self, buffer: &mut Vec<u8>) -> Result<(ResponseHead, Source), Failure> {
        // Compressed once, for all attempts.
        let (compressed, encoding) = self.compressed();
        loop {
            let body = if self.keeps_body { compressed.clone() } else { Bytes::new() };
            let encoding = encoding.filter(|_| self.keeps_body);
            let (status, headers, mut source) = self.hop(&body, encoding, buffer).await?;
            if let Some(cookies) = &self.client.cookies {
                cookies.store(&self.uri, &headers);
            }
            let next = match self.client.follow_redirects {
                true => redirect::next(status, &headers, &self.method, &self.uri)?,
                false => None,
            };
            let Some(next) = next else {
                let redirected_to = (self.redirects > 0).then(|| self.uri.clone());
                return Ok((ResponseHead { status, headers, redirected_to }, source));
            };
            source.drain(buffer).await;
            self.redirects += 1;
            self.carries_credentials &= redirect::may_carry_credentials(&self.request.uri, &next.uri);
            self.keeps_body &= next.keeps_body;
            self.method = next.method;
            self.uri = next.uri;
            if self.redirects > redirect::MAX_REDIRECTS {
                return Err(Failure::new(
                    RequestErrorKind::Redirect,
                    format!("stopped after {} redirects", redirect::MAX_REDIRECTS),
                ));
            }
        }
    }

    fn compressed(&self) -> (Bytes, Option<&'static str>) {
        let body = &self.request.body;
        let compression = self
            .client
            .compression
            .filter(|_| !body.is_empty() && !self.request.headers.contains_key(CONTENT_ENCODING));
        let compressed =
            compression.and_then(|compression| Some((compression.compress(body)?, Some(compression.encoding()))));
        compressed.unwrap_or_else(|| (body.clone(), None))
    }

    /// The fields to send; the request's own map if nothing is added to it.
    async fn headers(&self, encoding: Option<&'static str>) -> Result<Cow<'a, HeaderMap>, Failure> {
        let client = self.client;
        let mut headers = Cow::Borrowed(&self.request.headers);
        if !self.keeps_body {
            redirect::without_body(headers.to_mut());
        }
        if let Some(encoding) = encoding {
            headers.to_mut().insert(CONTENT_ENCODING, HeaderValue::from_static(encoding));
        }
        if !self.carries_credentials {
            let headers = headers.to_mut();
            for name in [AUTHORIZATION, COOKIE, http::header::WWW_AUTHENTICATE] {
                headers.remove(name);
            }
        }
        if let Some(cookies) = &client.cookies {
            cookies.apply(&self.uri, headers.to_mut());
        }
        if self.carries_credentials {
            // Configured fields are credentials more often than not.
            if !client.headers.is_empty() {
                client.headers.apply(headers.to_mut())?;
            }
            let in_url = self.uri.authority().is_some_and(|authority| authority.as_str().contains('@'));
            if in_url || !matches!(client.signer, Signer::None | Signer::Authenticator(_)) {
                authorize(&client.signer, &self.uri, headers.to_mut()).await?;
            }
        }
        Ok(headers)
    }

    /// One request and its response, without redirects; twice if an authenticator wants to try again.
    async fn hop(
        &self,
        body: &Bytes,
        encoding: Option<&'static str>,
        buffer: &mut Vec<u8>,
    ) -> Result<(StatusCode, HeaderMap, Source), Failure> {
        let route = self.client.dialer.route(&self.uri, self.request.unix_socket.as_deref())?;
        let mut headers = self.headers(encoding).await?;
        if let Some(proxy) = route.proxy.filter(|_| route.is_forwarded())
            && let Some(value) = proxy_authorization(proxy.uri())?
        {
            headers.to_mut().insert(PROXY_AUTHORIZATION, value);
        }
        let auth = match &self.client.signer {
            Signer::Authenticator(auth) if self.carries_credentials => auth,
            _ => return self.exchange(&route, &headers, body, buffer).await,
        };
        let mut tries_left = 1;
        loop {
            let mut request = http::Request::new(());
            *request.method_mut() = self.method.clone();
            *request.uri_mut() = self.uri.clone();
            *request.headers_mut() = headers.clone().into_owned();
            let (mut parts, ()) = request.into_parts();
            self.enter(Phase::Authenticating);
            auth.apply(&mut parts, body)
                .await
                .map_err(|error| Failure::new(RequestErrorKind::Auth, error.to_string()))?;
            let (status, response, mut source) = self.exchange(&route, &parts.headers, body, buffer).await?;
            if status.is_client_error() {
                while buffer.len() < MAX_SIDE_BODY && source.read(buffer, usize::MAX).await? {}
                if auth.on_response(status, buffer) == AuthVerdict::Retry && tries_left > 0 {
                    tries_left -= 1;
                    continue;
                }
            }
            return Ok((status, response, source));
        }
    }

    /// One request and its response on one connection; on a second one if the first had been closed meanwhile.
    async fn exchange(
        &self,
        route: &Route<'_>,
        headers: &HeaderMap,
        body: &Bytes,
        buffer: &mut Vec<u8>,
    ) -> Result<(StatusCode, HeaderMap, Source), Failure> {
        self.enter(Phase::Connecting);
        let client = self.client;
        let permit = client.pool.permit(&route.key).await;
        let (tls, tls_version) = match route.https {
            true => {
                let (config, version) = client.dialer.tls.config().map_err(|error| tls_failure(&error))?;
                (Some(config), version)
            }
            false => (None, 0),
        };
        let tls_version = client.pool.generation(tls_version);
        let mut kept = client.pool.take(&route.key, tls_version);
        loop {
            let reused = kept.is_some();
            let connection = match kept.take() {
                Some(kept) => kept,
                // Boxed: it is large and rarely needed.
                None => Box::pin(self.connect(route, tls.clone(), tls_version)).await?,
            };
            self.enter(Phase::AwaitingHeaders);
            let result = match connection {
                Kept::Http1(stream) => self.over_http1(stream, route, headers, body, buffer).await,
                Kept::Http2(sender) => Box::pin(self.over_http2(sender, headers, body, buffer)).await,
            };
            match result {
                Ok((status, headers, connection)) => {
                    let home =
                        Home { pool: Arc::clone(&client.pool), key: route.key.clone(), tls_version, _permit: permit };
                    return Ok((status, headers, Source { connection, home: Some(home) }));
                }
                Err(failure) if reused && failure.before_response && self.request.is_idempotent() => {
                    self.enter(Phase::Connecting);
                }
                Err(failure) => return Err(failure),
            }
        }
    }

    async fn connect(
        &self,
        route: &Route<'_>,
        tls: Option<Arc<rustls::ClientConfig>>,
        tls_version: u64,
    ) -> Result<Kept, Failure> {
        let stream = self.client.dialer.connect(route, tls).await?;
        if !stream.negotiated_http2() {
            return Ok(Kept::Http1(stream));
        }
        let sender = http2::handshake(stream, self.client.http2_ping).await?;
        self.client.pool.share(&route.key, sender.clone(), tls_version);
        Ok(Kept::Http2(sender))
    }

    async fn over_http1(
        &self,
        mut stream: Stream,
        route: &Route<'_>,
        headers: &HeaderMap,
        body: &Bytes,
        buffer: &mut Vec<u8>,
    ) -> Result<(StatusCode, HeaderMap, Connection), Failure> {
        let line = RequestLine {
            method: &self.method,
            uri: &self.uri,
            absolute: route.is_forwarded(),
            close: !self.client.keep_alive,
        };
        let head = http1::encode_head(&line, headers, body.len());
        let head = http1::exchange(&mut stream, &self.method, &head, body, buffer).await?;
        let connection = Connection::Http1 { stream, decoder: head.decoder, keep_alive: head.keep_alive };
        Ok((head.status, head.headers, connection))
    }

    async fn over_http2(
        &self,
        mut sender: http2::Http2Sender,
        headers: &HeaderMap,
        body: &Bytes,
        buffer: &mut Vec<u8>,
    ) -> Result<(StatusCode, HeaderMap, Connection), Failure> {
        buffer.clear();
        let mut request = http::Request::new(Full::new(body.clone()));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        *request.version_mut() = http::Version::HTTP_2;
        *request.headers_mut() = headers.clone();
        let headers = request.headers_mut();
        for name in [HOST, CONNECTION, TRANSFER_ENCODING] {
            headers.remove(name);
        }
        headers.entry(USER_AGENT).or_insert(HeaderValue::from_static(DEFAULT_USER_AGENT));
        let (head, incoming) = sender.send(request).await?.into_parts();
        Ok((head.status, head.headers, Connection::Http2 { incoming, _sender: sender }))
    }

    fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Relaxed);
    }
}

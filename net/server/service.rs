//! From a request's head to its response: limits, authentication, decompression, the handler.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_LENGTH, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use super::connection::Clock;
use crate::client::percent_decoded;

use super::{Handler, HttpServerSettings, Request, Response};

/// What all connections of a server share.
pub(super) struct Service {
    pub(super) settings: HttpServerSettings,
    pub(super) handler: Arc<dyn Handler>,
}

impl Service {
    pub(super) async fn respond(
        &self,
        request: http::Request<Incoming>,
        peer: Option<SocketAddr>,
        clock: &Clock,
    ) -> Response {
        let (parts, body) = request.into_parts();
        let cors = self.settings.cors.as_ref();
        if let Some(response) = cors.and_then(|cors| cors.preflight(&parts.method, &parts.headers)) {
            return response;
        }
        // Kept for the response, since the handler takes the request's fields.
        let origin = cors.map(|cors| {
            let mut allowed = HeaderMap::new();
            cors.allow(&parts.headers, &mut allowed);
            allowed
        });
        let mut response = match self.request(parts, body, peer, clock).await {
            Ok(request) => self.handler.handle(request).await,
            Err(response) => response,
        };
        if let Some(origin) = origin {
            response.headers.extend(origin);
        }
        for (name, value) in &self.settings.response_headers {
            response.headers.insert(name, value.clone());
        }
        if !self.settings.keep_alive {
            response.headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    /// The complete request, or the response that says why there is none.
    async fn request(
        &self,
        parts: http::request::Parts,
        body: Incoming,
        peer: Option<SocketAddr>,
        clock: &Clock,
    ) -> Result<Request, Response> {
        let mut headers = parts.headers;
        // Before the body is read: a stranger's body is not worth its memory.
        let identity = match &self.settings.auth {
            None => None,
            Some(auth) => {
                let seen = self.with_params(&parts.uri, &headers);
                Some(auth.authenticate(&seen).await.map_err(|error| {
                    let mut response = Response::text(StatusCode::UNAUTHORIZED, error.to_string());
                    let challenge = HeaderValue::from_static(auth.challenge());
                    response.headers.insert(WWW_AUTHENTICATE, challenge);
                    response
                })?)
            }
        };
        let limit = self.settings.max_request_body;
        let announced = headers
            .get(CONTENT_LENGTH)
            .and_then(|length| length.to_str().ok())
            .and_then(|length| length.parse::<usize>().ok())
            .unwrap_or(0);
        let body = read(body, announced, limit).await?;
        clock.body_complete();
        let body = self
            .settings
            .encodings
            .decode(&mut headers, body, limit)
            .map_err(|(status, text)| Response::text(status, text))?;
        Ok(Request { method: parts.method, uri: parts.uri, headers, body, peer, identity })
    }
}

impl Service {
    /// The fields that an authenticator sees: the request's, and the parameters of its URL that are configured.
    fn with_params<'a>(&self, uri: &Uri, headers: &'a HeaderMap) -> Cow<'a, HeaderMap> {
        let mut seen = Cow::Borrowed(headers);
        for wanted in &self.settings.auth_params {
            let Ok(name) = wanted.parse::<HeaderName>() else { continue };
            let pairs = uri.query().unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
            for (_, value) in pairs.filter(|(key, _)| percent_decoded(&key.replace('+', " ")) == *wanted) {
                if let Ok(value) = HeaderValue::from_str(&percent_decoded(&value.replace('+', " "))) {
                    seen.to_mut().append(name.clone(), value);
                }
            }
        }
        seen
    }
}

/// A body of at most `limit` bytes.
async fn read(mut body: Incoming, announced: usize, limit: usize) -> Result<Bytes, Response> {
    let too_large = || {
        let mut response =
            Response::text(StatusCode::PAYLOAD_TOO_LARGE, format!("request body too large (limit {limit} bytes)"));
        // What is left of the body would otherwise have to be read to get at the next request.
        response.headers.insert(CONNECTION, HeaderValue::from_static("close"));
        response
    };
    if announced > limit {
        return Err(too_large());
    }
    let mut first = Bytes::new();
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            Response::text(StatusCode::BAD_REQUEST, format!("request body cannot be read: {error}"))
        })?;
        let Ok(data) = frame.into_data() else { continue };
        if data.len() > limit.saturating_sub(first.len() + whole.len()) {
            return Err(too_large());
        }
        if first.is_empty() && whole.is_empty() {
            // Small bodies come in one piece, which is passed on without a copy.
            first = data;
        } else {
            if whole.is_empty() {
                // Room for what was announced, but no more than four times what has come.
                whole.reserve(announced.min((first.len() + data.len()).saturating_mul(4)));
                whole.extend_from_slice(&first);
                first = Bytes::new();
            }
            whole.extend_from_slice(&data);
        }
    }
    Ok(if whole.is_empty() { first } else { whole.freeze() })
}

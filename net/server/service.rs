//! From a request's head to its response: limits, authentication, decompression, the handler.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;

use http::header::{CONNECTION, CONTENT_LENGTH, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};
use hyper::body::Incoming;

use super::body::{Budget, Held, Limits, read};
use super::connection::Clock;
use crate::client::percent_decoded;

use super::{Handler, HttpServerSettings, Request, Response};

/// What all connections of a server share.
pub(super) struct Service {
    pub(super) settings: HttpServerSettings,
    handler: Arc<dyn Handler>,
    budget: Budget,
}

impl Service {
    pub(super) fn new(settings: HttpServerSettings, handler: Arc<dyn Handler>) -> Self {
        let budget = Budget::new(settings.max_buffered);
        Self { settings, handler, budget }
    }

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
        let mut held = self.budget.hold();
        let mut response = match self.request(parts, body, peer, clock, &mut held).await {
            Ok(request) => self.handler.handle(request).await,
            Err(response) => response,
        };
        drop(held);
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
        held: &mut Held<'_>,
    ) -> Result<Request, Response> {
        let mut headers = parts.headers;
        // Before the body is read: a stranger's body is not worth its memory.
        let identity = match &self.settings.auth {
            None => None,
            Some(auth) => {
                let seen = self.with_params(&parts.uri, &headers);
                Some(auth.authenticate(&seen).await.map_err(|error| {
                    let mut response = self.handler.refusal(&headers, StatusCode::UNAUTHORIZED, error.to_string());
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
        let limits = Limits { announced, size: limit, stall: self.settings.body_stall };
        let body = read(body, limits, held).await.map_err(|(status, text)| {
            let mut response = self.handler.refusal(&headers, status, text);
            if !self.settings.http2.only {
                // What is left of the body would otherwise have to be read to get at the next request.
                response.headers.insert(CONNECTION, HeaderValue::from_static("close"));
            }
            response
        })?;
        clock.body_complete();
        let decoded = self.settings.encodings.decode(&mut headers, body, limit);
        let body = decoded.map_err(|(status, text)| self.handler.refusal(&headers, status, text))?;
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

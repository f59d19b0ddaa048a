//! Which web pages may send requests (the Fetch standard's CORS protocol).

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode};

use super::Response;

/// The `cors` block.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CorsConfig {
    /// Origins that may send, such as `https://example.com`; each may contain one `*`. Default: none, and no page may.
    pub allowed_origins: Vec<String>,
    /// Fields that pages may send besides the harmless ones; `*` for any. Default: `Accept`, `Content-Type`,
    /// `X-Requested-With`.
    pub allowed_headers: Vec<String>,
    /// Fields of responses that pages may read. Default: the harmless ones.
    pub exposed_headers: Vec<String>,
    /// For how many seconds a browser may remember the permission. Default 0: as browsers do.
    pub max_age: u64,
}

/// Fields that are allowed if none are named.
const DEFAULT_HEADERS: [&str; 3] = ["accept", "content-type", "x-requested-with"];

impl CorsConfig {
    /// The answer to a browser's question whether a request would be allowed; none if this is not such a question.
    pub(super) fn preflight(&self, method: &Method, headers: &HeaderMap) -> Option<Response> {
        let asked = headers.get(ACCESS_CONTROL_REQUEST_METHOD)?;
        if *method != Method::OPTIONS || self.allowed_origins.is_empty() {
            return None;
        }
        let mut response = Response::new(StatusCode::NO_CONTENT);
        response.headers.append(VARY, HeaderValue::from_static("Origin"));
        let known = matches!(asked.as_bytes(), b"GET" | b"POST" | b"HEAD");
        let Some(origin) = self.allowed(headers).filter(|_| known && self.allows_fields(headers)) else {
            return Some(response);
        };
        response.headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        response.headers.insert(ACCESS_CONTROL_ALLOW_METHODS, asked.clone());
        if let Some(fields) = headers.get(ACCESS_CONTROL_REQUEST_HEADERS) {
            response.headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, fields.clone());
        }
        if self.max_age > 0 {
            response.headers.insert(ACCESS_CONTROL_MAX_AGE, self.max_age.into());
        }
        Some(response)
    }

    /// Adds to a response what lets the page read it.
    pub(super) fn allow(&self, request: &HeaderMap, response: &mut HeaderMap) {
        if self.allowed_origins.is_empty() {
            return;
        }
        response.append(VARY, HeaderValue::from_static("Origin"));
        let Some(origin) = self.allowed(request) else { return };
        response.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        if let (false, Ok(exposed)) =
            (self.exposed_headers.is_empty(), HeaderValue::from_str(&self.exposed_headers.join(", ")))
        {
            response.insert(ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
        }
    }

    /// The value that allows the request's origin, if it is allowed.
    fn allowed(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let origin = headers.get(ORIGIN)?;
        let text = origin.to_str().ok()?.to_ascii_lowercase();
        if self.allowed_origins.iter().any(|pattern| pattern == "*") {
            return Some(HeaderValue::from_static("*"));
        }
        let fits = |pattern: &String| {
            let pattern = pattern.to_ascii_lowercase();
            match pattern.split_once('*') {
                None => pattern == text,
                Some((front, back)) => {
                    text.len() >= front.len() + back.len() && text.starts_with(front) && text.ends_with(back)
                }
            }
        };
        self.allowed_origins.iter().any(fits).then(|| origin.clone())
    }

    fn allows_fields(&self, headers: &HeaderMap) -> bool {
        let Some(asked) = headers.get(ACCESS_CONTROL_REQUEST_HEADERS) else {
            return true;
        };
        let Ok(asked) = asked.to_str() else { return false };
        let is_allowed = |field: &str| match self.allowed_headers.is_empty() {
            true => DEFAULT_HEADERS.iter().any(|known| known.eq_ignore_ascii_case(field)),
            false => self.allowed_headers.iter().any(|allowed| allowed == "*" || allowed.eq_ignore_ascii_case(field)),
        };
        asked.split(',').map(str::trim).filter(|field| !field.is_empty()).all(is_allowed)
    }
}

//! `net`'s HTTP client for the providers of `aws-config`, which thus need no HTTP and TLS stack of their own.

use aws_smithy_runtime_api::client::http::{
    HttpClient as SmithyClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use net::auth::Authenticators;
use net::client::{ClientConfigError, ClientSettings, HttpClient, ProxySettings, Request, RequestErrorKind};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// What a request may take when its sender says nothing: as long as an answer of STS ever takes, and some more.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Answers of metadata services and of STS have some kilobytes.
const ANSWER_LIMIT: usize = 1 << 20;

/// Connections to STS and to metadata services. Clones share them.
#[derive(Clone)]
pub(crate) struct Connections {
    inner: Arc<Inner>,
}

struct Inner {
    /// For https: through the proxy of the environment.
    outside: HttpClient,
    /// For http, which is spoken by metadata services on this machine and by nobody else: never through a proxy.
    inside: HttpClient,
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connections").finish_non_exhaustive()
    }
}

impl Connections {
    /// Without connections yet.
    ///
    /// # Errors
    /// If the proxy of the environment is not a URL.
    pub(crate) fn new() -> Result<Self, ClientConfigError> {
        let inside = ClientSettings { timeout: Some(TIMEOUT), follow_redirects: false, ..ClientSettings::default() };
        let proxy = ProxySettings::FromEnvironment { connect_headers: Vec::new() };
        let outside = ClientSettings { proxy, ..inside.clone() };
        let inner = Inner {
            outside: HttpClient::new(&outside, &Authenticators::default())?,
            inside: HttpClient::new(&inside, &Authenticators::default())?,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The client for this scheme.
    pub(crate) fn of_scheme(&self, scheme: Option<&str>) -> &HttpClient {
        if scheme == Some("https") { &self.inner.outside } else { &self.inner.inside }
    }
}

impl SmithyClient for Connections {
    fn http_connector(&self, settings: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        let timeout = match (settings.connect_timeout(), settings.read_timeout()) {
            (None, None) => TIMEOUT,
            (connect, read) => connect.unwrap_or_default() + read.unwrap_or(TIMEOUT),
        };
        SharedHttpConnector::new(Connector { connections: self.clone(), timeout })
    }
}

#[derive(Debug)]
struct Connector {
    connections: Connections,
    timeout: Duration,
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (connections, timeout) = (self.connections.clone(), self.timeout);
        HttpConnectorFuture::new(async move { connections.exchange(request, timeout).await })
    }
}

impl Connections {
    async fn exchange(&self, request: HttpRequest, timeout: Duration) -> Result<HttpResponse, ConnectorError> {
        let request = request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?;
        let (parts, body) = request.into_parts();
        let Some(body) = body.bytes().map(Bytes::copy_from_slice) else {
            return Err(ConnectorError::user("a request of this kind has its body in memory".into()));
        };
        let mut request = Request::new(parts.method, parts.uri);
        request.headers = parts.headers;
        request.body = body;
        request.timeout = Some(timeout);
        let mut answer = Vec::new();
        let client = self.of_scheme(request.uri.scheme_str());
        let head = client.send(&request, &mut answer, ANSWER_LIMIT).await.map_err(|error| {
            if error.kind() == RequestErrorKind::Timeout {
                ConnectorError::timeout(error.into())
            } else {
                ConnectorError::io(error.into())
            }
        })?;
        let mut response = http::Response::new(SdkBody::from(answer));
        *response.status_mut() = head.status;
        *response.headers_mut() = head.headers;
        HttpResponse::try_from(response).map_err(|error| ConnectorError::other(error.into(), None))
    }
}

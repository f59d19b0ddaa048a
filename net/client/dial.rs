//! Opening connections: name, TCP, proxy, TLS.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::header::{HOST, PROXY_AUTHORIZATION};
use http::{HeaderMap, HeaderValue, Method, Uri};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::error::{Failure, RequestErrorKind, redacted};
use super::http1;
use super::proxy::{ProxyRules, ProxyUrl};
use super::stream::Stream;
use crate::file::io_text;
use crate::tls::ClientTls;

/// How long one address may take, if the request has no limit of its own: Go's default.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// How long an address may take while another one is left to try: a host that drops packets must not use up the
/// time of a scrape when its second address works.
pub(super) const NEXT_ADDRESS_AFTER: Duration = Duration::from_secs(2);
/// How long the TLS handshake may take: Prometheus' value.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Silence after which the kernel asks whether the other side is still there, and the time between its questions:
/// finds dead peers of connections that only receive (watches). Go's values.
const KEEPALIVE: Duration = Duration::from_secs(15);

/// Where a request goes.
#[derive(Debug)]
pub(super) struct Route<'a> {
    pub(super) https: bool,
    /// Without the brackets of an IPv6 address.
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) unix: Option<PathBuf>,
    pub(super) proxy: Option<&'a ProxyUrl>,
    /// Requests with the same key can use the same connection.
    pub(super) key: String,
}

impl Route<'_> {
    /// Whether the request is sent to a proxy that forwards it, as opposed to one that only opens a tunnel.
    pub(super) fn is_forwarded(&self) -> bool {
        self.proxy.is_some() && !self.https
    }
}

/// Opens connections by one client's settings.
pub(super) struct Dialer {
    pub(super) tls: ClientTls,
    pub(super) proxies: ProxyRules,
}

impl Dialer {
    /// Where a request to `uri` goes.
    pub(super) fn route(&self, uri: &Uri, unix: Option<&Path>) -> Result<Route<'_>, Failure> {
        let invalid = |text: String| Failure::new(RequestErrorKind::InvalidUrl, text);
        let https = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            scheme => {
                return Err(invalid(format!("unsupported protocol scheme {:?}", scheme.unwrap_or(""))));
            }
        };
        let host = uri.host().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() {
            return Err(invalid("http: no Host in request URL".to_owned()));
        }
        let port = uri.port_u16().unwrap_or(if https { 443 } else { 80 });
        let proxy = match unix {
            Some(_) => None,
            None => self.proxies.proxy(https, host, port),
        };
        let key = match (unix, proxy) {
            (Some(path), _) => format!("{}{}|{}", u8::from(https), host, path.display()),
            (None, Some(proxy)) if !https => format!("p{}", proxy.uri()),
            _ => {
                // The usual one, made with a single allocation.
                let mut key = String::with_capacity(host.len() + 7);
                key.push(if https { 's' } else { 'h' });
                key.push_str(host);
                key.push(':');
                key.push_str(uri.port().as_ref().map_or(if https { "443" } else { "80" }, |port| port.as_str()));
                key
            }
        };
        Ok(Route { https, host: host.to_owned(), port, unix: unix.map(Path::to_owned), proxy, key })
    }

    /// Opens a connection for `route`; `tls` is there if it is `https`.
    pub(super) async fn connect(&self, route: &Route<'_>, tls: Option<Arc<ClientConfig>>) -> Result<Stream, Failure> {
        let stream = match (&route.unix, route.proxy) {
            (Some(path), _) => connect_unix(path).await?,
            (None, None) => Stream::Tcp(connect_tcp(&route.host, route.port).await?),
            (None, Some(proxy)) => self.connect_proxy(proxy, route).await?,
        };
        match tls {
            None => Ok(stream),
            Some(config) => {
                let name = self.tls.server_name().unwrap_or(&route.host);
                handshake(stream, config, name).await
            }
        }
    }

    async fn connect_proxy(&self, proxy: &ProxyUrl, route: &Route<'_>) -> Result<Stream, Failure> {
        let as_proxy_failure =
            |failure: Failure| Failure::new(RequestErrorKind::Proxy, format!("proxyconnect tcp: {}", failure.detail));
        let uri = proxy.uri();
        let host = uri.host().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let secure = uri.scheme_str() == Some("https");
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let mut stream = Stream::Tcp(connect_tcp(host, port).await.map_err(as_proxy_failure)?);
        if secure {
            let (config, _) = self.tls.config().map_err(|error| tls_failure(&error))?;
            let mut config = (*config).clone();
            // A proxy is spoken to in HTTP/1.1 only.
            config.alpn_protocols = vec![b"http/1.1".to_vec()];
            stream = handshake(stream, Arc::new(config), host).await.map_err(as_proxy_failure)?;
        }
        if route.https {
            self.open_tunnel(&mut stream, proxy, route).await.map_err(as_proxy_failure)?;
        }
        Ok(stream)
    }

    /// Asks the proxy to connect to the route's host (RFC 9110 section 9.3.6).
    async fn open_tunnel(&self, stream: &mut Stream, proxy: &ProxyUrl, route: &Route<'_>) -> Result<(), Failure> {
        let authority = match route.host.contains(':') {
            true => format!("[{}]:{}", route.host, route.port),
            false => format!("{}:{}", route.host, route.port),
        };
        let mut headers = HeaderMap::new();
        for (name, value) in &self.proxies.connect_headers {
            headers.append(name, secret_header(value.expose())?);
        }
        if let Some(value) = proxy_authorization(proxy.uri())? {
            headers.entry(PROXY_AUTHORIZATION).or_insert(value);
        }
        let mut head = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n").into_bytes();
        for (name, value) in headers.iter().filter(|(name, _)| **name != HOST) {
            head.extend_from_slice(name.as_str().as_bytes());
            head.extend_from_slice(b": ");
            head.extend_from_slice(value.as_bytes());
            head.extend_from_slice(b"\r\n");
        }
        head.extend_from_slice(b"\r\n");
        let mut rest = Vec::new();
        let response = http1::exchange(stream, &Method::CONNECT, &head, &[], &mut rest).await?;
        if !response.status.is_success() {
            return Err(Failure::new(
                RequestErrorKind::Proxy,
                format!("{} refused to connect to {authority}: {}", redacted(proxy.uri()), response.status),
            ));
        }
        if !rest.is_empty() {
            return Err(Failure::protocol("the proxy sent data before the tunnel was used"));
        }
        Ok(())
    }
}

/// The field that a URL's user and password stand for, or none.
pub(super) fn basic_from_url(uri: &Uri) -> Result<Option<HeaderValue>, Failure> {
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let Some((userinfo, _)) = authority.rsplit_once('@') else {
        return Ok(None);
    };
    let (user, password) = userinfo.split_once(':').unwrap_or((userinfo, ""));
    basic(&percent_decoded(user), &percent_decoded(password)).map(Some)
}

/// The field that a proxy's user and password stand for, or none.
pub(super) fn proxy_authorization(proxy: &Uri) -> Result<Option<HeaderValue>, Failure> {
    basic_from_url(proxy)
}

/// `Basic` credentials.
pub(super) fn basic(user: &str, password: &str) -> Result<HeaderValue, Failure> {
    secret_header(&format!("Basic {}", BASE64.encode(format!("{user}:{password}"))))
}

/// A field's value that is not to be printed.
pub(super) fn secret_header(text: &str) -> Result<HeaderValue, Failure> {
    let mut value = HeaderValue::from_str(text).map_err(|_| {
        Failure::new(
            RequestErrorKind::Credentials,
            "a credential contains characters that a header field cannot carry (a line break?)",
        )
    })?;
    value.set_sensitive(true);
    Ok(value)
}

pub(super) fn tls_failure(error: &crate::tls::TlsError) -> Failure {
    Failure::new(RequestErrorKind::Tls, error.to_string())
}

/// Undoes the encoding of characters that a URL cannot carry; what is no encoding stays as it is.
pub(crate) fn percent_decoded(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        let decoded = match after {
            [high, low, ..] if byte == b'%' => hex(*high).zip(hex(*low)),
            _ => None,
        };
        match decoded {
            Some((high, low)) => {
                out.push(high << 4 | low);
                rest = after.get(2..).unwrap_or_default();
            }
            None => out.push(byte),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

async fn connect_unix(path: &Path) -> Result<Stream, Failure> {
    match UnixStream::connect(path).await {
        Ok(stream) => Ok(Stream::Unix(stream)),
        Err(error) => Err(Failure::new(
            connect_kind(&error),
            format!("dial unix {}: connect: {}", path.display(), io_text(&error)),
        )),
    }
}

async fn connect_tcp(host: &str, port: u16) -> Result<TcpStream, Failure> {
    let addresses: Vec<SocketAddr> = match host.parse() {
        Ok(address) => vec![SocketAddr::new(address, port)],
        Err(_) => lookup(host, port).await?,
    };
    let mut last = None;
    let mut rest = addresses.len();
    for address in addresses {
        rest -= 1;
        let limit = if rest == 0 { CONNECT_TIMEOUT } else { NEXT_ADDRESS_AFTER };
        let failure = match timeout(limit, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // A request is written in one piece: waiting for more to send would only delay its end.
                stream.set_nodelay(true).ok();
                let keepalive = TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE);
                SockRef::from(&stream).set_tcp_keepalive(&keepalive).ok();
                return Ok(stream);
            }
            Ok(Err(error)) => {
                Failure::new(connect_kind(&error), format!("dial tcp {address}: connect: {}", io_text(&error)))
            }
            Err(_) => Failure::new(RequestErrorKind::Timeout, format!("dial tcp {address}: i/o timeout")),
        };
        last = Some(failure);
    }
    Err(last.unwrap_or_else(|| no_such_host(host)))
}

pub(super) async fn lookup(host: &str, port: u16) -> Result<Vec<SocketAddr>, Failure> {
    match tokio::net::lookup_host((host, port)).await {
        Ok(addresses) => Ok(addresses.collect()),
        Err(error) => {
            let text = error.to_string();
            if text.contains("not known") || text.contains("No address associated") {
                return Err(no_such_host(host));
            }
            let reason = text.rsplit(": ").next().unwrap_or_default();
            Err(Failure::new(RequestErrorKind::Dns, format!("dial tcp: lookup {host}: {reason}")))
        }
    }
}

fn no_such_host(host: &str) -> Failure {
    Failure::new(RequestErrorKind::Dns, format!("dial tcp: lookup {host}: no such host"))
}

fn connect_kind(error: &io::Error) -> RequestErrorKind {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => RequestErrorKind::ConnectRefused,
        _ => RequestErrorKind::Connect,
    }
}

async fn handshake(stream: Stream, config: Arc<ClientConfig>, name: &str) -> Result<Stream, Failure> {
    let server_name = ServerName::try_from(name.to_owned()).map_err(|_| {
        Failure::new(RequestErrorKind::Tls, format!("tls: {name:?} is not a name that a certificate can carry"))
    })?;
    let connector = TlsConnector::from(config);
    let handshake = async {
        Ok::<_, io::Error>(match stream {
            Stream::Tcp(tcp) => Stream::Tls(Box::new(connector.connect(server_name, tcp).await?)),
            other => Stream::Layered(Box::new(connector.connect(server_name, other).await?)),
        })
    };
    match timeout(HANDSHAKE_TIMEOUT, handshake).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => Err(Failure::new(RequestErrorKind::Tls, handshake_text(&error, name))),
        Err(_) => Err(Failure::new(RequestErrorKind::Timeout, "net/http: TLS handshake timeout")),
    }
}

/// The handshake's failure in the words that Go programs use, with what to do.
fn handshake_text(error: &io::Error, name: &str) -> String {
    use rustls::{CertificateError as Certificate, Error};
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    match inner {
        Some(Error::InvalidCertificate(reason)) => {
            let reason = match reason {
                Certificate::UnknownIssuer => {
                    "certificate signed by unknown authority; name its authority in ca_file".to_owned()
                }
                // Rotation without renaming: the trusted authority has the right name and another key.
                Certificate::BadSignature => {
                    "certificate signed by unknown authority (one of the same name is trusted, but its key is another)"
                        .to_owned()
                }
                Certificate::Expired | Certificate::ExpiredContext { .. } => {
                    "certificate has expired or is not yet valid".to_owned()
                }
                Certificate::NotValidYet | Certificate::NotValidYetContext { .. } => {
                    "certificate has expired or is not yet valid (not yet)".to_owned()
                }
                Certificate::NotValidForName | Certificate::NotValidForNameContext { .. } => {
                    format!("certificate is not valid for {name}; set the server name if this is intended")
                }
                other => other.to_string(),
            };
            format!("tls: failed to verify certificate: x509: {reason}")
        }
        Some(Error::AlertReceived(alert)) => format!("remote error: tls: {alert:?}"),
        Some(Error::InvalidMessage(_)) => {
            "tls: first record does not look like a TLS handshake; the server may speak plain http".to_owned()
        }
        Some(error) => format!("tls: {error}"),
        None => match error.kind() {
            io::ErrorKind::UnexpectedEof => {
                "tls: the server closed the connection during the handshake: EOF".to_owned()
            }
            _ => format!("tls: {}", io_text(error)),
        },
    }
}

//! Sockets that are listened on.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use super::Transport;

/// An open socket.
pub(super) enum Listener {
    Tcp(TcpListener),
    /// With its path, which is removed at the end.
    Unix(UnixListener, PathBuf),
}

/// A connection that came in.
pub(super) enum Accepted {
    Tcp(TcpStream, SocketAddr),
    Unix(UnixStream),
}

impl Listener {
    pub(super) async fn bind(endpoint: &str, transport: Transport) -> io::Result<Self> {
        if transport == Transport::Unix {
            return bind_unix(Path::new(endpoint));
        }
        let mut last = io::Error::new(io::ErrorKind::InvalidInput, "the host has no address of this kind");
        for address in addresses(endpoint, transport).await? {
            match TcpListener::bind(address).await {
                Ok(listener) => return Ok(Self::Tcp(listener)),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    pub(super) fn local_addr(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(listener) => listener.local_addr().ok(),
            Self::Unix(..) => None,
        }
    }

    pub(super) async fn accept(&self) -> io::Result<Accepted> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                stream.set_nodelay(true).ok();
                Ok(Accepted::Tcp(stream, peer))
            }
            Self::Unix(listener, _) => Ok(Accepted::Unix(listener.accept().await?.0)),
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Self::Unix(_, path) = self {
            // A path that stays behind would look like a server.
            std::fs::remove_file(path).ok();
        }
    }
}

impl Accepted {
    pub(super) fn peer(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(_, peer) => Some(*peer),
            Self::Unix(_) => None,
        }
    }

    /// Says why there is no service, where it can be said, and closes.
    pub(super) fn refuse(self, silent: bool, limit: usize) {
        if silent {
            return;
        }
        let text = format!("too many connections (limit {limit})");
        let response = format!(
            "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{text}",
            text.len()
        );
        // A new connection has room for this; if it has not, closing says enough.
        match &self {
            Self::Tcp(stream, _) => stream.try_write(response.as_bytes()).ok(),
            Self::Unix(stream) => stream.try_write(response.as_bytes()).ok(),
        };
    }
}

/// Host and port of an endpoint, or what is wrong with it.
fn split(endpoint: &str) -> Result<(&str, u16), String> {
    if let Some((scheme, rest)) = endpoint.split_once("://") {
        return Err(format!(
            "it is an address and no URL; leave out {scheme}:// and write {}",
            rest.trim_end_matches('/')
        ));
    }
    let missing = || format!("missing port in address; write host:port, such as {endpoint}:4318");
    let (host, port) = endpoint.rsplit_once(':').ok_or_else(missing)?;
    let bare = match host.strip_prefix('[') {
        Some(bracketed) => bracketed.strip_suffix(']').ok_or_else(missing)?,
        None if host.contains(':') => {
            return Err(
                "too many colons in address; write addresses of IPv6 in brackets, such as [::1]:4318".to_owned()
            );
        }
        None => host,
    };
    match port {
        "" => Ok((bare, 0)),
        port => port
            .parse()
            .map(|port| (bare, port))
            .map_err(|_| format!("invalid port in address: {port:?} is no number up to 65535")),
    }
}

/// What is wrong with an endpoint, as far as that can be seen from it.
pub(super) fn problem(endpoint: &str, transport: Transport) -> Option<String> {
    match transport {
        Transport::Unix => endpoint.is_empty().then(|| "the path of the socket is missing".to_owned()),
        Transport::Tcp | Transport::Tcp4 | Transport::Tcp6 => split(endpoint).err(),
    }
}

/// The addresses that an endpoint stands for, those of IPv4 first: that is where other programs expect `localhost`.
async fn addresses(endpoint: &str, transport: Transport) -> io::Result<Vec<SocketAddr>> {
    let (host, port) = split(endpoint).map_err(|problem| io::Error::new(io::ErrorKind::InvalidInput, problem))?;
    let mut addresses: Vec<SocketAddr> = if host.is_empty() {
        // One socket for both kinds, or IPv4 where there is no IPv6.
        let all: [IpAddr; 2] = [Ipv6Addr::UNSPECIFIED.into(), Ipv4Addr::UNSPECIFIED.into()];
        all.into_iter().map(|address| SocketAddr::new(address, port)).collect()
    } else {
        let mut found: Vec<_> = tokio::net::lookup_host((host, port)).await?.collect();
        found.sort_by_key(SocketAddr::is_ipv6);
        found
    };
    addresses.retain(|address| match transport {
        Transport::Tcp4 => address.is_ipv4(),
        Transport::Tcp6 => address.is_ipv6(),
        Transport::Tcp | Transport::Unix => true,
    });
    Ok(addresses)
}

fn bind_unix(path: &Path) -> io::Result<Listener> {
    match UnixListener::bind(path) {
        Ok(listener) => Ok(Listener::Unix(listener, path.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            // A program that was killed leaves its socket behind; one that lives answers.
            if std::os::unix::net::UnixStream::connect(path).is_ok() {
                return Err(error);
            }
            std::fs::remove_file(path)?;
            Ok(Listener::Unix(UnixListener::bind(path)?, path.to_owned()))
        }
        Err(error) => Err(error),
    }
}

impl AsyncRead for Accepted {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream, _) => Pin::new(stream).poll_read(cx, buf),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Accepted {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream, _) => Pin::new(stream).poll_write(cx, buf),
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream, _) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Self::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream, _) => Pin::new(stream).poll_flush(cx),
            Self::Unix(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream, _) => Pin::new(stream).poll_shutdown(cx),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

//! The connections of a client: one to each address of the endpoint, or to the first that works.
//!
//! Names are resolved when the first call needs it, and again when a connection has ended or could not be made. An address that could not
//! be reached is left out for a while as long as another one works.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::GrpcEndpoint;
use crate::client::dial::{Dialer, NEXT_ADDRESS_AFTER, lookup, tls_failure};
use crate::client::error::Failure;
use crate::client::http2::{self, Http2Ping, Http2Sender};

/// Addresses that are used of a name: more connections than this spread no load that fewer would not.
const MAX_ADDRESSES: usize = 16;
/// How long an address that could not be reached is left out.
const LEFT_OUT: Duration = Duration::from_secs(5);
/// The shortest time between two looks at a name.
const RESOLVE_EVERY: Duration = Duration::from_secs(5);

/// What connections are made of.
pub(super) struct Balancer {
    pub(super) endpoint: GrpcEndpoint,
    pub(super) secure: bool,
    pub(super) dialer: Dialer,
    pub(super) ping: Http2Ping,
    /// Use all addresses in turn, and not the first that works.
    pub(super) spreads: bool,
    pub(super) state: Mutex<State>,
    /// Addresses in place of those that the name has.
    #[cfg(test)]
    pub(super) addresses: parking_lot::Mutex<Option<Vec<SocketAddr>>>,
}

/// What is known of the endpoint.
#[derive(Default)]
pub(super) struct State {
    places: Vec<Arc<Place>>,
    /// Where the next call begins to look.
    turn: usize,
    resolved: Option<Instant>,
}

/// An address, with the connection to it.
struct Place {
    /// None where the endpoint is no name: a Unix socket, or behind a proxy.
    address: Option<SocketAddr>,
    live: Mutex<Option<Live>>,
    trouble: parking_lot::Mutex<Trouble>,
}

#[derive(Default)]
struct Trouble {
    /// When it could not be reached, if that was the last that is known.
    since: Option<Instant>,
    /// A connection has ended, or could not be made, and the name was not looked at since.
    is_new: bool,
}

/// An open connection.
struct Live {
    sender: Http2Sender,
    /// The certificates that were in force when it was made.
    tls_version: u64,
}

impl Place {
    fn new(address: Option<SocketAddr>) -> Arc<Self> {
        Arc::new(Self { address, live: Mutex::new(None), trouble: parking_lot::Mutex::default() })
    }

    fn is_left_out(&self) -> bool {
        self.trouble.lock().since.is_some_and(|since| since.elapsed() < LEFT_OUT)
    }

    /// The open connection, or a new one; whether it was open already.
    async fn connection(&self, balancer: &Balancer) -> Result<(Http2Sender, bool), Failure> {
        let (tls, tls_version) = match balancer.secure {
            true => {
                let (config, version) = balancer.dialer.tls.config().map_err(|error| tls_failure(&error))?;
                (Some(config), version)
            }
            false => (None, 0),
        };
        // Held while the connection is made, so that calls which begin together share one.
        let mut live = self.live.lock().await;
        if let Some(open) = live.as_ref().filter(|open| open.sender.is_usable() && open.tls_version == tls_version) {
            return Ok((open.sender.clone(), true));
        }
        let has_ended = live.take().is_some();
        // Said beforehand: whoever waits may give up before it is known.
        *self.trouble.lock() = Trouble { since: Some(Instant::now()), is_new: true };
        let sender = balancer.connect(self.address, tls).await?;
        *self.trouble.lock() = Trouble { since: None, is_new: has_ended };
        *live = Some(Live { sender: sender.clone(), tls_version });
        Ok((sender, false))
    }
}

impl Balancer {
    /// An open connection, or a new one; whether it was open already.
    pub(super) async fn connection(&self) -> Result<(Http2Sender, bool), Failure> {
        let mut failure = None;
        let places = self.places().await?;
        let mut rest = places.len();
        for place in places {
            rest -= 1;
            let connection = place.connection(self);
            // A host that drops packets must not use up a call's time while there is another one.
            let found = match rest {
                0 => connection.await,
                _ => match tokio::time::timeout(NEXT_ADDRESS_AFTER, connection).await {
                    Ok(found) => found,
                    Err(_) => Err(Failure::timeout(NEXT_ADDRESS_AFTER, "connecting")),
                },
            };
            match found {
                Ok(found) => return Ok(found),
                Err(error) => failure = Some(error),
            }
        }
        Err(failure.unwrap_or_else(|| Failure::protocol("the endpoint has no address")))
    }

    /// The places to try, in order: those that could not be reached of late come last.
    async fn places(&self) -> Result<Vec<Arc<Place>>, Failure> {
        let mut state = self.state.lock().await;
        let unsettled = state.places.is_empty() || state.places.iter().any(|place| place.trouble.lock().is_new);
        if unsettled && state.resolved.is_none_or(|at| at.elapsed() >= RESOLVE_EVERY) {
            match self.resolve().await {
                Ok(addresses) => state.update(&addresses),
                // What was known is as good as anything.
                Err(failure) if state.places.is_empty() => return Err(failure),
                Err(_) => {}
            }
            state.resolved = Some(Instant::now());
        }
        let mut places = state.places.clone();
        if self.spreads && !places.is_empty() {
            let turn = state.turn % places.len();
            state.turn = turn + 1;
            places.rotate_left(turn);
        }
        places.sort_by_key(|place| place.is_left_out());
        Ok(places)
    }

    async fn resolve(&self) -> Result<Vec<Option<SocketAddr>>, Failure> {
        let GrpcEndpoint::Tcp { host, port } = &self.endpoint else { return Ok(vec![None]) };
        if self.dialer.proxies.proxy(true, host, *port).is_some() {
            return Ok(vec![None]);
        }
        #[cfg(test)]
        if let Some(addresses) = &*self.addresses.lock() {
            return Ok(addresses.iter().copied().map(Some).collect());
        }
        let addresses = match host.parse() {
            Ok(address) => vec![SocketAddr::new(address, *port)],
            Err(_) => lookup(host, *port).await?,
        };
        Ok(addresses.into_iter().take(MAX_ADDRESSES).map(Some).collect())
    }

    async fn connect(
        &self,
        address: Option<SocketAddr>,
        tls: Option<Arc<rustls::ClientConfig>>,
    ) -> Result<Http2Sender, Failure> {
        let (mut uri, unix): (Uri, Option<PathBuf>) = self.endpoint.route();
        if let Some(address) = address {
            uri = format!("https://{address}/").parse().unwrap_or(uri);
        }
        // As `https` whether there is TLS or not: what is not plain HTTP/1.1 passes a proxy by a tunnel.
        let mut route = self.dialer.route(&uri, unix.as_deref())?;
        if address.is_some() {
            route.proxy = None;
        }
        let stream = self.dialer.connect(&route, tls).await?;
        if self.secure && !stream.negotiated_http2() {
            return Err(Failure::protocol(
                "the server does not speak HTTP/2 (it has chosen no protocol by ALPN), which gRPC needs",
            ));
        }
        http2::handshake(stream, self.ping).await
    }
}

impl State {
    /// Takes over what a look at the name has given; connections to addresses that are still there stay.
    fn update(&mut self, addresses: &[Option<SocketAddr>]) {
        let known = std::mem::take(&mut self.places);
        for address in addresses {
            if self.places.iter().any(|place| place.address == *address) {
                continue;
            }
            let place = known.iter().find(|place| place.address == *address);
            self.places.push(place.map_or_else(|| Place::new(*address), Arc::clone));
        }
        for place in &self.places {
            place.trouble.lock().is_new = false;
        }
    }
}

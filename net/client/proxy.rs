//! Which requests go through a proxy, by the rules that Go programs share.

use std::fmt;
use std::net::IpAddr;

use http::Uri;
use pipeline::config::Secret;

use super::error::redacted;
use super::settings::ClientConfigError;

/// Which proxy a client uses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ProxySettings {
    /// None.
    #[default]
    None,
    /// One for all requests but those to hosts in `no_proxy`.
    Url {
        /// The proxy: `http://` or `https://`, with user and password if it wants them.
        url: ProxyUrl,
        /// Hosts that are reached directly; empty for none, see [`NoProxy`].
        no_proxy: String,
        /// Fields sent to the proxy when a tunnel is asked for.
        connect_headers: Vec<(http::HeaderName, Secret)>,
    },
    /// Those that the environment names: `HTTP_PROXY`, `HTTPS_PROXY`, `NO_PROXY`, each in upper or lower case.
    FromEnvironment {
        /// Fields sent to the proxy when a tunnel is asked for.
        connect_headers: Vec<(http::HeaderName, Secret)>,
    },
}

/// A proxy's URL. Prints without its password.
#[derive(Clone, PartialEq, Eq)]
pub struct ProxyUrl(Uri);

impl ProxyUrl {
    /// Reads a URL; without a scheme it is taken as `http://`.
    ///
    /// # Errors
    /// If it is not a URL, has no host, or has a scheme other than `http` and `https`.
    pub fn parse(text: &str) -> Result<Self, ClientConfigError> {
        let invalid = |reason: &str| {
            // The text may carry a password, so it is not repeated.
            ClientConfigError::invalid(format!("proxy_url cannot be used: {reason}"))
        };
        let with_scheme = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let uri: Uri = with_scheme.parse().map_err(|_| invalid("it is not a URL"))?;
        match uri.scheme_str() {
            Some("http" | "https") => {}
            _ => return Err(invalid("only http:// and https:// proxies can be used")),
        }
        match uri.host() {
            Some(host) if !host.is_empty() => Ok(Self(uri)),
            _ => Err(invalid("it has no host")),
        }
    }

    pub(super) fn uri(&self) -> &Uri {
        &self.0
    }
}

impl fmt::Debug for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&redacted(&self.0))
    }
}

/// The decision for each request.
#[derive(Debug, Default)]
pub(super) struct ProxyRules {
    http: Option<ProxyUrl>,
    https: Option<ProxyUrl>,
    no_proxy: NoProxy,
    /// Go reaches the own host directly whenever there are rules at all, and does not when there is only a URL.
    spare_loopback: bool,
    pub(super) connect_headers: Vec<(http::HeaderName, Secret)>,
}

impl ProxyRules {
    pub(super) fn new(settings: &ProxySettings) -> Result<Self, ClientConfigError> {
        match settings {
            ProxySettings::None => Ok(Self::default()),
            ProxySettings::Url { url, no_proxy, connect_headers } => Ok(Self {
                http: Some(url.clone()),
                https: Some(url.clone()),
                no_proxy: NoProxy::parse(no_proxy),
                spare_loopback: !no_proxy.is_empty(),
                connect_headers: connect_headers.clone(),
            }),
            ProxySettings::FromEnvironment { connect_headers } => {
                let mut rules = Self::from_variables(|name| std::env::var(name).ok())?;
                rules.connect_headers.clone_from(connect_headers);
                Ok(rules)
            }
        }
    }

    fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Result<Self, ClientConfigError> {
        let either = |name: &str| {
            variable(name)
                .filter(|value| !value.is_empty())
                .or_else(|| variable(&name.to_ascii_lowercase()))
                .filter(|value| !value.is_empty())
        };
        let proxy = |name: &str| {
            either(name)
                .map(|url| ProxyUrl::parse(&url))
                .transpose()
                .map_err(|error| ClientConfigError::invalid(format!("environment variable {name}: {error}")))
        };
        Ok(Self {
            // In a CGI program the variable could come from a request's field "Proxy".
            http: if variable("REQUEST_METHOD").is_some() { None } else { proxy("HTTP_PROXY")? },
            https: proxy("HTTPS_PROXY")?,
            no_proxy: NoProxy::parse(&either("NO_PROXY").unwrap_or_default()),
            spare_loopback: true,
            connect_headers: Vec::new(),
        })
    }

    /// The proxy for a request.
    pub(super) fn proxy(&self, https: bool, host: &str, port: u16) -> Option<&ProxyUrl> {
        let proxy = if https { self.https.as_ref()? } else { self.http.as_ref()? };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if self.spare_loopback {
            let own = host.eq_ignore_ascii_case("localhost")
                || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
            if own {
                return None;
            }
        }
        (!self.no_proxy.covers(host, port)).then_some(proxy)
    }
}

/// The hosts that are reached directly. A comma-separated list of: `*` for all; an address or a network (`10.0.0.0/8`);
/// a name, which covers its subdomains too; a name with a leading dot or `*.`, which covers only them. All but
/// networks may end in `:port`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct NoProxy {
    rules: Vec<Rule>,
}

#[derive(Debug, PartialEq, Eq)]
enum Rule {
    All,
    Address(IpAddr, Option<u16>),
    Network(IpAddr, u8),
    /// The name without a leading dot, and whether it covers itself.
    Domain(String, bool, Option<u16>),
}

impl NoProxy {
    fn parse(text: &str) -> Self {
        let rules = text
            .split(',')
            .map(|part| part.trim().to_ascii_lowercase())
            .filter(|part| !part.is_empty())
            .filter_map(|part| Rule::parse(&part))
            .collect();
        Self { rules }
    }

    fn covers(&self, host: &str, port: u16) -> bool {
        let name = host.trim_end_matches('.').to_ascii_lowercase();
        let address = name.parse::<IpAddr>().ok();
        let fits = |wanted: Option<u16>| wanted.is_none_or(|wanted| wanted == port);
        self.rules.iter().any(|rule| match rule {
            Rule::All => true,
            Rule::Address(own, wanted) => address == Some(*own) && fits(*wanted),
            Rule::Network(network, bits) => address.is_some_and(|address| contains(*network, *bits, address)),
            Rule::Domain(domain, itself, wanted) => {
                let subdomain = name.strip_suffix(domain.as_str()).is_some_and(|front| front.ends_with('.'));
                (subdomain || (*itself && name == *domain)) && fits(*wanted)
            }
        })
    }
}

impl Rule {
    fn parse(part: &str) -> Option<Self> {
        if part == "*" {
            return Some(Self::All);
        }
        if let Some((network, bits)) = part.split_once('/')
            && let (Ok(network), Ok(bits)) = (network.parse::<IpAddr>(), bits.parse::<u8>())
        {
            let longest = if network.is_ipv4() { 32 } else { 128 };
            return (bits <= longest).then_some(Self::Network(network, bits));
        }
        if let Ok(address) = part.trim_start_matches('[').trim_end_matches(']').parse() {
            return Some(Self::Address(address, None));
        }
        let (host, port) = match part.rsplit_once(':').map(|(host, port)| (host, port.parse::<u16>())) {
            Some((host, Ok(port))) => (host, Some(port)),
            _ => (part, None),
        };
        if let Ok(address) = host.trim_start_matches('[').trim_end_matches(']').parse() {
            return Some(Self::Address(address, port));
        }
        let host = host.strip_prefix('*').filter(|rest| rest.starts_with('.')).unwrap_or(host);
        let (domain, itself) = match host.strip_prefix('.') {
            Some(domain) => (domain, false),
            None => (host, true),
        };
        (!domain.is_empty()).then(|| Self::Domain(domain.to_owned(), itself, port))
    }
}

fn contains(network: IpAddr, bits: u8, address: IpAddr) -> bool {
    match (network, address) {
        (IpAddr::V4(network), IpAddr::V4(address)) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
            u32::from(network) & mask == u32::from(address) & mask
        }
        (IpAddr::V6(network), IpAddr::V6(address)) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
            u128::from(network) & mask == u128::from(address) & mask
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn no_proxy_rules() {
        for (rules, host, port, covered) in [
            ("*", "anything", 1, true),
            ("example.com", "example.com", 80, true),
            ("example.com", "a.example.com", 80, true),
            ("example.com", "badexample.com", 80, false),
            (".example.com", "example.com", 80, false),
            (".example.com", "a.b.example.com", 80, true),
            ("*.example.com", "a.example.com", 80, true),
            ("*.example.com", "example.com", 80, false),
            ("example.com:8080", "example.com", 8080, true),
            ("example.com:8080", "example.com", 80, false),
            ("Example.COM", "EXAMPLE.com.", 80, true),
            (" a , b ", "b", 80, true),
            ("10.0.0.0/8", "10.200.0.1", 80, true),
            ("10.0.0.0/8", "11.0.0.1", 80, false),
            ("10.0.0.0/8", "10.example.com", 80, false),
            ("0.0.0.0/0", "1.2.3.4", 80, true),
            ("10.0.0.1", "10.0.0.1", 80, true),
            ("10.0.0.1:90", "10.0.0.1", 80, false),
            ("fd00::/8", "fd12::1", 80, true),
            ("[::2]:80", "::2", 80, true),
            ("::2", "::2", 80, true),
            ("10.0.0.0/99", "10.0.0.1", 80, false),
            ("", "x", 80, false),
        ] {
            assert_eq!(NoProxy::parse(rules).covers(host, port), covered, "{rules:?} {host}:{port}");
        }
    }

    #[test]
    fn the_environment_s_rules() {
        let variables = |name: &str| match name {
            "http_proxy" => Some("plain:3128".to_owned()),
            "HTTPS_PROXY" => Some("http://secure:3128".to_owned()),
            "NO_PROXY" => Some("internal".to_owned()),
            _ => None,
        };
        let rules = ProxyRules::from_variables(variables).unwrap();
        let host = |https, host| rules.proxy(https, host, 80).map(|proxy| proxy.uri().host().unwrap().to_owned());
        assert_eq!(host(false, "example.com").as_deref(), Some("plain"));
        assert_eq!(host(true, "example.com").as_deref(), Some("secure"));
        assert_eq!(host(true, "a.internal"), None);
        assert_eq!(host(false, "localhost"), None);
        assert_eq!(host(false, "127.8.9.1"), None);
        assert_eq!(host(false, "[::1]"), None);
    }

    #[test]
    fn only_rules_spare_the_own_host() {
        let rules = |no_proxy: &str| {
            ProxyRules::new(&ProxySettings::Url {
                url: ProxyUrl::parse("http://u:p@proxy:3128").unwrap(),
                no_proxy: no_proxy.to_owned(),
                connect_headers: Vec::new(),
            })
            .unwrap()
        };
        assert!(rules("").proxy(false, "localhost", 80).is_some());
        assert!(rules("other").proxy(false, "localhost", 80).is_none());
        assert!(!format!("{:?}", rules("")).contains(":p@"));
    }

    #[test]
    fn unusable_proxies_are_refused() {
        for url in ["socks5://h:1", "http://", "", "http://a b/"] {
            assert!(ProxyUrl::parse(url).is_err(), "{url:?}");
        }
    }
}

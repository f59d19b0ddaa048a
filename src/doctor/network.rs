//! The way to a destination: names, proxies, connections, TLS.

use super::report::{Mark, Report, words};
use http::Uri;
use net::client::{RequestError, RequestErrorKind};
use std::net::IpAddr;
use std::time::Duration;

/// How long a person waits for a name.
const LOOKUP: Duration = Duration::from_secs(10);
/// Names with more addresses than this show no more of them.
const SHOWN: usize = 6;

/// Says which way requests to `uri` take; `proxy` is on it.
pub(super) async fn check(uri: &Uri, proxy: Option<&str>, report: &mut Report<'_>) {
    if let Some(proxy) = proxy {
        report.line(Mark::Ok, "network", &format!("through the proxy {proxy}, which resolves the name"));
        return;
    }
    let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    if host.parse::<IpAddr>().is_ok() {
        return;
    }
    let lookup = tokio::time::timeout(LOOKUP, tokio::net::lookup_host((host, 0)));
    // What goes wrong is said by the request, which asks for the name again.
    let Ok(Ok(addresses)) = lookup.await else { return };
    let mut addresses: Vec<IpAddr> = addresses.map(|address| address.ip()).collect();
    addresses.dedup();
    let kind = match addresses.iter().all(|address| is_private(*address)) {
        true => " (private: this network's own, such as those of a VPC endpoint)",
        false => "",
    };
    let more = if addresses.len() > SHOWN { ", …" } else { "" };
    let list: Vec<String> = addresses.iter().take(SHOWN).map(IpAddr::to_string).collect();
    report.line(Mark::Ok, "network", &format!("{host} is {}{more}{kind}", list.join(", ")));
}

fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_private() || address.is_loopback() || address.is_link_local(),
        IpAddr::V6(address) => address.is_loopback() || address.is_unique_local(),
    }
}

/// Why there was no answer, and what to do about that.
pub(super) fn explain(error: &RequestError, uri: &Uri, proxy: Option<&str>, report: &mut Report<'_>) {
    report.line(Mark::Fail, "write", &format!("no answer: {}", words(error.detail().as_bytes())));
    for text in advice(error.kind(), error.detail(), uri, proxy) {
        report.advise(text);
    }
}

fn advice(kind: RequestErrorKind, detail: &str, uri: &Uri, proxy: Option<&str>) -> Vec<String> {
    let host = uri.host().unwrap_or_default();
    let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("https") { 443 } else { 80 });
    let private = private_way(host);
    match kind {
        RequestErrorKind::Dns => vec![format!(
            "The name {host} has no address here. Look for a mistake in the endpoint (region, workspace URL), and ask for the name on this machine: getent hosts {host}. In a VPC, DNS resolution has to be on, and a private hosted zone must not hide the name.{private}"
        )],
        RequestErrorKind::ConnectRefused => vec![format!(
            "Nothing listens at port {port} of {host}: check host and port of the endpoint, and that the store (or the proxy or tunnel in front of it) runs."
        )],
        RequestErrorKind::Connect => {
            vec![format!("The network has no way to {host}: check routes, NAT and firewall.{private}")]
        }
        RequestErrorKind::Timeout => vec![timeout(detail, host, port, &private)],
        RequestErrorKind::Proxy => vec![format!(
            "The proxy {} does not let this through: its answer is above. Ask for {host}:{port} to be allowed, correct proxy_url or HTTPS_PROXY, or reach the store directly with NO_PROXY={host}.",
            proxy.unwrap_or("of the configuration or the environment")
        )],
        RequestErrorKind::Tls => tls(detail, host, port),
        RequestErrorKind::Reset => vec![format!(
            "The connection to {host}:{port} was opened and ended without an answer. A firewall or load balancer on the way may do this, or what listens there does not speak {}.",
            uri.scheme_str().unwrap_or("HTTP")
        )],
        RequestErrorKind::Protocol | RequestErrorKind::BodyTooLarge => vec![format!(
            "What listens at {host}:{port} does not speak HTTP as it should: check the port and the scheme (http, https) of the endpoint."
        )],
        RequestErrorKind::Credentials => {
            vec!["A file that the exporter's credentials come from cannot be used: the words above name it.".to_owned()]
        }
        RequestErrorKind::Auth => {
            vec!["The request cannot be signed or authenticated: the words above say why.".to_owned()]
        }
        _ => vec!["Correct the exporter's endpoint.".to_owned()],
    }
}

/// What helps where there is no way to the internet.
fn private_way(host: &str) -> String {
    let (service, region) = aws::infer(host);
    let name = match service {
        Some("aps") => "aps-workspaces",
        Some(service) => service,
        None => return String::new(),
    };
    let region = region.unwrap_or("<region>");
    format!(
        " Where there is no way to the internet, create the VPC endpoint com.amazonaws.{region}.{name} with private DNS, and let its security group take port 443 from here."
    )
}

fn timeout(detail: &str, host: &str, port: u16, private: &str) -> String {
    if detail.contains("awaiting headers") || detail.contains("reading body") {
        return format!(
            "{host} was reached and did not answer within the exporter's timeout. Raise timeout if the store is far away or slow; otherwise it is the store, or a proxy before it, that hangs."
        );
    }
    if detail.contains("TLS handshake") {
        return format!(
            "{host}:{port} takes connections and says nothing: a firewall that drops what it does not like, a path MTU that is too small (a tunnel; try 1400), or a port that does not speak TLS."
        );
    }
    format!(
        "Packets to {host}:{port} are lost: a security group, a network ACL or a firewall that drops them, a subnet without NAT, or a proxy that has to be used and is not set (HTTPS_PROXY).{private}"
    )
}

fn tls(detail: &str, host: &str, port: u16) -> Vec<String> {
    let text = if detail.contains("unknown authority") || detail.contains("no system certificate") {
        format!(
            "The certificate of {host} is signed by an authority that is not trusted here. AWS' own are in every system's bundle, so either that is missing (install ca-certificates, or set SSL_CERT_FILE), or a proxy opens connections on the way: name its authority in tls::ca_file. openssl s_client -connect {host}:{port} shows who signed it."
        )
    } else if detail.contains("not valid for") {
        format!(
            "The certificate is that of another name than {host}: the endpoint leads to another server than it should, by DNS or by a proxy. For a VPC endpoint without private DNS use its own name as the endpoint's host, or set tls::server_name_override."
        )
    } else if detail.contains("expired") || detail.contains("not yet valid") {
        "The certificate is out of its time: compare this machine's clock (date -u) with the right time; if it is right, the server needs a new certificate.".to_owned()
    } else if detail.contains("closed the connection during the handshake") {
        format!(
            "What listens at {host}:{port} ended the TLS handshake: it may speak plain http (then the endpoint needs http:// or another port), or a firewall does so that filters by name."
        )
    } else if detail.contains("plain http") {
        format!("What listens at {host}:{port} does not speak TLS: the endpoint needs http:// or another port.")
    } else {
        format!(
            "TLS with {host}:{port} does not come about: check tls in the exporter (versions, certificates, files) against what the server asks for."
        )
    };
    vec![text]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_failure_has_its_advice() {
        let uri =
            Uri::from_static("https://aps-workspaces.eu-west-1.amazonaws.com/workspaces/ws-1/api/v1/remote_write");
        for (kind, detail, words) in [
            (RequestErrorKind::Dns, "no such host", "com.amazonaws.eu-west-1.aps-workspaces"),
            (RequestErrorKind::ConnectRefused, "", "Nothing listens at port 443"),
            (RequestErrorKind::Connect, "network is unreachable", "routes, NAT"),
            (RequestErrorKind::Timeout, "(5s passed while connecting)", "Packets to aps-workspaces"),
            (RequestErrorKind::Timeout, "(5s passed while awaiting headers)", "Raise timeout"),
            (RequestErrorKind::Timeout, "net/http: TLS handshake timeout", "path MTU"),
            (RequestErrorKind::Proxy, "", "NO_PROXY=aps-workspaces"),
            (RequestErrorKind::Tls, "certificate signed by unknown authority", "ca-certificates"),
            (RequestErrorKind::Tls, "certificate is not valid for x", "another name than"),
            (RequestErrorKind::Tls, "certificate has expired or is not yet valid", "date -u"),
            (RequestErrorKind::Tls, "the server may speak plain http", "does not speak TLS"),
            (
                RequestErrorKind::Tls,
                "tls: the server closed the connection during the handshake: EOF",
                "filters by name",
            ),
            (RequestErrorKind::Tls, "handshake failure", "tls in the exporter"),
            (RequestErrorKind::Reset, "", "without an answer"),
            (RequestErrorKind::Protocol, "", "scheme"),
            (RequestErrorKind::Credentials, "", "A file"),
            (RequestErrorKind::Auth, "", "signed or authenticated"),
            (RequestErrorKind::InvalidUrl, "", "endpoint"),
        ] {
            let advice = advice(kind, detail, &uri, None);
            assert!(advice.iter().any(|text| text.contains(words)), "{kind:?}: {advice:?}");
        }
    }
}

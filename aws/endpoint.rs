//! What the host of an endpoint says about the service behind it.

use std::borrow::Cow;

/// Host names begin with these for the services whose signing names they stand for (the Collector's `sigv4auth` knows the same).
const PREFIXES: [(&str, &str); 5] =
    [("aps-workspaces", "aps"), ("search-", "es"), ("logs", "logs"), ("xray", "xray"), ("monitoring", "monitoring")];

/// Region and service that a signature is good for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope<'a> {
    /// The region, such as `eu-west-1`.
    pub region: Cow<'a, str>,
    /// The name that the service signs under, such as `aps`.
    pub service: Cow<'a, str>,
}

/// Service and region as `host` names them: the first label tells the service, the second one is the region. In the name of
/// a VPC endpoint (`vpce-….aps-workspaces.<region>.vpce.amazonaws.com`) both come one label later.
#[must_use]
pub fn infer(host: &str) -> (Option<&'static str>, Option<&str>) {
    let mut labels = host.split('.').peekable();
    if labels.peek().is_some_and(|first| first.starts_with("vpce-")) {
        labels.next();
    }
    let first = labels.next().unwrap_or_default();
    let service = PREFIXES.iter().find(|(prefix, _)| first.starts_with(prefix)).map(|(_, service)| *service);
    let region = labels.next().filter(|region| service.is_some() && !region.is_empty());
    (service, region)
}

/// Whether `host` is one of Amazon Managed Service for Prometheus, where workspaces take remote writes: also its FIPS, dual-stack, China and VPC
/// endpoints.
#[must_use]
pub fn is_amp(host: &str) -> bool {
    const SUFFIXES: [&str; 3] = [".amazonaws.com", ".amazonaws.com.cn", ".api.aws"];
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    infer(&host).0 == Some("aps") && SUFFIXES.iter().any(|suffix| host.ends_with(suffix))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn service_and_region_are_inferred_as_by_the_collector() {
        let Some(text) = crate::testing::shared("vectors/sigv4.json") else { return };
        let vectors: serde_json::Value = serde_json::from_str(&text).unwrap();
        let cases = vectors["infer"].as_array().unwrap();
        assert!(!cases.is_empty());
        for case in cases {
            let uri: http::Uri = case["url"].as_str().unwrap().parse().unwrap();
            let (service, region) = infer(uri.host().unwrap());
            let given = |key: &str| case["config"][key].as_str();
            assert_eq!(given("service").or(service).unwrap_or(""), case["service"], "{case}");
            assert_eq!(given("region").or(region).unwrap_or(""), case["region"], "{case}");
        }
        for (prefix, service) in vectors["host_prefix_to_service"].as_object().unwrap() {
            assert_eq!(infer(&format!("{prefix}.eu-west-1.amazonaws.com")).0, service.as_str());
        }
    }

    #[test]
    fn endpoints_of_amp_are_known() {
        for host in [
            "aps-workspaces.us-east-1.amazonaws.com",
            "aps-workspaces-fips.us-gov-west-1.amazonaws.com",
            "aps-workspaces.eu-west-1.api.aws",
            "aps-workspaces.cn-north-1.amazonaws.com.cn",
            "vpce-0a1b-2c3d.aps-workspaces.us-east-1.vpce.amazonaws.com",
            "APS-Workspaces.us-east-1.amazonaws.com.",
        ] {
            assert!(is_amp(host), "{host}");
        }
        for host in ["aps-workspaces.example.org", "search-x.us-east-1.es.amazonaws.com", "localhost", "127.0.0.1", ""]
        {
            assert!(!is_amp(host), "{host}");
        }
        assert_eq!(
            infer("vpce-0a1b-2c3d.aps-workspaces.us-east-1.vpce.amazonaws.com"),
            (Some("aps"), Some("us-east-1"))
        );
    }
}

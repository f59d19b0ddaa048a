//! Keys.

use super::config::{Config, Dialect};
use std::time::Duration;

fn read(keys: &str, dialect: Dialect) -> Result<Config, String> {
    let endpoint = match keys.starts_with("endpoint:") {
        true => "",
        false => "endpoint: https://aps-workspaces.eu-west-1.amazonaws.com/workspaces/ws-1/api/v1/remote_write\n",
    };
    let node = pipeline::config::parse(&format!("{endpoint}{keys}"), "test.yaml").unwrap();
    Config::read(&node, dialect).map_err(|errors| errors.to_string())
}

#[test]
fn the_exporter_signs_as_its_block_says() {
    let signing = |keys, dialect| read(keys, dialect).unwrap().signing;
    assert!(signing("", Dialect::Plain).is_none());
    let sigv4 = signing(
        "sigv4: {region: r, access_key: k, secret_key: s, profile: p, role_arn: \"arn:aws:iam::1:role/r\", external_id: e, use_fips_sts_endpoint: true, service_name: n}",
        Dialect::Plain,
    )
    .unwrap();
    let role = sigv4.credentials.role.unwrap();
    assert_eq!((sigv4.region.as_deref(), sigv4.service.as_deref()), (Some("r"), Some("n")));
    assert_eq!((role.arn.as_str(), role.external_id.as_deref(), role.fips), ("arn:aws:iam::1:role/r", Some("e"), true));
    assert_eq!(sigv4.credentials.profile.as_deref(), Some("p"));
    assert_eq!(sigv4.credentials.keys.unwrap().access_key, "k");
    // The service that Prometheus signs for whatever the host is called.
    assert_eq!(signing("sigv4: {}", Dialect::Plain).unwrap().service.as_deref(), Some("aps"));
}

#[test]
fn the_exporter_of_2021_always_signs_for_the_region_of_its_endpoint() {
    let signing = |keys| read(keys, Dialect::Aws).unwrap().signing.unwrap();
    for (keys, region) in [
        ("", Some("eu-west-1")),
        ("aws_auth: {}", Some("eu-west-1")),
        ("aws_auth: {region: us-east-1, service: aps}", Some("us-east-1")),
        ("endpoint: https://store.us-east-2.example.com/w", Some("us-east-2")),
        ("endpoint: https://vpce-1-2.aps-workspaces.us-west-2.vpce.amazonaws.com/w", Some("us-west-2")),
        ("endpoint: http://127.0.0.1:9090/w", None),
        ("endpoint: http://localhost:9090/w", None),
    ] {
        let signing = signing(keys);
        assert_eq!((signing.region.as_deref(), signing.service.as_deref()), (region, Some("aps")), "{keys}");
    }
    let role = signing("aws_auth: {role_arn: \"arn:aws:iam::1:role/r\"}").credentials.role.unwrap();
    assert_eq!(role.arn, "arn:aws:iam::1:role/r");
    // Signed by an extension instead.
    assert!(read("auth: {authenticator: sigv4auth}", Dialect::Aws).unwrap().signing.is_none());
}

#[test]
fn mistakes_about_signing_are_named_at_their_keys() {
    for (keys, dialect, words) in [
        ("sigv4: {access_key: k}", Dialect::Plain, "must provide a AWS SigV4 Access key and Secret Key"),
        ("sigv4: {external_id: e}", Dialect::Plain, "external_id can only be used with role_arn"),
        ("sigv4: {regoin: r}", Dialect::Plain, "regoin"),
        ("sigv4: {}\nauth: {authenticator: sigv4auth}", Dialect::Plain, "at most one of"),
        ("sigv4: {}\naws_auth: {}", Dialect::Aws, "at most one of"),
        ("aws_auth: {}\nauth: {authenticator: sigv4auth}", Dialect::Aws, "at most one of"),
        ("aws_auth: {}", Dialect::Plain, "aws_auth is a key of the exporter awsprometheusremotewrite"),
    ] {
        let error = read(keys, dialect).unwrap_err();
        assert!(error.contains(words), "{keys}: {error}");
    }
}

#[test]
fn an_endpoint_of_amp_has_its_limits() {
    let amp = read("", Dialect::Plain).unwrap();
    assert_eq!(amp.store.sample_age, Some(Duration::from_secs(3600)));
    assert!(!amp.translation.send_exemplars);
    assert!(read("send_exemplars: true", Dialect::Plain).unwrap().translation.send_exemplars);
    let other = read("endpoint: https://store.example.com/w", Dialect::Plain).unwrap();
    assert_eq!(other.store.sample_age, None);
    assert!(other.translation.send_exemplars);
}

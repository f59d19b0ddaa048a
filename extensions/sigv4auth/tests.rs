#![expect(clippy::unwrap_used, reason = "tests")]

use pipeline::config::parse;

use super::SigV4AuthConfig;

fn read(text: &str) -> Result<SigV4AuthConfig, String> {
    SigV4AuthConfig::read(&parse(text, "test.yaml").unwrap()).map_err(|errors| errors.to_string())
}

#[test]
fn all_keys_of_the_collector_are_taken() {
    let config = read(
        "region: eu-west-1\nservice: aps\nassume_role:\n  arn: arn:aws:iam::1:role/r\n  sts_region: us-east-1\n  session_name: s\n  external_id: e\n",
    )
    .unwrap();
    let settings = config.settings();
    let role = settings.credentials.role.unwrap();
    assert_eq!((settings.region.as_deref(), settings.service.as_deref()), (Some("eu-west-1"), Some("aps")));
    assert_eq!(role.arn, "arn:aws:iam::1:role/r");
    assert_eq!(role.sts_region.as_deref(), Some("us-east-1"));
    assert_eq!(role.session_name.as_deref(), Some("s"));
    assert_eq!(role.external_id.as_deref(), Some("e"));
}

#[test]
fn nothing_has_to_be_given() {
    let settings = read("{}").unwrap().settings();
    assert_eq!(settings, aws::SigningSettings::default());
}

#[test]
fn mistakes_are_named() {
    for (text, words) in [
        ("regoin: a", "regoin"),
        ("assume_role: {external_id: e}", "external_id can only be used with arn"),
        ("assume_role: {web_identity_token_file: /f}", "must specify ARN when using WebIdentityTokenFile"),
        ("assume_role: {arn: role/r}", "arn must be that of a role"),
    ] {
        let error = read(text).unwrap_err();
        assert!(error.contains(words), "{error}");
    }
}

//! Both dialects' keys.

use std::path::Path;

use super::*;

/// Through the decoder that reads configuration files; JSON is YAML.
fn decoded<T: serde::de::DeserializeOwned>(json: &str) -> Result<T, String> {
    let node = pipeline::config::parse(json, "test.yaml").map_err(|error| error.to_string())?;
    pipeline::config::decode(&node, "client").map_err(|error| error.to_string())
}

fn prometheus(json: &str) -> Result<ClientSettings, String> {
    let config: PrometheusHttpClientConfig = decoded(json)?;
    config.client_settings(true).map_err(|error| error.to_string())
}

fn collector(json: &str) -> Result<ClientSettings, String> {
    let config: CollectorHttpClientConfig = decoded(json)?;
    config.client_settings(&CollectorDefaults::default()).map_err(|error| error.to_string())
}

#[test]
fn prometheus_refuses_in_its_own_words() {
    let auth = r#""authorization":{"credentials":"x"}"#;
    let basic = r#""basic_auth":{"username":"u"}"#;
    let oauth2 = r#""oauth2":{"client_id":"i","token_url":"http://t"}"#;
    let exclusive = "at most one of basic_auth, oauth2 & authorization must be configured";
    let cases = [
        (format!("{basic},{auth}"), exclusive),
        (format!("{oauth2},{auth}"), exclusive),
        (format!("{oauth2},{basic}"), exclusive),
        (
            r#""bearer_token":"a","bearer_token_file":"f""#.to_owned(),
            "at most one of bearer_token & bearer_token_file must be configured",
        ),
        (
            format!(r#"{basic},"bearer_token":"a""#),
            "at most one of basic_auth, oauth2, bearer_token & bearer_token_file must be configured",
        ),
        (
            format!(r#"{oauth2},"bearer_token_file":"a""#),
            "at most one of basic_auth, oauth2, bearer_token & bearer_token_file must be configured",
        ),
        (
            format!(r#"{auth},"bearer_token":"a""#),
            "authorization is not compatible with bearer_token & bearer_token_file",
        ),
        (
            r#""authorization":{"credentials":"x","credentials_file":"f"}"#.to_owned(),
            "at most one of authorization credentials & credentials_file must be configured",
        ),
        (
            r#""authorization":{"type":" Basic "}"#.to_owned(),
            "authorization type cannot be set to \"basic\", use \"basic_auth\" instead",
        ),
        (
            r#""basic_auth":{"password":"a","password_file":"f"}"#.to_owned(),
            "at most one of basic_auth password, password_file & password_ref must be configured",
        ),
        (
            r#""basic_auth":{"username":"a","username_file":"f"}"#.to_owned(),
            "at most one of basic_auth username, username_file & username_ref must be configured",
        ),
        (r#""oauth2":{"token_url":"http://t"}"#.to_owned(), "oauth2 client_id must be configured"),
        (r#""oauth2":{"client_id":"i"}"#.to_owned(), "oauth2 token_url must be configured"),
        (
            r#""tls_config":{"ca":"x","ca_file":"f"}"#.to_owned(),
            "at most one of ca, ca_file & ca_ref must be configured",
        ),
        (
            r#""tls_config":{"cert":"x","cert_file":"f"}"#.to_owned(),
            "at most one of cert, cert_file & cert_ref must be configured",
        ),
        (r#""tls_config":{"key":"x","key_file":"f"}"#.to_owned(), "at most one of key and key_file must be configured"),
        (
            r#""tls_config":{"cert":"x"}"#.to_owned(),
            "exactly one of key or key_file must be configured when a client certificate is configured",
        ),
        (
            r#""tls_config":{"key":"x"}"#.to_owned(),
            "exactly one of cert or cert_file must be configured when a client key is configured",
        ),
        (r#""tls_config":{"min_version":"TLS14"}"#.to_owned(), "unknown TLS version: TLS14"),
        (r#""tls_config":{"min_version":"1.2"}"#.to_owned(), "unknown TLS version: 1.2"),
        (
            r#""tls_config":{"min_version":"TLS13","max_version":"TLS12"}"#.to_owned(),
            "tls_config.max_version must be greater than or equal to tls_config.min_version if both are specified",
        ),
        (r#""no_proxy":"x""#.to_owned(), "if no_proxy is configured, proxy_url must also be configured"),
        (
            r#""proxy_from_environment":true,"proxy_url":"http://p""#.to_owned(),
            "if proxy_from_environment is configured, proxy_url must not be configured",
        ),
        (
            r#""proxy_from_environment":true,"no_proxy":"x""#.to_owned(),
            "if proxy_from_environment is configured, no_proxy must not be configured",
        ),
        (
            r#""proxy_connect_header":{"x":["y"]}"#.to_owned(),
            "if proxy_connect_header is configured, proxy_url or proxy_from_environment must also be configured",
        ),
        (
            r#""http_headers":{"authorization":{"values":["x"]}}"#.to_owned(),
            "setting header \"Authorization\" is not allowed",
        ),
        (
            r#""http_headers":{"X-Amz-Date":{"values":["x"]}}"#.to_owned(),
            "setting header \"X-Amz-Date\" is not allowed",
        ),
    ];
    for (json, expected) in cases {
        assert_eq!(prometheus(&format!("{{{json}}}")).unwrap_err(), expected, "{json}");
    }
    assert!(prometheus(r#"{"follow_redirect":true}"#).unwrap_err().contains("follow_redirect"));
}

#[test]
fn prometheus_defaults_and_older_spellings() {
    let settings = prometheus("{}").unwrap();
    assert!(settings.http2 && settings.follow_redirects);
    assert_eq!((settings.proxy, settings.credentials), (ProxySettings::None, Credentials::None));

    let older = prometheus(r#"{"bearer_token_file":"/t"}"#).unwrap();
    let newer = prometheus(r#"{"authorization":{"type":" Bearer ","credentials_file":"/t"}}"#).unwrap();
    assert_eq!(older, newer);

    let settings = prometheus(
        r#"{"enable_http2":false,"follow_redirects":false,"proxy_url":"http://p:1","no_proxy":"a",
            "http_headers":{"X-A":{"values":["1"],"secrets":["2"],"files":["f"]}},
            "tls_config":{"server_name":"s","insecure_skip_verify":true,"min_version":"TLS10"}}"#,
    )
    .unwrap();
    assert!(!settings.http2 && !settings.follow_redirects && settings.tls.insecure_skip_verify);
    assert_eq!(settings.added_headers.len(), 3);
    client(&settings);
}

#[test]
fn relative_paths_are_beside_the_file() {
    let mut config: PrometheusHttpClientConfig = decoded(
        r#"{"bearer_token_file":"t","authorization":{"credentials_file":"/abs"},"tls_config":{"ca_file":"../ca"},
            "oauth2":{"client_secret_file":"s","tls_config":{"key_file":""}},"http_headers":{"x":{"files":["f"]}}}"#,
    )
    .unwrap();
    config.resolve_http_paths(Path::new("/etc/p"));
    assert_eq!(config.bearer_token_file.as_deref(), Some("/etc/p/t"));
    assert_eq!(config.authorization.unwrap().credentials_file.as_deref(), Some("/abs"));
    assert_eq!(config.tls_config.unwrap().ca_file.as_deref(), Some("/etc/p/../ca"));
    let oauth2 = config.oauth2.unwrap();
    assert_eq!(oauth2.client_secret_file.as_deref(), Some("/etc/p/s"));
    assert_eq!(oauth2.tls_config.unwrap().key_file.as_deref(), Some(""));
    assert_eq!(config.http_headers.get("x").unwrap().files, ["/etc/p/f"]);
}

#[test]
fn the_collector_s_keys() {
    let settings = collector(
        r#"{"endpoint":"https://x","timeout":"5s","headers":{"X-Scope":"a"},"compression":"snappy","write_buffer_size":524288,
            "max_idle_conns":7,"max_conns_per_host":3,"idle_conn_timeout":"1m","disable_keep_alives":true,
            "auth":{"authenticator":"sigv4auth/a"},"cookies":{"enabled":true},"force_attempt_http2":false,
            "http2_read_idle_timeout":"10s","http2_ping_timeout":"2s","proxy_url":"http://p:3128",
            "tls":{"insecure_skip_verify":true,"min_version":"1.3","cipher_suites":["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"]}}"#,
    )
    .unwrap();
    assert_eq!(settings.timeout, Some(Duration::from_secs(5)));
    assert_eq!(settings.compression, Some(Compression::Snappy));
    assert_eq!((settings.pool.max_idle, settings.pool.max_idle_per_host, settings.pool.max_per_host), (7, 7, 3));
    assert_eq!(settings.http2_ping.timeout, Duration::from_secs(2));
    assert!(settings.cookies && !settings.http2 && !settings.pool.keep_alive);
    assert_eq!(settings.credentials, Credentials::Authenticator("sigv4auth/a".parse().unwrap()));

    let defaults = collector("{}").unwrap();
    assert!(matches!(defaults.proxy, ProxySettings::FromEnvironment { .. }));
    assert_eq!(defaults.pool.idle_timeout, Duration::from_secs(90));
    let listed = collector(r#"{"headers":[{"name":"X-Scope","value":"a"}]}"#).unwrap();
    assert_eq!(listed.headers, settings.headers);
}

#[test]
fn the_collector_s_refusals() {
    for (json, part) in [
        (r#"{"compression":"zip"}"#, "unsupported compression type \"zip\""),
        (r#"{"compression":"gzip","compression_params":{"level":99}}"#, "unsupported parameters {Level:99}"),
        (r#"{"compression":"snappy","compression_params":{"level":3}}"#, "unsupported parameters {Level:3}"),
        (r#"{"headers":{"a b":"c"}}"#, "name of \"a b\" cannot be sent"),
        (r#"{"tls":{"cert_file":"x"}}"#, "provide both certificate and key, or neither"),
        (r#"{"tls":{"ca_file":"x","ca_pem":"y"}}"#, "provide either a CA file or the PEM-encoded string, but not both"),
        (r#"{"tls":{"min_version":"1.4"}}"#, "unsupported TLS version: \"1.4\""),
        (r#"{"tls":{"min_version":"1.3","max_version":"1.2"}}"#, "min_version cannot be greater than max_version"),
        (r#"{"middlewares":[{"id":"x"}]}"#, "failed to resolve middleware \"x\""),
        (r#"{"timeout":10}"#, "write 10s"),
        (r#"{"proxy_url":"socks5://secret@p"}"#, "proxy_url cannot be used"),
    ] {
        let error = collector(json).unwrap_err();
        assert!(error.contains(part), "{json}: {error}");
        assert!(!error.contains("secret"), "{error}");
    }
    for (json, part) in [
        (r#"{"tls":{"cipher_suites":["TLS_NULL"]}}"#, "invalid TLS cipher suite: \"TLS_NULL\""),
        (r#"{"tls":{"cipher_suites":["TLS_RSA_WITH_AES_128_CBC_SHA"]}}"#, "none of the cipher_suites is available"),
        (r#"{"tls":{"curve_preferences":["P257"]}}"#, "invalid curve type: P257"),
        (r#"{"tls":{"max_version":"1.1"}}"#, "raise it to 1.2 or 1.3"),
    ] {
        let error = HttpClient::new(&collector(json).unwrap(), &Authenticators::default()).unwrap_err();
        assert!(error.to_string().contains(part), "{json}: {error}");
    }
}

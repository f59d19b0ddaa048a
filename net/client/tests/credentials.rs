//! Credentials on requests.

use std::sync::atomic::AtomicUsize;

use async_trait::async_trait;
use http::request::Parts;
use pipeline::config::Secret;

use super::*;
use crate::auth::{AuthError, AuthVerdict, ClientAuth};

fn with(credentials: Credentials) -> HttpClient {
    client(&ClientSettings { credentials, ..ClientSettings::default() })
}

#[tokio::test]
async fn a_token_s_file_is_read_for_each_request() {
    let server = Scripted::start(|_, _, _| response("200 OK", "", "x")).await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("token");
    let client =
        with(Credentials::Authorization { scheme: "Bearer".to_owned(), credentials: SecretSource::File(path.clone()) });
    let error = fails(&client, &Request::get(server.url("/"))).await;
    assert_eq!(error.kind(), RequestErrorKind::Credentials);
    assert!(error.is_retryable());
    let text = format!("unable to read authorization credentials: unable to read file {}: ", path.display());
    assert!(error.detail().starts_with(&text), "{error}");
    assert_eq!(server.heads().len(), 0);

    for token in ["one", "two"] {
        std::fs::write(&path, format!("\n {token} \n")).unwrap();
        get(&client, server.url("/")).await;
        let head = server.heads().pop().unwrap();
        assert!(head.contains(&format!("authorization: Bearer {token}\r\n")), "{head}");
    }
    // What the request says itself is left alone.
    let mut request = Request::get(server.url("/"));
    request.headers.insert("authorization", "own".parse().unwrap());
    client.send(&request, &mut Vec::new(), LIMIT).await.unwrap();
    assert!(server.heads().pop().unwrap().contains("authorization: own\r\n"));

    std::fs::write(&path, "two\nlines").unwrap();
    let error = fails(&client, &Request::get(server.url("/"))).await;
    assert_eq!(error.kind(), RequestErrorKind::Credentials);
    assert!(!error.to_string().contains("lines"), "{error}");
}

#[tokio::test]
async fn user_and_password_come_from_settings_files_or_the_url() {
    let server = Scripted::start(|_, _, _| response("200 OK", "", "x")).await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("password");
    std::fs::write(&path, "open sesame\n").unwrap();
    let client = with(Credentials::Basic {
        username: SecretSource::Inline(Secret::new("Ali Baba")),
        password: SecretSource::File(path),
    });
    get(&client, server.url("/")).await;
    assert!(server.heads().pop().unwrap().contains("authorization: Basic QWxpIEJhYmE6b3BlbiBzZXNhbWU=\r\n"));

    let url: Uri = format!("http://Ali%20Baba:open%20sesame@{}/", server.address).parse().unwrap();
    get(&plain(), url).await;
    let head = server.heads().pop().unwrap();
    assert!(head.contains("authorization: Basic QWxpIEJhYmE6b3BlbiBzZXNhbWU=\r\n"), "{head}");
    assert!(head.contains(&format!("Host: {}\r\n", server.address)), "{head}");
}

#[tokio::test]
async fn configured_fields_are_set_or_added() {
    let server = Scripted::start(|_, _, _| response("200 OK", "", "x")).await;
    let client = client(&ClientSettings {
        headers: vec![
            ("x-scope".parse().unwrap(), "tenant".parse().unwrap()),
            ("host".parse().unwrap(), "virtual".parse().unwrap()),
        ],
        added_headers: vec![("x-many".parse().unwrap(), SecretSource::Inline(Secret::new("two")))],
        ..ClientSettings::default()
    });
    let mut request = Request::get(server.url("/"));
    request.headers.insert("x-scope", "mine".parse().unwrap());
    request.headers.insert("x-many", "one".parse().unwrap());
    client.send(&request, &mut Vec::new(), LIMIT).await.unwrap();
    let head = server.heads().pop().unwrap();
    assert!(head.contains("x-scope: tenant\r\n") && !head.contains("mine"), "{head}");
    assert!(head.contains("x-many: one\r\n") && head.contains("x-many: two\r\n"), "{head}");
    assert_eq!(head.matches("Host: virtual\r\n").count() + head.to_lowercase().matches("host:").count(), 2, "{head}");
}

/// Signs with a counter and takes 403 for an expired key.
struct Counting {
    signed: AtomicUsize,
}

#[async_trait]
impl ClientAuth for Counting {
    async fn apply(&self, request: &mut Parts, body: &[u8]) -> Result<(), AuthError> {
        let number = self.signed.fetch_add(1, Ordering::SeqCst);
        if number > 3 {
            return Err(AuthError::new("no credentials left"));
        }
        let signature = format!("{} {} {number} {}", request.method, request.uri.path(), body.len());
        request.headers.insert("x-signature", signature.parse().map_err(|_| AuthError::new("unprintable"))?);
        Ok(())
    }

    fn on_response(&self, status: StatusCode, body: &[u8]) -> AuthVerdict {
        match (status, body) {
            (StatusCode::FORBIDDEN, b"expired") => AuthVerdict::Retry,
            _ => AuthVerdict::Final,
        }
    }
}

#[tokio::test]
async fn an_authenticator_signs_what_is_sent_and_may_try_once_more() {
    let server = Scripted::start(|_, head, _| {
        if head.contains("/always") || head.contains(" 0 ") {
            response("403 Forbidden", "", "expired")
        } else {
            response("200 OK", "", "x")
        }
    })
    .await;
    let id: pipeline::config::ComponentId = "sigv4auth".parse().unwrap();
    let mut authenticators = Authenticators::default();
    let settings = ClientSettings {
        credentials: Credentials::Authenticator(id.clone()),
        compression: Compression::parse("snappy", None).unwrap(),
        ..ClientSettings::default()
    };
    let missing = HttpClient::new(&settings, &authenticators).unwrap_err().to_string();
    assert!(missing.contains("failed to resolve authenticator \"sigv4auth\""), "{missing}");

    authenticators.add_client(id, Arc::new(Counting { signed: AtomicUsize::new(0) }));
    let client = HttpClient::new(&settings, &authenticators).unwrap();
    let mut body = Vec::new();
    let request = Request::post(server.url("/w"), "a".repeat(1000));
    let head = client.send(&request, &mut body, LIMIT).await.unwrap();
    assert_eq!((head.status.as_u16(), body.as_slice()), (200, &b"x"[..]));
    // Both times over the compressed bytes.
    for (number, head) in server.heads().iter().enumerate() {
        let len = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        assert!(len.parse::<usize>().unwrap() < 100);
        assert!(head.contains(&format!("x-signature: POST /w {number} {len}\r\n")), "{head}");
    }

    let head = client.send(&Request::get(server.url("/always")), &mut body, LIMIT).await.unwrap();
    assert_eq!((head.status.as_u16(), body.as_slice()), (403, &b"expired"[..]));
    let error = fails(&client, &Request::get(server.url("/"))).await;
    assert_eq!((error.kind(), error.detail()), (RequestErrorKind::Auth, "no credentials left"));
}

fn oauth2(token_url: Uri, secret: SecretSource) -> HttpClient {
    with(Credentials::OAuth2(Box::new(OAuth2Settings {
        client_id: "me".to_owned(),
        grant: Grant::ClientCredentials { secret },
        token_url,
        scopes: vec!["a".to_owned(), "b c".to_owned()],
        endpoint_params: vec![("x".to_owned(), "1&2".to_owned())],
        tls: crate::tls::ClientTlsSettings::default(),
        proxy: ProxySettings::None,
    })))
}

#[tokio::test]
async fn a_token_is_fetched_once_while_it_lasts() {
    let issuer = Scripted::start(|_, head, body| {
        assert_eq!(body, b"grant_type=client_credentials&scope=a+b+c&x=1%262");
        assert!(head.contains("content-type: application/x-www-form-urlencoded\r\n"), "{head}");
        let token = if head.contains("authorization: Basic bWU6b25l\r\n") { "t1" } else { "t2" };
        response("200 OK", "", &format!(r#"{{"access_token":"{token}","token_type":"bearer","expires_in":3600}}"#))
    })
    .await;
    let server = Scripted::start(|_, _, _| response("200 OK", "", "x")).await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("secret");
    std::fs::write(&path, "one").unwrap();
    let client = oauth2(issuer.url("/token"), SecretSource::File(path.clone()));
    for _ in 0..3 {
        get(&client, server.url("/")).await;
    }
    assert_eq!(issuer.heads().len(), 1);
    assert!(server.heads().iter().all(|head| head.contains("authorization: Bearer t1\r\n")));
    std::fs::write(&path, "two").unwrap();
    get(&client, server.url("/")).await;
    assert_eq!(issuer.heads().len(), 2);
    assert!(server.heads().pop().unwrap().contains("authorization: Bearer t2\r\n"));
}

#[tokio::test]
async fn an_issuer_may_want_the_secret_among_the_parameters_or_refuse() {
    let issuer = Scripted::start(|_, _, body| {
        if body.ends_with(b"&client_id=me&client_secret=s%2F") {
            // Expires at once, so that each request fetches.
            response("200 OK", "", r#"{"access_token":"t","expires_in":"10"}"#)
        } else {
            response("401 Unauthorized", "", r#"{"error":"invalid_client","error_description":"who?"}"#)
        }
    })
    .await;
    let server = Scripted::start(|_, _, _| response("200 OK", "", "x")).await;
    let client = oauth2(issuer.url("/"), SecretSource::Inline(Secret::new("s/")));
    get(&client, server.url("/")).await;
    assert_eq!(issuer.heads().len(), 2);
    get(&client, server.url("/")).await;
    assert_eq!(issuer.heads().len(), 3);

    let wrong = oauth2(issuer.url("/"), SecretSource::Inline(Secret::new("wrong")));
    let error = fails(&wrong, &Request::get(server.url("/"))).await;
    assert_eq!(error.kind(), RequestErrorKind::Auth);
    assert_eq!(error.detail(), "oauth2: cannot fetch token: 401 Unauthorized: invalid_client (who?)");
}

#[tokio::test]
async fn a_statement_is_signed_for_a_token() {
    use base64::Engine as _;
    let issuer = Scripted::start(|_, _, body| {
        let body = String::from_utf8_lossy(body);
        let assertion =
            body.strip_prefix("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=").unwrap();
        let parts: Vec<_> = assertion
            .split('.')
            .map(|part| base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part).unwrap())
            .collect();
        let [header, claims, signature] = parts.as_slice() else { panic!("{assertion}") };
        let header: serde_json::Value = serde_json::from_slice(header).unwrap();
        let claims: serde_json::Value = serde_json::from_slice(claims).unwrap();
        assert_eq!(header, serde_json::json!({"alg": "RS256", "typ": "JWT", "kid": "k1"}));
        assert_eq!((&claims["iss"], &claims["aud"], &claims["x"]), (&"me".into(), &"them".into(), &7.into()));
        assert_eq!(signature.len(), 256);
        response("200 OK", "", r#"{"access_token":"t"}"#)
    })
    .await;
    let server = Scripted::start(|_, _, _| response("200 OK", "", "x")).await;
    let settings = OAuth2Settings {
        client_id: "me".to_owned(),
        grant: Grant::JwtBearer {
            key: SecretSource::Inline(Secret::new(RSA_KEY)),
            key_id: "k1".to_owned(),
            algorithm: JwtAlgorithm::Rs256,
            issuer: "me".to_owned(),
            audience: "them".to_owned(),
            claims: vec![("x".to_owned(), 7.into())],
        },
        token_url: issuer.url("/"),
        scopes: Vec::new(),
        endpoint_params: Vec::new(),
        tls: crate::tls::ClientTlsSettings::default(),
        proxy: ProxySettings::None,
    };
    let client = with(Credentials::OAuth2(Box::new(settings)));
    get(&client, server.url("/")).await;
    assert!(server.heads().pop().unwrap().contains("authorization: Bearer t\r\n"));
}

/// Made for this test with `openssl genrsa 2048`; protects nothing.
const RSA_KEY: &str = include_str!("rsa_key.pem");

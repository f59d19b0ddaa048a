//! Redirects, and what goes along with them.

use super::*;

#[tokio::test]
async fn a_chain_is_followed_and_credentials_stay_behind_at_a_strange_host() {
    // "localhost" and "127.0.0.1" are different hosts.
    let other = Scripted::start(|_, head, _| {
        if head.starts_with("GET /back ") {
            let home = head.lines().find_map(|line| line.strip_prefix("x-home: ")).unwrap_or("");
            response("307 Temporary Redirect", &format!("Location: {home}\r\n"), "")
        } else {
            response("200 OK", "", "other")
        }
    })
    .await;
    let port = other.address.port();
    let home = Scripted::start(move |_, head, _| {
        if head.starts_with("GET /same ") {
            response("302 Found", "Location: final\r\n", "moved")
        } else if head.starts_with("GET /strange ") {
            response("301 Moved", &format!("Location: http://localhost:{port}/back\r\n"), "")
        } else {
            response("200 OK", "", "home")
        }
    })
    .await;
    let client = client(&ClientSettings {
        credentials: Credentials::Basic {
            username: SecretSource::Inline(pipeline::config::Secret::new("u")),
            password: SecretSource::Inline(pipeline::config::Secret::new("p")),
        },
        added_headers: vec![("x-key".parse().unwrap(), SecretSource::Inline(pipeline::config::Secret::new("k")))],
        ..ClientSettings::default()
    });
    let mut request = Request::get(home.url("/same"));
    request.headers.insert("x-home", home.url("/home").to_string().parse().unwrap());
    let mut body = Vec::new();
    let head = client.send(&request, &mut body, LIMIT).await.unwrap();
    assert_eq!(body, b"home");
    assert_eq!(head.redirected_to.unwrap(), home.url("/final"));
    assert!(
        home.heads().iter().all(|head| head.contains("authorization: Basic dTpw\r\n") && head.contains("x-key: k"))
    );

    request.uri = home.url("/strange");
    client.send(&request, &mut body, LIMIT).await.unwrap();
    assert_eq!(body, b"home");
    let strange = other.heads();
    assert_eq!(strange.len(), 1);
    for head in strange.iter().chain(home.heads().last()) {
        // Also not on the way back.
        assert!(!head.contains("authorization") && !head.contains("x-key"), "{head}");
        assert!(head.contains("x-home"));
    }
}

#[tokio::test]
async fn a_request_s_own_authorization_stays_behind_too() {
    let other = Scripted::start(|_, _, _| response("200 OK", "", "x")).await;
    let port = other.address.port();
    let home =
        Scripted::start(move |_, _, _| response("308 Moved", &format!("Location: //localhost:{port}/\r\n"), "")).await;
    let mut request = Request::get(home.url("/"));
    for name in ["authorization", "cookie"] {
        request.headers.insert(name, "s".parse().unwrap());
    }
    plain().send(&request, &mut Vec::new(), LIMIT).await.unwrap();
    let head = other.heads().concat();
    assert!(!head.contains("authorization") && !head.contains("cookie"), "{head}");
}

#[tokio::test]
async fn methods_and_bodies_change_as_browsers_taught() {
    let server = Scripted::start(|_, head, body| {
        let body = String::from_utf8_lossy(body).into_owned();
        let status = head.split([' ', '/']).nth(2).unwrap_or_default().to_owned();
        match status.parse::<u16>() {
            Ok(_) => response(&format!("{status} Moved"), "Location: /end\r\n", ""),
            Err(_) => response("200 OK", "", &format!("{} {body}", head.split(' ').next().unwrap_or(""))),
        }
    })
    .await;
    let client = plain();
    for (status, expected) in [(301, "GET "), (302, "GET "), (303, "GET "), (307, "POST data"), (308, "POST data")] {
        let mut body = Vec::new();
        let mut request = Request::post(server.url(&format!("/{status}")), "data");
        request.headers.insert("content-type", "text/plain".parse().unwrap());
        client.send(&request, &mut body, LIMIT).await.unwrap();
        assert_eq!(String::from_utf8(body).unwrap(), expected, "{status}");
        let described = server.heads().last().unwrap().contains("content-type");
        assert_eq!(described, status > 303, "{status}");
    }
}

#[tokio::test]
async fn a_loop_ends_and_redirects_can_be_declined() {
    let server = Scripted::start(|_, _, _| response("302 Found", "Location: /\r\n", "loop")).await;
    let error = fails(&plain(), &Request::get(server.url("/"))).await;
    assert_eq!((error.kind(), error.detail()), (RequestErrorKind::Redirect, "stopped after 10 redirects"));
    assert_eq!(server.heads().len(), 11);
    // The bodies were read, so that one connection was enough.
    assert_eq!(server.connections(), 1);

    let declines = client(&ClientSettings { follow_redirects: false, ..ClientSettings::default() });
    let (head, body) = get(&declines, server.url("/")).await;
    assert_eq!((head.status.as_u16(), body.as_str()), (302, "loop"));
}

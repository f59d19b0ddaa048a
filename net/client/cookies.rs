//! Cookies, for load balancers that use them to keep a client with one server.

use std::collections::HashMap;
use std::time::SystemTime;

use http::header::{COOKIE, SET_COOKIE};
use http::{HeaderMap, HeaderValue, Uri};
use parking_lot::Mutex;

/// Cookies kept for one host. Load balancers set one or two.
const MAX_PER_HOST: usize = 50;
/// The longest name and value together, as in browsers.
const MAX_COOKIE: usize = 4096;
/// Hosts remembered; a client has one or a few.
const MAX_HOSTS: usize = 100;

/// The cookies that servers have set. A cookie goes back to the very host that set it (no domains) and below its path.
#[derive(Debug, Default)]
pub(super) struct CookieJar {
    hosts: Mutex<HashMap<String, Vec<Cookie>>>,
}

#[derive(Debug)]
struct Cookie {
    name: String,
    value: String,
    path: String,
    secure: bool,
    expires: Option<SystemTime>,
}

impl CookieJar {
    /// Remembers what a response sets.
    pub(super) fn store(&self, uri: &Uri, headers: &HeaderMap) {
        if !headers.contains_key(SET_COOKIE) {
            return;
        }
        let Some(host) = uri.host() else { return };
        let mut hosts = self.hosts.lock();
        if hosts.len() >= MAX_HOSTS && !hosts.contains_key(host) {
            return;
        }
        let cookies = hosts.entry(host.to_ascii_lowercase()).or_default();
        for value in headers.get_all(SET_COOKIE) {
            let Some(cookie) = value.to_str().ok().and_then(Cookie::parse) else {
                continue;
            };
            cookies.retain(|kept| kept.name != cookie.name || kept.path != cookie.path);
            if !cookie.has_expired(SystemTime::now()) && cookies.len() < MAX_PER_HOST {
                cookies.push(cookie);
            }
        }
    }

    /// Puts what fits on a request.
    pub(super) fn apply(&self, uri: &Uri, headers: &mut HeaderMap) {
        let Some(host) = uri.host() else { return };
        let mut hosts = self.hosts.lock();
        let Some(cookies) = hosts.get_mut(&host.to_ascii_lowercase()) else {
            return;
        };
        let now = SystemTime::now();
        cookies.retain(|cookie| !cookie.has_expired(now));
        let https = uri.scheme_str() == Some("https");
        let sent: Vec<_> = cookies
            .iter()
            .filter(|cookie| (https || !cookie.secure) && cookie.covers(uri.path()))
            .map(|cookie| format!("{}={}", cookie.name, cookie.value))
            .collect();
        if let (false, Ok(value)) = (sent.is_empty(), HeaderValue::from_str(&sent.join("; "))) {
            headers.insert(COOKIE, value);
        }
    }
}

impl Cookie {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        let (name, value) = parts.next()?.split_once('=')?;
        if name.is_empty() || text.len() > MAX_COOKIE {
            return None;
        }
        let mut cookie =
            Self { name: name.to_owned(), value: value.to_owned(), path: "/".to_owned(), secure: false, expires: None };
        let mut age_given = false;
        for part in parts {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            match key.to_ascii_lowercase().as_str() {
                "path" if value.starts_with('/') => cookie.path = value.to_owned(),
                "secure" => cookie.secure = true,
                "max-age" => {
                    if let Ok(seconds) = value.parse::<i64>() {
                        let age = std::time::Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
                        cookie.expires = SystemTime::now().checked_add(age);
                        age_given = true;
                    }
                }
                // The age counts for more than the date (RFC 6265 section 5.3).
                "expires" if !age_given => cookie.expires = httpdate::parse_http_date(value).ok(),
                _ => {}
            }
        }
        Some(cookie)
    }

    fn has_expired(&self, now: SystemTime) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }

    fn covers(&self, path: &str) -> bool {
        path.strip_prefix(self.path.as_str())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || self.path.ends_with('/'))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn sent(jar: &CookieJar, url: &str) -> Option<String> {
        let mut headers = HeaderMap::new();
        jar.apply(&url.parse().unwrap(), &mut headers);
        headers.get(COOKIE).map(|value| value.to_str().unwrap().to_owned())
    }

    #[test]
    fn cookies_go_back_where_they_belong() {
        let jar = CookieJar::default();
        let mut headers = HeaderMap::new();
        for cookie in [
            "a=1",
            "b=2; Path=/sub",
            "c=3; Secure",
            "d=4; Max-Age=0",
            "e=5; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
            "=6",
            "junk",
        ] {
            headers.append(SET_COOKIE, cookie.parse().unwrap());
        }
        jar.store(&"http://h/".parse().unwrap(), &headers);
        assert_eq!(sent(&jar, "http://h/x").as_deref(), Some("a=1"));
        assert_eq!(sent(&jar, "http://H:81/sub/y").as_deref(), Some("a=1; b=2"));
        assert_eq!(sent(&jar, "http://h/subway").as_deref(), Some("a=1"));
        assert_eq!(sent(&jar, "https://h/").as_deref(), Some("a=1; c=3"));
        assert_eq!(sent(&jar, "http://other/"), None);

        let mut headers = HeaderMap::new();
        headers.append(SET_COOKIE, "a=; Max-Age=-1".parse().unwrap());
        jar.store(&"http://h/".parse().unwrap(), &headers);
        assert_eq!(sent(&jar, "http://h/x"), None);
    }
}

#![expect(clippy::unwrap_used, reason = "tests")]

mod key_of_the_day;
mod reference;

use super::{SignOptions, Signable, sign};
use crate::credentials::Identity;
use crate::endpoint::Scope;
use crate::testing::skipped;
use aws_credential_types::Credentials;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The vectors in the sources of the `aws-sigv4` that `Cargo.lock` names, where cargo unpacks them.
fn vectors() -> Option<PathBuf> {
    let lock = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.lock")).ok()?;
    let version = lock.split_once("name = \"aws-sigv4\"\nversion = \"")?.1.split('"').next()?;
    let home = std::env::var_os("CARGO_HOME")
        .map_or_else(|| std::env::home_dir().map(|home| home.join(".cargo")), |home| Some(home.into()));
    let registries = std::fs::read_dir(home?.join("registry/src")).ok()?;
    let inside = format!("aws-sigv4-{version}/aws-signing-test-suite/v4");
    registries.filter_map(|registry| Some(registry.ok()?.path().join(&inside))).find(|path| path.is_dir())
}

/// A request as it stands in a file of the vectors.
struct Parsed {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: String,
}

fn parse(text: &str) -> Parsed {
    let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
    let mut lines = head.lines();
    let line = lines.next().unwrap();
    let (method, rest) = line.split_once(' ').unwrap();
    let target = rest.rsplit_once(" HTTP/").map_or(rest, |(target, _)| target);
    let mut headers: Vec<(String, String)> = Vec::new();
    for line in lines {
        match line.split_once(':') {
            // Folded lines belong to the field before; one space stands for all of it.
            _ if line.starts_with(' ') => headers.last_mut().unwrap().1.push_str(&format!(" {}", line.trim())),
            Some((name, value)) => headers.push((name.to_owned(), value.to_owned())),
            None => {}
        }
    }
    Parsed { method: method.to_owned(), target: target.to_owned(), headers, body: body.to_owned() }
}

fn time(text: &str) -> SystemTime {
    let number = |from: usize, to: usize| text[from..to].parse::<u64>().unwrap();
    // Days of the civil calendar since 1970, for years after 1970 (March is the first month of the count).
    let (year, month, day) = (number(0, 4), number(5, 7), number(8, 10));
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1 - 719_468;
    UNIX_EPOCH + Duration::from_secs(days * 86_400 + number(11, 13) * 3600 + number(14, 16) * 60 + number(17, 19))
}

#[test]
fn the_vectors_of_aws_pass_through_our_own_call() {
    let Some(directory) = vectors() else {
        return skipped("signing vectors: the sources of aws-sigv4 are not where cargo says");
    };
    let mut cases = 0;
    for entry in std::fs::read_dir(directory).unwrap() {
        let case = entry.unwrap().path();
        let read = |name: &str| std::fs::read_to_string(case.join(name)).map(|text| text.replace("\r\n", "\n"));
        // Two cases have no signature to compare with.
        let (Ok(context), Ok(signature)) = (read("context.json"), read("header-signature.txt")) else { continue };
        let name = case.file_name().unwrap().to_string_lossy().into_owned();
        let context: Value = serde_json::from_str(&context).unwrap();
        let text = |key: &str| context[key].as_str().unwrap();
        let request = parse(&read("request.txt").unwrap());
        let flag = |key: &str| context[key].as_bool().unwrap_or(false);
        let options = SignOptions {
            normalize_path: flag("normalize"),
            // The two cases of spaces are signed as for S3; aws-sigv4 leaves them out of its own tests.
            encode_path_again: !name.starts_with("get-space"),
            checksum_header: flag("sign_body"),
            sign_token: !flag("omit_session_token"),
        };
        let credentials = &context["credentials"];
        let identity = Identity::new(
            Credentials::new(
                credentials["access_key_id"].as_str().unwrap(),
                credentials["secret_access_key"].as_str().unwrap(),
                credentials["token"].as_str().map(str::to_owned),
                None,
                "vectors",
            ),
            "vectors",
        );
        let headers: Vec<(&str, &str)> =
            request.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let host = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("host")).unwrap().1.trim();
        let uri = format!("https://{host}{}", request.target.replace(' ', "%20"));
        let signable =
            Signable { method: &request.method, uri: &uri, headers: &headers, body: request.body.as_bytes() };
        let scope = Scope { region: text("region").into(), service: text("service").into() };
        let fields = sign(&signable, &scope, &identity, time(text("timestamp")), options).unwrap();
        let authorization = fields.iter().find(|(name, _)| name == "authorization").unwrap().1.to_str().unwrap();
        assert!(authorization.ends_with(&format!("Signature={}", signature.trim())), "{name}: {authorization}");
        cases += 1;
    }
    assert!(cases >= 30, "only {cases} cases were found");
}

#[test]
fn a_token_is_sent_and_marked_as_secret() {
    let identity = Identity::new(Credentials::new("ASIAX", "s", Some("the-token".to_owned()), None, "t"), "t");
    let signable = Signable { method: "POST", uri: "https://h.example/p", headers: &[], body: b"x" };
    let scope = Scope { region: "r".into(), service: "aps".into() };
    let fields = sign(&signable, &scope, &identity, UNIX_EPOCH, SignOptions::default()).unwrap();
    let token = fields.iter().find(|(name, _)| name == "x-amz-security-token").unwrap();
    assert!(token.1.is_sensitive());
    assert_eq!(token.1, "the-token");
    assert!(!format!("{fields:?} {identity:?}").contains("the-token"));
}

#[test]
fn what_cannot_be_signed_is_an_error_that_names_it() {
    let identity = Identity::of_keys("AKIAX", "s", "t");
    let scope = Scope { region: "r".into(), service: "aps".into() };
    let error = |uri: &str, headers: &[(&str, &str)], seconds| {
        let signable = Signable { method: "POST", uri, headers, body: b"x" };
        let time = UNIX_EPOCH + Duration::from_secs(seconds);
        sign(&signable, &scope, &identity, time, SignOptions::default()).unwrap_err().to_string()
    };
    let good = "https://h.example/p";
    for (error, words) in [
        (error("/p", &[], 0), "its URL has no host"),
        (error("https://h.example/p q", &[], 0), "its URL: invalid uri character"),
        (error(good, &[("na me", "v")], 0), "\"na me\" is not the name of a field"),
        (error(good, &[("X-Name", "a\nb")], 0), "x-name has characters that cannot be sent"),
        (error(good, &[], 300_000_000_000), "300000000000 s after 1970"),
    ] {
        assert!(error.starts_with("the request cannot be signed: ") && error.contains(words), "{error}");
    }
    let injecting = Scope { region: "r\nx".into(), service: "aps".into() };
    let signable = Signable { method: "POST", uri: good, headers: &[], body: b"x" };
    let error = sign(&signable, &injecting, &identity, UNIX_EPOCH, SignOptions::default()).unwrap_err();
    assert!(error.to_string().contains("authorization has characters that cannot be sent"), "{error}");
}

//! What becomes of requests that AWS refuses.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::keys::{Key, Standing};
use super::metadata::Metadata;
use super::scene::{Home, Scene, at_once, variable};
use super::store::{Attempt, AwsStore, REGION};
use super::sts::Sts;
use super::verifier::python;
use crate::support::http::Reply;
use crate::support::python::require_python;
use crate::support::wait_until;

const TOLD: &str = "AWS has refused this identity; what was to be sent is kept and tried again";

fn forbidden(words: &str) -> Reply {
    Reply::status(403, &format!("{{\"message\":\"{words}\"}}"))
}

fn attempts(scene: &Scene) -> Vec<Attempt> {
    scene.store.know(|known| known.attempts.clone())
}

#[test]
fn expired_and_unknown_keys_are_exchanged_and_the_same_batch_is_sent_again_at_once() {
    let python = require_python!(python());
    let cases = [
        forbidden("The security token included in the request is expired"),
        forbidden("The security token included in the request is invalid."),
        forbidden("UnrecognizedClientException"),
        // As services with a protocol of JSON say it.
        Reply::status(
            400,
            "{\"__type\":\"ExpiredTokenException\",\"message\":\"The security token included in the request is expired\"}",
        ),
    ];
    at_once(cases, |refusal| {
        let Reply::Answer { status, .. } = refusal else { unreachable!() };
        let store = AwsStore::start(&python);
        let agent = Metadata::container(store.keys(), Duration::from_secs(3600), None, None);
        let uri = format!("{}/v1/credentials", agent.url());
        let scene = Scene::start(store, Home::new(), &[variable("AWS_CONTAINER_CREDENTIALS_FULL_URI", uri)]);
        wait_until("a request", || scene.store.signers().len() == 1);
        let old = scene.store.signers().pop_first().unwrap();
        // Credentials that were loaded a moment ago are not asked for again at once.
        let before = scene.scrapes();
        wait_until("some scrapes", || scene.scrapes() > before + 12);
        let bad = format!("Credential={old}/");
        scene
            .store
            .judge(move |request, _| request.header("authorization").unwrap().contains(&bad).then(|| refusal.clone()));
        wait_until("another key", || scene.store.signers().len() == 2);
        scene.check_complete();
        let attempts = attempts(&scene);
        let refused: Vec<&Attempt> = attempts.iter().filter(|attempt| attempt.status == status).collect();
        assert!(!refused.is_empty());
        for refused in refused {
            let accepted =
                attempts.iter().find(|attempt| attempt.status == 200 && attempt.body == refused.body).unwrap();
            assert_ne!(accepted.key, refused.key);
        }
        assert_eq!(scene.oxidot.own("otelcol_exporter_prometheusremotewrite_retries", &[]), 0.0);
        assert_eq!(agent.answers(), 2);
        assert_eq!(scene.lines(TOLD), 0);
    });
}

#[test]
fn an_identity_that_may_not_write_keeps_its_data_and_is_named() {
    let python = require_python!(python());
    let (store, key) = (AwsStore::start(&python), Key::lasting());
    let role = "arn:aws:iam::123456789012:role/reader";
    let sts = Sts::start(&python, store.keys(), Duration::from_secs(3600));
    sts.callers().add(&key);
    let allowed = Arc::new(AtomicBool::new(false));
    let may = Arc::clone(&allowed);
    store.judge(move |_, _| {
        (!may.load(Ordering::SeqCst)).then(|| {
            forbidden("User: arn:aws:sts::123456789012:assumed-role/reader/oxidot is not authorized to perform: aps:RemoteWrite on resource: arn:aws:aps:eu-west-1:123456789012:workspace/ws-1")
        })
    });
    let mut variables = key.variables();
    variables.push(variable("AWS_ENDPOINT_URL_STS", sts.url()));
    let mut scene = Scene::start_with(
        store,
        Home::new(),
        &variables,
        &format!("sigv4: {{region: {REGION}, role_arn: \"{role}\"}}"),
    );
    let line = scene.oxidot.wait_for_log(TOLD);
    let attempt = attempts(&scene)[0].clone();
    for part in [
        "assumed role (environment)",
        &attempt.key,
        role,
        REGION,
        "403",
        "is not authorized to perform: aps:RemoteWrite",
        "AmazonPrometheusRemoteWriteAccess",
    ] {
        assert!(line.contains(part), "{part:?} is not in {line}");
    }
    let before = scene.scrapes();
    wait_until("some scrapes", || scene.scrapes() > before + 20);
    // Requests wait for the one that is refused, which comes again ever more slowly; and STS is not asked again.
    assert!(attempts(&scene).len() < 60, "{}", attempts(&scene).len());
    assert_eq!(sts.calls().len(), 1);
    assert_eq!(scene.lines(TOLD), 1);
    allowed.store(true, Ordering::SeqCst);
    scene.check_complete();
}

#[test]
fn credentials_that_stay_expired_are_named_and_data_waits_for_others() {
    let python = require_python!(python());
    let (store, home, key) = (AwsStore::start(&python), Home::new(), Key::temporary());
    store.keys().set(&key, Standing::Revoked);
    std::fs::write(home.credentials(), key.profile("default")).unwrap();
    let mut scene = Scene::start(store, home, &[]);
    let line = scene.oxidot.wait_for_log(TOLD);
    for part in ["shared files (profile default)", &key.id, REGION, "is the SSM agent running?"] {
        assert!(line.contains(part), "{part:?} is not in {line}");
    }
    let new = Key::temporary();
    scene.store.keys().add(&new);
    std::fs::write(scene.home.credentials(), new.profile("default")).unwrap();
    scene.wait_for_signed(&new.id, 2);
    scene.check_complete();
}

#[test]
fn a_400_that_goes_on_about_the_credentials_keeps_the_data_and_any_other_is_final() {
    let python = require_python!(python());
    let expired =
        "{\"__type\":\"ExpiredTokenException\",\"message\":\"The security token included in the request is expired\"}";
    let of_samples = "{\"message\":\"out of order sample: {error=\\\"ExpiredTokenException\\\"}\"}";
    at_once([(expired, true), (of_samples, false)], |(words, of_identity)| {
        let (store, key) = (AwsStore::start(&python), Key::lasting());
        store.keys().add(&key);
        let refusing = Arc::new(AtomicBool::new(true));
        let refuses = Arc::clone(&refusing);
        store.judge(move |_, _| refuses.load(Ordering::SeqCst).then(|| Reply::status(400, words)));
        let mut scene = Scene::start(store, Home::new(), &key.variables());
        if of_identity {
            assert!(scene.oxidot.wait_for_log(TOLD).contains("the credentials have expired"));
            refusing.store(false, Ordering::SeqCst);
            scene.check_complete();
        } else {
            let line = scene.oxidot.wait_for_log("The store rejects samples for good");
            assert!(line.contains("out of order sample") && scene.lines(TOLD) == 0, "{line}");
        }
    });
}

#[test]
fn what_else_is_refused_is_told_with_what_to_do() {
    let python = require_python!(python());
    let cases = [
        (
            "Signature expired: 20261122T000000Z is now earlier than 20261122T001000Z (20261122T001500Z - 5 min.)",
            "clock",
        ),
        ("Credential should be scoped to a valid region, not 'eu-west-1'. ", "set region and service"),
        ("Missing Authentication Token", "a proxy removes the Authorization header"),
        (
            "The request signature we calculated does not match the signature you provided.",
            "does not belong to the key",
        ),
        ("Forbidden", "AWS refuses the request"),
    ];
    at_once(cases, |(words, advice)| {
        let (store, key) = (AwsStore::start(&python), Key::lasting());
        store.keys().add(&key);
        let refusing = Arc::new(AtomicBool::new(true));
        let refuses = Arc::clone(&refusing);
        store.judge(move |_, _| refuses.load(Ordering::SeqCst).then(|| forbidden(words)));
        let mut scene = Scene::start(store, Home::new(), &key.variables());
        let line = scene.oxidot.wait_for_log(TOLD);
        for part in [advice, words, &key.id] {
            assert!(line.contains(part), "{part:?} is not in {line}");
        }
        refusing.store(false, Ordering::SeqCst);
        scene.check_complete();
    });
}

#[test]
fn a_wrong_region_and_a_wrong_secret_are_found_out_by_the_signature() {
    let python = require_python!(python());
    let cases = [
        ("us-east-1", None, "set region and service to those of the endpoint"),
        (REGION, Some("the-secret-of-another-key"), "the secret does not belong to the key"),
    ];
    at_once(cases, |(region, secret, advice)| {
        let (store, key) = (AwsStore::start(&python), Key::lasting());
        store.keys().add(&key);
        let block = format!(
            "sigv4: {{region: {region}, access_key: {}, secret_key: \"{}\"}}",
            key.id,
            secret.unwrap_or(&key.secret)
        );
        let mut scene = Scene::start_with(store, Home::new(), &[], &block);
        let line = scene.oxidot.wait_for_log(TOLD);
        assert!(line.contains(advice) && line.contains(region), "{line}");
        assert!(!scene.oxidot.log().contains(secret.unwrap_or(&key.secret)));
        assert_eq!(scene.oxidot.own("otelcol_exporter_dropped_metric_points", &[]), 0.0);
        scene.oxidot.signal("TERM");
        scene.oxidot.wait_for_log("Starting shutdown");
        scene.oxidot.end();
    });
}

#[test]
fn every_attempt_is_signed_afresh() {
    let python = require_python!(python());
    let (store, key) = (AwsStore::start(&python), Key::temporary());
    store.keys().add(&key);
    let mut number = 0;
    store.judge(move |_, _| {
        number += 1;
        let headers = vec![("Retry-After", "2".to_owned())];
        (number <= 3).then(|| Reply::Answer { status: 503, headers, body: b"later".to_vec() })
    });
    let scene = Scene::start_with(
        store,
        Home::new(),
        &key.variables(),
        &format!("max_batch_request_parallelism: 1, sigv4: {{region: {REGION}}}"),
    );
    scene.wait_for_signed(&key.id, 3);
    scene.check_complete();
    let mut by_body: HashMap<_, Vec<Attempt>> = HashMap::new();
    for attempt in attempts(&scene) {
        by_body.entry(attempt.body).or_default().push(attempt);
    }
    let again: Vec<_> = by_body.values().find(|attempts| attempts.len() >= 4).unwrap().clone();
    for pair in again.windows(2) {
        assert!(pair[0].date < pair[1].date, "{pair:?}");
        assert_ne!(pair[0].signature, pair[1].signature);
    }
}

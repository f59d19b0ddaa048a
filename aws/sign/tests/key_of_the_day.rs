//! A key that is remembered signs only what it is for: its own secret, day, region and service.

use super::super::day_keys::MOST;
use super::super::{Day, SignOptions, Signable};
use super::reference::{by_the_crate, by_us, identity};
use crate::credentials::Identity;
use crate::endpoint::Scope;
use proptest::prelude::*;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const REQUEST: Signable<'static> =
    Signable { method: "POST", uri: "https://h.example/api/v1/remote_write", headers: &[], body: b"body" };

/// 2026-11-28T00:00:00Z.
const MIDNIGHT: u64 = 1_795_824_000;

fn scope<'a>(region: &'a str, service: &'a str) -> Scope<'a> {
    Scope { region: region.into(), service: service.into() }
}

fn at(milliseconds_after: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis((MIDNIGHT as i64 * 1000 + milliseconds_after) as u64)
}

/// Signs, and compares with the signature of a key that is derived for it.
fn check(identity: &Identity, scope: &Scope<'_>, time: SystemTime) -> String {
    let ours = by_us(&REQUEST, scope, identity, time, SignOptions::default()).unwrap();
    assert_eq!(Some(&ours), by_the_crate(&REQUEST, scope, identity, time, SignOptions::default()).as_ref());
    ours.into_iter().find(|(name, ..)| name == "authorization").unwrap().1
}

#[test]
fn the_key_is_derived_once_a_day() {
    let identity = identity("ASIAX", "secret", Some("token"));
    let key = |time| identity.day_key(&Day { date: "20261128", time }, &scope("eu-west-1", "aps"));
    let first = key(at(0));
    check(&identity, &scope("eu-west-1", "aps"), at(1));
    assert!(Arc::ptr_eq(&first, &key(at(86_399_999))));
    // A copy of the credentials has the same secret.
    let copy = identity.clone().with_role(Some("arn:aws:iam::1:role/r".to_owned()));
    assert!(Arc::ptr_eq(&first, &copy.day_key(&Day { date: "20261128", time: at(5) }, &scope("eu-west-1", "aps"))));
    assert_eq!(identity.day_keys(), 1);
    assert!(!format!("{identity:?}").contains("secret"));
}

#[test]
fn at_midnight_the_key_of_the_next_day_signs() {
    let identity = identity("AKIAX", "secret", None);
    let scope = scope("eu-west-1", "aps");
    assert!(check(&identity, &scope, at(-1)).contains("/20261127/"));
    assert!(check(&identity, &scope, at(0)).contains("/20261128/"));
    assert_eq!(identity.day_keys(), 1, "that of the day before is let go");
    // A request of another thread that took its time before midnight, and a clock that is set back.
    assert!(check(&identity, &scope, at(-1)).contains("/20261127/"));
    assert!(check(&identity, &scope, at(1)).contains("/20261128/"));
}

#[test]
fn credentials_that_are_rotated_sign_with_their_own_key() {
    let scope = scope("eu-west-1", "aps");
    let former = identity("ASIAX", "secret", Some("token"));
    let before = check(&former, &scope, at(0));
    // The same id with another secret, as if somebody had put a mistake right.
    let next = identity("ASIAX", "another", Some("token"));
    assert_ne!(check(&next, &scope, at(0)), before);
    assert_eq!(check(&former, &scope, at(0)), before, "requests on their way keep what they began with");
}

#[test]
fn scopes_do_not_share_keys_and_are_bounded() {
    let identity = identity("AKIAX", "secret", None);
    for round in 0..2 {
        for region in 0..2 * MOST {
            let region = format!("region-{region}");
            check(&identity, &scope(&region, "aps"), at(round));
            check(&identity, &scope(&region, "sts"), at(round));
            assert!(identity.day_keys() <= MOST);
        }
    }
}

#[test]
fn threads_across_midnight_have_the_key_of_their_request() {
    let identity = identity("AKIAX", "secret", None);
    std::thread::scope(|threads| {
        for thread in 0..4 {
            let identity = &identity;
            threads.spawn(move || {
                for step in -20..20 {
                    check(identity, &scope("eu-west-1", if thread % 2 == 0 { "aps" } else { "es" }), at(step));
                }
            });
        }
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn in_any_order_of_identities_days_and_scopes(
        steps in prop::collection::vec((0..3_usize, -2..3_i64, 0..86_400_000_i64, 0..4_usize, 0..3_usize), 1..40)
    ) {
        let identities = ["one", "two", "one"].map(|secret| identity("ASIAX", secret, Some("token")));
        for (who, day, millisecond, region, service) in steps {
            let region = ["eu-west-1", "eu-west-2", "us-east-1", ""][region];
            let scope = scope(region, ["aps", "sts", "es"][service]);
            check(&identities[who], &scope, at(day * 86_400_000 + millisecond));
        }
    }
}

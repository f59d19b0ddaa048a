//! Shared files that are written anew while requests are signed with what is in them.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use super::keys::{Key, Standing};
use super::scene::{Home, Scene, variable};
use super::store::{AwsStore, EXPIRED, REGION};
use super::verifier::python;
use crate::support::python::require_python;

/// Set to a number of minutes for a run of that length.
const LONG: &str = "OXIDOT_TEST_ROTATION_MINUTES";

/// How long the writer pauses between two halves.
const PAUSE: Duration = Duration::from_secs(1);

/// Where a file is cut in two. Each is a way of being met half-written.
fn cuts(text: &str) -> Vec<usize> {
    let at = |needle: &str| text.find(needle).unwrap();
    let line_end = |needle: &str| at(needle) + text[at(needle)..].find('\n').unwrap() + 1;
    vec![
        at("aws_session_token") + 120,     // within the token
        0,                                 // empty
        line_end("aws_secret_access_key"), // without a token
        at("aws_secret_access_key") + 40,  // within the secret
        text.len() - 2,                    // all but the end of the token
        line_end("aws_access_key_id"),     // only an id
        at("aws_session_token") + 8,       // within the name of a key
        at("aws_access_key_id") + 30,      // within the id
        text.len() - 1,                    // all but the last line's end
    ]
}

/// Truncates the file and writes it in two pieces, as the SSM agent would on a slow disk.
fn write_in_halves(file: &Path, text: &str, cut: usize, pause: Duration) {
    let mut file = File::create(file).unwrap();
    file.write_all(&text.as_bytes()[..cut]).unwrap();
    file.sync_data().unwrap();
    std::thread::sleep(pause);
    file.write_all(&text.as_bytes()[cut..]).unwrap();
}

fn write_at_once(file: &Path, text: &str) {
    std::fs::write(file, text).unwrap();
}

/// A service that signs with what is in the credentials file of its home.
fn scene(python: &Path, key: &Key) -> Scene {
    let (store, home) = (AwsStore::start(python), Home::new());
    store.keys().add(key);
    write_at_once(&home.credentials(), &key.profile("default"));
    // Small requests, so that there are always some under way.
    Scene::start_with(store, home, &[], &format!("max_samples_per_send: 50, sigv4: {{region: {REGION}}}"))
}

/// How long to go on: `rounds`, or as many minutes as the environment says.
fn enough(rounds: usize) -> impl FnMut(usize) -> bool {
    let minutes = std::env::var(LONG).ok().map(|minutes| minutes.parse::<u64>().unwrap());
    let started = Instant::now();
    move |round| match minutes {
        Some(minutes) => started.elapsed() >= Duration::from_secs(60 * minutes),
        None => round >= rounds,
    }
}

#[test]
fn a_file_that_is_rewritten_in_two_halves_costs_no_request_though_old_keys_are_refused_at_once() {
    let python = require_python!(python());
    let mut key = Key::temporary();
    let scene = scene(&python, &key);
    scene.wait_for_signed(&key.id, 3);
    let (mut round, mut enough) = (0, enough(5));
    while !enough(round) {
        let new = Key::temporary();
        let text = new.profile("default");
        let cut = cuts(&text)[round % cuts(&text).len()];
        scene.store.keys().add(&new);
        // Every other time the store knows before the file does.
        if round % 2 == 0 {
            scene.store.keys().set(&key, Standing::Revoked);
        }
        write_in_halves(&scene.home.credentials(), &text, cut, PAUSE);
        scene.store.keys().set(&key, Standing::Revoked);
        scene.wait_for_signed(&new.id, 5);
        key = new;
        round += 1;
    }
    scene.check_complete();
    scene.store.know(|known| {
        for attempt in known.attempts.iter().filter(|attempt| attempt.status != 200) {
            assert!(attempt.words.contains(EXPIRED), "{attempt:?}");
        }
    });
    assert_eq!(scene.lines("AWS credentials are there; requests are signed with them."), 1);
    assert_eq!(scene.lines("AWS credentials were rotated."), round);
}

#[test]
fn a_rotation_is_noticed_before_any_request_is_refused() {
    let python = require_python!(python());
    let mut key = Key::temporary();
    let scene = scene(&python, &key);
    scene.wait_for_signed(&key.id, 3);
    for round in 0..3 {
        let new = Key::temporary();
        let text = new.profile("default");
        scene.store.keys().add(&new);
        write_in_halves(&scene.home.credentials(), &text, cuts(&text)[round], PAUSE);
        // Old keys are good until long after the agent has written new ones.
        scene.wait_for_signed(&new.id, 5);
        scene.store.keys().set(&key, Standing::Revoked);
        key = new;
    }
    scene.check_complete();
    assert_eq!(scene.store.refusals(), 0);
    assert_eq!(scene.oxidot.own("otelcol_exporter_prometheusremotewrite_retries", &[]), 0.0);
}

#[test]
fn every_way_of_writing_the_file_is_noticed() {
    let python = require_python!(python());
    let (store, home) = (AwsStore::start(&python), Home::new());
    // The directory is not there either.
    std::fs::remove_dir(home.path().join(".aws")).unwrap();
    let scene = Scene::start(store, home, &[]);
    const NONE: &str = "There are no AWS credentials; requests wait for them.";
    crate::support::wait_until("the first request waits", || scene.lines(NONE) == 1);
    let file = scene.home.credentials();
    let directory = file.parent().unwrap().to_owned();
    let use_new = |write: &dyn Fn(&str)| {
        let key = Key::temporary();
        scene.store.keys().add(&key);
        write(&key.profile("default"));
        scene.wait_for_signed(&key.id, 2);
    };
    // It appears, in two halves.
    use_new(&|text| {
        std::fs::create_dir(&directory).unwrap();
        write_in_halves(&file, text, text.len() / 2, PAUSE);
    });
    // Another file takes its place.
    use_new(&|text| {
        write_at_once(&directory.join("new"), text);
        std::fs::rename(directory.join("new"), &file).unwrap();
    });
    // It is overwritten from its beginning, so that old and new stand behind one another for a while.
    use_new(&|text| {
        let mut open = OpenOptions::new().write(true).open(&file).unwrap();
        open.write_all(&text.as_bytes()[..text.len() / 2]).unwrap();
        std::thread::sleep(PAUSE);
        open.write_all(&text.as_bytes()[text.len() / 2..]).unwrap();
    });
    // It is a link to a file in a directory that is a link, which is exchanged (as for a secret of Kubernetes).
    let secret = |name: &str, text: &str| {
        std::fs::create_dir(directory.join(name)).unwrap();
        write_at_once(&directory.join(name).join("credentials"), text);
        std::os::unix::fs::symlink(name, directory.join("next")).unwrap();
        std::fs::rename(directory.join("next"), directory.join("data")).unwrap();
    };
    use_new(&|text| {
        secret("one", text);
        std::fs::remove_file(&file).unwrap();
        std::os::unix::fs::symlink("data/credentials", &file).unwrap();
    });
    use_new(&|text| secret("two", text));
    // The whole directory is exchanged.
    use_new(&|text| {
        let (old, new) = (scene.home.path().join("old"), scene.home.path().join("new"));
        std::fs::create_dir(&new).unwrap();
        write_at_once(&new.join("credentials"), text);
        std::fs::rename(&directory, old).unwrap();
        std::fs::rename(new, &directory).unwrap();
    });
    scene.check_complete();
    assert_eq!(scene.lines("AWS credentials are there; requests are signed with them."), 1);
    assert_eq!(scene.lines(NONE), 1);
}

#[test]
fn a_role_that_is_reached_from_the_rotated_profile_is_assumed_anew() {
    use super::sts::Sts;
    let python = require_python!(python());
    let (store, home) = (AwsStore::start(&python), Home::new());
    let sts = Sts::start(&python, store.keys(), Duration::from_secs(3600));
    let role = "arn:aws:iam::123456789012:role/writer";
    std::fs::write(home.config(), format!("[profile amp]\nrole_arn = {role}\nsource_profile = default\n")).unwrap();
    let mut key = Key::temporary();
    sts.callers().add(&key);
    write_at_once(&home.credentials(), &key.profile("default"));
    let variables = [variable("AWS_PROFILE", "amp"), variable("AWS_ENDPOINT_URL_STS", sts.url())];
    let scene = Scene::start(store, home, &variables);
    crate::support::wait_until("the first request", || scene.store.signers().len() == 1);
    for round in 0..2 {
        let new = Key::temporary();
        sts.callers().add(&new);
        let text = new.profile("default");
        write_in_halves(&scene.home.credentials(), &text, cuts(&text)[round], PAUSE);
        crate::support::wait_until("a role of the new key", || {
            sts.calls().last().is_some_and(|call| call.caller == new.id)
        });
        sts.callers().set(&key, Standing::Revoked);
        key = new;
        crate::support::wait_until("a request of the new role", || scene.store.signers().len() == round + 2);
    }
    scene.check_complete();
    assert_eq!(scene.store.refusals(), 0);
    sts.assert_nothing_bad();
}

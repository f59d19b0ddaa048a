//! Every source of the default chain: what it gives is signed with, what is wrong with it is told, and it is asked again in time.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use super::keys::Key;
use super::metadata::{Metadata, Mood};
use super::scene::{Home, Scene, at_once, variable};
use super::store::{AwsStore, REGION};
use super::sts::Sts;
use super::verifier::python;
use crate::support::python::require_python;
use crate::support::{require, skipped, wait_until};

const THERE: &str = "AWS credentials are there; requests are signed with them.";
const NONE: &str = "There are no AWS credentials; requests wait for them.";
pub(super) const ROLE: &str = "arn:aws:iam::123456789012:role/writer";

/// Lives as long as credentials do that are not renewed during a test.
pub(super) const LONG: Duration = Duration::from_secs(3600);
/// Is renewed after half of it.
pub(super) const SHORT: Duration = Duration::from_secs(8);

/// The one line about who signs.
pub(super) fn who(scene: &mut Scene) -> String {
    let line = scene.oxidot.wait_for_log(THERE);
    assert_eq!(scene.lines(THERE), 1);
    line
}

pub(super) fn assert_names(line: &str, parts: &[&str]) {
    for part in parts {
        assert!(line.contains(part), "{part:?} is not in: {line}");
    }
}

/// Exchanges a file for another.
fn replace(file: &Path, text: &str) {
    let new = file.with_extension("new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, file).unwrap();
}

/// Waits until requests were accepted that are signed with this many keys.
pub(super) fn wait_for_signers(scene: &Scene, count: usize) {
    wait_until(&format!("requests signed with {count} keys"), || scene.store.signers().len() >= count);
}

#[test]
fn environment() {
    let python = require_python!(python());
    at_once([Key::lasting(), Key::temporary()], |key| {
        let store = AwsStore::start(&python);
        store.keys().add(&key);
        let home = Home::new();
        // The environment comes first.
        std::fs::write(home.credentials(), Key::temporary().profile("default")).unwrap();
        let mut scene = Scene::start(store, home, &key.variables());
        scene.wait_for_signed(&key.id, 3);
        assert_names(&who(&mut scene), &["environment", &key.id]);
        scene.check_complete();
        assert_eq!(scene.store.refusals(), 0);
    });
}

#[test]
fn credential_process() {
    let python = require_python!(python());
    let (store, home) = (AwsStore::start(&python), Home::new());
    let (answer, runs) = (home.path().join("answer"), home.path().join("runs"));
    let script = home.path().join("script");
    std::fs::write(&script, format!("echo run >> {}\ncat {}\n", runs.display(), answer.display())).unwrap();
    std::fs::write(home.config(), format!("[default]\ncredential_process = sh \"{}\"\n", script.display())).unwrap();
    let mut keys = vec![store.keys().issue(SHORT)];
    replace(&answer, &keys[0].json("SessionToken"));
    let mut scene = Scene::start(store, home, &[]);
    scene.wait_for_signed(&keys[0].id, 1);
    // From now on the process has the next key at hand.
    for _ in 0..2 {
        let next = scene.store.keys().issue(SHORT + SHORT);
        replace(&answer, &next.json("SessionToken"));
        scene.wait_for_signed(&next.id, 3);
        keys.push(next);
    }
    assert_names(&who(&mut scene), &["shared files (profile default)", &keys[0].id]);
    scene.check_complete();
    assert_eq!(scene.store.refusals(), 0);
    let runs = std::fs::read_to_string(runs).unwrap().lines().count();
    assert!((3..30).contains(&runs), "{runs} runs");
}

#[test]
fn web_identity_with_a_token_file_that_is_rotated() {
    let python = require_python!(python());
    let (store, home) = (AwsStore::start(&python), Home::new());
    let file = home.path().join("token");
    std::fs::write(&file, "token-0").unwrap();
    let good = file.clone();
    let sts = Sts::start_checking(&python, store.keys(), SHORT, move |token| {
        std::fs::read_to_string(&good).unwrap() == token
    });
    let variables = [
        variable("AWS_ROLE_ARN", ROLE),
        variable("AWS_WEB_IDENTITY_TOKEN_FILE", file.display()),
        variable("AWS_ROLE_SESSION_NAME", "pod-1"),
        variable("AWS_REGION", REGION),
        variable("AWS_ENDPOINT_URL_STS", sts.url()),
    ];
    let mut scene = Scene::start(store, home, &variables);
    wait_for_signers(&scene, 1);
    for round in 1..3 {
        replace(&file, &format!("token-{round}"));
        wait_for_signers(&scene, round + 1);
    }
    assert_names(&who(&mut scene), &["web identity", ROLE, "ASIA"]);
    scene.check_complete();
    assert_eq!(scene.store.refusals(), 0);
    let calls = sts.calls();
    let tokens: Vec<&str> = calls.iter().map(|call| call.parameter("WebIdentityToken")).collect();
    for token in ["token-0", "token-2"] {
        assert!(tokens.contains(&token), "{tokens:?}");
    }
    for call in &calls {
        assert_eq!((call.caller.as_str(), call.parameter("RoleArn")), ("", ROLE));
        assert_eq!(call.parameter("RoleSessionName"), "pod-1");
    }
}

#[test]
fn pod_identity_with_a_token_file_that_is_rotated() {
    let python = require_python!(python());
    let (store, home) = (AwsStore::start(&python), Home::new());
    let file = home.path().join("eks-pod-identity-token");
    std::fs::write(&file, "token-0").unwrap();
    let agent = Metadata::container(store.keys(), SHORT, None, Some(file.clone()));
    let variables = [
        variable("AWS_CONTAINER_CREDENTIALS_FULL_URI", format!("{}/v1/credentials", agent.url())),
        variable("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", file.display()),
        variable("AWS_REGION", REGION),
    ];
    let mut scene = Scene::start(store, home, &variables);
    wait_for_signers(&scene, 1);
    replace(&file, "token-1");
    wait_for_signers(&scene, 3);
    assert_names(&who(&mut scene), &["container", "ASIA"]);
    scene.check_complete();
    assert_eq!(scene.store.refusals(), 0);
    agent.assert_nothing_bad();
}

#[test]
fn instance() {
    let python = require_python!(python());
    let store = AwsStore::start(&python);
    let imds = Metadata::instance(store.keys(), SHORT, None);
    let variables =
        [variable("AWS_EC2_METADATA_DISABLED", "false"), variable("AWS_EC2_METADATA_SERVICE_ENDPOINT", imds.url())];
    let mut scene = Scene::start(store, Home::new(), &variables);
    wait_for_signers(&scene, 2);
    assert_names(&who(&mut scene), &["IMDSv2", "ASIA"]);
    scene.check_complete();
    assert_eq!(scene.store.refusals(), 0);
    imds.assert_nothing_bad();
}

#[test]
fn an_instance_one_hop_too_far_away_is_told_and_waited_for() {
    let python = require_python!(python());
    let store = AwsStore::start(&python);
    let imds = Metadata::instance(store.keys(), LONG, None);
    imds.set(Mood::Silent);
    let variables =
        [variable("AWS_EC2_METADATA_DISABLED", "false"), variable("AWS_EC2_METADATA_SERVICE_ENDPOINT", imds.url())];
    let mut scene = Scene::start(store, Home::new(), &variables);
    let line = scene.oxidot.wait_for_log(NONE);
    assert_names(&line, &["IMDSv2", "hop limit", "--http-put-response-hop-limit 2"]);
    imds.set(Mood::WithoutRole);
    scene.oxidot.wait_for_log("received 404 from IMDS");
    imds.set(Mood::Well);
    wait_for_signers(&scene, 1);
    who(&mut scene);
    scene.check_complete();
    assert_eq!(scene.store.refusals(), 0);
}

#[test]
fn a_profile_that_is_broken_is_told_and_waited_for() {
    let python = require_python!(python());
    let cases = [
        ("[default]\naws_access_key_id = AKIAONLYANID\n", "aws_secret_access_key"),
        ("[default]\nrole_arn = arn:aws:iam::1:role/r\nsource_profile = nobody\n", "nobody"),
        ("[default\naws_access_key_id = AKIAX\n", "line 1"),
        ("[default]\ncredential_process = sh -c 'echo the vault is sealed >&2; exit 3'\n", "the vault is sealed"),
        ("[other]\naws_access_key_id = AKIAX\naws_secret_access_key = the-secret\n", "default"),
    ];
    at_once(cases, |(text, words)| {
        let (store, home, key) = (AwsStore::start(&python), Home::new(), Key::temporary());
        store.keys().add(&key);
        std::fs::write(home.credentials(), text).unwrap();
        // It has been like this for a while.
        let past = SystemTime::now() - Duration::from_secs(3600);
        std::fs::File::options().write(true).open(home.credentials()).unwrap().set_modified(past).unwrap();
        let mut scene = Scene::start(store, home, &[]);
        let line = scene.oxidot.wait_for_log(NONE);
        assert_names(&line, &["shared files", &scene.home.credentials().to_string_lossy(), words]);
        assert!(!line.contains("the-secret"), "{line}");
        std::fs::write(scene.home.credentials(), key.profile("default")).unwrap();
        scene.wait_for_signed(&key.id, 2);
        who(&mut scene);
        scene.check_complete();
        assert_eq!(scene.store.refusals(), 0);
    });
}

#[test]
fn without_any_credentials_the_service_waits_and_names_whom_it_asked() {
    let python = require_python!(python());
    let (store, home, key) = (AwsStore::start(&python), Home::new(), Key::temporary());
    store.keys().add(&key);
    std::fs::remove_dir(home.path().join(".aws")).unwrap();
    let mut scene = Scene::start(store, home, &[]);
    let line = scene.oxidot.wait_for_log(NONE);
    let file = scene.home.credentials();
    assert_names(
        &line,
        &[
            "environment: AWS_ACCESS_KEY_ID is not set",
            "shared files: neither ",
            &file.to_string_lossy(),
            "web identity: $AWS_WEB_IDENTITY_TOKEN_FILE was not set",
            "container: neither AWS_CONTAINER_CREDENTIALS_RELATIVE_URI nor AWS_CONTAINER_CREDENTIALS_FULL_URI is set",
            "IMDSv2: IMDS disabled by AWS_EC2_METADATA_DISABLED",
        ],
    );
    // What is scraped meanwhile waits.
    let before = scene.scrapes();
    wait_until("some scrapes", || scene.scrapes() > before + 10);
    assert!(scene.store.know(|known| known.attempts.is_empty()));
    std::fs::create_dir(file.parent().unwrap()).unwrap();
    std::fs::write(&file, key.profile("default")).unwrap();
    scene.wait_for_signed(&key.id, 2);
    assert_names(&who(&mut scene), &["shared files (profile default)", &key.id]);
    assert_eq!(scene.lines(NONE), 1);
    scene.check_complete();
    assert_eq!(scene.store.refusals(), 0);
}

#[test]
fn credentials_that_expire_are_renewed_before_and_a_source_that_is_away_is_waited_for() {
    let python = require_python!(python());
    let store = AwsStore::start(&python);
    let agent = Metadata::container(store.keys(), SHORT, None, None);
    let variables = [
        variable("AWS_CONTAINER_CREDENTIALS_FULL_URI", format!("{}/v1/credentials", agent.url())),
        variable("AWS_REGION", REGION),
    ];
    let mut scene = Scene::start(store, Home::new(), &variables);
    wait_for_signers(&scene, 3);
    assert_eq!(scene.store.refusals(), 0, "no request is signed with what has expired");
    const STAY: &str = "AWS credentials cannot be renewed; those in use stay as long as they are good.";
    const MISSING: &str = "Exporting failed. Will retry";
    // A service that says nothing is known to be away only when there is nothing left to sign with.
    for (mood, told, word) in [(Mood::Failing, STAY, "StatusCode(500)"), (Mood::Silent, NONE, "awaiting headers")] {
        let (before, missing) = (scene.lines(told), scene.lines(MISSING));
        agent.set(mood);
        // First those in use are good for a while, then there are none, and requests wait.
        let line = scene.oxidot.wait_for_logs(told, before + 1);
        assert_names(&line, &["container", "AWS_CONTAINER_CREDENTIALS_FULL_URI", word]);
        let line = scene.oxidot.wait_for_logs(MISSING, missing + 3);
        assert_names(&line, &["AWS credentials"]);
        let attempts = || scene.store.know(|known| known.attempts.len());
        let before = (attempts(), scene.scrapes());
        wait_until("some scrapes", || scene.scrapes() > before.1 + 10);
        assert_eq!(attempts(), before.0, "nothing is signed with what has expired");
        let signers = scene.store.signers().len();
        agent.set(Mood::Well);
        wait_for_signers(&scene, signers + 1);
    }
    scene.oxidot.wait_for_log("AWS credentials were rotated.");
    scene.check_complete();
    assert_eq!(scene.lines(THERE), 1);
    agent.assert_nothing_bad();
}

/// Runs the test of this name in a network of its own, where loopback has the addresses of the metadata services.
fn among_real_addresses(test: &str) {
    let setup = "ip link set lo up && for address in 169.254.170.2 169.254.170.23 169.254.169.254; do ip address add $address/32 dev lo || exit 97; done";
    let within = |command: &str| {
        let mut unshare = Command::new("unshare");
        unshare.args(["-rn", "sh", "-c", &format!("{{ {setup}; }} || exit 97; {command}"), "sh"]);
        unshare
    };
    match within("true").output() {
        Ok(output) if output.status.success() => {}
        Ok(output) => {
            let why = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return skipped(&format!("{test}: there is no network of its own to be had: {why}"));
        }
        Err(error) => return skipped(&format!("{test}: unshare: {error}")),
    }
    let program = std::env::current_exe().unwrap();
    let output =
        within("exec \"$@\"").arg(program).args(["--exact", test, "--ignored", "--nocapture"]).output().unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

#[test]
fn metadata_services_at_their_real_addresses() {
    require!("unshare", "ip");
    require_python!(python());
    among_real_addresses("aws::sources::among_real_addresses_all_are_found");
}

#[test]
#[ignore = "needs addresses that only a network of its own has; metadata_services_at_their_real_addresses runs it"]
fn among_real_addresses_all_are_found() {
    let python = require_python!(python());
    let at = |address: [u8; 4]| Some(SocketAddr::from((Ipv4Addr::from(address), 80)));
    let check = |store: AwsStore, home: Home, service: &Metadata, variables: &[(String, String)], name: &str| {
        let mut scene = Scene::start(store, home, variables);
        wait_for_signers(&scene, 2);
        assert_names(&who(&mut scene), &[name, "ASIA"]);
        scene.check_complete();
        assert_eq!(scene.store.refusals(), 0);
        service.assert_nothing_bad();
    };
    // ECS.
    let store = AwsStore::start(&python);
    let agent = Metadata::container(store.keys(), SHORT, at([169, 254, 170, 2]), None);
    let path = "/v2/credentials/11111111-2222-3333-4444-555555555555";
    check(store, Home::new(), &agent, &[variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", path)], "container");
    // EKS Pod Identity, with the variables that its webhook sets.
    let (store, home) = (AwsStore::start(&python), Home::new());
    let file = home.path().join("eks-pod-identity-token");
    std::fs::write(&file, "the-token-of-the-pod").unwrap();
    let agent = Metadata::container(store.keys(), SHORT, at([169, 254, 170, 23]), Some(file.clone()));
    let variables = [
        variable("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://169.254.170.23/v1/credentials"),
        variable("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", Path::new(&file).display()),
        variable("AWS_STS_REGIONAL_ENDPOINTS", "regional"),
        variable("AWS_DEFAULT_REGION", REGION),
        variable("AWS_REGION", REGION),
    ];
    check(store, home, &agent, &variables, "container");
    // EC2, where nothing is set.
    let store = AwsStore::start(&python);
    let imds = Metadata::instance(store.keys(), SHORT, at([169, 254, 169, 254]));
    check(store, Home::new(), &imds, &[variable("AWS_EC2_METADATA_DISABLED", "false")], "IMDSv2");
}

//! Roles that are assumed with other credentials: those of profiles, and those of every block that takes one.

use super::keys::Key;
use super::metadata::Metadata;
use super::scene::{Home, QUICK, Scene, variable};
use super::sources::{LONG, ROLE, SHORT, assert_names, wait_for_signers, who};
use super::store::{AwsStore, PATH, REGION};
use super::sts::Sts;
use super::verifier::python;
use crate::support::oxidot::scrape_and_write;
use crate::support::python::require_python;

#[test]
fn profile_with_a_role_and_a_source_profile() {
    let python = require_python!(python());
    let (store, home, key) = (AwsStore::start(&python), Home::new(), Key::lasting());
    let sts = Sts::start(&python, store.keys(), SHORT);
    sts.callers().add(&key);
    std::fs::write(home.credentials(), key.profile("base")).unwrap();
    std::fs::write(
        home.config(),
        format!(
            "[profile amp]\nrole_arn = {ROLE}\nsource_profile = base\nexternal_id = the-external-id\nrole_session_name = the-session\nregion = {REGION}\n\n[profile base]\nregion = us-east-2\n"
        ),
    )
    .unwrap();
    let variables = [variable("AWS_PROFILE", "amp"), variable("AWS_ENDPOINT_URL_STS", sts.url())];
    // Neither the configuration nor the endpoint says the region.
    let mut scene = Scene::start_with(store, home, &variables, "sigv4: {}");
    wait_for_signers(&scene, 2);
    assert_names(&who(&mut scene), &["shared files (profile amp)", ROLE, "ASIA"]);
    scene.check_complete();
    assert_eq!(scene.store.refusals(), 0);
    let calls = sts.calls();
    assert!(calls.len() >= 2);
    for call in calls {
        assert_eq!((call.caller.as_str(), call.parameter("RoleArn")), (key.id.as_str(), ROLE));
        assert_eq!(
            (call.parameter("ExternalId"), call.parameter("RoleSessionName")),
            ("the-external-id", "the-session")
        );
        assert_eq!(call.region, REGION);
    }
    sts.assert_nothing_bad();
}

#[test]
fn profile_with_a_chain_of_roles_that_begins_in_a_container() {
    let python = require_python!(python());
    let (store, home) = (AwsStore::start(&python), Home::new());
    let sts = Sts::start(&python, store.keys(), LONG);
    let agent = Metadata::container(sts.callers(), LONG, None, None);
    let first = "arn:aws:iam::123456789012:role/first";
    std::fs::write(
        home.config(),
        format!(
            "[profile amp]\nrole_arn = {ROLE}\nsource_profile = middle\n[profile middle]\nrole_arn = {first}\ncredential_source = EcsContainer\n"
        ),
    )
    .unwrap();
    let variables = [
        variable("AWS_CONTAINER_CREDENTIALS_FULL_URI", format!("{}/v1/credentials", agent.url())),
        variable("AWS_ENDPOINT_URL_STS", sts.url()),
    ];
    // The profile that the block names, and nothing else.
    let block = format!("sigv4: {{region: {REGION}, profile: amp}}");
    let mut scene = Scene::start_with(store, home, &variables, &block);
    wait_for_signers(&scene, 1);
    assert_names(&who(&mut scene), &["shared files (profile amp)", ROLE]);
    scene.check_complete();
    let roles: Vec<String> = sts.calls().iter().map(|call| call.parameter("RoleArn").to_owned()).collect();
    assert_eq!(roles, [first, ROLE]);
    sts.assert_nothing_bad();
}

#[test]
fn roles_of_the_configuration() {
    let python = require_python!(python());
    let (store, key) = (AwsStore::start(&python), Key::lasting());
    let sts = Sts::start(&python, store.keys(), LONG);
    sts.callers().add(&key);
    let keys = format!("access_key: {}, secret_key: \"{}\"", key.id, key.secret);
    let block = format!("sigv4: {{region: {REGION}, {keys}, role_arn: \"{ROLE}\", external_id: e-1}}");
    let variables = [variable("AWS_ENDPOINT_URL_STS", sts.url())];
    let mut scene = Scene::start_with(store, Home::new(), &variables, &block);
    wait_for_signers(&scene, 1);
    assert_names(&who(&mut scene), &["assumed role (configuration (access_key))", ROLE]);
    scene.check_complete();
    let call = &sts.calls()[0];
    assert_eq!(
        (call.caller.as_str(), call.parameter("ExternalId"), call.region.as_str()),
        (key.id.as_str(), "e-1", REGION)
    );

    // The extension, with a region of its own for STS.
    let store = AwsStore::start(&python);
    let sts = Sts::start(&python, store.keys(), LONG);
    sts.callers().add(&key);
    let mut variables = key.variables();
    variables.push(variable("AWS_ENDPOINT_URL_STS", sts.url()));
    let mut scene = Scene::start_as(store, Home::new(), &variables, |job, url| {
        scrape_and_write(job, url, &format!("{QUICK}, auth: {{authenticator: sigv4auth}}")).replace(
            "service: {",
            &format!(
                "extensions: {{sigv4auth: {{region: {REGION}, service: aps, assume_role: {{arn: \"{ROLE}\", sts_region: us-west-2, session_name: s-1, external_id: e-2}}}}}}\nservice: {{extensions: [sigv4auth], "
            ),
        )
    });
    wait_for_signers(&scene, 1);
    assert_names(&who(&mut scene), &["assumed role (environment)", ROLE]);
    scene.check_complete();
    let call = &sts.calls()[0];
    assert_eq!(call.region, "us-west-2");
    assert_eq!((call.parameter("ExternalId"), call.parameter("RoleSessionName")), ("e-2", "s-1"));
    sts.assert_nothing_bad();
}

#[test]
fn role_of_the_extension_by_a_token_that_is_rotated() {
    let python = require_python!(python());
    let (store, home) = (AwsStore::start(&python), Home::new());
    let file = home.path().join("token");
    std::fs::write(&file, "token-0").unwrap();
    let good = file.clone();
    let sts = Sts::start_checking(&python, store.keys(), SHORT, move |token| {
        std::fs::read_to_string(&good).unwrap() == token
    });
    // Keys that are found are not what the role is assumed with.
    let mut variables = Key::lasting().variables();
    variables.push(variable("AWS_ENDPOINT_URL_STS", sts.url()));
    let role = format!("arn: \"{ROLE}\", web_identity_token_file: \"{}\", session_name: s-2", file.display());
    let mut scene = Scene::start_as(store, home, &variables, |job, url| {
        scrape_and_write(job, url, &format!("{QUICK}, auth: {{authenticator: sigv4auth}}")).replace(
            "service: {",
            &format!(
                "extensions: {{sigv4auth: {{region: {REGION}, assume_role: {{{role}}}}}}}\nservice: {{extensions: [sigv4auth], "
            ),
        )
    });
    wait_for_signers(&scene, 1);
    std::fs::write(file.with_extension("new"), "token-1").unwrap();
    std::fs::rename(file.with_extension("new"), &file).unwrap();
    wait_for_signers(&scene, 3);
    assert_names(&who(&mut scene), &["assumed role (web identity)", ROLE, "ASIA"]);
    scene.check_complete();
    assert_eq!(scene.store.refusals(), 0);
    let calls = sts.calls();
    assert!(calls.iter().any(|call| call.parameter("WebIdentityToken") == "token-1"));
    for call in calls {
        assert_eq!((call.caller.as_str(), call.parameter("Action")), ("", "AssumeRoleWithWebIdentity"));
        assert_eq!((call.parameter("RoleArn"), call.parameter("RoleSessionName")), (ROLE, "s-2"));
    }
    sts.assert_nothing_bad();
}

#[test]
fn role_of_the_exporter_of_2021() {
    let python = require_python!(python());
    let (store, key) = (AwsStore::start(&python), Key::temporary());
    let sts = Sts::start(&python, store.keys(), SHORT);
    sts.callers().add(&key);
    // Variables in the spelling of 2021. Only the endpoint's host says which region it is; the way there is a proxy that is the store.
    let mut variables = key.variables();
    variables.extend([
        variable("WORKSPACE_URL", format!("http://aps-workspaces.{REGION}.amazonaws.com/workspaces/ws-1/")),
        variable("WRITER_ROLE", ROLE),
        variable("AWS_ENDPOINT_URL_STS", sts.url()),
    ]);
    assert!(PATH.ends_with("api/v1/remote_write"));
    let proxy = format!("http://127.0.0.1:{}", store.port());
    let mut scene = Scene::start_as(store, Home::new(), &variables, |job, _| {
        let auth = "aws_auth: {service: \"aps\", role_arn: $WRITER_ROLE}";
        let settings = format!("{auth}, proxy_url: \"{proxy}\", {QUICK}");
        scrape_and_write(job, "${WORKSPACE_URL}api/v1/remote_write", &settings)
            .replace("prometheusremotewrite", "awsprometheusremotewrite")
    });
    wait_for_signers(&scene, 3);
    assert_names(&who(&mut scene), &["assumed role (environment)", ROLE, "ASIA"]);
    scene.check_complete();
    assert_eq!(scene.store.refusals(), 0, "sessions are renewed before they expire");
    assert!(!scene.store.signers().contains(&key.id), "nothing is signed with what the role was assumed with");
    for call in sts.calls() {
        assert_eq!((call.caller.as_str(), call.region.as_str()), (key.id.as_str(), REGION));
        assert_eq!((call.parameter("Action"), call.parameter("RoleArn")), ("AssumeRole", ROLE));
    }
    sts.assert_nothing_bad();
}

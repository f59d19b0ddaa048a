//! Credentials: which are found, whose they are, and what is said when there are none.

use std::time::{Duration, SystemTime};

use super::{ACCOUNT, Answering, KEY, Outcome, ROLE, SECRET, TOKEN, config, doctor, signed, sts, with_keys, workspace};
use crate::support::free_port;
use crate::support::http::{Reply, Server};
use crate::support::oxidot::BINARY;
use crate::support::skipped;

#[test]
fn without_credentials_every_provider_says_why_and_the_store_is_tried_all_the_same() {
    let store = Answering::new(403, &[], r#"{"message":"Missing Authentication Token"}"#);
    let outcome = doctor(&signed(&workspace(&store.server)), |_| {});
    outcome.says(
        1,
        &[
            "credentials FAIL there are none; asked in this order:",
            "note environment: ",
            "note shared files: neither ",
            "/.aws/credentials nor ",
            "note web identity: ",
            "note container: ",
            "note IMDSv2: ",
            "write note HTTP 403 Forbidden: sent without a signature, for want of credentials",
            "Give this process credentials",
            "Mind that this program sees the user, the environment and the files of this shell.",
        ],
    );
    outcome.does_not_say(&["  identity", "A proxy on the way takes the Authorization field out"]);
    let requests = store.requests();
    assert!(requests.iter().all(|request| request.header("authorization").is_none()), "{requests:?}");
    assert_eq!(requests.len(), 1);
}

#[test]
fn half_a_key_in_the_environment_ends_the_search() {
    let store = Answering::new(403, &[], "");
    let outcome = doctor(&signed(&workspace(&store.server)), |command| {
        command.env("AWS_ACCESS_KEY_ID", KEY);
    });
    outcome.says(1, &["FAIL environment: AWS_ACCESS_KEY_ID is set, and AWS_SECRET_ACCESS_KEY is not"]);
    outcome.does_not_say(&["shared files: ", "IMDSv2"]);
}

#[test]
fn a_profile_that_is_not_there_is_named() {
    let store = Answering::new(403, &[], "");
    let exporter = format!(
        "prometheusremotewrite: {{endpoint: \"{}\", sigv4: {{region: eu-west-1, profile: absent}}}}",
        workspace(&store.server)
    );
    doctor(&config(&exporter, ""), |_| {})
        .says(1, &["FAIL shared files:", "With a profile (absent) only the shared files are asked"]);
}

#[test]
fn a_file_of_the_ssm_agent_is_described_and_its_age_told() {
    let (store, sts) = (Answering::new(200, &[], ""), sts());
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("credentials");
    let text = format!(
        "[default]\naws_access_key_id     = {KEY}\naws_secret_access_key = {SECRET}\naws_session_token     = {TOKEN}\n"
    );
    std::fs::write(&file, text).unwrap();
    let shown = file.display().to_string();
    let run = || {
        doctor(&signed(&workspace(&store.server)), |command| {
            command
                .env("AWS_SHARED_CREDENTIALS_FILE", &file)
                .env("AWS_ENDPOINT_URL_STS", format!("http://127.0.0.1:{}", sts.port()))
                .env("AWS_WEB_IDENTITY_TOKEN_FILE", "/var/run/token");
        })
    };
    run().says(
        0,
        &[
            &format!("credentials ok shared files (profile default): access key {KEY}, expiry unknown"),
            &format!("{shown} was written "),
            "owner uid ",
            // Who is set up and comes too late in the chain.
            "note shared files (profile default) came first; AWS_WEB_IDENTITY_TOKEN_FILE is set too, and is not asked",
        ],
    );
    let old = SystemTime::now() - Duration::from_secs(3 * 3600);
    std::fs::File::options().write(true).open(&file).unwrap().set_modified(old).unwrap();
    run().says(
        0,
        &[
            &format!("note {shown} was written 3 h ago"),
            "systemctl status amazon-ssm-agent",
            "/var/log/amazon/ssm/errors.log",
        ],
    );
}

/// The scene of a machine on premises: the agent's file lies in root's home, and the service is somebody else.
#[test]
fn a_file_that_this_user_may_not_read_is_told() {
    use std::os::unix::fs::PermissionsExt as _;
    use std::os::unix::process::CommandExt as _;
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    if !status.lines().any(|line| line.starts_with("Uid:\t0\t")) {
        return skipped("a_file_that_this_user_may_not_read_is_told: only root can run a program as another user");
    }
    let store = Answering::new(403, &[], "");
    let closed = tempfile::tempdir().unwrap();
    std::fs::set_permissions(closed.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
    let file = closed.path().join("credentials");
    std::fs::write(&file, format!("[default]\naws_access_key_id={KEY}\naws_secret_access_key={SECRET}\n")).unwrap();
    // The build's directory may be closed to others as well.
    let open = tempfile::tempdir().unwrap();
    std::fs::set_permissions(open.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let program = open.path().join("oxidot");
    std::fs::copy(BINARY, &program).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let output = std::process::Command::new(&program)
        .args(["doctor", "--config", &format!("yaml:{}", signed(&workspace(&store.server)))])
        .env_clear()
        .env("AWS_SHARED_CREDENTIALS_FILE", &file)
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .current_dir("/")
        .uid(65534)
        .gid(65534)
        .output()
        .unwrap();
    let outcome = Outcome {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    };
    outcome.says(
        1,
        &[
            "note environment: ",
            &format!("FAIL shared files: cannot read {}: Permission denied", file.display()),
            "Let this user (uid 65534) read the file, or run as a user who may.",
        ],
    );
}

#[test]
fn a_role_is_assumed_and_the_write_is_signed_as_the_role() {
    let (store, sts) = (Answering::new(200, &[], ""), sts());
    let arn = "arn:aws:iam::444455556666:role/writer";
    let outcome = doctor(
        &config(
            &format!(
                "prometheusremotewrite: {{endpoint: \"{}\", auth: {{authenticator: sigv4auth}}}}",
                workspace(&store.server)
            ),
            &format!(
                "extensions: {{sigv4auth: {{region: eu-west-1, assume_role: {{arn: \"{arn}\", sts_region: us-east-1}}}}}}"
            ),
        ),
        with_keys(&sts),
    );
    outcome.says(
        0,
        &[
            "signing ok for aps in eu-west-1 (as configured), by extension \"sigv4auth\"",
            &format!(
                "credentials ok assumed role (environment): access key ASIAOFTHEROLE1234567, role {arn}, expires "
            ),
            &format!("identity ok {ROLE}, account {ACCOUNT}"),
        ],
    );
    let requests = store.requests();
    assert!(requests[0].header("authorization").unwrap().contains("Credential=ASIAOFTHEROLE1234567/"));
}

#[test]
fn a_role_that_may_not_be_assumed_says_what_to_allow() {
    let store = Answering::new(403, &[], "");
    let sts = Server::start(|_| {
        Reply::status(
            403,
            "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>User: arn:aws:iam::111122223333:user/me is not authorized to perform: sts:AssumeRole on resource: arn:aws:iam::444455556666:role/writer</Message></Error><RequestId>r</RequestId></ErrorResponse>",
        )
    });
    let exporter = format!(
        "prometheusremotewrite: {{endpoint: \"{}\", sigv4: {{region: eu-west-1, role_arn: \"arn:aws:iam::444455556666:role/writer\"}}}}",
        workspace(&store.server)
    );
    doctor(&config(&exporter, ""), with_keys(&sts)).says(
        1,
        &[
            "FAIL assume role arn:aws:iam::444455556666:role/writer as environment",
            "is not authorized to perform: sts:AssumeRole",
            "Allow sts:AssumeRole on role arn:aws:iam::444455556666:role/writer to who asks",
            "trust policy",
        ],
    );
}

#[test]
fn an_sts_that_nobody_reaches_is_no_mistake() {
    let store = Answering::new(200, &[], "");
    let outcome = doctor(&signed(&workspace(&store.server)), |command| {
        command
            .env("AWS_ACCESS_KEY_ID", KEY)
            .env("AWS_SECRET_ACCESS_KEY", SECRET)
            .env("AWS_ENDPOINT_URL_STS", format!("http://127.0.0.1:{}", free_port()));
    });
    outcome.says(
        0,
        &["identity note http://127.0.0.1:", "cannot be reached, which only assuming a role needs", "all is well."],
    );
}

#[test]
fn an_sts_that_knows_better_is_believed() {
    let store = Answering::new(200, &[], "");
    for (code, message, words) in [
        ("ExpiredToken", "The security token included in the request is expired", "The credentials have expired"),
        (
            "InvalidClientTokenId",
            "The security token included in the request is invalid.",
            "AWS does not know this key or token",
        ),
        (
            "SignatureDoesNotMatch",
            "Signature expired: 20270101T000000Z is now earlier than 20270101T001000Z",
            "This machine's clock is wrong by more than five minutes",
        ),
    ] {
        let body =
            format!("<ErrorResponse><Error><Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>");
        let sts = Server::start(move |_| Reply::status(403, &body));
        let outcome = doctor(&signed(&workspace(&store.server)), with_keys(&sts));
        outcome.says(1, &["identity FAIL http://127.0.0.1:", "answers HTTP 403: ", words, "write ok"]);
    }
    // A proxy's page in the place of STS says nothing about credentials.
    let sts = Server::start(|_| Reply::status(502, "<html>bad gateway</html>"));
    doctor(&signed(&workspace(&store.server)), with_keys(&sts)).says(0, &["identity note", "HTTP 502", "write ok"]);
}

#[test]
fn an_extension_that_nobody_uses_is_mentioned() {
    let store = Answering::new(204, &[], "");
    let outcome = doctor(
        &config(
            &format!("prometheusremotewrite: {{endpoint: \"{}\"}}", workspace(&store.server)),
            "extensions: {sigv4auth: {region: eu-west-1}}",
        ),
        |_| {},
    );
    outcome.says(
        0,
        &[
            "signing ok requests are not signed",
            "extension \"sigv4auth\" signing note no exporter uses it; one that should be signed needs auth: {authenticator: sigv4auth}",
            "1 exporter, none of them signed for AWS: all is well.",
        ],
    );
}

//! STS as somebody else has written it: moto's.

use std::process::Command;

use super::{Answering, KEY, SECRET, config, doctor, workspace};
use crate::support::http;
use crate::support::process::Program;
use crate::support::python::{environment, require_python};
use crate::support::{free_port, require, wait_until};

#[test]
fn moto_is_asked_for_the_role_and_for_its_name() {
    require!("python3");
    let packages = ["botocore", "moto", "flask", "flask-cors"];
    let python = require_python!(environment("aws", &packages, "botocore.auth, moto.server"));
    let port = free_port();
    let mut command = Command::new(python);
    command.args(["-c", "from moto.server import main; main()", "-H", "127.0.0.1", "-p", &port.to_string()]);
    let mut moto = Program::start(&mut command);
    wait_until("moto", || {
        moto.assert_running();
        http::get(port, "/moto-api/").is_some()
    });
    let store = Answering::new(200, &[], "");
    let signed = |role: &str| {
        let exporter = format!(
            "prometheusremotewrite: {{endpoint: \"{}\", auth: {{authenticator: sigv4auth}}}}",
            workspace(&store.server)
        );
        config(&exporter, &format!("extensions: {{sigv4auth: {{region: eu-west-1{role}}}}}"))
    };
    let run = |config: &str| {
        doctor(config, |command| {
            command
                .env("AWS_ACCESS_KEY_ID", KEY)
                .env("AWS_SECRET_ACCESS_KEY", SECRET)
                .env("AWS_ENDPOINT_URL_STS", format!("http://127.0.0.1:{port}"));
        })
    };
    let role = "arn:aws:iam::444455556666:role/writer";
    run(&signed("")).says(0, &["identity ok arn:aws:sts::", ":user/moto, account "]);
    run(&signed(&format!(", assume_role: {{arn: \"{role}\", session_name: me}}"))).says(
        0,
        &[
            "credentials ok assumed role (environment): access key ASIA",
            &format!("role {role}, expires "),
            "identity ok arn:aws:sts::444455556666:assumed-role/writer/me, account 444455556666",
        ],
    );
    let requests = store.requests();
    assert!(
        requests.iter().all(|request| request.header("authorization").is_some_and(|a| a.contains("/aps/aws4_request")))
    );
}

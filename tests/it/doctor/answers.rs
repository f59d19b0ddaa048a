//! What stores answer: each status, and each cause of a 403.

use super::{ACCOUNT, Answering, KEY, ROLE, TOKEN, doctor, signed, sts, with_keys, workspace};

#[test]
fn all_is_well() {
    let (store, sts) = (Answering::new(200, &[("x-amzn-RequestId", "req-1")], ""), sts());
    let outcome = doctor(&signed(&workspace(&store.server)), with_keys(&sts));
    outcome.says(
        0,
        &[
            &format!("exporter \"prometheusremotewrite\" -> {}", workspace(&store.server)),
            "signing ok for aps in eu-west-1 (as configured), by the exporter's sigv4 block",
            &format!("credentials ok environment: access key {KEY}, expiry unknown"),
            &format!("identity ok {ROLE}, account {ACCOUNT}, says http://127.0.0.1:{}", sts.port()),
            "write ok HTTP 200 OK: the store has taken an empty write [request id req-1], after",
            "1 exporter, signed for AWS: all is well.",
        ],
    );
    outcome.does_not_say(&["FAIL", "What to do"]);
    assert_eq!(outcome.stderr, "");
    let requests = store.requests();
    let [request] = requests.as_slice() else { panic!("{requests:?}") };
    let header = |name: &str| request.header(name).unwrap_or_default();
    // What an exporter sends, without a sample, and signed.
    assert_eq!(request.body, [0]);
    assert_eq!(header("content-encoding"), "snappy");
    assert_eq!(header("content-type"), "application/x-protobuf");
    assert_eq!(header("x-prometheus-remote-write-version"), "0.1.0");
    assert_eq!(header("x-amz-security-token"), TOKEN);
    assert!(header("authorization").starts_with(&format!("AWS4-HMAC-SHA256 Credential={KEY}/")));
    assert!(header("authorization").contains("/eu-west-1/aps/aws4_request"));
}

/// What a store answers, and what the doctor has to say to it.
struct Case {
    status: u16,
    headers: &'static [(&'static str, &'static str)],
    body: &'static str,
    says: &'static [&'static str],
}

#[test]
fn each_refusal_is_told_by_its_cause() {
    let echo = format!(
        "{{\"message\":\"The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.\\n\\nThe Canonical String for this request should have been\\n'POST\\nx-amz-security-token:{TOKEN}\\n'\"}}"
    );
    let mismatch = Case {
        status: 403,
        headers: &[("x-amzn-ErrorType", "SignatureDoesNotMatch")],
        body: Box::leak(echo.into_boxed_str()),
        says: &[
            "HTTP 403 Forbidden: the signature does not match",
            "Secret and key of access key ASIA",
            "or one was cut",
        ],
    };
    let cases = [
        Case {
            status: 403,
            headers: &[("x-amzn-RequestId", "req-2")],
            body: r#"{"message":"User: arn:aws:sts::111122223333:assumed-role/collector/i-0abc is not authorized to perform: aps:RemoteWrite on resource: arn:aws:aps:eu-west-1:111122223333:workspace/ws-1 because no identity-based policy allows the aps:RemoteWrite action"}"#,
            says: &[
                "the identity is known and may not write here",
                "[request id req-2]",
                "Allow aps:RemoteWrite on arn:aws:aps:eu-west-1:111122223333:workspace/ws-1 to arn:aws:sts::111122223333:assumed-role/collector/i-0abc.",
                "aws iam attach-role-policy --role-name collector --policy-arn arn:aws:iam::aws:policy/AmazonPrometheusRemoteWriteAccess",
                "If the workspace is another account's",
            ],
        },
        Case {
            status: 403,
            headers: &[("x-amzn-ErrorType", "AccessDeniedException")],
            body: r#"{"message":"User: x is not authorized to perform: aps:RemoteWrite with an explicit deny in a VPC endpoint policy"}"#,
            says: &["Take out what denies aps:RemoteWrite", "the policy of the VPC endpoint."],
        },
        Case {
            status: 403,
            headers: &[],
            body: r#"{"message":"x is not authorized to perform: aps:RemoteWrite because no service control policy allows the aps:RemoteWrite action"}"#,
            says: &["in a service control policy of the organization."],
        },
        Case {
            status: 403,
            headers: &[],
            body: r#"{"message":"The security token included in the request is expired"}"#,
            says: &[
                "HTTP 403 Forbidden: the credentials have expired",
                "its source has to provide newer ones",
                "is the SSM agent running?",
            ],
        },
        Case {
            status: 403,
            headers: &[("x-amzn-ErrorType", "UnrecognizedClientException")],
            body: r#"{"message":"The security token included in the request is invalid."}"#,
            says: &["AWS does not know these credentials", "deleted or rotated", "aws sts get-caller-identity"],
        },
        mismatch,
        Case {
            status: 403,
            headers: &[("Date", "Thu, 01 Jan 2026 00:00:00 GMT")],
            body: r#"{"message":"Signature expired: 20270101T000000Z is now earlier than 20270101T001000Z (20270101T001500Z - 5 min.)"}"#,
            says: &[
                "the signature's time is not now",
                "clock FAIL this machine's is",
                "s ahead of that of the store",
                "Set this machine's clock, which is",
            ],
        },
        Case {
            status: 403,
            headers: &[],
            body: r#"{"message":"Credential should be scoped to a valid region, not 'eu-west-1'. "}"#,
            says: &[
                "the signature is for another region or service",
                "The signature is for aps in eu-west-1",
                "set region and service",
            ],
        },
        Case {
            status: 403,
            headers: &[],
            body: r#"{"message":"Missing Authentication Token"}"#,
            says: &["it arrived without its signature", "takes the Authorization field out"],
        },
        Case {
            status: 403,
            headers: &[],
            body: "no",
            says: &["it refuses, and does not say why (no)", "aps:RemoteWrite", "CloudTrail"],
        },
        Case {
            status: 404,
            headers: &[],
            body: r#"{"message":"Workspace not found"}"#,
            says: &[
                "there is nothing at this path",
                "There is no workspace ws-1 in eu-west-1",
                "aws amp list-workspaces --region eu-west-1",
            ],
        },
        Case {
            status: 400,
            headers: &[],
            body: "out of order",
            says: &["does not want it (out of order)", "oxidot doctor --canary"],
        },
        Case {
            status: 400,
            headers: &[("x-amzn-ErrorType", "ExpiredTokenException")],
            body: r#"{"message":"x"}"#,
            says: &["HTTP 400 Bad Request: the credentials have expired"],
        },
        Case { status: 413, headers: &[], body: "", says: &["it is too large", "limits the size of requests"] },
        Case { status: 415, headers: &[], body: "", says: &["does not take remote write 1.0"] },
        Case {
            status: 429,
            headers: &[("Retry-After", "5")],
            body: r#"{"message":"ingestion rate limit (170000) exceeded while adding 10 samples and 0 metadata"}"#,
            says: &["it is asked too much", "Nothing is lost", "higher quota"],
        },
        Case { status: 500, headers: &[], body: "x", says: &["it fails (x)", "It is the store's mistake"] },
        Case { status: 503, headers: &[], body: "", says: &["A proxy or load balancer answers for a store"] },
        Case {
            status: 301,
            headers: &[("Location", "https://elsewhere.example/w")],
            body: "",
            says: &["it leads elsewhere", "Set the endpoint to where it leads, https://elsewhere.example/w"],
        },
        Case { status: 407, headers: &[], body: "", says: &["a proxy wants to know who asks", "user and password"] },
        Case { status: 418, headers: &[], body: "tea", says: &["it refuses (tea)"] },
    ];
    let sts = sts();
    for case in cases {
        let store = Answering::new(case.status, case.headers, case.body);
        let outcome = doctor(&signed(&workspace(&store.server)), with_keys(&sts));
        outcome.says(1, case.says);
        outcome.says(1, &["write FAIL", "What to do:", "1 exporter, signed for AWS: 1 has something to fix."]);
    }
}

#[test]
fn a_clock_that_is_wrong_is_told_even_where_nobody_minds() {
    let sts = sts();
    let at = |seconds: i64| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        http_date(now.checked_add_signed(seconds).unwrap())
    };
    for (seconds, code, words) in [
        (0, 0, "clock ok this machine's is that of the store"),
        (1200, 1, "clock FAIL this machine's is 1"),
        (-1200, 1, "s ahead of that of the store, which says"),
        (120, 0, "clock note this machine's is 1"),
    ] {
        let date = at(seconds);
        let store = Answering::new(200, &[("Date", &date)], "");
        let outcome = doctor(&signed(&workspace(&store.server)), with_keys(&sts));
        outcome.says(code, &[words, "write ok"]);
        if code == 1 {
            outcome.says(code, &["Set this machine's clock", "off by five minutes"]);
        }
    }
}

/// A time as HTTP writes it.
fn http_date(seconds: u64) -> String {
    let output = std::process::Command::new("date")
        .args(["-u", "-d", &format!("@{seconds}"), "+%a, %d %b %Y %H:%M:%S GMT"])
        .env("LC_ALL", "C")
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

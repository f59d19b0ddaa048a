//! What a store's answer means, and what to do about it.
//!
//! The meanings are those of Amazon Managed Service for Prometheus ("Troubleshooting" and "Quotas" of its user guide, and the common errors of
//! AWS' APIs); other stores that speak remote write or OTLP use the same statuses.

use super::clock::Skew;
use super::credentials::sentence;
use super::destination::is_aws;
use super::permission;
use super::report::{Mark, words};
use super::write::{EMPTY_EXPORT, EMPTY_WRITE};
use aws::{CallerIdentity, Identity, Refusal, Scope};
use http::{HeaderMap, StatusCode, Uri, header};

/// What was asked, by whom.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    pub(super) uri: &'a Uri,
    /// What was sent, such as `an empty write`.
    pub(super) what: &'a str,
    /// What the signature is good for; none without one.
    pub(super) scope: Option<&'a Scope<'a>>,
    pub(super) identity: Option<&'a Identity>,
    pub(super) caller: Option<&'a CallerIdentity>,
    pub(super) proxy: Option<&'a str>,
    /// The exporter signs for AWS, whether it can at the moment or not.
    pub(super) is_signed: bool,
    /// Whether any answer but a refusal is well: what was sent was only to see whether somebody is there.
    pub(super) any_page: bool,
}

/// What came back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer<'a> {
    pub(super) status: StatusCode,
    pub(super) headers: &'a HeaderMap,
    pub(super) body: &'a [u8],
    pub(super) skew: Option<&'a Skew>,
}

/// What it means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) mark: Mark,
    pub(super) text: String,
    pub(super) advice: Vec<String>,
}

/// Judges an answer.
pub(super) fn explain(asked: &Asked<'_>, answer: &Answer<'_>) -> Verdict {
    let (mark, meaning, mut advice) = judge(asked, answer);
    let field = |name: &str| answer.headers.get(name).and_then(|value| value.to_str().ok());
    let mut text = format!("HTTP {}: {meaning}", answer.status);
    // A page that only shows that somebody is there says nothing else.
    let said = if answer.status.is_success() { String::new() } else { words(answer.body) };
    if !said.is_empty() {
        text.push_str(&format!(" ({said})"));
    }
    let id = field("x-amzn-requestid").or_else(|| field("x-amz-request-id"));
    if let Some(id) = id {
        text.push_str(&format!(" [request id {}]", words(id.as_bytes())));
    }
    let host = asked.uri.host().unwrap_or_default();
    if mark == Mark::Fail && aws::is_amp(host) && id.is_none() {
        advice.push(stranger(asked, answer.headers));
    }
    Verdict { mark, text, advice }
}

/// An answer without the mark that all of AWS' answers have.
fn stranger(asked: &Asked<'_>, headers: &HeaderMap) -> String {
    let server = headers.get(header::SERVER).or_else(|| headers.get(header::VIA)).and_then(|value| value.to_str().ok());
    let server = server.map(|server| format!(", and calls itself {}", words(server.as_bytes()))).unwrap_or_default();
    let proxy = asked.proxy.map(|proxy| format!(" (requests go through {proxy})")).unwrap_or_default();
    format!(
        "This answer has no x-amzn-RequestId{server}: it is hardly AWS' own. Look for a proxy or gateway on the way that answers in its place{proxy}."
    )
}

fn judge(asked: &Asked<'_>, answer: &Answer<'_>) -> (Mark, String, Vec<String>) {
    let fail = |meaning: &str, advice: Vec<String>| (Mark::Fail, meaning.to_owned(), advice);
    let status = answer.status;
    match status.as_u16() {
        200..=299 => (Mark::Ok, format!("the store has taken {}", asked.what), Vec::new()),
        300..=399 => fail("it leads elsewhere", vec![redirect(answer.headers)]),
        401 | 403 if asked.is_signed && asked.identity.is_none() => (
            Mark::Note,
            "sent without a signature, for want of credentials; so the store can be reached and refuses it, as it should".to_owned(),
            Vec::new(),
        ),
        401 | 403 if asked.is_signed => refused(asked, answer),
        // Services differ in the status of the common errors, and agree in their names.
        400 if asked.is_signed && refusal(answer) != Refusal::Other => refused(asked, answer),
        401 | 403 => fail("it does not accept who asks", unsigned(asked)),
        _ if asked.any_page && !status.is_server_error() => {
            (Mark::Ok, "somebody is there; what the exporter sends was not tried".to_owned(), Vec::new())
        }
        400 => fail("it has read what was sent and does not want it", bad_request(asked)),
        404 | 405 | 410 => fail("there is nothing at this path", missing(asked)),
        407 => fail("a proxy wants to know who asks", vec![
            "Put user and password into proxy_url or HTTPS_PROXY, or reach the store directly with NO_PROXY.".to_owned(),
        ]),
        413 => fail("it is too large, although it is empty", vec![
            "Something before the store limits the size of requests: raise that limit, or lower max_samples_per_send and max_batch_size_bytes.".to_owned(),
        ]),
        415 => fail("it does not take this kind of request", vec![
            "Check the path of the endpoint: what is there does not take remote write 1.0 (snappy-compressed protobuf).".to_owned(),
        ]),
        429 => fail("it is asked too much", throttled(asked)),
        500..=599 => fail("it fails", failing(answer)),
        _ => fail("it refuses", vec!["Its words are above; what it means is the store's to say.".to_owned()]),
    }
}

/// Why an answer refuses who signed, by the error's name and its words.
fn refusal(answer: &Answer<'_>) -> Refusal {
    let named = answer.headers.get("x-amzn-errortype").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut said = named.as_bytes().to_vec();
    said.push(b' ');
    said.extend_from_slice(answer.body);
    Refusal::of(&said)
}

/// A refusal of who signed.
fn refused(asked: &Asked<'_>, answer: &Answer<'_>) -> (Mark, String, Vec<String>) {
    let refusal = refusal(answer);
    let skewed = answer.skew.filter(|skew| skew.is_too_much());
    let (meaning, advice) = match refusal {
        Refusal::ClockSkew => ("the signature's time is not now", clock(skewed)),
        // A clock that is wrong explains most of what else can be said about a signature.
        Refusal::SignatureMismatch | Refusal::Other if skewed.is_some() => {
            ("it does not accept the signature", clock(skewed))
        }
        Refusal::Expired => ("the credentials have expired", expired(asked)),
        Refusal::InvalidToken => (
            "AWS does not know these credentials",
            vec![
                sentence(refusal.advice()),
                format!(
                    "Compare {} with what the source has now (aws sts get-caller-identity with the same source).",
                    who(asked)
                ),
            ],
        ),
        Refusal::SignatureMismatch => ("the signature does not match", mismatch(asked)),
        Refusal::WrongScope => ("the signature is for another region or service", scope(asked)),
        Refusal::Unsigned => (
            "it arrived without its signature",
            vec![format!(
                "A proxy on the way takes the Authorization field out{}: let it pass such requests unchanged.",
                asked.proxy.map(|proxy| format!(" (requests go through {proxy})")).unwrap_or_default()
            )],
        ),
        Refusal::NotAuthorized => {
            ("the identity is known and may not write here", permission::advice(asked, answer.body))
        }
        Refusal::Other => (
            "it refuses, and does not say why",
            vec![format!(
                "If it is AWS: look for {} in CloudTrail, and check the permission {}, the VPC endpoint's policy, and the region.",
                who(asked),
                asked.scope.and_then(|scope| permission::action(&scope.service)).unwrap_or("to write")
            )],
        ),
    };
    (Mark::Fail, meaning.to_owned(), advice)
}

fn clock(skew: Option<&Skew>) -> Vec<String> {
    vec![skew.and_then(Skew::advice).unwrap_or_else(|| sentence(Refusal::ClockSkew.advice()))]
}

/// Who signed.
fn who(asked: &Asked<'_>) -> String {
    let Some(identity) = asked.identity else { return "who signed".to_owned() };
    format!("access key {} of {}", identity.access_key_id(), identity.provider)
}

fn expired(asked: &Asked<'_>) -> Vec<String> {
    vec![
        format!(
            "{} is too old: its source has to provide newer ones. {}",
            first_up(&who(asked)),
            sentence(Refusal::Expired.advice())
        ),
        "The service asks the source again whenever AWS says so, and keeps what could not be sent.".to_owned(),
    ]
}

fn first_up(text: &str) -> String {
    sentence(text).trim_end_matches('.').to_owned()
}

fn mismatch(asked: &Asked<'_>) -> Vec<String> {
    let mut advice = vec![format!(
        "Secret and key of {} do not belong together, or one was cut when it was copied: write them again.",
        who(asked)
    )];
    if asked.uri.path().contains("//") {
        advice.push(format!(
            "The endpoint's path has a double slash ({}), which is not signed as it is sent: take one out.",
            asked.uri.path()
        ));
    }
    advice.push(match asked.proxy {
        Some(proxy) => format!("Or the proxy {proxy} changes the path, the host or the body: let it only tunnel (CONNECT)."),
        None => "Or something on the way changes the path, the Host field or the body: a proxy, a gateway, a rewriting load balancer.".to_owned(),
    });
    advice
}

fn scope(asked: &Asked<'_>) -> Vec<String> {
    let (service, region) = aws::infer(asked.uri.host().unwrap_or_default());
    let signed = asked.scope.map(|scope| format!("{} in {}", scope.service, scope.region)).unwrap_or_default();
    let wanted = match (service, region) {
        (Some(service), Some(region)) => format!("the endpoint is that of {service} in {region}"),
        _ => "the words above say which it wants".to_owned(),
    };
    vec![format!(
        "The signature is for {signed}, and {wanted}: set region and service (of sigv4auth, sigv4 or aws_auth) to that."
    )]
}

fn unsigned(asked: &Asked<'_>) -> Vec<String> {
    let host = asked.uri.host().unwrap_or_default();
    if is_aws(host) {
        return vec![sign_it()];
    }
    vec!["Give the exporter what this store wants to see: headers (Authorization, X-Scope-OrgID), or an extension under auth::authenticator.".to_owned()]
}

/// What makes an exporter sign.
pub(super) fn sign_it() -> String {
    "The endpoint is AWS', and the exporter does not sign: define the extension sigv4auth, list it under service::extensions, and give the exporter auth: {authenticator: sigv4auth}.".to_owned()
}

fn bad_request(asked: &Asked<'_>) -> Vec<String> {
    let mut advice = vec!["Its words are above.".to_owned()];
    if asked.what == EMPTY_EXPORT {
        advice.push("If they only say that nothing was sent, all up to there is well.".to_owned());
    } else if asked.what == EMPTY_WRITE {
        advice.push("If they only say that nothing was sent, try a sample: oxidot doctor --canary.".to_owned());
    } else {
        advice.push("Out of order or duplicate: another program writes the same series. Too old: this machine's clock. A limit of series: raise the workspace's quota.".to_owned());
    }
    advice
}

fn missing(asked: &Asked<'_>) -> Vec<String> {
    let path = asked.uri.path();
    let host = asked.uri.host().unwrap_or_default();
    let Some(workspace) = permission::workspace(path).filter(|_| asked.is_signed || aws::is_amp(host)) else {
        return vec![format!(
            "The path {path} of the endpoint is wrong: Prometheus and Amazon Managed Service for Prometheus take {}, Mimir and Cortex /api/v1/push, VictoriaMetrics /api/v1/write.",
            if aws::is_amp(host) {
                "/workspaces/<id>/api/v1/remote_write"
            } else {
                "/api/v1/write and /workspaces/<id>/api/v1/remote_write"
            }
        )];
    };
    let region = asked.scope.map_or("<region>", |scope| scope.region.as_ref());
    let mut advice = vec![format!(
        "There is no workspace {workspace} in {region}, or it is not this account's: aws amp list-workspaces --region {region}. Its endpoint is prometheusEndpoint of aws amp describe-workspace, followed by api/v1/remote_write."
    )];
    if !path.ends_with("/api/v1/remote_write") {
        advice.insert(0, format!("The endpoint has to end in /api/v1/remote_write; its path is {path}."));
    }
    advice
}

fn throttled(asked: &Asked<'_>) -> Vec<String> {
    let mut advice = vec!["Nothing is lost: the exporter waits as long as it is told to, and sends again.".to_owned()];
    if asked.is_signed {
        advice.push("If the words speak of an ingestion rate or of active series, ask for a higher quota of the workspace (Service Quotas, Amazon Managed Service for Prometheus), or send less: longer scrape intervals, metric_relabel_configs. \"Rate exceeded\" counts requests: raise max_samples_per_send.".to_owned());
    } else {
        advice
            .push("Raise the store's limit, or send less: longer scrape intervals, metric_relabel_configs.".to_owned());
    }
    advice
}

fn failing(answer: &Answer<'_>) -> Vec<String> {
    let gateway = matches!(answer.status.as_u16(), 502..=504) && !answer.headers.contains_key("x-amzn-requestid");
    let mut advice = vec!["The exporter keeps what it has and sends again until it is taken.".to_owned()];
    advice.push(if gateway {
        "A proxy or load balancer answers for a store that it cannot reach: look at that, then at the store.".to_owned()
    } else {
        "It is the store's mistake: look at its log, or at the AWS Health Dashboard with the request id above."
            .to_owned()
    });
    advice
}

fn redirect(headers: &HeaderMap) -> String {
    let to = headers.get(header::LOCATION).and_then(|value| value.to_str().ok()).map(|to| words(to.as_bytes()));
    format!(
        "Set the endpoint to where it leads, {}: a write is not to be redirected, and a signature is only good for its own URL.",
        to.as_deref().unwrap_or("which it does not say")
    )
}

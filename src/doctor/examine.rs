//! All checks of one destination.

use super::DoctorOptions;
use super::answer::{Answer, Asked, explain, sign_it};
use super::clock::Skew;
use super::destination::{Destination, Payload, Signing, Target, is_aws, shown};
use super::report::{Mark, Report};
use super::{credentials, network, write};
use crate::run::PROGRAM;
use crate::service::{Graph, Slot};
use aws::{CallerIdentity, Identity, Scope, SigV4, SigningSettings};
use http::Uri;
use net::auth::{Authenticators, ClientAuth};
use net::client::{ClientSettings, Credentials, HttpClient, Request};
use pipeline::component::{Build, BuildContext, Extension, Shared};
use pipeline::config::ComponentId;
use pipeline::telemetry::Telemetry;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// What is read of an answer.
const ANSWER_LIMIT: usize = 64 << 10;
/// After this time a person wonders what is going on.
const SLOW: Duration = Duration::from_secs(3);

/// Who signs, as far as that came about.
#[derive(Default)]
struct Signer {
    auth: Option<Arc<SigV4>>,
    /// Whether it is known for which region.
    has_region: bool,
    identity: Option<Arc<Identity>>,
    caller: Option<CallerIdentity>,
}

impl Signer {
    /// What a signature for this URL is good for.
    fn scope<'a>(&'a self, uri: &'a Uri) -> Option<Scope<'a>> {
        self.auth.as_ref()?.scope(uri).ok()
    }

    /// Whether requests can be signed.
    fn is_ready(&self) -> bool {
        self.auth.is_some() && self.has_region && self.identity.is_some()
    }
}

/// Does all that can be done for one destination.
pub(super) async fn destination(
    destination: &Destination,
    id: &ComponentId,
    graph: &Graph,
    options: DoctorOptions,
    report: &mut Report<'_>,
) {
    let Some(first) = destination.targets.first() else { return };
    let host = first.uri.host().unwrap_or_default();
    let signer = match &destination.signing {
        Signing::Aws { by, settings } => signer(by, settings, &first.uri, report).await,
        Signing::Other(id) => {
            report.line(Mark::Ok, "signing", &format!("not for AWS; extension \"{id}\" authenticates requests"));
            Signer::default()
        }
        Signing::None if is_aws(host) => {
            report.line(Mark::Fail, "signing", "requests are not signed, and the endpoint takes no others");
            report.advise(sign_it());
            Signer::default()
        }
        Signing::None => {
            report.line(Mark::Ok, "signing", "requests are not signed");
            Signer::default()
        }
    };
    endpoint(&first.uri, report);
    let (client, _kept) = match client(destination, &signer, graph) {
        Ok(client) => client,
        Err(why) => {
            report.line(Mark::Fail, "client", &why);
            report.advise("Correct this in the exporter's block; the service does not start with it either.");
            return;
        }
    };
    let mut hosts = Vec::new();
    for (at, target) in destination.targets.iter().enumerate() {
        let host = target.uri.host().unwrap_or_default();
        if !hosts.contains(&host) {
            if let (Signing::Aws { by, settings }, Some(auth)) = (&destination.signing, &signer.auth)
                && at > 0
            {
                scope(by, auth, settings, &target.uri, report);
            }
            network::check(&target.uri, client.proxy_of(&target.uri).as_deref(), report).await;
            hosts.push(host);
        }
        let request = write::request(target, &id.to_string(), options.canary);
        let what = write::name(target.payload, options.canary);
        let sent = Sent { target, request: &request, what, is_first: at == 0 };
        sent.explain(destination, &client, &signer, report).await;
    }
}

/// How requests are signed, as whom, and whose that is.
async fn signer(by: &str, settings: &SigningSettings, endpoint: &Uri, report: &mut Report<'_>) -> Signer {
    let auth = match SigV4::new(settings.clone()) {
        Ok(auth) => Arc::new(auth),
        Err(error) => {
            report.line(Mark::Fail, "signing", &error.to_string());
            report.advise("Correct the proxy in the environment (HTTPS_PROXY).");
            return Signer::default();
        }
    };
    // Credentials before the region: a profile may tell it, and its file is read for them.
    let found = patiently(auth.identity(endpoint), report).await;
    let region = scope(by, &auth, settings, endpoint, report);
    let identity = credentials::check(found, settings, report);
    let caller = match (&identity, &region) {
        (Some(identity), Some(region)) => credentials::caller(identity, settings, region, report).await,
        _ => None,
    };
    Signer { auth: Some(auth), has_region: region.is_some(), identity, caller }
}

/// The result of a search for credentials. One that takes long says so: IMDS takes seconds where there is none.
async fn patiently<T>(search: impl Future<Output = T>, report: &mut Report<'_>) -> T {
    let mut search = std::pin::pin!(search);
    tokio::select! {
        found = &mut search => return found,
        () = tokio::time::sleep(SLOW) => {}
    }
    report.line(Mark::Note, "credentials", "still looking; a source is slow to answer");
    search.await
}

/// Tells region and service of signatures, and whether they are those of the endpoint. Returns the region.
fn scope(
    by: &str,
    auth: &SigV4,
    settings: &SigningSettings,
    endpoint: &Uri,
    report: &mut Report<'_>,
) -> Option<String> {
    let (service_of_host, region_of_host) = aws::infer(endpoint.host().unwrap_or_default());
    let scope = match auth.scope(endpoint) {
        Ok(scope) => scope,
        Err(error) => {
            report.line(Mark::Fail, "signing", &error.to_string());
            report.advise("Set region in sigv4auth, sigv4 or aws_auth: the endpoint's host does not tell it, and neither do AWS_REGION, AWS_DEFAULT_REGION and the profile.");
            return None;
        }
    };
    let from = match (&settings.region, region_of_host) {
        (Some(_), _) => "as configured",
        (None, Some(_)) => "as the endpoint's host says",
        (None, None) => "as the environment or the profile says",
    };
    let text = format!("for {} in {} ({from}), by {by}", scope.service, scope.region);
    let is_other = region_of_host.is_some_and(|region| region != scope.region)
        || service_of_host.is_some_and(|service| service != scope.service);
    if is_other {
        let of_host = format!("{} in {}", service_of_host.unwrap_or("a service"), region_of_host.unwrap_or("a region"));
        report.line(Mark::Fail, "signing", &format!("{text}; but the endpoint is that of {of_host}"));
        report.advise(format!(
            "Signatures for {} in {} are not accepted by {of_host}: set region and service to those of the endpoint, or leave them out and they are taken from its host.",
            scope.service, scope.region
        ));
    } else {
        report.line(Mark::Ok, "signing", &text);
    }
    Some(scope.region.into_owned())
}

/// What can be seen of an endpoint of AMP without asking anybody.
fn endpoint(uri: &Uri, report: &mut Report<'_>) {
    if !aws::is_amp(uri.host().unwrap_or_default()) {
        return;
    }
    if uri.scheme_str() != Some("https") {
        report.line(Mark::Fail, "endpoint", "Amazon Managed Service for Prometheus is only reached by https");
        report.advise("Write https:// in the endpoint.");
    }
    let path = uri.path();
    let is_write = super::permission::workspace(path).is_some() && path.ends_with("/api/v1/remote_write");
    if !is_write || path.contains("//") {
        report.line(Mark::Fail, "endpoint", &format!("{path} is not where a workspace takes writes"));
        report.advise("The endpoint of a workspace is its prometheusEndpoint (aws amp describe-workspace), followed by api/v1/remote_write: https://aps-workspaces.<region>.amazonaws.com/workspaces/<id>/api/v1/remote_write");
    }
}

type Kept = Vec<Box<dyn Extension>>;

/// The exporter's client, with whoever authenticates its requests. What authenticates lives as long as the second part of the result.
fn client(destination: &Destination, signer: &Signer, graph: &Graph) -> Result<(HttpClient, Kept), String> {
    let mut settings = destination.client.clone();
    let mut authenticators = Authenticators::default();
    let mut kept = Vec::new();
    match &destination.signing {
        Signing::None => {}
        Signing::Other(id) => {
            let shared = Shared::default();
            kept.extend(extension(id, graph, &shared)?);
            authenticators = Authenticators::of(&shared);
        }
        Signing::Aws { .. } => sign(&mut settings, &mut authenticators, signer)?,
    }
    let client = HttpClient::new(&settings, &authenticators).map_err(|error| error.to_string())?;
    client.check_files().map_err(|error| error.to_string())?;
    Ok((client, kept))
}

fn sign(settings: &mut ClientSettings, authenticators: &mut Authenticators, signer: &Signer) -> Result<(), String> {
    // Without credentials the request still shows whether the store can be reached.
    settings.credentials = Credentials::None;
    if let Some(auth) = signer.auth.as_ref().filter(|_| signer.is_ready()) {
        let id: ComponentId = super::destination::SIGNER.parse().map_err(|error| format!("{error}"))?;
        authenticators.add_client(id.clone(), Arc::clone(auth) as Arc<dyn ClientAuth>);
        settings.credentials = Credentials::Authenticator(id);
    }
    Ok(())
}

/// An extension, built and not run: what it offers is offered when it is built.
fn extension(id: &ComponentId, graph: &Graph, shared: &Shared) -> Result<Option<Box<dyn Extension>>, String> {
    let Some(vertex) = graph.vertices.get(&Slot::Extension(id.clone())) else { return Ok(None) };
    let Build::Extension(build) = vertex.factory.build else { return Ok(None) };
    let context = BuildContext {
        id: id.clone(),
        program: PROGRAM,
        telemetry: Telemetry::default(),
        shared: shared.clone(),
        signal: None,
    };
    build(&vertex.config, &context).map(Some).map_err(|error| error.to_string())
}

/// One request.
struct Sent<'a> {
    target: &'a Target,
    request: &'a Request,
    what: &'a str,
    is_first: bool,
}

impl Sent<'_> {
    /// Sends it and explains what comes of it.
    async fn explain(&self, destination: &Destination, client: &HttpClient, signer: &Signer, report: &mut Report<'_>) {
        let Self { target, request, what, is_first } = *self;
        let proxy = client.proxy_of(&target.uri);
        let (started, mut body) = (Instant::now(), Vec::new());
        let result = client.send(request, &mut body, ANSWER_LIMIT).await;
        let took = started.elapsed();
        let head = match result {
            Ok(head) => head,
            Err(error) if target.payload == Payload::Grpc && is_reached(&error) => {
                report.line(
                    Mark::Ok,
                    "write",
                    "a connection can be made; what the exporter sends was not tried (gRPC)",
                );
                return;
            }
            Err(error) => return network::explain(&error, &target.uri, proxy.as_deref(), report),
        };
        let skew = Skew::of(&head.headers, SystemTime::now() - took / 2);
        if let Some(skew) = skew.as_ref().filter(|_| is_first) {
            let mark = skew.mark(destination.is_signed());
            report.line(mark, "clock", &skew.text());
            if mark == Mark::Fail
                && let Some(advice) = skew.advice()
            {
                report.advise(advice);
            }
        }
        let scope = signer.scope(&target.uri);
        let asked = Asked {
            uri: &target.uri,
            what,
            scope: scope.as_ref(),
            identity: signer.identity.as_deref().filter(|_| signer.is_ready()),
            caller: signer.caller.as_ref(),
            proxy: proxy.as_deref(),
            is_signed: destination.is_signed(),
            any_page: matches!(target.payload, Payload::Grpc | Payload::Unknown),
        };
        let answer = Answer { status: head.status, headers: &head.headers, body: &body, skew: skew.as_ref() };
        let verdict = explain(&asked, &answer);
        let place = if destination.targets.len() > 1 { format!("{}: ", shown(&target.uri)) } else { String::new() };
        report.line(verdict.mark, "write", &format!("{place}{}, after {} ms", verdict.text, took.as_millis()));
        for text in verdict.advice {
            report.advise(text);
        }
    }
}

/// Whether somebody was there, though not to speak HTTP/1.1: a gRPC server ends such a connection.
fn is_reached(error: &net::client::RequestError) -> bool {
    use net::client::RequestErrorKind as Kind;
    matches!(error.kind(), Kind::Reset | Kind::Protocol)
}

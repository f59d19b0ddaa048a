//! Which credentials there are, and whose they are.

use super::report::{Mark, Report, words};
use aws::shared_files::SharedFiles;
use aws::{CallerIdentity, Identity, LoadError, Refusal, SigningSettings, StsError};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Temporary keys of the SSM agent live for an hour and are renewed after half of it.
const SSM_LIFE: Duration = Duration::from_secs(3600);

/// The last provider of the chain.
const END_OF_CHAIN: &str = "IMDSv2";

/// What is said to whoever looks from elsewhere than the service does.
const SAME_PLACE: &str = "Mind that this program sees the user, the environment and the files of this shell. Run it as the service runs: sudo -u its user with its environment, docker exec, kubectl exec, or as ExecStartPre.";

/// Tells what the search for credentials has found.
pub(super) fn check(
    found: Result<Arc<Identity>, LoadError>,
    settings: &SigningSettings,
    report: &mut Report<'_>,
) -> Option<Arc<Identity>> {
    let identity = match found {
        Ok(identity) => identity,
        Err(error) => {
            absent(&error, settings, report);
            return None;
        }
    };
    let now = SystemTime::now();
    let mark = if identity.is_usable(now) { Mark::Ok } else { Mark::Fail };
    let role = identity.role.as_ref().map(|role| format!(", role {role}")).unwrap_or_default();
    let text = format!(
        "{}: access key {}{role}, {}",
        identity.provider,
        identity.access_key_id(),
        expiry(identity.expires(), now)
    );
    report.line(mark, "credentials", &text);
    if mark == Mark::Fail {
        report.advise(format!(
            "The source of these credentials has to provide newer ones: {}.",
            Refusal::Expired.advice()
        ));
    }
    if identity.provider.contains("shared files") {
        shared_file(&identity, settings, now, report);
    }
    if let Some(other) = overruled(&identity, settings) {
        let text = format!("{} came first; {other} is set too, and is not asked", identity.provider);
        report.line(Mark::Note, "", &text);
    }
    Some(identity)
}

/// When credentials expire.
fn expiry(expires: Option<SystemTime>, now: SystemTime) -> String {
    let Some(expires) = expires else { return "expiry unknown".to_owned() };
    let date = httpdate::fmt_http_date(expires);
    match expires.duration_since(now) {
        Ok(left) => format!("expires {date}, in {}", span(left)),
        Err(error) => format!("expired {date}, {} ago", span(error.duration())),
    }
}

/// A time as people say it.
fn span(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3600),
    }
}

/// What the file that they are from looks like: keys in it say nothing about their end, so its age has to.
fn shared_file(identity: &Identity, settings: &SigningSettings, now: SystemTime, report: &mut Report<'_>) {
    use std::os::unix::fs::MetadataExt as _;
    let files = SharedFiles::of_environment(settings.credentials.profile.as_deref());
    let path = files.credentials_path();
    let Ok(metadata) = std::fs::metadata(path) else { return };
    let age = metadata.modified().ok().and_then(|written| now.duration_since(written).ok()).unwrap_or_default();
    let is_temporary = identity.access_key_id().starts_with("ASIA") && identity.role.is_none();
    let is_old = is_temporary && identity.expires().is_none() && age > SSM_LIFE;
    let text = format!(
        "{} was written {} ago, mode {:04o}, owner uid {}",
        path.display(),
        span(age),
        metadata.mode() & 0o7777,
        metadata.uid()
    );
    report.line(if is_old { Mark::Note } else { Mark::Ok }, "", &text);
    if is_old {
        report.advise(format!(
            "{} holds a temporary key and was not written for {}. If the SSM agent writes it, such keys live for an hour: look at systemctl status amazon-ssm-agent and /var/log/amazon/ssm/errors.log, and whether it writes this file or that of another user.",
            path.display(),
            span(age)
        ));
    }
}

/// A source that is set up and comes later in the chain than the one that answered: who put a key file into an image with a role, say.
fn overruled(identity: &Identity, settings: &SigningSettings) -> Option<&'static str> {
    let by_chain = settings.credentials.keys.is_none() && settings.credentials.profile.is_none();
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let is_early = identity.provider.contains("environment") || identity.provider.contains("shared files");
    let later =
        ["AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI"];
    later.into_iter().find(|name| by_chain && is_early && set(name))
}

/// No credentials: who was asked, why each has none, and what to do.
fn absent(error: &LoadError, settings: &SigningSettings, report: &mut Report<'_>) {
    report.line(Mark::Fail, "credentials", "there are none; asked in this order:");
    for (at, tried) in error.tried.iter().enumerate() {
        // One that is set up and fails ends the search; those before it only have none.
        let ended = at + 1 == error.tried.len() && tried.provider != END_OF_CHAIN;
        let mark = if ended { Mark::Fail } else { Mark::Note };
        report.line(mark, "", &format!("{}: {}", tried.provider, words(tried.reason.as_bytes())));
    }
    let all = error.to_string();
    let says = |text: &str| all.to_ascii_lowercase().contains(text);
    let role = settings.credentials.role.as_ref().map(|role| role.arn.as_str());
    if says("permission denied") {
        report.advise(format!(
            "Let this user{} read the file, or run as a user who may. A directory of mode 0700 on the way to it (/root) keeps others out whatever the file's own mode is.",
            user().map(|uid| format!(" (uid {uid})")).unwrap_or_default()
        ));
    }
    if says("assume role") || says("assumerole") {
        let role = role.map_or_else(|| "the role".to_owned(), |arn| format!("role {arn}"));
        if says("not authorized") || says("accessdenied") {
            report.advise(format!(
                "Allow sts:AssumeRole on {role} to who asks, and name who asks in the role's trust policy; if that has a condition on sts:ExternalId or on the token's sub and aud, they have to be the same here."
            ));
        } else {
            report.advise(format!(
                "STS has to be reached to assume {role}: a way to sts.<region>.amazonaws.com, or the VPC endpoint com.amazonaws.<region>.sts. assume_role::sts_region and AWS_ENDPOINT_URL_STS say where it is asked."
            ));
        }
    }
    if says("expired") {
        report.advise(sentence(Refusal::Expired.advice()));
    }
    if let Some(profile) = &settings.credentials.profile {
        report.advise(format!("With a profile ({profile}) only the shared files are asked: add it there, or leave it out of the configuration."));
    }
    report.advise("Give this process credentials; docs/aws.md has a section for each way: keys, a profile, IRSA, Pod Identity, ECS, EC2, and machines on premises with SSM. The service waits for them and signs when they come.");
    report.advise(SAME_PLACE);
}

/// The effective user of this process.
fn user() -> Option<u32> {
    let status = std::fs::read_to_string(Path::new("/proc/self/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// Asks STS whose credentials these are. Writing does not need that, so an STS out of reach is no mistake.
pub(super) async fn caller(
    identity: &Identity,
    settings: &SigningSettings,
    region: &str,
    report: &mut Report<'_>,
) -> Option<CallerIdentity> {
    let role = settings.credentials.role.as_ref();
    let region = role.and_then(|role| role.sts_region.as_deref()).unwrap_or(region);
    let sts = aws::sts_endpoint(region, role.is_some_and(|role| role.fips));
    match aws::caller_identity(identity, region, &sts).await {
        Ok(caller) => {
            report.line(Mark::Ok, "identity", &format!("{}, account {}, says {sts}", caller.arn, caller.account));
            Some(caller)
        }
        Err(StsError::Unreachable(why)) => {
            let text = format!("{sts} cannot be reached, which only assuming a role needs: {}", words(why.as_bytes()));
            report.line(Mark::Note, "identity", &text);
            None
        }
        Err(StsError::Refused { status, text }) => {
            let refusal = Refusal::of(text.as_bytes());
            let is_ill = refusal.is_of_credentials() || refusal == Refusal::ClockSkew;
            let mark = if is_ill { Mark::Fail } else { Mark::Note };
            report.line(mark, "identity", &format!("{sts} answers HTTP {status}: {}", words(text.as_bytes())));
            if is_ill {
                report.advise(sentence(refusal.advice()));
                report.advise(SAME_PLACE);
            }
            None
        }
    }
}

/// With a capital at its beginning and a full stop at its end.
pub(super) fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", chars.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_said_as_people_say_them() {
        for (seconds, text) in [(0, "0 s"), (119, "119 s"), (120, "2 min"), (3600, "60 min"), (86_400, "24 h")] {
            assert_eq!(span(Duration::from_secs(seconds)), text);
        }
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        assert_eq!(expiry(None, now), "expiry unknown");
        let (soon, gone) = (now + Duration::from_secs(600), now - Duration::from_secs(600));
        assert!(expiry(Some(soon), now).ends_with("GMT, in 10 min"));
        assert!(expiry(Some(gone), now).starts_with("expired ") && expiry(Some(gone), now).ends_with(", 10 min ago"));
    }
}

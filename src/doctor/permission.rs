//! A permission that is missing: which one, on what, and who has to be given it.

use super::answer::Asked;
use super::report::words;
use aws::Scope;

/// The action that writing to a service needs.
pub(super) fn action(service: &str) -> Option<&'static str> {
    match service {
        "aps" => Some("aps:RemoteWrite"),
        "monitoring" => Some("cloudwatch:PutMetricData"),
        "logs" => Some("logs:PutLogEvents"),
        "xray" => Some("xray:PutTraceSegments"),
        "es" => Some("es:ESHttpPost"),
        _ => None,
    }
}

/// The workspace that a path leads to.
pub(super) fn workspace(path: &str) -> Option<&str> {
    let mut parts = path.split('/').filter(|part| !part.is_empty());
    parts.by_ref().find(|part| *part == "workspaces")?;
    parts.next()
}

/// The partition that a region is in, which every ARN begins with.
fn partition(region: &str) -> &'static str {
    match region {
        region if region.starts_with("cn-") => "aws-cn",
        region if region.starts_with("us-gov-") => "aws-us-gov",
        _ => "aws",
    }
}

/// What is written to, as policies name it.
fn resource(scope: &Scope<'_>, path: &str, account: Option<&str>) -> String {
    let region = scope.region.as_ref();
    let account = account.unwrap_or("<account>");
    match (scope.service.as_ref(), workspace(path)) {
        ("aps", Some(workspace)) => format!("arn:{}:aps:{region}:{account}:workspace/{workspace}", partition(region)),
        _ => "*".to_owned(),
    }
}

/// The command that gives an identity what is needed to write to AMP; none if its ARN is not one of a role or user.
fn command(arn: &str) -> Option<String> {
    let (head, name) = arn.split_once('/')?;
    let partition = head.split(':').nth(1)?;
    let policy = format!("--policy-arn arn:{partition}:iam::aws:policy/AmazonPrometheusRemoteWriteAccess");
    match head.rsplit(':').next()? {
        "assumed-role" => {
            let role = name.split('/').next()?;
            Some(format!("aws iam attach-role-policy --role-name {role} {policy}"))
        }
        "role" => Some(format!("aws iam attach-role-policy --role-name {} {policy}", name.rsplit('/').next()?)),
        "user" => Some(format!("aws iam attach-user-policy --user-name {} {policy}", name.rsplit('/').next()?)),
        _ => None,
    }
}

/// What to do about a refusal for lack of permission.
pub(super) fn advice(asked: &Asked<'_>, body: &[u8]) -> Vec<String> {
    let said = words(body).to_ascii_lowercase();
    let says = |text: &str| said.contains(text);
    let arn =
        asked.caller.map(|caller| caller.arn.as_str()).or(asked.identity.and_then(|identity| identity.role.as_deref()));
    let who = arn.map_or_else(|| "the identity above".to_owned(), str::to_owned);
    let Some(scope) = asked.scope else { return Vec::new() };
    let action = action(&scope.service).unwrap_or("the action that it names");
    let account = asked.caller.map(|caller| caller.account.as_str());
    let resource = resource(scope, asked.uri.path(), account);
    let denied = says("explicit deny");
    // The phrases are those of IAM's "access denied" messages, which say the kind of policy that decided.
    let by = [
        ("vpc endpoint policy", "the policy of the VPC endpoint"),
        ("service control policy", "a service control policy of the organization"),
        ("permissions boundary", "the permissions boundary of the role or user"),
        ("session policy", "the policy of the session, given when the role was assumed"),
        ("resource-based policy", "the resource policy of the workspace (aws amp describe-resource-policy)"),
    ];
    let by = by.into_iter().find(|(phrase, _)| says(phrase)).map(|(_, name)| name);
    let mut advice = match (denied, by) {
        (true, by) => vec![format!(
            "Take out what denies {action} to {who} on {resource}: {}.",
            by.unwrap_or("a statement with Effect: Deny in one of its policies")
        )],
        (false, Some(by)) => vec![format!("Allow {action} on {resource} to {who} in {by}.")],
        (false, None) => {
            let mut advice = vec![format!("Allow {action} on {resource} to {who}.")];
            let command = arn.and_then(command).filter(|_| scope.service == "aps");
            advice.extend(command.map(|command| format!("This does it for all workspaces of the account: {command}")));
            advice
        }
    };
    if !denied && scope.service == "aps" {
        advice.push("If the workspace is another account's, assume a role there (assume_role::arn), or give the workspace a resource policy that names this identity.".to_owned());
    }
    advice
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_names_the_role_or_user() {
        let policy = "--policy-arn arn:aws:iam::aws:policy/AmazonPrometheusRemoteWriteAccess";
        for (arn, start) in [
            ("arn:aws:sts::1:assumed-role/collector/i-0", "aws iam attach-role-policy --role-name collector"),
            ("arn:aws:iam::1:role/path/collector", "aws iam attach-role-policy --role-name collector"),
            ("arn:aws:iam::1:user/me", "aws iam attach-user-policy --user-name me"),
        ] {
            assert_eq!(command(arn), Some(format!("{start} {policy}")));
        }
        assert!(command("arn:aws-cn:iam::1:user/me").is_some_and(|command| command.contains("arn:aws-cn:iam::aws:")));
        assert_eq!(command("arn:aws:iam::1:root"), None);
        assert_eq!(command("x"), None);
    }

    #[test]
    fn what_is_written_to_is_named_as_policies_name_it() {
        let path = "/workspaces/ws-1/api/v1/remote_write";
        let scope =
            |service: &'static str, region: &'static str| Scope { region: region.into(), service: service.into() };
        for (scope, account, name) in [
            (scope("aps", "eu-west-1"), Some("1"), "arn:aws:aps:eu-west-1:1:workspace/ws-1"),
            (scope("aps", "cn-north-1"), None, "arn:aws-cn:aps:cn-north-1:<account>:workspace/ws-1"),
            (scope("aps", "us-gov-west-1"), Some("1"), "arn:aws-us-gov:aps:us-gov-west-1:1:workspace/ws-1"),
            (scope("monitoring", "eu-west-1"), Some("1"), "*"),
        ] {
            assert_eq!(resource(&scope, path, account), name);
        }
        assert_eq!(workspace("/api/v1/write"), None);
        assert_eq!(workspace("/workspaces"), None);
    }
}

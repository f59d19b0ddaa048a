//! What a refusal of an AWS service means.

/// Why a service refuses who signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The credentials have expired.
    Expired,
    /// The service does not know the key or the token (any more).
    InvalidToken,
    /// The signature is not that of the secret: key and secret do not belong together, or something between us and the
    /// service changes requests.
    SignatureMismatch,
    /// The clocks differ by more than the five minutes that signatures are good for.
    ClockSkew,
    /// The signature is for another region or service.
    WrongScope,
    /// There is no signature.
    Unsigned,
    /// The identity is known, and may not do this.
    NotAuthorized,
    /// Something else.
    Other,
}

impl Refusal {
    /// From the words of a service: its message, with or without the error's name. Names are those of the common errors of AWS' APIs.
    #[must_use]
    pub fn of(body: &[u8]) -> Self {
        let text = String::from_utf8_lossy(body.get(..4096).unwrap_or(body)).to_ascii_lowercase();
        let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
        // First, since its message speaks of something expired too.
        if says(&["signature expired", "signature not yet current", "requesttimetooskewed", "requestexpired"]) {
            Self::ClockSkew
        } else if says(&["credential should be scoped", "credentials scope", "credential scope"]) {
            Self::WrongScope
        } else if says(&["security token included in the request is expired", "expiredtoken", "token has expired"])
            || (says(&["token", "credential"]) && says(&["expired"]))
        {
            Self::Expired
        } else if says(&["missingauthenticationtoken", "missing authentication token"]) {
            Self::Unsigned
        } else if says(&[
            "unrecognizedclient",
            "invalidclienttokenid",
            "invalidaccesskeyid",
            "security token included in the request is invalid",
            "token is invalid",
            "invalidtoken",
            "invalid token",
            "invalididentitytoken",
        ]) {
            Self::InvalidToken
        } else if says(&["signaturedoesnotmatch", "invalidsignature", "signature we calculated does not match"]) {
            Self::SignatureMismatch
        } else if says(&["not authorized", "accessdenied", "access denied", "explicit deny"]) {
            Self::NotAuthorized
        } else {
            Self::Other
        }
    }

    /// From an answer whose status is not about who asks. Services differ in the status of the common errors (400 where their protocol is
    /// JSON), but say them in one form, and this form alone counts: a store repeats labels in what it says of samples, and a label may
    /// hold any word.
    #[must_use]
    pub fn named(body: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(body).ok()?.trim();
        let (name, message) = match text.bytes().next()? {
            b'{' => of_json(text)?,
            b'<' => (between(text, "<Code>", "</Code>")?.to_owned(), text.to_owned()),
            _ => (text.split([':', ' ', '\n']).next()?.to_owned(), text.to_owned()),
        };
        let known = Self::of(name.as_bytes()) != Self::Other;
        let of_token = message.trim().to_ascii_lowercase().starts_with(ABOUT_THE_TOKEN);
        (known || of_token)
            .then(|| Self::of(format!("{name} {message}").as_bytes()))
            .filter(|refusal| *refusal != Self::Other)
    }

    /// Whether other credentials may be accepted where these were not.
    #[must_use]
    pub fn is_of_credentials(self) -> bool {
        matches!(self, Self::Expired | Self::InvalidToken | Self::SignatureMismatch)
    }

    /// What it means and what to do, for people.
    #[must_use]
    pub fn advice(self) -> &'static str {
        match self {
            Self::Expired => {
                "the credentials have expired: their source has to provide newer ones (is the SSM agent running? is the role's session renewed?)"
            }
            Self::InvalidToken => {
                "AWS does not know this key or token: it was deleted or rotated, or belongs to another partition (China, GovCloud)"
            }
            Self::SignatureMismatch => {
                "the signature is wrong: the secret does not belong to the key, or a proxy between here and AWS changes the path, the host or signed fields"
            }
            Self::ClockSkew => {
                "this machine's clock is wrong by more than five minutes: synchronise it (chrony, systemd-timesyncd)"
            }
            Self::WrongScope => {
                "the signature is for another region or service: set region and service to those of the endpoint"
            }
            Self::Unsigned => "the request arrived without its signature: a proxy removes the Authorization header",
            Self::NotAuthorized => {
                "the identity is known and lacks the permission: allow aps:RemoteWrite on the workspace (managed policy AmazonPrometheusRemoteWriteAccess) to it, and look for a VPC endpoint policy or a resource policy that denies it"
            }
            Self::Other => "AWS refuses the request",
        }
    }
}

/// How the message begins that is the same in all services.
const ABOUT_THE_TOKEN: &str = "the security token included in the request is ";

/// The error's name and its message. The name stands under keys of several protocols, with the namespace of its shape before it and
/// the address of its description behind it.
fn of_json(text: &str) -> Option<(String, String)> {
    let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text).ok()?;
    let text = |keys: &[&str]| keys.iter().find_map(|key| object.get(*key)?.as_str()).unwrap_or_default();
    let name = text(&["__type", "code", "Code"]);
    let name = name.rsplit('#').next().unwrap_or(name);
    let name = name.split(':').next().unwrap_or(name);
    Some((name.to_owned(), text(&["message", "Message"]).to_owned()))
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    Some(text.split_once(start)?.1.split_once(end)?.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_services_are_understood() {
        for (body, refusal) in [
            (r#"{"message":"The security token included in the request is expired"}"#, Refusal::Expired),
            ("<Code>ExpiredToken</Code>", Refusal::Expired),
            (r#"{"__type":"ExpiredTokenException","message":"x"}"#, Refusal::Expired),
            (r#"{"message":"The security token included in the request is invalid."}"#, Refusal::InvalidToken),
            (r#"{"__type":"UnrecognizedClientException"}"#, Refusal::InvalidToken),
            ("InvalidClientTokenId", Refusal::InvalidToken),
            (
                "The request signature we calculated does not match the signature you provided.",
                Refusal::SignatureMismatch,
            ),
            ("Signature expired: 20261122T000000Z is now earlier than 20261122T001000Z", Refusal::ClockSkew),
            ("Credential should be scoped to a valid region, not 'eu-west-1'.", Refusal::WrongScope),
            (r#"{"message":"Missing Authentication Token"}"#, Refusal::Unsigned),
            (
                "User: arn:aws:sts::1:assumed-role/a/b is not authorized to perform: aps:RemoteWrite on resource: x",
                Refusal::NotAuthorized,
            ),
            ("", Refusal::Other),
        ] {
            assert_eq!(Refusal::of(body.as_bytes()), refusal, "{body}");
        }
    }

    #[test]
    fn errors_that_come_with_other_statuses_are_known_by_their_form_alone() {
        for (body, refusal) in [
            (r#"{"__type":"com.amazon.coral.service#ExpiredTokenException","message":"x"}"#, Some(Refusal::Expired)),
            (r#"{"message":"The security token included in the request is expired"}"#, Some(Refusal::Expired)),
            (r#"{"Message":"The security token included in the request is invalid."}"#, Some(Refusal::InvalidToken)),
            (
                r#"{"code":"InvalidSignatureException:http://internal.amazon.com/","message":"Signature expired: 1 is now earlier"}"#,
                Some(Refusal::ClockSkew),
            ),
            (
                "<ErrorResponse><Error><Code>ExpiredToken</Code><Message>x</Message></Error></ErrorResponse>",
                Some(Refusal::Expired),
            ),
            ("ExpiredTokenException: The security token included in the request is expired\n", Some(Refusal::Expired)),
            ("The security token included in the request is expired", Some(Refusal::Expired)),
            (
                r#"{"__type":"AccessDeniedException","message":"User: x is not authorized"}"#,
                Some(Refusal::NotAuthorized),
            ),
            // What is said of samples, whatever their labels are.
            (r#"out of order sample: {error="ExpiredTokenException", token="expired"}"#, None),
            (r#"{"message":"out of order sample: {error=\"ExpiredTokenException\", token=\"expired\"}"}"#, None),
            (r#"{"__type":"ValidationException","message":"the token has expired: access denied"}"#, None),
            (r#"{error="ExpiredTokenException"}: out of order"#, None),
            ("<html>access denied</html>", None),
            ("[1]", None),
            ("", None),
        ] {
            assert_eq!(Refusal::named(body.as_bytes()), refusal, "{body}");
        }
    }
}

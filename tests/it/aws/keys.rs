//! Credentials of nobody, and who is to know them.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A key with all that belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) id: String,
    pub(crate) secret: String,
    pub(crate) token: Option<String>,
    pub(crate) expires: Option<SystemTime>,
}

impl Key {
    /// A temporary key, other than all others.
    pub(crate) fn temporary() -> Self {
        let id = random(16, b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567");
        Self { token: Some(random(380, BASE64)), ..Self::of_id(format!("ASIA{id}")) }
    }

    /// A temporary key that lives for `lifetime`, to the second.
    pub(crate) fn living(lifetime: Duration) -> Self {
        let end = (SystemTime::now() + lifetime).duration_since(UNIX_EPOCH).unwrap().as_secs();
        Self { expires: Some(UNIX_EPOCH + Duration::from_secs(end)), ..Self::temporary() }
    }

    /// A key of a user, which stays.
    pub(crate) fn lasting() -> Self {
        Self::of_id(format!("AKIA{}", random(16, b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")))
    }

    fn of_id(id: String) -> Self {
        Self { id, secret: random(40, BASE64), token: None, expires: None }
    }

    /// As a profile of the shared files, written as the SSM agent does it.
    pub(crate) fn profile(&self, name: &str) -> String {
        let mut text =
            format!("[{name}]\naws_access_key_id     = {}\naws_secret_access_key = {}\n", self.id, self.secret);
        if let Some(token) = &self.token {
            text.push_str(&format!("aws_session_token     = {token}\n"));
        }
        text
    }

    /// As variables of the environment.
    pub(crate) fn variables(&self) -> Vec<(String, String)> {
        let mut variables = vec![
            ("AWS_ACCESS_KEY_ID".to_owned(), self.id.clone()),
            ("AWS_SECRET_ACCESS_KEY".to_owned(), self.secret.clone()),
        ];
        variables.extend(self.token.clone().map(|token| ("AWS_SESSION_TOKEN".to_owned(), token)));
        variables
    }

    /// As metadata services give them; `token` is what they call the token.
    pub(crate) fn json(&self, token: &str) -> String {
        serde_json::json!({
            "Version": 1, "Code": "Success", "Type": "AWS-HMAC", "LastUpdated": "2026-01-01T00:00:00Z",
            "AccessKeyId": self.id, "SecretAccessKey": self.secret, token: self.token,
            "Expiration": rfc3339(self.expires.unwrap()),
        })
        .to_string()
    }
}

const BASE64: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn random(len: usize, alphabet: &[u8]) -> String {
    let seed = RandomState::new();
    (0..len).map(|at| char::from(alphabet[(seed.hash_one(at) % alphabet.len() as u64) as usize])).collect()
}

/// The time as AWS writes it.
pub(crate) fn rfc3339(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).unwrap().as_secs();
    // Days of the civil calendar: years that begin in March end with the leap day.
    let (days, rest) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let era = days / 146_097;
    let day = days % 146_097;
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let (day, month, late) = (day - (153 * month + 2) / 5 + 1, (month + 2) % 12 + 1, u64::from(month >= 10));
    let year = year + era * 400 + late;
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", rest / 3600, rest / 60 % 60, rest % 60)
}

/// What a key is worth to a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Good,
    /// Refused as expired.
    Revoked,
}

/// The keys that a store knows. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct Keyring(Arc<Mutex<HashMap<String, (Key, Standing)>>>);

impl Keyring {
    pub(crate) fn add(&self, key: &Key) {
        self.set(key, Standing::Good);
    }

    pub(crate) fn set(&self, key: &Key, standing: Standing) {
        self.0.lock().unwrap().insert(key.id.clone(), (key.clone(), standing));
    }

    /// The key of this id; revoked once it has expired.
    pub(crate) fn find(&self, id: &str) -> Option<(Key, Standing)> {
        let (key, standing) = self.0.lock().unwrap().get(id).cloned()?;
        let expired = key.expires.is_some_and(|expires| expires <= SystemTime::now());
        Some((key, if expired { Standing::Revoked } else { standing }))
    }

    /// A temporary key that the store knows.
    pub(crate) fn issue(&self, lifetime: Duration) -> Key {
        let key = Key::living(lifetime);
        self.add(&key);
        key
    }
}

//! The keys that are derived from a secret: one for each day, region and service.

use crate::endpoint::Scope;
use aws_sigv4::sign::v4::generate_signing_key;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::SystemTime;

/// How many keys of a day are remembered. Exporters that share credentials write to one region, or to two; STS is one more. With more of them
/// than this, the key of one is derived again, as it would be for each request if none were remembered.
pub(super) const MOST: usize = 8;

/// The keys of one secret. They live and die with the credentials whose secret it is, so what was rotated away signs nothing.
#[derive(Default)]
pub(crate) struct DayKeys(Mutex<Vec<DayKey>>);

struct DayKey {
    date: String,
    region: String,
    service: String,
    key: Arc<[u8]>,
}

impl DayKeys {
    /// The key for this day, derived from the secret the first time that it is asked for.
    ///
    /// The day is that of the request's own `x-amz-date`, so a request that is signed just before midnight is signed with the key of that day, however
    /// late it leaves, and the next one with that of the next day.
    pub(crate) fn get(&self, secret: &str, day: &Day<'_>, scope: &Scope<'_>) -> Arc<[u8]> {
        let mut keys = self.0.lock();
        let known = |key: &&DayKey| key.date == day.date && key.region == scope.region && key.service == scope.service;
        if let Some(known) = keys.iter().find(known) {
            return Arc::clone(&known.key);
        }
        let key: Arc<[u8]> = generate_signing_key(secret, day.time, &scope.region, &scope.service).as_ref().into();
        keys.retain(|key| key.date == day.date);
        if keys.len() >= MOST {
            keys.remove(0);
        }
        keys.push(DayKey {
            date: day.date.to_owned(),
            region: scope.region.to_string(),
            service: scope.service.to_string(),
            key: Arc::clone(&key),
        });
        key
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.0.lock().len()
    }
}

/// A day, and a time in it.
pub(crate) struct Day<'a> {
    /// As scopes have it: `20150830`.
    pub(crate) date: &'a str,
    pub(crate) time: SystemTime,
}

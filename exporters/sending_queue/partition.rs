//! What tells apart requests that are not to be put together: the values of those request headers of their clients that
//! `batch::partition::metadata_keys` names.

use std::sync::Arc;

use bytes::Bytes;
use pipeline::Client;

/// What is known under the keys about the client of a request; none if that is nothing.
pub(super) type Partition = Option<Arc<Client>>;

/// The partition of what a client has sent. Keys are in lowercase.
pub(super) fn of(client: Option<&Arc<Client>>, keys: &[String]) -> Partition {
    let known = client.filter(|_| !keys.is_empty())?.only(keys);
    let is_empty = known.pairs().next().is_none();
    (!is_empty).then(|| Arc::new(known))
}

/// A request with its partition in front, as it lies on disk: the length of all names and values, and each of them behind its
/// length. Lengths are 32 bits, little-endian.
pub(super) fn joined(client: &Client, body: &[u8]) -> Vec<u8> {
    let mut head = Vec::new();
    for (name, value) in client.pairs() {
        for text in [name, value] {
            put(&mut head, text.as_bytes());
        }
    }
    let mut joined = Vec::with_capacity(4 + head.len() + body.len());
    put(&mut joined, &head);
    joined.extend_from_slice(body);
    joined
}

/// What [`joined`] has put together; none if it did not make this.
pub(super) fn parted(joined: Bytes) -> Option<(Partition, Bytes)> {
    let mut rest = &*joined;
    let mut head = take(&mut rest)?;
    let mut pairs = Vec::new();
    while !head.is_empty() {
        let mut text = || std::str::from_utf8(take(&mut head)?).ok();
        pairs.push((text()?, text()?));
    }
    let client = (!pairs.is_empty()).then(|| Arc::new(Client::new(None, pairs)));
    Some((client, joined.slice_ref(rest)))
}

fn put(to: &mut Vec<u8>, bytes: &[u8]) {
    // A head of a request has some kilobytes at most.
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    to.extend_from_slice(&length.to_le_bytes());
    to.extend_from_slice(bytes);
}

fn take<'a>(from: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, rest) = from.split_first_chunk::<4>()?;
    let (taken, rest) = rest.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
    *from = rest;
    Some(taken)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn what_is_joined_is_parted_and_nothing_else() {
        let pairs = [("x-tenant", "a"), ("x-tenant", "b"), ("other", "")];
        let client = Client::new(None, pairs);
        let joined = joined(&client, b"body");
        let (partition, body) = parted(joined.clone().into()).unwrap();
        assert_eq!((partition.as_deref(), &*body), (Some(&client), &b"body"[..]));
        for end in 0..joined.len() - b"body".len() {
            assert!(parted(Bytes::copy_from_slice(&joined[..end])).is_none(), "{end}");
        }
        assert!(parted(Bytes::from_static(&[8, 0, 0, 0, 200, 0, 0, 0, 1, 1, 1, 1])).is_none());
        assert!(parted(Bytes::from_static(&[5, 0, 0, 0, 1, 0, 0, 0, 255, 1])).is_none());
    }

    #[test]
    fn clients_are_told_apart_by_the_keys_alone() {
        let of = |pairs: &[(&str, &str)]| {
            let client = Arc::new(Client::new(Some([127, 0, 0, 1].into()), pairs.iter().copied()));
            of(Some(&client), &["x-tenant".to_owned()])
        };
        assert_eq!(of(&[("X-Tenant", "a"), ("accept", "*")]), of(&[("x-tenant", "a")]));
        assert_ne!(of(&[("x-tenant", "a")]), of(&[("x-tenant", "b")]));
        assert_eq!(of(&[("accept", "*")]), None);
        assert_eq!(super::of(None, &["x-tenant".to_owned()]), None);
    }
}

//! Who sent something: what a receiver was asked to hand on about a request.

use std::net::IpAddr;

/// The client of a request and the metadata that came with it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Client {
    /// Where the request came from.
    pub address: Option<IpAddr>,
    /// Keys in lowercase, sorted, each with its values.
    metadata: Vec<(Box<str>, Vec<Box<str>>)>,
}

impl Client {
    /// A client with these pairs of a header's name and a value; a name may occur several times.
    pub fn new<'a>(address: Option<IpAddr>, headers: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut metadata: Vec<(Box<str>, Vec<Box<str>>)> = Vec::new();
        for (name, value) in headers {
            let name = name.to_ascii_lowercase();
            match metadata.binary_search_by(|(known, _)| (**known).cmp(name.as_str())) {
                Ok(at) => metadata.get_mut(at).into_iter().for_each(|(_, values)| values.push(value.into())),
                Err(at) => metadata.insert(at, (name.into(), vec![value.into()])),
            }
        }
        Self { address, metadata }
    }

    /// What is known of it under these keys, which are in lowercase, and nothing else.
    #[must_use]
    pub fn only(&self, keys: &[String]) -> Self {
        let kept = self.metadata.iter().filter(|(known, _)| keys.iter().any(|key| **key == **known));
        Self { address: None, metadata: kept.cloned().collect() }
    }

    /// All keys with their values, one at a time.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.metadata.iter().flat_map(|(key, values)| values.iter().map(|value| (&**key, &**value)))
    }

    /// The values of a key, which is in lowercase.
    pub fn metadata(&self, key: &str) -> Option<&[Box<str>]> {
        let at = self.metadata.binary_search_by(|(known, _)| (**known).cmp(key)).ok()?;
        self.metadata.get(at).map(|(_, values)| &**values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_in_lowercase_with_all_their_values() {
        let client = Client::new(None, [("X-Tenant", "a"), ("accept", "*"), ("x-tenant", "b")]);
        let tenant: Vec<&str> = client.metadata("x-tenant").unwrap_or_default().iter().map(|value| &**value).collect();
        assert_eq!(tenant, ["a", "b"]);
        assert_eq!(client.metadata("X-Tenant"), None);
        assert_eq!(client.metadata("x"), None);
    }
}

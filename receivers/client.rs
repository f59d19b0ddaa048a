//! Who sent a request, as far as it is handed on.

use pipeline::Client;

/// Who sent a request: its address, and the fields of its head if that is wanted. Text only, as metadata is.
pub(crate) fn of(request: &net::server::Request, with_metadata: bool) -> Option<Client> {
    let address = request.peer.map(|peer| peer.ip());
    if address.is_none() && !with_metadata {
        return None;
    }
    let fields = request.headers.iter().filter(|_| with_metadata);
    Some(Client::new(address, fields.filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)))))
}

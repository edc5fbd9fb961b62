//! What keeps the clients of an API with one of its backends: a cookie that says which. It names the backend by its
//! address, so it is good on every gateway and after every restart, and nothing is remembered of any client.

use aws_lc_rs::digest::{SHA256, digest};
use portcullis_model::backend_care::Session as Designed;

use super::endpoint::Endpoint;

/// Returns what names each of the endpoints of one API and key type, which `scope` names, by its address.
pub(crate) fn tags(scope: &str, endpoints: &[Endpoint]) -> Vec<String> {
    let tag = |endpoint: &Endpoint| {
        let Endpoint { origin, base_path, authority, .. } = endpoint;
        short(&format!("{scope} {} {authority}{base_path}", origin.is_tls))
    };
    endpoints.iter().map(tag).collect()
}

fn short(text: &str) -> String {
    hex::encode(&digest(&SHA256, text.as_bytes()).as_ref()[..8])
}

/// What keeps clients with a backend.
#[derive(Debug)]
pub(crate) struct Session {
    /// The cookie's name.
    pub(crate) name: String,
    /// The value for each endpoint, in their order.
    pub(crate) values: Vec<String>,
    /// What follows the value.
    pub(crate) attributes: String,
    /// It is to last from the last call.
    pub(crate) is_renewed: bool,
}

impl Session {
    /// Makes it for the endpoints of one API and key type, which `scope` names.
    pub(crate) fn new(designed: Designed, scope: &str, endpoints: &[Endpoint]) -> Self {
        let age = designed.lasts_ms.map(|lasts_ms| format!("; Max-Age={}", lasts_ms.div_ceil(1_000)));
        Self {
            name: format!("PORTCULLIS-{}", short(scope)),
            values: tags(scope, endpoints),
            attributes: format!("; Path=/{}; HttpOnly; SameSite=Lax", age.unwrap_or_default()),
            is_renewed: designed.lasts_ms.is_some(),
        }
    }
}
